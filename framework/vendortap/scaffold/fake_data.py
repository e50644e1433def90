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

    items: dict[str, str] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    flat: set[str] = field(default_factory=set)
    clash: bool = False
    _seen: dict[str, tuple[str, str, bool]] = field(default_factory=dict)

    def add(self, declared: Mapping[str, Any]) -> None:
        """Look at an object's members, and at what is inside them."""
        for name, member in declared["properties"].items():
            self._add_member(name, member)

    def _add_member(self, name: str, member: Mapping[str, Any]) -> None:
        xml = member.get("xml", {})
        renamed = str(xml.get("name", name))
        renamed = f"@{renamed}" if xml.get("attribute") else renamed
        item, flat = "", False
        if "items" in member:
            flat = not xml.get("wrapped", False)
            item = str(member["items"].get("xml", {}).get("name", name if flat else "item"))
            if "properties" in member["items"]:
                self.add(member["items"])
        elif "properties" in member:
            self.add(member)
        form = (renamed, item, flat)
        sayable = allowed.is_of_xml(renamed.removeprefix("@")) and (not item or allowed.is_of_xml(item))
        self.clash = self.clash or not sayable or self._seen.setdefault(name, form) != form
        if item:
            self.items[name] = item
        if flat:
            self.flat.add(name)
        if renamed != name:
            self.renamed[name] = renamed

    def source(self, root: str, items: Mapping[str, str]) -> str:
        """Return the source of the XmlNames of a reply: its root element, and further lists of its envelope."""
        all_items = {**items, **self.items}
        return source.call(
            "XmlNames",
            source.text(root),
            f"items={_texts(all_items)}" if all_items else "",
            f"renamed={_texts(self.renamed)}" if self.renamed else "",
            f"flat=frozenset({source.names(sorted(self.flat))})" if self.flat else "",
            "namespaces=()",
        )


def _texts(entries: Mapping[str, str]) -> str:
    return source.members({name: source.text(value) for name, value in entries.items()})
