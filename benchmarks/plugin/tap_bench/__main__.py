"""The Singer tap of the benchmarks: ``tap-bench`` or ``python -m tap_bench``."""

from __future__ import annotations

from vendortap.singer import run_tap


def main() -> None:
    """Run the tap with the arguments of the command line."""
    run_tap("bench")


if __name__ == "__main__":
    main()
