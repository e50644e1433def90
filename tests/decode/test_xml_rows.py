"""Records that are read by the expression are what they are when they are parsed, or they are parsed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from random import Random
from typing import Any
from xml.sax.saxutils import escape

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.decode.test_parity import examples
from tests.strategies import exact, text_of, to_xml, values
from vendortap.declare.model import Node, Reply, Rows, Value
from vendortap.decode import expressions, xml, xml_rows
from vendortap.decode.expressions import CREDIT
from vendortap.decode.reader import Reader, page_node
from vendortap.decode.structs import Row
from vendortap.decode.values import Dates
from vendortap.decode.xml import DEEPEST
from vendortap.errors import BodyError

DATES = Dates(timezone(timedelta(hours=-5)))
TAX = Node(
    "object",
    nullable=False,
    fields={"Rate": Node("number"), "Codes": Node("array", nullable=False, item=Node("string"))},
    required=frozenset({"Codes"}),
)
LINE = Node(
    "object",
    nullable=False,
    xml_name="Line",
    fields={
        "Price": Node("number"),
        "Text": Node("string"),
        "Serials": Node("array", item=Node("string", nullable=False, xml_name="string"), xml_wrapped=True),
        "Tax": Node("array", nullable=False, item=TAX),
    },
    required=frozenset({"Tax"}),
)
ROW = Node(
    "object",
    nullable=False,
    xml_name="Invoice",
    fields={
        "Customer": Node("given"),
        "Number": Node("string", nullable=False),
        "Total": Node("number"),
        "Count": Node("integer"),
        "Paid": Node("boolean", xml_name="IsPaid"),
        "At": Node("date-time"),
        "Day": Node("date"),
        "Address": Node(
            "object", fields={"City": Node("string"), "Geo": Node("object", fields={"Lat": Node("number")})}
        ),
        "Seller": Node("object", nullable=False, fields={"Name": Node("string")}),
        "Lines": Node("array", item=LINE, xml_wrapped=True),
        "Notes": Node("array", nullable=False, item=Node("string", nullable=False, xml_name="Note")),
        "Last": Node("string"),
    },
    required=frozenset({"Number", "Seller", "Notes"}),
)
PAGE = Rows(("Data", "Invoices"), more={"next": Value(("Next",), "integer")})
FULL: Mapping[str, Any] = {
    "Number": "1",
    "Total": Decimal("1.50"),
    "Count": 3,
    "Paid": True,
    "At": "2025-01-18T00:13:47.2098986-05:00",
    "Day": "2025-01-18",
    "Address": {"City": 'Gdańsk "x" \\ <&>', "Geo": {"Lat": Decimal("-0.10")}},
    "Seller": {"Name": "x"},
    "Lines": [
        {"Price": Decimal("0.00"), "Text": "a", "Serials": ["1", "", "3"], "Tax": [{"Rate": 1, "Codes": ["&", "b"]}]},
        {"Price": None, "Text": "", "Serials": [], "Tax": []},
    ],
    "Notes": ["a", "b & c"],
    "Last": None,
}
NIL = '<Count xsi:nil="true" />'
NIL_BY_I = '<Count i:nil="true" />'
XSI = f'xmlns:xsi="{xml.INSTANCE}"'


class Writer:
    """Writes XML in the ways that vendors do, chosen at random."""

    def __init__(self, seed: int, *, plain: bool) -> None:
        self.random = Random(seed)
        self.space = "" if plain else self.random.choice(["", " ", "\n  "])
        self.null = "left out" if plain else self.random.choice(["left out", "nil", "nil ", "empty", "any"])
        self.short = plain or self.random.random() < 0.5
        self.odd = not plain and self.random.random() < 0.2

    def element(self, tag: str, content: str) -> str:
        if not content and self.short:
            return f"<{tag}{self.random.choice(['', ' '])}/>{self.space}"
        return f"<{tag}>{content}</{tag}>{self.space}"

    def members(self, value: Mapping[str, Any], node: Node) -> str:
        written = [
            self.member(name, value.get(name), member) for name, member in node.fields.items() if member.kind != "given"
        ]
        if self.odd and self.random.random() < 0.3:
            self.random.shuffle(written)
        return self.space + "".join(written)

    def member(self, name: str, value: Any, node: Node) -> str:
        tag = node.xml_name or name
        if value is None:
            return self.nothing(tag, node)
        if node.item is not None:
            item = node.item.xml_name or name
            items = "".join(self.element(item, self.content(one, node.item)) for one in value)
            return self.element(tag, self.space + items if items else "") if node.xml_wrapped else items
        return self.element(tag, self.content(value, node))

    def nothing(self, tag: str, node: Node) -> str:
        how = self.random.choice(["left out", "nil", "nil ", "empty"]) if self.null == "any" else self.null
        if how == "left out" or (node.item is not None and not node.xml_wrapped):
            return ""
        if how == "empty" and node.kind not in ("string", "array"):
            return self.element(tag, "")
        return f'<{tag} xsi:nil="true"{" " if how == "nil " else ""}/>{self.space}'

    def content(self, value: Any, node: Node) -> str:
        if node.kind == "object":
            return self.members(value, node)
        quotes = {'"': "&quot;", "'": self.random.choice(["&apos;", "&#39;"])} if self.random.random() < 0.5 else {}
        return escape(text_of(value), quotes)


def page(*records: Mapping[str, Any], seed: int = 0, plain: bool = True) -> bytes:
    writer = Writer(seed, plain=plain)
    written = "".join(writer.element("Invoice", writer.members(record, ROW)) for record in records)
    return around(written.encode(), space=writer.space.encode())


def around(written: bytes, *, space: bytes = b"") -> bytes:
    head = b'<?xml version="1.0" encoding="utf-8"?>%b<Page %b>' % (space, XSI.encode())
    return b"%b<Data><Invoices>%b%b</Invoices></Data><Next>2</Next></Page>" % (head, space, written)


Decoder = Callable[[bytes], Any]


def decoders(row: Node = ROW, where: Rows = PAGE, most: int = DEEPEST) -> tuple[Decoder, Decoder]:
    """Return the decoder by expression, and that by the parser."""
    node = page_node(row, where)
    return xml_rows.compile(node, row, DATES, most), xml.compile(node, DATES, most)


def outcome(decode: Decoder, content: bytes) -> Any:
    """Return what a page comes to: its value, or what is wrong with it."""
    try:
        return exact(plain(decode(content)))
    except (ValueError, BodyError) as error:
        return f"{type(error).__name__}: {error}"


def plain(value: Any) -> Any:
    """Return a value with dicts in place of rows."""
    if isinstance(value, Row):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, dict):
        return {name: plain(member) for name, member in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def is_quick(value: Any) -> bool:
    kinds = {type(row) is dict for row in value["Data"]["Invoices"]}
    assert len(kinds) <= 1  # a page is read as a whole in one way
    return kinds == {False}


@pytest.fixture(autouse=True)
def from_the_first_page_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expressions, "WORTH", 1)


# --- whatever they are -------------------------------------------------------------------------------


@settings(deadline=None, max_examples=300)
@given(records=st.lists(values(ROW), min_size=1, max_size=3), seed=st.integers(0, 10**6), plain=st.booleans())
def test_both_ways_give_the_same_records(records: list[dict[str, Any]], seed: int, plain: bool) -> None:
    quick, slow = decoders()
    content = page(*records, seed=seed, plain=plain)
    assert outcome(quick, content) == outcome(slow, content)
    if not isinstance(outcome(slow, content), str):
        event(f"plain {plain}, by expression {is_quick(quick(content))}")


@settings(deadline=None, max_examples=300)
@given(example=examples(), drop_nulls=st.booleans())
def test_both_ways_give_the_same_record_by_any_schema(example: tuple[Node, dict[str, Any]], drop_nulls: bool) -> None:
    node, record = example
    written = to_xml(record, node, drop_nulls=drop_nulls).partition(b"?>")[2].strip()
    written = written.replace(b" " + XSI.encode(), b"", 1)
    quick, slow = decoders(node)
    content = around(written * 2)
    assert outcome(quick, content) == outcome(slow, content)
    event(f"by expression: {is_quick(quick(content))}")


def test_all_that_a_schema_may_have_is_read_by_expression() -> None:
    quick, slow = decoders()
    content = page(FULL, {"Number": "2", "Seller": {}}, FULL)
    value = quick(content)
    assert is_quick(value)
    assert exact(plain(value)) == exact(slow(content))
    assert value["Next"] == 2
    assert plain(value["Data"]["Invoices"][0])["Lines"] == FULL["Lines"]
    assert value["Data"]["Invoices"][0]["Address"]["City"] == 'Gdańsk "x" \\ <&>'


def test_a_row_looks_like_the_record_that_the_parser_gives() -> None:
    """A page that comes twice is known by how its records look, whichever way it was read."""
    quick, slow = decoders()
    content = page(FULL)
    assert repr(quick(content)) == repr(slow(content))


@pytest.mark.parametrize("seed", range(40))
def test_the_ways_in_which_vendors_write_are_read_by_expression(seed: int) -> None:
    """With spaces or none; nulls left out, nil or empty; members out of order only where the writer is odd."""
    content = page(FULL, {**FULL, "Total": None, "Address": None, "At": None}, seed=seed, plain=False)
    quick, slow = decoders()
    assert outcome(quick, content) == outcome(slow, content)
    assert is_quick(quick(content)) or Writer(seed, plain=False).odd


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
        ("2025-01-18T00:13:47.2098986-05:00", "9999-12-31T23:59:59.9999999", False),
        ("2025-01-18T00:13:47.2098986-05:00", "2025-01-18", False),
        ("2025-01-18T00:13:47.2098986-05:00", "2025-01-38T00:13:47", False),
        ("<Day>2025-01-18</Day>", "<Day>2025-02-30</Day>", False),
        ("<Day>2025-01-18</Day>", "<Day>0001-01-01</Day>", False),
        ("<Day>2025-01-18</Day>", "<Day>2025-01-18T00:00:00</Day>", False),
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
    quick, slow = decoders()
    first = outcome(quick, content)
    assert first == outcome(slow, content)
    assert (not isinstance(first, str) and is_quick(quick(content))) is by_expression


def test_a_record_of_absurd_size_is_left_to_the_parser() -> None:
    for size, by_expression in ((999_000, True), (1_001_000, False)):
        quick, slow = decoders()
        content = page({**FULL, "Last": "x" * size})
        assert is_quick(quick(content)) is by_expression
        assert outcome(quick, content) == outcome(slow, content)


# --- where the records are ---------------------------------------------------------------------------

ONE = page(FULL).partition(b"<Invoices>")[2].partition(b"</Invoices>")[0].decode()


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
            f"<Page xmlns:i='{xml.INSTANCE}'><Data><Invoices>{ONE.replace('<Count>3</Count>', NIL_BY_I)}</Invoices>"
            "</Data></Page>",
            True,
        ),
    ],
)
def test_pages_are_read_as_the_parser_has_them(content: str, by_expression: bool) -> None:
    quick, slow = decoders()
    first = outcome(quick, content.encode())
    assert first == outcome(slow, content.encode())
    assert (not isinstance(first, str) and is_quick(quick(content.encode()))) is by_expression


@pytest.mark.parametrize("encoding", ["iso-8859-1", "utf-16", "windows-1252", "ascii"])
def test_other_encodings_are_left_to_the_parser(encoding: str) -> None:
    for name in ("Zürich", "Zurich"):
        text = page({**FULL, "Address": None, "Last": name}).decode().replace("utf-8", encoding)
        content = text.encode(encoding, "xmlcharrefreplace")
        quick, slow = decoders()
        assert outcome(quick, content) == outcome(slow, content)
        assert not is_quick(quick(content))


def test_bytes_that_are_not_what_the_declaration_says_are_refused_by_both() -> None:
    content = page({**FULL, "Last": "Zürich"}).replace("ü".encode(), b"\xfc")
    quick, slow = decoders()
    assert outcome(quick, content) == outcome(slow, content)
    assert "not well-formed" in outcome(quick, content)


def test_a_page_that_is_the_list() -> None:
    quick, slow = decoders(where=Rows())
    content = f"<Invoices>{ONE}{ONE}</Invoices>".encode()
    assert exact(plain(quick(content))) == exact(slow(content))
    assert [type(row) is dict for row in quick(content)] == [False, False]


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
    quick, slow = decoders(UNNAMED)
    first = outcome(quick, content.encode())
    assert first == outcome(slow, content.encode())
    assert (not isinstance(first, str) and is_quick(quick(content.encode()))) is by_expression


def test_a_page_that_is_the_list_of_items_without_a_name() -> None:
    quick, slow = decoders(UNNAMED, Rows())
    content = f'<?xml version="1.0"?>\n<ArrayOfInvoice {XSI}>\n {ONE}\n {ONE}\n</ArrayOfInvoice>'.encode()
    assert exact(plain(quick(content))) == exact(slow(content))
    assert [type(row) is dict for row in quick(content)] == [False, False]


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
    quick, slow = decoders(UNNAMED)
    for _ in range(20):
        assert outcome(quick, content.encode()) == outcome(slow, content.encode())
    assert tried(quick, page(FULL), 3, monkeypatch) == 3


def test_documents_may_be_nested_as_deeply_as_ever() -> None:
    content = page(FULL)
    for most in range(1, 12):
        quick, slow = decoders(most=most)
        assert outcome(quick, content) == outcome(slow, content)
        assert (not isinstance(outcome(quick, content), str)) is (most >= 8)
    quick, slow = decoders(most=8)
    assert is_quick(quick(content))
    quick, slow = decoders(most=20)
    content = content.replace(b"<Next>", b"<Deep>" * 20 + b"</Deep>" * 20 + b"<Next>")
    assert outcome(quick, content) == outcome(slow, content)


# --- what the expression does not know, and whether it is tried --------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"Total": Node("any")},
        {"Total": Node("number", xml_attribute=True)},
        {"Notes": Node("array", item=Node("number"))},
        {"Lines": Node("array", item=replace(LINE, xml_name=None), xml_wrapped=True)},
        {"Address": Node("object", fields={"Lines": Node("array", item=LINE, xml_wrapped=True)})},
        {"class": Node("string")},
    ],
)
def test_schemas_that_are_left_to_the_parser(changes: dict[str, Node]) -> None:
    quick, slow = decoders(replace(ROW, fields={**ROW.fields, **changes}))
    content = page({**FULL, "Notes": [], "Lines": [], "Address": None})
    assert outcome(quick, content) == outcome(slow, content)
    assert not is_quick(quick(content))


def test_what_is_required_may_not_be_null_in_xml() -> None:
    quick, slow = decoders(replace(ROW, required=ROW.required | {"Total"}))
    for total in (Decimal(1), None):
        content = page({**FULL, "Total": total})
        assert outcome(quick, content) == outcome(slow, content)
        assert isinstance(outcome(quick, content), str) is (total is None)


def test_one_list_out_of_two_with_items_of_the_same_name() -> None:
    """What stands between items is the same in both, and so is what is written there."""
    both = replace(
        ROW, fields={**ROW.fields, "Last": Node("array", item=Node("string", xml_name="Note"), xml_wrapped=True)}
    )
    quick, slow = decoders(both)
    content = page({**FULL, "Last": None}).replace(
        b"</Invoice>", b"<Last><Note>1</Note> <Note>2</Note></Last></Invoice>"
    )
    assert is_quick(quick(content))
    assert outcome(quick, content) == outcome(slow, content)


def tried(decode: Decoder, content: bytes, times: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how many of so many pages the expression was tried on."""
    looked = 0
    escaped = xml_rows._escaped

    def counted(raw: bytes) -> bytes:
        nonlocal looked
        looked += 1
        return escaped(raw)

    monkeypatch.setattr(xml_rows, "_escaped", counted)
    for _ in range(times):
        decode(content)
    return looked


def test_a_stream_with_other_pages_is_soon_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    quick, _ = decoders()
    assert tried(quick, page({**FULL, "Last": "a\tb"}), 20, monkeypatch) == CREDIT + 1


def test_pages_in_vain_are_put_up_with_where_others_have_been_read() -> None:
    quick, _ = decoders()
    for _ in range(30):
        assert is_quick(quick(page(FULL)))
        assert not is_quick(quick(page({**FULL, "Last": "a\tb"})))


def test_of_a_schema_that_is_not_known_no_expression_is_made_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    quick, _ = decoders(replace(ROW, fields={**ROW.fields, "class": Node("string")}))
    quick(page(FULL))
    monkeypatch.setattr(xml_rows, "_quick", None)
    assert not is_quick(quick(page(FULL)))


def test_empty_pages_say_nothing_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    quick, _ = decoders()
    for _ in range(20):
        assert quick(around(b""))["Data"]["Invoices"] == []
    assert tried(quick, page(FULL), 3, monkeypatch) == 3


def test_the_first_page_is_read_by_the_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expressions, "WORTH", 2)
    quick, _ = decoders()
    assert [is_quick(quick(page(FULL))) for _ in range(3)] == [False, True, True]


def test_elements_without_content_are_opened_up_from_the_first_on() -> None:
    quick, slow = decoders()
    for city in ("x", "", "x", ""):
        content = page({**FULL, "Address": {"City": city}})
        assert is_quick(quick(content))
        assert outcome(quick, content) == outcome(slow, content)


def test_a_reader_reads_lists_by_expression_and_documents_by_the_parser() -> None:
    content = page(FULL)
    for structs in (True, False):
        reader = Reader(ROW, PAGE, ("Number",), DATES, structs=structs)
        (row,) = reader.read(reply(content)).rows
        assert isinstance(row, Row) is structs
        assert row["Total"] == Decimal("1.50")
    document = Reader(ROW, Rows(many=False), ("Number",), DATES, structs=True)
    (row,) = document.read(reply(ONE.encode())).rows
    assert type(row) is dict


def reply(content: bytes) -> Reply:
    return Reply(200, {"content-type": "application/xml"}, content, datetime.now(UTC))
