"""What other writers of messages do that loses nothing, and replacing a table as a whole."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from tests.duckdb.kit import INTEGER, STRING, Message, load, obj, record, rows, schema, types
from vendortap.duckdb import reader
from vendortap.errors import LoadError

ANY: dict[str, Any] = {}


def test_overwrite_replaces_the_columns_as_well(file: Path) -> None:
    load(file, schema("s", {"id": STRING, "old": STRING, "n": STRING}, ["id"]), record("s", id="a", old="x", n="1"))
    again = schema("s", {"id": STRING, "n": INTEGER}, ["id"])
    load(file, again, record("s", id="b", n=1), again, record("s", id="c", n=2), load_method="overwrite")
    assert types(file, "s") == {"id": "VARCHAR", "n": "BIGINT"}
    assert sorted(rows(file, "SELECT * FROM s")) == [("b", 1), ("c", 2)]


def test_overwrite_with_nothing_to_load_leaves_an_empty_table_of_the_new_shape(file: Path) -> None:
    load(file, schema("s", {"id": STRING, "old": STRING}), record("s", id="a"))
    load(file, schema("s", {"id": STRING}), load_method="overwrite")
    assert types(file, "s") == {"id": "VARCHAR"}
    assert rows(file, "SELECT * FROM s") == []


def test_a_run_that_fails_before_its_first_commit_has_overwritten_nothing(file: Path) -> None:
    load(file, schema("s", {"id": STRING, "old": STRING}), record("s", id="a", old="x"))
    with pytest.raises(LoadError):
        load(file, schema("s", {"id": STRING}), record("s", id="b"), "{", load_method="overwrite")
    assert rows(file, "SELECT * FROM s") == [("a", "x")]


def test_null_in_a_place_of_any_type_is_no_text(file: Path) -> None:
    """The first record is converted, those behind it take the quick way."""
    properties = {"id": STRING, "any": ANY, "inner": obj(any=ANY), "mixed": {"type": ["string", "object", "null"]}}
    nulls = {"any": None, "inner": {"any": None}, "mixed": None}
    records = [record("s", id=name, **nulls) for name in ("a", "b")] + [record("s", id="c", mixed="null", any="null")]
    load(file, schema("s", properties, ["id"]), *records)
    found = rows(file, 'SELECT id, "any" IS NULL, "inner"."any" IS NULL, mixed IS NULL FROM s ORDER BY id')
    assert found == [("a", True, True, True), ("b", True, True, True), ("c", False, True, False)]


def test_null_where_the_schema_has_none_is_refused_for_values_of_any_type_as_well(file: Path) -> None:
    head = schema("s", {"id": STRING, "list": {"type": "array", "items": ANY}}, ["id"])
    good = record("s", id="a", list=[None, {"x": None}])
    with pytest.raises(LoadError, match=r"line 4: stream 's': \$.list must not be null"):
        load(file, head, good, good, record("s", id="b", list=None))
    load(file, head, good, good, record("s", id="b", list=None), validate_records=False)
    assert rows(file, 'SELECT id, "list"::VARCHAR FROM s ORDER BY id') == [("a", '[null,{"x":null}]'), ("b", None)]


def test_a_blank_line_in_a_batch_file_is_none(file: Path, tmp_path: Path) -> None:
    lines = tmp_path / "batch.jsonl"
    lines.write_text('\n{"id": "a"}\n\n  \n{"id": "b"}\n\n')
    message = {
        "type": "BATCH", "stream": "s", "encoding": {"format": "jsonl", "compression": "none"},
        "manifest": [lines.as_uri()],
    }  # fmt: skip
    load(file, schema("s", {"id": STRING}, ["id"]), message)
    assert sorted(rows(file, "SELECT id FROM s")) == [("a",), ("b",)]


def batch(url: Any, **encoding: Any) -> Message:
    return {"type": "BATCH", "stream": "s", "encoding": {"format": "jsonl", **encoding}, "manifest": [url]}


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("\0", "has a file whose address is none"),
        ("file:///tmp/\0", "has a file whose address is none"),
        ("file://[::1/x", "has a file whose address is none"),
        (5, "has a file whose address is none"),
        (None, "has a file whose address is none"),
        (["x"], "has a file whose address is none"),
        ({"a": "b"}, "has a file whose address is none"),
        ("", "files must be regular files"),
        ("https://[::1]/x", r"files must be local \(file://\)"),
        ("file:///dev/null", "files must be regular files"),
        ("/dev/null", "files must be regular files"),
        ("/", "files must be regular files"),
        ("x" * 5000, r"a BATCH file cannot be read to its end \(OSError\)"),
    ],
)
def test_a_batch_file_that_there_cannot_be_is_named_by_line_and_stream(file: Path, url: Any, said: str) -> None:
    with pytest.raises(LoadError, match=rf"^line 2, BATCH file 1: stream 's': (BATCH )?{said}"):
        load(file, schema("s", {"id": STRING}, ["id"]), batch(url))


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_a_line_of_a_batch_file_is_bounded(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str
) -> None:
    """What never ends a line, packed or not, would be read until memory is full."""
    monkeypatch.setattr(reader, "LINE_BYTES", 1000)
    path = tmp_path / "batch"
    lines = b'{"id": "a"}\n' + b"[" * 1_000_000
    path.write_bytes(gzip.compress(lines) if compression == "gzip" else lines)
    refused = r"^line 2, BATCH file 1, its line 1: stream 's': the line behind this one is longer than 1,000 bytes"
    with pytest.raises(LoadError, match=refused):
        load(file, schema("s", {"id": STRING}, ["id"]), batch(str(path), compression=compression))


def test_a_message_is_bounded(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "LINE_BYTES", 300)
    head = schema("s", {"id": STRING}, ["id"])
    load(file, head, record("s", id="a"))
    with pytest.raises(LoadError, match=r"^line 2: the line behind this one is longer than 300 bytes"):
        load(file, head, record("s", id="b"), "x" * 300)
    with pytest.raises(LoadError, match=r"^line 3: not JSON"):
        load(file, head, record("s", id="b"), "x" * 299)
    assert rows(file, "SELECT id FROM s") == [("a",)]
