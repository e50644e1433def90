"""The documents of the ScanSource sandbox, checked against the vendor's own (through a real socket)."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from lxml import etree

from tap_scansource import sandbox

if TYPE_CHECKING:
    pass
from tests.connectors.scansource.kit import FIRST, SECOND, SUMMARY_NAMES, XSI_NIL, Client, sample, serving, stamp

# ---------------------------------------------------------------------------------------- shape and content


def shape(value: Any) -> Any:
    """Names in order, and the kind of every value; a list has the shape of its first item."""
    if isinstance(value, dict):
        return [(name, shape(member)) for name, member in value.items()]
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def test_json_has_the_samples_names_order_and_types(details: list[dict[str, Any]]) -> None:
    wanted = dict(shape(json.loads(sample("invoice.json"), parse_float=Decimal)))
    seen: set[str] = set()
    for invoice in details:
        found = shape(invoice)[1:]
        assert [name for name, _ in found] == list(wanted)
        for name, kind in found:
            if invoice[name] not in (None, []) and name not in (
                "InvoiceLines",
                "BillingAddress",
                "ShippingAddress",
            ):
                assert kind == wanted[name], name
                seen.add(name)
        for address in (invoice["BillingAddress"], invoice["ShippingAddress"]):
            assert address is None or list(address) == [name for name, _ in wanted["BillingAddress"]]
        for line in invoice["InvoiceLines"]:
            kinds = dict(wanted["InvoiceLines"][0])
            assert list(line) == list(kinds)
            assert all(shape(value) == kinds[name] for name, value in line.items() if value not in (None, []))
    assert seen == set(wanted) - {"InvoiceLines", "BillingAddress", "ShippingAddress"}


def test_summary_has_the_pages_names_in_order(client: Client) -> None:
    rows = client.json(f"/invoice/summary/{FIRST}")
    assert all(list(row) == SUMMARY_NAMES for row in rows)
    assert all(isinstance(row["Total"], Decimal) for row in rows)
    element = client.xml(f"/invoice/summary/{FIRST}", pageSize=3)
    assert element.tag == "ArrayOfInvoiceSummary"
    assert [row.tag for row in element] == ["InvoiceSummary"] * 3
    agree(rows[:3], list(element))


def agree(value: Any, element: Any) -> None:
    """The XML element says what the JSON value says: null is nil or absent, a list is its children."""
    if isinstance(value, dict):
        assert [child.tag for child in element if child.tag != "Id"] == [
            name for name, member in value.items() if member is not None or element.find(name) is not None
        ]
        for name, member in value.items():
            agree(member, element.find(name))
    elif isinstance(value, list):
        assert len(value) == len(element)
        for item, child in zip(value, element, strict=True):
            agree(item, child)
    elif value is None:
        assert element is None or element.get(XSI_NIL) == "true"
    elif isinstance(value, str):
        assert (element.text or "") == value
    else:
        assert Decimal(element.text) == value


def test_xml_and_json_of_every_invoice_agree(client: Client, details: list[dict[str, Any]]) -> None:
    nil: Counter[str] = Counter()
    for invoice in details:
        document = dict(invoice)
        element = client.xml(f"/invoice/detail/{document.pop('CustomerNumber')}/{document['InvoiceNumber']}")
        agree(document, element)
        nil.update(str(child.tag) for child in element.iter() if child.get(XSI_NIL))
    assert set(nil) == {"POLineNumber", "DeliveryLineNumber", "Cancelled"}


def test_xml_has_the_samples_root_order_and_id(client: Client) -> None:
    known = etree.fromstring(sample("invoice.xml"))
    names = [child.tag for child in known]
    line_names = [child.tag for child in known.iterfind("InvoiceLines/InvoiceLine[1]/*")]
    found = client.xml(f"/invoice/detail/{FIRST}/40000000")
    assert (found.tag, found.nsmap) == (known.tag, known.nsmap)
    assert [child.tag for child in found] == [n for n in names if found.find(n) is not None]
    for number, line in enumerate(found.iterfind("InvoiceLines/InvoiceLine"), 1):
        assert [child.tag for child in line] == [n for n in line_names if line.find(n) is not None]
        assert line.findtext("Id") == str(number)
        assert all(serial.tag == "string" for serial in line.iterfind("SerialNumbers/*"))
    body = client.get(f"/invoice/detail/{FIRST}/40000005", {"Accept": "text/xml"}).text
    assert body.startswith("<Invoice xmlns:xsd=")  # as in the sample, without a declaration
    assert "<InvoiceLines/>" in body
    assert "ShippingAddress" not in body
    assert '<Cancelled xsi:nil="true"/>' in body


def test_decimals_keep_their_digits(client: Client) -> None:
    huge = client.get(f"/invoice/detail/{SECOND}/40000007")
    assert '"Total":1234567890123456.78,' in huge.text
    assert '"LineNumber":1.0,' in huge.text
    assert '"FreightAmount":0.00,' in huge.text
    row = client.get(f"/invoice/summary/{SECOND}", invoiceNumber=40000007)
    assert '"Total":1234567890123456.78,' in row.text
    in_xml = client.xml(f"/invoice/detail/{SECOND}/40000007")
    assert in_xml.findtext("Total") == "1234567890123456.78"
    assert in_xml.findtext("InvoiceLines/InvoiceLine/LineNumber") == "1"
    beyond = client.json(f"/invoice/detail/{FIRST}/40000013")["Total"]
    assert beyond * 100 == 2**53 + 1


def test_amounts_add_up(details: list[dict[str, Any]]) -> None:
    for invoice in details:
        lines = [line["Shipped"] * line["Price"] for line in invoice["InvoiceLines"]]
        extras = invoice["FreightAmount"] + invoice["TaxAmount"] + invoice["InsuranceAmount"]
        assert sum(lines, extras) == invoice["Total"]
        assert invoice["Total"].as_tuple().exponent == -2
        assert "-0.00" not in {str(v) for v in invoice.values()}
        assert invoice["Total"] <= 0 if invoice["DocType"] == "Credit" else invoice["Total"] >= 0


def test_totals_are_the_sums_over_the_wire(client: Client, details: list[dict[str, Any]]) -> None:
    sums: dict[str, tuple[int, Decimal]] = {}
    for invoice in details:
        count, total = sums.get(invoice["Currency"], (0, Decimal(0)))
        sums[invoice["Currency"]] = count + 1, total + invoice["Total"]
    assert client.state.totals() == sums
    assert {"USD", "CAD", "EUR", "GBP"} == set(sums)
    by_customer = Counter(invoice["CustomerNumber"] for invoice in details)
    assert by_customer == {FIRST: 90, SECOND: 30}


def test_summary_agrees_with_detail(client: Client, details: list[dict[str, Any]]) -> None:
    rows = [row for customer in sandbox.CUSTOMER_NUMBERS for row in client.summaries(customer)]
    for row, invoice in zip(rows, details, strict=True):
        assert row["OrderNumber"] == invoice["SalesOrderNumber"]
        for name in set(SUMMARY_NAMES) - {"OrderNumber", "DateEntered", "LastChanged"}:
            assert row[name] == invoice[name]


def test_invoices_are_what_the_wire_says(client: Client, details: list[dict[str, Any]]) -> None:
    by_number = {invoice["InvoiceNumber"]: invoice for invoice in client.state.invoices()}
    assert len(by_number) == len(details)
    assert all(by_number[invoice["InvoiceNumber"]] == invoice for invoice in details)


def test_data_has_the_shapes_that_clients_stumble_over(details: list[dict[str, Any]]) -> None:
    sizes = {len(invoice["InvoiceLines"]) for invoice in details}
    assert {0, 1, 2} <= sizes
    assert max(sizes) <= 12
    lines = [line for invoice in details for line in invoice["InvoiceLines"]]
    assert any(not line["SerialNumbers"] for line in lines)
    assert any(line["Price"].as_tuple().exponent == -4 for line in lines)
    assert any(line["LineNumber"] % 1 for line in lines)
    text = json.dumps(details, default=str, ensure_ascii=False)
    assert all(part in text for part in ("&", "<", '\\"', "é", "ñ", "™"))
    assert any(invoice["DocType"] == "Credit" and invoice["Total"] < 0 for invoice in details)
    for name in ("EndUserPO", "ShippingAddress", "Cancelled", "TrackingNumbers"):
        assert {invoice[name] is None for invoice in details} == {True, False}, name
    ships = [invoice["ShipDate"] for invoice in details]
    assert "0001-01-01T00:00:00" in ships
    assert any(ship.endswith("-05:00") for ship in ships)
    fractions = {len(ship.removesuffix("-05:00").partition(".")[2]) for ship in ships}
    assert {0, 3, 7} <= fractions


def test_stamps_are_texts_of_one_clock_with_a_few_ties(client: Client) -> None:
    rows = [row for customer in sandbox.CUSTOMER_NUMBERS for row in client.summaries(customer)]
    changes = Counter(stamp(row["LastChanged"]) for row in rows)
    assert len(rows) * 9 // 10 < len(changes) < len(rows)
    assert all(stamp(row["DateEntered"]) <= stamp(row["LastChanged"]) for row in rows)
    assert max(stamp(row["LastChanged"]) - stamp(row["DateEntered"]) for row in rows) > timedelta(days=20)
    first = [stamp(row["LastChanged"]) for row in client.summaries(FIRST)]
    assert first != sorted(first)
    assert {row["LastChanged"].endswith("-05:00") for row in rows} == {True, False}
    assert not any(row["LastChanged"].removesuffix("-05:00").endswith(".0") for row in rows)


def test_same_seed_same_bytes_other_seed_other_bytes(client: Client) -> None:
    paths = [f"/invoice/summary/{FIRST}?pageSize=30", f"/invoice/detail/{FIRST}/40000001"]
    with serving(invoices=60) as again, serving(invoices=60, seed=2) as other:
        for path in paths:
            assert again.get(path).content == client.get(path).content
            assert other.get(path).content != client.get(path).content


# ------------------------------------------------------------------------------------ the document's sample


def test_sample_is_served_verbatim_but_not_listed(client: Client) -> None:
    path = f"/api/invoice/detail/{FIRST}/{sandbox.SAMPLE_INVOICE}"
    assert client.get(path).content == sample("invoice.json")
    assert client.get(path, {"Accept": "application/xml"}).content == sample("invoice.xml")
    assert client.get(f"/invoice/detail/{SECOND}/{sandbox.SAMPLE_INVOICE}").status_code == 404
    assert client.json(f"/invoice/summary/{FIRST}", invoiceNumber=sandbox.SAMPLE_INVOICE) == []
    assert json.loads(sample("invoice.json"))["InvoiceNumber"] == "sample string 1"


# -------------------------------------------------------------------------------------------------- changes


def test_touch_moves_last_changed_and_adds_a_tracking_number() -> None:
    with serving(invoices=20, date_filter="changed") as client:
        number = "40000001"
        before = client.json(f"/invoice/detail/{FIRST}/{number}")
        client.state.touch(number, datetime(2030, 1, 2, 12, 0, 0, 250_000, UTC))
        [row] = client.summaries(FIRST, fromDate="2030-01-02")
        assert (row["InvoiceNumber"], row["LastChanged"]) == (number, "2030-01-02T07:00:00.25")
        after = client.json(f"/invoice/detail/{FIRST}/{number}")
        assert len(after.pop("TrackingNumbers")) == len(before.pop("TrackingNumbers")) + 1
        assert after == before
        client.state.touch(number, datetime(2030, 1, 3))
        assert [row["LastChanged"] for row in client.summaries(FIRST, fromDate="2030-01-03")] == ["2030-01-03T00:00:00"]
        with pytest.raises(LookupError):
            client.state.touch("40000020", datetime(2030, 1, 2))


def test_add_appends_invoices_changed_after_all_others() -> None:
    with serving(invoices=40) as client:

        def rows() -> list[Any]:
            return [row for customer in sandbox.CUSTOMER_NUMBERS for row in client.summaries(customer)]

        before = rows()
        client.state.add(4)
        client.state.touch("40000041", datetime(2031, 5, 6))
        client.state.add(4)
        after = rows()
        old = {row["InvoiceNumber"] for row in before}
        new = sorted((row for row in after if row["InvoiceNumber"] not in old), key=lambda row: row["InvoiceNumber"])
        assert [row["InvoiceNumber"] for row in new] == [str(40_000_040 + n) for n in range(8)]
        latest = max(stamp(row["LastChanged"]) for row in before)
        assert all(stamp(row["LastChanged"]) > latest for row in new)
        assert all(stamp(row["LastChanged"]) > datetime(2031, 5, 6) for row in new[4:])
        entered = [stamp(row["DateEntered"]) for row in new]
        assert entered == sorted(entered)
        assert sum(count for count, _ in client.state.totals().values()) == 48
        assert client.json(f"/invoice/detail/{FIRST}/40000040")["InvoiceNumber"] == "40000040"
