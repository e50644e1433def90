"""From runs to figures: rates, spreads, and whether what was to be reached is. Pure; the report and the plots use it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.contenders import DLT_DETAILS, SINGER_SDK, VENDORTAP
from benchmarks.parts import details, lists, load
from benchmarks.results import Part, Run, Spread, spread

Results = Mapping[str, Part]
"""Part → its results; parts that were not measured are absent."""
Figure = Callable[[Run], float]


def rate(run: Run) -> float:
    """Invoices per CPU-second."""
    return run.records / run.cpu


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


def best(part: Part, names: Sequence[str], figure: Figure, case: int = 0, *, highest: bool) -> tuple[str, Spread] | None:
    """Return the best of some contenders by their medians; None where none was measured."""
    found = [(name, spread) for name in names if (spread := measured(part, name, figure, case))]
    choose = max if highest else min
    return choose(found, key=lambda one: one[1].median) if found else None


# --- what is to be reached ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Goal:
    """One of the figures to reach: ``ours`` is ``figure``, held against ``target``, from below or from above.

    ``peers`` says who comes next, ``shown`` how ours is made up.
    """

    key: str
    what: str
    peers: str
    shown: str
    figure: float
    target: float
    at_least: bool
    unit: str

    @property
    def reached(self) -> bool:
        """Whether it is."""
        return self.figure >= self.target if self.at_least else self.figure <= self.target

    @property
    def short_by(self) -> float:
        """How much is missing, as a part of the target."""
        return abs(self.figure - self.target) / self.target


LIST_TARGETS = {"json": 8.0, "xml": 4.0}
DETAILS_SECONDS = 5.7
LIMIT_SECONDS, LIMIT_REFUSED = 10.1, 2
PEAK_MIB, FLAT = 70.0, 1.1
LIST_SECONDS = 0.20
DISCOVER_RATIO = 1.1
LOAD_RATIO = 2.0
