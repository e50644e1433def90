"""A vendor that answers as it is told, on a real socket, and what the tests of the client share."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlencode

from vendortap.declare.model import Authorize, Config, Credentials, Reply, Request
from vendortap.errors import VendortapError
from vendortap.http.client import Client

GET = Request("GET", "/invoices")
SECRET = "s3cr3t/+value"
CONFIG = {"key": SECRET, "id": "client-1"}
NOW = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


@dataclass(frozen=True)
class Got:
    """A request as the server saw it."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Say:
    """An answer with its length declared."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] | None = None


class Reset:
    """Close the connection with RST, without an answer."""


class Silence:
    """Do not answer until the test is over."""


@dataclass(frozen=True)
class Drip:
    """Write this a byte at a time, one every 20 milliseconds."""

    data: bytes


Answer = Say | bytes | Reset | Silence | Drip
"""``bytes`` are written as they are, then the connection is closed."""


def say(status: int, document: Any = None, **headers: str) -> Say:
    body = b"" if document is None else json.dumps(document).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Say(status, body, {"Content-Type": "application/json", **names})


class Vendor(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, answer: Callable[[Got], Answer], certificate: str | None = None) -> None:
        self.answer = answer
        self.got: list[Got] = []
        self.connections = self.closed = 0
        self.over = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
            self.url = self.url.replace("http:", "https:")

    def get_request(self) -> tuple[Any, Any]:
        self.connections += 1
        return super().get_request()

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self.closed += 1


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Vendor

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        got = Got(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
        self.server.got.append(got)
        answer = self.server.answer(got)
        if isinstance(answer, Say):
            self.send_response(answer.status)
            for name, value in {**(answer.headers or {}), "Content-Length": str(len(answer.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)
            return
        self.close_connection = True
        if isinstance(answer, bytes):
            self.wfile.write(answer)
        elif isinstance(answer, Reset):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif isinstance(answer, Drip):
            self.drip(answer.data)
        else:
            self.server.over.wait(60)

    def drip(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # the client has had enough
            for place in range(len(data)):
                if self.server.over.wait(0.02):
                    return
                self.wfile.write(data[place : place + 1])

    do_GET = do_POST = do_CONNECT = handle_any  # noqa: N815 - http.server's names

    def log_message(self, *_: Any) -> None:
        """Keep stderr clean."""


def script(*answers: Answer) -> Callable[[Got], Answer]:
    """Give these answers one after the other, then the last one again and again."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


StartVendor = Callable[..., Vendor]
MakeClient = Callable[..., Client]


def issuer(url: str | None = None, *, expires_in: float | None = None) -> Authorize:
    """A flow that makes one token call and uses what it is told."""

    def flow(config: Config) -> Generator[Request, Reply, Credentials]:
        body = urlencode({"grant_type": "x", "client_secret": config["key"]}).encode()
        reply = yield Request("POST", url or "/token", body=body)
        return Credentials({"Authorization": f"Bearer {reply.body.decode()}"}, expires_in)

    return flow


def in_threads(count: int, work: Callable[[], Any]) -> list[Any]:
    """Call ``work`` in so many threads that start together; return results and vendortap's errors."""
    together = threading.Barrier(count)

    def one(_: int) -> Any:
        together.wait(20)
        try:
            return work()
        except VendortapError as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


class ChunkedHandler(Handler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n")


HEAD = b"HTTP/1.1 200 OK\r\n"
