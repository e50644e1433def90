"""Schemas: what a declaration may say, what is refused and how, and what settings and targets see of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from vendortap.declare.model import Node
from vendortap.decode import schemas
from vendortap.errors import ConfigError, DeclarationError

NULLABLE = {"type": ["string", "null"]}


def record(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def compiled(schema: Mapping[str, Any]) -> Node:
    schemas.check(schema, "vendor/stream.json")
    return schemas.compile_record(schema, "vendor/stream.json")


def refusal(schema: Mapping[str, Any]) -> str:
    with pytest.raises(DeclarationError) as caught:
        compiled(schema)
    message = str(caught.value)
    assert message.startswith("schema vendor/stream.json at $")
    return message.removeprefix("schema vendor/stream.json at ")


# --- record schemas ----------------------------------------------------------------------------------


def test_every_type_and_xml_keyword_compiles() -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "An invoice",
        "type": "object",
        "xml": {"name": "Invoice"},
        "properties": {
            "Number": {"type": "string", "xml": {"attribute": True, "name": "no"}},
            "Total": {"type": ["number", "null"], "description": "Amount"},
            "Lines": {
                "type": ["array", "null"],
                "xml": {"wrapped": True, "name": "Items"},
                "items": {"type": "integer", "xml": {"name": "Line"}},
            },
            "Day": {"type": ["string", "null"], "format": "date"},
            "At": {"type": ["null", "string"], "format": "date-time"},
            "Paid": {"type": ["boolean", "null"]},
        },
        "required": ["Number"],
    }
    assert compiled(schema) == Node(
        "object",
        nullable=False,
        xml_name="Invoice",
        required=frozenset({"Number"}),
        fields={
            "Number": Node("string", nullable=False, xml_name="no", xml_attribute=True),
            "Total": Node("number"),
            "Lines": Node("array", xml_wrapped=True, xml_name="Items", item=Node("integer", False, xml_name="Line")),
            "Day": Node("date"),
            "At": Node("date-time"),
            "Paid": Node("boolean"),
        },
    )


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"type": "invoice"}, "$.type: "),
        (record(Total={"type": ["number", "nil"]}), "$.properties.Total.type: "),
        ({"type": "object", "required": "Number"}, "$.required: "),
        ({"type": "object", "properties": {"Code": {"type": "string", "pattern": "("}}}, "$.properties.Code.pattern: "),
    ],
)
def test_what_the_meta_schema_refuses_is_refused_with_its_path(schema: Mapping[str, Any], path: str) -> None:
    assert refusal(schema).startswith(path)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("oneOf", [NULLABLE]),
        ("anyOf", [NULLABLE]),
        ("allOf", [NULLABLE]),
        ("not", NULLABLE),
        ("if", NULLABLE),
        ("then", NULLABLE),
        ("else", NULLABLE),
        ("additionalProperties", False),
        ("patternProperties", {}),
        ("propertyNames", NULLABLE),
        ("unevaluatedProperties", False),
        ("dependentRequired", {}),
        ("dependentSchemas", {}),
        ("minProperties", 1),
        ("prefixItems", [NULLABLE]),
        ("contains", NULLABLE),
        ("minItems", 1),
        ("maxItems", 1),
        ("uniqueItems", True),
        ("pattern", "a"),
        ("minLength", 1),
        ("maxLength", 1),
        ("contentEncoding", "base64"),
        ("enum", ["a"]),
        ("const", "a"),
        ("default", "a"),
        ("minimum", 1),
        ("maximum", 1),
        ("exclusiveMinimum", 1),
        ("multipleOf", 1),
        ("$dynamicRef", "#a"),
        ("$anchor", "a"),
        ("definitions", {}),
        ("nullable", True),
        ("discriminator", {}),
        ("x-anything", 1),
    ],
)
@pytest.mark.parametrize("type_", ["string", None])
def test_an_unsupported_keyword_is_refused_by_name_and_path(keyword: str, value: Any, type_: str | None) -> None:
    member = {"type": [type_, "null"]} if type_ else {}
    lines = {"type": ["array", "null"], "items": record(Code={**member, keyword: value}), "xml": {"wrapped": True}}
    message = refusal(record(Lines=lines))
    assert message == f"$.Lines[].Code: the keyword {keyword!r} is not supported; leave it out"


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        ({"type": ["number", "null"], "format": "date"}, "'format' is not supported for number"),
        ({"type": ["string", "null"], "items": NULLABLE}, "'items' is not supported for string"),
        ({"type": ["array", "null"], "items": NULLABLE, "properties": {}}, "'properties' is not supported for array"),
    ],
)
def test_a_keyword_of_another_type_is_refused(schema: Mapping[str, Any], keyword: str) -> None:
    assert f"$.Code: the keyword {keyword}" in refusal(record(Code=schema))


@pytest.mark.parametrize("format_", ["time", "email", "uuid", "decimal"])
def test_an_unknown_format_is_refused_by_name(format_: str) -> None:
    message = refusal(record(Code={"type": ["string", "null"], "format": format_}))
    assert message.startswith(f"$.Code: the format {format_!r} is not supported")


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({**NULLABLE, "xml": {"namespace": "urn:x"}}, "'xml.namespace' is not supported"),
        ({**NULLABLE, "xml": {"prefix": "x"}}, "'xml.prefix' is not supported"),
        ({**NULLABLE, "xml": {"nodeType": "text"}}, "'xml.nodeType' is not supported"),
        ({**NULLABLE, "xml": "Code"}, "'xml' has to be an object"),
        ({**NULLABLE, "xml": {"name": 1}}, "'xml.name' has to be a str"),
        ({**NULLABLE, "xml": {"attribute": "false"}}, "'xml.attribute' has to be a bool"),
        ({**NULLABLE, "xml": {"wrapped": True}}, "'xml.wrapped' is for arrays only"),
        ({"type": ["object", "null"], "xml": {"attribute": True}}, "an object cannot be an XML attribute"),
        (
            {"type": ["array", "null"], "items": NULLABLE, "xml": {"attribute": True}},
            "an array cannot be an XML attribute",
        ),
        ({"type": ["array", "null"], "items": NULLABLE, "xml": {"name": "Codes"}}, "name its items"),
    ],
)
def test_an_xml_keyword_that_cannot_be_honoured_is_refused(schema: Mapping[str, Any], why: str) -> None:
    message = refusal(record(Code=schema))
    assert message.startswith("$.Code: ")
    assert why in message


def test_two_properties_of_one_name_in_xml_are_refused() -> None:
    code = {"type": ["array", "null"], "items": {"type": "string", "xml": {"name": "Code"}}}
    assert refusal(record(Code=NULLABLE, Codes=code)) == "$.Codes: 'Code' has the same name in XML, 'Code'"


def test_an_attribute_and_an_element_may_have_one_name() -> None:
    attribute = {**NULLABLE, "xml": {"name": "Code", "attribute": True}}
    assert set(compiled(record(Code=NULLABLE, CodeAttribute=attribute)).fields) == {"Code", "CodeAttribute"}


@pytest.mark.parametrize("type_", [["string", "number"], ["string", "number", "null"], "null", ["null"]])
def test_a_choice_of_types_is_refused(type_: Any) -> None:
    assert refusal(record(Code={"type": type_})).startswith("$.Code: 'type' has to be one type")


@pytest.mark.parametrize("schema", [True, False])
def test_a_boolean_schema_is_refused(schema: bool) -> None:
    assert refusal(record(Code=schema)).startswith("$.Code: true and false are not supported")
    assert refusal(record(Codes={"type": ["array", "null"], "items": schema})).startswith("$.Codes[]: ")


def test_an_array_without_items_is_refused() -> None:
    assert refusal(record(Codes={"type": ["array", "null"]})) == "$.Codes: an array needs a schema for its items"


@pytest.mark.parametrize("type_", ["array", "string", ["object", "null"]])
def test_a_record_is_an_object(type_: Any) -> None:
    schema = {"type": type_, **({"items": NULLABLE} if type_ == "array" else {})}
    assert refusal(schema) == "$: the type of a record is 'object', and nothing else"


def test_required_and_null_exclude_each_other() -> None:
    message = refusal({**record(Code=NULLABLE), "required": ["Code"]})
    assert message == "$.Code: absent and null are one: a property is either required or takes 'null'"


def test_what_is_not_required_takes_null() -> None:
    assert refusal(record(Code={"type": "string"})).startswith("$.Code: absent and null are one")


def test_what_is_required_has_a_schema() -> None:
    assert refusal({**record(), "required": ["Code"]}) == "$: 'Code' is required but has no schema"


# --- references --------------------------------------------------------------------------------------


def test_a_local_reference_is_resolved_with_the_annotations_beside_it() -> None:
    address = {"type": ["object", "null"], "properties": {"City": NULLABLE}}
    billing = {"$ref": "#/$defs/Place", "description": "Billing", "xml": {"name": "BillTo"}}
    schema = {
        **record(Billing=billing, Shipping={"$ref": "#/$defs/Address"}),
        "$defs": {"Address": address, "Place": {"$ref": "#/$defs/Address"}},
    }
    fields = compiled(schema).fields
    assert fields["Billing"] == Node("object", fields={"City": Node("string")}, xml_name="BillTo")
    assert fields["Shipping"] == Node("object", fields={"City": Node("string")})
    assert schemas.to_singer(schema)["properties"]["Billing"] == {
        "type": ["object", "null"],
        "description": "Billing",
        "properties": {"City": NULLABLE},
    }


@pytest.mark.parametrize("keyword", ["type", "properties", "required", "oneOf"])
def test_a_reference_is_not_altered_by_what_stands_beside_it(keyword: str) -> None:
    value = {"type": "object", "properties": {}, "required": [], "oneOf": [{}]}[keyword]
    schema = {**record(Code={"$ref": "#/$defs/Code", keyword: value}), "$defs": {"Code": NULLABLE}}
    assert refusal(schema) == f"$.Code: the keyword {keyword!r} is not supported beside '$ref'; leave it out"


@pytest.mark.parametrize(
    "target", ["#/$defs/Other", "#/properties/Code", "#", "other.json", "https://vendor.test/s.json", "#Code"]
)
def test_a_reference_that_is_not_of_this_file_is_refused(target: str) -> None:
    schema = {**record(Code={"$ref": target}), "$defs": {"Code": NULLABLE}}
    assert refusal(schema).startswith(f"$.Code: {target!r} cannot be resolved")


def test_a_recursive_reference_is_refused() -> None:
    part = {"type": ["object", "null"], "properties": {"Parts": {"$ref": "#/$defs/Parts"}}}
    parts = {"type": ["array", "null"], "items": {"$ref": "#/$defs/Part"}, "xml": {"wrapped": True}}
    message = refusal({**record(Part={"$ref": "#/$defs/Part"}), "$defs": {"Part": part, "Parts": parts}})
    assert message.startswith("$.Part.Parts[]: '#/$defs/Part' refers to itself")


# --- files -------------------------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A schema package of a plugin, on the path."""
    folder = tmp_path / "vendor_schemas_of_test"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, folder.name, raising=False)
    return folder


def put(package: Path, name: str, content: Any) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    (package / f"{name}.json").write_text(text, encoding="utf-8")


def test_a_schema_is_read_from_its_package(package: Path) -> None:
    put(package, "invoices", record(Code=NULLABLE))
    assert schemas.load(package.name, "invoices") == record(Code=NULLABLE)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot be read"),
        ("{", "is not JSON"),
        ("[]", "is not a JSON object"),
        ('{"$schema": "http://json-schema.org/draft-07/schema#"}', "at $.$schema: only https"),
    ],
)
def test_a_schema_that_cannot_be_read_is_named(package: Path, content: str | None, why: str) -> None:
    if content is not None:
        put(package, "invoices", content)
    with pytest.raises(DeclarationError, match=rf"schema {package.name}/invoices.json ") as caught:
        schemas.load(package.name, "invoices")
    assert why in str(caught.value)


def test_a_schema_package_that_does_not_exist_is_named() -> None:
    with pytest.raises(DeclarationError, match=r"schema no_such_package_of_test/invoices\.json cannot be read"):
        schemas.load("no_such_package_of_test", "invoices")


# --- settings ----------------------------------------------------------------------------------------

OWN = {
    "type": "object",
    "properties": {
        "api_key": {"type": "string", "minLength": 8, "description": "Key.", "secret": True},
        "region": {"type": "string", "enum": ["us", "eu"], "default": "us", "description": "Region."},
        "numbers": {"type": ["array", "null"], "items": {"type": "string"}, "description": "Numbers."},
    },
    "required": ["api_key", "region"],
}


def test_settings_are_the_connectors_own_and_those_of_every_connector(package: Path) -> None:
    put(package, "config", OWN)
    settings = schemas.load_settings(package.name)
    assert {"api_key", "region", "numbers", "concurrency", "on_missing"} <= set(settings["properties"])
    assert settings["required"] == ["api_key", "region"]
    assert settings["additionalProperties"] is False
    filled = schemas.with_defaults({"api_key": "12345678"}, settings)
    assert (filled["region"], filled["concurrency"]) == ("us", 8)
    schemas.check_config(filled, settings, "tap-vendor")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"properties": {"page": {"type": "integer", "default": "1", "description": "P."}}}, "$.page: the default"),
        ({"properties": {"page": {"type": "integer", "examples": ["1"], "description": "P."}}}, "$.page: an example"),
        ({"properties": {"page": {"type": "integer", "assumed": "yes", "description": "P."}}}, "$.page: 'assumed' has"),
        ({"properties": {"page": {"type": "integer", "secret": 1, "description": "P."}}}, "$.page: 'secret' has to be"),
        ({"properties": {"page": {"type": "integer"}}}, "$.page: a setting needs a description"),
        ({"properties": {"page": True}}, "$.page: a setting needs a description"),
        ({"required": ["nothing"]}, "$: 'nothing' is required but has no schema"),
        ({"dependentRequired": {"a": ["b"]}}, "$: the keyword 'dependentRequired' is not supported"),
    ],
)
def test_a_config_schema_that_contradicts_itself_is_refused(package: Path, change: dict[str, Any], why: str) -> None:
    put(package, "config", {**OWN, "properties": {}, "required": [], **change})
    with pytest.raises(DeclarationError) as caught:
        schemas.load_settings(package.name)
    assert f"{package.name}/config.json at {why}" in str(caught.value)


def test_every_problem_of_a_config_is_in_one_sentence_and_no_value_is(package: Path) -> None:
    put(package, "config", OWN)
    secret = "s3cr3t-0815"
    config = {
        "region": secret,
        "numbers": ["1", {"nested": secret}, 5],
        "concurrency": secret,
        "timeout_seconds": 0,
        "burst": [secret],
        "regoin": secret,
        "colour": {secret: secret},
    }
    with pytest.raises(ConfigError) as caught:
        schemas.check_config(config, schemas.load_settings(package.name), "tap-vendor")
    message = str(caught.value)
    assert message.startswith("tap-vendor: ")
    for problem in (
        "the setting 'api_key' is missing",
        "there is no setting 'regoin'",
        "there is no setting 'colour'",
        "the setting 'region' has to be one of 'us', 'eu'",
        "the setting 'numbers.1' has to be string",
        "the setting 'numbers.2' has to be string",
        "the setting 'concurrency' has to be integer",
        "the setting 'burst' has to be integer",
        "the setting 'timeout_seconds' does not fit (exclusiveMinimum: 0)",
    ):
        assert message.count(problem) == 1
    assert secret not in message
    assert message.count("; ") == 8


def test_a_pattern_is_told_by_its_examples(package: Path) -> None:
    month = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}$", "description": "When."}
    put(package, "config", {"type": "object", "properties": {"from": {**month, "examples": ["2025-01"]}, "to": month}})
    with pytest.raises(ConfigError) as caught:
        schemas.check_config({"from": "soon", "to": "soon"}, schemas.load_settings(package.name), "tap-vendor")
    assert str(caught.value).startswith(
        "tap-vendor: the setting 'from' has to look like 2025-01; "
        "the setting 'to' does not fit (pattern: ^[0-9]{4}-[0-9]{2}$). "
    )


@pytest.mark.parametrize(
    ("setting", "value", "path"),
    [
        ({"type": "string", "pattern": "("}, "a", "pattern: '(' is not a 'regex'"),
        ({"type": "text"}, "a", "type: 'text' is not valid"),
        ({"type": "integer", "minimum": "1"}, 1, "minimum: '1' is not of type 'number'"),
    ],
)
def test_settings_that_cannot_be_held_against_their_schema_tell_what_is_wrong_with_it(
    package: Path, setting: dict[str, Any], value: Any, path: str
) -> None:
    put(package, "config", {"type": "object", "properties": {"page": {**setting, "description": "P."}}})
    with pytest.raises(DeclarationError) as caught:
        schemas.check_config({"page": value}, schemas.load_settings(package.name), "tap-vendor")
    assert str(caught.value).startswith(f"schema of tap-vendor's settings at $.properties.page.{path}")


def test_each_missing_setting_is_named_once(package: Path) -> None:
    put(package, "config", OWN)
    with pytest.raises(ConfigError) as caught:
        schemas.check_config({}, schemas.load_settings(package.name), "tap-vendor")
    assert str(caught.value).startswith(
        "tap-vendor: the setting 'api_key' is missing; the setting 'region' is missing. "
    )


def test_a_secret_of_the_wrong_length_or_type_is_never_shown(package: Path) -> None:
    put(package, "config", OWN)
    settings = schemas.load_settings(package.name)
    for secret in ("s3cr3t", 987654321, ["s3cr3t"], {"s3cr3t": 1}):
        with pytest.raises(ConfigError, match="'api_key'") as caught:
            schemas.check_config({"api_key": secret, "region": "us"}, settings, "tap-vendor")
        assert "s3cr3t" not in str(caught.value)
        assert "987654321" not in str(caught.value)


# --- Singer ------------------------------------------------------------------------------------------

RICH = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Rich",
    "type": "object",
    "xml": {"name": "Invoice"},
    "properties": {
        "Number": {"type": "string", "description": "Its number", "xml": {"attribute": True}},
        "Total": {"type": "number"},
        "At": {"type": ["string", "null"], "format": "date-time"},
        "To": {"$ref": "#/$defs/Address", "description": "Where to"},
        "Lines": {
            "type": ["array", "null"],
            "xml": {"wrapped": True},
            "items": {
                "type": "object",
                "properties": {"Price": {"type": ["number", "null"]}, "Count": {"type": ["integer", "null"]}},
            },
        },
    },
    "required": ["Number", "Total"],
    "$defs": {"Address": {"type": ["object", "null"], "properties": {"City": NULLABLE}}},
}


def keywords(schema: Any) -> set[str]:
    """All keywords of a schema, at any depth, without the names of properties."""
    found = set(schema)
    for member in [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]:
        found |= keywords(member)
    return found


@pytest.mark.parametrize("decimal_strings", [False, True])
def test_targets_get_a_draft_7_schema_without_what_they_do_not_know(decimal_strings: bool) -> None:
    compiled(RICH)
    singer = schemas.to_singer(RICH, decimal_strings=decimal_strings)
    jsonschema.Draft7Validator.check_schema(singer)
    assert keywords(singer) == {"type", "properties", "items", "required", "format", "description"}
    total: Any = {"type": "string", "format": "x-singer.decimal"} if decimal_strings else {"type": "number"}
    price: Any = {**total, "type": [total["type"], "null"]}
    assert singer == {
        "type": "object",
        "properties": {
            "Number": {"type": "string", "description": "Its number"},
            "Total": total,
            "At": {"type": ["string", "null"], "format": "date-time"},
            "To": {"type": ["object", "null"], "description": "Where to", "properties": {"City": NULLABLE}},
            "Lines": {
                "type": ["array", "null"],
                "items": {"type": "object", "properties": {"Price": price, "Count": {"type": ["integer", "null"]}}},
            },
        },
        "required": ["Number", "Total"],
    }


def test_the_schema_for_targets_is_a_copy() -> None:
    before = json.dumps(RICH)
    singer = schemas.to_singer(RICH)
    singer["required"].append("X")
    singer["properties"]["At"]["type"].append("X")
    assert json.dumps(RICH) == before
