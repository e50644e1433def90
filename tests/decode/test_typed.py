"""A page that is read in one step is what it is when it is coerced, to the byte, or it is left to be coerced."""

from __future__ import annotations

import json as stdlib_json
import time
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.decode.kit import coerced, counting, in_dicts
from tests.strategies import to_json, values
from vendortap.declare.model import Node, Page, RecordSelector, Reply, Value
from vendortap.decode import json
from vendortap.decode.reader import Reader
from vendortap.decode.structs import DoesNotFit, RecordStruct, as_dict
from vendortap.decode.values import Dates
from vendortap.errors import BodyError, VendortapError
from vendortap.singer.encoding import ENCODER

DATES = Dates(timezone(timedelta(hours=-5)))
ROW = Node(
    "object",
    nullable=False,
    fields={
        "Customer": Node("given"),
        "Number": Node("string", nullable=False),
        "Total": Node("number"),
        "Count": Node("integer"),
        "Paid": Node("boolean"),
        "At": Node("date-time"),
        "Stamp": Node("given"),
        "Day": Node("date"),
        "Address": Node("object", fields={"City": Node("string"), "Since": Node("date-time")}),
        "Lines": Node("array", item=Node("object", False, fields={"Price": Node("number"), "On": Node("date-time")})),
        "Serials": Node("array", item=Node("string", nullable=False)),
        "Rates": Node("array", item=Node("number", nullable=False)),
    },
    required=frozenset({"Number"}),
)
PAGE = RecordSelector(("data", "Rows"), more={"next": Value(("next",), "integer")})
GIVEN = {"Customer": '1 "& ü"', "Stamp": datetime(2025, 1, 2, tzinfo=UTC)}
FULL: Mapping[str, Any] = {
    "Number": "1",
    "Total": Decimal("1.50"),
    "Count": 3,
    "Paid": True,
    "At": "2025-01-18T00:13:47Z",
    "Day": "2025-01-18",
    "Address": {"City": 'Gdańsk "x" \\ \n', "Since": None},
    "Lines": [{"Price": Decimal("-0.10"), "On": "2025-01-18T00:13:47.250000+02:00"}, {"Price": None, "On": None}],
    "Serials": ["a", ""],
    "Rates": [],
}
encode = msgspec.json.Encoder(decimal_format="number").encode


def reader(where: RecordSelector = PAGE, node: Node = ROW, dates: Dates = DATES) -> Reader:
    return Reader(node, where, ("Number",), dates)


def body(*records: Any, **beside: Any) -> bytes:
    return encode({"data": {"Rows": list(records)}, **beside})


def reply(content: bytes) -> Reply:
    return Reply(200, {"content-type": "application/json"}, content, datetime.now(UTC))


def is_typed(content: bytes, where: RecordSelector = PAGE, node: Node = ROW, dates: Dates = DATES) -> bool:
    """Tell whether a page is read in one step; whichever way, it is what it is when it is coerced."""
    made = reader(where, node, dates)
    bodies = counting(made)
    found = outcome(made, content)
    assert found == outcome(coerced(reader(where, node, dates)), content)
    return not bodies and not isinstance(found, str)


def outcome(made: Reader, content: bytes) -> Any:
    """A page with its records as they are written, or what is wrong with it."""
    try:
        page = made.read(reply(content))
    except VendortapError as error:
        return str(error)
    for row in page.records:
        for name in GIVEN.keys() & row._names:  # type: ignore[attr-defined] # of RecordStruct
            row[name] = GIVEN[name]
    invalid = [(index, record.sentence, record.raw) for index, record in page.invalid.items()]
    return [encode(as_dict(row)) for row in page.records], repr(page.records), page.more, page.absent, invalid


def read(content: bytes, where: RecordSelector = PAGE, node: Node = ROW) -> Page:
    """A page that is the same by both readings."""
    is_typed(content, where, node)
    return reader(where, node).read(reply(content))


# --- whatever they are -------------------------------------------------------------------------------


@st.composite
def pages(draw: st.DrawFn) -> bytes:
    """Pages whose records fit, but for what vendors are known to do to them."""
    drop = draw(st.booleans())
    records = [to_json(record, drop_nulls=drop) for record in draw(st.lists(values(ROW), max_size=3))]
    content = f'{{"data":{{"Rows":[{",".join(records)}]}},"next":{draw(st.sampled_from(["null", "7"]))}}}'
    spoiled = draw(
        st.sampled_from(
            [
                *[(b"", b"")] * 6,
                (b'"At":"', b'"At":"0'),
                (b"Z", b""),
                (b"Z", b"+00:00"),
                (b":", b": "),
                (b'"Paid":', b'"Unknown":[1],"Paid":'),
                (b'"Count":', b'"Total":5,"Count":'),
                (b"\\n", b"\\u000a"),
                (b"a", b"\\u0061"),
                (b"-", b""),
                (b"0", b"00"),
                (b".", b""),
                (b".", b"_"),
                (b"E+", b"e+"),
                (b"null", b'""'),
            ]
        )
    )
    return content.encode().replace(*spoiled)


@pytest.mark.promise("A page that is read in one step and one that is coerced are written alike", figure="300 pages")
@settings(deadline=None, max_examples=300)
@given(content=pages())
def test_both_readings_give_the_same_bytes(content: bytes) -> None:
    event("typed" if is_typed(content) else "coerced")


@pytest.mark.parametrize(
    ("changes", "typed"),
    [
        ({}, True),
        ({"Unknown": {"a": 1}}, True),
        ({"Customer": "2"}, True),
        ({"Total": "1.50", "At": "2025-01-18T00:13:47.2098986"}, True),
        ({"At": "0001-01-01T00:00:00", "Address": {"Since": "2025-01-18 00:13:47"}}, True),
        ({"Lines": [{"On": "2025-01-18T00:13:47Z", "Price": 1e2}, {}]}, True),
        ({"At": "2025-01-18"}, True),
        ({"Paid": None, "Address": {"City": "x"}}, True),
        ({"Day": "2025-01-18", "Rates": [1.5, 2]}, True),
        ({"Lines": [{"Price": None}]}, True),
        ({"Count": 10**18}, True),
        ({"Count": 10**19}, False),
        ({"Total": "", "Count": 3.5}, False),
        ({"Total": ""}, False),
        ({"Paid": "true"}, False),
        ({"Lines": {"Price": 1}}, False),
        ({"Number": 5}, False),
        ({"Number": None}, False),
        ({"Total": "NaN"}, False),
    ],
)
def test_what_is_read_in_one_step_and_what_is_coerced(changes: dict[str, Any], typed: bool) -> None:
    content = body(FULL, {"Number": "1", **changes})
    assert is_typed(content) is typed
    for row in read(content).records:
        assert list(as_dict(row)) == list(ROW.fields), "records are complete and in the schema's order"


# --- numbers -----------------------------------------------------------------------------------------


def with_total(number: str) -> bytes:
    return body({**FULL, "Total": None}).replace(b'"Total":null', b'"Total":%b' % number.encode())


@pytest.mark.parametrize(
    "number",
    ["0", "5", "10.00", "-0.10", "-0.0", "0.000001", "0.000000", "9" * 40, "-" + "9" * 50 + "." + "1" * 50],
)
def test_numbers_are_written_digit_for_digit(number: str) -> None:
    assert is_typed(with_total(number))
    assert b'"Total":%b,' % number.encode() in encode(read(with_total(number)).records[0])


@pytest.mark.parametrize("number", ["-0", "1e2", "1E2", "1.5e-7", "0.0000001", "0.0000000", "-0.00000012"])
def test_numbers_that_may_be_written_in_another_way_keep_their_digits(number: str) -> None:
    assert is_typed(with_total(number))
    total = read(with_total(number)).records[0]["Total"]
    assert total.as_tuple() == (Decimal(0) if number == "-0" else Decimal(number)).as_tuple()


@pytest.mark.parametrize("number", ["00", "01", "1.", ".5", "+1", "--1", "NaN", "Infinity", "1_0", "٣", "\uff11"])
def test_numbers_that_are_none_in_json_are_refused(number: str) -> None:
    assert not is_typed(with_total(number))
    with pytest.raises(BodyError):
        read(with_total(number))


@pytest.mark.parametrize("number", ["9" * 101, "-" + "9" * 400 + ".10", "0." + "1" * 101, "1." + "1" * 500])
def test_a_number_of_very_many_digits_makes_a_bad_record(number: str) -> None:
    assert not is_typed(with_total(number))
    assert list(read(with_total(number)).invalid) == [0]


@pytest.mark.parametrize(
    "amount", ["NaN", "sNaN", "-Infinity", "nan12", "1_000", "٣", "\uff15", r"\u0663", r"1\u005f0"]
)
def test_text_that_is_no_number_is_refused_by_both_readings(amount: str) -> None:
    for record in ('"Total": "%s"', '"Lines": [{"Price": "%s"}]', '"Rates": [1, "%s"]'):
        page = read(f'{{"data": {{"Rows": [{{"Number": "1", {record % amount}}}]}}}}'.encode())
        assert page.invalid[0].sentence.startswith("Number 1: a number expected at $.data.Rows[0].")


# --- text --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("character", [chr(code) for code in (*range(0x80), 0xE9, 0x2028, 0xFFFF, 0x1F600)])
def test_characters_come_out_as_they_came_in(character: str) -> None:
    content = body({**FULL, "Number": f"a{character}b"})
    assert is_typed(content)
    assert read(content).records[0]["Number"] == f"a{character}b"


@pytest.mark.parametrize("escape", ["\\/", "\\u0041", "\\u00e9", "\\u001f", "\\ud83d\\ude00"])
def test_escapes_are_read(escape: str) -> None:
    content = body({**FULL, "Number": "?"}).replace(b'"?"', b'"a%bb"' % escape.encode())
    assert is_typed(content)
    assert read(content).records[0]["Number"] == stdlib_json.loads(f'"a{escape}b"')


def test_a_text_that_is_not_utf_8_is_refused_by_both_readings() -> None:
    content = body({**FULL, "Number": "?"}).replace(b'"?"', b'"\xc3("')
    for made in (reader(), coerced(reader())):
        with pytest.raises(BodyError, match="JSON that is not UTF-8"):
            made.read(reply(content))


# --- dates -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("year", [1600, 1700, 1900, 2000, 2023, 2024, 2100, 2400, 9996, 9999])
def test_days_that_there_are_none_of_make_a_bad_record(year: int) -> None:
    """Each day of a year, and those that a month might have had."""
    made, other = reader(), coerced(reader())
    for month in range(14):
        texts = [f"{year:04}-{month:02}-{day:02}" for day in range(33)]
        records = [
            {**FULL, "Number": text, "Day": text, "Lines": [{"Price": None, "On": f"{text}T00:00:00Z"}]}
            for text in texts
        ]
        there = {text: value for text in texts if (value := day_of(text))}
        found = outcome(made, body(*records))
        assert found == outcome(other, body(*records))
        page = reader().read(reply(body(*records)))
        assert [texts[index] for index in page.invalid] == [text for text in texts if text not in there]
        for text, row in zip(texts, page.records, strict=True):
            assert row["Day"] == there.get(text)
        fitting = [record for record in records if record["Number"] in there]
        assert not fitting or is_typed(body(*fitting))


def day_of(text: str) -> date | None:
    try:
        return date(*map(int, text.split("-")))
    except ValueError:
        return None


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2025-01-18T00:13:47.2098986Z", "2025-01-18T00:13:47.209899Z"),
        ("2025-01-18T00:13:47.25Z", "2025-01-18T00:13:47.250000Z"),
        ("2025-01-18T00:13:47.000000Z", "2025-01-18T00:13:47Z"),
        ("2025-01-18T00:13:47", "2025-01-18T00:13:47-05:00"),
        ("2025-01-18T00:13:47+00:00", "2025-01-18T00:13:47Z"),
        ("2025-01-18", "2025-01-18T00:00:00-05:00"),
        ("9999-12-31T23:59:59.9999999", "9999-12-31T23:59:59.999999-05:00"),
        ("0001-01-01T00:00:00", None),
    ],
)
def test_date_times_are_written_alike_wherever_they_stand(at: str, expected: str | None) -> None:
    content = body({**FULL, "At": at, "Address": {"City": "x", "Since": at}, "Lines": [{"Price": None, "On": at}]})
    assert is_typed(content)
    record = stdlib_json.loads(encode(read(content).records[0]))
    assert record["At"] == record["Address"]["Since"] == record["Lines"][0]["On"] == expected


def test_a_vendors_own_date_format_is_read_in_one_step() -> None:
    content = body({**FULL, "At": "18.01.2025"})
    dates = Dates(UTC, "%d.%m.%Y")
    assert is_typed(content, dates=dates)
    assert reader(dates=dates).read(reply(content)).records[0]["At"] == datetime(2025, 1, 18, tzinfo=UTC)


@pytest.mark.parametrize("kind", ["date", "date-time"])
def test_a_year_1_that_may_not_be_null_does_not_fit(kind: Any) -> None:
    node = Node("object", False, fields={"At": Node(kind, False)}, required=frozenset({"At"}))
    with pytest.raises(DoesNotFit):
        json._typed(node, DATES)(b'{"At": "0001-01-01"}')
    (bad,) = read(b'{"data": {"Rows": [{"At": "0001-01-01"}]}}', node=node).invalid.values()
    assert bad.sentence == "record 1 of the page: a value expected at $.data.Rows[0].At"


def test_many_dates_are_not_tried_in_every_way() -> None:
    names = [f"At{number}" for number in range(24)]
    node = Node("object", fields={name: Node("date-time", nullable=True) for name in names})
    record = ",".join(f'"{name}":"2025-01-02T03:04:05Z"' for name in names)
    began = time.process_time()
    for end in ("}", ',"x":1}'):
        made = reader(node=node)
        content = b'{"data":{"Rows":[{%s%s]}}' % (record.encode(), end.encode())
        assert [len(made.read(reply(content)).records) for _ in range(3)] == [1, 1, 1]
    assert time.process_time() - began < 5


# --- where the records are ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b'{"data":{"Rows":[%b]},"next":2}',
        b'{"next":2,"data":{"a":[1,{"Rows":3}],"Rows":\n [%b] , "b":"\\"Rows\\":[{"}}',
        b'\xef\xbb\xbf{"data":{"Rows":[%b]},"next":2}',
        b'{"other":{"Rows":[0]},"data":{"Rows":[%b]},"next":2}',
    ],
)
def test_records_are_read_from_their_place(content: bytes) -> None:
    content %= b",".join([encode(FULL)] * 3)
    assert is_typed(content)
    page = read(content)
    assert (page.more, len(page.records)) == ({"next": 2}, 3)


@pytest.mark.parametrize(
    ("content", "count"),
    [
        (b'{"other":{"Rows":[%b]},"data":{"Rows":[]}}', 0),
        (b'{"other":{"Rows":[%b]},"data":{"\\u0052ows":[]}}', 0),
        (b'{"other":{"Rows":[%b]},"data":{"\\u0052ows":[{"Number":"2"}]}}', 1),
        (b'{"data":{"x\\"Rows":[%b],"Rows":[]}}', 0),
        (b'{"data":{"Rows":[%b],"Rows":[]}}', 0),
        (b'{"Rows":[%b]}', 0),
        (b'{"data":{"Rows":[%b, {"Number":"1"}]}}', 2),
        (b'{"data":{"Rows":[%b,]}}', None),
        (b'{"data":{"Rows":[%b', None),
        (b'{"data":{"Rows":[%b]}', None),
        (b'{"data":{"Rows":[%b]}} and more', None),
    ],
)
def test_what_is_elsewhere_or_cut_short_is_not_taken_for_records(content: bytes, count: int | None) -> None:
    content %= encode(FULL)
    is_typed(content)
    if count is None:
        with pytest.raises(BodyError):
            read(content)
    else:
        assert len(read(content).records) == count


def test_a_page_that_is_a_list() -> None:
    where = RecordSelector()
    assert is_typed(b" [%b]" % encode(FULL), where)
    assert read(b"[]", where).records == []


def test_a_single_document_and_values_beside_the_records() -> None:
    assert is_typed(b'{"Number": "1"}', RecordSelector(many=False))
    beside = RecordSelector(many=False, more={"errors": Value(("errors",), "any")})
    content = b'{"Number": "1", "errors": ["a", 1.50]}'
    assert is_typed(content, beside)
    page = read(content, beside)
    assert page.more == {"errors": ["a", Decimal("1.50")]}
    assert "errors" not in as_dict(page.records[0])
    assert b"errors" not in ENCODER.encode(page.records[0])
    assert read(b'{"data": {"Rows": null}}').absent
    assert read(b"{}").absent


def test_what_is_beside_the_records_may_not_be_nested_deeper_than_elsewhere() -> None:
    deep = b"[" * 2000 + b"]" * 2000
    content = body(FULL).removesuffix(b"}") + b',"deep":%b}' % deep
    for made in (reader(), coerced(reader())):
        with pytest.raises(BodyError, match="levels deep"):
            made.read(reply(content))


# --- used like a record ------------------------------------------------------------------------------


def test_a_record_is_read_and_written_by_name() -> None:
    (row,) = read(body({**FULL, "At": "2025-01-18T00:13:47"})).records
    assert isinstance(row, RecordStruct)
    assert row["At"] == datetime(2025, 1, 18, 0, 13, 47, tzinfo=DATES.zone)
    assert row["Total"] == Decimal("1.50")
    assert row["Lines"][0]["Price"] == Decimal("-0.10")
    row["Customer"] = "from the request"
    assert msgspec.json.decode(encode(row))["Customer"] == "from the request"
    with pytest.raises(AttributeError):
        row["no such name"] = 1


def test_what_a_reply_says_of_a_given_property_does_not_count() -> None:
    for made in (reader(), coerced(reader())):
        (row,) = made.read(reply(body({"Number": "1", "Customer": {"not": ["asked"]}}))).records
        row["Customer"] = "asked"
        assert msgspec.json.decode(encode(row))["Customer"] == "asked"


def test_a_record_looks_the_same_by_both_readings() -> None:
    """A page that comes twice is known by how its records look, whichever way it was read."""
    for record in (FULL, {"Number": "1"}):
        content = body(record)
        assert repr(reader().read(reply(content)).records) == repr(coerced(reader()).read(reply(content)).records)


def named(name: str) -> Node:
    inner = Node("object", fields={name: Node("number")})
    fields = {"Number": Node("string", False), name: Node("string"), "In": inner}
    return Node("object", False, fields=fields, required=frozenset({"Number"}))


@pytest.mark.parametrize("name", ["a-b", "class", "_hidden", "Straße", "1st", "a.b", "__init__", "_extra_0"])
def test_names_that_no_attribute_can_have_are_read_in_one_step(name: str) -> None:
    content = body({"Number": "1", name: "x", "In": {name: 1}})
    assert is_typed(content, node=named(name))
    (row,) = read(content, node=named(name)).records
    assert as_dict(row) == stdlib_json.loads(ENCODER.encode(row)) == {"Number": "1", name: "x", "In": {name: 1}}
    row[name] = "y"
    assert (row[name], row["In"][name]) == ("y", 1)
    assert in_dicts(Page([row])).records == [{"Number": "1", name: "y", "In": {name: 1}}]


def test_names_that_look_like_those_of_attributes_are_not_mixed_up() -> None:
    names = ["_1", "_0", "a", "_2", "_extra_0"]
    node = Node("object", False, fields={name: Node("string") for name in names})
    record = {name: f"of {name}" for name in names}
    for made in (reader(node=node), coerced(reader(node=node))):
        (row,) = made.read(reply(body({**record, "b": "c"}))).records
        assert as_dict(row) == stdlib_json.loads(encode(row)) == {name: row[name] for name in names} == record


@pytest.mark.parametrize("name", ['say "x"', "back\\slash", "line\nbreak"])
def test_names_that_need_escapes_are_coerced(name: str) -> None:
    content = body({"Number": "1", name: "x", "In": {name: 1}})
    assert not is_typed(content, node=named(name))
    (row,) = read(content, node=named(name)).records
    assert as_dict(row) == {"Number": "1", name: "x", "In": {name: 1}}
    assert stdlib_json.loads(encode(as_dict(row))) == as_dict(row)
