"""Every fault against every connector: all invoices in the end, or the right error, from which the next run goes on.

The usual suite has each fault once in each connector's list and, where it matters, in the documents and in the list
that these come from. The full form (``make torture``) has XML too, each fault at each of many requests, faults that do
not pass, and storms of all kinds at random.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.faults.kit import CASES, Case, Story, Vendor, story, sums, vendor
from vendortap.errors import VendorError
from vendortap.sandbox import faults

PROMISE = "Whatever goes wrong on the way, all invoices arrive, or the run says what is wrong and the next completes it"
INVOICES = 19
CUT_SHORT = r"the answer is not the (JSON|XML) it is declared to be .*: run again"
REFUSED = "The vendor refuses the credentials; check that they are right"
TOO_LARGE = r"answered with more than 4 MB \(max_body_mb\).* raise max_body_mb if that is right"


@dataclass(frozen=True)
class Row:
    """A fault, and what comes of it: the error, or ``None`` where the run goes on to the end.

    ``others`` are the connectors with another end.
    """

    fault: str
    error: str | None = None
    others: Mapping[str, str | None] = field(default_factory=dict)

    def expected(self, connector: str) -> str | None:
        return self.others.get(connector, self.error)


ROWS = (
    Row("reset@2"),
    Row("reset-before-body@2"),
    Row("reset-in-body@2"),
    Row("reset-after-body@2"),
    Row("close-in-body@2", CUT_SHORT),
    Row("hang@2"),
    Row("hang-in-body@2"),
    Row("slow@2"),
    Row("truncated-gzip@2"),
    Row("length-too-long@2"),
    Row("length-too-short@2", CUT_SHORT),
    Row("401@2", None, {"amazon-vendor": REFUSED, "visiblescm": REFUSED}),  # theirs are not renewed at 401
    Row("403@2", REFUSED),
    Row("404@2", "not a reply by which the vendor says that a list is empty: check base_url"),
    Row("408@2-4"),
    Row("429@2"),
    Row("429-date@2"),
    Row("429-absurd@2", r"429 .*The vendor asks to wait 999999999 s, which is more than is left .* run again after"),
    Row("500@2-4"),
    Row("502@2-4"),
    Row("503@2-4"),
    Row("html@2", "the answer is text/html, neither JSON nor XML; .* check base_url and proxies"),
    Row("huge@2", TOO_LARGE),
    Row("deep@2", r"nested more than 64 levels deep \(max_depth\), .* report it to the vendor"),
    Row("gzip-bomb@2", TOO_LARGE),
    Row(
        "error@2",
        "a value expected at .* Report it to the vendor|the answer has no list of records at|the root element is not",
        {
            "amazon-vendor": "the vendor answers with errors: InternalFailure",
            "ingram-micro": "the vendor answers with errors: Internal Server Error",
            "visiblescm": "the vendor says that the call failed: An error has occurred",
        },
    ),
    Row("repeat-page@2"),
    Row("repeat-page@2-", "the vendor's paging does not move on"),
    Row("empty-page@2"),
    # a list with fewer rows than its vendor states is read once more
    Row(
        "empty-page@2-3",
        "is empty, but .* is not",
        {"amazon-vendor": None, "ingram-micro": None, "midnight": None, "visiblescm": None},
    ),
    Row("moving-rows@2"),
    Row("moving-rows@2-"),
)
PAGING = [row for row in ROWS if row.fault.startswith(("repeat", "empty", "moving"))]
IN_DOCUMENTS = (
    *(row for row in ROWS if row.fault in ("reset-in-body@2", "close-in-body@2", "403@2", "html@2", "deep@2")),
    Row(
        "error@2",
        "a value expected at .* Report it to the vendor|the answer has no document at|the root element is not",
        {
            "ingram-micro": "the vendor answers with errors: Internal Server Error",
            "midnight": "the vendor answers with errors: An error has occurred|the root element is not",
            "visiblescm": "the vendor says that the call failed: An error has occurred",
        },
    ),
)
PERSISTENT = (
    *(
        Row(kind, r"Gave up after \d+ attempts within .* s \(retry_seconds\); run again later")
        for kind in (
            "reset",
            "reset-in-body",
            "hang-in-body",
            "slow",
            "truncated-gzip",
            "length-too-long",
            "502",
            "408",
        )
    ),
    Row("429-date", "which is more than is left|Gave up after"),
)


@dataclass(frozen=True)
class Cell:
    """Where a row is tried: in a list that is read for itself, in one that is read for its documents, or in these."""

    row: Row
    case: Case
    place: str
    form: str = "json"

    @property
    def name(self) -> str:
        return f"{self.case.name}-{self.place}-{self.row.fault}" + ("" if self.form == "json" else f"-{self.form}")

    @property
    def streams(self) -> Sequence[str]:
        return [self.case.listed if self.place == "list" else self.case.main]

    @property
    def fault(self) -> str:
        return self.row.fault + str(self.case.documents if self.place == "documents" else self.case.lists)


def cells(rows: Sequence[Row], place: str, forms: Sequence[str] = ("json",)) -> Iterator[Cell]:
    for case, row, form in product(CASES.values(), rows, forms):
        if (place == "list" or case.documents) and (form == "json" or case.xml):
            yield Cell(row, case, place, form)


BOUNDED = [*cells(ROWS, "list"), *cells(PAGING, "parent"), *cells(IN_DOCUMENTS, "documents")]
KNOWN = {cell.name for cell in BOUNDED}
FULL = [
    cell
    for place, rows in (("list", ROWS), ("parent", ROWS), ("documents", [*ROWS[:13], *ROWS[14:25], IN_DOCUMENTS[-1]]))
    for cell in cells(rows, place, ("json", "xml"))
    if cell.name not in KNOWN
]
ELSEWHERE = [
    Cell(Row(row.fault.replace("@2", f"@{number}"), row.error, row.others), cell.case, cell.place, cell.form)
    for cell in BOUNDED
    for row in (cell.row,)
    for number in (1, 3)
    if cell.place != "list" and row.fault.endswith("@2") and (number > 1 or row.fault != "repeat-page@2")
]
Vendors = Callable[[str], Vendor]


@pytest.fixture(scope="module")
def vendors() -> Iterator[Vendors]:
    """The sandboxes, each made when it is first asked for."""
    made: dict[str, Vendor] = {}
    with ExitStack() as stack:

        def get(name: str) -> Vendor:
            if name not in made:
                made[name] = stack.enter_context(vendor(CASES[name], INVOICES))
            return made[name]

        yield get


@pytest.fixture(scope="module")
def clean(vendors: Vendors) -> Callable[[Cell], Story]:
    """What a cell's run comes to without a fault, held against what the sandbox says there is."""
    told: dict[tuple[str, str, str], Story] = {}

    def get(cell: Cell) -> Story:
        case, (stream,) = cell.case, cell.streams
        key = (case.name, stream, cell.form)
        if key not in told:
            served = vendors(case.name)
            served.app.order()
            served.form = cell.form
            found = story(served, cell.streams, most=1)
            assert len(found.tables[stream]) == INVOICES
            if stream == case.main:
                assert sums(case, found.tables[stream].values()) == served.app.state.totals()
            told[key] = found
        return told[key]

    return get


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vendortap.http.rate_limit.BACKOFF_SECONDS", 0.005)


def survive(cell: Cell, vendors: Vendors, clean: Callable[[Cell], Story], **settings: Any) -> str:
    """Try a cell, and say what came of it."""
    expected = clean(cell)
    served = vendors(cell.case.name)
    served.form = cell.form
    served.app.order(cell.fault)
    befallen = 0

    def heal() -> None:
        nonlocal befallen
        befallen = served.app.done.total()
        served.app.order()

    if cell.row in PAGING:  # the second request is for the second page, not for the first one of another list
        settings["concurrency"] = 1
    told = story(served, cell.streams, between=heal, **settings)
    assert befallen or served.app.done.total(), "the fault befell nothing"
    assert told.tables == expected.tables
    hold_errors(cell, told)
    return "error, then all" if told.errors else f"all, {told.retries} retries" if told.retries else "all"


def hold_errors(cell: Cell, told: Story) -> None:
    """The error is the right one: who, where, what, and what to do."""
    wanted = cell.row.expected(cell.case.name)
    if wanted is None:
        assert not told.errors, told.errors
        return
    (error,) = told.errors
    assert isinstance(error, VendorError)
    sentence = str(error)
    assert re.match(rf"{cell.case.name}, ({cell.case.listed}|{cell.case.main})( \(.+\))?: ", sentence), sentence
    assert re.search(wanted, sentence), sentence


Note = Callable[[str, object], None]


def note(record_property: Note, cell: Cell, outcome: str) -> None:
    record_property("promise", PROMISE)
    record_property("figure", "1 faults survived")
    record_property("cell", [f"{cell.row.fault} in {cell.place}", cell.case.name, outcome])


@pytest.mark.parametrize("cell", BOUNDED, ids=lambda cell: cell.name)
def test_a_fault_loses_no_invoice(
    cell: Cell, vendors: Vendors, clean: Callable[[Cell], Story], record_property: Note
) -> None:
    """All invoices arrive, or the run ends with the right error, and the next one goes on from its state."""
    note(record_property, cell, survive(cell, vendors, clean))


QUARANTINED = [
    cell
    for cell in BOUNDED
    if cell.row.fault in ("error@2", "html@2", "close-in-body@2") and cell.place in ("list", "documents")
    # A document that is not the one asked for is in quarantine under the number that was asked for, and is asked for
    # again (tests/sync/test_replies.py); only a declared check can tell that it is an error of the vendor's.
    if (cell.case.name, cell.place, cell.row.fault) != ("scansource", "documents", "error@2")
]


@pytest.mark.parametrize("cell", QUARANTINED, ids=lambda cell: cell.name)
def test_a_fault_is_no_bad_record(
    cell: Cell, vendors: Vendors, clean: Callable[[Cell], Story], tmp_path: Path, record_property: Note
) -> None:
    """What is no record at all does not go into the quarantine, where the run would pass it over: it is an error."""
    settings = {"on_bad_record": "quarantine", "quarantine_dir": str(tmp_path / "quarantine")}
    survive(cell, vendors, clean, **settings)
    assert not list(tmp_path.glob("quarantine/*.jsonl"))
    record_property("promise", PROMISE)
    record_property("figure", "1 faults survived")


def test_every_kind_of_fault_is_in_the_matrix() -> None:
    assert {faults.fault(row.fault).kind for row in ROWS} == set(faults.KINDS)


# --- the full form -----------------------------------------------------------------------------------


@pytest.mark.torture
@pytest.mark.parametrize("cell", [*FULL, *ELSEWHERE], ids=lambda cell: cell.name)
def test_a_fault_anywhere_loses_no_invoice(
    cell: Cell, vendors: Vendors, clean: Callable[[Cell], Story], record_property: Note
) -> None:
    """The same in XML, and wherever the fault strikes."""
    note(record_property, cell, survive(cell, vendors, clean))


@pytest.mark.torture
@pytest.mark.parametrize("cell", [*cells(PERSISTENT, "list"), *cells(PERSISTENT, "documents")], ids=lambda c: c.name)
def test_a_fault_that_does_not_pass_ends_the_run_in_time(
    cell: Cell, vendors: Vendors, clean: Callable[[Cell], Story], record_property: Note
) -> None:
    """Nothing goes on for ever: a vendor that never recovers is an error within the time the settings give."""
    note(record_property, cell, survive(cell, vendors, clean, retry_seconds=2))


STORM = [kind for kind in faults.KINDS if kind not in ("404", "repeat-page", "empty-page")]
"""404 is the vendor's word that there is no such invoice; pages are repeated in lists alone; and nobody can tell an
empty last page, given twice, from the end of a list without a count."""


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(1, 11))
@pytest.mark.parametrize("name", CASES)
def test_a_storm_loses_no_invoice(name: str, seed: int, record_property: Note) -> None:
    """Faults of all kinds at random, at one in twelve requests, run after run until one ends well."""
    case = CASES[name]
    streams = sorted({case.listed, case.main})
    with vendor(case, 60 if case.documents else 240, seed) as served:  # a list alone takes few requests
        served.app.order()
        expected = story(served, streams, most=1)
        assert sums(case, expected.tables[case.main].values()) == served.app.state.totals()
        served.app.order(*(f"{kind}:0.003" for kind in STORM), f"repeat-page:0.02{case.lists}")
        told = story(served, streams, most=200, retry_seconds=30)
        befallen = served.app.done.total()
    assert befallen
    assert told.tables == expected.tables
    record_property("promise", PROMISE)
    record_property("figure", f"{befallen} faults survived")
