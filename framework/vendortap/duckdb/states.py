"""The states that a database keeps of its connectors, in the transaction of the rows which they cover.

Only `vendortap run` asks for them. They are in a schema of their own, which no connector's can be called like:

- ``_vendortap.database``: the id of this database, made once and kept by its copies.
- ``_vendortap.states``: the newest states of each connector and account. Generations are numbered through the whole
  database, so a number names one state, and a copy that is older has lower numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import duckdb
import msgspec
from singer_sdk.singerlib.json import serialize_json

from vendortap.duckdb import database
from vendortap.errors import LoadError, UsageError

SCHEMA = "_vendortap"
"""Written out in the statements below, behind ``database.CATALOG``, so that no SQL is put together."""
PREDECESSORS = 10
"""So many states of an instance are kept beside the newest."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAKE = (
    "CREATE SCHEMA IF NOT EXISTS target._vendortap",
    "CREATE TABLE IF NOT EXISTS target._vendortap.database (id VARCHAR)",
    "CREATE TABLE IF NOT EXISTS target._vendortap.states "
    "(instance VARCHAR, generation BIGINT, state JSON, written_at TIMESTAMPTZ)",
)


class Generation(NamedTuple):
    """One state that a database keeps; ``state`` is JSON."""

    number: int
    instance: str
    state: str
    written_at: datetime


class Contents(NamedTuple):
    """What a database has of an instance: its own id, the newest state, and whether the schema has tables."""

    id: str | None = None
    newest: Generation | None = None
    has_tables: bool = False


class Writer:
    """Writes the states of one run of an instance, each time inside a transaction of the target's.

    A run has one generation, which its later states replace: what is before it are the runs before it.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, instance: str) -> None:
        self._connection = connection
        self._instance = instance
        with _readable():
            newest = next(_read(connection, instance), None)
            self._id = _id_of(connection)
        self._state = newest and _decoded(newest.state)
        self._number = newest.number if newest else 0
        self._has_written = False

    @property
    def generation(self) -> dict[str, Any]:
        """What a state says of where it is kept."""
        return {"database": self._id, "number": self._number}

    def is_new(self, state: Mapping[str, Any]) -> bool:
        """Whether a state is another one than the newest that is kept."""
        return _plain(state) != self._state

    def write(self, state: Mapping[str, Any]) -> None:
        """Keep a state as the newest, and its predecessors as far as they are kept."""
        plain, text = _plain(state), serialize_json(_plain(state))
        for statement in _MAKE:
            self._connection.execute(statement)
        self._id = _id_of(self._connection) or self._make_id()
        if self._has_written:
            replaced = "UPDATE target._vendortap.states SET state = ?, written_at = now() WHERE generation = ?"
            self._connection.execute(replaced, [text, self._number])
        else:
            self._number = _insert(self._connection, self._instance, text)
        self._has_written = True
        self._state = plain

    def _make_id(self) -> str:
        made = uuid4().hex
        self._connection.execute("INSERT INTO target._vendortap.database VALUES (?)", [made])
        return made


def look(path: Path, instance: str, schema: str) -> Contents:
    """Return what a file has of an instance, whose tables are in ``schema``; nothing where there is no file.

    Raises:
        LoadError: the file cannot be used now.
    """
    if not path.exists():
        return Contents()
    with _opened(path) as connection:
        newest = next(_read(connection, instance), None)
        return Contents(_id_of(connection), newest, _has_tables(connection, schema))


def history(path: Path) -> list[Generation]:
    """Return all states that a file keeps, the newest of each instance first.

    Raises:
        LoadError: the file cannot be used now.
    """
    with _opened(path) as connection:
        return [*_read(connection)]


def find(path: Path, number: int) -> Generation:
    """Return one of the states that a file keeps.

    Raises:
        LoadError: the file cannot be used now.
        UsageError: it does not keep that state.
    """
    for kept in history(path):
        if kept.number == number:
            return kept
    raise UsageError(f"{path} keeps no state of generation {number}; `vendortap state list {path}` shows them")


def restore(path: Path, number: int) -> Generation:
    """Keep a state of a file once more, as the newest of its instance; raises and returns as ``find`` does."""
    found = find(path, number)
    with _opened(path) as connection, database.transaction(connection):
        return found._replace(number=_insert(connection, found.instance, found.state))


def keep(path: Path, instance: str, state: Mapping[str, Any]) -> None:
    """Keep a state as the newest of an instance; raises LoadError where the file cannot be used now."""
    with _opened(path) as connection, database.transaction(connection):
        Writer(connection, instance).write(state)


@contextmanager
def _opened(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a file for as long as the context lasts; raises LoadError."""
    with closing(database.connect(path)) as connection, _readable():
        yield connection


@contextmanager
def _readable() -> Iterator[None]:
    """Turn what DuckDB says where somebody else has made or spoiled these tables into LoadError."""
    try:
        yield
    except duckdb.Error as error:
        raise LoadError(
            f"the schema {SCHEMA} of the database is not as vendortap makes it ({database.reason(error)}); if it is "
            "nobody's, drop it, and fetch everything again with --full-refresh"
        ) from None


def _insert(connection: duckdb.DuckDBPyConnection, instance: str, state: str) -> int:
    """Keep a state as the newest of its instance; return its number."""
    (number,) = connection.execute("SELECT coalesce(max(generation), 0) + 1 FROM target._vendortap.states").fetchall()[
        0
    ]
    connection.execute("INSERT INTO target._vendortap.states VALUES (?, ?, ?, now())", [instance, number, state])
    connection.execute(
        "DELETE FROM target._vendortap.states WHERE instance = $1 "
        "AND generation NOT IN (SELECT generation FROM target._vendortap.states "
        "WHERE instance = $1 ORDER BY generation DESC LIMIT $2)",
        [instance, 1 + PREDECESSORS],
    )
    return int(number)


def _read(connection: duckdb.DuckDBPyConnection, instance: str | None = None) -> Iterator[Generation]:
    """Yield the states of one instance or of all, the newest of each first."""
    if not database.columns_of(connection, database.Table(SCHEMA, "states")):
        return
    found = connection.execute(
        "SELECT generation, instance, state, epoch_us(written_at) FROM target._vendortap.states "
        "WHERE instance = $1 OR $1 IS NULL ORDER BY instance, generation DESC",
        [instance],
    ).fetchall()
    for number, whose, state, microseconds in found:
        yield Generation(number, whose, state, _EPOCH + timedelta(microseconds=microseconds))


def _id_of(connection: duckdb.DuckDBPyConnection) -> str | None:
    if not database.columns_of(connection, database.Table(SCHEMA, "database")):
        return None
    found = connection.execute("SELECT id FROM target._vendortap.database").fetchone()
    return str(found[0]) if found else None


def _has_tables(connection: duckdb.DuckDBPyConnection, schema: str) -> bool:
    found = connection.execute(
        "SELECT 1 FROM information_schema.tables WHERE table_catalog = ? AND lower(table_schema) = lower(?) LIMIT 1",
        [database.CATALOG, schema],
    ).fetchone()
    return found is not None


def _plain(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state without what it says of where it was kept."""
    return {name: value for name, value in state.items() if name != "generation"}


def _decoded(state: str) -> Any:
    """Return a state that is kept, or nothing where somebody has spoiled it: then any state is another one."""
    try:
        return msgspec.json.decode(state)
    except msgspec.DecodeError:
        return None
