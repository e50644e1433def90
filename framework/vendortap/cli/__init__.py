"""The ``vendortap`` command: arguments into calls, errors into exit codes, progress on standard error.

One module for each group of commands; this one puts them together. Imports of what is slow stand where they are
used: ``vendortap list`` has to be quick.

Exit codes: 0 all done, 1 failed, 2 bad usage or config, 3 done but records are missing, in quarantine or share a key.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from io import StringIO
from typing import Any, NoReturn

import click

from vendortap.cli import connectors, installation, open_items, quarantine, running, sandboxes, scaffold, states
from vendortap.errors import ExitCode, VendortapError
from vendortap.support import logs, signals, streams
from vendortap.support.redact import one_line, unexpected


def main() -> NoReturn:
    """Run the command and end the process."""
    for name in ("SIGTERM", "SIGHUP"):  # the latter where there is one, and nohup does not ignore it
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _terminated)
    sys.exit(_main(sys.argv[1:]))


def _terminated(signum: int, _frame: Any) -> NoReturn:
    signals.end(signum)


def _main(arguments: Sequence[str]) -> int:
    try:
        streams.replace_closed()
        result = commands.main(args=list(arguments), prog_name="vendortap", standalone_mode=False)
    except VendortapError as error:
        logs.say(f"vendortap: error: {one_line(str(error))}", "error")
        return error.exit_code
    except click.ClickException as error:
        if logs.as_json():
            logs.say(f"vendortap: error: {error.format_message()}", "error")
        else:
            error.show(said := StringIO())
            logs.say(said.getvalue().rstrip(), "error")
        return ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        logs.say("vendortap: interrupted", "error")
        return 128 + signal.SIGINT
    except OSError as error:
        logs.say(f"vendortap: error: {one_line(str(error))}", "error")
        return ExitCode.FAILED
    except Exception as error:  # noqa: BLE001 - a defect, whose own text may hold data
        logs.say(f"vendortap: error: {unexpected(error)}", "error")
        return ExitCode.FAILED
    return result if isinstance(result, int) else 0


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


for _command in (
    connectors.list_command,
    connectors.describe,
    connectors.catalog,
    connectors.meltano,
    connectors.check,
    connectors.record,
    running.run,
    open_items.open_commands,
    quarantine.quarantine_commands,
    states.state_commands,
    sandboxes.sandbox,
    sandboxes.demo,
    scaffold.infer,
    scaffold.new,
    installation.doctor,
    installation.completion,
):
    commands.add_command(_command)
