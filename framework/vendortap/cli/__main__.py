"""``python -m vendortap.cli``."""

from vendortap.cli import main

if __name__ == "__main__":
    main()
