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
from benchmarks.measure import Command, Usage, pipe, run
from benchmarks.results import Part, Run
from benchmarks.session import Entry, Session, interleaved

DATABASE = "invoices.duckdb"

Environments = Mapping[str, Environment]


@dataclass(frozen=True, slots=True)
class Loader:
    """What loads the list into a DuckDB file.

    ``prepare`` gives one command, or a tap and a target. ``invoices`` and ``lines`` are what to select from and the
    names there: table, number and total; table and price. ``tool`` says whether it is one, or a script that is
    written anew for each vendor.
    """

    name: str
    environments: tuple[str, ...]
    prepare: Callable[[Environments, Job], Sequence[Command]]
    invoices: tuple[str, str, str]
    lines: tuple[str, str]
    runs_at_most: int | None = None


def _ours(environments: Environments, job: Job) -> Sequence[Command]:
    """The tap's command into the target's."""
    environment = environments[OURS]
    config = write_json(job.folder / "target.json", {"path": DATABASE, "default_target_schema": "bench"})
    target = [environment.script("target-vendortap-duckdb"), "--config", config]
    return contenders.tap(environment, job), Command(target, {"LOGLEVEL": "WARNING"})


def _singer(environments: Environments, job: Job) -> Sequence[Command]:
    """The same list by singer-sdk into target-duckdb."""
    tap = contenders.SINGER_SDK.prepare(environments["singer-sdk"], job)
    config = write_json(job.folder / "target.json", {"path": DATABASE, "default_target_schema": "bench"})
    return tap, Command([environments["target-duckdb"].script("target-duckdb"), "--config", config])


def _run(environments: Environments, job: Job) -> Sequence[Command]:
    """Both by ``vendortap run``, which joins them and keeps the state."""
    environment = environments[OURS]
    config = write_json(job.folder / "config.json", {"base_url": job.url})
    arguments = [environment.script("vendortap"), "run", "bench", "--config", config, "--to", DATABASE]
    return [Command([*arguments, "--state", "bench.state.json"])]


def _dlt(source: str, file_format: str) -> Prepare:
    """A pipeline of dlt; it may use both cores to normalize, as its documentation advises."""

    def prepare(environments: Environments, job: Job) -> Sequence[Command]:
        contender = contenders.script("dlt_source.py", source, file_format, "5")
        command = contender(environments["dlt"], job)
        return [Command(command.arguments, {**command.variables, "NORMALIZE__WORKERS": "2"})]

    return prepare


def _script(way: str) -> Prepare:
    return lambda environments, job: [contenders.script("load_script.py", way)(environments["limits"], job)]


_NESTED = ("(SELECT unnest(InvoiceLines, recursive := true) FROM {invoices})", "Price")
_DLT_TABLES = ("bench.invoices", "invoice_number", "total"), ("bench.invoices__invoice_lines", "price")

LOADERS = (
    Loader("vendortap", (OURS,), _pipe, *_nested("bench.invoices")),
    Loader("vendortap-run", (OURS,), _run, *_nested("bench.invoices")),
    Loader("dlt-arrow", ("dlt",), _dlt("arrow", "parquet"), _DLT[0], _AS_JSON),
    Loader("dlt-decimals", ("dlt",), _dlt("decimals", "parquet"), *_DLT, runs_at_most=2),
    Loader("dlt-rest-api", ("dlt",), _dlt("list", "parquet"), *_DLT, runs_at_most=2),
    Loader("dlt-default", ("dlt",), _dlt("list", "insert_values"), *_DLT, runs_at_most=1, at_most=SMALL),
    Loader("singer-sdk", ("singer-sdk", "target-duckdb"), _singer, _LOWER, _AS_JSON, runs_at_most=2),
    Loader("script-texts", ("limits",), _script("texts"), *_nested("invoices")),
    Loader("script-pages", ("limits",), _script("pages"), *_nested("invoices")),
    Loader("script-insert", ("limits",), _script("insert"), *_nested("invoices"), runs_at_most=1, at_most=SMALL),
)


def load(session: Session) -> Part:
    """Measure the loaders in turn, each into a new file."""
    count = session.sizes["load"]
    with session.serving("json", count) as served:
        measure = partial(_measure, f"{served.plain}/{count}", session.truth("json", count))
        entries = [
            Entry(loader.name, loader.environments, partial(measure, loader), runs_at_most=loader.runs_at_most)
            for loader in LOADERS
        ]
        return session.part("load", interleaved(session, "load", entries, session.sizes["runs"]), entries)


def _measure(url: str, truth: Truth, loader: Loader, environments: Environments, path: Path, number: int) -> Run:
    commands = loader.prepare(environments, Job(url, path))
    if len(commands) == 1:
        usage, _ = run(commands[0], path)
        each: dict[str, Usage] = {}
        wall = usage.wall
    else:
        wall, tap, target = pipe(commands[0], commands[1], path)
        each = {"tap": tap, "target": target}
        usage = Usage(wall, tap.user + target.user, tap.system + target.system, max(tap.peak_mib, target.peak_mib))
    complete, exact, kind = _check(path / DATABASE, loader, truth)
    return Run(
        contender=loader.name,
        round=number,
        wall=wall,
        user=usage.user,
        system=usage.system,
        peak_mib=usage.peak_mib,
        records=truth.invoices,
        complete=complete,
        exact=exact,
        extra={"type": kind} | {f"{name}_cpu": u.user + u.system for name, u in each.items()},
    )


def _check(database: Path, loader: Loader, truth: Truth) -> tuple[bool, bool, str]:
    """Return whether every invoice is there once, whether all sums are exact, and the type that amounts have."""
    table, number, total = loader.invoices
    lines, price = loader.lines
    with duckdb.connect(str(database), read_only=True) as connection:
        invoices = connection.sql(
            f"FROM {table} SELECT count(*), count(DISTINCT {number}), sum({total}), any_value(typeof({total}))"
        )
        rows, numbers, totals, kind = invoices.fetchall()[0]
        ((prices,),) = connection.sql(f"FROM {lines} SELECT sum({price})").fetchall()
    complete = rows == numbers == truth.invoices
    # A sum of floats is a float, and may be the right one by chance.
    exact = isinstance(totals, Decimal) and (totals, prices) == (truth.total, truth.prices)
    return complete, complete and exact, kind
