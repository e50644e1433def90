"""What all parts of a run share: sizes, environments, the server, and the measuring of contenders in turn."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from benchmarks import dataset, environments, results, server
from benchmarks.dataset import Dataset, Form, Truth
from benchmarks.environments import Environment, NotInstalled
from benchmarks.invoices import Shape
from benchmarks.measure import Failed
from benchmarks.paths import WORK
from benchmarks.results import Part, Run


@dataclass
class Session:
    """``sizes`` are those of the run; environments are made when they are first needed."""

    sizes: Mapping[str, int]
    made: dict[str, Environment] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def environment(self, name: str) -> Environment | None:
        """Return an environment; None where it cannot be installed, which is said once."""
        if name in self.missing:
            return None
        if name not in self.made:
            try:
                self.made[name] = environments.ours() if name == environments.OURS else environments.peer(name)
            except NotInstalled as error:
                self.missing[name] = str(error)
                print(f"{name}: cannot be installed, and is left out: {error}", flush=True)
                return None
        return self.made[name]

    @contextmanager
    def serving(self, form: Form, count: int, shape: Shape = "schema") -> Iterator[server.Served]:
        """Serve so many distinct invoices of a format and a shape."""
        folder = dataset.folder(WORK, shape)
        dataset.build(folder, form, count, shape)
        with server.serving(folder, [form]) as served:
            yield served

    def truth(self, form: Form, count: int) -> Truth:
        """Return what so many invoices come to."""
        return Dataset(dataset.folder(WORK), form).truth(count)

    def part(self, name: str, runs: Sequence[Run], entries: Sequence[Entry]) -> Part:
        """Put the runs of a part together with their circumstances."""
        needed = {name for entry in entries for name in entry.environments}
        used = {name: self.made[name] for name in sorted(needed) if name in self.made}
        return Part(
            part=name,
            revision=results.revision(),
            machine=results.machine(),
            versions={name: _version(name, environment) for name, environment in used.items()},
            sizes=self.sizes,
            runs=runs,
            missing={name: why for name, why in self.missing.items() if name in needed},
        )


def _version(name: str, environment: Environment) -> str:
    """Return the versions of what was asked for by name; the rest is what these need."""
    installed = environment.versions()
    if name == environments.OURS:
        asked = ["vendortap", "singer-sdk", "msgspec", "lxml", "requests", "urllib3", "duckdb"]
    else:
        asked = [
            requirement.partition("=")[0].partition("[")[0].partition("<")[0]
            for requirement in environments.REQUIREMENTS[name]
        ]
    return ", ".join(f"{package} {installed[package]}" for package in asked if package in installed)


@contextmanager
def folder(name: str) -> Iterator[Path]:
    """Give an empty folder for what one run writes; its logs are kept."""
    path = WORK / "runs" / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    yield path
    logs = WORK / "logs" / name
    logs.mkdir(parents=True, exist_ok=True)
    for log in path.glob("*.log"):
        shutil.copy(log, logs)
    shutil.rmtree(path)


Measure = Callable[[Mapping[str, Environment], Path, int], Run]
"""Runs once, given its environments by name, an empty folder and the number of the round; may raise Failed."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One of those that are measured in turn. ``case`` is what the part varies.

    ``runs_at_most`` is set where a run takes minutes. Neighbours that are ``together`` run at the same time: they
    wait for the server nearly all of the time, and do not disturb each other.
    """

    name: str
    environments: tuple[str, ...]
    measure: Measure
    case: int = 0
    runs_at_most: int | None = None
    together: bool = False


def interleaved(session: Session, part: str, entries: Sequence[Entry], runs: int) -> list[Run]:
    """Run the entries in turn, so many rounds; prints each run. Who cannot be installed is left out."""
    present = [entry for entry in entries if all(session.environment(name) for name in entry.environments)]
    done: list[Run] = []
    for number in range(1, runs + 1):
        due = [entry for entry in present if number <= (entry.runs_at_most or runs)]
        for together, group in groupby(due, attrgetter("together")):
            with ThreadPoolExecutor(len(present) if together else 1) as pool:
                for run in pool.map(partial(_run, session, part, number), group):
                    done.append(run)
                    print(line(part, run, runs), flush=True)
    return done


def _run(session: Session, part: str, number: int, entry: Entry) -> Run:
    with folder(f"{part}-{entry.name}-{entry.case}") as path:
        try:
            return entry.measure({name: session.made[name] for name in entry.environments}, path, number)
        except Failed as error:
            return Run(contender=entry.name, round=number, case=entry.case, error=str(error))


def line(part: str, run: Run, runs: int) -> str:
    """Return a line of progress."""
    name = f"{run.contender} ({run.case:,})" if run.case else run.contender
    if run.error:
        figures = f"failed: {run.error}"
    else:
        figures = f"{run.cpu:8.2f} CPU-s {run.wall:8.2f} s {run.peak_mib:6.0f} MiB {run.records:>9,} records"
    verdict = {None: "", True: "  exact", False: "  not exact"}[run.exact]
    extra = "".join(f"  {name} {value}" for name, value in run.extra.items())
    return f"{part:<10} {run.round}/{runs}  {name:<34}{figures}{verdict}{extra}"
