"""A file that two options of `vendortap run` name: what is written for one would destroy the other."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from vendortap.cli import commands
from vendortap.errors import UsageError

PAIRS = [
    (["--to", "same.duckdb", "--state", "same.duckdb"], "--to and --state"),
    (["--to", "x.duckdb", "--state", "same.json", "--report", "same.json"], "--state and --report"),
    (["--to", "x.duckdb", "--state", "same.json", "--report", "./a/../same.json"], "--state and --report"),
    (["--to", "x.duckdb", "--report", "config.json"], "--config and --report"),
    (["--to", "x.duckdb", "--state", "link.json"], "--config and --state"),
    (["--to", "config.json"], "--config and --to"),
    (["--to", "x.duckdb", "--report", "r.json", "--report", "r.json"], "--report and --report"),
]


@pytest.mark.promise("A run refuses to write its state, database and report over each other or over its settings")
@pytest.mark.parametrize(("options", "names"), PAIRS)
def test_a_file_that_is_named_twice_is_refused_before_anything_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], names: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a").mkdir()
    Path("config.json").write_text('{"base_url": "http://127.0.0.1:1"}', encoding="utf-8")
    Path("link.json").hardlink_to("config.json")
    arguments = ["run", "scansource", "--config", "config.json", *options]
    with pytest.raises(UsageError, match=f"{names} name the same file"):
        CliRunner().invoke(commands, arguments, catch_exceptions=False, standalone_mode=False)
    assert Path("config.json").read_text(encoding="utf-8") == '{"base_url": "http://127.0.0.1:1"}'
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "config.json", "link.json"]
