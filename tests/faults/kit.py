"""Runs taps against sandboxes that misbehave, again and again from their last state, and holds what comes of it."""

from __future__ import annotations

import io
import json
import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

from tests.conftest import make_catalog
from vendortap.errors import VendortapError
from vendortap.plugins import host
from vendortap.sandbox import serve
from vendortap.sandbox.faults import Faulty
from vendortap.singer.tap import ConnectorTap, tap_class

Key = tuple[str, ...]
Table = dict[Key, dict[str, Any]]
Sums = dict[str, tuple[int, Decimal]]

PATIENCE: Mapping[str, Any] = {
    "timeout_seconds": 0.4,
    "reply_seconds": 0.8,
    "retry_seconds": 6,
    "max_body_mb": 4,
    "concurrency": 2,
}
"""Settings under which nothing takes long."""


@dataclass(frozen=True)
class Case:
    """A connector, a sandbox of it whose lists have several pages, and where its invoices are.

    ``lists`` and ``documents`` are what the paths of either have in them. ``amount`` gives the currency and the amount
    of a record of the stream ``main``; ``listed`` is the stream of its list, whose rows of one invoice differ in
    ``unsteady``, so that it depends on their order.
    """

    name: str
    settings: Mapping[str, Any]
    options: Mapping[str, Any]
    lists: str
    documents: str | None
    listed: str
    main: str
    amount: Callable[[Mapping[str, Any]], tuple[str, Decimal]]
    xml: bool = False
    unsteady: frozenset[str] = frozenset()


def _ingram_amount(record: Mapping[str, Any]) -> tuple[str, Decimal]:
    return record["lines"][0]["currencyCode"], record["summary"]["totals"]["invoicedAmountDue"]


def _amazon_amount(record: Mapping[str, Any]) -> tuple[str, Decimal]:
    """What the document inside says of itself: as text, in XML, or in a picture's comment."""
    text = b64decode(record["content"]).decode("latin-1")
    found = re.search(r"[Tt]otal(?:: | currency=\")([A-Z]{3})(?: |\">)(-?[0-9]+\.[0-9]{2})", text)
    assert found
    return found[1], Decimal(found[2])


CASES = {
    case.name: case
    for case in (
        Case(
            "amazon-vendor",
            {"start_date": "2026-05-01", "end_date": "2026-05-12", "limit": 4},
            {
                "start": datetime(2026, 5, 1, tzinfo=UTC),
                "end": datetime(2026, 5, 11, tzinfo=UTC),
                "rate_limit": 0,
            },
            "/customerInvoices",
            None,
            "customer_invoices",
            "customer_invoices",
            _amazon_amount,
        ),
        Case(
            "ingram-micro",
            {"page_size": 5},
            {"calls_per_minute": 0},
            "/resellers/v6/",
            "/resellers/v6.1/",
            "invoices",
            "invoice_details",
            _ingram_amount,
        ),
        Case(
            "midnight",
            {"page_size": 5},
            {},
            "/v1/Generic/InvoiceList",
            "/v2/invoice/detail",
            "invoices",
            "invoice_details",
            lambda record: ("", record["TotalBilledAmount"]),
            xml=True,
            unsteady=frozenset({"OrderID", "OrderNumber"}),
        ),
        Case(
            "scansource",
            {"page_size": 4},
            {},
            "/summary",
            "/detail",
            "invoices",
            "invoice_details",
            lambda record: (record["Currency"], record["Total"]),
            xml=True,
        ),
        Case(
            "visiblescm",
            {"page_size": 5},
            {},
            "/api/Invoice/InvoiceList",
            "/api/Invoice/TM",
            "invoices",
            "invoice_details",
            lambda record: ("", record["TotalInvoicedAmount"]),
            xml=True,
        ),
    )
}


@cache
def _tap(name: str) -> type[ConnectorTap]:
    return tap_class(host.load(name))


@dataclass
class Run:
    """What a tap wrote, and how it ended."""

    messages: list[dict[str, Any]]
    error: VendortapError | None
    retries: int

    @property
    def state(self) -> Any:
        """The last state; ``None`` where there was none."""
        states = [message["value"] for message in self.messages if message["type"] == "STATE"]
        return states[-1] if states else None

    def covered(self) -> Iterator[dict[str, Any]]:
        """The RECORD messages that a target has for certain: all, or after an error what the last state covers."""
        states = [n for n, message in enumerate(self.messages) if message["type"] == "STATE"]
        last = (states[-1] if states else 0) if self.error else len(self.messages)
        return (message for message in self.messages[:last] if message["type"] == "RECORD")


@dataclass
class Vendor:
    """A sandbox that runs, and that can be told to misbehave; ``form`` is what it is asked for."""

    case: Case
    url: str
    app: Faulty
    form: str = "json"

    def run(self, streams: Sequence[str], state: Any = None, **settings: Any) -> Run:
        """Run the tap once, in this process, for these streams."""
        connector = host.load(self.case.name)
        form = {"format": self.form} if self.case.xml else {}
        config = {**serve.settings(connector, self.url), **PATIENCE, **form, **self.case.settings, **settings}
        written = io.BytesIO()
        error = None
        with redirect_stdout(io.TextIOWrapper(written, encoding="utf-8", write_through=True)) as text:
            catalog = make_catalog(streams=streams, connector=self.case.name)
            tap = _tap(self.case.name)(config=config, state=state, catalog=catalog)
            try:
                tap.sync_all()
            except VendortapError as problem:
                error = problem
            finally:
                tap.client.close()
                text.flush()
        lines = written.getvalue().splitlines()
        return Run([json.loads(line, parse_float=Decimal) for line in lines], error, tap.traffic.retries)


@contextmanager
def vendor(case: Case, invoices: int, seed: int = 1) -> Iterator[Vendor]:
    """Serve the sandbox of a case."""
    connector = host.load(case.name)
    app = Faulty(serve.application(connector, invoices=invoices, seed=seed, **case.options), seed)
    with serve.serving(app) as served:
        yield Vendor(case, served.url, app)


@dataclass
class Story:
    """Runs one after the other, each from the last state, until one ends well: what is loaded in the end."""

    tables: dict[str, Table] = field(default_factory=dict)
    errors: list[VendortapError] = field(default_factory=list)
    retries: int = 0
    state: Any = None

    def add(self, run: Run, unsteady: frozenset[str]) -> None:
        """Load what a run has handed over for certain."""
        keys = {m["stream"]: m["key_properties"] for m in run.messages if m["type"] == "SCHEMA"}
        for message in run.covered():
            record = message["record"]
            key = tuple(str(record[name]) for name in keys[message["stream"]])
            steady = {name: value for name, value in record.items() if name not in unsteady}
            self.tables.setdefault(message["stream"], {})[key] = steady
        self.state = run.state or self.state
        self.retries += run.retries
        if run.error:
            self.errors.append(run.error)


def story(
    vendor: Vendor,
    streams: Sequence[str],
    *,
    most: int = 2,
    between: Callable[[], None] = lambda: None,
    **settings: Any,
) -> Story:
    """Run until a run ends well, ``most`` times at the most; ``between`` is called after one that did not."""
    told = Story()
    for _ in range(most):
        run = vendor.run(streams, told.state, **settings)
        told.add(run, vendor.case.unsteady)
        if run.error is None:
            return told
        between()
    raise AssertionError(f"it never ended well: {[str(error) for error in told.errors]}")


def sums(case: Case, records: Iterable[Mapping[str, Any]]) -> Sums:
    """Currency → number of invoices and exact sum, as the sandbox's ``totals`` has them."""
    found: Sums = {}
    for record in records:
        currency, amount = case.amount(record)
        count, total = found.get(currency, (0, Decimal("0.00")))
        found[currency] = count + 1, total + amount
    return found
