"""The type of each column: exact values come back, and what does not fit is an error at its line."""

from __future__ import annotations

import io
import json
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.duckdb.kit import AMOUNT, INTEGER, NUMBER, STRING, WHEN, Message, load, record, rows, schema, types
from vendortap.duckdb.columns import from_schema, sql
from vendortap.duckdb.target import DuckdbTarget
from vendortap.duckdb.values import InvalidValue, converter
from vendortap.errors import LoadError

# --- types -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("json_schema", "expected"),
    [
        ({"type": "string"}, "VARCHAR"),
        ({"type": ["null", "string"], "maxLength": 5}, "VARCHAR"),
        ({"type": "string", "format": "uuid"}, "VARCHAR"),
        ({"type": "integer"}, "BIGINT"),
        ({"type": "integer", "minimum": 0, "maximum": 18446744073709551615}, "HUGEINT"),
        ({"type": "integer", "minimum": -9223372036854775808, "maximum": 9223372036854775807}, "BIGINT"),
        ({"type": ["number", "null"], "multipleOf": Decimal("1E-38")}, "DECIMAL(38,9)"),
        ({"type": ["integer", "number"]}, "DECIMAL(38,9)"),
        ({"type": "string", "format": "x-singer.decimal"}, "DECIMAL(38,9)"),
        ({"type": ["null", "string"], "format": "singer.decimal"}, "DECIMAL(38,9)"),
        ({"type": "boolean"}, "BOOLEAN"),
        ({"type": "string", "format": "date-time"}, "TIMESTAMPTZ"),
        ({"type": "string", "format": "date"}, "DATE"),
        ({"type": "string", "format": "time"}, "TIME"),
        ({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}, "TIMESTAMPTZ"),
        ({"anyOf": [{"type": "string", "format": "date-time"}, {"type": ["string", "null"]}]}, "VARCHAR"),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "DECIMAL(38,9)"),
        ({"type": ["string", "integer", "null"]}, "JSON"),
        ({"type": "string", "anyOf": [{"minLength": 1}]}, "VARCHAR"),
        ({}, "JSON"),
        ({"type": []}, "JSON"),
        ({"type": "null"}, "JSON"),
        (True, "JSON"),
        ({"$ref": "#/definitions/x"}, "JSON"),
        ({"type": "object"}, "JSON"),
        ({"type": "object", "properties": {}}, "JSON"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "JSON"),
        ({"type": "object", "patternProperties": {"^a": {}}, "properties": {"a": {}}}, "JSON"),
        ({"properties": {"a": {"type": "integer"}}}, 'STRUCT("a" BIGINT)'),
        ({"type": "object", "properties": {'q"': {"type": "integer"}}}, 'STRUCT("q""" BIGINT)'),
        ({"type": "array"}, "JSON"),
        ({"type": "array", "items": {}}, "JSON"),
        ({"type": "array", "items": [{"type": "string"}]}, "JSON"),
        ({"items": {"type": "array", "items": {"type": "number"}}}, "DECIMAL(38,9)[][]"),
        (
            {"anyOf": [{"properties": {"a": {"type": "integer"}}}, {"properties": {"b": {"type": "string"}}}]},
            'STRUCT("a" BIGINT, "b" VARCHAR)',
        ),
        ({"anyOf": [{"items": {"type": "integer"}}, {"items": {"type": "number"}}]}, "DECIMAL(38,9)[]"),
        ({"anyOf": [{"type": "object", "properties": {"a": {}}}, {"type": "string"}]}, "JSON"),
    ],
)
def test_json_schema_becomes_the_type_that_loses_nothing(json_schema: Any, expected: str) -> None:
    assert sql(from_schema(json_schema, NUMBER)) == expected


@pytest.mark.promise("A number comes back from the database digit for digit, or is refused", figure="300 decimals")
@given(
    value=st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**32), max_value=10**32)
    | st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**30), max_value=10**30)
)
@example(Decimal("99999999999999999999999999999.999999999"))
@example(Decimal("-0"))
@example(Decimal("1E-9"))
@example(Decimal("1E-10"))
@example(Decimal("1E+28"))
@example(Decimal("1E+29"))
@example(Decimal("1.10000000000000"))
@settings(max_examples=300, deadline=None)
def test_decimals_that_fit_come_back_equal_and_others_are_refused(value: Decimal) -> None:
    _, digits, exponent = value.as_tuple()
    coefficient = "".join(map(str, digits)).lstrip("0")
    assert isinstance(exponent, int)
    fraction = max(0, -exponent - (len(coefficient) - len(coefficient.rstrip("0")))) if coefficient else 0
    fits = fraction <= 9 and value.copy_abs() < 10**29  # abs() would round
    convert = converter(NUMBER, strict=True, notice=lambda *_: pytest.fail("a number has no properties"))
    if not fits:
        with pytest.raises(InvalidValue):
            convert(value)
        return
    sent = convert(value)
    assert duckdb.execute(f"SELECT '{sent}'::DECIMAL(38,9)").fetchall() == [(value,)]


@pytest.mark.promise("A number comes back from the database digit for digit, or is refused")
def test_numbers_load_digit_for_digit(file: Path) -> None:
    numbers = [
        "1234567890123456.78",
        "10.00",
        "99999999999999999999999999999.999999999",
        "-99999999999999999999999999999.999999999",
        "0.000000001",
        "1e2",
        "12",
        "1.5000000000000000000000",
        "9007199254740993",
        "0.1",
    ]
    lines = [f'{{"type":"RECORD","stream":"s","record":{{"n":{n},"l":[{n}]}}}}' for n in numbers]
    lines += [f'{{"type":"RECORD","stream":"s","record":{{"n":"{n}"}}}}' for n in numbers]
    load(file, schema("s", {"n": AMOUNT, "l": {"type": "array", "items": AMOUNT}}), *lines)
    assert types(file, "s") == {"n": "DECIMAL(38,9)", "l": "DECIMAL(38,9)[]"}
    got = rows(file, "SELECT n, l FROM s")
    assert [n for n, _ in got] == [Decimal(n) for n in numbers] * 2
    assert [items for _, items in got[: len(numbers)]] == [[Decimal(n)] for n in numbers]


def test_precision_and_scale_are_settings(file: Path) -> None:
    load(file, schema("s", {"n": AMOUNT}), record("s", n="999.99"), decimal_precision=5, decimal_scale=2)
    assert types(file, "s") == {"n": "DECIMAL(5,2)"}
    with pytest.raises(LoadError, match="raise decimal_precision"):
        load(file, schema("s", {"n": AMOUNT}), record("s", n="1000"), decimal_precision=5, decimal_scale=2)


def test_instants_dates_and_times(file: Path) -> None:
    properties = {"t": WHEN, "d": {"type": "string", "format": "date"}, "c": {"type": "string", "format": "time"}}
    sent = {
        "2024-02-29T10:00:00Z": "2024-02-29 10:00:00+00",
        "2024-02-29T10:00:00.123456+02:00": "2024-02-29 08:00:00.123456+00",
        "2024-02-29T10:00:00": "2024-02-29 10:00:00+00",
        "2024-02-29 10:00:00": "2024-02-29 10:00:00+00",
        "2024-02-29": "2024-02-29 00:00:00+00",
        "2024-02-29T10:00Z": "2024-02-29 10:00:00+00",
        "2024-02-29T10:00:00.1234564Z": "2024-02-29 10:00:00.123456+00",
        "0001-01-01T00:00:00Z": "0001-01-01 00:00:00+00",
        "9999-12-31T23:59:59.999999Z": "9999-12-31 23:59:59.999999+00",
    }
    load(
        file,
        schema("s", properties),
        *(record("s", t=text) for text in sent),
        record("s", d="2024-02-29", c="10:00:00.5"),
        record("s", d="2024-02-29T00:00:00", c="10:00:00.5Z"),
    )
    assert types(file, "s") == {"t": "TIMESTAMP WITH TIME ZONE", "d": "DATE", "c": "TIME"}
    assert [row[0] for row in rows(file, "SELECT t::VARCHAR FROM s WHERE t IS NOT NULL")] == [*sent.values()]
    assert rows(file, "SELECT DISTINCT d::VARCHAR, c::VARCHAR FROM s WHERE t IS NULL") == [("2024-02-29", "10:00:00.5")]


def test_nested_values_and_json(file: Path) -> None:
    line = {"type": ["object", "null"], "properties": {"No": INTEGER, "net": AMOUNT, "at": WHEN, "free": {}}}
    properties = {
        "id": STRING,
        "lines": {"type": "array", "items": line},
        "free": {"type": "object"},
        "any": {"type": ["string", "integer", "null"]},
        "big": {"type": "integer", "maximum": 2**100},
    }
    text = (
        '{"type":"RECORD","stream":"s","record":{"id":"a\\u0000\\"ü","lines":[{"No":1,"net":0.10,'
        '"at":"2024-01-01T00:00:00Z","free":[1.10,{"x":123456789012345678901234567890.5}]},null,{}],'
        f'"free":{{"n":10.00}},"any":5,"big":{2**100}}}}}'
    )
    load(file, schema("s", properties, ["id"]), text, record("s", id="b", any="5", lines=[]), record("s", id="c"))
    assert types(file, "s")["lines"] == (
        'STRUCT("No" BIGINT, net DECIMAL(38,9), "at" TIMESTAMP WITH TIME ZONE, free JSON)[]'
    )
    assert rows(file, 'SELECT id, lines[1].No, lines[1].net, len(lines), lines[1].free, free, "any", big FROM s') == [
        (
            'a\0"ü',
            1,
            Decimal("0.1"),
            3,
            '[1.10,{"x":123456789012345678901234567890.5}]',
            '{"n":10.00}',
            "5",
            2**100,
        ),
        ("b", None, None, 0, None, None, '"5"', None),
        ("c", None, None, None, None, None, None, None),
    ]


def test_another_style_of_tap_loads(file: Path) -> None:
    """As written by older database and API taps: no formats, multipleOf, anyOf, no keys, repeated SCHEMA."""
    properties = {
        "id": {"inclusion": "automatic", "type": ["null", "integer"], "minimum": -2147483648, "maximum": 2147483647},
        "price": {"type": ["null", "number"], "multipleOf": 1e-08, "exclusiveMaximum": True},
        "updated_at": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": ["string", "null"]}]},
        "tags": {"type": ["null", "array"], "items": {"type": ["null", "string"]}},
        "meta": {"type": ["null", "object"], "additionalProperties": True, "properties": {}},
    }
    head = schema("public-orders", properties)
    del head["key_properties"]
    load(
        file,
        head,
        record("public-orders", id=1, price=12.5, updated_at="not a date", tags=["a", None], meta={"a": [1]}),
        head,
        {**record("public-orders", id=1, price=None), "version": 1700000000, "time_extracted": "2024-01-01T00:00:00Z"},
        {"type": "ACTIVATE_VERSION", "stream": "public-orders", "version": 1700000000},
        {"type": "STATE", "value": {"bookmarks": {}}},
        "",
        default_target_schema="shop",
    )
    assert rows(file, 'SELECT id, price, updated_at, tags, meta FROM shop."public-orders"') == [
        (1, Decimal("12.5"), "not a date", ["a", None], '{"a":[1]}'),
        (1, None, None, None, None),
    ]


# --- what does not fit -------------------------------------------------------------------------------

ITEMS = {"type": "array", "items": {"type": "object", "properties": {"n": AMOUNT}}}


@pytest.mark.promise("What a target cannot hold exactly is an error with line and path, and without the value")
@pytest.mark.parametrize(
    ("properties", "value", "said"),
    [
        ({"v": AMOUNT}, "1.0123456789", r"\$\.v has more than 9 digits after the point.*raise decimal_scale"),
        ({"v": AMOUNT}, "100000000000000000000000000000", r"\$\.v has more than 29 digits before.*lower decimal_scale"),
        ({"v": AMOUNT}, "1e999999", r"\$\.v has more than 29 digits before"),
        ({"v": AMOUNT}, '"NaN"', r"\$\.v is a string that is not a decimal number"),
        ({"v": AMOUNT}, '"1_0"', r"\$\.v is a string that is not a decimal number"),
        ({"v": AMOUNT}, "NaN", r"\$\.v is not a finite number; JSON has no such number"),
        ({"v": ITEMS}, '[{"n":1},{"n":-Infinity}]', r"\$\.v\[1\]\.n is not a finite number"),
        ({"v": ITEMS}, '[{"n":1},{"n":"31337x"}]', r"\$\.v\[1\]\.n is a string that is not a decimal number"),
        ({"v": AMOUNT}, "true", r"\$\.v must be a number, but is a boolean"),
        ({"v": AMOUNT}, "[1]", r"\$\.v must be a number, but is an array"),
        ({"v": INTEGER}, "9223372036854775808", r"\$\.v is too large for BIGINT"),
        ({"v": INTEGER}, "1.5", r"\$\.v must be an integer, but is a number"),
        ({"v": INTEGER}, "1e400", r"\$\.v must be an integer, but is a number"),
        ({"v": INTEGER}, "true", r"\$\.v must be an integer, but is a boolean"),
        ({"v": {"type": "integer", "maximum": 2**100}}, str(2**127), r"\$\.v is too large for HUGEINT"),
        ({"v": STRING}, "31337", r"\$\.v must be a string, but is a number"),
        ({"v": {"type": "boolean"}}, "1", r"\$\.v must be a boolean, but is a number"),
        ({"v": WHEN}, '"31337"', r"\$\.v is not a date-time"),
        ({"v": WHEN}, '"2023-02-29T00:00:00Z"', r"\$\.v is not a date-time"),
        ({"v": WHEN}, '"2024-01-01T00:00:00+01:00:30"', r"\$\.v has an offset"),
        ({"v": {"type": "string", "format": "date"}}, '"2024-01-01T10:00:00"', r"\$\.v is a date-time"),
        ({"v": {"type": "string", "format": "time"}}, '"10:00:00+02:00"', r"\$\.v is a time with an offset"),
        ({"v": {"type": "string", "format": "time"}}, '"31337"', r"\$\.v is not a time"),
        ({"v": ITEMS}, '{"n":1}', r"\$\.v must be an array, but is an object"),
        ({"v": ITEMS}, '["31337"]', r"\$\.v\[0\] must be an object, but is a string"),
        ({"v": {"type": "string"}}, "null", r"\$\.v must not be null"),
        ({"v": {"type": "array", "items": {"type": "string"}}}, "[null]", r"\$\.v\[0\] must not be null"),
    ],
)
def test_a_value_that_does_not_fit_is_an_error_at_its_line(
    file: Path, properties: Message, value: str, said: str
) -> None:
    bad = f'{{"type":"RECORD","stream":"s","record":{{"id":"x","v":{value}}}}}'
    messages = [schema("s", {"id": STRING, **properties}, ["id"]), {"type": "STATE", "value": 1}]
    with pytest.raises(LoadError, match=f"^line 3: stream 's': {said}") as caught:
        load(file, *messages, bad, max_batch_age_seconds=0)
    assert "31337" not in str(caught.value)
    assert rows(file, "SELECT * FROM s") == []


def test_an_integral_number_is_an_integer(file: Path) -> None:
    load(file, schema("s", {"v": INTEGER}), '{"type":"RECORD","stream":"s","record":{"v":5.0}}')
    assert rows(file, "SELECT v FROM s") == [(5,)]


def test_required_and_null_are_checked_unless_switched_off(file: Path) -> None:
    line = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
    head = schema("s", {"id": {"type": "string"}, "l": {"type": "array", "items": line}}, required=["id"])
    with pytest.raises(LoadError, match=r"line 2: stream 's': \$ lacks the required id"):
        load(file, head, record("s", l=[]))
    with pytest.raises(LoadError, match=r"line 2: stream 's': \$\.l\[0\] lacks the required n"):
        load(file, head, record("s", id="a", l=[{}]))
    load(file, head, record("s", l=[{"n": None}]), validate_records=False)
    assert rows(file, "SELECT * FROM s") == [(None, [{"n": None}])]


@pytest.mark.promise("What a target cannot hold exactly is an error with line and path, and without the value")
@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (['{"type":"RECORD","stream":"s","record":{"id":"31337"'], "the input ends in the middle"),
        (["31337"], "a JSON object was expected"),
        (['{"type":"EVIL31337"}'], "not a Singer message"),
        (["{}"], "not a Singer message"),
        ([record("s", id="31337")], "stream 's': a RECORD came before its SCHEMA"),
        ([{"type": "RECORD", "record": {"id": "31337"}}], "RECORD message without stream"),
        ([{"type": "RECORD", "stream": "s"}], "RECORD message without record"),
        ([{"type": "STATE"}], "STATE message without value"),
        ([{"type": "SCHEMA", "stream": "s"}], "SCHEMA message without schema"),
        ([{"type": "SCHEMA", "stream": ["31337"], "schema": {}}], "whose stream is not a name"),
        ([{"type": "SCHEMA", "stream": "s", "schema": {"type": "object"}}], "no object 'properties'"),
        ([{**schema("s", {"id": STRING}), "key_properties": "id"}], "key_properties is not a list"),
        ([schema("s", {})], "declares no properties"),
        ([schema("s", {"": STRING})], "a property whose name is empty"),
        ([schema("s", {"id": STRING}, ["no"])], "no property for its key 'no'"),
        ([schema("s", {"id": ITEMS}, ["id"])], "the key 'id' of type LIST"),
        ([schema("s", {"Id": STRING, "id": STRING})], "has both 'Id' and 'id'"),
        (
            [schema("s", {"l": {"type": "array", "items": {"type": "object", "properties": {"N": {}, "n": {}}}}})],
            r"stream 's'\.l\[\] has both 'N' and 'n'",
        ),
    ],
)
def test_a_bad_message_is_an_error_at_its_line(file: Path, lines: list[Any], said: str) -> None:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    with closing(DuckdbTarget(config={"path": str(file)})) as target, pytest.raises(LoadError) as caught:
        target.listen(io.StringIO(text))
    assert str(caught.value).startswith("line 1: ")
    assert caught.match(said)
    assert "31337" not in str(caught.value)


@pytest.mark.parametrize("fields", [{"a": 1}, {"a": 1, "b": None}])
def test_a_record_needs_values_for_its_keys(file: Path, fields: Message) -> None:
    with pytest.raises(LoadError, match=r"line 2: stream 's': .* lacks a value for its key 'b'"):
        load(file, schema("s", {"a": INTEGER, "b": STRING}, ["a", "b"]), record("s", **fields))


def test_lone_surrogates_and_bad_utf8_are_errors(file: Path) -> None:
    head = schema("s", {"a": STRING})
    with pytest.raises(LoadError, match="line 2: not JSON"):
        load(file, head, '{"type":"RECORD","stream":"s","record":{"a":"\\ud800"}}')
    body = json.dumps(head).encode() + b'\n{"type":"RECORD","stream":"s","record":{"a":"\xff"}}\n'
    with (
        closing(DuckdbTarget(config={"path": str(file)})) as target,
        pytest.raises(LoadError, match="line 2: not JSON"),
    ):
        target.reader.process_lines(
            io.BytesIO(body), {"SCHEMA": target._process_schema_message, "RECORD": target._process_record_message}
        )
