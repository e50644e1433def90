"""The judge of a history: made from the bytes that were served and from what the vendor holds, never from a report."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from xml.etree.ElementTree import Element

from tests.soak.histories import History
from tests.soak.hostile import RENAMED_LINE, Hostile, Served
from tests.soak.vendors import UNKNOWN_CUSTOMER, ListAsked, Vendor, amazon_amount
from tests.soak.wire import Tree, find, nodes, number, parse

Rows = Mapping[str, tuple[Decimal | None, int | None]]
"""A table: by the number of the invoice its amount, and how many lines it has."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended. ``code`` is None where it was killed; ``error`` is what ended it, ``said`` all else.

    ``held`` has the invoices that the vendor held throughout, ``tables`` what was in the tables afterwards, and
    ``open`` the open items of the state.
    """

    code: int | None
    said: str
    error: str
    held: frozenset[str]
    tables: Mapping[str, Rows]
    open: str = ""

    @property
    def clean(self) -> bool:
        """Whether the run says that all is there, or named."""
        return self.code in (0, 3)


@dataclass(frozen=True)
class Problem:
    """Something that must not be; ``what`` is its class."""

    what: str
    run: int
    stream: str
    numbers: tuple[str, ...] = ()


@dataclass
class Verdict:
    """What a history came to; ``unseen`` are the invoices that were passed over with no sign of it."""

    problems: list[Problem] = field(default_factory=list)
    unseen: set[str] = field(default_factory=set)


def plain(text: str) -> str:
    """Return a number without the dashes that Ingram prints in some replies only."""
    return text.replace("-", "")


def amount_of(vendor: Vendor, node: Tree | Element) -> Decimal | None:
    """Return the amount that a row or a document in a reply has."""
    if not vendor.amounts:
        return amazon_amount({"content": find(node, ("content",))}) if isinstance(node, dict) else None
    return next((found for path in vendor.amounts if (found := number(find(node, path))) is not None), None)


def number_of(vendor: Vendor, node: Tree | Element) -> str | None:
    """Return the number that a row or a document in a reply has."""
    found = (find(node, (name,)) for name in vendor.numbers)
    return next((plain(text) for text in found if isinstance(text, str)), None)


def readable(vendor: Vendor, served: Served) -> list[Tree | Element] | None:
    """Return the rows of a list's reply that is as the vendor documents it; None for any other."""
    tree = parse(served.answer) if served.answer.status == 200 else None
    if isinstance(tree, Element):
        inner = tree.find(vendor.rows[0]) if vendor.rows else tree
        item = vendor.items[vendor.rows[-1] if vendor.rows else vendor.roots[0]]
        if tree.tag != vendor.roots[0] or inner is None or any(child.tag != item for child in inner):
            return None
        return list(inner)
    rows = find(tree, vendor.rows)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return None
    return None if isinstance(tree, dict) and tree.get("IsSuccessful") is False else rows


def stated(vendor: Vendor, served: Served, rows: list[Tree | Element]) -> int | None:
    """Return the count that a list's reply states."""
    if vendor.count is None:
        return None
    found = find(parse(served.answer), (vendor.count,)) or (find(rows[-1], (vendor.count,)) if rows else None)
    return int(str(found)) if found is not None and re.fullmatch("[0-9]+", str(found)) else None


class Oracle:
    """What the replies of one history say."""

    def __init__(self, hostile: Hostile) -> None:
        self.hostile = hostile
        self.vendor = hostile.vendor
        self.pairs: set[tuple[str, Decimal | None]] = set()
        self.latest: dict[str, Decimal | None] = {}
        self.asked: dict[str, Decimal | None] = {}
        for served in hostile.log:
            self._take(served)

    def _take(self, served: Served) -> None:
        tree = parse(served.answer)
        for node in nodes(tree) if tree is not None else ():
            if (name := number_of(self.vendor, node)) is not None:
                self.pairs.add((name, amount_of(self.vendor, node)))
        if isinstance(served.asked, ListAsked):
            for row in readable(self.vendor, served) or ():
                if (name := number_of(self.vendor, row)) is not None:
                    self.latest[name] = amount_of(self.vendor, row)

    def unseen(self, run: int, held: Iterable[str]) -> set[str]:
        """Return the invoices that a complete reading of a run passed over with no sign of it."""
        readings: dict[tuple[object, ...], list[dict[int, tuple[ListAsked, Served]]]] = {}
        for served in self.hostile.log:
            asked = served.asked
            if served.run == run and isinstance(asked, ListAsked) and asked.partition in self.vendor.partitions:
                lists = readings.setdefault((asked.partition, asked.since, asked.until), [])
                if asked.start == 0 or not lists:
                    lists.append({})
                lists[-1][asked.start] = asked, served
        passed = (self._passed(reading) for lists in readings.values() for reading in lists)
        return {plain(name) for names in passed for name in names} & {plain(name) for name in held}

    def _passed(self, reading: Mapping[int, tuple[ListAsked, Served]]) -> set[str]:
        """Return what a reading passed over: nothing, where anything in it shows that rows moved or were left out."""
        pages = [(served, readable(self.vendor, served)) for _, served in reading.values()]
        taken = [number_of(self.vendor, row) for _, rows in pages for row in rows or ()]
        counts = {stated(self.vendor, served, rows or []) for served, rows in pages} - {None, 0}
        asked, last = reading[max(reading)]
        at_end = counts == {len(taken)} if counts else asked.start + asked.size >= last.whole
        numbers = [name for name in taken if name is not None]  # those that were served without one may be any
        if not at_end or len(numbers) != len(set(numbers)) or any(rows is None for _, rows in pages):
            return set()
        rows = self.hostile.book.rows(asked.partition, asked.since, asked.until)
        return {row.number for row in rows if plain(row.number) not in taken}


def judge(hostile: Hostile, outcomes: list[Outcome]) -> Verdict:
    """Judge a history after its last run."""
    oracle, verdict = Oracle(hostile), Verdict()
    said = ""
    for run, outcome in enumerate(outcomes):
        is_last = run == len(outcomes) - 1
        said += outcome.said
        verdict.unseen |= oracle.unseen(run, outcome.held)
        lied = any(served.lie for served in hostile.log if served.run == run)
        told = outcome.said + outcome.open + (outcome.error if is_last else "")
        if is_last or (outcome.clean and not lied):
            verdict.problems += _absent(hostile, outcome, run, told, verdict.unseen)
        verdict.problems += _never_served(oracle, outcome, run)
        if re.search(r"unexpected( [A-Z]\w+)?:|unexpected [A-Z]\w*Error|Traceback", outcome.said + outcome.error):
            verdict.problems.append(Problem("unexpected error", run, ""))
    last, final = outcomes[-1], len(outcomes) - 1
    if not last.clean and not hostile.history.spoilt:
        verdict.problems.append(Problem("a run without faults failed", final, ""))
    if hostile.history.unknown_customer and UNKNOWN_CUSTOMER not in last.error:
        verdict.problems.append(Problem("an unknown customer is not named", final, ""))
    verdict.problems += _wrong(oracle, last, final, said + last.error, verdict.unseen)
    verdict.problems += _lines(hostile, last, final, said + last.error)
    return verdict


def is_named(name: str, told: str) -> bool:
    """Whether an invoice is named by its number, with its dashes or without."""
    return plain(name) in plain(told)


def expected(history: History, vendor: Vendor, stream: str, held: Iterable[str]) -> set[str]:
    """Return the numbers that a stream's table has to have."""
    if step := vendor.by_number.get(stream):
        return {vendor.number_of(index) for index in range(0, history.invoices, step)} & set(held)
    return set(held)


def streams(history: History, vendor: Vendor) -> Iterator[str]:
    """Yield the streams that a history reads."""
    yield vendor.listed[0]
    if history.details:
        yield from (name for name, _ in vendor.detailed)


def _absent(hostile: Hostile, outcome: Outcome, run: int, told: str, unseen: set[str]) -> Iterator[Problem]:
    for stream in streams(hostile.history, hostile.vendor):
        rows = outcome.tables.get(stream, {})
        wanted = expected(hostile.history, hostile.vendor, stream, outcome.held)
        missing = [n for n in sorted(wanted) if plain(n) not in {*rows, *unseen} and not is_named(n, told)]
        nameless = [n for n in missing if plain(n) in {*map(plain, hostile.nameless)}]
        if len(nameless) <= _without_number(hostile.vendor, told):
            missing = [n for n in missing if n not in nameless]
        if missing:
            what = "absent after exit " + str(outcome.code) if outcome.clean else "kept out by others"
            yield Problem(what, run, stream, tuple(missing))


def _without_number(vendor: Vendor, told: str) -> int:
    """Return how many records without a number are in quarantine, whose entries hold the bytes that were served."""
    entries = (json.loads(found) for found in re.findall(r'\{"id": "[0-9a-f]+", "time".*\}$', told, re.MULTILINE))
    named = re.compile(rf'\b({"|".join(vendor.numbers)})("\s*:\s*"[^"]|>[^<])')
    return sum("raw" in entry and not named.search(entry["raw"]) for entry in entries)


def _never_served(oracle: Oracle, outcome: Outcome, run: int) -> Iterator[Problem]:
    for stream, rows in outcome.tables.items():
        wrong = [name for name, (amount, _) in rows.items() if (name, amount) not in oracle.pairs]
        if wrong:
            yield Problem("never served", run, stream, tuple(wrong))


def _wrong(oracle: Oracle, last: Outcome, run: int, told: str, unseen: set[str]) -> Iterator[Problem]:
    for stream, rows in last.tables.items():
        wrong = [
            name
            for name in sorted(map(plain, last.held))
            if name in rows and name in oracle.latest and name not in unseen
            if rows[name][0] != oracle.latest[name] and not is_named(name, told)
        ]
        if wrong and stream not in oracle.vendor.by_number:
            yield Problem("wrong amount", run, stream, tuple(wrong))


def _lines(hostile: Hostile, last: Outcome, run: int, told: str) -> Iterator[Problem]:
    if RENAMED_LINE in told:
        return
    for stream, rows in last.tables.items():
        held = {plain(name): invoice for name, invoice in hostile.book.held.items()}
        lost = [
            name
            for name, (_, lines) in rows.items()
            if lines is not None and name in held and lines != held[name].lines and not is_named(name, told)
        ]
        if lost:
            yield Problem("lines gone", run, stream, tuple(lost))
