"""``python -m tests.soak``: see tests/soak/command.py, from which the processes of the pool import."""

from __future__ import annotations

import sys

from tests.soak.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
