"""The client against real servers on 127.0.0.1, and its pure parts against a clock that is moved by hand."""

from __future__ import annotations

import contextlib
import gzip
import json
import logging
import os
import socket
import ssl
import struct
import threading
import time
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from errno import ECONNREFUSED
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vendortap
from vendortap.declare import auth
from vendortap.declare.model import Authorize, Config, Credentials, Limit, Pace, Reply, Request
from vendortap.errors import (
    BodyError,
    ConfigError,
    CredentialsError,
    MissingError,
    RefusedError,
    TransportError,
    UnavailableError,
    VendorError,
    VendortapError,
)
from vendortap.http import rate_limit
from vendortap.http.client import Client
from vendortap.http.connection import ORIGINS
from vendortap.http.credentials import Keyring
from vendortap.http.messages import vendor_message
from vendortap.http.rate_limit import Stopped, TokenBucket, backoff, retry_after
from vendortap.http.token_store import Memory
from vendortap.http.traffic import Traffic
from vendortap.support import latency
from vendortap.support.redact import Redactor

GET = Request("GET", "/invoices")
SECRET = "s3cr3t/+value"
CONFIG = {"key": SECRET, "id": "client-1"}
NOW = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)

# A self-signed certificate for 127.0.0.1, made for this test; it is valid until 2120 and trusted nowhere.
CERTIFICATE = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgDL4XUon8qCkPhZBh
PVuJ79ouVYn6yXiEcbIneEvpYxihRANCAAQy6CQuwPOQhutXdmnFLqhSCWvoXk3X
D7B8AXHNErxzOb/tT/s734XzI06Jy33mlRtU47/5Dp2bnUtDGgFF26b2
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBdjCCARygAwIBAgIBATAKBggqhkjOPQQDAjAZMRcwFQYDVQQDDA52ZW5kb3J0
YXAgdGVzdDAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowGTEXMBUG
A1UEAwwOdmVuZG9ydGFwIHRlc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQy
6CQuwPOQhutXdmnFLqhSCWvoXk3XD7B8AXHNErxzOb/tT/s734XzI06Jy33mlRtU
47/5Dp2bnUtDGgFF26b2o1MwUTAPBgNVHREECDAGhwR/AAABMA8GA1UdEwEB/wQF
MAMBAf8wDgYDVR0PAQH/BAQDAgKEMB0GA1UdDgQWBBTXhkyie+lsM3ecc9ckTaPT
gZuB9DAKBggqhkjOPQQDAgNIADBFAiEA0VYg/jkA3S3SygwOzEvVH+WDV60yyj55
fY95+P5JozACIGHoxf4crtcPJvZUy6NON94h82NywXRrDholNZY0JPzj
-----END CERTIFICATE-----
"""


# --- a vendor ----------------------------------------------------------------------------------------


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


@pytest.fixture
def vendor() -> Iterator[StartVendor]:
    with contextlib.ExitStack() as stack:

        def start(answer: Callable[[Got], Answer] | Answer, certificate: str | None = None) -> Vendor:
            server = Vendor(answer if callable(answer) else lambda _: answer, certificate)
            stack.callback(server.server_close)
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            stack.callback(server.over.set)
            return server

        yield start


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeClient]:
    monkeypatch.setattr(rate_limit, "BACKOFF_SECONDS", 0.001)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with contextlib.ExitStack() as stack:

        def make(base: Vendor | str, **options: Any) -> Client:
            url = base if isinstance(base, str) else base.url
            defaults = {"name": "acme", "config": CONFIG, "timeout": 20, "retry_seconds": 20}
            made = Client(base_url=url, **{**defaults, **options})
            stack.callback(made.close)
            return made

        yield make


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


# --- requests and answers ----------------------------------------------------------------------------


def test_an_answer_is_read_to_its_end(vendor: StartVendor, client: MakeClient) -> None:
    server = vendor(Say(200, b'{"a": 1}', {"Content-Type": "Application/JSON; charset=utf-8", "X-Page": "1"}))
    reply = client(server).send(GET)
    assert (reply.status, reply.body, reply.media_type) == (200, b'{"a": 1}', "application/json")
    assert reply.headers["x-page"] == "1"
    assert datetime.now(UTC) - reply.received < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("base", "path", "target"),
    [
        ("", "/detail/1", "/detail/1"),
        ("/a/b", "/detail/1", "/a/b/detail/1"),
        ("/a/b/", "detail/1", "/a/b/detail/1"),
        ("/a/b", "", "/a/b"),
        ("/a/b", "//evil.test/x", "/a/b/evil.test/x"),
        ("/a/b", "/x?y=1", "/a/b/x?y=1"),
    ],
)
def test_paths_are_joined_to_the_base_url(
    vendor: StartVendor, client: MakeClient, base: str, path: str, target: str
) -> None:
    server = vendor(say(200))
    client(server.url + base).send(Request("GET", path))
    assert server.got[0].target == target


def test_what_is_sent(vendor: StartVendor, client: MakeClient) -> None:
    server = vendor(say(200))
    client(server).send(Request("POST", "/find", {"q": "a b&c", "p": "2"}, {"Accept": "application/xml"}, b"\x00body"))
    (got,) = server.got
    assert (got.method, got.target, got.body) == ("POST", "/find?q=a+b%26c&p=2", b"\x00body")
    assert got.headers["accept"] == "application/xml"
    assert got.headers["accept-encoding"] == "gzip"
    product, name = got.headers["user-agent"].split(" ")
    assert product.startswith("vendortap/")
    assert product != "vendortap/"
    assert name == "(acme)"


def test_gzip_is_undone(vendor: StartVendor, client: MakeClient) -> None:
    body = b'{"a": 1}' * 1000
    packed = gzip.compress(body[:4000]) + gzip.compress(body[4000:])  # two members, RFC 1952, 2.2
    tap = client(vendor(Say(200, packed, {"Content-Encoding": "GZip"})))
    assert tap.send(GET).body == body
    assert tap.traffic.bytes == len(packed)


def test_an_encoding_that_was_not_asked_for_is_refused(vendor: StartVendor, client: MakeClient) -> None:
    server = vendor(Say(200, zlib.compress(b"{}"), {"Content-Encoding": "deflate"}))
    with pytest.raises(BodyError, match="acme: GET /invoices answered in a content encoding other than gzip"):
        client(server).send(GET)


def test_connections_are_reused_whatever_the_answer(vendor: StartVendor, client: MakeClient) -> None:
    server = vendor(
        script(
            say(200, {"a": 1}),
            say(204),
            Say(200, gzip.compress(b"{}"), {"Content-Encoding": "gzip"}),
            say(404, {"message": "no"}),
            say(503),
            say(200),
        )
    )
    tap = client(server)
    for _ in range(3):
        tap.send(GET)
    with pytest.raises(MissingError):
        tap.send(GET)
    tap.send(GET)
    assert len(server.got) == 6
    assert server.connections == 1


def test_chunked_answers_keep_their_connection(vendor: StartVendor, client: MakeClient) -> None:
    server = vendor(Say(200, b"", None))
    server.RequestHandlerClass = ChunkedHandler
    tap = client(server)
    assert [tap.send(GET).body for _ in range(3)] == [b"abcdef"] * 3
    assert server.connections == 1


class ChunkedHandler(Handler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n")


def test_there_are_never_more_connections_than_asked_for(vendor: StartVendor, client: MakeClient) -> None:
    server = vendor(say(200))
    tap = client(server, connections=3)
    assert len(in_threads(12, lambda: tap.send(GET))) == 12
    assert len(server.got) == 12
    assert server.connections <= 3


@pytest.mark.promise("Credentials come from the settings alone, and no cookie is kept")
def test_cookies_are_not_kept(vendor: StartVendor, client: MakeClient) -> None:
    server = vendor(say(200, Set_Cookie="session=1; Path=/"))
    tap = client(server)
    tap.send(GET)
    tap.send(GET)
    assert "cookie" not in server.got[1].headers


# --- addresses ---------------------------------------------------------------------------------------


@pytest.mark.promise("Only https is spoken, or http with this machine")
@pytest.mark.parametrize(
    "url",
    [
        "http://api.test/v1",
        "http://127.0.0.1.evil.test",
        "http://128.0.0.1",
        "http://127.1",
        "http://[2001:db8::1]",
        "ftp://api.test",
        "api.test/v1",
        "/v1",
        "",
        "https://",
        "https://[::1",
        "https://user:s3cr3t@api.test",
        "https://api.test/v1?key=s3cr3t",
        "https://api.test/v1#s3cr3t",
    ],
)
def test_a_base_url_must_be_safe(client: MakeClient, url: str) -> None:
    with pytest.raises(ConfigError, match="acme: ") as caught:
        client(url)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://api.test", "http://localhost:1", "http://127.0.0.2", "http://127.0.0.1:80", "http://[::1]:5"]
)
def test_base_urls_that_are_safe(client: MakeClient, url: str) -> None:
    client(url)


def test_plain_http_is_named_as_the_reason(client: MakeClient, vendor: StartVendor) -> None:
    with pytest.raises(ConfigError, match=r"http://api\.test would show credentials .* use https"):
        client("http://api.test")
    with pytest.raises(ConfigError, match=r"http://login\.test"):
        client(vendor(say(200)), auth=[issuer("http://login.test/token")]).send(GET)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://api.test/v1/", "the setting 'base_url': http://api.test would show"),
        ("api.test/v1", "the setting 'base_url' is not an absolute https URL"),
        ("https://user:s3cr3t@api.test", "the setting 'base_url' has a user name in it"),
        ("https://api.test?x=s3cr3t", "the setting 'base_url' has a '?' or '#'"),
    ],
)
def test_the_setting_that_holds_a_wrong_url_is_named(client: MakeClient, url: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        client(url, config={**CONFIG, "other": "h", "format": "http", "base_url": url})
    assert str(caught.value).startswith(f"acme: {said}")
    assert "s3cr3t" not in str(caught.value)


def test_the_setting_of_a_wrong_token_url_is_named_and_one_that_is_no_setting_is_not_made_up(
    vendor: StartVendor, client: MakeClient
) -> None:
    server, flow = vendor(say(200)), issuer("http://login.test/token")
    config = {**CONFIG, "base_url": server.url}
    with pytest.raises(ConfigError, match=r"^acme: the setting 'token_url': http://login\.test would show"):
        client(server, config={**config, "token_url": "http://login.test"}, auth=[flow]).send(GET)
    with pytest.raises(ConfigError, match=r"^acme: a URL of the connector's: http://login\.test would show"):
        client(server, config=config, auth=[flow]).send(GET)


@pytest.mark.promise("Credentials go to the origin of the base URL only")
def test_an_absolute_url_passes_as_it_is_but_without_credentials(vendor: StartVendor, client: MakeClient) -> None:
    home, elsewhere = vendor(say(200)), vendor(say(200))
    tap = client(home.url + "/v1", auth=[auth.api_key(header="X-Key", setting="key")])
    tap.send(Request("GET", f"{home.url}/next?page=2"))
    tap.send(Request("GET", f"{elsewhere.url}/next?page=2"))
    assert (home.got[0].target, home.got[0].headers["x-key"]) == ("/next?page=2", SECRET)
    assert elsewhere.got[0].target == "/next?page=2"
    assert SECRET not in str(elsewhere.got)


def test_connections_are_kept_to_ten_origins_and_closed_with_the_client(
    vendor: StartVendor, client: MakeClient
) -> None:
    servers = [vendor(say(200)) for _ in range(2 * ORIGINS)]
    tap = client(servers[0])

    def open_connections() -> int:
        return sum(server.connections - server.closed for server in servers)

    def settled(count: int) -> int:
        deadline = time.monotonic() + 10
        while open_connections() > count and time.monotonic() < deadline:
            time.sleep(0.01)
        return open_connections()

    for server in [*servers, *servers]:
        tap.send(Request("GET", f"{server.url}/x"))
    assert [len(server.got) for server in servers] == [2] * len(servers)
    assert settled(ORIGINS) == ORIGINS
    tap.close()
    assert settled(0) == 0


def test_a_401_from_elsewhere_renews_nothing(vendor: StartVendor, client: MakeClient) -> None:
    home, elsewhere = vendor(Say(200, b"tok")), vendor(say(401))
    tap = client(home, auth=[issuer()])
    with pytest.raises(CredentialsError, match=r"GET 127\.0\.0\.1/x answered 401"):
        tap.send(Request("GET", f"{elsewhere.url}/x"))
    assert home.got == []


@pytest.mark.promise("Credentials come from the settings alone, and no cookie is kept")
def test_netrc_is_not_used(
    vendor: StartVendor, client: MakeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login mallory password swordfish\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    server = vendor(say(200))
    client(server, auth=[auth.bearer(setting="key")]).send(GET)
    client(server).send(GET)
    assert [got.headers.get("authorization") for got in server.got] == [f"Bearer {SECRET}", None]


def test_the_proxy_of_the_environment_is_used(
    vendor: StartVendor, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, home = vendor(say(403)), vendor(say(200))
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    with pytest.raises(TransportError, match="the proxy answered 403"):
        client("https://api.test/v1", retry_seconds=0).send(GET)
    assert [(got.method, got.target) for got in proxy.got] == [("CONNECT", "api.test:443")]
    client(home).send(GET)
    assert len(proxy.got) == 1, "plain http to this machine must not leave it through a proxy"


# --- TLS ---------------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path: Path) -> str:
    path = tmp_path / "certificate.pem"
    path.write_text(CERTIFICATE)
    return str(path)


def test_an_unknown_certificate_is_refused_at_once(vendor: StartVendor, client: MakeClient, certificate: str) -> None:
    server = vendor(say(200), certificate)
    with pytest.raises(TransportError, match=r"certificate cannot be verified .*REQUESTS_CA_BUNDLE"):
        client(server, auth=[auth.bearer(setting="key")]).send(GET)
    assert (server.connections, server.got) == (1, [])


def test_the_ca_bundle_of_the_environment_is_used(
    vendor: StartVendor, client: MakeClient, certificate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificate)
    server = vendor(say(200), certificate)
    assert client(server).send(GET).status == 200
    with pytest.raises(TransportError, match="certificate cannot be verified"):
        client(server.url.replace("127.0.0.1", "localhost")).send(GET)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificate + ".gone")
    with pytest.raises(ConfigError, match="REQUESTS_CA_BUNDLE"):
        client(server)


@pytest.mark.parametrize(("code", "attempts"), [(socket.EAI_NONAME, 1), (socket.EAI_AGAIN, 3)])
def test_a_name_that_does_not_exist_is_not_asked_for_again(
    client: MakeClient, monkeypatch: pytest.MonkeyPatch, code: int, attempts: int
) -> None:
    def resolve(*_: Any, **__: Any) -> Any:
        if tap.traffic.requests == attempts:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        raise socket.gaierror(code, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    tap = client("https://api.test")
    with pytest.raises(TransportError, match="the host name cannot be resolved"):
        tap.send(GET)
    assert tap.traffic.requests == attempts


# --- statuses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, UnavailableError),
        (304, UnavailableError),
        (400, RefusedError),
        (401, CredentialsError),
        (403, CredentialsError),
        (404, MissingError),
        (409, RefusedError),
        (410, RefusedError),
        (422, RefusedError),
        (501, UnavailableError),
        (505, UnavailableError),
        (599, TransportError),
    ],
)
def test_statuses_that_are_errors(
    vendor: StartVendor, client: MakeClient, status: int, kind: type[VendortapError]
) -> None:
    server = vendor(Say(status))
    with pytest.raises(kind, match=rf"^acme: GET /invoices answered {status}\b") as caught:
        client(server, retry_seconds=0).send(GET)
    assert type(caught.value) is kind
    assert len(server.got) == 1


@pytest.mark.promise("What passes by itself is retried: 408, 429, 5xx, and answers that break off")
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 520])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_statuses_that_are_retried(vendor: StartVendor, client: MakeClient, status: int, method: str) -> None:
    server = vendor(script(Say(status), Say(status), Say(200, b"ok")))
    tap = client(server)
    assert tap.send(Request(method, "/x", body=b"q" if method == "POST" else None)).body == b"ok"
    assert len(server.got) == 3
    assert server.got[0] == server.got[2]
    assert (tap.traffic.requests, tap.traffic.retries, tap.traffic.bytes) == (3, 2, 2)


def test_what_the_sentence_says(vendor: StartVendor, client: MakeClient) -> None:
    server = vendor(say(404, {"message": "No such invoice."}))
    with pytest.raises(MissingError) as caught:
        client(server.url + "/v1").send(Request("GET", "/detail/1/2", {"key": "abc"}))
    assert str(caught.value) == (
        "acme: GET /v1/detail/1/2 answered 404 Not Found: No such invoice. "
        "The vendor does not have it; check what was asked for."
    )


def test_redirects_are_not_followed(vendor: StartVendor, client: MakeClient) -> None:
    target = vendor(say(200))
    place = f"{target.url.replace('127.0.0.1', 'localhost')}/in?key=abc"
    server = vendor(script(say(302, Location=place), say(307, Location="/in"), say(308, Location="http://[")))
    tap = client(server, auth=[auth.api_key(header="X-Key", setting="key")])
    with pytest.raises(RefusedError, match=r"302 Found\. It redirects to localhost\. ") as caught:
        tap.send(GET)
    assert "key" not in str(caught.value)
    for _ in range(2):
        with pytest.raises(RefusedError, match="redirects to another path"):
            tap.send(GET)
    assert target.got == []


# --- retries -----------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\n"
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


BIG = b"x" * 3_000_000


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Say(200, BIG), id="declared"),
        pytest.param(HEAD + b"\r\n" + BIG, id="undeclared"),
        pytest.param(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"100000\r\n%b\r\n" % BIG[:1048576] * 3, id="chunked"
        ),
        pytest.param(Say(200, gzip.compress(BIG), {"Content-Encoding": "gzip"}), id="compressed"),
        pytest.param(HEAD + b"Content-Length: 999999999999\r\n\r\nx", id="declared and not sent"),
        pytest.param(Say(500, BIG), id="of an error"),
    ],
)
def test_a_body_that_is_too_large_is_refused_at_once(vendor: StartVendor, client: MakeClient, answer: Answer) -> None:
    """No reply takes more memory than `max_body_mb` allows, however small it is on the wire."""
    server = vendor(answer)
    tap = client(server, max_body=2_000_000)
    with pytest.raises(BodyError, match=r"^acme: GET /invoices answered with more than 2 MB \(max_body_mb\)"):
        tap.send(GET)
    assert len(server.got) == 1


def test_a_body_may_be_as_large_as_is_allowed(vendor: StartVendor, client: MakeClient) -> None:
    for answer in (Say(200, BIG), Say(200, gzip.compress(BIG), {"Content-Encoding": "gzip"}), HEAD + b"\r\n" + BIG):
        tap = client(vendor(answer), max_body=len(BIG))
        assert tap.send(GET).body == BIG
    assert tap.traffic.bytes == len(BIG)


def test_after_a_body_that_was_not_read_the_connection_is_not_used_again(
    vendor: StartVendor, client: MakeClient
) -> None:
    server = vendor(script(Say(200, BIG), say(200, "ok")))
    tap = client(server, max_body=1000, connections=1)
    with pytest.raises(BodyError):
        tap.send(GET)
    assert tap.send(GET).body == b'"ok"'
    assert server.connections == 2


def test_what_means_that_a_record_is_missing_may_be_the_vendors_own(vendor: StartVendor, client: MakeClient) -> None:
    def missing(reply: Reply) -> bool:
        return reply.status == 404 or (reply.status == 500 and b"404 inside" in reply.body)

    server = vendor(say(500, {"message": "404 inside"}))
    with pytest.raises(MissingError, match="500 Internal Server Error: 404 inside"):
        client(server, missing=missing).send(GET)
    assert len(server.got) == 2, "a 5xx may pass, and is asked for again"
    server = vendor(script(say(500, {"message": "404 inside"}), say(200, "ok")))
    assert client(server, missing=missing).send(GET).body == b'"ok"'
    server = vendor(script(say(500), say(404)))
    with pytest.raises(MissingError):
        client(server, missing=missing).send(GET)


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
    [("21", "21"), ("86400", "86400"), ("9" * 400, "inf"), ("Fri, 31 Dec 9999 23:59:59 GMT", r"\d{9,}")],
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
        ({"retry_after": "9" * 5000}, float("inf")),
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


# --- the token bucket --------------------------------------------------------------------------------


class Clock:
    """Nanoseconds that are moved by hand."""

    def __init__(self) -> None:
        self.now = 5_000_000_000

    def __call__(self) -> int:
        return self.now


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    clock = Clock()
    bucket = TokenBucket(10, 3, clock, slack=0)
    assert [bucket.take() for _ in range(4)] == [0, 0, 0, 100_000_000]
    clock.now += 99_999_999
    assert bucket.take() == 1
    clock.now += 1
    assert [bucket.take(), bucket.take()] == [0, 100_000_000]
    clock.now += 10**12
    assert [bucket.take() for _ in range(4)] == [0, 0, 0, 100_000_000], "no more than the burst is saved up"


def test_what_follows_a_burst_comes_later_by_the_slack_and_no_slower() -> None:
    """The vendor's bucket begins with the arrival of the first request, which comes late."""
    clock = Clock()
    bucket = TokenBucket(10, 3, clock, slack=30_000_000)
    assert [bucket.take() for _ in range(3)] == [0, 0, 30_000_000]
    clock.now += 30_000_000
    for _ in range(5):
        assert [bucket.take(), bucket.take()] == [0, 100_000_000]
        clock.now += 100_000_000


def test_slack_takes_nothing_from_a_bucket_without_burst() -> None:
    clock = Clock()
    bucket = TokenBucket(10, 1, clock)
    for _ in range(5):
        assert [bucket.take(), bucket.take()] == [0, 100_000_000]
        clock.now += 100_000_000


def test_a_bucket_without_rate_lets_everything_through() -> None:
    clock = Clock()
    bucket = TokenBucket(None, clock=clock)
    assert [bucket.take() for _ in range(1000)] == [0] * 1000
    bucket.pause(2)
    assert bucket.take() == 2_000_000_000
    clock.now += 2_000_000_000
    assert bucket.take() == 0


def test_after_a_pause_a_bucket_starts_without_a_burst() -> None:
    clock = Clock()
    bucket = TokenBucket(10, 5, clock, slack=0)
    bucket.pause(3)
    bucket.pause(1)  # a shorter one does not end a longer one
    assert bucket.take() == 3_000_000_000
    clock.now += 3_000_000_000
    assert [bucket.take(), bucket.take()] == [0, 100_000_000]


@pytest.mark.promise("In no interval are there more requests than burst and rate allow", figure="100 histories")
@settings(deadline=None)
@given(
    rate=st.floats(0.01, 1e6),
    burst=st.integers(1, 20),
    slack=st.integers(0, 10**9),
    steps=st.lists(
        st.one_of(
            st.integers(0, 3 * 10**9),
            st.integers(0, 10**6),
            st.just("pause"),
        ),
        max_size=120,
    ),
)
def test_in_no_interval_are_there_more_permits_than_burst_and_rate_allow(
    rate: float, burst: int, slack: int, steps: list[int | str]
) -> None:
    clock = Clock()
    bucket = TokenBucket(rate, burst, clock, slack)
    permits: list[int] = []
    for step in steps:
        if isinstance(step, str):
            bucket.pause(0.5)
        else:
            clock.now += step
        waits = [bucket.take() for _ in range(burst + 1)]
        permits += [clock.now] * waits.count(0)
        wait = waits[-1]
        if wait and isinstance(step, int) and step % 2:  # ask exactly when told to
            clock.now += wait
            assert bucket.take() == 0
            permits.append(clock.now)
    exact = Fraction(rate)
    for first, start in enumerate(permits):
        for count, end in enumerate(permits[first:], 1):
            assert count <= burst + exact * Fraction(end - start, 10**9)


def test_a_lowered_rate_gives_no_second_burst() -> None:
    clock = Clock()
    bucket = TokenBucket(10, 3, clock, slack=0)
    assert [bucket.take() for _ in range(3)] == [0, 0, 0]
    bucket.change(1)
    assert bucket.take() == 1_000_000_000
    clock.now += 1_000_000_000
    assert [bucket.take(), bucket.take()] == [0, 1_000_000_000]
    clock.now += 10**12
    assert [bucket.take() for _ in range(4)] == [0, 0, 0, 1_000_000_000]


def test_a_raised_rate_does_not_wait_for_what_the_old_one_owed() -> None:
    clock = Clock()
    bucket = TokenBucket(0.001, 1, clock, slack=0)
    assert [bucket.take(), bucket.take()] == [0, 10**12]
    bucket.change(1000)
    assert bucket.take() == 1_000_000


def test_the_same_rate_again_changes_nothing() -> None:
    clock = Clock()
    bucket = TokenBucket(10, 3, clock, slack=0)
    bucket.take()
    for _ in range(5):
        clock.now += 10_000_000
        bucket.change(10)
    assert [bucket.take() for _ in range(3)] == [0, 0, 50_000_000]


@pytest.mark.parametrize("rate", [0.5, 10, 1e4])
def test_a_pause_lasts_as_long_as_it_was_to_last_whatever_the_rate_becomes(rate: float) -> None:
    clock = Clock()
    bucket = TokenBucket(10, 5, clock, slack=0)
    bucket.pause(3)
    clock.now += 1_000_000_000
    bucket.change(rate)
    assert bucket.take() == 2_000_000_000
    clock.now += 2_000_000_000
    assert [bucket.take(), bucket.take()] == [0, int(1e9 / rate)]


@settings(deadline=None)
@given(
    rates=st.lists(st.floats(0.1, 1000), min_size=1, max_size=8),
    burst=st.integers(1, 10),
    gaps=st.lists(st.integers(0, 10**9), min_size=8, max_size=8),
)
def test_however_the_rate_changes_there_are_no_more_permits_than_it_allows(
    rates: list[float], burst: int, gaps: list[int]
) -> None:
    clock = Clock()
    bucket = TokenBucket(rates[0], burst, clock, slack=0)
    permits, allowed = 0, Fraction(burst)
    for rate, gap in zip(rates, gaps, strict=False):
        bucket.change(rate)
        clock.now += gap
        allowed += Fraction(rate) * Fraction(gap, 10**9)
        while bucket.take() == 0:
            permits += 1
        assert permits <= allowed + Fraction(len(rates), 10**6), "but for what integer nanoseconds round off"


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


def test_traffic_counts_in_threads() -> None:
    traffic = Traffic()

    def count() -> None:
        for _ in range(500):
            traffic.add(requests=1, size=2)

    in_threads(8, count)
    assert (traffic.requests, traffic.bytes, traffic.retries) == (4000, 8000, 0)


# --- a limit for each endpoint, and what replies say of it -------------------------------------------


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


def saying(**pace: float) -> Callable[[Reply], Pace | None]:
    return lambda _: Pace(**pace)


@pytest.mark.parametrize("limit", [Limit(1000, 10), Limit(1000, 10, adaptive=False), None])
def test_a_pause_that_a_reply_asks_for_is_kept(vendor: StartVendor, client: MakeClient, limit: Limit | None) -> None:
    tap = client(vendor(say(200)), limit=limit, pace=saying(pause_seconds=0.4))
    began = time.monotonic()
    tap.send(GET)
    assert tap.traffic.waited_seconds < 0.4
    tap.send(GET)
    assert time.monotonic() - began >= 0.4


def test_a_pause_is_no_longer_than_a_retry_may_take(vendor: StartVendor, client: MakeClient) -> None:
    tap = client(vendor(say(200)), limit=Limit(1000, 10), pace=saying(pause_seconds=1e9), retry_seconds=0.2)
    tap.send(GET)
    began = time.monotonic()
    tap.send(GET)
    assert 0.1 < time.monotonic() - began < 20


def test_an_adaptive_limit_follows_the_vendor_up_and_down(
    vendor: StartVendor, client: MakeClient, patience: Patience
) -> None:
    server = vendor(say(200))
    up = client(server, limit=Limit(0.0001, 1), pace=saying(rate=1000), stop=patience.stop)
    assert patience.passes(up, *[GET] * 5)
    down = client(server, limit=Limit(1000, 1), pace=saying(rate=0.0001), stop=patience.stop)
    assert patience.passes(down, GET)
    assert patience.waits(down, GET, GET)  # there may be a permit from before


@pytest.mark.parametrize(("own", "said"), [(0.0001, 1000), (1000, 0.0001)])
def test_an_operators_own_limit_is_only_ever_lowered(
    vendor: StartVendor, client: MakeClient, patience: Patience, own: float, said: float
) -> None:
    limit = Limit(own, 1, adaptive=False)
    tap = client(vendor(say(200)), limit=limit, pace=saying(rate=said), stop=patience.stop)
    assert patience.passes(tap, GET)
    assert patience.waits(tap, GET, GET)  # there may be a permit from before


def test_without_a_limit_no_rate_is_kept(vendor: StartVendor, client: MakeClient, patience: Patience) -> None:
    tap = client(vendor(say(200)), pace=saying(rate=0.0001), stop=patience.stop)
    assert patience.passes(tap, GET, GET, GET)


def test_refusals_are_heeded_too(vendor: StartVendor, client: MakeClient, patience: Patience) -> None:
    def pace(reply: Reply) -> Pace | None:
        return Pace(rate=0.0001) if reply.status == 404 else None

    tap = client(vendor(say(404)), limit=Limit(1000, 1), pace=pace, stop=patience.stop)
    with pytest.raises(MissingError):
        tap.send(GET)
    assert patience.waits(tap, GET, GET)  # there may be a permit from before


# --- what every request carries ----------------------------------------------------------------------


def test_fresh_headers_are_made_for_every_attempt_of_the_vendors_own_requests_only(
    vendor: StartVendor, client: MakeClient
) -> None:
    numbers = iter(range(100))
    elsewhere = vendor(say(200))
    answers = {"/token": script(Say(200, b"tok")), "/invoices": script(say(503), Reset(), say(401), say(500), say(200))}
    server = vendor(lambda got: answers[got.target](got))
    tap = client(server, auth=[issuer()], headers=lambda: {"X-Call": f"call-{next(numbers)}"})
    tap.send(GET)
    tap.send(Request("GET", f"{elsewhere.url}/x"))
    calls = [got.headers.get("x-call") for got in server.got if got.target == "/invoices"]
    assert calls == ["call-0", "call-1", "call-2", "call-3", "call-4"]
    token_calls = [got for got in server.got if got.target == "/token"]
    assert len(token_calls) == 2
    assert all("x-call" not in got.headers for got in [*token_calls, *elsewhere.got])


@pytest.mark.parametrize("trace", ["x-request-id", "X-Request-Id"])
def test_messages_quote_the_vendors_id_of_the_reply(
    vendor: StartVendor, client: MakeClient, trace: str, caplog: pytest.LogCaptureFixture
) -> None:
    answers = script(say(503, X_Request_ID="first"), say(403, {"message": "No."}, X_Request_ID=f"abc {SECRET}"))
    tap = client(vendor(answers), trace=trace, secrets=[SECRET])
    with pytest.raises(CredentialsError, match=r"answered 403 Forbidden \(request id abc \*\*\*\): No\. The vendor"):
        tap.send(GET)
    assert "503 Service Unavailable (request id first). Trying again" in caplog.text


def test_without_such_an_id_messages_do_without(vendor: StartVendor, client: MakeClient) -> None:
    for options in ({"trace": "x-request-id"}, {}):
        with pytest.raises(CredentialsError, match=r"answered 403 Forbidden\. The vendor"):
            client(vendor(say(403)), **options).send(GET)


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


def test_answers_are_counted_by_how_long_they_took(vendor: StartVendor, client: MakeClient) -> None:
    def answer(got: Got) -> Answer:
        time.sleep(0.3 if got.target == "/slow" else 0)
        return say(404 if got.target == "/none" else 200)

    tap = client(vendor(answer))
    tap.send(GET)
    tap.send(Request("GET", "/slow"))
    with pytest.raises(MissingError):
        tap.send(Request("GET", "/none"))
    assert sum(tap.traffic.latencies) == 3
    assert (slowest := latency.quantile(tap.traffic.latencies, 1))
    assert 0.3 * 10**-0.1 < slowest < 10


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


# --- credentials -------------------------------------------------------------------------------------


class Login:
    """Answers of a vendor whose tokens are numbered; only the newest is valid, where ``valid`` says so."""

    def __init__(self, valid: Callable[[int], bool] = lambda _: True) -> None:
        self.issued = 0
        self.valid = valid
        self.lock = threading.Lock()

    def __call__(self, got: Got) -> Answer:
        with self.lock:
            if got.target == "/token":
                assert "authorization" not in got.headers
                self.issued += 1
                return Say(200, f"tok-{self.issued}".encode())
            good = got.headers["authorization"] == f"Bearer tok-{self.issued}" and self.valid(self.issued)
            return say(200) if good else say(401, {"message": "token expired"})


def test_flows_are_merged(vendor: StartVendor, client: MakeClient) -> None:
    server = vendor(say(200))
    flows = [auth.api_key(header="X-Key", setting="key"), auth.optional("none", issuer()), auth.bearer(setting="id")]
    client(server, auth=flows).send(GET)
    (got,) = server.got
    assert (got.headers["x-key"], got.headers["authorization"]) == (SECRET, "Bearer client-1")


def test_client_credentials_end_to_end(vendor: StartVendor, client: MakeClient) -> None:
    login = vendor(say(200, {"access_token": "abc", "token_type": "Bearer", "expires_in": 3600}))
    server = vendor(say(200))
    flow = auth.client_credentials(token_url=f"{login.url}/token", client_id="id", client_secret="key")
    tap = client(server, auth=[flow, auth.api_key(header="X-Key", setting="key")])
    tap.send(GET)
    tap.send(GET)
    assert [got.headers["authorization"] for got in server.got] == ["Bearer abc"] * 2
    (call,) = login.got
    assert (call.method, call.target) == ("POST", "/token")
    assert not {"authorization", "x-key"} & set(call.headers)


def test_sixteen_threads_share_one_token(vendor: StartVendor, client: MakeClient) -> None:
    login = Login()
    tap = client(vendor(login), auth=[issuer(expires_in=3600)], connections=16)
    assert [reply.status for reply in in_threads(16, lambda: tap.send(GET))] == [200] * 16
    assert login.issued == 1


@pytest.mark.promise("Threads share credentials: a storm of 401 renews them once")
def test_a_storm_of_401_renews_once(vendor: StartVendor, client: MakeClient) -> None:
    login = Login()
    everyone = threading.Barrier(16)

    def answer(got: Got) -> Answer:
        if got.headers.get("authorization") == "Bearer tok-1":
            everyone.wait(20)  # all sixteen are under way with the old token before anyone is told
            return say(401)
        return login(got)

    tap = client(vendor(answer), auth=[issuer()], connections=16)
    assert [reply.status for reply in in_threads(16, lambda: tap.send(GET))] == [200] * 16
    assert login.issued == 2


def test_a_second_401_is_an_error(vendor: StartVendor, client: MakeClient) -> None:
    login = Login(valid=lambda _: False)
    tap = client(vendor(login), auth=[issuer()])
    with pytest.raises(CredentialsError, match=r"answered 401 Unauthorized: token expired\. The vendor refuses"):
        tap.send(GET)
    assert (login.issued, tap.traffic.requests) == (2, 4)


def test_static_credentials_are_not_tried_twice(vendor: StartVendor, client: MakeClient) -> None:
    server = vendor(say(401))
    with pytest.raises(CredentialsError):
        client(server, auth=[auth.bearer(setting="key")]).send(GET)
    assert len(server.got) == 1


@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_vendor_may_say_otherwise_that_a_token_is_invalid(
    vendor: StartVendor, client: MakeClient, status: int
) -> None:
    login = Login()

    def answer(got: Got) -> Answer:
        if got.headers.get("authorization") == "Bearer tok-1":
            return Say(status, b"<fault>InvalidToken</fault>")
        return login(got)

    expired = lambda reply: b"InvalidToken" in reply.body  # noqa: E731 - one line says it
    tap = client(vendor(answer), auth=[issuer()], expired=expired)
    assert tap.send(GET).status == 200
    assert (login.issued, tap.traffic.retries) == (2, 0)
    static = client(vendor(Say(status, b"InvalidToken")), auth=[auth.bearer(setting="key")], expired=expired)
    with pytest.raises(CredentialsError):
        static.send(GET)


@pytest.mark.parametrize("status", [400, 401, 403])
def test_refused_token_calls_are_credentials_errors_and_asked_once(
    vendor: StartVendor, client: MakeClient, status: int
) -> None:
    document = {"error": "invalid_client", "error_description": f"Bad secret {SECRET}"}
    server = vendor(say(status, document))
    tap = client(server, auth=[issuer()], connections=8)
    results = in_threads(8, lambda: tap.send(GET))
    assert {type(result) for result in results} == {CredentialsError}
    assert len({str(result) for result in results}) == 1
    assert f"acme: POST /token answered {status}" in str(results[0])
    assert "Bad secret ***. The vendor refuses the credentials" in str(results[0])
    with pytest.raises(CredentialsError):
        tap.send(GET)
    assert len(server.got) == 1


def test_a_failed_renewal_is_told_to_all_threads(vendor: StartVendor, client: MakeClient) -> None:
    everyone = threading.Barrier(8)
    tokens = script(Say(200, b"tok-1"), say(400, {"error": "invalid_grant"}))
    calls = []

    def answer(got: Got) -> Answer:
        if got.target == "/token":
            calls.append(got)
            return tokens(got)
        everyone.wait(20)
        return say(401)

    tap = client(vendor(answer), auth=[issuer()], connections=8)
    results = in_threads(8, lambda: tap.send(GET))
    assert {type(result) for result in results} == {CredentialsError}
    assert len(calls) == 2


def test_token_calls_are_retried_like_others(vendor: StartVendor, client: MakeClient) -> None:
    login = vendor(script(say(503), Reset(), Say(200, b"tok")))
    tap = client(vendor(say(200)), auth=[issuer(f"{login.url}/token")])
    assert tap.send(GET).status == 200
    assert (tap.traffic.requests, tap.traffic.retries) == (4, 2)


def test_a_missing_token_endpoint_is_no_missing_invoice(vendor: StartVendor, client: MakeClient) -> None:
    with pytest.raises(RefusedError, match=r"answered 404 Not Found\. No token could be had; check the"):
        client(vendor(say(404)), auth=[issuer()]).send(GET)


def rotating(url: str = "/token") -> Authorize:
    return auth.refresh_token(token_url=url, refresh_token="key", client_id="id")


def test_a_rotated_token_is_on_disk_before_it_is_used_and_is_what_the_next_client_begins_with(
    vendor: StartVendor, client: MakeClient, tmp_path: Path
) -> None:
    path = tmp_path / "tokens.json"
    sent: list[str] = []
    kept: list[str] = []

    def answer(got: Got) -> Answer:
        if got.target != "/token":
            kept.append(path.read_text())
            return say(200)
        sent.append(parse_qs(got.body.decode())["refresh_token"][0])
        return say(200, {"access_token": f"tok-{len(sent)}", "refresh_token": f"refresh-{len(sent)}"})

    server = vendor(answer)
    for _ in range(3):
        client(server, auth=[rotating()], memory=Memory(path)).send(GET)
    assert sent == [SECRET, "refresh-1", "refresh-2"]
    assert [f'"refresh-{number}"' in text for number, text in enumerate(kept, 1)] == [True] * 3
    client(server, auth=[rotating()]).send(GET)
    assert sent[-1] == SECRET, "without a file nothing is kept"


def test_a_token_file_that_could_not_be_written_stops_before_a_token_is_asked_for(
    vendor: StartVendor, client: MakeClient, tmp_path: Path
) -> None:
    server = vendor(say(200))
    with pytest.raises(ConfigError, match="cannot be written; check the setting 'token_file'"):
        client(server, auth=[rotating()], memory=Memory(tmp_path / "none" / "tokens.json")).send(GET)
    assert server.got == []


def test_what_was_remembered_is_a_secret_too(vendor: StartVendor, client: MakeClient, tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    login = script(say(200, {"access_token": "tok", "refresh_token": "rotated-1"}), say(400, {"error": "no rotated-1"}))
    server = vendor(lambda got: login(got) if got.target == "/token" else say(200))
    client(server, auth=[rotating()], memory=Memory(path)).send(GET)
    with pytest.raises(CredentialsError, match=r"400 Bad Request: no \*\*\*\."):
        client(server, auth=[rotating()], memory=Memory(path)).send(GET)


@pytest.mark.parametrize(
    ("status", "kind"), [(400, CredentialsError), (401, CredentialsError), (404, UnavailableError)]
)
def test_a_flow_is_thrown_the_refusal_of_its_token_call_and_may_go_another_way(
    vendor: StartVendor, client: MakeClient, status: int, kind: type[VendorError]
) -> None:
    thrown: list[VendorError] = []

    def flow(config: Config) -> Generator[Request, Reply, Credentials]:
        try:
            yield Request("POST", "/renew")
        except VendorError as error:
            thrown.append(error)
        reply = yield Request("POST", "/login")
        return Credentials({"Authorization": reply.body.decode()})

    server = vendor(lambda got: say(status, {"message": "Gone."}) if got.target == "/renew" else Say(200, b"tok"))
    assert client(server, auth=[flow]).send(GET).status == 200
    assert [type(error) for error in thrown] == [kind]
    assert f"acme: POST /renew answered {status}" in str(thrown[0])
    assert server.got[-1].headers["authorization"] == "tok"


def test_what_a_flow_finds_wrong_is_told_with_the_connector(vendor: StartVendor, client: MakeClient) -> None:
    with pytest.raises(ConfigError, match=r"^acme: setting 'nope' is missing"):
        client(vendor(say(200)), auth=[auth.bearer(setting="nope")]).send(GET)


@pytest.mark.parametrize(("lifetime", "margin"), [(3600, 60), (600, 60), (100, 10), (5, 0.5)])
def test_credentials_are_renewed_shortly_before_their_end(lifetime: float, margin: float) -> None:
    now = 1000.0
    calls: list[Request] = []

    def send(request: Request) -> Reply:
        calls.append(request)
        return Reply(200, {}, b"tok", NOW)

    keyring = Keyring("acme", [issuer(expires_in=lifetime)], CONFIG, send, Redactor(), lambda: now)
    first = keyring.grant()
    now += lifetime - margin - 0.001
    assert keyring.grant() is first
    now += 0.002
    second = keyring.grant()
    assert second is not first
    assert keyring.grant() is second
    assert keyring.grant(invalid=first) is second, "what is no longer in use need not be renewed"
    assert len(calls) == 2


@pytest.mark.parametrize(
    "body",
    [
        b"grant_type=x&client_secret=pl4nted-secret",
        b'{"client_secret": "pl4nted-secret"}',
        b' {"auth": {"keys": [{"client_secret": "pl4nted-secret"}]}}',
        b'["pl4nted-secret"]',
        b"{client_secret=pl4nted-secret",
        b"[" * 100_000 + b"&client_secret=pl4nted-secret",
    ],
)
def test_what_a_token_call_sends_is_known_to_be_secret_in_any_form(body: bytes) -> None:
    def flow(_: Config) -> Generator[Request, Reply, Credentials]:
        reply = yield Request("POST", "/token", body=body)
        return Credentials({"Authorization": reply.body.decode()})

    redact = Redactor()
    Keyring("acme", [flow], CONFIG, lambda _: Reply(200, {}, b"tok", NOW), redact).grant()
    assert "pl4nted-secret" not in redact("the client secret pl4nted-secret is wrong")


def test_credentials_without_an_end_are_kept() -> None:
    now = 0.0
    keyring = Keyring("acme", [issuer()], CONFIG, lambda _: Reply(200, {}, b"tok", NOW), Redactor(), lambda: now)
    first = keyring.grant()
    now = 1e12
    assert keyring.grant() is first


@pytest.mark.parametrize("value", ["line\r\nX-Evil: s3cr3t", " s3cr3t", "s3cr3t\u2026", "s3cr3t\udc80"])
def test_a_header_that_cannot_be_sent_is_a_matter_of_settings(
    vendor: StartVendor, client: MakeClient, value: str
) -> None:
    server = vendor(say(200))
    tap = client(server, config={"key": value}, secrets=[value], auth=[auth.api_key(header="X-Key", setting="key")])
    with pytest.raises(ConfigError, match="acme: GET /invoices cannot be sent") as caught:
        tap.send(GET)
    assert "s3cr3t" not in str(caught.value)
    assert caught.value.__context__ is None
    assert server.got == []


# --- what messages and logs show ---------------------------------------------------------------------

XML = "application/xml"
SOAP = (
    '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault>'
    "<faultcode>s:Client</faultcode><faultstring>Go away</faultstring></s:Fault></s:Body></s:Envelope>"
)
JSON = "application/json"


@pytest.mark.parametrize(
    ("kind", "body", "message"),
    [
        (JSON, '{"message": "Go away"}', "Go away"),
        (JSON, '{"Message": "Go away"}', "Go away"),
        (JSON, '{"error": "no", "error_description": "Go away"}', "Go away"),
        (JSON, '{"error": "Go away"}', "Go away"),
        (JSON, '{"error": {"code": 5, "message": "Go away"}}', "Go away"),
        (JSON, '{"fault": {"faultstring": "Go away"}}', "Go away"),
        (JSON, '{"errors": [{"message": "Go away"}, {"message": "Not this"}]}', "Go away"),
        (JSON, '[{"message": "Go away"}]', "Go away"),
        ("application/problem+json; charset=utf-8", '{"title": "Bad", "detail": "Go away"}', "Go away"),
        (XML, "<Error><Message>Go away</Message></Error>", "Go away"),
        (XML, '<e:Error xmlns:e="urn:e"><e:Message xml:lang="en">Go away</e:Message></e:Error>', "Go away"),
        ("text/xml", SOAP, "Go away"),
        ("application/soap+xml", SOAP, "Go away"),
        (JSON, "", None),
        (JSON, "{}", None),
        (JSON, "[]", None),
        (JSON, "3", None),
        (JSON, "[" * 60_000, None),
        (JSON, '{"message": ', None),
        (JSON, '{"message": " "}', None),
        (JSON, '{"message": 5}', None),
        (JSON, '{"message": "Go away", "x": "' + "x" * 70_000 + '"}', None),
        (XML, "<Error><Message>", None),
        (XML, '<!DOCTYPE e [<!ENTITY a "Go away">]><e><message>&a;</message></e>', None),
        (XML, '<!DOCTYPE e SYSTEM "file:///etc/passwd"><e><message>Go away</message></e>', None),
        (XML, "<message>Go away</message>", "Go away"),
        ("text/html", "<html><message>Go away</message></html>", None),
        ("application/xhtml+xml", "<html><message>Go away</message></html>", None),
        ("text/plain", "Go away", None),
        ("", '{"message": "Go away"}', None),
    ],
)
def test_the_vendors_message_is_found(kind: str, body: str, message: str | None) -> None:
    reply = Reply(400, {"content-type": kind}, body.encode(), NOW)
    assert vendor_message(reply) == message


def test_entities_are_refused_in_other_encodings_too() -> None:
    body = '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE e [<!ENTITY a "b">]><e><message>&a;</message></e>'
    assert vendor_message(Reply(400, {"content-type": XML}, body.encode("utf-16"), NOW)) is None


@pytest.mark.promise("No message and no log line of the client holds a secret")
def test_secrets_are_neither_in_messages_nor_in_logs(
    vendor: StartVendor, client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("", "vendortap", "urllib3", "urllib3.connectionpool", "urllib3.util.retry", "requests"):
        caplog.set_level(logging.DEBUG, logger=name)
    hidden = ["conf-secret", "token-abc", "query-secret", "body-secret", "jane@acme.test", SECRET]
    echo = {"message": f"no {' '.join(hidden)}"}

    def answer(got: Got) -> Answer:
        if got.target == "/token":
            return Say(200, b"token-abc")
        if "reset" in got.target:
            return Reset()
        return Say(500 if "bad" in got.target else 400, json.dumps(echo).encode(), {"Content-Type": JSON})

    tap = client(
        vendor(answer), auth=[issuer()], secrets=["conf-secret", "query-secret", "body-secret"], retry_seconds=0.05
    )
    texts = []
    for path in ("/good", "/bad", "/reset"):
        with pytest.raises(VendortapError) as caught:
            tap.send(Request("POST", path, {"key": "query-secret"}, body=b"body-secret"))
        texts.append(str(caught.value))
        assert caught.value.__context__ is None, "the exceptions of requests hold the URL with its query"
    assert "answered 400 Bad Request: no *** *** *** *** *** ***. " in texts[0]
    texts += [record.getMessage() for record in caplog.records]
    assert [text for text in texts for value in hidden if value in text] == []
    assert any("POST /good -> 400 in " in text for text in texts)
    assert {record.name for record in caplog.records} == {"vendortap.http"}


def test_each_attempt_and_each_retry_has_its_line(
    vendor: StartVendor, client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="vendortap.http")
    client(vendor(script(say(503, {"message": "Busy"}), Reset(), say(200, "ok")))).send(GET)
    lines = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [level for level, _ in lines] == ["DEBUG", "WARNING", "DEBUG", "WARNING", "DEBUG"]
    assert lines[0][1].startswith("GET /invoices -> 503 in ")
    assert lines[1][1].startswith("acme: GET /invoices answered 503 Service Unavailable: Busy. Trying again in 0.0 s")
    assert "the connection failed" in lines[3][1]
    assert lines[4][1].endswith(" ms, 4 bytes")


def test_only_this_package_knows_requests() -> None:
    folder = Path(vendortap.__file__).parent
    users = {
        path.relative_to(folder).parts[0]
        for path in folder.rglob("*.py")
        if any(
            line.lstrip().startswith((f"import {name}", f"from {name}"))
            for line in path.read_text(encoding="utf-8").splitlines()
            for name in ("requests", "urllib3")
        )
    }
    assert users == {"http"}
