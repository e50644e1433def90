"""The only module that knows Singer: a Connector becomes a singer-sdk Tap.

Every RECORD and BATCH goes through one way: selection (inside arrays too), amounts and dates as Singer has them,
stream maps and flattening, then the writer. The state's shape is that of vendortap.state.

singer-sdk's underscore methods that are overridden or called here are held by tests/framework/test_sdk_contract.py.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from copy import deepcopy
from dataclasses import asdict, replace
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar, NamedTuple, NoReturn

import click
import msgspec
from singer_sdk import Stream, Tap
from singer_sdk.batch import Batcher
from singer_sdk.configuration._dict_config import parse_environment_config
from singer_sdk.exceptions import MapExpressionError, StreamMapConfigError
from singer_sdk.helpers._batch import BatchConfig, SDKBatchMessage
from singer_sdk.helpers._classproperty import classproperty
from singer_sdk.helpers.capabilities import TapCapabilities
from singer_sdk.mapper import PluginMapper, SameRecordTransform
from singer_sdk.singerlib import MetadataMapping, RecordMessage
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE, REPLICATION_INCREMENTAL, Metadata
from singer_sdk.singerlib.encoding import GenericSingerWriter

from vendortap import hooks, lifeline, logs, model, plugins, report, schemas, sync
from vendortap.declaration import Shape, settings, shapes, with_unknown
from vendortap.drift import Drift
from vendortap.errors import CatalogError, ConfigError, RecordError, StateError, UsageError, VendortapError
from vendortap.files import parse_json, read_json
from vendortap.model import UNKNOWN, Bookmark, Connector, Node, Record
from vendortap.redact import Redactor, unexpected
from vendortap.state import STATE_VERSION, advance, check_state, find_entry, read_bookmark, read_fields, way_back
from vendortap.totals import Totals

if TYPE_CHECKING:
    from vendortap.http import Client, Traffic
    from vendortap.quarantine import Kept, Quarantine
    from vendortap.telemetry import Telemetry


STATE_SECONDS = 1.0
"""STATE messages within a stream are at least this far apart; the last one is always written."""

Shaper = Callable[[Record], Record]

_ENCODER = msgspec.json.Encoder(decimal_format="number", enc_hook=str)
_STRINGS_ENCODER = msgspec.json.Encoder(decimal_format="string", enc_hook=str)


# --- records -----------------------------------------------------------------------------------------


def shaper(node: Node, mask: Mapping[tuple[str, ...], bool], *, decimal_strings: bool) -> Shaper:
    """Return what makes a typed record one for Singer, in place.

    Deselected properties go, inside objects and arrays too; date-times become ISO 8601 text; with
    ``decimal_strings`` numbers become text.
    """
    return _object_shaper(node, mask, (), decimal_strings) or (lambda record: record)


def _shaper(
    node: Node, mask: Mapping[tuple[str, ...], bool], crumb: tuple[str, ...], decimal_strings: bool
) -> Callable[[Any], Any] | None:
    if node.kind == "object":
        return _object_shaper(node, mask, crumb, decimal_strings)
    if node.kind == "array":
        assert node.item is not None  # noqa: S101 - the compiler of schemas sees to it
        item = _shaper(node.item, mask, (*crumb, "items"), decimal_strings)
        return (lambda values: [v if v is None else item(v) for v in values]) if item else None
    if node.kind == "any":
        return _decimals_as_text if decimal_strings else None
    if node.kind in ("date-time", "date"):
        return lambda value: _ENCODER.encode(value)[1:-1].decode()  # as in records that are written as they are
    return str if node.kind == "number" and decimal_strings else None


def _decimals_as_text(value: Any) -> Any:
    """Return a value of unknown shape with its amounts as text."""
    if isinstance(value, dict):
        return {name: _decimals_as_text(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_decimals_as_text(item) for item in value]
    return str(value) if isinstance(value, Decimal) else value


def _object_shaper(
    node: Node, mask: Mapping[tuple[str, ...], bool], crumb: tuple[str, ...], decimal_strings: bool
) -> Shaper | None:
    crumbs = {name: (*crumb, "properties", name) for name in node.fields}
    dropped = tuple(name for name in node.fields if not mask[crumbs[name]])
    members = [
        (name, shape)
        for name, member in node.fields.items()
        if name not in dropped and (shape := _shaper(member, mask, crumbs[name], decimal_strings))
    ]
    if not dropped and not members:
        return None

    def shape_object(record: Record) -> Record:
        for name in dropped:
            del record[name]
        for name, shape in members:
            if (value := record[name]) is not None:
                record[name] = shape(value)
        return record

    return shape_object


def nested_as_json(node: Node, mask: Mapping[tuple[str, ...], bool], *, decimal_strings: bool) -> Shaper:
    """Return what makes JSON text of the objects and arrays of a record, in place; amounts keep every digit."""
    nested = ("object", "array", "any")
    names = [name for name, f in node.fields.items() if f.kind in nested and mask["properties", name]]
    encode = (_STRINGS_ENCODER if decimal_strings else _ENCODER).encode

    def shape_nested(record: Record) -> Record:
        for name in names:
            if (value := record[name]) is not None:
                record[name] = encode(value).decode()
        return record

    return shape_nested


def selected_schema(
    schema: dict[str, Any], mask: Mapping[tuple[str, ...], bool], crumb: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return the Singer schema without what is deselected, inside objects and arrays too."""
    result = dict(schema)
    if "properties" in schema:
        kept = {k: v for k, v in schema["properties"].items() if mask[(*crumb, "properties", k)]}
        result["properties"] = {
            name: selected_schema(member, mask, (*crumb, "properties", name)) for name, member in kept.items()
        }
        required = [name for name in schema.get("required", ()) if name in kept]
        result.pop("required", None)
        if required:
            result["required"] = required
    if "items" in schema:
        result["items"] = selected_schema(schema["items"], mask, (*crumb, "items"))
    return result


def _inner_crumbs(node: Node, crumb: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the breadcrumb of every property, those of objects inside arrays included."""
    if node.item is not None:
        yield from _inner_crumbs(node.item, (*crumb, "items"))
    for name, member in node.fields.items():
        yield (*crumb, "properties", name)
        yield from _inner_crumbs(member, (*crumb, "properties", name))


# --- messages ----------------------------------------------------------------------------------------


class MessageWriter(GenericSingerWriter[bytes, Any]):
    """Writes messages as one line of JSON each, decimals digit for digit; RECORDs are buffered, others flush.

    A signal that ends the tap must not cut a line in two: the target could not read the STATE behind it.
    """

    def __init__(self) -> None:
        self._writing = False
        self._exit_code: int | None = None

    def serialize_message(self, message: Any) -> bytes:
        """Return the line of a message."""
        return _ENCODER.encode(message.to_dict()) + b"\n"

    def serialize_records(
        self, stream: str, records: Iterable[Record], version: int | None, received: datetime, *, strings: bool = False
    ) -> bytearray:
        """Return the lines of RECORD messages that differ in nothing but their record, and cost no message each.

        With ``strings``, decimals that are still numbers become text.
        """
        empty = RecordMessage(stream, {}, version=version, time_extracted=received)
        head, _, tail = self.serialize_message(empty).partition(b'"record":{}')
        head += b'"record":'
        encode_into = (_STRINGS_ENCODER if strings else _ENCODER).encode_into
        lines = bytearray()
        for record in records:
            lines += head
            encode_into(record, lines, len(lines))
            lines += tail
        return lines

    def write_message(self, message: Any) -> None:
        """Write a message to standard output."""
        self.write_lines(self.serialize_message(message), flush=not isinstance(message, RecordMessage))

    def write_lines(self, lines: bytes | bytearray, *, flush: bool = False) -> None:
        """Write whole lines to standard output."""
        rest = memoryview(lines)
        self._writing = True
        while rest:  # where PYTHONUNBUFFERED is set, a signal may end a write half-way
            rest = rest[sys.stdout.buffer.write(rest) :]
        if flush:
            sys.stdout.flush()
        self._writing = False
        if self._exit_code is not None:
            code, self._exit_code = self._exit_code, None
            raise SystemExit(code)

    def end(self, exit_code: int) -> None:
        """End the program: after the line that is being written, or at once when asked a second time."""
        if self._writing and self._exit_code is None:
            self._exit_code = exit_code
        else:
            raise SystemExit(exit_code)


# --- stream ------------------------------------------------------------------------------------------


class Spent(NamedTuple):
    """What a piece of work has taken."""

    requests: int = 0
    retries: int = 0
    waited_seconds: float = 0.0
    bytes: int = 0
    seconds: float = 0.0

    def since(self, before: Spent) -> Spent:
        """Return what has come on top of what was spent before."""
        return Spent(
            self.requests - before.requests,
            self.retries - before.retries,
            self.waited_seconds - before.waited_seconds,
            self.bytes - before.bytes,
            self.seconds - before.seconds,
        )

    def told(self) -> dict[str, Any]:
        """Return it as reports have it."""
        return {name: round(value, 3) for name, value in self._asdict().items()}


class ConnectorStream(Stream):
    """A declared stream as singer-sdk wants it."""

    def __init__(self, tap: ConnectorTap, declared: model.Stream, shape: Shape) -> None:
        self.declared = declared
        self.shape = shape
        self.tap = tap
        self.tally = sync.Tally()
        self.totals = Totals(declared.amount) if declared.amount and report.totals_wanted() else None
        self.messages = 0
        self._begun: Spent | None = None
        self._spent = Spent()
        self.selected_by_default = declared.selected_by_default
        strings = bool(tap.config.get("use_singer_decimal"))
        as_json = tap.config.get("nested") == "json"
        schema = schemas.to_singer(shape.schema, decimal_strings=strings, nested_json=as_json)
        super().__init__(tap, schema, declared.name)
        self.primary_keys = list(declared.keys)
        self.replication_key = declared.replication_key

    @property
    def metadata(self) -> MetadataMapping:
        """Singer metadata; properties inside arrays have theirs too, so that they can be selected."""
        fresh = self._metadata is None
        mapping = super().metadata
        if fresh and self._tap_input_catalog is None:
            for crumb in _inner_crumbs(self.shape.record):
                mapping.setdefault(crumb, Metadata(inclusion=Metadata.InclusionType.AVAILABLE))
            mapping.root.forced_replication_method = self.replication_method
        if fresh:  # whatever a catalog says: without its keys a record cannot be told from another
            for name in filter(None, (*self.declared.keys, self.declared.replication_key)):
                mapping["properties", name].inclusion = Metadata.InclusionType.AUTOMATIC
        return mapping

    def apply_catalog(self, catalog: Any) -> None:
        """Take selection and replication method from a catalog; schema and keys stay the connector's.

        Discovery names the method in two places; FULL_TABLE in either of them is the operator's wish.
        """
        self._tap_input_catalog = catalog
        if (entry := catalog.get_stream(self.name)) is None:
            return
        if REPLICATION_FULL_TABLE in (entry.replication_method, entry.metadata.root.forced_replication_method):
            self.forced_replication_method = REPLICATION_FULL_TABLE

    def get_replication_key_signpost(self, context: Any = None) -> None:
        """Have no signpost: bookmarks come from what was read, never from this machine's clock."""

    def get_batch_config(self, config: Mapping[str, Any]) -> BatchConfig | None:
        """Return the setting `batch_config`.

        Raises:
            ConfigError: a part of it is missing or unknown.
        """
        try:
            return super().get_batch_config(config)
        except TypeError:
            raise ConfigError(
                "the setting 'batch_config' needs 'encoding' with 'format' and 'compression', and 'storage' with "
                "'root', such as file:///tmp/batches; 'prefix' and 'batch_size' may be added"
            ) from None

    def get_records(self, context: Any) -> Iterable[Record]:
        """Yield the records as they go into messages, before stream maps; used by nothing of vendortap's."""
        del context
        for item in self._read():
            if isinstance(item, sync.Records):
                yield from item.records

    def _read(self) -> Iterator[sync.Records | sync.Advance]:
        """Read through the pipeline, in the form Singer has records in."""
        source = self.tap.source(structs=self._as_they_are)
        shapers = self._shapers(quick=self._as_they_are)
        with closing(sync.read(source, self.declared, self._bookmarked, self.tally)) as items:
            for item in items:
                if isinstance(item, sync.Records):
                    for shape in shapers:
                        for record in item.records:
                            shape(record)
                yield item

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
        whole = all(self.mask[crumb] for crumb in _inner_crumbs(self.shape.record) if crumb[-1] != "items")
        batches = bool(self.config.get("batch_config"))
        return bool(self._only_alias) and whole and not batches

    def _bookmarked(self, partition: Mapping[str, str]) -> Bookmark | None:
        if self.replication_method != REPLICATION_INCREMENTAL:
            return None
        return read_bookmark(self.name, find_entry(self.tap_state, self.name, partition) or {})

    def _advance(self, item: sync.Advance) -> None:
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
                if isinstance(item, sync.Records):
                    self._write_records(item, counter)
                else:
                    self._advance(item)
                    if time.monotonic() >= state_due:
                        self._write_state_message()
                        state_due = time.monotonic() + STATE_SECONDS
        yield from ()

    def _write_records(self, item: sync.Records, counter: Any) -> None:
        """Write the RECORDs of a reply: all at once where nothing is to be made of each."""
        alias = self._only_alias
        if alias is None or self.ABORT_AT_RECORD_COUNT is not None:
            for record in item.records:
                self._counted(counter)
                self._account(self._write_record(record, item.received), record)
            return
        if self.totals:
            self.totals.add(item.records)
        writer, count = self.tap.writer, len(item.records)
        strings = self._as_they_are and bool(self.config["use_singer_decimal"])
        lines = writer.serialize_records(alias, item.records, self._stream_version, item.received, strings=strings)
        item.records.clear()  # not held in memory as well while the target takes its time over the lines
        writer.write_lines(lines)
        self.messages += count
        self.tally.emitted += count
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
        self._begun = self.tap.spent()
        try:
            with self.get_record_counter() as counter, self.get_sync_timer():
                yield counter
            self._remember_fields()
            self.tally.check(f"{self.tap.connector.name}, {self.name}")
        finally:
            self.logger.info("%s: %s", self.name, self.tally)
            self._spent, self._begun = self.spent, None
            self._write_state_message()

    @property
    def spent(self) -> Spent:
        """What the stream has taken, so far or altogether: streams are read one after the other."""
        begun = self._begun  # read once: another thread may ask
        return self._spent if begun is None else self.tap.spent().since(begun)

    def _account(self, written: bool, record: Record) -> None:
        """Count what became of a record."""
        self.tally.emitted += written
        self.tally.filtered += not written
        if self.totals and written:
            self.totals.add((record,))

    def _remember_fields(self) -> None:
        """Put into the state which fields there are, for later runs to notice when one is not any more."""
        drift = self.tap.drift.get(self.name)
        if fields := drift and drift.fields():
            remembered: dict[str, Any] = self.tap_state.setdefault("fields", {})  # type: ignore[typeddict-item] # as the version
            remembered[self.name] = {name: list(two) for name, two in fields.items()}
            self.state_manager.is_flushed = False

    def write_again(self, source: sync.Source, entries: Iterable[Kept]) -> Iterator[tuple[Kept, str | None]]:
        """Write SCHEMA, and RECORDs of what is good now of the stream's entries in quarantine.

        Yields each entry, with what is still wrong with it (``None``: it has been written).
        """
        self._write_schema_message()
        shapers = self._shapers(quick=False)
        for kept in entries:
            try:
                record = sync.again(source, kept)
            except RecordError as error:
                yield kept, str(error)
            else:
                for shape in shapers:
                    shape(record)
                self._write_record(record, kept.time)
                yield kept, None

    def _write_record(self, record: Record, received: datetime) -> bool:
        """Write the RECORDs that stream maps make of a record; returns whether there are any."""
        written = False
        for alias, mapped in self._mapped(record):
            message = RecordMessage(alias, mapped, version=self._stream_version, time_extracted=received)
            self._tap.write_message(message)
            written = True
        self.state_manager.is_flushed = False
        return written

    def _mapped(self, record: Record) -> Iterator[tuple[str, Record]]:
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
        batches = _Batches(self, batch_config)
        with self._measured() as counter:
            for item in self._read():
                if isinstance(item, sync.Advance):
                    batches.cover(item)
                    continue
                for record in item.records:
                    self._counted(counter)
                    self._account(batches.add(record), record)
            batches.write()


class _Batches:
    """Records on their way into batch files, and the bookmarks to advance to once those are written."""

    def __init__(self, stream: ConnectorStream, config: BatchConfig) -> None:
        self.stream = stream
        self.config = config
        self.records: dict[str, list[Record]] = {}
        self.covered: dict[tuple[str, ...], sync.Advance] = {}

    def cover(self, item: sync.Advance) -> None:
        """Note how far the records given so far lead; of a partition the last word counts."""
        self.covered[tuple(item.partition.values())] = item

    def add(self, record: Record) -> bool:
        """Take a record, and write when there are enough of them; returns whether stream maps left anything of it."""
        taken = False
        for alias, mapped in self.stream._mapped(record):
            taken = True
            waiting = self.records.setdefault(alias, [])
            waiting.append(mapped)
            if len(waiting) >= self.config.batch_size:
                self.write()
        return taken

    def write(self) -> None:
        """Write what there is, and then the STATE that it leads to."""
        for alias, records in self.records.items():
            batcher = Batcher(self.stream.tap_name, alias, self.config)
            for manifest in batcher.get_batches(records=iter(records)):
                self.stream.tap.write_message(SDKBatchMessage(alias, self.config.encoding, manifest))
        self.records.clear()
        for item in self.covered.values():
            self.stream._advance(item)
        self.covered.clear()
        self.stream._write_state_message()


# --- tap ---------------------------------------------------------------------------------------------


class ConnectorTap(Tap):
    """A connector as singer-sdk wants it; ``tap_class`` makes the subclass of each."""

    connector: ClassVar[Connector]
    settings_schema: ClassVar[dict[str, Any]]
    message_writer_class = MessageWriter
    capabilities: ClassVar[list[Any]] = [
        capability for capability in Tap.capabilities if capability != TapCapabilities.ACTIVATE_VERSION
    ]

    @classproperty
    def package_name(cls) -> str:  # noqa: N805 - a property of the class
        """The distribution that brings the connector; looked up when a version is asked for, as that takes a while."""
        found = plugins.find().get(cls.connector.name)
        return found.package if found else "vendortap"

    def __init__(self, *, catalog: Any = None, **options: Any) -> None:
        self._shapes = shapes(self.connector)
        if isinstance(catalog, dict):
            check_catalog(catalog, self.connector, self._shapes)
        super().__init__(catalog=catalog, **options)

    def discover_streams(self) -> Sequence[ConnectorStream]:
        """Return the declared streams."""
        return [ConnectorStream(self, stream, self.shapes[stream.name]) for stream in self.connector.streams]

    def setup_mapper(self) -> None:
        """Set the stream maps up on what is selected, inside arrays too.

        Raises:
            ConfigError: the SDK cannot make a map of them.
        """
        try:
            self._mapper = PluginMapper(plugin_config=deepcopy(dict(self.config)), logger=self.logger)
            for stream in self.streams.values():
                # `--test` selects all streams after this
                schema = selected_schema(stream.schema, stream.mask) if stream.selected else stream.schema
                self._mapper.register_raw_stream_schema(stream.name, schema, stream.primary_keys)
        except (StreamMapConfigError, MapExpressionError, NotImplementedError, TypeError, ValueError) as error:
            raise ConfigError(f"the setting 'stream_maps' cannot be used: {error}") from None

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from a state, checked; the state written carries its version."""
        super().load_state(check_state(state))
        self.state["version"] = STATE_VERSION  # type: ignore[typeddict-unknown-key] # not in the SDK's type
        if "fields" in state:
            self.state["fields"] = state["fields"]  # type: ignore[typeddict-unknown-key] # likewise

    @cached_property
    def shapes(self) -> Mapping[str, Shape]:
        """The streams' shapes, as the settings have them."""
        if not self.config.get("keep_unknown"):
            return self._shapes
        return {name: with_unknown(shape) for name, shape in self._shapes.items()}

    @cached_property
    def quarantine(self) -> Quarantine | None:
        """The quarantine, where the operator named a folder for it.

        Raises:
            ConfigError: it is wanted, but cannot be used.
        """
        if self.config["on_bad_record"] == "fail" and not self.config.get("quarantine_dir"):
            return None
        from vendortap import quarantine  # here, as most runs need none

        return quarantine.of(self.connector.name, self.config)

    @cached_property
    def drift(self) -> Mapping[str, Drift]:
        """What is noticed of each stream; empty where the operator does not care."""
        return sync.watch(self.connector, self.config, self.shapes, self.client.redact, read_fields(self.state))

    @cached_property
    def extensions(self) -> hooks.Extensions:
        """What the installed plugins do in this run.

        Raises:
            ConfigError: the setting ``plugins`` names one that is not installed.
            PluginError: one cannot be used.
        """
        return hooks.extensions(self.connector, self.config, {name: s.record for name, s in self.shapes.items()})

    @cached_property
    def client(self) -> Client:
        """The connector's connection, made when it is first needed."""
        from vendortap.connect import connect  # here, as --discover and --about need no connection

        observe = self.telemetry.request if self.telemetry else None
        return connect(self.connector, self.config, self.settings_schema, observe)

    @cached_property
    def telemetry(self) -> Telemetry | None:
        """What tells OpenTelemetry of this run, where the environment asks for it."""
        if not any(name.startswith("OTEL_") for name in os.environ):
            return None
        from vendortap import telemetry  # here, as most runs need none of it

        return telemetry.of_environment(self.connector.name)

    @property
    def traffic(self) -> Traffic:
        """What the connection did so far."""
        return self.client.traffic

    @property
    def writer(self) -> MessageWriter:
        """The writer of messages."""
        assert isinstance(self.message_writer, MessageWriter)  # noqa: S101 - see message_writer_class
        return self.message_writer

    def source(self, *, structs: bool = False) -> sync.Source:
        """Return what the pipeline reads from."""
        return sync.Source(
            self.connector,
            self.config,
            self.client.send,
            self.shapes,
            structs=structs,
            redact=self.client.redact,
            max_depth=self.config["max_depth"],
            quarantine=self.quarantine,
            drift=self.drift,
            extensions=self.extensions,
            telemetry=self.telemetry,
        )

    def replay(self, entries: Iterable[Kept]) -> Iterator[tuple[Kept, str | None]]:
        """Write SCHEMA and RECORD messages of what is good now of a quarantine's entries, stream by stream.

        Yields each entry, with why it is not written, if it is not.
        """
        source = replace(self.source(), quarantine=None, drift={})
        waiting: dict[str, list[Kept]] = {}
        for kept in entries:
            waiting.setdefault(kept.stream, []).append(kept)
        for name, of_stream in waiting.items():
            stream = self.streams.get(name)
            if isinstance(stream, ConnectorStream) and stream.selected:
                yield from stream.write_again(source, of_stream)
            else:
                yield from ((kept, "its stream is not selected") for kept in of_stream)

    def spent(self) -> Spent:
        """Return what has been taken so far, by a clock that began at any time."""
        traffic = self.traffic
        return Spent(traffic.requests, traffic.retries, traffic.waited_seconds, traffic.bytes, time.monotonic())

    def told(self) -> report.Report:
        """Return what the run is told of how far the tap is; any thread may ask, once the sync may begin."""
        traffic = self.traffic
        return {
            "requests": traffic.requests,
            "retries": traffic.retries,
            "waiting": traffic.waiting,
            "waited_seconds": round(traffic.waited_seconds, 3),
            "bytes": traffic.bytes,
            "latencies": list(traffic.latencies),
            "drift": [asdict(event) for drift in self.drift.values() for event in list(drift.events)],
            "streams": {
                name: {
                    "fetched": stream.tally.fetched,
                    "records": stream.tally.emitted,
                    "filtered": stream.tally.filtered,
                    "quarantined": stream.tally.quarantined,
                    "skipped": stream.tally.skipped,
                    "known": stream.tally.known,
                    "repeated": stream.tally.repeated,
                    "missing": stream.tally.missing,
                    "units": stream.tally.units,
                    "expected": stream.tally.expected,
                    **stream.spent.told(),
                    "totals": stream.totals.told() if stream.totals else [],
                }
                for name, stream in self.streams.items()
                if isinstance(stream, ConnectorStream) and stream.selected
            },
        }

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Check the settings, values never shown, and fill the defaults in.

        Of the SDK's own settings only the type is checked here; a part of their schemas is no schema. What is
        wrong inside them shows when they are used.
        """
        self._config = schemas.with_defaults(self._config, self.settings_schema)
        if raise_errors:
            builtin = {name: {"type": s["type"]} for name, s in self.config_jsonschema["properties"].items()}
            properties = {**builtin, **self.settings_schema["properties"]}
            schemas.check_config(self._config, {**self.settings_schema, "properties": properties}, self.name)
        return []

    @classproperty
    def _env_var_config(cls) -> dict[str, Any]:  # noqa: N805 - a property of the class
        """Return the settings that the environment gives; all but texts are JSON there.

        The SDK's own reading knows no numbers with a fraction, and shows a value that it cannot read.
        """
        properties = cls.config_jsonschema["properties"]
        as_texts = {"properties": {name: {"type": "string"} for name in properties}}
        texts = parse_environment_config(as_texts, cls._env_var_prefix)
        return {name: _from_environment(text, properties[name]) for name, text in texts.items()}

    def _handle_termination(self, signum: int, frame: Any) -> None:
        """End; what is written is flushed, and STATE follows from where the stream stands."""
        del frame
        self.writer.end(128 + signum)

    @classmethod
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> Any:
        """Read the config files, each of which has to be a JSON object, once: one may be a pipe."""
        given = super().cb_config(ctx, param, tuple(name for name in value if name == "ENV"))
        for name in value:
            if name != "ENV":
                given.config |= read_json(name, ConfigError, f"{cls.name}: the config file {name}")
        return given

    @classmethod
    def invoke(  # type: ignore[override] # as the SDK itself does
        cls,
        *,
        about: bool = False,
        about_format: str | None = None,
        config: Any = None,
        state: IO[str] | None = None,
        catalog: IO[str] | None = None,
    ) -> None:
        """Run the tap: the files were named on the command line."""
        if about:
            cls.print_about(about_format)
            return
        tap = cls(
            config=config.config,
            parse_env_config=config.parse_env,
            catalog=catalog and parse_json(catalog.read(), CatalogError, f"{cls.name}: the catalog {catalog.name}"),
            state=state and _given_state(state, cls.name),
        )
        redact = tap.client.redact
        tap.drift  # noqa: B018 - made before another thread asks for it
        for handler in logging.getLogger().handlers:
            handler.addFilter(_Blanked(redact))
        with report.telling(tap.told):
            try:
                tap.sync_all()
            except VendortapError as error:
                error.args = (redact.blank(str(error)), *error.args[1:])
                raise
            except BrokenPipeError:  # here, as click would end the program without a word
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter complains when it flushes
                raise VendortapError("the target closed the pipe; its own messages say why") from None
            finally:
                if tap.telemetry:
                    tap.telemetry.close(hurried=isinstance(sys.exc_info()[1], SystemExit))


def tap_class(connector: Connector) -> type[ConnectorTap]:
    """Return the Singer tap of a connector.

    Raises:
        DeclarationError: see vendortap.declaration.
    """
    schema = settings(connector)
    members: dict[str, Any] = {
        "__doc__": f"{connector.title}: {connector.docs}",
        "name": f"tap-{connector.name}",
        "connector": connector,
        "settings_schema": schema,
        "config_jsonschema": {**schema, "properties": dict(schema["properties"])},
    }
    ConnectorTap.append_builtin_config(members["config_jsonschema"])
    return type(f"Tap{connector.name.title().replace('-', '')}", (ConnectorTap,), members)


def _from_environment(text: str, setting: Mapping[str, Any]) -> Any:
    """Return a setting's value; what cannot be read stays a text, and is refused with the setting's name."""
    if "string" in setting.get("type", ()):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _given_state(file: IO[str], name: str) -> dict[str, Any]:
    """Return the state in a file.

    Raises:
        StateError: it is not one; says what to give instead.
    """
    what = f"the state {file.name}"
    try:
        return check_state(parse_json(file.read(), StateError, what))
    except UnicodeDecodeError:
        why = f"{what} is not UTF-8 text"
    except StateError as error:
        why = str(error)
    raise StateError(
        f"{name}: {why}. {way_back(Path(file.name))}Give the state that the last run wrote; without --state "
        "everything is fetched again"
    )


# --- catalogs ----------------------------------------------------------------------------------------


def catalog(connector: Connector) -> dict[str, Any]:
    """Return the connector's Singer catalog, everything selected by default."""
    tap = tap_class(connector)(validate_config=False, setup_mapper=False)
    return tap.catalog_dict


def catalog_entry(connector: Connector) -> dict[str, Any]:
    """Return what `catalog.json` says of a first-party connector."""
    return {
        "title": connector.title,
        "executable": f"tap-{connector.name}",
        "capabilities": [str(capability.value) for capability in ConnectorTap.capabilities],
        "catalog": catalog(connector),
    }


def environment(connector: Connector) -> dict[str, Any]:
    """Return the settings that the environment gives, as the SDK reads them: TAP_<CONNECTOR>_<SETTING>."""
    config: dict[str, Any] = tap_class(connector)._env_var_config
    return config


def check_catalog(document: Any, connector: Connector, known: Mapping[str, Shape]) -> None:
    """Hold a catalog against what the connector has.

    Raises:
        CatalogError: not a catalog, or a stream or field that the connector does not have.
    """
    again = f"`tap-{connector.name} --discover` prints a catalog that fits."
    entries = document.get("streams") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise CatalogError(f"the catalog has no list 'streams'. {again}")
    for entry in entries:
        name = entry.get("tap_stream_id")
        if not isinstance(name, str) or name not in known:
            raise CatalogError(f"the catalog has a stream {name!r}, which {connector.name} does not. {again}")
        crumbs = {*_inner_crumbs(known[name].record), ("properties", UNKNOWN)}
        for crumb in _catalog_crumbs(entry, name):
            if crumb and crumb not in crumbs:
                field = ".".join(part for part in crumb if part not in ("properties", "items"))
                raise CatalogError(
                    f"the catalog has a field {field!r} in {name!r}, which {connector.name} does not. {again}"
                )


def _catalog_crumbs(entry: Mapping[str, Any], name: str) -> Iterator[tuple[str, ...]]:
    try:
        for item in entry.get("metadata", ()):
            crumb = msgspec.convert(item["breadcrumb"], tuple[str, ...])
            if not isinstance(item["metadata"], dict):
                raise TypeError
            if crumb[-1:] != ("items",):
                yield crumb
        for field in entry.get("schema", {}).get("properties", {}):
            yield ("properties", field)
    except (AttributeError, KeyError, TypeError, msgspec.ValidationError):
        raise CatalogError(
            f"the catalog's entry of {name!r} cannot be read: 'metadata' has to be a list of breadcrumb and "
            "metadata, 'schema' an object. `--discover` prints a catalog that fits."
        ) from None


# --- command line ------------------------------------------------------------------------------------


class _NotTwice(logging.Filter):
    """Drops the SDK's line about an unhandled error: the error itself follows, in a sentence."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith("An unhandled error occurred while syncing")


class _Blanked(logging.Filter):
    """Blanks secrets out of whatever anybody logs, and out of tracebacks everything that may be data."""

    def __init__(self, redact: Redactor) -> None:
        super().__init__()
        self._redact = redact

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._redact.blank(record.getMessage()), None
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            record.exc_info, record.exc_text = None, unexpected(error)
        return True


def _is_no_debugging(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG


logging.getLogger("singer_sdk.mapper").addFilter(_is_no_debugging)  # at DEBUG it logs what filters make of records


def run_tap(name: str, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the tap of an installed connector as a command, and end the process.

    Exit codes: 0 done, 1 failed, 2 bad usage or config, 128 + n ended by signal n.
    """
    gc.freeze()  # what is imported by now stays; and records come by the thousand and hold no cycles
    gc.set_threshold(5_000, 20, 20)  # but lxml's parsers do, one for each large page
    sys.exit(_run_tap(name, arguments))


def _run_tap(name: str, arguments: Sequence[str] | None) -> int:
    command_name = f"tap-{name}"
    lifeline.follow()
    try:
        command = tap_class(plugins.load(name)).cli
        logs.set_up()
        for handler in logging.getLogger().handlers:
            handler.addFilter(_NotTwice())
        result = command.main(args=arguments, prog_name=command_name, standalone_mode=False)
        return result if isinstance(result, int) else 0
    except VendortapError as error:
        return _fail(command_name, str(error), error.exit_code)
    except click.ClickException as error:
        error.show()
        return UsageError.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 128 + signal.SIGINT
    except OSError as error:
        return _fail(command_name, f"the system refuses a file: {error}", 1)
    except Exception as error:  # noqa: BLE001 - a defect, whose own text may hold data
        return _fail(command_name, unexpected(error), 1)


def _fail(command: str, sentence: str, code: int) -> int:
    logs.say(f"{command}: error: {sentence}", "error")
    return code


if __name__ == "__main__":
    run_tap(sys.argv[1], sys.argv[2:])
