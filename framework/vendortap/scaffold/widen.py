"""Widens a schema that there is by what samples show: titles, descriptions and order stay, nothing is narrowed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from vendortap.declare.model import Node
from vendortap.scaffold import allowed, kinds, schema
from vendortap.scaffold.notes import Notes
from vendortap.scaffold.observations import Observations
from vendortap.scaffold.schema import Schema

_KEPT = kinds.MIXED.replace("left out", "kept as it was")


def widen(existing: Mapping[str, Any], seen: Observations, notes: Notes) -> tuple[Schema, list[str]]:
    """Return the schema with all that the samples have in it, and one line for each change.

    What is described in ``$defs`` is widened there, for every place that refers to it.
    """
    widening = _Widening(copy.deepcopy(dict(existing)), notes)
    widening.markup(widening.root, seen, "$")
    widening.object(widening.root, seen, "$")
    return widening.root, widening.changes


def known(node: Node, *, has_xml: bool) -> Observations:
    """Return what a compiled schema says, in the form of what was seen: what XML is to be read by.

    A schema that has no ``xml`` in it at all (``has_xml``) does not say what lists look like there.
    """
    seen = Observations(xml_name=node.xml_name, xml_attribute=node.xml_attribute)
    if node.item is not None:
        seen.lists, seen.item = 1, known(node.item, has_xml=has_xml)
        seen.xml_wrapped = node.xml_wrapped if has_xml else None
    elif node.kind == "object":
        seen.objects = 1
        seen.fields = {name: known(member, has_xml=has_xml) for name, member in node.fields.items()}
    return seen


class _Widening:
    """One schema document while it is widened, in place."""

    def __init__(self, root: Schema, notes: Notes) -> None:
        self.root = root
        self.notes = notes
        self.changes: list[str] = []

    def object(self, place: Schema, seen: Observations, path: str) -> None:
        properties: Schema = place.setdefault("properties", {})
        for name in properties:
            if name not in seen.fields and seen.objects:
                self.notes.say(schema.NOT_SEEN, f"{path}.{name}")
        for name, member in seen.fields.items():
            if name in properties:
                self.member(properties, name, member, f"{path}.{name}")
            else:
                self.add(properties, name, member, f"{path}.{name}")
        self.relax_required(place, seen, path)

    def relax_required(self, place: Schema, seen: Observations, path: str) -> None:
        """Let those required members be null that some sample has not."""
        properties = place["properties"]
        for name in [*place.get("required", ())]:
            member = seen.fields.get(name)
            if member is None or schema.never_null(member, seen, self.resolved(properties[name])):
                continue
            place["required"].remove(name)
            if not place["required"]:
                del place["required"]
            self.allow_null(properties, name)
            self.changes.append(f"{path}.{name} may be null now: it was required")

    def allow_null(self, holder: Schema, name: str) -> None:
        self.own(holder, name)
        holder[name] = schema.nullable(holder[name])

    def add(self, properties: Schema, name: str, seen: Observations, path: str) -> None:
        if not allowed.is_plain(name):
            self.notes.say(schema.NO_NAME, path)
            return
        drafted = schema.draft(seen, name, self.notes, path)
        if drafted is not None:
            properties[name] = schema.nullable(drafted)
            self.changes.append(f"{path} is new: {_kind(drafted)}")

    def resolved(self, declared: Schema) -> Schema:
        """Return what a reference refers to, or the schema itself."""
        while "$ref" in declared:
            declared = self.root["$defs"][declared["$ref"].removeprefix("#/$defs/")]
        return declared

    def own(self, holder: Schema, name: str) -> None:
        """Give a place a copy of what it refers to, if anything, as it has to differ from the others that do."""
        declared = holder[name]
        beside = {keyword: value for keyword, value in declared.items() if keyword != "$ref"}
        holder[name] = {**copy.deepcopy(self.resolved(declared)), **beside}

    def member(self, holder: Schema, name: str, seen: Observations, path: str) -> None:
        """Widen the schema that ``holder`` has under a name."""
        self.markup(holder[name], seen, path)
        place = self.resolved(holder[name])
        kind = schema.kind(place)
        if kind == "array":
            self.array(place, seen, path)
        elif kind == "object" and seen.leaves:
            self.notes.say(_KEPT, path)
        elif seen.lists:
            self.make_array(holder, name, seen, path)
        elif kind == "object":
            self.object(place, seen, path)
        elif seen.objects:
            self.notes.say(_KEPT, path)
        elif seen.leaves:
            self.leaf(holder, name, seen, path)

    def markup(self, declared: Schema, seen: Observations, path: str) -> None:
        """Say what a place is called in XML, and what form it has there, if nothing is said of that yet."""
        told = {**self.resolved(declared).get("xml", {}), **declared.get("xml", {})}
        form = {keyword: value for keyword, value in schema.xml_of(seen).items() if keyword not in told}
        if form:
            declared["xml"] = {**declared.get("xml", {}), **form}
            self.changes.append(f"{path} is told how it looks in XML: {', '.join(form)}")

    def array(self, place: Schema, seen: Observations, path: str) -> None:
        entries = schema.entries_of(seen, self.notes, path)
        self.member(place, "items", entries, f"{path}[]")
        items = self.resolved(place["items"])
        blank = entries.blanks and _kind(items) != "string"
        if (entries.nulls or blank) and "null" not in schema.types(items):
            self.allow_null(place, "items")
            self.changes.append(f"{path}[] may be null now")

    def make_array(self, holder: Schema, name: str, seen: Observations, path: str) -> None:
        """One value was declared, and there is a list: what was declared becomes its entry."""
        self.own(holder, name)
        declared = holder[name]
        kind = schema.kind(declared)
        items = {**declared, "type": kind}
        title = {keyword: items.pop(keyword) for keyword in ("title", "description") if keyword in items}
        items.pop("xml", None)
        array = schema.with_xml({"type": "array", "items": items}, seen)
        if seen.item and seen.item.xml_name:
            items["xml"] = {"name": seen.item.xml_name}
        holder[name] = {**(schema.nullable(array) if "null" in schema.types(declared) else array), **title}
        self.changes.append(f"{path} is a list now: it was {kind}")
        self.array(holder[name], seen, path)

    def leaf(self, holder: Schema, name: str, seen: Observations, path: str) -> None:
        before = _kind(self.resolved(holder[name]))
        if before in ("number", "integer", "boolean"):
            kinds.say_quoted(seen, self.notes, path)
        fits = all(map(_TAKES[before], seen.leaves))
        after = before if fits else kinds.joined({before, *seen.leaves})
        if after is None:
            self.notes.say(_KEPT, path)
        elif after != before:
            self.own(holder, name)
            declared = holder[name]
            rest = {keyword: value for keyword, value in declared.items() if keyword not in ("type", "format")}
            made = schema.leaf_schema(after)
            holder[name] = {**(schema.nullable(made) if "null" in schema.types(declared) else made), **rest}
            self.changes.append(f"{path} is {after} now: it was {before}")


def _kind(declared: Schema) -> str:
    """Return the type that is not null, or the format of a date."""
    return str(declared.get("format", schema.kind(declared)))


_TAKES: Mapping[str, Callable[[str], bool]] = {
    "string": lambda leaf: leaf not in ("boolean",),
    "number": lambda leaf: leaf in ("integer", "number", "whole", "decimal"),
    "integer": lambda leaf: leaf in ("integer", "whole"),
    "boolean": lambda leaf: leaf in ("boolean", "truth"),
    "date": lambda leaf: leaf == "date",
    "date-time": lambda leaf: leaf in ("date-time", "date"),
}
"""What the decoders of a kind, with their repairs, take of what was seen."""
