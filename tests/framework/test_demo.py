"""The demonstration, and that it notices when the database is not what the sandbox is."""

from __future__ import annotations

import subprocess
import sysconfig
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from tap_scansource import SCANSOURCE
from vendortap import demo, serve
from vendortap.errors import UsageError, VendortapError
from vendortap.report import Report

VENDORTAP = str(Path(sysconfig.get_path("scripts")) / "vendortap")
INVOICES = 60


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "demo.duckdb"


@pytest.fixture(scope="module")
def shown(database: Path) -> str:
    command = [VENDORTAP, "demo", "--invoices", str(INVOICES), "--to", str(database)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.fixture(scope="module")
def truth() -> dict[str, tuple[int, Decimal]]:
    app = serve.application(SCANSOURCE, invoices=INVOICES, seed=1, latency_ms=0, rate=0)
    totals: dict[str, tuple[int, Decimal]] = app.state.totals()
    return totals


def test_it_prints_the_sandboxs_own_totals(shown: str, truth: dict[str, tuple[int, Decimal]]) -> None:
    assert len(truth) > 1
    for currency, (count, amount) in truth.items():
        assert f"{count:,} invoices" in shown
        assert f"{amount:,f} {currency}  = sandbox" in shown
    assert "the sandbox has" not in shown


def test_the_second_run_fetches_nothing_twice(shown: str) -> None:
    rows = [line.split() for line in shown.splitlines() if line.startswith(("invoice_details ", "invoices "))]
    assert [(name, records, unchanged) for name, records, unchanged, *_ in rows] == [
        ("invoice_details", str(INVOICES), "0"),
        ("invoices", str(INVOICES), "0"),
        ("invoice_details", "0", str(INVOICES)),
        ("invoices", "0", str(INVOICES)),
    ]


def test_the_database_holds_exactly_what_the_sandbox_holds(
    shown: str, database: Path, truth: dict[str, tuple[int, Decimal]]
) -> None:
    counts, totals = demo.held(SCANSOURCE, database)
    assert counts == {"scansource.invoices": INVOICES, "scansource.invoice_details": INVOICES}
    assert totals == truth
    assert all(isinstance(total.amount, Decimal) for total in totals.values())


def test_the_queries_to_try_next_work(shown: str, database: Path) -> None:
    queries = [line.strip() for line in shown.splitlines() if line.strip().startswith("SELECT ")]
    assert len(queries) == 3
    with duckdb.connect(str(database), read_only=True) as connection:
        for query in queries:
            assert connection.execute(query).fetchall()


@pytest.fixture
def copy(database: Path, shown: str, tmp_path: Path) -> Path:
    """A copy of the loaded database, to tamper with."""
    file = tmp_path / "demo.duckdb"
    file.write_bytes(database.read_bytes())
    return file


@pytest.mark.parametrize(
    "tampering",
    [
        "DELETE FROM invoice_details WHERE InvoiceNumber = (SELECT min(InvoiceNumber) FROM invoices)",
        "DELETE FROM invoices WHERE InvoiceNumber = (SELECT min(InvoiceNumber) FROM invoices)",
        "UPDATE invoice_details SET Total = Total + 0.01 WHERE Total = (SELECT max(Total) FROM invoice_details)",
        "UPDATE invoice_details SET Currency = 'XXX' WHERE Currency = 'EUR'",
        "UPDATE invoice_details SET Currency = NULL WHERE Currency = 'EUR'",
    ],
)
def test_a_database_that_differs_is_noticed(tampering: str, copy: Path, truth: dict[str, tuple[int, Decimal]]) -> None:
    shown: list[str | Report] = []
    assert demo.reconcile(SCANSOURCE, copy, truth, shown.append)
    assert not any("the sandbox has" in str(line) for line in shown)
    with duckdb.connect(str(copy)) as connection:
        connection.execute(f"USE demo.scansource; {tampering}")
    assert not demo.reconcile(SCANSOURCE, copy, truth, shown.append)
    assert any("but the sandbox has" in str(line) for line in shown)


def test_a_database_without_the_tables_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "empty.duckdb"
    duckdb.connect(str(file)).close()
    with pytest.raises(VendortapError, match="cannot be read"):
        demo.reconcile(SCANSOURCE, file, {}, lambda _: None)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "0.00"),
        ("-1234.5", "-1,234.50"),
        ("1.500000000", "1.50"),
        ("0.125000", "0.125"),
        ("12345678901234567890123456789.123456789", "12,345,678,901,234,567,890,123,456,789.123456789"),
    ],
)
def test_an_amount_is_shown_in_full(amount: str, text: str) -> None:
    assert demo.money(Decimal(amount)) == text


# --- the file under --to -----------------------------------------------------------------------------


def test_an_earlier_demos_database_is_replaced(copy: Path) -> None:
    demo.start_afresh(copy)
    with duckdb.connect(str(copy), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM duckdb_tables()").fetchall() == [(0,)]


@pytest.mark.parametrize("kind", ["text", "empty", "other database"])
def test_any_other_file_is_left_alone(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "precious"
    if kind == "other database":
        with duckdb.connect(str(file)) as connection:
            connection.execute("CREATE TABLE precious AS SELECT 1 AS a")
    else:
        file.write_text("my notes" * 1000 if kind == "text" else "")
    before = file.read_bytes()
    command = [VENDORTAP, "demo", "--invoices", "5", "--to", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert f"{file} is not the database of an earlier demo; it is left alone" in done.stderr
    assert "Traceback" not in done.stderr
    assert file.read_bytes() == before


def test_a_database_that_cannot_be_made_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be made"):
        demo.start_afresh(tmp_path / "none" / "demo.duckdb")
