"""Lines → Singer messages, with exact numbers and the number of the line."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import IO, Any

import msgspec
from singer_sdk.io_base import GenericSingerReader

from vendortap.duckdb.values import nonfinite
from vendortap.errors import LoadError, UsageError
from vendortap.support import streams

MESSAGE_TYPES = ("SCHEMA", "RECORD", "STATE", "BATCH", "ACTIVATE_VERSION")

LINE_BYTES = 1 << 28
"""The longest line, in bytes: several times what the largest record comes to that a reply of `max_body_mb` can hold."""
_BUFFER_SIZE = 1 << 16
"""Bytes to read at a time: what a pipe holds on Linux. Python's own 8 kB are less than two invoices."""

_decoder = msgspec.json.Decoder(float_hook=Decimal)


class LineReader(GenericSingerReader[Any]):
    """Reads messages, numbers as Decimal, and knows the line it is at; unlike the SDK's it shows none of it."""

    def __init__(self) -> None:
        super().__init__()
        self.line = 0
        self.inside = ""
        self.take: Callable[[bytes], bool] = lambda _: False
        """Takes a line whole and says so, or leaves it to be decoded here."""

    @property
    def default_input(self) -> IO[Any]:
        """Standard input, as bytes: messages are UTF-8 whatever the locale is. Raises UsageError where it is closed."""
        if streams.is_replaced("stdin"):
            raise UsageError("standard input is closed; pipe a tap into this, or name a file with --input")
        return open(sys.stdin.fileno(), "rb", buffering=_BUFFER_SIZE, closefd=False)

    def complaint(self, text: str) -> LoadError:
        """Make the error for the message that is being processed."""
        return LoadError(f"line {self.line}{self.inside}: {text}")

    def process_lines(
        self, file_input: IO[Any] | None, callbacks: Mapping[Any, Callable[[dict[str, Any]], None]]
    ) -> Counter[str]:
        """Hand each message to the callback of its type; raises LoadError for the first bad one."""
        stats: Counter[str] = Counter()
        records = 0
        for line, text in enumerate(self.lines(file_input or self.default_input), start=1):
            self.line = line
            if self.take(text):
                records += 1
                continue
            if not text.strip():
                continue
            message = self.deserialize_json(text)
            kind = message.get("type")
            if kind not in MESSAGE_TYPES:
                raise self.complaint(f"not a Singer message: its type is none of {', '.join(MESSAGE_TYPES)}")
            callbacks[kind](message)
            stats[kind] += 1
        stats["RECORD"] += records
        return stats

    def lines(self, file: IO[Any], where: str = "") -> Iterator[Any]:
        """Yield the lines of a file, with their ends; raises LoadError where one is longer than memory should hold."""
        while text := file.readline(LINE_BYTES + 1):
            if len(text) > LINE_BYTES:
                raise self.complaint(f"{where}the line behind this one is longer than {LINE_BYTES:,} bytes")
            yield text

    def deserialize_json(self, line: Any) -> dict[str, Any]:
        """Decode a JSON object; raises LoadError."""
        try:
            message = _decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidOperation):
            raise self.complaint(_why_not_json(line)) from None
        if type(message) is not dict:
            raise self.complaint("a JSON object was expected")
        return message


def _why_not_json(line: Any) -> str:
    """Say what is wrong with a line that is not JSON, without showing it."""
    try:
        # Python's decoder takes the NaN and Infinity that some writers emit, so that the field can be named.
        message = json.loads(line, parse_float=Decimal, parse_constant=Decimal)
    except InvalidOperation:
        return "a number in it has an exponent beyond all reason"
    except (ValueError, RecursionError):
        message = None
    bad = nonfinite(message.get("record", message)) if isinstance(message, dict) else None
    if bad is not None:
        return f"stream {message.get('stream')!r}: {bad}; JSON has no such number (RFC 8259, 6)"
    if line[-1:] not in ("\n", b"\n"):
        return "the input ends in the middle of this message: the tap did not finish"
    return "not JSON (RFC 8259, in UTF-8)"
