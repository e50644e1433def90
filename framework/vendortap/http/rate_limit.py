"""When a request may be sent: the token bucket, and how long to wait before a retry."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from fractions import Fraction

from vendortap.declare.model import Reply
from vendortap.errors import VendortapError

BACKOFF_SECONDS = 0.5
"""Upper bound of the first wait; it doubles with each retry."""
BACKOFF_CAP_SECONDS = 30.0
"""Upper bound of any wait that the vendor did not ask for."""
SILENT_SECONDS = 5.0
"""A wait for a token that takes longer is told once it has taken so long."""
_LONGEST_NAP = 3_600_000_000_000
"""Nanoseconds of one wait; a longer one is waited for in several."""
_FOR_EVER = 1e9
"""Seconds beyond which it does not matter how many a vendor asks to wait."""


class Stopped(VendortapError):
    """The run was told to stop while a request was waiting; nothing is wrong with the request."""


class TokenBucket:
    """Lets through ``rate`` requests a second on the average and ``burst`` at once; ``None``: any number.

    In any interval of ``t`` seconds there are never more than ``burst + rate * t`` permits. Implemented as
    the generic cell rate algorithm (ITU-T I.371, annex A): one integer, the nanosecond at which the bucket
    would be full again, so nothing drifts. ``clock`` gives nanoseconds that never go back.

    The vendor's bucket counts a request when it arrives, and the first ones, which open connections, take longest
    to arrive: those that follow a burst wait ``slack`` nanoseconds more than they have to, or they would be early.
    """

    def __init__(
        self, rate: float | None, burst: int = 1, clock: Callable[[], int] = time.monotonic_ns, slack: int = 50_000_000
    ) -> None:
        self._burst = burst
        self._slack = slack
        self._clock = clock
        self._set(rate)
        self._full_at = self._paused_until = clock()
        self._state = threading.Lock()
        self._turn = threading.Lock()

    def _set(self, rate: float | None) -> None:
        # Rounded up: never faster than ``rate``. A fraction, as one of floats has an end for very small rates.
        self._interval = 0 if rate is None else math.ceil(10**9 / Fraction(rate))
        self._tolerance = max(0, (self._burst - 1) * self._interval - self._slack)

    def change(self, rate: float) -> None:
        """Let through ``rate`` requests a second from now on; as many permits are missing as before."""
        with self._state:
            begin = max(self._clock(), self._paused_until)
            missing, before = max(0, self._full_at - begin), self._interval or 1
            self._set(rate)
            self._full_at = begin + missing * self._interval // before

    def take(self) -> int:
        """Take a token and return 0, or return the nanoseconds until there may be one."""
        with self._state:
            now = self._clock()
            wait = self._full_at - self._tolerance - now
            if wait > 0:
                return wait
            self._full_at = max(self._full_at, now) + self._interval
            return 0

    def pause(self, seconds: float) -> None:
        """Let nothing through for ``seconds``; afterwards start with one permit, not with a burst."""
        with self._state:
            self._paused_until = max(self._paused_until, self._clock() + round(seconds * 1e9))
            self._full_at = max(self._full_at, self._paused_until + self._tolerance)

    def acquire(self, stop: threading.Event, notice: Callable[[float], None] = lambda _: None) -> None:
        """Take a token, waiting for it as long as it takes.

        ``notice`` is called once where that takes more than ``SILENT_SECONDS``, with the seconds that are left.

        Raises:
            Stopped: ``stop`` was set before there was a token.
        """
        told = False
        with self._turn:  # One thread watches the clock, the others queue here.
            while not stop.is_set():
                seconds = min(self.take(), _LONGEST_NAP) / 1e9
                if seconds == 0:
                    return
                if told or seconds <= SILENT_SECONDS:
                    stop.wait(seconds)
                elif not stop.wait(SILENT_SECONDS):
                    told = True
                    notice(seconds - SILENT_SECONDS)
        raise Stopped("stopped while waiting for the rate limit.")


def backoff(retry: int, chance: Callable[[], float] = random.random) -> float:
    """Return the seconds to wait before retry ``retry`` (from 0): exponential with full jitter.

    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    return chance() * min(BACKOFF_CAP_SECONDS, BACKOFF_SECONDS * 2.0 ** min(retry, 30))


def retry_after(reply: Reply) -> float | None:
    """Return the seconds that ``Retry-After`` asks for, from its number or its date (RFC 9110, 10.2.3).

    A date is held against the reply's own ``Date``, where there is one, as clocks differ. ``None`` where the
    header is absent or neither form.
    """
    value = reply.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), _FOR_EVER)
    until = _http_date(value)
    if until is None:
        return None
    now = _http_date(reply.headers.get("date", "")) or reply.received
    return max(0.0, (until - now).total_seconds())


def _http_date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
