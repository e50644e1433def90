"""A sandbox that the commands are run against, and the settings that lead to it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tap_scansource import SCANSOURCE
from vendortap.sandbox import serve

INVOICES = 40


@pytest.fixture(scope="module")
def sandbox() -> Iterator[serve.Served]:
    with serve.serving(serve.application(SCANSOURCE, invoices=INVOICES, seed=1, latency_ms=0, rate=0)) as served:
        yield served


@pytest.fixture
def config(sandbox: serve.Served, tmp_path: Path) -> Path:
    return written(tmp_path, serve.settings(SCANSOURCE, sandbox.url))


def written(folder: Path, settings: Mapping[str, Any], **changes: Any) -> Path:
    file = folder / "config.json"
    file.write_text(json.dumps({**settings, **changes}))
    return file
