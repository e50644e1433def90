"""The quick start and the tutorial with what takes long: their demos, and the whole suite of a new plugin."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import walkthrough

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("name", ["index", "tutorial"])
def test_a_reader_gets_what_the_document_shows_to_its_end(name: str, tmp_path: Path) -> None:
    walkthrough.run((DOCS / f"{name}.md").read_text(encoding="utf-8"), tmp_path, long=True)
