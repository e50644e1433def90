"""Commands that look at connectors: list, describe, catalog, meltano, check with one request, and record for tests."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from vendortap.cli.options import CONFIG, CONNECTOR, connector_names, examples, read_settings
from vendortap.cli.sandboxes import PORT
from vendortap.cli.tables import table
from vendortap.errors import ExitCode
from vendortap.plugins import host
from vendortap.plugins.host import Plugin
from vendortap.support.redact import shown_lines

CHECK_SECONDS = 5
"""How long `vendortap check` tries to get an answer, whatever the settings allow a run."""


@click.command("list", epilog=examples("vendortap list", "vendortap list --check"))
@click.option("--check", is_flag=True, help="Load every plugin, and say which are broken and why.")
def list_command(check: bool) -> int:
    """List the installed connectors, and the plugins that bring anything else."""
    broken = _list("connector", host.find(), host.problems() if check else None)
    if others := host.find(host.HOOKS):
        from vendortap.plugins import extensions

        click.echo()
        broken += _list("plugin", others, extensions.problems() if check else None)
    for reason in broken:
        click.echo(f"\n{shown_lines(reason)}", err=True)
    return ExitCode.FAILED if broken else ExitCode.DONE


def _list(kind: str, found: Mapping[str, Plugin], problems: Mapping[str, str | None] | None) -> list[str]:
    """Print plugins, with their states if these are known; returns why some are broken."""
    head, rows = [kind, "from"], [[name, plugin.distribution] for name, plugin in found.items()]
    if problems is not None:
        head, rows = [*head, "state"], [[*row, "broken" if problems[row[0]] else "ok"] for row in rows]
    click.echo(table(head, rows))
    return [reason for reason in (problems or {}).values() if reason]


@click.command(
    epilog=examples(
        "vendortap describe scansource",
        "vendortap describe scansource --json",
        "vendortap describe scansource --markdown",
    )
)
@CONNECTOR
@click.option("--json", "form", flag_value="json", help="Print JSON for programs.")
@click.option("--markdown", "form", flag_value="markdown", help="Print the connector's page for docs/connectors.")
def describe(connector: str, form: str | None) -> None:
    """Show a connector's streams and settings."""
    from vendortap.operate import reference
    from vendortap.sandbox import serve

    loaded = host.load(connector)
    if form == "markdown":
        click.echo(reference.markdown(loaded, serve.settings(loaded, f"http://127.0.0.1:{PORT}")), nl=False)
        return
    description = reference.describe(loaded)
    if form == "json":
        click.echo(json.dumps(description, indent=2))
        return
    click.echo(f"{description['title']}  {description['docs']}\n")
    streams = [
        [s["name"], ", ".join(s["keys"]), s["replication_key"] or "full", s["title"]] for s in description["streams"]
    ]
    click.echo(table(["stream", "key", "incremental on", "what"], streams))
    click.echo("\nSettings (those marked * are needed):\n")
    for setting in description["settings"]:
        click.echo(_setting_text(setting))


def _setting_text(setting: Mapping[str, Any]) -> str:
    from vendortap.operate.reference import choices

    facts = [" or ".join(choices(setting))]
    if setting["default"] is not None:
        facts.append(f"default {json.dumps(setting['default'])}")
    if setting["secret"]:
        facts.append("secret")
    mark = "*" if setting["required"] else " "
    head = f"{mark} {click.style(setting['name'], bold=True)} ({', '.join(facts)})"
    body = click.wrap_text(setting["description"], width=96, initial_indent="      ", subsequent_indent="      ")
    return f"{head}\n{body}"


@click.command(epilog=examples("vendortap catalog scansource > catalog.json", "vendortap catalog"))
@click.argument("connector", required=False, shell_complete=connector_names)
def catalog(connector: str | None) -> None:
    """Print Singer catalogs.

    With a connector's name: its catalog, ready for --catalog. Without: of all first-party connectors title,
    executable, capabilities and catalog, by name.
    """
    from vendortap.singer import discovery

    if connector:
        click.echo(json.dumps(discovery.catalog(host.load(connector)), indent=2))
        return
    first_party = [name for name, plugin in host.find().items() if plugin.package == "vendortap"]
    click.echo(json.dumps({name: discovery.catalog_entry(host.load(name)) for name in first_party}, indent=2))


@click.command(
    epilog=examples(
        "vendortap meltano scansource --pip-url /srv/vendortap > tap-scansource.yml",
        "vendortap meltano scansource --lock --pip-url ../vendortap > plugins/tap-scansource--vendortap.lock",
        "vendortap meltano --pip-url '/srv/vendortap[duckdb]' > target-vendortap-duckdb.yml",
    )
)
@click.argument("connector", required=False)
@click.option("--lock", is_flag=True, help="Print JSON for the folder `plugins` of a project, which then needs no Hub.")
@click.option(
    "--pip-url",
    "installed_from",
    metavar="WHERE",
    default="",
    help="What Meltano installs the plugin from: a path, a git URL or a wheel. Required, as no index has vendortap.",
)
def meltano(connector: str | None, lock: bool, installed_from: str) -> None:
    """Print a plugin definition for Meltano: of a connector, or without one of the DuckDB target.

    It is in the format of Meltano Hub, and `meltano add --from-ref` reads it.
    """
    from vendortap.operate import meltano as definitions

    if not installed_from:
        raise click.UsageError(f"--pip-url is missing: vendortap is on no package index yet; {definitions.HOW}")
    loaded = host.load(connector) if connector else None
    definition = definitions.extractor(loaded, installed_from) if loaded else definitions.loader(installed_from)
    click.echo(definitions.lock(definition) if lock else definitions.dumps(definition), nl=False)


@click.command(
    epilog=examples(
        "vendortap check scansource --config scansource.json",
        "TAP_SCANSOURCE_SUBSCRIPTION_KEY=… vendortap check scansource --config settings.json --config ENV",
    )
)
@CONNECTOR
@CONFIG
def check(connector: str, configs: tuple[str, ...]) -> None:
    """Check settings and credentials with one request for each partition of a list, and say how it went."""
    from vendortap.http.connect import connect
    from vendortap.plugins.validation import settings, shapes
    from vendortap.sync import reading
    from vendortap.sync.context import SyncContext

    loaded = host.load(connector)
    config = read_settings(loaded, configs)
    config["retry_seconds"] = min(config["retry_seconds"], CHECK_SECONDS)
    client = connect(loaded, config, settings(loaded))
    started = time.monotonic()
    depth = config["max_depth"]
    source = SyncContext(loaded, config, client.send, shapes(loaded), redact=client.redact, max_depth=depth)
    stream = next(stream for stream in loaded.streams if stream.parent is None)
    count = reading.probe(source, stream)
    seconds = time.monotonic() - started
    click.echo(
        f"{connector}: ok. The credentials are accepted; "
        f"{stream.name} answered with {count:,} records in {seconds:.2f} s."
    )


@click.command(
    epilog=examples(
        "vendortap record acme --config acme.json --to tests/recorded",
        "vendortap record acme --config acme.json --to tests/recorded --stream invoices --most 20",
    )
)
@CONNECTOR
@CONFIG
@click.option(
    "--to", "folder", required=True, type=click.Path(path_type=Path), help="Folder for the recording: new, or empty."
)
@click.option("--stream", "streams", multiple=True, help="Record only this stream. May be repeated.")
@click.option("--most", type=click.IntRange(1), default=200, show_default=True, help="How many replies at the most.")
def record(connector: str, configs: tuple[str, ...], folder: Path, streams: tuple[str, ...], most: int) -> None:
    """Record a vendor's replies for tests, without secrets, and with personal data made up.

    What is called like personal data, what schemas mark as such or do not declare, and mail addresses are replaced, by
    values of the same form. Read what is written before it goes into a repository.
    """
    from vendortap.testing import recording

    loaded = host.load(connector)
    kept = recording.record(loaded, read_settings(loaded, configs), folder, streams=streams or None, most=most)
    click.echo(f"{connector}: {len(kept.exchanges)} replies in {folder}. Read them before you share them.", err=True)
