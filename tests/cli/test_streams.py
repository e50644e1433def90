"""Closed and broken standard streams, and names of files that are none: a sentence, or a run that does its work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from tests.cli.conftest import INVOICES
from tests.conftest import environment, executable

STATE = '{"type": "STATE", "value": {"bookmarks": {}}}\n'


def run(redirection: str, *words: str | Path | bytes, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command of ours with such a redirection; it shows no traceback, and takes nothing for a defect."""
    command: list[str | bytes] = ["bash", "-c", f'exec "$@" {redirection}', "bash"]
    command += [executable(str(words[0])), *(word if isinstance(word, bytes) else str(word) for word in words[1:])]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, env=environment(), check=False)
    assert "Traceback" not in done.stderr
    assert "unexpected" not in done.stderr
    return done


def loaded(file: Path) -> int:
    with duckdb.connect(str(file), read_only=True) as connection:
        found = connection.execute("SELECT count(*) FROM scansource.invoices").fetchone()
    return found[0] if found else 0


@pytest.mark.parametrize("redirection", ["2>&-", "<&-", "<&- 2>&-", "2>/dev/full", "2> >(exec true)"])
def test_a_run_needs_no_standard_error_and_no_standard_input(config: Path, tmp_path: Path, redirection: str) -> None:
    to, state = tmp_path / "invoices.duckdb", tmp_path / "state.json"
    done = run(redirection, "vendortap", "run", "scansource", "--config", config, "--to", to, "--state", state)
    assert (done.returncode, loaded(to)) == (0, INVOICES)
    assert "invoices" in done.stdout
    assert json.loads(state.read_text(encoding="utf-8"))["bookmarks"]


@pytest.mark.parametrize("redirection", ["2>&-", "<&-", "<&- 2>&-"])
def test_a_tap_needs_neither(config: Path, redirection: str) -> None:
    done = run(redirection, "tap-scansource", "--config", config)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert [line["type"] for line in lines].count("RECORD") == 2 * INVOICES


@pytest.mark.parametrize(
    "words", [("vendortap", "list"), ("tap-scansource", "--discover"), ("target-vendortap-duckdb", "--about")]
)
def test_nothing_is_written_to_a_standard_output_that_is_closed(words: tuple[str, ...]) -> None:
    done = run(">&-", *words)
    assert done.returncode == 2
    assert "standard output is closed; open it, or send it to /dev/null" in done.stderr


def test_a_tap_reads_nothing_for_a_standard_output_that_is_closed(config: Path) -> None:
    done = run(">&-", "tap-scansource", "--config", config)
    assert done.returncode == 2
    assert "tap-scansource: error: standard output is closed" in done.stderr


def test_a_target_says_that_its_standard_input_is_closed(tmp_path: Path) -> None:
    settings = tmp_path / "target.json"
    settings.write_text(json.dumps({"path": str(tmp_path / "x.duckdb")}), encoding="utf-8")
    done = run("<&-", "target-vendortap-duckdb", "--config", settings)
    assert done.returncode == 2
    assert "standard input is closed; pipe a tap into this" in done.stderr
    (tmp_path / "messages").write_text(STATE, encoding="utf-8")
    done = run("<&-", "target-vendortap-duckdb", "--config", settings, "--input", tmp_path / "messages")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"bookmarks": {}})
    assert run("</dev/null", "target-vendortap-duckdb", "--config", settings).returncode == 0


# --- names of files ----------------------------------------------------------------------------------


def test_a_tilde_in_to_is_the_shells_business(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("", "vendortap", "run", "scansource", "--config", config, "--to", "~x.duckdb").returncode == 0
    assert loaded(tmp_path / "~x.duckdb") == INVOICES


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("~nobody-of-that-name.duckdb", "is no user's home folder; for a file of that name write ./~nobody"),
        ("a\0b.duckdb", "DuckDB takes no name that has a NUL character or is not UTF-8"),
        ("\udcff.duckdb", "DuckDB takes no name that has a NUL character or is not UTF-8"),
        ("/dev/null", "/dev/null is not a file"),
        ("/", "/ is a folder"),
    ],
)
def test_a_path_that_cannot_be_a_database_is_refused(tmp_path: Path, path: str, why: str) -> None:
    settings = tmp_path / "target.json"
    settings.write_text(json.dumps({"path": path}), encoding="utf-8")
    done = run("", "target-vendortap-duckdb", "--config", settings, stdin=STATE)
    assert done.returncode == 2
    assert why in done.stderr


@pytest.mark.parametrize("option", ["--to", "--state"])
def test_what_is_no_file_is_never_replaced(config: Path, tmp_path: Path, option: str) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, "/dev/null", tmp_path, ""):
        others = () if option == "--to" else ("--to", tmp_path / "x.duckdb")
        done = run("", "vendortap", "run", "scansource", "--config", config, *others, option, path)
        assert done.returncode == 2
        assert "is not a file" in done.stderr or "is a directory" in done.stderr
    assert pipe.is_fifo()


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems have names in UTF-8 only")
def test_a_name_that_is_not_utf_8_is_refused_before_anything_is_loaded(config: Path, tmp_path: Path) -> None:
    to = os.fsencode(tmp_path) + b"/\xff.duckdb"
    done = run("", "vendortap", "run", "scansource", "--config", config, "--to", to)
    assert done.returncode == 1
    assert "DuckDB takes no name that has a NUL character or is not UTF-8" in done.stderr


@pytest.mark.parametrize("option", ["--catalog", "--state"])
def test_a_file_that_is_not_utf_8_is_told(config: Path, tmp_path: Path, option: str) -> None:
    file = tmp_path / "latin-1.json"
    file.write_bytes('{"ü": 1}'.encode("latin-1"))
    done = run("", "tap-scansource", "--config", config, option, file)
    assert done.returncode == 2
    assert f"{file} is not UTF-8 text" in done.stderr


def test_a_state_that_could_not_be_written_again_is_refused(config: Path, tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    file.write_text('{"bookmarks": {"invoices": {"seen": [["\\ud800"]]}}}', encoding="utf-8")
    done = run("", "tap-scansource", "--config", config, "--state", file)
    assert done.returncode == 2
    assert "the state has half of a surrogate pair in it" in done.stderr


@pytest.mark.parametrize("option", ["--rate", "--latency-ms"])
@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_sandbox_takes_no_number_that_is_none(option: str, value: str) -> None:
    done = run("", "vendortap", "sandbox", "scansource", "--port", "0", option, value)
    assert done.returncode == 2
    assert "is not a finite number" in done.stderr
