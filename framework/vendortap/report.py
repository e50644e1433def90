"""What a tap tells `vendortap run` about its progress: a small JSON file, replaced as a whole.

::

    {"final": true, "requests": 42, "retries": 0, "waited_seconds": 0.0,
     "drift": [{"connector": "scansource", "stream": "invoices", "kind": "unknown", "field": "Surcharge",
                "path": "$[0].Surcharge", "expected": null}],
     "streams": {"invoices": {"fetched": 2003, "records": 2000, "filtered": 0, "quarantined": 1, "skipped": 2,
                              "known": 2, "repeated": 0, "missing": 0, "requests": 21, "retries": 0, "seconds": 0.8}}}

``records`` are those that were emitted; vendortap.sync.Tally says what the others of a stream's figures count,
vendortap.drift what ``drift`` holds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

ENVIRONMENT = "VENDORTAP_REPORT"
"""The environment variable that names the file; unset, nothing is told."""

Report = Mapping[str, Any]


def wanted() -> bool:
    """Whether somebody wants to be told."""
    return bool(os.environ.get(ENVIRONMENT))


def write(report: Report) -> None:
    """Replace the report. Where it cannot be written, nobody is told: a sync does not fail for that."""
    path = Path(os.environ[ENVIRONMENT])
    temporary = path.with_name(f"{path.name}.new")
    with suppress(OSError):
        temporary.write_text(json.dumps(report), encoding="utf-8")
        temporary.replace(path)


def read(path: Path) -> Report:
    """Return the report, empty while there is none."""
    try:
        report: Report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return report
