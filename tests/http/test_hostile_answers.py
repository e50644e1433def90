"""Answers whose numbers are none: each ends in a sentence about the vendor, and never as a defect of ours."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest

from vendortap.declare import limits
from vendortap.declare.model import RateLimit, Reply, Request
from vendortap.errors import BodyError, TransportError, VendorError
from vendortap.http.client import Client
from vendortap.http.rate_limit import TokenBucket

Serve = Callable[[bytes | list[bytes]], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve these bytes, or the last of a list, to whoever connects, whatever is asked for."""
    with ExitStack() as stack:

        def start(answer: bytes | list[bytes]) -> str:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            answers = answer if isinstance(answer, list) else [answer]
            thread = threading.Thread(target=_answer, args=(listener, answers))
            thread.start()
            stack.callback(thread.join)
            stack.callback(listener.shutdown, socket.SHUT_RDWR)  # which ends accept()
            return f"http://127.0.0.1:{listener.getsockname()[1]}"

        yield start


def _answer(listener: socket.socket, answers: list[bytes]) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                asked = b""
                while b"\r\n\r\n" not in asked:
                    asked += connection.recv(65536)
                connection.sendall(answers[-1])
                connection.shutdown(socket.SHUT_WR)


def answer(*headers: str, status: str = "200 OK", body: bytes = b"[]") -> bytes:
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def ask(url: str, rate_limit: Callable[[Reply], RateLimit | None] = lambda _: None) -> Reply:
    client = Client(
        name="acme", base_url=url, config={}, timeout=5, retry_seconds=0, reply_seconds=5, rate_limit=rate_limit
    )
    try:
        return client.send(Request("GET", "/x"))
    finally:
        client.close()


def test_a_content_length_of_5000_digits_is_more_than_is_read(serve: Serve) -> None:
    with pytest.raises(BodyError, match="more than 64 MB"):
        ask(serve(answer("Content-Length: " + "9" * 5_000)))


@pytest.mark.parametrize("zeros", ["", "0" * 5_000])
def test_zeros_before_a_content_length_change_nothing(serve: Serve, zeros: str) -> None:
    assert ask(serve(answer(f"Content-Length: {zeros}2"))).body == b"[]"


@pytest.mark.parametrize("size", ["-5", "-ffffffff"])
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_a_chunk_of_less_than_nothing_is_a_failure_of_the_answer(serve: Serve, size: str, encoding: str) -> None:
    chunked = answer(f"Content-Encoding: {encoding}", "Transfer-Encoding: chunked", body=f"{size}\r\n[]\r\n".encode())
    with pytest.raises(TransportError, match=r"acme: GET /x at 127\.0\.0\.1:\d+ failed: the "):
        ask(serve(chunked))


def test_a_wait_without_end_is_told_in_a_few_digits(serve: Serve) -> None:
    with pytest.raises(TransportError, match="asks to wait 1000000000 s, which is more than is left"):
        ask(serve(answer("Retry-After: " + "9" * 5_000, "Content-Length: 2", status="429 Slow Down")))


NUMBERS = ("-1", "9" * 5_000, "1e400", "nan", "inf", "-inf", "0x10", "1_0", "\xb2", "", "5, 6", "\xff", "2 2", "+2")
DATES = (
    "Mon, 01 Jan 0001 00:00:00 +2359",
    "Fri, 31 Dec 9999 23:59:59 -2359",
    "Mon, 01 Jan 2025 00:00:00 +99999999999999",
    f"Mon, 01 Jan {'9' * 5_000} 00:00:00 GMT",
    f"Mon, 01 Jan 2025 {'9' * 5_000}:00:00 GMT",
    "Mon,",
)
ENCODINGS = ("gzip", "gzip, gzip", "br", "x" * 5_000, "gzip, chunked", "chunked, chunked", ",", "\xff")
HOSTILE = [
    (name, value)
    for name in (
        *("Content-Length", "Transfer-Encoding", "Content-Encoding", "Date", "Retry-After", "Location"),
        *("X-RateLimit-Remaining", "X-RateLimit-Reset", "x-amzn-RateLimit-Limit"),
    )
    for value in (*NUMBERS, *DATES, *ENCODINGS)
]


@pytest.mark.parametrize("status", ["200 OK", "302 Found", "429 Slow Down", "503 Gone"])
@pytest.mark.parametrize("rate_limit", [limits.x_rate_limit, limits.amazon_rate_limit], ids=["x", "amzn"])
def test_whatever_a_header_says_there_is_a_reply_or_an_error_of_the_vendor(
    serve: Serve, status: str, rate_limit: Callable[[Reply], RateLimit | None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    answers: list[bytes] = []
    url = serve(answers)
    for name, value in HOSTILE:
        length = () if name in ("Content-Length", "Transfer-Encoding") else ("Content-Length: 2",)
        limit = [f"X-RateLimit-{what}: 0" for what in ("Reset", "Remaining") if not name.endswith(what)]
        answers.append(answer(f"{name}: {value}", *length, *limit, status=status))
        with suppress(VendorError):
            ask(url, rate_limit)


@pytest.mark.parametrize("rate", [1e-300, 5e-324, 1e308])
def test_any_rate_that_is_a_number_is_one(rate: float) -> None:
    now = [0]
    bucket = TokenBucket(rate, 1, lambda: now[0])
    assert bucket.take() == 0
    wait = bucket.take()
    assert wait >= 1
    now[0] += wait
    assert bucket.take() == 0
