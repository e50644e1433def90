"""Bookmarks, against a vendor in memory whose records change between runs and during them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sync.kit import DETAILS, LIST, NOW, Memory, Reader, at, quick
from vendortap.declare.model import Request, Stream
from vendortap.sync import reading
from vendortap.sync.bookmarks import KEYS_AT_MOST
from vendortap.sync.context import BookmarkUpdate, Records
from vendortap.sync.counters import Counters

changes = st.lists(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 8), st.integers(0, 2)), max_size=6), min_size=1, max_size=6
)
"""For each run the changes before it: partition, number, minutes since the last change (0: the same stamp)."""


@pytest.mark.promise(
    "Over any number of runs nothing is lost, and nothing unchanged fetched twice",
    figure=f"{quick.max_examples} histories",
)
@given(rounds=changes, seed=st.integers(0, 9))
@pytest.mark.parametrize("stream", [LIST, DETAILS], ids=lambda s: s.name)
@quick
def test_nothing_is_lost_and_nothing_unchanged_is_fetched_twice(
    stream: Stream, rounds: list[list[tuple[str, int, int]]], seed: int
) -> None:
    vendor = Memory({"a": {}, "b": {}}, shuffle=Random(seed))
    reader = Reader(vendor, stream)
    minute = 0
    for round_ in rounds:
        changed = set()
        for part, number, minutes in round_:
            key = f"{number}"
            minute += minutes
            if vendor.rows[part].get(key) == at(minute):
                minute += 1  # the same invoice twice at the same instant is one change
            vendor.rows[part][key] = at(minute)
            changed.add((part, key))
        got = [(record["Part"], record["Id"]) for record in reader.run(concurrency=1)]
        assert sorted(got) == sorted(changed)
        assert reader.complete
    assert reader.run(concurrency=1) == []


@given(rounds=changes)
@quick
def test_with_bare_dates_a_day_is_read_again_as_long_as_it_is_the_last(
    rounds: list[list[tuple[str, int, int]]],
) -> None:
    vendor = Memory({"a": {}, "b": {}}, zone="America/New_York")
    version: dict[tuple[str, str], int] = {}
    reader = Reader(vendor)
    known: dict[tuple[str, str], int] = {}
    day = datetime(2025, 1, 1)
    for round_ in rounds:
        for part, number, days in round_:
            day += timedelta(days=days)
            vendor.rows[part][str(number)] = day.date().isoformat()
            version[part, str(number)] = version.get((part, str(number)), 0) + 1
        for record in reader.run():
            known[record["Part"], record["Id"]] = version[record["Part"], record["Id"]]
        assert known == version
        assert all(bookmark.keys_at_bookmark == () for bookmark in reader.bookmarks.values())


@pytest.mark.parametrize("stream", [LIST, DETAILS], ids=lambda s: s.name)
def test_a_bare_date_that_is_written_in_utc_hides_no_second_change_of_its_day(stream: Stream) -> None:
    """New York's midnight is 05:00 in UTC: whoever changes a second time on that day has the same stamp."""
    vendor = Memory({"a": {"1": "2025-01-02T05:00:00Z"}})
    vendor.zone = "America/New_York"
    reader = Reader(vendor, stream)
    assert [len(reader.run()) for _ in range(2)] == [1, 1]
    vendor.rows["a"]["2"] = "2025-01-02T05:00:00Z"
    assert {record["Id"] for record in reader.run()} == {"1", "2"}
    vendor.rows["a"] = {"3": "2025-01-02T06:00:00Z"}
    assert [len(reader.run()) for _ in range(2)] == [1, 0]


def test_a_stamp_that_is_midnight_elsewhere_is_no_bare_date() -> None:
    vendor = Memory({"a": {"1": "2025-01-01T19:00:00-05:00"}})
    reader = Reader(vendor)
    assert [len(reader.run()) for _ in range(3)] == [1, 0, 0]


@pytest.mark.parametrize("stream", [LIST, DETAILS], ids=lambda s: s.name)
def test_a_stamp_for_ever_is_handed_on_and_is_no_bookmark(stream: Stream) -> None:
    vendor = Memory({"a": {"1": "9999-12-31T23:59:59.9999999-05:00", "2": at(0)}})
    reader = Reader(vendor, stream)
    assert {record["Id"] for record in reader.run()} == {"1", "2"}
    assert reader.bookmarks["a"].value < datetime(9000, 1, 1, tzinfo=UTC)
    assert [record["Id"] for record in reader.run()] == ["1"]


def test_records_without_a_stamp_come_every_time() -> None:
    vendor = Memory({"a": {"1": None, "2": at(0)}})
    reader = Reader(vendor)
    assert [[record["Id"] for record in reader.run()] for _ in range(2)] == [["1", "2"], ["1"]]


@pytest.mark.parametrize("stream", [LIST, DETAILS], ids=lambda s: s.name)
def test_a_bookmark_remembers_a_bounded_number_of_keys(stream: Stream) -> None:
    vendor = Memory({"a": {str(n): at(0) for n in range(KEYS_AT_MOST + 5)}})
    reader = Reader(vendor, stream)
    reader.run(page_size=500)
    assert len(reader.bookmarks["a"].keys_at_bookmark) <= KEYS_AT_MOST
    vendor.rows["a"]["new"] = at(0)
    assert "new" in {record["Id"] for record in reader.run(page_size=500)}


def test_the_hour_that_a_clock_put_back_repeats_hides_nothing() -> None:
    """2025-11-02 in New York: 01:50 comes in summer time, an hour later comes 01:10 in winter time."""
    vendor = Memory({"a": {"1": "2025-11-02T01:50:00"}}, now=datetime(2025, 12, 1, tzinfo=UTC))
    vendor.zone = "America/New_York"
    reader = Reader(vendor)
    reader.run()
    vendor.rows["a"]["2"] = "2025-11-02T01:10:00"
    assert "2" in {record["Id"] for record in reader.run()}
    vendor.rows["a"]["3"] = "2025-11-02T03:00:00"
    reader.run()
    assert reader.run() == []
    assert reader.complete


@pytest.mark.promise("What changes while a list is read is not lost", figure=f"{quick.max_examples} histories")
@pytest.mark.parametrize("stream", [LIST, DETAILS], ids=lambda s: s.name)
@given(seed=st.integers(0, 200))
@quick
def test_what_changes_while_the_list_is_read_is_not_lost(stream: Stream, seed: int) -> None:
    random = Random(seed)
    vendor = Memory({"a": {f"{n:02}": at(n) for n in range(12)}})

    def pass_time(_: Request) -> None:
        vendor.now += timedelta(seconds=random.randrange(40))
        if random.random() < 0.5:
            vendor.rows["a"][f"{random.randrange(15):02}"] = vendor.now.isoformat()

    reader = Reader(vendor, stream)
    versions: dict[str, str | None] = {}
    for _ in range(4):
        vendor.before = pass_time
        source = vendor.source(concurrency=1)
        for item in reading.read(source, stream, lambda p: reader.bookmarks.get(p["part"]), Counters()):
            if isinstance(item, BookmarkUpdate):
                reader.bookmarks["a"] = item.bookmark
            else:
                versions |= {record["Id"]: record["At"].isoformat() for record in item.records}
    vendor.before = lambda _: None
    vendor.now += timedelta(days=1)
    for item in reading.read(vendor.source(), stream, lambda p: reader.bookmarks.get(p["part"]), Counters()):
        if isinstance(item, Records):
            versions |= {record["Id"]: record["At"].isoformat() for record in item.records}
    assert versions == vendor.rows["a"]


def test_a_vendor_whose_stamps_lie_in_the_future_never_moves_a_bookmark_back() -> None:
    vendor = Memory({"a": {"1": (NOW + timedelta(hours=5)).isoformat()}})
    reader = Reader(vendor)
    assert len(reader.run()) == 1
    first = reader.bookmarks["a"]
    assert first.value < NOW
    vendor.now -= timedelta(hours=1)
    assert len(reader.run()) == 1
    assert reader.bookmarks["a"] == first
    vendor.now += timedelta(days=1)
    reader.run()
    assert reader.run() == []
