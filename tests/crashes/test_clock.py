"""A clock that jumps: this machine's may be wrong, and another at every look; what is handed on is the same."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import cycle, repeat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import vendortap
from vendortap.declare.limits import x_rate_limit
from vendortap.declare.model import (
    Bookmark,
    Connector,
    Node,
    Parent,
    Plan,
    RateLimit,
    RecordSelector,
    Reply,
    Request,
    Stream,
    Windows,
)
from vendortap.declare.plan import since_date
from vendortap.declare.request import get
from vendortap.decode import schemas
from vendortap.plugins.validation import Shape
from vendortap.sync import reading
from vendortap.sync.context import BookmarkUpdate, Records, SyncContext
from vendortap.sync.counters import Counters

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SETTINGS = {"concurrency": 1, "on_missing": "fail", "start": "2026-01-01", "window_days": 1, "lookback_days": 0}
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"Id": {"type": "string"}, "At": {"type": ["string", "null"], "format": "date-time"}},
    "required": ["Id"],
}
NODE = schemas.compile_record(SCHEMA, "row")
LIST = Stream(
    name="list",
    title="",
    request=get("/list", since="{since}"),
    plan=Plan(since=since_date("since", start="start", follows=lambda _: True)),
    record_selector=RecordSelector(("rows",)),
    keys=("Id",),
    replication_key="At",
)
WINDOWED = replace(
    LIST,
    name="windows",
    request=get("/windows", after="{after}", before="{before}"),
    plan=Plan(windows=Windows("start", "end", "window_days", ("after", "before"))),
)
DOCUMENTS = replace(
    LIST,
    name="documents",
    request=get("/documents/{id}"),
    record_selector=RecordSelector(many=False),
    parent=Parent("id", stream="list", field="Id"),
)
GIVEN = Node("object", nullable=False, fields={**NODE.fields, "At": Node("given")}, required=frozenset({"Id"}))


class Vendor:
    """A vendor whose clock is right, and goes on a second a request; ours is off by another time at every look."""

    def __init__(self, invoices: Sequence[datetime], jumps: Iterator[timedelta]) -> None:
        self.invoices = {str(number): at for number, at in enumerate(invoices)}
        self.jumps = jumps
        self.time = START

    def our_clock(self) -> datetime:
        return self.time + next(self.jumps)

    def send(self, request: Request) -> Reply:
        self.time += timedelta(seconds=1)
        headers = {"content-type": "application/json", "date": format_datetime(self.time, usegmt=True)}
        return Reply(200, headers, json.dumps(self._answer(request)).encode(), self.our_clock())

    def _answer(self, request: Request) -> Any:
        if request.path.startswith("/documents/"):
            return {"Id": request.path.rpartition("/")[2]}
        after, before = (
            datetime.fromisoformat(request.params.get(name, default).replace("Z", "+00:00"))
            for name, default in (("after", "2026-01-01T00:00:00Z"), ("before", "9999-01-01T00:00:00Z"))
        )
        if "since" in request.params:
            after = datetime.fromisoformat(f"{request.params['since']}T00:00:00+00:00")
        found = {number: at for number, at in self.invoices.items() if after <= at < before and at <= self.time}
        return {"rows": [{"Id": number, "At": at.isoformat()} for number, at in found.items()]}

    def source(self) -> SyncContext:
        streams = (LIST, WINDOWED, DOCUMENTS)
        connector = Connector(name="acme", title="", docs="", schemas="", base_url=lambda _: "", streams=streams)
        shapes = {s.name: Shape(SCHEMA, NODE, NODE if s is LIST else GIVEN) for s in streams}
        return SyncContext(connector, SETTINGS, self.send, shapes, now=self.our_clock)


def hours(most: int) -> st.SearchStrategy[timedelta]:
    return st.integers(-most, most).map(lambda number: number * HOUR)


@pytest.mark.promise(
    "However this machine's clock jumps, no invoice is lost and no request waits for it",
    figure="60 histories of jumps",
)
@pytest.mark.parametrize("stream", [LIST, WINDOWED, DOCUMENTS], ids=lambda stream: stream.name)
def test_no_invoice_is_lost_however_this_machines_clock_jumps(stream: Stream) -> None:
    """Between runs and within them, back and forth by weeks: once the clock is right again, nothing is missing."""

    @hypothesis_settings(max_examples=60, deadline=None)
    @given(
        invoices=st.lists(st.integers(0, 10 * 24).map(lambda number: START + number * HOUR), max_size=12),
        pauses=st.lists(st.integers(1, 72), min_size=1, max_size=4),
        jumps=st.lists(hours(400), min_size=1, max_size=8),
    )
    def runs(invoices: list[datetime], pauses: list[int], jumps: list[timedelta]) -> None:
        vendor = Vendor(invoices, cycle(jumps))
        marks: list[Bookmark | None] = [None]
        had: set[str] = set()
        for number, pause in enumerate([*pauses, 1]):
            vendor.time += pause * HOUR
            if number == len(pauses):  # the last run: the clock has been put right
                vendor.jumps = repeat(timedelta())
            began = vendor.time
            for item in reading.read(vendor.source(), stream, lambda _: marks[-1], Counters()):
                if isinstance(item, BookmarkUpdate):
                    before = marks[-1]
                    assert before is None or item.bookmark.value >= before.value, "a bookmark never goes back"
                    assert item.bookmark.value <= vendor.time, "nor is it ahead of the vendor"
                    marks.append(item.bookmark)
                elif isinstance(item, Records):
                    had |= {record["Id"] for record in item.records}
        assert {number for number, at in vendor.invoices.items() if at < began} <= had

    runs()


@pytest.mark.promise("However this machine's clock jumps, no invoice is lost and no request waits for it")
def test_a_pause_until_a_moment_is_counted_by_the_vendors_clock() -> None:
    """A reset of a rate limit in Unix time is held against the vendor's clock as well, not against ours."""
    vendor = datetime(2026, 5, 1, 12, tzinfo=UTC)
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(vendor.timestamp()) + 7)}
    for jump in (-4000 * HOUR, timedelta(), 4000 * HOUR):
        reply = Reply(200, {**headers, "date": format_datetime(vendor, usegmt=True)}, b"", vendor + jump)
        assert x_rate_limit(reply) == RateLimit(pause_seconds=7.0)


READERS = {
    "http/client.py": "when an answer arrived, for time_extracted, and for a vendor that does not say its own time",
    "sync/context.py": "where the last window ends",
    "sync/open_items.py": "when something that is open was tried; what is tried in the future is due",
    "singer/tap.py": "which day it is, for what is acknowledged until one",
    "cli/open_items.py": "when something was closed, and whether a day has passed",
    "support/files.py": "how old a file is that a killed process left",
    "sync/quarantine.py": "when an entry was closed",
    "scaffold/infer.py": "a reply has to have arrived some time, in a draft too",
    "scaffold/openapi.py": "likewise",
    "support/logs.py": "when a line was written",
    "operate/reporting/document.py": "when a run began",
    "sync/telemetry.py": "when a span began and ended, as OpenTelemetry has it",
    "sandbox/faults.py": "a moment that a sandbox says to wait for, as a vendor does",
    "testing/recording.py": "the day of a recording",
}
"""Who may look at the wall clock, and what for."""


@pytest.mark.promise("However this machine's clock jumps, no invoice is lost and no request waits for it")
def test_waits_timeouts_and_expiries_go_by_a_clock_that_nobody_puts_back() -> None:
    """Only these modules read the wall clock at all; everything that waits or expires goes by time.monotonic."""
    framework = Path(vendortap.__file__).parent
    readers = set()
    for path in framework.rglob("*.py"):
        if "template" in path.parts:  # no Python yet
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if called.endswith(("time.time", "datetime.now", "datetime.utcnow", "time.time_ns", "date.today")):
                readers.add(str(path.relative_to(framework)))
    assert readers
    assert readers == READERS.keys()
