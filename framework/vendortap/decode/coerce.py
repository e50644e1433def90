"""JSON as vendors are known to write it, made fit for its schema.

Repaired are amounts and booleans as strings, ``""`` for null, one object where a list is declared, numbers where
strings are declared, and names in another case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from vendortap.declare.model import Node
from vendortap.decode.values import boolean, integer, number
from vendortap.support.numbers import is_short

_PARSERS: Mapping[str, Callable[[str], Any]] = {"number": number, "integer": integer, "boolean": boolean}


def repair(value: Any, node: Node, beside: set[str] | None = None) -> Any:
    """Return untyped JSON with the habits repaired that vendors are known to have; it may still not fit.

    Names that the schema does not let pass are put into ``beside``.
    """
    if value is None or node.kind in ("any", "given"):
        return value
    if isinstance(value, str):
        return _repair_text(value, node)
    if node.kind == "object":
        return _repair_object(value, node, beside) if isinstance(value, dict) else value
    if node.item is not None:
        return [repair(item, node.item, beside) for item in (value if isinstance(value, list) else [value])]
    return _repair_number(value, node)


def _repair_object(value: Mapping[str, Any], node: Node, beside: set[str] | None) -> dict[str, Any]:
    spelling = {name.casefold(): name for name in node.fields}
    repaired: dict[str, Any] = {}
    for key, member in value.items():
        name = key if key in node.fields else spelling.get(key.casefold())
        if name is not None and (name == key or name not in value):
            repaired[name] = repair(member, node.fields[name], beside)
        elif beside is not None and node.extra is not None and key not in node.extra:
            beside.add(key)
    return repaired


def _repair_text(text: str, node: Node) -> Any:
    if node.kind == "string":
        return text
    stripped = text.strip()
    if not stripped:
        return None
    if node.item is not None:
        return [repair(text, node.item)]
    try:
        return _PARSERS.get(node.kind, str)(stripped)
    except ValueError:
        return text


def _repair_number(value: Any, node: Node) -> Any:
    """Numbers where text is declared, and integers with a fraction of zeros; none that is too long."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not is_short(value):
        return value
    if node.kind == "string":
        return str(value)
    return _repair_text(str(value), node) if node.kind == "integer" else value
