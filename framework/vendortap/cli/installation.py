"""Commands about the installation itself: doctor, and completion for shells."""

from __future__ import annotations

import json

import click
from click.shell_completion import get_completion_class

from vendortap.cli.options import examples
from vendortap.cli.tables import table
from vendortap.errors import ExitCode
from vendortap.support.redact import shown_lines


@click.command(epilog=examples("vendortap doctor", "vendortap doctor --json"))
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def doctor(as_json: bool) -> int:
    """Say what is installed, what is broken, and how to mend it.

    Looks at Python, packages, extras, plugins and what they need of the system; sends nothing, reads no settings.

    Exit codes: 0 nothing is broken, 1 something is.
    """
    from dataclasses import asdict

    from vendortap.operate.doctor import examine

    found = examine()
    is_broken = any(finding.state == "broken" for finding in found)
    if as_json:
        click.echo(json.dumps({"healthy": not is_broken, "findings": list(map(asdict, found))}, indent=2))
    else:
        rows = [[f.state, f.area, f.name, "see below" if f.state == "broken" else f.detail] for f in found]
        click.echo(table(["state", "area", "name", "detail"], rows))
        for one in found:
            if one.remedy:
                click.echo(shown_lines(f"\n{one.area} {one.name}: {one.detail}\n  → {one.remedy}"))
    return ExitCode.FAILED if is_broken else ExitCode.DONE


@click.command(
    epilog=examples(
        "vendortap completion bash >> ~/.bashrc",
        "vendortap completion zsh >> ~/.zshrc",
        "vendortap completion fish > ~/.config/fish/completions/vendortap.fish",
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes a shell complete commands, options and connectors.

    Put it where the shell reads it at its start, as the examples do; new shells have it.
    """
    source = get_completion_class(shell)
    root = click.get_current_context().find_root()
    assert source is not None  # noqa: S101 - click has one for each choice
    click.echo(source(root.command, {}, "vendortap", "_VENDORTAP_COMPLETE").source())
