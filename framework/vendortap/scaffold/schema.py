"""Writes what was seen as a record schema, in the dialect of vendortap.decode.schemas."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from vendortap.scaffold import allowed, kinds, names
from vendortap.scaffold.notes import Notes
from vendortap.scaffold.observations import Observations

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"

CASE_ONLY = "names that differ only in case; databases may take their columns for one"
MAP = "its members' names are numbers; it reads like a table of values by key, which a schema cannot declare"
NO_NAME = "its name is empty or too long, or has a quote, a backslash or what cannot be printed; left out"
NOT_SEEN = "in the schema, but in none of the samples; kept"


def draft(
    seen: Observations, name: str, notes: Notes, path: str, required: Collection[str] = (), *, strict: bool = False
) -> Schema | None:
    """Return the schema of a place, not counting whether it may be null; ``None`` where none can be written.

    ``required`` are the members that are never null; with ``strict``, so are all that no sample leaves out.
    """
    if seen.lists:
        return _array(seen, name, notes, path, strict=strict)
    if seen.is_object:
        return _object(seen, notes, path, required, strict=strict)
    kind = None if seen.objects else kinds.leaf(seen, name, notes, path)
    if kind is None:
        notes.say(kinds.MIXED, path)
        return None
    return with_xml(leaf_schema(kind), seen)


def leaf_schema(kind: str) -> Schema:
    """Return the schema of a kind without inner structure."""
    return {"type": "string", "format": kind} if kind in ("date", "date-time") else {"type": kind}


def types(declared: Mapping[str, Any]) -> list[str]:
    """Return a schema's types as a list."""
    return [declared["type"]] if isinstance(declared["type"], str) else list(declared["type"])


def kind(declared: Mapping[str, Any]) -> str:
    """Return a schema's type that is not null."""
    return next(kind for kind in types(declared) if kind != "null")


def find(declared: Mapping[str, Any], kind: str, word: str = "") -> str:
    """Return a record's property of a type whose name has a word, and a path can say; empty where there is none."""
    fit = (name for name, member in declared["properties"].items() if kind in types(member) and "format" not in member)
    return next((name for name in fit if word in name.lower() and not {".", "{"} & {*name}), "")


def changed(declared: Mapping[str, Any]) -> str | None:
    """Return the property that tells when a record changed last, if one is called so."""
    dates = (name for name, member in declared["properties"].items() if member.get("format") == "date-time")
    return next(filter(names.is_change, dates), None)


def name_in_xml(name: str, declared: Mapping[str, Any]) -> tuple[bool, str]:
    """Return whether a property is an attribute in XML, and what it is called there."""
    named = declared["items"] if "items" in declared and not declared.get("xml", {}).get("wrapped") else declared
    return bool(declared.get("xml", {}).get("attribute")), str(named.get("xml", {}).get("name", name))


def nullable(schema: Schema) -> Schema:
    """Return the schema with null allowed; the order of its keywords stays."""
    both = types(schema)
    return {**schema, "type": both if "null" in both else [*both, "null"]}


def xml_of(seen: Observations) -> dict[str, Any]:
    """Return the place's name and form in XML, as far as they differ from what goes without saying."""
    xml: dict[str, Any] = {}
    if seen.xml_name and not (seen.lists and not seen.xml_wrapped):
        xml["name"] = seen.xml_name
    if seen.lists and seen.xml_wrapped:
        xml["wrapped"] = True
    if seen.xml_attribute:
        xml["attribute"] = True
    return xml


def with_xml(schema: Schema, seen: Observations) -> Schema:
    """Return the schema with the place's name and form in XML, before what may be long."""
    xml = xml_of(seen)
    kept = {keyword: value for keyword, value in schema.items() if keyword in ("type", "format")}
    rest = {keyword: value for keyword, value in schema.items() if keyword not in kept}
    return {**kept, **({"xml": xml} if xml else {}), **rest}


def _array(seen: Observations, name: str, notes: Notes, path: str, *, strict: bool) -> Schema | None:
    entries = entries_of(seen, notes, path)
    if not entries.times:
        notes.say(kinds.UNKNOWN_ENTRIES, path)
        items: Schema | None = with_xml({"type": "string"}, entries)
    else:
        items = draft(entries, name, notes, f"{path}[]", strict=strict)
    if items is None:
        notes.say(kinds.MIXED, path)
        return None
    # Entries that are empty elements are null where they are no texts, and so are blanks that JSON has for numbers.
    if entries.nulls or not entries.times or (entries.blanks and items != {"type": "string"}):
        items = nullable(items)
    return with_xml({"type": "array", "items": items}, seen)


def entries_of(seen: Observations, notes: Notes, path: str) -> Observations:
    """Return what a list's entries show, those included that some samples have in the place of the list."""
    entries = Observations(xml_name=seen.item.xml_name if seen.item else None)
    if seen.item:
        entries.merge(seen.item)
    if seen.objects or seen.leaves:
        notes.say(kinds.ONE_OR_MANY, path)
        entries.merge(Observations(leaves=seen.leaves, objects=seen.objects, fields=seen.fields, strings=seen.strings))
    return entries


def _object(seen: Observations, notes: Notes, path: str, required: Collection[str], *, strict: bool) -> Schema:
    _look_at_names(seen, notes, path)
    properties: Schema = {}
    needed: list[str] = []
    for name, member in seen.fields.items():
        if not allowed.is_plain(name):
            notes.say(NO_NAME, f"{path}.{name}")
            continue
        declared = draft(member, name, notes, f"{path}.{name}", strict=strict)
        if declared is None:
            continue
        if name in required or (strict and never_null(member, seen, declared)):
            properties[name] = declared
            needed.append(name)
        else:
            properties[name] = nullable(declared)
    schema: Schema = {"type": "object", "properties": properties}
    return with_xml({**schema, "required": needed} if needed else schema, seen)


def never_null(member: Observations, parent: Observations, declared: Schema) -> bool:
    """Whether no sample leaves a member out, or has null or what is read as null for it."""
    is_date = "format" in declared  # the year 1 is .NET's unset date, and null
    blank_is_null = member.blanks and declared["type"] not in ("string", ["string"])
    return not (member.nulls or member.times < parent.objects or is_date or blank_is_null)


def _look_at_names(seen: Observations, notes: Notes, path: str) -> None:
    folded = Counter(name.casefold() for name in seen.fields)
    for name in seen.fields:
        if folded[name.casefold()] > 1:
            notes.say(CASE_ONLY, f"{path}.{name}")
    if len(seen.fields) > 1 and all(name.isdecimal() for name in seen.fields):
        notes.say(MAP, path)
