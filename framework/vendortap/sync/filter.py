"""What is handed on of a page, and what becomes of the rest."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from vendortap.declare.model import Record, Stream, Unit
from vendortap.decode.reader import refusal
from vendortap.sync.bookmarks import Top
from vendortap.sync.context import Records, Source
from vendortap.sync.counters import Tally
from vendortap.sync.open_items import OpenItems
from vendortap.sync.scratch import Distinct

if TYPE_CHECKING:
    from vendortap.sync.quarantine import Kept, Quarantine

log = logging.getLogger("vendortap.sync")

CONFLICTS_TOLD = 100
"""So many keys of a stream that belong to several records are named in its log."""


class Sieve:
    """Leaves out of pages what is not to be handed on, and counts what becomes of each record."""

    def __init__(
        self, source: Source, stream: Stream, tally: Tally, distinct: Distinct | None, items: OpenItems
    ) -> None:
        self._stream = stream
        self._tally = tally
        self._distinct = distinct
        self._items = items
        self._quarantine = source.quarantine
        self._stops = source.stops
        self._drift = source.drift.get(stream.name)
        self._who = source.connector.name
        self._redact = source.redact
        self._waiting = source.quarantine.keys(stream.name) if source.quarantine else {}

    def new(self, unit: Unit, page: Records, top: Top) -> Iterator[Records]:
        """Hand on the records of a page that the bookmark does not cover yet.

        Raises:
            RecordError: one does not fit, and there is no quarantine; those before it have been handed on.
            QuarantineError: too many do not fit.
        """
        if self._stream.replication_key and self._stream.keyed is None:
            top.settled = page.settled
        self._tell_conflicts(page.conflicts)
        start = 0
        for index, kept in sorted(page.invalid.items()):
            yield from self._fitting(unit, replace(page, records=page.records[start:index]), top)
            self._misfit(unit, page.records[index], kept, top)
            start = index + 1
        yield from self._fitting(unit, replace(page, records=page.records[start:]) if start else page, top)

    def _fitting(self, unit: Unit, page: Records, top: Top) -> Iterator[Records]:
        stream, fresh = self._stream, page.records
        self._tally.fetched += len(fresh)
        if self._drift:
            self._drift.look(fresh)
        if stream.replication_key and stream.keyed is None and unit.bookmark is None:
            is_new = self._is_new(unit, top, stream.replication_key)
            fresh = [record for record in fresh if is_new(record)]
            self._tally.known += len(page.records) - len(fresh)
        if self._distinct:  # of those that are not known: one that is must not stand in the way of a newer one
            told_apart = len(fresh)
            fresh = [record for record in fresh if self._distinct.add(_key(record, stream))]
            self._tally.repeated += told_apart - len(fresh)
        if self._waiting:
            self._supersede(fresh)
        if fresh is not page.records:
            page.records.clear()
        if fresh:
            open_ones = self._open_ones(unit, fresh) if self._items else []
            yield replace(page, records=fresh)  # whoever gets them may empty the list
            for key in open_ones:
                self._items.arrived(key, unit.partition)

    def _is_new(self, unit: Unit, top: Top, replication_key: str) -> Callable[[Record], bool]:
        """Return what tells that a record is not covered by the bookmark, or wanted all the same."""
        stream, items = self._stream, self._items
        if not items:
            return lambda record: top.take(record[replication_key], _key(record, stream))

        def is_new(record: Record) -> bool:
            key = _key(record, stream)
            return top.take(record[replication_key], key) or items.has(key, unit.partition)

        return is_new

    def _open_ones(self, unit: Unit, records: Iterable[Record]) -> list[tuple[str, ...]]:
        """Return by which keys some of these are open items."""
        keyed = self._stream.keyed
        keys = [(unit.params[keyed.param],)] if keyed else [_key(record, self._stream) for record in records]
        return [key for key in keys if self._items.has(key, unit.partition)]

    def _tell_conflicts(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._tally.conflicting += 1
            if self._tally.conflicting <= CONFLICTS_TOLD:
                log.warning(
                    "%s, %s: %s: the list has different records with this key, of which a target keeps one. Report it "
                    "to the vendor, or declare keys that tell the records of the stream apart.%s",
                    self._who,
                    self._stream.name,
                    self._redact(key),
                    " More of these are only counted." if self._tally.conflicting == CONFLICTS_TOLD else "",
                )

    def _supersede(self, records: Iterable[Record]) -> None:
        """Close entries in quarantine whose records are handed on: these are newer than what is there."""
        assert self._quarantine is not None  # noqa: S101 - something is waiting in it
        for record in records:
            if entries := self._waiting.get(_key(record, self._stream)):
                self._quarantine.close(list(entries), "superseded")

    def _misfit(self, unit: Unit, record: Record, kept: Kept, top: Top) -> None:
        """Skip a record that need not be handed on, as far as that can be told; else quarantine it, or stop."""
        stream, tally = self._stream, self._tally
        key = _key(record, stream) if len(kept.key) == len(stream.keys) else None
        repeated = bool(self._distinct and key and self._distinct.has(key))
        listed = stream.replication_key and stream.keyed is None and unit.bookmark is None
        known = bool(not repeated and key and listed and not top.take(record[stream.replication_key or ""], key))
        asked = (unit.params[stream.keyed.param],) if stream.keyed else key
        if asked and self._items:
            known = known and not self._items.has(asked, unit.partition)
            known = known or self._items.is_closed(asked, unit.partition, unit.bookmark)
        if not (repeated or known) and self._stops:
            raise refusal(kept.sentence)
        tally.fetched += 1
        tally.repeated += repeated
        tally.known += known
        if self._quarantine and not (repeated or known):
            tally.quarantined += 1
            self._items.note(asked, "does not fit", unit, of_list=stream.keyed is None)
            keep(self._quarantine, kept, tally)


def keep(quarantine: Quarantine, kept: Kept, tally: Tally) -> None:
    """Put a record that does not fit into the quarantine, and say so.

    Raises:
        QuarantineError: it cannot be written, or too many do not fit.
    """
    quarantine.put(kept)
    log.warning("%s, %s: %s. It is in %s.", kept.connector, kept.stream, kept.sentence, quarantine.path)
    quarantine.hold_limit(tally.quarantined, tally.fetched - tally.skipped)


def _key(record: Record, stream: Stream) -> tuple[str, ...]:
    return tuple(str(record[name]) for name in stream.keys)
