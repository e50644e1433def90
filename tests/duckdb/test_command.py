"""The DuckDB target as a command: a real process, a real pipe, a real file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import duckdb
import pytest

from vendortap.duckdb import main

COMMAND = [sys.executable, "-m", "vendortap.duckdb"]
SCHEMA = {
    "type": "SCHEMA",
    "stream": "invoices",
    "schema": {"properties": {"id": {"type": "integer"}, "net": {"type": ["null", "number"]}}},
    "key_properties": ["id"],
}
posix = pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")


def invoice(number: int) -> dict[str, Any]:
    return {"type": "RECORD", "stream": "invoices", "record": {"id": number, "net": number}}


def state(number: int) -> dict[str, Any]:
    return {"type": "STATE", "value": {"done": number}}


def encode(*messages: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(message).encode() + b"\n" for message in messages)


def config(tmp_path: Path, **settings: Any) -> str:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"path": str(tmp_path / "invoices.duckdb"), **settings}))
    return str(path)


def run(arguments: list[str], data: bytes = b"", **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*COMMAND, *arguments], input=data, capture_output=True, env={**os.environ, **environment}, timeout=60
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of an error on stderr, apart from the log."""
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if " | " not in line]
    assert len(lines) == 1, done.stderr
    return lines[0]


def rows(tmp_path: Path, query: str = "SELECT id FROM invoices ORDER BY id") -> list[Any]:
    with duckdb.connect(str(tmp_path / "invoices.duckdb")) as connection:
        return [row[0] for row in connection.execute(query).fetchall()]


def test_messages_in_state_out(tmp_path: Path) -> None:
    done = run(["--config", config(tmp_path)], encode(SCHEMA, invoice(1), invoice(2), state(2)))
    assert (done.returncode, done.stdout) == (0, '{"done":2}\n')
    assert rows(tmp_path) == [1, 2]
    assert done.stderr.count("committed") == 1
    assert "METRIC" not in done.stderr


def test_settings_from_several_files_and_the_environment(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"default_target_schema": "acme"}')
    arguments = ["--config", config(tmp_path), "--config", str(other), "--config", "ENV"]
    done = run(arguments, encode(SCHEMA, invoice(1)), TARGET_VENDORTAP_DUCKDB_DECIMAL_SCALE="4")
    assert done.returncode == 0
    assert rows(tmp_path, "SELECT typeof(net) FROM acme.invoices") == ["DECIMAL(38,4)"]


def test_about_lists_the_settings_and_opens_nothing(tmp_path: Path) -> None:
    done = run(["--about", "--format", "json"])
    settings = json.loads(done.stdout)["settings"]["properties"]
    assert {"path", "default_target_schema", "decimal_scale", "stream_maps", "add_record_metadata"} <= settings.keys()
    assert settings["load_method"]["default"] == "upsert"


def test_input_can_be_a_file(tmp_path: Path) -> None:
    messages = tmp_path / "messages.jsonl"
    text = {"type": "SCHEMA", "stream": "s", "schema": {"properties": {"ü": {"type": "string"}}}}
    messages.write_text(
        json.dumps(text, ensure_ascii=False) + '\n{"type":"RECORD","stream":"s","record":{"ü":"€"}}', encoding="utf-8"
    )
    done = run(["--config", config(tmp_path), "--input", str(messages)], LC_ALL="C", PYTHONUTF8="0")
    assert done.returncode == 0
    assert rows(tmp_path, 'SELECT "ü" FROM s') == ["€"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"path": ', "is not a JSON object"),
        ("[1]", "is not a JSON object"),
        ("{}", "missing setting: path is required"),
        ('{"path": "x.duckdb", "decimal_scale": "31337"}', "setting decimal_scale: must be of type integer"),
        ('{"path": "x.duckdb", "secret": "31337"}', "unknown setting 'secret'"),
        ('{"path": "no/folder/x.duckdb"}', "in a folder that does not exist"),
    ],
)
def test_wrong_settings_end_with_2(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    done = run(["--config", str(path)])
    assert done.returncode == 2
    assert said in sentence(done)
    assert "31337" not in done.stderr


def test_missing_files_and_bad_variables_end_with_2(tmp_path: Path) -> None:
    done = run(["--config", str(tmp_path / "missing.json")])
    assert (done.returncode, "cannot be read" in sentence(done)) == (2, True)
    done = run(["--config", "ENV"], TARGET_VENDORTAP_DUCKDB_DECIMAL_SCALE="31337x")
    assert (done.returncode, "environment variable" in sentence(done)) == (2, True)
    assert "31337" not in done.stderr


def test_without_duckdb_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 1
    assert (
        capsys.readouterr().err
        == "target-vendortap-duckdb needs the package duckdb: pip install 'path/to/vendortap[duckdb]'\n"
    )


@pytest.mark.parametrize(
    ("tail", "said"),
    [
        (b'{"type":"RECORD","stream":"invoices","record":{"id":3,"net":313', "line 5: the input ends in the middle"),
        (
            b'{"type":"RECORD","stream":"invoices","record":{"id":3,"net":"31337x"}}\n',
            "line 5: stream 'invoices': $.net",
        ),
        (b"31337 nonsense\n", "line 5: not JSON"),
    ],
)
def test_a_bad_message_ends_with_1_as_of_the_last_commit(tmp_path: Path, tail: bytes, said: str) -> None:
    arguments = ["--config", config(tmp_path, max_batch_age_seconds=0)]
    done = run(arguments, encode(SCHEMA, invoice(1), state(1), invoice(2)) + tail, LOGLEVEL="DEBUG")
    assert (done.returncode, done.stdout) == (1, '{"done":1}\n')
    assert said in sentence(done)
    assert "31337" not in done.stderr
    assert rows(tmp_path) == [1]


def test_a_file_in_use_and_a_file_of_another_kind_end_with_1(tmp_path: Path) -> None:
    arguments = ["--config", config(tmp_path)]
    with duckdb.connect(str(tmp_path / "invoices.duckdb")):
        done = run(arguments, encode(SCHEMA))
    assert (done.returncode, "another process has it open" in sentence(done)) == (1, True)
    (tmp_path / "invoices.duckdb").write_text("not a database" * 1000)
    done = run(arguments, encode(SCHEMA))
    assert (done.returncode, "it is not a DuckDB database" in sentence(done)) == (1, True)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_file_ends_with_1(tmp_path: Path) -> None:
    arguments = ["--config", config(tmp_path)]
    run(arguments, encode(SCHEMA))
    (tmp_path / "invoices.duckdb").chmod(0o400)
    done = run(arguments, encode(SCHEMA))
    assert (done.returncode, "permission denied" in sentence(done)) == (1, True)


@contextmanager
def running(tmp_path: Path, **settings: Any) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes], IO[bytes]]]:
    """The target at the other end of pipes; it has committed invoice 1, said so, and been given some more."""
    arguments = ["--config", config(tmp_path, max_batch_age_seconds=0, **settings)]
    with subprocess.Popen(
        [*COMMAND, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(encode(SCHEMA, invoice(1), state(1)))
        process.stdin.flush()
        assert process.stdout.readline() == b'{"done":1}\n'
        process.stdin.write(encode(*map(invoice, range(2, 20_000))))
        process.stdin.flush()
        yield process, process.stdin, process.stdout
        process.stdin.close()


@pytest.mark.promise("A target that is stopped or killed leaves the database as of its last commit")
@posix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_as_of_the_last_commit(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path, batch_size_rows=50_000) as (process, _, _):
        process.send_signal(number)
        assert process.wait(timeout=30) == 128 + number
        assert process.stderr is not None
        error = process.stderr.read().decode()
    assert "stopped by a signal; the file is as of the last commit" in error
    assert "Traceback" not in error
    assert rows(tmp_path) == [1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "invoices.duckdb"]


@pytest.mark.promise("A target that is stopped or killed leaves the database as of its last commit")
@posix
def test_a_killed_run_leaves_a_file_that_the_next_run_completes(tmp_path: Path) -> None:
    with running(tmp_path, batch_size_rows=7_000) as (process, _, _):
        process.kill()
        process.wait(timeout=30)
    kept = rows(tmp_path)
    assert kept == [*range(1, len(kept) + 1)]
    assert len(kept) in (1, 7_001, 14_001)
    everything = encode(SCHEMA, *map(invoice, range(1, 20_000)), state(2))
    for _ in range(2):
        assert run(["--config", config(tmp_path)], everything).returncode == 0
        assert rows(tmp_path) == [*range(1, 20_000)]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "invoices.duckdb"]


@pytest.mark.promise("A state comes out of the target only after its rows are committed")
@posix
def test_state_is_out_only_after_its_rows_are_in(tmp_path: Path) -> None:
    with running(tmp_path, batch_size_rows=50_000) as (process, stdin, stdout):
        stdin.write(encode(state(2)))
        stdin.flush()
        assert stdout.readline() == b'{"done":2}\n'
        process.kill()
        process.wait(timeout=30)
    assert len(rows(tmp_path)) == 19_999
