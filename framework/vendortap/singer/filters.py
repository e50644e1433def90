"""Filters of the log: what must not be said, or not twice."""

from __future__ import annotations

import logging

from vendortap.support.redact import Redactor, unexpected


class NotTwice(logging.Filter):
    """Drops the SDK's line about an unhandled error: the error itself follows, in a sentence."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the line is another one."""
        return not str(record.msg).startswith("An unhandled error occurred while syncing")


class Blanked(logging.Filter):
    """Blanks secrets out of whatever anybody logs, and out of tracebacks everything that may be data."""

    def __init__(self, redact: Redactor) -> None:
        super().__init__()
        self._redact = redact

    def filter(self, record: logging.LogRecord) -> bool:
        """Blank the line out, and let it through."""
        record.msg, record.args = self._redact.blank(record.getMessage()), None
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            record.exc_info, record.exc_text = None, unexpected(error)
        return True


def _is_no_debugging(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG


logging.getLogger("singer_sdk.mapper").addFilter(_is_no_debugging)  # at DEBUG it logs what filters make of records
