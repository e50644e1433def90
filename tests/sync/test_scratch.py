"""Numbers on disk: what is said of them is what would be said of a list, however many there are."""

from __future__ import annotations

import errno
import tracemalloc
from collections.abc import Iterable, Sequence
from contextlib import closing
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vendortap.errors import VendortapError
from vendortap.sync import scratch
from vendortap.sync.scratch import Numbers

MANY = 400_000


@pytest.fixture(autouse=True, scope="module")
def small_blocks() -> Iterable[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(scratch, "_BLOCK", 4)
        patched.setattr(scratch, "_LITTLE", 2)
        yield


def numbers(values: Sequence[int], at_once: int = 3) -> Numbers:
    made = Numbers()
    for begin in range(0, len(values), at_once):
        made.extend(values[begin : begin + at_once])
    return made


LISTS = st.lists(st.integers(-3, 12) | st.sampled_from((-(2**63), 2**63 - 1)), max_size=30)


@given(LISTS)
def test_each_number_that_comes_again_is_told_as_often(values: list[int]) -> None:
    ordered = sorted(values)
    again = [one for one, other in pairwise(ordered) if one == other]
    with closing(numbers(values)) as made:
        assert list(made.repeated()) == again


@given(LISTS, LISTS, LISTS)
def test_others_are_found_where_they_are_in_order_and_together(
    before: list[int], others: list[int], behind: list[int]
) -> None:
    before = [number for number in before if number not in others]
    assert have([*before, *others, *behind], others)
    if others:
        assert not have([*before, *others[:-1]], [*others, 99])
        assert not have([others[0], 99, *others[1:]], [*others, 98])


def have(values: Sequence[int], others: Sequence[int]) -> bool:
    with closing(numbers(values)) as made, closing(numbers(others, 7)) as wanted:
        return made.have(wanted)


@pytest.mark.promise("Memory does not depend on how many rows a list has", figure=f"{MANY:,} rows")
def test_memory_is_flat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "_BLOCK", 1 << 12)
    monkeypatch.setattr(scratch, "_LITTLE", 1 << 8)
    tracemalloc.start()
    try:
        with closing(numbers(range(MANY), 1000)) as made, closing(numbers(range(MANY), 1000)) as other:
            made.extend([7])
            assert list(made.repeated()) == [7]
            assert made.have(other)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3_000_000  # eight bytes each would be more


@pytest.mark.promise("A full disk is said in a sentence, and what was there stays whole")
def test_no_room_for_what_has_been_listed_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, _: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(scratch, "_file", Full)
    with pytest.raises(VendortapError, match=r"temporary files \(No space left on device\); make room there"):
        Numbers().extend([1])
