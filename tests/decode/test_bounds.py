"""How much a reply may be: in one piece or many, packed or not, and however its brackets are strewn."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vendortap.decode.bounds import PIECE, TooLarge, bounded, gunzip, is_deeper


def cut(data: bytes, places: list[int]) -> Iterator[bytes]:
    """The pieces of a text that is cut at these places."""
    ends = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return (data[a:b] for a, b in pairwise(ends))


# --- size --------------------------------------------------------------------------------------------


@given(pieces=st.lists(st.binary(max_size=5), max_size=8), most=st.integers(0, 20))
def test_a_body_is_whole_or_too_large(pieces: list[bytes], most: int) -> None:
    whole = b"".join(pieces)
    if len(whole) <= most:
        assert bounded(pieces, most) == whole
    else:
        with pytest.raises(TooLarge):
            bounded(pieces, most)


def test_no_more_is_taken_than_one_piece_too_many() -> None:
    endless = iter(lambda: b"x" * 10, b"")
    with pytest.raises(TooLarge):
        bounded(endless, 95)
    taken = []
    with pytest.raises(TooLarge):
        bounded((taken.append(n) or b"x" * 10 for n in range(1000)), 95)  # type: ignore[func-returns-value]
    assert len(taken) == 10


# --- gzip --------------------------------------------------------------------------------------------


@given(
    members=st.lists(st.binary(max_size=300), min_size=1, max_size=4),
    places=st.lists(st.integers(0, 2000), max_size=6),
    padding=st.integers(0, 3),
)
def test_what_is_packed_comes_back_however_it_is_cut(members: list[bytes], places: list[int], padding: int) -> None:
    packed = b"".join(map(gzip.compress, members)) + b"\0" * padding
    assert b"".join(gunzip(cut(packed, places))) == b"".join(members)


@given(text=st.binary(min_size=1, max_size=300), at=st.integers(1, 10_000), places=st.lists(st.integers(0, 2000)))
def test_what_breaks_off_is_noticed_wherever_it_does(text: bytes, at: int, places: list[int]) -> None:
    packed = gzip.compress(text)
    with pytest.raises(EOFError):
        list(gunzip(cut(packed[: at % len(packed) or 1], places)))


@given(text=st.binary(min_size=1, max_size=300), at=st.integers(0, 10_000))
def test_what_is_damaged_is_noticed_or_harmless(text: bytes, at: int) -> None:
    packed = bytearray(gzip.compress(text))
    packed[at % len(packed)] ^= 0xFF
    try:
        found = b"".join(gunzip([bytes(packed)]))
    except (zlib.error, EOFError):
        return
    assert found == text  # the header's time and system


def test_nothing_is_nothing() -> None:
    assert list(gunzip([])) == list(gunzip([b""])) == []


def test_a_bomb_is_unpacked_piece_by_piece() -> None:
    bomb = gzip.compress(b"\0" * 20_000_000)
    pieces = gunzip([bomb])
    assert len(next(pieces)) == PIECE
    with pytest.raises(TooLarge):
        bounded(gunzip([bomb]), 5_000_000)
    assert sum(map(len, gunzip([bomb]))) == 20_000_000


# --- nesting -----------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('ab[]{}"\\ß\n', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('x[]{}"\\', max_size=4), inner, max_size=3),
    max_leaves=20,
)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@given(value=JSON)
def test_no_document_is_taken_for_deeper_than_it_is(value: Any) -> None:
    assert not is_deeper(json.dumps(value).encode(), depth(value))


@given(value=st.recursive(st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text("xy"), inner)))
def test_a_document_without_brackets_in_its_texts_is_as_deep_as_it_is(value: Any) -> None:
    body = json.dumps(value, indent=1).encode()
    found = depth(value)
    assert [is_deeper(body, most) for most in range(found + 2)] == [most < found for most in range(found + 2)]


def test_what_is_no_json_is_left_to_the_decoder() -> None:
    assert not is_deeper(b"[" * 100_000, 64)
    assert not is_deeper(b"]" * 100, 64)
    assert not is_deeper(b'["' * 100, 64)
    assert is_deeper(b"[" * 100 + b"]" * 100, 64)


@given(hills=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=30), most=st.integers(1, 250))
def test_brackets_are_as_deep_as_they_are_however_they_go_up_and_down(hills: list[tuple[int, int]], most: int) -> None:
    """Also where there are so many levels that they are walked over; the last hill goes down to the ground."""
    level = deepest = 0
    text = "["
    for up, down in hills:
        deepest = max(deepest, level := level + up)
        text += "[" * up + "]" * min(level, down) + ","
        level -= min(level, down)
    body = (text + "]" * level + "]").encode()
    assert is_deeper(body, most) == (1 + deepest > most)
    assert is_deeper(body.replace(b",", b',"[\\"]]",'), most) == (1 + deepest > most), "those in strings do not count"


def test_the_depth_of_brackets_does_not_multiply_the_time() -> None:
    """Each level was a pass over all of them: 64 MB of combs, 240 levels high, took 43 seconds."""

    def seconds(levels: int) -> float:
        comb = b"[" * levels + b"]" * levels + b","
        body = b"[" + comb * (2_000_000 // len(comb)) + b"[]]"
        began = time.process_time()
        assert not is_deeper(body, 250)
        return time.process_time() - began

    assert min(seconds(240) for _ in range(3)) < 25 * min(seconds(2) for _ in range(3)), "it was 80 times as much"
