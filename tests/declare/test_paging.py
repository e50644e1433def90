"""Pagers, driven by hand: they do no I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vendortap.declare.model import Page, Pager, Request
from vendortap.declare.paging import offset, page_number, row_offset, single, token
from vendortap.errors import BodyError

REQUEST = Request("GET", "/list", {"since": "2025-01-01"})
PAGER = page_number("page", size_param="pageSize", size="page_size")


def page(*numbers: int, **more: Any) -> Page:
    return Page([{"number": number} for number in numbers], more)


def drive(
    pager: Pager, pages: Iterable[Page], request: Request = REQUEST, size: int = 3, **config: int
) -> list[Request]:
    """The requests that a pager makes when it is given these pages; ends when the pages do, and not before."""
    steps = pager(request, {"page_size": size, **config})
    pages = iter(pages)
    asked = [next(steps)]
    for answer in pages:
        try:
            asked.append(steps.send(answer))
        except StopIteration:
            assert next(pages, None) is None, "the pager ends early"
            return asked
    raise AssertionError("the pager goes on")


def test_single_asks_once() -> None:
    assert drive(single, [page(1)]) == [REQUEST]


def test_pages_are_counted_from_one_and_keep_the_other_parameters() -> None:
    asked = drive(PAGER, [page(1, 2, 3), page(4, 5, 6), page(7), page()])
    assert [request.params for request in asked] == [
        {"since": "2025-01-01", "page": str(number), "pageSize": "3"} for number in (1, 2, 3, 4)
    ]


def numbers(pages: Iterable[Page], pager: Pager = PAGER) -> list[int]:
    """The numbers of the pages that are asked for."""
    return [int(request.params["page"]) for request in drive(pager, pages)]


def test_an_empty_page_is_the_end_when_it_is_empty_twice_and_so_is_the_one_behind() -> None:
    assert numbers([page(), page()]) == [1, 1]
    assert numbers([page(1, 2, 3), page(), page(), page()]) == [1, 2, 2, 3]


def test_a_page_that_is_empty_once_costs_nothing_but_a_request() -> None:
    assert numbers([page(1, 2, 3), page(), page(4, 5, 6), page(7), page()]) == [1, 2, 2, 3, 4]


def test_an_empty_page_in_the_middle_is_an_error() -> None:
    with pytest.raises(BodyError, match="page 2 is empty, but page 3 is not"):
        numbers([page(1, 2, 3), page(), page(), page(7)])


def test_a_page_shorter_than_the_first_is_the_last_only_when_the_one_behind_it_is_empty() -> None:
    assert numbers([page(1, 2, 3), page(4, 5), page()]) == [1, 2, 3]
    assert numbers([page(1, 2, 3), page(4, 5), page(6, 7, 8), page(), page(), page()]) == [1, 2, 3, 4, 4, 5]


def test_a_first_page_shorter_than_asked_for_does_not_end_the_list() -> None:
    assert len(drive(PAGER, [page(1, 2), page(3, 4), page(5), page()], size=1000)) == 4


def test_a_page_that_repeats_one_before_is_asked_for_again() -> None:
    assert numbers([page(1, 2), page(1, 2), page(3), page()]) == [1, 2, 2, 3]


def test_a_page_that_repeats_one_before_twice_is_an_error() -> None:
    with pytest.raises(BodyError, match="page 2 repeats page 1; the vendor's paging does not move on"):
        drive(PAGER, [page(1, 2)] * 3)
    with pytest.raises(BodyError, match="page 3 repeats page 1"):
        drive(PAGER, [page(1, 2), page(3, 4), page(1, 2), page(1, 2)])


def test_a_repeated_page_is_noticed_although_the_records_were_changed_meanwhile() -> None:
    steps = PAGER(REQUEST, {"page_size": 2})
    next(steps)
    first = page(1, 2)
    steps.send(first)
    for row in first.records:
        row["number"] = 0
    steps.send(page(1, 2))
    with pytest.raises(BodyError, match="repeats"):
        steps.send(page(1, 2))


def test_a_first_number_may_be_set() -> None:
    pager = page_number("page", size_param="size", size="page_size", first="first_page")
    steps = pager(REQUEST, {"page_size": 2, "first_page": 0})
    assert next(steps).params["page"] == "0"
    assert steps.send(page(1, 2)).params["page"] == "1"


BY_PAGES = page_number("page", size_param="pageSize", size="page_size", pages="pages")
BY_ROWS = page_number("page", size_param="pageSize", size="page_size", rows="rows")
BY_BOTH = page_number("page", size_param="pageSize", size="page_size", pages="pages", rows="rows")


@pytest.mark.parametrize(
    ("pager", "pages"),
    [
        (BY_PAGES, [page(1, 2, 3, pages=1)]),
        (BY_PAGES, [page(1, 2, 3, pages=3), page(4, pages=3), page(5, 6, pages=3)]),
        (BY_PAGES, [page(1, 2, 3, pages=3), page(pages=3), page(pages=3), page(5, 6, pages=3)]),
        (BY_PAGES, [page(pages=0)]),
        (BY_PAGES, [page(), page()]),
        (BY_PAGES, [page(1, 2, pages=None), page(3), page(), page(), page()]),
        (BY_PAGES, [page(1, 2, pages=0), page(3, pages=0), page(pages=0), page(pages=0), page(pages=0)]),
        (BY_PAGES, [page(1, 2, pages=5), page(3, pages=2)]),
        (BY_ROWS, [page(1, 2, 3, rows=3)]),
        (BY_ROWS, [page(1, 2, rows=5), page(3, rows=5), page(4, 5, rows=5)]),
        (BY_ROWS, [page(rows=0)]),
        (BY_ROWS, [page(1, 2, rows=3), page(rows=3), page(3, rows=3)]),
        (BY_ROWS, [page(1, rows=0), page(2, rows=0), page(rows=0), page(rows=0), page(rows=0)]),
        (BY_ROWS, [page(1, 2, rows=None), page(3), page(), page(), page()]),
        (BY_BOTH, [page(1, 2, pages=2, rows=3), page(3, pages=2, rows=3)]),
        (BY_BOTH, [page(pages=0, rows=0)]),
        (BY_BOTH, [page(rows=2, pages=1), page(1, 2, rows=2, pages=1)]),
    ],
)
def test_what_the_vendor_says_of_its_pages_or_rows_ends_the_list(pager: Pager, pages: list[Page]) -> None:
    assert len(drive(pager, pages)) == len(pages)


@pytest.mark.parametrize("pager", [PAGER, BY_PAGES, BY_ROWS])
def test_a_page_that_repeats_is_an_error_whatever_the_vendor_says_there_is(pager: Pager) -> None:
    with pytest.raises(BodyError, match="page 2 repeats page 1"):
        drive(pager, [page(1, 2, pages=9, rows=9)] * 3)


@pytest.mark.parametrize(
    ("pager", "pages"),
    [
        (BY_BOTH, [page(1, 2, pages=2, rows=5), page(3, pages=2, rows=5)]),
        (BY_BOTH, [page(1, 2, 3, pages=2, rows=5), page(pages=2, rows=5), page(pages=2, rows=5)]),
        (BY_ROWS, [page(1, 2, rows=5), page(3, rows=5), page(rows=5), page(rows=5)]),
        (BY_ROWS, [page(1, 2, 3, rows=5), page(), page()]),  # a page that does not say changes nothing
    ],
)
def test_pages_that_hold_fewer_rows_than_the_vendor_says_are_an_error(pager: Pager, pages: list[Page]) -> None:
    with pytest.raises(BodyError, match="says that there are 5 rows, but its pages hold 3"):
        drive(pager, pages)


def test_a_list_that_begins_with_no_rows_although_there_are_some_is_an_error() -> None:
    with pytest.raises(BodyError, match="says that there are 5 rows, but its pages hold 0"):
        drive(BY_ROWS, [page(rows=5)] * 2)


def test_empty_pages_do_not_go_on_for_ever() -> None:
    with pytest.raises(BodyError, match="100 pages in a row are empty"):
        drive(BY_PAGES, [page(1, pages=10**9), *[page(pages=10**9)] * 1000])


# --- row offsets -------------------------------------------------------------------------------------

OFFSET = row_offset(("filter", "First"), size_path=("filter", "Rows"), size="page_size", total="total")
LISTING = Request("POST", "/list", document={"paid": True, "filter": {"sort": "date"}})


def rows(*numbers: int, total: int | None) -> Page:
    return Page([{"number": number, "total": total} for number in numbers])


def offsets(pages: Iterable[Page], pager: Pager = OFFSET, **config: int) -> list[int]:
    """The offsets that are asked for."""
    return [(request.document or {})["filter"]["First"] for request in drive(pager, pages, LISTING, **config)]


def test_an_offset_stands_in_the_document_beside_what_was_there() -> None:
    (request,) = drive(OFFSET, [rows(1, 2, total=2)], LISTING)
    assert request.document == {"paid": True, "filter": {"sort": "date", "First": 0, "Rows": 3}}
    assert LISTING.document == {"paid": True, "filter": {"sort": "date"}}
    bare = row_offset(("First",), size_path=("Rows",), size="page_size", total="total")
    request, _ = drive(bare, [rows(total=None)] * 2, Request("POST", "/list"))
    assert request.document == {"First": 0, "Rows": 3}


@pytest.mark.parametrize(
    ("pages", "asked"),
    [
        ([rows(total=None), rows(total=None)], [0, 0]),
        ([rows(total=None), rows(1, 2, total=2)], [0, 0]),
        ([rows(1, 2, 3, total=3)], [0]),
        ([rows(1, 2, 3, total=4), rows(4, total=4)], [0, 3]),
        ([rows(1, total=3), rows(2, total=3), rows(3, total=3)], [0, 1, 2]),
        ([rows(1, 2, total=4), rows(total=4), rows(3, 4, total=4)], [0, 2, 2]),
        ([rows(1, 2, total=None), rows(3, total=None), *[rows(total=None)] * 3], [0, 2, 3, 3, 6]),
        ([rows(1, 2, total=0), rows(3, total=0), *[rows(total=0)] * 3], [0, 2, 3, 3, 6]),
        ([rows(1, 2, total=4), rows(3, 4, total=5), rows(5, total=5)], [0, 2, 4]),
    ],
)
def test_an_offset_moves_by_as_many_rows_as_came(pages: list[Page], asked: list[int]) -> None:
    assert offsets(pages) == asked


def test_a_first_offset_may_be_set() -> None:
    pager = row_offset(("filter", "First"), size_path=("filter", "Rows"), size="page_size", total="total", first="one")
    assert offsets([rows(1, 2, total=3), rows(3, total=3)], pager, one=1) == [1, 3]


def test_rows_that_repeat_are_an_error() -> None:
    assert offsets([rows(1, 2, total=3), rows(1, 2, total=3), rows(3, total=3)]) == [0, 2, 2]
    with pytest.raises(BodyError, match="the rows from 2 on repeat those from 0 on; the vendor's paging"):
        offsets([rows(1, 2, total=9)] * 3)


def test_offsets_that_end_before_the_total_are_an_error() -> None:
    with pytest.raises(BodyError, match="says that there are 9 rows, but its pages hold 2"):
        offsets([rows(1, 2, total=9), rows(total=9), rows(total=9)])


def test_rows_behind_an_empty_page_are_an_error() -> None:
    with pytest.raises(BodyError, match="the page from row 2 on is empty, but that from 5 on is not"):
        offsets([rows(1, 2, total=None), rows(total=None), rows(total=None), rows(9, total=None)])


# --- tokens ------------------------------------------------------------------------------------------

TOKEN = token("nextToken", found="next")


def test_a_token_is_sent_with_all_other_parameters_until_there_is_none() -> None:
    asked = drive(TOKEN, [page(1, next="a"), page(2, next="b"), page(3)])
    assert [request.params for request in asked] == [
        {"since": "2025-01-01"},
        {"since": "2025-01-01", "nextToken": "a"},
        {"since": "2025-01-01", "nextToken": "b"},
    ]


@pytest.mark.parametrize("nothing", [{}, {"next": None}, {"next": ""}])
def test_a_page_without_a_token_is_the_last_whatever_it_holds(nothing: dict[str, Any]) -> None:
    assert len(drive(TOKEN, [page(1, 2, 3, **nothing)])) == 1
    assert len(drive(TOKEN, [page(**nothing), page(**nothing)])) == 2


def test_an_empty_page_with_a_token_is_not_the_last() -> None:
    assert len(drive(TOKEN, [page(1, next="a"), page(next="b"), page(2)])) == 3


@pytest.mark.parametrize("tokens", [["a", "a", "a"], ["a", "b", "a", "a"]])
def test_a_token_that_comes_again_is_an_error(tokens: list[str]) -> None:
    with pytest.raises(BodyError, match="a nextToken that it gave before"):
        drive(TOKEN, [page(number, next=text) for number, text in enumerate(tokens)])


def sent(pages: Iterable[Page]) -> list[str]:
    """The tokens that are sent."""
    return [request.params.get("nextToken", "") for request in drive(TOKEN, pages)]


def test_a_page_is_asked_for_again_when_it_has_come_before_or_is_empty_and_the_last() -> None:
    assert sent([page(1, next="a"), page(1, next="a"), page(2)]) == ["", "a", "a"]
    assert sent([page(1, next="a"), page(), page(2)]) == ["", "a", "a"]
    assert sent([page(1, next="a"), page(), page()]) == ["", "a", "a"]


def test_a_page_that_comes_again_with_another_token_is_an_error() -> None:
    with pytest.raises(BodyError, match="page 2 repeats page 1"):
        drive(TOKEN, [page(1, next="a"), page(1, next="b"), page(1, next="c")])


def test_tokens_without_rows_do_not_go_on_for_ever() -> None:
    with pytest.raises(BodyError, match="100 pages in a row are empty"):
        drive(TOKEN, [page(1, next="x"), *[page(next=str(number)) for number in range(1000)]])


# --- every row once ----------------------------------------------------------------------------------


def answers(pager: Pager, config: dict[str, Any], answer: Callable[[Request], Page], request: Request) -> list[int]:
    """The numbers that a pager is handed by a vendor that answers like this."""
    steps = pager(request, config)
    asked = next(steps)
    got: list[int] = []
    for _ in range(200):
        reply = answer(asked)
        got += [row["number"] for row in reply.records]
        try:
            asked = steps.send(reply)
        except StopIteration:
            return got
    raise AssertionError("the pager goes on")


@given(total=st.integers(0, 40), asked=st.integers(1, 12), cap=st.integers(1, 12), first=st.integers(0, 2))
@pytest.mark.parametrize("says", ["nothing", "pages", "rows", "both"])
def test_every_row_comes_once_by_page_number(says: str, total: int, asked: int, cap: int, first: int) -> None:
    size = min(asked, cap)
    known = {"pages": -(-total // size), "rows": total}
    said = {name: value for name, value in known.items() if says in (name, "both")}
    names: dict[str, Any] = {name: name for name in said}

    def answer(request: Request) -> Page:
        at = (int(request.params["page"]) - first) * min(int(request.params["pageSize"]), cap)
        return page(*range(at, min(at + size, total)), **said)

    pager = page_number("page", size_param="pageSize", size="page_size", first="first", **names)
    assert answers(pager, {"page_size": asked, "first": first}, answer, REQUEST) == list(range(total))


@given(total=st.integers(0, 40), asked=st.integers(1, 12), cap=st.integers(1, 12), first=st.integers(0, 1))
@pytest.mark.parametrize("says", [True, False])
def test_every_row_comes_once_by_offset(says: bool, total: int, asked: int, cap: int, first: int) -> None:
    def answer(request: Request) -> Page:
        filters = (request.document or {})["filter"]
        at, size = filters["First"] - first, min(filters["Rows"], cap)
        return rows(*range(at, min(at + size, total)), total=total if says else None)

    pager = row_offset(("filter", "First"), size_path=("filter", "Rows"), size="page_size", total="total", first="one")
    assert answers(pager, {"page_size": asked, "one": first}, answer, LISTING) == list(range(total))


@given(pages=st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_every_row_comes_once_by_token_whatever_the_pages_hold(pages: list[int]) -> None:
    starts = [sum(pages[:number]) for number in range(len(pages))]

    def answer(request: Request) -> Page:
        number = int(request.params.get("nextToken", "0"))
        more = {"next": str(number + 1)} if number + 1 < len(pages) else {}
        return page(*range(starts[number], starts[number] + pages[number]), **more)

    assert answers(TOKEN, {}, answer, REQUEST) == list(range(sum(pages)))


# --- an offset in the query --------------------------------------------------------------------------

BY_OFFSET = offset("skip", size_param="top", size="page_size")
BY_OFFSET_AND_ROWS = offset("skip", size_param="top", size="page_size", rows="rows")


def skipped(pages: Iterable[Page], pager: Pager = BY_OFFSET) -> list[int]:
    """The offsets that are asked for."""
    asked = drive(pager, pages)
    assert {request.params["top"] for request in asked} == {"3"}
    return [int(request.params["skip"]) for request in asked]


@pytest.mark.parametrize(
    ("pages", "asked"),
    [
        ([page(), page()], [0, 0]),
        ([page(1, 2), page(3, 4, 5), page(6), page(), page(), page()], [0, 2, 5, 6, 6, 9]),
        ([page(1, 2, rows=3), page(3, rows=3)], [0, 2]),
        ([page(1, 2, 3, rows=3)], [0]),
        ([page(rows=0)], [0]),
        ([page(1, rows=0), page(2, rows=0), *[page(rows=0)] * 3], [0, 1, 2, 2, 5]),
        ([page(1, 2, rows=4), page(rows=4), page(3, 4, rows=4)], [0, 2, 2]),
    ],
)
def test_an_offset_in_the_query_moves_by_as_many_rows_as_came(pages: list[Page], asked: list[int]) -> None:
    assert skipped(pages, BY_OFFSET_AND_ROWS) == asked


def test_an_offset_in_the_query_that_ends_too_early_or_does_not_move_on_is_an_error() -> None:
    with pytest.raises(BodyError, match="there are 5 rows, but its pages hold 2"):
        skipped([page(1, 2, rows=5), *[page(rows=5)] * 2], BY_OFFSET_AND_ROWS)
    with pytest.raises(BodyError, match="rows from 2 on repeat those from 0 on"):
        skipped([page(1, 2)] * 3)
    with pytest.raises(BodyError, match="the page from row 2 on is empty, but that from 5 on is not"):
        skipped([page(1, 2), page(), page(), page(9)])
