"""A local server that imitates VisibleSCM's invoice API.

Written from the vendor's documents alone, and deliberately ignorant of the connector and of the framework but
for the box of sandboxes, so that a mistake in one shows in the other. The sources:

* GET api/Invoice/{invoiceRefNumber} and GET api/Invoice/InvoiceList: https://api.visiblescm.com/Help
* the values of BillingEventType, ChargeType and WarehouseLocation: POST api/Invoice/InvoiceLineList, same page
* POST /Account/Token: the sister product PackageHub, https://packagehub-api.visiblescm.com/v3.1/
* all else on the wire: ASP.NET Web API's defaults (Json.NET, XmlSerializer), as the page's samples show

Where the documents are silent a comment says "Assumption". Nothing is stored per invoice: invoice *i* is
computed from the seed and *i* alone whenever it is asked for.
"""

from __future__ import annotations

from array import array
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, NamedTuple
from zlib import crc32

from starlette.exceptions import HTTPException

from vendortap.sandbox.kit import (
    Bucket,
    Call,
    Document,
    Server,
    Tokens,
    XmlNames,
    add_up,
    answer,
    blank,
    json_answer,
    on_clock,
    random_for,
    sample_answer,
    stamp,
    table,
    web_api_error,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

Auth = Literal["any", "bearer", "header", "basic", "account_token"]

TOKEN: Final = "sandbox-visiblescm-bearer"  # noqa: S105  (opens only this sandbox)
HEADER_NAME: Final = "X-Api-Key"
HEADER_VALUE: Final = "sandbox-visiblescm-key"
API_KEY: Final = "sandbox-visiblescm-account"
API_SECRET: Final = "sandbox~not-a-secret"  # noqa: S105  (opens only this sandbox)
USER: Final = "sandbox@example.com"
PASSWORD: Final = "sandbox~not-a-pässword"  # noqa: S105  (opens only this sandbox)

SAMPLE_INVOICE: Final = "sample string 3"
"""Under this number stands the document's own sample, byte for byte; no list shows it."""


# --- data --------------------------------------------------------------------------------------------


class _Kind(NamedTuple):
    """What a charge is for; an empty carrier or sub-category is null on the wire."""

    event: str
    carrier: str
    category: str
    charge: str
    service: str
    sub_category: str


_KINDS: Final = tuple(
    _Kind(*cells)
    for cells in table(
        """
Shipping | UPS | Parcel | BaseRate | Ground | Residential
Shipping | UPS | Surcharge | FuelSurcharge | Ground | Residential & Rural
Shipping | FedEx | Parcel | Accessorial | 2Day® | Address correction
Shipping | USPS | Parcel | BaseRate | Priority Mail™ | <1 lb
Shipping | USPS | Refund | ClaimRefundUSPS | Priority Mail™ |
Shipping | DHL | Parcel | ThirdParty | Päckchen International | Österreich
Fulfillment | | Pick & Pack | OrderFee | B2C | First unit
Fulfillment | | Pick & Pack | UnitFee | B2C | Each additional
Fulfillment | | Returns | ReturnOrder | Inspection "A/B" |
Fulfillment | | Materials | CorrugatedMfg | B2B | Box 12" x 9" x 4"
Storage | | Storage | Storage | Pallet | Month
Production | | Kitting | ProductionKitting | Assembly | Gift sets — été
Logistics | XPO | Freight | LessThanTruckload | Standard LTL | Liftgate
VolumeDiscount | | Discount | OrderFeeDiscount | B2C | Tier <3>
InvoiceAdjustment | | Adjustment | Adjustment | Manual |
"""
    )
)
_WAREHOUSES: Final = ("Atlanta", "Memphis", "WestJordan", "Columbia", "LosAngeles", "StGeorge", "ThirdParty", None)
_CLIENTS: Final = (
    ("Temu & Partners <US>", "Fulfillment"),
    ('Bébé "Étoile" Boutique, LLC', "E-commerce"),
    ("Müller & Söhne Outdoor", "Fulfillment"),
    ("Sierra Ñandú Supplements", None),
    ("O'Neill Home Goods", "Transportation & LTL"),
)
_TERMS: Final = ("Net 30", "Net 15", "Due on receipt", None)
_PERIODS: Final = ("Weekly", "SemiMonthly", "Monthly")
# Assumption: the values of InvoiceFriendlyStatus are not documented.
_STATUSES: Final = ("Published", "Paid", "Partially Paid", "Past Due", "Paid")

_HUGE: Final = {7: 123_456_789_012_345_678, 13: 2**53 + 1}
"""Totals in cents that a binary float cannot hold to the cent, by index."""

_FIRST_NUMBER: Final = 700_000
_EPOCH: Final = datetime(2022, 1, 3, 6)
_STEP: Final = timedelta(minutes=20)
_CLOCK: Final = UTC  # Assumption: stamps with and without offset are one clock, the +00:00 of the sample.


class _Charge(NamedTuple):
    kind: _Kind
    warehouse: str | None
    quantity: int
    published: int  # cents
    discount: int  # cents

    @property
    def invoiced(self) -> int:
        return self.published - self.discount


class _Filter(NamedTuple):
    """The query of a list; both ends of a range are inclusive, the letters of a status have no case.

    Assumption: no member is called InvoiceDate; InvoiceDateStart and InvoiceDateEnd are taken to mean EndDate.
    """

    status: str = ""
    invoice_start: datetime | None = None
    invoice_end: datetime | None = None
    issued_start: datetime | None = None
    issued_end: datetime | None = None


class _Found(NamedTuple):
    """What a filter finds: indices in order, and the sums over all of them."""

    indices: array[int]
    published: Decimal
    discount: Decimal
    invoiced: Decimal
    owed: Decimal


def _money(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2)


def _number(index: int) -> str:
    return f"TM{_FIRST_NUMBER + index}"


def _midnight(at: datetime, days: int) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days)


def _within(at: datetime | None, start: datetime | None, end: datetime | None) -> bool:
    if at is None:
        return start is None and end is None
    return (start is None or start <= at) and (end is None or at <= end)


def _charges(seed: int, index: int) -> list[_Charge]:
    """The charges of one invoice: every 40th has none, every 15th is a credit."""
    rng = random_for(seed, index)
    if index in _HUGE:
        return [_Charge(_KINDS[0], "Emporia", 1, _HUGE[index], 0)]
    sign = -1 if index % 15 == 8 else 1
    charges = []
    for _ in range(0 if index % 40 == 5 else 1 + int(9 * rng.random() ** 2)):
        published = rng.randint(100, 2_500_000)
        discount = published * rng.choice((0, 0, 5, 12, 35)) // 100
        kind, warehouse = rng.choice(_KINDS), rng.choice(_WAREHOUSES)
        charges.append(_Charge(kind, warehouse, rng.randint(1, 900), sign * published, sign * discount))
    return charges


def _summary(charge: _Charge) -> Document:
    """One InvoiceSummaryResponse; ChargeTypeDisplay is computed, so only JSON has it."""
    kind = charge.kind
    return {
        "ChargeTypeDisplay": f"{kind.charge} - {kind.category} - {kind.sub_category}",
        "BillingEventType": kind.event,
        "Carrier": kind.carrier or None,
        "Category": kind.category,
        "ChargeType": kind.charge,
        "ServiceType": kind.service,
        "SubCategory": kind.sub_category or None,
        "WarehouseLocation": charge.warehouse,
        "TotalPublishedAmount": _money(charge.published),
        "TotalDiscountAmount": _money(charge.discount),
        "TotalInvoicedAmount": _money(charge.invoiced),
    }


def _average(charge: _Charge) -> Document:
    """One InvoiceTotalAveragesResponse. Assumption: the three headers are carrier, service and charge type."""
    return {
        "HeaderOne": charge.kind.carrier or charge.kind.event,
        "HeaderTwo": charge.kind.service,
        "HeaderThree": None if charge.quantity % 4 == 0 else charge.kind.charge,
        "Quantity": charge.quantity,
        "Average": (_money(charge.invoiced) / charge.quantity).quantize(Decimal("0.0001")),
    }


@dataclass
class _Book:
    """The invoices: ``count`` of them from the start, then those of `add`, with the changes of `touch`."""

    seed: int
    count: int
    added: list[datetime] = field(default_factory=list)
    touched: dict[int, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # A list of many pages asks for the same sums on each; four bytes an invoice are kept for a few filters.
        self.found = lru_cache(maxsize=4)(self._found)

    def __len__(self) -> int:
        return self.count + len(self.added)

    def index(self, number: str) -> int | None:
        """The index of an InvoiceRefNumber, or None for one that does not exist."""
        digits = number.removeprefix("TM")
        index = int(digits) - _FIRST_NUMBER if digits.isascii() and digits.isdigit() and len(digits) < 19 else -1
        return index if 0 <= index < len(self) and _number(index) == number else None

    def _made(self, index: int) -> datetime:
        """When an invoice was made; rises with the index."""
        if index >= self.count:
            return self.added[index - self.count]
        dice = crc32(f"{self.seed}:{index}:made".encode())
        microsecond = (0, dice % 1000 * 1000, dice % 1_000_000)[index % 3]
        return _EPOCH + index * _STEP + timedelta(seconds=dice % 1199, microseconds=microsecond)

    def issued(self, index: int) -> datetime | None:
        """IssuedDate: None for a draft, which every twelfth invoice is."""
        draft = index % 12 == 3 and index < self.count
        return self.touched.get(index, None if draft else self._made(index))

    def _end(self, index: int) -> datetime | None:
        return None if index % 50 == 17 else _midnight(self._made(index), 0)

    def status(self, index: int) -> str:
        """InvoiceFriendlyStatus."""
        if index in self.touched:
            return "Published"
        return "Draft" if self.issued(index) is None else _STATUSES[index % len(_STATUSES)]

    def _owed(self, index: int, invoiced: int) -> int:
        status = self.status(index)
        return 0 if status in ("Draft", "Paid") else invoiced // 2 if status == "Partially Paid" else invoiced

    def touch(self, number: str, at: datetime) -> None:
        """Issue an invoice, be it a draft or not, at ``at`` (without a zone: UTC): published, and all is owed.

        Raises LookupError for an unknown number.
        """
        index = self.index(number)
        if index is None:
            raise LookupError(f"sandbox: no invoice {number} to touch; take a number from the list")
        self.touched[index] = on_clock(at, _CLOCK)
        self.found.cache_clear()

    def add(self, count: int) -> None:
        """Append ``count`` invoices, issued a minute apart after every stamp that exists so far."""
        latest = max([_EPOCH + self.count * _STEP, *self.added[-1:], *self.touched.values()])
        self.added.extend(latest + timedelta(minutes=1 + n) for n in range(count))
        self.found.cache_clear()

    def detail(self, index: int) -> Document:
        """One InvoiceResponse; names and order of the document's JSON sample."""
        charges = _charges(self.seed, index)
        lines = sum(charge.quantity for charge in charges)
        invoiced = sum(charge.invoiced for charge in charges)
        client, unit = _CLIENTS[index // 6 % len(_CLIENTS)]
        issued, end = self.issued(index), self._end(index)
        offset = "+00:00" if index % 7 == 0 else ""
        return {
            "IsSuccessful": True,
            "Message": None,
            "InvoiceRefNumber": _number(index),
            "InvoiceParentRefNumber": _number(index - index % 6) if index % 6 else None,
            "BusinessUnit": unit,
            "ClientDisplayName": client,
            "InvoiceFriendlyStatus": self.status(index),
            "Terms": _TERMS[index % len(_TERMS)],
            "StartDate": stamp(_midnight(end, -7), offset) if end else None,
            "EndDate": stamp(end, offset) if end else None,
            "DueDate": stamp(_midnight(issued, 30), offset) if issued else None,
            "IssuedDate": stamp(issued, offset, tick=6 if index % 20 == 4 else 0) if issued else None,
            "ProcessPeriodType": _PERIODS[index % len(_PERIODS)],
            "TotalInvoicedAmount": _money(invoiced),
            "TotalAverageAmount": (_money(invoiced) / (lines or 1)).quantize(Decimal("0.01")),
            "TotalPublishedAmount": _money(sum(charge.published for charge in charges)),
            "TotalInvoiceLinesCount": lines,
            "TotalDiscountAmount": _money(sum(charge.discount for charge in charges)),
            "InvoiceAmountOwed": _money(self._owed(index, invoiced)),
            "Summaries": [_summary(charge) for charge in charges],
            "Averages": None if index % 30 == 11 else [_average(charge) for charge in charges],
        }

    def row(self, index: int) -> Document:
        """One InvoiceListResponse: InvoiceRefNumber … InvoiceAmountOwed of the detail."""
        outside = ("IsSuccessful", "Message", "Summaries", "Averages")
        return {name: value for name, value in self.detail(index).items() if name not in outside}

    def _matches(self, index: int, wanted: _Filter) -> bool:
        return (
            wanted.status in ("", self.status(index).lower())
            and _within(self._end(index), wanted.invoice_start, wanted.invoice_end)
            and _within(self.issued(index), wanted.issued_start, wanted.issued_end)
        )

    def _found(self, wanted: _Filter) -> _Found:
        indices = array("I")
        published = discount = owed = 0
        for index in range(len(self)):
            if self._matches(index, wanted):
                indices.append(index)
                charges = _charges(self.seed, index)
                published += sum(charge.published for charge in charges)
                discount += sum(charge.discount for charge in charges)
                owed += self._owed(index, sum(charge.invoiced for charge in charges))
        return _Found(indices, _money(published), _money(discount), _money(published - discount), _money(owed))

    def totals(self) -> dict[str, tuple[int, Decimal]]:
        """Currency ("": there is none) → (number of invoices, exact sum of TotalInvoicedAmount) of all listed."""
        return add_up(
            ("", _money(sum(charge.invoiced for charge in _charges(self.seed, index)))) for index in range(len(self))
        )

    def invoices(self) -> Iterator[Document]:
        """Every listed invoice's detail; amounts are Decimal, dates are text as sent."""
        return map(self.detail, range(len(self)))


_ANY: Final = _Book(seed=1, count=1)
"""For the names of members, where there may be no invoices."""


# --- wire --------------------------------------------------------------------------------------------

_NIL: Final = frozenset({"StartDate", "EndDate", "DueDate", "IssuedDate"})
_DETAIL: Final = XmlNames(
    "InvoiceResponse",
    items={"Summaries": "InvoiceSummaryResponse", "Averages": "InvoiceTotalAveragesResponse"},
    nil=_NIL,
    renamed={"Summaries": "InvoiceSummaries", "Averages": "InvoiceTotalAverages"},
    left_out=frozenset({"ChargeTypeDisplay"}),
)
# Assumption: no XML sample of the list is known; XmlSerializer names root and items after their types.
_LIST: Final = XmlNames("InvoiceListPageResponse", items={"List": "InvoiceListResponse"}, nil=_NIL)


@dataclass
class _Api:
    book: _Book
    auth: Auth
    first_page: int
    max_page_size: int
    tokens: Tokens = field(default_factory=Tokens)

    def guard(self, call: Call) -> Response | None:
        """Refuse what the chosen scheme does not let in."""
        text = call.request.headers.get("authorization", "")
        scheme, _, credential = text.partition(" ")
        scheme = scheme.lower()
        basic = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        # Assumption: PackageHub's token goes "in the header as request authorization": with or without Bearer.
        passes = {
            "bearer": (scheme, credential) == ("bearer", TOKEN),
            "header": call.request.headers.get(HEADER_NAME) == HEADER_VALUE,
            "basic": (scheme, credential) == ("basic", basic),
            "account_token": self.tokens.valid(credential if scheme == "bearer" else text),
        }
        allowed = any(passes.values()) if self.auth == "any" else passes[self.auth]
        return None if allowed else web_api_error(call.request, 401)

    def account_token(self, call: Call) -> Response:
        """POST /Account/Token, of PackageHub: credentials in JSON, a token out."""
        expected = {"apiKey": API_KEY, "apiSecret": API_SECRET, "userName": USER, "password": PASSWORD}
        if call.json() != expected:
            raise HTTPException(401)
        return json_answer({"token": self.tokens.issue()})

    def detail(self, call: Call) -> Response:
        """GET api/Invoice/{invoiceRefNumber}."""
        number = call.params["invoicerefnumber"]
        if number == SAMPLE_INVOICE:
            return sample_answer(call.request, "tap_visiblescm")
        index = self.book.index(number)
        if index is None:
            return _failed(call.request, _ANY.detail(0), _DETAIL, f"Invoice '{number}' was not found.")
        return answer(call.request, self.book.detail(index), _DETAIL)

    def list(self, call: Call) -> Response:
        """GET api/Invoice/InvoiceList: a page, its sums and those of all pages; no rows after the last page."""
        try:
            wanted = _Filter(
                call.params.get("invoicestatus", "").lower(),
                call.moment("invoicedatestart", _CLOCK),
                call.moment("invoicedateend", _CLOCK, end_of_day=True),
                call.moment("issueddatestart", _CLOCK),
                call.moment("issueddateend", _CLOCK, end_of_day=True),
            )
            page = call.whole("pagenumber", self.first_page, least=self.first_page)
            # Assumption: neither a default nor a maximum is documented; a larger page is cut silently.
            size = min(call.whole("pagesize", self.max_page_size), self.max_page_size)
        except HTTPException as error:
            return _failed(call.request, self._page(_Filter(), 0, 1, call), _LIST, error.detail)
        return answer(call.request, self._page(wanted, page, size, call), _LIST)

    def list_failed(self, call: Call) -> Response:
        """How the list says that it failed. Assumption: the wording."""
        return _failed(call.request, self._page(_Filter(), 0, 1, call), _LIST, "An error has occurred.")

    def detail_failed(self, call: Call) -> Response:
        """How the detail says that it failed. Assumption: the wording."""
        return _failed(call.request, _ANY.detail(0), _DETAIL, "An error has occurred.")

    def _page(self, wanted: _Filter, page: int, size: int, call: Call) -> Document:
        found = self.book.found(wanted)
        start = (page - self.first_page) * size
        shown = call.shown(call.moved(found.indices)[start : start + size])
        rows = [self.book.row(index) for index in shown]

        def total(name: str) -> Decimal:
            return sum((row[name] for row in rows), Decimal("0.00"))

        return {
            "IsSuccessful": True,
            "Message": None,
            "PagePublishedAmount": total("TotalPublishedAmount"),
            # The page calls this one an integer. Assumption: its cents are cut off.
            "TotalPublishedAmount": int(found.published),
            "PageDiscountAmount": total("TotalDiscountAmount"),
            "TotalDiscountAmount": found.discount,
            "PageInvoicedAmount": total("TotalInvoicedAmount"),
            "TotalInvoicedAmount": found.invoiced,
            "TotalInvoiceAmountOwed": found.owed,
            "Page": page,
            "Count": len(rows),
            "TotalPage": -(-len(found.indices) // size),
            "TotalCount": len(found.indices),
            "List": rows,
        }


def _failed(request: Request, document: Document, names: XmlNames, message: str) -> Response:
    """Answer with a document of no content but a message.

    Assumption: every body has IsSuccessful and Message, so a failure is a 200 without success; the vendor's
    wording is not known.
    """
    return answer(request, {**blank(document), "Message": message}, names)


def app(
    *,
    invoices: int = 2000,
    seed: int = 1,
    latency_ms: float = 0,
    rate: float = 0,
    auth: Auth = "any",
    first_page: Literal[0, 1] = 1,
    max_page_size: int = 100,
) -> Starlette:
    """The sandbox as an ASGI application.

    Args:
        invoices: how many invoices there are at the start.
        seed: another seed, other invoices; one seed always gives the same ones.
        latency_ms: milliseconds by which every API answer is delayed (token answers are not).
        rate: API requests a second before 429 (bursts of the same size, at least 1); 0 for no limit.
        auth: the scheme that is asked for (the vendor documents none); "any" lets each of the four in.
        first_page: the number of the first page (the vendor does not say).
        max_page_size: the most rows of a page, and what a page has when its size is not given.

    Its ``state`` carries ``totals()``, ``invoices()``, ``requests``, ``touch(number, at)``, ``add(count)``,
    ``fail(number_of_requests, status, headers)`` and ``revoke_tokens()``. ``requests`` counts arrivals as
    "token", "list" and "detail", whatever their answer, and the 429s sent as "429".
    """
    api = _Api(_Book(seed, invoices), auth, first_page, max_page_size)
    server = Server(web_api_error, latency_ms, Bucket(rate))
    return server.application(
        [
            server.route("/Account/Token", "token", api.account_token, methods=["POST"]),
            server.route("/api/Invoice/InvoiceList", "list", api.list, guard=api.guard, failed=api.list_failed),
            server.route(
                "/api/Invoice/{invoiceRefNumber}", "detail", api.detail, guard=api.guard, failed=api.detail_failed
            ),
        ],
        paging={"pagenumber"},
        totals=api.book.totals,
        invoices=api.book.invoices,
        touch=api.book.touch,
        add=api.book.add,
        revoke_tokens=api.tokens.revoke,
    )
