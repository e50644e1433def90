"""The demonstration: sandboxes into one DuckDB file, twice, held against what the sandboxes themselves hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from decimal import Decimal
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from vendortap.declare.model import Connector
from vendortap.decode.schemas import with_defaults
from vendortap.errors import LoadError, UsageError, VendortapError
from vendortap.operate import run
from vendortap.operate.beginning import database_of
from vendortap.plugins.validation import settings as settings_schema
from vendortap.sandbox import serve
from vendortap.singer.progress_file import Report
from vendortap.support.extras import require
from vendortap.support.files import write_new

MARK = "vendortap_demo"
"""A schema of this name makes a database one of the demo's own, which the next demo may replace."""

Show = Callable[[str], None]
Table = Callable[[Sequence[tuple[str, Report]]], str]
"""Makes the closing table of several connectors' reports."""
Execute = Callable[[run.Job], run.Outcome]


class Total(NamedTuple):
    """What the invoices of one currency come to."""

    invoices: int
    amount: Decimal


NOTHING = Total(0, Decimal(0))


def demo(
    connectors: Sequence[Connector], to: Path, invoices: int, show: Show, table: Table, execute: Execute = run.run
) -> None:
    """Run the demonstration: the sandboxes into one database, twice.

    Raises:
        UsageError: ``to`` is something else than the database of an earlier demo.
        VendortapError: an extra is missing, a run failed, or the database is not what the sandboxes are.
    """
    require("all", "the demo", "duckdb", "starlette", "uvicorn")
    start_afresh(to)
    with ExitStack() as stack:
        served = [stack.enter_context(_served(connector, invoices)) for connector in connectors]
        jobs = [stack.enter_context(_job(one, to)) for one in served]
        titles = ", ".join(map(attrgetter("title"), connectors))
        show(f"1. Sandboxes with {invoices:,} invoices each listen on 127.0.0.1: {titles}.")
        show(f"2. Each tap into {to}:\n")
        show(table([(job.connector, _report(execute(job))) for job in jobs]))
        show("\n3. The same again. Only what a vendor cannot tell to be unchanged is fetched twice (lookback_days):\n")
        show(table([(job.connector, _report(execute(job))) for job in jobs]))
        show("\n4. The database held against the sandboxes:\n")
        agrees = [reconcile(one.connector, to, invoices, one.app.state.totals(), show) for one in served]
    show(f"Try next, in `duckdb {to}` or with Python's duckdb.connect({str(to)!r}).sql(…).show():\n")
    for query in queries(connectors, to):
        show(f"   {query}")
    if not all(agrees):
        raise VendortapError("the database does not hold what the sandboxes hold; the differences are above")


class Served(NamedTuple):
    """A connector's sandbox that runs."""

    connector: Connector
    url: str
    app: Any


@contextmanager
def _served(connector: Connector, invoices: int) -> Iterator[Served]:
    options = connector.sandbox.options if connector.sandbox else {}
    app = serve.application(connector, invoices=invoices, **options)
    with serve.serving(app) as served:
        yield Served(connector, served.url, app)


def start_afresh(to: Path) -> None:
    """Make an empty database that bears the demo's mark; an earlier demo's is replaced, nothing else is.

    Raises:
        UsageError: there is something else already, or it cannot be written.
    """
    from vendortap.duckdb import database

    try:
        real = database.own_path(to)
        if real.exists():
            if not _is_own(real):
                raise UsageError(
                    f"{to} is not the database of an earlier demo; it is left alone. Name another with --to"
                )
            real.unlink()
            real.with_name(f"{real.name}.wal").unlink(missing_ok=True)
        with closing(database.connect(real)) as connection, database.transaction(connection):
            connection.execute(f"CREATE SCHEMA {database.CATALOG}.{MARK}")
    except LoadError as error:
        raise UsageError(f"the database {to} cannot be made: {error}; name another with --to") from None


def _is_own(path: Path) -> bool:
    import duckdb

    from vendortap.duckdb.query import opened

    try:
        with opened(path) as database:
            found = database.execute("SELECT 1 FROM duckdb_schemas() WHERE schema_name = ?", [MARK]).fetchone()
    except duckdb.Error:
        return False
    return found is not None


@contextmanager
def _job(served: Served, to: Path) -> Iterator[run.Job]:
    connector = served.connector
    settings = serve.settings(connector, served.url)
    database = database_of(connector, with_defaults(settings, settings_schema(connector)), to)
    with (
        run.duckdb_command(connector.name, to, database.instance) as command,
        TemporaryDirectory(prefix="vendortap-") as folder,
    ):
        config = Path(folder) / "config.json"
        write_new(config, json.dumps(settings).encode())
        quiet = {"LOGLEVEL": "WARNING"}
        yield run.Job(connector.name, [str(config)], command, environment=quiet, database=database)


def _report(outcome: run.Outcome) -> Report:
    if outcome.exit_code:
        raise VendortapError(f"the demo failed: {outcome.problem or 'see the message above'}")
    return outcome.report


# --- what was loaded, against what the sandbox holds -------------------------------------------------


def reconcile(
    connector: Connector, to: Path, invoices: int, truth: Mapping[str | None, tuple[int, Decimal]], show: Show
) -> bool:
    """Show what the database holds of a connector, and return whether that is exactly what its sandbox holds.

    Raises:
        VendortapError: the database cannot be read.
    """
    wanted: dict[str | None, Total] = {currency: Total(*total) for currency, total in truth.items()}
    counts, totals = held(connector, to)
    for table, count in counts.items():
        show(f"   {count:>9,} rows in {table}  {_verdict(count == invoices, f'{invoices:,}')}")
    for currency in sorted({*wanted, *totals}, key=str):
        found, total = totals.get(currency, NOTHING), wanted.get(currency, NOTHING)
        verdict = _verdict(found == total, f"{total.invoices:,} invoices, {money(total.amount)}")
        show(f"   {found.invoices:>9,} invoices  {money(found.amount):>28} {currency or '   '}  {verdict}")
    show("")
    return totals == wanted and all(count == invoices for count in counts.values())


def held(connector: Connector, to: Path) -> tuple[dict[str, int], dict[str | None, Total]]:
    """Return the number of rows of each table that is loaded as a whole, and the exact totals by currency.

    Raises:
        VendortapError: the database cannot be read.
    """
    import duckdb

    from vendortap.duckdb.query import opened

    counts: dict[str, int] = {}
    try:
        with opened(to) as database:
            for stream in connector.streams:
                if stream.selected_by_default and (stream.parent is None or stream.parent.stream):
                    table = run.table_name(connector.name, stream.name, to)
                    [(counts[table],)] = database.execute(f"SELECT count(*) FROM {table}").fetchall()  # noqa: S608 - of a declaration
            query = connector.sandbox.totals if connector.sandbox else ""
            rows = database.execute(query.replace("{schema}", run.schema_path(connector.name, to))).fetchall()
    except duckdb.Error as error:
        raise VendortapError(f"the database {to} cannot be read: {error}") from None
    return counts, {currency: Total(count, amount) for currency, count, amount in rows}


def _verdict(agrees: bool, wanted: str) -> str:
    return "= sandbox" if agrees else f"but the sandbox has {wanted}"


def money(amount: Decimal) -> str:
    """Write an amount in full, with two decimals or as many more as it has."""
    whole, _, decimals = f"{amount:,f}".partition(".")
    return f"{whole}.{decimals.rstrip('0'):0<2}"


def queries(connectors: Sequence[Connector], to: Path) -> tuple[str, ...]:
    """Return the queries to try next: ScanSource's where it is there, else the rows of each list."""
    if "scansource" not in {connector.name for connector in connectors}:
        names = [run.table_name(c.name, c.streams[0].name, to) for c in connectors]
        return tuple(f"SELECT * FROM {name} LIMIT 5;" for name in names)  # noqa: S608 - of a declaration
    table = run.table_name("scansource", "invoice_details", to)
    return (
        f"SELECT Currency, count(*), sum(Total) FROM {table} GROUP BY ALL;",  # noqa: S608 - likewise
        f"SELECT InvoiceNumber, unnest(InvoiceLines, recursive := true) FROM {table} LIMIT 5;",  # noqa: S608 - likewise
        f"SELECT InvoiceNumber, ShipDate::DATE, Total, Currency FROM {table} ORDER BY abs(Total) DESC LIMIT 3;",  # noqa: S608 - likewise
    )
