"""Runs the parts and writes their results: ``python -m benchmarks [--only json,xml] [--runs N] [--invoices N]``.

Each part's results are written as soon as they are there, so that a run can go on with ``--resume``; at the end, the
document is made of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import results
from benchmarks.parts import details, lists, load, memory, processes, profile, startup
from benchmarks.paths import RESULTS
from benchmarks.results import Part
from benchmarks.session import Session

PARTS: Mapping[str, Callable[[Session], Part]] = {
    "json": lists.json,
    "xml": lists.xml,
    "details": details.details,
    "limit": details.limit,
    "memory": memory.memory,
    "startup": startup.startup,
    "load": load.load,
    "processes": processes.processes,
    "profile": profile.profile,
}
SIZES = {"json": 100_000, "xml": 20_000, "details": 2000, "limit": 400, "memory": 1_000_000, "load": 100_000}
RUNS = 5


def main() -> None:
    """Measure, and write each part's results as soon as they are there."""
    parser = argparse.ArgumentParser(prog="benchmarks", description="Measure vendortap beside its peers.")
    parser.add_argument("--only", metavar="PARTS", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--runs", type=int, metavar="N", default=RUNS, help="rounds (default: %(default)s)")
    parser.add_argument("--invoices", type=int, metavar="N", help="at most so many invoices, for development")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER", help="where the results go")
    options = parser.parse_args()
    most = options.invoices or max(SIZES.values())
    session = Session({name: min(size, most) for name, size in SIZES.items()} | {"runs": options.runs})
    for name in options.only.split(","):
        results.save(options.results, PARTS[name](session))


if __name__ == "__main__":
    main()
