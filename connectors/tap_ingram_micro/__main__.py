"""The Singer tap of Ingram Micro: ``tap-ingram-micro`` or ``python -m tap_ingram_micro``."""

from __future__ import annotations

from vendortap.singer import run_tap


def main() -> None:
    """Run the tap with the arguments of the command line."""
    run_tap("ingram-micro")


if __name__ == "__main__":
    main()
