"""Numbers of which few characters come to gigabytes: bad records, whichever decoder reads them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tests.decode.kit import coerced
from vendortap.declare.model import UNKNOWN, Node, Page, RecordSelector, Reply, Value
from vendortap.decode.reader import Reader
from vendortap.decode.values import FEWER_DIGITS, Dates
from vendortap.errors import RecordError
from vendortap.singer.encoding import ENCODER

LINE = Node("object", fields={"Price": Node("number", nullable=True), "Count": Node("integer", nullable=True)})
ROW = Node(
    "object",
    fields={
        "Number": Node("string"),
        "Total": Node("number", nullable=True),
        "Count": Node("integer", nullable=True),
        "Text": Node("string", nullable=True),
        "Lines": Node("array", nullable=True, item=LINE, xml_wrapped=True),
        "Rates": Node("array", nullable=True, item=Node("number"), xml_wrapped=True),
    },
    required=frozenset({"Number"}),
    xml_name="Invoice",
)
MORE = {
    "count": Value(("count",), "integer"),
    "sum": Value(("sum",), "number"),
    "errors": Value(("errors",), "any"),
    "next": Value(("next",)),
}
NOW = datetime(2025, 1, 31, tzinfo=UTC)
LISTED = RecordSelector(("list",), more=MORE)
LONG = ["1e100", "-1e3000000000", "1e-100", "0e-999999999", "1e" + "9" * 40, "9" * 101, "9" * 5000]
READINGS = ("typed", "coerced", "unknown kept")
every_reading = pytest.mark.parametrize("reading", READINGS)
every_number = pytest.mark.parametrize("text", LONG, ids=lambda text: f"{text[:12]} of {len(text)}")


def reader(reading: str, rows: RecordSelector = LISTED) -> Callable[..., Page]:
    """What reads a page, and is past the first one, of which XML is always coerced."""
    is_kept = reading == "unknown kept"
    kept = {UNKNOWN: Node("given")} if is_kept else {}
    made = Reader(
        Node("object", fields={**ROW.fields, **kept}, required=ROW.required, xml_name=ROW.xml_name),
        rows,
        ("Number",),
        Dates(),
        keep_unknown=is_kept,
    )
    if reading == "coerced":
        coerced(made)

    def read(body: str, form: str = "json") -> Page:
        return made.read(Reply(200, {"content-type": f"application/{form}"}, body.encode(), NOW))

    for _ in range(2):
        read('{"list": [{"Number": "1", "Total": 1.5}]}')
    return read


def is_bad(page: Page, index: int, path: str) -> bool:
    bad = page.invalid.get(index)
    return page.invalid.keys() == {index} and bad is not None and bad.path == path


@every_reading
@every_number
def test_a_record_with_a_number_that_is_too_long_is_a_bad_one(reading: str, text: str) -> None:
    read = reader(reading)
    for member, place in (
        ('"Total": {}', "Total"),
        ('"Total": "{}"', "Total"),
        ('"Count": {}', "Count"),
        ('"Text": {}', "Text"),
        ('"Lines": [{{}}, {{"Price": {}}}]', "Lines[1].Price"),
        ('"Lines": [{{"Count": {}}}]', "Lines[0].Count"),
        ('"Rates": [1, {}]', "Rates[1]"),
    ):
        page = read(f'{{"list": [{{"Number": "1"}}, {{"Number": "2", {member.format(text)}}}, {{"Number": "3"}}]}}')
        assert is_bad(page, 1, f"$.list[1].{place}"), place
        assert [row["Number"] for row in page.records] == ["1", "2", "3"]


@every_number
def test_an_xml_record_with_a_number_that_is_too_long_is_a_bad_one(text: str) -> None:
    for reading, (member, place) in itertools.product(
        ("typed", "coerced"),
        (
            (f"<Total>{text}</Total>", "Total"),
            (f"<Count>{text}</Count>", "Count"),
            (f"<Lines><Line/><Line><Price>{text}</Price></Line></Lines>", "Lines[1].Price"),
            (f"<Rates><n>1</n><n>{text}</n></Rates>", "Rates[1]"),
        ),
    ):
        read = reader(reading, RecordSelector(("list",)))
        rows = "<Invoice><Number>1</Number></Invoice>", f"<Invoice><Number>2</Number>{member}</Invoice>"
        for _ in range(3):
            assert is_bad(read(f"<r><list>{''.join(rows)}</list></r>", "xml"), 1, f"$.list[1].{place}")


@every_reading
@every_number
@pytest.mark.parametrize("name", ["count", "sum", "errors"])
def test_a_number_beside_the_records_that_is_too_long_refuses_the_page(name: str, text: str, reading: str) -> None:
    read = reader(reading)
    members = {"count": "1", "sum": "1", "errors": "[]", name: text}
    beside = ", ".join(f'"{name}": {value}' for name, value in members.items())
    if name == "errors" and float(text) == 0:
        return  # a zero of unknown type is a float, which is short
    with pytest.raises(RecordError, match=rf"expected at \$\.{name}"):
        read(f'{{"list": [{{"Number": "1"}}], {beside}}}')
    if name == "errors":
        with pytest.raises(RecordError, match=rf"{FEWER_DIGITS} expected at \$\.errors\[0\]\.a"):
            read(f'{{"list": [{{"Number": "1"}}], "errors": [{{"a": {text}}}]}}')


@every_number
def test_an_unknown_number_that_is_too_long_makes_its_record_a_bad_one_where_it_would_be_kept(text: str) -> None:
    read = reader("unknown kept")
    for body, place in ((f'"New": {text}', "New"), (f'"Lines": [{{"a": [{{"b": {text}}}]}}]', "Lines[0].a[0].b")):
        page = read(f'{{"list": [{{"Number": "1", {body}}}, {{"Number": "2", "New": 1e99}}]}}')
        assert is_bad(page, 0, f"$.list[0].{place}")
        assert page.invalid[0].expected == FEWER_DIGITS
        assert page.records[1][UNKNOWN] == {"New": Decimal("1e99")}
    assert not reader("typed")(f'{{"list": [{{"Number": "1", "New": {text}}}]}}').invalid  # nothing is kept of it


@every_reading
def test_numbers_that_are_just_short_enough_are_kept_digit_for_digit(reading: str) -> None:
    read = reader(reading)
    for text in ("1e99", "1e-99", "9" * 100, "0." + "1" * 99, "9" * 50 + "." + "9" * 50, "0e-99"):
        page = read(
            f'{{"list": [{{"Number": "1", "Total": {text}, "Rates": [{text}], "Lines": [{{"Price": {text}}}]}}]}}'
        )
        assert not page.invalid
        assert str(page.records[0]["Total"]) == str(Decimal(text))
    assert read(f'{{"list": [{{"Number": "1", "Count": {"9" * 100}}}]}}').records[0]["Count"] == 10**100 - 1


@every_reading
def test_no_page_of_long_numbers_takes_long_to_read_or_to_write(reading: str) -> None:
    read, began = reader(reading), time.process_time()
    for text in ("1e3000000000", "0e-3000000000", "1e999999999999999999"):
        records = ", ".join(f'{{"Number": "{number}", "Total": {text}}}' for number in range(200))
        page = read(f'{{"list": [{records}]}}')
        assert len(page.invalid) == 200
        assert len(ENCODER.encode([str(row) for row in page.records])) < 100_000
    assert time.process_time() - began < 20
