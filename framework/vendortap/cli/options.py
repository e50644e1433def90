"""What the options of several commands have in common, and the end of their help."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vendortap.errors import ConfigError
from vendortap.plugins import host
from vendortap.support import logs
from vendortap.support.redact import Redactor

if TYPE_CHECKING:
    from vendortap.declare.model import Connector


def examples(*lines: str) -> str:
    """Return the end of a command's help; the control character keeps click from filling the lines."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


class Output(click.Path):
    """A file to write; refused before anything is fetched where there is no folder for it."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, writable=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        path = Path(str(super().convert(value, param, ctx)))
        if path.exists() and not path.is_file():  # say, /dev/null: to replace it would be a surprise to everybody
            self.fail(f"{str(path)!r} is not a file.", param, ctx)
        if not path.parent.is_dir():
            self.fail(f"There is no folder {str(path.parent)!r}.", param, ctx)
        return path


def connector_names(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[str]:
    """Return the connectors whose names begin like what has been typed, for the shell."""
    return [name for name in host.find() if name.startswith(begun)]


CONNECTOR = click.argument("connector", shell_complete=connector_names)


class ReportFile(Output):
    """A file for a report, whose suffix says in what form."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        path = super().convert(value, param, ctx)
        if path.suffix not in (".json", ".html"):
            self.fail(f"{path.name!r} ends with neither .json nor .html.", param, ctx)
        return path


def _set_log_format(_ctx: click.Context, _param: click.Parameter, form: str | None) -> None:
    """Take note of the form, for this process and those that it starts."""
    if form:
        os.environ[logs.ENVIRONMENT] = form


LOG_FORMAT = click.option(
    "--log-format",
    type=click.Choice(logs.FORMS),
    envvar=logs.ENVIRONMENT,
    is_eager=True,
    expose_value=False,
    callback=_set_log_format,
    help="What is written to standard error: text (the default), or for machines one JSON object a line.",
)

CATALOG = click.option(
    "--catalog", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Select streams and fields."
)
CONFIG = click.option(
    "--config",
    "configs",
    metavar="FILE|ENV",
    multiple=True,
    required=True,
    help="Settings: a JSON file, or ENV for those in the environment. May be repeated.",
)


_ENV_METAVAR = "NAME|PREFIX*"
TAP_ENV = click.option(
    "--tap-env",
    metavar=_ENV_METAVAR,
    multiple=True,
    help="Give the tap this variable of the environment beside those that it needs. May be repeated.",
)
TARGET_ENV = click.option(
    "--target-env",
    metavar=_ENV_METAVAR,
    multiple=True,
    help="Give the target this variable of the environment beside those that it needs, such as 'AWS_*'. May be "
    "repeated.",
)


def read_settings(connector: Connector, configs: Iterable[str]) -> dict[str, Any]:
    """Return the settings, checked: of the files, and of the environment where ENV is asked for, as the tap does."""
    from vendortap.decode.schemas import check_config, secrets, with_defaults
    from vendortap.singer import discovery
    from vendortap.singer.tap import tap_class
    from vendortap.support.files import read_json

    tap = tap_class(connector)
    merged: dict[str, Any] = {}
    for name in configs:
        if name != "ENV":
            merged |= read_json(name, ConfigError, f"the config file {name}")
    if "ENV" in configs:
        merged |= discovery.environment(connector)
    config = with_defaults(merged, tap.settings_schema)
    if context := click.get_current_context(silent=True):  # nothing that the command prints shows them
        context.find_root().meta["vendortap.redactor"] = Redactor(secrets(config, tap.settings_schema))
    check_config(config, tap.config_jsonschema, tap.name)
    return config


def target_command(
    connector: str, to: Path | None, target: str | None, state_of: str | None = None
) -> AbstractContextManager[list[str]]:
    """Give the command of the target that --to or --target ask for, as long as the context lasts.

    With ``state_of``, the DuckDB file keeps the states of that instance.
    """
    from vendortap.operate import run as runner
    from vendortap.support import extras

    if to is None:
        return nullcontext(runner.target_command(target or ""))
    extras.require("duckdb", "--to", "duckdb")
    return runner.duckdb_command(connector, to, state_of)
