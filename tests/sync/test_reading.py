"""A whole stream, against a vendor in memory: records, bookmarks and errors at any concurrency."""

from __future__ import annotations

import threading
import time
from datetime import datetime
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sync.kit import CONCURRENCIES, DETAILS, LIST, Memory, Reader, at, quick, random_memory
from vendortap.declare.model import Request, Stream
from vendortap.decode.structs import as_dict
from vendortap.errors import BodyError, MissingError, RefusedError, VendortapError
from vendortap.sync import reading
from vendortap.sync.context import BookmarkUpdate, Records
from vendortap.sync.counters import Counters


@pytest.mark.promise("Records, their order and bookmarks do not depend on the concurrency")
@pytest.mark.parametrize("stream", [LIST, DETAILS], ids=lambda s: s.name)
@pytest.mark.parametrize("seed", range(4))
def test_records_and_bookmarks_are_the_same_at_every_concurrency(stream: Stream, seed: int) -> None:
    runs = []
    for concurrency in CONCURRENCIES:
        vendor, random = random_memory(seed), Random(concurrency)
        vendor.before = lambda _, random=random: time.sleep(random.random() / 1000)  # type: ignore[misc] # mypy infers no lambda with a default
        items = reading.read(vendor.source(concurrency=concurrency), stream, lambda _: None, Counters())
        runs.append([list(map(as_dict, item.records)) if isinstance(item, Records) else item for item in items])
    assert all(run == runs[0] for run in runs)
    assert sum(len(item) for item in runs[0] if not isinstance(item, BookmarkUpdate)) == sum(
        len(rows) for rows in random_memory(seed).rows.values()
    )


@pytest.mark.promise("A bookmark never covers what was not handed on", figure=f"{quick.max_examples} histories")
@given(seed=st.integers(0, 99), failing=st.integers(1, 60), concurrency=st.sampled_from(CONCURRENCIES))
@quick
@pytest.mark.parametrize("stream", [LIST, DETAILS], ids=lambda s: s.name)
def test_a_bookmark_never_covers_what_was_not_handed_on(
    stream: Stream, seed: int, failing: int, concurrency: int
) -> None:
    vendor = random_memory(seed)
    lock, calls, random = threading.Lock(), 0, Random(seed)

    def fail_once(_: Request) -> None:
        nonlocal calls
        time.sleep(random.random() / 2000)
        with lock:
            calls += 1
            if calls == failing:
                raise RefusedError("refused.")

    vendor.before = fail_once
    reader = Reader(vendor, stream)
    try:
        reader.run(concurrency=concurrency)
    except RefusedError:
        for part, bookmark in reader.bookmarks.items():
            covered = {
                (part, number)
                for number, stamp in vendor.rows[part].items()
                if stamp is not None
                and (
                    datetime.fromisoformat(stamp) < bookmark.value
                    or (
                        datetime.fromisoformat(stamp) == bookmark.value
                        and any(number in key for key in bookmark.keys_at_bookmark)
                    )
                )
            }
            assert covered <= reader.have.keys()
        reader.run(concurrency=concurrency)
    assert reader.complete


# --- keys that are configured ------------------------------------------------------------------------


def test_configured_keys_are_asked_of_every_partition_and_leave_bookmarks_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    vendor = Memory({"a": {"1": at(0)}, "b": {"2": at(0)}})
    reader, tally = Reader(vendor, DETAILS), Counters()
    items = list(reading.read(vendor.source(ids=["2", "9", "1"]), DETAILS, lambda _: None, tally))
    assert [(r["Part"], r["Id"], r["At"]) for i in items if isinstance(i, Records) for r in i.records] == [
        ("b", "2", None),
        ("a", "1", None),
    ]
    assert reader.bookmarks == {}
    assert not any(isinstance(item, BookmarkUpdate) for item in items)
    assert tally.missing == 1
    (warning,) = caplog.messages
    assert "id 9" in warning


def test_a_missing_document_fails_the_run_where_the_operator_wants_it() -> None:
    vendor = Memory({"a": {"1": at(0)}, "b": {}})
    with pytest.raises(MissingError, match=r"memory, documents \(part b, id 9\): the vendor does not have it"):
        Reader(vendor, DETAILS).run(ids=["1", "9"], on_missing="fail")


@pytest.mark.promise("What the vendor does not have is counted and named, or fails the run")
def test_a_missing_list_is_never_skipped() -> None:
    vendor = Memory({"a": {}})

    def missing(_: Request) -> None:
        raise MissingError("no such customer.")

    vendor.before = missing
    for stream in (LIST, DETAILS):
        with pytest.raises(MissingError, match=r"memory, rows \(part a\): no such customer"):
            Reader(vendor, stream).run()


@pytest.mark.promise("What the vendor does not have is counted and named, or fails the run")
def test_a_document_that_the_list_shows_and_the_vendor_lacks_is_counted_and_passed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    vendor = Memory({"a": {"1": at(0), "2": at(1), "3": at(2)}})

    def missing(request: Request) -> None:
        if request.path == "/document/a/2":
            raise MissingError("not there.")

    vendor.before = missing
    tally = Counters()
    items = list(reading.read(vendor.source(), DETAILS, lambda _: None, tally))
    assert [r["Id"] for i in items if isinstance(i, Records) for r in i.records] == ["1", "3"]
    assert (tally.fetched, tally.missing) == (3, 1)
    assert "id 2" in caplog.text


# --- the rest ----------------------------------------------------------------------------------------


def test_a_list_that_does_not_move_on_is_an_error_although_its_records_are_changed_meanwhile() -> None:
    vendor = Memory({"a": {str(n): at(n) for n in range(3)}})
    source = vendor.source()
    send = source.send
    source.send = lambda request: send(request.with_params({"page": 1}))
    items = reading.read(source, LIST, lambda _: None, Counters())
    first = next(items)
    assert isinstance(first, Records)
    assert len(first.records) == 3
    for record in first.records:
        record["Id"] = record["At"] = None
    with pytest.raises(BodyError, match=r"memory, rows \(part a\): page 2 repeats page 1"):
        next(items)


def test_a_probe_is_one_request_for_each_partition() -> None:
    vendor = Memory({"a": {str(n): at(n) for n in range(9)}, "b": {"1": at(1)}})
    assert reading.probe(vendor.source(), LIST) == 4
    assert vendor.calls.total() == 2


def test_a_failing_probe_says_where() -> None:
    vendor = Memory({"a": {}})

    def refuse(_: Request) -> None:
        raise RefusedError("refused.")

    vendor.before = refuse
    with pytest.raises(VendortapError, match=r"memory, rows \(part a\): refused"):
        reading.probe(vendor.source(), LIST)


def test_the_tally_adds_up() -> None:
    vendor = Memory({"a": {str(n): at(n) for n in range(7)}})
    first = Counters()
    items = list(reading.read(vendor.source(), LIST, lambda _: None, first))
    (bookmark,) = [item.bookmark for item in items if isinstance(item, BookmarkUpdate)]
    vendor.rows["a"]["2"] = at(99)
    second = Counters()
    list(reading.read(vendor.source(), LIST, lambda _: bookmark, second))
    assert (first.fetched, first.skipped) == (7, 0)
    assert (second.fetched, second.known, second.skipped) == (7, 6, 6)


def test_advances_only_ever_go_up() -> None:
    vendor = random_memory(2)
    values: dict[str, list[datetime]] = {}
    for item in reading.read(vendor.source(), DETAILS, lambda _: None, Counters()):
        if isinstance(item, BookmarkUpdate):
            values.setdefault(item.partition["part"], []).append(item.bookmark.value)
    assert values
    assert all(a <= b for run in values.values() for a, b in pairwise(run))
