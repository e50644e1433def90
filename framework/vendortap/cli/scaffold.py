"""Commands for authors of connectors: new draws up a plugin project, infer a schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vendortap.cli.options import Output, examples
from vendortap.errors import ConfigError


@click.command(
    epilog=examples(
        "vendortap infer invoice.json invoice.xml",
        "vendortap infer page1.json page2.json --rows Invoices --key InvoiceNumber --output schemas/invoices.json",
        "vendortap infer new.json --extend schemas/invoices.json --output schemas/invoices.json",
    )
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
@click.option("--output", type=Output(), help="Write the schema to this file. Default: standard output.")
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
    from vendortap.scaffold import infer as drafting
    from vendortap.scaffold import layout
    from vendortap.scaffold.source import printable
    from vendortap.support.files import read_json, write_atomically

    if extend and any((keys, title, strict)):
        raise click.UsageError(
            "--extend keeps the schema's key, title and order; leave out --key, --title and --strict"
        )
    result = drafting.infer(
        list(map(drafting.read_sample, samples)),
        rows=None if rows is None else tuple(filter(None, rows.split("."))),
        keys=keys,
        title=title,
        strict=strict,
        existing=read_json(extend, ConfigError, f"the schema {extend}") if extend else None,
    )
    for line in (*result.notes, *map("changed: {}".format, result.changes)):
        click.echo(f"vendortap: {printable(line)}", err=True)
    if extend and not result.changes:
        click.echo("vendortap: nothing to change, the schema takes all of it", err=True)
    if output is None:
        click.echo(layout.dumps(result.schema), nl=False)
    else:
        write_atomically(output, layout.dumps(result.schema).encode(), mode=0o644)  # for everybody to read
        click.echo(
            f"vendortap: written to {output}; declare record_selector={drafting.rows_text(result.rows)}", err=True
        )


@click.command(
    epilog=examples(
        "vendortap new acme",
        "vendortap new acme ~/src/tap-acme --auth oauth2-client --paging token --format json --license mit",
        "vendortap new acme --from-openapi acme.yaml --match invoice",
        "vendortap new acme --from-sample list.json --from-sample invoice.json --from-sample invoice.xml",
    )
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
    from vendortap.scaffold import new as drafting
    from vendortap.scaffold import project
    from vendortap.scaffold.source import printable

    vendor = drafting.vendor(name, **choices)
    target = folder or Path(f"tap-{name}")
    project.write(vendor, target, license_name)
    for comment in (*vendor.comments, *(f"{s.name}: {comment}" for s in vendor.streams for comment in s.comments)):
        click.echo(f"vendortap: {printable(comment)}", err=True)
    streams = ", ".join(stream.name for stream in vendor.streams)
    click.echo(f"{target} has a connector {name} with {streams}, its sandbox and its tests. Next, in that folder:\n")
    for line in ("pip install -e '.[test]'", "pytest", f"vendortap demo --connector {name}"):
        click.echo(f"   {line}")
