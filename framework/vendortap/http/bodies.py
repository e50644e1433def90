"""An answer's body, read to its end and decompressed, as far as it may go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from vendortap.decode.bounds import MEMBERS, PIECE, TooLarge, TooManyMembers, bounded, gunzip, limited
from vendortap.errors import BodyError

_CHUNKED_PIECE = 1 << 16
"""Bytes that are read at a time of what comes in chunks, so that what these cost is noticed early."""

FRAMING_BYTES = 1_000_000
"""Bytes that an answer may have around its body: heads, sizes of chunks and what stands beside them, trailers."""
FRAMING_SHARE = 8
"""Beside these, one byte for so many of the body: tiny chunks cost as much as large ones."""


class FramingError(Exception):
    """An answer has more around its body than it may have."""


class WrongLengthError(HTTPError):
    """A length in an answer is not a number of bytes."""


def read_body(answer: BaseHTTPResponse, headers: Mapping[str, str], max_body: int, label: str) -> bytes:
    """Read an answer to its end, as far as it may go: ``max_body`` bytes, as they come and decompressed.

    Raises:
        BodyError: it is larger, has a content encoding that was not asked for, or too many gzip members.
        FramingError: there is too much around it.
    """
    # In large pieces: requests' own of 10 kB cost a quarter of a request's time.
    pieces = limited(_pieces(answer), max_body)
    encoding = headers.get("content-encoding", "").strip().lower()
    declared = headers.get("content-length", "")
    try:
        if _is_longer(declared, max_body):
            raise TooLarge
        return bounded(_decoded(pieces, encoding, label), max_body)
    except TooLarge:
        raise BodyError(
            f"{label} answered with more than {max_body / 1e6:g} MB (max_body_mb), which was not read on. "
            "Ask for fewer records at a time, where a setting says how many, or raise max_body_mb if that is right."
        ) from None
    except TooManyMembers:
        raise BodyError(
            f"{label} answered with more than {MEMBERS:,} gzip members, which no answer needs, and which was not read "
            "on. Something other than the vendor's API may be answering: check base_url and proxies, or report it to "
            "the vendor."
        ) from None


def _allow(answer: BaseHTTPResponse, size: int) -> None:
    """Let so many bytes of a body come, and what may be around them. Reads nothing.

    An answer that has been read to its end has given its connection back.
    """
    if (until := getattr(answer.connection, "until", None)) is not None:
        until.left += size + size // FRAMING_SHARE


def _pieces(answer: BaseHTTPResponse) -> Iterator[bytes]:
    size = _CHUNKED_PIECE if getattr(answer, "chunked", False) else PIECE
    _allow(answer, size)
    while not answer.closed:  # which it is as soon as all of the length that was declared has been read
        try:
            piece = answer.read(size, decode_content=False)
        except ValueError:  # http.client takes a chunk of -5 bytes for one, and then cannot read it
            raise WrongLengthError from None
        _allow(answer, len(piece))
        yield piece


def _is_longer(declared: str, most: int) -> bool:
    """Whether a ``Content-Length`` is more; digit by digit, as Python makes no numbers of thousands of them."""
    digits, limit = declared.lstrip("0"), str(most)
    return declared.isascii() and declared.isdecimal() and (len(digits), digits) > (len(limit), limit)


def _decoded(pieces: Iterator[bytes], encoding: str, label: str) -> Iterator[bytes]:
    """Undo ``Content-Encoding`` strictly: unlike urllib3, notice a gzip stream that broke off."""
    if encoding in ("", "identity"):
        return pieces
    if encoding in ("gzip", "x-gzip"):
        return gunzip(pieces)
    raise BodyError(f"{label} answered in a content encoding other than gzip, which was not asked for.")
