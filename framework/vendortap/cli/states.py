"""`vendortap state`: the states that a database keeps, and the way back to one of them."""

from __future__ import annotations

from pathlib import Path

import click

from vendortap.cli.options import examples
from vendortap.cli.tables import table


@click.group(
    "state",
    no_args_is_help=True,
    epilog=examples("vendortap state list invoices.duckdb", "vendortap state restore invoices.duckdb 17"),
)
def state_commands() -> None:
    """Look at the states that a DuckDB file keeps, and go back to one.

    `vendortap run --to FILE` keeps the newest state of each connector and account there, and ten before it.
    """


_FILE = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
_GENERATION = click.argument("generation", type=click.IntRange(1))


@state_commands.command("list", epilog=examples("vendortap state list invoices.duckdb"))
@_FILE
def state_list(file: Path) -> None:
    """List the states by their generation, the newest of each connector and account first."""
    _require()
    from vendortap.duckdb import states

    rows = [
        [str(kept.number), kept.written_at.isoformat(" ", "seconds"), kept.instance] for kept in states.history(file)
    ]
    click.echo(table(["generation", "written", "connector"], rows))


@state_commands.command("show", epilog=examples("vendortap state show invoices.duckdb 17 > state.json"))
@_FILE
@_GENERATION
def state_show(file: Path, generation: int) -> None:
    """Print one state: customer numbers and invoice numbers are in it, amounts are not."""
    _require()
    from vendortap.duckdb import states

    click.echo(states.find(file, generation).state)


@state_commands.command("restore", epilog=examples("vendortap state restore invoices.duckdb 17"))
@_FILE
@_GENERATION
def state_restore(file: Path, generation: int) -> None:
    """Make an earlier state the newest: the next run goes on from there.

    Rows that it fetches again are replaced by key, so that nothing is lost.
    """
    _require()
    from vendortap.duckdb import states
    from vendortap.operate.beginning import held

    with held(file):
        restored = states.restore(file, generation)
    click.echo(
        f"The newest state of {restored.instance} is now generation {restored.number}, the same as {generation}.",
        err=True,
    )


def _require() -> None:
    from vendortap.support import extras

    extras.require("duckdb", "vendortap state", "duckdb")
