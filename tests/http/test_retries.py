"""What is tried again, for how long, and what ends the wait."""

from __future__ import annotations

import gzip
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email.utils import format_datetime
from errno import ECONNREFUSED

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.http.kit import (
    GET,
    HEAD,
    NOW,
    Answer,
    Drip,
    Got,
    MakeClient,
    Reset,
    Silence,
    StartVendor,
    in_threads,
    say,
    script,
)
from vendortap.declare.model import Limit, Reply
from vendortap.errors import TransportError
from vendortap.http import rate_limit
from vendortap.http.rate_limit import Stopped, backoff, retry_after

PACKED = gzip.compress(b'{"a": 1}' * 100)


@pytest.mark.promise("What passes by itself is retried: 408, 429, 5xx, and answers that break off")
@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(Reset(), id="reset"),
        pytest.param(b"", id="closed without an answer"),
        pytest.param(b"SSH-2.0\r\n\r\n", id="not HTTP"),
        pytest.param(HEAD + b"Content-Length: 9\r\n\r\n12345678", id="shorter than its length"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n123", id="broken chunk"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\n123\r\n", id="no last chunk"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", id="bad chunk size"),
        pytest.param(HEAD + b"Content-Encoding: gzip\r\n\r\nnot gzip at all", id="not gzip"),
        pytest.param(HEAD + b"Content-Encoding: gzip\r\n\r\n" + PACKED[:-9], id="gzip broke off"),
        pytest.param(HEAD + b"Content-Encoding: gzip\r\n\r\n" + PACKED[:-8] + b"\0" * 8, id="gzip checksum"),
        pytest.param(
            HEAD + b"Content-Encoding: gzip\r\n\r\n" + PACKED[:12] + b"\xff" * 20 + PACKED[32:], id="gzip data"
        ),
    ],
)
def test_broken_answers_are_retried(vendor: StartVendor, client: MakeClient, broken: Answer) -> None:
    server = vendor(script(broken, say(200, "ok")))
    tap = client(server, connections=1)
    assert tap.send(GET).body == b'"ok"'
    assert (len(server.got), tap.traffic.retries) == (2, 1)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Silence(), "no answer within the timeout"),
        (HEAD + b"Content-Length: 9\r\n\r\n1234", "the answer broke off"),
        (HEAD + b"Content-Encoding: gzip\r\n\r\nno", "the compressed answer"),
        (Reset(), "the connection failed"),
        (say(503, {"message": "Down for repairs"}), "answered 503 Service Unavailable: Down for repairs"),
    ],
)
def test_the_last_reason_is_told(vendor: StartVendor, client: MakeClient, answer: Answer, reason: str) -> None:
    tap = client(vendor(answer), timeout=0.05 if isinstance(answer, Silence) else 20, retry_seconds=0)
    with pytest.raises(TransportError, match=rf"^acme: GET /invoices .*{reason}.*Gave up after 1 attempts"):
        tap.send(GET)


def test_a_refused_connection_is_told(vendor: StartVendor, client: MakeClient) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        tap = client(f"http://127.0.0.1:{unused.getsockname()[1]}", retry_seconds=0)
        with pytest.raises(TransportError, match=rf"the connection failed \({os.strerror(ECONNREFUSED)}\)"):
            tap.send(GET)


def test_a_silent_server_is_given_up_and_asked_again(vendor: StartVendor, client: MakeClient) -> None:
    server = vendor(script(Silence(), say(200)))
    assert client(server, timeout=0.2).send(GET).status == 200
    assert len(server.got) >= 2


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Drip(HEAD + b"Content-Length: 900\r\n\r\n" + b"x" * 900), id="head and body"),
        pytest.param(Drip(HEAD + b"".join(b"X-%d: y\r\n" % n for n in range(90))), id="head"),
        pytest.param(Drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 200), id="chunks"),
    ],
)
def test_a_reply_that_comes_steadily_and_never_ends_is_given_up_and_asked_for_again(
    vendor: StartVendor, client: MakeClient, answer: Answer
) -> None:
    """A byte now and then keeps no run for ever: a reply as a whole has `reply_seconds`."""
    server = vendor(script(answer, say(200, "ok")))
    tap = client(server, reply_seconds=0.5)
    began = time.monotonic()
    assert tap.send(GET).body == b'"ok"'
    assert 0.5 <= time.monotonic() - began < 15
    assert (len(server.got), tap.traffic.retries) == (2, 1)
    tap = client(vendor(answer), reply_seconds=0.5, retry_seconds=0)
    with pytest.raises(
        TransportError, match=r"the answer did not come to its end within 0\.5 s \(reply_seconds\)\. Gave up"
    ):
        tap.send(GET)


def test_a_reply_may_take_its_time(vendor: StartVendor, client: MakeClient) -> None:
    body = b'{"a": 1}'
    server = vendor(Drip(HEAD + b"Content-Length: 8\r\n\r\n" + body))
    assert client(server, reply_seconds=20, timeout=10).send(GET).body == body


@pytest.mark.promise("No request is retried for longer than `retry_seconds`")
def test_the_budget_ends_retries(vendor: StartVendor, client: MakeClient) -> None:
    server = vendor(say(500))
    tap = client(server, retry_seconds=0.5)
    with pytest.raises(TransportError, match=r"Gave up after \d+ attempts within 0\.5 s \(retry_seconds\)"):
        tap.send(GET)
    assert len(server.got) > 1
    assert tap.traffic.retries == len(server.got) - 1


@pytest.mark.promise("`Retry-After` is kept, as seconds and as a date")
@pytest.mark.parametrize("status", [408, 503])
def test_retry_after_is_honoured(vendor: StartVendor, client: MakeClient, status: int) -> None:
    server = vendor(script(say(status, Retry_After="1"), say(200)))
    tap = client(server)
    began = time.monotonic()
    tap.send(GET)
    assert time.monotonic() - began >= 1
    assert tap.traffic.waited_seconds >= 1


@pytest.mark.promise("`Retry-After` is kept, as seconds and as a date")
def test_retry_after_as_a_date_is_honoured(vendor: StartVendor, client: MakeClient) -> None:
    later = format_datetime(NOW + timedelta(seconds=1), usegmt=True)
    today = format_datetime(NOW, usegmt=True)
    head = f"HTTP/1.1 503 x\r\nDate: {today}\r\nRetry-After: {later}\r\nContent-Length: 0\r\n\r\n".encode()
    server = vendor(script(head, say(200)))
    began = time.monotonic()
    client(server).send(GET)
    assert time.monotonic() - began >= 1


@pytest.mark.promise("No request is retried for longer than `retry_seconds`")
@pytest.mark.parametrize(
    ("value", "seconds"),
    [("21", "21"), ("86400", "86400"), ("9" * 400, "1000000000"), ("Fri, 31 Dec 9999 23:59:59 GMT", r"\d{9,}")],
)
def test_a_wait_beyond_the_budget_is_not_begun(
    vendor: StartVendor, client: MakeClient, value: str, seconds: str
) -> None:
    server = vendor(say(429, {"message": "Quota exceeded"}, Retry_After=value))
    tap = client(server)
    with pytest.raises(TransportError, match=rf"429 .*Quota exceeded\. The vendor asks to wait {seconds} s"):
        tap.send(GET)
    assert len(server.got) == 1
    assert tap.traffic.waited_seconds < 1


def test_a_429_pauses_all_threads(vendor: StartVendor, client: MakeClient) -> None:
    seen: list[float] = []
    lock = threading.Lock()

    def answer(_: Got) -> Answer:
        with lock:
            seen.append(time.monotonic())
            return say(429, Retry_After="1") if len(seen) == 1 else say(200)

    tap = client(vendor(answer), limit=Limit(1000, 1))
    first = threading.Thread(target=tap.send, args=(GET,))
    first.start()
    while tap.traffic.retries == 0:
        time.sleep(0.001)
    assert [reply.status for reply in in_threads(6, lambda: tap.send(GET))] == [200] * 6
    first.join()
    assert len(seen) == 8
    assert min(seen[1:]) - seen[0] >= 1


def reply_with(**headers: str) -> Reply:
    return Reply(429, {name.replace("_", "-"): value for name, value in headers.items()}, b"", NOW)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry_after": ""}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "-5"}, None),
        ({"retry_after": "1.5"}, None),
        ({"retry_after": "²"}, None),
        ({"retry_after": "0"}, 0),
        ({"retry_after": " 120 "}, 120),
        ({"retry_after": "9" * 5000}, 1e9),
        ({"retry_after": "Mon, 06 May 2024 07:09:09 GMT"}, 60),
        ({"retry_after": "Monday, 06-May-24 07:09:09 GMT"}, 60),
        ({"retry_after": "Mon, 06 May 2024 07:09:09 -0000"}, 60),
        ({"retry_after": "Mon, 06 May 2024 07:00:00 GMT"}, 0),
        ({"retry_after": "Mon, 06 May 2024 99:00:00 GMT"}, None),
        ({"retry_after": "Mon, 06 May 2024 07:09:09 GMT", "date": "Mon, 06 May 2024 07:09:00 GMT"}, 9),
        ({"retry_after": "Mon, 06 May 2024 07:09:09 GMT", "date": "today"}, 60),
    ],
)
def test_both_forms_of_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(reply_with(**headers)) == seconds


@settings(deadline=None)
@given(retry=st.integers(0, 10_000), chance=st.floats(0, 1, exclude_max=True))
def test_backoff_is_exponential_with_a_cap_and_full_jitter(retry: int, chance: float) -> None:
    most = backoff(retry, lambda: 1.0)
    assert most == min(rate_limit.BACKOFF_CAP_SECONDS, rate_limit.BACKOFF_SECONDS * 2.0 ** min(retry, 1000))
    assert 0 <= backoff(retry, lambda: chance) <= most
    assert backoff(retry, lambda: 0.0) == 0


def test_who_waits_for_a_retry_is_seen_waiting(vendor: StartVendor, client: MakeClient) -> None:
    tap = client(vendor(script(say(503, Retry_After="1"), say(200))))
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(tap.send, GET)
        while tap.traffic.waiting == 0 or tap.traffic.retries == 0:
            assert not sent.done()
            time.sleep(0.001)
        assert (tap.traffic.requests, tap.traffic.retries, tap.traffic.waiting) == (1, 1, 1)
        assert sent.result().status == 200
    assert (tap.traffic.requests, tap.traffic.waiting) == (2, 0)


# --- stop --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer", [say(503, Retry_After="600"), say(500), Reset()], ids=["Retry-After", "backoff", "reset"]
)
def test_stop_ends_the_wait_for_a_retry(
    vendor: StartVendor, client: MakeClient, monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> None:
    stop = threading.Event()
    tap = client(vendor(answer), retry_seconds=3600, stop=stop)
    monkeypatch.setattr(rate_limit, "BACKOFF_SECONDS", 1e9)
    monkeypatch.setattr(rate_limit, "BACKOFF_CAP_SECONDS", 3000)
    waiting = ThreadPoolExecutor(3)
    results = [waiting.submit(tap.send, GET) for _ in range(3)]
    while tap.traffic.retries == 0:
        time.sleep(0.001)
    stop.set()
    for result in results:
        with pytest.raises(Stopped):
            result.result(20)
    waiting.shutdown()


def test_stop_ends_the_wait_for_a_token(vendor: StartVendor, client: MakeClient) -> None:
    stop = threading.Event()
    server = vendor(say(200))
    tap = client(server, limit=Limit(0.001, 1), stop=stop)
    tap.send(GET)
    with ThreadPoolExecutor(4) as waiting:
        results = [waiting.submit(tap.send, GET) for _ in range(4)]
        stop.set()
        for result in results:
            assert isinstance(result.exception(20), Stopped)
    assert len(server.got) == 1
