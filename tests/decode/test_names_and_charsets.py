"""XML that is called otherwise than declared, attributes and texts that nobody declared, and other encodings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.conftest import Output, StartVendor, Vendor, make_catalog
from tests.decode.test_bad_records import DETAIL, LIST, Spoiled, quarantined, stopped
from vendortap.declare.model import Node, RecordSelector, Reply
from vendortap.decode.drift import Drift
from vendortap.decode.reader import Reader
from vendortap.decode.values import Dates
from vendortap.errors import BodyError, DriftError, VendortapError

ONLY_DETAILS = make_catalog(streams=["invoice_details"])
ONLY_LIST = make_catalog(streams=["invoices"])


def changed(vendor: Vendor, path: str, change: Callable[[bytes], bytes]) -> None:
    vendor.wire.app = Spoiled(vendor.wire.app, path, change)


def fields(caplog: pytest.LogCaptureFixture) -> set[str]:
    return {record.drift["field"] for record in caplog.records if hasattr(record, "drift")}


# --- names -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda body: body.replace(b"InvoiceLine>", b"Line>"), "InvoiceLines.Line"),
        (lambda body: body.replace(b"<Total>", b'<Total currencyID="USD">'), "Total.@currencyID"),
        (lambda body: body.replace(b"<InvoiceLines>", b'<InvoiceLines page="1">'), "InvoiceLines.@page"),
        (lambda body: body.replace(b"<Total>", b"left over<Total>"), "#text"),
        (lambda body: body.replace(b"<InvoiceLines>", b"<InvoiceLines>see below"), "InvoiceLines.#text"),
    ],
)
def test_what_is_not_declared_in_xml_is_drift_under_its_own_name_and_can_be_kept(
    start: StartVendor, caplog: pytest.LogCaptureFixture, change: Callable[[bytes], bytes], field: str
) -> None:
    vendor = start(invoices=6)
    changed(vendor, DETAIL, change)
    records = vendor.read(format="xml", keep_unknown=True, catalog=ONLY_DETAILS).records("invoice_details")
    assert len(records) == 6
    assert field in fields(caplog)
    kept = [record["_unknown"] or {} for record in records]
    assert sum(field in unknown for unknown in kept) == sum(bool(unknown) for unknown in kept) >= 4
    _, error = stopped(vendor, DriftError, format="xml", on_drift="fail", catalog=ONLY_DETAILS)
    assert field in error


def test_every_page_is_looked_at_for_attributes_once_more_names_are_known(
    start: StartVendor, caplog: pytest.LogCaptureFixture
) -> None:
    """The first attribute is let pass from then on; one that comes with a later document is noticed all the same."""
    vendor, seen = start(invoices=12), [0]

    def change(body: bytes) -> bytes:
        seen[0] += 1
        return body.replace(b"<Total>", b'<Total a="1" late="2">' if seen[0] == 9 else b'<Total a="1">')

    changed(vendor, DETAIL, change)
    vendor.read(format="xml", concurrency=1, catalog=ONLY_DETAILS)
    assert {"Total.@a", "Total.@late"} <= fields(caplog)


def test_declared_documents_are_no_drift(start: StartVendor, caplog: pytest.LogCaptureFixture) -> None:
    """Comments, CDATA, processing instructions, xsi:nil, xsi:type and namespaces are no data."""
    vendor = start(invoices=6)
    changed(
        vendor,
        DETAIL,
        lambda body: body.replace(b"<Total>", b"<!-- a --><?b c?><Total>").replace(
            b"<Total>", b'<Total xmlns:x="http://www.w3.org/2001/XMLSchema-instance" x:type="decimal">'
        ),
    )
    records = vendor.read(format="xml", keep_unknown=True, catalog=ONLY_DETAILS).records("invoice_details")
    assert [record["_unknown"] for record in records] == [None] * 6
    assert fields(caplog) == set()


ROW = Node("object", nullable=False, fields={"Id": Node("string")}, required=frozenset({"Id"}), xml_name="Invoice")


IN_LIST = RecordSelector(("List",))


def read_list(body: str, *, watched: bool = True, rows: RecordSelector = IN_LIST) -> tuple[list[Any], list[str]]:
    drift = Drift("acme", "invoices", ROW) if watched else None
    reader = Reader(ROW, rows, ("Id",), Dates(UTC), drift=drift)
    reply = Reply(200, {"content-type": "application/xml"}, body.encode(), datetime.now(UTC))
    page = reader.read(reply)
    return [row["Id"] for row in page.records], [event.field for event in drift.events] if drift else []


@pytest.mark.promise("Elements, attributes and text of XML that the schema does not have are drift, or an error")
@pytest.mark.parametrize("watched", [True, False])
@pytest.mark.parametrize(
    "items",
    [
        "<Bill><Id>1</Id></Bill><Bill><Id>2</Id></Bill>",
        "<Invoice><Id>1</Id></Invoice><CreditNote><Id>2</Id></CreditNote>",
        "<invoice><Id>1</Id></invoice>",
        "<Invoice><Id>1</Id></Invoice>" * 9000 + "<Bill><Id>2</Id></Bill>",
    ],
)
def test_what_may_be_a_record_under_another_name_is_an_error(items: str, watched: bool) -> None:
    with pytest.raises(BodyError, match="the list of records, <List>, has the element <"):
        read_list(f"<R><List>{items}</List></R>", watched=watched)
    with pytest.raises(BodyError, match="the list of records, <R>, has the element <"):
        read_list(f"<R>{items}</R>", watched=watched, rows=RecordSelector())


def test_what_cannot_be_a_record_is_drift() -> None:
    assert read_list("<R><List><Page>1</Page><Invoice><Id>1</Id></Invoice></List></R>") == (["1"], ["Page"])
    assert read_list("<R><List/></R>") == ([], [])


# --- charsets ----------------------------------------------------------------------------------------

NAME = "Fußböden & Söhne €"


def xml(encoding: str | None, declared: str | None, charset: str | None) -> Reply:
    head = f'<?xml version="1.0" encoding="{declared}"?>' if declared else ""
    text = f"{head}<R><List><Invoice><Id>{NAME.replace('&', '&amp;')}</Id></Invoice></List></R>"
    kind = "application/xml" + (f"; charset={charset}" if charset else "")
    return Reply(200, {"content-type": kind}, text.encode(encoding or "utf-8"), datetime.now(UTC))


@pytest.mark.promise("A reply is read in the charset that RFC 7303 and RFC 8259 say, or refused")
@pytest.mark.parametrize(
    ("encoding", "declared", "charset"),
    [
        ("utf-8", None, None),
        ("utf-8", "utf-8", "UTF-8"),
        ("utf-8-sig", None, None),
        ("utf-8-sig", "iso-8859-15", "iso-8859-15"),  # the mark comes first
        ("utf-16", "utf-16", None),
        ("utf-16", None, "utf-8"),
        ("iso-8859-15", None, "iso-8859-15"),
        ("iso-8859-15", "utf-8", '"ISO-8859-15"'),  # then Content-Type
        ("utf-8", "iso-8859-1", "utf-8"),
        ("cp1252", "utf-8", "windows-1252"),
        ("iso-8859-15", "iso-8859-15", None),  # then the declaration
        ("utf-16-le", None, "utf-16le"),
    ],
)
def test_xml_is_read_in_its_encoding(encoding: str, declared: str | None, charset: str | None) -> None:
    reader = Reader(ROW, RecordSelector(("List",)), ("Id",), Dates(UTC))
    for _ in range(3):  # by the parser, and where it can be by expression
        assert [row["Id"] for row in reader.read(xml(encoding, declared, charset)).records] == [NAME]


@pytest.mark.parametrize("charset", ["klingon", "rot13", "unicode_escape", "zlib", "utf-7", "x" * 500])
def test_a_charset_that_is_none_is_refused_by_name(charset: str) -> None:
    reader = Reader(ROW, RecordSelector(("List",)), ("Id",), Dates(UTC))
    with pytest.raises(BodyError, match=f"charset '{charset[:59]}"):
        reader.read(xml("utf-8", None, charset))


def test_a_body_that_is_not_in_its_charset_is_refused() -> None:
    reader = Reader(ROW, RecordSelector(("List",)), ("Id",), Dates(UTC))
    with pytest.raises(BodyError, match="not in the charset that it says, 'utf-16'"):
        reader.read(Reply(200, {"content-type": "text/xml; charset=utf-16"}, b"<a/>x", datetime.now(UTC)))


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-32", "utf-16-le"])
def test_json_that_is_not_utf8_is_refused_in_words(start: StartVendor, encoding: str) -> None:
    vendor = start(invoices=4)
    changed(vendor, LIST, lambda body: body.decode().replace('"PONumber":"', '"PONumber":"Söhne ').encode(encoding))
    _, error = stopped(vendor, VendortapError, catalog=ONLY_LIST)
    assert "UTF-8" in error
    assert "RFC 8259" in error


def test_json_with_a_byte_order_mark_is_read(start: StartVendor) -> None:
    vendor = start(invoices=4)
    changed(vendor, LIST, lambda body: b"\xef\xbb\xbf" + body)
    assert len(vendor.read(catalog=ONLY_LIST).records("invoices")) == 4


@pytest.mark.parametrize("half", [r"\ud83d", r"\uDE00", r"\ude00\ud83d", r"a\\\ud83d"])
def test_half_of_a_surrogate_pair_makes_one_bad_record(start: StartVendor, tmp_path: Any, half: str) -> None:
    vendor = start(invoices=8)
    whole = vendor.read(catalog=ONLY_LIST).records("invoices")
    seen: list[int] = []

    def change(body: bytes) -> bytes:
        if seen or b'"PONumber":"' not in body:
            return body
        seen.append(1)
        return body.replace(b'"PONumber":"', b'"PONumber":"' + half.encode() + rb"\\ud83d \ud83d\ude00", 1)

    changed(vendor, LIST, change)
    folder = tmp_path / "quarantine"
    options = {"on_bad_record": "quarantine", "quarantine_dir": str(folder), "quarantine_limit": None}
    output: Output = vendor.read(catalog=ONLY_LIST, **options)
    assert len(output.records("invoices")) == len(whole) - 1
    (entry,) = quarantined(folder)
    assert entry["path"].endswith(".PONumber")
    assert half in entry["raw"]
    assert rb"\\ud83d \ud83d\ude00".decode() in entry["raw"], "as it was received"
