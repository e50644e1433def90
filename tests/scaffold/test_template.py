"""The template of `vendortap new`, and how what it gives is laid out."""

from __future__ import annotations

from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import pytest

from vendortap.errors import VendortapError
from vendortap.scaffold import layout, new, project
from vendortap.support import extras

MESSY = """from decimal import Decimal
import sys
from vendortap.declare import (Connector, Stream, hookimpl,)
import click
X = Connector(hookimpl, click, sys,)
"""
TIDY = """import sys

import click

from vendortap.declare import Connector, hookimpl

X = Connector(
    hookimpl,
    click,
    sys,
)
"""


def test_a_path_of_the_template_is_one_that_every_tool_takes() -> None:
    template = Path(str(files("vendortap.scaffold").joinpath("template")))
    paths = [path.relative_to(template).as_posix() for path in template.rglob("*")]
    assert paths
    assert [path for path in paths if set(path) & set(" {}[]")] == []


@pytest.mark.parametrize("name", ["__init__.py", "sandbox.py"])
def test_unused_imports_go_and_the_others_are_sorted_also_where_git_ignores_the_folder(
    name: str, tmp_path: Path
) -> None:
    folder = tmp_path / "build" / "tap-one"
    folder.mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".gitignore").write_text("build/\n")
    (folder / name).write_text(MESSY)
    layout.tidy(folder)
    assert (folder / name).read_text() == TIDY


@pytest.mark.parametrize("module", ["jinja2", "ruff"])
def test_without_what_renders_or_lays_out_the_extra_is_named(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == module else find_spec(name))
    with pytest.raises(VendortapError, match=rf"needs {module}: pip install 'path/to/vendortap\[new\]'"):
        project.write(new.vendor("one"), tmp_path / "tap-one")
    assert list(tmp_path.iterdir()) == []


def test_a_draft_that_is_no_python_is_reported_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project, "declaration", lambda *_: "Connector(")
    with pytest.raises(VendortapError, match=r"a mistake of vendortap; report it: (?s:.*)__init__\.py:"):
        project.write(new.vendor("one"), tmp_path / "tap-one")
    assert list(tmp_path.iterdir()) == []
