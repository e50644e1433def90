"""The DuckDB file: opening it, its tables, and loading a batch; all in SQL."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import compress, count
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import duckdb

from vendortap.duckdb.columns import Column, from_duckdb, literal, quote, sql
from vendortap.errors import ConfigError, LoadError
from vendortap.support.files import check_own, open_private, private_umask, real_path

_ALONE: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "temp_directory": "",
}
"""What is used (json, icu) is in the wheel; nothing may be fetched. Nothing is put into the current folder either."""
_NO_NAME = re.compile(r"[\0\ud800-\udfff]")  # the latter are how Python has bytes that are not UTF-8
CATALOG = "target"
"""What the file is called inside DuckDB, whatever its own name is."""
_ROW_GROUP_SIZE = 2048
"""Rows that are compressed and written together; DuckDB's smallest. A row group that is not full is written again at
the next commit: with the default of 122,880 rows that would be most of what a load of invoices costs."""
_FILE_SIZE = 1 << 20
"""Bytes of a file of a batch. DuckDB takes its rows together, up to 2,048: fewer stay in the processor's caches."""
_OBJECT_SIZE = 1 << 20
"""Bytes of a row for which read_ndjson_objects reserves memory, twice, even if all are shorter."""


class Table(NamedTuple):
    """A table in a schema of the file."""

    schema: str
    name: str

    @property
    def sql(self) -> str:
        """The quoted name. With the catalog: a schema may be called like it, which is ambiguous alone."""
        return f"{CATALOG}.{quote(self.schema)}.{quote(self.name)}"


class Batch:
    """Rows of one stream that wait for the next commit, in files that only their owner can read."""

    def __init__(self, folder: str) -> None:
        self.keys: list[bytes] = []
        self.longest = 0
        self._folder = folder
        self._files: dict[str, int] = {}
        self._rows: list[bytes] = []
        self._size = 0

    def add(self, row: bytes, key: bytes) -> None:
        """Append a row, a JSON object, and its key, a JSON array. Raises LoadError where the disk does not take it."""
        self._rows.append(row)
        self.keys.append(key)
        self._size += len(row)
        if self._size >= _FILE_SIZE:
            self._finish_file()

    def files(self, without: Container[int]) -> Iterable[str]:
        """Return the paths of files with the rows in their order, one a line, but for those of the given numbers.

        Raises LoadError as ``add`` does.
        """
        self._finish_file()
        numbers = count()
        for path, rows in self._files.items() if without else ():
            kept = [next(numbers) not in without for _ in range(rows)]
            if not all(kept):
                with open(path, "rb") as file:
                    lines = [*compress(file, kept)]
                _write(path, b"".join(lines))
        return self._files

    def _finish_file(self) -> None:
        if self._rows:
            path = os.path.join(self._folder, f"{uuid4().hex}.ndjson")
            _write(path, b"\n".join([*self._rows, b""]))
            self.longest = max(self.longest, *map(len, self._rows))
            self._files[path] = len(self._rows)
            self._rows.clear()
            self._size = 0

    def remove(self) -> None:
        """Delete the files."""
        for path in self._files:
            os.unlink(path)


def _write(path: str, lines: bytes) -> None:
    try:
        with open(path, "wb", opener=open_private) as file:
            file.write(lines)
    except OSError as error:
        raise LoadError(f"cannot write beside the database: {error.strerror}") from None


def checked_path(setting: str) -> Path:
    """Return the setting as an absolute path. Raises ConfigError where it cannot be one of a database."""
    try:
        path = Path(setting).expanduser().absolute()
    except RuntimeError:
        who = setting.partition("/")[0]
        raise ConfigError(
            f"setting path: {who} is no user's home folder; for a file of that name write ./{who}"
        ) from None
    if _NO_NAME.search(str(path)):
        raise ConfigError("setting path: DuckDB takes no name that has a NUL character or is not UTF-8; choose another")
    if path.is_dir():
        raise ConfigError(f"setting path: {path} is a folder; give the path of a .duckdb file")
    if path.exists() and not path.is_file():
        raise ConfigError(f"setting path: {path} is not a file; give the path of a .duckdb file")
    if not path.parent.is_dir():
        raise ConfigError(f"setting path: {path} is in a folder that does not exist; make the folder first")
    if "?" in str(path):
        raise ConfigError(f"setting path: DuckDB cannot write to {path}, because of the question mark")
    return path


def connect(path: Path) -> duckdb.DuckDBPyConnection:
    """Open the file, creating it for its owner alone if need be, and delete what a killed run left beside it.

    Raises LoadError where the file cannot be used now, or may be another user's.
    """
    real = own_path(path)
    connection = duckdb.connect(config=_ALONE)
    try:
        with private_umask():
            connection.execute(
                f"ATTACH {literal(str(real))} AS {CATALOG} (TYPE duckdb, ROW_GROUP_SIZE {_ROW_GROUP_SIZE})"
            )
        own_path(real)  # what was made is still there
    except duckdb.Error as error:
        connection.close()
        raise LoadError(f"cannot open {path}: {reason(error)}") from None
    except LoadError:
        connection.close()
        raise
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET threads = 1")  # more of them cost more time and memory in all, and the tap needs some, too
    # The file is locked now, so nobody else is using these.
    for folder in real.parent.glob(_glob_escape(_prefix(real)) + "*"):
        shutil.rmtree(folder, ignore_errors=True)
    return connection


def own_path(path: Path) -> Path:
    """Return where a database really is.

    Raises LoadError where that file, or the log that DuckDB keeps beside it and replays, may be another user's.
    """
    try:
        real = real_path(path)
        for file in (real, *real.parent.glob(f"{_glob_escape(real.name)}.*wal*")):
            check_own(file)
    except OSError as error:
        raise LoadError(f"cannot open {path}: {error.strerror}") from None
    return real


def spill_into(connection: duckdb.DuckDBPyConnection, folder: str) -> None:
    """Have what does not fit into memory put into a folder."""
    connection.execute(f"SET temp_directory = {literal(folder)}")


def batch_folder(path: Path) -> tempfile.TemporaryDirectory[str]:
    """Make the folder for batches: beside the database, so that data stays where data is meant to be.

    Raises LoadError.
    """
    real = own_path(path)
    try:
        return tempfile.TemporaryDirectory(prefix=_prefix(real), dir=real.parent)
    except OSError as error:
        raise LoadError(f"cannot write beside {path}: {error.strerror}") from None


def _prefix(path: Path) -> str:
    return f".{path.name}.load-"


def _glob_escape(text: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in text)


def reason(error: duckdb.Error) -> str:
    """Say what an error of DuckDB's is about. Its text is passed on only where it holds no values."""
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
        with private_umask():  # for the log that DuckDB makes beside the file
            connection.execute("COMMIT")
        _forget(connection)
    except BaseException as error:
        with suppress(duckdb.Error):
            connection.execute("ROLLBACK")
        if not isinstance(error, duckdb.Error):
            raise
        why = reason(error)
        raise LoadError(f"DuckDB did not take the batch ({why}); the file is as of the last commit") from None


def _forget(connection: duckdb.DuckDBPyConnection) -> None:
    """Free the memory that holds what was written: DuckDB keeps it up to its limit, and nobody reads it again."""
    limit = connection.execute("SELECT current_setting('memory_limit')").fetchall()[0][0]
    with suppress(duckdb.OutOfMemoryException):  # which says that something is still in use
        connection.execute("SET memory_limit = '1MB'")
    connection.execute(f"SET memory_limit = {literal(limit)}")


def columns_of(connection: duckdb.DuckDBPyConnection, table: Table) -> dict[str, Column]:
    """Return the table's columns by name; none where there is no such table."""
    found = connection.execute(
        "SELECT 1 FROM information_schema.tables WHERE table_catalog = ? "
        "AND lower(table_schema) = lower(?) AND lower(table_name) = lower(?)",
        [CATALOG, *table],
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
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {CATALOG}.{quote(table.schema)}")
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
    superseded = _make_way(connection, table, {key: columns[key] for key in keys}, batch.keys) if keys else frozenset()
    files = ", ".join(literal(_glob_escape(path)) for path in batch.files(without=superseded))
    row = Column("STRUCT", fields=columns)
    # Texts are cast, which stops at one that does not fit; from_json itself would take null for it.
    connection.execute(
        f"INSERT INTO {table.sql} ({', '.join(map(quote, columns))}) "  # noqa: S608 - quoted names
        f"SELECT unnest(CAST(from_json(json, {_structure(row)}) AS {sql(row)})) "
        f"FROM read_ndjson_objects([{files}], maximum_object_size = {max(_OBJECT_SIZE, 2 * batch.longest)})"
    )


def _make_way(
    connection: duckdb.DuckDBPyConnection, table: Table, keys: Mapping[str, Column], values: list[bytes]
) -> frozenset[int]:
    """Delete the rows with one of these keys; return the places of those values that come again further on."""
    casts = ", ".join(f"CAST(key[{n}] AS {sql(column)}) AS k{n}" for n, column in enumerate(keys.values(), start=1))
    names = ", ".join(f"k{n}" for n in range(1, len(keys) + 1))
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE vendortap_keys AS SELECT place, {casts} FROM ("  # noqa: S608 - types and numbers
        "SELECT place, from_json(line, '[\"VARCHAR\"]') AS key "
        "FROM (SELECT unnest($1::VARCHAR[]) AS line, unnest(range(len($1::VARCHAR[]))) AS place))",
        [[value.decode() for value in values]],
    )
    connection.execute(
        f"DELETE FROM {table.sql} WHERE ({', '.join(map(quote, keys))}) IN (SELECT ({names}) FROM temp.vendortap_keys)"  # noqa: S608 - quoted names
    )
    again = connection.execute(
        "SELECT place FROM temp.vendortap_keys WHERE place NOT IN "  # noqa: S608 - as above
        f"(SELECT max(place) FROM temp.vendortap_keys GROUP BY {names})"
    ).fetchall()
    connection.execute("DROP TABLE temp.vendortap_keys")
    return frozenset(place for (place,) in again)


def _structure(column: Column) -> str:
    """Return the type as from_json takes it, an SQL literal; scalars are texts, to be cast."""

    def structure(column: Column) -> Any:
        if column.item is not None:
            return [structure(column.item)]
        if column.kind == "STRUCT":
            return {name: structure(item) for name, item in column.fields.items()}
        return "VARCHAR"

    return literal(json.dumps(structure(column), ensure_ascii=False))
