"""OpenTelemetry: a span for each stream, slice and attempt of a request, and metrics beside them (the extra ``otel``).

A tap exports where the environment says so (``OTEL_EXPORTER_OTLP_ENDPOINT`` and its relatives) and the extra is
installed; else nothing of OpenTelemetry is imported. A program that reads through ``vendortap.read`` has its own
providers, which are used as they are. Nothing here holds a setting, a header, a query, the path of a request as it was
sent, a key, or a value of a record: requests are called by their declared templates, failures by their kinds.

https://opentelemetry.io/docs/specs/semconv/http/ has the names of spans and metrics of HTTP.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from vendortap.http.traffic import Attempt
from vendortap.support.extras import install
from vendortap.support.version import version

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import Meter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

Signal: TypeAlias = Literal["TRACES", "METRICS"]
Counts = Callable[[], Mapping[str, int]]
"""How many records there were so far, by what became of them."""
T = TypeVar("T")
U = TypeVar("U")

CLOSE_SECONDS = 5.0
"""How long a tap waits at its end for what is still to be exported."""
HURRIED_SECONDS = 0.5
"""The same where it has been told to end."""
_REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""The buckets that the conventions ask for."""
_STREAM_SECONDS = (0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600)
_EXPORTED = ("span", "spans", "traces", "metrics")
_NEEDED = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
_log = logging.getLogger("vendortap.telemetry")


class Telemetry:
    """Tells of one connector's streams, slices and requests; in any number of threads.

    ``context`` is what the streams' spans are put into, ``close`` exports what is left.
    """

    def __init__(
        self,
        tracer: Tracer,
        meter: Meter,
        connector: str,
        context: Context | None = None,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self._tracer = tracer
        self._connector = connector
        self._outer = self._stream = context
        self._unit = threading.local()
        self._close = close
        self._requests = meter.create_histogram(
            "http.client.request.duration",
            "s",
            "Duration of attempts of requests, token calls included.",
            explicit_bucket_boundaries_advisory=_REQUEST_SECONDS,
        )
        self._retries = meter.create_counter("vendortap.retries", "{request}", "Attempts that were not the first.")
        self._streams = meter.create_histogram(
            "vendortap.stream.duration",
            "s",
            "Duration of reading a stream.",
            explicit_bucket_boundaries_advisory=_STREAM_SECONDS,
        )
        self._records = meter.create_counter(
            "vendortap.records", "{record}", "Records, by what became of them (vendortap.outcome)."
        )

    def close(self, *, hurried: bool = False) -> None:
        """Export what is left, as far as that goes within CLOSE_SECONDS."""
        thread = threading.Thread(target=self._close, name="telemetry", daemon=True)
        thread.start()
        thread.join(HURRIED_SECONDS if hurried else CLOSE_SECONDS)

    def stream(self, name: str, counts: Counts, items: Generator[T, None, None]) -> Generator[T, None, None]:
        """Hand on what a stream gives, within its span."""
        from opentelemetry.trace import set_span_in_context

        attributes = {"vendortap.connector": self._connector, "vendortap.stream": name}
        span = self._tracer.start_span(f"stream {name}", self._outer, attributes=attributes)
        self._stream = set_span_in_context(span, self._outer)
        began, told = time.monotonic(), dict.fromkeys(counts(), 0)
        failed: dict[str, str] = {}
        try:
            with closing(items):
                for item in items:
                    yield item
                    told = self._count(attributes, counts(), told)
        except BaseException as error:
            failed = _failed(span, error)
            raise
        finally:
            self._count(attributes, counts(), told)
            span.set_attributes({f"vendortap.records.{outcome}": count for outcome, count in counts().items()})
            self._streams.record(time.monotonic() - began, {**attributes, **failed})
            span.end()

    def _count(
        self, attributes: Mapping[str, str], counts: Mapping[str, int], told: Mapping[str, int]
    ) -> dict[str, int]:
        for outcome, count in counts.items():
            if count > told[outcome]:
                self._records.add(count - told[outcome], {**attributes, "vendortap.outcome": outcome})
        return dict(counts)

    def slices(
        self, stream: str, fetch: Callable[[U], Generator[T, None, None]]
    ) -> Callable[[U], Generator[T, None, None]]:
        """Return a ``fetch`` that fetches within the span of its slice; the spans of its requests go into that."""
        from opentelemetry.trace import set_span_in_context

        context = self._stream
        attributes = {"vendortap.connector": self._connector, "vendortap.stream": stream}

        def traced(slice_: U) -> Generator[T, None, None]:
            span = self._tracer.start_span(f"slice {stream}", context, attributes=attributes)
            pages = 0
            try:
                with closing(fetch(slice_)) as fetched:
                    while True:
                        self._unit.context = set_span_in_context(span, context)
                        if (page := next(fetched, None)) is None:
                            break
                        pages += 1
                        yield page
            except BaseException as error:
                _failed(span, error)
                raise
            finally:
                self._unit.context = None
                span.set_attribute("vendortap.pages", pages)
                span.end()

        return traced

    def request(self, attempt: Attempt) -> None:
        """Tell of an attempt that has just ended, in the thread that made it."""
        from opentelemetry.trace import SpanKind, StatusCode

        shared: dict[str, Any] = {
            "http.request.method": attempt.method,
            "server.address": attempt.host,
            "server.port": attempt.port,
        }
        if attempt.endpoint:
            shared["url.template"] = attempt.endpoint
        if attempt.status is None:
            shared["error.type"] = "transport"
        else:
            shared["http.response.status_code"] = attempt.status
            shared |= {"error.type": str(attempt.status)} if attempt.status >= 400 else {}
        own = {"http.request.resend_count": attempt.retry} if attempt.retry else {}
        end = time.time_ns()
        span = self._tracer.start_span(
            f"{attempt.method} {attempt.endpoint}".strip(),
            getattr(self._unit, "context", None) or self._stream,
            kind=SpanKind.CLIENT,
            attributes={**shared, **own, "vendortap.connector": self._connector},
            start_time=end - round(attempt.seconds * 1e9),
        )
        if "error.type" in shared:
            span.set_status(StatusCode.ERROR)
        span.end(end)
        self._requests.record(attempt.seconds, shared)
        if attempt.retry:
            self._retries.add(1, {"vendortap.connector": self._connector})


def _failed(span: Span, error: BaseException) -> dict[str, str]:
    """Mark a span as failed by the kind of its error, never its text; to be closed early is no failure."""
    from opentelemetry.trace import StatusCode

    if isinstance(error, GeneratorExit):
        return {}
    kind = {"error.type": type(error).__name__}
    span.set_attributes(kind)
    span.set_status(StatusCode.ERROR)
    return kind


# --- where it goes -----------------------------------------------------------------------------------


def of_program(connector: str) -> Telemetry | None:
    """Return what tells the program that this is a part of, by its own providers; ``None`` where it has none.

    The spans go into the program's current one.
    """
    if "opentelemetry.trace" not in sys.modules:
        return None
    from opentelemetry import context, metrics, trace

    tracer, meter = trace.get_tracer("vendortap", version()), metrics.get_meter("vendortap", version())
    return Telemetry(tracer, meter, connector, context.get_current())


def of_environment(connector: str) -> Telemetry | None:
    """Return what exports as the environment says; ``None`` where it says nothing, or the extra is not installed."""
    if not (exporters := _exporters()):
        return None
    tracers, meters = _tracers(connector, exporters.get("TRACES")), _meters(connector, exporters.get("METRICS"))
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("opentelemetry.exporter.")]:
        logging.getLogger(name).addFilter(_without_quotes)

    def close() -> None:
        tracers.shutdown()
        meters.shutdown()

    tracer, meter = tracers.get_tracer("vendortap", version()), meters.get_meter("vendortap", version())
    return Telemetry(tracer, meter, connector, _parent(), close)


def _exporters() -> dict[str, str]:
    """Return the exporters of signals that the environment asks for, if they can be had."""
    found = {signal: exporter for signal in ("TRACES", "METRICS") if (exporter := _exporter(signal)) != "none"}
    if not found or os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return {}
    if not all(map(_is_installed, _NEEDED)):
        _log.info("The environment asks for OpenTelemetry, which needs: %s.", install("otel"))
        return {}
    return found


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # nor is a package that it is in
        return False


def _without_quotes(record: logging.LogRecord) -> bool:
    """Have an exporter say nothing of what the collector answered: it may echo the headers that it was sent.

    Figures stay, the names of what is exported, and the kinds of errors.
    """
    record.args = tuple(map(_unquoted, record.args)) if isinstance(record.args, tuple) else ()
    return True


def _unquoted(said: object) -> object:
    if said is None or isinstance(said, int | float) or said in _EXPORTED:
        return said
    return type(said).__name__ if isinstance(said, BaseException) else "(not quoted)"


def _exporter(signal: str) -> str:
    """Return the exporter that the environment asks for: ``otlp``, ``console`` or ``none``."""
    named = os.environ.get(f"OTEL_{signal}_EXPORTER", "").strip().lower()
    exporter = named or ("otlp" if _otlp(signal, "ENDPOINT") else "none")
    protocol = _otlp(signal, "PROTOCOL") or "http/protobuf"
    if exporter not in ("otlp", "console", "none") or (exporter == "otlp" and protocol != "http/protobuf"):
        _log.warning(
            "OpenTelemetry: the environment asks for the exporter %s of %s; there are otlp by http/protobuf, console "
            "and none. Nothing is exported.",
            f"{exporter} by {protocol}" if exporter == "otlp" else exporter,
            signal.lower(),
        )
        return "none"
    return exporter


def _otlp(signal: str, what: str) -> str | None:
    """Return a variable of OTLP: the signal's own, or that of all."""
    return os.environ.get(f"OTEL_EXPORTER_OTLP_{signal}_{what}") or os.environ.get(f"OTEL_EXPORTER_OTLP_{what}")


def _resource(connector: str) -> Any:
    from opentelemetry.sdk.resources import Resource

    named = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return Resource.create({} if named else {"service.name": f"tap-{connector}"})


def _tracers(connector: str, exporter: str | None) -> TracerProvider:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

    provider = TracerProvider(resource=_resource(connector), shutdown_on_exit=False)
    if exporter:
        chosen: SpanExporter
        if exporter == "otlp":
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            chosen = OTLPSpanExporter()
        else:
            chosen = ConsoleSpanExporter(out=sys.stderr)  # standard output belongs to Singer
        provider.add_span_processor(BatchSpanProcessor(chosen))
    return provider


def _meters(connector: str, exporter: str | None) -> MeterProvider:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, MetricExporter, PeriodicExportingMetricReader

    if exporter is None:
        return MeterProvider(shutdown_on_exit=False)
    chosen: MetricExporter
    if exporter == "otlp":
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

        chosen = OTLPMetricExporter()
    else:
        chosen = ConsoleMetricExporter(out=sys.stderr)
    reader = PeriodicExportingMetricReader(chosen)
    return MeterProvider([reader], resource=_resource(connector), shutdown_on_exit=False)


def _parent() -> Context | None:
    """Return the trace that whoever started this process is in, if it says so.

    https://opentelemetry.io/docs/specs/otel/context/env-carriers/
    """
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {name: os.environ[name.upper()] for name in ("traceparent", "tracestate") if name.upper() in os.environ}
    return TraceContextTextMapPropagator().extract(carrier) if carrier else None
