"""Runs a tap into a target, as separate processes joined by a pipe, and keeps the state they come to.

The embedded target keeps the state in its database. In a state file, STATE is kept as the target hands it back, that
is, only for what the target has committed. The tap tells how far it is through a file of its own, so the pipe between
the two is theirs alone. Where this process is killed, the tap ends by itself (vendortap.support.parent_watch), the
target at the end of its input, and until then no other run gets the state file or the database.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from vendortap.duckdb.columns import quote
from vendortap.errors import ConfigError, ExitCode
from vendortap.operate import beginning
from vendortap.operate.beginning import Database, schema_name
from vendortap.plugins import host
from vendortap.singer import progress_file
from vendortap.singer.progress_file import Report
from vendortap.support import environment, logs, parent_watch
from vendortap.support.files import write_new
from vendortap.sync import state

WATCH_SECONDS = 0.1
GRACE_SECONDS = 0.8
"""How long the tap may take to end by itself when the run is interrupted."""
STOP_SECONDS = 1.5
"""How long tap and target together may: what the tap leaves of it, the target has for its last commit."""
LAST_SECONDS = 0.3
"""How long the target may take to end when it is told to."""

_PLAIN = re.compile("[a-z_][a-z0-9_]*")
"""A name that SQL takes without quotes behind a schema's."""

Watch = Callable[[Report], None]
Log = Callable[[str, str], None]
"""Takes a line, and whose it is: ``tap`` or ``target``."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run: which tap with which files, into which target command; ``totals`` asks for those in its report.

    ``database`` is that of the target, where it is the embedded one: it keeps the state, also beside a state file.
    With ``full_refresh`` the run begins without any state. Tap and target get of this process's environment what
    vendortap.support.environment lists for them, and what ``tap_env`` and ``target_env`` name; ``environment`` is set
    for both.
    """

    connector: str
    configs: Sequence[str]
    target: Sequence[str]
    state: Path | None = None
    catalog: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    totals: bool = False
    database: Database | None = None
    full_refresh: bool = False
    tap_env: Sequence[str] = ()
    target_env: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: both exit codes, whether the target left something unread, the tap's last report.

    ``unkept`` says why the last state that the target handed back is not in the state file, if it is not. ``withheld``
    are the names of variables that the target was not given.
    """

    tap: int
    target: int
    unread: bool
    report: Report
    unkept: str | None = None
    withheld: Sequence[str] = ()

    @property
    def missing(self) -> int:
        """How many records the vendor did not have."""
        return sum(stream["missing"] for stream in self.report.get("streams", {}).values())

    @property
    def quarantined(self) -> int:
        """How many records did not fit, and are in quarantine."""
        return sum(stream["quarantined"] for stream in self.report.get("streams", {}).values())

    @property
    def open(self) -> int:
        """How many records or documents have not been obtained, in this run or before, and are not acknowledged."""
        found = self.report.get("open", {"open": 0, "acknowledged": 0})
        return int(found["open"] - found["acknowledged"])

    @property
    def conflicting(self) -> int:
        """How many keys several records have which differ, so that a target keeps one of these."""
        return sum(stream["conflicting"] for stream in self.report.get("streams", {}).values())

    @property
    def exit_code(self) -> ExitCode:
        """What the command ends with."""
        if self.tap == ExitCode.USAGE:
            return ExitCode.USAGE
        if self.problem:
            return ExitCode.FAILED
        return ExitCode.INCOMPLETE if self.open or self.conflicting else ExitCode.DONE

    @property
    def problem(self) -> str | None:
        """What went wrong, as a sentence; ``None`` if nothing did, or if what the tap itself said is enough."""
        if self.tap == ExitCode.USAGE:
            return None
        if self.target:
            return f"the target {_manner(self.target)}"
        if self.unread:
            return "the target ended before it had read everything"
        return f"the tap {_manner(self.tap)}" if self.tap else self.unkept


def _manner(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"failed with exit code {code}; its message is above"


def run(job: Job, watch: Watch = lambda _: None, log: Log | None = None) -> Outcome:
    """Run a job to its end; ``watch`` is called with the tap's report a few times a second.

    What tap and target write to standard error goes to ours or, line by line and from threads, to ``log``.
    When this is interrupted, the tap is told to end, and the target may commit what it has got.

    Raises:
        ConfigError: the tap or the target cannot be started.
        InUseError: another run has the state file or the database.
        LoadError: the database cannot be used now.
        StateError: the state file cannot be written, or there is no going on from the state in it or in the database.
    """
    with ExitStack() as stack:
        file = stack.enter_context(state.kept(job.state, full_refresh=job.full_refresh)) if job.state else None
        locks = [file.lock] if file else []
        locks += [stack.enter_context(beginning.held(job.database.path))] if job.database else []
        given = stack.enter_context(_given_state(job, file))
        told = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vendortap-"))) / "report.json"
        try:
            with _Pipeline(job, told, file, given, locks, log) as pipeline:
                unread = pipeline.wait(lambda: watch(progress_file.read(told)))
        finally:
            final = progress_file.read(told)
            watch(final)
        codes = pipeline.tap.returncode, pipeline.target.returncode
        return Outcome(*codes, unread, final, pipeline.keeper.problem, pipeline.withheld)


@contextmanager
def _given_state(job: Job, file: state.StateFile | None) -> Iterator[IO[bytes] | None]:
    """Give the state to begin from, in an open file that has no name: after a kill, nothing of it is left."""
    begun = _beginning(job, file)
    if begun is None:
        yield None
        return
    with tempfile.TemporaryFile() as given:
        given.write(json.dumps(begun).encode())
        given.seek(0)
        yield given


def _beginning(job: Job, file: state.StateFile | None) -> state.State | None:
    """Return the state to begin from, if any, once the database can be used and is known to have what it covers."""
    if job.full_refresh:
        if job.database:
            beginning.look(job.database)
        return None
    if file is None or job.state is None:
        return beginning.kept_state(job.database) if job.database else None
    if job.database and (warning := beginning.check_file(file.state, job.state, job.database)):
        logs.say(f"vendortap: {warning}", "warning")
    return file.state


class _Pipeline:
    """Tap and target at work; on leaving, what still runs is ended.

    The reading end of the pipe between them is held here too: what is in it at the end was never read. Each has
    a session of its own, so that Ctrl-C comes to us alone, and we end them in order. Both inherit the locks of the
    state file and the database, and the tap the state that it begins from and the end of a pipe by which it watches
    this process.
    """

    def __init__(
        self,
        job: Job,
        told: Path,
        file: state.StateFile | None,
        given: IO[bytes] | None,
        locks: Sequence[int],
        log: Log | None,
    ) -> None:
        of_tap = {**environment.for_tap(os.environ, job.connector, host.find(), job.tap_env), **job.environment}
        of_target = {**environment.for_target(os.environ, job.target, job.target_env), **job.environment}
        self.withheld = environment.withheld(os.environ, of_target, job.target)
        with ExitStack() as failed, ExitStack() as passed_on:
            self._pipe, into = os.pipe()
            alive, self._parent_end = os.pipe()
            failed.callback(os.close, self._pipe)
            failed.callback(os.close, self._parent_end)
            passed_on.callback(os.close, into)  # the tap's copy is the only one: the target sees the end when it ends
            passed_on.callback(os.close, alive)
            self.target = _start(job.target, of_target, log, self._pipe, subprocess.PIPE, locks)
            failed.callback(_kill, self.target)
            assert self.target.stdout is not None  # noqa: S101 - a pipe was asked for
            self.keeper = _Keeper(self.target.stdout, file, names_generation=job.database is not None)
            of_tap |= {progress_file.ENVIRONMENT: str(told), parent_watch.ENVIRONMENT: str(alive)}
            of_tap |= {progress_file.TOTALS: "1"} if job.totals else {}
            inherited = [*locks, alive, *([given.fileno()] if given else [])]
            self.tap = _start(_tap_command(job, given), of_tap, log, None, into, inherited)
            both = (("target", self.target), ("tap", self.tap))
            self._relays = [_Relay(whose, p.stderr, log) for whose, p in both if p.stderr and log]
            failed.pop_all()

    def wait(self, tick: Callable[[], None]) -> bool:
        """Wait until the target has ended; returns whether it did so before it had read everything."""
        while not _ended(self.target, WATCH_SECONDS):
            tick()
        if not _ended(self.tap, GRACE_SECONDS):  # a target that read to the end has seen the tap end
            return True
        return bool(os.read(self._pipe, 1))

    def __enter__(self) -> _Pipeline:
        return self

    def __exit__(self, *_: object) -> None:
        stop = time.monotonic() + STOP_SECONDS
        os.close(self._pipe)
        try:
            if not _ended(self.tap, 0):
                _end(self.tap, GRACE_SECONDS)
            if not _ended(self.target, max(0.0, stop - time.monotonic())):
                _end(self.target, LAST_SECONDS)
        finally:  # also when this is interrupted once more
            for process in (self.tap, self.target):
                _kill(process)
            os.close(self._parent_end)
        self.keeper.stop(GRACE_SECONDS)
        for relay in self._relays:
            relay.join(GRACE_SECONDS)


def _start(
    command: Sequence[str],
    variables: Mapping[str, str],
    log: Log | None,
    stdin: int | None,
    stdout: int,
    inherited: Sequence[int],
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603 - the operator's own command
            list(command),
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE if log else None,
            env=variables,
            start_new_session=True,
            pass_fds=inherited,
        )
    except OSError as error:
        raise ConfigError(f"{command[0]!r} cannot be started: {error.strerror}") from None


class _Relay(threading.Thread):
    """Hands each line that a process writes on to a log."""

    def __init__(self, whose: str, lines: IO[bytes], log: Log) -> None:
        super().__init__(name="log", daemon=True)
        self._lines = lines
        self._whose = whose
        self._log = log
        self.start()

    def run(self) -> None:
        with self._lines:
            for line in self._lines:
                self._log(self._whose, line.decode(errors="replace").rstrip("\r\n"))


def _ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait that long for the end of a process."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    return process.returncode is not None


def _end(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Ask a process to end, and wait for it that long."""
    _signal(process, signal.SIGTERM)
    _ended(process, seconds)


def _kill(process: subprocess.Popen[bytes]) -> None:
    _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal a process and its children: a target may be a shell that runs others."""
    if process.poll() is None:
        os.killpg(process.pid, number)


# --- commands ----------------------------------------------------------------------------------------

# -P keeps the modules of the current folder from standing in for installed ones.


def _tap_command(job: Job, given: IO[bytes] | None) -> list[str]:
    command = [sys.executable, "-P", "-m", "vendortap.singer", job.connector]
    for config in job.configs:
        command += ["--config", config]
    if job.catalog:
        command += ["--catalog", str(job.catalog)]
    if given:
        command += ["--state", f"/dev/fd/{given.fileno()}"]
    return command


def target_command(command: str) -> list[str]:
    """Split a target's command line as a shell does.

    Raises:
        ConfigError: a quotation mark without its counterpart, or nothing at all.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ConfigError(f"the target command cannot be read: {error}") from None
    if not words:
        raise ConfigError("the target command is empty")
    return words


@contextmanager
def duckdb_command(connector: str, to: Path, state_of: str | None = None) -> Iterator[list[str]]:
    """Give the command of the embedded target; its settings are in a file as long as the context lasts.

    With ``state_of``, the target keeps the states in the database, as those of that instance.
    """
    with tempfile.TemporaryDirectory(prefix="vendortap-") as folder:
        config = Path(folder) / "target.json"
        write_new(config, json.dumps(duckdb_settings(connector, to, state_of)).encode())
        yield [sys.executable, "-P", "-m", "vendortap.duckdb", "--config", str(config)]


def duckdb_settings(connector: str, to: Path, state_of: str | None) -> dict[str, str | int]:
    """Return the settings of the embedded target."""
    settings: dict[str, str | int] = {"path": str(to.absolute()), "default_target_schema": schema_name(connector)}
    return {**settings, "state_of": state_of} if state_of else settings


def table_name(connector: str, stream: str, to: Path) -> str:
    """Return what a stream's table is called in SQL: in full, where the file is called like its schema."""
    return f"{schema_path(connector, to)}.{stream if _PLAIN.fullmatch(stream) else quote(stream)}"


def schema_path(connector: str, to: Path) -> str:
    """Return what a connector's schema is called in SQL: in full, where the file is called like it."""
    schema = schema_name(connector)
    ambiguous = to.name.partition(".")[0].lower() == schema.lower()  # DuckDB names a database by its file
    return f"{schema}.{schema}" if ambiguous else schema


# --- state -------------------------------------------------------------------------------------------


class _Keeper(threading.Thread):
    """Keeps each state that the target hands back; ``problem`` says why the last one is not kept, if it is not.

    ``names_generation`` says that the target keeps the states too, and names the generation in each.
    """

    def __init__(self, lines: IO[bytes], file: state.StateFile | None, *, names_generation: bool) -> None:
        super().__init__(name="state", daemon=True)
        self.problem: str | None = None
        self._turn = threading.Lock()
        self._stopped = False
        self._lines = lines
        self._file = file
        self._names_generation = names_generation
        self.start()

    def run(self) -> None:
        with self._lines:
            for line in self._lines:
                if self._file and state.is_state(line):
                    with self._turn:
                        if self._stopped:
                            return
                        self._keep(self._file, line)

    def stop(self, seconds: float) -> None:
        """Keep what the target has printed, and nothing from then on.

        The target has ended. What it started may live on and hold its output open: that is not waited for.
        """
        self.join(seconds)
        with self._turn:
            self._stopped = True

    def _keep(self, file: state.StateFile, line: bytes) -> None:
        """Keep a state; where a disk does not take it, the next one may find it with room again."""
        try:
            file.keep(line if self._names_generation else state.without_generation(line))
            self.problem = None
        except OSError as error:
            self.problem = (
                f"the state file {file.path} cannot be written: {error.strerror}; what was loaded after the state "
                "in it is in the target, and will be fetched again"
            )
