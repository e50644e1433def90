"""What is handed on of a page, and what becomes of the rest."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from vendortap.declare.model import Record, Slice, Stream
from vendortap.decode.reader import refusal
from vendortap.sync.bookmarks import HighWatermark, Key
from vendortap.sync.context import Records, SyncContext
from vendortap.sync.counters import Counters
from vendortap.sync.open_items import OpenItems
from vendortap.sync.scratch import Distinct

if TYPE_CHECKING:
    from vendortap.sync.quarantine import Quarantine, QuarantineEntry

log = logging.getLogger("vendortap.sync")

CONFLICTS_TOLD = 100
"""So many keys of a stream that belong to several records are named in its log."""


class RecordFilter:
    """Leaves out of pages what is not to be handed on, and counts what becomes of each record."""

    def __init__(
        self, context: SyncContext, stream: Stream, counters: Counters, distinct: Distinct | None, items: OpenItems
    ) -> None:
        self._stream = stream
        self._counters = counters
        self._distinct = distinct
        self._items = items
        self._quarantine = context.quarantine
        self._stops = context.stops
        self._drift = context.drift.get(stream.name)
        self._who = context.connector.name
        self._redact = context.redact
        self._waiting = context.quarantine.keys(stream.name) if context.quarantine else {}

    def new(self, slice_: Slice, page: Records, watermark: HighWatermark) -> Iterator[Records]:
        """Hand on the records of a page that the bookmark does not cover yet.

        Raises:
            RecordError: one does not fit, and there is no quarantine; those before it have been handed on.
            QuarantineError: too many do not fit.
        """
        if self._stream.replication_key and self._stream.parent is None:
            watermark.safe_until = page.safe_until
        self._tell_conflicts(page.conflicts)
        start = 0
        for index, entry in sorted(page.invalid.items()):
            yield from self._valid(slice_, replace(page, records=page.records[start:index]), watermark)
            self._invalid_record(slice_, page.records[index], entry, watermark)
            start = index + 1
        yield from self._valid(slice_, replace(page, records=page.records[start:]) if start else page, watermark)

    def _valid(self, slice_: Slice, page: Records, watermark: HighWatermark) -> Iterator[Records]:
        self._counters.fetched += len(page.records)
        if self._drift:
            self._drift.look(page.records)
        fresh = self._once(self._unread(page.records, slice_, watermark))
        if self._waiting:
            self._supersede(fresh)
        if fresh is not page.records:
            page.records.clear()
        if fresh:
            open_ones = self._open_ones(slice_, fresh) if self._items else []
            yield replace(page, records=fresh)  # whoever gets them may empty the list
            for key in open_ones:
                self._items.arrived(key, slice_.partition)

    def _unread(self, records: list[Record], slice_: Slice, watermark: HighWatermark) -> list[Record]:
        """Leave out what the bookmark covers."""
        if (replication_key := self._by_watermark(slice_)) is None:
            return records
        is_new = self._is_new(slice_, watermark, replication_key)
        unread = [record for record in records if is_new(record)]
        self._counters.known += len(records) - len(unread)
        return unread

    def _by_watermark(self, slice_: Slice) -> str | None:
        """Return the replication key, where its values tell what is new: in a list that is not cut into windows."""
        is_list = self._stream.parent is None and slice_.bookmark is None
        return self._stream.replication_key if is_list else None

    def _once(self, records: list[Record]) -> list[Record]:
        """Leave out what has come before, of those that are not known: they must not stand in the way of newer ones."""
        if self._distinct is None:
            return records
        first = [record for record in records if self._distinct.add(_key(record, self._stream))]
        self._counters.repeated += len(records) - len(first)
        return first

    def _is_new(self, slice_: Slice, watermark: HighWatermark, replication_key: str) -> Callable[[Record], bool]:
        """Return what tells that a record is not covered by the bookmark, or wanted all the same."""
        stream, items = self._stream, self._items
        if not items:
            return lambda record: watermark.take(record[replication_key], _key(record, stream))

        def is_new(record: Record) -> bool:
            key = _key(record, stream)
            return watermark.take(record[replication_key], key) or items.has(key, slice_.partition)

        return is_new

    def _open_ones(self, slice_: Slice, records: Iterable[Record]) -> list[tuple[str, ...]]:
        """Return by which keys some of these are open items."""
        parent = self._stream.parent
        keys = [(slice_.params[parent.param],)] if parent else [_key(record, self._stream) for record in records]
        return [key for key in keys if self._items.has(key, slice_.partition)]

    def _tell_conflicts(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._counters.conflicting += 1
            if self._counters.conflicting <= CONFLICTS_TOLD:
                log.warning(
                    "%s, %s: %s: the list has different records with this key, of which a target keeps one. Report it "
                    "to the vendor, or declare keys that tell the records of the stream apart.%s",
                    self._who,
                    self._stream.name,
                    self._redact(key),
                    " More of these are only counted." if self._counters.conflicting == CONFLICTS_TOLD else "",
                )

    def _supersede(self, records: Iterable[Record]) -> None:
        """Close entries in quarantine whose records are handed on: these are newer than what is there."""
        assert self._quarantine is not None  # noqa: S101 - something is waiting in it
        for record in records:
            if entries := self._waiting.get(_key(record, self._stream)):
                self._quarantine.close(list(entries), "superseded")

    def _invalid_record(self, slice_: Slice, record: Record, entry: QuarantineEntry, watermark: HighWatermark) -> None:
        """Skip a record that need not be handed on, as far as that can be told; else quarantine it, or stop."""
        stream, counters = self._stream, self._counters
        key = _key(record, stream) if len(entry.key) == len(stream.keys) else None
        repeated = bool(self._distinct and key and self._distinct.has(key))
        asked = (slice_.params[stream.parent.param],) if stream.parent else key
        known = self._is_covered(slice_, record, None if repeated else key, asked, watermark)
        if not (repeated or known) and self._stops:
            raise refusal(entry.sentence)
        counters.fetched += 1
        counters.repeated += repeated
        counters.known += known
        if self._quarantine and not (repeated or known):
            counters.quarantined += 1
            self._items.note(asked, "does not fit", slice_, of_list=stream.parent is None)
            keep(self._quarantine, entry, counters)

    def _is_covered(
        self, slice_: Slice, record: Record, key: Key | None, asked: Key | None, watermark: HighWatermark
    ) -> bool:
        """Whether a record that does not fit is behind the bookmark, or has been given up by the operator."""
        replication_key = self._by_watermark(slice_)
        known = bool(key and replication_key and not watermark.take(record[replication_key], key))
        if asked is None or not self._items:
            return known
        is_sought = self._items.has(asked, slice_.partition)
        return (known and not is_sought) or self._items.is_closed(asked, slice_.partition, slice_.bookmark)


def keep(quarantine: Quarantine, entry: QuarantineEntry, counters: Counters) -> None:
    """Put a record that does not fit into the quarantine, and say so.

    Raises:
        QuarantineError: it cannot be written, or too many do not fit.
    """
    quarantine.put(entry)
    log.warning("%s, %s: %s. It is in %s.", entry.connector, entry.stream, entry.sentence, quarantine.path)
    quarantine.hold_limit(counters.quarantined, counters.fetched - counters.skipped)


def _key(record: Record, stream: Stream) -> tuple[str, ...]:
    return tuple(str(record[name]) for name in stream.keys)
