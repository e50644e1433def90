"""The quick way of JSON says what the other way says, to the byte, or leaves the page to it."""

from __future__ import annotations

import json as stdlib_json
import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import to_json, values
from vendortap.declare.model import Node, Reply, Rows
from vendortap.decode import structs
from vendortap.decode.reader import Reader, page_node
from vendortap.decode.values import Dates, Mismatch

DATES = Dates(timezone(timedelta(hours=-5)))
ROW = Node(
    "object",
    nullable=False,
    fields={
        "Number": Node("string", nullable=False),
        "Given": Node("given"),
        "Total": Node("number"),
        "Count": Node("integer"),
        "Paid": Node("boolean"),
        "At": Node("date-time"),
        "Day": Node("date"),
        "Address": Node("object", fields={"City": Node("string"), "Since": Node("date-time")}),
        "Lines": Node("array", item=Node("object", False, fields={"Price": Node("number"), "On": Node("date-time")})),
        "Serials": Node("array", item=Node("string", nullable=False)),
        "Rates": Node("array", item=Node("number", nullable=False)),
    },
    required=frozenset({"Number"}),
)
PAGE = Rows(("data", "Rows"))
encode = msgspec.json.Encoder(decimal_format="number").encode


def reader(*, structs: bool, where: Rows = PAGE, node: Node = ROW) -> Reader:
    return Reader(node, where, ("Number",), DATES, structs=structs)


def page(*records: Any, **beside: Any) -> Reply:
    body = stdlib_json.dumps({"data": {"Rows": list(records)}, **beside}).encode()
    return reply(body)


def reply(body: bytes) -> Reply:
    return Reply(200, {"content-type": "application/json"}, body, datetime.now(UTC))


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Pages whose records fit, but for what vendors are known to do to them."""
    records = [to_json(record, drop_nulls=draw(st.booleans())) for record in draw(st.lists(values(ROW), max_size=4))]
    text = f'{{"data": {{"Rows": [{",".join(records)}]}}}}'
    spoiled = draw(st.sampled_from([("", ""), ('"Total":', '"total":'), ('"Number":', '"Unknown": [1], "Number":')]))
    return text.replace(*spoiled).encode()


@pytest.mark.promise("The quick way and the other way write the same bytes", figure="300 pages")
@settings(deadline=None, max_examples=200)
@given(body=bodies())
def test_both_ways_give_the_same_bytes(body: bytes) -> None:
    quick = reader(structs=True).read(reply(body)).rows
    slow = reader(structs=False).read(reply(body)).rows
    assert [encode(record) for record in quick] == [encode(record) for record in slow]


@pytest.mark.parametrize(
    ("changes", "quick"),
    [
        ({}, True),
        ({"Unknown": {"a": 1}}, True),
        ({"Total": "1.50", "At": "2025-01-18T00:13:47.2098986"}, True),
        ({"At": "0001-01-01T00:00:00", "Address": {"Since": "2025-01-18 00:13:47"}}, True),
        ({"Lines": [{"On": "2025-01-18T00:13:47Z", "Price": 1e2}, {}]}, True),
        ({"At": "2025-01-18"}, False),
        ({"Total": "", "Count": 3.0}, False),
        ({"Lines": {"Price": 1}}, False),
        ({"Rates": [1.5]}, False),
    ],
)
def test_what_the_quick_way_takes_and_what_it_leaves_to_the_other(changes: dict[str, Any], quick: bool) -> None:
    given_page = page({"Number": "1", **changes})
    (fast,) = reader(structs=True).read(given_page).rows
    (slow,) = reader(structs=False).read(given_page).rows
    assert isinstance(fast, structs.Row) is quick
    assert encode(fast) == encode(slow)
    assert list(slow) == list(ROW.fields), "records are complete and in the schema's order"


@pytest.mark.parametrize("amount", ["NaN", "sNaN", "-Infinity", "nan12"])
def test_numbers_that_are_none_are_refused_on_both_ways(amount: str) -> None:
    for record in ({"Number": "1", "Total": amount}, {"Number": "1", "Lines": [{"Price": amount}]}):
        for quick in (True, False):
            misfit = reader(structs=quick).read(page(record)).misfits[0]
            assert re.match(r"Number 1: a (finite )?number expected at", misfit.sentence)


def test_a_row_is_used_like_a_record() -> None:
    (row,) = reader(structs=True).read(page({"Number": "1", "Lines": [{"Price": 2.5}]})).rows
    assert isinstance(row, structs.Row)
    row["Given"] = "from the request"
    assert (row["Number"], row["Lines"][0]["Price"]) == ("1", Decimal("2.5"))
    assert msgspec.json.decode(encode(row))["Given"] == "from the request"


def test_what_a_reply_says_of_a_given_property_does_not_count() -> None:
    for quick in (True, False):
        (record,) = reader(structs=quick).read(page({"Number": "1", "Given": {"not": ["asked"]}})).rows
        record["Given"] = "asked"
        assert msgspec.json.decode(encode(record))["Given"] == "asked"


def test_a_single_document_and_values_beside_the_rows() -> None:
    (row,) = reader(structs=True, where=Rows(many=False)).read(reply(b'{"Number": "1"}')).rows
    assert isinstance(row, structs.Row)
    assert reader(structs=True).read(reply(b'{"data": {"Rows": null}}')).absent
    assert reader(structs=True).read(reply(b"{}")).absent


@pytest.mark.parametrize("name", ["a-b", "class", "_hidden", "Straße", "1st"])
def test_names_that_no_attribute_can_have_are_left_to_the_other_way(name: str) -> None:
    node = Node(
        "object", False, fields={"Number": Node("string", False), name: Node("string")}, required=frozenset({"Number"})
    )
    assert structs.compile(page_node(node, PAGE), node, DATES) is None
    (record,) = reader(structs=True, node=node).read(page({"Number": "1", name: "x"})).rows
    assert record == {"Number": "1", name: "x"}


def test_a_vendors_own_date_format_is_left_to_the_other_way() -> None:
    assert structs.compile(page_node(ROW, PAGE), ROW, Dates(UTC, "%d.%m.%Y")) is None


def test_a_year_1_that_may_not_be_null_is_a_mismatch() -> None:
    node = Node("object", False, fields={"At": Node("date-time", False)}, required=frozenset({"At"}))
    decode = structs.compile(page_node(node, Rows(many=False)), node, DATES)
    assert decode is not None
    with pytest.raises(Mismatch):
        decode(b'{"At": "0001-01-01T00:00:00"}')
