"""Filters of the log: what must not be said, or not twice."""

from __future__ import annotations

import logging


class NotTwice(logging.Filter):
    """Drops the SDK's line about an unhandled error: the error itself follows, in a sentence."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the line is another one."""
        return not str(record.msg).startswith("An unhandled error occurred while syncing")


def _is_no_debugging(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG


logging.getLogger("singer_sdk.mapper").addFilter(_is_no_debugging)  # at DEBUG it logs what filters make of records
