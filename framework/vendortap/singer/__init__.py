"""The only package that knows Singer: a Connector becomes a singer-sdk Tap.

``command`` runs a tap, ``discovery`` asks one before it runs. ``tap`` and ``stream`` are what singer-sdk knows of a
connector. ``catalogs`` checks what it is given, ``serialisation`` makes records and schemas Singer's, ``writer`` writes
messages, ``encoding`` has the JSON of both, and ``filters`` keeps data and secrets out of the log.

Every RECORD and BATCH goes through one way: selection (inside arrays too), amounts and dates as Singer has them,
stream maps and flattening, then the writer. The state's shape is that of vendortap.sync.state.

singer-sdk's underscore methods that are overridden or called here are held by tests/singer/test_sdk_contract.py.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import NoReturn

__all__ = ["run_tap"]


def run_tap(name: str, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the tap of an installed connector as a command, and end the process.

    Exit codes: 0 done, 1 failed, 2 bad usage or config, 128 + n ended by signal n.
    """
    gc.disable()  # until all is imported, nothing of which is garbage: about a tenth of the time of a start
    import singer_sdk  # noqa: F401 - here: some imports further down CPython 3.11 maps and unmaps frames 3,000 times

    from vendortap.singer import command

    command.run(name, arguments)
