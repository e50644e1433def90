"""How often a list is read, driven by hand: until two readings agree, and once more to compare."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vendortap.declare.model import Page, Pager, Plan, Record, Request, Stream, Windows
from vendortap.declare.paging import offset, page_number, row_offset, stable, token
from vendortap.declare.request import get
from vendortap.errors import BodyError
from vendortap.sync.readings import READINGS, pager_of

REQUEST = Request("GET", "/list")
LISTING = Request("POST", "/list", document={"filter": {}})
PAGER = page_number("page", size_param="pageSize", size="page_size")
BY_ROWS = page_number("page", size_param="pageSize", size="page_size", rows="rows")
OFFSET = row_offset(("filter", "First"), size_path=("filter", "Rows"), size="page_size", total="total")
BY_OFFSET = offset("skip", size_param="top", size="page_size", rows="rows")
TOKEN = token("next", found="next")
LIST = Stream(name="invoices", title="Invoices", request=get("/list"), keys=("number",))
STABLE = stable(PAGER, "number")
BY_TOTAL = stable(BY_ROWS, "number", total="rows")
BY_ROW_TOTAL = stable(OFFSET, "number", total="total")


def page(*numbers: int, **more: Any) -> Page:
    return Page([{"number": number} for number in numbers], more)


def rows(*numbers: int, total: int | None) -> Page:
    return Page([{"number": number, "total": total} for number in numbers])


def drive(stream: Stream, pages: Iterable[Page], found: list[Record] | None = None, size: int = 3) -> list[Request]:
    """The requests that are made when these are the answers; ends when they do, and not before."""
    conflicts = [] if found is None else found
    request = LISTING if stream.pages in (OFFSET, BY_ROW_TOTAL) else REQUEST
    steps = pager_of(stream, conflicts.append)(request, {"page_size": size})
    asked = [next(steps)]
    answers = iter(pages)
    for answer in answers:
        try:
            asked.append(steps.send(answer))
        except StopIteration:
            assert next(answers, None) is None, "the list ends early"
            return asked
    raise AssertionError("there are more requests")


def numbers(pages: Iterable[Page], pager: Pager = STABLE) -> list[int]:
    """The numbers of the pages that are asked for."""
    return [int(request.params["page"]) for request in drive(replace(LIST, pages=pager), pages)]


# --- rows that move ----------------------------------------------------------------------------------


def test_a_list_in_which_nothing_moves_is_read_once() -> None:
    assert numbers([page(1, 2, 3), page(4, 5), page()]) == [1, 2, 3]
    assert numbers([page(), page()]) == [1, 1]


def test_a_row_that_comes_twice_makes_the_list_be_read_until_two_readings_agree() -> None:
    moved = [page(1, 2, 3), page(5, 6, 1), page(), page(), page()]
    rest = [page(2, 3, 4), page(5, 6), page()]
    assert numbers([*moved, *rest, *rest]) == [1, 2, 3, 3, 4, 1, 2, 3, 1, 2, 3]


def test_a_second_reading_that_moved_itself_is_not_believed() -> None:
    first = [page(1, 2, 3), page(3, 4, 5), page(6), page()]  # a row has come before the others
    second = [page(0, 1, 2), page(4, 5, 6), page(0), page()]  # and goes behind them, which hides 3 and shows 0 twice
    rest = [page(1, 2, 3), page(4, 5, 6), page(0), page()]
    assert numbers([*first, *second, *rest, *rest]) == [1, 2, 3, 4] * 4


def test_a_row_that_is_twice_in_one_page_has_not_moved() -> None:
    by_pages = page_number("page", size_param="pageSize", size="page_size", pages="pages")
    assert numbers([page(1, 1, pages=1)], stable(by_pages, "number")) == [1]


def test_a_number_of_rows_that_shrinks_makes_the_list_be_read_again() -> None:
    gone, rest = [page(1, 2, 3, rows=7), page(5, 6, 7, rows=6)], [page(2, 3, 4, rows=6), page(5, 6, 7, rows=6)]
    assert numbers([*gone, *rest, *rest], BY_TOTAL) == [1, 2] * 3
    gone = [rows(1, 2, 3, total=7), rows(5, 6, 7, total=6)]
    rest = [rows(2, 3, 4, total=6), rows(5, 6, 7, total=6)]
    asked = drive(replace(LIST, pages=BY_ROW_TOTAL), [*gone, *rest, *rest])
    assert [(request.document or {})["filter"]["First"] for request in asked] == [0, 3] * 3


def test_a_number_of_rows_that_grows_does_not() -> None:
    assert numbers([page(1, 2, 3, rows=5), page(4, 5, 6, rows=6)], BY_TOTAL) == [1, 2]


def test_a_short_page_in_the_middle_makes_a_list_without_a_number_of_rows_be_read_again() -> None:
    lacking = [page(1, 2, 3), page(4, 5), page(7), page()]
    whole = [page(1, 2, 3), page(4, 5, 6), page(7), page()]
    assert numbers([*lacking, *whole, *whole]) == [1, 2, 3, 4] * 3
    assert numbers([page(1, 2), *whole[1:], *whole, *whole]) == [1, 2, 3, 4] * 3
    assert numbers([*lacking, *lacking]) == [1, 2, 3, 4] * 2  # as this vendor does it


def test_rows_that_the_vendor_always_lists_twice_cost_two_more_readings_and_are_no_error() -> None:
    twice = [page(1, 2, 3), page(1, 4), page()]
    assert numbers(twice * 3) == [1, 2, 3] * 3


def test_another_row_twice_than_in_the_reading_before_is_movement() -> None:
    twice, other = [page(1, 2, 3), page(1, 4), page()], [page(1, 2, 3), page(2, 4), page()]
    assert numbers([*twice, *other, *twice, *twice, *twice]) == [1, 2, 3] * 5


def test_rows_put_before_and_behind_all_others_are_no_reason_to_read_on() -> None:
    first, second = [page(3, 4, 5), page(5, 6), page()], [page(3, 4, 5), page(6), page()]
    third = [page(2, 3, 4), page(5, 6, 7), page(8), page()]
    assert numbers([*first, *second, *third]) == [1, 2, 3, 1, 2, 3, 1, 2, 3, 4]


def test_a_row_between_known_ones_is_a_reason_to_read_on() -> None:
    first, second = [page(3, 4, 5), page(5, 6), page()], [page(3, 4, 6), page(7), page()]
    third = [page(3, 4, 5), page(6, 7), page()]
    assert numbers([*first, *second, *third, *third]) == [1, 2, 3] * 4


def test_rows_that_never_come_to_rest_are_an_error() -> None:
    readings = [[page(1, 10 * n, 2), page(2, 10 * n + 1, 3), *[page()] * 3] for n in range(1, READINGS + 1)]
    with pytest.raises(BodyError, match=f"than they can be read, {READINGS} times over; run again later"):
        numbers([page for reading in readings for page in reading])


# --- numbers of rows that are wrong ------------------------------------------------------------------


@pytest.mark.parametrize("pager", [BY_ROWS, BY_TOTAL])
def test_a_list_with_fewer_rows_than_stated_is_read_once_more(pager: Pager) -> None:
    short = [page(1, 2, 3, rows=5), page(rows=5), page(rows=5)]
    whole = [page(1, 2, 3, rows=5), page(4, 5, rows=5)]
    assert numbers([*short, *whole], pager) == [1, 2, 2, 1, 2]
    with pytest.raises(BodyError, match="says that there are 5 rows, but its pages hold 3"):
        numbers(short * 2, pager)


@pytest.mark.promise("Rows that come twice do not fill the number of rows that a vendor states in place of others")
def test_rows_that_come_twice_do_not_end_a_list_before_all_others_have_come() -> None:
    filled = [page(1, 2, 2, rows=6), page(3, 4, 4, rows=6)]  # six rows, of six; but not all six
    whole = [*filled, page(5, 6, 6, rows=6), page(rows=6), page(rows=6), page(rows=6)]
    assert numbers([*filled, *whole, *whole, *whole], BY_TOTAL) == [1, 2, *([1, 2, 3, 4, 4, 5] * 3)]
    assert numbers([*filled, *whole], BY_ROWS) == [1, 2, 1, 2, 3, 4, 4, 5]
    filled = [rows(1, 2, 2, total=6), rows(3, 4, 4, total=6)]
    whole = [*filled, rows(5, 6, 6, total=6), rows(total=6), rows(total=6), rows(total=6)]
    asked = drive(replace(LIST, pages=BY_ROW_TOTAL), [*filled, *whole, *whole, *whole])
    assert {(request.document or {})["filter"]["First"] for request in asked} == {0, 3, 6, 9, 12}


def test_a_page_with_a_row_twice_does_not_move_an_offset_past_another_row() -> None:
    def answer(request: Request) -> Page:
        first = (request.document or {})["filter"]["First"]
        listed = list(range(first, min(first + 3, 8)))
        return rows(*listed, *listed[:1], total=8)

    assert set(read(replace(LIST, pages=BY_ROW_TOTAL), 3, answer)) == set(range(8))


def test_a_list_that_is_recounted_has_as_many_rows_as_stated() -> None:
    twice = [page(1, 2, 3, rows=5), page(3, 4, rows=5)]
    short = [page(1, 2, 3, rows=5), page(rows=5), page(rows=5), page(rows=5)]
    with pytest.raises(BodyError, match="says that there are 5 rows, but its pages hold 3"):
        numbers([*twice, *short, *short], BY_TOTAL)


DATED = replace(LIST, pages=stable(BY_ROWS, "number", "date", total="rows"), replication_key="date")


def of_days(*listed: tuple[int, int], total: int) -> Page:
    days = [datetime(2024, 5, day, tzinfo=UTC) for _, day in listed]
    return Page([{"number": n, "date": day} for (n, _), day in zip(listed, days, strict=True)], {"rows": total})


def test_a_row_that_is_dated_anew_and_moves_to_the_end_hides_no_other() -> None:
    moved = [of_days((1, 1), (2, 2), (3, 3), total=5), of_days((5, 5), (2, 6), total=5)]
    rest = [of_days((1, 1), (3, 3), (4, 4), total=5), of_days((5, 5), (2, 6), total=5)]
    assert len(drive(DATED, [*moved, *rest, *rest])) == 6


def test_a_row_that_is_listed_again_with_a_later_date_costs_one_more_reading() -> None:
    again = [of_days((1, 1), (2, 2), (3, 3), total=5), of_days((4, 4), (2, 6), total=5)]
    assert len(drive(DATED, again * 2)) == 4


# --- records with one key ----------------------------------------------------------------------------

CHANGES = replace(LIST, replication_key="at", pages=PAGER)
START = datetime(2025, 1, 1, tzinfo=UTC)


def dated(*listed: tuple[int, str, int]) -> Page:
    return Page([{"number": number, "text": text, "at": START + timedelta(days=day)} for number, text, day in listed])


def conflicts(stream: Stream, *pages: Page) -> list[int]:
    """The numbers of records that differ from others with the same key, in pages that never change."""
    reading = [*pages, Page([])]
    found: list[Record] = []
    steps = pager_of(stream, found.append)(REQUEST, {"page_size": 3})
    asked = next(steps)
    try:
        for _ in range(100):
            asked = steps.send(reading[min(int(asked.params["page"]), len(reading)) - 1])
    except StopIteration:
        return [record["number"] for record in found]
    raise AssertionError("the list is read for ever")


@pytest.mark.parametrize("pager", [PAGER, stable(PAGER, "number")])
def test_different_records_with_one_key_are_told_once_a_key(pager: Pager) -> None:
    stream = replace(CHANGES, pages=pager)
    on_one_page = dated((1, "a", 0), (1, "b", 0), (1, "c", 0))
    assert conflicts(stream, on_one_page) == [1]
    on_two = (dated((1, "a", 0), (2, "a", 0), (3, "a", 0)), dated((4, "a", 0), (1, "b", 0), (2, "b", 0)))
    assert conflicts(stream, *on_two) == [1, 2]
    older = (dated((1, "a", 2), (2, "a", 2), (3, "a", 2)), dated((4, "a", 2), (1, "a", 1)))
    assert conflicts(stream, *older) == [1]


@pytest.mark.parametrize("pager", [PAGER, stable(PAGER, "number")])
def test_equal_records_newer_ones_and_distinct_streams_are_no_conflict(pager: Pager) -> None:
    stream = replace(CHANGES, pages=pager)
    equal = (dated((1, "a", 0), (2, "a", 0), (2, "a", 0)), dated((4, "a", 0), (1, "a", 0)))
    assert conflicts(stream, *equal) == []
    newer = (dated((1, "a", 0), (2, "a", 0), (2, "b", 1)), dated((4, "a", 0), (1, "b", 1)))
    assert conflicts(stream, *newer) == []
    different = (dated((1, "a", 0), (2, "a", 0), (2, "b", 0)), dated((4, "a", 0), (1, "b", 0)))
    assert conflicts(replace(stream, distinct=True), *different) == []
    windows = Plan(windows=Windows("start", "end", "days", ("from", "to")))
    assert conflicts(replace(stream, plan=windows, replication_key="number"), *different) == [2, 1]


def test_keys_count_and_not_what_tells_rows_apart() -> None:
    pages = (dated((1, "a", 0), (2, "b", 0), (3, "c", 0)), dated((4, "a", 0)))
    assert conflicts(replace(LIST, keys=("text",), pages=STABLE), *pages) == [4]
    again = (dated((1, "a", 0), (2, "a", 0), (3, "a", 0)), dated((1, "b", 1), (2, "b", -1)))
    assert conflicts(replace(CHANGES, pages=stable(PAGER, "number", "at")), *again) == []


def test_what_changed_between_two_readings_is_no_conflict() -> None:
    found: list[Record] = []
    first = [dated((1, "a", 0), (2, "a", 0), (3, "a", 0)), dated((3, "a", 0), (4, "a", 0)), Page([])]
    rest = [dated((1, "b", 0), (2, "b", 0), (3, "b", 0)), dated((4, "b", 0)), Page([])]
    drive(replace(LIST, pages=STABLE), [*first, *rest, *rest], found)
    assert found == []


# --- lists that churn --------------------------------------------------------------------------------


@given(total=st.integers(0, 40), size=st.integers(2, 12), at=st.integers(1, 5), moved=st.integers(0, 39))
@pytest.mark.parametrize("kind", ["number", "offset"])
def test_whichever_row_moves_to_the_end_whenever_it_does_every_row_comes(
    kind: str, total: int, size: int, at: int, moved: int
) -> None:
    listed = list(range(total))
    asked = 0

    def answer(request: Request) -> Page:
        nonlocal asked
        asked += 1
        if asked == at and moved < total:
            listed.append(listed.pop(moved))
        if kind == "number":
            begin = (int(request.params["page"]) - 1) * size
            return page(*listed[begin : begin + size])
        begin = (request.document or {})["filter"]["First"]
        return rows(*listed[begin : begin + size], total=total)

    stream = replace(LIST, pages=STABLE if kind == "number" else BY_ROW_TOTAL)
    assert set(read(stream, size, answer)) == set(range(total))


def read(stream: Stream, size: int, answer: Callable[[Request], Page]) -> Iterator[int]:
    """The numbers that are handed on of a list with these answers."""
    request = LISTING if stream.pages == BY_ROW_TOTAL else REQUEST
    steps = pager_of(stream, lambda _: None)(request, {"page_size": size})
    asked: Request | None = next(steps)
    while asked is not None:
        reply, before = answer(asked), asked
        got = [row["number"] for row in reply.records]
        try:
            asked = steps.send(reply)
        except StopIteration:
            asked = None
        if asked != before:
            yield from got


HISTORIES = 2000
OPERATIONS = ("insert", "insert first", "insert last", "move", "move first", "move last", "remove")


@dataclass
class Churning:
    """A vendor's list that changes between requests; ``done`` are the kinds of changes of each reading."""

    random: random.Random
    total: bool
    removes: bool
    size: int
    listed: list[int]
    changes: int
    quiet: set[int] = field(default_factory=set)
    done: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.quiet = set(self.listed)
        self.born = len(self.listed)

    def answer(self, request: Request) -> Page:
        """Answer, after none, one or two changes; the first page begins a reading."""
        number = int(request.params["page"])
        if number == 1:
            self.done.append([])
        for _ in range(self.random.choice((0, 0, 1, 1, 2))):
            if self.changes and (number > 1 or len(self.done) > 1):
                self.changes -= 1
                self.done[-1].append(self.change())
        begin = (number - 1) * self.size
        more = {"rows": len(self.listed)} if self.total else {}
        return page(*self.listed[begin : begin + self.size], **more)

    def change(self) -> str:
        """Change the list."""
        kinds = OPERATIONS if self.removes else OPERATIONS[:-1]
        kind = self.random.choice(kinds)
        if not self.listed and not kind.startswith("insert"):
            return "nothing"
        if kind.startswith("insert"):
            self.born += 1
            row = self.born
        else:
            row = self.listed.pop(self.random.randrange(len(self.listed)))
        if kind == "remove":
            self.quiet.discard(row)
        elif kind.endswith("first"):
            self.listed.insert(0, row)
        elif kind.endswith("last"):
            self.listed.append(row)
        else:
            self.listed.insert(self.random.randint(0, len(self.listed)), row)
        return kind.partition(" ")[0]

    def may_hide(self) -> bool:
        """Whether the last reading had what cannot be seen: a row went, and where there is a number another came."""
        last = set(self.done[-1])
        return "remove" in last and (not self.total or bool(last & {"insert", "move"}))


@pytest.mark.promise(
    "However a list changes while it is read, each row that stays in it comes, or the run says that rows move. What "
    "cannot be seen: one row goes and another comes, or, where no number of rows is stated, one row goes",
    figure=f"{HISTORIES} histories of a list that churns",
)
@pytest.mark.parametrize("removes", [False, True])
@pytest.mark.parametrize("total", [False, True])
def test_no_row_of_a_list_that_churns_is_lost_without_a_word(total: bool, removes: bool) -> None:
    hidden = refused = 0
    for seed in range(HISTORIES):
        chance = random.Random(seed)
        count = chance.choice((chance.randint(3, 9), chance.randint(0, 40)))
        vendor = Churning(
            chance, total, removes, chance.randint(1, count + 1), list(range(count)), chance.randint(0, 12)
        )
        try:
            got = set(read(replace(LIST, pages=BY_TOTAL if total else STABLE), vendor.size, vendor.answer))
        except BodyError:
            refused += 1
            continue
        if lost := vendor.quiet - got:
            assert vendor.may_hide(), f"history {seed}: {sorted(lost)} are lost"
            hidden += 1
    assert hidden == 0 or removes
    assert refused < HISTORIES / 5
