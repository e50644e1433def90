"""A local server that imitates Amazon's Selling Partner API for vendor direct fulfillment customer invoices.

Written from the vendor's documents alone, and deliberately ignorant of the connector. The sources:

* getCustomerInvoices, getCustomerInvoice: CustomerInvoicesApi.md of the vendor's Python SDK and
  vendorDirectFulfillmentShippingV1.json of amzn/selling-partner-api-models (2021-12-28 differs by its envelope)
* LWA tokens: https://developer-docs.amazon.com/sp-api/docs/connecting-to-the-selling-partner-api
* restricted data tokens: https://developer-docs.amazon.com/sp-api/docs/tokens-api-use-case-guide
* expired tokens, quotas and next tokens: what users report in the vendor's issues

Where the documents are silent a comment says "Assumption". Nothing is stored per order: order *i* is computed
from the seed and *i* alone whenever it is asked for.
"""

from __future__ import annotations

import re
import struct
import zlib
from base64 import b64decode, b64encode
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import parse_qsl
from uuid import uuid4
from xml.sax.saxutils import escape

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from vendortap.sandbox.kit import Bucket, Call, Document, Handler, Server, Tokens, json_answer

CLIENT_ID: Final = "amzn1.application-oa2-client.sandbox"
CLIENT_SECRET: Final = "sandbox~not-a-secret"  # noqa: S105  (opens only this sandbox)
REFRESH_TOKEN: Final = "Atzr|sandbox"  # noqa: S105  (opens only this sandbox)
LWA_PATH: Final = "/auth/o2/token"
RDT_PATH: Final = "/tokens/2021-03-01/restrictedDataToken"
SHIPPING_PATH: Final = "/vendor/directFulfillment/shipping"
VERSIONS: Final = ("v1", "2021-12-28")
WAREHOUSES: Final = ("ABCD", "WXYZ")
"""The two values of shipFromPartyId, which orders have in turn."""
START: Final = datetime(2026, 5, 1, tzinfo=UTC)
END: Final = datetime(2026, 6, 30, tzinfo=UTC)

STATIC_QUERY: Final = {
    "createdAfter": "2020-02-15T14:00:00-08:00",
    "createdBefore": "2020-02-20T00:00:00-08:00",
    "limit": "2",
    "sortOrder": "DESC",
}
"""The query that the vendor's static sandbox matches; its one order is in no other list."""
STATIC_TOKEN: Final = "MDAwMDAwMDAwMQ=="  # noqa: S105  (a place in a list)

PAGE_SIZE: Final = 50  # Assumption: no default is given.
MAX_PAGE_SIZE: Final = 100
MAX_WINDOW: Final = timedelta(days=7)

# ---------------------------------------------------------------------------------------------- orders

_ITEMS: Final = (
    ('Echo Dot <5th Gen> "Charcoal"', Decimal("49.99")),
    ("Küchenmesser & Wetzstahl", Decimal("61.22")),
    ("Chaise (pliante), lot de 2", Decimal("118.50")),
    ("O'Neill cotton T-shirt, XL", Decimal("14.05")),
    ("Paper \\ ruled, 500 sheets", Decimal("7.35")),
)
_BUYERS: Final = ("Zoë Brönte", "José Núñez", "Müller & Söhne GmbH", "Anne O'Neill <office>", 'Dan "DJ" Wu')
_CURRENCIES: Final = ("USD",) * 6 + ("CAD", "EUR")
_HUGE: Final = {7: Decimal("1234567890123456.78"), 13: Decimal("90071992547409.93")}
"""Totals that a binary float cannot hold to the cent (the second is 2**53 + 1 cents), by index."""
_FIRST: Final = 10_000_000
_ZERO: Final = Decimal("0.00")


class _Head(NamedTuple):
    currency: str
    buyer: str
    sold: tuple[tuple[int, str, Decimal], ...]  # quantity, item, price
    tax: Decimal

    @property
    def total(self) -> Decimal:
        return sum((quantity * price for quantity, _, price in self.sold), self.tax)


def _head(seed: int, index: int) -> _Head:
    rng = Random(f"{seed}:{index}")  # noqa: S311  (repeatable, not secret)
    sign = -1 if index % 15 == 8 else 1
    currency, buyer = rng.choice(_CURRENCIES), rng.choice(_BUYERS)
    if index in _HUGE:
        return _Head(currency, buyer, ((1, "Bearer bond", _HUGE[index]),), _ZERO)
    sold = tuple((sign * rng.randint(1, 4), *rng.choice(_ITEMS)) for _ in range(rng.randint(1, 4)))
    return _Head(currency, buyer, sold, Decimal(sign * rng.choice((0, rng.randint(10, 2999)))).scaleb(-2))


def _number(index: int) -> str:
    return f"D{_FIRST + index}x"


@dataclass
class _Book:
    """The orders by when they became available; the first of every day did so exactly at midnight (UTC)."""

    seed: int
    base: int
    start: datetime
    end: datetime
    count: int = 0

    def __post_init__(self) -> None:
        self.count = self.base

    def index(self, number: str) -> int | None:
        """The index of a purchase order number."""
        index = int(number[1:-1]) - _FIRST if re.fullmatch("D[0-9]{8}x", number) else -1
        return index if 0 <= index < self.count else None

    def available(self, index: int) -> datetime:
        """When an order became available; rises with the index. Those of `add` come a minute apart from ``end``."""
        if index >= self.base:
            return self.end + timedelta(minutes=index - self.base)
        span = self.end - self.start
        at = self.start + span * index / self.base
        midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight if at - midnight < span / self.base and midnight >= self.start else at

    def add(self, count: int) -> None:
        """Append orders available after all others."""
        self.count += count

    def invoice(self, index: int) -> Document:
        """One CustomerInvoice. Assumption: most are PDF, as users presume."""
        number, head = _number(index), _head(self.seed, index)
        if index % 20 == 4:
            content = _xml(number, head)
        elif index % 20 == 9:
            content = _png(number, head)
        else:
            content = "\n".join(_text(number, head)).encode() if index == 5 else _pdf(_text(number, head))
        return {"purchaseOrderNumber": number, "content": b64encode(content).decode()}

    def totals(self) -> dict[str, tuple[int, Decimal]]:
        """Currency → number of invoices and exact sum of the totals inside the documents."""
        totals: dict[str, tuple[int, Decimal]] = {}
        for index in range(self.count):
            head = _head(self.seed, index)
            count, total = totals.get(head.currency, (0, _ZERO))
            totals[head.currency] = count + 1, total + head.total
        return totals

    def invoices(self) -> Iterator[Document]:
        """Every listed CustomerInvoice."""
        return map(self.invoice, range(self.count))


def _text(number: str, head: _Head) -> list[str]:
    """The lines that a document shows."""
    sold = [f"{quantity} x {item}: {price} each" for quantity, item, price in head.sold]
    total = f"Total: {head.currency} {head.total}"
    return [f"Purchase order: {number}", f"Sold to: {head.buyer}", *sold, f"Tax: {head.tax}", total]


def _xml(number: str, head: _Head) -> bytes:
    lines = "".join(
        f'<line quantity="{quantity}" price="{price}">{escape(item)}</line>' for quantity, item, price in head.sold
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<invoice><purchaseOrder>{number}</purchaseOrder>'
        f"<soldTo>{escape(head.buyer)}</soldTo>{lines}<tax>{head.tax}</tax>"
        f'<total currency="{head.currency}">{head.total}</total></invoice>\n'
    ).encode()


def _png(number: str, head: _Head) -> bytes:
    """A picture of one white pixel, with the lines as its comment."""
    comment = "\n".join(_text(number, head)).encode("latin-1")
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)),
        (b"tEXt", b"Comment\0" + comment),
        (b"IDAT", zlib.compress(b"\0\xff")),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def _pdf(lines: list[str]) -> bytes:
    """One page in Helvetica with the lines as uncompressed text."""
    shown = (re.sub(rb"([()\\])", rb"\\\1", line.encode("cp1252")) for line in lines)
    stream = b"BT /F1 11 Tf 14 TL 50 780 Td " + b" ".join(b"(%s) Tj T*" % line for line in shown) + b" ET"
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F1 5 0 R>>>>/Contents 4 0 R>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
    )
    body, places = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", []
    for number, content in enumerate(objects, 1):
        places.append(b"%010d 00000 n \n" % len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"xref\n0 6\n0000000000 65535 f \n" + b"".join(places)
    return body + table + b"trailer\n<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % len(body)


_STATIC: Final[Document] = {
    "purchaseOrderNumber": "PO98676856",
    "content": b64encode(_pdf(["Purchase order: PO98676856", "Total: USD 10.00"])).decode(),
}

# ------------------------------------------------------------------------------------------------ wire

_ERRORS: Final = {
    400: ("InvalidInput", "Request has missing or invalid parameters and cannot be parsed."),
    403: ("Unauthorized", "Access to requested resource is denied."),
    404: ("NotFound", "The resource specified does not exist."),
    429: ("QuotaExceeded", "You exceeded your quota for the requested resource."),
    500: ("InternalFailure", "We encountered an internal error. Please try again."),
    503: ("ServiceUnavailable", "Service is temporarily unavailable. Please try again."),
}
_EXPIRED: Final = "The access token you provided has expired."
_INVALID: Final = "The access token you provided is revoked, malformed or invalid."


def _answer(document: Document, status: int = 200) -> Response:
    return json_answer(document, status, {"x-amzn-RequestId": str(uuid4())})


def _refuse(request: Request, status: int, detail: str) -> Response:  # noqa: ARG001  (the kit's signature)
    """An ErrorList: a 400 says what is wrong in its message, a 403 in its details."""
    code, message = _ERRORS.get(status, ("Error", detail))
    if status == 400:
        message = detail or message
    details = detail if status == 403 else ""
    return _answer({"errors": [{"code": code, "message": message, "details": details}]}, status)


def _moment(params: Mapping[str, str], name: str) -> datetime:
    """A required date and time. Assumption: without a zone it is UTC."""
    text = params.get(name.lower())
    if not text:
        raise HTTPException(400, f"Missing required parameter: {name}")
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        moment = None
    if moment is None or "T" not in text:
        raise HTTPException(400, f"{name} must be in ISO-8601 date/time format.")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _checksum(params: Mapping[str, str]) -> int:
    names = ("createdafter", "createdbefore", "shipfrompartyid", "limit", "sortorder")
    return zlib.crc32(repr([params.get(name) for name in names]).encode())


def _next_token(params: Mapping[str, str], offset: int, *, again: bool = False) -> str:
    """An opaque place in a list, good only with the parameters of that list; ``again`` after an empty page."""
    return b64encode(b"%010d%010d%b" % (offset, _checksum(params), b"=" if again else b"")).decode()


def _offset(params: Mapping[str, str]) -> int:
    token = params.get("nexttoken")
    if not token:
        return 0
    try:
        offset = int(b64decode(token)[:10])
    except ValueError:
        offset = -1
    if token not in (_next_token(params, offset), _next_token(params, offset, again=True)):
        raise HTTPException(400, "Next token is invalid or expired")
    return offset


@dataclass
class _Service:
    book: _Book
    server: Server
    lwa: Tokens
    rdt: Tokens
    restricted: bool
    bounds: Literal["[)", "()", "[]"]
    scopes: dict[str, set[str]] = field(default_factory=dict)

    def revoke_tokens(self) -> None:
        """Make every token issued so far unknown."""
        self.lwa.revoke()
        self.rdt.revoke()

    def expire_tokens(self) -> None:
        """End the life of every token issued so far, in the middle of a list too."""
        for tokens in (self.lwa, self.rdt):
            tokens.issued = dict.fromkeys(tokens.issued, 0.0)

    def token(self, call: Call) -> Response:
        """Login with Amazon: a refresh token in a form."""
        form = dict(parse_qsl(call.body.decode("utf-8", "replace")))
        if not call.request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            form = {}
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            error = {"error": "invalid_client", "error_description": "Client authentication failed"}
            return _answer(error, 401)
        if form.get("grant_type") != "refresh_token":
            error = {"error": "unsupported_grant_type", "error_description": "The grant type is not supported"}
            return _answer(error, 400)
        if form.get("refresh_token") != REFRESH_TOKEN:
            error = {"error": "invalid_grant", "error_description": "The request has an invalid grant parameter"}
            return _answer(error, 400)
        issued = {"access_token": self.lwa.issue(), "token_type": "bearer", "expires_in": int(self.lwa.seconds)}
        return _answer(issued | {"refresh_token": REFRESH_TOKEN})

    def restricted_token(self, call: Call) -> Response:
        """createRestrictedDataToken, for at most 50 resources, each with its method and (generic) path."""
        resources = call.json().get("restrictedResources") if isinstance(call.json(), dict) else None
        if not isinstance(resources, list) or not 1 <= len(resources) <= 50:
            raise HTTPException(400, "restrictedResources must be a list of 1 to 50 resources.")
        paths = {_restricted_path(resource) for resource in resources}
        if None in paths:
            raise HTTPException(400, "Application do not have access to some or all requested resource")
        token = self.rdt.issue()
        self.scopes[token] = {path for path in paths if path}
        return _answer({"restrictedDataToken": token, "expiresIn": int(self.rdt.seconds)})

    def guard(self, call: Call) -> Response | None:
        """A user agent and a token: for invoices one that is restricted to just this resource."""
        agent = call.request.headers.get("user-agent", "")
        if not 0 < len(agent) <= 500:  # Assumption: how the missing of what is mandatory is answered
            return _refuse(call.request, 400, "The user-agent header is mandatory and has at most 500 characters.")
        path, token = call.request.url.path, call.request.headers.get("x-amz-access-token", "")
        if not token:
            return _refuse(call.request, 403, "Access token is missing in the request header.")
        if not self.lwa.valid(token) and not self.rdt.valid(token):
            known = token in self.lwa.issued or token in self.rdt.issued
            return _refuse(call.request, 403, _EXPIRED if known else _INVALID)
        if path == RDT_PATH:
            allowed = self.lwa.valid(token)
        elif self.rdt.valid(token):
            generic = re.sub("(?<=/customerInvoices/).*", "{purchaseOrderNumber}", path)
            allowed = not self.scopes[token].isdisjoint((path, generic))
        else:
            allowed = not self.restricted
        return None if allowed else _refuse(call.request, 403, "")

    def operation(self, handler: Handler, rate: float) -> Handler:
        """Limit one operation to its usage plan, and name the rate where the document says so."""
        bucket = Bucket(rate, burst=10)

        def serve(call: Call) -> Response:
            if bucket.wait():
                self.server.requests["429"] += 1
                return _refuse(call.request, 429, "")
            try:
                response = handler(call)
            except HTTPException as error:
                response = _refuse(call.request, error.status_code, error.detail)
            if rate:
                response.headers["x-amzn-RateLimit-Limit"] = str(rate)
            return response

        return serve

    def invoices(self, call: Call) -> Response:
        """getCustomerInvoices: the orders that became available in a window of at most 7 days."""
        # The static sandbox matches the parameters as they are written.
        if dict(call.request.query_params) == STATIC_QUERY:
            return _enveloped(call, {"pagination": {"nextToken": STATIC_TOKEN}, "customerInvoices": [_STATIC]})
        size = call.params.get("limit", str(PAGE_SIZE))
        if not re.fullmatch("[0-9]{1,3}", size) or not 1 <= int(size) <= MAX_PAGE_SIZE:
            raise HTTPException(400, f"limit must be from 1 to {MAX_PAGE_SIZE}.")
        found, first = call.moved(self._matches(call.params)), _offset(call.params)
        if call.fault == "empty-page":  # what it should have shown is on the page after it
            following = {"nextToken": _next_token(call.params, first, again=True)}
            return _enveloped(call, {"pagination": following, "customerInvoices": []})
        last = first + int(size)
        # Assumption: pagination is absent on the last page.
        pagination = {"pagination": {"nextToken": _next_token(call.params, last)}} if last < len(found) else {}
        invoices = [self.book.invoice(index) for index in found[first:last]]
        return _enveloped(call, {**pagination, "customerInvoices": invoices})

    def _matches(self, params: Mapping[str, str]) -> Sequence[int]:
        after, before = _moment(params, "createdAfter"), _moment(params, "createdBefore")
        if not after <= before <= after + MAX_WINDOW:
            raise HTTPException(400, "The date range to search must be no more than 7 days.")
        order = params.get("sortorder", "ASC")  # Assumption: no default is given.
        if order not in ("ASC", "DESC"):
            raise HTTPException(400, "sortOrder must be ASC or DESC.")
        # "After" and "before": whether an order exactly on a bound is included is not said, hence the option.
        every, available = range(self.book.count), self.book.available
        low = (bisect_left if self.bounds[0] == "[" else bisect_right)(every, after, key=available)
        high = (bisect_right if self.bounds[1] == "]" else bisect_left)(every, before, key=available)
        party = params.get("shipfrompartyid")
        found: Sequence[int] = every[low:high]
        if party:
            found = [index for index in found if WAREHOUSES[index % 2] == party]
        return found if order == "ASC" else found[::-1]

    def invoice(self, call: Call) -> Response:
        """One order's invoice: getCustomerInvoice."""
        number = call.params["purchaseordernumber"]
        if not re.fullmatch("[a-zA-Z0-9]+", number):
            raise HTTPException(400, "purchaseOrderNumber must match ^[a-zA-Z0-9]+$")
        if number == _STATIC["purchaseOrderNumber"]:
            return _enveloped(call, _STATIC)
        index = self.book.index(number)
        if index is None:
            raise HTTPException(404)
        return _enveloped(call, self.book.invoice(index))


def _restricted_path(resource: Any) -> str | None:
    """The path of a restricted resource that this application may use."""
    path = str(resource.get("path")) if isinstance(resource, dict) and resource.get("method") == "GET" else ""
    known = rf"{SHIPPING_PATH}/({'|'.join(VERSIONS)})/customerInvoices(/(\{{purchaseOrderNumber\}}|[a-zA-Z0-9]+))?"
    return path if re.fullmatch(known, path) else None


def _enveloped(call: Call, document: Document) -> Response:
    """Version v1 wraps what it found in ``payload``, 2021-12-28 does not."""
    return _answer({"payload": document} if f"{SHIPPING_PATH}/v1/" in call.request.url.path else document)


def app(
    *,
    invoices: int = 2000,
    seed: int = 1,
    latency_ms: float = 0,
    rate: float = 0,
    start: datetime = START,
    end: datetime = END,
    bounds: Literal["[)", "()", "[]"] = "[)",
    restricted: bool = True,
    token_seconds: float = 3600,
    rate_limit: float = 10.0,
) -> Starlette:
    """Return the sandbox as an ASGI application.

    Args:
        invoices: how many orders there are at the start.
        seed: another seed, other orders.
        latency_ms: milliseconds by which every API answer is delayed.
        rate: API requests a second before 429, over all operations; 0 for no limit.
        start: when the first order became available.
        end: after when the last of them did.
        bounds: whether an order exactly at createdAfter, and one at createdBefore, is in the list.
        restricted: whether a restricted data token is needed.
        token_seconds: the life of both kinds of tokens.
        rate_limit: requests a second of each operation (bursts of 10); 0 for no limit.

    Its ``state`` has ``totals()``, ``invoices()``, ``requests`` (by "token", "restricted_token", "list", "single",
    "429"), ``fail(n, status, headers)``, ``add(count)``, ``revoke_tokens()`` and ``expire_tokens()``.
    """
    server = Server(_refuse, latency_ms, Bucket(rate))
    lwa, rdt = Tokens(token_seconds), Tokens(token_seconds)
    service = _Service(_Book(seed, invoices, start, end), server, lwa, rdt, restricted, bounds)
    restricted_token = service.operation(service.restricted_token, 1.0 if rate_limit else 0)
    routes = [
        server.route(LWA_PATH, "token", service.token, methods=["POST"]),
        server.route(RDT_PATH, "restricted_token", restricted_token, methods=["POST"], guard=service.guard),
    ]
    for version in VERSIONS:
        path = f"{SHIPPING_PATH}/{version}/customerInvoices"
        listed, single = (service.operation(handler, rate_limit) for handler in (service.invoices, service.invoice))
        routes += [
            server.route(path, "list", listed, guard=service.guard),
            server.route(f"{path}/{{purchaseOrderNumber}}", "single", single, guard=service.guard),
        ]
    return server.application(
        routes,
        paging={"nexttoken"},
        totals=service.book.totals,
        invoices=service.book.invoices,
        add=service.book.add,
        revoke_tokens=service.revoke_tokens,
        expire_tokens=service.expire_tokens,
    )
