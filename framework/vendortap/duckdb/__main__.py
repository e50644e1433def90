"""``python -m vendortap.duckdb``."""

from vendortap.duckdb import main

if __name__ == "__main__":
    main()
