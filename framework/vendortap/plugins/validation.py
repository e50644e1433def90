"""Whether a connector's declaration agrees with itself and with its schemas."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import filterfalse
from typing import Any

from vendortap.declare.model import UNKNOWN, Config, Connector, Node, Parent, Plan, Stream, Windows
from vendortap.decode import schemas
from vendortap.errors import DeclarationError

EXTRA_STREAMS = "extra_streams"
"""The setting that names streams that are not selected by default."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A stream's compiled schema: ``record`` is what is handed on, ``row`` what is looked for in a reply."""

    schema: schemas.Schema
    record: Node
    row: Node


def settings(connector: Connector) -> dict[str, Any]:
    """Return the connector's config schema, with the settings that every connector has.

    Where it has streams that are not selected by default, one setting names those to be read.

    Raises:
        DeclarationError: see vendortap.decode.schemas.
    """
    schema = schemas.load_settings(connector.schemas)
    extra = [stream.name for stream in connector.streams if not stream.selected_by_default]
    if not extra:
        return schema
    setting = {
        "type": "array",
        "items": {"type": "string", "enum": extra},
        "default": [],
        "description": "Streams to read as well, which are read only where they are named here: no selection in a "
        "catalog, such as Meltano's *.*, is enough, as each of their records costs a request of its own.",
    }
    return {**schema, "properties": {**schema["properties"], EXTRA_STREAMS: setting}}


def is_usual(stream: Stream, config: Config) -> bool:
    """Whether a run reads a stream that nothing selects: by default, or because the settings name it."""
    return stream.selected_by_default or stream.name in (config.get(EXTRA_STREAMS) or ())


def shapes(connector: Connector) -> dict[str, Shape]:
    """Load and compile the schemas of all streams.

    Raises:
        DeclarationError: see vendortap.decode.schemas.
    """
    return {stream.name: _shape(connector, stream) for stream in connector.streams}


def _shape(connector: Connector, stream: Stream) -> Shape:
    name = stream.schema or stream.name
    schema = schemas.load(connector.schemas, name)
    record = schemas.compile_record(schema, f"{connector.schemas}/{name}.json")
    given = _given(stream)
    fields = {k: Node("given") if k in given else v for k, v in record.fields.items()}
    return Shape(schema, record, replace(record, fields=fields, required=record.required - given))


def with_unknown(shape: Shape) -> Shape:
    """Return the shape of records that carry what is not declared as well."""
    described = {
        "type": ["object", "null"],
        "additionalProperties": True,
        "description": "What is not declared: place in the record, and what the vendor has there.",
    }
    schema = {**shape.schema, "properties": {**shape.schema["properties"], UNKNOWN: described}}
    record = replace(shape.record, fields={**shape.record.fields, UNKNOWN: Node("any")})
    return Shape(schema, record, replace(shape.row, fields={**shape.row.fields, UNKNOWN: Node("given")}))


def _given(stream: Stream) -> frozenset[str]:
    """Return the properties that the request knows, and that are not looked for in a reply."""
    by_slice = stream.parent or stream.plan.windows
    return frozenset({*stream.add, *((stream.replication_key,) if by_slice and stream.replication_key else ())})


def check(connector: Connector, *, fully: bool = False) -> None:
    """Check the declaration; its schemas as such only ``fully``, or where something is wrong.

    Raises:
        DeclarationError: the first contradiction, with its stream.
    """
    if fully:
        _check_schemas(connector)
    try:
        _check(connector)
    except Exception:
        _check_schemas(connector)  # says best what it is, where a schema is the cause
        raise


def _check_schemas(connector: Connector) -> None:
    for name in ("config", *(stream.schema or stream.name for stream in connector.streams)):
        schemas.check(schemas.load(connector.schemas, name), f"{connector.schemas}/{name}.json")


def _check(connector: Connector) -> None:
    for problem in _connector_problems(connector):
        raise DeclarationError(problem)
    compiled = shapes(connector)
    for stream in connector.streams:
        for problem in _problems(connector, stream, compiled[stream.name].record):
            raise DeclarationError(f"stream {stream.name!r}: {problem}")


def _connector_problems(connector: Connector) -> Iterator[str]:
    if not re.fullmatch("[a-z][a-z0-9]*(-[a-z0-9]+)*", connector.name):
        yield f"its name {connector.name!r} has to be lower-case letters and digits, joined by hyphens"
    schema = settings(connector)
    yield from (f"the setting {name!r} has no type" for name, s in schema["properties"].items() if "type" not in s)
    if not connector.streams:
        yield "it has no streams"
    names = [stream.name for stream in connector.streams]
    if len(set(names)) < len(names):
        yield f"two streams are called {max(names, key=names.count)!r}"
    for stream in connector.streams:
        yield from (f"stream {stream.name!r}: {problem}" for problem in _plan_problems(stream.plan, schema))


def _plan_problems(plan: Plan, schema: schemas.Schema) -> Iterator[str]:
    windows, each = plan.windows, plan.each[:1] if plan.each else ()
    span = (windows.start, windows.days) if windows else ()
    for name in (*each, *_names(plan.lookback), *span):
        if name not in schema["required"] and "default" not in schema["properties"].get(name, {}):
            yield f"its plan needs the setting {name!r}, which may be left out"
    if windows:
        yield from _window_problems(windows, schema)


def _window_problems(windows: Windows, schema: schemas.Schema) -> Iterator[str]:
    if schema["properties"].get(windows.days, {}).get("minimum", 0) < 1:
        yield f"the setting {windows.days!r} has no minimum of 1: windows of no days would never end"
    if not 0 <= windows.overlap_seconds < timedelta(days=1).total_seconds():
        yield "its windows overlap by a day or more, or by less than nothing"


def _problems(connector: Connector, stream: Stream, record: Node) -> Iterator[str]:
    if not stream.keys:
        yield "it has no key properties"
    if UNKNOWN in record.fields:
        yield f"its schema has the property {UNKNOWN!r}, which is kept for what no schema has (keep_unknown)"
    yield from _property_problems(stream, record.fields)
    yield from _amount_problems(stream, record)
    yield from _keyed_problems(connector, stream)


def _property_problems(stream: Stream, fields: Mapping[str, Node]) -> Iterator[str]:
    named = {"key": stream.keys, "added": stream.add, "document": _names(stream.document)}
    for role, properties in named.items():
        missing = filterfalse(fields.__contains__, properties)
        yield from (f"the {role} property {name!r} is not in its schema" for name in missing)
    for name in stream.keys:
        if name in fields and fields[name].nullable:
            yield f"the key property {name!r} may be null"
    key = stream.replication_key
    if key is not None and getattr(fields.get(key), "kind", None) != "date-time":
        yield f"the replication key {key!r} is not a date-time of its schema"


def _amount_problems(stream: Stream, record: Node) -> Iterator[str]:
    if stream.amount is None:
        return
    if (found := _at(record, stream.amount.path)) is None or found.kind not in ("number", "integer"):
        yield f"the amount {stream.amount.path!r} is not a number of its schema"
    currency = stream.amount.currency
    if currency and ((found := _at(record, currency)) is None or found.kind != "string"):
        yield f"the currency {currency!r} is not a text of its schema"


def _at(node: Node, path: str) -> Node | None:
    """Return what a schema has at a path, through the items of lists."""
    found: Node | None = node
    for name in path.split("."):
        while found and found.item:
            found = found.item
        found = found.fields.get(name) if found else None
    return found


def _names(*names: str | None) -> tuple[str, ...]:
    return tuple(name for name in names if name)


def _keyed_problems(connector: Connector, stream: Stream) -> Iterator[str]:
    if stream.parent is None:
        return
    given, fields = _given(stream), _shape(connector, stream).record.fields
    for name in stream.parent.echo:
        if name not in fields or name in given:
            yield f"the number {name!r} that a document should say of itself is not in its schema, or not read from it"
    if stream.parent.stream is not None:
        yield from _parent_problems(connector, stream, stream.parent)


def _parent_problems(connector: Connector, stream: Stream, parent: Parent) -> Iterator[str]:
    lists: dict[str | None, Stream] = {one.name: one for one in connector.streams if one.parent is None}
    if (listing := lists.get(parent.stream)) is None:
        yield f"its parent {parent.stream!r} is not a list stream of this connector"
    elif parent.field not in _shape(connector, listing).record.fields:
        yield f"its parent {parent.stream!r} has no property {parent.field!r}"
    elif stream.replication_key and not (parent.changed or listing.replication_key):
        yield f"it is incremental, its parent {parent.stream!r} is not"
