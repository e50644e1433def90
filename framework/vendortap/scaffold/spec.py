"""An OpenAPI document (Swagger 2.0, OpenAPI 3.0 and 3.1) as data: read, references resolved, schemas converted.

Vendors' documents are rarely right in all they say. What a type of the record schemas can hold is converted, the rest
is left out and said; nothing is required, as replies leave out what their documents require.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import referencing
import referencing.exceptions

from vendortap.errors import UsageError
from vendortap.scaffold import names, schema
from vendortap.scaffold.notes import Notes
from vendortap.scaffold.observations import text_leaf
from vendortap.support.extras import require

Json = Mapping[str, Any]

SELF = "refers to itself; left out"
NO_TYPE = "has no type that could be told; left out"
FREE_FORM = "an object without declared members; left out"
UNRESOLVED = "refers to what is not in the document; left out"
ONE_OF = "one of several forms; declared with the members of all"
MIXED = "of types that no one schema takes; left out"
TEXT_OR_NUMBER = "text or a number; declared as text"
TWICE = "differs only in case from another name of the same object; left out, and names are read in any case"
TEXT_AMOUNT = "declared as text, though the name is an amount's; make it a number if the vendor sends plain digits"
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
_DESCRIPTION = 200


def read(path: Path) -> Json:
    """Read a document in JSON or YAML.

    Raises:
        UsageError: it cannot be read, or is no OpenAPI document.
    """
    require("new", "reading YAML", "yaml")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"the OpenAPI document {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"the OpenAPI document {path} is not UTF-8 text") from None
    document = _parse(text, path)
    version = str(document.get("swagger") or document.get("openapi") or "") if isinstance(document, dict) else ""
    if not version.startswith(("2.", "3.")):
        raise UsageError(f"{path} is no OpenAPI document: it has neither 'swagger: 2.0' nor 'openapi: 3.x'")
    return cast("Json", document)


def _parse(text: str, path: Path) -> Any:
    """Parse YAML 1.2's core schema, of which JSON is a part: ``no`` is text there, and so is a date."""
    import yaml

    if text.lstrip().startswith("{"):
        with suppress(ValueError, RecursionError):
            return json.loads(text)  # many times as quick; what is no JSON may still be YAML

    class Loader(yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader):  # type: ignore[misc] # made at run time
        yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - as the base class has it

    for tag, pattern, first in _CORE:
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"(?:{pattern})\\Z"), list(first))
    try:
        return yaml.load(text, Loader=Loader)  # noqa: S506 - the safe loader, with fewer kinds of scalars
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UsageError(f"the OpenAPI document {path} is neither JSON nor YAML{place}") from None
    except (RecursionError, ValueError):
        raise UsageError(
            f"the OpenAPI document {path} cannot be read: nested too deeply, or a number without end"
        ) from None


_CORE = (
    ("bool", "true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", "[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("null", "~|null|Null|NULL|", ["~", "n", "N", ""]),
)


class Spec:
    """A document and what its references refer to."""

    def __init__(self, document: Json) -> None:
        self.document = document
        self.is_swagger = "swagger" in document
        resource = referencing.Resource.opaque(document)
        self._resolver = referencing.Registry().with_resource("", resource).resolver()

    def target(self, reference: Any) -> Any:
        """Return what a reference refers to; ``None`` where it is not in this document."""
        try:
            return self._resolver.lookup(str(reference)).contents
        except (referencing.exceptions.Unresolvable, ValueError, TypeError):
            return None

    def follow(self, part: Any) -> Json:
        """Return an object with its references followed; an empty one where they lead nowhere."""
        seen: set[str] = set()
        while isinstance(part, Mapping) and "$ref" in part:
            if str(part["$ref"]) in seen:
                return {}
            seen.add(str(part["$ref"]))
            part = self.target(part["$ref"])
        return part if isinstance(part, Mapping) else {}


class Converter:
    """Converts the schemas of one document for one stream."""

    def __init__(self, spec: Spec, notes: Notes, *, has_xml: bool) -> None:
        self.spec = spec
        self.notes = notes
        self.has_xml = has_xml
        self.any_case = False

    def convert(
        self, raw: Any, path: str = "$", name: str = "", within: frozenset[str] = frozenset()
    ) -> schema.Schema | None:
        """Return a record schema's part, null allowed but for objects and list entries; ``None`` where it is left out.

        ``within`` are the references that led here.
        """
        flat, within = self._flat(raw, path, within)
        if flat is None:
            return None
        types, form = self._types(flat)
        if types == {"array"}:
            return self._array(flat, path, name, within)
        if types == {"object"}:
            return self._object(flat, path, within)
        kind = self._leaf(types, form, flat, path, name)
        return None if kind is None else self._finished(schema.leaf_schema(kind), flat, "leaf")

    # --- references and combinations -----------------------------------------------------------------

    def _flat(self, raw: Any, path: str, within: frozenset[str]) -> tuple[dict[str, Any] | None, frozenset[str]]:
        """Return a schema with references and combinations merged into it, and the references that led to it."""
        if not isinstance(raw, Mapping):
            return ({}, within) if raw is True else (None, within)
        merged = {
            keyword: value for keyword, value in raw.items() if keyword not in ("$ref", "allOf", "oneOf", "anyOf")
        }
        if "$ref" in raw:
            reference = str(raw["$ref"])
            if reference in within:
                self.notes.say(SELF, path)
                return None, within
            if (target := self.spec.target(reference)) is None:
                self.notes.say(UNRESOLVED, path)
                return None, within
            part, within = self._flat(target, path, within | {reference})
            merged = _merge(part or {}, merged)
        parts: dict[str, Any] = {}
        for part_raw in as_list(raw.get("allOf")):
            part, inner = self._flat(part_raw, path, within)
            within |= inner
            parts = _merge(parts, part or {})
        merged = _merge(parts, merged)
        for keyword in ("oneOf", "anyOf"):
            merged, within = self._one_of(as_list(raw.get(keyword)), merged, path, within)
        return merged, within

    def _one_of(
        self, variants: list[Any], merged: dict[str, Any], path: str, within: frozenset[str]
    ) -> tuple[dict[str, Any], frozenset[str]]:
        kinds: set[str] = set()
        for raw in variants:
            part, inner = self._flat(raw, path, within)
            if part is None or (found := self._types(part, quiet=True)[0]) == {"null"}:
                continue
            within |= inner
            kinds |= found
            merged = _merge(merged, {**part, "type": None})
        if len(kinds) == 1 and len(variants) > 1 and kinds == {"object"}:
            self.notes.say(ONE_OF, path)
        if kinds:
            merged["type"] = sorted(kinds)
        return merged, within

    # --- types ---------------------------------------------------------------------------------------

    def _types(self, flat: Json, *, quiet: bool = False) -> tuple[set[str], str]:
        """Return the types but null, and the format of dates, from all that tells of them."""
        declared = [str(kind) for kind in as_list(flat.get("type"), alone=True)]
        known = [_TYPES[kind.lower()] for kind in declared if kind.lower() in _TYPES]
        types = {kind for kind, _ in known} or _implied(flat)
        form = next((form for _, form in known if form), "") or str(flat.get("format", ""))
        if types == {"string"} and form.lower() in _NUMBER_FORMATS:
            types = {"number"}
        if not types and "example" in flat and not quiet:
            types = {_type_of(flat["example"])}
        return types - {"null"} or types, form

    def _leaf(self, types: set[str], form: str, flat: Json, path: str, name: str) -> str | None:
        """Return the kind of a place without inner structure."""
        if not types or types == {"null"}:
            self.notes.say(NO_TYPE, path)
            return None
        if types <= {"number", "integer"}:
            return self._number("number" if "number" in types or names.is_amount(name) else "integer", flat, path)
        if types == {"boolean"}:
            if isinstance(flat.get("example"), str) and flat["example"].lower() not in ("true", "false"):
                self.notes.say(WRONG_BOOLEAN, path)
            return "boolean"
        if types <= {"string", "number", "integer"}:
            return self._text(types, form, flat, path, name)
        self.notes.say(MIXED, path)
        return None

    def _number(self, kind: str, flat: Json, path: str) -> str:
        example = flat.get("example")
        if kind == "integer" and isinstance(example, float) and not example.is_integer():
            self.notes.say(WRONG_EXAMPLE, path)
            return "number"
        if isinstance(example, str) and not re.fullmatch(r"\s*-?[0-9]+(\.[0-9]+)?\s*", example):
            self.notes.say(WRONG_BOOLEAN, path)
        return kind

    def _text(self, types: set[str], form: str, flat: Json, path: str, name: str) -> str:
        if types != {"string"}:
            if names.is_amount(name) or names.is_count(name):
                return "number"
            self.notes.say(TEXT_OR_NUMBER, path)
            return "string"
        if form in ("date", "date-time"):
            return self._date(form, flat.get("example"), path)
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
        for name, raw in _members(flat):
            if name.casefold() in folded:
                self.notes.say(TWICE, f"{path}.{name}")
                self.any_case = True
                continue
            if isinstance(raw, Mapping) and raw.get("writeOnly"):
                continue
            converted = self.convert(raw, f"{path}.{name}", name, within)
            if converted is not None:
                folded.add(name.casefold())
                properties[name] = schema.nullable(converted)
        if not properties:
            self.notes.say(FREE_FORM, path)
            return None
        return self._finished({"type": "object", "properties": properties}, flat, "object")

    def _finished(self, made: schema.Schema, flat: Json, kind: str) -> schema.Schema:
        """Return the schema with its description, and its name and form in XML."""
        description = " ".join(str(flat.get("description") or "").split())
        told = {"description": description} if 0 < len(description) <= _DESCRIPTION else {}
        head: dict[str, Any] = {keyword: made.pop(keyword) for keyword in ("type", "format") if keyword in made}
        xml = self._xml(flat, kind)
        return {**head, **({"xml": xml} if xml else {}), **told, **made}

    def _xml(self, flat: Json, kind: str) -> dict[str, Any]:
        """Return the ``xml`` object without what has no effect by the rules of OpenAPI, or no meaning here."""
        raw = flat.get("xml")
        if not self.has_xml or not isinstance(raw, Mapping):
            return {}
        wrapped = kind == "array" and raw.get("wrapped") is True
        xml: dict[str, Any] = {}
        if isinstance(raw.get("name"), str) and (kind != "array" or wrapped):
            xml["name"] = raw["name"]
        if wrapped:
            xml["wrapped"] = True
        if kind == "leaf" and raw.get("attribute") is True:
            xml["attribute"] = True
        return xml


# --- reading what documents say ----------------------------------------------------------------------


def as_list(value: Any, *, alone: bool = False) -> list[Any]:
    """Return a list as it is, and with ``alone`` one value as a list of it; else nothing."""
    if isinstance(value, list):
        return value
    return [value] if alone and value is not None else []


def _merge(first: dict[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return both schemas in one: members of both, of everything else what the second says."""
    merged = {**first, **{keyword: value for keyword, value in second.items() if value is not None}}
    members = {**dict(_members(first)), **dict(_members(second))}
    return {**merged, "properties": members} if members else merged


def _members(flat: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    found = flat.get("properties")
    return ((str(name), raw) for name, raw in found.items()) if isinstance(found, Mapping) else ()


def _may_be_null(flat: Mapping[str, Any]) -> bool:
    marked = flat.get("nullable") is True or flat.get("x-nullable") is True
    return marked or "null" in as_list(flat.get("type"), alone=True)


def _implied(flat: Mapping[str, Any]) -> set[str]:
    """Return the types that go without saying: of what has members, items or a list of values."""
    if any(_members(flat)):
        return {"object"}
    if "items" in flat:
        return {"array"}
    values = [*as_list(flat.get("enum")), *([flat["const"]] if "const" in flat else [])]
    return {_type_of(value) for value in values}


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "integer" if isinstance(value, int) else "number"
    return {dict: "object", list: "array", type(None): "null"}.get(type(value), "string")
