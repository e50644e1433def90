"""What the tests share: a running sandbox, taps in a process of their own and in this one, and the way into DuckDB."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from vendortap.declare.model import Connector
from vendortap.operate import run
from vendortap.plugins import host
from vendortap.sandbox import serve
from vendortap.sandbox.kit import json_answer
from vendortap.singer.tap import ConnectorTap, tap_class

pytest_plugins = ["tests.reliability"]

Message = dict[str, Any]


def parse(lines: bytes) -> list[Message]:
    """Singer messages, their numbers digit for digit."""
    return [json.loads(line, parse_float=Decimal) for line in lines.splitlines()]


@dataclass
class Output:
    """What a tap wrote, and how it ended."""

    stdout: bytes
    stderr: str = ""
    code: int = 0
    messages: list[Message] = field(init=False)

    def __post_init__(self) -> None:
        self.messages = parse(self.stdout)

    def records(self, stream: str) -> list[Message]:
        return [m["record"] for m in self.of("RECORD", stream)]

    def of(self, kind: str, stream: str | None = None) -> list[Message]:
        return [m for m in self.messages if m["type"] == kind and stream in (None, m.get("stream"))]

    @property
    def state(self) -> Any:
        return self.of("STATE")[-1]["value"]

    @property
    def complaint(self) -> str:
        """The one sentence that a failed tap ends with."""
        assert "Traceback" not in self.stderr, self.stderr
        (sentence,) = [line for line in self.stderr.splitlines() if ": error: " in line]
        return sentence


@dataclass(frozen=True)
class Asked:
    """A request as it arrived; header names are lower case."""

    method: str
    path: str
    params: dict[str, str]
    headers: dict[str, str]
    body: bytes


class Wire:
    """Stands between a tap and a sandbox.

    ``asked`` is what was asked for, token calls included. ``at`` acts before the so many-th request of a path is
    passed on. ``change`` makes another answer (a document, or a response) of the documents of a path.
    """

    def __init__(self, app: Any) -> None:
        self.app = app
        self.asked: list[Asked] = []
        self.at: dict[tuple[str, int], Callable[[], None]] = {}
        self.change: dict[str, Callable[[Any], Any]] = {}

    def to(self, path: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.path == path]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        body, path = await request.body(), scope["path"]
        self.asked.append(Asked(request.method, path, dict(request.query_params), dict(request.headers), body))
        if act := self.at.get((path, len(self.to(path)))):
            act()

        async def given() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        if path not in self.change:
            await self.app(scope, given, send)
            return
        sent: list[bytes] = []

        async def keep(message: Any) -> None:
            sent.append(message.get("body", b""))

        plain = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
        await self.app({**scope, "headers": plain}, given, keep)
        changed = self.change[path](json.loads(b"".join(sent), parse_float=Decimal))
        await (changed if isinstance(changed, Response) else json_answer(changed))(scope, receive, send)


@dataclass
class Vendor:
    """A sandbox that runs; ``state`` is the sandbox's own, which knows the truth."""

    connector: Connector
    url: str
    state: Any
    wire: Wire

    def config(self, **changes: Any) -> dict[str, Any]:
        """The settings that lead to it, and others; the zone is that of the sandbox's own clock."""
        zone = {"timezone": "Etc/GMT+5"} if self.connector.name == "scansource" else {}
        return {**serve.settings(self.connector, self.url), **zone, **changes}

    @contextmanager
    def meanwhile(self, details: int, act: Callable[[], None]) -> Iterator[None]:
        """Act once so many documents have been asked for."""
        over = threading.Event()

        def watch() -> None:
            while self.state.requests["detail"] < details and not over.is_set():
                time.sleep(0.001)
            act()

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def read(self, *, state: Any = None, catalog: Any = None, **changes: Any) -> Output:
        """Run the connector's tap in this process; errors are raised."""
        return read(self.config(**changes), state=state, catalog=catalog, connector=self.connector.name)


class Jittery:
    """An application that takes a different time for each answer."""

    def __init__(self, app: Any, seconds: float) -> None:
        self.app, self.seconds, self.random = app, seconds, Random(7)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(self.random.random() * self.seconds)
        await self.app(scope, receive, send)


StartVendor = Callable[..., Vendor]


@pytest.fixture(scope="session")
def scansource() -> Connector:
    return host.load("scansource")


def _sandbox(connector: Connector, stack: ExitStack, jitter_seconds: float = 0, **options: Any) -> Vendor:
    import importlib

    assert connector.sandbox is not None
    module, _, function = connector.sandbox.app.partition(":")
    app = getattr(importlib.import_module(module), function)(**options)
    wire = Wire(app)
    served = stack.enter_context(serve.serving(Jittery(wire, jitter_seconds) if jitter_seconds else wire))
    return Vendor(connector, served.url, app.state, wire)


@pytest.fixture
def start(scansource: Connector) -> Iterator[StartVendor]:
    """Starts a sandbox of ScanSource that is the test's own: ``start(invoices=50)``."""
    with ExitStack() as stack:
        yield lambda **options: _sandbox(scansource, stack, **options)


@pytest.fixture(scope="module")
def sandboxes() -> Iterator[StartVendor]:
    """Starts a sandbox of any connector, for as long as the module's tests run: ``sandboxes("midnight", seed=2)``."""
    stacks: list[ExitStack] = []

    def start_sandbox(name: str, **options: Any) -> Vendor:
        stacks.append(ExitStack())
        return _sandbox(host.load(name), stacks[-1], **options)

    yield start_sandbox
    with ThreadPoolExecutor(max_workers=32) as pool:  # each takes a tenth of a second to stop
        list(pool.map(ExitStack.close, stacks))


@pytest.fixture(scope="session")
def vendor(scansource: Connector) -> Iterator[Vendor]:
    """A sandbox of 60 invoices that no test changes."""
    with ExitStack() as stack:
        yield _sandbox(scansource, stack, invoices=60)


def pytest_configure() -> None:
    """Background jobs have signals ignored, and what the tests start would inherit that; a handler is not inherited."""
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what came of each fault with each connector, where tests/faults ran."""
    table: dict[str, dict[str, str]] = {}
    for report in terminalreporter.getreports("passed"):
        for name, cell in report.user_properties:
            if name == "cell":
                fault, connector, outcome = cell
                table.setdefault(fault, {})[connector] = outcome
    if not table:
        return
    connectors = sorted({connector for row in table.values() for connector in row})
    terminalreporter.section("faults by connectors: what came of each")
    for head, *rest in (["fault", *connectors], *([f, *(r.get(c, "") for c in connectors)] for f, r in table.items())):
        terminalreporter.line(f"{head:36}" + "".join(f"{text:17}" for text in rest).rstrip())


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """A tap takes the process's signal handlers; here they are pytest's."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


Figure = Callable[[str], None]


@pytest.fixture
def promise(request: pytest.FixtureRequest, record_property: Callable[[str, Any], None]) -> Figure:
    """Records the test's docstring as what it promises (docs/reliability.md); takes figures of how much was tried."""
    record_property("promise", request.function.__doc__)
    return lambda figure: record_property("figure", figure)


# --- taps --------------------------------------------------------------------------------------------


def executable(name: str) -> str:
    """An installed command, of the environment that the tests run in."""
    return str(Path(sys.executable).with_name(name))


def environment(**changes: str) -> dict[str, str]:
    """This environment without settings of taps, quiet unless something is wrong."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TAP_", "VENDORTAP_"))}
    return {**kept, "LOGLEVEL": "WARNING", **changes}


class Files:
    """Writes JSON files for command lines."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0

    def __call__(self, document: Any) -> str:
        self.count += 1
        path = self.folder / f"{self.count}.json"
        text = document if isinstance(document, str) else json.dumps(document)
        path.write_text(text, encoding="utf-8")
        return str(path)


@pytest.fixture
def file(tmp_path: Path) -> Files:
    folder = tmp_path / "files"
    folder.mkdir()
    return Files(folder)


RunTap = Callable[..., Output]


@pytest.fixture
def tap(file: Files, tmp_path: Path) -> RunTap:
    """Runs a tap (``connector``) in a process: settings, state and catalog as documents (or as text, to be broken)."""

    def run_tap(
        config: Any = None,
        *arguments: str,
        state: Any = None,
        catalog: Any = None,
        env: Mapping[str, str] | None = None,
        connector: str = "scansource",
    ) -> Output:
        command = [executable(f"tap-{connector}"), *arguments]
        for option, document in (("--config", config), ("--state", state), ("--catalog", catalog)):
            if document is not None:
                command += [option, file(document)]
        done = subprocess.run(
            command, capture_output=True, env=environment(**(env or {})), cwd=tmp_path, timeout=60, check=False
        )
        lines = done.stdout if done.stdout.startswith(b'{"type"') else b""
        output = Output(lines, done.stderr.decode(), done.returncode)
        output.stdout = done.stdout
        return output

    return run_tap


KillTap = Callable[..., Output]


@pytest.fixture
def killed(file: Files, tmp_path: Path) -> KillTap:
    """Runs a tap in a process, and kills it as soon as ``when()`` says so; what it wrote until then, in whole lines."""

    def run_and_kill(connector: str, config: Any, when: Callable[[], bool], catalog: Any = None) -> Output:
        written = tmp_path / "killed.jsonl"
        with written.open("wb") as stdout:
            command = [executable(f"tap-{connector}"), "--config", file(config)]
            command += ["--catalog", file(catalog)] if catalog else []
            with subprocess.Popen(command, stdout=stdout, stderr=subprocess.DEVNULL, env=environment()) as process:
                while not when() and process.poll() is None:
                    time.sleep(0.002)
                process.kill()
        assert process.returncode == -signal.SIGKILL, "it was done before it could be killed"
        whole, _, _ = written.read_bytes().rpartition(b"\n")
        return Output(whole, code=process.returncode)

    return run_and_kill


@cache
def _tap_class(connector_name: str) -> type[ConnectorTap]:
    return tap_class(host.load(connector_name))


def read(config: Mapping[str, Any], *, state: Any = None, catalog: Any = None, connector: str = "scansource") -> Output:
    """Run a tap in this process, as the command does; errors are raised."""
    written = io.BytesIO()
    with redirect_stdout(io.TextIOWrapper(written, encoding="utf-8", write_through=True)) as text:
        made = _tap_class(connector)(config=dict(config), state=state, catalog=catalog)
        try:
            made.sync_all()
        finally:
            made.client.close()
            text.flush()
    return Output(written.getvalue())


@pytest.fixture(scope="session")
def read_tap() -> Callable[..., Output]:
    return read


@pytest.fixture(scope="session")
def catalog(scansource: Connector) -> Callable[..., Any]:
    """Makes catalogs: ``catalog(deselect={"invoices": ["PONumber"]}, streams=["invoices"])``."""
    return make_catalog


def without_times(state: Any) -> Any:
    """Return a state without the moments at which its open items were tried."""
    times = ("since", "tried")
    marks = {
        name: {**entry, "open": [{k: v for k, v in item.items() if k not in times} for item in entry.get("open", ())]}
        for name, entry in state["bookmarks"].items()
    }
    return {**state, "bookmarks": marks}


def marked(state: Any, stream: str) -> list[str]:
    """Return the customers that have a bookmark, in the state of a stream."""
    partitions = state["bookmarks"][stream]["partitions"].values()
    return [part["context"]["customer_number"] for part in partitions if part["replication_key_value"]]


def make_catalog(
    *,
    streams: Sequence[str] | None = None,
    deselect: Mapping[str, Sequence[str]] | None = None,
    connector: str = "scansource",
) -> dict[str, Any]:
    """The discovered catalog with only these streams selected, and without these fields (``Lines[].Price``)."""
    document: dict[str, Any] = json.loads(_discovered(connector))
    for entry in document["streams"]:
        unwanted = {_crumb(path) for path in (deselect or {}).get(entry["tap_stream_id"], ())}
        for item in entry["metadata"]:
            if not item["breadcrumb"]:
                usual = item["metadata"]["selected-by-default"]
                item["metadata"]["selected"] = usual if streams is None else entry["tap_stream_id"] in streams
            elif tuple(item["breadcrumb"]) in unwanted:
                item["metadata"]["selected"] = False
    return document


def _crumb(path: str) -> tuple[str, ...]:
    crumb: list[str] = []
    for name in path.split("."):
        crumb += ["properties", name.removesuffix("[]")] + (["items"] if name.endswith("[]") else [])
    return tuple(crumb)


@cache
def _discovered(connector: str) -> str:
    made = _tap_class(connector)(validate_config=False, setup_mapper=False)
    return json.dumps(made.catalog_dict)


# --- into DuckDB -------------------------------------------------------------------------------------


@dataclass
class Warehouse:
    """A DuckDB file that a connector is loaded into, through real processes."""

    folder: Path
    file: Files
    connector: str = "scansource"

    @property
    def schema(self) -> str:
        return self.connector.replace("-", "_")

    @property
    def path(self) -> Path:
        return self.folder / "warehouse.duckdb"

    @property
    def state(self) -> Path:
        return self.folder / "state.json"

    def target(self, **more: Any) -> list[str]:
        config = self.file({"path": str(self.path), "default_target_schema": self.schema, **more})
        return [executable("target-vendortap-duckdb"), "--config", config]

    def load(self, config: Mapping[str, Any], catalog: Any = None) -> run.Outcome:
        """The tap into the target, as `vendortap run` does it, state kept."""
        chosen = Path(self.file(catalog)) if catalog else None
        job = run.Job(self.connector, [self.file(config)], self.target(), self.state, chosen, {"LOGLEVEL": "WARNING"})
        return run.run(job)

    def query(self, sql: str) -> list[Any]:
        import duckdb

        with duckdb.connect(str(self.path), read_only=True) as database:
            return database.execute(sql).fetchall()

    def columns(self, table: str) -> dict[str, str]:
        """Names and types of a table, without the target's own columns."""
        described = self.query(f"DESCRIBE {self.schema}.{table}")
        return {row[0]: row[1] for row in described if not row[0].startswith("_sdc_")}

    def table(self, name: str) -> list[Any]:
        """A table, its rows in order; date-times as microseconds, for which DuckDB needs no other package."""
        columns = [
            f'epoch_us("{column}")' if kind.startswith("TIMESTAMP") else f'"{column}"'
            for column, kind in self.columns(name).items()
        ]
        return self.query(f"SELECT {', '.join(columns)} FROM {self.schema}.{name} ORDER BY ALL")


@pytest.fixture
def warehouses(tmp_path: Path, file: Files) -> Callable[..., Warehouse]:
    def make(name: str, connector: str = "scansource") -> Warehouse:
        folder = tmp_path / name
        folder.mkdir()
        return Warehouse(folder, file, connector)

    return make


@pytest.fixture
def warehouse(warehouses: Callable[[str], Warehouse]) -> Warehouse:
    return warehouses("one")
