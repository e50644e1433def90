"""Runs a tap into a target, as separate processes joined by a pipe, and keeps the state they come to.

STATE is kept as the target hands it back, that is, only for what the target has committed. The tap tells how
far it is through a file of its own, so the pipe between the two is theirs alone.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from vendortap import report
from vendortap.errors import ConfigError, StateError, UsageError
from vendortap.files import write_atomically
from vendortap.report import Report

WATCH_SECONDS = 0.1
GRACE_SECONDS = 0.8
"""How long a process may take to end by itself when the run is interrupted."""

Watch = Callable[[Report], None]
Log = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Job:
    """One run: which tap with which files, into which target command."""

    connector: str
    configs: Sequence[str]
    target: Sequence[str]
    state: Path | None = None
    catalog: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: both exit codes, whether the target left something unread, the tap's last report."""

    tap: int
    target: int
    unread: bool
    report: Report

    @property
    def skipped(self) -> int:
        """How many records the vendor did not have."""
        return sum(stream["missing"] for stream in self.report.get("streams", {}).values())

    @property
    def exit_code(self) -> int:
        """0 all done, 1 failed, 2 bad usage or config, 3 done but something was skipped."""
        if self.tap == UsageError.exit_code:
            return self.tap
        if self.problem:
            return 1
        return 3 if self.skipped else 0

    @property
    def problem(self) -> str | None:
        """What went wrong, as a sentence; ``None`` if nothing did, or if what the tap itself said is enough."""
        if self.tap == UsageError.exit_code:
            return None
        if self.target:
            return f"the target {_manner(self.target)}"
        if self.unread:
            return "the target ended before it had read everything"
        return f"the tap {_manner(self.tap)}" if self.tap else None


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
        StateError: the state file cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="vendortap-") as folder:
        told = Path(folder) / "report.json"
        with _Pipeline(job, told, log) as pipeline:
            unread = pipeline.wait(lambda: watch(report.read(told)))
        if pipeline.keeper.error is not None:
            raise StateError(f"the state file {job.state} cannot be written: {pipeline.keeper.error.strerror}")
        final = report.read(told)
        watch(final)
        return Outcome(pipeline.tap.returncode, pipeline.target.returncode, unread, final)


class _Pipeline:
    """Tap and target at work; on leaving, what still runs is ended.

    The reading end of the pipe between them is held here too: what is in it at the end was never read. Each has
    a session of its own, so that Ctrl-C comes to us alone, and we end them in order.
    """

    def __init__(self, job: Job, told: Path, log: Log | None) -> None:
        self._pipe, into = os.pipe()
        environment = {**os.environ, **job.environment}
        try:
            self.target = _start(job.target, environment, log, stdin=self._pipe, stdout=subprocess.PIPE)
            assert self.target.stdout is not None  # noqa: S101 - a pipe was asked for
            self.keeper = _Keeper(self.target.stdout, job.state)
            environment[report.ENVIRONMENT] = str(told)
            self.tap = _start(_tap_command(job), environment, log, stdin=None, stdout=into)
            self._relays = [_Relay(p.stderr, log) for p in (self.target, self.tap) if p.stderr and log]
        except ConfigError:
            os.close(self._pipe)
            raise
        finally:
            os.close(into)  # the tap's copy is the only one: the target sees the end when the tap ends

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
        os.close(self._pipe)
        try:
            _end(self.tap)
            if not _ended(self.target, GRACE_SECONDS):
                _end(self.target)
        finally:  # also when this is interrupted once more
            for process in (self.tap, self.target):
                _signal(process, signal.SIGKILL)
                process.wait()
        self.keeper.join()
        for relay in self._relays:
            relay.join(GRACE_SECONDS)


def _start(
    command: Sequence[str], environment: Mapping[str, str], log: Log | None, *, stdin: int | None, stdout: int
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603 - the operator's own command
            list(command),
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE if log else None,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise ConfigError(f"{command[0]!r} cannot be started: {error.strerror}") from None


class _Relay(threading.Thread):
    """Hands each line that a process writes on to a log."""

    def __init__(self, lines: IO[bytes], log: Log) -> None:
        super().__init__(name="log", daemon=True)
        self._lines = lines
        self._log = log
        self.start()

    def run(self) -> None:
        with self._lines:
            for line in self._lines:
                self._log(line.decode(errors="replace").rstrip("\r\n"))


def _ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait that long for the end of a process."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    return process.returncode is not None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, and wait for it a while."""
    _signal(process, signal.SIGTERM)
    _ended(process, GRACE_SECONDS)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal a process and its children: a target may be a shell that runs others."""
    if process.poll() is None:
        os.killpg(process.pid, number)


# --- commands ----------------------------------------------------------------------------------------

_SAFE_PATH = ["-P"] if sys.version_info >= (3, 11) else []
"""Keeps the modules of the current folder from standing in for installed ones."""


def _tap_command(job: Job) -> list[str]:
    command = [sys.executable, *_SAFE_PATH, "-m", "vendortap.singer", job.connector]
    for config in job.configs:
        command += ["--config", config]
    if job.catalog:
        command += ["--catalog", str(job.catalog)]
    if job.state and job.state.exists():
        command += ["--state", str(job.state)]
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
def duckdb_command(connector: str, to: Path) -> Iterator[list[str]]:
    """Give the command of the embedded target; its settings are in a file as long as the context lasts."""
    with tempfile.TemporaryDirectory(prefix="vendortap-") as folder:
        config = Path(folder) / "target.json"
        settings = {"path": str(to), "default_target_schema": schema_name(connector)}
        config.write_text(json.dumps(settings), encoding="utf-8")
        yield [sys.executable, *_SAFE_PATH, "-m", "vendortap.duckdb", "--config", str(config)]


def schema_name(connector: str) -> str:
    """Return the database schema that a connector's streams are loaded into."""
    return connector.replace("-", "_")


def table_name(connector: str, stream: str, to: Path) -> str:
    """Return what a stream's table is called in SQL: in full, where the file is called like its schema."""
    return f"{schema_path(connector, to)}.{stream}"


def schema_path(connector: str, to: Path) -> str:
    """Return what a connector's schema is called in SQL: in full, where the file is called like it."""
    schema = schema_name(connector)
    ambiguous = to.name.partition(".")[0].lower() == schema.lower()  # DuckDB names a database by its file
    return f"{schema}.{schema}" if ambiguous else schema


# --- state -------------------------------------------------------------------------------------------


class _Keeper(threading.Thread):
    """Writes each state that the target hands back to the state file, atomically."""

    def __init__(self, lines: IO[bytes], path: Path | None) -> None:
        super().__init__(name="state", daemon=True)
        self.error: OSError | None = None
        self._lines = lines
        self._path = path
        self.start()

    def run(self) -> None:
        with self._lines:
            for line in self._lines:
                if self._path and not self.error and _is_state(line):
                    self._keep(self._path, line)

    def _keep(self, path: Path, state: bytes) -> None:
        try:
            write_atomically(path, state)
        except OSError as error:
            self.error = error


def _is_state(line: bytes) -> bool:
    """Whether a line is a state: some targets print other things too."""
    try:
        state = json.loads(line)
    except ValueError:
        return False
    return isinstance(state, dict) and isinstance(state.get("bookmarks"), dict)
