"""`vendortap state`, and runs that go back to an earlier state or do without one."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.cli.conftest import INVOICES
from tests.conftest import environment, executable
from vendortap.sandbox import serve


def vendortap(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [executable("vendortap"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=120, check=False)


def fetched(done: subprocess.CompletedProcess[str]) -> int:
    """How many documents a run handed on."""
    assert done.returncode == 0, done.stderr
    [details] = [line.split() for line in done.stdout.splitlines() if line.startswith("invoice_details")]
    return int(details[2])


def test_states_are_listed_shown_and_restored(sandbox: serve.Served, config: Path, tmp_path: Path) -> None:
    database = tmp_path / "invoices.duckdb"
    run = ("run", "scansource", "--config", config, "--to", database)
    assert fetched(vendortap(*run)) == INVOICES
    sandbox.app.state.add(2)
    assert fetched(vendortap(*run)) == 2
    listed = [line.split() for line in vendortap("state", "list", database).stdout.splitlines()]
    assert listed[0] == ["generation", "written", "connector"]
    assert [(row[0], row[-1]) for row in listed[1:]] == [("2", "scansource"), ("1", "scansource")]
    assert "invoice_details" in json.loads(vendortap("state", "show", database, 1).stdout)["bookmarks"]

    restored = vendortap("state", "restore", database, 1)
    assert (restored.returncode, restored.stdout) == (0, "")
    assert restored.stderr == "The newest state of scansource is now generation 3, the same as 1.\n"
    assert fetched(vendortap(*run)) == 2
    assert fetched(vendortap(*run)) == 0
    assert fetched(vendortap(*run, "--full-refresh")) == INVOICES + 2


def test_a_generation_that_is_not_kept_and_a_file_that_is_no_database_are_sentences(tmp_path: Path) -> None:
    import duckdb

    empty, notes = tmp_path / "empty.duckdb", tmp_path / "notes.txt"
    duckdb.connect(str(empty)).close()
    notes.write_text("my notes")
    assert vendortap("state", "list", empty).stdout.split() == ["generation", "written", "connector"]
    for command in ("show", "restore"):
        done = vendortap("state", command, empty, 7)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"vendortap: error: {empty} keeps no state of generation 7; ")
    done = vendortap("state", "list", notes)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"vendortap: error: cannot open {notes}: it is not a DuckDB database\n"
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".lock")] == []
