"""Ingram Micro's documented shapes against records that were written from the document by hand.

``invoicedetails-request.json`` is the vendor's, to the byte. The vendor gives no whole answer: the others have
every name of its models, with the values of its examples. In the records a number is a decimal, digit for digit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tap_ingram_micro import INGRAM_MICRO
from vendortap.declare.model import Node, RecordSelector, Reply
from vendortap.decode.body import write
from vendortap.decode.reader import Reader
from vendortap.decode.structs import as_dict
from vendortap.decode.values import Dates
from vendortap.plugins import validation

FIXTURES = Path(__file__).parents[2] / "fixtures" / "ingram_micro"
SHAPES = validation.shapes(INGRAM_MICRO)


def names(text: str) -> list[str]:
    return text.split()


# The two published models of the v4 answer: names in order, and what is an amount.
MODEL_1 = names(
    "customernumber invoicenumber invoicedate invoicetype customerordernumber customerfreightamount"
    " customerforeignfrightamt totaltaxamount totalamount shiptosuffix billtosuffix freightamount paymentterms"
    " orderdate carrier carrierdescription discountamount taxtype enduserponumber freightforwardercode"
    " creditmemoreasoncode"
)
MODEL_2 = names(
    "fulfillmentflag holdreason shipcomplete shipdate companycurrency currencycode currencyrate globalorderid"
    " originalshipcode ordertype orderstatus totalotherfees totalsales weight shippableswitch"
)
NESTED = ["soldto", "billto", "shiptoaddress", "shoptoaddress", "lines", "extendedspecs", "miscfeeline"]
LINE = names(
    "linenumber linetype partnumber vendorpartnumber partdescription shipfrombranch shippedquantity orderedquantity"
    " marginpercent backorderquantity backorderetadate extendedprice specialbidnumber ordersuffix isacopapplied"
    " unitprice unitofmeasure serialnumberdetails trackingnumberdetails productextendedspecs"
)
AMOUNTS = {
    *("customerfreightamount", "customerforeignfrightamt", "totaltaxamount", "totalamount", "freightamount"),
    *("discountamount", "totalotherfees", "totalsales"),
}
LIST = names(
    "paymentTermsDueDate erpOrderNumber invoiceNumber invoiceStatus invoiceDate invoiceDueDate invoicedAmountDue"
    " customerOrderNumber endCustomerOrderNumber orderCreateDate invoiceAmountInclTax specialBidNumbers"
    " forgntotalamount gstInvoiceNumber isfseccenabled"
    " ingramOrderNumber invoiceType purchaseType invoicedAmountPaid currencyCode"
)


def golden(name: str) -> Any:
    return json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"), parse_float=Decimal)


def rows(stream: str, body: bytes) -> list[Any]:
    declared = INGRAM_MICRO.stream(stream)
    assert isinstance(declared.record_selector, RecordSelector)
    reader = Reader(SHAPES[stream].row, declared.record_selector, declared.keys, Dates(ZoneInfo("UTC")))
    page = reader.read(Reply(200, {"content-type": "application/json"}, body, datetime.now(UTC)))
    assert declared.check is not None
    declared.check(page)
    return [{name: value for name, value in as_dict(row).items() if name in documented(stream)} for row in page.records]


def documented(stream: str) -> dict[str, Node]:
    """What a stream's records have of the vendor's, without what the request gives."""
    return {name: node for name, node in SHAPES[stream].row.fields.items() if node.kind != "given"}


def leaves(node: Node) -> Iterator[Node]:
    for member in (*node.fields.values(), *([node.item] if node.item else [])):
        yield from leaves(member) if member.fields or member.item else [member]


def values(record: Any) -> Iterator[Any]:
    """Every value of a record, with its scale: 4.00 is not 4."""
    if isinstance(record, dict | list):
        for member in record.values() if isinstance(record, dict) else record:
            yield from values(member)
    else:
        yield str(record)


@pytest.mark.parametrize(
    ("stream", "body", "record"),
    [
        ("invoice_details_v4", "v4-strings", "v4-strings.record"),
        ("invoice_details_v4", "v4-numbers", "v4-numbers.record"),
        ("invoice_details", "v61-camel", "v61.record"),
        ("invoice_details", "v61-pascal", "v61.record"),
    ],
)
def test_a_documented_answer_is_the_golden_record(stream: str, body: str, record: str) -> None:
    (found,) = rows(stream, (FIXTURES / f"{body}.json").read_bytes())
    wanted = golden(record)
    assert found == wanted
    assert list(found) == list(wanted)
    assert float not in {type(value) for value in (*found.values(), *(found["lines"] or [{}])[0].values())}


def test_the_rows_of_the_list_are_the_golden_records_with_amounts_as_numbers_or_as_strings() -> None:
    wanted = golden("v6-list.records")
    for record in wanted:
        record["invoiceDate"] = datetime.fromisoformat(record["invoiceDate"])
    found = rows("invoices", (FIXTURES / "v6-list.json").read_bytes())
    assert found == wanted
    assert list(values([row["invoicedAmountDue"] for row in found])) == ["90071992547409.93", "61.22"]


def test_the_same_amounts_as_strings_and_as_numbers_are_the_same_record() -> None:
    answer = golden("v4-strings")
    document = answer["serviceresponse"]["invoicedetailresponse"]
    for text in (True, False):
        document.update(dict.fromkeys(AMOUNTS, "61.22" if text else 61.22))
        (record,) = rows("invoice_details_v4", json.dumps(answer).encode())
        assert {record[name] for name in AMOUNTS} == {Decimal("61.22")}


def test_the_schema_of_v4_is_the_union_of_both_models_and_every_leaf_may_be_null() -> None:
    fields = documented("invoice_details_v4")
    assert list(fields) == MODEL_1 + MODEL_2 + NESTED
    assert len(MODEL_1) == 21
    line = fields["lines"].item
    assert line is not None
    assert list(line.fields) == LINE
    assert all(leaf.nullable for leaf in leaves(SHAPES["invoice_details_v4"].row))
    assert {fields[name].kind for name in AMOUNTS} == {"number"}


def test_the_schema_of_the_list_has_the_documented_names_and_those_seen_in_use() -> None:
    row = SHAPES["invoices"].row
    assert sorted(row.fields) == sorted(LIST)
    assert all(leaf.nullable for name, leaf in row.fields.items() if name != "invoiceNumber")


def test_every_leaf_of_the_details_may_be_null() -> None:
    assert {leaf.nullable for leaf in leaves(SHAPES["invoice_details"].row)} == {True}
    assert SHAPES["invoice_details"].row.required == frozenset()


def test_the_request_is_the_documented_one_without_what_only_its_example_has() -> None:
    sample = golden("invoicedetails-request")
    config = {"country_code": "US", "customer_number": "20-222222"}
    built = write(INGRAM_MICRO.stream("invoice_details_v4").request(config, {"order_number": "30-13649-13"}))
    assert (built.method, built.path) == ("POST", "/invoices/v4/invoicedetails")
    assert built.headers["Content-Type"] == "application/json"
    del sample["servicerequest"]["invoicedetailrequest"]["customerponumber"]
    assert json.loads(built.body or b"") == sample
