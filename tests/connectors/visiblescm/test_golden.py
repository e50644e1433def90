"""VisibleSCM's documented sample, in both formats, against one record that was written from the document by hand.

``invoice.json`` and ``invoice.xml`` are the vendor's, to the byte. In ``invoice.record.json`` decimals are text.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tap_visiblescm import VISIBLESCM
from tests import golden
from tests.strategies import exact, to_json, to_xml, values
from vendortap.declare.model import Node, Page, Record, RecordSelector, Reply
from vendortap.decode.pages import page_node
from vendortap.decode.reader import Reader
from vendortap.decode.structs import as_dict
from vendortap.decode.values import dates
from vendortap.plugins import validation

FIXTURES = Path(__file__).parents[2] / "fixtures" / "visiblescm"
SHAPES = validation.shapes(VISIBLESCM)
FORMATS = {"json": "application/json; charset=utf-8", "xml": "application/xml; charset=utf-8"}
RENAMED = {"Summaries": "InvoiceSummaries", "Averages": "InvoiceTotalAverages"}

# The tables of the vendor's page: names in order, and what is not a string.
INVOICE = [
    "IsSuccessful",
    "Message",
    "InvoiceRefNumber",
    "InvoiceParentRefNumber",
    "BusinessUnit",
    "ClientDisplayName",
    "InvoiceFriendlyStatus",
    "Terms",
    "StartDate",
    "EndDate",
    "DueDate",
    "IssuedDate",
    "ProcessPeriodType",
    "TotalInvoicedAmount",
    "TotalAverageAmount",
    "TotalPublishedAmount",
    "TotalInvoiceLinesCount",
    "TotalDiscountAmount",
    "InvoiceAmountOwed",
    "Summaries",
    "Averages",
]
KINDS = {
    "IsSuccessful": "boolean",
    "StartDate": "date-time",
    "EndDate": "date-time",
    "DueDate": "date-time",
    "IssuedDate": "date-time",
    "TotalInvoicedAmount": "number",
    "TotalAverageAmount": "number",
    "TotalPublishedAmount": "number",
    "TotalInvoiceLinesCount": "integer",
    "TotalDiscountAmount": "number",
    "InvoiceAmountOwed": "number",
    "Summaries": "array",
    "Averages": "array",
}
OUTSIDE_THE_LIST = {"IsSuccessful", "Message", "Summaries", "Averages"}
REQUESTED = {"RequestedInvoiceRefNumber", "ListedIssuedDate"}
"""What the request knows, not the answer."""


def record_selector_of(stream: str) -> RecordSelector:
    declared = VISIBLESCM.stream(stream).record_selector
    assert isinstance(declared, RecordSelector)
    return declared


def read(stream: str, form: str, body: bytes) -> Page:
    declared = VISIBLESCM.stream(stream)
    reader = Reader(SHAPES[stream].row, record_selector_of(stream), declared.keys, dates("UTC", None))
    return reader.read(Reply(200, {"content-type": FORMATS[form]}, body, datetime.now(UTC)))


def detail(form: str, body: bytes) -> dict[str, Any]:
    """One document, completed as the pipeline does it."""
    (record,) = read("invoice_details", form, body).records
    finish = VISIBLESCM.stream("invoice_details").finish
    assert finish is not None
    finish(record)
    return vendors(record)


def vendors(record: Record) -> dict[str, Any]:
    return {name: value for name, value in as_dict(record).items() if name not in REQUESTED}


def kinds(node: Node) -> dict[str, str]:
    found = {name: member.kind for name, member in node.fields.items()}
    return {name: kind for name, kind in found.items() if kind not in ("string", "given")}


@pytest.mark.parametrize("form", FORMATS)
def test_the_documented_sample_is_the_golden_record(form: str) -> None:
    record = detail(form, (FIXTURES / f"invoice.{form}").read_bytes())
    wanted = golden.load(FIXTURES / "invoice.record.json")
    assert golden.with_types(record) == golden.with_types(wanted)
    assert list(record) == list(wanted) == INVOICE


def test_the_sample_that_the_sandbox_serves_is_the_documented_one() -> None:
    samples = Path(__file__).parents[3] / "connectors" / "tap_visiblescm" / "samples"
    for form in FORMATS:
        assert (samples / f"invoice.{form}").read_bytes() == (FIXTURES / f"invoice.{form}").read_bytes()


def test_the_schema_of_the_details_has_the_names_and_types_of_the_vendors_table() -> None:
    row = SHAPES["invoice_details"].row
    assert [name for name in row.fields if name not in REQUESTED] == INVOICE
    assert kinds(row) == KINDS
    assert {name: member.xml_name for name, member in row.fields.items() if member.xml_name} == RENAMED
    sample = golden.load(FIXTURES / "invoice.record.json")
    for name in RENAMED:
        item = row.fields[name].item
        assert item is not None
        assert list(item.fields) == list(sample[name][0])


def test_the_schema_of_the_list_is_that_of_the_details_from_number_to_amount_owed() -> None:
    row = SHAPES["invoices"].row
    assert list(row.fields) == [name for name in INVOICE if name not in OUTSIDE_THE_LIST]
    assert kinds(row) == {name: kind for name, kind in KINDS.items() if name not in OUTSIDE_THE_LIST}


def test_only_json_has_a_charge_type_display_and_xml_derives_it_from_what_there_is() -> None:
    sample = (FIXTURES / "invoice.xml").read_bytes()
    for absent, display in (
        (b"", "sample string 4 - sample string 3 - sample string 6"),
        (b"<SubCategory>sample string 6</SubCategory>", "sample string 4 - sample string 3 - "),
        (b"<ChargeType>sample string 4</ChargeType>", " - sample string 3 - sample string 6"),
    ):
        summaries = detail("xml", sample.replace(absent, b"") if absent else sample)["Summaries"]
        assert [summary["ChargeTypeDisplay"] for summary in summaries] == [display, display]


def test_a_display_of_the_vendors_own_is_kept() -> None:
    body = (FIXTURES / "invoice.json").read_bytes().replace(b"sample string 4 - sample", b"Base rate / sample")
    shown = {summary["ChargeTypeDisplay"] for summary in detail("json", body)["Summaries"]}
    assert shown == {"Base rate / sample string 3 - sample string 6"}


# --- any document ------------------------------------------------------------------------------------


def displayed(record: dict[str, Any]) -> dict[str, Any]:
    """The document as the vendor's JSON has it: the display is computed of the other members."""
    for summary in record["Summaries"] or ():
        parts = (summary[name] or "" for name in ("ChargeType", "Category", "SubCategory"))
        summary["ChargeTypeDisplay"] = " - ".join(parts)
    return record


def without_displays(record: dict[str, Any]) -> dict[str, Any]:
    """The document as the vendor's XML has it."""
    if record["Summaries"] is None:
        return record
    return {**record, "Summaries": [{**summary, "ChargeTypeDisplay": None} for summary in record["Summaries"]]}


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(record=values(SHAPES["invoice_details"].row).map(displayed), drop_nulls=st.booleans())
def test_json_and_xml_of_any_document_give_that_record(record: dict[str, Any], drop_nulls: bool) -> None:
    node = SHAPES["invoice_details"].row
    in_json = detail("json", to_json(record, drop_nulls=drop_nulls).encode())
    in_xml = detail("xml", to_xml(without_displays(record), node, drop_nulls=drop_nulls))
    assert exact(in_json) == exact(in_xml) == exact(vendors(record))


PAGE = page_node(SHAPES["invoices"].row, record_selector_of("invoices"))


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(page=values(PAGE).filter(bool), drop_nulls=st.booleans())
def test_json_and_xml_of_any_page_of_the_list_give_those_rows(page: dict[str, Any], drop_nulls: bool) -> None:
    in_json = read("invoices", "json", to_json(page, drop_nulls=drop_nulls).encode())
    in_xml = read("invoices", "xml", to_xml(page, PAGE, drop_nulls=drop_nulls))
    assert exact(in_json.records) == exact(in_xml.records) == exact(page["List"] or [])
    assert exact(dict(in_json.more)) == exact(dict(in_xml.more))
    assert in_json.more["rows"] == page["TotalCount"]
    assert in_json.absent == in_xml.absent == (page["List"] is None)
