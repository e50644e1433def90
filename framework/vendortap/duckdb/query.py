"""Opens a DuckDB file to ask it something: with nothing in reach but the file.

A question can come from a declaration, and a declaration from a document of anybody's. So it can neither read nor write
other files, load extensions, nor switch any of that on again (DuckDB, "Securing DuckDB").
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import duckdb

_ALONE: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "lock_configuration": "true",
}


@contextmanager
def opened(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a file to read, for as long as the context lasts.

    Raises:
        duckdb.Error: it is no database, or cannot be opened now.
    """
    with closing(duckdb.connect(str(path), read_only=True, config=_ALONE)) as connection:
        yield connection
