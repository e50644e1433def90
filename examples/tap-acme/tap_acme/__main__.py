"""The Singer tap of Acme: ``tap-acme`` or ``python -m tap_acme``."""

from vendortap.singer import run_tap


def main() -> None:
    """Run the tap with the arguments of the command line."""
    run_tap("acme")


if __name__ == "__main__":
    main()
