"""`vendortap open`: what the vendor listed and no run has obtained yet, and what the operator says of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vendortap.cli.options import examples
from vendortap.cli.tables import table
from vendortap.errors import StateError, UsageError

if TYPE_CHECKING:
    from vendortap.sync.open_items import Item
    from vendortap.sync.state import State

_IN_DATABASE = click.option(
    "--to",
    "database",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The DuckDB file of the runs.",
)
_IN_FILE = click.option(
    "--state", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The state file of the runs."
)
_CONNECTOR = click.option("--connector", help="Only of this connector, where a DuckDB file has several.")
_STREAM = click.option("--stream", help="Only of this stream.")


def _of_states(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which states and items are meant."""
    return _IN_DATABASE(_IN_FILE(_CONNECTOR(_STREAM(command))))


@click.group(
    "open",
    no_args_is_help=True,
    epilog=examples(
        "vendortap open list --to invoices.duckdb",
        'vendortap open close 90001234 --why "cancelled, says the vendor" --to invoices.duckdb',
        "vendortap open ack 90001234 --until 2026-12-31 --state scansource.state.json",
    ),
)
def open_commands() -> None:
    """Look at what the vendor listed and no run has obtained, and say what is to become of it.

    It is in the state, and asked for again by later runs, until it arrives or is closed. While any of it is neither
    acknowledged nor closed, `vendortap run` ends with 3.
    """


@open_commands.command("list", epilog=examples("vendortap open list --to invoices.duckdb"))
@_of_states
@click.option("--all", "closed", is_flag=True, help="List what is closed as well.")
@click.option("--json", "as_json", is_flag=True, help="For programs: an array of objects.")
def open_list(
    database: Path | None, state: Path | None, connector: str | None, stream: str | None, closed: bool, as_json: bool
) -> None:
    """List what is open, the oldest first."""
    with _states(database, state, connector, write=False) as states:
        found = [
            {"connector": whose, "stream": name, **item}
            for whose, document in states
            for name, item in _items(document, stream, closed=closed)
        ]
    found.sort(key=lambda item: str(item["since"]))
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    head = ["connector", "stream", "key", "of", "why", "since", "tries", "last try", "note"]
    click.echo(table(head, [_row(item) for item in found]))


def _row(item: Item) -> list[str]:
    says = item.get("note", "")
    if "closed" in item:
        says = f"closed {item['closed'][:10]}: {says}"
    elif "acknowledged" in item:
        says = f"acknowledged until {item['acknowledged']}"
    of = ", ".join(str(value) for value in item["partition"].values())
    key = ", ".join(item["key"]) if item["key"] else "(a record without its key)"
    tried = [str(item["tries"]), item["tried"][:16].replace("T", " ")]
    return [item["connector"], item["stream"], key, of or "-", item["why"], item["since"][:10], *tried, says or "-"]


@open_commands.command(
    "close",
    epilog=examples(
        'vendortap open close 90001234 --why "cancelled, says the vendor" --to invoices.duckdb',
        'vendortap open close --stream invoices --before 2026-01-01 --why "before our time" --to invoices.duckdb',
    ),
)
@click.argument("keys", metavar="[KEY]...", nargs=-1)
@click.option("--before", type=click.DateTime(["%Y-%m-%d"]), help="All that has been open since before this day.")
@click.option("--why", required=True, help="What to remember of it.")
@_of_states
def open_close(
    keys: tuple[str, ...],
    before: datetime | None,
    why: str,
    database: Path | None,
    state: Path | None,
    connector: str | None,
    stream: str | None,
) -> None:
    """Give up what will not come: it is not asked for again, unless it changes."""
    from vendortap.sync import open_items

    if bool(keys) == bool(before):
        raise click.UsageError("say what to close: either keys, or --before DATE")
    now = datetime.now(UTC)
    with _states(database, state, connector) as states:
        if before:
            chosen = [item for item in _still_open(states, stream) if item["since"] < before.date().isoformat()]
        else:
            chosen = _named(states, keys, stream)
        for item in chosen:
            open_items.close(item, now, why)
    click.echo(f"vendortap: closed {len(chosen):,}", err=True)


@open_commands.command("ack", epilog=examples("vendortap open ack 90001234 --until 2026-12-31 --to invoices.duckdb"))
@click.argument("keys", metavar="KEY...", nargs=-1, required=True)
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), required=True, help="The last day that it may be open.")
@_of_states
def open_ack(
    keys: tuple[str, ...],
    until: datetime,
    database: Path | None,
    state: Path | None,
    connector: str | None,
    stream: str | None,
) -> None:
    """Say that these are known: they are asked for as before, but a run does not end with 3 for them until a day."""
    if until.date() < date.today():
        raise click.UsageError(f"--until {until.date()} has passed")
    with _states(database, state, connector) as states:
        chosen = _named(states, keys, stream)
        for item in chosen:
            item["acknowledged"] = until.date().isoformat()
    click.echo(f"vendortap: acknowledged {len(chosen):,}", err=True)


def _items(state: State, stream: str | None, *, closed: bool = False) -> Iterator[tuple[str, Item]]:
    for name, entry in state.get("bookmarks", {}).items():
        if stream in (None, name):
            yield from ((name, item) for item in entry.get("open", ()) if closed or "closed" not in item)


def _still_open(states: Sequence[tuple[str, State]], stream: str | None) -> list[Item]:
    return [item for _, state in states for _, item in _items(state, stream)]


def _named(states: Sequence[tuple[str, State]], keys: Sequence[str], stream: str | None) -> list[Item]:
    """Return the open items of these keys; raises UsageError where nothing is open by one of them."""
    from vendortap.sync.open_items import is_named

    still = _still_open(states, stream)
    for key in keys:
        if not any(is_named(item, [key]) for item in still):
            raise UsageError(f"nothing is open by the key {key!r}; `vendortap open list` shows what is")
    return [item for item in still if is_named(item, keys)]


@contextmanager
def _states(
    database: Path | None, file: Path | None, connector: str | None, *, write: bool = True
) -> Iterator[list[tuple[str, Any]]]:
    """Give the states that are meant, each with whose it is; with ``write``, what has changed in them is kept.

    Raises:
        UsageError: none is meant, or there is none.
    """
    if (database is None) == (file is None):
        raise click.UsageError("give one of --to FILE.duckdb and --state FILE, as the runs have it")
    with ExitStack() as stack:
        if file is not None:
            yield from _in_file(stack, file, write=write)
        elif database is not None:
            yield from _in_database(stack, database, connector, write=write)


def _in_file(stack: ExitStack, path: Path, *, write: bool) -> Iterator[list[tuple[str, Any]]]:
    from vendortap.sync import state

    kept = stack.enter_context(state.kept(path)) if write else None
    found = state.read_state(path)
    if found is None:
        raise UsageError(f"the state file {path} is not there any more")
    yield [(found.get("owner", {}).get("connector", "-"), found)]
    if kept:
        kept.keep(json.dumps(found).encode())


def _in_database(
    stack: ExitStack, path: Path, connector: str | None, *, write: bool
) -> Iterator[list[tuple[str, Any]]]:
    from vendortap.duckdb import states
    from vendortap.operate.beginning import held
    from vendortap.support import extras

    extras.require("duckdb", "vendortap open", "duckdb")
    if write:
        stack.enter_context(held(path))
    found = _newest_states(path, connector)
    before = json.dumps(found)
    yield list(found.items())
    if write:
        for instance, was in json.loads(before).items():
            if found[instance] != was:
                states.keep(path, instance, found[instance])


def _newest_states(path: Path, connector: str | None) -> dict[str, State]:
    """Return the newest state of each instance; raises UsageError where there is none."""
    from vendortap.duckdb import states
    from vendortap.support.files import parse_json
    from vendortap.sync.state import check_state

    newest: dict[str, Any] = {}
    for kept in states.history(path):
        if connector in (None, kept.instance.partition(":")[0]):
            newest.setdefault(kept.instance, kept)
    if not newest:
        raise UsageError(f"{path} keeps no state{f' of {connector}' if connector else ''}: no run has loaded into it")
    return {
        instance: check_state(parse_json(kept.state, StateError, f"the state of {instance} that {path} keeps"))
        for instance, kept in newest.items()
    }
