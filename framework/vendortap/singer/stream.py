"""A declared stream as singer-sdk's: records in RECORD or BATCH messages, and STATE after what it covers."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from singer_sdk import Stream, Tap
from singer_sdk.exceptions import MapExpressionError
from singer_sdk.helpers._batch import BatchConfig, SDKBatchMessage
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.singerlib import MetadataMapping, RecordMessage
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE, REPLICATION_INCREMENTAL, Metadata

from vendortap.declare import model
from vendortap.declare.model import UNKNOWN, Bookmark, Connector, Record
from vendortap.decode import schemas
from vendortap.decode.drift import Drift
from vendortap.decode.structs import as_dict, has_plain_names
from vendortap.errors import ConfigError, RecordError, VendortapError
from vendortap.plugins.validation import Shape, is_usual
from vendortap.singer import batches, progress_file
from vendortap.singer.catalogs import field_path, undeclared
from vendortap.singer.maps import masks
from vendortap.singer.serialisation import Shaper, inner_crumbs, nested_as_json, shaper
from vendortap.sync import reading
from vendortap.sync.context import BookmarkUpdate, Records, SyncContext
from vendortap.sync.counters import Counters
from vendortap.sync.open_items import OpenItems
from vendortap.sync.owner import hash_secret
from vendortap.sync.state import advance, find_entry, make_entry, read_bookmark
from vendortap.sync.totals import Totals

if TYPE_CHECKING:
    from vendortap.singer.writer import MessageWriter
    from vendortap.sync.quarantine import QuarantineEntry

STATE_SECONDS = 1.0
"""STATE messages within a stream are at least this far apart; the last one is always written."""


class Usage(NamedTuple):
    """What a piece of work has taken."""

    requests: int = 0
    retries: int = 0
    waited_seconds: float = 0.0
    bytes: int = 0
    seconds: float = 0.0

    def since(self, before: Usage) -> Usage:
        """Return what has come on top of what was spent before."""
        return Usage(
            self.requests - before.requests,
            self.retries - before.retries,
            self.waited_seconds - before.waited_seconds,
            self.bytes - before.bytes,
            self.seconds - before.seconds,
        )

    def snapshot(self) -> dict[str, Any]:
        """Return it as reports have it."""
        return {name: round(value, 3) for name, value in self._asdict().items()}


class Run(Protocol):
    """What a stream asks of the tap that it belongs to."""

    @property
    def connector(self) -> Connector: ...  # noqa: D102 - the tap's own, as all of these
    @property
    def settings_schema(self) -> Mapping[str, Any]: ...  # noqa: D102 - see the tap
    @property
    def drift(self) -> Mapping[str, Drift]: ...  # noqa: D102 - see the tap
    @property
    def writer(self) -> MessageWriter: ...  # noqa: D102 - see the tap
    def source(self) -> SyncContext: ...  # noqa: D102 - see the tap
    def usage(self) -> Usage: ...  # noqa: D102 - see the tap
    def hold_complete(self) -> None: ...  # noqa: D102 - see the tap


class ConnectorStream(Stream):
    """A declared stream as singer-sdk wants it."""

    def __init__(self, tap: Tap, run: Run, declared: model.Stream, shape: Shape) -> None:
        self.declared = declared
        self.shape = shape
        self.run = run
        self.counters = Counters()
        separator = tap.config.get("flattening_separator") or "__"
        amount = declared.amount if progress_file.totals_wanted() else None
        self.totals = Totals(amount, separator) if amount else None
        self.messages = 0
        self.failure: VendortapError | None = None
        """What could not be read, where all else of the stream was."""
        self._begun: Usage | None = None
        self._usage = Usage()
        self.undeclared: list[str] = []
        """The properties that the catalog given does not have, so that nobody has selected them."""
        self.is_named = is_usual(declared, tap.config)
        self.selected_by_default = self.is_named
        strings = bool(tap.config.get("use_singer_decimal"))
        as_json = tap.config.get("nested") == "json"
        schema = schemas.to_singer(shape.schema, decimal_strings=strings, nested_json=as_json)
        super().__init__(tap, schema, declared.name)
        self.primary_keys = list(declared.keys)
        self.replication_key = declared.replication_key

    @property
    def metadata(self) -> MetadataMapping:
        """Singer metadata; properties inside arrays have theirs too, so that they can be selected.

        What a catalog that is given does not have is not selected. A stream that has to be named in the settings is
        unsupported until it is, so that no wildcard selects it.
        """
        if self._metadata is not None:
            return self._metadata
        mapping = super().metadata
        if self._tap_input_catalog is None:
            for crumb in inner_crumbs(self.shape.record):
                mapping.setdefault(crumb, Metadata(inclusion=Metadata.InclusionType.AVAILABLE))
            mapping.root.forced_replication_method = self.replication_method
        elif entry := self._tap_input_catalog.get_stream(self.name):
            self._deselect(undeclared(entry, self.shape.record), mapping)
        for name in self._automatic:  # whatever a catalog says: without its keys a record cannot be told from another
            mapping["properties", name].inclusion = Metadata.InclusionType.AUTOMATIC
        if not self.declared.selected_by_default:
            inclusions = Metadata.InclusionType
            mapping.root.inclusion = inclusions.AVAILABLE if self.is_named else inclusions.UNSUPPORTED
            mapping.root.selected_by_default = self.is_named
        return mapping

    @property
    def _automatic(self) -> tuple[str, ...]:
        """The properties that are always selected."""
        return tuple(filter(None, (*self.declared.keys, self.declared.replication_key)))

    def _deselect(self, crumbs: Iterable[tuple[str, ...]], mapping: MetadataMapping) -> None:
        named = {("properties", name) for name in (*self._automatic, UNKNOWN)}  # the latter by a setting, keep_unknown
        for crumb in set(crumbs) - named:
            mapping[crumb].selected = False
            self.undeclared.append(field_path(crumb))
        self.undeclared.sort()

    def apply_catalog(self, catalog: Any) -> None:
        """Take selection and replication method from a catalog; schema and keys stay the connector's.

        Discovery names the method in two places; FULL_TABLE in either of them is the operator's wish.
        """
        self._tap_input_catalog = catalog
        if (entry := catalog.get_stream(self.name)) is None:
            return
        if REPLICATION_FULL_TABLE in (entry.replication_method, entry.metadata.root.forced_replication_method):
            self.forced_replication_method = REPLICATION_FULL_TABLE

    def finalize_state_progress_markers(self, state: Any = None) -> None:
        """Have no progress markers: bookmarks advance in order."""

    def get_replication_key_signpost(self, context: Any = None) -> None:
        """Have no signpost: bookmarks come from what was read, never from this machine's clock."""

    def get_batch_config(self, config: Mapping[str, Any]) -> BatchConfig | None:
        """Return the setting `batch_config`; raises ConfigError."""
        setting = config.get("batch_config")
        return batches.batch_config(setting) if setting else None

    def log_sync_costs(self) -> None:
        """End the run with what could not be read: the SDK asks this of each stream when all have been synced."""
        super().log_sync_costs()
        self.run.hold_complete()

    def get_records(self, context: Any) -> Iterable[dict[str, Any]]:
        """Yield the records as they go into messages, before stream maps; used by nothing of vendortap's."""
        del context
        for item in self._read():
            if isinstance(item, Records):
                yield from map(as_dict, item.records)

    def _read(self) -> Iterator[Records | BookmarkUpdate]:
        """Read through the pipeline, in the form Singer has records in."""
        source = self.run.source()
        shapers = self._shapers(quick=self._as_they_are)
        with closing(reading.read(source, self.declared, self._bookmarked, self.counters, self._open_items)) as items:
            try:
                for item in items:
                    if isinstance(item, Records):
                        self._shape(item, shapers)
                    yield item
            except VendortapError as error:
                if not error.is_last or self.ABORT_AT_RECORD_COUNT is not None:
                    raise
                self.failure = error  # the tap raises it, when the other streams have been read

    def _shape(self, item: Records, shapers: Sequence[Shaper]) -> None:
        """Make records ones for Singer: dicts, unless they are written as they are."""
        if not self._as_they_are:
            item.records[:] = map(as_dict, item.records)
        for shape in shapers:
            for record in item.records:
                shape(record)

    def _shapers(self, *, quick: bool) -> list[Shaper]:
        """Return what makes a record one for Singer, one after the other; on the quick way the writer does the rest."""
        strings = bool(self.config["use_singer_decimal"])
        shapers = [] if quick else [shaper(self.shape.record, self.mask, decimal_strings=strings)]
        if self.config["nested"] == "json":
            shapers.append(nested_as_json(self.shape.record, self.mask, decimal_strings=strings))
        return shapers

    @cached_property
    def _as_they_are(self) -> bool:
        """Whether little or nothing is made of records before they are written: the quick way, with the same bytes."""
        whole = all(self.mask[crumb] for crumb in inner_crumbs(self.shape.record) if crumb[-1] != "items")
        whole = whole and has_plain_names(self.shape.record) and self.ABORT_AT_RECORD_COUNT is None
        return bool(self._only_alias) and whole and not self.config.get("batch_config")

    def _bookmarked(self, partition: Mapping[str, str]) -> Bookmark | None:
        if self.replication_method != REPLICATION_INCREMENTAL:
            return None
        return read_bookmark(self.name, find_entry(self.tap_state, self.name, partition) or {})

    @cached_property
    def _open_items(self) -> OpenItems:
        """What earlier runs did not obtain, in the state."""
        is_masked = masks(self.config.get("stream_maps"), self.name, self.primary_keys)
        secret = hash_secret(self.run.connector, self.config, self.run.settings_schema)
        entry = make_entry(self.tap_state, self.name, {})
        return OpenItems(entry, closed=self.config["closed_items"], secret=secret, masked=is_masked)

    def _advance(self, item: BookmarkUpdate) -> None:
        if self.replication_method != REPLICATION_INCREMENTAL:
            return
        advance(self.tap_state, self.name, self.replication_key, item.partition, item.bookmark)
        self.state_manager.is_flushed = False

    def _sync_records(  # type: ignore[override] # an iterator does where the SDK says generator
        self, context: Any = None, *, write_messages: bool = True
    ) -> Iterator[Record]:
        """Write the stream's RECORDs, and STATE after the records it covers. Replaces the SDK's record loop.

        Yields nothing: the SDK itself only waits for the end.
        """
        del context, write_messages
        state_due = time.monotonic() + STATE_SECONDS
        with self._measured() as counter:
            for item in self._read():
                if isinstance(item, Records):
                    self._write_records(item, counter)
                else:
                    self._advance(item)
                    if time.monotonic() >= state_due:
                        self._write_state_message()
                        state_due = time.monotonic() + STATE_SECONDS
        yield from ()

    def _write_records(self, item: Records, counter: Any) -> None:
        """Write the RECORDs of a reply: all at once where nothing is to be made of each."""
        alias = self._only_alias
        if alias is None or self.ABORT_AT_RECORD_COUNT is not None:
            for record in item.records:
                self._counted(counter)
                self._account(self._write_record(record, item.received))
            return
        if self.totals:
            self.totals.add(item.records)
        writer, count = self.run.writer, len(item.records)
        strings = self._as_they_are and bool(self.config["use_singer_decimal"])
        lines = writer.serialize_records(alias, item.records, self._stream_version, item.received, strings=strings)
        item.records.clear()  # not held in memory as well while the target takes its time over the lines
        writer.write_lines(lines)
        self.messages += count
        self.counters.emitted += count
        counter.increment(count)
        self.state_manager.is_flushed = False

    @cached_property
    def _only_alias(self) -> str | None:
        """The stream's name in messages, where its records go out as they are and only once."""
        maps = self.stream_maps
        same = len(maps) == 1 and type(maps[0]) is SameRecordTransform and not maps[0].flattening_enabled
        return maps[0].stream_alias if same else None

    def _counted(self, counter: Any) -> None:
        """Count a record that is about to be written; ends the stream where `--test` has seen enough."""
        self._check_max_record_limit(current_record_index=self.messages)
        self.messages += 1
        counter.increment()

    @contextmanager
    def _measured(self) -> Iterator[Any]:
        """Count and time the stream, account for its records, and write its last STATE, however it ends."""
        self._begun = self.run.usage()
        try:
            with self.get_record_counter() as counter, self.get_sync_timer():
                yield counter
            self._remember_fields()
            self.counters.check(f"{self.run.connector.name}, {self.name}")
        finally:
            self.logger.info("%s: %s", self.name, self.counters)
            self._usage, self._begun = self.usage, None
            if self._open_items.is_changed:
                self.state_manager.is_flushed = False
            self._write_state_message()

    @property
    def usage(self) -> Usage:
        """What the stream has taken, so far or altogether: streams are read one after the other."""
        begun = self._begun  # read once: another thread may ask
        return self._usage if begun is None else self.run.usage().since(begun)

    def _account(self, written: Record | None) -> None:
        """Count what became of a record: what was written of it, if anything was."""
        self.counters.emitted += written is not None
        self.counters.filtered += written is None
        if self.totals and written is not None:
            self.totals.add((written,))

    def _remember_fields(self) -> None:
        """Put into the state which fields there are, for later runs to notice when one is not any more."""
        drift = self.run.drift.get(self.name)
        if fields := drift and drift.fields():
            remembered: dict[str, Any] = self.tap_state.setdefault("fields", {})  # type: ignore[typeddict-item] # as the version
            remembered[self.name] = {name: list(two) for name, two in fields.items()}
            self.state_manager.is_flushed = False

    def write_redecoded(
        self, source: SyncContext, entries: Iterable[QuarantineEntry]
    ) -> Iterator[tuple[QuarantineEntry, str | None]]:
        """Write SCHEMA, and RECORDs of what is good now of the stream's entries in quarantine.

        Yields each entry, with what is still wrong with it (``None``: it has been written).
        """
        self._write_schema_message()
        shapers = self._shapers(quick=False)
        for entry in entries:
            try:
                record = as_dict(reading.redecode(source, entry))
            except RecordError as error:
                yield entry, str(error)
            else:
                for shape in shapers:
                    shape(record)
                self._write_record(record, entry.time)
                yield entry, None

    def _write_record(self, record: Record, received: datetime) -> Record | None:
        """Write the RECORDs that stream maps make of a record; returns the first of them."""
        written: Record | None = None
        for alias, mapped in self._mapped(as_dict(record)):
            message = RecordMessage(alias, mapped, version=self._stream_version, time_extracted=received)
            self._tap.write_message(message)
            written = mapped if written is None else written
        self.state_manager.is_flushed = False
        return written

    def _mapped(self, record: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield what the stream maps make of a record, under their aliases."""
        for stream_map in self.stream_maps:
            try:
                mapped = stream_map.transform(record)
            except Exception as error:  # noqa: BLE001 - an operator's expression may raise anything, with data in it
                why = str(error) if isinstance(error, MapExpressionError) else f"it fails with a {type(error).__name__}"
                raise ConfigError(f"the setting 'stream_maps' cannot be applied to {self.name!r}: {why}") from None
            if mapped is not None:
                yield stream_map.stream_alias, mapped

    def _sync_batches(self, batch_config: BatchConfig, context: Any = None) -> None:
        """Write BATCH messages: the very records that RECORD messages would hold, and STATE after them.

        Replaces the SDK's way, which ignores stream maps and selection.
        """
        del context
        waiting = _Batches(self, batch_config)
        with self._measured() as counter:
            for item in self._read():
                if isinstance(item, BookmarkUpdate):
                    waiting.cover(item)
                    continue
                for record in item.records:
                    self._counted(counter)
                    self._account(waiting.add(record))
            waiting.write()


class _Batches:
    """Records on their way into batch files, and the bookmarks to advance to once those are written."""

    def __init__(self, stream: ConnectorStream, config: BatchConfig) -> None:
        self.stream = stream
        self.config = config
        self.records: dict[str, list[dict[str, Any]]] = {}
        self.covered: dict[tuple[str, ...], BookmarkUpdate] = {}

    def cover(self, item: BookmarkUpdate) -> None:
        """Note how far the records given so far lead; of a partition the last word counts."""
        self.covered[tuple(item.partition.values())] = item

    def add(self, record: Record) -> Record | None:
        """Take a record, and write when there are enough of them; returns the first that stream maps made of it."""
        taken: Record | None = None
        for alias, mapped in self.stream._mapped(as_dict(record)):
            taken = mapped if taken is None else taken
            waiting = self.records.setdefault(alias, [])
            waiting.append(mapped)
            if len(waiting) >= self.config.batch_size:
                self.write()
        return taken

    def write(self) -> None:
        """Write what there is, and then the STATE that it leads to."""
        for alias, records in self.records.items():
            manifest = batches.write(self.config, f"{self.stream.tap_name}--{alias}", records)
            self.stream._tap.write_message(SDKBatchMessage(alias, self.config.encoding, manifest))
        self.records.clear()
        for item in self.covered.values():
            self.stream._advance(item)
        self.covered.clear()
        self.stream._write_state_message()
