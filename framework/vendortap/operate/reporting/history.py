"""How far a tap was at each moment of a run: few enough moments to keep and to draw, however long it takes."""

from __future__ import annotations

from collections.abc import Iterator

from vendortap.singer.progress_file import Report

MOST = 240
"""How many moments are kept; of more, every other one is dropped. As their figures only ever grow, nothing is lost."""


class History:
    """The moments of a run, evenly spaced but for the last one."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._kept: list[Report] = []
        self._last: Report | None = None
        self._spacing = 0.0

    def add(self, report: Report) -> None:
        """Add a moment; one that is known already is not added twice."""
        if self._last and report["seconds"] <= self._last["seconds"]:
            return
        self._last = report
        if not self._kept or report["seconds"] >= self._kept[-1]["seconds"] + self._spacing:
            self._kept.append(report)
        if len(self._kept) > self._most:
            del self._kept[1::2]
            self._spacing = 2 * self._kept[-1]["seconds"] / self._most

    def steps(self) -> Iterator[tuple[Report, Report]]:
        """Yield each moment with the one before it; the first with an empty one."""
        last = self._last
        moments = self._kept if last is None or last is self._kept[-1] else [*self._kept, last]
        yield from zip([{}, *moments], moments, strict=False)
