"""kill -9 of the tap, the target, the run, or all of them at random moments: the next complete run makes all good.

A trial is a sandbox, a database and a state file of its own, a few kills, and then a run that nobody kills. All that
is random in it comes from its seed and number, which a failure prints; VENDORTAP_SEED=… and ``-k`` repeat it.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from tests.conftest import environment, executable
from vendortap import demo

if TYPE_CHECKING:
    from tests.conftest import StartVendor, Vendor

SEED = os.environ.get("VENDORTAP_SEED", "1")
KILLS = 3
"""Kills in a trial."""
TRIALS = 5
"""Trials of the usual suite: one of each kind."""
INVOICES = 30
LATENCY_MS = 80
SECONDS, REQUESTS = 3.0, INVOICES + 12
"""About as long as the first run takes, and as many requests as it makes: when to kill at the latest."""
VICTIMS = ("tap", "target", "run", "all")

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the children in /proc")


# --- what is true ------------------------------------------------------------------------------------

Row = tuple[Any, ...]
Trials = Callable[[int], None]


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
    """A sandbox, and where its invoices go."""

    kind: Kind
    vendor: Vendor
    folder: Path
    random: Random
    killed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.database, self.state = self.folder / "invoices.duckdb", self.folder / "state.json"
        self.log, self.temporary = self.folder.parent / "log", self.folder.parent / "tmp"
        self.temporary.mkdir()
        config = self.vendor.config(concurrency=2, **self.kind.config)
        self.config = self._written("config.json", config)
        self.commits = False
        self.seconds, self.most = SECONDS, REQUESTS
        self.touched = datetime(2024, 1, 1, tzinfo=timezone.utc)

    def _written(self, name: str, document: Any) -> Path:
        file = self.folder / name
        file.write_text(json.dumps(document), encoding="utf-8")
        return file

    def change(self) -> None:
        """Let the vendor have more invoices; and other ones, where it says so in its list."""
        self.vendor.state.add(self.random.randrange(1, 6))
        if self.kind.connector == "scansource":
            for invoice in self.random.sample(list(self.vendor.state.invoices()), 3):
                self.touched += timedelta(hours=1)
                self.vendor.state.touch(invoice["InvoiceNumber"], self.touched)

    def start(self) -> subprocess.Popen[bytes]:
        """Begin a run: into a target that commits at every turn, or as most people do."""
        into = ["--to", str(self.database)]
        self.commits = self.random.random() < 0.5
        if self.commits:
            settings = {
                "path": str(self.database),
                "default_target_schema": self.kind.connector.replace("-", "_"),
                "batch_size_rows": self.random.randrange(1, 20),
                "max_batch_age_seconds": 0,
            }
            command = [executable("target-vendortap-duckdb"), "--config", str(self._written("target.json", settings))]
            into = ["--target", shlex.join(command)]
        command = [executable("vendortap"), "run", self.kind.connector]
        command += ["--config", str(self.config), "--state", str(self.state), *into]
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
        """When the state file was last written."""
        return self.state.stat().st_mtime_ns if self.state.exists() else 0


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
                return process.wait(60) != 0  # 0: it had ended, and was waited for
        time.sleep(0.002)
    return False


def complete(world: World) -> None:
    """A run that nobody kills, and what has to be true after it."""
    assert world.start().wait(120) == 0, world.log.read_text()
    state = world.vendor.state
    counts, totals = demo.held(world.vendor.connector, world.database)
    assert totals == state.totals()
    truth = [tuple(map(plain, world.kind.truth(invoice))) for invoice in state.invoices()]
    assert set(counts.values()) == {len(truth)}
    schema = world.kind.connector.replace("-", "_")
    with duckdb.connect(str(world.database), read_only=True) as database:
        rows = database.execute(f"SELECT {world.kind.columns} FROM {schema}.{world.kind.table}").fetchall()
    assert sorted(tuple(map(plain, row)) for row in rows) == sorted(truth), "lost, twice, or not as it is now"
    left = {file.name for file in world.folder.iterdir()}
    assert left - {"target.json", "state.json.previous"} == {"config.json", "invoices.duckdb", "state.json"}


def trial(number: int, sandboxes: StartVendor, folder: Path) -> World:
    """One trial; everything random in it comes from the seed and its number."""
    random = Random(f"{SEED}:{number}")
    name, kind = list(KINDS.items())[number % len(KINDS)]
    print(f"seed {SEED}, trial {number}: {name}")  # noqa: T201 - shown where it fails
    vendor = sandboxes(kind.connector, invoices=INVOICES, latency_ms=LATENCY_MS, **kind.options)
    (folder / "world").mkdir()
    world = World(kind, vendor, folder / "world", random)
    for turn in range(4 * KILLS):
        if len(world.killed) == KILLS:
            break
        victim = VICTIMS[(number + turn) % len(VICTIMS)]
        began, asked = time.monotonic(), world.requests()
        process = world.start()
        when, due = moment(world)
        killed = kill(process, victim, due)
        assert killed or process.returncode == 0, world.log.read_text()
        print(f"  {victim} killed {when}: {process.returncode if killed else 'too late'}")  # noqa: T201 - likewise
        if killed:
            world.killed.append(victim)
        else:  # there is less left to do than before
            world.seconds, world.most = time.monotonic() - began, world.requests() - asked
        world.change()
    complete(world)
    return world


@pytest.fixture
def trials(sandboxes: StartVendor, tmp_path: Path) -> Trials:
    """Makes a trial."""

    def make(number: int) -> None:
        world = trial(number, sandboxes, tmp_path)
        assert len(world.killed) == KILLS, "the moments are chosen too late"

    return make


@pytest.mark.promise(
    "After kill -9 at any moment, the next complete run has every invoice once, to the cent",
    figure=f"{KILLS} kills survived",
)
@pytest.mark.parametrize("number", range(TRIALS))
def test_after_kill_9_at_any_moment_the_next_complete_run_has_every_invoice_once_and_exact(
    number: int, trials: Trials
) -> None:
    """Whatever process of a run is killed, whenever: the next run that ends has every invoice once, to the cent."""
    trials(number)


@pytest.mark.promise(
    "After kill -9 at any moment, the next complete run has every invoice once, to the cent",
    figure=f"{KILLS} kills survived",
)
@pytest.mark.torture
@pytest.mark.parametrize("number", range(100))
def test_after_300_kills_too(number: int, trials: Trials) -> None:
    """The full form of the above."""
    trials(number)
