"""A connector under test: the server that it runs against, and runs of its tap in this process, everything kept."""

from __future__ import annotations

import io
import json
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from copy import deepcopy
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from vendortap.declare.model import Config, Connector, Stream
from vendortap.decode import schemas
from vendortap.decode.structs import as_dict
from vendortap.errors import VendortapError
from vendortap.plugins import validation
from vendortap.sandbox import faults, serve
from vendortap.singer.tap import ConnectorTap, tap_class
from vendortap.support.extras import require
from vendortap.support.redact import unexpected
from vendortap.sync import reading
from vendortap.sync.context import Records
from vendortap.sync.counters import Counters
from vendortap.testing import replaying, tape

T = TypeVar("T")
Message = dict[str, Any]
Key = tuple[Any, ...]
Crumb = tuple[str, ...]

PATIENCE: Mapping[str, Any] = {
    "timeout_seconds": 5,
    "reply_seconds": 10,
    "retry_seconds": 20,
    "requests_per_second": None,
    "concurrency": 4,
}
"""Settings under which nothing waits for long."""
PAGE_SIZE = 7
"""What a setting ``page_size`` is set to, so that lists have several pages."""


class NotApplicable(Exception):
    """A check has nothing to hold this connector to; says why."""


class Asked(NamedTuple):
    """A request as it arrived: header names in lower case, ``at`` in seconds of the monotonic clock."""

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    at: float

    @property
    def what(self) -> tuple[str, str, str, bytes]:
        """What was asked for, whoever asked, whenever."""
        return self.method, self.path, self.query, self.body


Change = Callable[[Asked, faults.Answer], faults.Answer]
"""Makes another answer of one."""


class Front:
    """An ASGI application before the vendor's: ``asked`` is what arrived, ``change`` makes other answers."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.asked: list[Asked] = []
        self.change: Change | None = None

    async def __call__(self, scope: faults.Scope, receive: faults.Receive, send: faults.Send) -> None:
        """Note a request, and pass it on."""
        body = await faults.read_body(receive)
        headers = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"])
        query = scope["query_string"].decode()
        asked = Asked(scope["method"], scope["path"], query, headers, body, time.monotonic())
        self.asked.append(asked)
        receive = faults.again(body, receive)
        if self.change is None:
            await self.app(scope, receive, send)
            return
        plain = [(name, value) for name, value in scope["headers"] if name.lower() != b"accept-encoding"]
        answer = self.change(asked, await faults.collected(self.app, {**scope, "headers": plain}, receive))
        await faults.Exchange(self.app, scope, receive, send, None).whole(answer)


@dataclass(frozen=True)
class Run:
    """A run of a tap: what it wrote, what it asked, and how it ended.

    ``log`` is what reached standard error, secrets blanked where the tap's command blanks them. ``error`` is what
    ended it (``None``: it came to its end), ``complaint`` the sentence that its command ends with.
    """

    stdout: bytes
    log: str
    error: Exception | None
    complaint: str
    asked: Sequence[Asked]
    messages: Sequence[Message] = field(init=False)

    def __post_init__(self) -> None:
        try:
            lines = [json.loads(line, parse_float=Decimal) for line in self.stdout.splitlines()]
        except ValueError:
            raise AssertionError("standard output has a line that is no Singer message: nothing may print") from None
        object.__setattr__(self, "messages", lines)

    @property
    def written(self) -> str:
        """Everything that anybody can read of it."""
        return f"{self.stdout.decode()}\n{self.log}\n{self.complaint}"

    def of(self, kind: str, stream: str | None = None) -> list[Message]:
        """The messages of a type, of one stream or of all."""
        return [m for m in self.messages if m["type"] == kind and stream in (None, m.get("stream"))]

    def told(self, stream: str, sentence: str) -> bool:
        """Whether a line of the log is about a stream, and says this."""
        return any(f", {stream}: " in line and sentence in line for line in self.log.splitlines())

    def records(self, stream: str) -> list[dict[str, Any]]:
        """The records of a stream, as they were written."""
        return [message["record"] for message in self.of("RECORD", stream)]

    @property
    def state(self) -> Any:
        """The last state; ``None`` where there was none."""
        states = self.of("STATE")
        return states[-1]["value"] if states else None

    def covered(self, stream: str) -> list[dict[str, Any]]:
        """The records that a target has for certain: all, or after an error those before the last state."""
        states = [n for n, message in enumerate(self.messages) if message["type"] == "STATE"]
        last = (states[-1] if states else 0) if self.error else len(self.messages)
        return [m["record"] for m in self.messages[:last] if m["type"] == "RECORD" and m["stream"] == stream]


@dataclass(repr=False)
class Harness:
    """A connector, and a server that runs for it. Runs that several checks need are kept.

    ``tap`` is the class of its tap. ``recorded`` says that the server replays a recording. ``unlike`` are
    the properties, by stream (``lines[].id``), that the vendor has in one of its formats only.
    """

    connector: Connector
    config: Mapping[str, Any]
    front: Front
    vendor: faults.Faulty
    recorded: bool = False
    unlike: Mapping[str, Iterable[str]] = field(default_factory=dict)
    tap: type[ConnectorTap] = field(init=False)
    _kept: dict[Any, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with signals():
            self.tap = tap_class(self.connector)

    # --- what there is to check ---

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """The settings' schemas by name."""
        properties: Mapping[str, Any] = validation.settings(self.connector)["properties"]
        return properties

    @cached_property
    def filled(self) -> Config:
        """The settings with their defaults."""
        return schemas.with_defaults(self.config, {"properties": self.settings})

    @cached_property
    def shapes(self) -> Mapping[str, validation.Shape]:
        """The streams' compiled schemas."""
        return validation.shapes(self.connector)

    @property
    def formats(self) -> tuple[str | None, ...]:
        """What the connector can ask for: the choices of its setting ``format``, if it has one."""
        return formats(self.settings)

    @property
    def streams(self) -> tuple[str, ...]:
        """The names of its streams."""
        return tuple(stream.name for stream in self.connector.streams)

    def _extra(self, catalog: Mapping[str, Any]) -> dict[str, Any]:
        """The setting that names the streams which a catalog selects and cannot select alone."""
        extra = [
            entry["tap_stream_id"]
            for entry in catalog["streams"]
            if not self.connector.stream(entry["tap_stream_id"]).selected_by_default
            if any(item["metadata"].get("selected") for item in entry["metadata"] if not item["breadcrumb"])
        ]
        return {validation.EXTRA_STREAMS: extra} if extra else {}

    # --- runs ---

    def run(
        self, *, state: Any = None, catalog: Any = None, streams: Sequence[str] | None = None, **settings: Any
    ) -> Run:
        """Run the tap in this process: all streams, unless a catalog or ``streams`` say which."""
        catalog = catalog or self.catalog(streams or self.streams)
        config = {**self.config, **self._extra(catalog), **settings}
        others = set(threading.enumerate())
        begun = len(self.front.asked)
        captured = _Captured()
        with signals(), captured.all():
            error = self._sync(config, state, catalog, captured)
            for thread in set(threading.enumerate()) - others:
                thread.join()  # what a run that broke off has still under way would be taken for the next one's
        complaint = _complaint(error, captured.blank)
        return Run(captured.stdout.getvalue(), captured.text(), error, complaint, self.front.asked[begun:])

    def _sync(self, config: Mapping[str, Any], state: Any, catalog: Any, captured: _Captured) -> Exception | None:
        try:
            tap = self.tap(config=dict(config), state=deepcopy(state), catalog=catalog)  # it goes on in the very state
            captured.blank = tap.client.redact.blank
            with closing(tap.client):
                tap.sync_all()
        except Exception as error:  # noqa: BLE001 - whatever a connector raises is what is looked at
            return error
        return None

    def full(self, form: str | None = None) -> Run:
        """A full run of all streams; ``form`` is what it asks for, the first of the formats by default."""
        form = form or self.formats[0]
        return self.once(("full", form), lambda: self.run(**self.asking(form)))

    def alone(self, stream: str, form: str | None = None) -> Run:
        """A full run of one stream."""
        form = form or self.formats[0]
        return self.once(("alone", stream, form), lambda: self.run(streams=[stream], **self.asking(form)))

    def typed(self, stream: Stream) -> list[dict[str, Any]]:
        """The records of a full run before Singer makes text of them."""

        def records() -> list[dict[str, Any]]:
            with signals(), _Captured().all():
                tap = self.tap(config=dict(self.config))
                with closing(tap.client), closing(_items(tap, stream)) as items:
                    return [as_dict(record) for item in items if isinstance(item, Records) for record in item.records]

        return self.once(("typed", stream.name), records)

    def once(self, name: Any, make: Callable[[], T]) -> T:
        """Return what was made under this name, or make it."""
        if name not in self._kept:
            self._kept[name] = make()
        made: T = self._kept[name]
        return made

    # --- what goes wrong ---

    @contextmanager
    def misbehaving(self, *texts: str) -> Iterator[None]:
        """Have the vendor do this (``faults.fault``) while the context lasts; requests count from 1."""
        self.vendor.order(*texts)
        try:
            yield
        finally:
            self.vendor.order()

    @contextmanager
    def changing(self, change: Change) -> Iterator[None]:
        """Have other answers than the vendor's come while the context lasts."""
        self.front.change = change
        try:
            yield
        finally:
            self.front.change = None

    @staticmethod
    def asking(form: str | None) -> dict[str, Any]:
        """The setting that asks for a format."""
        return {"format": form} if form else {}

    # --- catalogs ---

    @cached_property
    def discovered(self) -> dict[str, Any]:
        """The catalog of discovery."""
        with signals():
            tap = self.tap(validate_config=False, setup_mapper=False)
        document: dict[str, Any] = json.loads(json.dumps(tap.catalog_dict))
        return document

    def catalog(self, streams: Iterable[str], deselect: Mapping[str, Iterable[Crumb]] | None = None) -> dict[str, Any]:
        """The discovered catalog with these streams selected, and without these properties of theirs."""
        wanted = set(streams)
        document: dict[str, Any] = json.loads(json.dumps(self.discovered))
        for entry in document["streams"]:
            name = entry["tap_stream_id"]
            unwanted = set((deselect or {}).get(name, ()))
            for item in entry["metadata"]:
                crumb = tuple(item["breadcrumb"])
                if not crumb:
                    item["metadata"]["selected"] = name in wanted
                elif crumb in unwanted:
                    item["metadata"]["selected"] = False
        return document


def _items(tap: ConnectorTap, stream: Stream) -> Any:
    return reading.read(tap.source(), stream, lambda _: None, Counters())


def formats(settings: Mapping[str, Any]) -> tuple[str | None, ...]:
    """Return the choices of the setting ``format``; ``(None,)`` where there is none."""
    return tuple(settings.get("format", {}).get("enum", (None,)))


def _complaint(error: Exception | None, blank: Callable[[str], str]) -> str:
    """Return what the command says of an error."""
    if error is None:
        return ""
    return blank(str(error)) if isinstance(error, VendortapError) else unexpected(error)


class _Captured(logging.Handler):
    """What a run writes: standard output, standard error and what is logged, as the tap's command lets it through."""

    def __init__(self) -> None:
        super().__init__()
        self.stdout = io.BytesIO()
        self.blank: Callable[[str], str] = lambda text: text
        self._lines: list[str] = []
        self._stderr = io.StringIO()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        told = unexpected(record.exc_info[1]) if record.exc_info and record.exc_info[1] else ""
        self._lines.append(self.blank(record.getMessage()) + told)

    def text(self) -> str:
        """Return what reached standard error."""
        return "\n".join((*self._lines, self._stderr.getvalue()))

    @contextmanager
    def all(self) -> Iterator[None]:
        """Capture everything while the context lasts."""
        root = logging.getLogger()
        level = root.level
        root.addHandler(self)
        root.setLevel(logging.INFO)
        text = io.TextIOWrapper(self.stdout, encoding="utf-8", write_through=True)
        try:
            with redirect_stdout(text), redirect_stderr(self._stderr):
                yield
        finally:
            root.setLevel(level)
            root.removeHandler(self)
            text.detach()


@contextmanager
def signals() -> Iterator[None]:
    """Give the signal handlers back that a tap takes."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


# --- the server --------------------------------------------------------------------------------------


@contextmanager
def served(
    connector: Connector,
    *,
    config: Mapping[str, Any],
    invoices: int = 24,
    options: Mapping[str, Any] | None = None,
    recording: Path | None = None,
    unlike: Mapping[str, Iterable[str]] | None = None,
) -> Iterator[Harness]:
    """Run the connector's sandbox, or what was recorded of its vendor, and yield what there is to check.

    Raises:
        PluginError: there is neither sandbox nor recording, or the sandbox cannot be made.
        UsageError: the recording cannot be used.
    """
    require("testing", "a server to test against", "starlette", "uvicorn")
    kept = tape.load(recording, connector.name) if recording else None
    if kept and recording:
        app: Any = replaying.Replay(kept, recording)
    else:
        app = serve.application(connector, invoices=invoices, **_options(connector), **(options or {}))
    vendor = faults.Faulty(app)
    front = Front(vendor)
    with serve.serving(front) as running:
        if kept:
            connector = replaying.pointed(connector, kept, running.url)
        settings = first_settings(connector, running.url, kept)
        yield Harness(connector, {**settings, **config}, front, vendor, kept is not None, unlike or {})


def first_settings(connector: Connector, url: str, kept: tape.Recording | None) -> dict[str, Any]:
    """Return the settings that lead to a server, patience with it, and small pages where its replies are not given."""
    if kept:
        return {**PATIENCE, **replaying.settings(kept, url)}
    return {**serve.settings(connector, url), **PATIENCE, **_small_pages(connector)}


def _options(connector: Connector) -> Mapping[str, Any]:
    return connector.sandbox.options if connector.sandbox else {}


def _small_pages(connector: Connector) -> dict[str, Any]:
    setting = validation.settings(connector)["properties"].get("page_size")
    return {"page_size": max(PAGE_SIZE, setting.get("minimum", 1))} if setting else {}


def having(answer: faults.Answer, body: bytes) -> faults.Answer:
    """Return an answer with another body."""
    return answer.having(body, content_length=str(len(body)))


def crumb_of(path: str) -> Crumb:
    """Return the breadcrumb of a property, ``lines[].id``."""
    crumb: list[str] = []
    for name in path.split("."):
        crumb += ["properties", name.removesuffix("[]"), *(["items"] if name.endswith("[]") else [])]
    return tuple(crumb)
