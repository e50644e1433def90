"""How often a list is read: again where it changed meanwhile, and where rows with one key have to be compared.

A step around a list's pager. It remembers which rows came by hashes, on disk where there are many. The first reading
of a list in which nothing comes twice and nothing moves is the only one, and costs no more than that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vendortap.declare.model import Config, Page, Pager, Record, Request, Stream
from vendortap.declare.paging import FewerRowsError, Stable, fewer, single
from vendortap.errors import BodyError
from vendortap.sync.scratch import Numbers, database, micros

if TYPE_CHECKING:
    from sqlite3 import Connection

READINGS = 6
"""How often a list is read at the most."""

Found = Callable[[Record], None]
"""Takes a record that differs from another one with the same key; once a key."""


def pager_of(stream: Stream, found: Found) -> Pager:
    """Return what asks for all pages of a stream, and reads a list again where that is necessary.

    Where the stream's pager is ``stable``, a list that moved is read until two readings in a row agree, or three where
    rows come twice in them: the same small movement in two readings looks like a list with a row twice. Any list is
    read once more where it ends with fewer rows than the vendor says, or where a key comes twice, to compare the
    records that have it; but the latter not where the stream is ``distinct``, which allows for it. A
    reading after one in which rows came twice goes to the end of the pages: these rows may have filled the number of
    rows that the vendor states before all others had come.

    Raises (the pager):
        BodyError: as the stream's pager does; or the rows move faster than they can be read.
    """
    pager = stream.pages or single
    if stream.parent is not None:  # a document: its key is asked for, and comes once
        return pager

    by, keys, unique = pager.by if isinstance(pager, Stable) else (), _keys(stream), unique_by(stream)

    def ask(request: Request, config: Config) -> Generator[Request, Page, None]:
        before: _Reading | None = None
        with ExitStack() as stack:
            compared = stack.enter_context(closing(_Compared(stream, found)))
            for _ in range(READINGS):
                reading = stack.enter_context(closing(_Reading(pager, by, keys, unique, compared)))
                recounts = before is not None and before.has_repeated
                yield from _once(pager(request, config), reading, recounts=recounts)
                if reading.short is not None and before is not None and before.short is not None:
                    raise reading.short
                if reading.is_enough(before):
                    return
                before = reading
        raise BodyError(
            f"rows move between the pages faster than they can be read, {READINGS} times over; "
            "run again later, when less is going on, or ask for more rows at a time"
        )

    return ask


def _keys(stream: Stream) -> tuple[str, ...]:
    """Return the properties by which records are compared that should not differ; none where they may.

    What is added is the same in all rows. Where rows may be listed again with another stamp, which shows by what tells
    them apart, only those with the same one are compared.
    """
    if stream.distinct:
        return ()
    pager, stamp = stream.pages, stream.replication_key
    may_change = isinstance(pager, Stable) and stamp in pager.by and stamp not in stream.keys
    return (*(name for name in stream.keys if name not in stream.add), *([stamp] if stamp and may_change else []))


def unique_by(stream: Stream) -> tuple[str, ...]:
    """Return the properties by which a row is known to come again.

    A row that is dated anew while a list is read moves as well, and hides another; so it is the key alone. Where a
    vendor lists a re-issued invoice beside the first one, the second reading shows that by having both, too.
    """
    pager = stream.pages
    if stream.distinct:
        return pager.by if isinstance(pager, Stable) else ()
    return tuple(name for name in stream.keys if name not in stream.add)


def _once(
    steps: Generator[Request, Page, None], reading: _Reading, *, recounts: bool
) -> Generator[Request, Page, None]:
    """Read a list once, to its end; with ``recounts`` to the end of its pages, whatever number of them is stated."""
    with closing(steps):
        asked = next(steps, None)
        while asked is not None:
            page = yield asked
            if recounts:
                page = replace(page, is_recounted=True)
            before = asked
            try:
                asked = steps.send(page)
            except StopIteration:
                asked = None
            except FewerRowsError as error:
                reading.short, asked = error, None
            if asked != before:  # or the pager did not believe this page
                reading.take(page)
    reading.end(recounted=recounts)


class _Reading:
    """One reading of a list: its rows in order, and what shows that it changed meanwhile.

    ``by`` are the properties that tell rows apart, ``keys`` those by which they are compared, ``unique`` those that
    say that one came again; often all the same. Without any, none of that is done.
    """

    def __init__(
        self, pager: Pager, by: Sequence[str], keys: Sequence[str], unique: Sequence[str], compared: _Compared
    ) -> None:
        self.short: FewerRowsError | None = None
        self._by = by or keys
        self._keys = keys
        self._unique = unique
        self._stable = pager if isinstance(pager, Stable) else None
        self._rows = Numbers()
        self._parent = self._rows if set(self._by) == set(keys) else Numbers()
        ready = self._rows if set(unique) == set(self._by) else self._parent if set(unique) == set(keys) else None
        self._once = Numbers() if ready is None else ready
        self._compared = compared
        self._pages = self._repeated = self._uncompared = self._on_one_page = 0
        self._stated = self._count = 0
        self._longest = self._last = 0
        self._is_again = self._shows = False
        self._agreeing = 1
        compared.begin()

    def take(self, page: Page) -> None:
        """Note the rows of a page."""
        self._pages += 1
        self._count += len(page.records)
        self._hash(page)
        if self._stable and self._stable.total:
            self._look_at_number(page, self._stable.total)
        elif page.records:
            self._look_at_length(len(page.records))

    def _hash(self, page: Page) -> None:
        if self._by:
            hashes = _hashes(page, self._by, self._pages)
            self._rows.extend(hashes)
        if self._keys:
            if self._parent is not self._rows:
                hashes = _hashes(page, self._keys, self._pages)
                self._parent.extend(hashes)
            self._on_one_page += self._compared.take(page, hashes)
        if self._once is not self._rows and self._once is not self._parent:
            self._once.extend(_hashes(page, self._unique, self._pages))

    def _look_at_number(self, page: Page, total: str) -> None:
        """Notice a number of rows that becomes smaller."""
        is_beside = total in page.more or not page.records
        stated = (page.more.get(total) if is_beside else page.records[-1][total]) or 0
        self._shows = self._shows or 0 < stated < self._stated
        self._stated = stated or self._stated

    def _look_at_length(self, length: int) -> None:
        """Notice, where no number is stated, that the page before was shorter than others and not the last."""
        self._longest = max(self._longest, length)
        self._shows = self._shows or 0 < self._last < self._longest
        self._last = length

    def end(self, *, recounted: bool) -> None:
        """Count the rows that came again; on a single page none can have moved, and they have been compared.

        Where the pager was told not to count, what it would have found by counting is found here.
        """
        if recounted and self._count < self._stated and self.short is None:
            self.short = FewerRowsError(fewer(self._stated, self._count, "pages", None))
        if self._pages > 1:
            again = self._compared.watch(self._parent.repeated())
            self._uncompared = again - self._on_one_page
            self._repeated = again if self._parent is self._rows else sum(1 for _ in self._rows.repeated())
            self._is_again = bool(self._repeated or next(iter(self._once.repeated()), None) is not None)

    @property
    def has_repeated(self) -> bool:
        """Whether rows came again: they may have filled the number that is stated before all others had come."""
        return self._repeated > 0

    @property
    def _has_moved(self) -> bool:
        return bool(self._is_again or self._uncompared or (self._stable and self._shows))

    def is_enough(self, before: _Reading | None) -> bool:
        """Whether this reading, after the one before, needs no other one."""
        if self.short is not None:
            return False
        if before is None:
            return not self._has_moved
        if self._stable is None:
            return True
        if self._repeated == before._repeated and self._rows.have(before._rows):
            self._agreeing = before._agreeing + 1
        return self._agreeing > (2 if self._repeated else 1)

    def close(self) -> None:
        """Forget the rows."""
        for numbers in (self._rows, self._parent, self._once):
            numbers.close()


def _hashes(page: Page, names: Sequence[str], number: int) -> list[int]:
    """Return what tells the rows of a page apart; where a row does not fit and has no key to be read, its place."""
    keys: list[tuple[Any, ...]] = [tuple([row[name] for name in names]) for row in page.records]
    for index in page.invalid:
        if None in keys[index]:
            keys[index] = (number, index)
    return list(map(hash, keys))


class _Compared:
    """The records whose keys come more than once, compared by their content within each reading.

    On disk, as there may be many, in a database that is opened when the first key comes again.
    """

    def __init__(self, stream: Stream, found: Found) -> None:
        self._stamp = None if stream.plan.windows else stream.replication_key  # a window's end is the same for all
        self._found = found
        self._db: Connection | None = None

    def begin(self) -> None:
        """Begin a reading: records are not compared with those of another one."""
        if self._db:
            self._db.execute("UPDATE watched SET content = NULL")

    def watch(self, keys: Iterable[int]) -> int:
        """Compare the records with these keys from now on; returns how many there are."""
        many = 0
        for key in keys:
            many += 1
            self._db = self._db or _opened()
            self._db.execute("INSERT OR IGNORE INTO watched (key) VALUES (?)", (key,))
        return many

    def take(self, page: Page, keys: Sequence[int]) -> int:
        """Compare the records of a page with each other, and those that are watched with those before.

        Returns how many have the key of one before on the same page.
        """
        again = len(keys) - len(set(keys))
        if again:
            self.watch(key for key, times in Counter(keys).items() if times > 1)
        if self._db is not None:
            for index, (key, row) in enumerate(zip(keys, page.records, strict=True)):
                if index not in page.invalid:  # of one that does not fit only a part can be read
                    self._compare(self._db, key, row)
        return again

    def _compare(self, db: Connection, key: int, row: Record) -> None:
        before = db.execute("SELECT content, stamp, told FROM watched WHERE key = ?", (key,)).fetchone()
        if before is None:
            return
        content, stamp, told = before
        moment = row[self._stamp] if self._stamp else None
        now = (hash(repr(row)), micros(moment) if moment else None)
        if content not in (None, now[0]) and not told and not _is_newer(now[1], stamp):
            told = True
            self._found(row)
        db.execute("UPDATE watched SET content = ?, stamp = ?, told = ? WHERE key = ?", (*now, told, key))

    def close(self) -> None:
        """Forget them."""
        if self._db:
            self._db.close()


def _opened() -> Connection:
    opened = database()
    opened.execute("CREATE TABLE watched (key INTEGER PRIMARY KEY, content, stamp, told)")
    return opened


def _is_newer(stamp: int | None, before: int | None) -> bool:
    return stamp is not None and before is not None and stamp > before
