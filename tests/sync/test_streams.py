"""The pipeline with streams of other kinds: windows, look-back, repeated rows, empty answers, files of documents."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vendortap.declare.checks import flag
from vendortap.declare.empty import absent
from vendortap.declare.model import (
    Bookmark,
    Connector,
    Node,
    Parent,
    Plan,
    Record,
    RecordSelector,
    Reply,
    Request,
    Stream,
    Value,
    Windows,
)
from vendortap.declare.paging import token
from vendortap.declare.plan import listed, since_date
from vendortap.declare.request import get, post
from vendortap.decode import schemas
from vendortap.decode.structs import as_dict
from vendortap.errors import BodyError, ConfigError, MissingError, RecordError, RefusedError, TransportError
from vendortap.plugins.validation import Shape
from vendortap.support.redact import Redactor
from vendortap.sync import reading
from vendortap.sync.context import BookmarkUpdate, Records, SyncContext
from vendortap.sync.counters import Counters
from vendortap.sync.documents import companion_names
from vendortap.sync.fetching import SETTLED

DAY = timedelta(days=1)
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "Id": {"type": "string"},
        "At": {"type": ["string", "null"], "format": "date-time"},
        "Document": {"type": ["string", "null"]},
        **{name: {"type": ["string", "null"]} for name in companion_names("Document")},
        "Document_size": {"type": ["integer", "null"]},
    },
    "required": ["Id"],
}
NODE = schemas.compile_record(SCHEMA, "row")
ROWS = RecordSelector(
    ("rows",), more={"next": Value(("next",)), "ok": Value(("ok",), "boolean"), "said": Value(("said",))}
)
WINDOWS = Windows("start", "end", "window_days", ("after", "before"))

LIST = Stream(name="rows", title="", request=get("/list", since="{since}"), record_selector=ROWS, keys=("Id",))
WINDOWED = replace(
    LIST,
    request=get("/list", after="{after}", before="{before}"),
    plan=Plan(windows=WINDOWS, lookback="lookback_days"),
    pages=token("token", found="next"),
    replication_key="At",
)
DATED = replace(
    LIST,
    plan=Plan(since=since_date("since", start="start", follows=lambda _: True), lookback="lookback_days"),
    replication_key="At",
)

Answer = Callable[[Request], Any]
"""A document, or an error to raise."""


def always(document: Any) -> Answer:
    return lambda _: document


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def day(days_ago: float) -> datetime:
    return now() - days_ago * DAY


def source(answer: Answer, *streams: Stream, clock: timedelta = timedelta(), **config: Any) -> SyncContext:
    """A vendor that gives these answers; its clock may differ from ours."""

    def send(request: Request) -> Reply:
        document = answer(request)
        if isinstance(document, Exception):
            raise document
        at = datetime.now(UTC) + clock
        headers = {"content-type": "application/json", "date": format_datetime(at, usegmt=True)}
        return Reply(200, headers, json.dumps(document).encode(), datetime.now(UTC))

    settings = {
        "concurrency": 4,
        "on_missing": "skip",
        "start": "2020-01-01",
        "lookback_days": 0,
        "window_days": 7,
        **config,
    }
    connector = Connector(name="acme", title="", docs="", schemas="", base_url=lambda _: "", streams=streams)
    return SyncContext(connector, settings, send, {stream.name: shape(stream) for stream in streams})


def shape(stream: Stream) -> Shape:
    stamped = stream.replication_key and (stream.plan.windows or stream.parent)
    given = {*stream.add, *(["At"] if stamped else []), *companion_names("Document")}
    fields = {name: Node("given") if name in given else node for name, node in NODE.fields.items()}
    return Shape(SCHEMA, NODE, Node("object", nullable=False, fields=fields, required=NODE.required - given))


@dataclass
class Run:
    """What a run handed on, in order."""

    records: list[Record] = field(default_factory=list)
    advances: list[Bookmark] = field(default_factory=list)
    tally: Counters = field(default_factory=Counters)

    @property
    def ids(self) -> list[str]:
        return [record["Id"] for record in self.records]

    @property
    def bookmark(self) -> Bookmark | None:
        return self.advances[-1] if self.advances else None


def run(vendor: SyncContext, stream: Stream, bookmark: Bookmark | None = None, into: Run | None = None) -> Run:
    done = into or Run()
    for item in reading.read(vendor, stream, lambda _: bookmark, done.tally):
        if isinstance(item, Records):
            done.records += item.records
        else:
            assert isinstance(item, BookmarkUpdate)
            done.advances.append(item.bookmark)
    return done


def rows(*ids: str, **more: Any) -> dict[str, Any]:
    return {"rows": [{"Id": i} for i in ids], **more}


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


# --- windows -----------------------------------------------------------------------------------------


def window(request: Request) -> tuple[datetime, datetime]:
    return moment(request.params["after"]), moment(request.params["before"])


def test_windows_are_read_one_after_the_other_and_their_ends_are_in_the_records() -> None:
    asked: list[Request] = []

    def answer(request: Request) -> Any:
        asked.append(request)
        first = request.params["after"]
        return rows(f"{first} 2") if "token" in request.params else rows(f"{first} 1", next="t")

    start = day(20).date().isoformat()
    done = run(source(answer, WINDOWED, start=start), WINDOWED)
    firsts = sorted({request.params["after"] for request in asked})
    assert done.ids == [f"{first} {page}" for first in firsts for page in (1, 2)]
    ends = {request.params["after"]: window(request)[1] for request in asked}
    assert [record["At"] for record in done.records] == [ends[first] for first in firsts for _ in (1, 2)]
    for request in asked:
        assert set(request.params) - {"token"} == {"after", "before"}, "a token comes with all other parameters"
    assert [bookmark.value for bookmark in done.advances[:-1]] == [ends[first] for first in firsts[:-1]]


@pytest.mark.parametrize("clock", [timedelta(hours=-2), timedelta(), timedelta(hours=2)])
def test_a_bookmark_stays_behind_the_vendors_clock(clock: timedelta) -> None:
    done = run(source(lambda _: rows(), WINDOWED, clock=clock, start=day(2).date().isoformat()), WINDOWED)
    assert done.bookmark is not None
    assert done.bookmark.value <= min(now(), now() + clock - SETTLED + timedelta(seconds=1))
    assert done.bookmark.value > min(now(), now() + clock) - SETTLED - timedelta(seconds=30)


@pytest.mark.promise("A window that fails is where the next run begins")
def test_a_window_that_fails_is_where_the_next_run_begins() -> None:
    start = day(30).date().isoformat()
    broken = True

    def answer(request: Request) -> Any:
        after, _ = window(request)
        if broken and after > day(15):
            return TransportError("no answer.")
        return rows(request.params["after"])

    vendor = source(answer, WINDOWED, start=start)
    first = Run()
    with pytest.raises(TransportError, match=r"^acme, rows \(after 20.*Z, before 20.*Z\): no answer"):
        run(vendor, WINDOWED, into=first)
    broken = False
    second = run(vendor, WINDOWED, first.bookmark)
    assert first.bookmark is not None
    assert moment(second.ids[0]) == first.bookmark.value - timedelta(seconds=1), "windows overlap by a second"
    assert sorted({*first.ids, *second.ids}) == run(vendor, WINDOWED).ids


@hypothesis_settings(max_examples=25, deadline=None)
@given(back=st.integers(0, 30), days=st.integers(1, 9), ago=st.integers(0, 40))
def test_a_look_back_reads_again_and_never_sets_the_bookmark_back(back: int, days: int, ago: int) -> None:
    mark = Bookmark(day(ago))
    asked: list[tuple[datetime, datetime]] = []

    def answer(request: Request) -> Any:
        asked.append(window(request))
        return rows()

    start = day(30).date().isoformat()
    done = run(source(answer, WINDOWED, start=start, lookback_days=back, window_days=days), WINDOWED, mark)
    if asked:
        first = max(mark.value - back * DAY, moment(f"{start}T00:00:00Z"))
        assert min(after for after, _ in asked) == first - timedelta(seconds=1)
    assert all(bookmark.value > mark.value for bookmark in done.advances)
    assert all(a.value < b.value for a, b in pairwise(done.advances))


def test_a_start_in_the_future_is_nothing_to_do() -> None:
    assert run(source(lambda _: rows("1"), WINDOWED, start="2999-01-01"), WINDOWED) == Run()


def test_to_probe_where_there_is_nothing_to_ask_for_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match=r"acme, rows: by these settings there is nothing to ask for; check for a"):
        reading.probe(source(lambda _: rows("1"), WINDOWED, start="2999-01-01"), WINDOWED)


# --- look-back in lists ------------------------------------------------------------------------------


def dated(**stamps: datetime) -> dict[str, Any]:
    return {"rows": [{"Id": i, "At": at.isoformat()} for i, at in stamps.items()]}


def test_a_list_with_a_look_back_hands_on_what_is_within_it_and_keeps_the_bookmark() -> None:
    at = {"a": day(40), "b": day(26), "c": day(10), "d": day(10)}
    asked: list[str] = []

    def answer(request: Request) -> Any:
        asked.append(request.params["since"])
        return dated(**at)

    vendor = source(answer, DATED, lookback_days=15, start="2020-01-01")
    first = run(vendor, DATED)
    assert first.ids == ["a", "b", "c", "d"]
    assert first.bookmark == Bookmark(at["c"], (("c",), ("d",)))
    again = run(vendor, DATED, first.bookmark)
    assert (again.ids, again.advances) == (["c", "d"], [])
    assert (again.tally.fetched, again.tally.known) == (4, 2)
    assert asked == ["2020-01-01", (at["c"] - 16 * DAY).date().isoformat()]
    at["e"] = day(12)  # comes late, and before the bookmark
    assert run(vendor, DATED, first.bookmark).ids == ["c", "d", "e"]
    at["f"] = day(5)
    last = run(vendor, DATED, first.bookmark)
    assert (last.ids, last.bookmark) == (["c", "d", "e", "f"], Bookmark(at["f"], (("f",),)))


@hypothesis_settings(max_examples=40, deadline=None)
@given(
    back=st.integers(0, 30),
    runs=st.lists(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 60)), min_size=1, max_size=4),
)
def test_whatever_is_listed_a_look_back_never_sets_the_bookmark_back(back: int, runs: list[dict[str, int]]) -> None:
    mark: Bookmark | None = None
    for ages in runs:
        stamps = {i: day(age).replace(hour=12) for i, age in ages.items()}
        done = run(source(always(dated(**stamps)), DATED, lookback_days=back), DATED, mark)
        expected = {i for i, at in stamps.items() if mark is None or at > mark.value - back * DAY}
        assert expected <= set(done.ids)
        if done.bookmark:
            assert mark is None or done.bookmark.value >= mark.value
            mark = done.bookmark


# --- repeated rows -----------------------------------------------------------------------------------

DISTINCT = replace(LIST, distinct=True, pages=token("token", found="next"))


def test_the_first_of_several_rows_with_one_key_is_handed_on_across_pages() -> None:
    pages = {"": rows("1", "2", "1", next="b"), "b": rows("2", "3", next="c"), "c": rows("3", "1")}
    vendor = source(lambda request: pages[request.params.get("token", "")], DISTINCT)
    done = run(vendor, DISTINCT)
    assert done.ids == ["1", "2", "3"]
    assert (done.tally.fetched, done.tally.repeated, done.tally.known) == (7, 4, 0)
    twice = ["1", "2", "1", "2", "3", "3", "1"] * 2  # read again, to compare what has the same key
    assert run(vendor, replace(DISTINCT, distinct=False)).ids == twice
    assert run(vendor, DISTINCT).ids == ["1", "2", "3"], "another run knows nothing of the one before"


def test_keys_of_several_parts_are_told_apart() -> None:
    stream = replace(DISTINCT, keys=("Id", "Document"))
    pairs = [("a", "b"), ("ab", None), ("a", "b"), ("a", "c"), ("ab", "")]
    answer = {"rows": [{"Id": i, "Document": d} for i, d in pairs]}
    done = run(source(lambda _: answer, stream), stream)
    assert [(record["Id"], record["Document"]) for record in done.records] == [pairs[0], pairs[1], pairs[3], pairs[4]]


# --- answers without rows ----------------------------------------------------------------------------


def test_an_answer_without_the_place_of_its_rows_is_an_error_unless_that_is_the_vendors_way() -> None:
    for document, said in (({}, r"\$ has nothing in it"), ({"rows": None}, r"\$\.rows is null")):
        with pytest.raises(BodyError, match=rf"^acme, rows: the answer has no list of records at \$\.rows: {said}; "):
            run(source(always(document), LIST), LIST)
    may_be_absent = replace(LIST, record_selector=replace(ROWS, empty=(absent("rows"),)))
    assert run(source(always({}), may_be_absent), may_be_absent).records == []
    with pytest.raises(BodyError, match=r"rows is null"):
        run(source(always({"rows": None}), may_be_absent), may_be_absent)
    deep = replace(LIST, record_selector=RecordSelector(("payload", "rows")))
    with pytest.raises(BodyError, match=r"no list of records at \$\.payload\.rows: \$\.payload has nothing in it"):
        run(source(always({"payload": {}}), deep), deep)


def test_a_check_speaks_before_the_place_of_the_rows_is_missed() -> None:
    checked = replace(LIST, check=flag("ok", message="said"))
    with pytest.raises(RefusedError, match=r"^acme, rows: the vendor says that the call failed: No access\."):
        run(source(lambda _: {"ok": False, "said": "No access."}, checked), checked)


@pytest.mark.promise("What a message quotes of a vendor is one short line without secrets and mail addresses")
def test_what_a_check_quotes_shows_no_secret() -> None:
    checked = replace(LIST, check=flag("ok", message="said"))
    vendor = source(lambda _: {"ok": False, "said": "The key s3cr3t-key is bad."}, checked)
    vendor.redact = Redactor(["s3cr3t-key"])
    with pytest.raises(RefusedError, match=r"failed: The key \*\*\* is bad\.$"):
        run(vendor, checked)


def test_a_missing_list_is_an_error() -> None:
    missing = MissingError("nothing found.")
    said = r"acme, rows: nothing found\. It is not a reply by which .*check base_url"
    with pytest.raises(MissingError, match=said):
        run(source(always(missing), LIST), LIST)
    with pytest.raises(MissingError, match=said):
        reading.probe(source(always(missing), LIST), LIST)


def test_a_page_that_the_pager_does_not_believe_is_not_handed_on() -> None:
    listing = replace(LIST, pages=token("token", found="next"))
    asked: list[str] = []

    def answer(request: Request) -> dict[str, Any]:
        asked.append(request.params.get("token", ""))
        return rows("1", "2", next="b") if len(asked) < 3 else rows("3")

    assert run(source(answer, listing), listing).ids == ["1", "2", "3"]
    assert asked == ["", "b", "b"]


# --- documents by configured keys --------------------------------------------------------------------

KEYED = replace(
    LIST,
    name="documents",
    request=get("/document/{id}"),
    record_selector=RecordSelector(many=False),
    parent=Parent("id", (listed("ids"),)),
    add={"Id": "id"},
    document="Document",
)


def content(number: int) -> bytes:
    return f"invoice {number % 5}\n".encode() * 100


def documents(request: Request) -> Any:
    number = int(request.path.rpartition("/")[2])
    return {"Document": base64.b64encode(content(number)).decode()}


def test_without_a_parent_and_without_keys_there_is_nothing_and_a_line_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="vendortap.sync")
    assert run(source(lambda _: RefusedError("asked."), KEYED), KEYED) == Run()
    (line,) = caplog.records
    assert line.levelno == logging.INFO
    assert line.getMessage() == "acme, documents: no keys are configured, so there is nothing to fetch."


def test_documents_stay_in_the_record_unless_there_is_a_folder_for_them() -> None:
    done = run(source(documents, KEYED, ids=["1"]), KEYED)
    text = base64.b64encode(content(1)).decode()
    assert list(map(as_dict, done.records)) == [
        {"Id": "1", "At": None, "Document": text, **dict.fromkeys(companion_names("Document"))}
    ]


@pytest.mark.parametrize("concurrency", [1, 16])
def test_documents_are_kept_by_many_threads_at_once(tmp_path: Path, concurrency: int) -> None:
    together = threading.Barrier(concurrency)
    ids = [str(number) for number in range(48)]

    def answer(request: Request) -> Any:
        if int(request.path.rpartition("/")[2]) in range(1, concurrency + 1):  # the first goes ahead of all others
            together.wait(20)
        return documents(request)

    done = run(source(answer, KEYED, ids=ids, documents_dir=str(tmp_path), concurrency=concurrency), KEYED)
    assert done.ids == ids
    for record in done.records:
        expected = content(int(record["Id"]))
        assert Path(record["Document_path"]).read_bytes() == expected
        assert record["Document_sha256"] == hashlib.sha256(expected).hexdigest()
        assert (record["Document"], record["Document_size"]) == (None, len(expected))
        assert record["Document_media_type"] == "text/plain"
    assert len(list(tmp_path.iterdir())) == 5


def test_a_document_that_is_none_names_its_record(tmp_path: Path) -> None:
    vendor = source(lambda _: {"Document": "not Base64!"}, KEYED, ids=["7"], documents_dir=str(tmp_path))
    with pytest.raises(RecordError, match=r"^acme, documents \(id 7\): .*the document in Document is not Base64"):
        run(vendor, KEYED)


def test_a_post_is_written_when_its_pager_has_had_its_say() -> None:
    stream = replace(LIST, request=post("/find", {"first": 0}))
    sent: list[Request] = []

    def answer(request: Request) -> Any:
        sent.append(request)
        return rows("1")

    run(source(answer, stream), stream)
    assert (sent[0].body, sent[0].document) == (b'{"first":0}', None)
    assert sent[0].headers == {"Content-Type": "application/json", "Accept": "application/json"}
