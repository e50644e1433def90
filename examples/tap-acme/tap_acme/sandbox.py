"""A local server that imitates Acme, written from its documentation without a look at the connector."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from vendortap.sandbox import Bucket, Call, Document, Server, XmlNames, add_up, answer, random_for, stamp

PAGE = XmlNames("page", items={"invoices": "invoice"}, namespaces=())
INVOICE = XmlNames("invoice", items={"lines": "line"}, namespaces=())
ERROR = XmlNames("error", namespaces=())


def app(*, invoices: int = 2000, seed: int = 1, latency_ms: float = 0, rate: float = 0) -> Starlette:
    """Return the server; its ``state.totals()`` is the truth that a run is held against."""

    def listed(index: int) -> Document:
        document = invoice(seed, index)
        del document["lines"]
        return document

    def listing(call: Call) -> Response:
        size = call.whole("per_page", 50)
        first = (call.whole("page", 1) - 1) * size
        shown = range(invoices)[first : first + size]
        return answer(call.request, {"invoices": [listed(index) for index in shown]}, PAGE)

    def detail(call: Call) -> Response:
        digits = call.params["number"].removeprefix("A")
        if not digits.isdecimal() or int(digits) >= invoices:
            raise HTTPException(404, "There is no such invoice.")
        return answer(call.request, invoice(seed, int(digits)), INVOICE)

    server = Server(refuse, latency_ms, Bucket(rate))
    routes = [
        server.route("/invoices", "list", listing, guard=guard),
        server.route("/invoices/{number}", "detail", detail, guard=guard),
    ]
    totals = [(document["currency"], document["total"]) for document in map(listed, range(invoices))]
    return server.application(routes, totals=lambda: add_up(totals))


def invoice(seed: int, index: int) -> Document:
    """Return an invoice of one to three lines, computed from the seed and its index alone."""
    random = random_for(seed, index)
    lines: list[Document] = [
        {"sku": f"widget-{random.randint(1, 9)}", "quantity": random.randint(1, 5), "price": Decimal(cents) / 100}
        for cents in random.sample(range(100_000), random.randint(1, 3))
    ]
    return {
        "number": f"A{index:05}",
        "updated_at": stamp(datetime(2025, 1, 1) + timedelta(minutes=7 * index), "+00:00"),
        "currency": random.choice(("EUR", "USD")),
        "total": sum((line["quantity"] * line["price"] for line in lines), Decimal(0)),
        "lines": lines,
    }


def guard(call: Call) -> Response | None:
    """Refuse calls without the token."""
    known = call.request.headers.get("authorization") == "Bearer sandbox-token"
    return None if known else refuse(call.request, 401, "The token is not known.")


def refuse(request: Request, status: int, detail: str) -> Response:
    """Return the vendor's error answer."""
    return answer(request, {"message": detail}, ERROR, status)
