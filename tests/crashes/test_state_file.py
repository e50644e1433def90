"""The state file of real runs: broken, missing, in use, of an older version, and left behind by a kill -9."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import environment, executable
from vendortap.sync.state import STATE_VERSION, previous

if TYPE_CHECKING:
    from tests.conftest import Files, RunTap, StartVendor, Vendor, Warehouse

REPORTED = {
    "bytes",
    "drift",
    "error",
    "final",
    "latencies",
    "open",
    "requests",
    "retries",
    "seconds",
    "streams",
    "waited_seconds",
    "waiting",
}
"""What a report says: counts, see vendortap.singer.progress_file."""


def totals(warehouse: Warehouse) -> dict[str, Any]:
    query = "SELECT Currency, count(*), sum(Total) FROM scansource.invoice_details GROUP BY ALL"
    return {currency: (count, total) for currency, count, total in warehouse.query(query)}


def command(warehouse: Warehouse, config: str, *, file: bool = True) -> list[str]:
    into = ["--to", str(warehouse.path), *(["--state", str(warehouse.state)] if file else [])]
    return [executable("vendortap"), "run", "scansource", "--config", config, *into]


def run(warehouse: Warehouse, config: str, *, file: bool = True) -> subprocess.CompletedProcess[str]:
    """`vendortap run` to its end, with a state file or without."""
    done = subprocess.run(
        command(warehouse, config, file=file),
        capture_output=True,
        text=True,
        env=environment(),
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.promise("A broken state file is refused, with the way back to the state before")
def test_a_state_file_that_was_cut_in_half_stops_the_run_and_the_way_back_leads_on(
    start: StartVendor, warehouse: Warehouse, file: Files
) -> None:
    """The run asks for nothing and changes nothing; to copy the previous state back, as it says, loses nothing."""
    vendor = start(invoices=30)
    config = file(vendor.config())
    assert run(warehouse, config).returncode == 0
    whole = warehouse.state.read_bytes()
    previous(warehouse.state).write_bytes(whole)  # as the next run would leave it, once it had something new
    vendor.state.add(5)
    half = whole[: len(whole) // 2]
    warehouse.state.write_bytes(half)
    asked = sum(vendor.state.requests.values())

    refused = run(warehouse, config)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith(f"vendortap: error: the state file {warehouse.state} is not JSON (line 1, column")
    assert f"The last run began from {previous(warehouse.state)}: copy that to {warehouse.state} to" in refused.stderr
    assert (warehouse.state.read_bytes(), sum(vendor.state.requests.values())) == (half, asked)

    previous(warehouse.state).replace(warehouse.state)  # "copy that to …"
    details = vendor.state.requests["detail"]
    assert run(warehouse, config).returncode == 0
    assert vendor.state.requests["detail"] - details == 5, "what was known is not fetched again"
    assert totals(warehouse) == vendor.state.totals()
    assert previous(warehouse.state).read_bytes() == whole


def test_a_tap_refuses_a_broken_state_too_and_knows_the_previous_one(
    vendor: Vendor, tmp_path: Path, tap: RunTap
) -> None:
    """The tap alone ends with 2 before it has asked for anything."""
    state = tmp_path / "state.json"
    state.write_bytes(b"\xff\xfe\0")
    previous(state).write_text('{"version": 1, "bookmarks": {}}')
    done = tap(vendor.config(), "--state", str(state))
    assert (done.code, done.stdout) == (2, b"")
    assert "tap-scansource: error: tap-scansource: the state" in done.complaint
    assert f"The last run began from {previous(state)}: copy that" in done.complaint
    assert done.complaint.endswith(
        "Give the state that the last run wrote; without --state everything is fetched again"
    )


def test_a_missing_state_file_is_said_where_there_was_one_before(
    start: StartVendor, tmp_path: Path, file: Files
) -> None:
    """Everything is fetched then, which loses nothing, but not in silence."""
    state, target = tmp_path / "state.json", shlex.join([sys.executable, "-c", "import sys; sys.stdin.read()"])
    previous(state).write_text('{"version": 1, "bookmarks": {}}')
    words = ["run", "scansource", "--config", file(start(invoices=3).config()), "--state", str(state)]
    done = subprocess.run(
        [executable("vendortap"), *words, "--target", target],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"there is no state file {state}, so everything is fetched. The last run began from" in done.stderr


@pytest.mark.promise("A second run on the same state file is refused, until the first has ended or is killed")
@pytest.mark.promise("A second run into the same database is refused, until the first has ended or is killed")
@pytest.mark.promise("kill -9 of `vendortap run` leaves no process behind, and no invoice outside the target")
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the children in /proc")
@pytest.mark.parametrize("kept", ["in a file", "in the database"])
def test_a_second_run_on_the_same_state_is_refused_until_the_first_is_dead(
    start: StartVendor, warehouse: Warehouse, file: Files, tmp_path: Path, kept: str
) -> None:
    """The second ends with 1 and names the first; when that is killed, its children end, and the next one goes on.

    What the killed run leaves in the folder for temporary files says nothing of invoices.
    """
    in_file = kept == "in a file"
    what = f"the state file {warehouse.state}" if in_file else f"the database {warehouse.path}"
    vendor = start(invoices=100, latency_ms=200)
    config, slow = file(vendor.config(concurrency=32)), file(vendor.config(concurrency=1))
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with subprocess.Popen(
        command(warehouse, slow, file=in_file), stdout=subprocess.DEVNULL, env=environment(TMPDIR=str(temporary))
    ) as first:
        while vendor.state.requests["detail"] < 2:
            assert first.poll() is None
            time.sleep(0.01)
        second = run(warehouse, config, file=in_file)
        children = Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split()
        assert len(children) == 2, "the first goes on"
        first.kill()
    assert (second.returncode, second.stdout) == (1, "")
    assert second.stderr == (
        f"vendortap: error: {what} is in use by another run (process {first.pid}); wait for its end\n"
    )
    assert run(warehouse, config, file=in_file).returncode == 0
    assert totals(warehouse) == vendor.state.totals()
    assert sorted(path.name for path in warehouse.folder.iterdir() if "state.json" not in path.name) == [
        "warehouse.duckdb"
    ]
    assert not warehouse.state.with_name(f"{warehouse.state.name}.lock").exists()

    assert not any(map(lives, map(int, children))), "the next run had to wait for them"
    left = {path.name: path for path in temporary.rglob("*") if path.is_file()}
    assert left.keys() <= {"report.json", "target.json"}
    for name, path in left.items():
        assert path.parent.stat().st_mode & 0o077 == 0
        allowed = {"path", "default_target_schema", "state_of"} if name == "target.json" else REPORTED
        assert json.loads(path.read_text()).keys() <= allowed


def lives(process: int) -> bool:
    """Whether a process still runs; one that only waits to be noticed by init does not."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.promise("A state of an older version is migrated, one of a newer version refused")
def test_a_tap_goes_on_from_a_state_of_before_there_were_versions(start: StartVendor) -> None:
    """Nothing is fetched twice, and the state that comes out has today's version."""
    vendor = start(invoices=30)
    state = vendor.read().state
    del state["version"]
    for entry in state["bookmarks"].values():
        for part in entry["partitions"].values():
            del part["seen"]
    vendor.state.add(3)
    again = vendor.read(state=state)
    assert len(again.records("invoice_details")) <= 5, "with one a customer that 'seen' would have named"
    assert again.state["version"] == STATE_VERSION
