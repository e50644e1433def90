"""The papers keep to their form: lengths, headings, the picture, and the terms of the glossary."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
GENERATED = {"performance.md", "reliability.md", "hooks.md"}
"""Pages that programs make, whose words are those programs' own."""
DECISIONS = sorted((DOCS / "decisions").glob("[0-9]*.md"))
TERMS: dict[str, tuple[str, str]] = {
    "quarantine": (r"quarantin", "sync/quarantine.py"),
    "drift": (r"drift", "decode/drift.py"),
    "sandbox": (r"sandbox", "sandbox/kit.py"),
    "lock": (r"lock", "support/lock.py"),
    "plan": (r"plan", "declare/plan.py"),
    "pool": (r"pool", "sync/ordering.py"),
    "decoder": (r"decoders?", "decode/reader.py"),
    "coerce": (r"coerc", "decode/coerce.py"),
    "parent": (r"parent", "declare/model.py"),
    "filter": (r"filter", "sync/filter.py"),
    "counters": (r"counters", "sync/counters.py"),
    "token store": (r"token[ _]store", "http/token_store.py"),
    "rate limit": (r"rate[ _]limit", "http/rate_limit.py"),
    "serialisation": (r"serialisation", "singer/serialisation.py"),
    "layers": (r"layers", ""),
    "harness": (r"harness", "testing/harness.py"),
    "slice": (r"slices?", "declare/plan.py"),
    "record selector": (r"record selector", ""),
    "unknown field": (r"unknown fields?", "decode/drift.py"),
}
"""Term → how it shows in text, and the module that the code has for it, if it has one."""
SINGER = {
    *("tap", "target", "stream", "catalog", "bookmark", "state", "replication key", "schema", "record", "message"),
    *("stream map", "selection", "partition", "plugin", "hook", "connector", "pager", "auth flow", "setting", "run"),
}
"""Terms of the field that every reader meets."""


def words(path: Path) -> int:
    """Count words, code and tables included."""
    return len(path.read_text(encoding="utf-8").split())


def glossary() -> dict[str, str]:
    """Return the glossary: term → what it means."""
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    found = re.findall(r"^\*\*([^*]+)\*\*: (.*?)(?=\n\n|\Z)", text, re.MULTILINE | re.DOTALL)
    return {term: meaning.strip() for term, meaning in found}


@pytest.mark.parametrize(("name", "most"), [("docs/architecture.md", 2000), ("README.md", 1100)])
def test_a_paper_is_no_longer_than_it_may_be(name: str, most: int) -> None:
    assert words(ROOT / name) <= most


# --- the picture -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawing() -> dict[str, Any]:
    """The script that draws the picture, as a module's names."""
    return runpy.run_path(str(DOCS / "architecture_picture.py"))


def test_the_picture_is_what_its_script_draws(drawing: dict[str, Any]) -> None:
    drawn = drawing["draw"](drawing["layers"]())
    assert (DOCS / "architecture.svg").read_text(encoding="utf-8") == drawn, "run: make docs"


def test_the_picture_has_every_room_and_fits_a_telephone_in_light_and_dark(drawing: dict[str, Any]) -> None:
    text = (DOCS / "architecture.svg").read_text(encoding="utf-8")
    picture = ElementTree.fromstring(text)  # noqa: S314 - our own picture
    shown = [element.text for element in picture.iter() if element.get("class") == "name"]
    package = ROOT / "framework" / "vendortap"
    rooms = {path.parent.name for path in package.glob("*/__init__.py")} | {"errors"}
    assert sorted(filter(None, shown)) == sorted(rooms) == sorted(drawing["JOBS"])
    assert int(picture.get("width", "0")) <= 390
    assert min(map(int, re.findall(r"font-size: (\d+)px", text))) >= 12
    assert "prefers-color-scheme: dark" in text
    page = next(element for element in picture.iter() if element.get("class") == "page")
    assert float(page.get("width", "0")) + 1 == int(picture.get("width", "0"))  # a background of its own


def test_no_text_leaves_its_box(drawing: dict[str, Any]) -> None:
    for layer in drawing["layers"]():
        for room in layer:
            width = drawing["_width"](layer)
            assert all(len(line) * drawing["LETTER"] <= width for line in drawing["_job"](room, width)), room


def test_the_table_of_rooms_is_that_of_the_contract(drawing: dict[str, Any]) -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    table = text.partition("| room | what lives there |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [
        room for layer in drawing["layers"]() for room in layer
    ]


def test_the_modules_that_the_architecture_names_are_there() -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\b((?:[a-z]+/)+[a-z_]+\.py)\b", text.replace("../framework/vendortap/", "")))
    assert len(named) > 20
    missing = {name for name in named if not (ROOT / "framework" / "vendortap" / name).exists()}
    assert {name for name in missing if not (ROOT / name).exists()} == set()


# --- decisions ---------------------------------------------------------------------------------------


def test_decisions_are_numbered_without_a_gap_and_listed() -> None:
    assert [int(path.name[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    index = (DOCS / "decisions" / "index.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[(\d{4})\]\(([^)]+)\) \| (.+) \|$", index, re.MULTILINE)
    assert [name for _, name, _ in listed] == [path.name for path in DECISIONS]
    titles = [path.read_text(encoding="utf-8").splitlines()[0] for path in DECISIONS]
    assert [f"# {number}. {title}" for number, _, title in listed] == titles


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.name[:4])
def test_a_decision_has_its_three_headings_on_one_page(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"^#+ (.*)$", text, re.MULTILINE)[1:] == ["Context", "Decision", "What was measured"]
    assert all(part.strip() for part in re.split(r"^## .*$", text, flags=re.MULTILINE))
    assert words(path) <= 400


# --- the glossary ------------------------------------------------------------------------------------


def test_the_glossary_is_in_order_and_short() -> None:
    found = glossary()
    assert list(found) == sorted(found)
    for term, meaning in found.items():
        sentences = len(re.findall(r"[.!?](?:\s|$)", meaning))
        assert 1 <= sentences <= 2, term
        assert meaning.endswith("."), term


def test_the_glossary_has_every_term_of_the_house_that_the_papers_use() -> None:
    pages = [path for path in DOCS.glob("*.md") if path.name not in GENERATED | {"glossary.md"}]
    text = "\n".join(path.read_text(encoding="utf-8") for path in pages).lower()
    package = ROOT / "framework" / "vendortap"
    for term, (pattern, module) in TERMS.items():
        assert not module or (package / module).exists(), f"{term}: the code has another name for it now"
        if re.search(rf"\b{pattern}", text):
            assert term in glossary(), term


def test_the_glossary_has_the_terms_of_the_field() -> None:
    assert sorted(SINGER - glossary().keys()) == []
