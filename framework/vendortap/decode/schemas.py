"""Read, check and compile the JSON schemas that a connector declares.

A record schema is JSON Schema 2020-12 with the ``xml`` object of OpenAPI 3.1, held to the keywords that both
codecs honour; any other keyword is refused by name and path, never ignored. ``personal`` marks what says who
somebody is, which recordings for tests leave out. Local references
(``#/$defs/Name``) are resolved, so that an address is described once.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any, cast

import jsonschema

from vendortap.declare.model import Kind, Node
from vendortap.errors import ConfigError, DeclarationError
from vendortap.support.redact import Redactor

Schema = Mapping[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ANNOTATIONS = {"$schema", "$id", "$defs", "$comment", "title", "description", "examples", "personal"}
_KEYWORDS: Mapping[str, set[str]] = {
    "object": {"properties", "required"},
    "array": {"items"},
    "string": {"format"},
    "number": set(),
    "integer": set(),
    "boolean": set(),
}
_XML: Mapping[str, type] = {"name": str, "wrapped": bool, "attribute": bool}
_SETTINGS = _ANNOTATIONS - {"$defs"} | {"type", "properties", "required"}
_LARGEST = 2**53 - 1
"""The largest number that a setting may be; programs that read JSON agree on integers up to it (RFC 8259, 6)."""
_NO_TEXT = re.compile(r"[\0\ud800-\udfff]")
_FORMATS: Mapping[str, Kind] = {"date-time": "date-time", "date": "date"}


MOST_PLACES = 200_000
"""What a record's schema may come to: a few references to references can stand for more places than there is memory."""


def load(package: str, name: str) -> Schema:
    """Read ``name``.json from a schema package; ``check`` says whether it is a schema.

    Raises:
        DeclarationError: there is no such package or file, or it is not a JSON object.
    """
    where = f"{package}/{name}.json"
    try:
        text = files(package).joinpath(f"{name}.json").read_text(encoding="utf-8")
    except (ModuleNotFoundError, OSError, UnicodeDecodeError) as error:
        raise DeclarationError(f"schema {where} cannot be read: {error}") from error
    return _parse(text, where)


@lru_cache(maxsize=256)
def _parse(text: str, where: str) -> Schema:
    """Parse a schema; once a text, as every start asks for each of them more than once."""
    try:
        schema = json.loads(text)
    except ValueError as error:
        raise DeclarationError(f"schema {where} is not JSON: {error}") from error
    if not isinstance(schema, dict):
        raise DeclarationError(f"schema {where} is not a JSON object")
    if schema.get("$schema", _DIALECT) != _DIALECT:
        raise DeclarationError(f"schema {where} at $.$schema: only {_DIALECT} is supported")
    return schema


def check(schema: Schema, where: str) -> None:
    """Hold a schema against the JSON Schema 2020-12 meta-schema.

    That takes far longer than reading and compiling it, and a schema that can be used seldom fails it: no start
    should wait for it. It says best what is wrong with one that cannot be used.

    Raises:
        DeclarationError: with the place inside the schema.
    """
    dialect = jsonschema.Draft202012Validator
    try:
        dialect.check_schema(schema, format_checker=dialect.FORMAT_CHECKER)  # is every pattern one?
    except jsonschema.SchemaError as error:
        raise DeclarationError(f"schema {where} at {error.json_path}: {error.message}") from error


def compile_record(schema: Schema, where: str) -> Node:
    """Compile a record schema; ``where`` names it in errors.

    Raises:
        DeclarationError: a keyword, type or reference that the codecs cannot honour, by name and path.
    """
    compiler = _Compiler(schema, where)
    try:
        node = compiler.node(schema, "$")
    except RecursionError:
        raise compiler.refuse("$", "it is nested too deeply, its references followed") from None
    if node.kind != "object" or node.nullable:
        raise DeclarationError(f"schema {where} at $: the type of a record is 'object', and nothing else")
    return node


class _Compiler:
    """One schema document on its way to a Node; holds what references are resolved against."""

    def __init__(self, root: Schema, where: str) -> None:
        self.root = root
        self.where = where
        self.open: tuple[str, ...] = ()
        self.places = 0

    def refuse(self, path: str, why: str) -> DeclarationError:
        return DeclarationError(f"schema {self.where} at {path}: {why}")

    def node(self, schema: Any, path: str) -> Node:
        if not isinstance(schema, dict):
            raise self.refuse(path, "true and false are not supported as schemas; declare a type")
        self.places += 1
        if self.places > MOST_PLACES:
            raise self.refuse(path, f"it has more than {MOST_PLACES:,} places, its references followed; leave some out")
        if "$ref" in schema:
            return self.reference(schema, path)
        self.hold_keywords(schema, path, set().union(*_KEYWORDS.values()), "supported")
        kind, nullable = self.type(schema, path)
        self.hold_keywords(schema, path, _KEYWORDS[kind], f"supported for {kind}")
        xml = self.xml(schema, path, kind)
        if kind == "object":
            fields = self.fields(schema, path)
            return Node("object", nullable, fields=fields, required=frozenset(schema.get("required", ())), **xml)
        if kind == "array":
            if "items" not in schema:
                raise self.refuse(path, "an array needs a schema for its items")
            return Node("array", nullable, item=self.node(schema["items"], f"{path}[]"), **xml)
        return Node(self.format(schema, path, kind), nullable, **xml)

    def hold_keywords(self, schema: Schema, path: str, known: Iterable[str], what: str) -> None:
        for keyword in sorted(set(schema) - _ANNOTATIONS - {"type", "xml", *known}):
            raise self.refuse(path, f"the keyword {keyword!r} is not {what}; leave it out")

    def fields(self, schema: Schema, path: str) -> dict[str, Node]:
        members = schema.get("properties", {})
        fields = {name: self.node(member, f"{path}.{name}") for name, member in members.items()}
        required = set(schema.get("required", ()))
        for name in sorted(required - set(fields)):
            raise self.refuse(path, f"{name!r} is required but has no schema")
        for name, member in fields.items():
            if member.nullable == (name in required):
                why = "absent and null are one: a property is either required or takes 'null'"
                raise self.refuse(f"{path}.{name}", why)
        self.hold_distinct(fields, path)
        return fields

    def hold_distinct(self, fields: Mapping[str, Node], path: str) -> None:
        """Two properties of one name in XML could not be told apart there."""
        seen: dict[tuple[bool, str], str] = {}
        for name, member in fields.items():
            named = member.item if member.item and not member.xml_wrapped else member
            in_xml = (member.xml_attribute, named.xml_name or name)
            if (other := seen.setdefault(in_xml, name)) != name:
                raise self.refuse(f"{path}.{name}", f"{other!r} has the same name in XML, {in_xml[1]!r}")

    def reference(self, schema: Schema, path: str) -> Node:
        target = str(schema["$ref"])
        name = target.removeprefix("#/$defs/")
        if target == name or not isinstance(self.root.get("$defs", {}).get(name), dict):
            raise self.refuse(path, f"{target!r} cannot be resolved; use '#/$defs/Name' of the same file")
        if target in self.open:
            raise self.refuse(path, f"{target!r} refers to itself; a record has to end somewhere")
        for keyword in sorted(set(schema) - _ANNOTATIONS - {"$ref", "xml"}):
            raise self.refuse(path, f"the keyword {keyword!r} is not supported beside '$ref'; leave it out")
        self.open += (target,)
        node = self.node(_resolved(schema, self.root), path)
        self.open = self.open[:-1]
        return node

    def type(self, schema: Schema, path: str) -> tuple[str, bool]:
        declared = schema.get("type")
        types = [declared] if isinstance(declared, str) else list(declared or ())
        kinds = [kind for kind in types if kind != "null"]
        if len(kinds) != 1 or kinds[0] not in _KEYWORDS:
            raise self.refuse(path, "'type' has to be one type of JSON Schema, or one and 'null'")
        return kinds[0], "null" in types

    def xml(self, schema: Schema, path: str, kind: str) -> dict[str, Any]:
        xml = schema.get("xml", {})
        if not isinstance(xml, dict):
            raise self.refuse(path, "'xml' has to be an object (OpenAPI 3.1, XML Object)")
        for keyword, value in xml.items():
            if keyword not in _XML:
                raise self.refuse(path, f"the keyword 'xml.{keyword}' is not supported; leave it out")
            if not isinstance(value, _XML[keyword]):
                raise self.refuse(path, f"'xml.{keyword}' has to be a {_XML[keyword].__name__}")
        if problem := _xml_problem(xml, kind):
            raise self.refuse(path, problem)
        return {f"xml_{keyword}": value for keyword, value in xml.items()}

    def format(self, schema: Schema, path: str, kind: str) -> Kind:
        declared = schema.get("format")
        if declared is None:
            return cast("Kind", kind)
        if declared not in _FORMATS:
            raise self.refuse(path, f"the format {declared!r} is not supported; leave it out")
        return _FORMATS[declared]


def _xml_problem(xml: Mapping[str, Any], kind: str) -> str | None:
    """Return what would have no effect, by the rules of OpenAPI 3.1."""
    if xml.get("wrapped") and kind != "array":
        return "'xml.wrapped' is for arrays only"
    if xml.get("attribute") and kind in ("array", "object"):
        return f"an {kind} cannot be an XML attribute"
    if "name" in xml and kind == "array" and not xml.get("wrapped"):
        return "'xml.name' of an array that is not wrapped has no effect; name its items"
    return None


def _resolved(schema: Schema, root: Schema) -> dict[str, Any]:
    """Return a schema with its local reference replaced by what it refers to."""
    beside = {keyword: value for keyword, value in schema.items() if keyword != "$ref"}
    return {**root["$defs"][schema["$ref"].removeprefix("#/$defs/")], **beside}


# --- settings ----------------------------------------------------------------------------------------


def load_settings(package: str) -> dict[str, Any]:
    """Return a connector's config schema: its own ``config.json`` and the settings that every connector has.

    A setting may be marked ``secret`` (never shown), ``assumed`` (the vendor does not document what it says),
    ``personal`` (it says who somebody is; recordings have another value), ``account`` (it identifies the account that
    a state belongs to) and ``range`` (it decides which records belong to the streams).

    Raises:
        DeclarationError: the file is missing or wrong, or a default or an example does not fit its own setting.
    """
    own = load(package, "config")
    common = load("vendortap.declare", "settings")
    own_properties = own.get("properties", {})
    where = f"schema {package}/config.json at $"
    if unknown := sorted(set(own) - _SETTINGS):
        raise DeclarationError(f"{where}: the keyword {unknown[0]!r} is not supported; leave it out")
    merged: dict[str, Any] = {
        "type": "object",
        "properties": own_properties | {k: v for k, v in common["properties"].items() if k not in own_properties},
        "required": list(own.get("required", ())),
        "additionalProperties": False,
    }
    for name, setting in merged["properties"].items():
        if problem := _setting_problem(setting):
            raise DeclarationError(f"{where}.{name}: {problem}")
    for name in merged["required"]:
        if name not in merged["properties"]:
            raise DeclarationError(f"{where}: {name!r} is required but has no schema")
    return merged


def _setting_problem(setting: Any) -> str | None:
    if not isinstance(setting, dict) or "description" not in setting:
        return "a setting needs a description"
    fits = _validator(setting).is_valid
    if "default" in setting and not fits(setting["default"]):
        return "the default does not fit"
    if not all(map(fits, setting.get("examples", ()))):
        return "an example does not fit"
    for mark in ("secret", "assumed", "personal", "account", "range"):
        if not isinstance(setting.get(mark, False), bool):
            return f"{mark!r} has to be true or false"
    return None


def with_defaults(config: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """Return the settings with those defaults filled in that the operator left out, and whole numbers as integers."""
    described = schema["properties"]
    defaults = {name: s["default"] for name, s in described.items() if "default" in s}
    return {name: _whole(value, described.get(name, {})) for name, value in {**defaults, **config}.items()}


def _whole(value: Any, setting: Schema) -> Any:
    """Return 2 for 2.0 where an integer is asked for: JSON Schema takes it for one, Python does not."""
    is_whole = isinstance(value, float) and value.is_integer()
    return int(value) if is_whole and "integer" in setting.get("type", ()) else value


def check_config(config: Mapping[str, Any], schema: Schema, who: str) -> None:
    """Hold settings against their schema; every problem is named at once, values never are.

    Raises:
        ConfigError: with the setting, what is wrong, and what it should be.
        DeclarationError: the schema is not one.
    """
    try:
        problems = list(dict.fromkeys([*_unusable(config), *_problems(config, schema)]))
    except Exception:
        check(schema, f"of {who}'s settings")  # say, a pattern that is not one
        raise
    if problems:
        blank = Redactor(secrets(config, schema)).blank  # one may have got into the place of a setting's name
        raise ConfigError(f"{who}: {blank('; '.join(problems))}. `vendortap describe` lists all settings.")


def secrets(config: Mapping[str, Any], schema: Schema) -> list[str]:
    """Return the values of the settings that are marked secret."""
    return [str(config[name]) for name, s in schema["properties"].items() if s.get("secret") and config.get(name)]


def _validator(schema: Schema) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema)


def _unusable(config: Mapping[str, Any]) -> Iterator[str]:
    """Say which settings hold what no schema rules out, and what neither a request nor a file name can hold."""
    for name, value in config.items():
        if isinstance(value, (int, float)) and not abs(value) <= _LARGEST:  # "not": NaN is neither more nor less
            yield f"the setting {name!r} has to be a number between -{_LARGEST} and {_LARGEST}"
        elif any(isinstance(part, float) and not math.isfinite(part) for part in _parts(value)):
            yield f"the setting {name!r} has a number in it that is not finite"
        if any(isinstance(part, str) and _NO_TEXT.search(part) for part in _parts(value)):
            yield f"the setting {name!r} has a NUL character or half of a surrogate pair in it; remove it"


def _parts(value: Any) -> Iterator[Any]:
    """Yield a value and all that is in it, names included; however deeply it is nested."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        yield part
        if isinstance(part, Mapping):
            waiting += [*part.keys(), *part.values()]
        elif isinstance(part, list):
            waiting += part


def _problems(config: Mapping[str, Any], schema: Schema) -> Iterator[str]:
    for error in sorted(_validator(schema).iter_errors(config), key=lambda e: str(e.path)):
        expected = error.validator_value
        if error.validator == "required":
            missing = [name for name in expected if name not in error.instance]
            yield from (f"the setting {name!r} is missing" for name in missing)
        elif error.validator == "additionalProperties":
            known = error.schema.get("properties", {})
            yield from (f"there is no setting {name!r}" for name in error.instance if name not in known)
        else:
            yield f"the setting {'.'.join(map(str, error.path))!r} {_problem(error)}"


def _problem(error: Any) -> str:
    """Say what a setting that is there has to be."""
    expected, examples = error.validator_value, error.schema.get("examples")
    if error.validator == "type":
        return f"has to be {expected if isinstance(expected, str) else ' or '.join(expected)}"
    if error.validator == "enum":
        return f"has to be one of {', '.join(map(repr, expected))}"
    if error.validator == "pattern" and examples:
        return f"has to look like {' or '.join(map(str, examples))}"
    return f"does not fit ({error.validator}: {expected})"


# --- Singer ------------------------------------------------------------------------------------------


def to_singer(schema: Schema, *, decimal_strings: bool = False, nested_json: bool = False) -> dict[str, Any]:
    """Return the schema as targets understand it: draft 7, references resolved, no ``xml`` keyword.

    With ``decimal_strings`` amounts become strings of format ``x-singer.decimal`` (the Singer SDK's form), with
    ``nested_json`` the record's objects and arrays become strings.
    """
    result = _singer(schema, schema, decimal_strings)
    if nested_json:
        result["properties"] = {name: _as_text(member) for name, member in result["properties"].items()}
    return result


def _as_text(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of JSON text in place of that of an object or an array."""
    types = _types(schema)
    if not {"object", "array"}.intersection(types):
        return schema
    described = {"description": schema["description"]} if "description" in schema else {}
    return {"type": _text_type(types), **described}


def _text_type(types: Sequence[str]) -> str | list[str]:
    return ["string", "null"] if "null" in types else "string"


def _types(schema: Schema) -> list[str]:
    return [schema["type"]] if isinstance(schema["type"], str) else list(schema["type"])


_KEPT_KEYWORDS = ("description", "format", "additionalProperties")


def _singer(schema: Schema, root: Schema, decimal_strings: bool) -> dict[str, Any]:
    while "$ref" in schema:
        schema = _resolved(schema, root)
    types = _types(schema)
    result: dict[str, Any] = {"type": types if len(types) > 1 else types[0]}
    if decimal_strings and "number" in types:
        result = {"type": _text_type(types), "format": "x-singer.decimal"}
    result |= {keyword: schema[keyword] for keyword in _KEPT_KEYWORDS if keyword in schema}
    if "properties" in schema:
        result["properties"] = {
            name: _singer(member, root, decimal_strings) for name, member in schema["properties"].items()
        }
        result |= {"required": list(schema["required"])} if schema.get("required") else {}
    if "items" in schema:
        result["items"] = _singer(schema["items"], root, decimal_strings)
    return result
