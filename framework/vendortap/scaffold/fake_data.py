"""Source of a sandbox's made-up records: what fits a stream's schema, computed from a seed and an index alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from vendortap.scaffold import allowed, names, schema, source

KEY = 'f"A{index:05}"'


def record(declared: Mapping[str, Any], keys: Collection[str]) -> str:
    """Return the source of a dict with all properties of a schema; those of ``keys`` are made of the index.

    It refers to ``index``, ``random`` (a Random), and what the sandbox's template imports.
    """
    made = {
        name: (KEY if "string" in schema.types(member) else "index") if name in keys else _value(member, name)
        for name, member in declared["properties"].items()
    }
    return source.members(made)


def _value(declared: Mapping[str, Any], name: str) -> str:
    kind = schema.kind(declared)
    if kind == "object":
        return source.members({inner: _value(member, inner) for inner, member in declared["properties"].items()})
    if kind == "array":
        value = _value(declared["items"], names.singular(name))
        return f"[{value} for _ in range(random.randint(1, 3))]"
    return _leaf(str(declared.get("format", kind)), name)


def _leaf(kind: str, name: str) -> str:
    if kind == "string" and "currency" in name.lower():
        return 'random.choice(("EUR", "USD"))'
    word = names.snake(name).replace("_", "-") or "text"
    return {
        "number": "Decimal(random.randint(1, 100_000)) / 100",
        "integer": "random.randint(1, 9)",
        "boolean": "random.choice((True, False))",
        "date-time": 'stamp(FIRST + timedelta(minutes=7 * index), "+00:00")',
        "date": "(FIRST + timedelta(minutes=7 * index)).date().isoformat()",
    }.get(kind, f'f"{word}-{{random.randint(1, 9)}}"')


@dataclass
class XmlForm:
    """What a sandbox has to know of a schema to write it as XML; ``clash`` where XML cannot have all of it."""

    clash: bool = False
    _members: dict[str, tuple[str, str, bool]] = field(default_factory=dict)
    """What a member is called, what its entries are called, if it is a list, and whether they stand alone."""

    def add(self, declared: Mapping[str, Any]) -> None:
        """Look at an object's members, and at what is inside them."""
        for name, member in declared["properties"].items():
            self._add_member(name, member)

    def _add_member(self, name: str, member: Mapping[str, Any]) -> None:
        xml = member.get("xml", {})
        called = f"{'@' if xml.get('attribute') else ''}{xml.get('name', name)}"
        item, flat = "item", False
        inner = member.get("items", member)
        if "items" in member:
            flat = not xml.get("wrapped", False)
            item = str(inner.get("xml", {}).get("name", name if flat else item))
        if "properties" in inner:
            self.add(inner)
        form = (called, item if "items" in member else "", flat)
        is_sayable = all(map(allowed.is_of_xml, (called.removeprefix("@"), item)))
        self.clash |= not is_sayable or self._members.setdefault(name, form) != form

    def source(self, root: str, items: Mapping[str, str]) -> str:
        """Return the source of the XmlNames of a reply: its root element, and further lists of its envelope."""
        members = self._members.items()
        all_items = {**items, **{name: item for name, (_, item, _) in members if item}}
        renamed = {name: called for name, (called, _, _) in members if called != name}
        flat = sorted(name for name, (_, _, is_flat) in members if is_flat)
        return source.call(
            "XmlNames",
            source.text(root),
            items=source.texts(all_items),
            renamed=source.texts(renamed),
            flat=f"frozenset({source.names(flat)})" if flat else "",
            namespaces="()",
        )
