"""What a tap says of all its streams, held against its sandbox; and values as any store gives them, made comparable."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from tests.conftest import make_catalog
from tests.faults.kit import CASES

if TYPE_CHECKING:
    from tests.conftest import Output, StartVendor, Vendor

INVOICES = 40
CONNECTORS = tuple(CASES)
Row = dict[str, Any]
Amount = Callable[[Mapping[str, Any]], tuple[str, Decimal]]


def _scansource_document(record: Mapping[str, Any]) -> tuple[str, Decimal]:
    found = re.search(r"\(Total (-?[0-9.]+) ([A-Z]{3})\)", b64decode(record["InvoiceData"]).decode("latin-1"))
    assert found
    return found[2], Decimal(found[1])


AMOUNTS: Mapping[tuple[str, str], Amount] = {
    **{(name, case.main): case.amount for name, case in CASES.items()},
    ("amazon-vendor", "customer_invoices_by_number"): CASES["amazon-vendor"].amount,
    ("ingram-micro", "invoices"): lambda record: ("", record["invoicedAmountDue"]),
    ("ingram-micro", "invoice_details_v4"): lambda record: ("", record["totalamount"]),
    ("midnight", "invoices"): lambda record: ("", record["InvoiceAmount"]),
    ("scansource", "invoices"): lambda record: ("", record["Total"]),
    ("scansource", "invoice_documents"): _scansource_document,
    ("visiblescm", "invoices"): lambda record: ("", record["TotalInvoicedAmount"]),
}
"""Stream → currency and amount of one of its records; the currency is empty where the record has none."""


@dataclass(frozen=True)
class Mode:
    """How a tap is asked to write."""

    use_singer_decimal: bool = False
    nested: str = "keep"

    @property
    def settings(self) -> dict[str, Any]:
        return {"use_singer_decimal": self.use_singer_decimal, "nested": self.nested}


class Truth:
    """A connector's sandbox and all streams of its tap."""

    def __init__(self, sandboxes: StartVendor, connector: str) -> None:
        self.case = CASES[connector]
        self.vendor: Vendor = sandboxes(connector, invoices=INVOICES, **self.case.options)
        self.streams = [stream.name for stream in self.vendor.connector.streams]
        self._outputs: dict[Mode, Output] = {}

    def output(self, mode: Mode) -> Output:
        """Return what the tap writes."""
        if mode not in self._outputs:
            chosen = make_catalog(streams=self.streams, connector=self.case.name)
            config = {**self.case.settings, **self._asked_for, **mode.settings}
            self._outputs[mode] = self.vendor.read(catalog=chosen, **config)
        return self._outputs[mode]

    @cached_property
    def _asked_for(self) -> dict[str, Any]:
        """What has to be asked for by its number, or its name."""
        invoices = list(self.vendor.state.invoices())
        if self.case.name == "amazon-vendor":
            return {"purchase_order_numbers": [invoice["purchaseOrderNumber"] for invoice in invoices]}
        if self.case.name == "ingram-micro":
            return {"order_numbers": [invoice["invoiceNumber"] for invoice in invoices]}
        if self.case.name == "scansource":
            return {"extra_streams": ["invoice_documents"]}
        return {}

    def schema(self, stream: str) -> dict[str, Any]:
        """Return the schema of a stream's records; in each mode the record means what it says."""
        (message,) = self.output(Mode()).of("SCHEMA", stream)
        schema: dict[str, Any] = message["schema"]
        return schema

    def keys(self, stream: str) -> list[str]:
        (message,) = self.output(Mode()).of("SCHEMA", stream)
        keys: list[str] = message["key_properties"]
        return keys

    def records(self, stream: str) -> list[Row]:
        """Return the records of a stream, as often as they were sent."""
        return self.output(Mode()).records(stream)

    def totals(self, stream: str, rows: Iterable[Row]) -> dict[str, tuple[int, Decimal]]:
        """Return what the sandbox holds of what a stream is made of; without currencies where its records have none."""
        totals: dict[str, tuple[int, Decimal]] = self.vendor.state.totals()
        invoices = self.vendor.state.invoices()
        if stream == "invoice_documents":  # not every invoice has one
            present = {row["InvoiceNumber"] for row in rows}
            return sums((i["Currency"], i["Total"]) for i in invoices if i["InvoiceNumber"] in present)
        if stream == "invoice_details_v4":  # which has the invoices of the last months only
            present = {row["requestednumber"] for row in rows}
            found = [i["summary"]["totals"] for i in invoices if i["invoiceNumber"] in present]
            return sums(("", totals["invoicedAmountDue"]) for totals in found)
        amount = AMOUNTS[self.case.name, stream]
        if {currency for currency, _ in map(amount, rows)} == {""}:
            return {"": (sum(n for n, _ in totals.values()), sum((a for _, a in totals.values()), Decimal(0)))}
        return totals


def sums(amounts: Iterable[tuple[str, Decimal]]) -> dict[str, tuple[int, Decimal]]:
    """Add up by currency: how many, and how much."""
    found: dict[str, tuple[int, Decimal]] = {}
    for currency, amount in amounts:
        count, total = found.get(currency, (0, Decimal(0)))
        found[currency] = count + 1, total + amount
    return found


# --- values ------------------------------------------------------------------------------------------


def kind(schema: Mapping[str, Any]) -> str:
    """Return what a Singer schema is of: a type of JSON, or date-time."""
    types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    (only,) = [name for name in types if name != "null"]
    return schema["format"] if schema.get("format") in ("date-time", "date") else str(only)


def plain(schema: Mapping[str, Any], value: Any) -> Any:
    """Return a value as any store gives it in one form, by what the record's schema says that it is.

    Amounts are Decimal, whatever they were read as; a float is what it is printed as. Members that are null or absent
    are left out.
    """
    what = kind(schema)
    if value is None or (value == "" and what != "string"):
        return None
    return _PLAIN[what](schema, value)


def _number(schema: Mapping[str, Any], value: Any) -> Decimal:
    return Decimal(repr(value) if isinstance(value, float) else value)


def _boolean(schema: Mapping[str, Any], value: Any) -> bool:
    return value if isinstance(value, bool) else {"true": True, "false": False}[value.lower()]


def _stamp(schema: Mapping[str, Any], value: Any) -> datetime:
    stamp = value if isinstance(value, datetime) else msgspec.convert(value.replace(" ", "T"), datetime)
    return stamp.astimezone(UTC) if stamp.tzinfo else stamp.replace(tzinfo=UTC)


def _object(schema: Mapping[str, Any], value: Any) -> Row:
    members = json.loads(value, parse_float=Decimal) if isinstance(value, str) else value
    found = {name: plain(member, members.get(name)) for name, member in schema["properties"].items()}
    return {name: member for name, member in found.items() if member is not None}


def _array(schema: Mapping[str, Any], value: Any) -> list[Any]:
    items = json.loads(value, parse_float=Decimal) if isinstance(value, str) else value
    return [plain(schema["items"], item) for item in items]


_PLAIN: Mapping[str, Callable[[Mapping[str, Any], Any], Any]] = {
    "number": _number,
    "integer": _number,
    "boolean": _boolean,
    "date-time": _stamp,
    "object": _object,
    "array": _array,
    "string": lambda _, value: value,
}


def by_key(
    schema: Mapping[str, Any], keys: Iterable[str], rows: Iterable[Row], *, nulls: bool = True
) -> dict[tuple[Any, ...], Row]:
    """Return rows in comparable form by their key; of rows with the same one the last.

    Without ``nulls`` the empty text is taken for null.
    """
    given = rows if nulls else ({name: None if v == "" else v for name, v in row.items()} for row in rows)
    found = [{name: plain(member, row.get(name)) for name, member in schema["properties"].items()} for row in given]
    return {tuple(row[name] for name in keys): row for row in found}
