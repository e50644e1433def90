"""A run's report as a document, for ``json.dumps``.

::

    {"version": 1, "connector": "scansource", "title": "ScanSource", "vendortap": "0.1.0",
     "started": "2025-01-31T06:15:00+00:00", "seconds": 4.2,
     "exit_code": 0, "problem": null, "complete": true,
     "requests": 42, "retries": 0, "waited_seconds": 0.0, "bytes": 91034,
     "latency": {"answers": 42, "median": 0.02, "p95": 0.11, "greatest": 0.13},
     "streams": {"invoices": {"fetched": 2003, "emitted": 2000, "filtered": 0, "quarantined": 1, "skipped": 2,
                              "known": 2, "repeated": 0, "missing": 0, "conflicting": 0, "requests": 21,
                              "retries": 0, "waited_seconds": 0.0, "bytes": 40312, "seconds": 0.8,
                              "totals": [{"currency": "USD", "records": 2000, "amount": "12345.67"}]}},
     "drift": [], "quarantine": null,
     "timeline": [{"seconds": 0.1, "requests": 2, "retries": 0, "waited_seconds": 0.0, "bytes": 2048,
                   "records": {"invoices": 100}, "latency": {…}}]}

Seconds are seconds, bytes are those received. A stream's counts are those of vendortap.sync.Tally, its ``totals`` what
its records come to: exact, as text; ``currency`` is null where the vendor states none, ``amount`` where the digits are
too many, or the currencies, the rest of which is "(others)". ``complete`` says whether the tap could say its last word.
The figures of a point of the ``timeline`` are those since the tap began, but for its ``latency``, which is that of the
answers since the point before. ``quarantine`` names the folder where there is one. Where a run failed, ``problem`` is
why.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from vendortap.operate.reporting.history import History
from vendortap.operate.run import Outcome
from vendortap.singer.progress_file import Report
from vendortap.support import latency
from vendortap.support.version import version

VERSION = 1
_COUNTS = ("filtered", "quarantined", "skipped", "known", "repeated", "missing", "conflicting")
_SPENT = ("requests", "retries", "waited_seconds", "bytes")


class Recorder:
    """Follows a run from its begin to its end; ``watch`` is for vendortap.operate.run.run."""

    def __init__(self, connector: str, title: str) -> None:
        self.quarantine: str | None = None
        """The folder of the quarantine, if there is one."""
        self._head = {"connector": connector, "title": title, "vendortap": version()}
        self._started, self._began = datetime.now(UTC), time.monotonic()
        self._report: Report = {}
        self._history = History()
        self._end: dict[str, Any] = {}

    def watch(self, report: Report) -> None:
        """Take note of how far the tap is."""
        if report:
            self._report = report
            self._history.add(report)

    def over(self, outcome: Outcome) -> None:
        """Take note of how the run ended."""
        problem = self._report.get("error") or outcome.problem
        if outcome.tap and not problem:
            problem = f"the tap ended with exit code {outcome.tap}; its log says why"
        self.ended(outcome.exit_code, problem)

    def ended(self, exit_code: int, problem: str | None) -> None:
        """Take note of an end: the run's exit code, and why it failed if it did."""
        self._end = {"exit_code": exit_code, "problem": problem}

    def document(self) -> dict[str, Any]:
        """Return the report."""
        report = self._report
        return {
            "version": VERSION,
            **self._head,
            "started": self._started.isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - self._began, 3),
            **self._end,
            "complete": report.get("final", False),
            **{name: report.get(name, 0) for name in _SPENT},
            "latency": latencies(report.get("latencies", latency.none())),
            "streams": {name: _stream(stream) for name, stream in report.get("streams", {}).items()},
            "drift": report.get("drift", []),
            "quarantine": self.quarantine,
            "timeline": [_point(now, before) for before, now in self._history.steps()],
        }


def _stream(told: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "fetched": told["fetched"],
        "emitted": told["records"],
        **{name: told[name] for name in (*_COUNTS, *_SPENT, "seconds", "totals")},
    }


def _point(now: Report, before: Report) -> dict[str, Any]:
    return {
        "seconds": now["seconds"],
        **{name: now[name] for name in _SPENT},
        "records": {name: stream["records"] for name, stream in now["streams"].items()},
        "latency": latencies(latency.less(now["latencies"], before.get("latencies", ()))),
    }


def latencies(counts: latency.Counts) -> dict[str, Any]:
    """Return how long answers took: how many there were, and seconds (``None`` where there were none)."""
    shares = {"median": 0.5, "p95": 0.95, "greatest": 1.0}
    found = {name: latency.quantile(counts, share) for name, share in shares.items()}
    return {"answers": sum(counts), **{k: None if v is None else float(f"{v:.3g}") for k, v in found.items()}}
