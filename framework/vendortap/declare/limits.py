"""What vendors' replies say about their rate limits: ready-made readers for ``Connector.pace``."""

from __future__ import annotations

import math

from vendortap.declare.model import RateLimit, Reply

_EPOCH = 1_000_000_000
"""A reset above this is a moment in Unix time, below it a number of seconds."""
_LONGEST = 86_400.0
"""Seconds; a pause longer than a day, or a rate of less than one request a day, is a misunderstanding."""


def x_rate_limit(reply: Reply) -> RateLimit | None:
    """Pause until ``X-RateLimit-Reset`` when ``X-RateLimit-Remaining`` is 0.

    The reset is read as seconds to wait, or as the moment in Unix time: vendors mean either. One more
    than a day away is neither, and not heeded.
    """
    remaining, reset = (_number(reply, f"x-ratelimit-{name}") for name in ("remaining", "reset"))
    if remaining is None or reset is None or remaining > 0:
        return None
    seconds = reset - reply.answered.timestamp() if reset > _EPOCH else reset
    return RateLimit(pause_seconds=max(0.0, seconds)) if seconds <= _LONGEST else None


def amazon_rate_limit(reply: Reply) -> RateLimit | None:
    """Follow ``x-amzn-RateLimit-Limit``: requests a second of the operation (SP-API usage plans)."""
    rate = _number(reply, "x-amzn-ratelimit-limit")
    return RateLimit(rate=rate) if rate is not None and rate * _LONGEST >= 1 else None


def _number(reply: Reply, header: str) -> float | None:
    try:
        value = float(reply.headers.get(header, ""))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
