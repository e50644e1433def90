"""The DuckDB file: opening it, its tables, and loading a batch; all in SQL."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import duckdb

from vendortap.duckdb.columns import Column, from_duckdb, literal, quote, sql
from vendortap.errors import ConfigError, LoadError

_OFFLINE: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
"""What is used (json, icu) is in the wheel; nothing may be fetched."""
_BUFFER_SIZE = 1 << 20
"""Bytes of a batch that are kept in memory."""
_OBJECT_SIZE = 16 * 1024 * 1024
"""read_json's default maximum_object_size, bytes."""


class Table(NamedTuple):
    """A table in a schema of the file, whose catalog is named after it."""

    catalog: str
    schema: str
    name: str

    @property
    def sql(self) -> str:
        """The quoted name. With the catalog: a schema may be named like the file, which is ambiguous alone."""
        return f"{quote(self.catalog)}.{quote(self.schema)}.{quote(self.name)}"


class Batch:
    """Rows of one stream that wait for the next commit, in a file that only its owner can read."""

    def __init__(self, folder: str) -> None:
        self.path = os.path.join(folder, f"{uuid4().hex}.ndjson")
        self.rows = 0
        self.longest = 0
        self._buffer = bytearray()

    def add(self, row: bytes) -> None:
        """Append one JSON object; ``n`` remembers the order. Raises LoadError as flush does."""
        line = b'{"n":%d,"r":%b}\n' % (self.rows, row)
        self._buffer += line
        self.rows += 1
        self.longest = max(self.longest, len(line))
        if len(self._buffer) >= _BUFFER_SIZE:
            self.flush()

    def flush(self) -> None:
        """Write what is still in memory to the file; raises LoadError where the disk does not take it."""
        try:
            with open(self.path, "ab", opener=_private) as file:
                file.write(self._buffer)
        except OSError as error:
            raise LoadError(f"cannot write beside the database: {error.strerror}") from None
        self._buffer.clear()

    def remove(self) -> None:
        """Delete the file."""
        os.unlink(self.path)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def connect(path: Path) -> duckdb.DuckDBPyConnection:
    """Open the file, creating it if need be, and delete what a killed run left beside it.

    Raises ConfigError where the path cannot be one of a database, LoadError where the file cannot be used now.
    """
    if path.is_dir():
        raise ConfigError(f"setting path: {path} is a folder; give the path of a .duckdb file")
    if not path.parent.is_dir():
        raise ConfigError(f"setting path: {path} is in a folder that does not exist; make the folder first")
    if "?" in str(path):
        raise ConfigError(f"setting path: DuckDB cannot write to {path}, because of the question mark")
    try:
        connection = duckdb.connect(str(path), config=_OFFLINE)
    except duckdb.Error as error:
        raise LoadError(f"cannot open {path}: {_reason(error)}") from None
    connection.execute("SET TimeZone = 'UTC'")
    # The file is locked now, so nobody else is using these.
    for folder in path.parent.glob(_glob_escape(_prefix(path)) + "*"):
        shutil.rmtree(folder, ignore_errors=True)
    return connection


def catalog_of(connection: duckdb.DuckDBPyConnection) -> str:
    """Return the name that DuckDB gave to the opened file."""
    return str(connection.execute("SELECT current_database()").fetchall()[0][0])


def batch_folder(path: Path) -> tempfile.TemporaryDirectory[str]:
    """Make the folder for batches: beside the database, so that data stays where data is meant to be.

    Raises LoadError.
    """
    try:
        return tempfile.TemporaryDirectory(prefix=_prefix(path), dir=path.parent)
    except OSError as error:
        raise LoadError(f"cannot write beside {path}: {error.strerror}") from None


def _prefix(path: Path) -> str:
    return f".{path.name}.load-"


def _glob_escape(text: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in text)


def _reason(error: duckdb.Error) -> str:
    """Say what DuckDB's error is about. Its text is passed on only where it holds no values."""
    text = str(error)
    known = {
        "not a valid DuckDB database": "it is not a DuckDB database",
        "Conflicting lock": "another process has it open; close that one first",
        "being used by another process": "another process has it open; close that one first",
        "Permission denied": "permission denied",
        "Read-only file system": "the file system is read-only",
        "No space left": "the disk is full",
        "File too large": "files may not be so large here",
    }
    plain = text.splitlines()[0] if isinstance(error, (duckdb.IOException, duckdb.OutOfMemoryException)) else ""
    return next((say for sign, say in known.items() if sign in text), plain or type(error).__name__)


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commit what the block does, or roll all of it back; raises LoadError for an error of DuckDB's."""
    try:
        connection.execute("BEGIN TRANSACTION")
        yield
        connection.execute("COMMIT")
    except BaseException as error:
        with suppress(duckdb.Error):
            connection.execute("ROLLBACK")
        if not isinstance(error, duckdb.Error):
            raise
        reason = _reason(error)
        raise LoadError(f"DuckDB did not take the batch ({reason}); the file is as of the last commit") from None


def columns_of(connection: duckdb.DuckDBPyConnection, table: Table) -> dict[str, Column]:
    """Return the table's columns by name; none where there is no such table."""
    found = connection.execute(
        "SELECT 1 FROM information_schema.tables WHERE table_catalog = ? "
        "AND lower(table_schema) = lower(?) AND lower(table_name) = lower(?)",
        list(table),
    ).fetchone()
    if found is None:
        return {}
    relation = connection.sql(f"SELECT * FROM {table.sql} LIMIT 0")  # noqa: S608 (quoted)
    return {name: from_duckdb(kind) for name, kind in zip(relation.columns, relation.types, strict=True)}


def grow(connection: duckdb.DuckDBPyConnection, table: Table, columns: Mapping[str, Column]) -> None:
    """Create the table, or alter it, so that it has these columns with these types.

    Raises LoadError where values that are already there do not fit the wider type.
    """
    existing = columns_of(connection, table)
    if not existing:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quote(table.catalog)}.{quote(table.schema)}")
        body = ", ".join(f"{quote(name)} {sql(column)}" for name, column in columns.items())
        connection.execute(f"CREATE TABLE {table.sql} ({body})")
        return
    for name, column in columns.items():
        if name not in existing:
            connection.execute(f"ALTER TABLE {table.sql} ADD COLUMN {quote(name)} {sql(column)}")
        elif existing[name] != column:
            try:
                connection.execute(f"ALTER TABLE {table.sql} ALTER COLUMN {quote(name)} TYPE {sql(column)}")
            except duckdb.ConversionException:
                raise LoadError(
                    f"column {name!r} of {table.schema}.{table.name} holds values that do not fit {sql(column)}: "
                    "go back to the decimal_precision and decimal_scale it was loaded with, or load into another "
                    "default_target_schema"
                ) from None


def load(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    columns: Mapping[str, Column],
    keys: Sequence[str],
    batch: Batch,
) -> None:
    """Insert a batch; with ``keys``, rows of the same key are replaced, and the last of equal keys wins."""
    batch.flush()
    row = Column("STRUCT", fields=columns)
    fields = {"n": "BIGINT", "r": sql(row, json="VARCHAR")}
    declared = ", ".join(f"{name}: {literal(kind)}" for name, kind in fields.items())
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE vendortap_batch AS SELECT n, CAST(r AS {sql(row)}) AS r "  # noqa: S608 - quoted names
        f"FROM read_json({literal(_glob_escape(batch.path))}, format = 'newline_delimited', "
        f"auto_detect = false, hive_partitioning = false, columns = {{{declared}}}, "
        f"maximum_object_size = {max(_OBJECT_SIZE, 2 * batch.longest)})"
    )
    which = ""
    if keys:
        names = ", ".join(quote(key) for key in keys)
        values = ", ".join(f"vendortap_new.r.{quote(key)}" for key in keys)
        source = "temp.vendortap_batch AS vendortap_new"
        connection.execute(f"DELETE FROM {table.sql} WHERE ({names}) IN (SELECT ({values}) FROM {source})")  # noqa: S608 - quoted names
        which = f" WHERE vendortap_new.n IN (SELECT max(vendortap_new.n) FROM {source} GROUP BY {values})"  # noqa: S608 - quoted names
    connection.execute(
        f"INSERT INTO {table.sql} ({', '.join(map(quote, columns))}) "  # noqa: S608 - quoted names
        f"SELECT {', '.join(f'vendortap_new.r.{quote(name)}' for name in columns)} "
        f"FROM temp.vendortap_batch AS vendortap_new{which} ORDER BY vendortap_new.n"
    )
    connection.execute("DROP TABLE temp.vendortap_batch")
