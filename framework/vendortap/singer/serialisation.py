"""Typed records and their schemas become Singer's: without what is deselected, dates and amounts as Singer has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from vendortap.declare.model import Node, Record
from vendortap.singer.encoding import ENCODER, STRINGS_ENCODER

Shaper = Callable[[Any], Any]
"""Makes a record one for Singer, in place, and returns it: a dict where properties go."""


def shaper(node: Node, mask: Mapping[tuple[str, ...], bool], *, decimal_strings: bool) -> Shaper:
    """Return what makes a typed record one for Singer, in place.

    Deselected properties go, inside objects and arrays too; date-times become ISO 8601 text; with
    ``decimal_strings`` numbers become text.
    """
    return _object_shaper(node, mask, (), decimal_strings) or (lambda record: record)


def _shaper(
    node: Node, mask: Mapping[tuple[str, ...], bool], crumb: tuple[str, ...], decimal_strings: bool
) -> Callable[[Any], Any] | None:
    if node.kind == "object":
        return _object_shaper(node, mask, crumb, decimal_strings)
    if node.kind == "array":
        assert node.item is not None  # noqa: S101 - the compiler of schemas sees to it
        item = _shaper(node.item, mask, (*crumb, "items"), decimal_strings)
        return (lambda values: [v if v is None else item(v) for v in values]) if item else None
    return {**_DATES, **(_DECIMALS if decimal_strings else {})}.get(node.kind)


def _decimals_as_text(value: Any) -> Any:
    """Return a value of unknown shape with its amounts as text."""
    if isinstance(value, dict):
        return {name: _decimals_as_text(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_decimals_as_text(item) for item in value]
    return str(value) if isinstance(value, Decimal) else value


def _date_as_text(value: Any) -> str:
    """Return a date or date-time as in records that are written as they are."""
    return ENCODER.encode(value)[1:-1].decode()


_DATES: Mapping[str, Callable[[Any], Any]] = {"date": _date_as_text, "date-time": _date_as_text}
_DECIMALS: Mapping[str, Callable[[Any], Any]] = {"number": str, "any": _decimals_as_text}


def _object_shaper(
    node: Node, mask: Mapping[tuple[str, ...], bool], crumb: tuple[str, ...], decimal_strings: bool
) -> Shaper | None:
    crumbs = {name: (*crumb, "properties", name) for name in node.fields}
    dropped = tuple(name for name in node.fields if not mask[crumbs[name]])
    members = [
        (name, shape)
        for name, member in node.fields.items()
        if name not in dropped and (shape := _shaper(member, mask, crumbs[name], decimal_strings))
    ]
    if not dropped and not members:
        return None

    def shape_object(record: dict[str, Any]) -> dict[str, Any]:
        for name in dropped:
            del record[name]
        for name, shape in members:
            if (value := record[name]) is not None:
                record[name] = shape(value)
        return record

    return shape_object


def nested_as_json(node: Node, mask: Mapping[tuple[str, ...], bool], *, decimal_strings: bool) -> Shaper:
    """Return what makes JSON text of the objects and arrays of a record, in place; amounts keep every digit."""
    nested = ("object", "array", "any")
    names = [name for name, f in node.fields.items() if f.kind in nested and mask["properties", name]]
    encode = (STRINGS_ENCODER if decimal_strings else ENCODER).encode

    def shape_nested(record: Record) -> Record:
        for name in names:
            if (value := record[name]) is not None:
                record[name] = encode(value).decode()
        return record

    return shape_nested


def selected_schema(
    schema: dict[str, Any], mask: Mapping[tuple[str, ...], bool], crumb: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return the Singer schema without what is deselected, inside objects and arrays too."""
    result = dict(schema)
    if "properties" in schema:
        kept = {k: v for k, v in schema["properties"].items() if mask[(*crumb, "properties", k)]}
        result["properties"] = {
            name: selected_schema(member, mask, (*crumb, "properties", name)) for name, member in kept.items()
        }
        required = list(filter(kept.__contains__, result.pop("required", ())))
        result |= {"required": required} if required else {}
    if "items" in schema:
        result["items"] = selected_schema(schema["items"], mask, (*crumb, "items"))
    return result


def inner_crumbs(node: Node, crumb: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the breadcrumb of every property, those of objects inside arrays included."""
    if node.item is not None:
        yield from inner_crumbs(node.item, (*crumb, "items"))
    for name, member in node.fields.items():
        yield (*crumb, "properties", name)
        yield from inner_crumbs(member, (*crumb, "properties", name))
