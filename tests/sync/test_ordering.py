"""Units come in order, read ahead by threads that end."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sync.kit import CONCURRENCIES, LIST, NOW, Memory, Reader, at, page_of, quick, units
from vendortap.declare.model import Bookmark, Request, Slice
from vendortap.errors import RefusedError
from vendortap.sync import reading
from vendortap.sync.context import Records
from vendortap.sync.counters import Counters
from vendortap.sync.ordering import PAGES_AHEAD, SLICES_AHEAD, ordered


@pytest.mark.promise("Records, their order and bookmarks do not depend on the concurrency")
@given(
    pages=st.lists(st.integers(0, 6), max_size=14),
    failing=st.none() | st.tuples(st.integers(0, 13), st.integers(0, 6)),
    concurrency=st.sampled_from(CONCURRENCIES),
    seed=st.integers(0, 999),
)
@quick
def test_units_come_in_order_and_a_failure_in_its_place_whatever_the_timing(
    pages: list[int], failing: tuple[int, int] | None, concurrency: int, seed: int
) -> None:
    def fetch(unit: Slice) -> Iterator[Records]:
        number, random = int(unit.params["n"]), Random(f"{seed} {unit.params}")
        for page in range(pages[number] + 1):
            time.sleep(random.random() / 1000)
            if (number, page) == failing:
                raise RefusedError("no")
            if page < pages[number]:
                yield page_of(number, page)

    everything = [(number, page) for number, count in enumerate(pages) for page in range(count)]
    fails = failing is not None and failing[0] < len(pages) and failing[1] <= pages[failing[0]]
    expected = [place for place in everything if not fails or failing is None or place < failing]

    got: list[tuple[int, int]] = []
    raised = False
    try:
        with closing(ordered(units(len(pages)), fetch, concurrency)) as fetched:  # type: ignore[arg-type] # a generator
            for _, unit_pages in fetched:
                got.extend((r["unit"], r["page"]) for page in unit_pages for r in page.records)
    except RefusedError:
        raised = True
    assert (got, raised) == (expected, fails)


@pytest.mark.parametrize("concurrency", CONCURRENCIES)
def test_no_more_is_under_way_or_ahead_than_allowed(concurrency: int) -> None:
    lock = threading.Lock()
    under_way = begun = read = ahead_pages = 0
    most = Counter[str]()

    def note(**figures: int) -> None:
        for name, figure in figures.items():
            most[name] = max(most[name], figure)

    def fetch(unit: Slice) -> Iterator[Records]:
        nonlocal under_way, begun, ahead_pages
        with lock:
            under_way, begun = under_way + 1, begun + 1
            note(under_way=under_way, ahead=begun - read)
        for page in range(6):
            with lock:
                ahead_pages += 1
                note(pages=ahead_pages)
            time.sleep(0)
            yield page_of(int(unit.params["n"]), page)
        with lock:
            under_way -= 1

    with closing(ordered(units(80), fetch, concurrency)) as fetched:  # type: ignore[arg-type] # a generator
        for _, pages in fetched:
            for _ in pages:
                with lock:
                    ahead_pages -= 1
            with lock:
                read += 1
    assert begun == 80
    assert most["under_way"] <= concurrency
    assert most["ahead"] <= 2 * concurrency
    assert most["pages"] <= 2 * concurrency * PAGES_AHEAD + 1  # the one that is being read
    assert concurrency == 1 or most["under_way"] > 1


@pytest.mark.parametrize("concurrency", CONCURRENCIES)
def test_a_reader_that_stands_still_stops_the_threads(concurrency: int) -> None:
    begun: list[Slice] = []

    def fetch(unit: Slice) -> Iterator[Records]:
        begun.append(unit)
        yield replace(page_of(0, 0), more=False)

    with closing(ordered(units(500), fetch, concurrency)) as fetched:  # type: ignore[arg-type] # a generator
        _, pages = next(fetched)
        next(pages)
        deadline = time.monotonic() + 10
        while len(begun) < 2 * concurrency and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.05)
        assert len(begun) == 2 * concurrency


def test_a_list_is_asked_for_one_page_further_than_it_has_been_read() -> None:
    vendor = Memory({"a": {f"{number:02}": None for number in range(30)}})
    with closing(reading.read(vendor.source(), LIST, lambda _: None, Counters())) as items:
        for read in range(1, 9):
            assert isinstance(next(items), Records)
            deadline = time.monotonic() + 10
            while vendor.calls.total() < read + 1 and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(0.01)
            assert vendor.calls.total() == read + 1


@pytest.mark.parametrize("since", [None, Bookmark(NOW - timedelta(days=2))])
def test_what_has_been_handed_on_is_held_by_nobody_else(since: Bookmark | None) -> None:
    """Or a page stays in memory for as long as its lines take to be written."""
    vendor = Memory({"a": {str(number): at(number) for number in range(6)}})
    with closing(reading.read(vendor.source(), LIST, lambda _: since, Counters())) as items:
        for item in items:
            if isinstance(item, Records):
                record = item.records.pop(0)
                assert sys.getrefcount(record) == 2  # the name here, and the argument


def test_many_pages_in_many_units_do_not_block_each_other() -> None:
    def fetch(unit: Slice) -> Iterator[Records]:
        yield from (page_of(int(unit.params["n"]), page) for page in range(50))

    counted: list[int] = []

    def reader() -> None:
        with closing(ordered(units(40), fetch, 4)) as fetched:  # type: ignore[arg-type] # a generator
            counted.extend(sum(1 for _ in pages) for _, pages in fetched)

    thread = threading.Thread(target=reader, daemon=True)
    thread.start()
    thread.join(30)
    assert counted == [50] * 40


def test_pages_that_the_reader_leaves_are_passed_over() -> None:
    def fetch(unit: Slice) -> Iterator[Records]:
        yield from (page_of(int(unit.params["n"]), page) for page in range(9))

    with closing(ordered(units(5), fetch, 2)) as fetched:  # type: ignore[arg-type] # a generator
        assert [next(pages).records[0]["unit"] for _, pages in fetched] == [0, 1, 2, 3, 4]


def test_where_the_first_requests_all_fail_the_others_are_not_sent() -> None:
    vendor = Memory({str(part): {"1": at(0)} for part in range(200)})

    def refuse(_: Request) -> None:
        time.sleep(0.05)  # time enough for others to begin
        raise RefusedError("refused.")

    vendor.before = refuse
    with pytest.raises(RefusedError, match="the first 10 requests all failed, so no others were sent"):
        Reader(vendor).run(concurrency=8)
    assert vendor.calls.total() <= 10 + SLICES_AHEAD * 8


def pipeline_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("vendortap-")}


def all_end(threads: set[threading.Thread]) -> bool:
    for thread in threads:
        thread.join(10)
    return not any(thread.is_alive() for thread in threads)


def test_closing_ends_the_threads_even_in_the_middle_of_a_unit_without_end() -> None:
    closed = threading.Semaphore(0)

    def fetch(unit: Slice) -> Iterator[Records]:
        try:
            page = 0
            while True:
                yield page_of(int(unit.params["n"]), page := page + 1)
        finally:
            closed.release()

    before = pipeline_threads()
    with closing(ordered(units(100), fetch, 8)) as fetched:  # type: ignore[arg-type] # a generator
        _, pages = next(fetched)
        next(pages)
        mine = pipeline_threads() - before
    assert len(mine) == 8
    assert all_end(mine)
    assert all(closed.acquire(blocking=False) for _ in mine)


def test_an_error_ends_the_threads_although_somebody_keeps_it() -> None:
    vendor = Memory({str(part): {"1": at(0)} for part in range(50)})
    running: set[threading.Thread] = set()

    def refuse(request: Request) -> None:
        running.add(threading.current_thread())
        if request.path == "/list/3":
            raise RefusedError("refused.")

    vendor.before = refuse
    with pytest.raises(RefusedError) as kept:
        Reader(vendor).run()
    assert all_end(running)
    assert "(part 3)" in str(kept.value)


def test_an_exception_that_is_not_ours_reaches_the_reader_as_it_is() -> None:
    vendor = Memory({"a": {"1": at(0)}})
    error = ZeroDivisionError("a mistake in a connector")

    def fail(_: Request) -> None:
        raise error

    vendor.before = fail
    with pytest.raises(ZeroDivisionError) as caught:
        Reader(vendor).run()
    assert caught.value is error
