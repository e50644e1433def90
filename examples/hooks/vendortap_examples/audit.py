"""A page action that writes down how much of what was handed on: one JSON line a stream and run, never a value.

It does so where the setting names a file: ``{"plugins": {"audit": {"file": "audit.jsonl"}}}``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vendortap.declare import Connector, PageAction, Record, Stream, hookimpl


@hookimpl
def page_action(connector: Connector, stream: Stream, options: Mapping[str, Any]) -> PageAction | None:
    """Count pages and records of a stream."""
    if "file" not in options:
        return None
    counts = {"pages": 0, "records": 0}

    def act(records: Sequence[Record]) -> None:
        counts["pages"] += 1
        counts["records"] += len(records)

    def end() -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        line = json.dumps({"time": now, "connector": connector.name, "stream": stream.name, **counts})
        with Path(options["file"]).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    return PageAction(act, alters=False, end=end)
