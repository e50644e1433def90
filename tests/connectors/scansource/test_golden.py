"""ScanSource's documented sample, in both formats, against one record that was written from the document by hand.

``invoice.json`` and ``invoice.xml`` are the vendor's, to the byte. In ``invoice.record.json`` decimals are text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tap_scansource import SCANSOURCE
from tests.decode.kit import json_decoder, xml_decoder
from tests.strategies import exact, to_json, to_xml, values
from vendortap.declare.model import Node, RecordSelector, Reply
from vendortap.decode.reader import Reader
from vendortap.decode.structs import as_dict
from vendortap.decode.values import Dates
from vendortap.plugins import validation

FIXTURES = Path(__file__).parents[2] / "fixtures" / "scansource"
SHAPES = validation.shapes(SCANSOURCE)
FORMATS = {"json": "application/json; charset=utf-8", "xml": "application/xml; charset=utf-8"}

# The tables of the vendor's page: names in order, and what is not a string.
INVOICE = [
    "InvoiceNumber",
    "SalesOrderNumber",
    "BillingAddress",
    "ShippingAddress",
    "PONumber",
    "EndUserPO",
    "ReferenceNumber",
    "ShipDate",
    "Cancelled",
    "DocType",
    "SalesRepCode",
    "SalesRepName",
    "SalesRepEmail",
    "FreightAmount",
    "TaxAmount",
    "InsuranceAmount",
    "Total",
    "Currency",
    "EnteredByEmail",
    "ShippingOption",
    "ShippingOptionDescription",
    "InvoiceLines",
    "TrackingNumbers",
]
LINE = [
    "Id",
    "LineNumber",
    "POLineNumber",
    "ReferenceLineNumber",
    "ItemNumber",
    "ProductMfrPart",
    "ItemDescription",
    "ItemCatCode",
    "Ordered",
    "Committed",
    "BackOrdered",
    "Shipped",
    "Price",
    "Currency",
    "DeliveryNumber",
    "DeliveryLineNumber",
    "SerialNumbers",
]
ADDRESS = ["Name", "Attn", "Street1", "Street2", "City", "State", "PostalCode", "Country"]
SUMMARY = [
    "OrderNumber",
    "InvoiceNumber",
    "PONumber",
    "DocType",
    "Total",
    "ShippingOption",
    "ShippingOptionDescription",
    "DateEntered",
    "LastChanged",
]
DATES = {"ShipDate", "Cancelled"}
DECIMALS = {"FreightAmount", "TaxAmount", "InsuranceAmount", "Total"}
LINE_DECIMALS = {"LineNumber", "POLineNumber", "Ordered", "Committed", "BackOrdered", "Shipped", "Price"}
LINE_INTEGERS = {"Id", "DeliveryLineNumber"}


def golden() -> dict[str, Any]:
    """Read the record; what is a date or a decimal in it is said above, not by the schema."""
    record: dict[str, Any] = json.loads((FIXTURES / "invoice.record.json").read_text(encoding="utf-8"))
    for name in DATES:
        record[name] = datetime.fromisoformat(record[name])
    for name in DECIMALS:
        record[name] = Decimal(record[name])
    for line in record["InvoiceLines"]:
        line.update({name: Decimal(line[name]) for name in LINE_DECIMALS})
    return record


GIVEN = {"invoices": {"CustomerNumber"}, "invoice_details": {"CustomerNumber", "LastChanged"}}
"""What the request knows and the document does not say."""


def said(stream: str) -> dict[str, Node]:
    """Return the properties that the document says itself."""
    fields = SHAPES[stream].row.fields
    assert {name for name, member in fields.items() if member.kind == "given"} == GIVEN[stream]
    return {name: member for name, member in fields.items() if member.kind != "given"}


def rows(stream: str, body: bytes, content_type: str) -> list[Any]:
    """Decode a body; the records without what is given, which is null until it is."""
    found = list(map(as_dict, decoded(stream, body, content_type)))
    assert all(record.pop(name) is None for record in found for name in GIVEN[stream])
    return found


def decoded(stream: str, body: bytes, content_type: str) -> list[Any]:
    declared = SCANSOURCE.stream(stream)
    assert isinstance(declared.record_selector, RecordSelector)
    reader = Reader(SHAPES[stream].row, declared.record_selector, declared.keys, Dates(ZoneInfo("America/New_York")))
    return list(reader.read(Reply(200, {"content-type": content_type}, body, datetime.now(UTC))).records)


def kinds(fields: Mapping[str, Node]) -> dict[str, str]:
    return {name: member.kind for name, member in fields.items() if member.kind not in ("string", "object")}


@pytest.mark.parametrize(("form", "line_id"), [("json", None), ("xml", 1)])
def test_the_documented_sample_is_the_golden_record(form: str, line_id: int | None) -> None:
    (record,) = rows("invoice_details", (FIXTURES / f"invoice.{form}").read_bytes(), FORMATS[form])
    assert [line.pop("Id") for line in record["InvoiceLines"]] == [line_id, line_id]
    assert record == golden()
    assert {type(record[name]) for name in DECIMALS} == {Decimal}
    assert {type(line[name]) for line in record["InvoiceLines"] for name in LINE_DECIMALS} == {Decimal}


def test_the_sample_that_the_sandbox_serves_is_the_documented_one() -> None:
    samples = Path(SCANSOURCE.sandbox.app.partition(".")[0]) if SCANSOURCE.sandbox else Path()
    package = Path(__file__).parents[3] / "connectors" / samples / "samples"
    for form in FORMATS:
        assert (package / f"invoice.{form}").read_bytes() == (FIXTURES / f"invoice.{form}").read_bytes()


def test_the_schema_of_the_details_has_the_names_and_types_of_the_vendors_tables() -> None:
    document = said("invoice_details")
    assert list(document) == INVOICE
    assert len(INVOICE) == 23
    lists = {"InvoiceLines": "array", "TrackingNumbers": "array"}
    assert kinds(document) == {**dict.fromkeys(DATES, "date-time"), **dict.fromkeys(DECIMALS, "number"), **lists}
    for name in ("BillingAddress", "ShippingAddress"):
        assert list(document[name].fields) == ADDRESS
        assert kinds(document[name].fields) == {}
    line = document["InvoiceLines"].item
    assert line is not None
    assert list(line.fields) == LINE
    assert kinds(line.fields) == {
        **dict.fromkeys(LINE_DECIMALS, "number"),
        **dict.fromkeys(LINE_INTEGERS, "integer"),
        "SerialNumbers": "array",
    }


def test_the_golden_record_has_every_property_of_the_document() -> None:
    record = golden()
    assert list(record) == INVOICE
    assert [list(line) for line in record["InvoiceLines"]] == [LINE[1:]] * 2
    assert list(record["BillingAddress"]) == list(record["ShippingAddress"]) == ADDRESS


def test_the_schema_of_the_list_has_the_names_and_types_of_the_summary() -> None:
    assert list(said("invoices")) == SUMMARY
    assert kinds(said("invoices")) == {"Total": "number", "DateEntered": "date-time", "LastChanged": "date-time"}


SUMMARY_ROW = {
    "OrderNumber": "60123456",
    "InvoiceNumber": "INV-1",
    "PONumber": None,
    "DocType": "Invoice",
    "Total": Decimal("1234567890123456.78"),
    "ShippingOption": "GND",
    "ShippingOptionDescription": "",
    "DateEntered": None,
    "LastChanged": datetime(2025, 7, 18, 13, 47, 21, tzinfo=ZoneInfo("America/New_York")),
}
SUMMARY_BODIES = {
    "json": """[{
        "OrderNumber": "60123456", "InvoiceNumber": "INV-1", "PONumber": null, "DocType": "Invoice",
        "Total": 1234567890123456.78, "ShippingOption": "GND", "ShippingOptionDescription": "",
        "DateEntered": "0001-01-01T00:00:00", "LastChanged": "2025-07-18T13:47:21"
    }]""",
    "xml": """<ArrayOfInvoiceSummary xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
        <InvoiceSummary>
            <OrderNumber>60123456</OrderNumber><InvoiceNumber>INV-1</InvoiceNumber><PONumber xsi:nil="true" />
            <DocType>Invoice</DocType><Total>1234567890123456.78</Total><ShippingOption>GND</ShippingOption>
            <ShippingOptionDescription /><DateEntered>0001-01-01T00:00:00</DateEntered>
            <LastChanged>2025-07-18T13:47:21</LastChanged>
        </InvoiceSummary>
    </ArrayOfInvoiceSummary>""",
}


@pytest.mark.parametrize("form", FORMATS)
def test_a_row_of_the_list_is_the_same_in_both_formats(form: str) -> None:
    (row,) = rows("invoices", SUMMARY_BODIES[form].encode(), FORMATS[form])
    assert row == SUMMARY_ROW
    assert str(row["Total"]) == "1234567890123456.78"
    assert row["LastChanged"].isoformat() == "2025-07-18T13:47:21-04:00"


@pytest.mark.parametrize("form", FORMATS)
def test_a_list_of_none_has_no_rows(form: str) -> None:
    empty = {"json": b"[]", "xml": b"<ArrayOfInvoiceSummary />"}[form]
    assert rows("invoices", empty, FORMATS[form]) == []


# --- any document ------------------------------------------------------------------------------------

ZONE = Dates(ZoneInfo("America/New_York"))


@pytest.mark.parametrize("stream", ["invoices", "invoice_details"])
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data(), drop_nulls=st.booleans())
def test_json_and_xml_of_any_document_give_that_record(stream: str, data: st.DataObject, drop_nulls: bool) -> None:
    node = SHAPES[stream].row
    record = data.draw(values(node))
    in_json = json_decoder(node, ZONE)(to_json(record, drop_nulls=drop_nulls).encode())
    in_xml = xml_decoder(node, ZONE)(to_xml(record, node, drop_nulls=drop_nulls))
    assert exact(in_json) == exact(in_xml) == exact(record)
