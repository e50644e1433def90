"""The Singer tap of Midnight: ``tap-midnight`` or ``python -m tap_midnight``."""

from __future__ import annotations

from vendortap.singer import run_tap


def main() -> None:
    """Run the tap with the arguments of the command line."""
    run_tap("midnight")


if __name__ == "__main__":
    main()
