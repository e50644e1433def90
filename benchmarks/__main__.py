"""Runs the parts and writes their results: ``python -m benchmarks [--only json,xml] [--runs N] [--invoices N]``.

Each part's results are written as soon as they are there, so that a run can go on with ``--resume``; at the end, the
document is made of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import report, results
from benchmarks.parts import PARTS, RUNS, SIZES, details, lists, load, memory, processes, profile, startup
from benchmarks.paths import RESULTS
from benchmarks.results import Part
from benchmarks.session import Session

MEASURE: Mapping[str, Callable[[Session], Part]] = {
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


def main() -> None:
    """Measure, write each part's results, and make the document."""
    parser = argparse.ArgumentParser(prog="benchmarks", description="Measure vendortap beside its peers.")
    parser.add_argument("--only", metavar="PARTS", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--runs", type=int, metavar="N", default=RUNS, help="rounds (default: %(default)s)")
    parser.add_argument("--invoices", type=int, metavar="N", help="at most so many invoices, for development")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER", help="where the results go")
    parser.add_argument("--resume", action="store_true", help="leave out what has results of this revision and sizes")
    options = parser.parse_args()
    most = options.invoices or max(SIZES.values())
    session = Session({name: min(size, most) for name, size in SIZES.items()} | {"runs": options.runs})
    for name in options.only.split(","):
        if options.resume and _is_done(results.load(options.results, name), session):
            print(f"{name}: has results of this revision", flush=True)
        else:
            results.save(options.results, MEASURE[name](session))
    if options.results == RESULTS:
        report.write(report.read())


def _is_done(part: Part | None, session: Session) -> bool:
    """Whether a part was measured as it would be now; what was changed since a commit is never taken for the same."""
    revision = results.revision()
    return part is not None and (part.revision, part.sizes) == (revision, session.sizes) and "+" not in revision


if __name__ == "__main__":
    main()
