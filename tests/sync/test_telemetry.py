"""OpenTelemetry: a real collector on a real socket, and what must never get there."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.conftest import RunTap, StartVendor, Vendor, environment, make_catalog
from vendortap.plugins.validation import settings
from vendortap.sandbox import serve
from vendortap.sync import telemetry

ATTRIBUTES = {
    *("vendortap.connector", "vendortap.stream", "vendortap.pages", "vendortap.outcome", "error.type"),
    *(f"vendortap.records.{outcome}" for outcome in ("emitted", "filtered", "quarantined", "skipped")),
    *("http.request.method", "http.request.resend_count", "http.response.status_code"),
    *("server.address", "server.port", "url.template"),
}
"""All there are, on spans and metrics."""
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"

Span = dict[str, Any]


@dataclass
class Collector:
    """What was sent to it, as OTLP's JSON has it."""

    url: str = ""
    headers: list[dict[str, str]] = field(default_factory=list)
    traces: list[dict[str, Any]] = field(default_factory=list)
    metrics: list[dict[str, Any]] = field(default_factory=list)

    async def take(self, request: Request) -> Response:
        import gzip

        body = await request.body()
        body = gzip.decompress(body) if request.headers.get("content-encoding") == "gzip" else body
        self.headers.append(dict(request.headers))
        if request.url.path == "/v1/traces":
            self.traces.append(MessageToDict(ExportTraceServiceRequest.FromString(body)))
        else:
            self.metrics.append(MessageToDict(ExportMetricsServiceRequest.FromString(body)))
        return Response(media_type="application/x-protobuf")

    @property
    def spans(self) -> list[Span]:
        scopes = [scope for sent in self.traces for of in sent["resourceSpans"] for scope in of["scopeSpans"]]
        return [span for scope in scopes for span in scope["spans"]]

    def points(self, name: str) -> list[dict[str, Any]]:
        """The data points of a metric, as they were sent last."""
        scopes = [scope for of in self.metrics[-1]["resourceMetrics"] for scope in of["scopeMetrics"]]
        (found,) = [metric for scope in scopes for metric in scope["metrics"] if metric["name"] == name]
        points: list[dict[str, Any]] = (found.get("sum") or found["histogram"])["dataPoints"]
        return points


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    routes = [Route(path, made.take, methods=["POST"]) for path in ("/v1/traces", "/v1/metrics")]
    with serve.serving(Starlette(routes=routes)) as served:
        made.url = served.url
        yield made


def attributes(of: dict[str, Any]) -> dict[str, Any]:
    """Attributes by name; OTLP's JSON has integers as texts."""
    return {item["key"]: next(iter(item["value"].values())) for item in of.get("attributes", ())}


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for member in value.values():
            yield from texts(member)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif value is not None:
        yield str(value)


def hold_nothing_of(vendor: Vendor, collector: Collector, records: Any) -> None:
    """Hold that neither a secret, nor a parameter, nor a value of a record got to the collector."""
    sent = json.dumps(_without(MEASURED, [collector.traces, _points(collector)]))
    known = settings(vendor.connector)["properties"]
    secrets = [value for name, value in vendor.config().items() if known[name].get("secret")]
    params = [value for asked in vendor.wire.asked for value in texts(asked.params) if len(value) > 4]
    paths = [asked.path for asked in vendor.wire.asked if any(char.isdigit() for char in asked.path.split("/")[-1])]
    values = {text for text in texts(records) if len(text) > 5}
    assert secrets
    assert len(values) > 100
    assert [text for text in (*secrets, *params, *paths, *values) if text in sent] == []
    used = {key for of in (*collector.spans, *_points(collector)) for key in attributes(of)}
    assert used <= ATTRIBUTES


def _without(names: Collection[str], value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without(names, member) for name, member in value.items() if name not in names}
    return [_without(names, item) for item in value] if isinstance(value, list) else value


MEASURED = frozenset(
    {
        *("startTimeUnixNano", "endTimeUnixNano", "timeUnixNano", "sum", "min", "max", "explicitBounds"),
        *("traceId", "spanId", "parentSpanId"),
    }
)
"""Clocks, durations and chance, whose digits may happen to be anybody's; all else that is sent is searched."""


def _points(collector: Collector) -> list[dict[str, Any]]:
    names = ("http.client.request.duration", "vendortap.stream.duration", "vendortap.records", "vendortap.retries")
    return [point for name in names for point in collector.points(name)]


@pytest.mark.promise("OpenTelemetry is told of streams, slices and requests, and of no secret, parameter or value")
def test_streams_slices_and_requests_are_told_and_nothing_else(
    start: StartVendor, tap: RunTap, collector: Collector
) -> None:
    vendor = start(invoices=30)
    vendor.state.fail(1, 503, {"Retry-After": "0"})
    done = tap(
        vendor.config(),
        env={
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=finance",
            "TRACEPARENT": f"00-{TRACE}-{PARENT}-01",
        },
    )
    assert done.code == 0, done.stderr
    assert collector.headers[0]["x-tenant"] == "finance"
    resource = attributes(collector.traces[0]["resourceSpans"][0]["resource"])
    assert resource["service.name"] == "tap-scansource"

    spans = {span["spanId"]: span for span in collector.spans}
    kinds = {
        name: [s for s in spans.values() if s["name"].startswith(name)]
        for name in ("stream ", "slice ", "GET ", "POST")
    }
    assert sum(map(len, kinds.values())) == len(spans)
    assert {span["traceId"] for span in spans.values()} == {_base64(TRACE)}
    assert {span["parentSpanId"] for span in kinds["stream "]} == {_base64(PARENT)}
    assert {span["name"] for span in kinds["stream "]} == {"stream invoices", "stream invoice_details"}
    assert {spans[span["parentSpanId"]]["name"].split()[0] for span in kinds["slice "]} == {"stream"}
    assert {spans[span["parentSpanId"]]["name"].split()[0] for span in kinds["GET "]} == {"slice"}
    assert len(kinds["GET "]) + len(kinds["POST"]) == len(vendor.wire.asked)
    assert {spans[span["parentSpanId"]]["name"].split()[0] for span in kinds["POST"]} == {"slice"}  # a token call
    documents = [span for span in kinds["slice "] if span["name"] == "slice invoice_details"]
    assert len(documents) == 30
    for span in spans.values():
        assert int(span["startTimeUnixNano"]) < int(span["endTimeUnixNano"])

    failed = [span for span in kinds["GET "] if span.get("status")]
    assert [attributes(span)["http.response.status_code"] for span in failed] == ["503"]
    assert [
        attributes(s)["http.request.resend_count"]
        for s in kinds["GET "]
        if "http.request.resend_count" in attributes(s)
    ] == ["1"]
    assert all(attributes(span)["url.template"] in span["name"] for span in kinds["GET "])

    counted = {(a["vendortap.stream"], a["vendortap.outcome"]): int(p["asInt"]) for p, a in _with(collector)}
    assert counted == {("invoices", "emitted"): 30, ("invoice_details", "emitted"): 30}
    asked = sum(int(point["count"]) for point in collector.points("http.client.request.duration"))
    assert asked == len(vendor.wire.asked)
    assert [point["asInt"] for point in collector.points("vendortap.retries")] == ["1"]
    hold_nothing_of(vendor, collector, [done.records("invoices"), done.records("invoice_details")])


def _with(collector: Collector) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return [(point, attributes(point)) for point in collector.points("vendortap.records")]


def _base64(text: str) -> str:
    """Identifiers in OTLP are bytes, which protobuf's JSON has in Base64."""
    import base64

    return base64.b64encode(bytes.fromhex(text)).decode()


def test_a_run_that_fails_is_told_by_the_kind_of_its_error(
    start: StartVendor, tap: RunTap, collector: Collector
) -> None:
    vendor = start(invoices=30)
    before = vendor.read()
    collected = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{collector.url}/v1/traces"}
    config = vendor.config(subscription_key="planted-and-wrong")
    done = tap(config, env=collected, catalog=make_catalog(streams=["invoices"]))
    assert done.code == 1
    failed = {span["name"]: attributes(span)["error.type"] for span in collector.spans if span.get("status")}
    assert {failed["stream invoices"], failed["slice invoices"]} == {"CredentialsError"}
    assert "401" in failed.values()
    assert all(set(span["status"]) == {"code"} for span in collector.spans if span.get("status"))
    assert not [event for span in collector.spans for event in span.get("events", ())]
    sent = json.dumps(collector.traces)
    values = {text for text in texts(before.records("invoices")) if len(text) > 5}
    assert [text for text in ("planted-and-wrong", *values) if text in sent] == []
    assert collector.metrics == []  # the environment gave no place for them


def test_a_collector_that_is_not_there_costs_no_record(vendor: Vendor, tap: RunTap) -> None:
    with serve.serving(Starlette()) as served:
        gone = served.url
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": gone, "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    done = tap(vendor.config(), env=env)
    assert done.code == 0
    assert len(done.records("invoice_details")) == 60


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://127.0.0.1:9", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "otlp by grpc"),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "the exporter zipkin of traces"),
    ],
)
def test_an_exporter_that_there_is_none_of_is_told_and_nothing_fails(
    vendor: Vendor, tap: RunTap, env: dict[str, str], said: str
) -> None:
    done = tap(vendor.config(), env=env)
    assert done.code == 0
    assert said in done.stderr


@pytest.mark.parametrize("encoded", ["Bearer%20k3y-4711", "k3y-4711"])
def test_what_a_collector_answers_is_not_quoted(vendor: Vendor, tap: RunTap, encoded: str) -> None:
    """It may echo the headers that it is sent, which are no settings of ours, and a reason phrase can say anything."""

    class Echo(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(401, f"No {self.headers['api-key']}")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{server.server_port}"}
        done = tap(vendor.config(), env={**env, "OTEL_EXPORTER_OTLP_HEADERS": f"api-key={encoded}"})
        server.shutdown()
    assert done.code == 0
    assert "batch code: 401" in done.stderr
    assert "k3y-4711" not in done.stderr


def test_the_console_is_standard_error(vendor: Vendor, tap: RunTap) -> None:
    done = tap(vendor.config(), env={"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "console"})
    assert len(done.records("invoices")) == 60
    assert '"name": "stream invoices"' in done.stderr
    assert '"name": "vendortap.records"' in done.stderr


LAST_LINE = "import atexit, sys; atexit.register(lambda: print('\\n' + ' '.join(sys.modules), file=sys.stderr)); "
WITHOUT = "import sys; sys.modules['opentelemetry'] = None; "
TAP = "from vendortap.singer import run_tap; run_tap('scansource', sys.argv[1:])"
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    ("program", "env"),
    [
        (LAST_LINE + TAP, {}),
        (LAST_LINE + TAP, {"OTEL_SERVICE_NAME": "x"}),
        (LAST_LINE + TAP, {**ENDPOINT, "OTEL_SDK_DISABLED": "true"}),
        (WITHOUT + LAST_LINE + TAP, ENDPOINT),
    ],
)
def test_nothing_is_imported_where_nobody_asks_for_it_or_the_extra_is_missing(
    vendor: Vendor, file: Any, program: str, env: dict[str, str]
) -> None:
    command = [sys.executable, "-c", program, "--config", file(vendor.config())]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(**env), timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    modules = done.stderr.splitlines()[-1].split()
    assert "vendortap.http" in modules
    assert not [module for module in modules if module.startswith(("opentelemetry.", "google.protobuf"))]


PROGRAM = """
import sys, json
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

kept = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(kept))
trace.set_tracer_provider(provider)
import vendortap
with trace.get_tracer("program").start_as_current_span("job"):
    items = list(vendortap.read("scansource", json.loads(sys.argv[1]), streams=["invoices"]))
names = {span.context.span_id: span.name for span in kept.get_finished_spans()}
shown = [(span.name, names.get(span.parent and span.parent.span_id)) for span in kept.get_finished_spans()]
print(json.dumps(shown))
"""


def test_a_program_that_reads_has_the_spans_in_its_own_trace(vendor: Vendor) -> None:
    command = [sys.executable, "-c", PROGRAM, json.dumps(vendor.config())]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    shown = {tuple(pair) for pair in json.loads(done.stdout)}
    assert {("job", None), ("stream invoices", "job"), ("slice invoices", "stream invoices")} <= shown
    assert {parent for name, parent in shown if name and name.startswith("GET ")} == {"slice invoices"}


@pytest.mark.parametrize("missing", ["opentelemetry.nowhere", "opentelemetry.nowhere.proto.http", "nowhere.sdk"])
def test_what_is_not_installed_is_asked_for_and_nothing_is_told(
    missing: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A part of OpenTelemetry may be there without the others."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setattr(telemetry, "_NEEDED", ("opentelemetry.sdk", missing))
    caplog.set_level(logging.INFO)
    assert telemetry.of_environment("acme") is None
    assert "The environment asks for OpenTelemetry, which needs: pip install" in caplog.text
