"""The DuckDB target in this process, on real files: keys, commits, state, batches and settings."""

from __future__ import annotations

import gzip
import io
import json
import logging
import os
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.duckdb.kit import AMOUNT, INTEGER, STRING, WHEN, Message, load, obj, record, rows, schema, types
from vendortap.duckdb.target import DuckdbTarget
from vendortap.errors import ConfigError, LoadError

# --- upsert ------------------------------------------------------------------------------------------


@pytest.mark.promise("No invoice is in a table twice")
def test_upsert_replaces_by_key_and_the_last_wins(file: Path) -> None:
    head = schema("s", {"a": INTEGER, "b": STRING, "v": STRING, "o": STRING}, ["a", "b"])
    load(file, head, record("s", a=1, b="x", v="old", o="old"), record("s", a=2, b="x", v="stays"))
    again = [record("s", a=1, b="x", v="lost"), record("s", a=1, b="X", v="other"), record("s", a=1, b="x", v="new")]
    for _ in range(2):
        load(file, head, *again)
        assert rows(file, "SELECT * FROM s ORDER BY a, b") == [
            (1, "X", "other", None),
            (1, "x", "new", None),
            (2, "x", "stays", None),
        ]


def test_a_key_may_be_a_decimal_or_an_instant(file: Path) -> None:
    head = schema("s", {"n": AMOUNT, "t": WHEN, "v": INTEGER}, ["n", "t"])
    load(
        file,
        head,
        '{"type":"RECORD","stream":"s","record":{"n":1.10,"t":"2024-01-01T00:00:00Z","v":1}}',
        '{"type":"RECORD","stream":"s","record":{"n":1.1,"t":"2024-01-01T02:00:00+02:00","v":2}}',
    )
    assert rows(file, "SELECT v FROM s") == [(2,)]


@pytest.mark.promise("No name of a stream or a field is taken for SQL")
def test_names_that_sql_could_take_for_something_else(file: Path) -> None:
    """The schema named like the file, a column like its table, a table like the file, quotes, keywords."""
    head = schema(
        "in\"voices'",
        {"in\"voices'": {"type": "object", "properties": {"select": INTEGER}}, "select": STRING, "r": STRING, "n": {}},
        ["select"],
    )
    message = record("in\"voices'", **{"in\"voices'": {"select": 5}, "select": "k", "r": "r", "n": 1})
    for _ in range(2):
        load(file, head, message, default_target_schema="invoices")
    assert rows(file, 'SELECT * FROM invoices.invoices."in""voices\'"') == [({"select": 5}, "k", "r", "1")]
    load(file, schema("invoices", {"invoices": STRING}, ["invoices"]), record("invoices", invoices="a"))
    assert rows(file, "SELECT invoices FROM invoices.main.invoices") == [("a",)]


def test_a_folder_with_glob_and_hive_characters(tmp_path: Path) -> None:
    folder = tmp_path / "we[ir]d* a=1" / "n=2"
    folder.mkdir(parents=True)
    load(folder / "x'y.duckdb", schema("s", {"id": STRING}), record("s", id="1"))
    assert rows(folder / "x'y.duckdb", "SELECT * FROM s") == [("1",)]
    assert sorted(path.name for path in folder.iterdir()) == ["x'y.duckdb"]


def test_a_stream_without_keys_is_appended_to_in_order(file: Path) -> None:
    for part in (range(50), range(50, 100)):
        load(file, schema("s", {"n": INTEGER}), *(record("s", n=n) for n in part), batch_size_rows=7)
    assert rows(file, "SELECT n FROM s") == [(n,) for n in range(100)]


def test_load_methods(file: Path) -> None:
    head = schema("s", {"id": STRING}, ["id"])
    two = [record("s", id="a"), record("s", id="b"), record("s", id="a")]
    load(file, head, *two, load_method="append-only")
    load(file, head, *two, load_method="append-only")
    assert len(rows(file, "SELECT * FROM s")) == 6
    load(file, head, *two, load_method="overwrite", batch_size_rows=1)
    assert sorted(rows(file, "SELECT * FROM s")) == [("a",), ("b",)]
    load(file, head, load_method="overwrite")
    assert rows(file, "SELECT * FROM s") == []


def test_two_vendors_do_not_meet(file: Path) -> None:
    for vendor in ("acme", "globex"):
        load(file, schema("invoices", {"id": STRING}, ["id"]), record("invoices", id="1"), default_target_schema=vendor)
    assert rows(file, "SELECT count(*) FROM acme.invoices") == rows(file, "SELECT count(*) FROM globex.invoices")


def test_a_large_record_loads(file: Path) -> None:
    load(file, schema("s", {"v": STRING}), record("s", v="x" * 20_000_000))
    assert rows(file, "SELECT length(v) FROM s") == [(20_000_000,)]


def test_streams_that_would_be_one_table_are_refused(file: Path) -> None:
    with pytest.raises(LoadError, match="line 2: streams 'S' and 's' would be one table"):
        load(file, schema("S", {"id": STRING}), schema("s", {"id": STRING}))


# --- commits, state, the SDK's own features ----------------------------------------------------------


def states(capsys: pytest.CaptureFixture[str]) -> list[Any]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.promise("A state comes out of the target only after its rows are committed")
def test_state_is_emitted_at_commits_only_and_with_its_digits(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head, one = schema("s", {"n": INTEGER}), record("s", n=1)
    load(file, head, one, {"type": "STATE", "value": 1}, one, '{"type":"STATE","value":{"x":1.10}}')
    assert capsys.readouterr().out == '{"x":1.10}\n'
    load(file, head, one, {"type": "STATE", "value": 1}, one, {"type": "STATE", "value": 2}, max_batch_age_seconds=0)
    assert states(capsys) == [1, 2]
    messages = [m for n in range(1, 7) for m in (one, {"type": "STATE", "value": n})]
    load(file, head, *messages, batch_size_rows=2)
    assert states(capsys) == [1, 2, 3, 4, 5, 6], "at a commit, or at once where no row waits for one"


def test_there_is_no_file_before_the_first_schema(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load(file, {"type": "STATE", "value": 1})
    assert states(capsys) == [1]
    with pytest.raises(LoadError, match=r"line 1: not JSON"):
        load(file, "31337 nonsense")
    assert not [*file.parent.iterdir()]
    load(file, schema("s", {"id": INTEGER}))
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_all_streams_are_committed_together(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    heads = [schema("a", {"n": INTEGER}), schema("b", {"n": INTEGER})]
    with pytest.raises(LoadError):
        load(file, *heads, record("a", n=1), record("b", n=1), record("a", n=2), record("b", n="x"), batch_size_rows=2)
    assert rows(file, "SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b)") == [(1, 1)]
    assert [r.getMessage() for r in caplog.records if "commit" in r.getMessage()] == ["committed 2 rows: a 1, b 1"]


@pytest.mark.promise("No log line of the target holds a value")
def test_no_log_line_holds_a_value(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    head = schema("s", {"id": STRING, "n": INTEGER}, ["id"])
    good = record("s", id="31337", n=1, undeclared="31337")
    maps = {"s": {"id": "id", "double": "int(n * 2)"}}
    state = {"type": "STATE", "value": {"bookmark": "31337"}}
    load(file, head, good, good, state, stream_maps=maps, batch_size_rows=1)
    with pytest.raises(LoadError):
        load(file, head, good, record("s", id="31337", n="31337"))
    with pytest.raises(LoadError, match="cannot be mapped") as caught:
        load(file, head, good, stream_maps={"s": {"n": "int(id + 'x')"}})
    assert "31337" not in caplog.text + str(caught.value)
    assert caplog.text.count("$.undeclared is not declared") == 2


def test_stream_maps_and_flattening_stay_exact(file: Path) -> None:
    head = schema("s", {"id": STRING, "n": AMOUNT, "o": obj(a=AMOUNT, b=obj(c=AMOUNT))}, ["id"])
    line = '{"type":"RECORD","stream":"s","record":{"id":"1","n":0.10,"o":{"a":1234567890123456.78,"b":{"c":1.10}}}}'
    load(file, head, line, flattening_enabled=True, flattening_max_depth=1)
    assert rows(file, "SELECT o__a, o__b FROM s") == [(Decimal("1234567890123456.78"), '{"c":1.10}')]
    maps = {"s": {"__alias__": "t", "secret": "md5(id)", "__filter__": "id != '2'"}}
    load(file, head, line, record("s", id="2"), stream_maps=maps)
    assert rows(file, "SELECT id, n, length(secret) FROM t") == [("1", Decimal("0.1"), 32)]
    load(file, schema("gone", {"id": STRING}), record("gone", id="1"), stream_maps={"gone": None})
    assert rows(file, "SELECT table_name FROM duckdb_tables() ORDER BY 1") == [("s",), ("t",)]
    with pytest.raises(LoadError, match=r"\$\.n must be a number, but is a binary floating-point number"):
        load(file, head, line, stream_maps={"s": {"n": "float(id)"}})


def test_record_metadata(file: Path) -> None:
    message = {**record("s", id="1"), "time_extracted": "2024-01-01T00:00:00Z", "version": 5}
    load(file, schema("s", {"id": STRING}, ["id"]), message, add_record_metadata=True)
    query = "SELECT _sdc_extracted_at::VARCHAR, _sdc_table_version, _sdc_received_at IS NOT NULL FROM s"
    assert rows(file, query) == [("2024-01-01 00:00:00+00", 5, True)]
    assert types(file, "s")["_sdc_batched_at"] == "TIMESTAMP WITH TIME ZONE"


@pytest.mark.parametrize("compression", [None, "none", "gzip"])
def test_batch_files_load_exactly(file: Path, tmp_path: Path, compression: str | None) -> None:
    body = b'{"id":"1","n":1234567890123456.78}\n{"id":"2","n":1.10}\n'
    path = tmp_path / "a batch"
    path.write_bytes(gzip.compress(body) if compression == "gzip" else body)
    encoding = {"format": "jsonl", "compression": compression}
    batch = {"type": "BATCH", "stream": "s", "encoding": encoding, "manifest": [path.as_uri(), str(path)]}
    load(file, schema("s", {"id": STRING, "n": AMOUNT}, ["id"]), batch, {"type": "STATE", "value": 1})
    assert rows(file, "SELECT * FROM s ORDER BY id") == [("1", Decimal("1234567890123456.78")), ("2", Decimal("1.1"))]


def test_a_bad_batch_file_is_an_error(file: Path, tmp_path: Path) -> None:
    head = schema("s", {"id": STRING, "n": AMOUNT}, ["id"])

    def batch(url: str, **encoding: Any) -> Message:
        return {"type": "BATCH", "stream": "s", "encoding": {"format": "jsonl", **encoding}, "manifest": [url]}

    path = tmp_path / "b.jsonl"
    path.write_text('{"id":"1","n":1}\n{"id":"1","n":"x"}\n')
    with pytest.raises(LoadError, match=r"line 2, BATCH file 1, its line 2: stream 's': \$\.n"):
        load(file, head, batch(str(path)))
    truncated = tmp_path / "t.gz"
    truncated.write_bytes(gzip.compress(b'{"id":"1","n":1}\n')[:-6])
    with pytest.raises(LoadError, match=r"line 2.*cannot be read to its end"):
        load(file, head, batch(str(truncated), compression="gzip"))
    with pytest.raises(LoadError, match="cannot be read"):
        load(file, head, batch(str(tmp_path / "missing")))
    with pytest.raises(LoadError, match="must be local"):
        load(file, head, batch("s3://bucket/file"))
    with pytest.raises(LoadError, match="gzip or not compressed"):
        load(file, head, batch(str(path), compression="zstd"))
    with pytest.raises(LoadError, match="jsonl only"):
        load(file, head, batch(str(path), format="parquet"))
    with pytest.raises(LoadError, match="BATCH message without encoding"):
        load(file, head, {"type": "BATCH", "stream": "s", "manifest": []})


def test_nothing_is_fetched_or_left_behind(file: Path) -> None:
    with closing(DuckdbTarget(config={"path": str(file)})) as target:
        query = "SELECT value FROM duckdb_settings() WHERE name LIKE 'auto%known_extensions'"
        assert target.connection.execute(query).fetchall() == [("false",), ("false",)]
        target.listen(io.StringIO(json.dumps(schema("s", {"v": {}, "t": WHEN})) + "\n"))
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.promise("Rows that wait for a commit can be read by their owner only")
@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")
def test_what_waits_for_a_commit_is_readable_by_its_owner_only(file: Path) -> None:
    messages = [schema("s", {"v": STRING}), record("s", v="x" * 2_000_000)]
    with closing(DuckdbTarget(config={"path": str(file)})) as target:
        target.process_lines(io.StringIO("".join(json.dumps(message) + "\n" for message in messages)))
        folder = Path(target.folder)
        assert folder.parent == file.parent
        assert [path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())] == [0o700, 0o600]
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_what_a_killed_run_left_is_deleted(file: Path) -> None:
    left = file.parent / f".{file.name}.load-abc"
    left.mkdir()
    (left / "x.ndjson").write_text("{}")
    load(file, schema("s", {"id": INTEGER}))
    assert [path.name for path in file.parent.iterdir()] == [file.name]


# --- settings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "missing setting: path is required"),
        ({"path": 31337}, "setting path: must be of type string"),
        ({"path": ""}, "setting path: breaks its minLength rule"),
        ({"path": ":memory:"}, "setting path: must be a file"),
        ({"path": "no/such/folder/x.duckdb"}, "is in a folder that does not exist"),
        ({"path": "."}, "is a folder"),
        ({"path": "what?.duckdb"}, "because of the question mark"),
        ({"path": "x", "pth": "31337"}, "unknown setting 'pth'; known are .*default_target_schema"),
        ({"path": "x", "decimal_scale": "31337"}, "setting decimal_scale: must be of type integer"),
        ({"path": "x", "decimal_precision": 39}, "setting decimal_precision: must be at most 38"),
        ({"path": "x", "decimal_precision": 5}, "decimal_scale: must not be above decimal_precision"),
        ({"path": "x", "stream_maps": {"s": "31337"}}, "setting stream_maps.s: breaks its anyOf rule"),
        ({"path": "x", "stream_maps": {"__x__": None}}, "setting stream_maps: cannot be used"),
        ({"path": "x", "batch_size_rows": 0}, "setting batch_size_rows: must be at least 1"),
        ({"path": "x", "load_method": "31337"}, "setting load_method: must be one of upsert, append-only, overwrite"),
    ],
)
def test_bad_settings(config: Message, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=said) as caught:
        DuckdbTarget(config=config)
    assert "31337" not in str(caught.value)
    assert [*tmp_path.iterdir()] == []


def test_null_settings_are_not_set(file: Path) -> None:
    load(file, schema("s", {"n": AMOUNT}), default_target_schema=None, decimal_scale=None)
    assert types(file, "main.s") == {"n": "DECIMAL(38,9)"}
