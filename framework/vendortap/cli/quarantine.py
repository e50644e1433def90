"""`vendortap quarantine`: records that did not fit, looked at and decoded again."""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vendortap.cli.options import (
    CATALOG,
    CONFIG,
    CONNECTOR,
    TARGET_ENV,
    Output,
    examples,
    read_settings,
    target_command,
)
from vendortap.cli.tables import table
from vendortap.plugins import host
from vendortap.support.redact import shown_line

if TYPE_CHECKING:
    from vendortap.operate.replay import Replayed
    from vendortap.sync.quarantine import QuarantineEntry


@click.group(
    "quarantine",
    no_args_is_help=True,
    epilog=examples(
        "vendortap quarantine list /var/lib/vendortap/quarantine",
        "vendortap quarantine replay scansource --config scansource.json --to invoices.duckdb",
    ),
)
def quarantine_commands() -> None:
    """Look at records that did not fit, and decode them again.

    They are kept in the folder that the setting quarantine_dir names.
    """


_FOLDER = click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))


@quarantine_commands.command("list", epilog=examples("vendortap quarantine list /var/lib/vendortap/quarantine"))
@_FOLDER
def quarantine_list(folder: Path) -> None:
    """List the records in quarantine: never their values, but for their keys."""
    from vendortap.sync import quarantine

    entries = quarantine.read_all(folder)
    rows = [[str(number), *_entry_row(kept)] for number, kept in enumerate(entries, 1)]
    names = ["n", "when", "connector", "stream", "key", "path", "error"]
    if any(kept.account for kept in entries):
        names.append("account")
        rows = [[*row, kept.account or "-"] for row, kept in zip(rows, entries, strict=True)]
    click.echo(table(names, rows))


def _entry_row(kept: QuarantineEntry) -> list[str]:
    when = kept.time.isoformat(" ", "seconds")
    key = kept.shown or ", ".join(f"{name} {value}" for name, value in kept.key.items())
    return [when, kept.connector, kept.stream, key or "-", kept.path, kept.error]


@quarantine_commands.command(
    "show",
    epilog=examples(
        "vendortap quarantine show /var/lib/vendortap/quarantine 1",
        "vendortap quarantine show /var/lib/vendortap/quarantine 1 --raw > record.json",
    ),
)
@_FOLDER
@click.argument("number", type=click.IntRange(1))
@click.option("--raw", is_flag=True, help="Print the record itself, as it was received, and nothing else.")
def quarantine_show(folder: Path, number: int, raw: bool) -> None:
    """Show one entry, by its number in the list."""
    from vendortap.sync import quarantine

    entries = quarantine.read_all(folder)
    if number > len(entries):
        raise click.UsageError(f"there are {len(entries)} entries")
    kept = entries[number - 1]
    if raw:
        sys.stdout.buffer.write(kept.raw)
        return
    when, connector, stream, key, path, error = _entry_row(kept)
    asked = f"{kept.request['method']} {kept.request['path']} {json.dumps(kept.request['params'])}"
    rows = {
        "when": when,
        "connector": connector,
        "stream": stream,
        "key": key,
        "path": path,
        "error": error,
        "request": asked,
        "schema": kept.schema,
        "record": f"{len(kept.raw):,} bytes of {kept.media_type}",
        **({"account": kept.account} if kept.account else {}),
    }
    for name, text in rows.items():
        click.echo(f"{name:<9}  {shown_line(text)}")


@quarantine_commands.command(
    "replay",
    epilog=examples(
        "vendortap quarantine replay scansource --config scansource.json --to invoices.duckdb",
        'vendortap quarantine replay scansource --config scansource.json --target "target-postgres --config pg.json"',
        "vendortap quarantine replay scansource --config scansource.json > messages.jsonl",
    ),
)
@CONNECTOR
@CONFIG
@click.option("--to", type=Output(), help="Load what is good now into this DuckDB file.")
@click.option("--target", help="Load it into any Singer target: its command line.")
@CATALOG
@TARGET_ENV
@click.option("--mark", is_flag=True, help="Be done with what is written to standard output: whoever reads it has it.")
def quarantine_replay(
    connector: str,
    configs: tuple[str, ...],
    to: Path | None,
    target: str | None,
    catalog: Path | None,
    target_env: tuple[str, ...],
    mark: bool,
) -> int:
    """Decode the records in quarantine again, with today's connector.

    An entry is closed when the target has handed back a STATE that covers its record. Without --to and --target,
    Singer messages of what is good now go to standard output, and the entries stay.

    Exit codes: 0 all are good, 1 failed, 2 bad usage or config, 3 some do not fit still.
    """
    from vendortap.errors import CatalogError, ExitCode
    from vendortap.operate.replay import replay
    from vendortap.support.files import read_json

    if to and target:
        raise click.UsageError('give one of --to FILE.duckdb and --target "COMMAND"')
    loaded = host.load(connector)
    config = read_settings(loaded, configs)
    chosen = read_json(catalog, CatalogError, f"the catalog {catalog}") if catalog else None
    into: AbstractContextManager[list[str] | None] = nullcontext(None)
    if to or target:
        into = target_command(connector, to, target)
    with into as command:
        done = replay(loaded, config, chosen, command, mark=mark, target_env=target_env)
    _tell(done, connector, are_closed=bool(command or mark))
    return ExitCode.INCOMPLETE if done.left else ExitCode.DONE


def _tell(done: Replayed, connector: str, *, are_closed: bool) -> None:
    """Print what a replay came to."""
    if done.left:
        rows = [[*_entry_row(kept)[:4], problem] for kept, problem in done.left]
        click.echo(table(["when", "connector", "stream", "key", "still wrong"], rows) + "\n", err=True)
    stay = "" if are_closed else "; its entries stay, as nobody here knows what became of them"
    others = f"; {done.others:,} belong to another account of {connector}, and stay" if done.others else ""
    click.echo(f"vendortap: {len(done.written):,} good now, {len(done.left):,} not{stay}{others}", err=True)
