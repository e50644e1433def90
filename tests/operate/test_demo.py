"""The demonstration of all five vendors, and that it notices when the database is not what the sandboxes are."""

from __future__ import annotations

import re
import subprocess
import sysconfig
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from vendortap.declare.model import Connector
from vendortap.errors import UsageError, VendortapError
from vendortap.operate import demo
from vendortap.plugins import host
from vendortap.sandbox import serve

VENDORTAP = str(Path(sysconfig.get_path("scripts")) / "vendortap")
INVOICES = 60
FIRST_PARTY = [name for name, plugin in host.find().items() if plugin.package == "vendortap"]

Truth = dict[str | None, tuple[int, Decimal]]


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


def truth_of(connector: Connector) -> Truth:
    """What a sandbox of its own, made as the demo makes it, says of itself."""
    options = connector.sandbox.options if connector.sandbox else {}
    totals: Truth = serve.application(connector, invoices=INVOICES, **options).state.totals()
    return totals


@pytest.fixture(scope="module")
def truth(scansource: Connector) -> Truth:
    return truth_of(scansource)


def test_five_vendors_are_shown_in_one_table(shown: str) -> None:
    assert len(FIRST_PARTY) == 5
    first, _, again = shown.partition("\n3. ")
    for table in (first, again):
        rows = [line.split()[0] for line in table.splitlines() if re.match(r"\S+ +\S+ +\d", line)]
        assert list(dict.fromkeys(rows)) == FIRST_PARTY


@pytest.mark.promise("After a run the tables hold what the vendor holds, to the cent")
@pytest.mark.parametrize("name", FIRST_PARTY)
def test_the_database_holds_exactly_what_the_sandbox_holds(name: str, shown: str, database: Path) -> None:
    connector = host.load(name)
    counts, totals = demo.held(connector, database)
    assert counts
    assert set(counts.values()) == {INVOICES}
    assert totals == truth_of(connector)
    assert sum(total.invoices for total in totals.values()) == INVOICES
    assert all(isinstance(total.amount, Decimal) for total in totals.values())
    for currency, (count, amount) in totals.items():
        assert f"{count:>9,} invoices  {demo.money(amount):>28} {currency or '   '}  = sandbox" in shown
    assert "the sandbox has" not in shown


def test_the_second_run_fetches_nothing_twice_where_the_vendor_says_what_changed(shown: str) -> None:
    rows = [line.split() for line in shown.splitlines() if re.match(r"scansource +invoice(s|_details) ", line)]
    assert [(name, fetched, emitted, skipped) for _, name, fetched, emitted, _, _, skipped, *_ in rows] == [
        ("invoice_details", str(INVOICES), str(INVOICES), "0"),
        ("invoices", str(INVOICES), str(INVOICES), "0"),
        ("invoice_details", str(INVOICES), "0", str(INVOICES)),
        ("invoices", str(INVOICES), "0", str(INVOICES)),
    ]


def test_a_connector_may_be_picked(tmp_path: Path) -> None:
    command = [VENDORTAP, "demo", "--connector", "visiblescm", "--invoices", "5", "--to", str(tmp_path / "one.duckdb")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "listen on 127.0.0.1: VisibleSCM.\n" in done.stdout
    assert re.findall(r"^ +5 rows in (\S+)  = sandbox", done.stdout, re.MULTILINE) == [
        "visiblescm.invoices",
        "visiblescm.invoice_details",
    ]
    (query,) = re.findall(r"^ +(SELECT .*)", done.stdout, re.MULTILINE)
    with duckdb.connect(str(tmp_path / "one.duckdb"), read_only=True) as connection:
        assert len(connection.execute(query).fetchall()) == 5


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
def test_a_database_that_differs_is_noticed(tampering: str, copy: Path, scansource: Connector, truth: Truth) -> None:
    shown: list[str] = []
    assert demo.reconcile(scansource, copy, INVOICES, truth, shown.append)
    assert not any("the sandbox has" in line for line in shown)
    with duckdb.connect(str(copy)) as connection:
        connection.execute(f"USE demo.scansource; {tampering}")
    assert not demo.reconcile(scansource, copy, INVOICES, truth, shown.append)
    assert any("but the sandbox has" in line for line in shown)


def test_a_database_without_the_tables_is_an_error(tmp_path: Path, scansource: Connector) -> None:
    file = tmp_path / "empty.duckdb"
    duckdb.connect(str(file)).close()
    with pytest.raises(VendortapError, match="cannot be read"):
        demo.reconcile(scansource, file, INVOICES, {}, lambda _: None)


def test_a_query_of_a_declaration_writes_no_file(copy: Path, scansource: Connector, truth: Truth) -> None:
    assert scansource.sandbox is not None
    made = copy.with_name("made.csv")
    totals = f"COPY (SELECT 1) TO '{made}'; {scansource.sandbox.totals}"
    hostile = replace(scansource, sandbox=replace(scansource.sandbox, totals=totals))
    with pytest.raises(VendortapError, match="file system operations are disabled"):
        demo.reconcile(hostile, copy, INVOICES, truth, lambda _: None)
    assert not made.exists()


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
