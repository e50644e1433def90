"""What a run came to, in a file: as JSON for programs, or as a page that a person reads at a glance.

``following`` goes beside a run and writes the files when it is over, however it ends. The document is described in
``document``; the page shows nothing that is not in it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from vendortap.errors import ExitCode, VendortapError
from vendortap.operate.reporting import page
from vendortap.operate.reporting.document import Recorder
from vendortap.support.files import write_atomically
from vendortap.support.redact import shown_document, unexpected

FORMS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    ".html": page.html,
    ".json": lambda document: json.dumps(document, indent=2) + "\n",
}
"""How a document is written, by the file's suffix."""

INTERRUPTED = "the run was interrupted"


@contextmanager
def following(recorder: Recorder, files: Sequence[Path]) -> Iterator[Recorder]:
    """Write a run's report when the context ends: each file as a whole, also where an exception ends it.

    Raises:
        VendortapError: a file cannot be written; not where there is an exception already.
    """
    try:
        yield recorder
    except BaseException as error:
        recorder.ended(*_ending(error))
        with suppress(VendortapError):
            _write(recorder, files)
        raise
    _write(recorder, files)


def _ending(error: BaseException) -> tuple[int, str]:
    """Return the exit code that an exception leads to, and a sentence."""
    if isinstance(error, VendortapError):
        return error.exit_code, str(error)
    if isinstance(error, SystemExit) and isinstance(error.code, int):
        return error.code, INTERRUPTED
    if isinstance(error, KeyboardInterrupt):
        return 130, INTERRUPTED
    return ExitCode.FAILED, unexpected(error)


def _write(recorder: Recorder, files: Sequence[Path]) -> None:
    document = shown_document(recorder.document(), but=("amount",)) if files else {}
    for file in files:
        try:
            write_atomically(file, FORMS[file.suffix](document).encode())
        except OSError as error:
            raise VendortapError(f"the report {file} cannot be written: {error.strerror}") from None
