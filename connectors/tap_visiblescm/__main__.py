"""The Singer tap of VisibleSCM: ``tap-visiblescm`` or ``python -m tap_visiblescm``."""

from __future__ import annotations

from vendortap.singer import run_tap


def main() -> None:
    """Run the tap with the arguments of the command line."""
    run_tap("visiblescm")


if __name__ == "__main__":
    main()
