"""Made-up schemas, records that fit them or nearly, and the two ways of a record into a batch."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import msgspec
from hypothesis import strategies as st

from vendortap.duckdb import quick
from vendortap.duckdb.columns import Column, from_schema
from vendortap.duckdb.quick import Encoded
from vendortap.duckdb.reader import LineReader
from vendortap.duckdb.values import InvalidValue, converter
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
        except (InvalidValue, LoadError):
            return None
        key = [row.get(name) for name in self.keys]
        return None if None in key else (msgspec.json.encode(row), msgspec.json.encode(key))


def message(record: str) -> str:
    return f'{{"type": "RECORD", "stream": "s", "record": {record}, "time_extracted": "2025-01-31T00:00:00Z"}}\n'


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
