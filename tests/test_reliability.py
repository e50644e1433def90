"""docs/reliability.md is made of what the tests promise while they run: the collecting and the writing."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import reliability
from tests.reliability import Held

ROOT = Path(__file__).resolve().parents[1]
SUITE = """
import pytest

@pytest.mark.promise("Marked | and held")
@pytest.mark.parametrize("case", [1, 2, 3])
def test_marked(case): ...

@pytest.mark.promise("Counted", figure="1,000 bodies")
def test_counted(record_property):
    record_property("promise", "Told")
    record_property("figure", f"{300} kills survived")
    record_property("figure", "17 ends")

@pytest.mark.promise("Counted", figure="500 bodies")
def test_counted_too(): ...

@pytest.mark.promise("Broken")
def test_fails(): assert False

@pytest.mark.promise("Not tried")
def test_skipped(): pytest.skip()

def test_without(): ...
"""


@pytest.mark.parametrize("processes", ["0", "2"])
def test_what_tests_that_pass_promise_is_written_whatever_the_number_of_processes(
    tmp_path: Path, processes: str
) -> None:
    (tmp_path / "test_suite.py").write_text(SUITE, encoding="utf-8")
    told = tmp_path / "new" / "told.json"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.reliability", "-n", processes]
    done = subprocess.run(
        [*command, "--rootdir", str(tmp_path), "--reliability", str(told), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "1 failed, 6 passed, 1 skipped" in done.stdout, done.stdout + done.stderr
    document = reliability.render(reliability.read(told))
    assert document == reliability.HEAD + (
        "| Counted | 1,500 bodies | [`test_counted`](../test_suite.py), [`test_counted_too`](../test_suite.py) |\n"
        "| Told | 300 kills survived; 17 ends | [`test_counted`](../test_suite.py) |\n"
        "| Marked \\| and held | 3 cases | [`test_marked`](../test_suite.py) |\n"
    )
    assert reliability.named(document) == {
        ("Counted", "test_suite.py::test_counted"),
        ("Counted", "test_suite.py::test_counted_too"),
        ("Told", "test_suite.py::test_counted"),
        ("Marked \\| and held", "test_suite.py::test_marked"),
    }


def test_figures_of_the_same_kind_are_added_up_and_others_told_once() -> None:
    cases = [Held("t", "p", figure) for figure in ("2 kills", "all of them", "3 kills", "all of them", "7", "1,000")]
    assert reliability.figure(cases) == "5 kills; 1,007; all of them"
    assert reliability.figure([Held("t", "p")]) == "1 case"


def test_a_document_that_names_other_promises_than_the_run_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told, document = tmp_path / "told.json", tmp_path / "reliability.md"
    monkeypatch.setattr(reliability, "DOCUMENT", document)
    told.write_text(json.dumps([["a.py::test_a", "Kept", "5 kills"]]), encoding="utf-8")
    document.write_text(reliability.render([Held("a.py::test_a", "Kept", "4 kills")]), encoding="utf-8")
    assert reliability.main([str(told), "--check"]) == 0
    document.write_text(reliability.render([Held("a.py::test_a", "Gone")]), encoding="utf-8")
    capsys.readouterr()
    assert reliability.main([str(told), "--check"]) == 1
    said = capsys.readouterr().out
    assert "no test that passed holds: Gone (a.py::test_a)" in said
    assert "docs/reliability.md does not have: Kept (a.py::test_a)" in said


# --- the document in the tree ------------------------------------------------------------------------


def _promises(path: Path) -> Iterator[str]:
    """Yield the promises that a test file gives as plain texts."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        texts = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
        if called == "pytest.mark.promise" and texts:
            yield str(texts[0])
        if called == "record_property" and texts[:1] == ["promise"] and len(texts) > 1:
            yield str(texts[1])


def test_the_document_names_every_promise_of_the_tests_and_only_tests_that_there_are() -> None:
    document = reliability.DOCUMENT.read_text(encoding="utf-8")
    files = [path for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__)]
    named = reliability.named(document)
    promised = {reliability._cell(promise) for path in files for promise in _promises(path)}
    assert promised
    assert promised <= {promise for promise, _ in named}, "run: make reliability"
    for _, test in named:
        path, _, name = test.rpartition("::")
        assert f"def {name}(" in (ROOT / path.partition("::")[0]).read_text(encoding="utf-8"), test
