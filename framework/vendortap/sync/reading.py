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
    actions = source.extensions.actions.get(stream.name)
    items = _read(source, stream, bookmarks, tally)
    try:
        yield from items if actions is None else _acted_on(items, actions, f"{source.connector.name}, {stream.name}")
    except database_error() as error:
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
    with closing(Pool(source.config["concurrency"])) as pool:
        if stream.keyed is None:
            tally.expected = len(base) if len(base) > 1 else None  # of one list nobody knows how long it is
            yield from _read_units(source, stream, base, tally, Lane(pool, fetcher(source, stream)))
        elif (keys := plan.configured(stream.keyed.sources, source.config)) is not None:
            param = stream.keyed.param
            tally.expected = len(keys) * len(base)
            units = (Unit({**unit.params, param: key}, unit.partition) for key in keys for unit in base)
            lane = Lane(pool, fetcher(source, stream))
            yield from _read_units(source, stream, units, tally, lane, tries=len(base))
        elif stream.keyed.parent is not None:
            yield from _read_listed(source, stream, stream.keyed, base, tally, pool)
        else:
            who = f"{source.connector.name}, {stream.name}"
            log.info("%s: no keys are configured, so there is nothing to fetch.", who)


def _read_listed(
    source: Source, stream: Stream, keyed: Keyed, base: Sequence[Unit], tally: Tally, pool: Pool
) -> Iterator[Records | Advance]:
    """Read the documents of what another stream lists."""
    parent = source.connector.stream(keyed.parent or "")
    fetch_list, fetch = fetcher(replace(source, verbatim=False), parent), fetcher(source, stream)
    listed = 0
    for number, unit in enumerate(base, 1):
        documents = Lane(pool, fetch)
        with closing(Spool(source, keyed, parent, unit, tally)) as spool:
            spool.fill(Lane(pool, fetch_list), documents if _asks_early(source, stream) else None)
            listed += spool.count
            tally.expected = listed * len(base) // number
            yield from _read_units(source, stream, spool.units(), tally, documents, settled=spool.settled)


def _asks_early(source: Source, stream: Stream) -> bool:
    """Whether documents are asked for while their list is still read: where nothing but latency sets the pace.

    Where there is a limit it would gain nothing, and slow the list down. What is held is one reply each, which goes
    nowhere until its turn comes.
    """
    config, limit = source.config, source.connector.limit
    is_limited = config["requests_per_second"] is not None if "requests_per_second" in config else limit is not None
    return not is_limited and stream.pages is None and stream.document is None


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
    with closing(fetcher(source, stream)(unit)) as pages:
        try:
            first = next(pages, None)  # None: a 404 that the vendor means as an empty list
        except VendortapError as error:
            raise named(error, source, stream, unit) from None
    if first and first.misfits and source.stops:
        raise named(refusal(first.misfits[min(first.misfits)].sentence), source, stream, unit)
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
    completer = Completer(source, stream, reader)
    completer.complete(record, completer.given(Unit(kept.params, bookmark=kept.bookmark)))
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
    *,
    tries: int = 1,
    settled: datetime | None = None,
) -> Iterator[Records | Advance]:
    """Read units in order. A key is missing when ``tries`` units in a row, one a partition, do not have it.

    ``settled`` is that of the list that the units come from, for documents.
    """
    skip = source.config["on_missing"] == "skip" and stream.keyed is not None
    missed = _Missed(stream, tries)
    marks: dict[tuple[str, ...], Bookmark | None] = {}
    with ExitStack() as stack:
        distinct = stack.enter_context(closing(Distinct())) if stream.distinct else None
        sieve = Sieve(source, stream, tally, distinct)
        for unit, pages in in_order(units, lane):
            mark = marks.setdefault(tuple(unit.partition.values()), unit.since)
            top = Top(unit.since, settled, unit.known)
            try:
                for page in pages:
                    yield from sieve.new(unit, page, top)
            except MissingError as error:
                if missed.everywhere(unit):
                    if not skip:
                        raise named(error, source, stream, unit) from None
                    tally.fetched += 1
                    tally.missing += 1
                    log.warning("%s Skipped.", named(error, source, stream, unit))
            except VendortapError as error:
                raise named(error, source, stream, unit) from None
            tally.units += 1
            after = advanced(mark, unit, stream, top, settled)
            if after is not None and after != mark:
                marks[tuple(unit.partition.values())] = after
                yield Advance(unit.partition, after)


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
