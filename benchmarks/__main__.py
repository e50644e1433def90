"""Runs every job and prints one table: ``python -m benchmarks [--json FILE]``.

Ends with 1 where a figure is over its bound. Figures of one machine at one time: quote ratios, and CPU
seconds before wall.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks import latency, memory, startup, throughput
from benchmarks.measure import Figure

JOBS = (startup.figures, throughput.figures, latency.figures, memory.figures)


def main() -> None:
    """Measure, print each figure as soon as it is there, and end the process."""
    parser = argparse.ArgumentParser(prog="benchmarks", description="Measure vendortap through its commands.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE, too")
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}\n", flush=True)
    measured: list[Figure] = []
    for job in JOBS:
        for figure in job():
            measured.append(figure)
            print(figure.line(), flush=True)
    if options.json:
        document = {"python": platform.python_version(), "figures": [asdict(figure) for figure in measured]}
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    sys.exit(1 if any(figure.passed is False for figure in measured) else 0)


if __name__ == "__main__":
    main()
