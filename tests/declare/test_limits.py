"""What replies say about rate limits, in both readings, and what is too absurd to be heeded."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vendortap.declare.limits import amazon_rate_limit, x_rate_limit
from vendortap.declare.model import RateLimit, Reply

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
EPOCH = int(NOW.timestamp())


def reply(**headers: str) -> Reply:
    return Reply(200, {name.replace("_", "-"): value for name, value in headers.items()}, b"", NOW)


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        ("30", 30.0),
        ("0.5", 0.5),
        ("0", 0.0),
        ("-5", 0.0),
        ("86400", 86_400.0),
        (str(EPOCH + 45), 45.0),
        (str(EPOCH), 0.0),
        (str(EPOCH - 3600), 0.0),
    ],
)
def test_nothing_left_means_a_pause_until_the_reset_in_seconds_or_unix_time(reset: str, seconds: float) -> None:
    assert x_rate_limit(reply(x_ratelimit_remaining="0", x_ratelimit_reset=reset)) == RateLimit(pause_seconds=seconds)
    assert x_rate_limit(reply(x_ratelimit_remaining="-1", x_ratelimit_reset=reset)) == RateLimit(pause_seconds=seconds)


@pytest.mark.parametrize("remaining", ["1", "59", "0.1"])
def test_something_left_means_nothing(remaining: str) -> None:
    assert x_rate_limit(reply(x_ratelimit_remaining=remaining, x_ratelimit_reset="30")) is None


@pytest.mark.parametrize("reset", ["", "soon", "nan", "inf", "-inf", "86401", str(EPOCH * 1000), "1e300"])
def test_an_absurd_reset_is_not_heeded(reset: str) -> None:
    assert x_rate_limit(reply(x_ratelimit_remaining="0", x_ratelimit_reset=reset)) is None


@pytest.mark.parametrize(
    "headers", [{}, {"x_ratelimit_remaining": "0"}, {"x_ratelimit_reset": "5"}, {"x_ratelimit_remaining": "none"}]
)
def test_headers_that_are_not_there_say_nothing(headers: dict[str, str]) -> None:
    assert x_rate_limit(reply(**headers)) is None
    assert amazon_rate_limit(reply(**headers)) is None


@pytest.mark.parametrize(("said", "rate"), [("10", 10.0), ("0.0167", 0.0167), (" 5.0 ", 5.0), ("0.00002", 0.00002)])
def test_amazons_rate_is_followed(said: str, rate: float) -> None:
    assert amazon_rate_limit(reply(x_amzn_ratelimit_limit=said)) == RateLimit(rate=rate)


@pytest.mark.parametrize("said", ["0", "-1", "1e-300", "0.000001", "nan", "inf", "", "many"])
def test_an_absurd_rate_is_not_heeded(said: str) -> None:
    assert amazon_rate_limit(reply(x_amzn_ratelimit_limit=said)) is None


@given(st.text(max_size=12), st.text(max_size=12))
def test_whatever_the_headers_hold_a_pace_can_be_kept(remaining: str, reset: str) -> None:
    pace = x_rate_limit(reply(x_ratelimit_remaining=remaining, x_ratelimit_reset=reset))
    assert pace is None or 0 <= pace.pause_seconds <= 86_400
    rate = amazon_rate_limit(reply(x_amzn_ratelimit_limit=reset))
    assert rate is None or (rate.rate or 0) > 0
