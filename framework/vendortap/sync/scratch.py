"""Databases in files without a name, for what does not fit into a flat amount of memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite3 import Connection


def database_error() -> type[Exception]:
    """Return what SQLite raises, without importing it before it is needed."""
    from sqlite3 import Error

    return Error


def database() -> Connection:
    """Return a new SQLite database in a file without a name, that holds at most 2 MB of it in memory."""
    import sqlite3  # here, as most streams need none

    database = sqlite3.connect("", check_same_thread=False)  # one thread at a time, but not always the same
    database.execute("PRAGMA cache_size = -2000")
    return database


class Distinct:
    """The keys handed on so far, on disk, so that memory stays flat."""

    def __init__(self) -> None:
        self._db = database()
        self._db.execute("CREATE TABLE seen (key TEXT PRIMARY KEY) WITHOUT ROWID")

    def add(self, key: tuple[str, ...]) -> bool:
        """Note a key; returns whether it is new."""
        return self._db.execute("INSERT OR IGNORE INTO seen VALUES (?)", ("\0".join(key),)).rowcount == 1

    def has(self, key: tuple[str, ...]) -> bool:
        """Tell whether a key has been noted."""
        return self._db.execute("SELECT 1 FROM seen WHERE key = ?", ("\0".join(key),)).fetchone() is not None

    def close(self) -> None:
        """Forget them all."""
        self._db.close()
