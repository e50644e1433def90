"""Made-up documents for property tests: values that fit a compiled schema, written as JSON and as XML."""

from __future__ import annotations

import json as stdlib_json
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from vendortap.declare.model import Node
from vendortap.decode import xml_tree
from vendortap.decode.structs import RecordStruct, as_dict

NIL = {"@xsi:nil": "true"}

# --- values ------------------------------------------------------------------------------------------

texts = st.text(st.characters(min_codepoint=0x20, codec="utf-8", exclude_characters="\ufffe\uffff"), max_size=8)
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
leaf_values: Mapping[str, st.SearchStrategy[Any]] = {
    "string": texts,
    "number": st.decimals(allow_nan=False, allow_infinity=False) | st.decimals(-10_000, 10_000, places=2),
    "integer": st.integers(-(10**30), 10**30),
    "boolean": st.booleans(),
    "date-time": st.datetimes(datetime(2, 1, 1), timezones=offsets),
    "date": st.dates(date(2, 1, 1)),
}


def values(node: Node) -> st.SearchStrategy[Any]:
    """Return values that conform to a schema."""
    if node.kind == "given":
        return st.none()
    if node.kind == "object":
        strategy: st.SearchStrategy[Any] = st.fixed_dictionaries(
            {name: values(member) for name, member in node.fields.items()}
        )
    elif node.item is not None:
        strategy = st.lists(values(node.item), max_size=3)
    else:
        strategy = leaf_values[node.kind]
    return st.none() | strategy if node.nullable else strategy


# --- the same value, written in both formats ---------------------------------------------------------


def to_json(value: Any, *, drop_nulls: bool) -> str:
    """Write JSON, Decimals digit for digit; nulls are written or left out."""
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if v is not None or not drop_nulls}
        return (
            "{" + ",".join(f"{stdlib_json.dumps(k)}:{to_json(v, drop_nulls=drop_nulls)}" for k, v in kept.items()) + "}"
        )
    if isinstance(value, list):
        return "[" + ",".join(to_json(v, drop_nulls=drop_nulls) for v in value) + "]"
    if isinstance(value, Decimal):
        return str(value)
    return stdlib_json.dumps(value.isoformat() if isinstance(value, date) else value)


def text_of(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date) else str(value)


def to_tree(value: Any, node: Node, *, drop_nulls: bool) -> Any:
    """Return what xmltodict.unparse writes as the value."""
    if value is None:
        return NIL
    if node.kind == "object":
        return members_of(value, node, drop_nulls=drop_nulls)
    if node.item is not None:
        items = [to_tree(item, node.item, drop_nulls=drop_nulls) for item in value]
        return {node.item.xml_name or "Item": items} if node.xml_wrapped else items
    return {"#text": text_of(value)}


def members_of(value: Mapping[str, Any], node: Node, *, drop_nulls: bool) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, member in node.fields.items():
        if member.xml_attribute:
            if value[name] is not None:
                tree[f"@{name}"] = text_of(value[name])
        elif value[name] is not None or not drop_nulls:
            tree[member.xml_name or name] = to_tree(value[name], member, drop_nulls=drop_nulls)
    # an object of nothing but nulls is told from null by having anything inside
    return tree if any(content != [] for content in tree.values()) else {**tree, "Unknown": "x"}


def to_xml(value: Any, node: Node, *, drop_nulls: bool) -> bytes:
    """Write XML; nulls are written as ``xsi:nil`` or left out."""
    tree = to_tree(value, node, drop_nulls=drop_nulls)
    return xml_tree.dumps(
        {node.xml_name or "Root": {"@xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance", **tree}}
    )


def exact(value: Any) -> Any:
    """Make equal only what is the same digit for digit: 1.0 is not 1.00, True is not 1; a row is a dict."""
    if isinstance(value, RecordStruct):
        value = as_dict(value)
    if isinstance(value, dict):
        return {name: exact(member) for name, member in value.items()}
    if isinstance(value, list):
        return [exact(item) for item in value]
    if isinstance(value, datetime):
        return ("datetime", value, value.utcoffset())
    return (type(value).__name__, str(value))


_JUNK: tuple[Any, ...] = (
    *(None, True, -1, 2, 10**30, 1.5, "", "x", "1", [], {}, [None], [1], ["a"], [[]], [{}], {"a": 5}, {"a": "b"}),
    *("\ud800", ["\ud800"], {"\ud800": 1}, {"\ud800": "a"}),
    *("2025-01-01", "2025-01-01T00:00:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"),
)


def spoil(document: Any, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
    """Make anything else of one or two nodes inside a JSON document, or take them out."""
    for _ in range(draw(st.integers(1, 2))):
        holder, name = draw(st.sampled_from(list(_places(document))))
        if draw(st.booleans()) and draw(st.booleans()):
            del holder[name]
        else:
            holder[name] = deepcopy(draw(st.sampled_from(_JUNK)))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in list(members):
        yield value, name
        yield from _places(inner)
