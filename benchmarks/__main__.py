"""Runs the parts and writes their results: ``python -m benchmarks [--only json,xml] [--runs N] [--invoices N]``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import results
from benchmarks.parts import lists, load
from benchmarks.paths import RESULTS
from benchmarks.results import Part
from benchmarks.session import Session

PARTS: Mapping[str, Callable[[Session], Part]] = {"json": lists.json, "xml": lists.xml, "load": load.load}
SIZES = {"runs": 5, "json": 100_000, "xml": 20_000, "load": 100_000}


def main() -> None:
    """Measure, and write each part's results as soon as they are there."""
    parser = argparse.ArgumentParser(prog="benchmarks", description="Measure vendortap beside its peers.")
    parser.add_argument("--only", metavar="PARTS", default=",".join(PARTS), help="these parts, by comma")
    parser.add_argument("--runs", type=int, metavar="N", help="so many rounds instead of five")
    parser.add_argument("--invoices", type=int, metavar="N", help="at most so many invoices, for development")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    options = parser.parse_args()
    most = options.invoices or max(SIZES.values())
    sizes = {name: min(size, most) for name, size in SIZES.items()} | {"runs": options.runs or SIZES["runs"]}
    session = Session(sizes)
    for name in options.only.split(","):
        results.save(options.results, PARTS[name](session))


if __name__ == "__main__":
    main()
