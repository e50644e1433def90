"""Messages on standard output."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from singer_sdk.singerlib import RecordMessage
from singer_sdk.singerlib.encoding import GenericSingerWriter

from vendortap.declare.model import Record
from vendortap.singer.encoding import ENCODER, STRINGS_ENCODER
from vendortap.support import signals


class MessageWriter(GenericSingerWriter[bytes, Any]):
    """Writes messages as one line of JSON each, decimals digit for digit; RECORDs are buffered, others flush.

    A signal that ends the tap must not cut a line in two: the target could not read the STATE behind it.
    """

    def __init__(self) -> None:
        self._writing = False
        self._signal: int | None = None

    def serialize_message(self, message: Any) -> bytes:
        """Return the line of a message."""
        return ENCODER.encode(message.to_dict()) + b"\n"

    def serialize_records(
        self, stream: str, records: Iterable[Record], version: int | None, received: datetime, *, strings: bool = False
    ) -> bytearray:
        """Return the lines of RECORD messages that differ in nothing but their record, and cost no message each.

        With ``strings``, decimals that are still numbers become text.
        """
        empty = RecordMessage(stream, {}, version=version, time_extracted=received)
        head, _, tail = self.serialize_message(empty).partition(b'"record":{}')
        head += b'"record":'
        encode_into = (STRINGS_ENCODER if strings else ENCODER).encode_into
        lines = bytearray()
        for record in records:
            lines += head
            encode_into(record, lines, len(lines))
            lines += tail
        return lines

    def write_message(self, message: Any) -> None:
        """Write a message to standard output."""
        self.write_lines(self.serialize_message(message), flush=not isinstance(message, RecordMessage))

    def write_lines(self, lines: bytes | bytearray, *, flush: bool = False) -> None:
        """Write whole lines to standard output."""
        rest = memoryview(lines)
        self._writing = True
        while rest:  # where PYTHONUNBUFFERED is set, a signal may end a write half-way
            rest = rest[sys.stdout.buffer.write(rest) :]
        if flush:
            sys.stdout.flush()
        self._writing = False
        if self._signal is not None:
            number, self._signal = self._signal, None
            signals.end(number)

    def end(self, number: int) -> None:
        """End the program at a signal: after the line that is being written, or at once when asked a second time."""
        if self._writing and self._signal is None:
            self._signal = number
        else:
            signals.end(number)
