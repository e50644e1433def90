"""``python -m vendortap.singer CONNECTOR ...``: what ``vendortap run`` starts."""

import sys

from vendortap.singer import run_tap

if __name__ == "__main__":
    run_tap(sys.argv[1], sys.argv[2:])
