"""Records that are passed on have the very bytes that decoding and encoding would give them, or are not passed on."""

from __future__ import annotations

import json as stdlib_json
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.strategies import values
from vendortap.declare.model import Node, Page, Reply, Rows, Value
from vendortap.decode import expressions
from vendortap.decode.expressions import CREDIT
from vendortap.decode.reader import Reader
from vendortap.decode.values import Dates
from vendortap.decode.verbatim import Passing, Verbatim
from vendortap.errors import BodyError

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
PAGE = Rows(("data", "Rows"), more={"next": Value(("next",), "integer")})
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


def body(*records: Any, **beside: Any) -> bytes:
    return encode({"data": {"Rows": list(records)}, **beside})


def reply(content: bytes) -> Reply:
    return Reply(200, {"content-type": "application/json"}, content, datetime.now(UTC))


def reader(*, passes: bool = True, node: Node = ROW, where: Rows = PAGE) -> Reader:
    """A reader that passes pages on, from the first one on that it is given."""
    names = ("Number", "At", "Customer") if passes else None
    made = Reader(node, where, ("Number",), DATES, structs=True, verbatim=names)
    made.read(reply(b"{}"))
    return made


def read(content: bytes, *, passes: bool = True, node: Node = ROW, where: Rows = PAGE) -> Page:
    return reader(passes=passes, node=node, where=where).read(reply(content), GIVEN)


def passing() -> Passing:
    """What takes records out of pages, from the first one on that it is given."""
    made = Passing(ROW, PAGE.path, DATES)
    made.read(b"{}", GIVEN)
    return made


def written(page: Page) -> list[bytes]:
    """The records as they are written; others than those passed on are completed first, as the pipeline does."""
    for record in page.rows:
        for name, value in GIVEN.items() if not isinstance(record, Verbatim) else ():
            record[name] = value
    return [verbatim_bytes(record) if isinstance(record, Verbatim) else encode(record) for record in page.rows]


def verbatim_bytes(record: Verbatim) -> bytes:
    lines = bytearray(b"before ")
    record.write_into(lines)
    return bytes(lines).removeprefix(b"before ")


def is_passed_on(page: Page) -> bool:
    return bool(page.rows) and all(isinstance(record, Verbatim) for record in page.rows)


# --- the same bytes ----------------------------------------------------------------------------------


def _tame(value: Any, node: Node) -> Any:
    """Return a value in the schema's order, everyday ones in the place of those that are left to the other ways."""
    if isinstance(value, dict):
        return {name: _tame(value[name], member) for name, member in node.fields.items()}
    if isinstance(value, list) and node.item:
        return [_tame(item, node.item) for item in value]
    if isinstance(value, Decimal) and ("E" in str(value) or value == 0):
        return Decimal("1.25")
    return value % 10**18 if isinstance(value, int) and not isinstance(value, bool) else value


@st.composite
def pages(draw: st.DrawFn) -> bytes:
    """Pages as msgspec writes them, but for what vendors are known to do to them."""
    records = draw(st.lists(values(ROW).filter(bool), min_size=1, max_size=3))
    records = [_tame(record, ROW) for record in records] if draw(st.integers(0, 3)) else records
    for record in records:
        for name, node in ROW.fields.items():
            leave_out = node.kind == "given" or (name != "Number" and record[name] is None and draw(st.booleans()))
            if leave_out:
                del record[name]
    content = body(*records, next=draw(st.none() | st.integers(0, 9)))
    spoiled = draw(
        st.sampled_from(
            [
                *[(b"", b"")] * 6,
                (b'"At":"', b'"At":"0'),
                (b"Z", b""),
                (b"Z", b"+00:00"),
                (b":", b": "),
                (b'"Total"', b'"total"'),
                (b'"Paid":', b'"Unknown":1,"Paid":'),
                (b'"Count":', b'"Total":5,"Count":'),
                (b"\\n", b"\\u000a"),
                (b"a", b"\\u0061"),
                (b"-", b""),
                (b"0", b"00"),
                (b".", b""),
                (b"e", b"E"),
            ]
        )
    )
    return content.replace(*spoiled)


@settings(deadline=None, max_examples=300)
@given(content=pages())
def test_passing_on_gives_the_bytes_of_decoding_and_encoding(content: bytes) -> None:
    try:
        other = read(content, passes=False)
    except (BodyError, ValueError) as error:
        with pytest.raises(type(error)):
            read(content)
        return
    page = read(content)
    event("passed on" if is_passed_on(page) else "left to the other ways")
    assert written(page) == written(other)
    assert page.more == other.more
    assert page.misfits.keys() == other.misfits.keys()


@pytest.mark.parametrize(
    "number",
    ["0", "5", "10.00", "-0.10", "-0.0", "0.000001", "0.000000", "9" * 40, "-" + "9" * 50 + "." + "1" * 50],
)
def test_numbers_that_are_passed_on(number: str) -> None:
    content = body({**FULL, "Total": None}).replace(b'"Total":null', b'"Total":%b' % number.encode())
    assert is_passed_on(read(content))
    assert b'"Total":%b,' % number.encode() in written(read(content))[0]
    assert written(read(content)) == written(read(content, passes=False))


@pytest.mark.parametrize(
    "number",
    ["-0", "1e2", "1E2", "1.5e-7", "0.0000001", "0.0000000", "-0.00000012", "00", "01", "1.", ".5", "+1", "--1", "NaN"],
)
def test_numbers_that_are_written_in_another_way_or_are_none_are_not_passed_on(number: str) -> None:
    content = body({**FULL, "Total": None}).replace(b'"Total":null', b'"Total":%b' % number.encode())
    assert passing().read(content, GIVEN) is None


@pytest.mark.parametrize("number", ["9" * 51, "-" + "9" * 400 + ".10", "0." + "1" * 51, "1." + "1" * 500])
def test_numbers_of_very_many_digits_are_not_passed_on(number: str) -> None:
    content = body({**FULL, "Total": None}).replace(b'"Total":null', b'"Total":%b' % number.encode())
    assert passing().read(content, GIVEN) is None


def test_many_dates_are_not_tried_in_every_way() -> None:
    names = [f"At{number}" for number in range(24)]
    node = Node("object", fields={name: Node("date-time", nullable=True) for name in names})
    record = ",".join(f'"{name}":"2025-01-02T03:04:05Z"' for name in names)
    began = time.process_time()
    for end in ("}", ',"x":1}'):
        read = reader(node=node)
        content = b'{"data":{"Rows":[{%s%s]}}' % (record.encode(), end.encode())
        pages = [read.read(reply(content)) for _ in range(3)]
        assert [len(page.rows) for page in pages] == [1, 1, 1]
    assert time.process_time() - began < 5


@pytest.mark.parametrize("character", [chr(code) for code in (*range(0x20, 0x80), 0xE9, 0x2028, 0xFFFF, 0x1F600)])
def test_characters_are_passed_on_as_they_would_be_written(character: str) -> None:
    content = body({**FULL, "Number": f"a{character}b"})
    page = read(content)
    assert is_passed_on(page)
    assert page.rows[0]["Number"] == f"a{character}b"
    assert written(page) == written(read(content, passes=False))


@pytest.mark.parametrize("escape", ["\\/", "\\u0041", "\\u00e9", "\\u001f", "\\ud83d\\ude00"])
def test_what_is_escaped_in_another_way_is_left_to_the_other_ways(escape: str) -> None:
    content = body({**FULL, "Number": "?"}).replace(b'"?"', b'"%b"' % escape.encode())
    assert not is_passed_on(read(content))
    assert written(read(content)) == written(read(content, passes=False))


YEARS = [1600, 1700, 1900, 2000, 2023, 2024, 2100, 2400, 9996, 9999]


@pytest.mark.parametrize("year", YEARS)
def test_days_that_there_are_none_of_are_not_passed_on(year: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each day of a year, and those that a month might have had."""
    monkeypatch.setattr(expressions, "CREDIT", 1_000_000)
    made = passing()
    for month in range(14):
        for day in range(33):
            text = f"{year:04}-{month:02}-{day:02}"
            for name, value in (("Day", text), ("Lines", [{"Price": None, "On": f"{text}T00:00:00Z"}])):
                passed = made.read(body({**FULL, name: value}), GIVEN)
                try:
                    datetime(year, month, day)
                except ValueError:
                    assert passed is None
                else:
                    is_left = (month, day) == (2, 29) and year % 100 == 0
                    assert (passed is None) == is_left


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2025-01-18T00:13:47.2098986Z", "2025-01-18T00:13:47.209899Z"),
        ("2025-01-18T00:13:47.25Z", "2025-01-18T00:13:47.250000Z"),
        ("2025-01-18T00:13:47.000000Z", "2025-01-18T00:13:47Z"),
        ("2025-01-18T00:13:47", "2025-01-18T00:13:47-05:00"),
        ("2025-01-18T00:13:47+00:00", "2025-01-18T00:13:47Z"),
        ("0001-01-01T00:00:00", None),
    ],
)
def test_date_times_outside_of_lists_are_put_in_as_they_are_written(at: str, expected: str | None) -> None:
    content = body({**FULL, "At": at, "Address": {"City": "x", "Since": at}})
    page = read(content)
    assert is_passed_on(page)
    assert written(page) == written(read(content, passes=False))
    record = stdlib_json.loads(written(page)[0])
    assert record["At"] == record["Address"]["Since"] == expected
    assert not is_passed_on(read(body({**FULL, "Lines": [{"Price": None, "On": at}]})))


@pytest.mark.parametrize(
    ("record", "passed_on"),
    [
        (FULL, True),
        ({"Number": "1"}, True),
        ({"Number": "1", "Paid": None, "Address": {"City": "x"}}, True),
        ({"Number": "1", "Day": "2025-01-18", "Rates": [1.5, 2]}, True),
        ({"Total": Decimal(1), "Number": "1"}, False),
        ({"Number": "1", "Address": {"Since": None}}, False),
        ({"Number": "1", "Address": {"Since": None, "City": "x"}}, False),
        ({"Number": "1", "Lines": [{"Price": None}]}, False),
        ({"Number": "1", "Unknown": 1}, False),
        ({"Number": "1", "Customer": "2"}, False),
        ({"Number": "1", "Total": "1.50"}, False),
        ({"Number": "1", "Count": 10**18}, False),
    ],
)
def test_what_is_missing_outside_of_lists_is_put_in(record: Any, passed_on: bool) -> None:
    content = body(FULL, record)
    page = read(content)
    assert is_passed_on(page) is passed_on
    assert written(page) == written(read(content, passes=False))
    for raw in written(page):
        assert list(stdlib_json.loads(raw)) == list(ROW.fields)
        assert stdlib_json.loads(raw)["Customer"] == GIVEN["Customer"]


# --- where the records are ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b'{"data":{"Rows":[%b]},"next":2}',
        b'{"next":2,"data":{"a":[1,{"Rows":3}],"Rows":\n [%b] , "b":"\\"Rows\\":[{"}}',
        b'\xef\xbb\xbf{"data":{"Rows":[%b]},"next":2}',
    ],
)
def test_pages_that_are_passed_on(content: bytes) -> None:
    content %= b",".join([encode(FULL)] * 3)
    page = read(content)
    assert is_passed_on(page)
    assert (page.more, len(page.rows)) == ({"next": 2}, 3)


@pytest.mark.parametrize(
    "content",
    [
        b'{"other":{"Rows":[%b]},"data":{"Rows":[]}}',
        b'{"other":{"Rows":[%b]},"data":{"\\u0052ows":[0]}}',
        b'{"data":{"x\\"Rows":[%b],"Rows":[]}}',
        b'{"data":{"Rows":[%b],"Rows":[]}}',
        b'{"Rows":[%b]}',
        b'{"data":{"Rows":[%b, {"Number":"1"}]}}',
        b'{"data":{"Rows":[%b,]}}',
        b'{"data":{"Rows":[%b',
        b'{"data":{"Rows":[%b]}',
        b'{"data":{"Rows":[%b]}} and more',
        b'{"data":{"Rows":[%b],"text":"\xff"}}',
    ],
)
def test_pages_that_are_left_to_the_other_ways(content: bytes) -> None:
    content %= encode(FULL)
    assert outcome(content) == outcome(content, passes=False)


def outcome(content: bytes, *, passes: bool = True) -> tuple[bool, list[bytes] | str]:
    """Whether a page is passed on, and the records that are written, or what is wrong."""
    try:
        page = read(content, passes=passes)
    except BodyError as error:
        return False, str(error)
    return is_passed_on(page), written(page)


def test_a_page_that_is_a_list() -> None:
    where = Rows()
    content = b" [%b]" % encode(FULL)
    page = read(content, where=where)
    assert is_passed_on(page)
    assert written(page) == written(read(content, where=where, passes=False))
    assert read(b"[]", where=where).rows == []


def test_a_text_that_is_not_utf_8_is_refused_as_on_the_other_ways() -> None:
    content = body({**FULL, "Number": "?"}).replace(b'"?"', b'"\xc3("')
    for passes in (True, False):
        with pytest.raises(BodyError, match="JSON that is not UTF-8"):
            read(content, passes=passes)


def test_what_is_beside_the_records_may_not_be_nested_deeper_than_elsewhere() -> None:
    deep = b"[" * 2000 + b"]" * 2000
    with pytest.raises(BodyError, match="levels deep"):
        read(body(FULL).removesuffix(b"}") + b',"deep":%b}' % deep)


# --- used like a record ------------------------------------------------------------------------------


def test_a_record_is_read_by_name() -> None:
    (record,) = read(body({**FULL, "At": "2025-01-18T00:13:47"})).rows
    assert isinstance(record, Verbatim)
    for _ in range(2):
        assert record["Number"] == "1"
        assert record["At"] == datetime(2025, 1, 18, 0, 13, 47, tzinfo=DATES.zone)
        assert record["Customer"] == GIVEN["Customer"]
        assert record["Stamp"] == GIVEN["Stamp"]
        assert record["Total"] == Decimal("1.50")
        assert record["Lines"][0]["Price"] == Decimal("-0.10")


def test_a_record_looks_like_a_row() -> None:
    """A page that comes twice is known by how its records look, whichever way it was read."""
    for record in (FULL, {"Number": "1"}):
        (one,), (other,) = read(body(record)).rows, read(body(record), passes=False).rows
        assert isinstance(one, Verbatim)
        assert repr(one) == repr(other)


def test_what_is_missing_is_read_as_null() -> None:
    (record,) = read(b'{"data":{"Rows":[{"Number":"1"}]}}').rows
    assert isinstance(record, Verbatim)
    assert record["At"] is None
    assert record["Lines"] is None


# --- whether it is tried -----------------------------------------------------------------------------


def test_a_stream_whose_pages_cannot_be_passed_on_is_soon_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = 0

    def passed(*_: Any) -> None:
        nonlocal tried
        tried += 1

    made = reader()
    with monkeypatch.context() as patch:
        patch.setattr(Passing, "_passed", passed)
        for _ in range(20):
            made.read(reply(body(FULL)), GIVEN)
    assert tried == CREDIT + 1
    assert not is_passed_on(made.read(reply(body(FULL)), GIVEN))


def test_pages_in_vain_are_put_up_with_where_others_have_been_passed_on() -> None:
    made = reader()
    for _ in range(30):
        assert is_passed_on(made.read(reply(body(FULL)), GIVEN))
        assert not is_passed_on(made.read(reply(body({"Total": Decimal(1), "Number": "1"})), GIVEN))


def test_lists_without_records_say_nothing_about_those_with() -> None:
    made = reader()
    for _ in range(20):
        assert made.read(reply(body()), GIVEN).rows == []
    assert is_passed_on(made.read(reply(body(FULL)), GIVEN))


def test_the_first_page_is_left_alone() -> None:
    made = Reader(ROW, PAGE, ("Number",), DATES, structs=True, verbatim=())
    assert [is_passed_on(made.read(reply(body(FULL)), GIVEN)) for _ in range(3)] == [False, True, True]


@pytest.mark.parametrize(
    "node",
    [
        replace(ROW, fields={**ROW.fields, "Any": Node("any")}),
        replace(ROW, fields={**ROW.fields, "Lines": Node("array", item=Node("any"))}),
        replace(ROW, fields={**ROW.fields, "a-b": Node("string")}),
    ],
)
def test_what_may_be_anything_is_not_passed_on(node: Node) -> None:
    assert not is_passed_on(read(body(FULL), node=node))


def test_a_vendors_own_date_format_is_left_to_the_other_ways() -> None:
    dates = Dates(UTC, "%d.%m.%Y")
    made = Reader(ROW, PAGE, ("Number",), dates, structs=True, verbatim=())
    assert [is_passed_on(made.read(reply(body(FULL)), GIVEN)) for _ in range(3)] == [False] * 3
