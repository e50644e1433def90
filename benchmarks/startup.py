"""How long commands take that fetch nothing: the median of five, in turn with a bare singer-sdk tap."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.measure import Figure, command, run

TIMES = 5
BARE = str(Path(__file__).with_name("bare_tap.py"))


def figures() -> Iterator[Figure]:
    """Measure the commands one after the other, five times over."""
    commands = {
        "vendortap list": [command("vendortap"), "list"],
        "tap-scansource --discover": [command("tap-scansource"), "--discover"],
        "a bare singer-sdk tap --discover": [sys.executable, BARE, "--discover"],
    }
    walls: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(TIMES):
        for name, arguments in commands.items():
            walls[name].append(run(arguments).wall)
    for name, seconds in walls.items():
        yield Figure(name, median(seconds), "s", f"median of {TIMES}")
