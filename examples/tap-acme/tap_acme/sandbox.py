"""A local server that imitates Acme; it knows nothing of the connector that is tested with it."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from vendortap.sandbox.kit import Bucket, Call, Document, Server, XmlNames, add_up, answer, random_for, stamp

FIRST = datetime(2025, 1, 1)
"""When the first record changed last."""

INVOICES = XmlNames("page", items={"invoices": "invoice"}, namespaces=())
INVOICE_DETAILS = XmlNames("invoice", items={"lines": "line"}, namespaces=())
ERROR = XmlNames("error", namespaces=())


def app(*, invoices: int = 2000, seed: int = 1, latency_ms: float = 0, rate: float = 0) -> Starlette:
    """Return the server; its ``state.totals()`` is the truth that a run is compared with."""

    def guard(call: Call) -> Response | None:
        headers = call.request.headers
        known = headers.get("authorization") == "Bearer sandbox-token"
        return None if known else refuse(call.request, 401, "The credentials are not known.")

    def answer_invoices(call: Call) -> Response:
        size = call.whole("per_page", 50)
        first = (call.whole("page", 1, least=1) - 1) * size
        shown = call.shown(call.moved(range(invoices))[first : first + size])
        rows = [invoices_record(seed, index) for index in shown]
        return answer(call.request, {"invoices": rows}, INVOICES)

    def answer_invoice_details(call: Call) -> Response:
        record = invoice_details_record(seed, known_index(call.params["number"], invoices))
        return answer(call.request, record, INVOICE_DETAILS)

    server = Server(refuse, latency_ms, Bucket(rate))
    routes = [
        server.route("/invoices", "invoices", answer_invoices, guard=guard),
        server.route("/invoices/{number}", "invoice_details", answer_invoice_details, guard=guard),
    ]
    records = (invoice_details_record(seed, index) for index in range(invoices))
    totals = add_up([(record["currency"], record["total"]) for record in records])
    return server.application(routes, totals=lambda: totals)


def invoices_record(seed: int, index: int) -> Document:
    """Return a made-up record, computed from the seed and its index alone."""
    whole = invoice_details_record(seed, index)
    return {name: whole[name] for name in ("number", "updated_at", "currency", "total")}


def invoice_details_record(seed: int, index: int) -> Document:
    """Return a made-up record, computed from the seed and its index alone."""
    random = random_for(seed, index)
    return {
        "number": f"A{index:05}",
        "updated_at": stamp(FIRST + timedelta(minutes=7 * index), "+00:00"),
        "currency": random.choice(("EUR", "USD")),
        "total": Decimal(random.randint(1, 100_000)) / 100,
        "lines": [
            {
                "sku": f"sku-{random.randint(1, 9)}",
                "quantity": random.randint(1, 9),
                "price": Decimal(random.randint(1, 100_000)) / 100,
            }
            for _ in range(random.randint(1, 3))
        ],
    }


def known_index(key: str, invoices: int) -> int:
    """Return the index of the record with this key; one that there is not is answered with 404."""
    digits = key.removeprefix("A")
    if not digits.isdecimal() or int(digits) >= invoices:
        raise HTTPException(404, "There is no such invoice.")
    return int(digits)


def refuse(request: Request, status: int, detail: str) -> Response:
    """Return the vendor's error answer."""
    return answer(request, {"message": detail}, ERROR, status)
