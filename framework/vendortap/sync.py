"""The one pipeline: units → requests → replies → rows → records and bookmarks, in the order of the plan.

Units are fetched concurrently, a bounded number ahead; what they give is handed on in plan order, so that the
records and their order do not depend on the concurrency, and a bookmark moves only over a contiguous prefix
of complete units. The pipeline takes ``send``; it opens no connection of its own.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta, timezone
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeAlias

from vendortap import plan
from vendortap.declaration import Shape
from vendortap.documents import Documents, companion_names
from vendortap.drift import Drift, Fields
from vendortap.errors import (
    BodyError,
    ConfigError,
    DriftError,
    InternalError,
    MissingError,
    PluginError,
    RecordError,
    VendortapError,
)
from vendortap.hooks import Actions, Extensions
from vendortap.model import (
    Bookmark,
    Config,
    Connector,
    Keyed,
    Misfit,
    Page,
    Record,
    Reply,
    Request,
    Rows,
    Send,
    Stream,
    Unit,
)
from vendortap.paging import single
from vendortap.record import Reader, prefix, refusal
from vendortap.redact import Redactor
from vendortap.request import write
from vendortap.wire import dates
from vendortap.wire.xml import DEEPEST

if TYPE_CHECKING:
    from sqlite3 import Connection

    from vendortap.quarantine import Kept, Quarantine
    from vendortap.telemetry import Telemetry

_log = logging.getLogger("vendortap.sync")

PAGES_AHEAD = 1
"""Pages of a unit that are fetched and not yet read: the next comes while one is written, a third would only wait.

With the units ahead, the bound of what is held in memory.
"""
SEEN_AT_MOST = 1000
"""Keys that a bookmark remembers at its own value; beyond that they are fetched again, which loses nothing."""
SETTLED = timedelta(minutes=1)
"""What changed less than this before a list was asked for, or since, may show in the list only in part."""


@dataclass(frozen=True, slots=True)
class Records:
    """Some records of one reply, in order; ``received`` is when the reply arrived.

    ``settled`` is up to when the unit can be relied on to show every change. ``misfits`` are those of the records, by
    index, that do not fit their schema; they are never handed on. ``more`` says that another page may follow.
    Whoever is handed the list may empty it: nobody else needs it, and it is most of the memory of a run.
    """

    records: list[Record]
    received: datetime
    settled: datetime
    misfits: Mapping[int, Kept] = field(default_factory=dict)
    more: bool = True


@dataclass(frozen=True, slots=True)
class Advance:
    """Everything of a partition up to this bookmark has been handed on."""

    partition: Mapping[str, str]
    bookmark: Bookmark


Reading: TypeAlias = Generator[Records | Advance, None, None]
"""What a stream gives, in order."""


@dataclass(slots=True)
class Tally:
    """What became of each record of a stream: ``fetched = emitted + filtered + quarantined + skipped``.

    ``fetched``
        came up: in a reply, or, left out already there, in the list that documents are asked for by.
    ``emitted``
        went into RECORD or BATCH messages; a record that a stream map makes several of counts once.
    ``filtered``
        was dropped by the operator's stream maps.
    ``quarantined``
        does not fit its schema, and is in the quarantine.
    ``skipped``
        is not to be handed on: ``known`` are covered by the bookmark, ``repeated`` have the key of one that came
        before, and ``missing`` are listed or configured, but the vendor does not have them.

    ``expected`` is how many units the stream has where that is known; where only some of its lists have been read yet,
    an estimate from these. ``units`` is how many are done.

    The pipeline counts what it reads and leaves out, whoever writes messages counts ``emitted`` and ``filtered``: so
    the equation holds only if nothing was lost between the two.
    """

    fetched: int = 0
    emitted: int = 0
    filtered: int = 0
    quarantined: int = 0
    known: int = 0
    repeated: int = 0
    missing: int = 0
    units: int = field(default=0, compare=False)
    expected: int | None = field(default=None, compare=False)

    @property
    def skipped(self) -> int:
        """How many were not to be handed on."""
        return self.known + self.repeated + self.missing

    def outcomes(self) -> dict[str, int]:
        """Return what became of how many, without those that are still on their way."""
        return {
            "emitted": self.emitted,
            "filtered": self.filtered,
            "quarantined": self.quarantined,
            "skipped": self.skipped,
        }

    def __str__(self) -> str:
        """Return the equation."""
        return (
            f"fetched {self.fetched} = emitted {self.emitted} + filtered {self.filtered} + quarantined "
            f"{self.quarantined} + skipped {self.skipped} (known {self.known}, repeated {self.repeated}, "
            f"missing {self.missing})"
        )

    def check(self, who: str) -> None:
        """Hold the equation, of a stream that has been read to its end.

        Raises:
            InternalError: it does not hold.
        """
        if self.fetched != self.emitted + self.filtered + self.quarantined + self.skipped:
            raise InternalError(
                f"{who}: internal error: the records do not add up, {self}. "
                "Do not rely on this run; report it to vendortap with these figures"
            )


@dataclass(slots=True)
class Source:
    """All that the pipeline needs of its surroundings to read streams of one connector.

    ``structs`` lets records be rows (vendortap.wire.rows), for those who only pass them on. ``redact`` blanks out
    secrets in what a vendor says under HTTP 200. ``max_depth`` is how many levels a reply may be nested. ``now`` is
    this machine's clock, which nothing rests on but where the last window ends: how far a bookmark may move is told by
    the vendor's clock. ``extensions`` are what plugins bring, ``telemetry`` tells OpenTelemetry.
    """

    connector: Connector
    config: Config
    send: Send
    shapes: Mapping[str, Shape]
    structs: bool = False
    redact: Redactor = field(default_factory=Redactor)
    max_depth: int = DEEPEST
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc)
    quarantine: Quarantine | None = None
    drift: Mapping[str, Drift] = field(default_factory=dict)
    extensions: Extensions = field(default_factory=Extensions)
    telemetry: Telemetry | None = None

    @property
    def stops(self) -> bool:
        """Whether the first record that does not fit is an error."""
        return self.quarantine is None or self.config.get("on_bad_record") != "quarantine"

    def reader(self, stream: Stream) -> Reader:
        """Return a reader of the stream's replies, with the connector's way of writing dates."""
        zone, pattern = self.connector.zone(self.config), self.connector.date_format(self.config)
        structs = self.structs and stream.finish is None and stream.document is None
        structs = structs and not self.extensions.alter(stream.name)
        return Reader(
            self.shapes[stream.name].row,
            rows_of(stream, self.config),
            stream.keys,
            dates(zone, pattern),
            structs=structs,
            max_depth=self.max_depth,
            drift=self.drift.get(stream.name),
            keep_unknown=bool(self.config.get("keep_unknown")),
        )


def rows_of(stream: Stream, config: Config) -> Rows:
    """Return where a stream's records are inside a reply, by these settings."""
    rows: Rows = stream.rows if isinstance(stream.rows, Rows) else stream.rows(config)
    return rows


def watch(
    connector: Connector,
    config: Config,
    shapes: Mapping[str, Shape],
    redact: Callable[[str], str],
    remembered: Mapping[str, Fields],
) -> dict[str, Drift]:
    """Return what is going to notice the drift of each stream; nothing where the operator does not care.

    ``remembered`` is what the state has of each stream's fields.
    """
    if config.get("on_drift") in (None, "ignore"):
        return {}
    watched: dict[str, Drift] = {}
    for stream in connector.streams:
        rows = rows_of(stream, config)
        watched[stream.name] = Drift(
            connector.name,
            stream.name,
            shapes[stream.name].row,
            prefix=prefix(rows) + ("[]" if rows.many else ""),
            exempt=(stream.document, *companion_names(stream.document)) if stream.document else (),
            fail=config["on_drift"] == "fail",
            redact=redact,
            remembered=remembered.get(stream.name),
        )
    return watched


def read(source: Source, stream: Stream, bookmarks: plan.Bookmarks, tally: Tally) -> Reading:
    """Read a stream: yields records, and after the records it covers each advance of a bookmark.

    Closing the iterator stops what is under way.

    Raises:
        VendortapError: in the place of the unit it struck; everything before has been handed on.
    """
    items = _read_and_act(source, stream, bookmarks, tally)
    return source.telemetry.stream(stream.name, tally.outcomes, items) if source.telemetry else items


def _read_and_act(source: Source, stream: Stream, bookmarks: plan.Bookmarks, tally: Tally) -> Reading:
    actions = source.extensions.actions.get(stream.name)
    items = _read(source, stream, bookmarks, tally)
    try:
        yield from items if actions is None else _acted_on(items, actions, f"{source.connector.name}, {stream.name}")
    except _database_error() as error:
        raise VendortapError(
            f"{source.connector.name}, {stream.name}: what has been listed cannot be kept in the folder for temporary "
            f"files ({error}); make room there, or name another one with SQLITE_TMPDIR"
        ) from None
    if drift := source.drift.get(stream.name):
        try:
            drift.end()
        except DriftError as error:
            raise DriftError(f"{source.connector.name}, {stream.name}: {error}") from None


def _acted_on(items: Reading, actions: Actions, who: str) -> Reading:
    """Have plugins act on the pages that are handed on."""
    try:
        with closing(items):
            for item in items:
                if isinstance(item, Records):
                    _act(actions.act, item.records, who=who)
                yield item
    finally:
        _act(actions.end, who=who)


def _act(action: Callable[..., None], *arguments: Any, who: str) -> None:
    try:
        action(*arguments)
    except PluginError as error:
        raise PluginError(f"{who}: {error}") from None


def _read(source: Source, stream: Stream, bookmarks: plan.Bookmarks, tally: Tally) -> Reading:
    base = list(plan.units(stream.plan, source.config, bookmarks, source.now()))
    if stream.keyed is None:
        tally.expected = len(base) if len(base) > 1 else None  # of one list nobody knows how long it is
        yield from _read_units(source, stream, base, tally)
        return
    if (keys := plan.configured(stream.keyed.sources, source.config)) is not None:
        param = stream.keyed.param
        tally.expected = len(keys) * len(base)
        units = (Unit({**unit.params, param: key}, unit.partition) for key in keys for unit in base)
        yield from _read_units(source, stream, units, tally, tries=len(base))
        return
    if stream.keyed.parent is None:
        _log.info("%s, %s: no keys are configured, so there is nothing to fetch.", source.connector.name, stream.name)
        return
    listed = 0
    for number, unit in enumerate(base, 1):
        with closing(_Spool(source, stream.keyed, source.connector.stream(stream.keyed.parent), unit, tally)) as spool:
            listed += spool.count
            tally.expected = listed * len(base) // number
            yield from _read_units(source, stream, spool.units(), tally, settled=spool.settled)


def probe(source: Source, stream: Stream) -> Sequence[Record]:
    """Return the first reply's records of a list stream: one request, to see whether there is an answer.

    Raises:
        ConfigError: by the settings there is nothing to ask for.
        VendortapError: there is no answer.
    """
    unit = next(plan.units(stream.plan, source.config, lambda _: None, source.now()), None)
    if unit is None:
        raise ConfigError(
            f"{source.connector.name}, {stream.name}: by these settings there is nothing to ask for; "
            "check for a start in the future, an end before it, and empty lists"
        )
    with closing(_fetcher(source, stream)(unit)) as pages:
        try:
            first = next(pages, None)  # None: a 404 that the vendor means as an empty list
        except VendortapError as error:
            raise _named(error, source, stream, unit) from None
    if first and first.misfits and source.stops:
        raise _named(refusal(first.misfits[min(first.misfits)].sentence), source, stream, unit)
    return first.records if first else ()


def again(source: Source, kept: Kept) -> Record:
    """Decode a record in quarantine again, and complete it; plugins act on it as on any other.

    Raises:
        RecordError: it does not fit (still).
        PluginError: a plugin fails at it.
        KeyError: the connector has no such stream any more.
    """
    stream = source.connector.stream(kept.stream)
    reader = source.reader(stream)
    record = reader.again(kept.raw, kept.media_type)
    _Completer(source, stream, reader).complete(record, Unit(kept.params, bookmark=kept.bookmark))
    if actions := source.extensions.actions.get(stream.name):
        _act(actions.act, [record], who=f"{source.connector.name}, {stream.name}")
    return record


# --- one stream --------------------------------------------------------------------------------------


def _read_units(
    source: Source,
    stream: Stream,
    units: Iterable[Unit],
    tally: Tally,
    tries: int = 1,
    settled: datetime | None = None,
) -> Iterator[Records | Advance]:
    """Read units in order. A key is missing when ``tries`` units in a row, one a partition, do not have it.

    ``settled`` is that of the list that the units come from, for documents.
    """
    fetch = _fetcher(source, stream)
    skip = source.config["on_missing"] == "skip" and stream.keyed is not None
    missed = _Missed(stream, tries)
    marks: dict[tuple[str, ...], Bookmark | None] = {}
    with ExitStack() as stack:
        distinct = stack.enter_context(closing(_Distinct())) if stream.distinct else None
        sieve = _Sieve(source, stream, tally, distinct)
        fetched = stack.enter_context(closing(ordered(units, fetch, source.config["concurrency"])))
        for unit, pages in fetched:
            mark = marks.setdefault(tuple(unit.partition.values()), unit.since)
            top = _Top(unit.since, settled, unit.known)
            try:
                for page in pages:
                    yield from sieve.new(unit, page, top)
            except MissingError as error:
                if missed.everywhere(unit):
                    if not skip:
                        raise _named(error, source, stream, unit) from None
                    tally.fetched += 1
                    tally.missing += 1
                    _log.warning("%s Skipped.", _named(error, source, stream, unit))
            except VendortapError as error:
                raise _named(error, source, stream, unit) from None
            tally.units += 1
            advanced = _advanced(mark, unit, stream, top, settled)
            if advanced is not None and advanced != mark:
                marks[tuple(unit.partition.values())] = advanced
                yield Advance(unit.partition, advanced)


class _Missed:
    """Counts how many units in a row do not have the key they ask for."""

    def __init__(self, stream: Stream, tries: int) -> None:
        self._param = stream.keyed.param if stream.keyed else ""
        self._tries = tries
        self._key: str | None = None
        self._times = 0

    def everywhere(self, unit: Unit) -> bool:
        """Note a unit that misses its key; returns whether it has now been missed in every partition."""
        key = unit.params.get(self._param)
        self._times = self._times + 1 if key == self._key else 1
        self._key = key
        return self._times == self._tries


def _named(error: VendortapError, source: Source, stream: Stream, unit: Unit) -> VendortapError:
    """Say who and where, in front of what the lower floors said."""
    key = (stream.keyed.param,) if stream.keyed else ()
    told = {*unit.partition, *key, *(stream.plan.windows.params if stream.plan.windows else ())}
    where = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in unit.params.items() if k in told)
    return type(error)(f"{source.connector.name}, {stream.name}{f' ({where})' if where else ''}: {error}")


class _Sieve:
    """Leaves out of pages what is not to be handed on, and counts what becomes of each record."""

    def __init__(self, source: Source, stream: Stream, tally: Tally, distinct: _Distinct | None) -> None:
        self._stream = stream
        self._tally = tally
        self._distinct = distinct
        self._quarantine = source.quarantine
        self._stops = source.stops
        self._drift = source.drift.get(stream.name)
        self._waiting = source.quarantine.keys(stream.name) if source.quarantine else {}

    def new(self, unit: Unit, page: Records, top: _Top) -> Iterator[Records]:
        """Hand on the records of a page that the bookmark does not cover yet.

        Raises:
            RecordError: one does not fit, and there is no quarantine; those before it have been handed on.
            QuarantineError: too many do not fit.
        """
        if self._stream.replication_key and self._stream.keyed is None:
            top.settled = page.settled
        start = 0
        for index, kept in sorted(page.misfits.items()):
            yield from self._fitting(unit, replace(page, records=page.records[start:index]), top)
            self._misfit(unit, page.records[index], kept, top)
            start = index + 1
        yield from self._fitting(unit, replace(page, records=page.records[start:]) if start else page, top)

    def _fitting(self, unit: Unit, page: Records, top: _Top) -> Iterator[Records]:
        stream, fresh = self._stream, page.records
        self._tally.fetched += len(fresh)
        if self._drift:
            self._drift.look(fresh)
        if stream.replication_key and stream.keyed is None and unit.bookmark is None:
            fresh = [record for record in fresh if top.take(record[stream.replication_key], _key(record, stream))]
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
            yield replace(page, records=fresh)

    def _supersede(self, records: Iterable[Record]) -> None:
        """Close entries in quarantine whose records are handed on: these are newer than what is there."""
        assert self._quarantine is not None  # noqa: S101 - something is waiting in it
        for record in records:
            if entries := self._waiting.get(_key(record, self._stream)):
                self._quarantine.close(list(entries), "superseded")

    def _misfit(self, unit: Unit, record: Record, kept: Kept, top: _Top) -> None:
        """Skip a record that need not be handed on, as far as that can be told; else quarantine it, or stop."""
        stream, tally = self._stream, self._tally
        key = _key(record, stream) if len(kept.key) == len(stream.keys) else None
        repeated = bool(self._distinct and key and self._distinct.has(key))
        listed = stream.replication_key and stream.keyed is None and unit.bookmark is None
        known = bool(not repeated and key and listed and not top.take(record[stream.replication_key or ""], key))
        if not (repeated or known) and self._stops:
            raise refusal(kept.sentence)
        tally.fetched += 1
        tally.repeated += repeated
        tally.known += known
        if self._quarantine and not (repeated or known):
            tally.quarantined += 1
            _keep(self._quarantine, kept, tally)


def _keep(quarantine: Quarantine, kept: Kept, tally: Tally) -> None:
    quarantine.put(kept)
    _log.warning("%s, %s: %s. It is in %s.", kept.connector, kept.stream, kept.sentence, quarantine.path)
    quarantine.hold_limit(tally.quarantined, tally.fetched - tally.skipped)


def _key(record: Record, stream: Stream) -> tuple[str, ...]:
    return tuple(str(record[name]) for name in stream.keys)


def _advanced(
    mark: Bookmark | None, unit: Unit, stream: Stream, top: _Top, settled: datetime | None
) -> Bookmark | None:
    """Return the bookmark after a complete unit."""
    if stream.replication_key is None:
        return None
    if stream.keyed is None and unit.bookmark is None:
        return top.bookmark()
    if stream.keyed is None and unit.bookmark is not None:  # a window; its end may be now, by another clock
        end = min(unit.bookmark, top.settled or unit.bookmark)
        return mark if mark and mark.value >= end else Bookmark(end)
    assert stream.keyed is not None  # noqa: S101 - the two cases without are above
    top = _Top(mark, settled)
    top.take(unit.bookmark, (unit.params[stream.keyed.param],))
    return top.bookmark()


def _utc(value: datetime) -> datetime:
    """Return a moment in UTC; one that lies beyond the calendar there ("for ever") is its last."""
    try:
        return value.astimezone(timezone.utc)
    except OverflowError:
        return datetime.max.replace(tzinfo=timezone.utc)


class _Top:
    """The greatest replication key met so far and the keys that have it; starts from a bookmark.

    It leads no further than ``settled``. A record that changes while its list is read is listed as it was, or
    not at all, if it moves to a page that has been read; another one that changes after it may be listed as it
    is. A bookmark at the latter would hide the former for ever.
    """

    def __init__(self, since: Bookmark | None, settled: datetime | None = None, known: Bookmark | None = None) -> None:
        self.since = since
        self.settled = settled
        self._covers = known or since
        self.value = since.value if since else None
        self.seen: list[tuple[str, ...]] = list(since.seen) if since else []
        self._known = frozenset(self._covers.seen) if self._covers else frozenset()
        self._bare = False

    def take(self, value: datetime | None, key: tuple[str, ...]) -> bool:
        """Note a record; returns whether the bookmark we started from does not cover it."""
        if value is None:
            return True
        at = _utc(value)
        if self._covers and self._covered(max(at, _utc(value.replace(fold=1))), key):
            return False
        bare = value.timetz().replace(tzinfo=None) == time()
        if self.value is None or at > self.value:
            self.value, self.seen, self._bare = at, [key], bare
        elif at == self.value:
            self._bare = self._bare or bare
            if len(self.seen) <= SEEN_AT_MOST:
                self.seen.append(key)
        return True

    def _covered(self, latest: datetime, key: tuple[str, ...]) -> bool:
        """Whether the bookmark covers a record; in the hour that a clock put back repeats, by its later reading."""
        assert self._covers is not None  # noqa: S101 - there is a bookmark
        return latest < self._covers.value or (latest == self._covers.value and key in self._known)

    def bookmark(self) -> Bookmark | None:
        """Return how far this leads. A bare date (midnight) remembers no keys: changes of that day may follow."""
        if self.value is None:
            return None
        if self.settled and self.value > self.settled:
            return self.since if self.since and self.since.value >= self.settled else Bookmark(self.settled)
        seen = () if self._bare or len(self.seen) > SEEN_AT_MOST else tuple(dict.fromkeys(self.seen))
        return Bookmark(self.value, seen)


def _fetcher(source: Source, stream: Stream) -> Callable[[Unit], Generator[Records, None, None]]:
    """Return what fetches all pages of a unit: runs in the threads."""
    reader = source.reader(stream)
    pager = stream.pages or single
    accept = {"Accept": source.connector.accept(source.config)}
    complete = _Completer(source, stream, reader)

    def fetch(unit: Unit) -> Generator[Records, None, None]:
        request = stream.request(source.config, unit.params).with_headers(accept)
        settled: datetime | None = None
        with closing(pager(request, source.config)) as pages:
            asked = next(pages, None)
            while asked is not None:
                try:
                    reply = source.send(write(asked))
                except MissingError:
                    if not stream.missing_is_empty:
                        raise
                    asked = _following(pages, Page([]))  # the pager knows whether the list may end here
                    continue
                settled = settled or reply.answered - SETTLED
                if brought := source.extensions.formats.get(reply.media_type):
                    reply = brought.as_json(reply)
                page = replace(reader.read(reply), headers=reply.headers)
                _check(stream, page, source.redact)
                _hold_known(page, reader.rows)
                if page.absent and not reader.rows.optional:
                    raise BodyError(
                        f"the answer has no {'.'.join(reader.rows.path) or 'document'}; report it to the vendor"
                    )
                sent, asked = asked, _following(pages, page)  # before the records are given away, and changed
                if asked == sent:
                    continue  # the pager did not believe this page
                misfits, received = complete.page(page, unit, sent, reply), reply.received
                del reply  # or its body is kept until the records have been read
                yield Records(page.rows, received, settled, misfits, more=asked is not None)

    return source.telemetry.unit(stream.name, fetch) if source.telemetry else fetch


def _check(stream: Stream, page: Page, redact: Callable[[str], str]) -> None:
    """Let the stream's check look at a page; a check does not know which secrets its message may not show."""
    if stream.check is None:
        return
    try:
        stream.check(page)
    except VendortapError as error:
        raise type(error)(redact(str(error))) from None


def _hold_known(page: Page, rows: Rows) -> None:
    """Refuse a reply that does not fit, is a record or list as a whole, and has nothing that is declared.

    Raises:
        RecordError: it is such a one: an error of the vendor's. Whoever quarantined it would pass over a failure.
    """
    if not page.misfits or (rows.many and rows.path):
        return
    if all(value in (None, []) for record in page.rows for value in record.values()):
        raise refusal(page.misfits[min(page.misfits)].sentence)


def _following(pages: Generator[Any, Any, None], page: Any) -> Any:
    try:
        return pages.send(page)
    except StopIteration:
        return None


class _Completer:
    """Adds to records what the request knows and the reply does not say; in any number of threads."""

    def __init__(self, source: Source, stream: Stream, reader: Reader) -> None:
        folder = source.config.get("documents_dir") if stream.document else None
        self._source = source
        self._stream = stream
        self._reader = reader
        self._documents = Documents(folder) if folder else None
        self._stamped = stream.replication_key if stream.keyed or stream.plan.windows else None
        self._companions = companion_names(stream.document) if stream.document else ()

    def page(self, page: Page, unit: Unit, request: Request, reply: Reply) -> dict[int, Kept]:
        """Complete the records of a page; returns those that do not fit, or prove not to."""
        found = dict(page.misfits)
        for index, record in enumerate(page.rows):
            try:
                if index in found:
                    self._identify(record, unit)
                else:
                    self.complete(record, unit)
            except RecordError as error:
                place = f"{prefix(self._reader.rows)}{f'[{index}]' if self._reader.rows.many else ''}"
                raw = self._reader.split(reply)[index]
                found[index] = Misfit(f"{place}.{self._stream.document}", "Base64", raw, str(error))
        return {index: self._kept(page.rows[index], misfit, unit, request, reply) for index, misfit in found.items()}

    def complete(self, record: Record, unit: Unit) -> None:
        """Complete a record in place.

        Raises:
            RecordError: the document inside it is none, with the record's key.
        """
        self._identify(record, unit)
        for name in self._companions:
            record[name] = None
        if self._documents and self._stream.document:
            try:
                self._documents.keep(record, self._stream.document)
            except RecordError as error:
                key = ", ".join(f"{name} {record[name]}" for name in self._stream.keys)
                raise RecordError(f"{key}: {error}") from None
        if self._stream.finish:
            self._stream.finish(record)

    def _identify(self, record: Record, unit: Unit) -> None:
        """Put in what the unit knows, keys among it."""
        for name, param in self._stream.add.items():
            record[name] = unit.params[param]
        if self._stamped:
            record[self._stamped] = unit.bookmark

    def _kept(self, record: Record, misfit: Misfit, unit: Unit, request: Request, reply: Reply) -> Kept:
        from vendortap.quarantine import Kept, schema_hash  # here, as most runs need neither

        source, redact = self._source, self._source.redact
        return Kept(
            connector=source.connector.name,
            stream=self._stream.name,
            key={name: str(record[name]) for name in self._stream.keys if record[name] is not None},
            path=misfit.path,
            error=f"{misfit.expected} expected",
            media_type=reply.media_type,
            raw=redact.blank_bytes(misfit.raw),  # a vendor may send back what it was sent
            request={
                "method": request.method,
                "path": redact(request.path),
                "params": {name: redact(value) for name, value in request.params.items()},
            },
            params=unit.params,
            bookmark=unit.bookmark,
            schema=schema_hash(source.shapes[self._stream.name].schema),
            time=reply.received,
            sentence=misfit.sentence,
        )


def _database_error() -> type[Exception]:
    from sqlite3 import Error

    return Error


def _database() -> Connection:
    """Return a new SQLite database in a file without a name, that holds at most 2 MB of it in memory."""
    import sqlite3  # here, as most streams need none

    database = sqlite3.connect("")
    database.execute("PRAGMA cache_size = -2000")
    return database


class _Distinct:
    """The keys handed on so far, on disk, so that memory stays flat."""

    def __init__(self) -> None:
        self._db = _database()
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


class _Spool:
    """A parent's list, kept on disk, handed out as units in the order of its replication key.

    The list is read to its end before the first document is asked for: rows move between the pages of a list
    that is read slowly, and the vendor's order is not the bookmark's. In the order of the replication key, a
    run that is cut short can go on where it stopped. An SQLite file without a name keeps memory flat.
    """

    def __init__(self, source: Source, keyed: Keyed, parent: Stream, base: Unit, tally: Tally) -> None:
        self.keyed = keyed
        self.base = base
        self.parent = parent
        self.settled: datetime | None = None
        self.count = 0
        self._db = _database()
        self._db.execute("CREATE TABLE unit (key TEXT PRIMARY KEY, at TEXT, micros INTEGER) WITHOUT ROWID")
        try:
            self._fill(source, tally)
        except BaseException:
            self.close()
            raise

    def _fill(self, source: Source, tally: Tally) -> None:
        """Read the list to its end: in a thread as well, so that a signal is heard whatever the network does."""
        top = _Top(self.base.since, None, self.base.known)
        listed = 0
        with closing(ordered([self.base], _fetcher(source, self.parent), 1)) as fetched:
            try:
                for page in (page for _, pages in fetched for page in pages):
                    self.settled = page.settled
                    rows = [
                        row for record in self._usable(source, page, tally) if (row := self._row(record, top, tally))
                    ]
                    self._db.executemany("INSERT OR REPLACE INTO unit VALUES (?, ?, ?)", rows)
                    listed += len(rows)
            except VendortapError as error:
                raise _named(error, source, self.parent, self.base) from None
        (self.count,) = self._db.execute("SELECT count(*) FROM unit").fetchone()
        tally.fetched += listed - self.count
        tally.repeated += listed - self.count

    def _usable(self, source: Source, page: Records, tally: Tally) -> Iterator[Record]:
        """Yield the rows that a document can be asked for by; what else is in them is not this stream's concern.

        Raises:
            RecordError: a row does not fit, and there is no quarantine.
            QuarantineError: too many do not fit.
        """
        for index, record in enumerate(page.records):
            if (kept := page.misfits.get(index)) is None:
                yield record
            elif source.stops or source.quarantine is None:
                raise refusal(kept.sentence)
            elif record[self.keyed.field] is not None:
                yield record
            else:
                tally.fetched += 1
                tally.quarantined += 1
                _keep(source.quarantine, kept, tally)

    def _row(self, record: Record, top: _Top, tally: Tally) -> tuple[str, str | None, int | None] | None:
        key = str(record[self.keyed.field])
        stamp = self.keyed.changed or self.parent.replication_key
        changed = record[stamp] if stamp else None
        if not top.take(changed, (key,)):
            tally.fetched += 1
            tally.known += 1
            return None
        if changed is None:
            return key, None, None
        return key, changed.isoformat(), (changed - _EPOCH) // datetime.resolution

    def units(self) -> Iterator[Unit]:
        """Yield a unit a document, the least recently changed first, those without a stamp last."""
        order = "SELECT key, at FROM unit ORDER BY micros IS NULL, micros, key"
        for key, at in self._db.execute(order):
            changed = datetime.fromisoformat(at) if at else None
            yield Unit(
                {**self.base.params, self.keyed.param: key}, self.base.partition, self.base.since, bookmark=changed
            )

    def close(self) -> None:
        self._db.close()


_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


# --- concurrency -------------------------------------------------------------------------------------


class _End:
    """Put behind the last page of a unit; holds what went wrong, if something did."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class _Task:
    """A unit on its way: its pages arrive in the queue; it begins when its event is set.

    ``room`` is for how many more pages there is, once the first has arrived.
    """

    def __init__(self, unit: Unit, begin: threading.Event) -> None:
        self.unit = unit
        self.begin = begin
        self.queue: SimpleQueue[Records | _End] = SimpleQueue()
        self.room = threading.Semaphore(PAGES_AHEAD - 1)

    def pages(self) -> Iterator[Records]:
        while not isinstance(page := self.queue.get(), _End):
            self.room.release()
            yield page
        if page.error is not None:
            raise page.error


def ordered(
    units: Iterable[Unit], fetch: Callable[[Unit], Generator[Records, None, None]], concurrency: int
) -> Generator[tuple[Unit, Iterator[Records]], None, None]:
    """Fetch units in threads, and yield each with its pages, in the order given.

    At most ``concurrency`` units are under way at once, and at most twice as many begun or done and not yet
    read to their end, each at most PAGES_AHEAD pages ahead. The others begin when the first
    has got an answer: a wrong key is not tried many times. A unit's error is raised where its pages are read.
    When the iterator is closed, each thread ends with the request it is at. Threads are daemons: an interrupted
    program does not wait for the network.
    """
    tasks: SimpleQueue[_Task | None] = SimpleQueue()
    answered, ended, now = threading.Event(), threading.Event(), threading.Event()
    now.set()
    source = iter(units)
    begun: deque[_Task] = deque()
    threads = 0
    try:
        while True:
            while len(begun) < 2 * concurrency and (unit := next(source, None)) is not None:
                task = _Task(unit, answered if threads else now)
                begun.append(task)
                tasks.put(task)
                if threads < concurrency:
                    threads += 1
                    args = (tasks, fetch, answered, ended)
                    threading.Thread(target=_work, args=args, name=f"vendortap-{threads}", daemon=True).start()
            if not begun:
                return
            task = begun.popleft()
            pages = task.pages()
            yield task.unit, pages
            for _ in pages:  # whatever the reader left
                pass
            answered.set()  # or refused, which the reader has put up with
    finally:
        ended.set()
        answered.set()
        for _ in range(threads):
            tasks.put(None)


def _work(
    tasks: SimpleQueue[_Task | None],
    fetch: Callable[[Unit], Generator[Records, None, None]],
    answered: threading.Event,
    ended: threading.Event,
) -> None:
    while (task := tasks.get()) is not None:
        task.begin.wait()
        if ended.is_set():
            return
        end = _End()
        try:
            with closing(fetch(task.unit)) as pages:
                for page in pages:
                    answered.set()
                    task.queue.put(page)
                    if page.more and not _has_room(task, ended):
                        return
        except BaseException as error:  # noqa: BLE001 - it is raised where the unit is read
            end = _End(error)
        task.queue.put(end)


def _has_room(task: _Task, ended: threading.Event) -> bool:
    """Wait for room for another page; returns whether somebody is still going to read."""
    while not ended.is_set():
        if task.room.acquire(timeout=0.2):
            return True
    return False
