"""What was measured, as it is kept in ``benchmarks/results``: one JSON file a part.

A file says which machine, which versions and which revision it is of, with which sizes, and holds every run. There
are no paths and no names of hosts in it.
"""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from benchmarks.paths import ROOT

_MEASURED = ("framework", "connectors", "schemas", "pyproject.toml", "benchmarks/plugin")


class Run(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One run of a contender: seconds, MiB, and what came out. With ``error`` set, the rest says nothing.

    ``case`` is what the part varies: a concurrency, a number of invoices. ``extra`` holds what only this part knows.
    ``complete`` and ``exact`` are set where the output was checked in full.
    """

    contender: str
    round: int
    case: int = 0
    wall: float = 0.0
    user: float = 0.0
    system: float = 0.0
    peak_mib: float = 0.0
    records: int = 0
    complete: bool | None = None
    exact: bool | None = None
    extra: Mapping[str, float | str] = {}
    error: str = ""

    @property
    def cpu(self) -> float:
        """Seconds of CPU."""
        return self.user + self.system


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """All runs of one part, and under which circumstances they were made."""

    part: str
    revision: str
    machine: Mapping[str, str | int]
    versions: Mapping[str, str]
    sizes: Mapping[str, int]
    runs: Sequence[Run]
    missing: Mapping[str, str] = {}

    def of(self, contender: str, case: int = 0) -> list[Run]:
        """Return a contender's runs that went well."""
        return [run for run in self.runs if (run.contender, run.case, run.error) == (contender, case, "")]


class Spread(msgspec.Struct, frozen=True):
    """Median, least and greatest of some figures."""

    median: float
    least: float
    greatest: float


def spread(figures: Sequence[float]) -> Spread:
    """Return the spread of one or more figures."""
    return Spread(median(figures), min(figures), max(figures))


def save(folder: Path, part: Part) -> None:
    """Write a part's file."""
    folder.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(part), indent=1)
    (folder / f"{part.part}.json").write_bytes(text + b"\n")


def load(folder: Path, name: str) -> Part | None:
    """Read a part's file; None where there is none."""
    path = folder / f"{name}.json"
    return msgspec.json.decode(path.read_bytes(), type=Part) if path.exists() else None


def revision(tree: Path = ROOT) -> str:
    """Return the git revision of what is measured; a plus behind it says that it was changed since."""
    commit = _git(tree, "rev-parse", "--short=12", "HEAD") or "unknown"
    return f"{commit}+" if _git(tree, "status", "--porcelain", "--", *_MEASURED) else commit


def _git(tree: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(tree), *arguments], capture_output=True, text=True)  # noqa: S607 - from PATH
    return done.stdout.strip()


def machine() -> dict[str, Any]:
    """Return what figures depend on: processor, cores, memory, system, interpreter."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "memory_gib": round(memory / 2**30),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
    }


def _processor() -> str:
    description = Path("/proc/cpuinfo")
    if description.exists():
        for line in description.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
