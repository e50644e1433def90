"""Runs a command, or two joined by a pipe, and says what each took and what came out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

_STOPWATCH = str(Path(__file__).with_name("stopwatch.py"))
_CHUNK = 1 << 20
_END = 1 << 16
_RECORD = b'"RECORD"'


@dataclass(frozen=True, slots=True)
class Command:
    """A command line, and environment variables beside those of this process."""

    arguments: Sequence[str]
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process took, its children included: seconds of wall, user and system time, peak memory in MiB."""

    wall: float
    user: float
    system: float
    peak_mib: float


@dataclass(frozen=True, slots=True)
class Output:
    """What came out of a process: its RECORD messages, counted, and its last line."""

    records: int
    last_line: bytes


class Failed(Exception):
    """A command ended with an error; the message says where its own is."""


class _Watched:
    """A command that runs under the stopwatch, its standard error in a log."""

    def __init__(self, command: Command, folder: Path, *, stdin: int | IO[bytes], stdout: int, name: str) -> None:
        self.log = folder / f"{name}.log"
        self._report = folder / f"{name}.usage.json"
        self._report.unlink(missing_ok=True)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", _STOPWATCH, str(self._report), *command.arguments],
                stdin=stdin,
                stdout=stdout,
                stderr=log,
                cwd=folder,
                env=_environment(command.variables),
            )

    def usage(self) -> Usage:
        """Wait for the end.

        Raises:
            Failed: the command did.
        """
        self.process.wait()
        took = json.loads(self._report.read_text(encoding="utf-8")) if self._report.exists() else {"exit_code": -1}
        if code := took.pop("exit_code"):
            raise Failed(f"exit code {code}; the log is {self.log.name}")
        return Usage(**{name: round(value, 4) for name, value in took.items()})


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    """This process's variables without those of its own Python, so that an environment has its own modules only."""
    own = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return {**own, "PYTHONWARNINGS": "ignore", **variables}


def run(command: Command, folder: Path, copy: IO[bytes] | None = None) -> tuple[Usage, Output]:
    """Run a command, its output into a pipe that is read as fast as it comes, and counted.

    ``copy`` takes the output as well. The log is ``command.log`` in the folder.

    Raises:
        Failed: the command did.
    """
    watched = _Watched(command, folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, name="command")
    output = _count(watched.process.stdout, copy)
    return watched.usage(), output


def pipe(first: Command, second: Command, folder: Path) -> tuple[float, Usage, Usage]:
    """Run one command into another; returns the seconds that both took together, and what each took.

    Raises:
        Failed: one of them did.
    """
    began = time.monotonic()
    source = _Watched(first, folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, name="tap")
    assert source.process.stdout is not None
    sink = _Watched(second, folder, stdin=source.process.stdout, stdout=subprocess.DEVNULL, name="target")
    source.process.stdout.close()
    sink.process.wait()
    source.process.wait()
    wall = time.monotonic() - began
    return round(wall, 4), source.usage(), sink.usage()


def _count(lines: IO[bytes] | None, copy: IO[bytes] | None) -> Output:
    assert lines is not None
    records = 0
    cut = end = b""  # what may be half a word, and the end of all, which holds the last line
    with lines:
        while chunk := os.read(lines.fileno(), _CHUNK):
            seen = cut + chunk
            records += seen.count(_RECORD)
            cut = seen[1 - len(_RECORD) :]
            end = (end + chunk)[-_END:]
            if copy:
                copy.write(chunk)
    return Output(records, end.rstrip(b"\n").rpartition(b"\n")[2])
