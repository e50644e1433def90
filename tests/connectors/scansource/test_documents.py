"""ScanSource's invoice/pdf, as stream ``invoice_documents``: the document itself, and errors inside a normal body."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.responses import Response

from tap_scansource import SCANSOURCE
from tests.conftest import make_catalog, without_times
from tests.strategies import exact, to_json, to_xml, values
from vendortap.declare.model import RecordSelector, Reply
from vendortap.decode.reader import Reader
from vendortap.decode.values import dates
from vendortap.errors import MissingError, RecordError, RefusedError
from vendortap.plugins import validation

if TYPE_CHECKING:
    from tests.conftest import KillTap, Message, Output, RunTap, StartVendor, Vendor, Warehouse

DOCUMENTS = make_catalog(streams=["invoice_documents"])
NAMED = {"extra_streams": ["invoice_documents"]}
FORMATS = ("json", "xml")
GATEWAY = "/scsc/invoice/v1/pdf"
CANCELLED = "40000017"
"""Of this invoice the sandbox has no document."""
NUMBER = "40000003"


@pytest.fixture(scope="module")
def whole(vendor: Vendor) -> Output:
    """A full run of the stream, in JSON."""
    return vendor.read(catalog=DOCUMENTS, **NAMED)


def pdf(record: Message) -> bytes:
    return base64.b64decode(record["InvoiceData"], validate=True)


def by_number(output: Output) -> dict[str, Message]:
    return {record["InvoiceNumber"]: record for record in output.records("invoice_documents")}


# --- discovery ---------------------------------------------------------------------------------------


def test_the_stream_is_discovered_and_read_only_where_the_settings_name_it(start: StartVendor) -> None:
    (entry,) = [e for e in make_catalog()["streams"] if e["tap_stream_id"] == "invoice_documents"]
    assert entry["key_properties"] == ["CustomerNumber", "InvoiceNumber"]
    assert (entry["replication_method"], entry["replication_key"]) == ("INCREMENTAL", "LastChanged")
    (root,) = [item["metadata"] for item in entry["metadata"] if not item["breadcrumb"]]
    assert root["selected-by-default"] is False
    assert root["inclusion"] == "unsupported"  # a wildcard of Meltano does not select it then

    vendor = start(invoices=5)
    assert {message["stream"] for message in vendor.read().of("SCHEMA")} == {"invoices", "invoice_details"}
    assert vendor.state.requests["pdf"] == 0
    named = vendor.read(**NAMED)
    assert {message["stream"] for message in named.of("SCHEMA")} == {"invoices", "invoice_details", "invoice_documents"}
    assert vendor.state.requests["pdf"] == 5


@pytest.mark.promise("No wildcard selects a stream that costs a request a record: it needs its own name")
def test_a_catalog_that_selects_everything_reads_no_documents_and_says_how_to(start: StartVendor, tap: RunTap) -> None:
    vendor = start(invoices=5)
    everything = make_catalog(streams=["invoices", "invoice_details", "invoice_documents"])
    refused = tap(vendor.config(), catalog=everything)
    assert {message["stream"] for message in refused.of("SCHEMA")} == {"invoices", "invoice_details"}
    assert vendor.state.requests["pdf"] == 0
    assert "invoice_documents is not read: both the catalog given has to select it, and the setting" in refused.stderr

    assert len(tap(vendor.config(**NAMED), catalog=everything).records("invoice_documents")) == 5
    deselected = tap(vendor.config(**NAMED), catalog=make_catalog(streams=["invoices"]))
    assert {message["stream"] for message in deselected.of("SCHEMA")} == {"invoices"}
    assert "invoice_documents is not read: both" in deselected.stderr


def test_the_discovered_catalog_given_back_reads_what_a_run_without_one_reads(tap: RunTap, start: StartVendor) -> None:
    vendor = start(invoices=3)
    catalog = tap(None, "--discover").stdout.decode()
    assert {m["stream"] for m in tap(vendor.config(), catalog=catalog).of("SCHEMA")} == {"invoices", "invoice_details"}


# --- what comes out ----------------------------------------------------------------------------------


def test_there_is_a_record_with_a_pdf_for_every_invoice_that_has_a_document(vendor: Vendor, whole: Output) -> None:
    invoices = {invoice["InvoiceNumber"]: invoice for invoice in vendor.state.invoices()}
    documents = by_number(whole)
    assert set(invoices) - set(documents) == {CANCELLED}
    assert len(whole.records("invoice_documents")) == len(documents) == 59
    for number, record in documents.items():
        data, invoice = pdf(record), invoices[number]
        assert data.startswith(b"%PDF-1.4\n")
        assert f"({invoice['DocType']} {number}, ".encode() in data
        assert f"(Total {invoice['Total']} {invoice['Currency']})".encode() in data
        assert record["CustomerNumber"] == invoice["CustomerNumber"]
        assert record["Errors"] == []
        assert [name for name, value in record.items() if value is None] == [
            f"InvoiceData_{name}" for name in ("path", "size", "sha256", "media_type")
        ]


def test_the_sandboxs_documents_are_pdfs_whose_parts_are_where_they_say(whole: Output) -> None:
    for record in whole.records("invoice_documents"):
        data = pdf(record)
        (table,) = re.findall(rb"startxref\n([0-9]+)\n%%EOF\n$", data)
        entries = re.findall(rb"([0-9]{10}) 00000 n \n", data[int(table) :])
        assert data[int(table) :].startswith(b"xref\n0 6\n")
        for number, offset in enumerate(entries, 1):
            assert data[int(offset) :].startswith(b"%d 0 obj\n" % number)
        (length,) = re.findall(rb"/Length ([0-9]+)", data)
        assert len(data.partition(b"stream\n")[2].partition(b"\nendstream")[0]) == int(length)


def test_json_and_xml_give_the_same_records_in_the_same_order(vendor: Vendor, whole: Output) -> None:
    in_xml = vendor.read(catalog=DOCUMENTS, **NAMED, format="xml")
    assert in_xml.records("invoice_documents") == whole.records("invoice_documents")
    assert without_times(in_xml.state) == without_times(whole.state)
    warned = [record["Warnings"] for record in in_xml.records("invoice_documents") if record["Warnings"]]
    message = "The document comes from the archive & may be out of date."
    assert warned == [[{"Code": "Archive", "Message": message}]] * 3


def test_the_documented_path_form_gives_what_the_gateways_query_form_gives(start: StartVendor) -> None:
    vendor = start(invoices=8)
    gateway = vendor.read(catalog=DOCUMENTS, **NAMED)
    assert {asked.path for asked in vendor.wire.asked if "pdf" in asked.path} == {GATEWAY}
    assert dict(vendor.wire.to(GATEWAY)[0].params).keys() == {"customerNumber", "InvoiceNumber"}
    legacy = vendor.read(
        catalog=DOCUMENTS, **NAMED, path_style="path", base_url=f"{vendor.url}/api", client_id=None, client_secret=None
    )
    assert gateway.records("invoice_documents") == legacy.records("invoice_documents")
    assert len(vendor.wire.to(f"/api/invoice/pdf/1000067890/{NUMBER}")) == 1


# --- into files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
def test_documents_can_be_put_into_files(vendor: Vendor, whole: Output, tmp_path: Path, form: str) -> None:
    folder = tmp_path / "documents"
    filed = by_number(vendor.read(catalog=DOCUMENTS, **NAMED, documents_dir=str(folder), format=form))
    for number, record in by_number(whole).items():
        data = pdf(record)
        path = folder / f"{hashlib.sha256(data).hexdigest()}.pdf"
        assert filed[number] == {
            **record,
            "InvoiceData": None,
            "InvoiceData_path": str(path),
            "InvoiceData_size": len(data),
            "InvoiceData_sha256": path.stem,
            "InvoiceData_media_type": "application/pdf",
        }
        assert path.read_bytes() == data
    assert len(list(folder.iterdir())) == len(filed) == 59


def test_a_document_that_is_not_base64_is_named(start: StartVendor, tmp_path: Path) -> None:
    vendor = start(invoices=5)
    vendor.wire.change[GATEWAY] = lambda answer: {**answer, "InvoiceData": "LEAK-4711 is no Base64"}
    with pytest.raises(RecordError, match=rf"invoice_documents .*{NUMBER}.*InvoiceData is not Base64") as caught:
        vendor.read(catalog=DOCUMENTS, **NAMED, documents_dir=str(tmp_path), invoice_numbers=[NUMBER])
    assert "LEAK" not in str(caught.value)


# --- again -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
def test_the_next_run_fetches_the_documents_of_what_has_changed(start: StartVendor, form: str) -> None:
    vendor = start(invoices=20)
    first = vendor.read(catalog=DOCUMENTS, **NAMED, format=form)
    again = vendor.read(catalog=DOCUMENTS, **NAMED, format=form, state=first.state)
    assert again.of("RECORD") == []
    still_open = first.state["bookmarks"]["invoice_documents"]["open"]
    assert vendor.state.requests["pdf"] == 20 + len(still_open)

    vendor.state.touch(NUMBER, datetime(2021, 6, 1, tzinfo=UTC))
    (record,) = vendor.read(catalog=DOCUMENTS, **NAMED, format=form, state=again.state).records("invoice_documents")
    assert record["InvoiceNumber"] == NUMBER
    assert b", revision 1)" in pdf(record)
    assert b", revision 0)" in pdf(by_number(first)[NUMBER])


@pytest.mark.parametrize("form", FORMATS)
def test_a_run_that_is_killed_half_way_goes_on_from_its_last_state(
    start: StartVendor, killed: KillTap, form: str
) -> None:
    vendor = start(invoices=240, latency_ms=20)
    first = killed(
        "scansource",
        vendor.config(format=form, concurrency=2, **NAMED),
        lambda: vendor.state.requests["pdf"] >= 160,
        catalog=DOCUMENTS,
    )
    asked = vendor.state.requests["pdf"]
    second = vendor.read(state=first.state, format=form, catalog=DOCUMENTS, **NAMED, concurrency=16)
    assert vendor.state.requests["pdf"] - asked < 200, "it did not begin again"
    found = {record["InvoiceNumber"] for output in (first, second) for record in output.records("invoice_documents")}
    cancelled = {i["InvoiceNumber"] for i in vendor.state.invoices() if i["Cancelled"]}
    assert found == {invoice["InvoiceNumber"] for invoice in vendor.state.invoices()} - cancelled


# --- errors inside a normal body ---------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("number", "said"), [(CANCELLED, "The document was not found."), ("40009999", "The invoice was not found.")]
)
def test_a_document_that_is_not_there_is_missing(vendor: Vendor, form: str, number: str, said: str) -> None:
    with pytest.raises(MissingError) as caught:
        vendor.read(
            catalog=DOCUMENTS,
            **NAMED,
            invoice_numbers=[number],
            customer_numbers=["1000012345"],
            format=form,
            on_missing="fail",
        )
    assert str(caught.value) == (
        f"scansource, invoice_documents (customer number 1000012345, invoice number {number}): "
        f"the vendor answers with an empty document: NotFound: {said}"
    )


def test_it_is_skipped_with_a_warning_that_quotes_the_vendor(tap: RunTap, vendor: Vendor) -> None:
    numbers = {"invoice_numbers": ["40000016", CANCELLED, "40000018"], "customer_numbers": ["1000012345"]}
    done = tap(vendor.config(**numbers, **NAMED), catalog=DOCUMENTS)
    assert done.code == 0
    assert list(by_number(done)) == ["40000016", "40000018"]
    (warning,) = [line for line in done.stderr.splitlines() if "Skipped" in line]
    assert f"invoice number {CANCELLED}): the vendor answers with an empty document: NotFound: " in warning


ERROR = {"Code": "E100", "Message": "The ERP system is not available."}
BODIES: list[tuple[str, Any, type[Exception], str]] = [
    ("another error", {"Errors": [ERROR]}, RefusedError, r"errors: E100: The ERP system is not available\.$"),
    ("the first of two errors", {"Errors": [ERROR, {"Code": "404"}]}, RefusedError, r"errors: E100: "),
    ("an error with a message only", {"Errors": [{"Message": "Busy"}]}, RefusedError, r"errors: Busy\.$"),
    ("an error without words", {"Errors": [{"Code": None, "Message": ""}]}, RefusedError, r"with errors\.$"),
    ("a code that says it", {"Errors": [{"Code": "404", "Message": "?"}]}, MissingError, r"document: 404: \?\.$"),
    ("words that say it", {"Errors": [{"Message": "Invoice does not exist"}]}, MissingError, r"does not exist\.$"),
    ("nothing at all", {"Errors": []}, MissingError, r"with an empty document\.$"),
    ("an empty document", {"InvoiceData": "", "Errors": None}, MissingError, r"with an empty document\.$"),
    ("nobody's address", {"Errors": [{"Message": "Ask joe@example.com"}]}, RefusedError, r"errors: Ask \*\*\*\.$"),
]


@pytest.mark.parametrize(("case", "body", "kind", "message"), BODIES, ids=[case for case, *_ in BODIES])
def test_an_answer_without_a_document_is_the_vendors_sentence(
    start: StartVendor, case: str, body: Any, kind: type[Exception], message: str
) -> None:
    del case
    vendor = start(invoices=5)
    vendor.wire.change[GATEWAY] = lambda _: {"InvoiceNumber": NUMBER, "InvoiceData": None, "Warnings": [], **body}
    with pytest.raises(kind, match=message):
        vendor.read(catalog=DOCUMENTS, **NAMED, invoice_numbers=[NUMBER], on_missing="fail")


XML = """<InvoicePDF xmlns:xsd="http://www.w3.org/2001/XMLSchema"><InvoiceNumber>40000003</InvoiceNumber>{data}<Errors>
<ERPError><Code>E100</Code><Message>The ERP system is not available.</Message></ERPError></Errors></InvoicePDF>"""


def test_errors_in_xml_are_read_likewise(start: StartVendor) -> None:
    vendor = start(invoices=5)
    vendor.wire.change[GATEWAY] = lambda _: Response(XML.format(data=""), media_type="application/xml")
    with pytest.raises(RefusedError, match=r"errors: E100: The ERP system is not available\.$"):
        vendor.read(catalog=DOCUMENTS, **NAMED, invoice_numbers=[NUMBER])


def test_errors_beside_a_document_stand_in_its_record(start: StartVendor) -> None:
    vendor = start(invoices=5)
    data = "<InvoiceData>JVBERg==</InvoiceData>"
    numbers = {"invoice_numbers": [NUMBER], "customer_numbers": ["1000067890"]}
    answers: Iterator[Any] = iter(
        [
            {"InvoiceNumber": NUMBER, "InvoiceData": "JVBERg==", "Errors": [ERROR]},
            Response(XML.format(data=data), media_type="application/xml"),
        ]
    )
    vendor.wire.change[GATEWAY] = lambda _: next(answers)
    found: list[Message] = []
    for _ in FORMATS:
        found += vendor.read(catalog=DOCUMENTS, **NAMED, **numbers).records("invoice_documents")
    assert found[0] == found[1]
    assert (found[0]["InvoiceData"], found[0]["Errors"], found[0]["Warnings"]) == ("JVBERg==", [ERROR], None)


# --- any document ------------------------------------------------------------------------------------

NODE = validation.shapes(SCANSOURCE)["invoice_documents"].row


@settings(deadline=None, max_examples=50)
@given(record=values(NODE), drop_nulls=st.booleans())
def test_json_and_xml_of_any_answer_give_that_record(record: dict[str, Any], drop_nulls: bool) -> None:
    stream = SCANSOURCE.stream("invoice_documents")
    assert isinstance(stream.record_selector, RecordSelector)
    reader = Reader(NODE, stream.record_selector, stream.keys, dates("UTC", None))
    found = [
        reader.read(Reply(200, {"content-type": f"application/{form}"}, body, datetime.now(UTC))).records
        for form, body in (
            ("json", to_json(record, drop_nulls=drop_nulls).encode()),
            ("xml", to_xml(record, NODE, drop_nulls=drop_nulls)),
        )
    ]
    assert exact(found[0]) == exact(found[1]) == exact([record])


# --- into a database ---------------------------------------------------------------------------------


def test_the_table_holds_every_document_and_the_run_says_that_one_is_missing(
    vendor: Vendor, whole: Output, warehouses: Callable[..., Warehouse], tmp_path: Path
) -> None:
    tables = []
    for form in FORMATS:
        warehouse = warehouses(form)
        config = vendor.config(format=form, documents_dir=str(tmp_path / "pdf"), **NAMED)
        outcome = warehouse.load(config, catalog=DOCUMENTS)
        assert (outcome.exit_code, outcome.missing) == (3, 1)
        tables.append(warehouse.table("invoice_documents"))
    assert tables[0] == tables[1]
    sizes = [len(pdf(record)) for record in whole.records("invoice_documents")]
    found = warehouse.query('SELECT count(*), sum("InvoiceData_size") FROM scansource.invoice_documents')
    assert found == [(len(sizes), sum(sizes))]
