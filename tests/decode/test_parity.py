"""One record, both formats: whatever schema and record hypothesis makes up, JSON and XML give it back exactly.

And the fast XML decoder is held against xmltodict with the plainest conversion by schema that there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
import xmltodict
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.decode.kit import json_decoder, list_decoder, xml_decoder
from tests.strategies import exact, leaf_values, texts, to_json, to_xml, values
from vendortap.declare.model import Kind, Node, RecordSelector
from vendortap.decode import schemas
from vendortap.decode.values import Dates

DATES = Dates(timezone(timedelta(hours=-5)))

# --- schemas and values ------------------------------------------------------------------------------

LEAVES: tuple[Kind, ...] = ("string", "number", "integer", "boolean", "date-time", "date")
names = st.sampled_from(
    ["Id", "Name", "Total", "Line", "Lines", "At", "x", "PONumber", "Stra\u00dfe", "a-b", "a.b", "_"]
)


@st.composite
def leaves(draw: st.DrawFn) -> Node:
    return Node(draw(st.sampled_from(LEAVES)), nullable=draw(st.booleans()))


@st.composite
def objects(draw: st.DrawFn, members: st.SearchStrategy[Node]) -> Node:
    fields = {}
    for name, member in draw(st.dictionaries(names, members, min_size=1, max_size=5)).items():
        is_leaf = member.kind not in ("object", "array")
        fields[name] = replace(member, xml_attribute=is_leaf and draw(st.integers(0, 4)) == 0)
    required = frozenset(name for name, member in fields.items() if not member.nullable)
    return Node("object", draw(st.booleans()), fields=fields, required=required)


@st.composite
def arrays(draw: st.DrawFn, items: st.SearchStrategy[Node]) -> Node:
    item, wrapped = draw(items), draw(st.booleans())
    nullable = wrapped and draw(st.booleans())  # a list that is not wrapped has no null in XML
    return Node("array", nullable, item=replace(item, xml_name="item" if wrapped else None), xml_wrapped=wrapped)


nodes = st.recursive(leaves(), lambda inner: objects(inner) | arrays(leaves() | objects(inner)), max_leaves=8)
records = objects(nodes).map(lambda node: replace(node, nullable=False, xml_name="Record"))


@st.composite
def examples(draw: st.DrawFn) -> tuple[Node, dict[str, Any]]:
    node = draw(records)
    return node, draw(values(node))


@pytest.mark.promise("JSON and XML of one document give the same record", figure="100 documents")
@settings(deadline=None, max_examples=100)
@given(example=examples(), drop_nulls=st.booleans())
def test_json_and_xml_of_one_record_give_that_record(example: tuple[Node, dict[str, Any]], drop_nulls: bool) -> None:
    node, record = example
    from_json = json_decoder(node, DATES)(to_json(record, drop_nulls=drop_nulls).encode())
    from_xml = xml_decoder(node, DATES)(to_xml(record, node, drop_nulls=drop_nulls))
    assert exact(from_json) == exact(from_xml) == exact(record)


@settings(deadline=None, max_examples=100)
@given(example=examples(), drop_nulls=st.booleans(), piece=st.integers(1, 200))
def test_a_document_in_pieces_of_any_size_gives_what_it_gives_as_a_whole(
    example: tuple[Node, dict[str, Any]], drop_nulls: bool, piece: int
) -> None:
    node, record = example
    written = to_xml(record, node, drop_nulls=drop_nulls).partition(b"?>")[2].strip()
    (one, other) = list_decoder(node, RecordSelector(("List",)), DATES, piece=piece)(
        b"<x><List>%b\n%b</List></x>" % (written, written)
    )
    assert exact(one) == exact(other) == exact(record)


@settings(deadline=None, max_examples=50)
@given(texts=st.lists(texts, max_size=3), total=leaf_values["number"], at=st.datetimes(datetime(2, 1, 1)))
def test_a_schema_as_it_is_declared_holds_for_both(texts: list[str], total: Decimal, at: datetime) -> None:
    declared = {
        "type": "object",
        "xml": {"name": "Record"},
        "properties": {
            "Total": {"type": "number"},
            "At": {"type": ["string", "null"], "format": "date-time"},
            "Texts": {
                "type": ["array", "null"],
                "xml": {"wrapped": True},
                "items": {"type": "string", "xml": {"name": "string"}},
            },
        },
        "required": ["Total"],
    }
    schemas.check(declared, "declared")
    node = schemas.compile_record(declared, "declared")
    record = {"Total": total, "At": at, "Texts": texts}
    aware = {**record, "At": at.replace(tzinfo=DATES.zone)}
    from_json = json_decoder(node, DATES)(to_json(record, drop_nulls=False).encode())
    from_xml = xml_decoder(node, DATES)(to_xml(record, node, drop_nulls=False))
    assert exact(from_json) == exact(from_xml) == exact(aware)


# --- the oracle --------------------------------------------------------------------------------------


def oracle(body: bytes, node: Node) -> Any:
    parsed = xmltodict.parse(body, strip_whitespace=False, force_cdata=True, disable_entities=True)
    return convert(parsed["Record"], node)


def convert(tree: Any, node: Node) -> Any:
    """Turn what xmltodict read into a value, by the schema and without any thought of speed."""
    if isinstance(tree, dict) and tree.get("@xsi:nil") == "true":
        return None
    if node.kind == "object":
        return {name: member_of(tree or {}, name, member) for name, member in node.fields.items()}
    if node.item is not None:
        return [convert(item, node.item) for item in as_list(tree, node.item.xml_name)]
    text = tree if isinstance(tree, str) else (tree or {}).get("#text", "")
    return from_text(text, node)


def member_of(tree: Mapping[str, Any], name: str, node: Node) -> Any:
    if node.xml_attribute:
        return from_text(tree[f"@{name}"], node) if f"@{name}" in tree else None
    if node.item is not None and not node.xml_wrapped:
        return [convert(item, node.item) for item in as_list(tree, name)]
    return convert(tree[name], node) if name in tree else None


def as_list(tree: Any, name: str | None) -> list[Any]:
    found = tree.get(name, []) if isinstance(tree, dict) else []
    return found if isinstance(found, list) else [found]


def from_text(text: str, node: Node) -> Any:
    match node.kind:
        case "string":
            return text
        case "number":
            return Decimal(text)
        case "integer":
            return int(text)
        case "boolean":
            return text == "true"
        case "date":
            return date.fromisoformat(text)
        case _:
            return datetime.fromisoformat(text)


@settings(deadline=None, max_examples=100)
@given(example=examples(), drop_nulls=st.booleans())
def test_the_fast_xml_decoder_reads_what_xmltodict_reads(
    example: tuple[Node, dict[str, Any]], drop_nulls: bool
) -> None:
    node, record = example
    body = to_xml(record, node, drop_nulls=drop_nulls)
    assert exact(xml_decoder(node, DATES)(body)) == exact(oracle(body, node))
