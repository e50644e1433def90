"""What a child process took, the sandbox it talks to, and how a figure is shown.

This module imports nothing of vendortap: a child's peak memory would otherwise start from ours (getrusage(2):
``ru_maxrss`` is kept over exec).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

SCRIPTS = Path(sysconfig.get_path("scripts"))
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""ru_maxrss is in bytes there, in kilobytes elsewhere."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the result. ``passed`` is set where there is a bound."""

    name: str
    value: float
    unit: str
    note: str = ""
    passed: bool | None = None

    def line(self) -> str:
        """Return the figure as a line of the table."""
        digits = f"{self.value:,.0f}" if abs(self.value) >= 100 else f"{self.value:,.2f}"
        verdict = "" if self.passed is None else "  PASS" if self.passed else "  over its bound"
        return f"{self.name:<52}{digits:>10} {self.unit:<18}{self.note}{verdict}".rstrip()


@dataclass(frozen=True, slots=True)
class Usage:
    """What one process took: wall and CPU seconds (user and system), peak memory in MiB."""

    wall: float
    cpu: float
    peak_mib: float


def command(name: str) -> str:
    """Return the path of a console script of this environment."""
    return str(SCRIPTS / name)


def run(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> Usage:
    """Run a process to its end, its output thrown away; ends the measurement where the process fails."""
    began = time.monotonic()
    process = subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "LOGLEVEL": "ERROR", **(environment or {})},
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - began
    if process.returncode:
        sys.exit(f"{' '.join(arguments)} ended with {process.returncode}; its message is above")
    return Usage(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * _RSS_UNIT / 2**20)


@dataclass(frozen=True, slots=True)
class Vendor:
    """A running sandbox, the settings that lead to it, and a folder for the tap's files."""

    settings: Mapping[str, Any]
    folder: Path

    def tap(self, stream: str | None = None, report: Path | None = None, **settings: Any) -> Usage:
        """Run the tap once, with these settings on top; all streams, or one."""
        config = self.folder / "config.json"
        config.write_text(json.dumps({**self.settings, **settings}), encoding="utf-8")
        arguments = [command("tap-scansource"), "--config", str(config)]
        if stream:
            arguments += ["--catalog", str(self.catalog(stream))]
        return run(arguments, {"VENDORTAP_REPORT": str(report)} if report else None)

    def catalog(self, stream: str) -> Path:
        """Write a catalog with this stream only, and return its path."""
        found = subprocess.run([command("vendortap"), "catalog", "scansource"], stdout=subprocess.PIPE, check=True)
        catalog = json.loads(found.stdout)
        for entry in catalog["streams"]:
            root = next(item for item in entry["metadata"] if not item["breadcrumb"])
            root["metadata"]["selected"] = entry["tap_stream_id"] == stream
        path = self.folder / f"{stream}.json"
        path.write_text(json.dumps(catalog), encoding="utf-8")
        return path


@contextmanager
def sandbox(*, invoices: int, latency_ms: float = 0) -> Iterator[Vendor]:
    """Run ScanSource's sandbox in a process of its own, so that its work is not counted as the tap's."""
    arguments = [command("vendortap"), "sandbox", "scansource", "--port", "0"]
    arguments += ["--invoices", str(invoices), "--latency-ms", str(latency_ms)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        text = ""
        while not text.endswith("\n}\n"):  # the settings are printed once, as an indented JSON object
            if not (line := process.stdout.readline()):
                sys.exit("the sandbox did not start")
            text += line
        with TemporaryDirectory(prefix="benchmarks-") as folder:
            yield Vendor(json.loads(text), Path(folder))
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
