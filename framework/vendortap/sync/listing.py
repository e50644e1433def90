"""The list that documents are asked for by: read to its end, and handed out in the order of their bookmarks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime

from vendortap.declare.model import Parent, Record, Slice, Stream
from vendortap.decode.reader import refusal
from vendortap.errors import VendortapError
from vendortap.sync.bookmarks import HighWatermark
from vendortap.sync.context import Records, SyncContext, named
from vendortap.sync.counters import Counters
from vendortap.sync.filter import keep
from vendortap.sync.open_items import OpenItems
from vendortap.sync.ordering import Lane, in_order
from vendortap.sync.scratch import database, micros

_Row = tuple[str, "str | None", "int | None"]
"""A document's key, and when it changed: in ISO 8601, and in microseconds since 1970."""


class Spool:
    """A parent's list, kept on disk, handed out as slices in the order of its replication key.

    The list is read to its end before the first document is handed on: rows move between the pages of a list
    that is read slowly, and the vendor's order is not the bookmark's. In the order of the replication key, a
    run that is cut short can go on where it stopped. An SQLite file without a name keeps memory flat.

    Where ``documents`` are given, the first of them are asked for while the list is read. One that the end of the list
    shows to have changed meanwhile is asked for again.
    """

    def __init__(
        self,
        context: SyncContext,
        parent: Parent,
        parent_stream: Stream,
        base: Slice,
        counters: Counters,
        items: OpenItems,
    ) -> None:
        self.parent = parent
        self.base = base
        self.parent_stream = parent_stream
        self.safe_until: datetime | None = None
        self.count = 0
        self._context = context
        self._counters = counters
        self._items = items
        self._db = database()
        self._db.execute("CREATE TABLE document (key TEXT PRIMARY KEY, at TEXT, micros INTEGER) WITHOUT ROWID")

    def fill(self, lists: Lane, documents: Lane | None) -> None:
        """Read the list to its end: in a thread as well, so that a signal is heard whatever the network does.

        Raises:
            VendortapError: it cannot be read.
        """
        watermark = HighWatermark(self.base.since, None, self.base.known, self._context.zone, self._items.named)
        listed = 0
        try:
            with closing(in_order([self.base], lists)) as fetched:  # or a thread waits for a reader that has failed
                for page in (page for _, pages in fetched for page in pages):
                    listed += self._add(page, watermark, documents)
        except VendortapError as error:
            raise named(error, self._context, self.parent_stream, self.base) from None
        finally:
            if documents:
                documents.call_off()
        (self.count,) = self._db.execute("SELECT count(*) FROM document").fetchone()
        self._counters.fetched += listed - self.count
        self._counters.repeated += listed - self.count
        self._items.tried(self.base)

    def _add(self, page: Records, watermark: HighWatermark, documents: Lane | None) -> int:
        """Add the rows of a page to the list, and ask early for their documents; returns how many rows there are."""
        self.safe_until = page.safe_until
        rows = [row for record in self._usable(page) if (row := self._row(record, watermark))]
        self._db.executemany("INSERT OR REPLACE INTO document VALUES (?, ?, ?)", rows)
        if documents and page.more:
            for key, at, _ in rows:
                documents.ask_early(self._slice(key, at))
        return len(rows)

    def _usable(self, page: Records) -> Iterator[Record]:
        """Yield the rows that a document can be asked for by; what else is in them is not this stream's concern.

        Raises:
            RecordError: a row does not fit, and there is no quarantine.
            QuarantineError: too many do not fit.
        """
        context, counters = self._context, self._counters
        for index, record in enumerate(page.records):
            if (entry := page.invalid.get(index)) is None:
                yield record
            elif context.stops or context.quarantine is None:
                raise refusal(entry.sentence)
            elif record[self.parent.field] is not None:
                yield record
            else:
                counters.fetched += 1
                counters.quarantined += 1
                self._items.note(None, "does not fit", self.base, of_list=True)
                keep(context.quarantine, entry, counters)

    def _row(self, record: Record, watermark: HighWatermark) -> _Row | None:
        key = str(record[self.parent.field])
        stamp = self.parent.changed or self.parent_stream.replication_key
        changed = record[stamp] if stamp else None
        items, partition = self._items, self.base.partition
        is_new = watermark.take(changed, (key,)) or items.is_sought((key,), partition)
        if not is_new or items.is_closed((key,), partition, changed):
            self._counters.fetched += 1
            self._counters.known += 1
            return None
        if changed is None:
            return key, None, None
        return key, changed.isoformat(), micros(changed)

    def slices(self) -> Iterator[Slice]:
        """Yield a slice a document, the least recently changed first, those without a stamp last."""
        for key, at in self._db.execute("SELECT key, at FROM document ORDER BY micros IS NULL, micros, key"):
            yield self._slice(key, at)

    def has(self, key: str) -> bool:
        """Whether the list shows a document that is to be asked for."""
        return self._db.execute("SELECT 1 FROM document WHERE key = ?", (key,)).fetchone() is not None

    def _slice(self, key: str, at: str | None) -> Slice:
        base, changed = self.base, datetime.fromisoformat(at) if at else None
        return Slice({**base.params, self.parent.param: key}, base.partition, base.since, bookmark=changed)

    def close(self) -> None:
        """Forget the list."""
        self._db.close()
