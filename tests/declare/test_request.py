"""Builders of requests, and values that depend on the settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
import xmltodict

from vendortap.declare.model import Request
from vendortap.declare.request import by, choose, first, get, post, setting
from vendortap.decode.body import write
from vendortap.errors import ConfigError


def test_places_are_filled_from_the_unit_first_and_then_from_the_settings() -> None:
    build = get("/{kind}/{number}", lang="{lang}")
    request = build({"kind": "invoice", "number": "setting", "lang": "en"}, {"number": "7"})
    assert (request.method, request.path, request.params) == ("GET", "/invoice/7", {"lang": "en"})


@pytest.mark.parametrize(
    ("number", "path"),
    [("A/B", "/i/A%2FB"), ("50% & more?", "/i/50%25%20%26%20more%3F"), ("Ø#1", "/i/%C3%98%231")],
)
def test_a_path_segment_cannot_leave_its_place(number: str, path: str) -> None:
    assert get("/i/{number}")({}, {"number": number}).path == path


def test_query_values_are_left_to_the_client_to_encode() -> None:
    assert get("/i", q="{q}")({"q": "a b&c"}, {}).params == {"q": "a b&c"}


@pytest.mark.parametrize("values", [{}, {"day": None}])
@pytest.mark.parametrize("template", ["{day}", "{day}T00:00:00"])
def test_a_query_parameter_that_stands_for_null_is_left_out(values: dict[str, Any], template: str) -> None:
    assert get("/i", since=template)(values, {}).params == {}


def test_a_query_value_may_be_made_of_several() -> None:
    assert get("/i", range="{a}..{b}")({"a": 1, "b": 2}, {}).params == {"range": "1..2"}


@pytest.mark.parametrize(("value", "text"), [(True, "true"), (False, "false"), (0, "0"), ("", "")])
def test_values_are_spelled_as_json_spells_them(value: Any, text: str) -> None:
    assert get("/i", q="{q}")({"q": value}, {}).params == {"q": text}


def test_choose_takes_the_form_that_the_setting_names() -> None:
    build = choose("style", path=get("/p"), query=get("/q"))
    assert build({"style": "query"}, {}).path == "/q"


def test_setting_has_a_default_for_null() -> None:
    assert [setting("a", 1)(config) for config in ({}, {"a": None}, {"a": 0})] == [1, 1, 0]


def test_first_takes_the_first_that_is_set() -> None:
    value = first(setting("own"), by("style", {"x": "X"}))
    assert [value({"own": own, "style": "x"}) for own in (None, "mine")] == ["X", "mine"]


def test_first_says_that_none_is_set() -> None:
    with pytest.raises(ConfigError, match="none of the settings"):
        first(setting("own"))({})


@pytest.mark.parametrize("values", [{}, {"account": None}])
def test_a_path_without_its_value_is_a_sentence(values: dict[str, Any]) -> None:
    for build in (get("/of/{account}"), post("/of/{account}", {})):
        with pytest.raises(ConfigError, match=r"the setting 'account' is missing; the path /of/\{account\} needs it"):
            build(values, {})


def test_the_path_as_it_is_given_is_the_endpoint() -> None:
    config = {"version": "v2", "number": "7"}
    assert get("/v1/{number}")(config, {}).endpoint == "/v1/{number}"
    assert get(by("version", {"v1": "/v1/{number}", "v2": "/v2/{number}"}))(config, {}).endpoint == "/v2/{number}"
    assert post("/v1/{number}", {})(config, {}).endpoint == "/v1/{number}"


# --- posts -------------------------------------------------------------------------------------------

XML = {"media_type": by("format", {"xml": "application/xml", "charset": "application/xml; charset=utf-8"})}


def body_of(document: Mapping[str, Any], values: Mapping[str, Any], **options: Any) -> tuple[str, bytes]:
    """The content type and the body that are sent."""
    request = write(post("/find", document, **options)(values, {}))
    assert request.document is None
    assert request.body is not None
    return request.headers["Content-Type"], request.body


def test_a_post_has_a_json_document_and_fills_its_path() -> None:
    request = post("/of/{account}/find", {"q": {"number": "{number}"}})({"account": "a/b"}, {"number": "7"})
    assert (request.method, request.path) == ("POST", "/of/a%2Fb/find")
    assert request.document == {"q": {"number": "7"}}
    assert request.body is None
    assert (write(request).headers, write(request).body) == (
        {"Content-Type": "application/json"},
        b'{"q":{"number":"7"}}',
    )


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("{number}", 5),
        ("{flag}", True),
        ("{amount}", Decimal("10.00")),
        ("{names}", ["a", "b"]),
        ("{none}", None),
        ("{unknown}", None),
        ("no. {number}", "no. 5"),
        ("{flag}/{number}", "true/5"),
        ("{none} at all", None),
        ({"deep": {"er": "{number}"}}, {"deep": {"er": 5}}),
        (["{number}", {"x": "{flag}"}, 7], [5, {"x": True}, 7]),
        (7, 7),
        (None, None),
        ("plain", "plain"),
        ({}, {}),
    ],
)
def test_a_place_that_is_the_whole_text_keeps_its_type(template: Any, filled: Any) -> None:
    values = {"number": 5, "flag": True, "amount": Decimal("10.00"), "names": ["a", "b"], "none": None}
    document = {"value": template}
    request = post("/find", document)(values, {})
    assert request.document == {"value": filled}
    assert document == {"value": template}, "the declaration stays as it is"
    assert json.loads(write(request).body or b"", parse_float=Decimal) == {"value": filled}


def test_amounts_are_sent_digit_for_digit() -> None:
    _, body = body_of({"amount": "{amount}"}, {"amount": Decimal("1234567890123456.70")})
    assert body == b'{"amount":1234567890123456.70}'


@pytest.mark.parametrize("form", ["xml", "charset"])
def test_where_the_settings_choose_xml_the_document_is_inside_its_root(form: str) -> None:
    values = {"format": form, "number": "A&B <1>", "flag": False}
    document = {"Guid": "{number}", "Paid": "{flag}", "Items": {"Item": ["1", "2"]}}
    media_type, body = body_of(document, values, xml_root="Select", **XML)
    assert media_type == XML["media_type"](values)
    assert xmltodict.parse(body) == {
        "Select": {
            "@xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
            "@xmlns:xsd": "http://www.w3.org/2001/XMLSchema",
            "Guid": "A&B <1>",
            "Paid": "false",
            "Items": {"Item": ["1", "2"]},
        }
    }


def test_a_document_that_a_pager_changed_is_what_is_written() -> None:
    request = post("/find", {"first": 0})({}, {})
    changed = Request(request.method, request.path, headers=request.headers, document={"first": 100})
    assert write(changed).body == b'{"first":100}'


def test_a_request_without_a_document_is_left_as_it_is() -> None:
    request = get("/i")({}, {})
    assert write(request) is request
    body = Request("POST", "/i", body=b"as it is")
    assert write(body) is body
