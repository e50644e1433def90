"""The token bucket, against a clock that is moved by hand."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vendortap.http.rate_limit import TokenBucket


class Clock:
    """Nanoseconds that are moved by hand."""

    def __init__(self) -> None:
        self.now = 5_000_000_000

    def __call__(self) -> int:
        return self.now


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    clock = Clock()
    bucket = TokenBucket(10, 3, clock, slack=0)
    assert [bucket.take() for _ in range(4)] == [0, 0, 0, 100_000_000]
    clock.now += 99_999_999
    assert bucket.take() == 1
    clock.now += 1
    assert [bucket.take(), bucket.take()] == [0, 100_000_000]
    clock.now += 10**12
    assert [bucket.take() for _ in range(4)] == [0, 0, 0, 100_000_000], "no more than the burst is saved up"


def test_what_follows_a_burst_comes_later_by_the_slack_and_no_slower() -> None:
    """The vendor's bucket begins with the arrival of the first request, which comes late."""
    clock = Clock()
    bucket = TokenBucket(10, 3, clock, slack=30_000_000)
    assert [bucket.take() for _ in range(3)] == [0, 0, 30_000_000]
    clock.now += 30_000_000
    for _ in range(5):
        assert [bucket.take(), bucket.take()] == [0, 100_000_000]
        clock.now += 100_000_000


def test_slack_takes_nothing_from_a_bucket_without_burst() -> None:
    clock = Clock()
    bucket = TokenBucket(10, 1, clock)
    for _ in range(5):
        assert [bucket.take(), bucket.take()] == [0, 100_000_000]
        clock.now += 100_000_000


def test_a_bucket_without_rate_lets_everything_through() -> None:
    clock = Clock()
    bucket = TokenBucket(None, clock=clock)
    assert [bucket.take() for _ in range(1000)] == [0] * 1000
    bucket.pause(2)
    assert bucket.take() == 2_000_000_000
    clock.now += 2_000_000_000
    assert bucket.take() == 0


def test_after_a_pause_a_bucket_starts_without_a_burst() -> None:
    clock = Clock()
    bucket = TokenBucket(10, 5, clock, slack=0)
    bucket.pause(3)
    bucket.pause(1)  # a shorter one does not end a longer one
    assert bucket.take() == 3_000_000_000
    clock.now += 3_000_000_000
    assert [bucket.take(), bucket.take()] == [0, 100_000_000]


@pytest.mark.promise("In no interval are there more requests than burst and rate allow", figure="100 histories")
@settings(deadline=None)
@given(
    rate=st.floats(0.01, 1e6),
    burst=st.integers(1, 20),
    slack=st.integers(0, 10**9),
    steps=st.lists(
        st.one_of(
            st.integers(0, 3 * 10**9),
            st.integers(0, 10**6),
            st.just("pause"),
        ),
        max_size=120,
    ),
)
def test_in_no_interval_are_there_more_permits_than_burst_and_rate_allow(
    rate: float, burst: int, slack: int, steps: list[int | str]
) -> None:
    clock = Clock()
    bucket = TokenBucket(rate, burst, clock, slack)
    permits: list[int] = []
    for step in steps:
        if isinstance(step, str):
            bucket.pause(0.5)
        else:
            clock.now += step
        waits = [bucket.take() for _ in range(burst + 1)]
        permits += [clock.now] * waits.count(0)
        wait = waits[-1]
        if wait and isinstance(step, int) and step % 2:  # ask exactly when told to
            clock.now += wait
            assert bucket.take() == 0
            permits.append(clock.now)
    exact = Fraction(rate)
    for first, start in enumerate(permits):
        for count, end in enumerate(permits[first:], 1):
            assert count <= burst + exact * Fraction(end - start, 10**9)


def test_a_lowered_rate_gives_no_second_burst() -> None:
    clock = Clock()
    bucket = TokenBucket(10, 3, clock, slack=0)
    assert [bucket.take() for _ in range(3)] == [0, 0, 0]
    bucket.change(1)
    assert bucket.take() == 1_000_000_000
    clock.now += 1_000_000_000
    assert [bucket.take(), bucket.take()] == [0, 1_000_000_000]
    clock.now += 10**12
    assert [bucket.take() for _ in range(4)] == [0, 0, 0, 1_000_000_000]


def test_a_raised_rate_does_not_wait_for_what_the_old_one_owed() -> None:
    clock = Clock()
    bucket = TokenBucket(0.001, 1, clock, slack=0)
    assert [bucket.take(), bucket.take()] == [0, 10**12]
    bucket.change(1000)
    assert bucket.take() == 1_000_000


def test_the_same_rate_again_changes_nothing() -> None:
    clock = Clock()
    bucket = TokenBucket(10, 3, clock, slack=0)
    bucket.take()
    for _ in range(5):
        clock.now += 10_000_000
        bucket.change(10)
    assert [bucket.take() for _ in range(3)] == [0, 0, 50_000_000]


@pytest.mark.parametrize("rate", [0.5, 10, 1e4])
def test_a_pause_lasts_as_long_as_it_was_to_last_whatever_the_rate_becomes(rate: float) -> None:
    clock = Clock()
    bucket = TokenBucket(10, 5, clock, slack=0)
    bucket.pause(3)
    clock.now += 1_000_000_000
    bucket.change(rate)
    assert bucket.take() == 2_000_000_000
    clock.now += 2_000_000_000
    assert [bucket.take(), bucket.take()] == [0, int(1e9 / rate)]


@settings(deadline=None)
@given(
    rates=st.lists(st.floats(0.1, 1000), min_size=1, max_size=8),
    burst=st.integers(1, 10),
    gaps=st.lists(st.integers(0, 10**9), min_size=8, max_size=8),
)
def test_however_the_rate_changes_there_are_no_more_permits_than_it_allows(
    rates: list[float], burst: int, gaps: list[int]
) -> None:
    clock = Clock()
    bucket = TokenBucket(rates[0], burst, clock, slack=0)
    permits, allowed = 0, Fraction(burst)
    for rate, gap in zip(rates, gaps, strict=False):
        bucket.change(rate)
        clock.now += gap
        allowed += Fraction(rate) * Fraction(gap, 10**9)
        while bucket.take() == 0:
            permits += 1
        assert permits <= allowed + Fraction(len(rates), 10**6), "but for what integer nanoseconds round off"
