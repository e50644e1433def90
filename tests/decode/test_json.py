"""The JSON decoder, and the rules for numbers and dates that both decoders share."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.decode.kit import json_decoder
from vendortap.declare.model import Node
from vendortap.decode import coerce, json
from vendortap.decode.structs import DoesNotFit
from vendortap.decode.values import (
    FEWER_DIGITS,
    Dates,
    Malformed,
    SchemaMismatch,
    TooLong,
    boolean,
    dates,
    day,
    integer,
    number,
)
from vendortap.errors import ConfigError
from vendortap.support.numbers import is_short

NEW_YORK = Dates(ZoneInfo("America/New_York"))
LINE = Node("object", False, fields={"Price": Node("number"), "Text": Node("string")})
INVOICE = Node(
    "object",
    False,
    fields={
        "Number": Node("string", False),
        "Total": Node("number"),
        "Count": Node("integer"),
        "Paid": Node("boolean"),
        "At": Node("date-time"),
        "Day": Node("date"),
        "Lines": Node("array", item=LINE),
        "Tags": Node("array", item=Node("string", False)),
        "To": Node("object", fields={"City": Node("string")}),
    },
    required=frozenset({"Number"}),
)
NULLS = dict.fromkeys(INVOICE.fields)


def decode(body: str | bytes, node: Node = INVOICE, dates: Dates = NEW_YORK) -> Any:
    return json_decoder(node, dates)(body.encode() if isinstance(body, str) else body)


def mismatch(body: str, node: Node = INVOICE) -> tuple[str, str]:
    with pytest.raises(SchemaMismatch) as caught:
        decode(body, node)
    return caught.value.path, caught.value.expected


# --- numbers -----------------------------------------------------------------------------------------

EXACT = [
    "0",
    "10.00",
    "-0.00",
    "11.0",
    "1234567890123456.78",
    "0.1",
    "123456789012345678901234567890",
    "-1234567890.12345678901234567890",
    "1.5e3",
    "1E-20",
    "25E+2",
    "1e99",
    "1e-99",
    "9" * 50 + "." + "9" * 50,
]


@pytest.mark.promise("Both decoders keep every digit of a number")
@pytest.mark.parametrize("text", EXACT)
def test_numbers_keep_every_digit(text: str) -> None:
    expected = Decimal(text).as_tuple()
    assert decode(text, Node("number")).as_tuple() == expected
    assert decode(f'"{text}"', Node("number")).as_tuple() == expected
    assert number(text).as_tuple() == expected
    assert Decimal(json.loads(text.encode())).as_tuple() == expected


@pytest.mark.parametrize("text", ["NaN", "nan", "-NaN", "sNaN", "Infinity", "-inf", "NaN123"])
def test_text_that_is_no_finite_number_is_refused(text: str) -> None:
    assert mismatch(f'{{"Number": "1", "Total": "{text}"}}') == ("$.Total", "a number")
    assert mismatch(f'["{text}"]', Node("array", item=Node("number"))) == ("$[0]", "a number")
    with pytest.raises(ValueError, match="not a number"):
        number(text)


@pytest.mark.parametrize("text", ["", "1,234.56", "1 000", "1_000", "$1", "0x10", "1e", "--1", "1.2.3", "\u0661", "."])
def test_text_that_is_no_number_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="not a number"):
        number(text)


def test_bare_nan_is_not_json() -> None:
    with pytest.raises(Malformed):
        decode('{"Number": "1", "Total": NaN}')


def test_an_exponent_beyond_reason_is_refused_where_it_stands_and_not_computed() -> None:
    huge = "1e" + "9" * 30
    assert mismatch(f'{{"Number": "1", "Total": {huge}}}') == ("$.Total", FEWER_DIGITS)
    assert not is_short(json.loads(f"[{huge}]".encode())[0])
    with pytest.raises(ValueError, match="not a number"):
        number(huge)
    with pytest.raises(ValueError, match="not a number of so few digits"):
        integer("1e999999999")


TOO_LONG = [
    "1e100",
    "-1e100",
    "1e999999999",
    "1e-100",
    "0e-999999999",
    "0.0e-999999",
    "9" * 101,
    "9" * 5000,
    "0e3000000",
]


@pytest.mark.promise("A number of more than a hundred digits is a bad record, and never written out")
@pytest.mark.parametrize("text", [*TOO_LONG, "9" * 51 + "." + "9" * 50, "1." + "0" * 100])
def test_a_number_that_is_too_long_is_told_where_it_stands(text: str) -> None:
    for written in (text, f'"{text}"'):
        body = f'{{"Number": "1", "Lines": [{{}}, {{"Price": {written}}}]}}'
        assert mismatch(body) == ("$.Lines[1].Price", FEWER_DIGITS)
    with pytest.raises(TooLong):
        number(text)
    untyped = f'{{"a": [1, {{"b": {text}, "c": "{text}"}}]}}'.encode()
    assert json.loads(untyped)["a"][1]["c"] == json.parse(untyped)["a"][1]["c"] == text
    with pytest.raises(SchemaMismatch) as caught:
        coerce.untyped(json.parse(untyped))
    assert (caught.value.path, caught.value.expected) == (".a[1].b", FEWER_DIGITS)


@pytest.mark.parametrize("text", ["9" * 101, "-" + "9" * 101, "9" * 4000])
def test_an_integer_that_is_too_long_is_told_where_it_stands(text: str) -> None:
    assert mismatch(f'{{"Number": "1", "Count": {text}}}') == ("$.Count", FEWER_DIGITS)
    with pytest.raises(TooLong):
        integer(text)


def test_long_digits_in_a_text_are_no_number() -> None:
    digits, quoted = "9" * 5000, json.dumps('\\" ' + "9" * 5000).decode()
    assert json.loads(f'[{quoted}, {digits}, {digits}.5, "{digits}"]'.encode())[::3] == [f'\\" {digits}', digits]
    assert json.loads(f"[{digits}.5, {digits}]".encode())[0] == Decimal(f"{digits}.5")
    with pytest.raises(Malformed):
        json.loads(f'[{digits}, "{digits}'.encode())


@pytest.mark.parametrize(("text", "value"), [("3", 3), ("-03", -3), ("+7", 7), ("3.0", 3), ("12e2", 1200), ("0.", 0)])
def test_integers_are_read_from_text_exactly(text: str, value: int) -> None:
    assert integer(text) == value
    assert type(integer(text)) is int


def test_long_integers_stay_exact() -> None:
    digits = "9" * 100
    assert integer(digits) == 10**100 - 1
    assert integer("0" * 5000 + "7") == 7
    assert integer("9007199254740993.0") == 9007199254740993
    assert decode(digits, Node("integer")) == 10**100 - 1


@pytest.mark.parametrize("text", ["3.5", "1e-1", "x", "", "1_0", "9" * 5000, "1e-999999999"])
def test_what_is_no_integer_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        integer(text)


@pytest.mark.parametrize(("text", "value"), [("true", True), ("FALSE", False), ("1", True), ("0", False)])
def test_booleans_are_read_from_text(text: str, value: bool) -> None:
    assert boolean(text) is value


@pytest.mark.parametrize("text", ["yes", "", "2", "truee"])
def test_what_is_no_boolean_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a boolean"):
        boolean(text)


# --- dates -------------------------------------------------------------------------------------------

EST, EDT = timezone(timedelta(hours=-5)), timezone(timedelta(hours=-4))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2025-01-18T00:13:47-05:00", datetime(2025, 1, 18, 0, 13, 47, tzinfo=EST)),
        ("2025-01-18T05:13:47Z", datetime(2025, 1, 18, 0, 13, 47, tzinfo=EST)),
        ("2025-01-18T00:13:47", datetime(2025, 1, 18, 0, 13, 47, tzinfo=EST)),
        ("2025-07-18T00:13:47", datetime(2025, 7, 18, 0, 13, 47, tzinfo=EDT)),
        ("2025-07-18T00:13:47-05:00", datetime(2025, 7, 18, 0, 13, 47, tzinfo=EST)),
        ("2025-01-18", datetime(2025, 1, 18, tzinfo=EST)),
        ("2025-07-18", datetime(2025, 7, 18, tzinfo=EDT)),
        ("2024-02-29T23:59:59.9999999Z", datetime(2024, 3, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59.9999999", datetime.max.replace(tzinfo=EST)),
        ("9999-12-31T23:59:59.9999999Z", datetime.max.replace(tzinfo=UTC)),
        ("2025-01-18T00:13:47.2098986-05:00", datetime(2025, 1, 18, 0, 13, 47, 209899, EST)),
        ("2025-01-18T00:13:47.2098984", datetime(2025, 1, 18, 0, 13, 47, 209898, EST)),
    ],
)
def test_date_times_are_aware_and_without_an_offset_in_the_zone_of_the_vendor(text: str, value: datetime) -> None:
    for read in (NEW_YORK.parse(text), decode(f'"{text}"', Node("date-time"))):
        assert read == value
        assert read.utcoffset() == (timedelta(0) if text.endswith("Z") else value.utcoffset())


@pytest.mark.parametrize("digits", range(1, 10))
def test_fractions_of_any_length_are_rounded_to_microseconds(digits: int) -> None:
    fraction = "123456489"[:digits]
    expected = round(Decimal(f"0.{fraction}") * 1_000_000)
    for offset in ("", "Z", "+01:30"):
        read = Dates().parse(f"2025-01-18T00:13:47.{fraction}{offset}")
        assert read is not None
        assert read.microsecond == expected


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00-05:00",
        "0001-01-01T00:00:00+05:00",
        "0001-01-01T00:00:00.0000000",
        "0001-01-01",
    ],
)
def test_the_year_one_is_null(text: str) -> None:
    for zone in (Dates(), NEW_YORK, Dates(ZoneInfo("Asia/Tokyo"))):
        assert zone.parse(text) is None
        assert decode(f'"{text}"', Node("date-time"), zone) is None


def test_the_year_one_is_no_value_where_one_is_required() -> None:
    node = Node("object", False, fields={"At": Node("date-time", False)}, required=frozenset({"At"}))
    assert mismatch('{"At": "0001-01-01T00:00:00"}', node) == ("$.At", "a value")


@pytest.mark.parametrize("text", ["", "18.01.2025", "2025-13-01", "2025-02-30T00:00:00", "2025-01-18T25:00:00", "now"])
def test_what_is_no_date_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Dates().parse(text)
    if text:  # nothing is null
        assert mismatch(f'{{"Number": "1", "At": "{text}"}}') == ("$.At", "a date-time")


def test_a_pattern_of_the_vendor_comes_first_and_rfc_3339_is_still_read() -> None:
    american = dates("America/New_York", "%m/%d/%Y %H:%M")
    assert american.parse("07/18/2025 13:05") == datetime(2025, 7, 18, 13, 5, tzinfo=EDT)
    assert american.parse("2025-07-18T13:05:00Z") == datetime(2025, 7, 18, 13, 5, tzinfo=UTC)
    assert american.parse("01/01/0001 00:00") is None
    with pytest.raises(ValueError, match=r"."):
        american.parse("18/07/2025 13:05")
    day_first = dates("UTC", "%Y-%d-%mT%H:%M:%S")
    for read in (day_first.parse("2025-02-01T00:00:00"), decode('"2025-02-01T00:00:00"', Node("date-time"), day_first)):
        assert read == datetime(2025, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize("pattern", ["%Q", "%", "%Y %Y"])
def test_a_pattern_that_is_none_is_a_config_error(pattern: str) -> None:
    with pytest.raises(ConfigError, match="strptime pattern"):
        dates("UTC", pattern)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "America", "America/New York"])
def test_a_zone_that_does_not_exist_is_a_config_error(zone: str) -> None:
    with pytest.raises(ConfigError, match="not the name of a time zone"):
        dates(zone, None)


@pytest.mark.parametrize(
    "text",
    [
        "2025-01-18",
        "2025-01-18T00:00:00",
        "2025-01-18T00:00:00.0000000",
        "2025-01-18T00:00:00-05:00",
        "2025-01-18Z",
        "2025-01-18+14:00",
    ],
)
def test_a_date_may_have_the_form_of_midnight(text: str) -> None:
    assert day(text) == date(2025, 1, 18)
    assert decode(f'"{text}"', Node("date")) == date(2025, 1, 18)


@pytest.mark.parametrize("text", ["2025-01-18T00:00:01", "2025-02-30", "18.01.2025", "", "2025-01-18ZZ"])
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        day(text)
    if text:  # nothing is null
        assert mismatch(f'{{"Number": "1", "Day": "{text}"}}') == ("$.Day", "a date")


def test_the_date_of_the_year_one_is_null() -> None:
    assert day("0001-01-01T00:00:00") is None
    assert decode('"0001-01-01"', Node("date")) is None


# --- documents ---------------------------------------------------------------------------------------


def test_a_whole_document() -> None:
    body = """
        {"Number": "1", "Total": 10.00, "Count": 2, "Paid": true, "At": "2025-01-18T00:00:00Z", "Day": "2025-01-18",
         "Lines": [{"Price": 1.10, "Text": "a"}, {"Price": null, "Text": ""}], "Tags": ["x"], "To": {"City": "Ulm"}}
    """
    read = decode(body)
    assert read == {
        "Number": "1",
        "Total": Decimal("10.00"),
        "Count": 2,
        "Paid": True,
        "At": datetime(2025, 1, 18, tzinfo=UTC),
        "Day": date(2025, 1, 18),
        "Lines": [{"Price": Decimal("1.10"), "Text": "a"}, {"Price": None, "Text": ""}],
        "Tags": ["x"],
        "To": {"City": "Ulm"},
    }
    assert type(read) is dict
    assert type(read["Lines"][0]) is dict


def test_absent_is_null_at_every_depth_and_in_the_order_of_the_schema() -> None:
    read = decode('{"To": {}, "Number": "1", "Lines": [{}]}')
    assert read == {**NULLS, "Number": "1", "To": {"City": None}, "Lines": [{"Price": None, "Text": None}]}
    assert list(read) == list(INVOICE.fields)


def test_null_is_null_and_an_empty_list_is_one() -> None:
    assert decode('{"Number": "1", "Total": null, "Lines": null, "Tags": [], "To": null}') == {
        **NULLS,
        "Number": "1",
        "Tags": [],
    }


def test_unknown_members_are_ignored() -> None:
    assert decode('{"Number": "1", "New": {"a": [1, {"b": "\\u00e9"}]}}') == {**NULLS, "Number": "1"}


@pytest.mark.parametrize("key", ['"Stra\u00dfe"', r'"Stra\u00dfe"'])
def test_names_need_not_be_ascii(key: str) -> None:
    name = bytes.fromhex("53747261c39f65").decode()  # no constant, which something else might have encoded already
    node = Node("object", False, fields={name: Node("string", False)}, required=frozenset({name}))
    assert decode(f'{{{key}: "x"}}', node) == {"Stra\u00dfe": "x"}


def test_a_byte_order_mark_is_ignored() -> None:
    assert decode(b'\xef\xbb\xbf{"Number": "1"}')["Number"] == "1"
    assert json.loads(b"\xef\xbb\xbf[1]") == [1]


@pytest.mark.parametrize(
    ("body", "path", "expected"),
    [
        ("{}", "$.Number", "a value"),
        ('{"Number": null}', "$.Number", "a value"),
        ('{"Number": true}', "$.Number", "a string"),
        ('{"Number": ["1"]}', "$.Number", "a string"),
        ('{"Number": "1", "Total": true}', "$.Total", "a number"),
        ('{"Number": "1", "Total": "abc"}', "$.Total", "a number"),
        ('{"Number": "1", "Count": 1.5}', "$.Count", "an integer"),
        pytest.param(f'{{"Number": "1", "Count": {"9" * 5000}}}', "$.Count", FEWER_DIGITS, id="long integer"),
        ('{"Number": "1", "Count": true}', "$.Count", "an integer"),
        ('{"Number": "1", "Paid": 2}', "$.Paid", "true or false"),
        ('{"Number": "1", "Paid": 1.5}', "$.Paid", "true or false"),
        ('{"Number": "1", "At": 5}', "$.At", "a date-time"),
        ('{"Number": "1", "Day": 20250118}', "$.Day", "a date"),
        ('{"Number": "1", "Lines": 5}', "$.Lines[0]", "an object"),
        ('{"Number": "1", "Lines": [{}, {"Price": []}]}', "$.Lines[1].Price", "a number"),
        ('{"Number": "1", "Lines": [{}, {}, {"Price": "NaN"}]}', "$.Lines[2].Price", "a number"),
        ('{"Number": "1", "Lines": [{}, null]}', "$.Lines[1]", "a value"),
        ('{"Number": "1", "Lines": [{}, ""]}', "$.Lines[1]", "a value"),
        ('{"Number": "1", "Tags": ["a", true]}', "$.Tags[1]", "a string"),
        ('{"Number": "1", "Tags": ["a", null]}', "$.Tags[1]", "a value"),
        ('{"Number": "1", "To": "Ulm"}', "$.To", "an object"),
        ('{"Number": "1", "To": ["Ulm"]}', "$.To", "an object"),
        ("[]", "$", "an object"),
        ("null", "$", "a value"),
    ],
)
def test_what_does_not_fit_is_named_by_path(body: str, path: str, expected: str) -> None:
    assert mismatch(body) == (path, expected)
    with pytest.raises(DoesNotFit):
        json._typed(INVOICE, NEW_YORK)(body.encode())


DEEP = 100_000
HOSTILE = {
    "empty": b"",
    "blank": b" \n",
    "truncated": b'{"Number": "1", "Lines": [{"Price": 1',
    "truncated text": b'{"Number": "1',
    "two documents": b'{"Number": "1"}{"Number": "2"}',
    "not UTF-8": b'{"Number": "\xff"}',
    "UTF-16": '{"Number": "1"}'.encode("utf-16"),
    "half a surrogate pair": b'{"Number": "\\ud800"}',
    "HTML": b"<!DOCTYPE html><html></html>",
    "XML": b"<Invoice/>",
    "deep lists": b"[" * DEEP + b"]" * DEEP,
    "deep unknown member": b'{"Number": "1", "New": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep known member": b'{"Number": ' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
    "control character": b'{"Number": "\n"}',
    "comment": b'{"Number": "1"} // x',
}


@pytest.mark.promise("A body that cannot be read is refused without being quoted")
@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_json_is_malformed_and_never_quoted(name: str) -> None:
    if name not in ("deep lists", "deep known member"):  # which do not fit before they are too deep
        with pytest.raises(Malformed) as caught:
            decode(HOSTILE[name])
        assert len(str(caught.value)) < 100
    with pytest.raises(Malformed):
        json.loads(HOSTILE[name])


@pytest.mark.promise("Deep nesting is refused")
@pytest.mark.parametrize("name", ["deep lists", "deep unknown member", "deep known member"])
def test_deep_nesting_is_refused_in_words(name: str) -> None:
    with pytest.raises(Malformed, match=r"^nested too deeply$"):
        json.loads(HOSTILE[name])
    with pytest.raises((Malformed, SchemaMismatch)):
        decode(HOSTILE[name])


ALL_AT_ONCE = """
import sys, threading
from tests.decode.kit import built, plain
from vendortap.declare import Node
from vendortap.declare.model import RecordSelector
from vendortap.decode import coerce, json
from vendortap.decode.values import dates

sys.setswitchinterval(1e-6)
inner = {f"b{n}": Node("number") for n in range(20)}
value = {f"a{n}": dict.fromkeys(inner) for n in range(20)}
body = json.dumps(value)
for _ in range(60):
    record = Node("object", fields={name: Node("object", fields=inner) for name in value})
    decoder = json.JsonDecoder(record, RecordSelector(many=False), dates("UTC", None))
    build = coerce.compile(record, dates("UTC", None))
    together = threading.Barrier(8)

    def work():
        together.wait()
        assert plain(decoder.typed(body).records) == [value]
        assert decoder.apart(body, lambda parsed: built(parsed, build, record)).records == [value]

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def test_threads_may_all_decode_for_the_first_time_at_once() -> None:
    """In a process of its own: what two threads did to msgspec ended it with a segmentation fault."""
    done = subprocess.run([sys.executable, "-c", ALL_AT_ONCE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_local_time_of_before_there_were_zones_keeps_its_seconds() -> None:
    """New York's was 4:56:02 behind until 1883; offsets in RFC 3339 have no seconds."""
    found = NEW_YORK.parse("1880-01-01T00:00:00")
    assert found is not None
    assert found.isoformat() == "1880-01-01T04:56:02+00:00"
