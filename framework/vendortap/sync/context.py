"""What the pipeline is given, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, TypeAlias

from vendortap.declare.model import Bookmark, Config, Connector, Record, RecordSelector, Send, Slice, Stream
from vendortap.decode.drift import Drift, Fields
from vendortap.decode.pages import prefix
from vendortap.decode.reader import Reader
from vendortap.decode.values import dates
from vendortap.decode.xml_tree import DEEPEST
from vendortap.errors import VendortapError
from vendortap.plugins.extensions import Extensions
from vendortap.plugins.validation import Shape
from vendortap.support.redact import Redactor, shown_name, without_secrets
from vendortap.sync.documents import companion_names

if TYPE_CHECKING:
    from vendortap.sync.quarantine import Quarantine, QuarantineEntry
    from vendortap.sync.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Records:
    """Some records of one reply, in order; ``received`` is when the reply arrived.

    ``safe_until`` is up to when the slice can be relied on to show every change. ``invalid`` are those of the records,
    by index, that do not fit their schema; they are never handed on. ``is_other`` says that one of these is not what
    was asked for, so that no bookmark may move past it. ``conflicts`` are keys that several records have which differ.
    ``more`` says that another page may follow. Whoever is handed the list may empty it: nobody else needs it, and it
    is most of the memory of a run.
    """

    records: list[Record]
    received: datetime
    safe_until: datetime
    invalid: Mapping[int, QuarantineEntry] = field(default_factory=dict)
    conflicts: Sequence[str] = ()
    more: bool = True
    is_other: bool = False


@dataclass(frozen=True, slots=True)
class BookmarkUpdate:
    """Everything of a partition up to this bookmark has been handed on."""

    partition: Mapping[str, str]
    bookmark: Bookmark


Reading: TypeAlias = Generator[Records | BookmarkUpdate, None, None]
"""What a stream gives, in order."""


@dataclass(slots=True)
class SyncContext:
    """All that the pipeline needs of its surroundings to read streams of one connector.

    ``redact`` blanks out
    secrets in what a vendor says under HTTP 200. ``max_depth`` is how many levels a reply may be nested. ``now`` is
    this machine's clock, which nothing rests on but where the last window ends: how far a bookmark may move is told by
    the vendor's clock. ``extensions`` are what plugins bring, ``telemetry`` tells OpenTelemetry.
    """

    connector: Connector
    config: Config
    send: Send
    shapes: Mapping[str, Shape]
    redact: Redactor = field(default_factory=Redactor)
    max_depth: int = DEEPEST
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    quarantine: Quarantine | None = None
    drift: Mapping[str, Drift] = field(default_factory=dict)
    extensions: Extensions = field(default_factory=Extensions)
    telemetry: Telemetry | None = None

    @property
    def stops(self) -> bool:
        """Whether the first record that does not fit is an error."""
        return self.quarantine is None or self.config.get("on_bad_record") != "quarantine"

    @property
    def zone(self) -> tzinfo:
        """The vendor's time zone."""
        return dates(self.connector.zone(self.config), None).zone

    def reader(self, stream: Stream) -> Reader:
        """Return a reader of the stream's replies, with the connector's way of writing dates."""
        zone, pattern = self.connector.zone(self.config), self.connector.date_format(self.config)
        return Reader(
            self.shapes[stream.name].row,
            record_selector_of(stream, self.config),
            stream.keys,
            dates(zone, pattern),
            max_depth=self.max_depth,
            drift=self.drift.get(stream.name),
            keep_unknown=bool(self.config.get("keep_unknown")),
        )


def record_selector_of(stream: Stream, config: Config) -> RecordSelector:
    """Return where a stream's records are inside a reply, by these settings."""
    declared = stream.record_selector
    found: RecordSelector = declared if isinstance(declared, RecordSelector) else declared(config)
    return found


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
        selector = record_selector_of(stream, config)
        watched[stream.name] = Drift(
            connector.name,
            stream.name,
            shapes[stream.name].row,
            prefix=prefix(selector) + ("[]" if selector.many else ""),
            exempt=(stream.document, *companion_names(stream.document)) if stream.document else (),
            fail=config["on_drift"] == "fail",
            redact=redact,
            remembered=remembered.get(stream.name),
        )
    return watched


def named(error: VendortapError, context: SyncContext, stream: Stream, slice_: Slice) -> VendortapError:
    """Say who and where, in front of what the lower floors said."""
    key = (stream.parent.param,) if stream.parent else ()
    told = {*slice_.partition, *key, *(stream.plan.windows.params if stream.plan.windows else ())}
    where = ", ".join(f"{k.replace('_', ' ')} {shown_name(v)}" for k, v in slice_.params.items() if k in told)
    named_one = f"{context.connector.name}, {stream.name}{f' ({where})' if where else ''}: {error}"
    return without_secrets(type(error)(named_one))
