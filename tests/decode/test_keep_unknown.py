"""With keep_unknown, fields that are not declared travel in one property, exactly."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.conftest import Figure, StartVendor, Vendor, Warehouse
from tests.decode.test_drift import (
    INVOICES,
    PAGES,
    ROW,
    drift,
    drifted,
    page,
    reader,
    reply,
    told,
)
from tests.strategies import exact
from vendortap import read_arrow
from vendortap.declare.model import UNKNOWN, Node, Page
from vendortap.decode.drift import Event
from vendortap.decode.reader import Reader
from vendortap.decode.values import Dates


def test_unknown_fields_of_json_and_xml_are_kept_by_their_place() -> None:
    node = {**ROW.fields, UNKNOWN: Node("given")}
    row = Node("object", False, node, ROW.required, xml_name="Invoice")
    body = (
        b'{"list": [{"Number": "1"}, {"Number": "2", "New": {"a": [1.10, null]}, "Lines": [{}, {"odd name": 1e40}]}]}'
    )
    kept = Reader(row, PAGES, ("Number",), Dates(), keep_unknown=True)
    first, second = kept.read(reply(body)).records
    assert first[UNKNOWN] is None
    assert exact(second[UNKNOWN]) == exact(
        {"New": {"a": [Decimal("1.10"), None]}, "Lines[1].odd name": Decimal("1e40")}
    )
    xml = (
        b'<r xmlns:i="http://www.w3.org/2001/XMLSchema-instance"><list><Invoice><Number>1</Number></Invoice>'
        b'<Invoice size="2"><Number>2</Number><New><a>1.10</a><a i:nil="true"/><b c="d">e</b></New><Old/>'
        b"<Lines><Line/><Line><odd>1</odd></Line></Lines></Invoice></list></r>"
    )
    first, second = kept.read(reply(xml, "xml")).records
    assert first[UNKNOWN] is None
    assert second[UNKNOWN] == {
        "@size": "2",
        "New": {"a": ["1.10", None], "b": {"@c": "d", "#text": "e"}},
        "Old": "",
        "Lines[1].odd": "1",
    }


@pytest.mark.parametrize("form", ["json", "xml"])
def test_unknown_fields_travel_in_one_declared_property_and_arrive_exactly(
    form: str, start: StartVendor, warehouse: Warehouse, promise: Figure
) -> None:
    """With keep_unknown what is not declared arrives in one declared property, decimals digit for digit."""
    vendor = start(invoices=20)
    drifted(vendor, form)
    config = vendor.config(format=form, keep_unknown=True, on_drift="ignore")
    output = vendor.read(catalog=INVOICES, **config)
    (schema,) = output.of("SCHEMA")
    declared = schema["schema"]["properties"][UNKNOWN]
    assert (declared["type"], declared["additionalProperties"]) == (["object", "null"], True)
    found = [record[UNKNOWN] for record in output.records("invoices") if record[UNKNOWN]]
    value = Decimal("12345678901234567.10") if form == "json" else "12345678901234567.10"
    assert exact(found) == exact([{"Surcharge": {"net": value}}] * 2)
    assert warehouse.load(config, INVOICES).exit_code == 0
    loaded = warehouse.query(f"SELECT {UNKNOWN}::VARCHAR FROM scansource.invoices WHERE {UNKNOWN} IS NOT NULL")
    assert len(loaded) == 2
    assert all("12345678901234567.10" in text for (text,) in loaded)


def test_what_is_kept_is_selected_mapped_and_written_like_any_other_property(start: StartVendor) -> None:
    vendor = start(invoices=20)
    drifted(vendor)
    strings = vendor.read(catalog=INVOICES, keep_unknown=True, use_singer_decimal=True)
    kept = [record[UNKNOWN] for record in strings.records("invoices") if record[UNKNOWN]]
    assert kept == [{"Surcharge": {"net": "12345678901234567.10"}}] * 2
    text = vendor.read(catalog=INVOICES, keep_unknown=True, nested="json")
    assert text.of("SCHEMA")[0]["schema"]["properties"][UNKNOWN]["type"] == ["string", "null"]
    written = [record[UNKNOWN] for record in text.records("invoices") if record[UNKNOWN]]
    assert written == ['{"Surcharge":{"net":12345678901234567.10}}'] * 2
    maps = {"invoices": {"InvoiceNumber": "InvoiceNumber", "__else__": None, "__key_properties__": ["InvoiceNumber"]}}
    mapped = vendor.read(catalog=INVOICES, keep_unknown=True, stream_maps=maps)
    assert {tuple(record) for record in mapped.records("invoices")} == {("InvoiceNumber",)}
    without = json.loads(json.dumps(INVOICES))
    (entry,) = [entry for entry in without["streams"] if entry["tap_stream_id"] == "invoices"]
    entry["metadata"].append({"breadcrumb": ["properties", UNKNOWN], "metadata": {"selected": False}})
    left = vendor.read(catalog=without, keep_unknown=True)
    assert all(UNKNOWN not in record for record in left.records("invoices"))
    assert UNKNOWN not in left.of("SCHEMA")[0]["schema"]["properties"]
    flat = vendor.read(catalog=INVOICES, keep_unknown=True, flattening_enabled=True, flattening_max_depth=3)
    assert [
        record for record in flat.records("invoices") if any("12345678901234567.10" in str(v) for v in record.values())
    ]


def test_what_is_kept_is_json_text_in_arrow(start: StartVendor) -> None:
    pytest.importorskip("pyarrow")
    vendor = start(invoices=20)
    drifted(vendor)
    config = vendor.config(keep_unknown=True)
    batches = [b.batch for b in read_arrow("scansource", config, streams=["invoices"]) if hasattr(b, "batch")]
    kept = [text for batch in batches for text in batch.column(UNKNOWN).to_pylist() if text]
    assert kept == ['{"Surcharge":{"net":12345678901234567.10}}'] * 2


def test_a_catalog_of_a_run_that_kept_unknown_fields_fits_one_that_does_not(
    vendor: Vendor, tap: Callable[..., Any]
) -> None:
    discovered = tap(vendor.config(keep_unknown=True), "--discover")
    catalog = json.loads(discovered.stdout)
    assert UNKNOWN in catalog["streams"][0]["schema"]["properties"]
    assert vendor.read(catalog=catalog).of("RECORD")


def test_a_page_of_which_only_a_bad_record_drifts_is_told_as_well() -> None:
    noticed = drift()
    read: Page = reader(noticed).read(page({"Number": "1"}, {"Number": "2", "Total": "x", "New": 1}))
    assert list(read.invalid) == [1]
    assert told(noticed) == {("type", "Total"), ("unknown", "New")}
    assert str(Event("acme", "invoices", "type", "Total", "$[1].Total", "a number")) == (
        "acme, invoices: the field Total is not always a number, see $[1].Total"
    )
