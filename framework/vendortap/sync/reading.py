"""A stream, read: its plan, its units in order, and after the records each advance of a bookmark."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from vendortap.declare import plan
from vendortap.declare.model import Bookmark, Keyed, Record, Stream, Unit
from vendortap.decode.reader import refusal
from vendortap.errors import ConfigError, DriftError, MissingError, PluginError, VendortapError
from vendortap.plugins.extensions import Actions
from vendortap.sync.bookmarks import Top, advanced
from vendortap.sync.context import Advance, Reading, Records, Source, named
from vendortap.sync.counters import Tally
from vendortap.sync.failures import Failures
from vendortap.sync.fetching import Completer, fetcher
from vendortap.sync.filter import Sieve
from vendortap.sync.listing import Spool
from vendortap.sync.ordering import Lane, Pool, in_order
from vendortap.sync.scratch import Distinct, database_error

if TYPE_CHECKING:
    from vendortap.sync.quarantine import Kept

log = logging.getLogger("vendortap.sync")


def read(source: Source, stream: Stream, bookmarks: plan.Bookmarks, tally: Tally) -> Reading:
    """Read a stream: yields records, and after the records it covers each advance of a bookmark.

    Closing the iterator stops what is under way.

    Raises:
        VendortapError: in the place of the unit it struck; everything before has been handed on.
    """
    items = _read_and_act(source, stream, bookmarks, tally)
    return source.telemetry.stream(stream.name, tally.outcomes, items) if source.telemetry else items


def _read_and_act(source: Source, stream: Stream, bookmarks: plan.Bookmarks, tally: Tally) -> Reading:
    actions, who = source.extensions.actions.get(stream.name), f"{source.connector.name}, {stream.name}"
    failures = Failures(who)
    items = _read(source, stream, bookmarks, tally, failures)
    try:
        yield from items if actions is None else _acted_on(items, actions, who)
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


def _read(source: Source, stream: Stream, bookmarks: plan.Bookmarks, tally: Tally, failures: Failures) -> Reading:
    base = list(plan.units(stream.plan, source.config, bookmarks, source.now()))
    with closing(Pool(source.config["concurrency"])) as pool:
        if stream.keyed is None:
            tally.expected = len(base) if len(base) > 1 else None  # of one list nobody knows how long it is
            yield from _read_units(source, stream, base, tally, Lane(pool, fetcher(source, stream)), failures)
        elif (keys := plan.configured(stream.keyed.sources, source.config)) is not None:
            param = stream.keyed.param
            tally.expected = len(keys) * len(base)
            units = (Unit({**unit.params, param: key}, unit.partition) for key in keys for unit in base)
            lane = Lane(pool, fetcher(source, stream))
            yield from _read_units(source, stream, units, tally, lane, failures, tries=len(base))
        elif stream.keyed.parent is not None:
            yield from _read_listed(source, stream, stream.keyed, base, tally, pool, failures)
        else:
            who = f"{source.connector.name}, {stream.name}"
            log.info("%s: no keys are configured, so there is nothing to fetch.", who)


def _read_listed(
    source: Source,
    stream: Stream,
    keyed: Keyed,
    base: Sequence[Unit],
    tally: Tally,
    pool: Pool,
    failures: Failures,
) -> Iterator[Records | Advance]:
    """Read the documents of what another stream lists."""
    parent = source.connector.stream(keyed.parent or "")
    fetch_list, fetch = fetcher(replace(source, verbatim=False), parent), fetcher(source, stream)
    listed = 0
    for number, unit in enumerate(base, 1):
        documents = Lane(pool, fetch)
        with closing(Spool(source, keyed, parent, unit, tally)) as spool:
            try:
                spool.fill(Lane(pool, fetch_list), documents if _asks_early(source, stream) else None)
            except VendortapError as error:
                if len(base) == 1:
                    raise
                failures.note(error)
                continue
            listed += spool.count
            tally.expected = listed * len(base) // number
            yield from _read_units(source, stream, spool.units(), tally, documents, failures, settled=spool.settled)


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
    if first.misfits and source.stops:
        raise refusal(first.misfits[min(first.misfits)].sentence)
    return len(first.records)


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
    completer = Completer(source, stream, reader)
    completer.complete(record, completer.given(Unit(kept.params, bookmark=kept.bookmark)), kept.params)
    if actions := source.extensions.actions.get(stream.name):
        _act(actions.act, [record], who=f"{source.connector.name}, {stream.name}")
    return record


# --- one stream --------------------------------------------------------------------------------------


def _read_units(
    source: Source,
    stream: Stream,
    units: Iterable[Unit],
    tally: Tally,
    lane: Lane,
    failures: Failures,
    *,
    tries: int = 1,
    settled: datetime | None = None,
) -> Iterator[Records | Advance]:
    """Read units in order. A key is missing when ``tries`` units in a row, one a partition, do not have it.

    ``settled`` is that of the list that the units come from, for documents. What fails alone is noted, and the bookmark
    of its partition stays where it is from there on: a document, or all that is left of one partition of a list.
    """
    missed = _Missed(source, stream, tally, tries)
    marks = _Marks(stream)
    with ExitStack() as stack:
        distinct = stack.enter_context(closing(Distinct())) if stream.distinct else None
        sieve = Sieve(source, stream, tally, distinct)
        for unit, pages in in_order(units, lane):
            if stream.keyed is None and marks.is_stuck(unit):
                _pass_over(pages)
                continue
            top = Top(unit.since, settled, unit.known, source.zone)
            try:
                for page in pages:
                    if page.is_other:
                        marks.stick(unit)
                    yield from sieve.new(unit, page, top)
                failures.has_success = True
            except VendortapError as error:
                if not (stream.keyed and isinstance(error, MissingError) and missed.may_pass(unit, error)):
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
        self._stuck.add(tuple(unit.partition.values()))

    def is_stuck(self, unit: Unit) -> bool:
        """Whether something of the unit's partition has not been obtained."""
        return tuple(unit.partition.values()) in self._stuck

    def advanced(self, unit: Unit, top: Top) -> Advance | None:
        """Return how far a unit that has been read leads, if it does."""
        partition = tuple(unit.partition.values())
        mark = self._marks.setdefault(partition, unit.since)
        after = None if partition in self._stuck else advanced(mark, unit, self._stream, top)
        if after is None or after == mark:
            return None
        self._marks[partition] = after
        return Advance(unit.partition, after)


class _Missed:
    """Counts how many units in a row do not have the key they ask for, and passes over keys that none has."""

    def __init__(self, source: Source, stream: Stream, tally: Tally, tries: int) -> None:
        self._source = source
        self._stream = stream
        self._tally = tally
        self._param = stream.keyed.param if stream.keyed else ""
        self._skips: bool = source.config["on_missing"] == "skip"
        self._tries = tries
        self._key: str | None = None
        self._times = 0

    def may_pass(self, unit: Unit, error: MissingError) -> bool:
        """Note a document that is missing; returns whether that is no failure.

        It is none until its key has been missed in every partition, and then where the operator wants it skipped.
        """
        key = unit.params.get(self._param)
        self._times = self._times + 1 if key == self._key else 1
        self._key = key
        if self._times != self._tries:
            return True
        if self._skips:
            self._tally.fetched += 1
            self._tally.missing += 1
            log.warning("%s Skipped.", named(error, self._source, self._stream, unit))
        return self._skips
