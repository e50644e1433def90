"""How much a reply may be: bytes as they come, bytes as they are decompressed, levels of nesting.

A vendor, or whoever answers in its place, can send more than memory holds, in few bytes; so nothing is decompressed
beyond its bound, and nothing read whose nesting is beyond what decoders, which recurse, can be given.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator

PIECE = 1 << 20
"""Bytes that are read, or decompressed, at a time."""
MEMBERS = 1000
"""So many members a gzip file may have: an empty one takes 20 bytes, and as much work as one of a few kB."""
_SLICE = 1 << 16
"""Bytes that are given to the decompressor at a time: what is behind a member is copied at its end."""
_GZIP = 16 + zlib.MAX_WBITS


class TooLarge(ValueError):
    """A body is larger than it may be."""


class TooManyMembers(ValueError):
    """A gzip file is cut into more members than there is any use for."""


def limited(pieces: Iterable[bytes], most: int) -> Iterator[bytes]:
    """Hand on the pieces of a body that are not empty.

    Raises:
        TooLarge: there are more than ``most`` bytes; no more than one piece too many is taken.
    """
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > most:
            raise TooLarge
        if piece:
            yield piece


def bounded(pieces: Iterable[bytes], most: int) -> bytes:
    """Join the pieces of a body; raises as ``limited``."""
    taken = list(limited(pieces, most))
    return taken[0] if len(taken) == 1 else b"".join(taken)


def gunzip(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Decompress a gzip file as it comes, ``PIECE`` bytes at a time at the most (RFC 1952).

    Unlike zlib alone, this notices a file that breaks off. Members may follow one another; zeros behind the last
    one are padding.

    Raises:
        TooManyMembers: there are more than ``MEMBERS``.
        zlib.error: it is no gzip file, or damaged.
        EOFError: it breaks off.
    """
    member, members, begun = zlib.decompressobj(_GZIP), 1, False
    for rest in _slices(pieces):
        while rest:
            if member.eof:
                if not (rest := rest.lstrip(b"\0")):
                    break
                if (members := members + 1) > MEMBERS:
                    raise TooManyMembers
                member = zlib.decompressobj(_GZIP)
            begun = True
            yield member.decompress(rest, PIECE)
            rest = member.unconsumed_tail or member.unused_data
    while begun and not member.eof:
        if not (last := member.decompress(b"", PIECE)):
            raise EOFError
        yield last


def _slices(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield from (piece[start : start + _SLICE] for start in range(0, len(piece), _SLICE))


# --- nesting -----------------------------------------------------------------------------------------

_BRACKETS = bytes.maketrans(b"[{]}", b"(())")
_OTHERS = bytes(set(range(256)) - set(b"[]{}"))
_HILL = re.compile(rb"(\(+)\)*")
_PASSES = 8
"""So many times the work of one pass over all brackets is spent on taking them out."""
_OTHERS_AND_QUOTES = bytes(set(_OTHERS) - {ord('"')})


def is_deeper(body: bytes, most: int) -> bool:
    """Tell whether JSON is nested more than ``most`` levels deep.

    For what vendors send, that is about a tenth of what it costs to decode it; it is linear in whatever they send. What
    is not JSON, or pretends by brackets in its strings to be less deep than it is, is left to the decoder.
    """
    levels = _levels(body.translate(_BRACKETS, _OTHERS), most)
    if levels is not None and levels <= most:
        return False
    bare = body.replace(rb"\\", b"").replace(rb"\"", b"")
    outside = b"".join(bare.translate(_BRACKETS, _OTHERS_AND_QUOTES).split(b'"')[::2])
    levels = _levels(outside, most)
    return levels is not None and levels > most


def _levels(brackets: bytes, most: int) -> int | None:
    """Return how deeply brackets are nested, ``most + 1`` for more than ``most``; ``None`` where they do not match.

    Pairs with nothing in them are taken out again and again, which is soon done with what vendors send. Where it is
    not, what is left is walked over, so that the time is linear whatever the depth.
    """
    work = _PASSES * len(brackets)
    for level in range(most + 1):
        if not brackets:
            return level
        inner = len(brackets)
        if (work := work - inner) < 0:
            rest = _walked(brackets)
            return None if rest is None else min(level + rest, most + 1)
        brackets = brackets.replace(b"()", b"")
        if len(brackets) == inner:
            return None
    return most + 1


def _walked(brackets: bytes) -> int | None:
    """Return how deeply brackets are nested, ``None`` where they do not match, by going up and down each hill.

    There are few hills where pairs have been taken out before: with each pass, all of that size have gone.
    """
    level = deepest = 0
    if brackets.startswith(b")"):
        return None
    for hill in _HILL.finditer(brackets):
        begin, top, end = hill.start(), hill.end(1), hill.end()
        deepest = max(deepest, level + top - begin)
        level += 2 * top - begin - end
        if level < 0:
            return None
    return None if level else deepest
