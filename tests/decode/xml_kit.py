"""Invoices in XML as vendors may write them, read by the expression and by the parser."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from random import Random
from typing import Any
from xml.sax.saxutils import escape

import pytest

from tests.decode.kit import coerced, counting, in_dicts
from tests.strategies import exact, text_of
from vendortap.declare.model import Node, Page, RecordSelector, Reply, Value
from vendortap.decode import xml_rows, xml_tree
from vendortap.decode.reader import Reader
from vendortap.decode.values import Dates
from vendortap.decode.xml_tree import DEEPEST
from vendortap.errors import VendortapError

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
PAGE = RecordSelector(("Data", "Invoices"), more={"next": Value(("Next",), "integer")})
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
XSI = f'xmlns:xsi="{xml_tree.INSTANCE}"'


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


class Reading:
    """Reads pages into what they come to, and tells whether the last one was read by the expression."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._coerced = counting(reader)
        self.is_by_expression = False

    def page(self, content: bytes) -> Page:
        before = len(self._coerced)
        page = self._reader.read(reply(content))
        self.is_by_expression = len(self._coerced) == before
        return page

    def __call__(self, content: bytes) -> Any:
        """Return what a page comes to, digit for digit, or what is wrong with it."""
        self.is_by_expression = False
        try:
            page = self.page(content)
        except VendortapError as error:
            return f"{type(error).__name__}: {error}"
        invalid = [(index, record.sentence, record.raw) for index, record in page.invalid.items()]
        return exact(in_dicts(page).records), page.more, page.absent, invalid


def both(row: Node = ROW, where: RecordSelector = PAGE, most: int = DEEPEST) -> tuple[Reading, Reading]:
    """Return what reads by the expression where it can, and what always reads by the parser."""
    quick, slow = (Reader(row, where, ("Number",), DATES, max_depth=most) for _ in range(2))
    return Reading(quick), Reading(coerced(slow))


def is_quick_and_alike(content: bytes, row: Node = ROW, where: RecordSelector = PAGE, most: int = DEEPEST) -> bool:
    """Tell whether the first page is read by the expression; it and those that come after are what the parser has."""
    quick, slow = both(row, where, most)
    expected = slow(content)
    assert quick(content) == expected
    is_quick = quick.is_by_expression
    assert quick(content) == quick(content) == expected  # the expression may have learned from the first
    return is_quick


def is_whole(outcome: Any) -> bool:
    """Whether a page comes to records that all fit."""
    return not isinstance(outcome, str) and not outcome[-1]


def tried(reading: Reading, content: bytes, times: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how many of so many pages the expression was tried on."""
    looked = 0
    escaped = xml_rows._escaped

    def counted(raw: bytes) -> bytes:
        nonlocal looked
        looked += 1
        return escaped(raw)

    monkeypatch.setattr(xml_rows, "_escaped", counted)
    for _ in range(times):
        reading(content)
    return looked


def reply(content: bytes) -> Reply:
    return Reply(200, {"content-type": "application/xml"}, content, datetime.now(UTC))


ONE = page(FULL).partition(b"<Invoices>")[2].partition(b"</Invoices>")[0].decode()
