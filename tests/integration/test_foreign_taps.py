"""Taps that are not of this project into the DuckDB target: what foreign targets were given comes back, to the cent."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration import stores
from tests.integration.truth import AMOUNTS, Mode, Truth, plain, sums

if TYPE_CHECKING:
    from tests.conftest import StartVendor
    from tests.integration.conftest import GetEnvironment
    from tests.integration.postgres import Server

STREAMS = ("invoices", "invoice_details")


@pytest.fixture(scope="module")
def truth(sandboxes: StartVendor) -> Truth:
    return Truth(sandboxes, "scansource")


def messages(command: str, config: Any, folder: Path, *arguments: str) -> bytes:
    """Run a tap to its end; returns what it writes."""
    path = folder / "tap.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    run = [command, "--config", str(path), *arguments]
    done = subprocess.run(run, capture_output=True, cwd=folder, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    return done.stdout


def hold(truth: Truth, stream: str, stored: stores.Stored) -> None:
    """Hold the table of a stream against the sandbox: every amount, and their sums by currency."""
    properties = truth.schema(stream)["properties"]
    wanted = {row["InvoiceNumber"]: row["Total"] for row in truth.records(stream)}
    rows = [{**row, "Total": plain(properties["Total"], row["Total"])} for row in stored.rows]
    assert {row["InvoiceNumber"]: row["Total"] for row in rows} == wanted
    amount = AMOUNTS["scansource", stream]
    assert sums(map(amount, rows)) == truth.totals(stream, truth.records(stream))


def test_tap_postgres_brings_back_what_target_postgres_was_given(
    environment: GetEnvironment, postgres_server: Server, truth: Truth, tmp_path: Path
) -> None:
    given = stores.postgres(environment("target-postgres"), postgres_server)
    given.load("given", truth.output(Mode()).stdout, tmp_path)
    command = environment("tap-postgres").command("tap-postgres")
    config = postgres_server.settings(filter_schemas=["given"])
    catalog = tmp_path / "catalog.json"
    document = json.loads(messages(command, config, tmp_path, "--discover"))
    for entry in document["streams"]:
        for item in entry["metadata"]:
            item["metadata"]["selected"] = True
    catalog.write_text(json.dumps(document), encoding="utf-8")
    back = stores.duckdb_file(tmp_path)
    back.load("back", messages(command, config, tmp_path, "--catalog", str(catalog)), tmp_path)
    for stream in STREAMS:
        stored = back.read("back", f"given-{stream}")  # tap-postgres puts the schema before a table's name
        assert stored.types["Total"].startswith("DECIMAL")
        hold(truth, stream, stored)


def test_tap_jsonl_brings_back_what_target_jsonl_was_given(
    environment: GetEnvironment, truth: Truth, tmp_path: Path
) -> None:
    given = stores.jsonl(environment("target-jsonl"), tmp_path)
    given.load("given", truth.output(Mode(use_singer_decimal=True)).stdout, tmp_path)
    back = stores.duckdb_file(tmp_path)
    for stream in STREAMS:
        config: dict[str, Any] = {"path": str(tmp_path / "given" / f"{stream}.jsonl"), "stream_name": stream}
        config |= {"primary_keys": truth.keys(stream)}
        back.load("back", messages(environment("tap-jsonl").command("tap-jsonl"), config, tmp_path), tmp_path)
        hold(truth, stream, back.read("back", stream))
