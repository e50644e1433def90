"""Records that are read by the expression are what they are when they are parsed, or they are parsed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.decode.kit import plain
from tests.decode.test_parity import examples
from tests.decode.xml_kit import (
    FULL,
    LINE,
    NIL,
    NIL_BY_I,
    ONE,
    ROW,
    XSI,
    Writer,
    around,
    both,
    is_quick_and_alike,
    is_whole,
    page,
    tried,
)
from tests.strategies import to_xml, values
from vendortap.declare.model import Node, RecordSelector
from vendortap.decode import xml_rows, xml_tree
from vendortap.decode.xml_rows import CREDIT


@pytest.fixture(autouse=True)
def from_the_first_page_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml_rows, "WORTH", 1)


# --- whatever they are -------------------------------------------------------------------------------


@settings(deadline=None, max_examples=300)
@given(records=st.lists(values(ROW), min_size=1, max_size=3), seed=st.integers(0, 10**6), plain=st.booleans())
def test_both_give_the_same_records(records: list[dict[str, Any]], seed: int, plain: bool) -> None:
    content = page(*records, seed=seed, plain=plain)
    event(f"plain {plain}, by expression {is_quick_and_alike(content)}")


@settings(deadline=None, max_examples=300)
@given(example=examples(), drop_nulls=st.booleans())
def test_both_give_the_same_record_by_any_schema(example: tuple[Node, dict[str, Any]], drop_nulls: bool) -> None:
    node, record = example
    written = to_xml(record, node, drop_nulls=drop_nulls).partition(b"?>")[2].strip()
    written = written.replace(b" " + XSI.encode(), b"", 1)
    event(f"by expression: {is_quick_and_alike(around(written * 2), node)}")


def test_all_that_a_schema_may_have_is_read_by_expression() -> None:
    content = page(FULL, {"Number": "2", "Seller": {}}, FULL)
    assert is_quick_and_alike(content)
    found = both()[0].page(content)
    assert found.more == {"next": 2}
    assert plain(found.records[0])["Lines"] == FULL["Lines"]
    assert found.records[0]["Address"]["City"] == 'Gdańsk "x" \\ <&>'


def test_a_row_looks_like_the_record_that_the_parser_gives() -> None:
    """A page that comes twice is known by how its records look, whichever way it was read."""
    quick, slow = both()
    content = page(FULL)
    assert repr(quick.page(content)) == repr(slow.page(content))


@pytest.mark.parametrize("seed", range(40))
def test_the_ways_in_which_vendors_write_are_read_by_expression(seed: int) -> None:
    """With spaces or none; nulls left out, nil or empty; members out of order only where the writer is odd."""
    content = page(FULL, {**FULL, "Total": None, "Address": None, "At": None}, seed=seed, plain=False)
    assert is_quick_and_alike(content) or Writer(seed, plain=False).odd


# --- one place that is different ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "by_expression"),
    [
        ("<Total>1.50</Total>", "<Total>-0.00</Total>", True),
        ("<Total>1.50</Total>", "<Total>12345678901234567890.00000001</Total>", True),
        ("<Total>1.50</Total>", '<Total xsi:nil="true"></Total>', False),
        ("<Total>1.50</Total>", '<Total xsi:nil="false">1.50</Total>', False),
        ("<Total>1.50</Total>", '<Total i:nil="true"/>', False),
        ("<Total>1.50</Total>", "<Total></Total>", True),
        ("<Total>1.50</Total>", "<Total>-0</Total>", False),
        ("<Total>1.50</Total>", "<Total>007</Total>", False),
        ("<Total>1.50</Total>", "<Total> 1.50 </Total>", False),
        ("<Total>1.50</Total>", "<Total>1e2</Total>", False),
        ("<Total>1.50</Total>", "<Total>NaN</Total>", False),
        ("<Total>1.50</Total>", '<Total>1,"Count":2</Total>', False),
        ("<Total>1.50</Total>", "<Total>1.50</Total><Total>1.50</Total>", False),
        ("<Total>1.50</Total>", "<Total>1.50</Total>text", False),
        ("<Total>1.50</Total>", "<Total><!-- -->1.50</Total>", False),
        ("<Total>1.50</Total>", "<Total>1.50</Total><Unknown/>", False),
        ("<Total>1.50</Total>", "<Total unit='x'>1.50</Total>", False),
        ("<Total>1.50</Total>", "<a:Total xmlns:a='b'>1.50</a:Total>", False),
        ("<Total>1.50</Total>", "<Total>1.50</Totals>", False),
        ("<Count>3</Count>", "<Count>999999999999999999</Count>", True),
        ("<Count>3</Count>", "<Count>9999999999999999999</Count>", False),
        ("<Count>3</Count>", "<Count>3.0</Count>", False),
        ("<IsPaid>true</IsPaid>", "<IsPaid>1</IsPaid>", False),
        ("2025-01-18T00:13:47.2098986-05:00", "2025-01-18T00:13:47", True),
        ("2025-01-18T00:13:47.2098986-05:00", "0001-01-01T00:00:00", True),
        ("2025-01-18T00:13:47.2098986-05:00", "9999-12-31T23:59:59.9999999", True),
        ("2025-01-18T00:13:47.2098986-05:00", "2025-01-18", True),
        ("2025-01-18T00:13:47.2098986-05:00", "2025-01-38T00:13:47", False),
        ("<Day>2025-01-18</Day>", "<Day>2025-02-30</Day>", False),
        ("<Day>2025-01-18</Day>", "<Day>0001-01-01</Day>", True),
        ("<Day>2025-01-18</Day>", "<Day>2025-01-18T00:00:00</Day>", True),
        ("<Number>1</Number>", "<Number>1 &amp;lt; &quot;&#34;&apos;&#39;&gt; \\u0041 \x7f</Number>", True),
        ("<Number>1</Number>", "<Number></Number>", True),
        ("<Number>1</Number>", "<Number />", True),
        ("<Number>1</Number>", "<Number>a > b]] ></Number>", True),
        ("<Number>1</Number>", "<Number>]]></Number>", False),
        ("<Number>1</Number>", "<Number>&#10;</Number>", False),
        ("<Number>1</Number>", "<Number>&euro;</Number>", False),
        ("<Number>1</Number>", "<Number>a & b</Number>", False),
        ("<Number>1</Number>", "<Number>a &amp</Number>", False),
        ("<Number>1</Number>", "<Number>a\tb</Number>", False),
        ("<Number>1</Number>", "<Number>a\x00b</Number>", False),
        ("<Number>1</Number>", "<Number>a\x1fb</Number>", False),
        ("<Number>1</Number>", "<Number>\ufffd</Number>", True),
        ("<Number>1</Number>", "<Number>\ufffe</Number>", False),
        ("<Number>1</Number>", "<Number>\uffff</Number>", False),
        ("<Number>1</Number>", "<Number>\udc80</Number>", False),
        ("<Number>1</Number>", "<Number>\udced\udca0\udc80</Number>", False),
        ("<Number>1</Number>", "<Number><![CDATA[1]]></Number>", False),
        ("<Number>1</Number>", '<Number xsi:nil="true"/>', False),
        ("<Number>1</Number>", "", False),
        ("<Seller><Name>x</Name></Seller>", "<Seller/>", True),
        ("<Seller><Name>x</Name></Seller>", '<Seller xsi:nil="true"/>', False),
        ("<Geo><Lat>-0.10</Lat></Geo>", "<Geo/>", True),
        ("<Geo><Lat>-0.10</Lat></Geo>", "<Geo>\n</Geo>", True),
        ("<Geo><Lat>-0.10</Lat></Geo>", "<Geo>text</Geo>", False),
        ("<Geo><Lat>-0.10</Lat></Geo>", "<Geo><Lon/></Geo>", False),
        ("<string>1</string>", "<string/>", True),
        ("<string>1</string>", '<string xsi:nil="true"/>', False),
        ("<string>1</string>", "<String>1</String>", False),
        ("<Note>a</Note>", "<Note>a</Note> <Note/>", True),
        ("<Note>a</Note>", "<Note>a</Note><Last>x</Last>", False),
        ("<Lines><Line>", "<Lines><Line/><Line>", False),
        ("<Lines><Line>", "<Lines>\n<Line>", True),
        ("</Lines>", "<Other/></Lines>", False),
        ("</Lines>", "", False),
        ("<Codes>b</Codes>", "<Codes>b</Codes><Rate>2</Rate>", False),
        ("<Codes>b</Codes></Tax>", "<Codes>b</Codes></Tax><Tax/>", False),
        ("<Invoice>", "<Invoice >", False),
        ("<Invoice>", '<Invoice id="1">', False),
        ("<Invoice>", "<Invoice>\n ", True),
        ("</Invoice>", "</Invoice>\n ", True),
        ("</Invoice>", "</Invoice>\x0b", False),
        ("</Invoice>", "</Invoice>text", False),
        ("</Invoice>", "</Invoice><Invoice/>", False),
        ("</Invoice>", "</Invoice><Other/>", False),
    ],
)
def test_what_is_different_is_read_as_the_parser_has_it(before: str, after: str, by_expression: bool) -> None:
    content = page(FULL, FULL)
    assert before.encode() in content
    content = content.replace(before.encode(), after.encode(errors="surrogateescape"), 1)
    assert is_quick_and_alike(content) is by_expression


def test_a_record_of_absurd_size_is_left_to_the_parser() -> None:
    for size, by_expression in ((999_000, True), (1_001_000, False)):
        assert is_quick_and_alike(page({**FULL, "Last": "x" * size})) is by_expression


# --- where the records are ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "by_expression"),
    [
        (f"<Page {XSI}><Data><Invoices>{ONE}</Invoices></Data><Next>2</Next></Page>", True),
        (f"\ufeff<Page {XSI}><Data><Invoices>{ONE}</Invoices></Data></Page>", True),
        (f"<Page {XSI}><Next>2</Next><Data><Invoices a='b'>\n {ONE} {ONE}\n</Invoices></Data></Page>", True),
        (f"<Page xmlns='urn:a' {XSI}><Data><Invoices>{ONE}</Invoices></Data></Page>", True),
        (f"<a:Page xmlns:a='urn:a' {XSI}><a:Data><a:Invoices>{ONE}</a:Invoices></a:Data></a:Page>", True),
        (f"<Page {XSI}><Data><Invoices xsi:nil='true'>{ONE}</Invoices></Data></Page>", True),
        (f"<Page><!-- <Invoice> --><Data><Invoices>{ONE}</Invoices></Data></Page>", True),
        (f"<Page><!-- <Invoices><Invoice> --><Data><Invoices>{ONE}</Invoices></Data></Page>", False),
        (f"<Page><Data><Invoices>{ONE}<!-- -->{ONE}</Invoices></Data></Page>", False),
        (f"<Page><Other>{ONE}</Other><Data><Invoices><Invoice/></Invoices></Data></Page>", False),
        (f"<Page><Data>{ONE}<Invoices></Invoices></Data></Page>", False),
        (f"<Page><Data><Invoices>{ONE}</Invoices><Invoices>{ONE}</Invoices></Data></Page>", False),
        (f"<Page><Data><Invoices>{ONE}</Invoices></Data><Data/></Page>", False),
        (f"<Page><Data><Invoices>{ONE}</Invoices></Data><Next>x</Next></Page>", False),
        (f"<Page><Data><Invoices>{ONE}</Invoices></Data>", False),
        (f"<Page><Data><Invoices>{ONE}</Invoices></Data></Page>x", False),
        (f"<Page><Data><Invoices>{ONE}", False),
        (f"<Page><Data><Invoices><Other/>{ONE}</Invoices></Data></Page>", False),
        (f"<Page><Data><Invoices>{ONE.replace('Invoice>', 'Other>')}</Invoices></Data></Page>", False),
        (f"<!DOCTYPE Page [<!ENTITY x 'y'>]><Page><Data><Invoices>{ONE}</Invoices></Data></Page>", False),
        (f"<Page><Data><Invoices>{ONE.replace('<Count>3</Count>', NIL)}</Invoices></Data></Page>", False),
        (f"<Page {XSI}><Data><Invoices>{ONE.replace('<Count>3</Count>', NIL)}</Invoices></Data></Page>", True),
        (f"<Page xmlns:xsi='a'><Data><Invoices>{ONE.replace('<Count>3</Count>', NIL)}</Invoices></Data></Page>", False),
        (
            f"<Page xmlns:i='{xml_tree.INSTANCE}'><Data><Invoices>"
            f"{ONE.replace('<Count>3</Count>', NIL_BY_I)}</Invoices></Data></Page>",
            True,
        ),
    ],
)
def test_pages_are_read_as_the_parser_has_them(content: str, by_expression: bool) -> None:
    assert is_quick_and_alike(content.encode()) is by_expression


@pytest.mark.parametrize("encoding", ["iso-8859-1", "utf-16", "windows-1252", "ascii"])
def test_other_encodings_are_left_to_the_parser_but_for_those_with_a_byte_order_mark(encoding: str) -> None:
    for name in ("Zürich", "Zurich"):
        text = page({**FULL, "Address": None, "Last": name}).decode().replace("utf-8", encoding)
        content = text.encode(encoding, "xmlcharrefreplace")
        assert is_quick_and_alike(content) is (encoding == "utf-16")


def test_bytes_that_are_not_what_the_declaration_says_are_refused_by_both() -> None:
    content = page({**FULL, "Last": "Zürich"}).replace("ü".encode(), b"\xfc")
    assert not is_quick_and_alike(content)
    assert "not well-formed" in both()[0](content)


def test_a_page_that_is_the_list() -> None:
    content = f"<Invoices>{ONE}{ONE}</Invoices>".encode()
    assert is_quick_and_alike(content, where=RecordSelector())
    assert len(both(where=RecordSelector())[0].page(content).records) == 2


UNNAMED = replace(ROW, xml_name=None)


@pytest.mark.parametrize(
    ("content", "by_expression"),
    [
        (f"<Page><Data><Invoices>{ONE}{ONE}</Invoices></Data></Page>", True),
        (f"<Page><Data><Invoices>\n{ONE.replace('Invoice>', 'a-b.c>')}</Invoices></Data><Next>2</Next></Page>", True),
        (f"<Page><Data><Invoices>{ONE}{ONE.replace('Invoice>', 'Other>')}</Invoices></Data></Page>", False),
        (f"<Page><Data><Invoices>{ONE.replace('Invoice>', 'a:b>')}</Invoices></Data></Page>", False),
        (f"<Page><Other>{ONE}</Other><Data><Invoices>{ONE}</Invoices></Data></Page>", True),
        (f"<Page><Invoices>{ONE}</Invoices><Data><Invoices>{ONE}</Invoices></Data></Page>", False),
        (f"<Page><Data><Invoices a='/'>{ONE}</Invoices></Data></Page>", True),
        ("<Page><Data><Invoices><Invoice></Invoice></Invoices></Data></Page>", False),
        ("<Page><Data><Invoices><Invoice>text</Invoice></Invoices></Data></Page>", False),
    ],
)
def test_items_that_have_no_name_in_the_schema_are_called_as_the_first_is(content: str, by_expression: bool) -> None:
    assert is_quick_and_alike(content.encode(), UNNAMED) is by_expression


def test_a_page_that_is_the_list_of_items_without_a_name() -> None:
    content = f'<?xml version="1.0"?>\n<ArrayOfInvoice {XSI}>\n {ONE}\n {ONE}\n</ArrayOfInvoice>'.encode()
    assert is_quick_and_alike(content, UNNAMED, RecordSelector())
    assert len(both(UNNAMED, RecordSelector())[0].page(content).records) == 2


@pytest.mark.parametrize(
    "content",
    [
        "<Page><Data><Invoices/><Next>2</Next></Data></Page>",
        "<Page><Data><Invoices a='b' /><Next>2</Next></Data></Page>",
        "<Page><Data><Invoices></Invoices><Next>2</Next></Data></Page>",
        "<Page><Data/></Page>",
    ],
)
def test_what_follows_an_empty_list_is_not_taken_for_a_record(content: str, monkeypatch: pytest.MonkeyPatch) -> None:
    quick, slow = both(UNNAMED)
    for _ in range(20):
        assert quick(content.encode()) == slow(content.encode())
    assert tried(quick, page(FULL), 3, monkeypatch) == 3


def test_documents_may_be_nested_as_deeply_as_ever() -> None:
    content = page(FULL)
    for most in range(1, 12):
        is_quick = is_quick_and_alike(content, most=most)
        assert is_whole(both(most=most)[1](content)) is is_quick is (most >= 8)
    content = content.replace(b"<Next>", b"<Deep>" * 20 + b"</Deep>" * 20 + b"<Next>")
    assert not is_quick_and_alike(content, most=20)
    assert is_quick_and_alike(content, most=30)


def test_an_order_that_is_learned_does_not_let_documents_be_nested_more_deeply() -> None:
    for line in ({}, {"Price": 1}):
        shallow = page({**FULL, "Lines": [line]})
        for most in range(4, 10):
            quick, slow = both(most=most)
            for content in (shallow, page(FULL), shallow, page(FULL)):
                assert quick(content) == slow(content)


# --- what the expression does not know, and whether it is tried --------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"Total": Node("any")},
        {"Total": Node("number", xml_attribute=True)},
        {"Notes": Node("array", item=Node("number"))},
        {"Lines": Node("array", item=replace(LINE, xml_name=None), xml_wrapped=True)},
        {"Address": Node("object", fields={"Lines": Node("array", item=LINE, xml_wrapped=True)})},
    ],
)
def test_schemas_that_are_left_to_the_parser(changes: dict[str, Node]) -> None:
    row = replace(ROW, fields={**ROW.fields, **changes})
    assert not is_quick_and_alike(page({**FULL, "Notes": [], "Lines": [], "Address": None}), row)


@pytest.mark.parametrize("name", ["class", "a-b", "_x", "Straße", "a.b"])
def test_names_that_are_no_attributes_are_read_by_expression(name: str) -> None:
    row = replace(ROW, fields={**ROW.fields, name: Node("string")})
    content = page(FULL).replace(b"</Invoice>", f"<{name}>x</{name}></Invoice>".encode())
    assert is_quick_and_alike(content, row)
    assert both(row)[0].page(content).records[0][name] == "x"


def test_what_is_required_may_not_be_null_in_xml() -> None:
    row = replace(ROW, required=ROW.required | {"Total"})
    assert is_quick_and_alike(page(FULL), row)
    assert not is_quick_and_alike(page({**FULL, "Total": None}), row)
    assert not is_whole(both(row)[0](page({**FULL, "Total": None})))


def test_one_list_out_of_two_with_items_of_the_same_name() -> None:
    """What stands between items is the same in both, and so is what is written there."""
    two = replace(
        ROW, fields={**ROW.fields, "Last": Node("array", item=Node("string", xml_name="Note"), xml_wrapped=True)}
    )
    content = page({**FULL, "Last": None}).replace(
        b"</Invoice>", b"<Last><Note>1</Note> <Note>2</Note></Last></Invoice>"
    )
    assert is_quick_and_alike(content, two)


def test_a_stream_with_other_pages_is_soon_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    quick, _ = both()
    assert tried(quick, page({**FULL, "Last": "a\tb"}), 20, monkeypatch) == CREDIT + 1


def test_pages_in_vain_are_put_up_with_where_others_have_been_read() -> None:
    quick, _ = both()
    for _ in range(30):
        quick.page(page(FULL))
        assert quick.is_by_expression
        quick.page(page({**FULL, "Last": "a\tb"}))
        assert not quick.is_by_expression


def test_of_a_schema_that_is_not_known_no_expression_is_made_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    quick, _ = both(replace(ROW, fields={**ROW.fields, "Total": Node("any")}))
    quick.page(page(FULL))
    monkeypatch.setattr(xml_rows, "_record_reader", None)
    quick.page(page(FULL))
    assert not quick.is_by_expression


def test_empty_pages_say_nothing_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    quick, _ = both()
    for _ in range(20):
        assert quick.page(around(b"")).records == []
    assert tried(quick, page(FULL), 3, monkeypatch) == 3


def test_the_first_page_is_read_by_the_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml_rows, "WORTH", 2)
    quick, _ = both()
    ways = []
    for _ in range(3):
        quick.page(page(FULL))
        ways.append(quick.is_by_expression)
    assert ways == [False, True, True]


def test_elements_without_content_are_opened_up_from_the_first_on() -> None:
    quick, slow = both()
    for city in ("x", "", "x", ""):
        content = page({**FULL, "Address": {"City": city}})
        assert quick(content) == slow(content)
        assert quick.is_by_expression
