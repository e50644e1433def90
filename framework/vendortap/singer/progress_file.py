"""What a tap tells `vendortap run` about its progress: a small JSON file, replaced as a whole, by a thread of its own.

::

    {"final": true, "error": null, "seconds": 1.2, "requests": 42, "retries": 0, "waiting": 0, "waited_seconds": 0.0,
     "bytes": 91034, "latencies": [0, 0, 31, 11],
     "drift": [{"connector": "scansource", "stream": "invoices", "kind": "unknown", "field": "Surcharge",
                "path": "$[0].Surcharge", "expected": null}],
     "streams": {"invoices": {"fetched": 2003, "records": 2000, "filtered": 0, "quarantined": 1, "skipped": 2,
                              "known": 2, "repeated": 0, "missing": 0, "conflicting": 0, "slices": 2, "expected": 2,
                              "requests": 21, "retries": 0, "waited_seconds": 0.0, "bytes": 40312, "seconds": 0.8,
                              "totals": [{"currency": "USD", "records": 2000, "amount": "12345.67"}]}}}

``error`` is the sentence that a tap fails with, where it could say it and it was not the target that ended first.
``records`` are those that were emitted; vendortap.sync.counters says what the others of a stream's figures count,
vendortap.http.traffic what those of its traffic do, vendortap.decode.drift what ``drift`` holds. ``latencies`` are
counts by the classes of vendortap.support.latency. ``totals`` are there where they are asked for, of records as
they are written (vendortap.sync.totals); nothing else of any record is in it, and no secret in the currency.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from vendortap.errors import VendortapError
from vendortap.support.files import write_atomically
from vendortap.support.redact import shown_document, unexpected

ENVIRONMENT = "VENDORTAP_REPORT"
"""The environment variable that names the file; unset, nothing is told."""
TOTALS = "VENDORTAP_REPORT_TOTALS"
"""The environment variable that, set to anything, asks for totals of the amounts as well."""
LEAST_SECONDS, MOST_SECONDS = 0.1, 0.5
"""How long it is from one report to the next: the former at first, the latter once a run takes its time."""

Report = Mapping[str, Any]
Snapshot = Callable[[], Report]


def wanted() -> bool:
    """Whether somebody wants to be told."""
    return bool(os.environ.get(ENVIRONMENT))


def totals_wanted() -> bool:
    """Whether somebody wants to be told totals as well."""
    return wanted() and bool(os.environ.get(TOTALS))


@contextmanager
def telling(snapshot: Snapshot) -> Iterator[None]:
    """Tell how far things are a few times a second, as long as the context lasts, and how it ended at its end."""
    if not wanted():
        yield
        return
    teller = _Teller(snapshot)
    error: str | None = None
    try:
        yield
    except BrokenPipeError:  # the target's end, of which it says more itself
        raise
    except Exception as problem:
        error = str(problem) if isinstance(problem, VendortapError) else unexpected(problem)
        raise
    finally:
        teller.end(error)


class _Teller(threading.Thread):
    """Writes reports until it is ended."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__(name="report", daemon=True)
        self._snapshot = snapshot
        self._began = time.monotonic()
        self._over = threading.Event()
        self.start()

    def run(self) -> None:
        self._tell(final=False)
        while not self._over.wait(min(max(self._seconds() / 20, LEAST_SECONDS), MOST_SECONDS)):
            self._tell(final=False)

    def end(self, error: str | None) -> None:
        """Write the last report, with the sentence that all ended with, if it did with one."""
        self._over.set()
        self.join()
        self._tell(final=True, error=error)

    def _tell(self, *, final: bool, error: str | None = None) -> None:
        write({"final": final, "error": error, "seconds": round(self._seconds(), 3), **self._snapshot()})

    def _seconds(self) -> float:
        return time.monotonic() - self._began


def write(report: Report) -> None:
    """Replace the report. Where it cannot be written, nobody is told: a sync does not fail for that."""
    with suppress(OSError):
        document = json.dumps(shown_document(report, but=("amount",)))
        write_atomically(Path(os.environ[ENVIRONMENT]), document.encode(), durable=False)


def read(path: Path) -> Report:
    """Return the report, empty while there is none."""
    try:
        report: Report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return report
