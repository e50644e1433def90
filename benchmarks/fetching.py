"""Entries that fetch invoices and write messages: run, counted, and in the first round checked in full."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

from benchmarks.check import check
from benchmarks.contenders import Contender, Job
from benchmarks.dataset import Truth
from benchmarks.environments import Environment
from benchmarks.measure import run
from benchmarks.results import Run
from benchmarks.session import Entry


def fetching(
    contender: Contender,
    job: Callable[[Path], Job],
    truth: Truth,
    *,
    case: int = 0,
    runs_at_most: int | None = None,
    together: bool = False,
) -> Entry:
    """Return the entry of a contender that does this job, given the folder that it may use."""

    def measure(environments: Mapping[str, Environment], path: Path, number: int) -> Run:
        command = contender.prepare(environments[contender.environment], job(path))
        kept = path / "messages.jsonl"
        checking = contender.messages and number == 1
        with kept.open("wb") if checking else nullcontext() as copy:
            usage, output = run(command, path, copy)
        records = output.records if contender.messages else contender.wrote(path)
        return Run(
            contender=contender.name,
            round=number,
            case=case,
            records=records,
            extra={"state_bytes": len(output.last_line)} if b'"STATE"' in output.last_line else {},
            **asdict(usage),
            **(asdict(check(kept, truth)) if checking else {}),
            error="" if records == truth.invoices else f"{records} records instead of {truth.invoices}",
        )

    return Entry(contender.name, (contender.environment,), measure, case, runs_at_most, together)
