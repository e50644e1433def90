"""From runs to figures: rates, times, and their spreads. Pure; the goals, the report and the plots use it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from benchmarks.results import Part, Run, Spread, spread

Results = Mapping[str, Part]
"""Part → its results; parts that were not measured are absent."""
Figure = Callable[[Run], float]


def rate(run: Run) -> float:
    """Invoices per CPU-second."""
    return run.records / run.cpu


def per_second(run: Run) -> float:
    """Invoices per second of wall time."""
    return run.records / run.wall


def cpu(run: Run) -> float:
    """Seconds of CPU."""
    return run.cpu


def wall(run: Run) -> float:
    """Seconds from start to end."""
    return run.wall


def peak(run: Run) -> float:
    """Peak memory in MiB."""
    return run.peak_mib


def refused(run: Run) -> float:
    """How often the server answered 429."""
    return float(run.extra["refused"])


def state_bytes(run: Run) -> float:
    """The size of the last STATE message."""
    return float(run.extra["state_bytes"])


def measured(part: Part, contender: str, figure: Figure, case: int = 0) -> Spread | None:
    """Return the spread of a contender's figure; None where no run went well."""
    runs = part.of(contender, case)
    return spread([figure(run) for run in runs]) if runs else None


def best(
    part: Part, names: Sequence[str], figure: Figure, case: int = 0, *, highest: bool
) -> tuple[str, Spread] | None:
    """Return the best of some contenders by their medians; None where none was measured."""
    found = [(name, spread) for name in names if (spread := measured(part, name, figure, case))]
    choose = max if highest else min
    return choose(found, key=lambda one: one[1].median) if found else None
