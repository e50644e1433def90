"""Vendors' records in a Python program: ``vendortap.read`` and ``vendortap.read_arrow``, without Singer around them.

What is read, its order, and the state are those of the tap, so that the one can go on where the other stopped.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from itertools import filterfalse
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from vendortap.declare.model import UNKNOWN, Bookmark, Config, Connector, Node, Record, Stream
from vendortap.decode import json as json_format
from vendortap.decode import schemas
from vendortap.decode.structs import as_dict, has_plain_names
from vendortap.embed.arrow import Holds, arrow_schema, to_batch, unfit
from vendortap.errors import ConfigError, RecordError, VendortapError
from vendortap.http.connect import connect
from vendortap.plugins import extensions, host
from vendortap.plugins.validation import is_usual, settings, shapes, with_unknown
from vendortap.support.redact import without_secrets
from vendortap.sync import context, quarantine, reading, telemetry
from vendortap.sync.context import Records, SyncContext
from vendortap.sync.counters import Counters
from vendortap.sync.failures import combined
from vendortap.sync.open_items import OpenItems
from vendortap.sync.owner import adopt, hash_secret, owner_of
from vendortap.sync.state import State, advance, check_state, find_entry, make_entry, read_bookmark, read_fields

if TYPE_CHECKING:
    import pyarrow as pa

Item = TypeVar("Item")


log = logging.getLogger("vendortap.embed")

BATCH_BYTES = 4 << 20
"""A batch has about so many bytes of JSON at the most."""


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """One record of a stream; ``received`` is when the vendor's answer arrived, aware UTC.

    Values are str, bool, int, Decimal, aware datetime, date, None, and dicts and lists of these.
    """

    stream: str
    record: dict[str, Any]
    received: datetime


@dataclass(frozen=True, slots=True)
class StreamState:
    """How far a stream has been read: everything that came before this is covered by it.

    ``state`` is the state of all streams. Store it when what came before it is stored, and give it to the next
    ``read``, or to the tap as ``--state``.
    """

    stream: str
    state: State


@dataclass(frozen=True, slots=True)
class StreamBatch:
    """Records of one stream as an Arrow batch."""

    stream: str
    batch: pa.RecordBatch


def read(
    connector: str,
    config: Mapping[str, Any],
    *,
    streams: Iterable[str] | None = None,
    state: Mapping[str, Any] | None = None,
) -> Generator[StreamRecord | StreamState, None, None]:
    """Read streams of an installed connector, one after the other.

    Args:
        connector: its name, as in ``vendortap list``.
        config: its settings, as in ``vendortap describe``.
        streams: which ones; default: all that are selected by default.
        state: where to go on from; default: the beginning.

    Yields:
        Records, and after the records it covers each state. Closing the generator stops what is under way.

    Raises:
        PluginError: there is no such connector, or it cannot be used.
        ConfigError: a setting or a stream's name is wrong.
        StateError: the state is not one.
        VendorError: what the vendor answers cannot be used; all before it has been yielded, and where a document or a
            partition failed alone, all others.
    """
    with closing(_Reading(connector, config, streams, state)) as reading:
        for stream in reading.streams:
            for item in reading.items(stream):
                if isinstance(item, StreamState):
                    yield item
                else:
                    yield from (StreamRecord(stream.name, as_dict(record), item.received) for record in item.records)
        reading.hold_complete()


def read_arrow(
    connector: str,
    config: Mapping[str, Any],
    *,
    streams: Iterable[str] | None = None,
    state: Mapping[str, Any] | None = None,
    batch_size: int = 10_000,
    decimal: tuple[int, int] = (38, 9),
) -> Generator[StreamBatch | StreamState, None, None]:
    """Read streams as Arrow batches, which DuckDB, Polars and pandas take as they are. Needs ``vendortap[arrow]``.

    Args:
        connector: as for ``read``, like ``config``, ``streams`` and ``state``.
        config: see ``read``.
        streams: see ``read``.
        state: see ``read``.
        batch_size: a batch has about so many records, or fewer where they are large.
        decimal: precision and scale of amounts (vendortap.embed.arrow has all types).

    Yields:
        Batches, and states after the batches they cover. Where the stream fails, first what came before. The memory
        that it takes does not depend on ``batch_size``: batches are cut by bytes as well.

    Raises:
        RecordError: a value that its column cannot hold exactly.
        VendortapError: whatever ``read`` raises; or pyarrow is not installed.
    """
    with closing(_Reading(connector, config, streams, state)) as reading:
        for stream in reading.streams:
            yield from _batches(reading, stream, batch_size, decimal)
        reading.hold_complete()


def _batches(
    reading: _Reading, stream: Stream, size: int, decimal: tuple[int, int]
) -> Iterator[StreamBatch | StreamState]:
    node = reading.shapes[stream.name].record
    batches = _Batches(reading, stream, size, decimal)
    failed: list[VendortapError] = []
    for item in _until_failure(reading.items(stream), failed):
        if isinstance(item, StreamState):
            batches.covered = item
            continue
        for record in _writable(item.records, node):
            if batches.add(record):
                yield from batches.flush()
    yield from batches.flush()
    for error in failed:
        raise error


class _Batches:
    """Records on their way into a batch, and the state to yield behind it."""

    def __init__(self, reading: _Reading, stream: Stream, size: int, decimal: tuple[int, int]) -> None:
        self.covered: StreamState | None = None
        self._who, self._stream, self._size = f"{reading.connector.name}, {stream.name}", stream, size
        self._node = reading.shapes[stream.name].record
        self._schema, self._holds = arrow_schema(self._node, *decimal), Holds(self._node, *decimal)
        self._lines, self._count = bytearray(), 0
        self._fit = True

    def add(self, record: Any) -> bool:
        """Take a record; returns whether there are enough for a batch."""
        self._fit = self._fit and self._holds((record,))
        _encode_into(record, self._lines, -1)
        self._lines += b"\n"
        self._count += 1
        return self._count >= self._size or len(self._lines) >= BATCH_BYTES

    def flush(self) -> Iterator[StreamBatch | StreamState]:
        """Yield what there is, and the state that covers it."""
        if self._count:
            yield StreamBatch(self._stream.name, self._batch())
        if self.covered:
            yield self.covered
        self._lines.clear()
        self._count, self.covered = 0, None

    def _batch(self) -> pa.RecordBatch:
        try:
            if not self._fit:
                raise ValueError("an amount does not fit")
            return to_batch(self._lines, self._schema)
        except ValueError:  # pyarrow's own errors are
            if (error := unfit(self._lines, self._node, self._schema, self._stream.keys)) is None:
                raise
            raise RecordError(f"{self._who}: {error}") from None


_encode_into = msgspec.json.Encoder(decimal_format="number").encode_into


def _writable(records: Sequence[Record], node: Node) -> Iterable[Any]:
    """Return records as they can be written: what is not declared has no type in Arrow, and becomes JSON text."""
    if UNKNOWN in node.fields:
        for record in records:
            record[UNKNOWN] = record[UNKNOWN] and json_format.dumps(record[UNKNOWN]).decode()
    return records if has_plain_names(node) else map(as_dict, records)


def _until_failure(items: Iterator[Item], failed: list[VendortapError]) -> Iterator[Item]:
    """Yield items until getting one fails; what came before is whole, and is handed on before the error is raised."""
    try:
        yield from items
    except VendortapError as error:
        failed.append(error)


class _Reading:
    """A connector with checked settings and state, and its connection."""

    def __init__(
        self,
        connector: str,
        config: Mapping[str, Any],
        streams: Iterable[str] | None,
        state: Mapping[str, Any] | None,
    ) -> None:
        self.connector = host.load(connector)
        schema = settings(self.connector)
        self._failures: list[VendortapError] = []
        self._config = schemas.with_defaults(config, schema)
        schemas.check_config(self._config, schema, connector)
        self.streams = _chosen(self.connector, self._config, streams)
        self._state = check_state(dict(state or {}))
        self.shapes = shapes(self.connector)
        if self._config["keep_unknown"]:
            self.shapes = {name: with_unknown(shape) for name, shape in self.shapes.items()}
        incremental = [stream for stream in self.streams if stream.replication_key is not None]
        owner = owner_of(self.connector, self._config, schema)
        for warning in adopt(self._state, owner, incremental, self._config, schema):
            log.warning(warning)
        kept = quarantine.of(self.connector, self._config)
        records = {name: shape.record for name, shape in self.shapes.items()}
        loaded = extensions.extensions(self.connector, self._config, records)
        told = telemetry.of_program(connector)
        self._hash_secret = hash_secret(self.connector, self._config, schema)
        self._client = connect(self.connector, self._config, schema, observe=told.request if told else None)
        redact = self._client.redact
        self._source = SyncContext(
            self.connector,
            self._config,
            self._client.send,
            self.shapes,
            redact=redact,
            quarantine=kept,
            drift=context.watch(self.connector, self._config, self.shapes, redact, read_fields(self._state)),
            max_depth=self._config["max_depth"],
            extensions=loaded,
            telemetry=told,
        )

    def close(self) -> None:
        """Stop what is under way and let go of the connections."""
        self._client.close()

    def items(self, stream: Stream) -> Iterator[Records | StreamState]:
        """Yield the pages of a stream, and states after the pages they cover."""

        def bookmark(partition: Mapping[str, str]) -> Bookmark | None:
            if stream.replication_key is None:
                return None
            return read_bookmark(stream.name, find_entry(self._state, stream.name, partition) or {})

        counters = Counters()
        entry = make_entry(self._state, stream.name, {})
        open_items = OpenItems(entry, closed=self._config["closed_items"], secret=self._hash_secret)
        with closing(reading.read(self._source, stream, bookmark, counters, open_items)) as items:
            try:
                for item in items:
                    if isinstance(item, Records):
                        counters.emitted += len(item.records)
                        yield item
                    else:
                        advance(self._state, stream.name, stream.replication_key, item.partition, item.bookmark)
                        yield StreamState(stream.name, deepcopy(self._state))
            except VendortapError as error:
                if not without_secrets(error).is_last:
                    raise
                self._failures.append(error)
        if open_items.is_changed:
            yield StreamState(stream.name, deepcopy(self._state))
        counters.check(f"{self.connector.name}, {stream.name}")

    def hold_complete(self) -> None:
        """Raise what could not be read, once all streams have been.

        Raises:
            VendortapError: some documents or partitions could not be read; everything else has been.
        """
        if self._failures:
            head = f"{self.connector.name}: {len(self._failures)} streams have failures."
            raise combined(self._failures, head, len(self._failures))


def _chosen(connector: Connector, config: Config, names: Iterable[str] | None) -> list[Stream]:
    if names is None:
        return [stream for stream in connector.streams if is_usual(stream, config)]
    known, wanted = {stream.name: stream for stream in connector.streams}, list(dict.fromkeys(names))
    for name in filterfalse(known.__contains__, wanted):
        raise ConfigError(f"{connector.name} has no stream {name!r}; it has {', '.join(known)}")
    return [known[name] for name in wanted]
