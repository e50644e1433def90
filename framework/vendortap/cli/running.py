"""`vendortap run`: a connector into a database, with progress on standard error and a table at the end."""

from __future__ import annotations

import os
import sys
import time
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vendortap.cli.options import (
    CATALOG,
    CONFIG,
    CONNECTOR,
    LOG_FORMAT,
    TAP_ENV,
    TARGET_ENV,
    Output,
    ReportFile,
    examples,
    read_settings,
    target_command,
)
from vendortap.cli.tables import outcome_table
from vendortap.errors import ExitCode, UsageError
from vendortap.plugins import host
from vendortap.support import environment, logs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vendortap.declare.model import Config
    from vendortap.operate.run import Job, Outcome, Watch
    from vendortap.singer.progress_file import Report

PROGRESS_SECONDS = 5
"""How long it is from one line about progress to the next, where machines read them."""


@click.command(
    epilog=examples(
        "vendortap run scansource --config scansource.json --to invoices.duckdb",
        'vendortap run scansource --config scansource.json --target "target-postgres --config pg.json" '
        "--state scansource.state.json",
        "vendortap run scansource --config scansource.json --to invoices.duckdb --full-refresh",
        "vendortap run scansource --config scansource.json --to invoices.duckdb --report run.json --report run.html",
        "vendortap run scansource --config scansource.json --to invoices.duckdb --log-format json",
    )
)
@CONNECTOR
@CONFIG
@click.option("--to", type=Output(), help="Load into this DuckDB file, which keeps the state too.")
@click.option("--target", help="Load into any Singer target: its command line.")
@click.option(
    "--state",
    type=Output(),
    help="Go on from the state in this file, and keep it there, one run at a time. Without it, --to goes on from the "
    "state in the database, and --target fetches everything.",
)
@click.option(
    "--full-refresh",
    is_flag=True,
    help="Fetch everything again, without a state. The new state then replaces the one in the file or the database.",
)
@CATALOG
@click.option(
    "--report",
    "reports",
    type=ReportFile(),
    multiple=True,
    help="Write what the run came to into this file, FILE.json or FILE.html, also when it fails. May be repeated.",
)
@TAP_ENV
@TARGET_ENV
@LOG_FORMAT
@click.option("--verbose", "-v", is_flag=True, help="Show the log of tap and target.")
def run(
    connector: str,
    configs: tuple[str, ...],
    to: Path | None,
    target: str | None,
    state: Path | None,
    full_refresh: bool,
    catalog: Path | None,
    reports: tuple[Path, ...],
    tap_env: tuple[str, ...],
    target_env: tuple[str, ...],
    verbose: bool,
) -> int:
    """Run a connector into a database.

    Exit codes: 0 all done, 1 failed, 2 bad usage or config, 3 done but records are missing, in quarantine or share
    a key.
    """
    from vendortap.operate import run as runner
    from vendortap.operate.beginning import database_of
    from vendortap.operate.reporting import following
    from vendortap.operate.reporting.document import Recorder
    from vendortap.sync import quarantine

    if (to is None) == (target is None):
        raise click.UsageError('give one of --to FILE.duckdb and --target "COMMAND"')
    _check_different(
        [
            *(("--config", Path(name)) for name in configs if name != "ENV"),
            *((option, path) for option, path in (("--to", to), ("--state", state), ("--catalog", catalog)) if path),
            *product(["--report"], reports),
        ]
    )
    loaded = host.load(connector)
    with following(Recorder(connector, loaded.title), reports) as recorder:
        config = read_settings(loaded, configs)  # the tap does it too, but then the target has made its database
        quarantine.of(loaded, config)  # likewise
        recorder.quarantine = config.get("quarantine_dir")
        _warn_of_no_state(state, full_refresh=full_refresh)
        database = database_of(loaded, config, to) if to else None
        with target_command(connector, to, target, database.instance if database else None) as command:
            job = runner.Job(
                connector,
                configs,
                command,
                state,
                catalog,
                _log_level(verbose),
                totals=bool(reports),
                database=database,
                full_refresh=full_refresh,
                tap_env=tap_env,
                target_env=target_env,
            )
            outcome = watched(job, recorder.watch)
        recorder.over(outcome)
        _tell(outcome, connector, to, state, config)
    return outcome.exit_code


def _check_different(files: Iterable[tuple[str, Path]]) -> None:
    """Refuse a file that is named twice: what is written into one of them would destroy the other.

    Raises:
        UsageError: two options lead to the same file, by whatever path.
    """
    known: dict[object, str] = {}
    for option, path in files:
        there = path.stat() if path.exists() else None
        if there and not path.is_file():
            continue  # a pipe, or /dev/null
        what = (there.st_dev, there.st_ino) if there else path.resolve()
        if what in known and {known[what], option} & {"--to", "--state", "--report"}:
            raise UsageError(f"{known[what]} and {option} name the same file, {path}; give each a file of its own")
        known[what] = option


def _warn_of_no_state(state: Path | None, *, full_refresh: bool) -> None:
    """Say so where everything is going to be fetched unasked although there are states of earlier runs."""
    from vendortap.sync.state import way_back

    if state and not full_refresh and not state.exists() and (way := way_back(state)):
        logs.say(f"vendortap: there is no state file {state}, so everything is fetched. {way.strip()}", "warning")


def _tell(outcome: Outcome, connector: str, to: Path | None, state: Path | None, config: Config) -> None:
    """Print what a run came to: its table, and what the operator should know."""
    from vendortap.operate import run as runner

    if outcome.report.get("streams"):
        click.echo(outcome_table(outcome.report))
    if outcome.problem:
        _tell_problem(outcome, outcome.problem)
    elif to and outcome.exit_code != ExitCode.USAGE:
        tables = [runner.table_name(connector, stream, to) for stream in outcome.report.get("streams", {})]
        logs.say(f"\nLoaded into {to}: {', '.join(tables)}")
    for warning in _warnings(outcome, to, state, config):
        logs.say(f"vendortap: {warning}", "warning")


def _warnings(outcome: Outcome, to: Path | None, state: Path | None, config: Config) -> Iterator[str]:
    from vendortap.decode.drift import Event

    yield from (f"drift: {Event(**event)}" for event in outcome.report.get("drift", ()))
    if outcome.open:
        oldest = outcome.report["open"]["oldest"][:10]
        where = f"--state {state}" if state else f"--to {to}" if to else "--state FILE"
        yield (
            f"not obtained of what the vendor lists: {outcome.open:,}, in this run or before; the oldest "
            f"since {oldest}. They are asked for again; `vendortap open list {where}` shows them"
        )
    if outcome.conflicting:
        yield f"{outcome.conflicting:,} keys have several records that differ; one of each is kept; see above"
    if outcome.quarantined:
        yield (
            f"{outcome.quarantined:,} do not fit and are in quarantine; "
            f"`vendortap quarantine list {config['quarantine_dir']}` shows them"
        )


def _tell_problem(outcome: Outcome, problem: str) -> None:
    logs.say(f"vendortap: error: {problem}", "error")
    if outcome.target and outcome.withheld:
        logs.say(f"vendortap: {environment.hint(outcome.withheld)}", "warning")


def _log_level(verbose: bool) -> dict[str, str]:
    """Taps and targets of the SDK log a lot at INFO; shown when it is asked for."""
    return {} if verbose or "LOGLEVEL" in os.environ else {"LOGLEVEL": "WARNING"}


def watched(job: Job, watch: Watch = lambda _: None) -> Outcome:
    """Run a job; where standard error is a terminal with progress, and everybody's messages above it."""
    from vendortap.operate import run as runner

    if logs.as_json():
        return runner.run(job, _with_progress(watch), logs.pass_on)
    if not sys.stderr.isatty():
        return runner.run(job, watch)
    from vendortap.cli.progress import Progress

    with Progress() as progress:

        def both(report: Report) -> None:
            watch(report)
            progress.show(report)

        return runner.run(job, both, progress.log)


def _with_progress(watch: Watch) -> Watch:
    """Tell machines as well how far a run is: now and then, and at its end."""
    due = time.monotonic() + PROGRESS_SECONDS

    def both(report: Report) -> None:
        nonlocal due
        watch(report)
        if report and (report["final"] or time.monotonic() >= due):
            due = time.monotonic() + PROGRESS_SECONDS
            streams = {
                name: {figure: stream[figure] for figure in ("records", "slices", "expected", "seconds")}
                for name, stream in report["streams"].items()
            }
            network = {figure: report[figure] for figure in ("seconds", "requests", "retries", "waiting", "bytes")}
            logs.say("progress", progress={**network, "streams": streams})

    return both
