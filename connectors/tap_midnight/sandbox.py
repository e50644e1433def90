"""A local server that imitates Midnight's (Print Reach) invoice API.

Written from the vendor's documents alone, and deliberately ignorant of the connector and of the framework but
for the box of sandboxes, so that a mistake in one shows in the other. The sources, all pages of
https://api.vsmidnight.com/Help:

* POST v2/invoice/detail: the document with its samples
* POST v1/Generic/InvoiceList: members of a row, and the table filter of PrimeNG's lazy loading
* POST v1/Token/UserAuthentication and POST v1/Token/RegenerateAuthToken
* all else on the wire: ASP.NET Web API's defaults (Json.NET, XmlSerializer), as the page's samples show

Where the documents are silent a comment says "Assumption". Nothing is stored per invoice: invoice *i* is
computed from the seed and *i* alone whenever it is asked for.
"""

from __future__ import annotations

import json
from array import array
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple
from uuid import UUID
from xml.parsers.expat import ExpatError
from zlib import crc32

import xmltodict
from starlette.exceptions import HTTPException

from vendortap.sandbox.kit import (
    UNSET,
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
    from collections.abc import Callable, Iterator
    from random import Random

    from starlette.applications import Starlette
    from starlette.responses import Response

DOMAIN: Final = "sandbox-print"
USER: Final = "sandbox"
PASSWORD: Final = "sandbox~not-a-pässword"  # noqa: S105  (opens only this sandbox)
MIS_KEY: Final = "sandbox-mis-key"
"""The MISKEY header may be sent; one that is not this is refused."""

SAMPLE_GUID: Final = "fbb12a5d-1b59-4d46-bcae-e93cef071a85"
"""The Guid of the document's sample request gets its sample response, byte for byte; no list shows it."""


# --- data --------------------------------------------------------------------------------------------


class _Work(NamedTuple):
    """What a line bills: so much a piece (four decimals: sold by the hundred), and its unit."""

    title: str
    line_type: str
    rate: Decimal
    pack: int
    unit: str
    unit_name: str


_WORK: Final = tuple(
    _Work(title, kind, Decimal(rate), int(pack), unit, name)
    for title, kind, rate, pack, unit, name in table(
        """
Postcards 6" x 9", 4/4 & UV coating | Service | 0.0875 | 500 | M | Thousand
Inkjet addressing <simplex> | Service | 0.0142 | 500 | M | Thousand
Folding & inserting #10 | Service | 0.0310 | 100 | M | Thousand
NCOA®, CASS™ and presort | Service | 35.00 | 1 | EA | Each
Brochure "Été à Montréal", 12 pp | Service | 1.2460 | 100 | C | Hundred
Déliver à l'entrepôt — courier | Service | 48.50 | 1 | |
USPS Marketing Mail postage | Postage | 0.2360 | 500 | M | Thousand
First-Class presort postage | Postage | 0.5930 | 100 | M | Thousand
"""
    )
)
_ADDRESS_NAMES: Final = (
    "Company",
    "Attn",
    "AddressLine1",
    "AddressLine2",
    "AddressLine3",
    "City",
    "StateCode",
    "ZipCode",
    "Country",
)
_ADDRESSES: Final = table(
    """
Red & White Charities | A/P | 12 Mill Rd | | | Duluth | MN | 55802 | USA
"Fresh Start" Realty <North> | Zoë Ångström | 400 Nicollet Mall | Suite 1900 | Box 7 | Minneapolis | MN | 55401 | USA
Théâtre Saint-Élie inc. | | 88, rue Saint-Élie | | | Trois-Rivières | QC | G9A 2J4 | Canada
O'Neill & Sons Auto | Billing | 77 Harbor Ave | Dock 3 | | Portland | ME | 04101 |
Peña Family Clinic | José Núñez | 901 Española Way | | | Santa Fe | NM | 87501 | USA
"""
)
_TERMS: Final = ("NET30", "NET10", "COD", "")
_TAX: Final = Decimal("0.06875")

_HUGE: Final = {7: Decimal("1234567890123456.78"), 13: Decimal("90071992547409.93")}
"""Totals that a binary float cannot hold to the cent (the second is 2**53 + 1 cents), by index."""

_CENT: Final = Decimal("0.01")
_ZERO: Final = Decimal("0.00")
_FIRST_ID: Final = 20_000
_EPOCH: Final = datetime(2022, 1, 3, 6)
_STEP: Final = timedelta(minutes=20)
_CLOCK: Final = UTC  # Assumption: stamps with and without offset are one clock, the +00:00 of the sample.


class _Line(NamedTuple):
    work: _Work
    quantity: int
    rate: Decimal
    amount: Decimal
    tax: Decimal


class _Head(NamedTuple):
    """What list, detail and totals share: ``total == sum(amount + tax) - discount``, exactly."""

    lines: tuple[_Line, ...]
    discount: Decimal
    total: Decimal
    received: Decimal


def _line(rng: Random, index: int) -> _Line:
    work = rng.choice(_WORK)
    quantity = (-1 if index % 15 == 8 else 1) * work.pack * rng.randint(1, 40)
    # Exact: a rate of four decimals is multiplied by whole hundreds, so the cents are whole.
    amount = (quantity * work.rate).quantize(_CENT)
    taxed = work.line_type == "Service" and index % 3 != 0
    return _Line(work, quantity, work.rate, amount, (amount * _TAX).quantize(_CENT) if taxed else _ZERO)


def _orders(index: int) -> int:
    """How many orders an invoice bills; the list repeats it for each."""
    return {4: 2, 9: 3}.get(index % 10, 1)


def _total(amounts: Iterator[Decimal]) -> Decimal:
    return sum(amounts, _ZERO)


@dataclass
class _Book:
    """The invoices: ``count`` of them from the start, then those of `add`, with the payments of `touch`."""

    seed: int
    count: int
    added: list[datetime] = field(default_factory=list)
    touched: dict[int, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Each page of one list asks for the same order of rows; four bytes a row are kept for a few lists.
        self.found = lru_cache(maxsize=4)(self._found)

    def __len__(self) -> int:
        return self.count + len(self.added)

    def _guid(self, index: int, position: int = 0) -> str:
        dice = crc32(f"{self.seed}:{position}".encode())
        return f"{dice:08x}-{index % 65521:04x}-4d46-bcae-{index:012x}"

    def index(self, guid: UUID) -> int | None:
        """The index of a Guid, or None for one that does not exist."""
        index = guid.node
        return index if index < len(self) and self._guid(index) == str(guid) else None

    def _made(self, index: int) -> datetime:
        """When an invoice was made; rises with the index."""
        if index >= self.count:
            return self.added[index - self.count]
        dice = crc32(f"{self.seed}:{index}:made".encode())
        microsecond = (0, dice % 1000 * 1000, dice % 1_000_000)[index % 3]
        return _EPOCH + index * _STEP + timedelta(seconds=dice % 1199, microseconds=microsecond)

    def _payment(self, index: int) -> str:
        """PaymentStatus. Assumption: its values are not documented."""
        statuses = ("Unpaid", "Paid", "Partially Paid", "Paid", "Unpaid")
        return "Paid" if index in self.touched else statuses[index // 3 % len(statuses)]

    def _dates(self, index: int) -> Document:
        """The three dates. Some are null and some are unset, which .NET prints as the year 1."""
        made, paid = self._made(index), self.touched.get(index)
        offset, tick = "+00:00" if index % 7 == 0 else "", 3 if index % 20 == 4 else 0
        due = made.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(30)
        if paid is None and self._payment(index) != "Unpaid":
            paid = made + timedelta(days=9)
        return {
            "InvoiceDate": None if index % 50 == 17 else stamp(made, offset, tick),
            "InvoiceDueDate": UNSET if index % 25 == 6 else None if index % 50 == 17 else stamp(due, offset),
            "PaymentBilledDateTime": stamp(paid, offset) if paid else UNSET if index % 10 == 0 else None,
        }

    def head(self, index: int) -> _Head:
        """The amounts of one invoice: every 40th has no lines, every 15th is a credit."""
        if index in _HUGE:
            huge = _HUGE[index]
            lines: tuple[_Line, ...] = (_Line(_WORK[3], 1, huge, huge, _ZERO),)
        else:
            rng = random_for(self.seed, index)
            count = 0 if index % 40 == 5 else max(_orders(index), rng.randint(0, 6))
            lines = tuple(_line(rng, index) for _ in range(count))
        amount = _total(line.amount for line in lines)
        discount = (amount / 50).quantize(_CENT) if index % 6 == 2 else _ZERO
        total = _total(line.amount + line.tax for line in lines) - discount
        payment = self._payment(index)
        received = total if payment == "Paid" else (total / 2).quantize(_CENT) if payment == "Partially Paid" else _ZERO
        return _Head(lines, discount, total, received)

    def touch(self, guid: str, at: datetime) -> None:
        """Pay an invoice at ``at`` (without a zone: UTC); what a list can show of that are its amounts and status.

        Raises LookupError for an unknown Guid.
        """
        index = self.index(UUID(guid))
        if index is None:
            raise LookupError(f"sandbox: no invoice {guid} to touch; take a Guid from the list")
        self.touched[index] = on_clock(at, _CLOCK)
        self.found.cache_clear()

    def add(self, count: int) -> None:
        """Append ``count`` invoices, dated a minute apart after every stamp that exists so far."""
        latest = max([_EPOCH + self.count * _STEP, *self.added[-1:], *self.touched.values()])
        self.added.extend(latest + timedelta(minutes=1 + n) for n in range(count))
        self.found.cache_clear()

    def _header(self, index: int, head: _Head) -> Document:
        """One InvoiceSelectResponse; names, with their irregular letters, and order of the document's sample.

        What other documents need of it is cheap; its lines, which are not, `detail` puts into their place.
        """
        dates, payment = self._dates(index), self._payment(index)
        address = zip(_ADDRESS_NAMES, _ADDRESSES[index % len(_ADDRESSES)], strict=True)
        by_type = {
            kind: [line for line in head.lines if line.work.line_type == kind] for kind in ("Service", "Postage")
        }
        amounts = {kind: _total(line.amount for line in lines) for kind, lines in by_type.items()}
        taxes = {kind: _total(line.tax for line in lines) for kind, lines in by_type.items()}
        balance = head.total - head.received
        return {
            "GUID": self._guid(index),
            "InvoiceID": _FIRST_ID + index,
            "InvoiceNumber": str(_FIRST_ID + index),
            "InvoiceNumberExt": ("", None, "-A", "-2")[index % 4],
            # Assumption: the values of InvoiceStatus and RequestType are not documented.
            "InvoiceStatus": "Open" if index % 4 else "Posted",
            "InvoiceDate": dates["InvoiceDate"],
            "InvoiceDueDate": dates["InvoiceDueDate"],
            "TermsCode": _TERMS[index % len(_TERMS)],
            "InvoiceNote": "Merci & à bientôt <3" if index % 9 == 1 else None,
            "RequestType": "Credit" if index % 15 == 8 else "Invoice",
            "PurchaseOrderNumber": f"PO#{index // 4:05} R&D" if index % 4 else "",
            "ItemDisplaySetting": "Detail",
            "PaymentStatus": payment,
            "PaymentType": "Check" if head.received else None,
            "PaymentSource": "Manual" if head.received else None,
            "PaymentBilledDateTime": dates["PaymentBilledDateTime"],
            "TotalBilledAmount": head.total,
            "InvoiceTaxAmount": sum(taxes.values(), _ZERO),
            "AmountReceived": head.received,
            "PaymentDueAmount": balance,
            "Balance": balance,
            "DiscountAmount": head.discount,
            "DiscountType": "Percent" if head.discount else None,
            "CustomerId": 100 + index % len(_ADDRESSES),
            "ContactId": 0 if index % 8 == 3 else 900 + index % 40,
            "UserName": ("dana", "renée", "miguel")[index % 3],
            "EmailAddress": f"ap+{index % 40}@example.com",
            "Phone": "(612) 555-0100" if index % 5 else None,
            "Extension": "12" if index % 8 == 0 else "",
            **{name: cell or None for name, cell in address},
            "SubTotal": amounts["Service"] + amounts["Postage"],
            "ServiceTotal": amounts["Service"],
            "PostageTotal": amounts["Postage"],
            "ServiceTaxTotal": taxes["Service"],
            "PostageTaxTotal": taxes["Postage"],
            "InvoiceLine": [],
            "isLinkedItemModified": index % 11 == 0,
            "Title": f'Spring mailing <{index % 12 + 1}> & "RSVP"' if index % 2 else f"Été №{index % 12 + 1}",
            "Note": None if index % 3 else 'Proof "B" approved, n° 2',
            "ShowClosedOrders": index % 4 == 0,
        }

    def detail(self, index: int) -> Document:
        """One invoice as v2/invoice/detail answers it."""
        head = self.head(index)
        lines = [self._line_document(index, n, line) for n, line in enumerate(head.lines)]
        return {**self._header(index, head), "InvoiceLine": lines}

    def row(self, index: int, order: int) -> Document:
        """One row of v1/Generic/InvoiceList, without TotalRecords; names and order of the vendor's page."""
        head = self.head(index)
        header = self._header(index, head)
        order_id = _order(index, order) if head.lines else 0
        return {
            "Guid": header["GUID"],
            "InvoiceID": header["InvoiceID"],
            "InvoiceNumber": header["InvoiceNumber"],
            "InvoiceNumberExt": header["InvoiceNumberExt"],
            "InvoiceNumberPlusExt": header["InvoiceNumber"] + (header["InvoiceNumberExt"] or ""),
            "InvoiceDate": header["InvoiceDate"],
            "CustomerName": header["Company"],
            "InvoiceDueDate": header["InvoiceDueDate"],
            "InvoiceStatus": header["InvoiceStatus"],
            "InvoiceAmount": header["TotalBilledAmount"],
            "CustomerNumber": header["CustomerId"],
            "InvoiceTitle": header["Title"],
            "TermsCode": header["TermsCode"],
            "CustomerPaymentID": 30_000 + index if head.received else 0,
            "InvoiceAmountPaid": header["AmountReceived"],
            "OrderID": order_id,
            "OrderNumber": f"J{order_id}" if order_id else None,
            "CreatedBy": header["UserName"],
            "InvoiceLineTypes": sorted({line.work.line_type for line in head.lines}),
            "ContactID": header["ContactId"] or None,
            "PaymentStatus": header["PaymentStatus"],
            "InvoiceBalance": header["Balance"],
            "RequestType": header["RequestType"],
            "Active": _active(index),
        }

    def _line_document(self, index: int, n: int, line: _Line) -> Document:
        """One InvoiceLineSelectResponse; every third line is a part of the one before."""
        part = n % 3 == 2
        return {
            "InvoiceLineID": _line_id(index, n),
            "InvoiceID": _FIRST_ID + index,
            "ParentInvoiceLineID": _line_id(index, n - 1) if part else None,
            "OrderID": _order(index, n % _orders(index)),
            "InvoiceLineType": line.work.line_type,
            "Title": line.work.title,
            "Priority": n + 1,
            "Quantity": Decimal(line.quantity),
            "Rate": line.rate,
            "AmountBilled": line.amount,
            "PreviouslyInvoiced": _ZERO,
            "PreviouslyInvoicedBalance": _ZERO,
            "InitialTotal": line.amount,
            "Note": None if n else "Hold for pickup",
            "bNoteVisible": n == 0,
            "DisplayItem": True,
            "LineSubTotal": line.amount,
            "Tax": line.tax,
            "ItemId": 0 if part else 700 + n,
            "ItemType": "Order",
            "LineType": line.work.line_type,
            "TempInvoiceLineID": 0,
            "InvoiceLineGuid": self._guid(index, n + 1),
            "ParentInvoiceLineGuid": self._guid(index, n) if part else None,
            "InvoiceLineItem": self._items(index, n, line),
            "ParentObjectType": "Order" if part else None,
            "ParentObjectID": 0,
            "IsMerged": False,
            "GroupBilling": {"UnitMeasureCode": line.work.unit, "UnitName": line.work.unit_name}
            if line.work.unit
            else None,
        }

    def _items(self, index: int, n: int, line: _Line) -> list[Document]:
        """The items of a line: none, one, or two that share its amount and its tax."""
        count = (index + n) % 3
        share = (line.amount / 3).quantize(_CENT)
        amounts = {0: [], 1: [line.amount], 2: [share, line.amount - share]}[count]
        return [
            {
                "InvoiceLineItemID": 2 * _line_id(index, n) + position,
                "InvoiceID": _FIRST_ID + index,
                "InvoiceLineID": _line_id(index, n),
                "OrderID": _order(index, n % _orders(index)),
                "OrderVersionID": 1 + position,
                "OrderVersionDetailID": 0,
                "ServiceID": 40 + n,
                "InvoiceLineDetailType": line.work.line_type,
                "Quantity": Decimal(line.quantity),
                "Amount": amount,
                "Tax": line.tax if position == 0 else _ZERO,
                "AccountingGLID": "4000-é" if position else None,
                "PaymentAccountID": 0,
                "OrderVersionPostageID": 0,
                "AmountApplied": _ZERO,
                "DisplayItem": position == 0,
                "PreviouslyInvoiced": _ZERO,
                "PreviouslyInvoicedBalance": _ZERO,
                "InitialTotal": amount,
            }
            for position, amount in enumerate(amounts)
        ]

    def _found(self, query: str) -> array[int]:
        """What a list's JSON body, without its page, finds, in its order: rows as four times index plus order."""
        body = json.loads(query)
        shown = [
            4 * index + order
            for index in range(len(self))
            if (body["ShowPaid"] or self._payment(index) != "Paid") and (body["ShowInactive"] or _active(index))
            for order in range(_orders(index))
        ]
        for column, wanted in body["Filters"].items():
            test = _MATCH_MODES[wanted["matchMode"]]
            shown = [at for at in shown if test(self.row(*divmod(at, 4))[column], wanted["value"])]
        for column, order in reversed(body["Sort"]):
            # Assumption: as in SQL Server null is the least; rows that tie stay in the order of entry.
            values = {at: self.row(*divmod(at, 4))[column] for at in shown}
            shown.sort(key=lambda at: (values[at] is not None, values[at]), reverse=order < 0)
        return array("I", shown)

    def totals(self) -> dict[str, tuple[int, Decimal]]:
        """Currency ("": there is none) → (number of invoices, exact sum of TotalBilledAmount), each Guid once."""
        return add_up(("", self.head(index).total) for index in range(len(self)))

    def invoices(self) -> Iterator[Document]:
        """Every listed invoice's detail; amounts are Decimal, dates are text as sent."""
        return map(self.detail, range(len(self)))


_ANY: Final = _Book(seed=1, count=1)
"""For the names of members, where there may be no invoices."""


def _order(index: int, order: int) -> int:
    return 500_000 + 4 * index + order


def _line_id(index: int, n: int) -> int:
    return 8 * (_FIRST_ID + index) + n


def _active(index: int) -> bool:
    return index % 13 != 12


# --- lists -------------------------------------------------------------------------------------------


def _equals(value: Any, wanted: Any) -> bool:
    if isinstance(value, list):
        return any(_equals(item, wanted) for item in value)
    if isinstance(value, Decimal):
        try:
            return value == Decimal(str(wanted))
        except InvalidOperation:
            return False
    return str(value).lower() == str(wanted).lower()


def _contains(value: Any, wanted: Any) -> bool:
    return str(wanted).lower() in str(value).lower()


# Assumption: a filter is PrimeNG's {value, matchMode}; the vendor does not say which modes there are.
_MATCH_MODES: Final[dict[str, Callable[[Any, Any], bool]]] = {"equals": _equals, "contains": _contains}


class _Page(NamedTuple):
    """The body of a list: what to look for, as canonical JSON, and which of its rows to show."""

    query: str
    first: int
    rows: int


def _page(body: Any, columns: frozenset[str]) -> _Page:
    """Read the body of v1/Generic/InvoiceList; what .NET would not bind, or no column bears, is a ValueError."""
    model = body.get("tableFilterModel") or {}
    filters = model.get("Filters") or {}
    sort = [(model.get("SortField"), model.get("SortOrder", 1))] if model.get("SortField") else []
    sort += [(meta["Field"], meta["Order"]) for meta in model.get("MultiSortMeta") or []]
    if not columns.issuperset(chain(filters, (column for column, _ in sort))):
        raise ValueError("no such column")
    if not all(wanted["matchMode"] in _MATCH_MODES and "value" in wanted for wanted in filters.values()):
        raise ValueError("no such filter")
    first, rows = int(model.get("First") or 0), int(model.get("Rows") or 0)
    if min(first, rows) < 0 or not all(order in (1, -1) for _, order in sort):
        raise ValueError("out of range")
    # A flag that is absent is false, as .NET's booleans are.
    query = {name: body.get(name) is True for name in ("ShowPaid", "ShowInactive")}
    return _Page(json.dumps({**query, "Filters": filters, "Sort": sort}, sort_keys=True), first, rows)


# --- wire --------------------------------------------------------------------------------------------

_DETAIL: Final = XmlNames(
    "InvoiceSelectResponse",
    items={"InvoiceLine": "InvoiceLineSelectResponse", "InvoiceLineItem": "InvoiceLineItemSelectResponse"},
    nil=frozenset(
        {"InvoiceDate", "InvoiceDueDate", "PaymentBilledDateTime", "ParentInvoiceLineID", "ParentInvoiceLineGuid"}
    ),
)
# Assumption: no XML sample of the list is known; its type is named after that of the detail.
_LIST: Final = XmlNames("ArrayOfInvoiceListResponse", nil=frozenset({"InvoiceDate", "InvoiceDueDate", "ContactID"}))


@dataclass
class _Api:
    book: _Book
    missing: Literal["404", "empty"]
    max_rows: int
    tokens: Tokens
    refresh: dict[str, str] = field(default_factory=dict)
    """Refresh token → its access token."""

    def revoke_tokens(self, *, refresh: bool = False) -> None:
        """Make every access token issued so far invalid, and with ``refresh`` the refresh tokens too."""
        self.tokens.revoke()
        if refresh:
            self.refresh.clear()

    def guard(self, call: Call) -> Response | None:
        """Refuse without a good bearer token.

        Assumption: the page asks for "PRC Authorize Token" or "Midnight Authorize Token"; integrators send Bearer.
        """
        scheme, _, token = call.request.headers.get("authorization", "").partition(" ")
        good = scheme.lower() == "bearer" and self.tokens.valid(token)
        if good and call.request.headers.get("miskey", MIS_KEY) == MIS_KEY:
            return None
        return web_api_error(call.request, 401)

    def authenticate(self, call: Call) -> Response:
        """POST v1/Token/UserAuthentication. Assumption: what it refuses gets Web API's 401."""
        given = _required(call, "DomainName", "UserName", "Password", "IsPasswordEncrypted")
        # Assumption: how a password is to be encrypted is not documented; only a plain one opens.
        if given != [DOMAIN, USER, PASSWORD, False]:
            raise HTTPException(401)
        return self._pair()

    def regenerate(self, call: Call) -> Response:
        """POST v1/Token/RegenerateAuthToken: a new pair for an old one, which is used up, expired or not."""
        access, refresh = _required(call, "AuthToken", "RefreshToken")
        if self.refresh.get(refresh) != access:
            raise HTTPException(401)
        del self.refresh[refresh]
        self.tokens.issued.pop(access, None)
        return self._pair()

    def _pair(self) -> Response:
        access, refresh = self.tokens.issue(), Tokens().issue()
        self.refresh[refresh] = access
        return json_answer(
            {
                "access_token": access,
                "refresh_token": refresh,
                "token_type": "bearer",
                "expires_in": int(self.tokens.seconds),  # Assumption: in seconds
            }
        )

    def list(self, call: Call) -> Response:
        """POST v1/Generic/InvoiceList: a bare array, TotalRecords in each row; empty after the last one."""
        try:
            query, first, rows = _page(call.json(), frozenset(_ANY.row(0, 0)))
        except (ValueError, TypeError, KeyError, AttributeError):
            raise HTTPException(400, "The request is invalid.") from None
        found = call.moved(self.book.found(query))
        # Assumption: Rows of 0, which is what .NET makes of an absent one, asks for all of them.
        shown = call.shown(found[first : first + min(rows or len(found), self.max_rows or len(found))])
        documents = [{**self.book.row(*divmod(at, 4)), "TotalRecords": len(found)} for at in shown]
        return answer(call.request, documents, _LIST)

    def detail(self, call: Call) -> Response:
        """POST v2/invoice/detail, with InvoiceSelectRequest in JSON or XML."""
        guid = _guid(call)
        if str(guid) == SAMPLE_GUID:
            return sample_answer(call.request, "tap_midnight")
        index = self.book.index(guid)
        if index is not None:
            return answer(call.request, self.book.detail(index), _DETAIL)
        # Assumption: no failed look-up is documented, hence the option.
        if self.missing == "empty":
            return answer(call.request, blank(_ANY.detail(0)), _DETAIL)
        raise HTTPException(404, "Invoice not found.")


def _required(call: Call, *names: str) -> list[Any]:
    """The members of a JSON body that the page calls required; without them it is answered with 400."""
    body = call.json()
    if not isinstance(body, dict) or any(body.get(name) in (None, "") for name in names):
        raise HTTPException(400, "The request is invalid.")
    return [body[name] for name in names]


def _guid(call: Call) -> UUID:
    kind = call.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind in ("application/json", "text/json"):
            return UUID(call.json()["Guid"])
        if kind in ("application/xml", "text/xml"):
            return UUID(xmltodict.parse(call.body)["InvoiceSelectRequest"]["Guid"])
    except (ValueError, TypeError, KeyError, AttributeError, ExpatError):
        raise HTTPException(400, "The request is invalid.") from None
    message = f"The request entity's media type '{kind}' is not supported for this resource."
    raise HTTPException(415, message)


def app(
    *,
    invoices: int = 2000,
    seed: int = 1,
    latency_ms: float = 0,
    rate: float = 0,
    token_seconds: float = 3600,
    missing: Literal["404", "empty"] = "404",
    max_rows: int = 0,
) -> Starlette:
    """The sandbox as an ASGI application.

    Args:
        invoices: how many invoices there are at the start; the list has some more rows, one for each order.
        seed: another seed, other invoices; one seed always gives the same ones.
        latency_ms: milliseconds by which every API answer is delayed (token answers are not).
        rate: API requests a second before 429 (bursts of the same size, at least 1); 0 for no limit.
        token_seconds: how long an access token is good; its refresh token is until it is used.
        missing: what an unknown Guid gets (the vendor does not say): 404, or a document whose GUID is null.
        max_rows: the most rows of a list's answer (the vendor names no maximum); 0 for as many as are asked for.

    Its ``state`` carries ``totals()``, ``invoices()``, ``requests``, ``touch(guid, at)``, ``add(count)``,
    ``fail(number_of_requests, status, headers)`` and ``revoke_tokens(refresh=False)``. ``requests`` counts
    arrivals as "token", "refresh", "list" and "detail", whatever their answer, and the 429s sent as "429".
    """
    api = _Api(_Book(seed, invoices), missing, max_rows, Tokens(token_seconds))
    server = Server(web_api_error, latency_ms, Bucket(rate))
    post = ["POST"]
    return server.application(
        [
            server.route("/v1/Token/UserAuthentication", "token", api.authenticate, methods=post),
            server.route("/v1/Token/RegenerateAuthToken", "refresh", api.regenerate, methods=post),
            server.route("/v1/Generic/InvoiceList", "list", api.list, methods=post, guard=api.guard),
            server.route("/v2/invoice/detail", "detail", api.detail, methods=post, guard=api.guard),
        ],
        paging={"first"},
        totals=api.book.totals,
        invoices=api.book.invoices,
        touch=api.book.touch,
        add=api.book.add,
        revoke_tokens=api.revoke_tokens,
    )
