"""Midnight's documented samples, in both formats, against what was written from the document by hand.

``invoice.json``, ``invoice.xml``, ``invoice-request.json`` and ``invoice-request.xml`` are the vendor's, to the
byte. In ``invoice.record.json`` decimals are text.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from tap_midnight import MIDNIGHT
from tests import golden
from tests.strategies import exact, to_json, to_xml, values
from vendortap.declare.model import Node, Page, Record, RecordSelector, Reply
from vendortap.decode.body import write
from vendortap.decode.pages import page_node
from vendortap.decode.reader import Reader
from vendortap.decode.structs import as_dict
from vendortap.decode.values import dates
from vendortap.plugins import validation

FIXTURES = Path(__file__).parents[2] / "fixtures" / "midnight"
SHAPES = validation.shapes(MIDNIGHT)
FORMATS = {"json": "application/json; charset=utf-8", "xml": "application/xml; charset=utf-8"}
REQUESTED = {"RequestedGuid", "ListedInvoiceDate"}
"""What the request knows, not the answer."""

# The table of the vendor's page: 48 names in order, and what is not a string.
INVOICE = [
    "GUID",
    "InvoiceID",
    "InvoiceNumber",
    "InvoiceNumberExt",
    "InvoiceStatus",
    "InvoiceDate",
    "InvoiceDueDate",
    "TermsCode",
    "InvoiceNote",
    "RequestType",
    "PurchaseOrderNumber",
    "ItemDisplaySetting",
    "PaymentStatus",
    "PaymentType",
    "PaymentSource",
    "PaymentBilledDateTime",
    "TotalBilledAmount",
    "InvoiceTaxAmount",
    "AmountReceived",
    "PaymentDueAmount",
    "Balance",
    "DiscountAmount",
    "DiscountType",
    "CustomerId",
    "ContactId",
    "UserName",
    "EmailAddress",
    "Phone",
    "Extension",
    "Company",
    "Attn",
    "AddressLine1",
    "AddressLine2",
    "AddressLine3",
    "City",
    "StateCode",
    "ZipCode",
    "Country",
    "SubTotal",
    "ServiceTotal",
    "PostageTotal",
    "ServiceTaxTotal",
    "PostageTaxTotal",
    "InvoiceLine",
    "isLinkedItemModified",
    "Title",
    "Note",
    "ShowClosedOrders",
]
KINDS = {
    **dict.fromkeys(["InvoiceID", "CustomerId", "ContactId"], "integer"),
    **dict.fromkeys(["InvoiceDate", "InvoiceDueDate", "PaymentBilledDateTime"], "date-time"),
    **dict.fromkeys(["TotalBilledAmount", "InvoiceTaxAmount", "AmountReceived", "PaymentDueAmount"], "number"),
    **dict.fromkeys(["Balance", "DiscountAmount", "SubTotal", "ServiceTotal", "PostageTotal"], "number"),
    **dict.fromkeys(["ServiceTaxTotal", "PostageTaxTotal"], "number"),
    **dict.fromkeys(["isLinkedItemModified", "ShowClosedOrders"], "boolean"),
    "InvoiceLine": "array",
}
# https://api.vsmidnight.com/Help, POST v1/Generic/InvoiceList, with the older copy's InvoiceLineType.
LIST = {
    "Guid": "string",
    "InvoiceID": "integer",
    "InvoiceNumber": "string",
    "InvoiceNumberExt": "string",
    "InvoiceNumberPlusExt": "string",
    "InvoiceDate": "date-time",
    "CustomerName": "string",
    "InvoiceDueDate": "date-time",
    "InvoiceStatus": "string",
    "InvoiceAmount": "number",
    "CustomerNumber": "integer",
    "InvoiceTitle": "string",
    "TermsCode": "string",
    "CustomerPaymentID": "integer",
    "InvoiceAmountPaid": "number",
    "OrderID": "integer",
    "OrderNumber": "string",
    "CreatedBy": "string",
    "InvoiceLineTypes": "array",
    "InvoiceLineType": "string",
    "ContactID": "integer",
    "PaymentStatus": "string",
    "InvoiceBalance": "number",
    "RequestType": "string",
    "Active": "boolean",
    "TotalRecords": "integer",
}


def record_selector_of(stream: str) -> RecordSelector:
    declared = MIDNIGHT.stream(stream).record_selector
    assert isinstance(declared, RecordSelector)
    return declared


def read(stream: str, form: str, body: bytes) -> Page:
    declared = MIDNIGHT.stream(stream)
    reader = Reader(SHAPES[stream].row, record_selector_of(stream), declared.keys, dates("UTC", None))
    return reader.read(Reply(200, {"content-type": FORMATS[form]}, body, datetime.now(UTC)))


def vendors(record: Record) -> dict[str, Any]:
    return {name: value for name, value in as_dict(record).items() if name not in REQUESTED}


def detail(form: str, body: bytes) -> dict[str, Any]:
    (record,) = read("invoice_details", form, body).records
    return vendors(record)


def sample(form: str) -> bytes:
    return (FIXTURES / f"invoice.{form}").read_bytes()


def kinds(node: Node) -> dict[str, str]:
    found = {name: member.kind for name, member in node.fields.items()}
    return {name: kind for name, kind in found.items() if kind not in ("string", "given")}


@pytest.mark.parametrize("form", FORMATS)
def test_the_documented_sample_is_the_golden_record(form: str) -> None:
    record, wanted = detail(form, sample(form)), golden.load(FIXTURES / "invoice.record.json")
    assert golden.with_types(record) == golden.with_types(wanted)
    assert list(record) == list(wanted) == INVOICE
    assert len(INVOICE) == 48


def test_the_samples_that_the_sandbox_serves_are_the_documented_ones() -> None:
    samples = Path(__file__).parents[3] / "connectors" / "tap_midnight" / "samples"
    for form in FORMATS:
        assert (samples / f"invoice.{form}").read_bytes() == sample(form)


def test_the_schema_of_the_details_has_the_names_and_types_of_the_vendors_table_and_sample() -> None:
    row = SHAPES["invoice_details"].row
    assert [name for name in row.fields if name not in REQUESTED] == INVOICE
    assert kinds(row) == KINDS
    lines = row.fields["InvoiceLine"].item
    assert lines is not None
    items = lines.fields["InvoiceLineItem"].item
    assert items is not None
    (line, _) = golden.load(FIXTURES / "invoice.record.json")["InvoiceLine"]
    assert (list(lines.fields), len(lines.fields)) == (list(line), 29)
    assert (list(items.fields), len(items.fields)) == (list(line["InvoiceLineItem"][0]), 19)
    assert list(lines.fields["GroupBilling"].fields) == list(line["GroupBilling"])


def test_the_schema_of_the_list_has_the_names_and_types_of_the_vendors_page() -> None:
    row = SHAPES["invoices"].row
    assert {name: member.kind for name, member in row.fields.items()} == LIST
    assert list(row.fields) == list(LIST)


# --- lists of one, and of none -----------------------------------------------------------------------


def cut(form: str, lines: int, items: int) -> bytes:
    """The sample with so many lines, and so many items in each."""
    if form == "json":
        document = json.loads(sample("json"))
        document["InvoiceLine"] = document["InvoiceLine"][:lines]
        for line in document["InvoiceLine"]:
            line["InvoiceLineItem"] = line["InvoiceLineItem"][:items]
        return json.dumps(document).encode()
    root = etree.fromstring(sample("xml"))
    for path, count in (("InvoiceLine", lines), ("InvoiceLine/InvoiceLineSelectResponse/InvoiceLineItem", items)):
        for wrapper in root.findall(path):
            for child in list(wrapper)[count:]:
                wrapper.remove(child)
            wrapper.text = None if not count else wrapper.text
    return etree.tostring(root)


@pytest.mark.parametrize(("lines", "items"), [(1, 1), (2, 1), (1, 2), (1, 0), (0, 0)])
def test_lists_of_one_and_of_none_are_lists_in_both_formats(lines: int, items: int) -> None:
    wanted = golden.load(FIXTURES / "invoice.record.json")
    wanted["InvoiceLine"] = wanted["InvoiceLine"][:lines]
    for line in wanted["InvoiceLine"]:
        line["InvoiceLineItem"] = line["InvoiceLineItem"][:items]
    for form in FORMATS:
        assert golden.with_types(detail(form, cut(form, lines, items))) == golden.with_types(wanted)


# --- what is sent ------------------------------------------------------------------------------------


def request_body(form: str) -> tuple[str, bytes]:
    """Content type and body of a request for the Guid of the vendor's sample."""
    config = validation.settings(MIDNIGHT)["properties"]
    settings_ = {name: setting.get("default") for name, setting in config.items()} | {"format": form}
    guid = json.loads((FIXTURES / "invoice-request.json").read_bytes())["Guid"]
    request = write(MIDNIGHT.stream("invoice_details").request(settings_, {"guid": guid}))
    assert request.body is not None
    return request.headers["Content-Type"], request.body


def test_the_request_in_json_is_the_documented_one() -> None:
    content_type, body = request_body("json")
    assert content_type == "application/json"
    assert json.loads(body) == json.loads((FIXTURES / "invoice-request.json").read_bytes())


def test_the_request_in_xml_is_the_documented_one() -> None:
    content_type, body = request_body("xml")
    assert content_type == "application/xml"
    assert canonical(body) == canonical((FIXTURES / "invoice-request.xml").read_bytes())


def canonical(body: bytes) -> str:
    """Canonical XML (namespace declarations included) without the blanks between elements."""
    root = etree.fromstring(body, etree.XMLParser(remove_blank_text=True))
    return etree.tostring(root, method="c14n").decode()


# --- any document ------------------------------------------------------------------------------------

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


@settings(deadline=None, max_examples=40, suppress_health_check=SLOW)
@given(record=values(SHAPES["invoice_details"].row), drop_nulls=st.booleans())
def test_json_and_xml_of_any_document_give_that_record(record: dict[str, Any], drop_nulls: bool) -> None:
    in_json = detail("json", to_json(record, drop_nulls=drop_nulls).encode())
    in_xml = detail("xml", to_xml(record, SHAPES["invoice_details"].row, drop_nulls=drop_nulls))
    assert exact(in_json) == exact(in_xml) == exact(vendors(record))


PAGE = page_node(SHAPES["invoices"].row, record_selector_of("invoices"))


@settings(deadline=None, max_examples=40, suppress_health_check=SLOW)
@given(page=values(PAGE), drop_nulls=st.booleans())
def test_json_and_xml_of_any_page_of_the_list_give_those_rows(page: list[Any] | None, drop_nulls: bool) -> None:
    in_json = read("invoices", "json", to_json(page, drop_nulls=drop_nulls).encode())
    in_xml = read("invoices", "xml", to_xml(page, PAGE, drop_nulls=drop_nulls))
    assert exact(in_json.records) == exact(in_xml.records) == exact(page or [])
    assert in_json.absent == (page is None)
    assert in_xml.absent == (not page)  # then the root's name says whether it is a list: Rows.empty
