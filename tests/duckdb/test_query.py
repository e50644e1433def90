"""A file that is asked something: nothing else is in reach, whatever the question is."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from vendortap.duckdb.query import opened


@pytest.fixture
def database(tmp_path: Path) -> Path:
    file = tmp_path / "invoices.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS a")
    (tmp_path / "secret.csv").write_text("a\n1\n", encoding="utf-8")
    return file


QUESTIONS = (
    "COPY t TO '{folder}/made.csv'",
    "COPY (SELECT 1) TO '{folder}/made.parquet'",
    "SELECT * FROM read_csv('{folder}/secret.csv')",
    "SELECT * FROM '{folder}/secret.csv'",
    "SELECT * FROM read_text('{folder}/secret.csv')",
    "SELECT * FROM glob('{folder}/*')",
    "ATTACH '{folder}/made.duckdb' AS other",
    "EXPORT DATABASE '{folder}/made'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "SET GLOBAL enable_external_access = true; SELECT * FROM read_text('{folder}/secret.csv')",
    "SET allowed_directories = ['{folder}']",
    "RESET lock_configuration",
    "SELECT 1; COPY t TO '{folder}/made.csv'",
)


@pytest.mark.promise("A query of a declaration reaches no file but the database")
@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_reaches_nothing_else(question: str, database: Path) -> None:
    before = {path.name for path in database.parent.iterdir()}
    with opened(database) as connection:
        with pytest.raises(duckdb.Error):
            connection.execute(question.replace("{folder}", str(database.parent)))
        assert connection.execute("SELECT a FROM t").fetchall() == [(1,)]
        assert {path.name for path in database.parent.iterdir()} == before
