"""Into DuckDB, end to end: from the list to committed tables, beside what a user would take instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path

import duckdb

from benchmarks import contenders
from benchmarks.contenders import Job, write_json
from benchmarks.dataset import Truth
from benchmarks.environments import OURS, Environment
from benchmarks.measure import Command, Failed, Usage, pipe, run
from benchmarks.results import Part, Run
from benchmarks.session import Entry, Session, interleaved

DATABASE = "invoices.duckdb"
SMALL = 2000
"""Invoices for those that take so long that the whole list is out of the question."""

Environments = Mapping[str, Environment]
Prepare = Callable[[Environments, Job], Sequence[Command]]
"""Gives one command, or a tap and a target."""


@dataclass(frozen=True, slots=True)
class Tables:
    """Where invoices and their lines are afterwards, and what number, total and price are called there."""

    invoices: str
    number: str
    total: str
    lines: str
    price: str


@dataclass(frozen=True, slots=True)
class Loader:
    """What loads the list into a DuckDB file. A ``tool`` takes the next vendor too; a script is written anew."""

    name: str
    title: str
    environments: tuple[str, ...]
    prepare: Prepare
    tables: Tables
    tool: bool = True
    runs_at_most: int | None = None
    small: bool = False


def load(session: Session) -> Part:
    """Measure the loaders in turn, each into a new file."""
    whole = session.sizes["load"]
    with session.serving("json", whole) as served:
        entries = [
            Entry(
                loader.name,
                loader.environments,
                partial(_measure, loader, served.plain, session.truth("json", count)),
                count,
                loader.runs_at_most,
            )
            for loader in LOADERS
            for count in [min(whole, SMALL) if loader.small else whole]
        ]
        return session.part("load", interleaved(session, "load", entries, session.sizes["runs"]), entries)


def _measure(loader: Loader, url: str, truth: Truth, environments: Environments, path: Path, number: int) -> Run:
    commands = loader.prepare(environments, Job(f"{url}/{truth.invoices}", path))
    if len(commands) == 1:
        usage, _ = run(commands[0], path)
        each: dict[str, Usage] = {}
        wall = usage.wall
    else:
        wall, tap, target = pipe(commands[0], commands[1], path)
        each = {"tap": tap, "target": target}
        usage = Usage(wall, tap.user + target.user, tap.system + target.system, max(tap.peak_mib, target.peak_mib))
    try:
        rows, complete, exact, kind = _check(path / DATABASE, loader.tables, truth)
    except duckdb.Error as error:
        raise Failed(f"the database cannot be checked: {type(error).__name__}") from None
    return Run(
        contender=loader.name,
        round=number,
        case=truth.invoices,
        wall=wall,
        user=usage.user,
        system=usage.system,
        peak_mib=usage.peak_mib,
        records=rows,
        complete=complete,
        exact=exact,
        extra={"type": kind} | {f"{name}_cpu": round(used.user + used.system, 3) for name, used in each.items()},
    )


def _check(database: Path, tables: Tables, truth: Truth) -> tuple[int, bool, bool, str]:
    """Return how many invoices there are, whether each is there once and all sums are exact, and the amounts' type."""
    counts = f"count(*), count(DISTINCT {tables.number}), sum({tables.total}), any_value(typeof({tables.total}))"
    with duckdb.connect(str(database), read_only=True) as connection:
        rows, numbers, totals, kind = connection.sql(f"FROM {tables.invoices} SELECT {counts}").fetchall()[0]
        ((prices,),) = connection.sql(f"FROM {tables.lines} SELECT sum({tables.price})").fetchall()
    complete = rows == numbers == truth.invoices
    # A sum of floats is a float, and may be the right one by chance.
    exact = complete and isinstance(totals, Decimal) and (totals, prices) == (truth.total, truth.prices)
    return rows, complete, exact, kind


# --- who loads ---------------------------------------------------------------------------------------


def _pipe(environments: Environments, job: Job) -> Sequence[Command]:
    environment = environments[OURS]
    config = write_json(job.folder / "target.json", {"path": DATABASE, "default_target_schema": "bench"})
    target = [environment.script("target-vendortap-duckdb"), "--config", config]
    return contenders.tap(environment, job), Command(target, {"LOGLEVEL": "WARNING"})


def _run(environments: Environments, job: Job) -> Sequence[Command]:
    config = write_json(job.folder / "config.json", {"base_url": job.url})
    arguments = [environments[OURS].script("vendortap"), "run", "bench", "--config", config, "--to", DATABASE]
    return [Command(arguments)]


def _singer(environments: Environments, job: Job) -> Sequence[Command]:
    tap = contenders.SINGER_SDK.prepare(environments["singer-sdk"], job)
    config = write_json(job.folder / "target.json", {"path": DATABASE, "default_target_schema": "bench"})
    return tap, Command([environments["target-duckdb"].script("target-duckdb"), "--config", config])


def _dlt(source: str, file_format: str) -> Prepare:
    """A pipeline of dlt, with as many processes to normalize as there are cores, as its documentation advises."""

    def prepare(environments: Environments, job: Job) -> Sequence[Command]:
        command = contenders.script("dlt_source.py", source, file_format, "5")(environments["dlt"], job)
        return [Command(command.arguments, {**command.variables, "NORMALIZE__WORKERS": "2"})]

    return prepare


def _script(way: str) -> Prepare:
    prepare = contenders.script("load_script.py", way)
    return lambda environments, job: [prepare(environments["limits"], job)]


def _nested(table: str, number: str = "InvoiceNumber", total: str = "Total") -> Tables:
    """Lines as a list of structs inside the invoices."""
    return Tables(table, number, total, f"(SELECT unnest(InvoiceLines, recursive := true) FROM {table})", "Price")


def _as_json(number: str, total: str, lines: str) -> Tables:
    """Lines as JSON inside the invoices."""
    unnested = f"(SELECT unnest(CAST({lines} AS JSON[])) AS line FROM bench.invoices)"
    return Tables("bench.invoices", number, total, unnested, "CAST(line->>'Price' AS DECIMAL(38,9))")


_DLT = Tables("bench.invoices", "invoice_number", "total", "bench.invoices__invoice_lines", "price")

OWN = ("vendortap", "vendortap-run")
"""The names of those that are the project's."""
LOADERS = (
    Loader(
        "vendortap",
        "**`tap-bench` into `target-vendortap-duckdb`**",
        (OURS,),
        _pipe,
        _nested("bench.invoices"),
    ),
    Loader("vendortap-run", "**`vendortap run`**, which joins the two", (OURS,), _run, _nested("bench.invoices")),
    Loader(
        "dlt-arrow",
        "dlt, a resource by hand that gives typed Arrow tables",
        ("dlt",),
        _dlt("arrow", "parquet"),
        _as_json("invoice_number", "total", "invoice_lines"),
    ),
    Loader(
        "dlt-decimals",
        "dlt, a resource by hand that parses Decimal, by Parquet",
        ("dlt",),
        _dlt("decimals", "parquet"),
        _DLT,
        runs_at_most=1,
    ),
    Loader("dlt-rest-api", "dlt rest_api, by Parquet", ("dlt",), _dlt("list", "parquet"), _DLT, runs_at_most=1),
    Loader(
        "dlt-default",
        "dlt rest_api, as it comes (INSERT statements)",
        ("dlt",),
        _dlt("list", "insert_values"),
        _DLT,
        runs_at_most=1,
        small=True,
    ),
    Loader(
        "singer-sdk",
        "singer-sdk into target-duckdb",
        ("singer-sdk", "target-duckdb"),
        _singer,
        _as_json("invoicenumber", "total", "invoicelines"),
        runs_at_most=1,
    ),
    Loader(
        "script-texts",
        "script: amounts as text into one JSONL file, which DuckDB reads",
        ("limits",),
        _script("texts"),
        _nested("invoices"),
        tool=False,
    ),
    Loader(
        "script-pages",
        "script: pages as they come into a file, which DuckDB reads",
        ("limits",),
        _script("pages"),
        _nested("invoices"),
        tool=False,
    ),
    Loader(
        "script-insert",
        "script: Decimal and `executemany`",
        ("limits",),
        _script("insert"),
        _nested("invoices"),
        tool=False,
        runs_at_most=1,
        small=True,
    ),
)
