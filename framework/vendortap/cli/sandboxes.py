"""Commands that need no account: sandbox, and the demo, which runs all of them into a database."""

from __future__ import annotations

import json
import math
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from vendortap.cli.options import CONNECTOR, Output, examples
from vendortap.cli.running import watched
from vendortap.cli.tables import outcomes_table, table
from vendortap.plugins import host


class _Amount(click.FloatRange):
    """A number from 0 on; NaN is neither below nor above any other, and passes for one with click."""

    def __init__(self) -> None:
        super().__init__(0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


PORT = 8080
"""Where sandboxes listen, unless another port is asked for."""


@click.command(
    epilog=examples(
        "vendortap sandbox scansource",
        "vendortap sandbox scansource --port 0 --invoices 500 --latency-ms 50 --rate 20",
        "vendortap sandbox scansource --fault 503@2-4/summary --fault reset-in-body:0.05 --fault-seed 7",
    )
)
@CONNECTOR
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="Port on 127.0.0.1; 0 takes a free one.",
)
@click.option("--invoices", type=click.IntRange(1), default=2000, show_default=True, help="How many invoices it has.")
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same invoices.")
@click.option("--latency-ms", type=_Amount(), default=0.0, show_default=True, help="How long each answer takes.")
@click.option(
    "--rate", type=_Amount(), default=0.0, show_default=True, help="Requests a second before it answers 429; 0 for any."
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
    from vendortap.sandbox import serve

    if "help" in faults:
        click.echo(_fault_table())
        return
    loaded = host.load(connector)
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
    from vendortap.sandbox.faults import KINDS

    return table(["kind", "what happens"], [[kind, what] for kind, what in KINDS.items()])


def _faulty(app: Any, texts: Iterable[str], seed: int) -> Any:
    from vendortap.sandbox.faults import Faulty

    faulty = Faulty(app, seed)
    try:
        faulty.order(*texts)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--fault") from None
    return faulty


@click.command(
    epilog=examples(
        "vendortap demo",
        "vendortap demo --connector scansource --connector midnight --to /tmp/demo.duckdb --invoices 200",
    )
)
@click.option("--connector", "names", multiple=True, help="Only this one; may be repeated. Default: vendortap's own.")
@click.option(
    "--to",
    type=Output(),
    default=Path("vendortap-demo.duckdb"),
    show_default=True,
    help="The DuckDB file; an earlier demo's is replaced.",
)
@click.option(
    "--invoices", type=click.IntRange(1), default=2000, show_default=True, help="How many invoices each sandbox has."
)
def demo(names: tuple[str, ...], to: Path, invoices: int) -> None:
    """Run the sandboxes into one DuckDB file, twice, and hold the result against them."""
    from vendortap.operate import demo as scenario

    chosen = names or [name for name, plugin in host.find().items() if plugin.package == "vendortap"]
    connectors = [host.load(name) for name in dict.fromkeys(chosen)]
    scenario.demo(connectors, to, invoices, click.echo, outcomes_table, watched)
