"""The Singer tap of Amazon Vendor Direct Fulfillment: ``tap-amazon-vendor`` or ``python -m tap_amazon_vendor``."""

from __future__ import annotations

from vendortap.singer import run_tap


def main() -> None:
    """Run the tap with the arguments of the command line."""
    run_tap("amazon-vendor")


if __name__ == "__main__":
    main()
