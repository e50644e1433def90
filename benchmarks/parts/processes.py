"""What more than one process would pay: two taps instead of one, and a pool that decodes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks import contenders
from benchmarks.contenders import Job
from benchmarks.dataset import FORMS, Form
from benchmarks.environments import OURS, Environment
from benchmarks.measure import Command, run
from benchmarks.paths import ROOT
from benchmarks.results import Part, Run
from benchmarks.session import Entry, Session, interleaved

TAPS = (1, 2)
POOL = 2
"""Processes of the pool."""
WAYS = ("here", "lines", "records")
POOLED = 10_000
"""Invoices that the pool decodes; their pages are held in memory."""


def processes(session: Session) -> Part:
    """Measure one tap against two that fetch half each, and decoding here against decoding in a pool."""
    runs: list[Run] = []
    entries: list[Entry] = []
    for form in FORMS:
        count = session.sizes[form]
        with session.serving(form, count) as served:
            pooled = f"{served.plain}/{min(count, POOLED)}"
            entries = [
                Entry(f"{form}-taps-{taps}", (OURS,), partial(_taps, f"{served.plain}/{count // taps}", form, taps))
                for taps in TAPS
            ]
            entries += [Entry(f"{form}-decode-{way}", (OURS,), partial(_decode, pooled, form, way)) for way in WAYS]
            runs += interleaved(session, "processes", entries, session.sizes["runs"])
    return session.part("processes", runs, entries)


def _taps(url: str, form: Form, taps: int, environments: Mapping[str, Environment], path: Path, number: int) -> Run:
    def fetch(tap: int) -> Run:
        folder = path / str(tap)
        folder.mkdir()
        usage, output = run(contenders.tap(environments[OURS], Job(url, folder, form)), folder)
        return Run(
            contender="", round=number, wall=usage.wall, user=usage.user, system=usage.system, records=output.records
        )

    with ThreadPoolExecutor(taps) as pool:
        done = list(pool.map(fetch, range(taps)))
    return Run(
        contender=f"{form}-taps-{taps}",
        round=number,
        wall=max(tap.wall for tap in done),
        user=sum(tap.user for tap in done),
        system=sum(tap.system for tap in done),
        records=sum(tap.records for tap in done),
    )


def _decode(url: str, form: Form, way: str, environments: Mapping[str, Environment], path: Path, number: int) -> Run:
    script = str(ROOT / "benchmarks" / "decode_pool.py")
    with (path / "output").open("w+b") as output:
        run(Command([environments[OURS].python, script, url, form, way, str(POOL)]), path, output)
        output.seek(0)
        took = json.load(output)
    return Run(
        contender=f"{form}-decode-{way}",
        round=number,
        wall=took["wall"],
        user=took["user"],
        records=int(url.rpartition("/")[2]),
    )
