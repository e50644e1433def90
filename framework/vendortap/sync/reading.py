"""A stream, read: its plan, its units in order, and after the records each advance of a bookmark."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

from vendortap.declare import plan
from vendortap.declare.model import Bookmark, Keyed, Record, Stream, Unit
from vendortap.decode.reader import refusal
from vendortap.errors import ConfigError, DriftError, MissingError, PluginError, RecordError, VendortapError
from vendortap.plugins.extensions import Actions
from vendortap.sync.bookmarks import Top, advanced
from vendortap.sync.context import Advance, Reading, Records, Source, named
from vendortap.sync.counters import Tally
from vendortap.sync.failures import Failures
from vendortap.sync.fetching import Completer, fetcher
from vendortap.sync.filter import Sieve
from vendortap.sync.listing import Spool
from vendortap.sync.open_items import Item, OpenItems, Why
from vendortap.sync.ordering import Lane, Pool, in_order
from vendortap.sync.scratch import Distinct, database_error

if TYPE_CHECKING:
    from vendortap.sync.quarantine import Kept, Quarantine

log = logging.getLogger("vendortap.sync")


def read(
    source: Source, stream: Stream, bookmarks: plan.Bookmarks, tally: Tally, items: OpenItems | None = None
) -> Reading:
    """Read a stream: yields records, and after the records it covers each advance of a bookmark.

    ``items`` are what earlier runs did not obtain: what of it is due is asked for again, and what this run does not
    obtain is added before a bookmark moves past it. Closing the iterator stops what is under way.

    Raises:
        VendortapError: in the place of the unit it struck; everything before has been handed on.
    """
    items = OpenItems({}) if items is None else items
    if items and source.quarantine:
        _forget_replayed(source.quarantine, stream, items)
    given = _read_and_act(source, stream, bookmarks, tally, items)
    return source.telemetry.stream(stream.name, tally.outcomes, given) if source.telemetry else given


def _forget_replayed(kept: Quarantine, stream: Stream, items: OpenItems) -> None:
    """Have no open items of records that a target has taken by way of the quarantine."""
    for entry in kept.replayed(stream.name):
        partition = {stream.plan.each[1]: entry.params[stream.plan.each[1]]} if stream.plan.each else {}
        if stream.keyed:
            items.arrived((entry.params[stream.keyed.param],), partition)
        elif len(entry.key) == len(stream.keys):
            items.arrived(tuple(entry.key.values()), partition)


def _read_and_act(source: Source, stream: Stream, bookmarks: plan.Bookmarks, tally: Tally, items: OpenItems) -> Reading:
    actions, who = source.extensions.actions.get(stream.name), f"{source.connector.name}, {stream.name}"
    failures = Failures(who)
    given = _read(source, stream, bookmarks, tally, failures, items)
    try:
        yield from given if actions is None else _acted_on(given, actions, who)
    except database_error() as error:
        raise VendortapError(
            f"{who}: what has been listed cannot be kept in the folder for temporary "
            f"files ({error}); make room there, or name another one with SQLITE_TMPDIR"
        ) from None
    if drift := source.drift.get(stream.name):
        try:
            drift.end()
        except DriftError as error:
            raise DriftError(f"{who}: {error}") from None
    failures.end()


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


def _read(
    source: Source,
    stream: Stream,
    bookmarks: plan.Bookmarks,
    tally: Tally,
    failures: Failures,
    items: OpenItems,
) -> Reading:
    base = _units(source, stream, bookmarks, items)
    with closing(Pool(source.config["concurrency"])) as pool:
        if stream.keyed is None:
            tally.expected = len(base) if len(base) > 1 else None  # of one list nobody knows how long it is
            yield from _read_units(source, stream, base, tally, Lane(pool, fetcher(source, stream)), failures, items)
        elif (keys := plan.configured(stream.keyed.sources, source.config)) is not None:
            param = stream.keyed.param
            due = [item["key"][0] for item in items.documents([unit.partition for unit in base], len(keys))]
            keys = [key for key in dict.fromkeys([*due, *keys]) if not items.is_closed((key,), {})]
            tally.expected = len(keys) * len(base)
            units = (Unit({**unit.params, param: key}, unit.partition) for key in keys for unit in base)
            lane = Lane(pool, fetcher(source, stream))
            yield from _read_units(source, stream, units, tally, lane, failures, items, tries=len(base))
        elif stream.keyed.parent is not None:
            yield from _read_listed(source, stream, stream.keyed, base, tally, pool, failures, items)
        else:
            who = f"{source.connector.name}, {stream.name}"
            log.info("%s: no keys are configured, so there is nothing to fetch.", who)


def _units(source: Source, stream: Stream, bookmarks: plan.Bookmarks, items: OpenItems) -> list[Unit]:
    """Return the units of a stream's plan, made to reach what is open in its lists.

    Windows with such records are read once more, and come first. Another list is asked for from as far back as the
    open records were in it; what the bookmark covers is left out all the same, but where one of them has no key.
    """
    now = source.now()
    planned = list(plan.units(stream.plan, source.config, bookmarks, now))
    if not items:
        return planned
    partitions = {tuple(unit.partition.items()): unit.partition for unit in planned}
    open_ones = {name: items.slices(partition) for name, partition in partitions.items()}

    def reaching_back(partition: Mapping[str, str]) -> Bookmark | None:
        open_here = open_ones[tuple(partition.items())]
        begins: list[Any] = [item.get("begin", item.get("changed")) for item in open_here if "slice" not in item]
        mark = bookmarks(partition)
        if mark is None or None in begins:
            return None
        return Bookmark(min(mark.value, *map(datetime.fromisoformat, begins))) if begins else mark

    if stream.plan.windows:
        slices = [item for name in partitions for item in open_ones[name] if "slice" in item]
        return [*_windows_again(slices), *planned]
    units = plan.units(stream.plan, source.config, reaching_back, now)
    return [
        replace(
            unit,
            since=as_planned.since,
            known=(unit.known or _NOTHING)
            if _has_no_key(open_ones[tuple(unit.partition.items())])
            else as_planned.known,
        )
        for unit, as_planned in zip(units, planned, strict=True)
    ]


_NOTHING = Bookmark(datetime.min.replace(tzinfo=UTC))
"""A bookmark that covers nothing."""


def _has_no_key(items: Iterable[Item]) -> bool:
    return any(item["key"] is None for item in items)


def _windows_again(items: Iterable[Item]) -> Iterator[Unit]:
    """Yield the windows that open records are in, each once."""
    for item in {tuple(item["slice"].items()): item for item in items}.values():
        end = datetime.fromisoformat(item["changed"])
        yield Unit(item["slice"], item["partition"], bookmark=end, again=True)


def _read_listed(
    source: Source,
    stream: Stream,
    keyed: Keyed,
    base: Sequence[Unit],
    tally: Tally,
    pool: Pool,
    failures: Failures,
    items: OpenItems,
) -> Iterator[Records | Advance]:
    """Read the documents of what another stream lists, and before them those that are open and not listed."""
    parent = source.connector.stream(keyed.parent or "")
    fetch_list, fetch = fetcher(source, parent), fetcher(source, stream)
    listed = 0
    for number, unit in enumerate(base, 1):
        documents = Lane(pool, fetch)
        with closing(Spool(source, keyed, parent, unit, tally, items)) as spool:
            try:
                spool.fill(Lane(pool, fetch_list), documents if _asks_early(source, stream) else None)
            except VendortapError as error:
                if len(base) == 1:
                    raise
                failures.note(error)
                continue
            again = [
                Unit({**unit.params, keyed.param: key}, unit.partition, bookmark=changed, again=True)
                for key, changed in _due(items, unit, spool.count)
                if not spool.has(key)
            ]
            listed += spool.count + len(again)
            tally.expected = listed * len(base) // number
            units, settled = chain(again, spool.units()), spool.settled
            yield from _read_units(source, stream, units, tally, documents, failures, items, settled=settled)


def _due(items: OpenItems, unit: Unit, asked: int) -> Iterator[tuple[str, datetime | None]]:
    """Yield the documents of a partition that are to be asked for again, and when they changed as far as is known."""
    for item in items.documents([unit.partition], asked):
        yield item["key"][0], datetime.fromisoformat(item["changed"]) if "changed" in item else None


def _asks_early(source: Source, stream: Stream) -> bool:
    """Whether documents are asked for while their list is still read: where nothing but latency sets the pace.

    Where there is a limit it would gain nothing, and slow the list down. What is held is one reply each, which goes
    nowhere until its turn comes.
    """
    config, limit = source.config, source.connector.limit
    is_limited = config["requests_per_second"] is not None if "requests_per_second" in config else limit is not None
    return not is_limited and stream.pages is None and stream.document is None


def probe(source: Source, stream: Stream) -> int:
    """Return how many records the first replies of a list stream have: one request for each of its partitions.

    Raises:
        ConfigError: by the settings there is nothing to ask for.
        VendortapError: there is no answer; the others have been tried first.
    """
    units: dict[tuple[str, ...], Unit] = {}
    for unit in plan.units(stream.plan, source.config, lambda _: None, source.now()):
        units.setdefault(tuple(unit.partition.values()), unit)
    if not units:
        raise ConfigError(
            f"{source.connector.name}, {stream.name}: by these settings there is nothing to ask for; "
            "check for a start in the future, an end before it, and empty lists"
        )
    failures = Failures(f"{source.connector.name}, {stream.name}")
    count = 0
    for unit in units.values():
        try:
            count += _probe(source, stream, unit)
            failures.has_success = True
        except VendortapError as error:
            failures.note(named(error, source, stream, unit))
    failures.end()
    return count


def _probe(source: Source, stream: Stream, unit: Unit) -> int:
    with closing(fetcher(source, stream)(unit)) as pages:
        first = next(pages)
    if first.invalid and source.stops:
        raise refusal(first.invalid[min(first.invalid)].sentence)
    return len(first.records)


def redecode(source: Source, kept: Kept) -> Record:
    """Decode a record in quarantine again, and complete it; plugins act on it as on any other.

    Raises:
        RecordError: it does not fit (still).
        PluginError: a plugin fails at it.
        KeyError: the connector has no such stream any more.
    """
    stream = source.connector.stream(kept.stream)
    reader = source.reader(stream)
    record: Record = reader.redecode(kept.raw, kept.media_type)
    completer = Completer(source, stream, reader)
    completer.complete(record, completer.given(Unit(kept.params, bookmark=kept.bookmark)), kept.params)
    if actions := source.extensions.actions.get(stream.name):
        records = [record]
        _act(actions.act, records, who=f"{source.connector.name}, {stream.name}")
        return records[0]
    return record


# --- one stream --------------------------------------------------------------------------------------


def _read_units(
    source: Source,
    stream: Stream,
    units: Iterable[Unit],
    tally: Tally,
    lane: Lane,
    failures: Failures,
    items: OpenItems,
    *,
    tries: int = 1,
    settled: datetime | None = None,
) -> Iterator[Records | Advance]:
    """Read units in order. A key is missing when ``tries`` units in a row, one a partition, do not have it.

    ``settled`` is that of the list that the units come from, for documents. What fails alone is noted, and the bookmark
    of its partition stays where it is from there on: a document, or all that is left of one partition of a list.
    """
    unobtained = _Unobtained(source, stream, tally, tries, items)
    marks = _Marks(stream)
    with ExitStack() as stack:
        distinct = stack.enter_context(closing(Distinct())) if stream.distinct else None
        sieve = Sieve(source, stream, tally, distinct, items)
        for unit, pages in in_order(units, lane):
            if stream.keyed is None and marks.is_stuck(unit):
                _pass_over(pages)
                continue
            top = Top(unit.since, settled, unit.known, source.zone, items.named)
            try:
                for page in pages:
                    if page.is_other:
                        marks.stick(unit)
                    yield from sieve.new(unit, page, top)
                failures.has_success = True
                items.tried(unit)
            except VendortapError as error:
                if not unobtained.may_pass(unit, error):
                    marks.stick(unit)
                    _fail(named(error, source, stream, unit), failures, alone=_is_alone(source, stream))
            tally.units += 1
            if advance := marks.advanced(unit, top):
                yield advance


def _is_alone(source: Source, stream: Stream) -> bool:
    """Whether the failure of one unit says nothing of the others: of a document, or of one partition among several."""
    each = stream.plan.each
    return stream.keyed is not None or (each is not None and len(set(source.config[each[0]])) > 1)


def _fail(error: VendortapError, failures: Failures, *, alone: bool) -> None:
    if not alone:
        raise error from None
    failures.note(error)


def _pass_over(pages: Iterator[Records]) -> None:
    """Leave the rest of a partition that failed: it is read again from its bookmark on.

    Raises:
        VendortapError: it fails in a way that concerns all.
    """
    try:
        for _ in pages:
            pass
    except VendortapError as error:
        if not error.of_one_request:
            raise


class _Marks:
    """How far the partitions of a stream have come; those that are stuck go no further in this run."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._marks: dict[tuple[str, ...], Bookmark | None] = {}
        self._stuck: set[tuple[str, ...]] = set()

    def stick(self, unit: Unit) -> None:
        """Keep the bookmark of the unit's partition from moving past it."""
        if unit.again:  # it is behind the bookmark
            return
        self._stuck.add(tuple(unit.partition.values()))

    def is_stuck(self, unit: Unit) -> bool:
        """Whether something of the unit's partition has not been obtained."""
        return tuple(unit.partition.values()) in self._stuck

    def advanced(self, unit: Unit, top: Top) -> Advance | None:
        """Return how far a unit that has been read leads, if it does."""
        if unit.again:
            return None
        partition = tuple(unit.partition.values())
        mark = self._marks.setdefault(partition, unit.since)
        after = None if partition in self._stuck else advanced(mark, unit, self._stream, top)
        if after is None or after == mark:
            return None
        self._marks[partition] = after
        return Advance(unit.partition, after)


class _Unobtained:
    """Notes what is not obtained, and tells what of it is no failure."""

    def __init__(self, source: Source, stream: Stream, tally: Tally, tries: int, items: OpenItems) -> None:
        self._source = source
        self._stream = stream
        self._tally = tally
        self._param = stream.keyed.param if stream.keyed else ""
        self._skips: bool = source.config["on_missing"] == "skip"
        self._tries = tries
        self._items = items
        self._key: str | None = None
        self._times = 0

    def may_pass(self, unit: Unit, error: VendortapError) -> bool:
        """Note a document that is not obtained, or a window that was read again; returns whether that is no failure.

        Raises:
            OpenItemsError: there are too many.
        """
        if not error.of_one_request:
            return False
        if self._stream.keyed is None:
            return unit.again and self._stays_open(unit, error)
        if isinstance(error, MissingError):
            return self._is_skipped(unit, error)
        why: Why = "does not fit" if isinstance(error, RecordError) else "refused"
        self._items.note((unit.params[self._param],), why, unit, of_list=False)
        return False

    def _stays_open(self, unit: Unit, error: VendortapError) -> bool:
        self._items.tried(unit)
        message = str(named(error, self._source, self._stream, unit)).rstrip(".")
        log.warning("%s. What is open of it stays open.", message)
        return True

    def _is_skipped(self, unit: Unit, error: MissingError) -> bool:
        """Count units in a row that do not have the key they ask for: it is missing when no partition has it."""
        key = unit.params[self._param]
        self._times = self._times + 1 if key == self._key else 1
        self._key = key
        if self._times != self._tries:
            return True
        missing = unit if self._tries == 1 else replace(unit, partition={})
        self._items.note((key,), "missing", missing, of_list=False)
        if self._skips:
            self._tally.fetched += 1
            self._tally.missing += 1
            log.warning("%s Skipped.", named(error, self._source, self._stream, unit))
        return self._skips
