"""Latencies by size classes: they add up, and a quantile is as exact as the classes are fine."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vendortap.support import latency

SECONDS = st.lists(st.floats(0.001, 1000), min_size=1, max_size=60)
CLASS = 10**0.1
"""How much greater a class's upper bound is than its lower one."""


def counted(seconds: list[float]) -> list[int]:
    counts = latency.none()
    for one in seconds:
        counts[latency.place(one)] += 1
    return counts


@given(SECONDS, st.floats(0, 1))
def test_a_quantile_is_right_to_within_a_class(seconds: list[float], share: float) -> None:
    exact = sorted(seconds)[max(0, -int(-share * len(seconds) // 1) - 1)]
    found = latency.quantile(counted(seconds), share)
    assert found is not None
    assert exact / CLASS / 1.0001 <= found <= exact * CLASS * 1.0001


@given(SECONDS, SECONDS)
def test_what_came_since_is_what_there_is_without_what_there_was(before: list[float], since: list[float]) -> None:
    assert latency.less(counted(before + since), counted(before)) == counted(since)
    assert latency.less(counted(before), ()) == counted(before)


def test_nothing_has_no_quantile_and_no_latency_is_outside_the_classes() -> None:
    assert latency.quantile(latency.none(), 0.5) is None
    assert sum(counted([0.0, 1e9])) == 2
    assert latency.quantile(counted([0.0]), 0.5) == 0.001
    assert latency.quantile(counted([1e9]), 0.5) == 1000
