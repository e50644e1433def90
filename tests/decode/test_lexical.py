"""How a value is written: one table, by which JSON and XML are read alike, in one step or coerced."""

from __future__ import annotations

import json as stdlib_json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, TypeAlias
from xml.sax.saxutils import escape

import pytest

from tests.decode.kit import coerced
from tests.strategies import exact
from vendortap.declare.model import Kind, Node, RecordSelector, Reply
from vendortap.decode.drift import Drift
from vendortap.decode.reader import Reader
from vendortap.decode.values import FEWER_DIGITS, Dates
from vendortap.errors import BodyError

EST = timezone(timedelta(hours=-5))
DATES = Dates(EST)


class Refused:
    """Stands for a value that does not fit; ``expected`` is what should stand there."""

    def __init__(self, expected: str) -> None:
        self.expected = expected


NULL = None
NO_NUMBER, NO_INTEGER = Refused("a number"), Refused("an integer")
NO_BOOLEAN, NO_DATE, NO_DATE_TIME = Refused("true or false"), Refused("a date"), Refused("a date-time")
TOO_LONG = Refused(FEWER_DIGITS)


def at(*parts: int, zone: timezone = EST) -> datetime:
    return datetime(*parts, tzinfo=zone)  # type: ignore[arg-type, misc] # as many as there are


Case: TypeAlias = "tuple[Kind, str, Any]"
CASES: list[Case] = [
    *[
        ("number", text, Decimal(text))
        for text in (
            "0",
            "1.50",
            "-1.50",
            "-0.0",
            "0.00",
            "0e-5",
            "1e2",
            "1E5",
            "1.50e-7",
            "+5",
            "+0.0",
            ".5",
            "-.5",
            "5.",
            "007",
            "9" * 100,
            "1e99",
            "0.1234567890123456789012345678901234567890",
        )
    ],
    ("number", "+0", Decimal(0)),
    ("number", " 5 ", Decimal(5)),
    ("number", "\t1.50\n", Decimal("1.50")),
    ("number", "", NULL),
    ("number", "  ", NULL),
    *[
        ("number", text, NO_NUMBER)
        for text in (
            "1_000",
            "_1",
            "1_",
            "٣",
            "\uff15",
            "१.५",
            "1\uff15",
            "NaN",
            "nan",
            "sNaN",
            "Infinity",
            "-inf",
            "1,50",
            "1 000",
            "$1",
            "0x10",
            "1e",
            "e5",
            ".",
            "-",
            "--1",
            "1.2.3",
            "\u22121",
            "1\u00a0000",
            "true",
            "null",
            "x",
        )
    ],
    *[("number", text, TOO_LONG) for text in ("1e100", "1e-100", "0e-999999999", "9" * 101, "1e" + "9" * 30)],
    ("integer", "0", 0),
    ("integer", "3", 3),
    ("integer", "-3", -3),
    ("integer", "-0", 0),
    ("integer", "+5", 5),
    ("integer", " 5 ", 5),
    ("integer", "007", 7),
    ("integer", "3.0", 3),
    ("integer", "3.", 3),
    ("integer", "-0.0", 0),
    ("integer", "1e2", 100),
    ("integer", "12.50E1", 125),
    ("integer", str(2**63 - 1), 2**63 - 1),
    ("integer", str(2**63), 2**63),
    ("integer", str(-(2**63)), -(2**63)),
    ("integer", str(-(2**63) - 1), -(2**63) - 1),
    ("integer", "9007199254740993", 9007199254740993),
    ("integer", "9007199254740993.0", 9007199254740993),
    ("integer", "9" * 100, 10**100 - 1),
    ("integer", "", NULL),
    ("integer", " ", NULL),
    *[
        ("integer", text, NO_INTEGER)
        for text in ("3.5", "1e-1", "x", "1_0", "_1", "٣", "\uff15", "NaN", "1,0", "true", "--1")
    ],
    *[("integer", text, TOO_LONG) for text in ("9" * 101, "1e100", "9" * 5000)],
    ("boolean", "true", True),
    ("boolean", "TRUE", True),
    ("boolean", "True", True),
    ("boolean", "1", True),
    ("boolean", " true ", True),
    ("boolean", "false", False),
    ("boolean", "False", False),
    ("boolean", "0", False),
    ("boolean", "", NULL),
    ("boolean", " ", NULL),
    *[("boolean", text, NO_BOOLEAN) for text in ("yes", "no", "2", "-1", "1.0", "01", "truee", "t", "\uff11", "null")],
    ("date", "2025-01-18", date(2025, 1, 18)),
    ("date", " 2025-01-18 ", date(2025, 1, 18)),
    ("date", "2024-02-29", date(2024, 2, 29)),
    ("date", "2025-01-18Z", date(2025, 1, 18)),
    ("date", "2025-01-18+14:00", date(2025, 1, 18)),
    ("date", "2025-01-18T00:00:00", date(2025, 1, 18)),
    ("date", "2025-01-18T00:00:00.0000000-05:00", date(2025, 1, 18)),
    ("date", "9999-12-31", date(9999, 12, 31)),
    ("date", "0001-01-01", NULL),
    ("date", "0001-12-31", NULL),
    ("date", "0001-01-01T00:00:00", NULL),
    ("date", "", NULL),
    ("date", " ", NULL),
    *[
        ("date", text, NO_DATE)
        for text in (
            "2025-02-29",
            "2025-02-30",
            "2025-13-01",
            "18.01.2025",
            "20250118",
            "2025-1-18",
            "2025-01-18T00:00:01",
            "2025-01-18ZZ",
            "\uff12\uff10\uff12\uff15-01-18",
            "1737158400",
            "now",
        )
    ],
    ("date-time", "2025-01-18T00:13:47", at(2025, 1, 18, 0, 13, 47)),
    ("date-time", " 2025-01-18T00:13:47 ", at(2025, 1, 18, 0, 13, 47)),
    ("date-time", "2025-01-18 00:13:47", at(2025, 1, 18, 0, 13, 47)),
    ("date-time", "2025-01-18T00:13:47Z", at(2025, 1, 18, 0, 13, 47, zone=UTC)),
    ("date-time", "2025-01-18T00:13:47+00:00", at(2025, 1, 18, 0, 13, 47, zone=UTC)),
    ("date-time", "2025-01-18T00:13:47+02:00", at(2025, 1, 18, 0, 13, 47, zone=timezone(timedelta(hours=2)))),
    ("date-time", "2025-01-18T00:13:47-03:30", at(2025, 1, 18, 0, 13, 47, zone=timezone(-timedelta(minutes=210)))),
    ("date-time", "2025-01-18T00:13:47.2098986", at(2025, 1, 18, 0, 13, 47, 209899)),
    ("date-time", "2025-01-18T00:13:47.25Z", at(2025, 1, 18, 0, 13, 47, 250000, zone=UTC)),
    ("date-time", "2024-12-31T23:59:59.9999999Z", at(2025, 1, 1, zone=UTC)),
    ("date-time", "2025-01-18", at(2025, 1, 18)),
    ("date-time", "9999-12-31T23:59:59.9999999", at(9999, 12, 31, 23, 59, 59, 999999)),
    ("date-time", "9999-12-31T23:59:59.9999999Z", at(9999, 12, 31, 23, 59, 59, 999999, zone=UTC)),
    ("date-time", "0001-01-01T00:00:00", NULL),
    ("date-time", "0001-01-01T00:00:00Z", NULL),
    ("date-time", "0001-01-01T00:00:00+05:00", NULL),
    ("date-time", "0001-01-01", NULL),
    ("date-time", "", NULL),
    ("date-time", " \n ", NULL),
    *[
        ("date-time", text, NO_DATE_TIME)
        for text in (
            "2025-13-01",
            "2025-02-30T00:00:00",
            "2025-01-18T25:00:00",
            "2025-01-18T00:13:47+25:00",
            "18.01.2025",
            "1737158400",
            "\uff12\uff10\uff12\uff15-01-18T00:00:00Z",
            "now",
        )
    ],
    *[
        ("string", text, text)
        for text in ("", " ", " a  b ", "1E5", "1.50", "-0", "007", "true", "null", "NaN", "٣", "a\tb")
    ],
]
TOKENS: list[Case] = [
    ("string", "1E5", "1E5"),
    ("string", "1.50", "1.50"),
    ("string", "-0.0", "-0.0"),
    ("string", "12345678901234567890.10", "12345678901234567890.10"),
    ("string", "5", "5"),
    ("string", "9" * 100, "9" * 100),
    ("string", "1e100", TOO_LONG),
    ("string", "9" * 101, TOO_LONG),
    ("string", "true", Refused("a string")),
    ("string", "null", NULL),
    ("number", "null", NULL),
    ("number", "true", NO_NUMBER),
    ("integer", "true", NO_INTEGER),
    ("boolean", "true", True),
    ("boolean", "null", NULL),
    ("date", "20250118", NO_DATE),
    ("date-time", "1737158400", NO_DATE_TIME),
]
"""What JSON has beside texts."""
WATCHED = (False, True)
every_case = pytest.mark.parametrize(("kind", "text", "expected"), CASES, ids=lambda value: repr(value)[:40])


def readers(kind: Kind, *, nullable: bool = True) -> Iterator[Reader]:
    """All that may read a value of this kind: in one step or coerced, with drift watched for or not."""
    fields = {
        "Id": Node("string", False),
        "Value": Node(kind, nullable),
        "In": Node("object", fields={"Value": Node(kind)}),
        "All": Node("array", item=Node(kind, xml_name="Value"), xml_wrapped=True),
    }
    row = Node("object", False, fields=fields, required=frozenset({"Id"}), xml_name="Row")
    for is_watched in WATCHED:
        for is_coerced in (False, True):
            drift = Drift("acme", "rows", row) if is_watched else None
            made = Reader(row, RecordSelector(("Rows",)), ("Id",), DATES, drift=drift)
            yield coerced(made) if is_coerced else made


def in_json(token: str) -> Reply:
    row = '{"Id": "1", "Value": %s, "In": {"Value": %s}, "All": [%s]}'.replace("%s", token)
    return Reply(200, {"content-type": "application/json"}, f'{{"Rows": [{row}]}}'.encode(), datetime.now(UTC))


def in_xml(text: str) -> Reply:
    value = f"<Value>{escape(text)}</Value>"
    row = f"<Row><Id>1</Id>{value}<In>{value}</In><All>{value}</All></Row>"
    return Reply(200, {"content-type": "application/xml"}, f"<R><Rows>{row}</Rows></R>".encode(), datetime.now(UTC))


def check(kind: Kind, reply: Reply, expected: Any) -> None:
    """Read a reply in each way, more than once, as the first page of XML is always coerced."""
    for reader in readers(kind):
        for _ in range(3):
            page = reader.read(reply)
            (row,) = page.records
            if isinstance(expected, Refused):
                assert (page.invalid[0].expected, page.invalid[0].path) == (expected.expected, "$.Rows[0].Value")
                assert row["Value"] is None
                assert row["Id"] == "1"
            else:
                assert not page.invalid, page.invalid[0].sentence
                found = [row["Value"], row["In"]["Value"], *row["All"]]
                assert exact(found) == exact([expected] * 3)


@pytest.mark.promise("A value comes to the same in JSON and XML, whether its page is read in one step or coerced")
@every_case
def test_a_text_comes_to_the_same_in_json_and_xml(kind: Kind, text: str, expected: Any) -> None:
    check(kind, in_json(stdlib_json.dumps(text, ensure_ascii=False)), expected)
    check(kind, in_json(stdlib_json.dumps(text, ensure_ascii=True)), expected)
    check(kind, in_xml(text), expected)


def test_a_zero_without_a_point_has_no_sign_but_where_json_has_it_as_text() -> None:
    for text in ("-0", " -0 "):
        check("number", in_xml(text), Decimal(0))
    check("number", in_json("-0"), Decimal(0))
    for reader in readers("number"):
        (row,) = reader.read(in_json('"-0"')).records
        assert row["Value"] == row["In"]["Value"] == 0


def is_number_of_json(text: str) -> bool:
    try:
        return not isinstance(stdlib_json.loads(text, parse_int=str, parse_float=str, parse_constant=list), list | bool)
    except ValueError:
        return False


AS_NUMBERS = [
    (k, t, e) for k, t, e in CASES if k in ("number", "integer", "boolean") and is_number_of_json(t.strip() or "x")
]


@pytest.mark.parametrize(("kind", "token", "expected"), [*AS_NUMBERS, *TOKENS], ids=lambda value: repr(value)[:40])
def test_a_bare_value_of_json_comes_to_the_same_as_its_text(kind: Kind, token: str, expected: Any) -> None:
    if token == "null" and expected is not None:
        expected = None
    check(kind, in_json(token), expected)


@pytest.mark.parametrize(
    "token", ["NaN", "Infinity", "-Infinity", "+5", ".5", "5.", "007", "1_000", "٣", "True", "", "'5'"]
)
def test_what_is_no_value_of_json_refuses_the_page(token: str) -> None:
    for kind in ("number", "integer", "string", "boolean"):
        for reader in readers(kind):
            with pytest.raises(BodyError, match="not the JSON it is declared to be"):
                reader.read(in_json(token))


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [case for case in CASES if case[2] is NULL and case[0] != "string"],
    ids=lambda value: repr(value)[:40],
)
def test_a_text_that_stands_for_null_is_refused_where_a_value_is_required(kind: Kind, text: str, expected: Any) -> None:
    del expected
    for reader in readers(kind, nullable=False):
        for reply in (in_json(stdlib_json.dumps(text)), in_xml(text)):
            (bad,) = reader.read(reply).invalid.values()
            assert (bad.expected, bad.path) == ("a value", "$.Rows[0].Value")
