"""A declaration that contradicts itself or its schemas is refused, with the place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vendortap.declare.model import UNKNOWN, Connector, Node, Parent, Plan, Stream, Windows
from vendortap.declare.request import get, setting
from vendortap.errors import DeclarationError
from vendortap.plugins import validation

CONFIG: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "url": {"type": "string", "description": "Where."},
        "accounts": {"type": "array", "items": {"type": "string"}, "description": "Which."},
        "regions": {"type": ["array", "null"], "items": {"type": "string"}, "description": "Perhaps which."},
    },
    "required": ["url", "accounts"],
}
INVOICE: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "number": {"type": "string"},
        "account": {"type": "string"},
        "changed": {"type": ["string", "null"], "format": "date-time"},
        "total": {"type": ["number", "null"]},
        "currency": {"type": ["string", "null"]},
    },
    "required": ["number", "account"],
}

LIST = Stream(
    name="invoices",
    title="List",
    request=get("/{account}"),
    keys=("account", "number"),
    plan=Plan(each=("accounts", "account")),
    replication_key="changed",
    add={"account": "account"},
)
DETAIL = replace(
    LIST, name="details", schema="invoices", parent=Parent(param="number", stream="invoices", field="number")
)


def windowed(**changes: Any) -> Stream:
    """A list in windows; ``url`` stands for the date and ``concurrency`` for the days: what counts is their schemas."""
    windows = {"start": "url", "end": "until", "days": "concurrency", "params": ("from", "to"), **changes}
    return replace(LIST, plan=Plan(each=("accounts", "account"), windows=Windows(**windows)))


@pytest.fixture
def schemas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A schema package that can be imported, as an installed plugin's."""
    package = tmp_path / f"schemas_{tmp_path.name}"
    package.mkdir()
    (package / "config.json").write_text(json.dumps(CONFIG))
    (package / "invoices.json").write_text(json.dumps(INVOICE))
    monkeypatch.syspath_prepend(str(tmp_path))
    return package


def connector(schemas: Path, *streams: Stream, name: str = "acme-two") -> Connector:
    return Connector(
        name=name,
        title="Acme",
        docs="https://acme.test",
        schemas=schemas.name,
        base_url=setting("url"),
        streams=streams,
    )


def test_a_sound_declaration_passes(schemas: Path) -> None:
    validation.check(connector(schemas, LIST, DETAIL))


def test_a_schema_leaves_the_property_for_what_no_schema_has_alone(schemas: Path) -> None:
    properties = {**INVOICE["properties"], UNKNOWN: {"type": ["string", "null"]}}
    (schemas / "invoices.json").write_text(json.dumps({**INVOICE, "properties": properties}))
    with pytest.raises(DeclarationError, match="the property '_unknown', which is kept for what no schema has"):
        validation.check(connector(schemas, LIST))


@pytest.mark.parametrize(
    ("streams", "reason"),
    [
        ((), "it has no streams"),
        ((LIST, LIST), "two streams are called 'invoices'"),
        ((replace(LIST, keys=()),), "stream 'invoices': it has no key properties"),
        ((replace(LIST, keys=("no",)),), "stream 'invoices': the key property 'no' is not in its schema"),
        ((replace(LIST, keys=("currency",)),), "stream 'invoices': the key property 'currency' may be null"),
        ((replace(LIST, add={"no": "account"}),), "stream 'invoices': the added property 'no' is not in its schema"),
        ((replace(LIST, document="no"),), "stream 'invoices': the document property 'no' is not in its schema"),
        ((replace(LIST, replication_key="total"),), "the replication key 'total' is not a date-time of its schema"),
        ((replace(LIST, replication_key="no"),), "the replication key 'no' is not a date-time of its schema"),
        ((replace(LIST, schema="none"),), "none.json cannot be read"),
        ((replace(LIST, plan=Plan(each=("no", "account"))),), "its plan needs the setting 'no', which may be left out"),
        ((replace(LIST, plan=Plan(each=("regions", "account"))),), "the setting 'regions', which may be left out"),
        ((replace(LIST, plan=Plan(lookback="no")),), "its plan needs the setting 'no', which may be left out"),
        ((windowed(start="regions"),), "its plan needs the setting 'regions', which may be left out"),
        ((windowed(days="retry_seconds"),), "the setting 'retry_seconds' has no minimum of 1"),
        ((windowed(overlap_seconds=86_400),), "its windows overlap by a day or more"),
        ((windowed(overlap_seconds=-1),), "its windows overlap by a day or more, or by less than nothing"),
        ((DETAIL,), "stream 'details': its parent 'invoices' is not a list stream of this connector"),
        (
            (LIST, replace(DETAIL, parent=Parent(param="number", stream="details", field="number"))),
            "its parent 'details' is not a list stream",
        ),
        (
            (LIST, replace(DETAIL, parent=Parent(param="number", stream="invoices", field="no"))),
            "its parent 'invoices' has no property 'no'",
        ),
        (
            (replace(LIST, replication_key=None), DETAIL),
            "stream 'details': it is incremental, its parent 'invoices' is not",
        ),
    ],
)
def test_a_contradiction_is_refused(streams: tuple[Stream, ...], reason: str, schemas: Path) -> None:
    with pytest.raises(DeclarationError) as caught:
        validation.check(connector(schemas, *streams))
    assert reason in str(caught.value)


def test_a_plan_with_windows_passes(schemas: Path) -> None:
    validation.check(connector(schemas, windowed()))


@pytest.mark.parametrize("name", ["Acme", "acme_two", "acme two", "-acme", "acme-", "2acme", ""])
def test_a_name_has_to_serve_as_a_commands(name: str, schemas: Path) -> None:
    with pytest.raises(DeclarationError, match="lower-case letters and digits, joined by hyphens"):
        validation.check(connector(schemas, LIST, name=name))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"properties": {"url": {"type": "string"}}, "required": []}, r"at \$.url: a setting needs a description"),
        ({"properties": {"url": {"description": "Where."}}, "required": []}, "the setting 'url' has no type"),
        ({"required": ["url", "accounts", "key"]}, "'key' is required but has no schema"),
        (
            {"properties": {"url": {"type": "string", "default": 1, "description": "Where."}}, "required": []},
            "the default does not fit",
        ),
        ({"properties": {"url": {"type": "text", "description": "Where."}}}, r"config.json at \$.properties.url.type"),
    ],
)
def test_a_config_schema_that_contradicts_itself_is_refused(
    change: Mapping[str, Any], reason: str, schemas: Path
) -> None:
    (schemas / "config.json").write_text(json.dumps({**CONFIG, **change}))
    with pytest.raises(DeclarationError, match=reason):
        validation.check(connector(schemas, LIST), fully=True)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"type": "invoice"}, "type: 'invoice' is not valid"),
        ({"required": "number"}, "required: 'number' is not of type 'array'"),
        ({"properties": []}, r"properties: \[\] is not of type 'object'"),
        ({"properties": {"number": {"type": "string", "format": []}}}, r"properties.number.format: \[\] is not"),
        ({"properties": {"number": {"type": ["string", "nil"]}}}, "properties.number.type: "),
    ],
)
def test_a_schema_that_cannot_be_used_is_told_by_the_meta_schema(
    change: Mapping[str, Any], path: str, schemas: Path
) -> None:
    (schemas / "invoices.json").write_text(json.dumps({**INVOICE, **change}))
    with pytest.raises(DeclarationError, match=rf"invoices\.json at \$\.{path}"):
        validation.check(connector(schemas, LIST))


def test_what_does_not_keep_a_schema_from_being_used_is_refused_only_where_it_is_checked_fully(schemas: Path) -> None:
    (schemas / "invoices.json").write_text(json.dumps({**INVOICE, "title": 1}))
    validation.check(connector(schemas, LIST))
    with pytest.raises(DeclarationError, match=r"invoices\.json at \$\.title: 1 is not of type 'string'"):
        validation.check(connector(schemas, LIST), fully=True)


def looked_for(row: Node) -> set[str]:
    return {name for name, node in row.fields.items() if node.kind != "given"}


def test_what_the_request_knows_is_not_looked_for_in_a_reply(schemas: Path) -> None:
    shape = validation.shapes(connector(schemas, LIST, DETAIL))
    assert set(shape["invoices"].record.fields) == set(INVOICE["properties"])
    assert looked_for(shape["invoices"].row) == {"number", "changed", "total", "currency"}
    assert looked_for(shape["details"].row) == {"number", "total", "currency"}
    assert shape["details"].row.required == {"number"}
