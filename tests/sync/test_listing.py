"""Documents: in the order of their list, where a run stopped, and asked for while their list is read."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sync.kit import DETAILS, NOW, Memory, Reader, at, quick, random_memory, units
from vendortap.declare.model import Limit, Request, Slice
from vendortap.decode.structs import as_dict
from vendortap.errors import RefusedError
from vendortap.sync import reading
from vendortap.sync.context import Records
from vendortap.sync.counters import Counters
from vendortap.sync.ordering import EARLY, SLICES_AHEAD, Lane, Pool, in_order

# --- documents ---------------------------------------------------------------------------------------


def test_documents_come_in_the_order_of_change_those_without_a_stamp_last() -> None:
    vendor = Memory({"a": {"x": at(3), "y": None, "z": at(1), "w": at(2)}})
    assert [record["Id"] for record in Reader(vendor, DETAILS).run()] == ["z", "w", "x", "y"]


def test_a_document_has_the_stamp_that_the_list_shows() -> None:
    vendor = Memory({"a": {"x": at(3)}})
    (record,) = Reader(vendor, DETAILS).run()
    assert as_dict(record) == {"Part": "a", "Id": "x", "At": datetime.fromisoformat(at(3))}


@pytest.mark.promise("Documents go on where a run stopped", figure=f"{quick.max_examples} histories")
@given(stamps=st.lists(st.integers(0, 12), min_size=1, max_size=20), dies=st.lists(st.integers(0, 8), max_size=4))
@quick
def test_documents_go_on_where_a_run_stopped(stamps: list[int], dies: list[int]) -> None:
    vendor = Memory({"a": {str(n): at(minute) for n, minute in enumerate(stamps)}})
    reader = Reader(vendor, DETAILS)
    read: list[str] = []
    for count in [*dies, None]:
        covered = len(read)
        got = [record["Id"] for record in reader.run(stop_after=count, concurrency=2)]
        # of what a dead run handed on, only the last document may lack its bookmark
        assert len(set(got) & set(read[:covered])) <= 1
        read += got
    assert reader.complete
    assert reader.run() == []


def test_an_unchanged_list_costs_no_document() -> None:
    vendor = random_memory(1)
    reader = Reader(vendor, DETAILS)
    reader.run()
    asked = vendor.documents()
    assert reader.run() == []
    assert vendor.documents() == asked


# --- documents asked for while their list is read ----------------------------------------------------


class Slow(Memory):
    """Lets nothing go on in its list, behind the first page, until so many documents have been asked for."""

    def __init__(self, rows: dict[str, dict[str, str | None]], documents: int) -> None:
        super().__init__(rows)
        self.before = self.hold
        self.wanted = documents
        self.order: list[str] = []

    def hold(self, request: Request) -> None:
        self.order.append(request.path)
        if request.path.startswith("/list") and request.params["page"] == "2":
            deadline = time.monotonic() + 10
            while self.documents() < self.wanted and time.monotonic() < deadline:
                time.sleep(0.001)


MANY: dict[str, str | None] = {f"{n:02}": at(100 - n) for n in range(11)}  # the newest first, three a page


def test_the_first_documents_are_asked_for_while_their_list_is_read_and_come_in_their_turn() -> None:
    vendor = Slow({"a": MANY}, documents=3)
    reader = Reader(vendor, DETAILS)
    assert [record["Id"] for record in reader.run()] == sorted(MANY, reverse=True)
    assert set(vendor.order[:5]) == {"/list/a", "/document/a/00", "/document/a/01", "/document/a/02"}
    assert vendor.order.count("/list/a") == 5
    assert vendor.documents() == len(MANY)
    assert reader.bookmarks["a"].value == datetime.fromisoformat(at(100))


def test_nothing_is_handed_on_before_the_list_has_been_read() -> None:
    """Or what a run that stops there has handed on would not be covered by any state."""
    vendor = Slow({"a": MANY}, documents=3)
    broken = RefusedError("no")

    def fail(request: Request) -> None:
        vendor.hold(request)
        if request.path == "/list/a" and request.params["page"] == "3":
            raise broken

    vendor.before = fail
    items = reading.read(vendor.source(), DETAILS, lambda _: None, Counters())
    with closing(items), pytest.raises(RefusedError):
        next(items)
    assert vendor.documents() >= 3


def test_a_document_that_the_end_of_the_list_shows_to_have_changed_is_asked_for_again() -> None:
    """It may have been read before it changed; its bookmark says that it has been read after."""
    vendor = Slow({"a": MANY}, documents=3)
    page = vendor.page

    def moved(part: str, params: Mapping[str, str]) -> list[Any]:
        return page(part, params) if params["page"] != "4" else [{"Id": "01", "At": at(200)}]

    vendor.page = moved  # type: ignore[method-assign] # this vendor alone
    read = Reader(vendor, DETAILS).run()
    assert as_dict(read[-1]) == {"Part": "a", "Id": "01", "At": datetime.fromisoformat(at(200))}
    assert vendor.calls["/document/a/01"] == 2
    assert vendor.documents() == len(MANY) - 1  # two rows are not on that page


@pytest.mark.parametrize("concurrency", [1, 2, 8])
def test_whoever_may_read_the_list_but_no_document_is_refused_a_few_times_only(concurrency: int) -> None:
    rows: dict[str, str | None] = {f"{n:02}": at(90 - n) for n in range(90)}
    vendor = Slow({"a": rows}, documents=concurrency - 1)

    def refuse(request: Request) -> None:
        vendor.hold(request)
        if request.path.startswith("/document"):
            time.sleep(0.02)
            raise RefusedError("refused.")

    vendor.before = refuse
    with pytest.raises(RefusedError, match="id 89"):
        Reader(vendor, DETAILS).run(concurrency=concurrency, page_size=30)
    assert vendor.documents() <= 10 + (SLICES_AHEAD + 1) * concurrency + 1


def test_what_goes_wrong_with_an_early_document_is_raised_in_its_turn() -> None:
    vendor = Slow({"a": MANY}, documents=3)

    def refuse(request: Request) -> None:
        vendor.hold(request)
        if request.path == "/document/a/01":
            raise RefusedError("refused.")

    vendor.before = refuse
    reader = Reader(vendor, DETAILS)
    with pytest.raises(RefusedError, match="id 01"):
        reader.run()
    assert reader.bookmarks["a"].value == datetime.fromisoformat(at(98))
    assert vendor.calls["/document/a/01"] == 1


def test_a_bounded_number_of_documents_is_held() -> None:
    rows: dict[str, str | None] = {f"{n:02}": at(n) for n in range(90)}
    vendor = Slow({"a": rows}, documents=2 * EARLY)
    seen: list[int] = []

    def note(request: Request) -> None:
        vendor.hold(request)
        if request.path == "/list/a" and request.params["page"] == "3":
            time.sleep(0.05)  # time enough for others
            seen.append(vendor.documents())

    vendor.before = note
    assert len(Reader(vendor, DETAILS).run(concurrency=2, page_size=30)) == 90
    assert seen == [2 * EARLY]


@pytest.mark.parametrize(
    ("limit", "config", "early"),
    [
        (None, {}, True),
        (None, {"requests_per_second": 5}, False),
        (Limit(5), {}, False),
        (Limit(5), {"requests_per_second": None}, True),
    ],
)
def test_where_a_limit_sets_the_pace_the_list_goes_first(limit: Limit | None, config: Any, early: bool) -> None:
    vendor = Slow({"a": MANY}, documents=1 if early else 0)
    source = vendor.source(**config)
    source.connector = replace(source.connector, limit=limit)
    assert len(list(reading.read(source, DETAILS, lambda _: None, Counters()))) == 2 * len(MANY)
    assert any(path.startswith("/document") for path in vendor.order[: 3 if early else 4]) is early


@pytest.mark.promise("Records, their order and bookmarks do not depend on the concurrency")
@given(
    fails=st.sets(st.integers(0, 19), max_size=4),
    early=st.lists(st.integers(0, 25), max_size=30),
    changed=st.sets(st.integers(0, 19), max_size=4),
    called_off=st.booleans(),
    concurrency=st.sampled_from((1, 2, 8)),
    seed=st.integers(0, 999),
)
@quick
def test_what_is_asked_for_early_changes_nothing_of_what_comes(
    fails: set[int], early: list[int], changed: set[int], called_off: bool, concurrency: int, seed: int
) -> None:
    def fetch(unit: Slice) -> Iterator[Records]:
        number = int(unit.params["n"])
        time.sleep(Random(f"{seed} {number}").random() / 1000)
        if number in fails:
            raise RefusedError(str(number))
        yield Records([{"unit": number, "changed": unit.bookmark is not None}], NOW, NOW, more=False)

    planned = [replace(unit, bookmark=NOW if n in changed else None) for n, unit in enumerate(units(20))]
    got: list[tuple[int, bool] | str] = []
    with closing(Pool(concurrency)) as pool:
        lane = Lane(pool, fetch)  # type: ignore[arg-type] # a generator
        for number in early:
            lane.ask_early(Slice({"n": str(number)}))
        if called_off:
            lane.call_off()
        for _, pages in in_order(planned, lane):
            try:
                got.extend((record["unit"], record["changed"]) for page in pages for record in page.records)
            except RefusedError as error:
                got.append(str(error))
    assert got == [str(n) if n in fails else (n, n in changed) for n in range(20)]


def test_what_is_held_does_not_keep_what_follows_from_being_asked_for() -> None:
    """Or the threads would stand still behind a long list until the reader has got through all that is held."""
    fetched: list[str] = []

    def fetch(unit: Slice) -> Generator[Records, None, None]:
        fetched.append(unit.params["n"])
        yield Records([], NOW, NOW, more=False)

    def safe_until(count: int) -> int:
        deadline = time.monotonic() + 10
        while len(fetched) < count and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.05)  # time enough for more than that
        return len(fetched)

    planned, held, ahead = units(60), 2 * EARLY, 2 * SLICES_AHEAD
    with closing(Pool(2)) as pool:
        lane = Lane(pool, fetch)
        for unit in planned[:held]:
            lane.ask_early(unit)
        assert safe_until(held) == held
        with closing(in_order(planned, lane)) as taken:
            next(taken)
            assert safe_until(held + ahead) == held + ahead
