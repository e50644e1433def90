"""The rate that is kept: shared by threads, for each endpoint, and as replies ask for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from tests.http.kit import GET, Answer, Got, MakeClient, StartVendor, in_threads, issuer, say
from vendortap.declare.model import Limit, RateLimit, Reply, Request
from vendortap.errors import MissingError
from vendortap.http.client import Client


def test_the_bucket_is_shared_by_threads_and_every_retry_takes_a_token(vendor: StartVendor, client: MakeClient) -> None:
    lock = threading.Lock()
    seen: list[float] = []

    def answer(_: Got) -> Answer:
        with lock:
            seen.append(time.monotonic())
            return say(500) if len(seen) <= 4 else say(200)

    tap = client(vendor(answer), limit=Limit(20, 2), auth=[issuer()])
    began = time.monotonic()
    replies = in_threads(4, lambda: tap.send(GET))
    took = time.monotonic() - began
    assert [reply.status for reply in replies] == [200] * 4
    # 4 requests, 4 retries and the token call: 9 tokens, of which 2 were there.
    assert len(seen) == tap.traffic.requests == 9
    assert took >= 7 / 20
    assert tap.traffic.waited_seconds > 0


def at(endpoint: str) -> Request:
    return Request("GET", f"/{endpoint}", endpoint=endpoint)


class Patience:
    """Says which requests pass their bucket, and which wait there: in these tests for hours, were they not stopped."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.stop = threading.Event()
        self.pool = pool

    def passes(self, tap: Client, *requests: Request) -> bool:
        """Whether all of these pass, one after the other."""
        return all(self.pool.submit(tap.send, request).result(20).status == 200 for request in requests)

    def waits(self, tap: Client, *requests: Request) -> bool:
        """Whether one of these is still there after a while; give one more than there may be permits."""
        return bool(wait([self.pool.submit(tap.send, request) for request in requests], timeout=0.2).not_done)


@pytest.fixture
def patience() -> Iterator[Patience]:
    with ThreadPoolExecutor(8) as pool:
        made = Patience(pool)
        yield made
        made.stop.set()


def test_each_endpoint_may_have_a_bucket_of_its_own(
    vendor: StartVendor, client: MakeClient, patience: Patience
) -> None:
    server = vendor(say(200))
    own = client(server, limit=Limit(0.0001, 2, each_endpoint=True), stop=patience.stop)
    assert patience.passes(own, at("a"), at("b"), at("a"), at("b"), at("c"))
    assert patience.waits(own, at("a"))
    shared = client(server, limit=Limit(0.0001, 2), stop=patience.stop)
    assert patience.passes(shared, at("a"), at("b"))
    assert patience.waits(shared, at("c"))


def test_a_429_holds_back_its_own_endpoint_only(vendor: StartVendor, client: MakeClient) -> None:
    refused = threading.Event()

    def answer(got: Got) -> Answer:
        if got.target == "/a" and not refused.is_set():
            refused.set()
            return say(429, Retry_After="2")
        return say(200)

    tap = client(vendor(answer), limit=Limit(1000, 10, each_endpoint=True))
    with ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        slow = pool.submit(tap.send, at("a"))
        refused.wait(20)
        tap.send(at("b"))
        assert not slow.done(), "it is not for the other endpoint to wait"
        slow.result(20)
        assert time.monotonic() - began >= 2


def saying(**rate_limit: float) -> Callable[[Reply], RateLimit | None]:
    return lambda _: RateLimit(**rate_limit)


@pytest.mark.parametrize("limit", [Limit(1000, 10), Limit(1000, 10, adaptive=False), None])
def test_a_pause_that_a_reply_asks_for_is_kept(vendor: StartVendor, client: MakeClient, limit: Limit | None) -> None:
    tap = client(vendor(say(200)), limit=limit, rate_limit=saying(pause_seconds=0.4))
    began = time.monotonic()
    tap.send(GET)
    assert tap.traffic.waited_seconds < 0.4
    tap.send(GET)
    assert time.monotonic() - began >= 0.4


def test_a_pause_is_no_longer_than_a_retry_may_take(vendor: StartVendor, client: MakeClient) -> None:
    tap = client(vendor(say(200)), limit=Limit(1000, 10), rate_limit=saying(pause_seconds=1e9), retry_seconds=0.2)
    tap.send(GET)
    began = time.monotonic()
    tap.send(GET)
    assert 0.1 < time.monotonic() - began < 20


def test_an_adaptive_limit_follows_the_vendor_up_and_down(
    vendor: StartVendor, client: MakeClient, patience: Patience
) -> None:
    server = vendor(say(200))
    up = client(server, limit=Limit(0.0001, 1), rate_limit=saying(rate=1000), stop=patience.stop)
    assert patience.passes(up, *[GET] * 5)
    down = client(server, limit=Limit(1000, 1), rate_limit=saying(rate=0.0001), stop=patience.stop)
    assert patience.passes(down, GET)
    assert patience.waits(down, GET, GET)  # there may be a permit from before


@pytest.mark.parametrize(("own", "said"), [(0.0001, 1000), (1000, 0.0001)])
def test_an_operators_own_limit_is_only_ever_lowered(
    vendor: StartVendor, client: MakeClient, patience: Patience, own: float, said: float
) -> None:
    limit = Limit(own, 1, adaptive=False)
    tap = client(vendor(say(200)), limit=limit, rate_limit=saying(rate=said), stop=patience.stop)
    assert patience.passes(tap, GET)
    assert patience.waits(tap, GET, GET)  # there may be a permit from before


def test_without_a_limit_no_rate_is_kept(vendor: StartVendor, client: MakeClient, patience: Patience) -> None:
    tap = client(vendor(say(200)), rate_limit=saying(rate=0.0001), stop=patience.stop)
    assert patience.passes(tap, GET, GET, GET)


def test_refusals_are_heeded_too(vendor: StartVendor, client: MakeClient, patience: Patience) -> None:
    def rate_limit(reply: Reply) -> RateLimit | None:
        return RateLimit(rate=0.0001) if reply.status == 404 else None

    tap = client(vendor(say(404)), limit=Limit(1000, 1), rate_limit=rate_limit, stop=patience.stop)
    with pytest.raises(MissingError):
        tap.send(GET)
    assert patience.waits(tap, GET, GET)  # there may be a permit from before
