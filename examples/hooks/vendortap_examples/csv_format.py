"""A decoder of ``text/csv`` (RFC 4180): the first line names the fields, every further one is a row."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from email.message import Message
from typing import Any

from vendortap.declare import Decoder, Reply, hookimpl


@hookimpl
def register_decoders() -> Mapping[str, Decoder]:
    """Bring the format."""
    return {"text/csv": rows}


def rows(reply: Reply) -> list[dict[str, Any]]:
    """Return the rows; all values are texts, and null where nothing stands.

    Raises:
        ValueError: not in its character set, or a row has more fields or fewer than the first line.
    """
    head = Message()
    head["content-type"] = reply.headers["content-type"]
    text = reply.body.decode(head.get_content_charset("utf-8")).removeprefix("\ufeff")
    try:
        names, *lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    except csv.Error as error:
        raise ValueError(str(error)) from None
    for number, line in enumerate(lines, 2):
        if line and len(line) != len(names):
            raise ValueError(f"row {number} has {len(line)} fields, the first line {len(names)}")
    return [{name: value or None for name, value in zip(names, line, strict=True)} for line in lines if line]
