"""The schema of a whole page: where its records are, and the values beside them that pager and check need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from vendortap.declare.model import Node, RecordSelector
from vendortap.decode.structs import plain


class Selected(NamedTuple):
    """What was selected of a page: its records, the values beside them, and names of elements among the records.

    ``records`` is ``None`` where there is no place for them.
    """

    records: list[Any] | None
    more: Mapping[str, Any]
    siblings: Sequence[str] = ()


def prefix(selector: RecordSelector) -> str:
    """Return the JSON path of the records."""
    return "$" + "".join(f".{name}" for name in selector.path)


def page_node(row: Node, selector: RecordSelector) -> Node:
    """Return the schema of a whole reply, of which only the records and what pager and check need is looked at."""
    leaf = Node("array", item=row, xml_wrapped=True) if selector.many else replace(row, nullable=bool(selector.path))
    if not selector.path:
        also = looked_for_inside(row, selector)
        extra = leaf.extra if leaf.extra is None else leaf.extra - also.keys()
        return replace(leaf, fields={**leaf.fields, **also}, extra=extra) if also else leaf
    return _tree_node(_tree({selector.path: leaf, **_more(selector)}))


def around_node(selector: RecordSelector) -> Node:
    """Return the schema of what is around the records."""
    return _tree_node(_tree(_more(selector)))


def looked_for_inside(row: Node, selector: RecordSelector) -> Mapping[str, Node]:
    """Return what is looked for in a record that is the whole reply, and is no part of it."""
    if selector.path or selector.many:
        return {}
    return _tree_node(_tree({path: node for path, node in _more(selector).items() if path[0] not in row.fields})).fields


def names_beside(selector: RecordSelector) -> set[str]:
    """Return the names that are looked for in a record that is the whole reply."""
    return set() if selector.path or selector.many else {value.path[0] for value in selector.more.values()}


def own_values(row: Node, selector: RecordSelector, records: Sequence[Any]) -> dict[str, Any]:
    """Return the values that are looked for beside the records and are part of the one record that a reply is."""
    if not records or not names_beside(selector):
        return {}
    own = {name: where for name, where in selector.more.items() if where.path[0] in row.fields}
    return {name: plain(dig(records[0], where.path)) for name, where in own.items()}


def _more(selector: RecordSelector) -> dict[tuple[str, ...], Node]:
    return {where.path: Node(where.kind) for where in selector.more.values()}


def _tree(leaves: Mapping[tuple[str, ...], Node]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, node in leaves.items():
        place = tree
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = node
    return tree


def _tree_node(tree: Mapping[str, Any]) -> Node:
    return Node("object", fields={k: v if isinstance(v, Node) else _tree_node(v) for k, v in tree.items()})


def more_of(value: Any, selector: RecordSelector) -> dict[str, Any]:
    """Return the values beside the records, by their names in ``RecordSelector.more``."""
    return {name: plain(dig(value, where.path)) for name, where in selector.more.items()}


def dig(value: Any, path: Iterable[str]) -> Any:
    """Follow names into nested rows; ``None`` where there is nothing any more."""
    for name in path:
        value = None if value is None else value[name]
    return value
