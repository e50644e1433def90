"""The quick way into DuckDB stores what the other way stores, or leaves the record to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.duckdb.quick_kit import INVOICE, Ways, amounts, key_of, kinds, message, obj, objects, string
from vendortap.duckdb import database, quick
from vendortap.duckdb.quick import Encoded


def stored(connection: duckdb.DuckDBPyConnection, name: str, ways: Ways, rows: list[Encoded], folder: Path) -> None:
    table = database.Table("main", name)
    database.grow(connection, table, ways.columns)
    batch = database.Batch(str(folder))
    for row in rows:
        batch.add(*row)
    if rows:
        database.load(connection, table, ways.columns, ways.keys, batch)
    batch.remove()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("quick")


@pytest.fixture(scope="module")
def connection(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with closing(database.connect(folder / "both.duckdb")) as connection:
        yield connection


@st.composite
def streams(draw: st.DrawFn) -> tuple[dict[str, Any], list[str], list[str]]:
    """A schema, a key, and records."""
    made = draw(objects(kinds))
    return made.schema, draw(key_of(made)), draw(st.lists(made.value, min_size=1, max_size=6))


@settings(deadline=None, max_examples=100)
@given(stream=streams(), strict=st.booleans(), known=st.booleans(), has_value=st.booleans())
def test_both_ways_store_the_same_rows(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    stream: tuple[dict[str, Any], list[str], list[str]],
    strict: bool,
    known: bool,
    has_value: bool,
) -> None:
    schema, keys, records = stream
    passed = {"undeclared": has_value}
    undeclared = {"$": passed, "$.a": passed, "$.a[]": passed} if known else {}
    ways = Ways(schema, keys, undeclared, strict=strict)
    fast: list[Encoded] = []
    slow: list[Encoded] = []
    for record in records:
        found = ways.quick(message(record))
        assert (found and found[1]) == ways.bare(record.encode())
        if found is not None:
            other = ways.slow(message(record))
            assert other is not None, "the quick way says yes only where the other does"
            fast.append(found[1])
            slow.append(other)
    with database.transaction(connection):
        stored(connection, "fast", ways, fast, folder)
        stored(connection, "slow", ways, slow, folder)
    for one, other_one in (("fast", "slow"), ("slow", "fast")):
        query = f"SELECT * FROM target.{one} EXCEPT ALL SELECT * FROM target.{other_one}"
        assert connection.execute(query).fetchall() == []
    connection.execute("DROP TABLE target.fast; DROP TABLE target.slow")


written = st.builds(
    lambda sign, whole, part: f"{sign}{whole.lstrip('0') or '0'}{part and '.' + part}",
    st.sampled_from(["", "-"]),
    st.text("0123456789", max_size=18),
    st.text("0123456789", max_size=11),
)


@settings(deadline=None, max_examples=15)
@given(texts=st.lists(written | amounts, min_size=30, max_size=60), quoted=st.booleans())
def test_amounts_are_stored_to_the_digit_or_left_to_the_other_way(
    connection: duckdb.DuckDBPyConnection, folder: Path, texts: list[str], quoted: bool
) -> None:
    ways = Ways({"properties": {"v": {"type": "number"}}}, [])
    expected: list[tuple[Decimal]] = []
    taken: list[Encoded] = []
    for text in texts:
        line = message(obj({"v": string(text) if quoted else text}))
        if found := ways.quick(line):
            assert ways.slow(line) is not None
            expected.append((Decimal(text),))
            taken.append(found[1])
    with database.transaction(connection):
        stored(connection, "amounts", ways, taken, folder)
    assert connection.execute("SELECT v FROM target.amounts").fetchall() == expected
    connection.execute("DROP TABLE target.amounts")


@pytest.mark.parametrize(
    ("changes", "is_quick"),
    [
        ({}, True),
        ({"Total": "999999999999999"}, True),
        ({"Total": "0.000001"}, True),
        ({"Total": "1234567890123456.78"}, True),
        ({"Total": "123456789012345678"}, True),
        ({"Total": "1234567890123456789"}, False),
        ({"Total": "true"}, False),
        ({"Total": "[1]"}, False),
        ({"Total": "1e2"}, False),
        ({"Total": "0.1234567890"}, False),
        ({"Total": '"1.50"'}, True),
        ({"Exact": '"1.50"'}, True),
        ({"Exact": '"1_0"'}, False),
        ({"Exact": '"1,2"'}, False),
        ({"Exact": '"1\\n2"'}, False),
        ({"Exact": '""'}, False),
        ({"Exact": "null"}, True),
        ({"Total": "null"}, False),
        ({"Count": "9223372036854775807"}, True),
        ({"Count": "9223372036854775808"}, False),
        ({"At": '"2024-02-29T10:00:00"'}, True),
        ({"At": '"2024-02-29"'}, False),
        ({"Note": '{"n": 1e400, "t": "é"}'}, True),
        ({"Lines": '[{"Price": 1.50}, null, {}, {"Price": null}]'}, True),
        ({"Lines": '[{"Price": 12345678901234567.5}]'}, True),
        ({"Lines": '[{"Price": 0.0000001}]'}, False),
        ({"Rates": "[1, 2.5]"}, True),
        ({"Rates": "[1, null]"}, False),
        ({"undeclared": "1"}, False),
    ],
)
def test_what_the_quick_way_takes_and_what_it_leaves_to_the_other(changes: dict[str, str], is_quick: bool) -> None:
    record = obj({"No": '"1"', "Total": "10.00", **changes})
    assert (Ways(INVOICE, ["No"]).quick(message(record)) is not None) is is_quick


@pytest.mark.parametrize("left_out", [{"Note"}, set()])
def test_no_amount_with_a_point_is_a_json_number_which_duckdb_would_read_as_a_double(left_out: set[str]) -> None:
    """With a value of no single type (Note) numbers are read as Decimals, without one as texts."""
    schema = {**INVOICE, "properties": {k: v for k, v in INVOICE["properties"].items() if k not in left_out}}
    record = obj({"No": '"1"', "Total": "10.10", "Lines": '[{"Price": 0.30}]', "Rates": "[1.5, -2.50]"})
    found = Ways(schema, ["No"]).quick(message(record))
    assert found is not None
    floats: list[str] = []
    row = json.loads(found[1][0], parse_float=floats.append)
    assert floats == []
    assert (row["Total"], row["Lines"], row["Rates"]) == ("10.10", [{"Price": "0.30"}], ["1.5", "-2.50"])


@pytest.mark.parametrize(
    ("schema", "key"),
    [({"type": "string"}, "null"), ({"type": ["string", "null"]}, "null"), ({"type": ["number", "null"]}, "null")],
)
def test_a_record_without_a_key_is_left_to_the_other_way(schema: dict[str, Any], key: str) -> None:
    for strict in (True, False):
        ways = Ways({"properties": {"k": schema, "v": {"type": "string"}}}, ["k"], strict=strict)
        assert ways.quick(message(obj({"k": key, "v": '"x"'}))) is None
        assert ways.quick(message(obj({"v": '"x"'}))) is None
        assert ways.quick(message(obj({"k": "1" if "number" in schema["type"] else '"1"'}))) is not None


@pytest.mark.parametrize(
    "line",
    [
        '{"type": "STATE", "value": 1}',
        '{"type": "RECORD", "stream": "other", "record": {"No": "1", "Total": 1}}',
        '{"type": "BATCH", "stream": "s", "record": {"No": "1", "Total": 1}}',
        '{"type": "RECORD", "record": {"No": "1", "Total": 1}}',
        '{"type": "RECORD", "stream": "s"}',
        '{"type": "RECORD", "stream": "", "record": {"No": "1", "Total": 1}}',
        '{"stream": ""}',
        '{"type": "RECORD", "stream": "s", "record": {"No": "1", "Total": 1}, "another": 1}',
        '{"type": "RECORD", "stream": "s", "record": {"No": "1", "Total": 1}',
        "",
    ],
)
def test_another_message_is_left_to_the_other_way(line: str) -> None:
    assert Ways(INVOICE, ["No"]).quick(line) is None


def test_bytes_that_are_not_utf_8_are_left_to_the_other_way() -> None:
    ways = Ways(INVOICE, ["No"], {"$": {"undeclared": True}})
    for field in ("No", "Note", "undeclared"):
        line = message(obj({"No": '"1"', "Total": "1", field: '"?"'})).encode()
        assert ways.quick(line) is not None
        assert ways.quick(line.replace(b"?", b"\xff")) is None
    extracted = message(obj({"No": '"1"', "Total": "1"})).encode().replace(b"2025", b"\xff025")
    assert ways.quick(extracted) is None


def test_names_that_a_struct_cannot_have_are_left_to_the_other_way() -> None:
    for name in ('a"', "a\\", "a\n"):
        assert not Ways({"properties": {"o": {"properties": {name: {}}}}}, []).has_quick
        known: quick.Undeclared = {"$": {name: True}}
        assert Ways({"properties": {"v": {}}}, [], known).quick(message(obj({"v": "1", name: "1"}))) is None
