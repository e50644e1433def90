"""Databases and numbers in files without a name, for what does not fit into a flat amount of memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from heapq import merge
from itertools import tee
from typing import IO, TYPE_CHECKING

from vendortap.errors import VendortapError

if TYPE_CHECKING:
    from sqlite3 import Connection

_BLOCK = 1 << 15
"""So many numbers, of eight bytes each, are in memory: up to there nothing is written to disk."""
_LITTLE = 1 << 10
"""So many are read at a time from each of several places."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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


def micros(moment: datetime) -> int:
    """Return a moment as a database keeps it: in microseconds since 1970."""
    return (moment - _EPOCH) // datetime.resolution


class Numbers:
    """Numbers of 64 bits in the order they came: the first of them in memory, all once there are many on disk."""

    def __init__(self) -> None:
        self._count = 0
        with _telling_of_disks():
            self._file = _file()

    def extend(self, numbers: Iterable[int]) -> None:
        """Put numbers behind those that are there."""
        block = array("q", numbers)
        with _telling_of_disks():
            self._file.write(block)
        self._count += len(block)

    def repeated(self) -> Iterator[int]:
        """Yield each number that came before, as often as it came again, the smallest first."""
        if self._count <= _BLOCK:
            numbers = self._read(self._file, 0, self._count)
            ordered: Iterable[int] = sorted(numbers) if len(set(numbers)) < self._count else ()
        else:
            ordered = self._ordered()
        one, other = tee(ordered)
        next(other, None)
        return (number for number, following in zip(one, other, strict=False) if number == following)

    def _ordered(self) -> Iterator[int]:
        """Yield the numbers by size: sorted block by block into another file, whose blocks are then merged."""
        blocks = range(0, self._count, _BLOCK)
        with _telling_of_disks(), _file() as file:
            for begin in blocks:
                file.write(array("q", sorted(self._read(self._file, begin, begin + _BLOCK))))
            yield from merge(*(self._from(file, begin, min(begin + _BLOCK, self._count), _LITTLE) for begin in blocks))

    def have(self, others: Numbers) -> bool:
        """Whether others are among these, in their order and with nothing between them."""
        if not others._count:
            return True
        first = others._read(others._file, 0, 1)[0]
        begin = next((at for at, number in enumerate(self._from(self._file, 0, self._count)) if number == first), None)
        return begin is not None and all(
            self._read(self._file, begin + at, begin + at + _BLOCK)[: others._count - at]
            == others._read(others._file, at, at + _BLOCK)
            for at in range(0, others._count, _BLOCK)
        )

    def _from(self, file: IO[bytes], begin: int, end: int, size: int = _BLOCK) -> Iterator[int]:
        for at in range(begin, end, size):
            yield from self._read(file, at, min(at + size, end))

    def _read(self, file: IO[bytes], begin: int, end: int) -> array[int]:
        """Return those from one place up to another, or up to the end, where the next ones are going to be put."""
        block = array("q")
        with _telling_of_disks():
            file.seek(begin * block.itemsize)
            block.frombytes(file.read((end - begin) * block.itemsize))
            file.seek(0, 2)
        return block

    def close(self) -> None:
        """Forget them."""
        self._file.close()


def _file() -> IO[bytes]:
    """Return a file without a name, which is in memory as long as it holds no more than a block."""
    from tempfile import SpooledTemporaryFile  # here, as most streams need none

    return SpooledTemporaryFile(max_size=_BLOCK * array("q").itemsize)


@contextmanager
def _telling_of_disks() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise VendortapError(
            f"what has been listed cannot be kept in the folder for temporary files ({error.strerror}); make room "
            "there, or name another one with TMPDIR"
        ) from None
