"""Compares a given catalog with the connector: what it selects that is not there, and what is there that it lacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import filterfalse
from typing import Any

import msgspec
from singer_sdk.singerlib import CatalogEntry

from vendortap.declare.model import UNKNOWN, Connector, Node
from vendortap.errors import CatalogError
from vendortap.plugins.validation import Shape
from vendortap.singer.serialisation import inner_crumbs


def check_catalog(document: Any, connector: Connector, known: Mapping[str, Shape]) -> None:
    """Hold a catalog against what the connector has.

    Raises:
        CatalogError: not a catalog, or a stream or field that the connector does not have.
    """
    again = f"`tap-{connector.name} --discover` prints a catalog that fits."
    entries = document.get("streams") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise CatalogError(f"the catalog has no list 'streams'. {again}")
    for entry in entries:
        name = entry.get("tap_stream_id")
        if not isinstance(name, str) or name not in known:
            raise CatalogError(f"the catalog has a stream {name!r}, which {connector.name} does not. {again}")
        crumbs = {*inner_crumbs(known[name].record), ("properties", UNKNOWN), ()}
        for crumb in filterfalse(crumbs.__contains__, _catalog_crumbs(entry, name)):
            field = field_path(crumb)
            raise CatalogError(
                f"the catalog has a field {field!r} in {name!r}, which {connector.name} does not. {again}"
            )


def undeclared(entry: CatalogEntry, node: Node) -> Iterator[tuple[str, ...]]:
    """Yield the breadcrumbs of properties that a catalog's entry does not have, the outermost of each branch.

    They came to the connector after the catalog was made, and nobody has selected them. An entry, or an object in it,
    that lists no property at all speaks of the whole.
    """
    declared = {*entry.metadata, *_schema_crumbs(entry.schema.to_dict())}
    return _undeclared(node, (), declared)


def _undeclared(node: Node, crumb: tuple[str, ...], declared: set[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    if node.item is not None:
        yield from _undeclared(node.item, (*crumb, "items"), declared)
    crumbs = {(*crumb, "properties", name): member for name, member in node.fields.items()}
    if declared.isdisjoint(crumbs):
        return
    for inner, member in crumbs.items():
        if inner not in declared:
            yield inner
        else:
            yield from _undeclared(member, inner, declared)


def _schema_crumbs(schema: Mapping[str, Any], crumb: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(items := schema.get("items"), dict):
        yield from _schema_crumbs(items, (*crumb, "items"))
    for name, member in (schema.get("properties") or {}).items():
        yield (*crumb, "properties", name)
        yield from _schema_crumbs(member, (*crumb, "properties", name))


def field_path(crumb: tuple[str, ...]) -> str:
    """Return a breadcrumb as messages have it: ``lines.tax`` for properties, lines, items, properties, tax."""
    parts = iter(crumb)
    return ".".join(next(parts, "") for part in parts if part == "properties")


def _catalog_crumbs(entry: Mapping[str, Any], name: str) -> Iterator[tuple[str, ...]]:
    try:
        for item in entry.get("metadata", ()):
            crumb = msgspec.convert(item["breadcrumb"], tuple[str, ...])
            if not isinstance(item["metadata"], dict):
                raise TypeError
            if crumb[-1:] != ("items",):
                yield crumb
        for field in entry.get("schema", {}).get("properties", {}):
            yield ("properties", field)
    except (AttributeError, KeyError, TypeError, msgspec.ValidationError):
        raise CatalogError(
            f"the catalog's entry of {name!r} cannot be read: 'metadata' has to be a list of breadcrumb and "
            "metadata, 'schema' an object. `--discover` prints a catalog that fits."
        ) from None
