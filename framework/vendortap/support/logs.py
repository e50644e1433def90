"""What is said on standard error: lines for people, or, where it is asked for, one JSON object a line for machines.

::

    {"time": "2025-01-31T06:15:00.123+00:00", "level": "warning", "source": "tap", "logger": "tap-scansource",
     "message": "…"}

``source`` is ``tap`` or ``target`` where `vendortap run` passes the line on. A Singer metric line keeps its text as the
message, and has its figures as ``metric`` besides. What another program says as text becomes the ``message`` of an
object.

Whatever is written here is written without secrets, and without characters that act on a terminal or are not seen.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from vendortap.support.encodings import visible
from vendortap.support.redact import shown_document, shown_line, shown_lines, unexpected

ENVIRONMENT = "VENDORTAP_LOG_FORMAT"
"""The environment variable that asks for a form: text or json. Taps and targets of ours go by it as well."""
FORMS = ("text", "json")
_METRIC = "METRIC: "


def as_json() -> bool:
    """Whether JSON is asked for."""
    return os.environ.get(ENVIRONMENT) == "json"


def set_up() -> None:
    """Have all that is logged from now on written in the form that is asked for, fit to be shown."""
    root = logging.getLogger()
    others = [logging.getLogger(name) for name in list(root.manager.loggerDict)]  # the operator may have set some up
    for handler in {handler for logger in (root, *others) for handler in logger.handlers}:
        handler.addFilter(Shown())
    if as_json():
        for handler in root.handlers:
            handler.setFormatter(_Formatter())


class Shown(logging.Filter):
    """Makes whatever anybody logs one line fit to be shown; leaves out of tracebacks everything that may be data."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record, and let it through."""
        record.msg, record.args = shown_line(record.getMessage()), None
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            record.exc_info, record.exc_text = None, unexpected(error)
        return True


def say(text: str, level: str = "info", **more: Any) -> None:
    """Write a message of this program's own; ``more`` is for machines only."""
    text = shown_lines(text)
    _write(_object(_now(), level, text.strip(), shown_document(more)) if as_json() else text)


def _write(line: str) -> None:
    """Write a line to standard error. Where that is broken, nobody listens, which is no reason to fail."""
    with suppress(OSError):
        sys.stderr.write(f"{visible(line)}\n")
        sys.stderr.flush()


def pass_on(source: str, line: str) -> None:
    """Write a line of another program's as JSON: with its source where it is an object, else as a message."""
    try:
        said = json.loads(line)
    except ValueError:
        said = None
    if isinstance(said, dict):
        text = json.dumps({**shown_document(said), "source": source}, ensure_ascii=False)
    else:
        text = _object(_now(), "info", shown_line(line), {"source": source})
    _write(text)


class _Formatter(logging.Formatter):
    """Writes a record as an object."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        more: dict[str, Any] = {"logger": record.name}
        if message.startswith(_METRIC):
            with suppress(ValueError):  # one of somebody else's
                more["metric"] = json.loads(message[len(_METRIC) :])
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            more["error"] = record.exc_text
        moment = datetime.fromtimestamp(record.created, UTC)
        return _object(moment, record.levelname.lower(), message, more)


def _now() -> datetime:
    return datetime.now(UTC)


def _object(time: datetime, level: str, message: str, more: dict[str, Any]) -> str:
    head = {"time": time.isoformat(timespec="milliseconds"), "level": level}
    return json.dumps({**head, **more, "message": message}, ensure_ascii=False, default=str)
