"""An OpenAPI document (Swagger 2.0, OpenAPI 3.0 and 3.1) as data: references resolved, schemas converted.

Vendors' documents are rarely right in all they say. What a type of the record schemas can hold is converted, the rest
is left out and said; nothing is required, as replies leave out what their documents require.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import referencing
import referencing.exceptions

from vendortap.declare.model import UNKNOWN
from vendortap.errors import UsageError
from vendortap.scaffold import allowed, names, schema
from vendortap.scaffold.document import Json
from vendortap.scaffold.notes import Notes
from vendortap.scaffold.observations import text_leaf
from vendortap.scaffold.source import printable

MOST = 100_000
"""Places of a document that are looked at, references followed. A large document comes to some ten thousand."""
DEEPEST = 60
"""Levels of nesting in a record, and of references. What is deeper could not be written as Python."""

SELF = "refers to itself; left out"
NO_TYPE = "has no type that could be told; left out"
FREE_FORM = "an object without declared members; left out"
UNRESOLVED = "refers to what is not in the document; left out"
ONE_OF = "one of several forms; declared with the members of all"
MIXED = "of types that no one schema takes; left out"
TEXT_OR_NUMBER = "text or a number; declared as text"
TWICE = "differs only in case from another name of the same object; left out, and names are read in any case"
TEXT_AMOUNT = "declared as text, though the name is an amount's; make it a number if the vendor sends plain digits"
SAME_IN_XML = "has the same name in XML as another member of the same object; left out"
WRONG_EXAMPLE = "its example is not what it is declared as; declared as what takes both"
WRONG_BOOLEAN = "its example is not what it is declared as; one of the two is wrong"

_TYPES: Mapping[str, tuple[str, str]] = {
    **{kind: (kind, "") for kind in ("object", "array", "string", "number", "integer", "boolean", "null")},
    **dict.fromkeys(("decimal", "double", "float", "currency", "money", "numeric"), ("number", "")),
    **dict.fromkeys(("int", "int32", "int64", "long", "short"), ("integer", "")),
    **dict.fromkeys(("str", "text", "uuid", "guid"), ("string", "")),
    **dict.fromkeys(("datetime", "date-time", "timestamp"), ("string", "date-time")),
    "bool": ("boolean", ""),
    "date": ("string", "date"),
}
"""What documents say for a type, and what they mean: type and format."""
_NUMBER_FORMATS = ("decimal", "double", "float", "number", "money", "currency")
_XML_MARKS: Mapping[str, tuple[str, ...]] = {"array": ("wrapped",), "object": (), "leaf": ("attribute",)}
_LINE = 200
_REFERENCE = 1000


class Spec:
    """A document and what its references refer to.

    A few references can stand for more places than there is memory. So the places that are looked at are counted.
    """

    def __init__(self, document: Json, most: int = MOST) -> None:
        self.document = document
        self._left = self._most = most
        self._targets: dict[str, Any] = {}
        self.is_swagger = "swagger" in document
        resource = referencing.Resource.opaque(document)
        self._resolver = referencing.Registry().with_resource("", resource).resolver()

    def look(self, place: str, where: str = "", places: int = 1) -> None:
        """Count places that are looked at; ``place`` is the last of them, in the answer of ``where`` if one is given.

        Raises:
            UsageError: they are too many.
        """
        self._left -= places
        if self._left < 0:
            raise UsageError(
                f"the OpenAPI document comes to more than {self._most:,} places, its references followed; the last was "
                f"{_told(place, where)}. Choose operations with --match, or leave out references there"
            )

    def target(self, reference: Any) -> Any:
        """Return what a reference refers to; ``None`` where it is not in this document."""
        name = str(reference)
        if name not in self._targets:
            self._targets[name] = self._found(name) if len(name) <= _REFERENCE else None
        return self._targets[name]

    def _found(self, reference: str) -> Any:
        try:
            return self._resolver.lookup(reference).contents
        except (referencing.exceptions.Unresolvable, ValueError, TypeError):
            return None

    def follow(self, part: Any) -> Json:
        """Return an object with its references followed; an empty one where they lead nowhere."""
        seen: set[str] = set()
        while isinstance(part, Mapping) and "$ref" in part:
            if str(part["$ref"]) in seen:
                return {}
            seen.add(str(part["$ref"]))
            self.look(str(part["$ref"]))
            part = self.target(part["$ref"])
        return part if isinstance(part, Mapping) else {}


class Converter:
    """Converts the schemas of one document for one stream; ``where`` is the operation that has it."""

    def __init__(self, spec: Spec, notes: Notes, where: str, *, has_xml: bool) -> None:
        self.spec = spec
        self.where = where
        self.notes = notes
        self.has_xml = has_xml
        self.any_case = False
        self._depth = 0

    def convert(
        self, raw: Any, path: str = "$", name: str = "", within: frozenset[str] = frozenset()
    ) -> schema.Schema | None:
        """Return a record schema's part, null allowed but for objects and list entries; ``None`` where it is left out.

        ``within`` are the references that led here.
        """
        with self._deeper(path):
            return self._convert(raw, path, name, within)

    def _convert(self, raw: Any, path: str, name: str, within: frozenset[str]) -> schema.Schema | None:
        flat, within = self._flat(raw, path, within)
        if flat is None:
            return None
        types, form = _types(flat)
        if not types and "example" in flat:
            types = {_type_of(flat["example"])}
        if types == {"array"}:
            return self._array(flat, path, name, within)
        if types == {"object"}:
            return self._object(flat, path, within)
        kind = self._leaf(types, form, flat, path, name)
        return None if kind is None else self._finished(schema.leaf_schema(kind), flat, "leaf")

    @contextmanager
    def _deeper(self, path: str) -> Iterator[None]:
        """Go one level deeper for as long as the context lasts; raises UsageError where that is too deep."""
        if self._depth >= DEEPEST:
            raise UsageError(
                f"the OpenAPI document is nested more than {DEEPEST} levels deep, its references followed, at "
                f"{_told(path, self.where)}; leave that out"
            )
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1

    # --- references and combinations -----------------------------------------------------------------

    def _flat(self, raw: Any, path: str, within: frozenset[str]) -> tuple[dict[str, Any] | None, frozenset[str]]:
        """Return a schema with references and combinations merged into it, and the references that led to it."""
        if not isinstance(raw, Mapping):
            return ({}, within) if raw is True else (None, within)
        self.spec.look(path, self.where)
        with self._deeper(path):
            return self._flattened(raw, path, within)

    def _flattened(self, raw: Json, path: str, within: frozenset[str]) -> tuple[dict[str, Any] | None, frozenset[str]]:
        merged = {
            keyword: value for keyword, value in raw.items() if keyword not in ("$ref", "allOf", "oneOf", "anyOf")
        }
        if "$ref" in raw:
            part, within = self._referred(str(raw["$ref"]), path, within)
            if part is None:
                return None, within
            merged = self._merge(part, merged, path)
        parts: dict[str, Any] = {}
        for part_raw in as_list(raw.get("allOf")):
            part, inner = self._flat(part_raw, path, within)
            within |= inner
            parts = self._merge(parts, part or {}, path)
        merged = self._merge(parts, merged, path)
        for keyword in ("oneOf", "anyOf"):
            merged, within = self._one_of(as_list(raw.get(keyword)), merged, path, within)
        return merged, within

    def _referred(self, reference: str, path: str, within: frozenset[str]) -> tuple[Json | None, frozenset[str]]:
        """Return the schema that a reference leads to; ``None`` where that is what it is in, or not in the document."""
        target = self.spec.target(reference)
        if reference in within or target is None:
            self.notes.say(SELF if reference in within else UNRESOLVED, path)
            return None, within
        part, within = self._flat(target, path, within | {reference})
        return part or {}, within

    def _one_of(
        self, variants: list[Any], merged: dict[str, Any], path: str, within: frozenset[str]
    ) -> tuple[dict[str, Any], frozenset[str]]:
        kinds: set[str] = set()
        for raw in variants:
            part, inner = self._flat(raw, path, within)
            if part is None or (found := _types(part)[0]) == {"null"}:
                continue
            within |= inner
            kinds |= found
            merged = self._merge(merged, {**part, "type": None}, path)
        if len(kinds) == 1 and len(variants) > 1 and kinds == {"object"}:
            self.notes.say(ONE_OF, path)
        if kinds:
            merged["type"] = sorted(kinds)
        return merged, within

    def _merge(self, first: Json, second: Json, path: str) -> dict[str, Any]:
        """Return both schemas in one: members of both, of everything else what the second says."""
        merged = {**first, **{keyword: value for keyword, value in second.items() if value is not None}}
        members = {**_members(first), **_members(second)}
        self.spec.look(path, self.where, len(members))
        return {**merged, "properties": members} if members else merged

    # --- types ---------------------------------------------------------------------------------------

    def _leaf(self, types: set[str], form: str, flat: Json, path: str, name: str) -> str | None:
        """Return the kind of a place without inner structure."""
        if not types or types == {"null"}:
            self.notes.say(NO_TYPE, path)
            return None
        if types <= {"number", "integer"}:
            return self._number(types, flat, path, name)
        if types == {"boolean"}:
            if isinstance(example := _example(flat), str) and example.lower() not in ("true", "false"):
                self.notes.say(WRONG_BOOLEAN, path)
            return "boolean"
        if types <= {"string", "number", "integer"}:
            return self._text(types, form, flat, path, name)
        self.notes.say(MIXED, path)
        return None

    def _number(self, types: set[str], flat: Json, path: str, name: str) -> str:
        kind = "number" if "number" in types or names.is_amount(name) else "integer"
        example = _example(flat)
        if kind == "integer" and isinstance(example, float) and not example.is_integer():
            self.notes.say(WRONG_EXAMPLE, path)
            return "number"
        if isinstance(example, str) and not re.fullmatch(r"\s*-?[0-9]+(\.[0-9]+)?\s*", example):
            self.notes.say(WRONG_BOOLEAN, path)
        return kind

    def _text(self, types: set[str], form: str, flat: Json, path: str, name: str) -> str:
        if types != {"string"}:
            if names.is_amount_or_count(name):
                return "number"
            self.notes.say(TEXT_OR_NUMBER, path)
            return "string"
        if form in ("date", "date-time"):
            return self._date(form, _example(flat), path)
        if names.is_amount(name):
            self.notes.say(TEXT_AMOUNT, path)
        return "string"

    def _date(self, form: str, example: Any, path: str) -> str:
        """Return the form of a date that its example has too: where there is time in it, it is a date-time."""
        if not isinstance(example, str) or not example:
            return form
        found = text_leaf(example)
        if found == form or (form == "date-time" and found == "date"):
            return form
        self.notes.say(WRONG_EXAMPLE, path)
        return "date-time" if found == "date-time" else "string"

    # --- structure -----------------------------------------------------------------------------------

    def _array(self, flat: Json, path: str, name: str, within: frozenset[str]) -> schema.Schema | None:
        items = self.convert(flat.get("items", {}), f"{path}[]", names.singular(name), within)
        if items is None:
            return None
        entries, _ = self._flat(flat.get("items"), path, within)
        items = schema.nullable(items) if entries and _may_be_null(entries) else items
        return self._finished({"type": "array", "items": items}, flat, "array")

    def _object(self, flat: Json, path: str, within: frozenset[str]) -> schema.Schema | None:
        properties: schema.Schema = {}
        folded: set[str] = set()
        in_xml: set[tuple[bool, str]] = set()
        for name, raw in _members(flat).items():
            if not allowed.is_plain(name) or name == UNKNOWN:
                self.notes.say(schema.NO_NAME, f"{path}.{name}")
                continue
            if name.casefold() in folded:
                self.notes.say(TWICE, f"{path}.{name}")
                self.any_case = True
                continue
            if isinstance(raw, Mapping) and raw.get("writeOnly"):
                continue
            converted = self.convert(raw, f"{path}.{name}", name, within)
            if converted is None:
                continue
            if (called := schema.name_in_xml(name, converted)) in in_xml:
                self.notes.say(SAME_IN_XML, f"{path}.{name}")
            else:
                in_xml.add(called)
                folded.add(name.casefold())
                properties[name] = schema.nullable(converted)
        if not properties:
            self.notes.say(FREE_FORM, path)
            return None
        return self._finished({"type": "object", "properties": properties}, flat, "object")

    def _finished(self, made: schema.Schema, flat: Json, kind: str) -> schema.Schema:
        """Return the schema with its description, and its name and form in XML."""
        description = line(flat.get("description"), 2 * _LINE)
        told = {"description": description} if 0 < len(description) <= _LINE else {}
        head: dict[str, Any] = {keyword: made.pop(keyword) for keyword in ("type", "format") if keyword in made}
        xml = self._xml(flat, kind)
        return {**head, **({"xml": xml} if xml else {}), **told, **made}

    def _xml(self, flat: Json, kind: str) -> dict[str, Any]:
        """Return the ``xml`` object without what has no effect by the rules of OpenAPI, or no meaning here."""
        raw = flat.get("xml")
        if not self.has_xml or not isinstance(raw, Mapping) or (kind == "array" and raw.get("wrapped") is not True):
            return {}
        xml = {"name": raw["name"]} if allowed.is_of_xml(str(raw.get("name", ""))) else {}
        return xml | {mark: True for mark in _XML_MARKS[kind] if raw.get(mark) is True}


def _told(place: str, where: str) -> str:
    answer = f" in the answer of {where[:_REFERENCE]}" if where else ""
    return printable(f"{place[:_REFERENCE]}{answer}")


# --- reading what documents say ----------------------------------------------------------------------


def line(text: Any, most: int = _LINE) -> str:
    """Return a text of the document on one line, without what cannot be printed, and not too long."""
    words = printable(" ".join(str(text or "")[: 10 * most].split()))
    return words if len(words) <= most else f"{words[: most - 1]}…"


def as_list(value: Any, *, alone: bool = False) -> list[Any]:
    """Return a list as it is, and with ``alone`` one value as a list of it; else nothing."""
    if isinstance(value, list):
        return value
    return [value] if alone and value is not None else []


def _members(flat: Mapping[str, Any]) -> dict[str, Any]:
    found = flat.get("properties")
    return {str(name): raw for name, raw in found.items()} if isinstance(found, Mapping) else {}


def _example(flat: Mapping[str, Any]) -> Any:
    """Return an example; a long text only as far as it tells what it is."""
    found = flat.get("example")
    return found[:_LINE] if isinstance(found, str) else found


def _may_be_null(flat: Mapping[str, Any]) -> bool:
    marked = flat.get("nullable") is True or flat.get("x-nullable") is True
    return marked or "null" in as_list(flat.get("type"), alone=True)


def _types(flat: Mapping[str, Any]) -> tuple[set[str], str]:
    """Return the types but null, and the format of dates, from all that is declared of them."""
    declared = [str(kind)[:_LINE].lower() for kind in as_list(flat.get("type"), alone=True)[:_LINE]]
    known = [*filter(None, map(_TYPES.get, declared))]
    types = {kind for kind, _ in known} or _implied(flat)
    forms = [*(form for _, form in known), str(flat.get("format", ""))[:_LINE]]
    form = next(filter(None, forms), "")
    if types == {"string"} and form.lower() in _NUMBER_FORMATS:
        types = {"number"}
    return types - {"null"} or types, form


def _implied(flat: Mapping[str, Any]) -> set[str]:
    """Return the types that go without saying: of what has members, items or a list of values."""
    if _members(flat):
        return {"object"}
    if "items" in flat:
        return {"array"}
    values = [*as_list(flat.get("enum"))[:_LINE], *([flat["const"]] if "const" in flat else [])]
    return {_type_of(value) for value in values}


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "integer" if isinstance(value, int) else "number"
    return {dict: "object", list: "array", type(None): "null"}.get(type(value), "string")
