"""The Singer tap of ScanSource: ``tap-scansource`` or ``python -m tap_scansource``."""

from __future__ import annotations

from vendortap.singer import run_tap


def main() -> None:
    """Run the tap with the arguments of the command line."""
    run_tap("scansource")


if __name__ == "__main__":
    main()
