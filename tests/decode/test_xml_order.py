"""Elements may come in any order that is the same on all pages; unknown elements are ignored once reported."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from random import Random

import pytest

from tests.decode.kit import counting
from tests.decode.xml_kit import (
    DATES,
    FULL,
    ONE,
    PAGE,
    ROW,
    Writer,
    around,
    both,
    page,
    reply,
    tried,
)
from vendortap.declare.model import RecordSelector
from vendortap.decode import xml_rows
from vendortap.decode.drift import Drift
from vendortap.decode.reader import Reader
from vendortap.decode.structs import RecordStruct


@pytest.fixture(autouse=True)
def from_the_first_page_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml_rows, "WORTH", 1)


# --- the order of elements ---------------------------------------------------------------------------


def shuffled(seed: int) -> bytes:
    """A page whose records all have their members in another order than the schema."""
    members = list(FULL)
    Random(seed).shuffle(members)
    order = {name: ROW.fields[name] for name in members}
    writer = Writer(0, plain=True)
    return around(writer.element("Invoice", writer.members(FULL, replace(ROW, fields=order))).encode())


@pytest.mark.parametrize("seed", range(10))
def test_the_order_is_that_of_the_pages_before(seed: int) -> None:
    quick, slow = both()
    content = shuffled(seed)
    assert quick(content) == slow(content)
    assert quick(content) == slow(content)
    assert quick.is_by_expression
    assert quick(page(FULL)) == slow(page(FULL)), "in the order of the schema once more"


def test_what_only_some_records_have_finds_its_place_in_the_order() -> None:
    """The first page has no lines and no address; those after it have."""
    quick, slow = both()
    short = around(b"<Invoice><Count>1</Count><Number>1</Number><Seller/></Invoice>")
    later = shuffled(3).replace(b"<Total>1.50</Total>", b"").replace(b"<Seller>", b"<Total>1.50</Total><Seller>")
    assert quick(short) == slow(short)
    for content in (later, later, page({**FULL, "Lines": None, "Address": None, "Notes": []})):
        assert quick(content) == slow(content)
    assert quick(short) == slow(short)
    assert quick(later) == slow(later)


def test_elements_that_nobody_declared_are_passed_over_where_they_are_let_pass() -> None:
    content = page(FULL, FULL).replace(b"<Last", b"<New>x</New><New/><Newer a='b'><c>1</c></Newer><Last")
    for changed in (content, content.replace(b"<Newer a='b'><c>1</c></Newer>", b"")):
        quick, slow = both()
        for _ in range(3):
            assert quick(changed) == slow(changed)
        assert quick.is_by_expression is (b"<c>" not in changed)


def test_pages_without_any_order_are_soon_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    quick, slow = both()
    for seed in range(100):
        assert quick(shuffled(seed)) == slow(shuffled(seed))
    assert tried(quick, shuffled(100), 5, monkeypatch) == 0


@pytest.mark.parametrize("watched", [True, False])
def test_a_reader_reads_lists_by_expression_and_documents_by_the_parser(watched: bool) -> None:
    drift = Drift("acme", "invoices", ROW) if watched else None
    reader = Reader(ROW, PAGE, ("Number",), DATES, drift=drift)
    coerced_pages = counting(reader)
    for _ in range(3):
        (row,) = reader.read(reply(page(FULL))).records
        assert isinstance(row, RecordStruct)
        assert row["Total"] == Decimal("1.50")
    assert not coerced_pages
    document = Reader(ROW, RecordSelector(many=False), ("Number",), DATES)
    coerced_pages = counting(document)
    assert document.read(reply(ONE.encode())).records[0]["Total"] == Decimal("1.50")
    assert len(coerced_pages) == 1


def test_what_is_drift_is_told_on_pages_that_come_after_others_too() -> None:
    """An unknown element is reported once and then ignored; a new one is reported, wherever it is."""
    drift = Drift("acme", "invoices", ROW)
    reader = Reader(ROW, PAGE, ("Number",), DATES, drift=drift)
    bodies = counting(reader)
    plain_page = page(FULL)
    expected = Reader(ROW, PAGE, ("Number",), DATES).read(reply(plain_page)).records
    for number, name in enumerate(["", "New", "New", "New", "Newer", "New", "Newer"]):
        more = f"<{name}>x</{name}>" if name else ""
        content = plain_page.replace(b"<Seller>", f"{more}<Seller>{more}".encode())
        assert repr(reader.read(reply(content)).records) == repr(expected), number
    assert {event.field for event in drift.events} == {"New", "Seller.New", "Newer", "Seller.Newer"}
    assert len(bodies) <= 4, "what is known is read by the expression"
