"""BATCH files are what their messages say they are, or are refused in words."""

from __future__ import annotations

import gzip
import io
import json
import os
import stat
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
import pytest

from tests.conftest import Output, Vendor
from vendortap.duckdb.target import DuckdbTarget
from vendortap.errors import ConfigError, VendortapError

Read = Callable[..., Output]


def settings(folder: Path, encoding: Any, **more: Any) -> dict[str, Any]:
    return {"encoding": encoding, "storage": {"root": folder.as_uri()}, **more}


def files(output: Output) -> list[tuple[dict[str, Any], Path]]:
    return [(m["encoding"], Path(urlsplit(url).path)) for m in output.of("BATCH") for url in m["manifest"]]


@pytest.mark.parametrize("encoding", [{"format": "jsonl", "compression": "none"}, {"format": "jsonl"}])
def test_files_without_compression_are_lines_of_json(
    vendor: Vendor, read_tap: Read, tmp_path: Path, encoding: dict[str, str]
) -> None:
    output = read_tap(vendor.config(batch_config=settings(tmp_path, encoding, batch_size=7)))
    records: list[Any] = []
    for said, file in files(output):
        assert said.get("compression") == encoding.get("compression")
        assert file.suffix == ".json"
        records += [json.loads(line, parse_float=Decimal) for line in file.read_bytes().splitlines()]
    plain = read_tap(vendor.config())
    assert records == [message["record"] for message in plain.of("RECORD")]


def test_files_with_gzip_are_gzip(vendor: Vendor, read_tap: Read, tmp_path: Path) -> None:
    output = read_tap(vendor.config(batch_config=settings(tmp_path, {"format": "jsonl", "compression": "gzip"})))
    (said, file), *_ = files(output)
    assert (said["compression"], file.name[-8:]) == ("gzip", ".json.gz")
    assert json.loads(gzip.decompress(file.read_bytes()).splitlines()[0])


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_the_target_loads_either(vendor: Vendor, read_tap: Read, tmp_path: Path, compression: str) -> None:
    encoding = {"format": "jsonl", "compression": compression}
    output = read_tap(vendor.config(batch_config=settings(tmp_path, encoding)))
    with closing(DuckdbTarget(config={"path": str(tmp_path / "x.duckdb")})) as target:
        target.listen(io.StringIO(output.stdout.decode()))
    with duckdb.connect(str(tmp_path / "x.duckdb")) as connection:
        assert connection.execute("SELECT count(*) FROM main.invoices").fetchall() == [(60,)]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"encoding": {"format": "jsonl", "compression": "zstd"}}, "another 'compression' than gzip and none"),
        ({"encoding": {"format": "jsonl", "compression": ["gzip"]}}, "another 'compression' than gzip and none"),
        ({"encoding": {"format": "csv", "compression": "none"}}, "another 'format' than jsonl"),
        ({"encoding": {"format": "parquet", "compression": "gzip"}}, "another 'format' than jsonl"),
        ({"encoding": {"format": 5}}, "another 'format' than jsonl"),
        ({"encoding": "jsonl"}, "needs 'encoding'"),
        ({"storage": "file:///tmp"}, "needs 'encoding'"),
        ({"storage": {"root": "nowhere://x"}}, "'storage' that cannot be used"),
        ({"storage": {"root": 5}}, "'storage' that cannot be used"),
        ({"batch_size": 0}, "'batch_size' that is not a whole number"),
        ({"batch_size": "10"}, "'batch_size' that is not a whole number"),
        ({"batch_size": 2.5}, "'batch_size' that is not a whole number"),
        ({"batch_size": True}, "'batch_size' that is not a whole number"),
    ],
)
def test_what_is_not_written_is_refused_in_words(
    vendor: Vendor, read_tap: Read, tmp_path: Path, change: dict[str, Any], why: str
) -> None:
    config = {**settings(tmp_path, {"format": "jsonl", "compression": "gzip"}), **change}
    with pytest.raises(ConfigError, match=why):
        read_tap(vendor.config(batch_config=config))


def test_a_storage_that_fails_while_it_is_written_to_is_no_defect(vendor: Vendor, read_tap: Read) -> None:
    encoding = {"format": "jsonl", "compression": "none"}
    for root, error in (("/dev/null/x", OSError), ("http://127.0.0.1:9/x", VendortapError)):
        with pytest.raises((error, OSError)):
            read_tap(vendor.config(batch_config={"encoding": encoding, "storage": {"root": root}}))


@pytest.mark.promise("What vendortap keeps can be read by its owner only, whatever the umask is")
def test_only_the_owner_can_read_the_files(vendor: Vendor, read_tap: Read, tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        read_tap(vendor.config(batch_config=settings(tmp_path / "made", {"format": "jsonl", "compression": "gzip"})))
    finally:
        os.umask(umask)
    assert {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "made").iterdir()} == {0o600}
    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o700
