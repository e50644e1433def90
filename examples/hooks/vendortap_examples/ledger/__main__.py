"""The Singer tap of Ledger: ``python -m vendortap_examples.ledger``."""

from vendortap.singer import run_tap

if __name__ == "__main__":
    run_tap("ledger")
