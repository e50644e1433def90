"""Pagers, driven by hand: they do no I/O."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vendortap.errors import BodyError
from vendortap.model import Page, Pager, Request
from vendortap.paging import page_number, single

REQUEST = Request("GET", "/list", {"since": "2025-01-01"})
PAGER = page_number("page", size_param="pageSize", size="page_size")


def page(*numbers: int) -> Page:
    return Page([{"number": number} for number in numbers])


def drive(pager: Pager, pages: Iterable[Page], size: int = 3) -> list[Request]:
    """The requests that a pager makes when it is given these pages; ends when the pages do."""
    steps = pager(REQUEST, {"page_size": size})
    asked = [next(steps)]
    for answer in pages:
        try:
            asked.append(steps.send(answer))
        except StopIteration:
            return asked
    raise AssertionError("the pager goes on")


def test_single_asks_once() -> None:
    assert drive(single, [page(1)]) == [REQUEST]


def test_pages_are_counted_from_one_and_keep_the_other_parameters() -> None:
    asked = drive(PAGER, [page(1, 2, 3), page(4, 5, 6), page()])
    assert [request.params for request in asked] == [
        {"since": "2025-01-01", "page": str(number), "pageSize": "3"} for number in (1, 2, 3)
    ]


def test_an_empty_first_page_is_the_end() -> None:
    assert len(drive(PAGER, [page()])) == 1


def test_a_page_shorter_than_the_first_is_the_last() -> None:
    assert len(drive(PAGER, [page(1, 2, 3), page(4, 5)])) == 2


def test_a_first_page_shorter_than_asked_for_does_not_end_the_list() -> None:
    assert len(drive(PAGER, [page(1, 2), page(3, 4), page(5)], size=1000)) == 3


def test_a_page_that_repeats_the_one_before_is_an_error() -> None:
    with pytest.raises(BodyError, match="page 2 repeats page 1"):
        drive(PAGER, [page(1, 2), page(1, 2)])


def test_a_repeated_page_is_noticed_although_the_records_were_changed_meanwhile() -> None:
    steps = PAGER(REQUEST, {"page_size": 2})
    next(steps)
    first = page(1, 2)
    steps.send(first)
    for row in first.rows:
        row.clear()
    with pytest.raises(BodyError, match="repeats"):
        steps.send(page(1, 2))


@given(total=st.integers(0, 40), asked=st.integers(1, 12), cap=st.integers(1, 12))
def test_every_record_is_read_whatever_the_vendor_caps_pages_at(total: int, asked: int, cap: int) -> None:
    size = min(asked, cap)
    pages = (page(*range((n - 1) * size, min(n * size, total))) for n in count(1))
    requests = drive(PAGER, pages, asked)
    assert (len(requests)) * size >= total
