"""A local server that imitates Ledger; it knows nothing of the plugins that are held against it."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta
from decimal import Decimal

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from vendortap.sandbox.kit import Bucket, Call, Server, add_up, json_answer, random_for

KEY_ID = "sandbox"
SIGNING_KEY = "sandbox-key"
PAGE = 40
FIRST = datetime(2025, 1, 1)


def app(*, invoices: int = 2000, seed: int = 1, latency_ms: float = 0, rate: float = 0) -> Starlette:
    """Return the server; its ``state.totals()`` is the truth that a run is held against."""

    def answer_list(call: Call) -> Response:
        page = call.whole("page", 1)
        shown = range(invoices)[(page - 1) * PAGE : page * PAGE]
        response = PlainTextResponse(in_csv(seed, shown), media_type="text/csv")
        if shown.stop < invoices:
            response.headers["Link"] = f'</invoices.csv?page={page + 1}>; rel="next", </invoices.csv>; rel="first"'
        return response

    def answer_document(call: Call) -> Response:
        digits = call.params["number"].removeprefix("L")
        if not digits.isdecimal() or int(digits) >= invoices:
            raise HTTPException(404, "There is no such invoice.")
        return PlainTextResponse(in_x12(seed, int(digits)), media_type="application/edi-x12")

    server = Server(refuse, latency_ms, Bucket(rate))
    routes = [
        server.route("/invoices.csv", "invoices", answer_list, guard=guard),
        server.route("/invoices/{number}.x12", "invoice_details", answer_document, guard=guard),
    ]
    totals = add_up([(currency(seed, index), total(seed, index)) for index in range(invoices)])
    return server.application(routes, totals=lambda: totals)


def guard(call: Call) -> Response | None:
    """Refuse what is not signed as Ledger's documentation asks for."""
    headers, url = call.request.headers, call.request.url
    target = f"{url.path}?{url.query}" if url.query else url.path
    body = hashlib.sha256(call.body).hexdigest()
    text = f"{call.request.method}\n{target}\n{headers.get('x-time', '')}\n{body}"
    expected = hmac.new(SIGNING_KEY.encode(), text.encode(), hashlib.sha256).hexdigest()
    signed = hmac.compare_digest(expected, headers.get("x-signature", ""))
    return (
        None if signed and headers.get("x-key-id") == KEY_ID else refuse(call.request, 401, "The signature is wrong.")
    )


def refuse(request: Request, status: int, detail: str) -> Response:
    """Return the vendor's error answer."""
    del request
    return json_answer({"message": detail}, status)


def total(seed: int, index: int) -> Decimal:
    """Return an invoice's total, computed from the seed and its index alone."""
    return Decimal(random_for(seed, index).randint(1, 10_000_000)) / 100


def currency(seed: int, index: int) -> str:
    """Return an invoice's currency, likewise."""
    return random_for(seed, index, "currency").choice(("EUR", "USD"))


def in_csv(seed: int, indexes: range) -> str:
    """Return rows of the list; a name with a comma is quoted, a missing address is empty."""
    rows = ["number,updated_at,contact,lines,currency,total"]
    for index in indexes:
        changed = (FIRST + timedelta(minutes=7 * index)).isoformat() + "Z"
        contact = f'"Doe, Jane <jane.{index}@customer.example>"' if index % 3 else ""
        rows.append(f"L{index:05},{changed},{contact},2,{currency(seed, index)},{total(seed, index)}")
    return "\r\n".join((*rows, ""))


def in_x12(seed: int, index: int) -> str:
    """Return an interchange with one invoice in it."""
    cents = int(total(seed, index) * 100)
    header = f"ISA*00*{'':10}*00*{'':10}*ZZ*{'LEDGER':15}*ZZ*{'CUSTOMER':15}*250101*1200*U*00401*{index:09}*0*P*:"
    body = [
        "GS*IN*LEDGER*CUSTOMER*20250101*1200*1*X*004010",
        "ST*810*0001",
        f"BIG*20250101*L{index:05}",
        f"CUR*SE*{currency(seed, index)}",
        f"IT1*1*2*EA*{Decimal(cents) / 100}**VN*sku-1",
        "IT1*2*1*EA*-0.50**VN*sku-2",
        f"TDS*{cents}",
        "SE*7*0001",
        "GE*1*1",
        f"IEA*1*{index:09}",
    ]
    return "".join(f"{segment}~\n" for segment in [header, *body])
