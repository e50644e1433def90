"""Histories as data, and their generator: the same connector and seed give the same history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

CONNECTORS = ("amazon-vendor", "ingram-micro", "midnight", "scansource", "visiblescm")
HAS_XML = frozenset({"midnight", "scansource", "visiblescm"})
HAS_COUNT = frozenset({"ingram-micro", "midnight", "visiblescm"})
FOREVER = 1_000
FAR = 3_959.9 / 7_919
"""The part of a swap between the middle of a list and nine tenths of it (see ``Book.change``)."""
CONSOLE_EVERY = 20
"""One in so many histories goes through the console commands, with the DuckDB file and the state file."""

CHURN = ("insert", "insert", "redate", "swap", "modify")
ENVELOPES = (
    "unwrapped",
    "wrapped",
    "renamed top",
    "null",
    "null list",
    "empty object",
    "scalar",
    "error under 200",
    "html under 200",
    "empty body",
    "cut short",
)
COUNTS = ("hidden row", "count too small", "count zero", "count too large", "count grows", "count shrinks")
STATUSES = ("404 html", "404 not found", "500 inner 404", "429", "503", "401", "204")
CHARSETS_JSON = ("bom", "latin-1 json")
CHARSETS_XML = ("bom", "latin-1 by header", "latin-1 by declaration", "utf-16")
RENAMED_XML = ("renamed items", "renamed root", "attributes")
PAGES = ("short page", "empty page", "repeated row", "conflicting row", "page of another")
ROWS = ("bad amount", "lone surrogate", "no number")
DOCUMENTS = (
    "another number",
    "404 not found",
    "error under 200",
    "empty object",
    "html under 200",
    "bad amount",
    "lone surrogate",
    "500 inner 404",
    "503",
    "null",
    "renamed lines",
)
BAD_RECORDS = frozenset({"another number", "bad amount", "lone surrogate"})
"""Documents that are bad records: with ``on_bad_record: fail`` they may stop a run."""
ACCIDENTS = ("lost database", "old database", "old state", "another's state")
"""What may have happened to the database and the state before a run; an old one is from before the last run."""


@dataclass(frozen=True)
class Event:
    """What happens. ``where`` is ``list``, ``document`` or ``between`` (the vendor), ``kill`` or ``accident``.

    ``at`` counts the replies to list requests of a run from 0 (``list``), or all its requests (``kill``). ``part`` says
    which invoice is meant: a fraction of all. A document's event is met by its first ``times`` replies in a run; with
    ``lasting`` in each run from ``run`` on.
    """

    run: int
    where: str
    what: str
    at: int = 0
    times: int = 1
    part: float = 0.0
    lasting: bool = False


@dataclass(frozen=True)
class History:
    """A vendor, the settings of the product, and what happens."""

    connector: str
    seed: int
    runs: int
    invoices: int
    size: int
    xml: bool
    concurrency: int
    quarantine: bool
    details: bool
    console: bool
    unknown_customer: bool
    events: tuple[Event, ...]

    @property
    def replay(self) -> str:
        """The command that runs this history alone."""
        return f"python -m tests.soak --connector {self.connector} --seed {self.seed} --histories 1"

    def accident(self, run: int) -> str | None:
        """Return what has happened to the database or the state before a run."""
        return next((event.what for event in self.events if (event.run, event.where) == (run, "accident")), None)

    @property
    def spoilt(self) -> bool:
        """Whether something is wrong for good, so that the last run may fail."""
        return self.unknown_customer or any(event.lasting for event in self.events)


def draw(connector: str, seed: int, unseen: bool = False) -> History:
    """Draw a history. Without ``unseen`` no row leaves a list in mid-reading where no count would show it."""
    chance = Random(f"{connector} {seed}")
    runs = chance.choice((3, 3, 4))
    xml = connector in HAS_XML and chance.random() < 0.5
    quarantine = chance.random() < 0.5
    details = chance.random() < 0.5
    console = (seed + 4 * CONNECTORS.index(connector)) % CONSOLE_EVERY == 3
    events: list[Event] = []
    for run in range(runs - 1):
        events += _churn(chance, run, connector, unseen)
        if run or chance.random() < 0.75:
            events += _faults(chance, run, connector, xml)
        if details and chance.random() < 0.5:
            events.append(_document(chance, run, connector, quarantine))
        if chance.random() < 0.1:
            events.append(Event(run, "kill", "kill", at=chance.randrange(4, 40)))
    apart = Random(f"accidents of {connector} {seed}")  # so that the rest is what it was before there were any
    for run in range(1, runs):
        if apart.random() < (0.6 if console else 0.2):
            events.append(Event(run, "accident", apart.choice(ACCIDENTS)))
    invoices, size = chance.randrange(61, 72), chance.choice((5, 7, 8))
    for run in range(runs - 1):
        events += _rare(apart, run, connector, -(-invoices // size), unseen)
    return History(
        connector,
        seed,
        runs,
        invoices=invoices,
        size=size,
        xml=xml,
        concurrency=chance.choice((1, 1, 4)),
        quarantine=quarantine,
        details=details,
        console=console,
        unknown_customer=connector == "scansource" and chance.random() < 0.05,
        events=tuple(events),
    )


def _churn(chance: Random, run: int, connector: str, unseen: bool) -> list[Event]:
    deletes = ("delete",) if connector in HAS_COUNT or unseen else ()
    quiet = chance.choices((*CHURN, "delete"), k=chance.randrange(3))
    events = [Event(run, "between", what, part=chance.random()) for what in quiet] if run else []
    for _ in range(chance.choice((0, 0, 1, 1, 2, 3))):
        what = chance.choice((*CHURN, *deletes))
        events.append(Event(run, "list", what, at=chance.randrange(1, 12), part=chance.random()))
    return events


def _rare(chance: Random, run: int, connector: str, pages: int, unseen: bool) -> list[Event]:
    """Draw what few histories have."""
    events: list[Event] = []
    if chance.random() < 0.1:
        events += _restless(chance, run, connector, unseen)
    elif chance.random() < 0.1:
        events += _back_and_forth(chance, run, pages)
    if connector == "ingram-micro" and chance.random() < 0.04:
        events.append(Event(run, "list", "500 inner 404", times=FOREVER))
    return events


def _restless(chance: Random, run: int, connector: str, unseen: bool) -> list[Event]:
    """Draw so much churn that a list moves while it is read a second and a third time."""
    churn = (*CHURN, "delete") if connector in HAS_COUNT or unseen else CHURN
    moments = (chance.randrange(2, 40) for _ in range(chance.randrange(4, 12)))
    return [Event(run, "list", chance.choice(churn), at=at, part=chance.random()) for at in moments]


def _back_and_forth(chance: Random, run: int, pages: int) -> list[Event]:
    """Draw a row that two readings in a row pass over: it moves to and fro between a page of each and one behind it.

    Its moves show, as the row that it changes places with comes twice.
    """
    moments = (chance.uniform(0.65, 0.85), chance.uniform(1.05, 1.3), chance.uniform(1.65, 1.85))
    return [Event(run, "list", "swap", at=round(moment * pages), part=FAR) for moment in moments]


def _faults(chance: Random, run: int, connector: str, xml: bool) -> list[Event]:
    kinds: list[Sequence[str]] = [ENVELOPES, ENVELOPES, STATUSES, PAGES, PAGES, ROWS]
    kinds += [COUNTS, COUNTS] if connector in HAS_COUNT else []
    kinds += [CHARSETS_XML, RENAMED_XML] if xml else [CHARSETS_JSON]
    events = []
    for _ in range(chance.choice((0, 1, 1, 2))):
        what = chance.choice(chance.choice(kinds))
        if connector == "amazon-vendor" and what in ("empty object", "empty page"):
            continue  # by the vendor's model nothing has to be there, so neither can be told from the truth
        once = what in ("429", "503", "401") or (what == "500 inner 404" and connector != "ingram-micro")
        times = 1 if once else chance.choice((1, 1, 2, FOREVER))
        if what == "empty page" and connector not in HAS_COUNT:
            times = min(times, 2)  # where all pages from one on are empty and no count is stated, the list is shorter
        at = 0 if chance.random() < 0.3 else chance.randrange(12)
        events.append(Event(run, "list", what, at, times, chance.random()))
    return events


def _document(chance: Random, run: int, connector: str, quarantine: bool) -> Event:
    what = chance.choice(DOCUMENTS)
    lasting = chance.random() < 0.4 and what not in ("503", "renamed lines") and (quarantine or what not in BAD_RECORDS)
    what = "404 not found" if what == "500 inner 404" and connector != "ingram-micro" else what
    times = 1 if what == "503" else FOREVER
    return Event(run, "document", what, times=times, part=chance.random(), lasting=lasting)
