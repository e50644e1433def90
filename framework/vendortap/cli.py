"""The ``vendortap`` command: arguments into calls, errors into exit codes, progress on standard error.

Exit codes: 0 all done, 1 failed, 2 bad usage or config, 3 done but records are missing or in quarantine.
Imports of what is slow stand where they are used: ``vendortap list`` has to be quick.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from vendortap import plugins
from vendortap.errors import ConfigError, PluginError, UsageError, VendortapError

if TYPE_CHECKING:
    from vendortap.model import Config, Connector
    from vendortap.quarantine import Kept
    from vendortap.report import Report
    from vendortap.run import Job, Outcome

CHECK_SECONDS = 5
"""How long `vendortap check` tries to get an answer, whatever the settings allow a run."""
PORT = 8080
"""Where sandboxes listen, unless another port is asked for."""


def main() -> NoReturn:
    """Run the command and end the process."""
    for name in ("SIGTERM", "SIGHUP"):  # the latter where there is one, and nohup does not ignore it
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _terminated)
    sys.exit(_main(sys.argv[1:]))


def _terminated(signum: int, _frame: Any) -> NoReturn:
    raise SystemExit(128 + signum)


def _main(arguments: Sequence[str]) -> int:
    try:
        result = commands.main(args=list(arguments), prog_name="vendortap", standalone_mode=False)
    except VendortapError as error:
        click.echo(f"vendortap: error: {error}", err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return UsageError.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("vendortap: interrupted", err=True)
        return 128 + signal.SIGINT
    except OSError as error:
        click.echo(f"vendortap: error: {error}", err=True)
        return VendortapError.exit_code
    except Exception as error:  # noqa: BLE001 - a defect, whose own text may hold data
        from vendortap.redact import unexpected

        click.echo(f"vendortap: error: {unexpected(error)}", err=True)
        return VendortapError.exit_code
    return result if isinstance(result, int) else 0


def _examples(*lines: str) -> str:
    """Return the end of a command's help; the control character keeps click from filling the lines."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


class _Output(click.Path):
    """A file to write; refused before anything is fetched where there is no folder for it."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, writable=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(str(super().convert(value, param, ctx)))
        if not path.parent.is_dir():
            self.fail(f"There is no folder {str(path.parent)!r}.", param, ctx)
        return path


_CONFIG = click.option(
    "--config",
    "configs",
    metavar="FILE|ENV",
    multiple=True,
    required=True,
    help="Settings: a JSON file, or ENV for those in the environment. May be repeated.",
)


@click.group(
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Try `vendortap demo` first: it needs no account. Then `vendortap describe scansource`.",
)
@click.version_option(package_name="vendortap", prog_name="vendortap")
def commands() -> None:
    """Get invoices out of vendors' APIs.

    Each connector is a Singer tap; `run` pipes one into a database or any Singer target.
    """


# --- list, describe, catalog -------------------------------------------------------------------------


@commands.command(
    "list",
    epilog=_examples(
        "vendortap list",
        "vendortap list --check",
    ),
)
@click.option("--check", is_flag=True, help="Load every plugin, and say which are broken and why.")
def list_command(check: bool) -> int:
    """List the installed connectors."""
    found = plugins.find()
    problems = plugins.problems() if check else {}
    rows = [[name, plugin.distribution, _health(problems, name)] for name, plugin in found.items()]
    click.echo(_table(["connector", "from", *(["state"] if check else [])], [r if check else r[:2] for r in rows]))
    broken = {name: reason for name, reason in problems.items() if reason}
    for reason in broken.values():
        click.echo(f"\n{reason}", err=True)
    return PluginError.exit_code if broken else 0


def _health(problems: Mapping[str, str | None], name: str) -> str:
    return "broken" if problems.get(name) else "ok"


@commands.command(
    epilog=_examples(
        "vendortap describe scansource",
        "vendortap describe scansource --json",
        "vendortap describe scansource --markdown",
    ),
)
@click.argument("connector")
@click.option("--json", "form", flag_value="json", help="Print JSON for programs.")
@click.option("--markdown", "form", flag_value="markdown", help="Print the connector's page for docs/connectors.")
def describe(connector: str, form: str | None) -> None:
    """Show a connector's streams and settings."""
    from vendortap import reference, serve

    loaded = plugins.load(connector)
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
    click.echo(_table(["stream", "key", "incremental on", "what"], streams))
    click.echo("\nSettings (those marked * are needed):\n")
    for setting in description["settings"]:
        click.echo(_setting_text(setting))


def _setting_text(setting: Mapping[str, Any]) -> str:
    types = [setting["type"]] if isinstance(setting["type"], str) else setting["type"]
    facts = [
        " or ".join(map(str, setting["options"]))
        if setting["options"]
        else " or ".join(t for t in types if t != "null")
    ]
    if setting["default"] is not None:
        facts.append(f"default {json.dumps(setting['default'])}")
    if setting["secret"]:
        facts.append("secret")
    mark = "*" if setting["required"] else " "
    head = f"{mark} {click.style(setting['name'], bold=True)} ({', '.join(facts)})"
    body = click.wrap_text(setting["description"], width=96, initial_indent="      ", subsequent_indent="      ")
    return f"{head}\n{body}"


@commands.command(
    epilog=_examples(
        "vendortap catalog scansource > catalog.json",
        "vendortap catalog",
    ),
)
@click.argument("connector", required=False)
def catalog(connector: str | None) -> None:
    """Print Singer catalogs.

    With a connector's name: its catalog, ready for --catalog. Without: of all first-party connectors title,
    executable, capabilities and catalog, by name.
    """
    from vendortap import singer

    if connector:
        click.echo(json.dumps(singer.catalog(plugins.load(connector)), indent=2))
        return
    first_party = [name for name, plugin in plugins.find().items() if plugin.package == "vendortap"]
    click.echo(json.dumps({name: singer.catalog_entry(plugins.load(name)) for name in first_party}, indent=2))


# --- check, run --------------------------------------------------------------------------------------


@commands.command(
    epilog=_examples(
        "vendortap check scansource --config scansource.json",
        "TAP_SCANSOURCE_SUBSCRIPTION_KEY=… vendortap check scansource --config settings.json --config ENV",
    ),
)
@click.argument("connector")
@_CONFIG
def check(connector: str, configs: tuple[str, ...]) -> None:
    """Check settings and credentials with one request, and say how it went."""
    from vendortap import sync
    from vendortap.connect import connect
    from vendortap.declaration import settings, shapes

    loaded = plugins.load(connector)
    config = _config(loaded, configs)
    config["retry_seconds"] = min(config["retry_seconds"], CHECK_SECONDS)
    client = connect(loaded, config, settings(loaded))
    started = time.monotonic()
    depth = config["max_depth"]
    source = sync.Source(loaded, config, client.send, shapes(loaded), redact=client.redact, max_depth=depth)
    stream = next(stream for stream in loaded.streams if stream.keyed is None)
    count = len(sync.probe(source, stream))
    seconds = time.monotonic() - started
    click.echo(
        f"{connector}: ok. The credentials are accepted; "
        f"{stream.name} answered with {count:,} records in {seconds:.2f} s."
    )


def _config(connector: Connector, configs: Iterable[str]) -> dict[str, Any]:
    """Return the settings, checked: of the files, and of the environment where ENV is asked for, as the tap does."""
    from vendortap import singer
    from vendortap.files import read_json
    from vendortap.schemas import check_config, with_defaults

    tap = singer.tap_class(connector)
    merged: dict[str, Any] = {}
    for name in configs:
        if name != "ENV":
            merged |= read_json(name, ConfigError, f"the config file {name}")
    if "ENV" in configs:
        merged |= singer.environment(connector)
    config = with_defaults(merged, tap.settings_schema)
    check_config(config, tap.config_jsonschema, tap.name)
    return config


@commands.command(
    epilog=_examples(
        "vendortap run scansource --config scansource.json --to invoices.duckdb --state scansource.state.json",
        'vendortap run scansource --config scansource.json --target "target-postgres --config pg.json"',
    ),
)
@click.argument("connector")
@_CONFIG
@click.option("--to", type=_Output(), help="Load into this DuckDB file.")
@click.option("--target", help="Load into any Singer target: its command line.")
@click.option(
    "--state",
    type=_Output(),
    help="Go on from this file, and keep it, one run at a time. Without it everything is fetched.",
)
@click.option(
    "--catalog", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Select streams and fields."
)
@click.option("--verbose", "-v", is_flag=True, help="Show the log of tap and target.")
def run(
    connector: str,
    configs: tuple[str, ...],
    to: Path | None,
    target: str | None,
    state: Path | None,
    catalog: Path | None,
    verbose: bool,
) -> int:
    """Run a connector into a database.

    Exit codes: 0 all done, 1 failed, 2 bad usage or config, 3 done but records are missing or in quarantine.
    """
    from vendortap import quarantine
    from vendortap import run as runner
    from vendortap import state as previous_state

    if (to is None) == (target is None):
        raise click.UsageError('give one of --to FILE.duckdb and --target "COMMAND"')
    config = _config(plugins.load(connector), configs)  # the tap does it too, but then the target has made its database
    quarantine.of(connector, config)  # likewise
    if state and not state.exists() and (way_back := previous_state.way_back(state)):
        click.echo(f"vendortap: there is no state file {state}, so everything is fetched. {way_back.strip()}", err=True)
    with _target_command(connector, to, target) as command:
        job = runner.Job(connector, configs, command, state, catalog, _log_level(verbose))
        outcome = _watched(job)
    _tell(outcome, connector, to, config)
    return outcome.exit_code


def _tell(outcome: Outcome, connector: str, to: Path | None, config: Config) -> None:
    """Print what a run came to: its table, and what the operator should know."""
    from vendortap import run as runner
    from vendortap.drift import Event

    if outcome.report.get("streams"):
        click.echo(_outcome_table(outcome.report))
    if outcome.problem:
        click.echo(f"vendortap: error: {outcome.problem}", err=True)
    elif to and outcome.exit_code != UsageError.exit_code:
        tables = [runner.table_name(connector, stream, to) for stream in outcome.report.get("streams", {})]
        click.echo(f"\nLoaded into {to}: {', '.join(tables)}", err=True)
    for event in outcome.report.get("drift", ()):
        click.echo(f"vendortap: drift: {Event(**event)}", err=True)
    if outcome.missing:
        click.echo(f"vendortap: skipped {outcome.missing:,} that the vendor does not have; see above", err=True)
    if outcome.quarantined:
        click.echo(
            f"vendortap: {outcome.quarantined:,} do not fit and are in quarantine; "
            f"`vendortap quarantine list {config['quarantine_dir']}` shows them",
            err=True,
        )


def _target_command(connector: str, to: Path | None, target: str | None) -> AbstractContextManager[list[str]]:
    from vendortap import extras
    from vendortap import run as runner

    if to is None:
        return nullcontext(runner.target_command(target or ""))
    extras.require("duckdb", "--to", "duckdb")
    return runner.duckdb_command(connector, to)


def _log_level(verbose: bool) -> dict[str, str]:
    """Taps and targets of the SDK log a lot at INFO; shown when it is asked for."""
    return {} if verbose or "LOGLEVEL" in os.environ else {"LOGLEVEL": "WARNING"}


def _watched(job: Job) -> Outcome:
    """Run a job; where standard error is a terminal with progress, and everybody's messages above it."""
    from vendortap import run as runner

    if not sys.stderr.isatty():
        return runner.run(job)
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    with console.status("starting") as status:
        return runner.run(
            job,
            watch=lambda report: status.update(Text(_progress(report))),
            log=lambda line: console.print(Text.from_ansi(line), soft_wrap=True),
        )


def _progress(report: Report) -> str:
    streams = ", ".join(f"{name} {stream['records']:,}" for name, stream in report.get("streams", {}).items())
    return f"{streams or 'starting'} · {report.get('requests', 0):,} requests, {report.get('retries', 0):,} retries"


_FIGURES = {
    "fetched": "fetched",
    "emitted": "records",
    "filtered": "filtered",
    "quarantined": "quarantined",
    "skipped": "skipped",
    "requests": "requests",
    "retries": "retries",
    "seconds": "seconds",
}
"""Heads of the closing table, and where their figures are in a report."""


def _outcome_table(report: Report) -> str:
    return _table(["stream", *_FIGURES], list(_outcome_rows(report)))


def _outcomes_table(reports: Sequence[tuple[str, Report]]) -> str:
    rows = [[name, *row] for name, report in reports for row in _outcome_rows(report)]
    return _table(["connector", "stream", *_FIGURES], rows)


def _outcome_rows(report: Report) -> Iterator[list[str]]:
    for name, stream in report.get("streams", {}).items():
        yield [name, *(_figure(stream[figure]) for figure in _FIGURES.values())]


def _figure(value: float) -> str:
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"


# --- quarantine --------------------------------------------------------------------------------------


@commands.group(
    "quarantine",
    no_args_is_help=True,
    epilog=_examples(
        "vendortap quarantine list /var/lib/vendortap/quarantine",
        "vendortap quarantine replay scansource --config scansource.json --to invoices.duckdb",
    ),
)
def quarantine_commands() -> None:
    """Look at records that did not fit, and decode them again.

    They are kept in the folder that the setting quarantine_dir names.
    """


_FOLDER = click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))


@quarantine_commands.command("list", epilog=_examples("vendortap quarantine list /var/lib/vendortap/quarantine"))
@_FOLDER
def quarantine_list(folder: Path) -> None:
    """List the records in quarantine: never their values, but for their keys."""
    from vendortap import quarantine

    rows = [[str(number), *_entry_row(kept)] for number, kept in enumerate(quarantine.read_all(folder), 1)]
    click.echo(_table(["n", "when", "connector", "stream", "key", "path", "error"], rows))


def _entry_row(kept: Kept) -> list[str]:
    when = kept.time.isoformat(" ", "seconds")
    key = ", ".join(f"{name} {value}" for name, value in kept.key.items())
    return [when, kept.connector, kept.stream, key or "-", kept.path, kept.error]


@quarantine_commands.command(
    "show",
    epilog=_examples(
        "vendortap quarantine show /var/lib/vendortap/quarantine 1",
        "vendortap quarantine show /var/lib/vendortap/quarantine 1 --raw > record.json",
    ),
)
@_FOLDER
@click.argument("number", type=click.IntRange(1))
@click.option("--raw", is_flag=True, help="Print the record itself, as it was received, and nothing else.")
def quarantine_show(folder: Path, number: int, raw: bool) -> None:
    """Show one entry, by its number in the list."""
    from vendortap import quarantine

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
    }
    for name, text in rows.items():
        click.echo(f"{name:<9}  {text}")


@quarantine_commands.command(
    "replay",
    epilog=_examples(
        "vendortap quarantine replay scansource --config scansource.json --to invoices.duckdb",
        'vendortap quarantine replay scansource --config scansource.json --target "target-postgres --config pg.json"',
        "vendortap quarantine replay scansource --config scansource.json > messages.jsonl",
    ),
)
@click.argument("connector")
@_CONFIG
@click.option("--to", type=_Output(), help="Load what is good now into this DuckDB file.")
@click.option("--target", help="Load it into any Singer target: its command line.")
@click.option(
    "--catalog", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Select streams and fields."
)
@click.option("--mark", is_flag=True, help="Be done with what is written to standard output: whoever reads it has it.")
def quarantine_replay(
    connector: str, configs: tuple[str, ...], to: Path | None, target: str | None, catalog: Path | None, mark: bool
) -> int:
    """Decode the records in quarantine again, with today's connector.

    Without --to and --target, Singer messages of what is good now go to standard output, and the entries stay.

    Exit codes: 0 all are good, 1 failed, 2 bad usage or config, 3 some do not fit still.
    """
    from vendortap.errors import CatalogError
    from vendortap.files import read_json
    from vendortap.replay import replay

    if to and target:
        raise click.UsageError('give one of --to FILE.duckdb and --target "COMMAND"')
    loaded = plugins.load(connector)
    config = _config(loaded, configs)
    chosen = read_json(catalog, CatalogError, f"the catalog {catalog}") if catalog else None
    into: AbstractContextManager[list[str] | None] = nullcontext(None)
    if to or target:
        into = _target_command(connector, to, target)
    with into as command:
        done = replay(loaded, config, chosen, command, mark=mark)
    if done.left:
        rows = [[*_entry_row(kept)[:4], problem] for kept, problem in done.left]
        click.echo(_table(["when", "connector", "stream", "key", "still wrong"], rows) + "\n", err=True)
    stay = "" if command or mark else "; its entries stay, as nobody here knows what became of them"
    click.echo(f"vendortap: {len(done.written):,} good now, {len(done.left):,} not{stay}", err=True)
    return 3 if done.left else 0


# --- sandbox, demo -----------------------------------------------------------------------------------


@commands.command(
    epilog=_examples(
        "vendortap sandbox scansource",
        "vendortap sandbox scansource --port 0 --invoices 500 --latency-ms 50 --rate 20",
        "vendortap sandbox scansource --fault 503@2-4/summary --fault reset-in-body:0.05 --fault-seed 7",
    ),
)
@click.argument("connector")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="Port on 127.0.0.1; 0 takes a free one.",
)
@click.option("--invoices", type=click.IntRange(1), default=2000, show_default=True, help="How many invoices it has.")
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same invoices.")
@click.option(
    "--latency-ms", type=click.FloatRange(0), default=0.0, show_default=True, help="How long each answer takes."
)
@click.option(
    "--rate",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="Requests a second before it answers 429; 0 for any.",
)
@click.option(
    "--fault",
    "faults",
    metavar="KIND[@N|:P][/PATH]",
    multiple=True,
    help="Misbehave: at the so many-th requests (@2, @2,5, @2-4, @2-), or with a chance (:0.1), of those whose path "
    "contains /PATH. May be repeated. `--fault help` lists the kinds.",
)
@click.option("--fault-seed", default=0, show_default=True, help="The same seed, the same chances.")
def sandbox(
    connector: str,
    port: int,
    invoices: int,
    seed: int,
    latency_ms: float,
    rate: float,
    faults: tuple[str, ...],
    fault_seed: int,
) -> None:
    """Run a local server that speaks a vendor's protocol, until Ctrl-C."""
    from vendortap import serve

    if "help" in faults:
        click.echo(_fault_table())
        return
    loaded = plugins.load(connector)
    app = serve.application(loaded, invoices=invoices, seed=seed, latency_ms=latency_ms, rate=rate)
    if faults:
        app = _faulty(app, faults, fault_seed)
    with serve.serving(app, port) as served:
        click.echo(f"The sandbox of {loaded.title} listens on {served.url}. Settings that lead to it:\n", err=True)
        click.echo(json.dumps(serve.settings(loaded, served.url), indent=2))
        sys.stdout.flush()
        click.echo("\nCtrl-C ends it.", err=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


def _fault_table() -> str:
    from vendortap.faults import KINDS

    return _table(["kind", "what happens"], [[kind, what] for kind, what in KINDS.items()])


def _faulty(app: Any, texts: Iterable[str], seed: int) -> Any:
    from vendortap.faults import Faulty

    faulty = Faulty(app, seed)
    try:
        faulty.order(*texts)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--fault") from None
    return faulty


@commands.command(
    epilog=_examples(
        "vendortap demo",
        "vendortap demo --connector scansource --connector midnight --to /tmp/demo.duckdb --invoices 200",
    ),
)
@click.option("--connector", "names", multiple=True, help="Only this one; may be repeated. Default: vendortap's own.")
@click.option(
    "--to",
    type=_Output(),
    default=Path("vendortap-demo.duckdb"),
    show_default=True,
    help="The DuckDB file; an earlier demo's is replaced.",
)
@click.option(
    "--invoices", type=click.IntRange(1), default=2000, show_default=True, help="How many invoices each sandbox has."
)
def demo(names: tuple[str, ...], to: Path, invoices: int) -> None:
    """Run the sandboxes into one DuckDB file, twice, and hold the result against them."""
    from vendortap import demo as scenario

    chosen = names or [name for name, plugin in plugins.find().items() if plugin.package == "vendortap"]
    connectors = [plugins.load(name) for name in dict.fromkeys(chosen)]
    scenario.demo(connectors, to, invoices, click.echo, _outcomes_table, _watched)


# --- drafting ----------------------------------------------------------------------------------------


@commands.command(
    epilog=_examples(
        "vendortap infer invoice.json invoice.xml",
        "vendortap infer page1.json page2.json --rows Invoices --key InvoiceNumber --output schemas/invoices.json",
        "vendortap infer new.json --extend schemas/invoices.json --output schemas/invoices.json",
    ),
)
@click.argument("samples", metavar="SAMPLE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--rows",
    metavar="PATH",
    help="Where the records are in a body, such as serviceresponse.invoices; . for the body itself. Default: guess.",
)
@click.option("--key", "keys", metavar="NAME", multiple=True, help="A property that identifies a record. Repeatable.")
@click.option("--title", default="", help="The schema's title.")
@click.option("--strict", is_flag=True, help="Require whatever no sample leaves out. A few samples rarely prove it.")
@click.option("--extend", metavar="SCHEMA", type=click.Path(path_type=Path), help="Widen this schema instead.")
@click.option("--output", type=_Output(), help="Write the schema to this file. Default: standard output.")
def infer(
    samples: tuple[Path, ...],
    rows: str | None,
    keys: tuple[str, ...],
    title: str,
    strict: bool,
    extend: Path | None,
    output: Path | None,
) -> None:
    """Draft a stream's JSON schema from real bodies, or extend one.

    Samples are bodies of the same kind of reply, in JSON, XML or both. What the draft rests on a guess for, and what
    the samples leave open, is said on standard error. The schema is held against the samples before it is written.
    """
    from vendortap.drafting import infer as drafting
    from vendortap.drafting import layout
    from vendortap.files import read_json, write_atomically

    if extend and (keys or title or strict):
        raise click.UsageError(
            "--extend keeps the schema's key, title and order; leave out --key, --title and --strict"
        )
    result = drafting.infer(
        [drafting.read_sample(path) for path in samples],
        rows=None if rows is None else tuple(name for name in rows.split(".") if name),
        keys=keys,
        title=title,
        strict=strict,
        existing=read_json(extend, ConfigError, f"the schema {extend}") if extend else None,
    )
    for line in (*result.notes, *(f"changed: {change}" for change in result.changes)):
        click.echo(f"vendortap: {line}", err=True)
    if extend and not result.changes:
        click.echo("vendortap: nothing to change, the schema takes all of it", err=True)
    if output is None:
        click.echo(layout.dumps(result.schema), nl=False)
    else:
        write_atomically(output, layout.dumps(result.schema).encode())
        output.chmod(0o644)  # a schema is for everybody to read
        click.echo(f"vendortap: written to {output}; declare rows={drafting.rows_text(result.rows)}", err=True)


@commands.command(
    epilog=_examples(
        "vendortap new acme",
        "vendortap new acme ~/src/tap-acme --auth oauth2-client --paging token --format json --license mit",
        "vendortap new acme --from-openapi acme.yaml --match invoice",
        "vendortap new acme --from-sample list.json --from-sample invoice.json --from-sample invoice.xml",
    ),
)
@click.argument("name")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--title", default="", help="The vendor's name, as people write it. Default: made of NAME.")
@click.option(
    "--auth",
    type=click.Choice(["none", "bearer", "api-key", "basic", "oauth2-client"]),
    help="How the vendor is signed in to. Default: bearer, or what the OpenAPI document says.",
)
@click.option(
    "--paging",
    type=click.Choice(["none", "page-number", "offset", "row-offset", "token"]),
    help="How the list is paged. Default: page-number, or what the OpenAPI document says.",
)
@click.option("--format", "form", type=click.Choice(["json", "xml", "both"]), help="Default: both, or what is given.")
@click.option(
    "--license",
    "license_name",
    type=click.Choice(["apache-2.0", "mit", "none"]),
    default="apache-2.0",
    show_default=True,
    help="The project's licence.",
)
@click.option(
    "--from-openapi", "spec", metavar="SPEC", type=click.Path(path_type=Path), help="Draft from this document."
)
@click.option("--match", "matches", metavar="WORD", multiple=True, help="Only what has this word in SPEC. Repeatable.")
@click.option(
    "--from-sample",
    "samples",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Draft from bodies.",
)
def new(name: str, folder: Path | None, license_name: str, **choices: Any) -> None:
    """Make a plugin project: a connector in a distribution of its own, with sandbox and tests.

    What an OpenAPI document or samples do not say is guessed or left out; comments in the declaration say which.
    """
    from vendortap.drafting import new as drafting
    from vendortap.drafting import project

    vendor = drafting.vendor(name, **choices)
    target = folder or Path(f"tap-{name}")
    project.write(vendor, target, license_name)
    for comment in (*vendor.comments, *(f"{s.name}: {comment}" for s in vendor.streams for comment in s.comments)):
        click.echo(f"vendortap: {comment}", err=True)
    streams = ", ".join(stream.name for stream in vendor.streams)
    click.echo(f"{target} has a connector {name} with {streams}, its sandbox and its tests. Next, in that folder:\n")
    for line in ("pip install -e '.[test]'", "pytest", f"vendortap demo --connector {name}"):
        click.echo(f"   {line}")


# --- output ------------------------------------------------------------------------------------------


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align columns with spaces, figures to the right, so that the output also serves programs."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    right = [all(row[i][:1].isdigit() for row in rows) and bool(rows) for i in range(len(head))]
    return "\n".join(
        "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(line, widths, right, strict=True)).rstrip()
        for line in lines
    )


if __name__ == "__main__":
    main()
