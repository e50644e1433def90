"""kill -9 of the tap, the target, the run, or all of them at random moments: the next complete run makes all good.

A trial is a sandbox and a database of its own, which keeps the state, or a state file beside it, a few kills, and then
a run that nobody kills. All that is random in it comes from its seed and number, which a failure prints;
VENDORTAP_SEED=… and ``-k`` repeat it.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from tests.conftest import environment, executable
from vendortap.operate import demo
from vendortap.sync import quarantine

if TYPE_CHECKING:
    from tests.conftest import StartVendor, Vendor

SEED = os.environ.get("VENDORTAP_SEED", "1")
KILLS = 3
"""Kills in a trial."""
TRIALS = 5
"""Trials of the usual suite: one of each kind, the first with invoices that do not fit."""
INVOICES = 30
LATENCY_MS = 80
SECONDS, REQUESTS = 3.0, INVOICES + 12
"""About as long as the first run takes, and as many requests as it makes: when to kill at the latest."""
DETAIL = "/scsc/invoice/v1/detail"
BAD = ("40000003", "40000011", "40000012")
"""Numbers of ScanSource's invoices that do not fit, where that is tried."""
VICTIMS = ("tap", "target", "run", "all")
KEPT = ("in a file", "in the database")
"""Where the state is."""
COMMITS = """
import json, sys
from vendortap.operate import run
usual, more = run.duckdb_settings, json.loads(sys.argv.pop(1))
run.duckdb_settings = lambda *given: {**usual(*given), **more}
from vendortap.cli import main
main()
"""
"""`vendortap run` whose DuckDB target has more settings than an operator can give."""

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the children in /proc")


# --- what is true ------------------------------------------------------------------------------------

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Kind:
    """A way of replication: whose, with which settings, and what tells one invoice's state from another's."""

    connector: str
    config: Mapping[str, Any]
    options: Mapping[str, Any]
    table: str
    columns: str
    truth: Callable[[dict[str, Any]], Row]


KINDS: Mapping[str, Kind] = {
    "lists with bookmarks, documents by parent": Kind(
        "scansource",
        {"page_size": 5},
        {},
        "invoice_details",
        '"CustomerNumber", "InvoiceNumber", "Total", "TrackingNumbers"',
        lambda i: (i["CustomerNumber"], i["InvoiceNumber"], i["Total"], i["TrackingNumbers"]),
    ),
    "date windows": Kind(
        "amazon-vendor",
        {"window_days": 2, "end_date": "2026-07-01"},
        {"rate_limit": 0},
        "customer_invoices",
        '"purchaseOrderNumber", "content"',
        lambda i: (i["purchaseOrderNumber"], i["content"]),
    ),
    "looking back": Kind(
        "ingram-micro",
        {"page_size": 10},
        {"calls_per_minute": 0},
        "invoice_details",
        """replace("requestedNumber", '-', ''), "summary"."totals"."invoicedAmountDue\"""",
        lambda i: (i["invoiceNumber"].replace("-", ""), i["summary"]["totals"]["invoicedAmountDue"]),
    ),
    "full lists, documents by a date": Kind(
        "visiblescm",
        {"page_size": 10, "format": "xml"},
        {},
        "invoice_details",
        '"InvoiceRefNumber", "TotalInvoicedAmount"',
        lambda i: (i["InvoiceRefNumber"], i["TotalInvoicedAmount"]),
    ),
    "full lists that repeat themselves": Kind(
        "midnight",
        {"page_size": 10},
        {},
        "invoice_details",
        '"GUID", "TotalBilledAmount"',
        lambda i: (i["GUID"], i["TotalBilledAmount"]),
    ),
}


def plain(value: Any) -> Any:
    """A value as it can be compared and sorted."""
    return str(value.normalize()) if isinstance(value, Decimal) else str(value)


@dataclass
class World:
    """A sandbox, and where its invoices go; those in ``bad`` have a total that is no number."""

    kind: Kind
    vendor: Vendor
    folder: Path
    random: Random
    kept: str
    bad: frozenset[str] = frozenset()
    killed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.database, self.state = self.folder / "invoices.duckdb", self.folder / "state.json"
        self.log, self.temporary = self.folder.parent / "log", self.folder.parent / "tmp"
        self.temporary.mkdir()
        self.quarantine = self.folder.parent / "quarantine"
        kept = {"on_bad_record": "quarantine", "quarantine_dir": str(self.quarantine)} if self.bad else {}
        self.config = self._written("config.json", self.vendor.config(concurrency=2, **self.kind.config, **kept))
        self.ends = (0, 3) if self.bad else (0,)
        if self.bad:
            self.vendor.wire.change[DETAIL] = self._spoiled
        self.commits = False
        self.seconds, self.most = SECONDS, REQUESTS
        self.touched = datetime(2024, 1, 1, tzinfo=UTC)

    def _written(self, name: str, document: Any) -> Path:
        file = self.folder / name
        file.write_text(json.dumps(document), encoding="utf-8")
        return file

    def _spoiled(self, invoice: Any) -> Any:
        return {**invoice, "Total": "none"} if invoice["InvoiceNumber"] in self.bad else invoice

    def change(self) -> None:
        """Let the vendor have more invoices; and other ones, where it says so in its list."""
        self.vendor.state.add(self.random.randrange(1, 6))
        if self.kind.connector == "scansource":
            for invoice in self.random.sample(list(self.vendor.state.invoices()), 3):
                self.touched += timedelta(hours=1)
                self.vendor.state.touch(invoice["InvoiceNumber"], self.touched)

    def start(self) -> subprocess.Popen[bytes]:
        """Begin a run: into a target that commits at every turn, or as most people do."""
        program, into = [executable("vendortap")], ["--to", str(self.database)]
        self.commits = self.random.random() < 0.5
        if self.commits:
            often = {"batch_size_rows": self.random.randrange(1, 20), "max_batch_age_seconds": 0}
            if self.in_file:
                schema = self.kind.connector.replace("-", "_")
                settings = {"path": str(self.database), "default_target_schema": schema, **often}
                target = [
                    executable("target-vendortap-duckdb"),
                    "--config",
                    str(self._written("target.json", settings)),
                ]
                into = ["--target", shlex.join(target)]
            else:
                program = [sys.executable, "-c", COMMITS, json.dumps(often)]
        command = [*program, "run", self.kind.connector, "--config", str(self.config), *into]
        command += ["--state", str(self.state)] if self.in_file else []
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env=environment(TMPDIR=str(self.temporary)),
            )

    def requests(self) -> int:
        return sum(self.vendor.state.requests.values())

    def states(self) -> int:
        """When the state was last written, with the rows where the database keeps it."""
        wal = self.database.with_name(f"{self.database.name}.wal")
        files = [self.state] if self.in_file else [self.database, wal]
        found = 0
        for file in files:
            with suppress(FileNotFoundError):
                found = max(found, file.stat().st_mtime_ns)
        return found

    @property
    def in_file(self) -> bool:
        return self.kept == KEPT[0]


# --- how it is killed --------------------------------------------------------------------------------


def moment(world: World) -> tuple[str, Callable[[], bool]]:
    """Choose when to kill: by the clock, a while after some request, or as soon as a state is written."""
    began, asked, written = time.monotonic(), world.requests(), world.states()
    kind = world.random.choice(("clock", "request", "request", "state" if world.commits else "request"))
    if kind == "clock":
        seconds = world.random.uniform(0, world.seconds)
        return f"{seconds:.2f} s after its start", lambda: time.monotonic() - began >= seconds
    if kind == "state":
        return "when it wrote a state", lambda: world.states() != written
    number, delay = world.random.randrange(world.most) + 1, world.random.choice((0, 0, world.random.random() / 2))
    since: list[float] = []

    def due() -> bool:
        if world.requests() - asked >= number:
            since.append(time.monotonic())
        return bool(since) and time.monotonic() - since[0] >= delay

    return f"{delay:.2f} s after request {number}", due


def children(process: subprocess.Popen[bytes]) -> dict[str, int]:
    """The numbers of the processes of a run, as far as they have begun."""
    found = {"run": process.pid}
    for name in Path(f"/proc/{process.pid}/task").glob("*/children"):
        for child in map(int, name.read_text().split()):
            words = Path(f"/proc/{child}/cmdline").read_bytes()
            if b"vendortap" in words:  # and not what is about to become it
                found["target" if b"duckdb" in words else "tap"] = child
    return found


def kill(process: subprocess.Popen[bytes], victim: str, due: Callable[[], bool]) -> bool:
    """Kill the victim when it is time and it is there; returns whether it came to that before the end."""
    while process.poll() is None:
        if due():
            try:
                found = children(process)
            except OSError:  # it ended in between
                continue
            wanted = ("run", "tap", "target") if victim == "all" else (victim,)
            if all(name in found for name in wanted):
                for name in wanted:
                    os.kill(found[name], signal.SIGKILL)
                return process.wait(60) not in (0, 3)  # else it had ended, and was waited for
        time.sleep(0.002)
    return False


def complete(world: World) -> None:
    """A run that nobody kills, and what has to be true after it."""
    assert world.start().wait(120) in world.ends, world.log.read_text()
    state = world.vendor.state
    good = [invoice for invoice in state.invoices() if invoice.get("InvoiceNumber") not in world.bad]
    truth = [tuple(map(plain, world.kind.truth(invoice))) for invoice in good]
    if world.bad:
        kept = {entry.key["InvoiceNumber"] for entry in quarantine.read(world.quarantine / "scansource.jsonl")}
        assert kept == world.bad
    else:
        counts, totals = demo.held(world.vendor.connector, world.database)
        assert totals == state.totals()
        assert set(counts.values()) == {len(truth)}
    schema = world.kind.connector.replace("-", "_")
    with duckdb.connect(str(world.database), read_only=True) as database:
        rows = database.execute(f"SELECT {world.kind.columns} FROM {schema}.{world.kind.table}").fetchall()
    assert sorted(tuple(map(plain, row)) for row in rows) == sorted(truth), "lost, twice, or not as it is now"
    left = {file.name for file in world.folder.iterdir()}
    state_files = {"state.json"} if world.in_file else set()
    passing = {"target.json", "state.json.previous"}
    if world.commits and world.in_file:  # the target was no database of the run's: it does not look for a lock
        passing.add("invoices.duckdb.lock")
    assert left - passing == {"config.json", "invoices.duckdb"} | state_files


def trial(number: int, sandboxes: StartVendor, folder: Path, kept: str, bad: Sequence[str] = ()) -> None:
    """One trial; everything random in it comes from the seed and its number."""
    random = Random(f"{SEED}:{number}")
    name, kind = list(KINDS.items())[0 if bad else number % len(KINDS)]
    print(f"seed {SEED}, trial {number}: {name}, the state {kept}")  # noqa: T201 - shown where it fails
    vendor = sandboxes(kind.connector, invoices=INVOICES, latency_ms=LATENCY_MS, **kind.options)
    (folder / "world").mkdir()
    world = World(kind, vendor, folder / "world", random, kept, frozenset(bad))
    for turn in range(4 * KILLS):
        if len(world.killed) == KILLS:
            break
        victim = VICTIMS[(number + turn) % len(VICTIMS)]
        began, asked = time.monotonic(), world.requests()
        process = world.start()
        when, due = moment(world)
        killed = kill(process, victim, due)
        assert killed or process.returncode in world.ends, world.log.read_text()
        print(f"  {victim} killed {when}: {process.returncode if killed else 'too late'}")  # noqa: T201 - likewise
        if killed:
            world.killed.append(victim)
        else:  # there is less left to do than before
            world.seconds, world.most = time.monotonic() - began, world.requests() - asked
        world.change()
    complete(world)
    assert len(world.killed) == KILLS, "the moments are chosen too late"


@pytest.mark.promise(
    "After kill -9 at any moment, the next complete run has every invoice once, to the cent",
    figure=f"{KILLS} kills survived",
)
@pytest.mark.parametrize(("number", "kept"), [(number, KEPT[number % 2]) for number in range(1, TRIALS)])
def test_after_kill_9_at_any_moment_the_next_complete_run_has_every_invoice_once_and_exact(
    number: int, kept: str, sandboxes: StartVendor, tmp_path: Path
) -> None:
    """Whatever process of a run is killed, whenever: the next run that ends has every invoice once, to the cent."""
    trial(number, sandboxes, tmp_path, kept)


@pytest.mark.promise(
    "After kill -9 at any moment, every invoice is in the tables or, where it does not fit, in quarantine",
    figure=f"{KILLS} kills survived",
)
@pytest.mark.parametrize("number", [0, *(pytest.param(n, marks=pytest.mark.torture) for n in range(1, 20))])
@pytest.mark.parametrize("kept", KEPT)
def test_after_kill_9_at_any_moment_what_does_not_fit_is_in_quarantine(
    number: int, kept: str, sandboxes: StartVendor, tmp_path: Path
) -> None:
    """The same with a few invoices that do not fit: they are in quarantine, and all others in the tables."""
    trial(number, sandboxes, tmp_path, kept, BAD)


@pytest.mark.promise(
    "After kill -9 at any moment, the next complete run has every invoice once, to the cent",
    figure=f"{KILLS} kills survived",
)
@pytest.mark.torture
@pytest.mark.parametrize("number", range(100))
def test_after_300_kills_too(number: int, sandboxes: StartVendor, tmp_path: Path) -> None:
    """The full form of the above."""
    trial(number, sandboxes, tmp_path, KEPT[number // len(VICTIMS) % 2])
