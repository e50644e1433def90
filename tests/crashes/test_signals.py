"""SIGTERM and Ctrl-C: whatever a run waits for, it ends within two seconds, and its state is written."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import duckdb
import pytest

from tests.conftest import environment, executable
from vendortap.duckdb import states
from vendortap.operate import run
from vendortap.plugins import host
from vendortap.sandbox import serve
from vendortap.singer.tap import tap_class

if TYPE_CHECKING:
    from tests.conftest import Files

SECONDS = 2.0
STILL_SECONDS = 0.4
"""A tap that has asked for nothing for so long waits."""
ATTEMPTS = 3
"""A machine that is busy with other things makes an end later, never sooner: one of so many has to be in time."""
INVOICES = 20
SIGNALS = (signal.SIGTERM, signal.SIGINT)
SUMMARY, DETAIL, TOKEN = "/scsc/invoice/v1/summary", "/scsc/invoice/v1/detail", "oauth2/v2.0/token"


class Vendor:
    """A sandbox that stops answering: requests to a path hang, or are put off for a minute.

    It does so once so many documents have been asked for.
    """

    def __init__(self, path: str = "", documents: int = 0, *, asks_to_wait: bool = False) -> None:
        self.app = serve.application(host.load("scansource"), invoices=INVOICES)
        self.path, self.documents, self.asks_to_wait = path, documents, asks_to_wait
        self.arrived = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.arrived += 1
        meant = self.path and scope["path"].endswith(self.path)
        if meant and self.app.state.requests["detail"] >= self.documents:
            if not self.asks_to_wait:
                with suppress(asyncio.CancelledError):  # the server is stopped
                    await asyncio.sleep(3600)
                return
            self.app.state.fail(1, 503, {"Retry-After": "60"})
        await self.app(scope, receive, send)

    def waited_for(self) -> Callable[[], bool]:
        """Return what says whether something has arrived, and then nothing more: the tap waits."""
        last, since = 0, time.monotonic()

        def waiting() -> bool:
            nonlocal last, since
            if self.arrived != last:
                last, since = self.arrived, time.monotonic()
            return last > 0 and time.monotonic() - since > STILL_SECONDS

        return waiting


@dataclass(frozen=True)
class Situation:
    """What a tap waits for: a vendor, settings, and whether records have been handed on by then."""

    make: Callable[[], Vendor]
    config: Mapping[str, Any] = field(default_factory=dict)
    records: bool = True


SITUATIONS = {
    "a token that does not come": Situation(lambda: Vendor(TOKEN), records=False),
    "a list that documents come from": Situation(lambda: Vendor(SUMMARY), records=False),
    "documents that hang": Situation(lambda: Vendor(DETAIL, 8)),
    "a list that hangs": Situation(lambda: Vendor(SUMMARY, 8)),
    "the rate limit": Situation(Vendor, {"requests_per_second": 0.01, "burst": 15}),
    "a vendor that asks to wait": Situation(lambda: Vendor(DETAIL, 8, asks_to_wait=True)),
}


def config(url: str, situation: Situation) -> dict[str, Any]:
    return {**serve.settings(host.load("scansource"), url), "concurrency": 2, **situation.config}


def check(written: Sequence[Any], situation: Situation) -> None:
    """What a tap has written is whole, and the last STATE covers all records but at most one a thread."""
    bookmarks = [m["value"] for m in written if m["type"] == "STATE"][-1].get("bookmarks", {})
    documents = [m["record"] for m in written if m["type"] == "RECORD" and m["stream"] == "invoice_details"]
    assert bool(documents) == situation.records
    if documents:
        last = documents[-1]["CustomerNumber"]
        part = bookmarks["invoice_details"]["partitions"][f"customer_number={last}"]
        covered = datetime.fromisoformat(part["replication_key_value"])
        newest = [datetime.fromisoformat(r["LastChanged"]) for r in documents[-2:] if r["CustomerNumber"] == last]
        assert covered in newest


def in_time(attempt: Callable[[], float]) -> None:
    """One attempt of a few has to be in time."""
    took = [attempt()]
    while took[-1] >= SECONDS:
        assert len(took) < ATTEMPTS, f"it took {took} s"
        took.append(attempt())


# --- the tap, in this process ------------------------------------------------------------------------


def messages(written: bytes) -> list[Any]:
    assert written.endswith(b"\n"), "a line was cut"
    return [json.loads(line) for line in written.splitlines()]


@contextmanager
def signalled(due: Callable[[], bool], number: signal.Signals) -> Iterator[list[float]]:
    """Send this process a signal once it is due; says when."""
    at: list[float] = []
    over = threading.Event()

    def send() -> None:
        while not over.wait(0.01):
            if due():
                at.append(time.monotonic())
                os.kill(os.getpid(), number)
                return

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield at
    finally:
        over.set()
        thread.join()


def ended_tap(situation: Situation, number: signal.Signals) -> tuple[float, list[Any]]:
    """A tap that is told to end while it waits: how long that took, and what it wrote."""
    vendor = situation.make()
    written = io.BytesIO()
    with serve.serving(vendor) as served, redirect_stdout(io.TextIOWrapper(written, write_through=True)) as text:
        tap = tap_class(host.load("scansource"))(config=config(served.url, situation))
        with signalled(vendor.waited_for(), number) as at, pytest.raises(SystemExit) as ended:
            tap.sync_all()
        took = time.monotonic() - at[0]
        tap.client._stop.set()  # in a process of their own, the threads would have ended with it
        text.flush()
    assert ended.value.code == 128 + number
    return took, messages(written.getvalue())


@pytest.mark.promise("SIGTERM and Ctrl-C end a tap within two seconds, with its state written", figure="1 ends in time")
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("name", SITUATIONS)
def test_a_tap_ends_within_two_seconds_with_its_state_whatever_it_waits_for(name: str, number: signal.Signals) -> None:
    """A tap that is told to end does so within two seconds; its last STATE covers its records, and no line is cut."""

    def attempt() -> float:
        took, written = ended_tap(SITUATIONS[name], number)
        check(written, SITUATIONS[name])
        return took

    in_time(attempt)


# --- whole processes ---------------------------------------------------------------------------------


def signalled_group(
    command: Sequence[str], number: signal.Signals, due: Callable[[], bool], stdout: IO[bytes] | int
) -> tuple[float, int]:
    """A command in a process group of its own, all of which gets the signal, as from a terminal; its exit code."""
    with subprocess.Popen(
        command, stdout=stdout, stderr=subprocess.PIPE, env=environment(), start_new_session=True
    ) as process:
        while not due():
            assert process.poll() is None
            time.sleep(0.01)
        began = time.monotonic()
        os.killpg(process.pid, number)
        _, errors = process.communicate(timeout=30)
        took = time.monotonic() - began
    assert b"Traceback" not in errors, errors.decode()
    return took, process.returncode


@pytest.mark.promise("SIGTERM and Ctrl-C end a tap within two seconds, with its state written", figure="1 ends in time")
def test_ctrl_c_ends_the_command_of_a_tap_within_two_seconds(tmp_path: Path, file: Files) -> None:
    """The same of a tap as a command, which is in the backoff of a request when Ctrl-C comes."""
    situation = SITUATIONS["a vendor that asks to wait"]

    def attempt() -> float:
        vendor = situation.make()
        with serve.serving(vendor) as served, (tmp_path / "written").open("w+b") as stdout:
            command = [executable("tap-scansource"), "--config", file(config(served.url, situation))]
            took, code = signalled_group(command, signal.SIGINT, vendor.waited_for(), stdout)
            assert code == 128 + signal.SIGINT
            stdout.seek(0)
            check(messages(stdout.read()), situation)
        return took

    in_time(attempt)


@pytest.mark.parametrize(
    ("name", "number"), [("documents that hang", signal.SIGINT), ("the rate limit", signal.SIGTERM)]
)
@pytest.mark.parametrize("in_file", [True, False], ids=["in a file", "in the database"])
@pytest.mark.promise(
    "SIGTERM and Ctrl-C end `vendortap run` within two seconds, with state and rows kept", figure="1 ends in time"
)
def test_a_run_ends_within_two_seconds_with_everything_kept_that_it_had(
    name: str, number: signal.Signals, in_file: bool, tmp_path: Path, file: Files
) -> None:
    """A run that is told to end does so within two seconds; its target has committed, and the state is kept."""
    situation, folder = SITUATIONS[name], tmp_path / "run"

    def attempt() -> float:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        database, state = folder / "invoices.duckdb", folder / "state.json"
        vendor = situation.make()
        with serve.serving(vendor) as served:
            command = [executable("vendortap"), "run", "scansource", "--config", file(config(served.url, situation))]
            command += ["--to", str(database), *(["--state", str(state)] if in_file else [])]
            took, code = signalled_group(command, number, vendor.waited_for(), subprocess.DEVNULL)
        assert code == 128 + number
        text = state.read_text() if in_file else states.history(database)[0].state
        kept = json.loads(text)["bookmarks"]["invoice_details"]["partitions"]
        marks = [part["replication_key_value"] for part in kept.values() if part["replication_key_value"]]
        newest = max(datetime.fromisoformat(mark) for mark in marks)
        with duckdb.connect(str(database), read_only=True) as connection:
            count, latest = connection.execute(
                'SELECT count(*), max(epoch_us("LastChanged")) FROM scansource.invoice_details'
            ).fetchall()[0]
        assert 0 < count < INVOICES
        assert latest >= newest.timestamp() * 1e6
        left = ["invoices.duckdb", *(["state.json"] if in_file else [])]
        assert sorted(path.name for path in folder.iterdir()) == left
        return took

    in_time(attempt)


def test_a_run_never_waits_longer_than_two_seconds_for_those_who_do_not_listen() -> None:
    """What a run gives its tap and its target to end by themselves, before it kills them, is less than that."""
    assert run.GRACE_SECONDS < run.STOP_SECONDS
    assert run.STOP_SECONDS + run.LAST_SECONDS < SECONDS
