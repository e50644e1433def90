"""Acme, compared with its sandbox: a real server, real processes, a real database."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vendortap.duckdb.query import opened
from vendortap.plugins import host
from vendortap.sandbox import serve
from vendortap.testing import connector_suite

TestConnector = connector_suite("acme")
"""What every connector has to keep to: declaration, records, state, faults, secrets."""

INVOICES = 250
Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def served() -> Iterator[serve.Served]:
    with serve.serving(serve.application(host.load("acme"), invoices=INVOICES)) as running:
        yield running


def load(served: serve.Served, database: Path, **changes: Any) -> Done:
    """Run the tap into a database, as people do it."""
    config = database.with_suffix(".json")
    config.write_text(json.dumps({**serve.settings(host.load("acme"), served.url), **changes}))
    command = [sys.executable, "-m", "vendortap.cli", "run", "acme", "--config", str(config)]
    command += ["--to", str(database)]
    return subprocess.run(command, capture_output=True, text=True)


def rows(database: Path, query: str) -> list[Any]:
    with opened(database) as connection:
        return connection.execute(query).fetchall()


def compare(database: Path, served: serve.Served) -> None:
    """Compare what was loaded with what the sandbox has."""
    for table in ("invoices", "invoice_details"):
        assert rows(database, f'SELECT count(*) FROM acme."{table}"') == [(INVOICES,)]
    sandbox = host.load("acme").sandbox
    assert sandbox is not None
    totals = rows(database, sandbox.totals.replace("{schema}", "acme"))
    assert {currency: (count, total) for currency, count, total in totals} == served.app.state.totals()


def test_every_invoice_arrives_to_the_cent_in_both_formats_alike(served: serve.Served, tmp_path: Path) -> None:
    databases = [tmp_path / f"{form}.duckdb" for form in ("json", "xml")]
    for database in databases:
        done = load(served, database, format=database.stem)
        assert done.returncode == 0, done.stderr
        compare(database, served)
    for table in ("invoices", "invoice_details"):
        query = f"""SELECT COLUMNS('^[^_]')::VARCHAR FROM acme."{table}" ORDER BY ALL"""
        as_json, as_xml = (rows(database, query) for database in databases)
        assert as_json == as_xml


def test_nothing_is_fetched_twice(served: serve.Served, tmp_path: Path) -> None:
    assert load(served, tmp_path / "twice.duckdb").returncode == 0
    before = served.app.state.requests["invoice_details"]
    assert load(served, tmp_path / "twice.duckdb").returncode == 0
    assert served.app.state.requests["invoice_details"] == before


def test_an_invoice_that_does_not_exist_is_skipped_and_named(served: serve.Served, tmp_path: Path) -> None:
    done = load(served, tmp_path / "some.duckdb", invoice_numbers=["A00007", "A99999"])
    assert done.returncode == 3
    assert "A99999" in done.stderr
    query = 'SELECT "number"::VARCHAR FROM "acme"."invoice_details"'
    assert rows(tmp_path / "some.duckdb", query) == [("A00007",)]


def test_wrong_credentials_are_refused_in_a_sentence(served: serve.Served, tmp_path: Path) -> None:
    done = load(served, tmp_path / "none.duckdb", api_token="another-token")
    assert done.returncode == 1
    assert "The credentials are not known." in done.stderr
    assert "another-token" not in done.stderr
