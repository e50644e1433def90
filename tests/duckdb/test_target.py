"""The DuckDB target in this process, on real files."""

from __future__ import annotations

import gzip
import io
import json
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vendortap.duckdb.columns import Column, from_schema, sql
from vendortap.duckdb.target import DuckdbTarget
from vendortap.duckdb.values import Misfit, converter
from vendortap.errors import ConfigError, LoadError

NUMBER = Column("DECIMAL", precision=38, scale=9)
Message = dict[str, Any]


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """The SDK takes the signals over; give them back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "invoices.duckdb"


def schema(stream: str, properties: Message, keys: list[str] | None = None, **more: Any) -> Message:
    body = {"type": "object", "properties": properties, **more}
    return {"type": "SCHEMA", "stream": stream, "schema": body, "key_properties": keys or []}


def record(stream: str, **fields: Any) -> Message:
    return {"type": "RECORD", "stream": stream, "record": fields}


def load(file: Path, *messages: Message | str, **config: Any) -> None:
    """Load messages; a str is a raw line, which is how numbers are given digit for digit."""
    text = "".join((m if isinstance(m, str) else json.dumps(m)) + "\n" for m in messages)
    with closing(DuckdbTarget(config={"path": str(file), **config})) as target:
        target.listen(io.StringIO(text))


def rows(file: Path, query: str) -> list[Any]:
    with duckdb.connect(str(file), config={"autoinstall_known_extensions": "false"}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(query).fetchall()


def types(file: Path, table: str) -> dict[str, str]:
    return {name: kind for name, kind, *_ in rows(file, f"DESCRIBE {table}")}


STRING = {"type": ["null", "string"]}
AMOUNT = {"type": ["null", "number"]}
INTEGER = {"type": ["null", "integer"]}
WHEN = {"type": ["null", "string"], "format": "date-time"}


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
        with pytest.raises(Misfit):
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


# --- upsert ------------------------------------------------------------------------------------------


@pytest.mark.promise("No invoice is in a table twice")
def test_upsert_replaces_by_key_and_the_last_wins(file: Path) -> None:
    head = schema("s", {"a": INTEGER, "b": STRING, "v": STRING, "o": STRING}, ["a", "b"])
    load(file, head, record("s", a=1, b="x", v="old", o="old"), record("s", a=2, b="x", v="stays"))
    again = [record("s", a=1, b="x", v="lost"), record("s", a=1, b="X", v="other"), record("s", a=1, b="x", v="new")]
    for _ in range(2):
        load(file, head, *again)
        assert rows(file, "SELECT * FROM s ORDER BY a, b") == [
            (1, "X", "other", None),
            (1, "x", "new", None),
            (2, "x", "stays", None),
        ]


def test_a_key_may_be_a_decimal_or_an_instant(file: Path) -> None:
    head = schema("s", {"n": AMOUNT, "t": WHEN, "v": INTEGER}, ["n", "t"])
    load(
        file,
        head,
        '{"type":"RECORD","stream":"s","record":{"n":1.10,"t":"2024-01-01T00:00:00Z","v":1}}',
        '{"type":"RECORD","stream":"s","record":{"n":1.1,"t":"2024-01-01T02:00:00+02:00","v":2}}',
    )
    assert rows(file, "SELECT v FROM s") == [(2,)]


@pytest.mark.promise("No name of a stream or a field is taken for SQL")
def test_names_that_sql_could_take_for_something_else(file: Path) -> None:
    """The schema named like the file, a column like its table, a table like the file, quotes, keywords."""
    head = schema(
        "in\"voices'",
        {"in\"voices'": {"type": "object", "properties": {"select": INTEGER}}, "select": STRING, "r": STRING, "n": {}},
        ["select"],
    )
    message = record("in\"voices'", **{"in\"voices'": {"select": 5}, "select": "k", "r": "r", "n": 1})
    for _ in range(2):
        load(file, head, message, default_target_schema="invoices")
    assert rows(file, 'SELECT * FROM invoices.invoices."in""voices\'"') == [({"select": 5}, "k", "r", "1")]
    load(file, schema("invoices", {"invoices": STRING}, ["invoices"]), record("invoices", invoices="a"))
    assert rows(file, "SELECT invoices FROM invoices.main.invoices") == [("a",)]


def test_a_folder_with_glob_and_hive_characters(tmp_path: Path) -> None:
    folder = tmp_path / "we[ir]d* a=1" / "n=2"
    folder.mkdir(parents=True)
    load(folder / "x'y.duckdb", schema("s", {"id": STRING}), record("s", id="1"))
    assert rows(folder / "x'y.duckdb", "SELECT * FROM s") == [("1",)]
    assert sorted(path.name for path in folder.iterdir()) == ["x'y.duckdb"]


def test_a_stream_without_keys_is_appended_to_in_order(file: Path) -> None:
    for part in (range(50), range(50, 100)):
        load(file, schema("s", {"n": INTEGER}), *(record("s", n=n) for n in part), batch_size_rows=7)
    assert rows(file, "SELECT n FROM s") == [(n,) for n in range(100)]


def test_load_methods(file: Path) -> None:
    head = schema("s", {"id": STRING}, ["id"])
    two = [record("s", id="a"), record("s", id="b"), record("s", id="a")]
    load(file, head, *two, load_method="append-only")
    load(file, head, *two, load_method="append-only")
    assert len(rows(file, "SELECT * FROM s")) == 6
    load(file, head, *two, load_method="overwrite", batch_size_rows=1)
    assert sorted(rows(file, "SELECT * FROM s")) == [("a",), ("b",)]
    load(file, head, load_method="overwrite")
    assert rows(file, "SELECT * FROM s") == []


def test_two_vendors_do_not_meet(file: Path) -> None:
    for vendor in ("acme", "globex"):
        load(file, schema("invoices", {"id": STRING}, ["id"]), record("invoices", id="1"), default_target_schema=vendor)
    assert rows(file, "SELECT count(*) FROM acme.invoices") == rows(file, "SELECT count(*) FROM globex.invoices")


def test_a_large_record_loads(file: Path) -> None:
    load(file, schema("s", {"v": STRING}), record("s", v="x" * 20_000_000))
    assert rows(file, "SELECT length(v) FROM s") == [(20_000_000,)]


def test_streams_that_would_be_one_table_are_refused(file: Path) -> None:
    with pytest.raises(LoadError, match="line 2: streams 'S' and 's' would be one table"):
        load(file, schema("S", {"id": STRING}), schema("s", {"id": STRING}))


# --- growth ------------------------------------------------------------------------------------------


def obj(**properties: Any) -> Message:
    return {"type": ["null", "object"], "properties": properties}


def arr(items: Message) -> Message:
    return {"type": ["null", "array"], "items": items}


@pytest.mark.parametrize("same_run", [True, False])
def test_columns_and_nested_fields_are_added(file: Path, same_run: bool) -> None:
    old = schema("s", {"id": STRING, "gone": STRING, "o": obj(a=obj(x=INTEGER)), "l": arr(obj(n=INTEGER))}, ["id"])
    new = schema(
        "s",
        {
            "id": STRING,
            "l": arr(obj(m=AMOUNT, n=AMOUNT, deep=arr(obj(k=STRING)))),
            "o": obj(a=obj(y=STRING, x=INTEGER)),
            "New": WHEN,
        },
        ["id"],
    )
    first = [old, record("s", id="1", gone="g", o={"a": {"x": 1}}, l=[{"n": 7}])]
    second = [new, record("s", id="2", l=[{"m": "1.5", "n": "2.5", "deep": [{"k": "z"}]}], o={"a": {"y": "b"}})]
    for messages in [first + second] if same_run else [first, second]:
        load(file, *messages)
    assert types(file, "s") == {
        "id": "VARCHAR",
        "gone": "VARCHAR",
        "o": "STRUCT(a STRUCT(x BIGINT, y VARCHAR))",
        "l": "STRUCT(n DECIMAL(38,9), m DECIMAL(38,9), deep STRUCT(k VARCHAR)[])[]",
        "New": "TIMESTAMP WITH TIME ZONE",
    }
    assert rows(file, "SELECT * EXCLUDE (New) FROM s ORDER BY id") == [
        ("1", "g", {"a": {"x": 1, "y": None}}, [{"n": Decimal(7), "m": None, "deep": None}]),
        ("2", None, {"a": {"x": None, "y": "b"}}, [{"n": Decimal("2.5"), "m": Decimal("1.5"), "deep": [{"k": "z"}]}]),
    ]
    load(file, old, record("s", id="1", gone="h", l=[{"n": 8}]))
    assert rows(file, "SELECT gone, l[1].n FROM s WHERE id = '1'") == [("h", Decimal(8))]


@pytest.mark.parametrize(
    ("old", "new", "value", "kind"),
    [
        (INTEGER, AMOUNT, "1.5", "DECIMAL(38,9)"),
        (AMOUNT, INTEGER, 5, "DECIMAL(38,9)"),
        (INTEGER, {"type": "integer", "maximum": 2**100}, 2**99, "HUGEINT"),
        ({"type": ["null", "integer"], "maximum": 2**100}, INTEGER, 5, "HUGEINT"),
        (STRING, WHEN, "2024-01-01T00:00:00Z", "VARCHAR"),
        ({}, AMOUNT, 5, "JSON"),
    ],
)
def test_types_widen_where_nothing_is_lost(file: Path, old: Message, new: Message, value: Any, kind: str) -> None:
    load(file, schema("s", {"v": old}), record("s", v=None))
    load(file, schema("s", {"v": new}), record("s", v=value))
    assert types(file, "s") == {"v": kind}
    assert len(rows(file, "SELECT * FROM s")) == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (STRING, AMOUNT),
        (AMOUNT, STRING),
        (WHEN, STRING),
        (WHEN, {"type": "string", "format": "date"}),
        (STRING, obj(a=STRING)),
        (obj(a=STRING), arr(STRING)),
        (obj(a=STRING), {}),
        (arr(obj(a=STRING)), arr(obj(a=INTEGER))),
        (obj(a=STRING), obj(A=STRING)),
    ],
)
def test_other_changes_of_type_are_refused(file: Path, old: Message, new: Message) -> None:
    load(file, schema("s", {"v": old}), record("s", v=None))
    with pytest.raises(LoadError, match=r"line 1: stream 's'\.v"):
        load(file, schema("s", {"v": new}), record("s", v=None))
    assert len(rows(file, "SELECT * FROM s")) == 1


def test_a_column_whose_case_changed_is_refused(file: Path) -> None:
    load(file, schema("s", {"Id": STRING}))
    with pytest.raises(LoadError, match="has both 'Id' and 'id'"):
        load(file, schema("s", {"id": STRING}))


def test_a_raised_scale_widens_or_says_that_values_are_too_large(file: Path) -> None:
    head = schema("s", {"n": AMOUNT})
    load(file, head, record("s", n="1.5"))
    load(file, head, record("s", n="1.000000000001"), decimal_scale=12)
    assert rows(file, "SELECT n FROM s") == [(Decimal("1.5"),), (Decimal("1.000000000001"),)]
    load(file, head, record("s", n="99999999999999999999999999"), decimal_scale=9)
    with pytest.raises(LoadError, match=r"column 'n' of main\.s holds values that do not fit DECIMAL\(38,20\)"):
        load(file, head, decimal_scale=20)
    assert types(file, "s") == {"n": "DECIMAL(38,12)"}


def test_a_double_made_by_others_is_refused(file: Path) -> None:
    rows(file, "CREATE TABLE s (n DOUBLE, other UNION(a INTEGER))")
    with pytest.raises(LoadError, match="is DOUBLE in the database"):
        load(file, schema("s", {"n": AMOUNT}))
    load(file, schema("s", {"m": AMOUNT}), record("s", m=1))
    assert rows(file, "SELECT m FROM s") == [(Decimal(1),)]


# --- commits, state, the SDK's own features ----------------------------------------------------------


def states(capsys: pytest.CaptureFixture[str]) -> list[Any]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.promise("A state comes out of the target only after its rows are committed")
def test_state_is_emitted_at_commits_only_and_with_its_digits(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head, one = schema("s", {"n": INTEGER}), record("s", n=1)
    load(file, head, one, {"type": "STATE", "value": 1}, one, '{"type":"STATE","value":{"x":1.10}}')
    assert capsys.readouterr().out == '{"x":1.10}\n'
    load(file, head, one, {"type": "STATE", "value": 1}, one, {"type": "STATE", "value": 2}, max_batch_age_seconds=0)
    assert states(capsys) == [1, 2]
    messages = [m for n in range(1, 7) for m in (one, {"type": "STATE", "value": n})]
    load(file, head, *messages, batch_size_rows=2)
    assert states(capsys) == [1, 3, 5, 6]


def test_there_is_no_file_before_the_first_schema(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load(file, {"type": "STATE", "value": 1})
    assert states(capsys) == [1]
    with pytest.raises(LoadError, match=r"line 1: not JSON"):
        load(file, "31337 nonsense")
    assert not [*file.parent.iterdir()]
    load(file, schema("s", {"id": INTEGER}))
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_all_streams_are_committed_together(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    heads = [schema("a", {"n": INTEGER}), schema("b", {"n": INTEGER})]
    with pytest.raises(LoadError):
        load(file, *heads, record("a", n=1), record("b", n=1), record("a", n=2), record("b", n="x"), batch_size_rows=2)
    assert rows(file, "SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b)") == [(1, 1)]
    assert [r.getMessage() for r in caplog.records if "commit" in r.getMessage()] == ["committed 2 rows: a 1, b 1"]


@pytest.mark.promise("No log line of the target holds a value")
def test_no_log_line_holds_a_value(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    head = schema("s", {"id": STRING, "n": INTEGER}, ["id"])
    good = record("s", id="31337", n=1, undeclared="31337")
    maps = {"s": {"id": "id", "double": "int(n * 2)"}}
    state = {"type": "STATE", "value": {"bookmark": "31337"}}
    load(file, head, good, good, state, stream_maps=maps, batch_size_rows=1)
    with pytest.raises(LoadError):
        load(file, head, good, record("s", id="31337", n="31337"))
    with pytest.raises(LoadError, match="cannot be mapped") as caught:
        load(file, head, good, stream_maps={"s": {"n": "int(id + 'x')"}})
    assert "31337" not in caplog.text + str(caught.value)
    assert caplog.text.count("$.undeclared is not declared") == 2


def test_stream_maps_and_flattening_stay_exact(file: Path) -> None:
    head = schema("s", {"id": STRING, "n": AMOUNT, "o": obj(a=AMOUNT, b=obj(c=AMOUNT))}, ["id"])
    line = '{"type":"RECORD","stream":"s","record":{"id":"1","n":0.10,"o":{"a":1234567890123456.78,"b":{"c":1.10}}}}'
    load(file, head, line, flattening_enabled=True, flattening_max_depth=1)
    assert rows(file, "SELECT o__a, o__b FROM s") == [(Decimal("1234567890123456.78"), '{"c":1.10}')]
    maps = {"s": {"__alias__": "t", "secret": "md5(id)", "__filter__": "id != '2'"}}
    load(file, head, line, record("s", id="2"), stream_maps=maps)
    assert rows(file, "SELECT id, n, length(secret) FROM t") == [("1", Decimal("0.1"), 32)]
    load(file, schema("gone", {"id": STRING}), record("gone", id="1"), stream_maps={"gone": None})
    assert rows(file, "SELECT table_name FROM duckdb_tables() ORDER BY 1") == [("s",), ("t",)]
    with pytest.raises(LoadError, match=r"\$\.n must be a number, but is a binary floating-point number"):
        load(file, head, line, stream_maps={"s": {"n": "float(id)"}})


def test_record_metadata(file: Path) -> None:
    message = {**record("s", id="1"), "time_extracted": "2024-01-01T00:00:00Z", "version": 5}
    load(file, schema("s", {"id": STRING}, ["id"]), message, add_record_metadata=True)
    query = "SELECT _sdc_extracted_at::VARCHAR, _sdc_table_version, _sdc_received_at IS NOT NULL FROM s"
    assert rows(file, query) == [("2024-01-01 00:00:00+00", 5, True)]
    assert types(file, "s")["_sdc_batched_at"] == "TIMESTAMP WITH TIME ZONE"


@pytest.mark.parametrize("compression", [None, "none", "gzip"])
def test_batch_files_load_exactly(file: Path, tmp_path: Path, compression: str | None) -> None:
    body = b'{"id":"1","n":1234567890123456.78}\n{"id":"2","n":1.10}\n'
    path = tmp_path / "a batch"
    path.write_bytes(gzip.compress(body) if compression == "gzip" else body)
    encoding = {"format": "jsonl", "compression": compression}
    batch = {"type": "BATCH", "stream": "s", "encoding": encoding, "manifest": [path.as_uri(), str(path)]}
    load(file, schema("s", {"id": STRING, "n": AMOUNT}, ["id"]), batch, {"type": "STATE", "value": 1})
    assert rows(file, "SELECT * FROM s ORDER BY id") == [("1", Decimal("1234567890123456.78")), ("2", Decimal("1.1"))]


def test_a_bad_batch_file_is_an_error(file: Path, tmp_path: Path) -> None:
    head = schema("s", {"id": STRING, "n": AMOUNT}, ["id"])

    def batch(url: str, **encoding: Any) -> Message:
        return {"type": "BATCH", "stream": "s", "encoding": {"format": "jsonl", **encoding}, "manifest": [url]}

    path = tmp_path / "b.jsonl"
    path.write_text('{"id":"1","n":1}\n{"id":"1","n":"x"}\n')
    with pytest.raises(LoadError, match=r"line 2, BATCH file 1, its line 2: stream 's': \$\.n"):
        load(file, head, batch(str(path)))
    truncated = tmp_path / "t.gz"
    truncated.write_bytes(gzip.compress(b'{"id":"1","n":1}\n')[:-6])
    with pytest.raises(LoadError, match=r"line 2.*cannot be read to its end"):
        load(file, head, batch(str(truncated), compression="gzip"))
    with pytest.raises(LoadError, match="cannot be read"):
        load(file, head, batch(str(tmp_path / "missing")))
    with pytest.raises(LoadError, match="must be local"):
        load(file, head, batch("s3://bucket/file"))
    with pytest.raises(LoadError, match="gzip or not compressed"):
        load(file, head, batch(str(path), compression="zstd"))
    with pytest.raises(LoadError, match="jsonl only"):
        load(file, head, batch(str(path), format="parquet"))
    with pytest.raises(LoadError, match="BATCH message without encoding"):
        load(file, head, {"type": "BATCH", "stream": "s", "manifest": []})


def test_nothing_is_fetched_or_left_behind(file: Path) -> None:
    with closing(DuckdbTarget(config={"path": str(file)})) as target:
        query = "SELECT value FROM duckdb_settings() WHERE name LIKE 'auto%known_extensions'"
        assert target.connection.execute(query).fetchall() == [("false",), ("false",)]
        target.listen(io.StringIO(json.dumps(schema("s", {"v": {}, "t": WHEN})) + "\n"))
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.promise("Rows that wait for a commit can be read by their owner only")
@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")
def test_what_waits_for_a_commit_is_readable_by_its_owner_only(file: Path) -> None:
    messages = [schema("s", {"v": STRING}), record("s", v="x" * 2_000_000)]
    with closing(DuckdbTarget(config={"path": str(file)})) as target:
        target.process_lines(io.StringIO("".join(json.dumps(message) + "\n" for message in messages)))
        folder = Path(target.folder)
        assert folder.parent == file.parent
        assert [path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())] == [0o700, 0o600]
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_what_a_killed_run_left_is_deleted(file: Path) -> None:
    left = file.parent / f".{file.name}.load-abc"
    left.mkdir()
    (left / "x.ndjson").write_text("{}")
    load(file, schema("s", {"id": INTEGER}))
    assert [path.name for path in file.parent.iterdir()] == [file.name]


# --- settings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "missing setting: path is required"),
        ({"path": 31337}, "setting path: must be of type string"),
        ({"path": ""}, "setting path: breaks its minLength rule"),
        ({"path": ":memory:"}, "setting path: must be a file"),
        ({"path": "no/such/folder/x.duckdb"}, "is in a folder that does not exist"),
        ({"path": "."}, "is a folder"),
        ({"path": "what?.duckdb"}, "because of the question mark"),
        ({"path": "x", "pth": "31337"}, "unknown setting 'pth'; known are .*default_target_schema"),
        ({"path": "x", "decimal_scale": "31337"}, "setting decimal_scale: must be of type integer"),
        ({"path": "x", "decimal_precision": 39}, "setting decimal_precision: must be at most 38"),
        ({"path": "x", "decimal_precision": 5}, "decimal_scale: must not be above decimal_precision"),
        ({"path": "x", "stream_maps": {"s": "31337"}}, "setting stream_maps.s: breaks its anyOf rule"),
        ({"path": "x", "stream_maps": {"__x__": None}}, "setting stream_maps: cannot be used"),
        ({"path": "x", "batch_size_rows": 0}, "setting batch_size_rows: must be at least 1"),
        ({"path": "x", "load_method": "31337"}, "setting load_method: must be one of upsert, append-only, overwrite"),
    ],
)
def test_bad_settings(config: Message, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=said) as caught:
        DuckdbTarget(config=config)
    assert "31337" not in str(caught.value)
    assert [*tmp_path.iterdir()] == []


def test_null_settings_are_not_set(file: Path) -> None:
    load(file, schema("s", {"n": AMOUNT}), default_target_schema=None, decimal_scale=None)
    assert types(file, "main.s") == {"n": "DECIMAL(38,9)"}
