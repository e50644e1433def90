"""How long answers take, counted by size classes: what can be added up and subtracted, unlike a median.

There are ten classes to each power of ten between 1 ms and 1,000 s, so a quantile read from them is right to within
13 %.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence

BOUNDS = tuple(10 ** (power / 10) for power in range(-30, 31))
"""The classes' bounds in seconds: a latency is in the class of the first bound above it, or in the one behind all."""

Counts = Sequence[int]
"""How many latencies there are in each class."""


def none() -> list[int]:
    """Return the counts of nothing."""
    return [0] * (len(BOUNDS) + 1)


def place(seconds: float) -> int:
    """Return the class of a latency."""
    return bisect(BOUNDS, seconds)


def less(counts: Counts, before: Counts) -> list[int]:
    """Return what has come since: the counts without those of ``before``, which may be empty."""
    return [now - then for now, then in zip(counts, before or none(), strict=True)]


def quantile(counts: Counts, share: float) -> float | None:
    """Return the seconds that ``share`` (0 to 1) of the latencies stay below, or ``None`` where there are none."""
    total = sum(counts)
    if total == 0:
        return None
    wanted, seen = share * total, 0
    for number, count in enumerate(counts):
        if count and seen + count >= wanted:
            return _inside(number, (wanted - seen) / count)
        seen += count
    raise AssertionError("a share is at most 1")


def _inside(number: int, part: float) -> float:
    """Return a point of a class, whose latencies are taken to lie evenly on its logarithmic scale."""
    low = BOUNDS[max(number - 1, 0)]
    high = BOUNDS[min(number, len(BOUNDS) - 1)]
    return float(low * (high / low) ** min(max(part, 0.0), 1.0))
