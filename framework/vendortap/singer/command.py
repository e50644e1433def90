"""A tap as a command: arguments in, messages on standard output, errors as a sentence and an exit code."""

from __future__ import annotations

import gc
import logging
import signal
import sys
from collections.abc import Sequence
from io import StringIO
from typing import NoReturn

import click

from vendortap.errors import ExitCode, VendortapError
from vendortap.plugins import host
from vendortap.singer.filters import NotTwice
from vendortap.singer.tap import tap_class
from vendortap.support import logs, parent_watch, streams
from vendortap.support.redact import one_line, unexpected


def run(name: str, arguments: Sequence[str] | None) -> NoReturn:
    """See ``vendortap.singer.run_tap``."""
    gc.freeze()  # what is imported by now stays; and records come by the thousand and hold no cycles
    gc.set_threshold(5_000, 20, 20)  # but lxml's parsers do, one for each large page
    gc.enable()
    code = _run_tap(name, arguments)
    gc.freeze()  # or the interpreter looks for garbage in all there is, before it ends
    sys.exit(code)


def _run_tap(name: str, arguments: Sequence[str] | None) -> int:
    command_name = f"tap-{name}"
    try:
        streams.replace_closed()
        parent_watch.follow()
        command = tap_class(host.load(name)).cli
        logs.set_up()
        for handler in logging.getLogger().handlers:
            handler.addFilter(NotTwice())
        result = command.main(args=arguments, prog_name=command_name, standalone_mode=False)
        return result if isinstance(result, int) else 0
    except VendortapError as error:
        return _fail(command_name, one_line(str(error)), error.exit_code)
    except click.ClickException as error:
        error.show(said := StringIO())
        logs.say(said.getvalue().rstrip(), "error")
        return ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        return 128 + signal.SIGINT
    except OSError as error:
        return _fail(command_name, f"the system refuses a file: {error}", 1)
    except Exception as error:  # noqa: BLE001 - a defect, whose own text may hold data
        return _fail(command_name, unexpected(error), 1)


def _fail(command: str, sentence: str, code: int) -> int:
    logs.say(f"{command}: error: {sentence}", "error")
    return code
