"""Deterministic invoices of ten lines: the same number gives the same invoice, on every machine.

An invoice is about 5.2 kB of JSON or 7 kB of XML. Amounts have two decimals, as text they keep them ("10.00").
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, Literal
from xml.sax.saxutils import escape

import msgspec

Invoice = dict[str, Any]

Shape = Literal["schema", "shuffled", "undeclared", "sparse-15", "sparse-50", "strings"]
SHAPES: Mapping[Shape, str] = {
    "schema": "fields in the schema's order",
    "shuffled": "fields in another order",
    "undeclared": "an undeclared field in each record and each line",
    "sparse-15": "15 % of the fields left out",
    "sparse-50": "50 % of the fields left out",
    "strings": "amounts as strings",
}
"""Vendors do all of these. The order of ``shuffled`` is the same in all records, as it is of a vendor's program."""

LINES = 10
FIRST_CHANGE = datetime(2024, 1, 1)
XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'

_CITIES = ("Düsseldorf", "Lyon", "Austin", "Portland", "São Paulo", "Leeds", "Osaka", "Gdańsk", "Toronto", "Cork")
_STATES = ("TX", "OR", "NY", "CA", "ON", "NW")
_CURRENCIES = ("USD", "CAD", "EUR", "GBP")
_WORDS = (
    *("switch", "router", "cable", "10GbE", "SFP+", "rack", "mount", "server", "blade", "SSD", "NVMe", "license"),
    *("renewal", "12mo", "&", "support", '"24/7"', "<gold>", "adapter", "fan", "kit"),
)
_ITEM_NAMES = {"InvoiceLines": "InvoiceLine", "SerialNumbers": "string", "TrackingNumbers": "string"}
_JSON = msgspec.json.Encoder(decimal_format="number")


def number(index: int) -> str:
    """Return the number of the invoice at this place; all are of the same length up to 100 million."""
    return f"INV{index:08}"


def changed(index: int) -> str:
    """Return when the invoice at this place last changed: a minute after the one before."""
    return f"{(FIRST_CHANGE + timedelta(minutes=index)).isoformat()}Z"


def invoice(index: int) -> Invoice:
    """Return the invoice at this place: text, Decimal, int, None, and dicts and lists of these."""
    random = Random(index)

    def code(prefix: str, digits: int) -> str:
        return f"{prefix}{random.randrange(10**digits):0{digits}}"

    def amount(digits: int) -> Decimal:
        return Decimal(random.randrange(10**digits)).scaleb(-2)

    def count(most: int) -> Decimal:
        return Decimal(f"{random.randint(1, most)}.00")

    def stamp() -> str:
        moment = FIRST_CHANGE + timedelta(seconds=random.randrange(2 * 365 * 86400))
        fraction, offset = random.randrange(10**6), random.choice(("-05:00", "+00:00", "+02:00"))
        return f"{moment.isoformat()}.{fraction:06}0{offset}"

    def address() -> dict[str, str]:
        return {
            "Name": f"Company {code('', 5)} GmbH",
            "Attn": f"A. Person {code('', 3)}",
            "Street1": f"{code('', 4)} Main Street",
            "Street2": f"Suite {code('', 3)}",
            "City": random.choice(_CITIES),
            "State": random.choice(_STATES),
            "PostalCode": code("", 5),
            "Country": "US",
        }

    def line(place: int, currency: str) -> dict[str, Any]:
        return {
            "LineNumber": Decimal(f"{place}.00"),
            "POLineNumber": count(50),
            "ReferenceLineNumber": code("REF-", 6),
            "ItemNumber": code("ITM", 8),
            "ProductMfrPart": f"{code('MFR-', 7)}-{random.choice('ABCD')}",
            "ItemDescription": " ".join(random.choices(_WORDS, k=6)),
            "ItemCatCode": code("CAT", 2),
            "Ordered": count(500),
            "Committed": count(250),
            "BackOrdered": count(250),
            "Shipped": count(150),
            "Price": amount(8),
            "Currency": currency,
            "DeliveryNumber": code("D", 9),
            "DeliveryLineNumber": random.randint(1, 99),
            "SerialNumbers": [code("SN", 10), code("SN", 10)],
        }

    currency = random.choice(_CURRENCIES)
    return {
        "InvoiceNumber": number(index),
        "LastChanged": changed(index),
        "SalesOrderNumber": code("SO", 8),
        "BillingAddress": address(),
        "ShippingAddress": address(),
        "PONumber": code("PO", 7),
        "EndUserPO": None if index % 7 == 0 else code("EU", 7),
        "ReferenceNumber": code("R", 7),
        "ShipDate": stamp(),
        "Cancelled": stamp() if index % 11 == 0 else None,
        "DocType": random.choice(("IN", "CR", "DR")),
        "SalesRepCode": code("SR", 3),
        "SalesRepName": f"Rep Name {code('', 3)}",
        "SalesRepEmail": f"{code('rep', 3)}@example.com",
        "FreightAmount": amount(5),
        "TaxAmount": amount(6),
        "InsuranceAmount": amount(4),
        "Total": amount(17 if index % 1000 == 999 else 9),  # no float holds 17 digits
        "Currency": currency,
        "EnteredByEmail": f"{code('user', 4)}@example.com",
        "ShippingOption": code("UPS", 2),
        "ShippingOptionDescription": f"Ground service {code('', 1)}",
        "InvoiceLines": [line(place, currency) for place in range(1, LINES + 1)],
        "TrackingNumbers": [code("1Z", 16), code("1Z", 16)],
    }


_KEPT = ("InvoiceNumber", "LastChanged", "Total", "Currency", "InvoiceLines", "LineNumber", "Price")
"""Fields that are never left out: what the runs are checked by, and what records are known by."""


def shaped(document: Invoice, shape: Shape, index: int) -> Invoice:
    """Return the invoice at this place as a vendor with other habits has it."""
    if shape == "schema":
        return document
    random = Random(index)
    share = {"sparse-15": 0.15, "sparse-50": 0.5}.get(shape, 0)

    def change(value: Any) -> Any:
        if isinstance(value, list):
            return [change(item) for item in value]
        if isinstance(value, Decimal) and shape == "strings":
            return str(value)
        if not isinstance(value, dict):
            return value
        members = {name: change(member) for name, member in value.items()}
        if shape == "shuffled":
            return {name: members[name] for name in sorted(members, key=lambda name: Random(name).random())}
        if shape == "undeclared" and not members.keys().isdisjoint(_KEPT):
            return {**members, "Undeclared": "not in the schema"}
        return {name: member for name, member in members.items() if name in _KEPT or random.random() >= share}

    changed: Invoice = change(document)
    return changed


def as_json(document: Invoice) -> bytes:
    """Write an invoice as JSON; amounts are numbers and keep their decimals."""
    return _JSON.encode(document)


def as_xml(document: Invoice) -> bytes:
    """Write an invoice as an element; its ``xsi`` prefix is to be declared around it."""
    return _element("Invoice", document).encode()


def _element(name: str, value: Any) -> str:
    if value is None:
        return f'<{name} xsi:nil="true"/>'
    if isinstance(value, dict):
        inside = "".join(_element(member, item) for member, item in value.items())
    elif isinstance(value, list):
        inside = "".join(_element(_ITEM_NAMES[name], item) for item in value)
    else:
        inside = escape(str(value))
    return f"<{name}>{inside}</{name}>"
