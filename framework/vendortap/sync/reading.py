"""A stream, read: its plan, its slices in order, and after the records each advance of a bookmark."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

from vendortap.declare import plan
from vendortap.declare.model import Bookmark, Parent, Record, Slice, Stream
from vendortap.decode.reader import refusal
from vendortap.errors import ConfigError, DriftError, MissingError, PluginError, RecordError, VendortapError
from vendortap.plugins.extensions import Actions
from vendortap.sync.bookmarks import HighWatermark, advanced
from vendortap.sync.context import BookmarkUpdate, Reading, Records, SyncContext, named
from vendortap.sync.counters import Counters
from vendortap.sync.failures import Failures
from vendortap.sync.fetching import Completer, fetcher
from vendortap.sync.filter import RecordFilter
from vendortap.sync.listing import Spool
from vendortap.sync.open_items import Item, OpenItems, Why
from vendortap.sync.ordering import Lane, Pool, in_order
from vendortap.sync.scratch import Distinct, database_error

if TYPE_CHECKING:
    from vendortap.sync.quarantine import Quarantine, QuarantineEntry

log = logging.getLogger("vendortap.sync")


def read(
    context: SyncContext, stream: Stream, bookmarks: plan.Bookmarks, counters: Counters, items: OpenItems | None = None
) -> Reading:
    """Read a stream: yields records, and after the records it covers each advance of a bookmark.

    ``items`` are what earlier runs did not obtain: what of it is due is asked for again, and what this run does not
    obtain is added before a bookmark moves past it. Closing the iterator stops what is under way.

    Raises:
        VendortapError: in the place of the slice it struck; everything before has been handed on.
    """
    items = OpenItems({}) if items is None else items
    if items and context.quarantine:
        _forget_replayed(context.quarantine, stream, items)
    found = _read_and_act(context, stream, bookmarks, counters, items)
    return context.telemetry.stream(stream.name, counters.outcomes, found) if context.telemetry else found


def _forget_replayed(kept: Quarantine, stream: Stream, items: OpenItems) -> None:
    """Have no open items of records that a target has taken by way of the quarantine."""
    for entry in kept.replayed(stream.name):
        partition = {stream.plan.each[1]: entry.params[stream.plan.each[1]]} if stream.plan.each else {}
        if stream.parent:
            items.arrived((entry.params[stream.parent.param],), partition)
        elif len(entry.key) == len(stream.keys):
            items.arrived(tuple(entry.key.values()), partition)


def _read_and_act(
    context: SyncContext, stream: Stream, bookmarks: plan.Bookmarks, counters: Counters, items: OpenItems
) -> Reading:
    actions, who = context.extensions.actions.get(stream.name), f"{context.connector.name}, {stream.name}"
    failures = Failures(who)
    found = _read(context, stream, bookmarks, counters, failures, items)
    try:
        yield from found if actions is None else _acted_on(found, actions, who)
    except database_error() as error:
        raise VendortapError(
            f"{who}: what has been listed cannot be kept in the folder for temporary "
            f"files ({error}); make room there, or name another one with SQLITE_TMPDIR"
        ) from None
    if drift := context.drift.get(stream.name):
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
    context: SyncContext,
    stream: Stream,
    bookmarks: plan.Bookmarks,
    counters: Counters,
    failures: Failures,
    items: OpenItems,
) -> Reading:
    base = _slices(context, stream, bookmarks, items)
    with closing(Pool(context.config["concurrency"])) as pool:
        if stream.parent is None:
            counters.expected = len(base) if len(base) > 1 else None  # of one list nobody knows how long it is
            yield from _read_slices(
                context, stream, base, counters, Lane(pool, fetcher(context, stream)), failures, items
            )
        elif (keys := plan.configured(stream.parent.sources, context.config)) is not None:
            param = stream.parent.param
            due = [item["key"][0] for item in items.documents([slice_.partition for slice_ in base], len(keys))]
            keys = [key for key in dict.fromkeys([*due, *keys]) if not items.is_closed((key,), {})]
            counters.expected = len(keys) * len(base)
            slices = (Slice({**slice_.params, param: key}, slice_.partition) for key in keys for slice_ in base)
            lane = Lane(pool, fetcher(context, stream))
            yield from _read_slices(context, stream, slices, counters, lane, failures, items, tries=len(base))
        elif stream.parent.stream is not None:
            yield from _read_listed(context, stream, stream.parent, base, counters, pool, failures, items)
        else:
            who = f"{context.connector.name}, {stream.name}"
            log.info("%s: no keys are configured, so there is nothing to fetch.", who)


def _slices(context: SyncContext, stream: Stream, bookmarks: plan.Bookmarks, items: OpenItems) -> list[Slice]:
    """Return the slices of a stream's plan, made to reach what is open in its lists.

    Windows with such records are read once more, and come first. Another list is asked for from as far back as the
    open records were in it; what the bookmark covers is left out all the same, but where one of them has no key.
    """
    now = context.now()
    planned = list(plan.slices(stream.plan, context.config, bookmarks, now))
    if not items:
        return planned
    partitions = {tuple(slice_.partition.items()): slice_.partition for slice_ in planned}
    open_ones = {name: items.slices(partition) for name, partition in partitions.items()}

    def reaching_back(partition: Mapping[str, str]) -> Bookmark | None:
        open_here = open_ones[tuple(partition.items())]
        begins: list[Any] = [item.get("begin", item.get("changed")) for item in open_here if "slice" not in item]
        mark = bookmarks(partition)
        if mark is None or None in begins:
            return None
        return Bookmark(min(mark.value, *map(datetime.fromisoformat, begins))) if begins else mark

    if stream.plan.windows:
        windows = [item for name in partitions for item in open_ones[name] if "slice" in item]
        return [*_open_windows(windows), *planned]
    reached = plan.slices(stream.plan, context.config, reaching_back, now)
    return [
        replace(
            slice_,
            since=as_planned.since,
            known=(slice_.known or _NOTHING)
            if _has_no_key(open_ones[tuple(slice_.partition.items())])
            else as_planned.known,
        )
        for slice_, as_planned in zip(reached, planned, strict=True)
    ]


_NOTHING = Bookmark(datetime.min.replace(tzinfo=UTC))
"""A bookmark that covers nothing."""


def _has_no_key(items: Iterable[Item]) -> bool:
    return any(item["key"] is None for item in items)


def _open_windows(items: Iterable[Item]) -> Iterator[Slice]:
    """Yield the windows that open records are in, each once."""
    for item in {tuple(item["slice"].items()): item for item in items}.values():
        end = datetime.fromisoformat(item["changed"])
        yield Slice(item["slice"], item["partition"], bookmark=end, is_retry=True)


def _read_listed(
    context: SyncContext,
    stream: Stream,
    parent: Parent,
    base: Sequence[Slice],
    counters: Counters,
    pool: Pool,
    failures: Failures,
    items: OpenItems,
) -> Iterator[Records | BookmarkUpdate]:
    """Read the documents of what another stream lists, and before them those that are open and not listed."""
    parent_stream = context.connector.stream(parent.stream or "")
    fetch_list, fetch = fetcher(context, parent_stream), fetcher(context, stream)
    listed = 0
    for number, slice_ in enumerate(base, 1):
        documents = Lane(pool, fetch)
        with closing(Spool(context, parent, parent_stream, slice_, counters, items)) as spool:
            try:
                spool.fill(Lane(pool, fetch_list), documents if _asks_early(context, stream) else None)
            except VendortapError as error:
                if len(base) == 1:
                    raise
                failures.note(error)
                continue
            again = [
                Slice({**slice_.params, parent.param: key}, slice_.partition, bookmark=changed, is_retry=True)
                for key, changed in _due(items, slice_, spool.count)
                if not spool.has(key)
            ]
            listed += spool.count + len(again)
            counters.expected = listed * len(base) // number
            slices, safe_until = chain(again, spool.slices()), spool.safe_until
            yield from _read_slices(
                context, stream, slices, counters, documents, failures, items, safe_until=safe_until
            )


def _due(items: OpenItems, slice_: Slice, asked: int) -> Iterator[tuple[str, datetime | None]]:
    """Yield the documents of a partition that are to be asked for again, and when they changed as far as is known."""
    for item in items.documents([slice_.partition], asked):
        yield item["key"][0], datetime.fromisoformat(item["changed"]) if "changed" in item else None


def _asks_early(context: SyncContext, stream: Stream) -> bool:
    """Whether documents are asked for while their list is still read: where nothing but latency sets the pace.

    Where there is a limit it would gain nothing, and slow the list down. What is held is one reply each, which goes
    nowhere until its turn comes.
    """
    config, limit = context.config, context.connector.limit
    is_limited = config["requests_per_second"] is not None if "requests_per_second" in config else limit is not None
    return not is_limited and stream.pages is None and stream.document is None


def probe(context: SyncContext, stream: Stream) -> int:
    """Return how many records the first replies of a list stream have: one request for each of its partitions.

    Raises:
        ConfigError: by the settings there is nothing to ask for.
        VendortapError: there is no answer; the others have been tried first.
    """
    slices: dict[tuple[str, ...], Slice] = {}
    for slice_ in plan.slices(stream.plan, context.config, lambda _: None, context.now()):
        slices.setdefault(tuple(slice_.partition.values()), slice_)
    if not slices:
        raise ConfigError(
            f"{context.connector.name}, {stream.name}: by these settings there is nothing to ask for; "
            "check for a start in the future, an end before it, and empty lists"
        )
    failures = Failures(f"{context.connector.name}, {stream.name}")
    count = 0
    for slice_ in slices.values():
        try:
            count += _probe(context, stream, slice_)
            failures.has_success = True
        except VendortapError as error:
            failures.note(named(error, context, stream, slice_))
    failures.end()
    return count


def _probe(context: SyncContext, stream: Stream, slice_: Slice) -> int:
    with closing(fetcher(context, stream)(slice_)) as pages:
        first = next(pages)
    if first.invalid and context.stops:
        raise refusal(first.invalid[min(first.invalid)].sentence)
    return len(first.records)


def redecode(context: SyncContext, kept: QuarantineEntry) -> Record:
    """Decode a record in quarantine again, and complete it; plugins act on it as on any other.

    Raises:
        RecordError: it does not fit (still).
        PluginError: a plugin fails at it.
        KeyError: the connector has no such stream any more.
    """
    stream = context.connector.stream(kept.stream)
    reader = context.reader(stream)
    record: Record = reader.redecode(kept.raw, kept.media_type)
    completer = Completer(context, stream, reader)
    completer.complete(record, completer.request_context(Slice(kept.params, bookmark=kept.bookmark)), kept.params)
    if actions := context.extensions.actions.get(stream.name):
        records = [record]
        _act(actions.act, records, who=f"{context.connector.name}, {stream.name}")
        return records[0]
    return record


# --- one stream --------------------------------------------------------------------------------------


def _read_slices(
    context: SyncContext,
    stream: Stream,
    slices: Iterable[Slice],
    counters: Counters,
    lane: Lane,
    failures: Failures,
    items: OpenItems,
    *,
    tries: int = 1,
    safe_until: datetime | None = None,
) -> Iterator[Records | BookmarkUpdate]:
    """Read slices in order. A key is missing when ``tries`` slices in a row, one a partition, do not have it.

    ``safe_until`` is that of the list that the slices come from, for documents. What fails alone is noted, and the
    bookmark of its partition stays where it is from there on: a document, or all that is left of one partition of a
    list.
    """
    unobtained = _Unobtained(context, stream, counters, tries, items)
    marks = _Marks(stream)
    with ExitStack() as stack:
        distinct = stack.enter_context(closing(Distinct())) if stream.distinct else None
        record_filter = RecordFilter(context, stream, counters, distinct, items)
        for slice_, pages in in_order(slices, lane):
            if stream.parent is None and marks.is_stuck(slice_):
                _pass_over(pages)
                continue
            watermark = HighWatermark(slice_.since, safe_until, slice_.known, context.zone, items.named)
            try:
                for page in pages:
                    if page.is_other:
                        marks.stick(slice_)
                    yield from record_filter.new(slice_, page, watermark)
                failures.has_success = True
                items.tried(slice_)
            except VendortapError as error:
                if not unobtained.may_pass(slice_, error):
                    marks.stick(slice_)
                    _fail(named(error, context, stream, slice_), failures, alone=_is_alone(context, stream))
            counters.slices += 1
            if advance := marks.advanced(slice_, watermark):
                yield advance


def _is_alone(context: SyncContext, stream: Stream) -> bool:
    """Whether the failure of one slice says nothing of the others: of a document, or of one partition among several."""
    each = stream.plan.each
    return stream.parent is not None or (each is not None and len(set(context.config[each[0]])) > 1)


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

    def stick(self, slice_: Slice) -> None:
        """Keep the bookmark of the slice's partition from moving past it."""
        if slice_.is_retry:  # it is behind the bookmark
            return
        self._stuck.add(tuple(slice_.partition.values()))

    def is_stuck(self, slice_: Slice) -> bool:
        """Whether something of the slice's partition has not been obtained."""
        return tuple(slice_.partition.values()) in self._stuck

    def advanced(self, slice_: Slice, watermark: HighWatermark) -> BookmarkUpdate | None:
        """Return how far a slice that has been read leads, if it does."""
        if slice_.is_retry:
            return None
        partition = tuple(slice_.partition.values())
        mark = self._marks.setdefault(partition, slice_.since)
        after = None if partition in self._stuck else advanced(mark, slice_, self._stream, watermark)
        if after is None or after == mark:
            return None
        self._marks[partition] = after
        return BookmarkUpdate(slice_.partition, after)


class _Unobtained:
    """Notes what is not obtained, and tells what of it is no failure."""

    def __init__(self, context: SyncContext, stream: Stream, counters: Counters, tries: int, items: OpenItems) -> None:
        self._context = context
        self._stream = stream
        self._counters = counters
        self._param = stream.parent.param if stream.parent else ""
        self._skips: bool = context.config["on_missing"] == "skip"
        self._tries = tries
        self._items = items
        self._key: str | None = None
        self._times = 0

    def may_pass(self, slice_: Slice, error: VendortapError) -> bool:
        """Note a document that is not obtained, or a window that was read again; returns whether that is no failure.

        Raises:
            OpenItemsError: there are too many.
        """
        if not error.of_one_request:
            return False
        if self._stream.parent is None:
            return slice_.is_retry and self._stays_open(slice_, error)
        if isinstance(error, MissingError):
            return self._is_skipped(slice_, error)
        why: Why = "does not fit" if isinstance(error, RecordError) else "refused"
        self._items.note((slice_.params[self._param],), why, slice_, of_list=False)
        return False

    def _stays_open(self, slice_: Slice, error: VendortapError) -> bool:
        self._items.tried(slice_)
        message = str(named(error, self._context, self._stream, slice_)).rstrip(".")
        log.warning("%s. What is open of it stays open.", message)
        return True

    def _is_skipped(self, slice_: Slice, error: MissingError) -> bool:
        """Count slices in a row that do not have the key they ask for: it is missing when no partition has it."""
        key = slice_.params[self._param]
        self._times = self._times + 1 if key == self._key else 1
        self._key = key
        if self._times != self._tries:
            return True
        missing = slice_ if self._tries == 1 else replace(slice_, partition={})
        self._items.note((key,), "missing", missing, of_list=False)
        if self._skips:
            self._counters.fetched += 1
            self._counters.missing += 1
            log.warning("%s Skipped.", named(error, self._context, self._stream, slice_))
        return self._skips
