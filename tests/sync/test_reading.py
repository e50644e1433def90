"""The pipeline, against vendors in memory: order, look-ahead, bookmarks. Only `send` is made up."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vendortap.declare.model import Bookmark, Connector, Keyed, Limit, Plan, Record, Reply, Request, Rows, Stream, Unit
from vendortap.declare.paging import page_number
from vendortap.declare.request import get
from vendortap.decode import schemas
from vendortap.errors import BodyError, MissingError, RefusedError, VendortapError
from vendortap.plugins.validation import Shape
from vendortap.sync import reading
from vendortap.sync.bookmarks import SEEN_AT_MOST
from vendortap.sync.context import Advance, Records, Source
from vendortap.sync.counters import Tally
from vendortap.sync.ordering import EARLY, PAGES_AHEAD, UNITS_AHEAD, Lane, Pool, in_order, ordered

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
CONCURRENCIES = (1, 2, 8, 32)
quick = hypothesis_settings(max_examples=30, deadline=None)


# --- a vendor in memory ------------------------------------------------------------------------------

_ROW = {
    "type": "object",
    "properties": {
        "Part": {"type": "string"},
        "Id": {"type": "string"},
        "At": {"type": ["string", "null"], "format": "date-time"},
    },
    "required": ["Part", "Id"],
}
_PLAN = Plan(each=("parts", "part"))
LIST = Stream(
    name="rows",
    title="",
    request=get("/list/{part}"),
    plan=_PLAN,
    pages=page_number("page", size_param="size", size="page_size"),
    keys=("Part", "Id"),
    replication_key="At",
    add={"Part": "part"},
)
DETAILS = Stream(
    name="documents",
    title="",
    request=get("/document/{part}/{id}"),
    plan=_PLAN,
    keyed=Keyed(param="id", parent="rows", field="Id", sources=(lambda config: config.get("ids"),)),
    rows=Rows(many=False),
    keys=("Part", "Id"),
    replication_key="At",
    add={"Part": "part"},
)


@dataclass
class Memory:
    """A vendor: ``rows[part][id]`` is when it last changed, as text; its clock stands unless it is set."""

    rows: dict[str, dict[str, str | None]]
    now: datetime = NOW
    zone: str = "UTC"
    shuffle: Random | None = None
    calls: Counter[str] = field(default_factory=Counter)
    before: Callable[[Request], None] = lambda _: None

    def send(self, request: Request) -> Reply:
        self.calls[request.path] += 1
        self.before(request)
        _, kind, part, *rest = request.path.split("/")
        document = self.page(part, request.params) if kind == "list" else self.document(part, rest[0])
        headers = {"content-type": "application/json", "date": format_datetime(self.now, usegmt=True)}
        return Reply(200, headers, json.dumps(document).encode(), NOW)

    def page(self, part: str, params: Mapping[str, str]) -> list[Any]:
        number, size = int(params["page"]), int(params["size"])
        listed = sorted(self.rows[part])
        if self.shuffle and number == 1:
            self.shuffle.shuffle(listed)
            self.listed = listed
        listed = self.listed if self.shuffle else listed
        return [{"Id": i, "At": self.rows[part][i]} for i in listed[(number - 1) * size : number * size]]

    def document(self, part: str, number: str) -> Any:
        if number not in self.rows[part]:
            raise MissingError("the vendor does not have it.")
        return {"Id": number}

    def documents(self) -> int:
        return sum(count for path, count in self.calls.items() if path.startswith("/document"))

    def source(self, **config: Any) -> Source:
        settings = {"parts": list(self.rows), "page_size": 3, "concurrency": 4, "on_missing": "skip", **config}
        node = schemas.compile_record(_ROW, "row")
        lists = replace(node, fields={k: v for k, v in node.fields.items() if k != "Part"}, required=frozenset({"Id"}))
        documents = replace(lists, fields={"Id": node.fields["Id"]})
        shapes = {"rows": Shape(_ROW, node, lists), "documents": Shape(_ROW, node, documents)}
        connector = Connector(
            name="memory",
            title="",
            docs="",
            schemas="",
            base_url=lambda _: "",
            streams=(LIST, DETAILS),
            zone=lambda _: self.zone,
        )
        return Source(connector, settings, self.send, shapes)


def at(minute: int) -> str:
    return (NOW - timedelta(days=1) + timedelta(minutes=minute)).isoformat()


@dataclass
class Reader:
    """Reads a stream again and again, and keeps its bookmarks, as a state file does."""

    vendor: Memory
    stream: Stream = LIST
    bookmarks: dict[str, Bookmark] = field(default_factory=dict)
    have: dict[tuple[str, str], str | None] = field(default_factory=dict)

    def run(self, stop_after: int | None = None, **config: Any) -> list[Record]:
        """One run; returns its records. With ``stop_after`` it dies after so many."""
        read: list[Record] = []
        source = self.vendor.source(**config)
        with closing(reading.read(source, self.stream, lambda p: self.bookmarks.get(p["part"]), Tally())) as items:
            for item in items:
                if isinstance(item, Advance):
                    self.bookmarks[item.partition["part"]] = item.bookmark
                    continue
                for record in item.records:
                    if stop_after is not None and len(read) == stop_after:
                        return read
                    read.append(record)
                    stamp = self.vendor.rows[record["Part"]][record["Id"]]
                    self.have[record["Part"], record["Id"]] = stamp
        return read

    @property
    def complete(self) -> bool:
        return self.have == {(p, i): stamp for p, rows in self.vendor.rows.items() for i, stamp in rows.items()}


# --- order and look-ahead ----------------------------------------------------------------------------


def units(count: int) -> list[Unit]:
    return [Unit({"n": str(n)}) for n in range(count)]


def page_of(number: int, page: int) -> Records:
    return Records([{"unit": number, "page": page}], NOW, NOW)


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
    def fetch(unit: Unit) -> Iterator[Records]:
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

    def fetch(unit: Unit) -> Iterator[Records]:
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
    begun: list[Unit] = []

    def fetch(unit: Unit) -> Iterator[Records]:
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
    with closing(reading.read(vendor.source(), LIST, lambda _: None, Tally())) as items:
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
    with closing(reading.read(vendor.source(), LIST, lambda _: since, Tally())) as items:
        for item in items:
            if isinstance(item, Records):
                record = item.records.pop(0)
                assert sys.getrefcount(record) == 2  # the name here, and the argument


def test_many_pages_in_many_units_do_not_block_each_other() -> None:
    def fetch(unit: Unit) -> Iterator[Records]:
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
    def fetch(unit: Unit) -> Iterator[Records]:
        yield from (page_of(int(unit.params["n"]), page) for page in range(9))

    with closing(ordered(units(5), fetch, 2)) as fetched:  # type: ignore[arg-type] # a generator
        assert [next(pages).records[0]["unit"] for _, pages in fetched] == [0, 1, 2, 3, 4]


def test_a_first_request_that_fails_is_the_only_one() -> None:
    vendor = Memory({str(part): {"1": at(0)} for part in range(20)})

    def refuse(_: Request) -> None:
        time.sleep(0.05)  # time enough for others to begin
        raise RefusedError("refused.")

    vendor.before = refuse
    with pytest.raises(RefusedError):
        Reader(vendor).run(concurrency=8)
    assert vendor.calls.total() == 1


def pipeline_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("vendortap-")}


def all_end(threads: set[threading.Thread]) -> bool:
    for thread in threads:
        thread.join(10)
    return not any(thread.is_alive() for thread in threads)


def test_closing_ends_the_threads_even_in_the_middle_of_a_unit_without_end() -> None:
    closed = threading.Semaphore(0)

    def fetch(unit: Unit) -> Iterator[Records]:
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


# --- a whole stream ----------------------------------------------------------------------------------


def random_memory(seed: int) -> Memory:
    random = Random(seed)
    return Memory(
        {f"p{p}": {f"{n:03}": at(random.randrange(50)) for n in range(random.randrange(12))} for p in range(5)}
    )


@pytest.mark.promise("Records, their order and bookmarks do not depend on the concurrency")
@pytest.mark.parametrize("stream", [LIST, DETAILS], ids=lambda s: s.name)
@pytest.mark.parametrize("seed", range(4))
def test_records_and_bookmarks_are_the_same_at_every_concurrency(stream: Stream, seed: int) -> None:
    runs = []
    for concurrency in CONCURRENCIES:
        vendor, random = random_memory(seed), Random(concurrency)
        vendor.before = lambda _, random=random: time.sleep(random.random() / 1000)  # type: ignore[misc] # mypy infers no lambda with a default
        items = reading.read(vendor.source(concurrency=concurrency), stream, lambda _: None, Tally())
        runs.append([item.records if isinstance(item, Records) else item for item in items])
    assert all(run == runs[0] for run in runs)
    assert sum(len(item) for item in runs[0] if not isinstance(item, Advance)) == sum(
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
                    or (datetime.fromisoformat(stamp) == bookmark.value and any(number in key for key in bookmark.seen))
                )
            }
            assert covered <= reader.have.keys()
        reader.run(concurrency=concurrency)
    assert reader.complete


# --- bookmarks ---------------------------------------------------------------------------------------

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
        assert all(bookmark.seen == () for bookmark in reader.bookmarks.values())


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
    vendor = Memory({"a": {str(n): at(0) for n in range(SEEN_AT_MOST + 5)}})
    reader = Reader(vendor, stream)
    reader.run(page_size=500)
    assert len(reader.bookmarks["a"].seen) <= SEEN_AT_MOST
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
        for item in reading.read(source, stream, lambda p: reader.bookmarks.get(p["part"]), Tally()):
            if isinstance(item, Advance):
                reader.bookmarks["a"] = item.bookmark
            else:
                versions |= {record["Id"]: record["At"].isoformat() for record in item.records}
    vendor.before = lambda _: None
    vendor.now += timedelta(days=1)
    for item in reading.read(vendor.source(), stream, lambda p: reader.bookmarks.get(p["part"]), Tally()):
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


# --- documents ---------------------------------------------------------------------------------------


def test_documents_come_in_the_order_of_change_those_without_a_stamp_last() -> None:
    vendor = Memory({"a": {"x": at(3), "y": None, "z": at(1), "w": at(2)}})
    assert [record["Id"] for record in Reader(vendor, DETAILS).run()] == ["z", "w", "x", "y"]


def test_a_document_has_the_stamp_that_the_list_shows() -> None:
    vendor = Memory({"a": {"x": at(3)}})
    (record,) = Reader(vendor, DETAILS).run()
    assert record == {"Part": "a", "Id": "x", "At": datetime.fromisoformat(at(3))}


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
    items = reading.read(vendor.source(), DETAILS, lambda _: None, Tally())
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
    assert read[-1] == {"Part": "a", "Id": "01", "At": datetime.fromisoformat(at(200))}
    assert vendor.calls["/document/a/01"] == 2
    assert vendor.documents() == len(MANY) - 1  # two rows are not on that page


@pytest.mark.parametrize("concurrency", [1, 2, 8])
def test_the_first_early_document_that_fails_is_the_last(concurrency: int) -> None:
    """Whoever may read the list but no document is not refused more often than requests are under way."""
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
    assert vendor.documents() <= concurrency + 1


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
    assert len(list(reading.read(source, DETAILS, lambda _: None, Tally()))) == 2 * len(MANY)
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
    def fetch(unit: Unit) -> Iterator[Records]:
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
            lane.ask_early(Unit({"n": str(number)}))
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

    def fetch(unit: Unit) -> Generator[Records, None, None]:
        fetched.append(unit.params["n"])
        yield Records([], NOW, NOW, more=False)

    def settled(count: int) -> int:
        deadline = time.monotonic() + 10
        while len(fetched) < count and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.05)  # time enough for more than that
        return len(fetched)

    planned, held, ahead = units(60), 2 * EARLY, 2 * UNITS_AHEAD
    with closing(Pool(2)) as pool:
        lane = Lane(pool, fetch)
        for unit in planned[:held]:
            lane.ask_early(unit)
        assert settled(held) == held
        with closing(in_order(planned, lane)) as taken:
            next(taken)
            assert settled(held + ahead) == held + ahead


# --- keys that are configured ------------------------------------------------------------------------


def test_configured_keys_are_asked_of_every_partition_and_leave_bookmarks_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    vendor = Memory({"a": {"1": at(0)}, "b": {"2": at(0)}})
    reader, tally = Reader(vendor, DETAILS), Tally()
    items = list(reading.read(vendor.source(ids=["2", "9", "1"]), DETAILS, lambda _: None, tally))
    assert [(r["Part"], r["Id"], r["At"]) for i in items if isinstance(i, Records) for r in i.records] == [
        ("b", "2", None),
        ("a", "1", None),
    ]
    assert reader.bookmarks == {}
    assert not any(isinstance(item, Advance) for item in items)
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
    tally = Tally()
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
    items = reading.read(source, LIST, lambda _: None, Tally())
    first = next(items)
    assert isinstance(first, Records)
    assert len(first.records) == 3
    for record in first.records:
        record.clear()
    with pytest.raises(BodyError, match=r"memory, rows \(part a\): page 2 repeats page 1"):
        next(items)


def test_a_probe_is_one_request() -> None:
    vendor = Memory({"a": {str(n): at(n) for n in range(9)}, "b": {}})
    assert len(reading.probe(vendor.source(), LIST)) == 3
    assert vendor.calls.total() == 1


def test_a_failing_probe_says_where() -> None:
    vendor = Memory({"a": {}})

    def refuse(_: Request) -> None:
        raise RefusedError("refused.")

    vendor.before = refuse
    with pytest.raises(VendortapError, match=r"memory, rows \(part a\): refused"):
        reading.probe(vendor.source(), LIST)


def test_the_tally_adds_up() -> None:
    vendor = Memory({"a": {str(n): at(n) for n in range(7)}})
    first = Tally()
    items = list(reading.read(vendor.source(), LIST, lambda _: None, first))
    (bookmark,) = [item.bookmark for item in items if isinstance(item, Advance)]
    vendor.rows["a"]["2"] = at(99)
    second = Tally()
    list(reading.read(vendor.source(), LIST, lambda _: bookmark, second))
    assert (first.fetched, first.skipped) == (7, 0)
    assert (second.fetched, second.known, second.skipped) == (7, 6, 6)


def test_advances_only_ever_go_up() -> None:
    vendor = random_memory(2)
    values: dict[str, list[datetime]] = {}
    for item in reading.read(vendor.source(), DETAILS, lambda _: None, Tally()):
        if isinstance(item, Advance):
            values.setdefault(item.partition["part"], []).append(item.bookmark.value)
    assert values
    assert all(a <= b for run in values.values() for a, b in pairwise(run))
