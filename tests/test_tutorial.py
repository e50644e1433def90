"""The tutorial and the quick start are run as they stand: tests/walkthrough.py says how."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import walkthrough

DOCS = Path(__file__).resolve().parents[1] / "docs"


@pytest.mark.parametrize("name", ["index", "tutorial"])
def test_a_reader_gets_what_the_document_shows(name: str, tmp_path: Path) -> None:
    walkthrough.run((DOCS / f"{name}.md").read_text(encoding="utf-8"), tmp_path)
