"""Answers without end, on a real socket: each is left after a little, and the error says what was too much."""

from __future__ import annotations

import gzip
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest

from tests.http.kit import GET, MakeClient, Say, StartVendor
from vendortap.declare.model import Reply, Request
from vendortap.decode.bounds import MEMBERS
from vendortap.errors import BodyError, TransportError
from vendortap.http.bodies import FRAMING_BYTES
from vendortap.http.client import Client

CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
CLOSED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Encoding: gzip\r\n\r\n"
EMPTY = gzip.compress(b"")
MOST = 4_000_000


class Endless:
    """Answers with a head, and then with one thing again and again until nobody listens any more."""

    def __init__(self, head: bytes, again: bytes, times: int | None, end: bytes = b"") -> None:
        self.answer = head, again, times, end
        self.sent = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        head, again, times, end = self.answer
        with suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                with connection, suppress(OSError):
                    connection.recv(65536)
                    connection.sendall(head)
                    piece = again * max(1, 65536 // len(again)) if times is None else again * times
                    while True:
                        connection.sendall(piece)
                        self.sent += len(piece)
                        if times is not None:
                            break
                    connection.sendall(end)
                    connection.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)  # which ends accept()
        self.thread.join()
        self.listener.close()


Start = Callable[..., Endless]


@pytest.fixture
def endless() -> Iterator[Start]:
    with ExitStack() as stack:

        def start(head: bytes, again: bytes, times: int | None = None, end: bytes = b"") -> Endless:
            server = Endless(head, again, times, end)
            stack.callback(server.close)
            return server

        yield start


def ask(server: Endless, max_body: int = MOST) -> Reply:
    client = Client(
        name="acme", base_url=server.url, config={}, timeout=60, retry_seconds=0, reply_seconds=60, max_body=max_body
    )
    try:
        return client.send(Request("GET", "/x"))
    finally:
        client.close()


def refused(server: Endless) -> tuple[str, float]:
    """The error of an answer, and the seconds of work that it took this process, the server's part among them."""
    began = time.process_time()
    with pytest.raises((BodyError, TransportError)) as caught:
        ask(server)
    return str(caught.value), time.process_time() - began


@pytest.mark.promise("An answer without end is left after a little, whatever it is that does not end")
@pytest.mark.parametrize(
    ("head", "again", "said"),
    [
        pytest.param(CLOSED, EMPTY, "more than 1,000 gzip members", id="gzip members"),
        pytest.param(CLOSED, gzip.compress(b"x"), "more than 1,000 gzip members", id="gzip members of one byte"),
        pytest.param(CLOSED + EMPTY, b"\0" * 1000, "more than 4 MB", id="padding"),
        pytest.param(CLOSED + EMPTY[:10], b"\0\0\0\xff\xff", "more than 4 MB", id="empty blocks of deflate"),
        pytest.param(CLOSED + b"\x1f\x8b\x08\x08" + bytes(6), b"name", "more than 4 MB", id="the name of a gzip file"),
        pytest.param(CLOSED[:-2], b"X-Header: 1\r\n", "more headers", id="headers"),
        pytest.param(CLOSED[:-2], b"X-Header: " + b"x" * 60_000 + b"\r\n", "more headers", id="long headers"),
        pytest.param(CLOSED[:-2] + b"X: ", b"x", "more headers", id="one header"),
        pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n", "more headers, chunks or trailers", id="interim answers"),
        pytest.param(CHUNKED + b"\r\n", b"1\r\nx\r\n", "more headers, chunks or trailers", id="chunks of one byte"),
        pytest.param(CHUNKED + b"\r\n", b"1;" + b"a" * 60_000 + b"\r\nx\r\n", "chunks or trailers", id="extensions"),
        pytest.param(CHUNKED + b"\r\n1;", b"a", "more headers", id="one extension"),
        pytest.param(CHUNKED + b"\r\n0\r\n", b"X-Trailer: 1\r\n", "chunks or trailers", id="trailers"),
        pytest.param(CHUNKED + b"\r\n", b"400\r\n%s\r\n" % (b"x" * 1024), "more than 4 MB", id="chunks"),
        pytest.param(
            CHUNKED + b"Content-Encoding: gzip\r\n\r\n",
            b"%x\r\n%s\r\n" % (50 * len(EMPTY), EMPTY * 50),
            "more than 1,000 gzip members",
            id="gzip members in chunks",
        ),
        pytest.param(CLOSED, b"\x1f\x8b\x08\0" + bytes(6), "damaged", id="heads of gzip files"),
    ],
)
def test_what_does_not_end_is_left(endless: Start, head: bytes, again: bytes, said: str) -> None:
    server = endless(head, again)
    sentence, seconds = refused(server)
    assert said in sentence
    assert sentence.startswith("acme: GET /x")
    assert not re.search(r"[xa]{10}", sentence)
    assert server.sent < 40_000_000  # what lies in the buffers of two sockets among it
    assert seconds < 15


@pytest.mark.parametrize("encoding", ["", "Content-Encoding: gzip\r\n"])
def test_what_is_large_and_ends_is_read(endless: Start, encoding: str) -> None:
    body = b"[" + b"1," * 1_000_000 + b"1]"
    sent = gzip.compress(body, 0) if encoding else body
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for n in range(0, len(sent), 1000) if (c := sent[n : n + 1000]))
    assert ask(endless(CHUNKED + encoding.encode() + b"\r\n", chunks, 1, b"0\r\nX-Trailer: 1\r\n\r\n")).body == body


def test_as_many_gzip_members_as_there_may_be_are_read(endless: Start) -> None:
    line = gzip.compress(b"1,\n")
    assert ask(endless(CLOSED, line, MEMBERS)).body == b"1,\n" * MEMBERS


def test_a_small_answer_in_tiny_chunks_is_read(endless: Start) -> None:
    times = FRAMING_BYTES // 10
    assert ask(endless(CHUNKED + b"\r\n", b"1\r\nx\r\n", times, b"0\r\n\r\n")).body == b"x" * times


def test_each_answer_of_a_connection_is_counted_by_itself(vendor: StartVendor, client: MakeClient) -> None:
    server = vendor(Say(200, b"x" * 1000, {"X-Fill": "y" * 60_000}))
    asks = client(server)
    assert {len(asks.send(GET).body) for _ in range(2 * FRAMING_BYTES // 60_000)} == {1000}
    assert server.connections == 1
