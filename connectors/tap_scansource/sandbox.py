"""A local server that imitates ScanSource's invoice API, on both of its hosts' path forms.

Written from the vendor's documents alone, and deliberately ignorant of the connector and of the framework but
for the box of sandboxes, so that a mistake in one shows in the other. The sources:

* GET invoice/detail/{customerNumber}/{invoiceNumber}: https://services.scansource.com/Help
* GET invoice/summary/{customerNumber}: http://webapitest.scansource.com/Help
* GET invoice/pdf/{customerNumber}/{invoiceNumber}: https://services.scansource.com/Help
* OAuth2 token and subscription key: https://partnerportal.scansource.com/faqoauth
* refusals of the gateway: Azure API Management's default bodies
* all else on the wire: ASP.NET Web API's defaults (Json.NET, XmlSerializer), as the page's samples show

Where the documents are silent a comment says "Assumption". Nothing is stored per invoice: invoice *i* is
computed from the seed and *i* alone whenever it is asked for.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, Final, Literal, NamedTuple
from urllib.parse import parse_qsl
from zlib import crc32

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
    json_answer,
    media_type,
    on_clock,
    random_for,
    sample_answer,
    stamp,
    table,
    web_api_error,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from random import Random

    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

SUBSCRIPTION_KEY: Final = "5ca45007ce5a4db08a0b5a11db0c5e11"
CLIENT_ID: Final = "0c5a1e00-5ca4-4007-8ce0-5a4db0c5e111"
CLIENT_SECRET: Final = "sandbox~not-a-secret"  # noqa: S105  (opens only this sandbox)
SCOPE: Final = "https://scansourceb2c.onmicrosoft.com/a2eccdbd-b208-4e77-a82f-dddd1814309a/.default"
TOKEN_PATH: Final = "/scansourceb2c.onmicrosoft.com/oauth2/v2.0/token"  # noqa: S105  (an address)
TOKEN_SECONDS: Final = 3600

CUSTOMER_NUMBERS: Final = ("1000012345", "1000067890")
"""Three of four invoices belong to the first customer, the fourth to the second."""

SAMPLE_INVOICE: Final = "sample string 1"
"""Under this number the first customer gets the document's own sample, byte for byte; no list shows it."""

PAGE_SIZE: Final = 100
MAX_PAGE_SIZE: Final = 1000


# --------------------------------------------------------------------------------------------------- the data


class _Product(NamedTuple):
    item: str
    part: str
    description: str
    category: str
    price: Decimal
    serial: str  # prefix of its serial numbers; "" for goods without
    pack: int  # sold in multiples of this; a price with four decimals needs whole hundreds


_PRODUCTS: Final = tuple(
    _Product(item, part, description, category, Decimal(price), serial, int(pack))
    for item, part, description, category, price, serial, pack in table(
        """
ZEB-DS2208-U | DS2208-SR7U2100SGW | Zebra DS2208 2D imager, black, USB kit w/ stand | SCN | 139.00 | S20 | 1
ZEB-ZD421-D | ZD4A042-D01M00EZ | Zebra ZD421 printer, 4", 203 dpi, USB & Bluetooth | PRT | 449.50 | D4J | 1
ZEB-TC53 | TC530R-0T1E4B1000-NA | Zebra TC53 mobile computer, 6", Wi-Fi 6E, 4GB/64GB | MOB | 1184.25 | 230 | 1
HON-1952G | 1952GHD-2USB-5-N | Honeywell Xenon Extreme Performance 1952g, cordless | SCN | 512.40 | HW2 | 1
HON-1472G | 1472G2D-2USB-5-R | Honeywell Voyager 1472g 2D, USB kit | SCN | 287.10 | HW1 | 1
DLS-QD2590 | QD2590-BKK1 | Datalogic QuickScan QD2590, <2D MP imager>, black | SCN | 158.75 | G22 | 1
DLS-GD4590 | GD4590-BKK1-HD | Datalogic Gryphon I GD4590 HD & multi-interface | SCN | 265.99 | G21 | 1
CIS-8845 | CP-8845-K9= | Cisco IP Phone 8845, charcoal | VOC | 318.00 | FCH | 1
CIS-C9200L | C9200L-24P-4G-E | Cisco Catalyst 9200L 24-port PoE+, 4 x 1G uplinks | NET | 2846.13 | JAE | 1
PLY-CCX500 | 2200-49720-019 | Poly CCX 500 business media phone, "Teams" edition | VOC | 214.60 | 64:16 | 1
PLY-VFOC2 | 213727-02 | Poly Voyager Focus 2 UC stereo headset, USB-C | VOC | 189.95 | S/N | 1
EPS-T88VII | C31CJ57062 | Epson TM-T88VII receipt printer, USB/Ethernet/Serial | POS | 367.00 | X5K | 1
STR-TSP143 | 39473010 | Star TSP143IV UEWB, CloudPRNT™, gray | POS | 291.45 | 257 | 1
APG-VB320 | VB320-BL1616 | APG Vasario cash drawer, 16 x 16 in, black | POS | 98.20 | | 1
SCS-CBL-USB | CBA-U21-S07ZBR | Shielded USB cable, 7 ft (2.1 m), straight | ACC | 21.35 | | 1
SCS-SVC-1Y | Z1AE-DS2208-1C00 | Zebra OneCare™ Essential, 1 year — renewal | SVC | 17.00 | | 1
ZEB-ZPERF | 10015340 | Label, paper, 4" x 6", direct thermal, <Z-Perform 2000D> | MED | 0.0375 | | 500
ZEB-TAG | 10010064 | Tag, 2.25 x 4 in, Z-Select 4000T & perforated | MED | 0.1284 | | 100
"""
    )
)

_SHIPPING: Final = (
    ("FDXG", "FedEx Ground"),
    ("FDX2", "FedEx 2Day®"),
    ("UPSG", "UPS Ground"),
    ("UPSR", "UPS Next Day Air <Saver>"),
    ("LTL", "Freight - LTL"),
    ("WCAL", None),
)

_CURRENCIES: Final = ("USD",) * 16 + ("CAD",) * 2 + ("EUR", "GBP")
_TAX_RATES: Final = {
    "USD": Decimal("0.0725"),
    "CAD": Decimal("0.14975"),
    "EUR": Decimal("0.19"),
    "GBP": Decimal("0.2"),
}

_ADDRESS_NAMES: Final = ("Name", "Attn", "Street1", "Street2", "City", "State", "PostalCode", "Country")
_ADDRESS_ROWS: Final = table(
    """
1000012345 | Barcode & Mobility Partners, LLC | A/P | 6 Depot Ct | Suite B | Greenville | SC | 29615 | US
1000067890 | Codes à Barres Évolution inc. | | 1250, boul. René-Lévesque O. | | Montréal | QC | H3B 4W8 | CA
USD | "The Corner" Grocery #12 | Receiving | 4100 N Lamar Blvd | | Austin | TX | 78756 | US
USD | O'Neill & Daughters Hardware | | 77 Harbor Ave | Dock 3 | Portland | ME | 04101 | US
USD | Peña Regional Medical Center | IT - José Núñez | 901 Española Way | | Santa Fe | NM | 87501 | US
USD | Northwind Logistics <DC4> | Gate 2 | 18500 Sperry Dr | | Kent | WA | 98032 | US
CAD | Épicerie Saint-Élie | Réception | 88, rue Saint-Élie | | Trois-Rivières | QC | G9A 2J4 | CA
CAD | Prairie Pharma & Co. | | 2210 Main St | Unit 9 | Saskatoon | SK | S7H 0A3 | CA
EUR | Müller & Söhne Großhandel GmbH | Wareneingang | Schönstraße 12 | | München | | 81543 | DE
EUR | Łódzkie Centrum Handlowe | Żaneta Wójcik | ul. Piotrkowska 100 | | Łódź | | 90-001 | PL
EUR | Farmacia Ibáñez | | C/ Ñuñoa, 5 | bajo | Málaga | MA | 29001 | ES
GBP | Brontë's Books & Café | Goods in | 3 St. Michael's Row | | York | | YO1 8RT | GB
"""
)
_ADDRESSES: Final = {
    key: [cells for first, *cells in _ADDRESS_ROWS if first == key] for key in (*CUSTOMER_NUMBERS, *_TAX_RATES)
}
"""Where a customer's bills go, and where goods sold in a currency go."""

_SALES_REPS: Final = (
    ("SR014", "Dana Whitfield", "dana.whitfield@example.com"),
    ("SR027", "Renée Dubois", "renee.dubois@example.com"),
    ("SR031", "Miguel Ángel Ortíz", "miguel.ortiz@example.com"),
    ("HOUSE", None, None),
)

_HUGE: Final = {7: Decimal("1234567890123456.78"), 13: Decimal("90071992547409.93")}
"""Totals that a binary float cannot hold to the cent (the second is 2**53 + 1 cents), by index."""

_CENT: Final = Decimal("0.01")
# Assumption: the vendor's stamps, with and without offset, are one wall clock, the -05:00 of its own sample.
_CLOCK: Final = timezone(timedelta(hours=-5))
_FIRST_NUMBER: Final = 40_000_000
_EPOCH: Final = datetime(2021, 1, 4, 8)
_STEP: Final = timedelta(minutes=20)
_MAX_LAG_SECONDS: Final = 30 * 24 * 3600


class _Sold(NamedTuple):
    product: _Product
    ordered: int
    shipped: int
    price: Decimal


class _Head(NamedTuple):
    """What summary, detail and totals share of one invoice."""

    doc_type: str
    currency: str
    shipping: tuple[str, str | None]
    sold: tuple[_Sold, ...]
    freight: Decimal
    tax: Decimal
    insurance: Decimal
    total: Decimal


def _stamp(index: int, at: datetime, tick: int = 0) -> str:
    return stamp(at, "-05:00" if index % 7 == 0 else "", tick)


def _address(cells: list[str]) -> Document:
    return {name: cell or None for name, cell in zip(_ADDRESS_NAMES, cells, strict=True)}


def _number(index: int) -> str:
    return str(_FIRST_NUMBER + index)


def _order(index: int) -> str:
    return str(70_000_000 + 3 * index)


def _customer(index: int) -> str:
    return CUSTOMER_NUMBERS[index % 4 == 3]


def _sold(rng: Random, sign: int) -> _Sold:
    product = rng.choice(_PRODUCTS)
    ordered = rng.randint(1, 4) * product.pack
    shipped = ordered - (product.pack if rng.random() < 0.08 else 0)
    price = (product.price * rng.randint(80, 100)).scaleb(-2).quantize(product.price)
    return _Sold(product, sign * ordered, sign * shipped, price)


def _head(seed: int, index: int) -> _Head:
    """The amounts of one invoice: ``total == sum(shipped * price) + freight + tax + insurance``, exactly."""
    rng = random_for(seed, index)
    sign = -1 if index % 15 == 8 else 1
    currency, shipping = rng.choice(_CURRENCIES), rng.choice(_SHIPPING)
    if index in _HUGE:
        sold: tuple[_Sold, ...] = (_Sold(_PRODUCTS[0], 1, 1, _HUGE[index]),)
        freight = tax = insurance = Decimal("0.00")
    else:
        lines = 0 if index % 40 == 5 else 1 + int(12 * rng.random() ** 2)
        sold = tuple(_sold(rng, sign) for _ in range(lines))
        taxed = rng.random() < 0.5
        freight = Decimal(sign * rng.choice((0, 995, rng.randint(500, 9999)))).scaleb(-2)
        insurance = Decimal(sign * rng.choice((0, 0, 0, 150, 275))).scaleb(-2)
        tax = (_goods(sold) * _TAX_RATES[currency]).quantize(_CENT) if taxed else Decimal("0.00")
    total = _goods(sold) + freight + tax + insurance
    doc_type = "Credit" if sign < 0 else "Invoice"
    return _Head(doc_type, currency, shipping, sold, freight, tax, insurance, total)


def _goods(sold: Iterable[_Sold]) -> Decimal:
    # Exact: a price with four decimals is multiplied by whole hundreds, so the cents are whole.
    return sum((line.shipped * line.price for line in sold), Decimal("0.00")).quantize(_CENT)


def _serials(rng: Random, line: _Sold) -> list[str]:
    if not line.product.serial:
        return []
    return [f"{line.product.serial}{rng.getrandbits(40):012X}" for _ in range(abs(line.shipped))]


def _line(rng: Random, position: int, line: _Sold, head: _Head, delivery: str) -> Document:
    """One InvoiceLine; its names and their order are those of the document's JSON sample."""
    shipped = line.shipped != 0
    return {
        # A decimal: the part of a kit stands under its kit, as 4.1 under 4.
        "LineNumber": Decimal(f"{position - 1}.1") if position % 5 == 0 else Decimal(position),
        "POLineNumber": None if rng.random() < 0.2 else Decimal(10 * position),
        "ReferenceLineNumber": rng.choice((None, "", f"{position:03}")),
        "ItemNumber": line.product.item,
        "ProductMfrPart": line.product.part,
        "ItemDescription": line.product.description,
        "ItemCatCode": line.product.category,
        "Ordered": Decimal(line.ordered),
        "Committed": Decimal(line.shipped),
        "BackOrdered": Decimal(line.ordered - line.shipped),
        "Shipped": Decimal(line.shipped),
        "Price": line.price,
        "Currency": head.currency,
        "DeliveryNumber": delivery if shipped else None,
        "DeliveryLineNumber": 10 * position if shipped else None,
        "SerialNumbers": _serials(rng, line),
    }


@dataclass
class _Book:
    """The invoices: ``count`` of them from the start, then those of `add`, with the changes of `touch`."""

    seed: int
    count: int
    added: list[datetime] = field(default_factory=list)
    touched: dict[int, list[datetime]] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.count + len(self.added)

    def index(self, number: str) -> int | None:
        """The index of an invoice number, or None for a number that does not exist."""
        index = int(number) - _FIRST_NUMBER if re.fullmatch("[0-9]{8}", number) else -1
        return index if 0 <= index < len(self) else None

    def _dice(self, index: int, purpose: str) -> int:
        return crc32(f"{self.seed}:{index}:{purpose}".encode())

    def po_number(self, index: int) -> str:
        """One purchase order covers up to eight invoices."""
        return f"PO#{self._dice(index // 8, 'po') % 1_000_000:06} R&D"

    def entered(self, index: int) -> datetime:
        """DateEntered on the vendor's clock; rises with the index."""
        if index >= self.count:
            return self.added[index - self.count]
        dice = self._dice(index, "entered")
        # A third of the stamps have whole seconds, a third milliseconds, a third microseconds.
        microsecond = (0, dice % 1000 * 1000, dice % 1_000_000)[index % 3]
        return _EPOCH + index * _STEP + timedelta(seconds=dice % 1199, microseconds=microsecond)

    def changed(self, index: int) -> datetime:
        """LastChanged on the vendor's clock; not in the index's order, some made equal by a nightly job."""
        if index in self.touched:
            return self.touched[index][-1]
        entered = self.entered(index)
        if index >= self.count:
            return entered
        if index % 25 == 0:
            return (entered + timedelta(days=1)).replace(hour=2, minute=0, second=0, microsecond=0)
        return entered + timedelta(seconds=self._dice(index, "changed") % _MAX_LAG_SECONDS)

    def touch(self, number: str, at: datetime) -> None:
        """Mark an invoice as changed: LastChanged becomes ``at`` and TrackingNumbers gain one.

        ``at`` without a zone is on the vendor's clock (-05:00). Raises LookupError for an unknown number.
        """
        index = self.index(number)
        if index is None:
            raise LookupError(f"sandbox: no invoice {number} to touch; take a number from the summary")
        self.touched.setdefault(index, []).append(on_clock(at, _CLOCK))

    def add(self, count: int) -> None:
        """Append ``count`` invoices, entered a minute apart after every stamp that exists so far."""
        # No stamp of the first `count` invoices lies beyond this bound.
        touched = (at for stamps in self.touched.values() for at in stamps)
        latest = max([_EPOCH + self.count * _STEP + timedelta(seconds=_MAX_LAG_SECONDS), *self.added[-1:], *touched])
        self.added.extend(latest + timedelta(minutes=1 + n) for n in range(count))

    def summary(self, index: int) -> Document:
        """One row of the summary list; names and order of the vendor's page, date stamps are strings."""
        head = _head(self.seed, index)
        return {
            "OrderNumber": _order(index),
            "InvoiceNumber": _number(index),
            "PONumber": self.po_number(index),
            "DocType": head.doc_type,
            "Total": head.total,
            "ShippingOption": head.shipping[0],
            "ShippingOptionDescription": head.shipping[1],
            "DateEntered": _stamp(index, self.entered(index)),
            "LastChanged": _stamp(index, self.changed(index)),
        }

    def detail(self, index: int) -> Document:
        """One Invoice; names and order of the document's sample.

        The rarer shapes come at fixed distances, so that even a small sandbox has them: every 40th has no
        lines and an unset ShipDate, every 50th is cancelled, every 30th has no tracking list, every 20th a
        ShipDate of seven fraction digits.
        """
        head, rng = _head(self.seed, index), random_for(self.seed, index, "detail")
        code, name, email = rng.choice(_SALES_REPS)
        delivery = str(80_000_000 + index)
        ship_to = _ADDRESSES[head.currency]
        return {
            "InvoiceNumber": _number(index),
            "SalesOrderNumber": _order(index),
            "BillingAddress": _address(_ADDRESSES[_customer(index)][0]),
            "ShippingAddress": _address(rng.choice(ship_to)) if head.sold else None,
            "PONumber": self.po_number(index),
            "EndUserPO": rng.choice((None, None, f"EU-{rng.getrandbits(20):07}", '"verbal" <ok> & signed')),
            "ReferenceNumber": rng.choice((None, "", f"REF{index:06}")),
            "ShipDate": self._ship_date(index) if head.sold else UNSET,
            "Cancelled": self._cancelled(index),
            "DocType": head.doc_type,
            "SalesRepCode": code,
            "SalesRepName": name,
            "SalesRepEmail": email,
            "FreightAmount": head.freight,
            "TaxAmount": head.tax,
            "InsuranceAmount": head.insurance,
            "Total": head.total,
            "Currency": head.currency,
            "EnteredByEmail": rng.choice((None, "purchasing@example.com", "edi+orders@example.com")),
            "ShippingOption": head.shipping[0],
            "ShippingOptionDescription": head.shipping[1],
            "InvoiceLines": [_line(rng, n, line, head, delivery) for n, line in enumerate(head.sold, 1)],
            "TrackingNumbers": self._tracking(index, rng),
        }

    def document(self, index: int) -> Document:
        """The answer of invoice/pdf: the PDF in Base64, or why there is none.

        Assumption: codes and wording of errors and warnings. Every 50th invoice, which is cancelled, has no
        document; every 20th has a warning beside it.
        """
        if self._cancelled(index):
            return _no_document(_number(index), "The document was not found.")
        head = _head(self.seed, index)
        changes = len(self.touched.get(index, ()))
        lines = (
            f"{head.doc_type} {_number(index)}, revision {changes}",
            f"Customer {_customer(index)}, order {_order(index)}",
            *(f"{line.shipped} x {line.product.item} at {line.price}" for line in head.sold),
            f"Total {head.total} {head.currency}",
        )
        warning = {"Code": "Archive", "Message": "The document comes from the archive & may be out of date."}
        return {
            "InvoiceNumber": _number(index),
            "InvoiceData": b64encode(_pdf(lines)).decode(),
            "Errors": [],
            "Warnings": [warning] if index % 20 == 4 else [],
        }

    def _ship_date(self, index: int) -> str:
        at = self.entered(index) + timedelta(hours=5)
        if index % 20 == 4:
            return _stamp(index, at.replace(microsecond=209_898), tick=6)
        return _stamp(index, at)

    def _cancelled(self, index: int) -> str | None:
        at = self.entered(index) + timedelta(days=2)
        return _stamp(index, at) if index % 50 == 17 else None

    def _tracking(self, index: int, rng: Random) -> list[str] | None:
        numbers = [f"1Z999AA1{rng.getrandbits(32):010}" for _ in range(rng.randint(0, 3))]
        changes = len(self.touched.get(index, ()))
        numbers += [f"1Z999AA2{self._dice(index, f'touch {n}'):010}" for n in range(changes)]
        return None if index % 30 == 11 and not changes else numbers

    def totals(self) -> dict[str, tuple[int, Decimal]]:
        """Currency → (number of invoices, exact sum of Total), over every invoice that the summaries list."""
        heads = (_head(self.seed, index) for index in range(len(self)))
        return add_up((head.currency, head.total) for head in heads)

    def invoices(self) -> Iterator[Document]:
        """Every listed invoice's detail plus CustomerNumber; amounts are Decimal, dates are text as sent."""
        for index in range(len(self)):
            yield {"CustomerNumber": _customer(index), **self.detail(index)}


def _no_document(number: str, message: str) -> Document:
    error = {"Code": "NotFound", "Message": message}
    return {"InvoiceNumber": number, "InvoiceData": None, "Errors": [error], "Warnings": []}


def _pdf(lines: Iterable[str]) -> bytes:
    """A PDF 1.4 of one page with these lines (ISO 32000-1, annex H.3): ASCII without parentheses."""
    shown = "".join(f"({line}) '\n" for line in lines)
    content = f"BT /F1 10 Tf 14 TL 50 800 Td\n{shown}ET"
    objects = (
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        " /Resources << /Font << /F1 5 0 R >> >> >>",
        f"<< /Length {len(content)} >>\nstream\n{content}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    body, offsets = "%PDF-1.4\n", []
    for number, text in enumerate(objects, 1):
        offsets.append(len(body))
        body += f"{number} 0 obj\n{text}\nendobj\n"
    entries = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    table = f"xref\n0 {size}\n0000000000 65535 f \n{entries}"
    trailer = f"trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{len(body)}\n%%EOF\n"
    return f"{body}{table}{trailer}".encode("ascii")


# --------------------------------------------------------------------------------------------------- the wire

_NAMESPACES: Final = ("xsd", "xsi")
_DETAIL: Final = XmlNames(
    "Invoice",
    items={"InvoiceLines": "InvoiceLine"},
    nil=frozenset({"POLineNumber", "DeliveryLineNumber", "Cancelled"}),
    namespaces=_NAMESPACES,
)
# Assumption: the vendor names no XML root for the list. XmlSerializer calls a bare list of T "ArrayOfT", and T is
# taken to be InvoiceSummary.
_SUMMARY: Final = XmlNames("ArrayOfInvoiceSummary", namespaces=_NAMESPACES)
# Assumption: the name of the root.
_DOCUMENT: Final = XmlNames(
    "InvoicePDF", items={"Errors": "ERPError", "Warnings": "ERPWarning"}, namespaces=_NAMESPACES
)


def _detail_answer(request: Request, document: Document) -> Response:
    """The invoice; its lines have an Id in the XML sample only."""
    if media_type(request.headers.get("accept", "")).endswith("xml"):
        lines = [{"Id": n, **line} for n, line in enumerate(document["InvoiceLines"], 1)]
        document = {**document, "InvoiceLines": lines}
    return answer(request, document, _DETAIL)


_NO_KEY: Final = (
    "Access denied due to missing subscription key. "
    "Make sure to include subscription key when making requests to an API."
)
_BAD_KEY: Final = (
    "Access denied due to invalid subscription key. Make sure to provide a valid key for an active subscription."
)
_BAD_TOKEN: Final = "Unauthorized. Access token is missing or invalid."  # noqa: S105  (a sentence)


def _gateway_error(status: int, message: str) -> Response:
    """Azure API Management's own refusals: JSON whatever Accept says."""
    return json_answer({"statusCode": status, "message": message}, status)


def _refuse(request: Request, status: int, detail: str) -> Response:
    """The vendor's own code answers as Web API does; what it never sees the gateway refuses."""
    if status == 429:
        return _gateway_error(429, f"Rate limit is exceeded. Try again in {detail or 1} seconds.")
    if status in (401, 502, 503, 504):
        return _gateway_error(status, _BAD_TOKEN if status == 401 else HTTPStatus(status).phrase)
    return web_api_error(request, status, detail)


def _boolean(params: Mapping[str, str], name: str) -> bool:
    text = (params.get(name) or "false").lower()
    if text not in ("true", "false"):
        raise HTTPException(400, "The request is invalid.")
    return text == "true"


# ------------------------------------------------------------------------------------------------- the server


@dataclass
class _Api:
    book: _Book
    date_filter: Literal["entered", "changed"]
    tokens: Tokens = field(default_factory=Tokens)

    def token(self, call: Call) -> Response:
        """The OAuth2 token endpoint: client credentials in a form (RFC 6749 4.4.2, errors 5.2)."""
        form: dict[str, str] = {}
        if call.request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            form = dict(parse_qsl(call.body.decode("utf-8", "replace")))
        no_store = {"Cache-Control": "no-store", "Pragma": "no-cache"}
        if error := _token_error(form):
            status = 401 if error == "invalid_client" else 400
            body = {"error": error, "error_description": f"The request was refused: {error}."}
            return json_answer(body, status, no_store)
        token = self.tokens.issue(TOKEN_SECONDS)
        issued = {"token_type": "Bearer", "expires_in": TOKEN_SECONDS, "access_token": token}
        return json_answer(issued, headers=no_store)

    def guard(self, call: Call) -> Response | None:
        """Refuse without the subscription key."""
        key = call.request.headers.get("ocp-apim-subscription-key")
        if key == SUBSCRIPTION_KEY:
            return None
        return _gateway_error(401, _NO_KEY if key is None else _BAD_KEY)

    def gateway_guard(self, call: Call) -> Response | None:
        """Refuse without the subscription key, and without a bearer token."""
        scheme, _, token = call.request.headers.get("authorization", "").partition(" ")
        authorised = scheme.lower() == "bearer" and self.tokens.valid(token)
        return self.guard(call) or (None if authorised else _gateway_error(401, _BAD_TOKEN))

    def detail(self, call: Call) -> Response:
        """GET invoice/detail: 404 for an invoice that is unknown or another customer's."""
        customer, number = call.params.get("customernumber", ""), call.params.get("invoicenumber", "")
        exclude = _boolean(call.params, "excludeserialtracking")
        if (customer, number) == (CUSTOMER_NUMBERS[0], SAMPLE_INVOICE):
            return sample_answer(call.request, "tap_scansource")
        index = self.book.index(number)
        if index is None or _customer(index) != customer:
            raise HTTPException(404, "Invoice not found.")
        document = self.book.detail(index)
        if exclude:
            document["TrackingNumbers"] = []
            for line in document["InvoiceLines"]:
                line["SerialNumbers"] = []
        return _detail_answer(call.request, document)

    def pdf(self, call: Call) -> Response:
        """GET invoice/pdf: the document in Base64; what is wrong is said inside a normal body."""
        customer, number = call.params.get("customernumber", ""), call.params.get("invoicenumber", "")
        index = self.book.index(number)
        if index is None or _customer(index) != customer:
            return answer(call.request, _no_document(number, "The invoice was not found."), _DOCUMENT)
        return answer(call.request, self.book.document(index), _DOCUMENT)

    def pdf_failed(self, call: Call) -> Response:
        """How invoice/pdf says that it failed. Assumption: the code and the wording."""
        error = {"Code": "ERP", "Message": "The document could not be read."}
        number = call.params.get("invoicenumber", "")
        return answer(call.request, {**_no_document(number, ""), "Errors": [error]}, _DOCUMENT)

    def summary(self, call: Call) -> Response:
        """GET invoice/summary: a bare array in the order of entry, an empty one after the last page."""
        if call.params.get("customernumber") not in CUSTOMER_NUMBERS:
            raise HTTPException(404, "Customer not found.")
        page = call.whole("page", 1)
        # Assumption: the maximum of the sibling call salesorder/serials, applied silently.
        size = min(call.whole("pagesize", PAGE_SIZE), MAX_PAGE_SIZE)
        matches = call.moved(list(self._matches(call))) if call.fault else self._matches(call)
        found = call.shown(list(islice(matches, (page - 1) * size, page * size)))
        return answer(call.request, [self.book.summary(index) for index in found], _SUMMARY)

    def _matches(self, call: Call) -> Iterator[int]:
        """The indices of the customer's invoices that pass the filters given, in order."""
        book = self.book
        texts: tuple[tuple[str, Callable[[int], str]], ...] = (
            ("customernumber", _customer),
            ("invoicenumber", _number),
            ("salesordernumber", _order),
            ("ponumber", book.po_number),
        )
        wanted = [(of, call.params[name]) for name, of in texts if call.params.get(name)]
        # Which date fromDate and toDate look at is not documented, hence the option. Both are inclusive.
        # Assumption: ``YYYY-MM-DD`` (as in the sibling call salesorder/serials) is that whole day.
        date = book.changed if self.date_filter == "changed" else book.entered
        start, end = call.moment("fromdate", _CLOCK), call.moment("todate", _CLOCK, end_of_day=True)
        return (
            index
            for index in range(len(book))
            if all(of(index) == text for of, text in wanted)
            and (start is None or date(index) >= start)
            and (end is None or date(index) <= end)
        )


def _token_error(form: Mapping[str, str]) -> str | None:
    """The RFC 6749 5.2 error code of a token request, None for a good one."""
    if not all(form.get(name) for name in ("grant_type", "client_id", "client_secret", "scope")):
        return "invalid_request"
    if form["grant_type"] != "client_credentials":
        return "unsupported_grant_type"
    if (form["client_id"], form["client_secret"]) != (CLIENT_ID, CLIENT_SECRET):
        return "invalid_client"
    return None if form["scope"] == SCOPE else "invalid_scope"


def app(
    *,
    invoices: int = 2000,
    seed: int = 1,
    latency_ms: float = 0,
    rate: float = 0,
    date_filter: Literal["entered", "changed"] = "entered",
) -> Starlette:
    """The sandbox as an ASGI application.

    Args:
        invoices: how many invoices the two customers have together at the start.
        seed: another seed, other invoices; one seed always gives the same ones.
        latency_ms: milliseconds by which every API answer is delayed (token answers are not).
        rate: API requests a second before 429 (bursts of the same size, at least 1); 0 for no limit.
        date_filter: what fromDate and toDate filter: DateEntered or LastChanged (the vendor does not say).

    Its ``state`` carries ``totals()``, ``invoices()``, ``requests``, ``touch(number, at)``, ``add(count)``,
    ``fail(number_of_requests, status, headers)`` and ``revoke_tokens()``. ``requests`` counts arrivals as
    "token", "summary", "detail" and "pdf", whatever their answer, and the 429s sent as "429".

    The legacy form (``/api``: keys in the path; subscription key) and the gateway's (``/scsc/invoice/v1``:
    keys in the query; subscription key and bearer token) are both served, and both also without prefix, where
    the subscription key is enough.
    """
    api = _Api(_Book(seed, invoices), date_filter)
    server = Server(_refuse, latency_ms, Bucket(rate))
    routes = [
        server.route(TOKEN_PATH, "token", api.token, methods=["POST"]),
        server.route("/scsc/invoice/v1/summary", "summary", api.summary, guard=api.gateway_guard),
        server.route("/scsc/invoice/v1/detail", "detail", api.detail, guard=api.gateway_guard),
        # Assumption: the gateway's form of invoice/pdf, by analogy.
        server.route("/scsc/invoice/v1/pdf", "pdf", api.pdf, guard=api.gateway_guard, failed=api.pdf_failed),
        server.route("/summary", "summary", api.summary, guard=api.guard),
        server.route("/detail", "detail", api.detail, guard=api.guard),
        server.route("/pdf", "pdf", api.pdf, guard=api.guard, failed=api.pdf_failed),
    ]
    for prefix in ("", "/api"):
        path = f"{prefix}/invoice/summary/{{customerNumber}}"
        routes.append(server.route(path, "summary", api.summary, guard=api.guard))
        path = f"{prefix}/invoice/detail/{{customerNumber}}/{{invoiceNumber}}"
        routes.append(server.route(path, "detail", api.detail, guard=api.guard))
        path = f"{prefix}/invoice/pdf/{{customerNumber}}/{{invoiceNumber}}"
        routes.append(server.route(path, "pdf", api.pdf, guard=api.guard, failed=api.pdf_failed))
    return server.application(
        routes,
        paging={"page"},
        totals=api.book.totals,
        invoices=api.book.invoices,
        touch=api.book.touch,
        add=api.book.add,
        revoke_tokens=api.tokens.revoke,
    )
