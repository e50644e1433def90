"""The quick way into DuckDB loads what the other way loads, or leaves the record to it."""

from __future__ import annotations

import gzip
import io
import json
import logging
import signal
from collections.abc import Iterator
from contextlib import closing, redirect_stdout
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import duckdb
import msgspec
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from vendortap.duckdb import database, quick
from vendortap.duckdb.columns import Column, from_schema
from vendortap.duckdb.quick import Encoded
from vendortap.duckdb.reader import LineReader
from vendortap.duckdb.target import DuckdbSink, DuckdbTarget
from vendortap.duckdb.values import Misfit, converter
from vendortap.errors import LoadError

NUMBER = Column("DECIMAL", precision=38, scale=9)

# --- made-up schemas, and records written as JSON with everything that may be in them -----------------

AMOUNTS = [
    "0",
    "-0",
    "0.00",
    "-0.0",
    "1",
    "0.10",
    "-12.50",
    "1E2",
    "1e2",
    "1.5E+3",
    "1.5e-8",
    "1e-9",
    "1e-10",
    "15e-1",
    "0.000001",
    "0.0000001",
    "0.000000001",
    "0.0000000001",
    "0.1234567890",
    "1.10000000000",
    "123456.123456789",
    "999999.999999999",
    "9999999.99999999",
    "123456789012345",
    "999999999999999",
    "1234567890123456",
    "9007199254740993",
    "99999999999999.9",
    "999999999999999.9",
    "100000000000.125",
    "0.30000000000000004",
    "12345678901234567890.12",
    "99999999999999999999999999999.999999999",
    "100000000000000000000000000000",
    "1e28",
    "1e29",
    "1e400",
    "1e99999999999999999999",
]
ODD_AMOUNTS = ["1_0", " 1", "+1", ".5", "5.", "NaN", "-Infinity", "", "1-2", "1.2.3", "1,2", "\uff11", "1\n2", "null"]
INSTANTS = [
    "2024-02-29T10:00:00Z",
    "2024-02-29T10:00:00.123456+02:00",
    "2024-02-29T10:00:00.1234564-05:30",
    "2024-02-29T10:00:00.1234567891Z",
    "2024-02-29T10:00:00",
    "2024-02-29 10:00:00",
    "2024-02-29t10:00:00z",
    "2024-02-29",
    "20240229T100000Z",
    "2023-02-29T10:00:00Z",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59.999999-12:00",
    "2024-01-01T24:00:00Z",
    "2024-01-01T00:00:00+01:00:30",
    "soon",
]
DAYS = ["2024-02-29", "0001-01-01", "9999-12-31", "2024-02-29T00:00:00", "2024-02-29T00:00:01", "2023-02-29", ""]
TIMES = ["10:00:00", "10:00:00.5", "23:59:59.999999", "10:00:00Z", "10:00:00+02:00", "24:00:00", "10:00", ""]


def string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def array(items: list[str]) -> str:
    return f"[{', '.join(items)}]"


def obj(members: dict[str, str]) -> str:
    return f"{{{', '.join(f'{string(name)}: {value}' for name, value in members.items())}}}"


plain_amounts = st.decimals(-(10**8), 10**8, places=2).map(str)
amounts = st.sampled_from(AMOUNTS) | plain_amounts | st.decimals(allow_nan=False, allow_infinity=False).map(str)
texts = st.text(max_size=6) | st.sampled_from(["", 'é\u0000"\\\n', "\U0001f600", "null", "1E-7", "0.0000000001"])
names = st.sampled_from(["a", "b", "A b", "ключ", "select", "type", "x.y", "_sdc_sequence"])
odd_names = names | st.just('q"')
anything = st.recursive(
    st.sampled_from(["null", "true", "1", "1.50", "1e2", '"x"', '"\\u00fc"']) | amounts,
    lambda inner: st.lists(inner, max_size=2).map(array) | st.dictionaries(names, inner, max_size=2).map(obj),
    max_leaves=4,
)


LEAVES: list[tuple[dict[str, Any], st.SearchStrategy[str]]] = [
    ({"type": "string"}, texts.map(string) | texts.map(json.dumps)),
    ({"type": "number"}, amounts),
    ({"type": "number"}, plain_amounts),
    ({"type": "string", "format": "x-singer.decimal"}, (amounts | st.sampled_from(ODD_AMOUNTS)).map(string)),
    ({"type": "string", "format": "x-singer.decimal"}, plain_amounts.map(string)),
    ({"type": "integer"}, st.integers(-(2**64), 2**64).map(str) | st.sampled_from(["0", "-0", "5.0", "5e0", "5.5"])),
    ({"type": "integer", "maximum": 2**100}, st.integers(-(2**128), 2**128).map(str) | st.just("5.0")),
    ({"type": "boolean"}, st.sampled_from(["true", "false"])),
    ({"type": "string", "format": "date-time"}, st.sampled_from(INSTANTS).map(string)),
    ({"type": "string", "format": "date"}, st.sampled_from(DAYS).map(string)),
    ({"type": "string", "format": "time"}, st.sampled_from(TIMES).map(string)),
    ({}, anything),
]


class Made(NamedTuple):
    """A schema, and records for it, some of which do not fit."""

    schema: dict[str, Any]
    value: st.SearchStrategy[str]


def optional(made: Made) -> Made:
    kind = made.schema.get("type")
    return Made({**made.schema, "type": [kind, "null"]}, st.just("null") | made.value) if kind else made


def listed(made: Made) -> Made:
    return Made({"type": "array", "items": made.schema}, st.lists(made.value, max_size=3).map(array))


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[Made], *, spoil: bool = True) -> Made:
    members = draw(st.dictionaries(odd_names if spoil else names, inner, min_size=1, max_size=4))
    required = draw(st.lists(st.sampled_from([*members]), unique=True))
    spoiled = draw(st.sampled_from([None, None, None, *members])) if spoil else None
    values = {name: anything if name == spoiled else made.value for name, made in members.items()}
    always = {name: value for name, value in values.items() if name in required}
    maybe = {name: value for name, value in values.items() if name not in required}
    if draw(st.integers(0, 4)) == 0:
        maybe["undeclared"] = anything
    schema = {"type": "object", "properties": {n: m.schema for n, m in members.items()}, "required": required}
    return Made(schema, st.fixed_dictionaries(always, optional=maybe).map(obj))


leaves = st.sampled_from(LEAVES).map(lambda leaf: Made(*leaf))
kinds = st.recursive(
    leaves | leaves.map(optional),
    lambda inner: inner.map(listed) | inner.map(listed).map(optional) | objects(inner) | objects(inner).map(optional),
    max_leaves=6,
)

fitting = st.sampled_from(
    [
        Made({"type": "string"}, texts.map(string)),
        Made({"type": "number"}, plain_amounts),
        Made({"type": "number"}, st.sampled_from(["1e2", "0.00", "12345678901234567890.12", "0.000000001"])),
        Made({"type": "string", "format": "x-singer.decimal"}, plain_amounts.map(string)),
        Made({"type": "integer"}, st.integers(-(2**63), 2**63 - 1).map(str)),
        Made({"type": "boolean"}, st.sampled_from(["true", "false"])),
        Made({"type": "string", "format": "date-time"}, st.sampled_from(INSTANTS[:5]).map(string)),
        Made({}, anything),
    ]
)
mostly_fitting = st.recursive(
    fitting.map(optional) | fitting,
    lambda inner: inner.map(listed) | objects(inner, spoil=False).map(optional),
    max_leaves=6,
)


def key_of(made: Made) -> st.SearchStrategy[list[str]]:
    columns = from_schema(made.schema, NUMBER).fields
    scalars = [name for name, column in columns.items() if column.kind not in ("STRUCT", "LIST", "JSON")]
    return st.lists(st.sampled_from(scalars), unique=True, max_size=2) if scalars else st.just([])


# --- both ways ---------------------------------------------------------------------------------------


class Ways:
    """The two ways of a record into a batch, with the notices of the other way."""

    def __init__(
        self,
        schema: dict[str, Any],
        keys: list[str],
        undeclared: quick.Undeclared | None = None,
        *,
        strict: bool = True,
    ) -> None:
        self.columns = from_schema(schema, NUMBER).fields
        self.keys = keys
        self.noticed: list[str] = []
        table = quick.compile("s", self.columns, keys, undeclared or {}, strict=strict)
        self.has_quick = table is not None
        self.quick = quick.messages([table] if table else [])
        self.bare = quick.records(table) if table else lambda _: None
        self._convert = converter(Column("STRUCT", fields=self.columns), strict=strict, notice=self._notice)

    def _notice(self, path: str, name: str, has_value: bool) -> None:
        self.noticed.append(f"{path}.{name}" if has_value else f"{path}.{name} is null")

    def slow(self, line: str) -> Encoded | None:
        try:
            row = self._convert(LineReader().deserialize_json(line)["record"])
        except (Misfit, LoadError):
            return None
        key = [row.get(name) for name in self.keys]
        return None if None in key else (msgspec.json.encode(row), msgspec.json.encode(key))


def message(record: str) -> str:
    return f'{{"type": "RECORD", "stream": "s", "record": {record}, "time_extracted": "2025-01-31T00:00:00Z"}}\n'


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


@settings(deadline=None, max_examples=250)
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


INVOICE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "No": {"type": "string"},
        "At": {"type": ["string", "null"], "format": "date-time"},
        "Total": {"type": "number"},
        "Exact": {"type": ["string", "null"], "format": "x-singer.decimal"},
        "Count": {"type": ["integer", "null"], "maximum": 2**100},
        "Note": {},
        "Lines": {
            "type": ["array", "null"],
            "items": {"type": ["object", "null"], "properties": {"Price": {"type": ["number", "null"]}}},
        },
        "Rates": {"type": "array", "items": {"type": "number"}},
    },
    "required": ["No", "Total"],
}


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


# --- in the target -----------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """The SDK takes the signals over; give them back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The records that did not go the quick way."""
    records: list[str] = []
    process = DuckdbTarget._process_record_message

    def watched(self: DuckdbTarget, message_dict: dict[str, Any]) -> None:
        records.append(message_dict["record"].get("No"))
        process(self, message_dict)

    monkeypatch.setattr(DuckdbTarget, "_process_record_message", watched)
    return records


def schema_message(**more: Any) -> str:
    return json.dumps({"type": "SCHEMA", "stream": "s", "schema": INVOICE, "key_properties": ["No"], **more}) + "\n"


def invoice(number: int, **changes: str) -> str:
    return message(obj({"No": string(str(number)), "Total": f"{number}.50", **changes}))


def load(file: Path, *lines: str, **config: Any) -> None:
    with closing(DuckdbTarget(config={"path": str(file), **config})) as target:
        listen(target, "".join(lines).encode())


def listen(target: DuckdbTarget, text: bytes) -> None:
    target.listen(cast(IO[Any], io.BytesIO(text)))


def rows(file: Path, query: str) -> list[Any]:
    with duckdb.connect(str(file), config={"autoinstall_known_extensions": "false"}) as connection:
        return connection.execute(query).fetchall()


@st.composite
def runs(draw: st.DrawFn) -> str:
    """What a tap might write: two streams, schemas that change, records, states, and lines with something wrong."""
    records = objects(mostly_fitting, spoil=False)
    made = {"s": draw(records), "t": draw(records | objects(kinds))}
    text = []

    def write(kind: str, stream: str) -> None:
        nonlocal made
        if kind == "SCHEMA":
            keys = draw(key_of(made[stream]))
            message = {"type": kind, "stream": stream, "schema": made[stream].schema, "key_properties": keys}
            text.append(json.dumps(message))
        elif kind == "another SCHEMA":
            other = draw(records)
            properties = made[stream].schema["properties"] | other.schema["properties"]
            made |= {stream: Made({**other.schema, "properties": properties}, other.value)}
            write("SCHEMA", stream)
        elif kind == "STATE":
            text.append(obj({"type": string(kind), "value": draw(anything)}))
        else:
            record = draw(made[stream].value)
            if kind == "odd":
                record = draw(anything | st.just(record[:-1]))
            more = draw(st.sampled_from([{}, {"time_extracted": '"2025-01-31T00:00:00Z"'}, {"other": "1"}]))
            text.append(obj({"type": string("RECORD"), "stream": string(stream), "record": record, **more}))

    write("SCHEMA", "s")
    write("SCHEMA", "t")
    likely = ["RECORD"] * 30 + ["STATE", "STATE", "SCHEMA", "another SCHEMA", "odd"]
    for kind, stream in draw(
        st.lists(st.tuples(st.sampled_from(likely), st.sampled_from("sst")), min_size=2, max_size=15)
    ):
        write(kind, stream)
    return "\n".join([*text, ""])


class Outcome(NamedTuple):
    """What came of a run, but for the quick way's share in it."""

    error: str
    output: str
    logs: list[str]
    tables: dict[str, tuple[list[Any], list[Any]]]


def outcome(file: Path, text: str, config: dict[str, Any], *, quickly: bool) -> tuple[Outcome, int]:
    """Load into the new file, with the quick way or without; return also how many records took it."""
    output = io.StringIO()
    logs: list[str] = []
    count = 0
    error = ""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(output):
        if not quickly:
            patch.setattr(DuckdbSink, "quick_way", lambda _: None)
        with closing(DuckdbTarget(config={"path": str(file), **config})) as target:
            handler = logging.Handler()
            handler.emit = lambda record: logs.append(record.getMessage())  # type: ignore[method-assign] # of this one
            target.logger.addHandler(handler)
            take = target.reader.take

            def counted(line: bytes) -> bool:
                nonlocal count
                took = take(line)
                count += took
                return took

            target.reader.take = counted
            try:
                listen(target, text.encode())
            except LoadError as caught:
                error = str(caught)
            finally:
                target.logger.removeHandler(handler)
    query = "SELECT table_name FROM duckdb_tables() ORDER BY ALL"
    names = [name for (name,) in rows(file, query)]
    tables = {
        name: (rows(file, f"DESCRIBE {name}"), rows(file, f"SELECT {name}::VARCHAR FROM {name}")) for name in names
    }
    return Outcome(error, output.getvalue(), logs, tables), count


@settings(deadline=None, max_examples=30)
@given(
    text=runs(),
    strict=st.booleans(),
    size=st.sampled_from([2, 10_000]),
    method=st.sampled_from(["upsert", "append-only", "overwrite"]),
)
def test_any_messages_come_to_the_same_with_the_quick_way_and_without(
    tmp_path_factory: pytest.TempPathFactory, text: str, strict: bool, size: int, method: str
) -> None:
    """The same tables and types, rows in the same order, the same error, warnings, commits and states."""
    folder = tmp_path_factory.mktemp("run")
    config = {"validate_records": strict, "batch_size_rows": size, "load_method": method, "max_batch_age_seconds": 0}
    fast, share = outcome(folder / "fast.duckdb", text, config, quickly=True)
    slow, none = outcome(folder / "slow.duckdb", text, config, quickly=False)
    assert fast == slow
    assert none == 0
    event("by the quick way: " + ("some" if share else "none"))
    event("error" if fast.error else "no error")


def test_both_ways_share_a_batch_its_order_and_its_keys(tmp_path: Path, seen: list[str]) -> None:
    lines = [invoice(n, **({"Note": string("e2"), "Total": f"{n}e2"} if n % 3 else {})) for n in range(30)]
    again = [invoice(7), invoice(8, Total="8e3"), invoice(9, Total="9"), invoice(9, Total="9e9"), invoice(9)]
    load(tmp_path / "x.duckdb", schema_message(), *lines, *again)
    assert seen == [str(n) for n in range(30) if n % 3] + ["8", "9"]
    found = rows(tmp_path / "x.duckdb", "SELECT No, Total FROM s")
    assert [int(number) for number, _ in found] == [*range(7), *range(10, 30), 7, 8, 9]
    assert {int(number): float(total) for number, total in found} == {
        **{n: n * 100 if n % 3 else n + 0.5 for n in range(30)},
        7: 7.5,
        8: 8000,
        9: 9.5,
    }


def test_a_batch_of_many_files_keeps_order_and_keys(
    tmp_path: Path, seen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_FILE_SIZE", 100)
    numbers = [*range(50), 0, 17, *range(60, 80), 17, 79, 80]
    load(tmp_path / "x.duckdb", schema_message(), *(invoice(n, Count=str(i)) for i, n in enumerate(numbers)))
    last = {n: i for i, n in enumerate(numbers)}
    expected = sorted(last.items(), key=lambda item: item[1])
    assert rows(tmp_path / "x.duckdb", "SELECT No::INT, Count FROM s") == expected
    load(tmp_path / "x.duckdb", schema_message(), *(invoice(n, Count="0") for n in numbers), load_method="append-only")
    assert rows(tmp_path / "x.duckdb", "SELECT count(*) FROM s") == [(len(expected) + len(numbers),)]
    assert seen == []


def test_an_undeclared_property_is_named_once_and_passed_over(
    tmp_path: Path, seen: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    lines = [
        invoice(1, new='"31337"', nothing="null"),
        invoice(2, new='{"a": [1e400]}', Lines='[{"Price": 1, "sku": "31337"}]'),
        invoice(3, nothing="1", Lines='[{"Price": 1, "sku": "31337"}]'),
        invoice(4, nothing="null", new="1", other="1"),
        invoice(5, nothing="2", Lines='[{"sku": null}]'),
    ]
    load(tmp_path / "x.duckdb", schema_message(), *lines)
    assert seen == ["1", "2", "3", "4"], "each name takes one record the other way, and its first value another"
    named = [r.getMessage().split(" ")[0] for r in caplog.records if r.levelno == logging.WARNING]
    assert named == ["$.new", "$.Lines[].sku", "$.nothing", "$.other"]
    assert "31337" not in caplog.text
    assert rows(tmp_path / "x.duckdb", "SELECT count(*), sum(Total) FROM s") == [(5, 17.5)]


def test_ever_new_names_are_not_collected_for_ever(tmp_path: Path, seen: list[str]) -> None:
    load(tmp_path / "x.duckdb", schema_message(), *(invoice(n, **{f"x{n}": "1"}) for n in range(150)), invoice(500))
    assert len(seen) == 150
    assert rows(tmp_path / "x.duckdb", "SELECT count(*) FROM s") == [(151,)]


def test_a_record_that_does_not_fit_says_so_after_quick_ones(tmp_path: Path) -> None:
    with pytest.raises(
        LoadError, match=r"line 4: stream 's': \$\.Lines\[1\]\.Price must be a number, but is a boolean"
    ):
        load(
            tmp_path / "x.duckdb",
            schema_message(),
            invoice(1),
            invoice(2),
            invoice(3, Lines='[{"Price": 1}, {"Price": true}]'),
        )
    assert rows(tmp_path / "x.duckdb", "SELECT table_name FROM duckdb_tables()") == []


@pytest.mark.parametrize(
    "config",
    [
        {"stream_maps": {"s": {"Total": "Total"}}},
        {"flattening_enabled": True, "flattening_max_depth": 2},
        {"add_record_metadata": True},
    ],
)
def test_records_that_something_is_made_of_go_the_other_way(
    tmp_path: Path, seen: list[str], config: dict[str, Any]
) -> None:
    load(tmp_path / "x.duckdb", schema_message(), invoice(1), **config)
    assert seen == ["1"]


def test_streams_are_told_apart_and_a_new_schema_counts_from_its_line_on(tmp_path: Path, seen: list[str]) -> None:
    other = {"type": "object", "properties": {"No": {"type": "integer"}}}
    wider = {**INVOICE, "properties": {**INVOICE["properties"], "new": {"type": "integer"}}}
    load(
        tmp_path / "x.duckdb",
        schema_message(),
        schema_message(stream="t", schema=other, key_properties=[]),
        invoice(1, new="1"),
        '{"type": "RECORD", "stream": "t", "record": {"No": 5}}\n',
        schema_message(schema=wider),
        invoice(2, new="2"),
        '{"type": "RECORD", "stream": "t", "record": {"No": 6}}\n',
    )
    assert seen == ["1"]
    assert rows(tmp_path / "x.duckdb", "SELECT No, new FROM s ORDER BY ALL") == [("1", None), ("2", 2)]
    assert rows(tmp_path / "x.duckdb", "SELECT No FROM t") == [(5,), (6,)]


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_records_of_batch_files_go_the_quick_way(tmp_path: Path, seen: list[str], compression: str) -> None:
    body = "".join(
        obj({"No": f'"{n}"', "Total": total}) + "\n" for n, total in enumerate(["1.50", "1e2", "3"])
    ).encode()
    path = tmp_path / "batch"
    path.write_bytes(gzip.compress(body) if compression == "gzip" else body)
    encoding = {"format": "jsonl", "compression": compression}
    batch = {"type": "BATCH", "stream": "s", "encoding": encoding, "manifest": [path.as_uri()] * 2}
    load(tmp_path / "x.duckdb", schema_message(), json.dumps(batch) + "\n", batch_size_rows=2)
    assert seen == ["1", "1"]
    assert rows(tmp_path / "x.duckdb", "SELECT No, Total FROM s ORDER BY No") == [("0", 1.5), ("1", 100), ("2", 3)]


def test_what_a_row_group_holds_is_no_more_than_what_is_committed_at_once(tmp_path: Path) -> None:
    lines = [invoice(n) for n in range(5000)]
    load(tmp_path / "x.duckdb", schema_message(), *lines, batch_size_rows=1500)
    assert rows(tmp_path / "x.duckdb", "SELECT count(DISTINCT row_group_id) > 1 FROM pragma_storage_info('s')") == [
        (True,)
    ]
    assert rows(tmp_path / "x.duckdb", "SELECT count(*), sum(Total) FROM s") == [
        (5000, sum(n + 0.5 for n in range(5000)))
    ]
