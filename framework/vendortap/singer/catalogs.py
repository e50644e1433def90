"""Catalogs that are given, held against what the connector has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from vendortap.declare.model import UNKNOWN, Connector
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
        crumbs = {*inner_crumbs(known[name].record), ("properties", UNKNOWN)}
        for crumb in _catalog_crumbs(entry, name):
            if crumb and crumb not in crumbs:
                field = ".".join(part for part in crumb if part not in ("properties", "items"))
                raise CatalogError(
                    f"the catalog has a field {field!r} in {name!r}, which {connector.name} does not. {again}"
                )


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
