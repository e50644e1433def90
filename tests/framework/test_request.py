"""Builders of requests, and values that depend on the settings."""

from __future__ import annotations

from typing import Any

import pytest
from vendortap.errors import ConfigError
from vendortap.request import by, choose, first, get, setting


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
