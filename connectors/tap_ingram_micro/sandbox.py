"""A local server that imitates Ingram Micro's reseller invoice API: v4, v6 and v6.1.

Written from the vendor's documents alone, and deliberately ignorant of the connector. The sources:

* POST /invoices/v4/invoicedetails: InvoicesV4Api.md of ingrammicro-xvantage/xi-sdk-python and the models of
  ingrammicro-xvantage/xi-sdk-openapispec before it dropped the call
* GET /resellers/v6/invoices and /resellers/v6.1/invoices/{invoiceNumber}: the same specification's head
* tokens: https://developer.ingrammicro.com/reseller/getting-started/authentication
* limits: https://developer.ingrammicro.com/reseller/getting-started/rate-limits
* refusals of the gateway: Apigee's fault bodies

Where the documents are silent a comment says "Assumption". Nothing is stored per invoice: invoice *i* is
computed from the seed and *i* alone whenever it is asked for.
"""

from __future__ import annotations

import math
import operator
import re
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from http import HTTPStatus
from random import Random
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import parse_qsl, urlencode
from zlib import crc32

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from vendortap.sandbox.kit import Bucket, Call, Document, Handler, Server, Tokens, json_answer

CLIENT_ID: Final = "ingram-sandbox-client"
CLIENT_SECRET: Final = "sandbox~not-a-secret"  # noqa: S105  (opens only this sandbox)
CUSTOMER_NUMBER: Final = "20-222222"
"""The customer number registered to the application; all invoices are this customer's."""
COUNTRY: Final = "US"
TOKEN_PATHS: Final = ("/oauth/oauth20/token", "/oauth/oauth30/token")
V4_PATH: Final = "/invoices/v4/invoicedetails"
V6_PATH: Final = "/resellers/v6/invoices"
V61_PATH: Final = "/resellers/v6.1/invoices"
SAMPLE_INVOICE: Final = "30-13649-13"
"""The order of the v4 document's own request (samples/invoicedetails-request.json); no list shows it."""

PAGE_SIZE: Final = 25
MAX_PAGE_SIZE: Final = 100
CLOCK: Final = date(2026, 6, 30)
"""The day the sandbox takes for today unless told otherwise."""

# ------------------------------------------------------------------------------------------------ data


class _Product(NamedTuple):
    sku: str
    upc: str | None
    part: str
    vendor: str
    description: str
    price: Decimal
    weight: Decimal
    serial: str  # what its serial numbers begin with; "" for goods without


def _table(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in row.split("|")] for row in text.strip().splitlines()]


def _names(text: str) -> list[str]:
    return text.split()


_PRODUCTS: Final = tuple(
    _Product(sku, upc or None, part, vendor, description, Decimal(price), Decimal(weight), serial)
    for sku, upc, part, vendor, description, price, weight, serial in _table(
        """
8LK114 | 195348512183 | 21CB00B0US | LENOVO | THINKPAD X1 CARBON G11 14" i7 32GB <vPro> | 1849.37 | 4.1 | PF4
6YE881 | 842776106612 | GA03520-US | GOOGLE | NEST CAM & DOORBELL (BATTERY), SNOW | 61.22 | 0.9 | GN
4UV552 | 097855149411 | 920-009294 | LOGITECH | MX KEYS «S» CLAVIER RÉTROÉCLAIRÉ FR | 94.05 | 1.8 | 22
2KP907 | | CON-SNT-C93004AE | CISCO | SNTC-8X5XNBD CATALYST 9300 48P | 612.80 | 0.0 |
9TA330 | 731304332817 | SMT1500RM2UC | APC | SMART-UPS™ 1500VA LCD RM 2U 120V W/ SMARTCONNECT | 788.16 | 63.0 | AS2
3PL018 | 718037894058 | WDS100T3X0E | WESTERN DIGITAL | BLACK SN770 1TB NVME, 3" x 1" <RETAIL> | 57.49 | 0.1 | WD
5HB742 | 889842651096 | KLQ-00219 | MICROSOFT | M365 BUSINESS STD - ESD, JAÑA & CO | 132.00 | 0.0 |
7QX265 | 038332300284 | N201-007-BK | TRIPP LITE | 7FT CAT6 PATCH CABLE, BLACK | 3.19 | 0.2 |
"""
    )
)

_ADDRESSES: Final = [
    [cell or None for cell in row]
    for row in _table(
        """
ACCOUNTS PAYABLE | DIRECTHIT & SONS, LLC | 1610 E ST ANDREW PL | STE 200 | SANTA ANA | CA | 92705
JOSÉ NÚÑEZ | "EL NIÑO" ELECTRÓNICA | 77 HARBOR AVE | | SAN JUAN | PR | 00901
| O'NEILL <DC4> LOGISTICS | 18500 SPERRY DR | DOCK 3 | KENT | WA | 98032
ZOË BRÖNTE | CAFÉ DU LAC, INC. | 3 RUE ST-MICHEL | | BURLINGTON | VT | 05401
"""
    )
]
_CURRENCIES: Final = ("USD",) * 8 + ("CAD", "EUR")
_FX: Final = {"USD": Decimal("1.0"), "CAD": Decimal("0.7293"), "EUR": Decimal("1.0815")}
_TAX: Final = (Decimal("0"), Decimal("7.25"), Decimal("8.875"))
_FEES: Final = (("RH", "RECYCLING & HANDLING", Decimal("4.00")), ("SO", "SPECIAL <RUSH> ORDER", Decimal("12.50")))
_V6_ADDRESS: Final = _names(
    "contact companyName addressLine1 addressLine2 addressLine3 city state postalCode countryCode phoneNumber email"
)
_V4_ADDRESS: Final = _names(
    "attention name1 name2 addressline1 addressline2 addressline3 city state postalcode countrycode fax phonenumber"
    " email"
)
_V4_NAMES: Final = _names(
    # the first model, then what the second adds
    "customernumber invoicenumber invoicedate invoicetype customerordernumber customerfreightamount"
    " customerforeignfrightamt totaltaxamount totalamount shiptosuffix billtosuffix freightamount paymentterms"
    " orderdate carrier carrierdescription discountamount taxtype enduserponumber freightforwardercode"
    " creditmemoreasoncode"
    " fulfillmentflag holdreason shipcomplete shipdate companycurrency currencycode currencyrate globalorderid"
    " originalshipcode ordertype orderstatus totalotherfees totalsales weight shippableswitch"
)
_V4_LINE: Final = _names(
    "linenumber linetype partnumber vendorpartnumber partdescription shipfrombranch shippedquantity orderedquantity"
    " marginpercent backorderquantity backorderetadate extendedprice specialbidnumber ordersuffix isacopapplied"
    " unitprice unitofmeasure serialnumberdetails trackingnumberdetails productextendedspecs"
)
_BRANCHES: Final = ("20", "30", "40")
_HUGE: Final = {7: Decimal("1234567890123456.78"), 13: Decimal("90071992547409.93")}
"""Totals that a binary float cannot hold to the cent (the second is 2**53 + 1 cents), by index."""

_ZERO: Final = Decimal("0.00")
_CENT: Final = Decimal("0.01")
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FIRST: Final = int("K0000", 36)
_SAMPLE: Final = -1
_V6_SPAN: Final = timedelta(days=729)  # "last 2 years"
_V4_SPAN: Final = timedelta(days=274)  # "in the past 9 months"


class _Sold(NamedTuple):
    product: _Product
    ordered: int
    shipped: int
    price: Decimal
    tax: Decimal

    @property
    def extended(self) -> Decimal:
        return self.shipped * self.price


class _Head(NamedTuple):
    """The amounts of one invoice; ``total`` is exactly goods + freight + fees + tax - discount."""

    currency: str
    rate: Decimal
    sold: tuple[_Sold, ...]
    freight: Decimal
    fees: tuple[tuple[str, str, Decimal], ...]
    discount: Decimal

    @property
    def goods(self) -> Decimal:
        return sum((line.extended for line in self.sold), _ZERO)

    @property
    def misc(self) -> Decimal:
        return sum((amount for _, _, amount in self.fees), _ZERO)

    @property
    def tax(self) -> Decimal:
        return sum((line.tax for line in self.sold), _ZERO)

    @property
    def total(self) -> Decimal:
        return self.goods + self.freight + self.misc + self.tax - self.discount


def _random(seed: str) -> Random:
    return Random(seed)  # noqa: S311  (repeatable, not secret)


def _sold(rng: Random, sign: int, rate: Decimal) -> _Sold:
    product, ordered = rng.choice(_PRODUCTS), rng.randint(1, 4)
    shipped = max(1, ordered - (rng.random() < 0.1))
    price = (product.price * rng.randint(80, 100)).scaleb(-2).quantize(_CENT)
    tax = (sign * shipped * price * rate / 100).quantize(_CENT) if rate else _ZERO
    return _Sold(product, sign * ordered, sign * shipped, price, tax)


def _head(seed: int, index: int) -> _Head:
    rng = _random(f"{seed}:{index}")
    sign = -1 if index % 15 == 8 else 1
    currency, rate = rng.choice(_CURRENCIES), rng.choice(_TAX)
    if index in _HUGE:
        return _Head(currency, _TAX[0], (_Sold(_PRODUCTS[0], 1, 1, _HUGE[index], _ZERO),), _ZERO, (), _ZERO)
    sold = tuple(_sold(rng, sign, rate) for _ in range(1 + int(8 * rng.random() ** 2)))
    freight = Decimal(sign * rng.choice((0, 0, 995, rng.randint(500, 9999)))).scaleb(-2)
    fees = tuple((code, text, sign * amount) for code, text, amount in _FEES[: rng.choice((0, 0, 1, 2))])
    return _Head(currency, rate, sold, freight, fees, Decimal(sign * rng.choice((0, 0, 150))).scaleb(-2))


def _key(index: int) -> str:
    """The sales order number with its dashes, ``20-RCW67-11``."""
    if index == _SAMPLE:
        return SAMPLE_INVOICE
    code = "".join(_DIGITS[(_FIRST + index) // 36**power % 36] for power in (4, 3, 2, 1, 0))
    return f"{_BRANCHES[index % 3]}-{code}-{11 + index % 2}"


def _serials(index: int, position: int, line: _Sold) -> list[str]:
    prefix = line.product.serial
    return [f"{prefix}{_FIRST + index}{position:02}{n}" for n in range(abs(line.shipped))] if prefix else []


@dataclass
class _Book:
    """The invoices, oldest first. Every twentieth is listed twice: again, re-issued, after twenty others."""

    seed: int
    base: int
    clock: date
    count: int = 0
    statuses: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.count = self.base
        self.end = datetime.combine(self.clock, datetime.min.time())

    def index(self, number: object) -> int | None:
        """The index of an invoice number, with or without its dashes."""
        if number == SAMPLE_INVOICE:
            return _SAMPLE
        parts = re.fullmatch("([0-9]{2})-?([0-9A-Z]{5})-?([0-9]{2})", str(number))
        index = int(parts[2], 36) - _FIRST if parts else -1
        return index if parts and 0 <= index < self.count and _key(index) == "-".join(parts.groups()) else None

    def issued(self, index: int) -> datetime:
        """When an invoice was (first) issued; rises with the index, those of `add` come after the clock."""
        if index == _SAMPLE:
            return self.end - timedelta(days=30)
        if index >= self.base:
            return self.end + timedelta(minutes=index - self.base)
        return self.end - _V6_SPAN * (self.base - index) / self.base

    def entries(self) -> range:
        """The positions of the list, oldest first: 21 for every 20 invoices."""
        return range(self.count + self.count // 20)

    def entry(self, position: int) -> tuple[int, datetime]:
        """The index at a position of the list and the date it has there."""
        block, place = divmod(position, 21)
        if place == 20:  # the block's first invoice again
            return 20 * block, self.issued(20 * block + 19)
        return 20 * block + place, self.issued(20 * block + place)

    def day(self, position: int) -> str:
        """The invoice date at a position of the list."""
        return self.entry(position)[1].date().isoformat()

    def latest(self, index: int) -> datetime:
        """The date that the detail shows: of the re-issue where there is one (Assumption)."""
        reissued = index >= 0 and index % 20 == 0 and index + 19 < self.count
        return self.issued(index + 19 if reissued else index)

    def status(self, index: int) -> str:
        """OPEN or PAID; older ones are mostly paid."""
        dice = crc32(f"{self.seed}:{index}:status".encode()) % 10
        return self.statuses.get(index, "OPEN" if dice > 8 or index > self.base - self.base // 10 else "PAID")

    def touch(self, number: str, status: str = "PAID") -> None:
        """Change an invoice's status; LookupError for an unknown number."""
        index = self.index(number)
        if index is None:
            raise LookupError(f"sandbox: no invoice {number} to touch; take a number from the list")
        self.statuses[index] = status

    def add(self, count: int) -> None:
        """Append invoices issued after all others."""
        self.count += count

    def facts(self, index: int, at: datetime) -> dict[str, Any]:
        """What search and detail share, and search filters on; dates as YYYY-MM-DD."""
        due, rng = (at + timedelta(days=30)).date(), _random(f"{self.seed}:{index}:facts")
        return {
            "number": _key(index),
            "status": self.status(index),
            "type": "Credit" if index % 15 == 8 else "Invoice",
            "customer_order": "DH-200732" if index == _SAMPLE else f"PO {rng.getrandbits(20):07} R&D",
            "end_customer_order": rng.choice((None, "", f"EU-{rng.getrandbits(16):05}", 'José "ok" <signed>')),
            "special_bids": [f"SB{rng.getrandbits(20):07}" for _ in range(rng.choice((0, 0, 1, 2)))],
            "delivery": str(80_000_000 + index),
            "date": at.date().isoformat(),
            # Dates come in two forms.
            "printed": at.isoformat(timespec="seconds") if index % 2 else at.date().isoformat(),
            "due": due.isoformat(),
            "ordered": (self.issued(index) - timedelta(days=rng.randint(0, 3))).date().isoformat(),
        }

    def row(self, position: int) -> Document:
        """One row of the search; every fourth has the members that only live answers show."""
        index, at = self.entry(position)
        head, facts = _head(self.seed, index), self.facts(index, at)
        # The specification typed the amounts as strings until 2024: every tenth still has them so.
        amount: Decimal | str = f"{head.total}" if index % 10 == 3 else head.total
        row: Document = {
            "paymentTermsDueDate": facts["due"],
            "erpOrderNumber": facts["number"],
            "invoiceNumber": facts["number"] if index % 3 == 2 else facts["number"].replace("-", ""),
            "invoiceStatus": facts["status"],
            "invoiceDate": facts["printed"],
            "invoiceDueDate": facts["due"],
            "invoicedAmountDue": amount,
            "customerOrderNumber": facts["customer_order"],
            "endCustomerOrderNumber": facts["end_customer_order"],
            "orderCreateDate": facts["ordered"],
            "invoiceAmountInclTax": amount,
            "specialBidNumbers": facts["special_bids"],
            "forgntotalamount": (head.total * _FX[head.currency]).quantize(_CENT),
            "gstInvoiceNumber": None,
            "isfseccenabled": False,
        }
        if index % 4 == 1:
            row |= {"ingramOrderNumber": facts["number"], "invoiceType": facts["type"], "currencyCode": head.currency}
        return row

    def detail(self, index: int) -> Document:
        """The body of GET /resellers/v6.1/invoices/{invoiceNumber}."""
        at = self.latest(index)
        head, facts, ship_to = _head(self.seed, index), self.facts(index, at), _ship_to(index)
        foreign = {name: (value * _FX[head.currency]).quantize(_CENT) for name, value in _amounts(head).items()}
        return {
            "invoiceNumber": facts["number"],
            "invoiceStatus": facts["status"],
            "invoiceDate": facts["printed"],
            "customerOrderNumber": facts["customer_order"],
            "endCustomerOrderNumber": facts["end_customer_order"],
            "orderNumber": facts["number"],
            "orderDate": facts["ordered"],
            "billToID": "000",
            "invoiceType": facts["type"],
            "invoiceDueDate": facts["due"],
            "customerCountryCode": COUNTRY,
            "customerNumber": CUSTOMER_NUMBER,
            "ingramOrderNumber": facts["number"],
            "notes": None if index % 3 else 'Ship <complete> & "call first"',
            "paymentTermsInfo": {
                "paymentTermsCode": "30",
                "paymentTermsDescription": "NET 30 DAYS",
                "paymentTermsDueDate": facts["due"],
            },
            "billToInfo": _v6_address(_ADDRESSES[0]),
            "shipToInfo": _v6_address(ship_to),
            # In the specification's example, not in its schema.
            "endUserInfo": None if index % 4 else _v6_address(ship_to),
            "lines": [self._line(index, number, line, head) for number, line in enumerate(head.sold, 1)],
            "fxRateInfo": {
                "currencyCode": head.currency,
                "companyCurrency": "USD",
                "invoiceCurrency": head.currency,
                "currencyFxRate": _FX[head.currency],
            },
            "summary": {
                "lines": {
                    "productLineCount": len(head.sold),
                    "productLineTotalQuantity": sum(line.shipped for line in head.sold),
                },
                # PascalCase as in the specification's example.
                "miscCharges": [
                    {
                        "ChargeDescription": text,
                        "MiscChargeLineCount": 1,
                        "MiscChargeLineTotal": amount,
                        "ChargeLineReference": code,
                        "IsNonMisc": "false",
                    }
                    for code, text, amount in head.fees
                ]
                or (None if index % 2 else []),
                # Assumption: the amount due is that of the whole invoice, paid or not.
                "totals": {"netInvoiceAmount": head.goods, "discountAmount": head.discount, "discountType": "FLAT"}
                | _amounts(head),
                "foreignFxTotals": {
                    "foreignCurrencyCode": "USD",
                    "foreignCurrencyFxRate": _FX[head.currency],
                    "foreignTotalTaxableAmount": f"{head.goods * _FX[head.currency]:.2f}",
                    "foreignTotalTaxAmount": foreign["totalTaxAmount"],
                    "foreignInvoiceAmountDue": f"{foreign['invoicedAmountDue']}",
                },
            },
        }

    def _line(self, index: int, position: int, line: _Sold, head: _Head) -> Document:
        serials: list[Document] = [{"serialNumber": text} for text in _serials(index, position, line)]
        return {
            "ingramLineNumber": f"{position:03}",
            "customerLineNumber": "0" if index % 2 else f"{position}0",
            "ingramPartNumber": line.product.sku,
            "upc": line.product.upc,
            "vendorPartNumber": line.product.part,
            "customerPartNumber": None,
            "vendorName": line.product.vendor,
            "productDescription": line.product.description,
            "unitWeight": f"{line.product.weight}" if index % 5 == 2 else line.product.weight,
            "quantity": line.shipped,
            "unitPrice": line.price,
            "unitOfMeasure": "EA",
            "currencyCode": head.currency,
            "extendedPrice": line.extended,
            "taxPercentage": head.rate,
            "taxRate": head.rate / 100,
            "taxAmount": line.tax,
            "serialNumbers": serials or ([{"serialNumber": None}] if index % 6 == 0 else None),
            "quantityOrdered": line.ordered,
            "quantityShipped": line.shipped,
        }

    def v4(self, index: int) -> Document:
        """The ``invoicedetailresponse`` of v4: both of its models, as far as the live-shaped example has them."""
        at = self.latest(index)
        head, facts = _head(self.seed, index), self.facts(index, at)
        key: str = facts["number"]

        def money(amount: Decimal) -> Decimal | str:
            # One model says number, the other string; the example has strings, and "0" for no tax.
            return amount if index % 8 == 3 else f"{amount}" if amount else "0"

        document = dict.fromkeys(_V4_NAMES) | {
            "customernumber": CUSTOMER_NUMBER,
            "invoicenumber": key[3:],  # the full key is in globalorderid
            "invoicedate": facts["date"],
            "invoicetype": facts["type"],
            "customerordernumber": facts["customer_order"],
            "customerfreightamount": money(head.freight),
            "customerforeignfrightamt": money((head.freight * _FX[head.currency]).quantize(_CENT)),
            "totaltaxamount": money(head.tax),
            "totalamount": money(head.total),
            "shiptosuffix": "200",
            "billtosuffix": "000",
            "freightamount": money(head.freight),
            "paymentterms": "NET 30 DAYS",
            "orderdate": facts["ordered"],
            "carrier": "RG",
            "carrierdescription": "FEDEX <GROUND> & HOME",
            "discountamount": head.discount,
            "enduserponumber": facts["end_customer_order"],
            "creditmemoreasoncode": "RT" if facts["type"] == "Credit" else None,
            "shipcomplete": "N",
            "shipdate": facts["date"],
            "companycurrency": "USD",
            "currencycode": head.currency,
            "currencyrate": f"{_FX[head.currency]}",
            "globalorderid": key,
            "ordertype": facts["type"],
            "orderstatus": facts["status"],
            "totalotherfees": head.misc,
            "totalsales": money(head.goods),
            "weight": f"{sum((line.product.weight * line.shipped for line in head.sold), Decimal(0))}",
            "soldto": _v4_address(_ADDRESSES[0]),
            "billto": _v4_address(_ADDRESSES[0]),
            # The model's spelling is rare, the example's usual.
            "shoptoaddress" if index % 20 == 6 else "shiptoaddress": _v4_address(_ship_to(index)),
            "lines": self._v4_lines(index, head, money, facts["delivery"]),
            "extendedspecs": [{"attributename": "COMMENTTEXT", "attributevalue": "Été & hiver"}] if index % 4 else [],
            "miscfeeline": [
                {"code": code, "description": text, "chargeamount": f"{amount}"} for code, text, amount in head.fees
            ],
        }
        # The example lacks three members of the first model.
        absent = ("customernumber", "invoicedate", "invoicetype") if index % 3 else ()
        return {name: value for name, value in document.items() if name not in absent}

    def _v4_lines(
        self, index: int, head: _Head, money: Callable[[Decimal], Decimal | str], delivery: str
    ) -> list[Document]:
        lines = []
        for position, line in enumerate(head.sold, 1):
            serials = _serials(index, position, line)
            values = {
                "linenumber": f"{position:03}",
                "linetype": "P",
                "partnumber": line.product.sku,
                "vendorpartnumber": line.product.part,
                "partdescription": line.product.description,
                "shipfrombranch": "20",
                "shippedquantity": str(line.shipped),
                "orderedquantity": str(line.ordered),
                "backorderquantity": str(line.ordered - line.shipped),
                "extendedprice": money(line.extended),
                "ordersuffix": "11",
                "isacopapplied": "N",
                "unitprice": money(line.price),
                "unitofmeasure": "EA",
                "serialnumberdetails": [{"serialnumber": text, "deliverynumber": delivery} for text in serials],
                "trackingnumberdetails": [{"trackingnumber": f"7{delivery}{position:03}"}] * (index % 3),
                "productextendedspecs": [],
            }
            lines.append(dict.fromkeys(_V4_LINE) | values)
        if index % 3 == 1:
            free = dict.fromkeys(_V4_LINE) | {"linenumber": "895", "linetype": "P", "partdescription": "FREE FREIGHT"}
            free |= {"shippedquantity": "0", "orderedquantity": "0", "extendedprice": "0", "unitprice": "0"}
            del free["partnumber"]
            lines.append(free)
        if index % 50 == 21:  # Assumption: what "Partial Data Found" leaves out
            lines = [line | {"serialnumberdetails": None, "trackingnumberdetails": None} for line in lines]
        return lines

    def totals(self) -> dict[str, tuple[int, Decimal]]:
        """The currency of the v6.1 lines → number of invoices and exact sum of invoicedAmountDue."""
        totals: dict[str, tuple[int, Decimal]] = {}
        for index in range(self.count):
            head = _head(self.seed, index)
            count, total = totals.get(head.currency, (0, _ZERO))
            totals[head.currency] = count + 1, total + head.total
        return totals

    def invoices(self) -> Iterator[Document]:
        """Every listed invoice's v6.1 document, each once, oldest first."""
        return map(self.detail, range(self.count))


def _amounts(head: _Head) -> dict[str, Decimal]:
    return {"totalTaxAmount": head.tax, "invoicedAmountDue": head.total, "freightAmount": head.freight}


def _ship_to(index: int) -> list[str | None]:
    return _ADDRESSES[1 + index % (len(_ADDRESSES) - 1)]


def _v6_address(cells: list[str | None]) -> Document:
    contact, company, first, second, *place = cells
    values = (contact, company, first, second, None, *place, "US", None, "ap@example.com")
    return dict(zip(_V6_ADDRESS, values, strict=True))


def _v4_address(cells: list[str | None]) -> Document:
    contact, company, first, second, *place = cells
    values = (contact, company, None, first, second, None, *place, "US", None, None, "ap@example.com")
    return dict(zip(_V4_ADDRESS, values, strict=True))


# ------------------------------------------------------------------------------------------------ wire

_WRONG_CUSTOMER: Final = (
    "Invalid customer number. "
    "The customer number provided on the API call does not match the registered customer number."
)
_FAULTS: Final = {
    "Access Token expired": "keymanagement.service.access_token_expired",
    "Invalid Access Token": "keymanagement.service.invalid_access_token",
}


def _refuse(request: Request, status: int, detail: str) -> Response:
    """The vendor's error bodies; a detail ``<field>: <message>`` names the field that is wrong."""
    if detail == _WRONG_CUSTOMER:
        return json_answer({"faultcode": "Server", "faultstring": detail}, status)
    if status == 429:
        return json_answer({"errors": [{"field": None, "message": "too many requests"}]}, status)
    if status == 401:
        text = detail or "Invalid Access Token"
        fault = {"faultstring": text, **({"detail": {"errorcode": _FAULTS[text]}} if text in _FAULTS else {})}
        return json_answer({"fault": fault}, status)
    # Assumption: v4 errors look like those of v6. An injected fault's detail is at most a number of seconds.
    name, _, message = detail.rpartition(": ")
    error = {
        # The schema's name; the examples call it traceid.
        "id" if status == 400 else "traceid": request.headers.get("im-correlationid"),
        "type": HTTPStatus(status).phrase,
        "message": HTTPStatus(status).phrase if not message or message.isdigit() else message,
        "fields": [{"field": name, "value": None, "message": message}] if name else [],
    }
    return json_answer({"errors": [error]}, status)


def _same_number(fact: str, wanted: str) -> bool:
    return fact.replace("-", "") == wanted.replace("-", "")


_FILTERS: Final[Mapping[str, tuple[str, Callable[[Any, str], bool]]]] = {
    "invoicenumber": ("number", _same_number),
    "ordernumber": ("number", _same_number),
    "deliverynumber": ("delivery", operator.eq),
    "invoicestatus": ("status", lambda fact, wanted: bool(fact == wanted.upper())),
    "invoicetype": ("type", operator.eq),
    "customerordernumber": ("customer_order", operator.eq),
    "endcustomerordernumber": ("end_customer_order", operator.eq),
    "specialbidnumber": ("special_bids", operator.contains),
    "paymenttermsnetdate": ("due", operator.eq),
    "invoiceduedate": ("due", operator.eq),
    "invoicefromduedate": ("due", operator.ge),
    "invoicetoduedate": ("due", operator.le),
    "orderdate": ("ordered", operator.eq),
    "orderfromdate": ("ordered", operator.ge),
    "ordertodate": ("ordered", operator.le),
}
"""Query parameter → what it is compared with, and how; those of the invoice date are found by bisection."""


def _day(params: Mapping[str, str], name: str) -> str | None:
    text = params.get(name)
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").date().isoformat()
    except ValueError:
        raise HTTPException(400, f"{name}: must be a date of the form yyyy-MM-dd") from None


def _whole(params: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = params.get(name) or str(default)
    if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= most:
        raise HTTPException(400, f"{name}: must be a whole number from 1 to {most}")
    return int(text)


def _pascal(value: Any) -> Any:
    if isinstance(value, dict):
        return {name[0].upper() + name[1:]: _pascal(member) for name, member in value.items()}
    return [_pascal(item) for item in value] if isinstance(value, list) else value


@dataclass
class _Window:
    """``calls`` a window of ``seconds`` that begins with its first call."""

    calls: int
    seconds: float
    reset: Literal["epoch", "seconds"]
    begun: float = -math.inf
    used: int = 0

    def take(self) -> bool:
        """Take one call; False when there is none left."""
        if time.monotonic() - self.begun >= self.seconds:
            self.begun, self.used = time.monotonic(), 0
        self.used += 1
        return self.used <= self.calls

    def headers(self) -> dict[str, str]:
        """The vendor's table has an epoch as X-RateLimit-Reset, its prose the seconds to wait."""
        left = math.ceil(self.begun + self.seconds - time.monotonic())
        return {
            "X-RateLimit-Limit": str(self.calls),
            "X-RateLimit-Remaining": str(max(0, self.calls - self.used)),
            "X-RateLimit-Reset": str(math.ceil(time.time()) + left if self.reset == "epoch" else left),
        }


@dataclass
class _Service:
    book: _Book
    server: Server
    tokens: Tokens
    expires_in: int | str
    unapproved: frozenset[str]
    fault_status: int
    missing_status: Literal[404, 500]
    key_case: Literal["camel", "pascal"]
    used: set[str] = field(default_factory=set)

    def token(self, call: Call) -> Response:
        """Client credentials in a form; a 400 has only a message."""
        form = dict(parse_qsl(call.body.decode("utf-8", "replace")))
        if not call.request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            form = {}
        if form.get("grant_type") != "client_credentials":
            return json_answer({"message": "Invalid grant_type"}, 400)
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return json_answer({"message": "Invalid client credentials"}, 400)
        issued = {"access_token": self.tokens.issue(), "token_type": "Bearer", "expires_in": self.expires_in}
        return json_answer(issued)

    def guard(self, call: Call) -> Response | None:
        """Check the bearer token, and that the application is approved for the product."""
        scheme, _, token = call.request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not self.tokens.valid(token):
            known = token in self.tokens.issued
            return _refuse(call.request, 401, "Access Token expired" if known else "Invalid Access Token")
        if any(call.request.url.path.removeprefix("/sandbox").startswith(path) for path in self.unapproved):
            return _refuse(call.request, 401, "Invalid API call as no apiproduct match found")
        return None

    def limited(self, handler: Handler, window: _Window) -> Handler:
        """Limit a v6 call, and check its headers, before ``handler`` sees it."""

        def serve(call: Call) -> Response:
            if window.calls and not window.take():
                self.server.requests["429"] += 1
                raise HTTPException(429, headers=window.headers())
            try:
                self._check(call.request)
                response = handler(call)
            except HTTPException as error:
                response = _refuse(call.request, error.status_code, error.detail)
            response.headers.update(window.headers() if window.calls else {})
            return response

        return serve

    def _check(self, request: Request) -> None:
        for name, most in (("CustomerNumber", 10), ("CountryCode", 2), ("CorrelationID", 32), ("ApplicationID", 32)):
            text = request.headers.get(f"im-{name}", "")
            if not 0 < len(text) <= most:
                raise HTTPException(400, f"IM-{name}: is required and has at most {most} characters")
        if request.headers["im-customernumber"] != CUSTOMER_NUMBER:
            raise HTTPException(self.fault_status, _WRONG_CUSTOMER)
        correlation = request.headers["im-correlationid"]
        # Assumption: a call that the gateway refused did not use its id up.
        if correlation in self.used:
            raise HTTPException(400, "IM-CorrelationID: must be unique for every call")
        self.used.add(correlation)

    def search(self, call: Call) -> Response:
        """GET /resellers/v6/invoices. Assumption: unknown parameters are ignored, nothing found is 200."""
        params = call.params
        size, page = _whole(params, "pagesize", PAGE_SIZE, MAX_PAGE_SIZE), _whole(params, "pagenumber", 1, 10**9)
        if params.get("orderby", "InvoiceDate").lower() != "invoicedate":  # Assumption: no other is known
            raise HTTPException(400, "orderby: must be InvoiceDate")
        direction = (params.get("direction") or "desc").lower()
        if direction not in ("asc", "desc"):
            raise HTTPException(400, "direction: must be asc or desc")
        found = call.moved(self._matches(params)[:: 1 if direction == "asc" else -1])
        shown = call.shown(found[(page - 1) * size : page * size])
        # Its parameters are not those of the call, as in the specification's example.
        odd = {"invoiceDateFrom": params.get("invoicefromdate", ""), "page": page + 1, "size": size}
        return json_answer(
            {
                "recordsFound": len(found),
                "pageSize": size,
                "pageNumber": page,
                "nextPage": f"{V6_PATH}?{urlencode(odd)}" if page * size < len(found) else "",
                "invoices": [self.book.row(position) for position in shown],
            }
        )

    def _matches(self, params: Mapping[str, str]) -> Sequence[int]:
        book = self.book
        exact = _day(params, "invoicedate")
        first, last = _day(params, "invoicefromdate") or "", _day(params, "invoicetodate") or "9999"
        entries = book.entries()
        low = bisect_left(entries, max(first, exact or ""), key=book.day)
        high = bisect_right(entries, min(last, exact or "9999"), key=book.day)
        wanted = {
            name: (_day(params, name) or "") if name.endswith("date") else params[name]
            for name in _FILTERS
            if params.get(name)
        }
        serial = params.get("serialnumber")
        if not wanted and not serial:
            return entries[low:high]
        return [
            position
            for position in entries[low:high]
            if self._fits(position, wanted) and (not serial or self._has_serial(position, serial))
        ]

    def _fits(self, position: int, wanted: Mapping[str, str]) -> bool:
        facts = self.book.facts(*self.book.entry(position))
        return all(_FILTERS[name][1](facts[_FILTERS[name][0]], text) for name, text in wanted.items())

    def _has_serial(self, position: int, serial: str) -> bool:
        index, _ = self.book.entry(position)
        sold = enumerate(_head(self.book.seed, index).sold, 1)
        return any(serial in _serials(index, number, line) for number, line in sold)

    def detail(self, call: Call) -> Response:
        """GET /resellers/v6.1/invoices/{invoiceNumber}. Assumption: serial numbers unless refused."""
        number = call.params["invoicenumber"]
        if call.params.get("customertype", "invoice").lower() not in ("invoice", "order"):
            raise HTTPException(400, "customerType: must be invoice or order")
        index = self.book.index(number)
        if index is None and self.missing_status == 500:
            raise HTTPException(500, "invoiceNumber: The remote server returned an error: (404) Not Found.")
        if index is None:
            raise HTTPException(404, f"invoiceNumber: {number} not found")
        document = self.book.detail(index)
        if call.params.get("includeserialnumbers", "true").lower() == "false":
            document["lines"] = [line | {"serialNumbers": None} for line in document["lines"]]
        return json_answer(_pascal(document) if self.key_case == "pascal" else document)

    def v4(self, call: Call) -> Response:
        """POST /invoices/v4/invoicedetails: 200 also for what is not there."""
        try:
            request = call.json()["servicerequest"]
            preamble, number = request["requestpreamble"], request["invoicedetailrequest"]["invoicenumber"]
            customer, _ = preamble["customernumber"], preamble["isocountrycode"]
        except (KeyError, TypeError):
            raise HTTPException(400, "servicerequest: the request is invalid") from None
        if customer != CUSTOMER_NUMBER:
            raise HTTPException(self.fault_status, _WRONG_CUSTOMER)
        index = self.book.index(number) if "-" in str(number) else None  # the sales order number has its dashes
        if index is None or self.book.issued(index).date() < self.book.clock - _V4_SPAN:
            return _v4_answer("FAILED", "500", "Data Not Found")
        if index % 50 == 21:
            status = ("SUCCESSWITHERROR", "046", "Partial Data Found")
        else:
            status = ("SUCCESS", "WY" if index % 25 == 6 else "200", "Invoice Found")
        return _v4_answer(*status, invoicedetailresponse=self.book.v4(index))


def _v4_failed(_: Call) -> Response:
    """How v4 says that it failed. Assumption: the code and the wording, but for the status that its examples have."""
    return _v4_answer("FAILED", "999", "Internal Error")


def _v4_answer(status: str, code: str, message: str, **found: Document) -> Response:
    preamble = {"responsestatus": status, "statuscode": code, "responsemessage": message}
    return json_answer({"serviceresponse": {"responsepreamble": preamble, **found}})


def app(
    *,
    invoices: int = 2000,
    seed: int = 1,
    latency_ms: float = 0,
    rate: float = 0,
    clock: date = CLOCK,
    expires_in: int | str = 2592000,
    token_seconds: float = 86400,
    unapproved: frozenset[str] = frozenset(),
    fault_status: int = 400,
    missing_status: Literal[404, 500] = 404,
    calls_per_minute: int = 60,
    window_seconds: float = 60,
    reset: Literal["epoch", "seconds"] = "epoch",
    key_case: Literal["camel", "pascal"] = "camel",
) -> Starlette:
    """Return the sandbox as an ASGI application; paths are served bare and below ``/sandbox``.

    Args:
        invoices: how many there are at the start, spread over the two years before ``clock``.
        seed: another seed, other invoices.
        latency_ms: milliseconds by which every API answer is delayed.
        rate: API requests a second before 429, over all endpoints; 0 for no limit.
        clock: the sandbox's today; v4 knows the nine months before it.
        expires_in: what token answers say: a number or text, in seconds.
        token_seconds: how long tokens really live ("expires every 24 hours", says an older page).
        unapproved: paths of products that the application may not use, such as ``V6_PATH``.
        fault_status: HTTP status of the fault for a foreign customer number, which is not documented.
        missing_status: HTTP status for an invoice that does not exist: 404, or 500 with the 404 inside, as in an
            example of the specification.
        calls_per_minute: calls of each v6 endpoint a window; 0 for no limit.
        window_seconds: the length of the window.
        reset: what X-RateLimit-Reset is: an epoch or the seconds left.
        key_case: the member names of v6.1.

    Its ``state`` has ``totals()``, ``invoices()``, ``requests`` (by "token", "v4", "search", "detail", "429"),
    ``fail(n, status, headers)``, ``touch(number, status)``, ``add(count)`` and ``revoke_tokens()``.
    """
    server = Server(_refuse, latency_ms, Bucket(rate))
    tokens = Tokens(token_seconds)
    service = _Service(
        _Book(seed, invoices, clock), server, tokens, expires_in, unapproved, fault_status, missing_status, key_case
    )
    # Assumption: only the GETs are limited; the limit of v4 is not stated.
    search, detail = (
        service.limited(handler, _Window(calls_per_minute, window_seconds, reset))
        for handler in (service.search, service.detail)
    )
    routes = [server.route(path, "token", service.token, methods=["POST"]) for path in TOKEN_PATHS]
    for prefix in ("", "/sandbox"):
        routes += [
            server.route(prefix + V4_PATH, "v4", service.v4, methods=["POST"], guard=service.guard, failed=_v4_failed),
            server.route(prefix + V6_PATH, "search", search, guard=service.guard),
            server.route(f"{prefix}{V6_PATH}/", "search", search, guard=service.guard),  # in the older specification
            server.route(f"{prefix}{V61_PATH}/{{invoiceNumber}}", "detail", detail, guard=service.guard),
        ]
    book = service.book
    return server.application(
        routes,
        paging={"pagenumber"},
        totals=book.totals,
        invoices=book.invoices,
        touch=book.touch,
        add=book.add,
        revoke_tokens=tokens.revoke,
    )
