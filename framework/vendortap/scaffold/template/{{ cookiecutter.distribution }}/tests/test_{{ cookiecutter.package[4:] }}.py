"""{{ cookiecutter.title }}, held against its sandbox: a real server, real processes, a real database."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from vendortap.plugins import host
from vendortap.sandbox import serve
from vendortap.testing import connector_suite

TestConnector = {{ cookiecutter.suite }}
"""What every connector has to keep to: declaration, records, state, faults, secrets."""

INVOICES = 250
Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def served() -> Iterator[serve.Served]:
    with serve.serving(serve.application(host.load("{{ cookiecutter.name }}"), invoices=INVOICES)) as running:
        yield running


def load(served: serve.Served, database: Path, **changes: Any) -> Done:
    """Run the tap into a database, as people do it."""
    config = database.with_suffix(".json")
    config.write_text(json.dumps({**serve.settings(host.load("{{ cookiecutter.name }}"), served.url), **changes}))
    command = [sys.executable, "-m", "vendortap.cli", "run", "{{ cookiecutter.name }}", "--config", str(config)]
    command += ["--to", str(database), "--state", str(database.with_suffix(".state.json"))]
    return subprocess.run(command, capture_output=True, text=True)


def rows(database: Path, query: str) -> list[Any]:
    with duckdb.connect(str(database), read_only=True) as connection:
        return connection.execute(query).fetchall()


def hold(database: Path, served: serve.Served) -> None:
    """Hold what was loaded against what the sandbox has."""
    for table in {{ cookiecutter.whole_tables }}:
        assert rows(database, f"SELECT count(*) FROM {{ cookiecutter.schema }}.{table}") == [(INVOICES,)]
    sandbox = host.load("{{ cookiecutter.name }}").sandbox
    assert sandbox is not None
    totals = rows(database, sandbox.totals.replace("{schema}", "{{ cookiecutter.schema }}"))
    assert {currency: (count, total) for currency, count, total in totals} == served.app.state.totals()


{% if cookiecutter.formats | length > 1 -%}
def test_every_invoice_arrives_to_the_cent_in_both_formats_alike(served: serve.Served, tmp_path: Path) -> None:
    databases = [tmp_path / f"{form}.duckdb" for form in ("json", "xml")]
    for database in databases:
        done = load(served, database, format=database.stem)
        assert done.returncode == 0, done.stderr
        hold(database, served)
    for table in {{ cookiecutter.whole_tables }}:
        query = f"SELECT COLUMNS('^[^_]')::VARCHAR FROM {{ cookiecutter.schema }}.{table} ORDER BY ALL"
        as_json, as_xml = (rows(database, query) for database in databases)
        assert as_json == as_xml
{%- else -%}
def test_every_invoice_arrives_to_the_cent(served: serve.Served, tmp_path: Path) -> None:
    done = load(served, tmp_path / "all.duckdb")
    assert done.returncode == 0, done.stderr
    hold(tmp_path / "all.duckdb", served)
{%- endif %}
{%- if cookiecutter.incremental %}


def test_nothing_is_fetched_twice(served: serve.Served, tmp_path: Path) -> None:
    assert load(served, tmp_path / "twice.duckdb").returncode == 0
    before = served.app.state.requests["{{ cookiecutter.incremental }}"]
    assert load(served, tmp_path / "twice.duckdb").returncode == 0
    assert served.app.state.requests["{{ cookiecutter.incremental }}"] == before
{%- endif %}
{%- if cookiecutter.keyed %}


def test_an_invoice_that_does_not_exist_is_skipped_and_named(served: serve.Served, tmp_path: Path) -> None:
    done = load(served, tmp_path / "some.duckdb", {{ cookiecutter.keyed_setting }}=["A00007", "A99999"])
    assert done.returncode == 3
    assert "A99999" in done.stderr
    query = {{ cookiecutter.keyed_query }}
    assert rows(tmp_path / "some.duckdb", query) == [("{{ cookiecutter.keyed_value }}",)]
{%- endif %}
{%- if cookiecutter.wrong %}


def test_wrong_credentials_are_refused_in_a_sentence(served: serve.Served, tmp_path: Path) -> None:
    done = load(served, tmp_path / "none.duckdb", {{ cookiecutter.wrong[0] }}="{{ cookiecutter.wrong[1] }}")
    assert done.returncode == 1
    assert "The {% if cookiecutter.token_route %}client is{% else %}credentials are{% endif %} not known." in done.stderr
    assert "{{ cookiecutter.wrong[1] }}" not in done.stderr
{%- endif %}
