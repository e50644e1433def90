"""What a client did so far, and each attempt as others are told of it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from vendortap.support import latency


@dataclass
class Traffic:
    """What a client did so far, token calls included. ``bytes`` counts bodies as they came (compressed).

    ``waited_seconds`` adds up the waits of all threads for the token bucket and before retries; ``waiting`` is how many
    of them wait now. ``latencies`` counts answers by the time from the request to the last byte, as
    vendortap.support.latency has it.
    """

    requests: int = 0
    retries: int = 0
    waited_seconds: float = 0.0
    waiting: int = 0
    bytes: int = 0
    latencies: list[int] = field(default_factory=latency.none)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(
        self, *, requests: int = 0, retries: int = 0, waited_seconds: float = 0.0, waiting: int = 0, size: int = 0
    ) -> None:
        """Add to the counters; may be called by any thread."""
        with self._lock:
            self.requests += requests
            self.retries += retries
            self.waited_seconds += waited_seconds
            self.waiting += waiting
            self.bytes += size

    def answered(self, seconds: float, size: int) -> None:
        """Count an answer that has been read, as far as it was; may be called by any thread."""
        with self._lock:
            self.bytes += size
            self.latencies[latency.place(seconds)] += 1


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt of a request, as far as it may be told to others: neither path nor query, header or body.

    ``endpoint`` is the declared template of the path, empty where there is none. ``status`` is that of the reply,
    ``None`` where none came. ``retry`` counts from 0.
    """

    method: str
    endpoint: str
    host: str
    port: int
    status: int | None
    retry: int
    seconds: float
