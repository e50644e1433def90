"""Runs: real taps against a sandbox, into targets that behave and targets that do not."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tap_scansource import SCANSOURCE
from vendortap.errors import ConfigError, StateError
from vendortap.operate import run
from vendortap.operate.run import Job, Outcome
from vendortap.sandbox import serve
from vendortap.singer import progress_file
from vendortap.singer.progress_file import Report

INVOICES = 40
READ_ALL = "import sys; lines = sys.stdin.read().splitlines(); "
QUIET = {"LOGLEVEL": "ERROR"}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[serve.Served]:
    with serve.serving(serve.application(SCANSOURCE, invoices=INVOICES, seed=1, latency_ms=0, rate=0)) as served:
        yield served


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    yield
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def configured(folder: Path, sandbox: serve.Served, **changes: Any) -> list[str]:
    config = folder / "config.json"
    config.write_text(json.dumps({**serve.settings(SCANSOURCE, sandbox.url), **changes}))
    return [str(config)]


def into(program: str, folder: Path, sandbox: serve.Served, **options: Any) -> Outcome:
    """Run the tap into a target that is a Python program."""
    target = [sys.executable, "-c", program]
    return run.run(Job("scansource", configured(folder, sandbox), target, environment=QUIET, **options))


def gone(pid: int) -> bool:
    """Whether a process has ended (and been reaped) within a moment: a grandchild is reaped by init."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{pid}/stat").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
            return True  # nobody reaps it here, but it runs no more
        time.sleep(0.02)
    return False


# --- outcome -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tap", "target", "unread", "still_open", "code", "problem"),
    [
        (0, 0, False, 0, 0, None),
        (0, 0, False, 2, 3, None),
        (1, 0, False, 2, 1, "the tap failed with exit code 1; its message is above"),
        (2, 0, False, 0, 2, None),
        (2, 1, False, 0, 2, None),
        (0, 2, False, 0, 1, "the target failed with exit code 2; its message is above"),
        (1, 1, True, 0, 1, "the target failed with exit code 1; its message is above"),
        (0, 0, True, 0, 1, "the target ended before it had read everything"),
        (-15, 0, True, 0, 1, "the target ended before it had read everything"),
        (0, -9, False, 0, 1, "the target was ended by SIGKILL"),
    ],
)
def test_how_a_run_ended(tap: int, target: int, unread: bool, still_open: int, code: int, problem: str | None) -> None:
    invoices = {"missing": 1, "quarantined": 0, "conflicting": 0}
    found = {"open": still_open + 3, "acknowledged": 3, "oldest": "2025-01-01T00:00:00+00:00"}
    outcome = Outcome(tap, target, unread, {"streams": {"invoices": invoices}, "open": found})
    assert (outcome.exit_code, outcome.problem) == (code, problem)


def test_keys_that_several_records_have_are_told_by_the_exit_code() -> None:
    invoices = {"missing": 0, "quarantined": 0, "conflicting": 2}
    assert Outcome(0, 0, False, {"streams": {"invoices": invoices}}).exit_code == 3


def test_a_run_reports_streams_requests_and_the_end(tmp_path: Path, sandbox: serve.Served) -> None:
    seen: list[Report] = []
    job = Job("scansource", configured(tmp_path, sandbox), [sys.executable, "-c", READ_ALL], environment=QUIET)
    outcome = run.run(job, watch=seen.append)
    assert outcome.exit_code == 0
    assert outcome.report["final"] is True
    assert {name: stream["records"] for name, stream in outcome.report["streams"].items()} == {
        "invoices": INVOICES,
        "invoice_details": INVOICES,
    }
    assert outcome.report["requests"] >= INVOICES
    assert seen[-1] == outcome.report


# --- state -------------------------------------------------------------------------------------------

NOISE = """
print("loading ...")
print("{half")
print('{"type": "RECORD", "stream": "invoices", "record": {}}')
print('{"bookmarks": 7}')
print('[{"bookmarks": {}}]')
"""


@pytest.mark.promise("The state kept is the last that the target handed back")
def test_the_state_kept_is_the_last_that_the_target_handed_back(tmp_path: Path, sandbox: serve.Served) -> None:
    state = tmp_path / "state.json"
    first, last = '{"bookmarks": {"a": 1}}', '{"bookmarks": {"a": 2}, "version": 1}'
    outcome = into(READ_ALL + NOISE + f"print({first!r})\nprint({last!r})" + NOISE, tmp_path, sandbox, state=state)
    assert outcome.exit_code == 0
    assert json.loads(state.read_text()) == json.loads(last)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["config.json", "state.json"]


@pytest.mark.promise("The state kept is the last that the target handed back")
def test_what_only_the_tap_wrote_is_not_kept(tmp_path: Path, sandbox: serve.Served) -> None:
    state = tmp_path / "state.json"
    before = '{"bookmarks": {}, "version": 1}'
    state.write_text(before)
    echo = READ_ALL + "print('\\n'.join(lines))"
    assert any('"STATE"' in line for line in _lines(echo, tmp_path, sandbox))
    assert into(echo, tmp_path, sandbox, state=state).exit_code == 0
    assert state.read_text() == before


def _lines(echo: str, folder: Path, sandbox: serve.Served) -> list[str]:
    copy = folder / "copy"
    into(echo + f"; open({str(copy)!r}, 'w').write('\\n'.join(lines))", folder, sandbox)
    return copy.read_text().splitlines()


def test_a_state_that_cannot_be_written_is_an_error(tmp_path: Path, sandbox: serve.Served) -> None:
    state = tmp_path / "none" / "state.json"
    program = READ_ALL + """print('{"bookmarks": {}}')"""
    with pytest.raises(StateError, match=r"state.json cannot be written: No such file or directory"):
        into(program, tmp_path, sandbox, state=state)


# --- targets that do not behave ----------------------------------------------------------------------


@pytest.mark.promise("A target that fails or stops reading is never a success")
@pytest.mark.parametrize(
    ("program", "problem"),
    [
        ("", "the target ended before it had read everything"),
        ("import sys; sys.stdin.readline()", "the target ended before it had read everything"),
        ("import sys; sys.exit(3)", "the target failed with exit code 3; its message is above"),
        ("import sys; sys.stdin.readline(); sys.exit(4)", "the target failed with exit code 4; its message is above"),
        ("import os; os.kill(os.getpid(), 9)", "the target was ended by SIGKILL"),
        (READ_ALL + "sys.exit(5)", "the target failed with exit code 5; its message is above"),
    ],
)
def test_a_target_that_fails_or_stops_reading_is_never_a_success(
    program: str, problem: str, tmp_path: Path, sandbox: serve.Served
) -> None:
    outcome = into(program, tmp_path, sandbox)
    assert outcome.problem == problem
    assert outcome.exit_code == 1


def test_a_target_that_cannot_be_started_is_a_usage_error(tmp_path: Path, sandbox: serve.Served) -> None:
    job = Job("scansource", configured(tmp_path, sandbox), [str(tmp_path / "no-target")])
    with pytest.raises(ConfigError, match="no-target' cannot be started: No such file or directory"):
        run.run(job)


def test_a_target_is_not_told_where_the_tap_reports(tmp_path: Path, sandbox: serve.Served) -> None:
    told = tmp_path / "told"
    program = READ_ALL + f"import os; open({str(told)!r}, 'w').write(str({progress_file.ENVIRONMENT!r} in os.environ))"
    assert into(program, tmp_path, sandbox).exit_code == 0
    assert told.read_text() == "False"


@pytest.mark.parametrize("command", ["", "  ", "target 'unclosed"])
def test_a_target_command_has_to_be_one(command: str) -> None:
    with pytest.raises(ConfigError, match="the target command"):
        run.target_command(command)


def test_a_target_command_is_split_as_a_shell_does() -> None:
    assert run.target_command("target-x --config 'my file.json'") == ["target-x", "--config", "my file.json"]


# --- interruption ------------------------------------------------------------------------------------


class _Interruption:
    """Interrupts a run as Ctrl-C does once a condition holds; knows when."""

    def __init__(self, condition: Any) -> None:
        self.condition = condition
        self.at = 0.0

    def __call__(self, _: Report) -> None:
        if self.condition():
            self.at = time.monotonic()
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    "program",
    [
        "sleep 60",
        "trap '' TERM INT; sleep 60; sleep 60",
        "cat >/dev/null; sleep 60",
    ],
    ids=["never reads", "takes no hint", "does not end"],
)
def test_an_interrupted_run_ends_whatever_the_target_does(program: str, tmp_path: Path, sandbox: serve.Served) -> None:
    pid = tmp_path / "pid"
    target = ["sh", "-c", f"(echo $$ > {shlex.quote(str(pid))}); {program}"]
    interruption = _Interruption(lambda: pid.exists() and pid.read_text().endswith("\n"))
    with pytest.raises(KeyboardInterrupt):
        run.run(Job("scansource", configured(tmp_path, sandbox), target, environment=QUIET), interruption)
    assert time.monotonic() - interruption.at < 3 * run.GRACE_SECONDS + 1.5
    assert gone(int(pid.read_text()))


def test_the_children_of_a_target_are_ended_too(tmp_path: Path, sandbox: serve.Served) -> None:
    pid = tmp_path / "pid"
    target = ["sh", "-c", f"sleep 60 & echo $! > {shlex.quote(str(pid))}; wait"]
    interruption = _Interruption(lambda: pid.exists() and pid.read_text().endswith("\n"))
    with pytest.raises(KeyboardInterrupt):
        run.run(Job("scansource", configured(tmp_path, sandbox), target, environment=QUIET), interruption)
    assert gone(int(pid.read_text()))


@pytest.mark.promise("An interrupted run keeps what it has, and the next one completes it")
def test_an_interrupted_run_keeps_what_it_has_and_the_next_completes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A slow machine may still be starting the target when the usual time is over; that it is short, others test.
    monkeypatch.setattr(run, "GRACE_SECONDS", 30)
    monkeypatch.setattr(run, "STOP_SECONDS", 60)
    database, state = tmp_path / "invoices.duckdb", tmp_path / "state.json"
    app = serve.application(SCANSOURCE, invoices=80, seed=1, latency_ms=100, rate=0)
    with serve.serving(app) as served, run.duckdb_command("scansource", database) as command:
        job = Job("scansource", configured(tmp_path, served), command, state, environment=QUIET)
        with pytest.raises(KeyboardInterrupt):
            run.run(job, _Interruption(lambda: app.state.requests["detail"] >= 24))
        bookmarks = json.loads(state.read_text())["bookmarks"]
        assert bookmarks["invoice_details"]
        kept = _count(database)
        assert 0 < kept < 80
        asked = -1
        while asked != app.state.requests["detail"]:  # what was under way at the end still arrives
            asked = app.state.requests["detail"]
            time.sleep(0.3)
        app.state.requests.clear()
        assert run.run(job).exit_code == 0
        # the tap may be told to end behind a record and before the bookmark that covers it: that one comes twice
        assert app.state.requests["detail"] <= 80 - kept + 1
    assert _count(database) == 80


def _count(database: Path) -> int:
    with duckdb.connect(str(database), read_only=True) as connection:
        [(count,)] = connection.execute("SELECT count(*) FROM scansource.invoice_details").fetchall()
    return int(count)


# --- surroundings ------------------------------------------------------------------------------------


def test_messages_of_tap_and_target_go_to_the_log_line_by_line(tmp_path: Path, sandbox: serve.Served) -> None:
    lines: list[str] = []
    target = [sys.executable, "-c", READ_ALL + "print('target: two\\ntarget: lines', file=sys.stderr)"]
    configs = configured(tmp_path, sandbox, customer_numbers=[])
    outcome = run.run(Job("scansource", configs, target, environment=QUIET), log=lambda _, line: lines.append(line))
    assert outcome.exit_code == 2
    assert {"target: two", "target: lines"} < set(lines)
    assert any(line.startswith("tap-scansource: error: ") and "customer_numbers" in line for line in lines)


def test_a_report_that_cannot_be_written_does_not_stop_the_tap(tmp_path: Path, sandbox: serve.Served) -> None:
    command = [sys.executable, "-m", "vendortap.singer", "scansource", "--config", *configured(tmp_path, sandbox)]
    environment = {**os.environ, **QUIET, progress_file.ENVIRONMENT: str(tmp_path / "none" / "report.json")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"type":"RECORD"') == 2 * INVOICES


@pytest.mark.promise("What another user plants in a shared folder is neither followed, truncated nor believed")
def test_a_report_goes_through_no_link_that_somebody_could_foresee(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    (tmp_path / "report.json.new").symlink_to(victim)
    monkeypatch.setenv(progress_file.ENVIRONMENT, str(tmp_path / "report.json"))
    progress_file.write({"final": True})
    assert progress_file.read(tmp_path / "report.json") == {"final": True}
    assert victim.read_text() == "kept"


def test_a_report_that_is_half_there_reads_as_none(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    assert progress_file.read(file) == {}
    file.write_text('{"final": tr')
    assert progress_file.read(file) == {}


def test_modules_of_the_current_folder_do_not_stand_in_for_installed_ones(
    tmp_path: Path, sandbox: serve.Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = configured(tmp_path, sandbox)
    for module in ("requests", "duckdb", "click"):
        (tmp_path / f"{module}.py").write_text("raise SystemExit('wrong module')")
    monkeypatch.chdir(tmp_path)
    with run.duckdb_command("scansource", tmp_path / "invoices.duckdb") as command:
        assert run.run(Job("scansource", configs, command, environment=QUIET)).exit_code == 0


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("invoices.duckdb", "acme_one.bills"),
        ("acme_one.duckdb", "acme_one.acme_one.bills"),
        ("Acme_One.2025.db", "acme_one.acme_one.bills"),
    ],
)
def test_the_table_name_shown_works_in_sql(file: str, name: str, tmp_path: Path) -> None:
    assert run.table_name("acme-one", "bills", tmp_path / file) == name
    assert run.table_name("acme-one", 'b"; DROP', tmp_path / file) == f'{name.removesuffix("bills")}"b""; DROP"'
    with duckdb.connect(str(tmp_path / file)) as database:
        database.execute("CREATE SCHEMA acme_one")
        catalog = database.execute("SELECT current_database()").fetchall()[0][0]
        database.execute(f'CREATE TABLE "{catalog}".acme_one.bills (a INT)')
        assert database.execute(f"SELECT count(*) FROM {name}").fetchall() == [(0,)]


# --- what a target leaves behind ---------------------------------------------------------------------

DAEMON = """
import subprocess, sys
sys.stdin.read()
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open(sys.argv[1], "w").write(str(child.pid))
print('{"bookmarks": {"kept": {}}}', flush=True)
"""


def test_a_run_ends_with_its_target_whatever_that_has_left_running(tmp_path: Path, sandbox: serve.Served) -> None:
    """A child of the target holds its output open; the state that the target printed is kept."""
    state, child = tmp_path / "state.json", tmp_path / "child"
    target = [sys.executable, "-c", DAEMON, str(child)]
    began = time.monotonic()
    try:
        job = Job("scansource", configured(tmp_path, sandbox), target, state, environment=QUIET)
        assert run.run(job).exit_code == 0
        assert time.monotonic() - began < 30
        assert json.loads(state.read_text()) == {"bookmarks": {"kept": {}}}
    finally:
        os.kill(int(child.read_text()), signal.SIGKILL)
