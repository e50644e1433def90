"""Whom the client trusts: real TLS servers of a made-up authority, real proxies, real redirects to other hosts."""

from __future__ import annotations

import json
import logging
import select
import socket
import socketserver
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.conftest import RunTap
from tests.http.kit import GET, MakeClient, Say, StartVendor, Vendor, issuer, say
from vendortap.declare import auth
from vendortap.decode.schemas import check_config
from vendortap.errors import ConfigError, RefusedError, TransportError
from vendortap.plugins import host
from vendortap.plugins.validation import settings

SECRET = "s3cr3t/+value"
PAST = datetime(2020, 1, 1, tzinfo=UTC)
NAME = "api.vendor.test"
KEY = [auth.api_key(header="X-Key", setting="key")]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> str:
    """The file with the authority's certificate, as an operator has it."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def certificate(authority: trustme.CA, tmp_path: Path) -> Callable[..., str]:
    """Has the authority sign a server's certificate; the file holds its key, too."""

    def issue(*names: str, **options: Any) -> str:
        path = tmp_path / f"server-{len(list(tmp_path.iterdir()))}.pem"
        authority.issue_cert(*names, **options).private_key_and_cert_chain_pem.write_to_path(str(path))
        return str(path)

    return issue


# --- redirects ---------------------------------------------------------------------------------------


@pytest.mark.promise("No redirect carries a request or credentials to another host, port or scheme", figure="3 places")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_refused_and_nothing_arrives_where_it_leads(
    vendor: StartVendor,
    client: MakeClient,
    certificate: Callable[..., str],
    bundle: str,
    status: int,
) -> None:
    elsewhere, secure = vendor(say(200)), vendor(say(200), certificate("127.0.0.1"))
    places = [
        f"{elsewhere.url}/in",
        f"{elsewhere.url.replace('127.0.0.1', 'localhost')}/in?key={SECRET}",
        f"{secure.url}/in",
    ]
    for place in places:
        home = vendor(say(status, Location=place))
        token = issuer(home.url + "/token")
        for attempt, sentence in (
            (client(home, auth=KEY), "It redirects to"),
            (client(home, auth=[token]), "No token"),
        ):
            with pytest.raises(RefusedError, match=sentence) as caught:
                attempt.send(GET)
            assert SECRET not in str(caught.value)
        assert [got.target for got in home.got] == ["/invoices", "/token"]
    assert elsewhere.got == secure.got == []
    assert (elsewhere.connections, secure.connections) == (0, 0)


# --- certificates ------------------------------------------------------------------------------------


@pytest.mark.promise("Certificates are always checked, by the operator's authorities or the usual ones")
def test_the_operators_authorities_are_trusted_and_go_before_those_of_the_environment(
    vendor: StartVendor,
    client: MakeClient,
    certificate: Callable[..., str],
    bundle: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = vendor(say(200), certificate("127.0.0.1"))
    with pytest.raises(TransportError, match=r"certificate cannot be verified .*'ca_bundle'"):
        client(server).send(GET)
    assert client(server, ca_bundle=bundle).send(GET).status == 200
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
    assert client(server, ca_bundle=bundle).send(GET).status == 200
    with pytest.raises(TransportError, match="certificate cannot be verified"):
        client(server).send(GET)


@pytest.mark.promise("Certificates are always checked, by the operator's authorities or the usual ones")
@pytest.mark.parametrize("wrong", ["name", "time", "issuer"])
def test_a_server_that_is_not_the_one_is_refused_before_anything_is_sent(
    vendor: StartVendor,
    client: MakeClient,
    certificate: Callable[..., str],
    bundle: str,
    tmp_path: Path,
    wrong: str,
) -> None:
    past = {"not_before": PAST, "not_after": PAST + timedelta(days=1)} if wrong == "time" else {}
    pem = certificate("localhost" if wrong == "name" else "127.0.0.1", **past)
    if wrong == "issuer":
        pem = str(tmp_path / "other.pem")
        trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(pem)
    server = vendor(say(200), pem)
    with pytest.raises(TransportError, match="certificate cannot be verified"):
        client(server, ca_bundle=bundle, auth=KEY, retry_seconds=0).send(GET)
    assert server.got == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, r"acme: the setting 'ca_bundle' names a file that cannot be read \(No such file or directory\)"),
        ("", "acme: the setting 'ca_bundle' names a file that holds no certificates in PEM"),
        ("-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n", "holds no certificates in PEM"),
    ],
)
def test_a_ca_bundle_that_cannot_be_used_is_told_before_anything_is_sent(
    client: MakeClient,
    tmp_path: Path,
    content: str | None,
    said: str,
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content, encoding="ascii")
    with pytest.raises(ConfigError, match=said):
        client(f"https://{NAME}", ca_bundle=str(path))


LIST = {"IsSuccessful": True, "List": [], "TotalPage": 1, "TotalCount": 0}


@pytest.mark.promise("No setting and no variable leaves certificates unchecked")
def test_a_tap_trusts_the_ca_bundle_of_its_settings_and_nothing_switches_the_check_off(
    vendor: StartVendor,
    certificate: Callable[..., str],
    bundle: str,
    tap: RunTap,
) -> None:
    pem = certificate("127.0.0.1")
    server = vendor(say(200, LIST), pem)
    config = {"base_url": server.url, "auth": "bearer", "token": SECRET, "retry_seconds": 0}
    off = {
        "CURL_CA_BUNDLE": "",
        "REQUESTS_CA_BUNDLE": "",
        "PYTHONHTTPSVERIFY": "0",
        "SSL_CERT_FILE": pem,
        "NODE_TLS_REJECT_UNAUTHORIZED": "0",
    }
    done = tap({**config, "ca_bundle": bundle}, connector="visiblescm", env=off)
    assert done.code == 0, done.stderr
    asked = len(server.got)
    assert asked > 0
    refused = tap(config, connector="visiblescm", env=off)
    assert refused.code == 1
    assert "certificate cannot be verified" in refused.complaint
    assert len(server.got) == asked


@pytest.mark.promise("No setting and no variable leaves certificates unchecked")
@pytest.mark.parametrize("connector", [name for name, plugin in host.find().items() if plugin.package == "vendortap"])
def test_there_is_no_setting_that_leaves_certificates_unchecked(connector: str) -> None:
    known = settings(host.load(connector))
    for name, value in (("verify", False), ("ssl_verify", False), ("ca_bundle", False), ("ca_bundle", "")):
        with pytest.raises(ConfigError, match=f"setting '{name}'"):
            check_config({name: value}, known, connector)


# --- proxies -----------------------------------------------------------------------------------------


class Proxy(socketserver.ThreadingTCPServer):
    """A proxy that knows CONNECT: it asks for a user name and a password, and leads to one server whatever the name."""

    daemon_threads = True

    def __init__(self, port: int, user: str) -> None:
        self.port, self.user = port, user
        self.asked: list[tuple[str, str | None]] = []
        super().__init__(("127.0.0.1", 0), Tunnel)


class Tunnel(socketserver.StreamRequestHandler):
    server: Proxy

    def handle(self) -> None:
        first = self.rfile.readline().decode()
        headers: dict[str, str] = {}
        while line := self.rfile.readline().decode().strip():
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        given = headers.get("proxy-authorization")
        self.server.asked.append((first.split()[1], given))
        if given != f"Basic {b64encode(self.server.user.encode()).decode()}":
            self.wfile.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with socket.create_connection(("127.0.0.1", self.server.port)) as onward:
            self.relay(self.connection, onward)

    @staticmethod
    def relay(one: socket.socket, other: socket.socket) -> None:
        ways = {one: other, other: one}
        while True:
            for ready in select.select(list(ways), [], [])[0]:
                if not (data := ready.recv(65536)):
                    return
                ways[ready].sendall(data)


@pytest.fixture
def proxied(vendor: StartVendor, certificate: Callable[..., str]) -> Iterator[tuple[Vendor, Proxy]]:
    """A vendor that nobody's name server knows, and the proxy that leads to it."""
    server = vendor(Say(200, json.dumps(LIST).encode(), {"Content-Type": "application/json"}), certificate(NAME))
    with Proxy(server.server_address[1], f"mallory:{SECRET}") as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.01,))
        thread.start()
        yield server, proxy
        proxy.shutdown()
        thread.join()


def proxy_url(proxy: Proxy, password: str) -> str:
    return f"http://mallory:{password}@127.0.0.1:{proxy.server_address[1]}"


@pytest.mark.promise("The proxies of the environment are used, and nobody but they is shown their password")
def test_the_proxy_of_the_environment_is_asked_with_its_own_credentials_which_nobody_else_sees(
    proxied: tuple[Vendor, Proxy],
    client: MakeClient,
    bundle: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("", "vendortap", "urllib3", "urllib3.connectionpool", "urllib3.poolmanager", "requests"):
        caplog.set_level(logging.DEBUG, logger=name)
    server, proxy = proxied
    monkeypatch.setenv("HTTPS_PROXY", proxy_url(proxy, "s3cr3t%2F%2Bvalue"))
    tap = client(f"https://{NAME}", ca_bundle=bundle, auth=[auth.bearer(setting="id")])
    assert tap.send(GET).status == 200
    basic = b64encode(f"mallory:{SECRET}".encode()).decode()
    assert proxy.asked == [(f"{NAME}:443", f"Basic {basic}")]
    assert server.got[0].headers["authorization"] == "Bearer client-1"
    assert "proxy-authorization" not in server.got[0].headers
    server.answer = lambda _: say(400, {"message": f"from {SECRET} or s3cr3t%2F%2Bvalue or {basic}"})
    with pytest.raises(RefusedError, match=r": from \*\*\* or \*\*\* or \*\*\*\.") as caught:
        tap.send(GET)
    monkeypatch.setenv("HTTPS_PROXY", proxy_url(proxy, "another-s3cr3t"))
    with pytest.raises(TransportError, match="the proxy answered 407") as refused:
        client(f"https://{NAME}", ca_bundle=bundle).send(GET)
    texts = [str(caught.value), str(refused.value), *(record.getMessage() for record in caplog.records)]
    assert [text for text in texts if "s3cr3t" in text or basic in text] == []


def test_hosts_that_no_proxy_names_are_asked_directly(
    proxied: tuple[Vendor, Proxy],
    client: MakeClient,
    bundle: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, proxy = proxied
    monkeypatch.setenv("HTTPS_PROXY", proxy_url(proxy, "whatever"))
    monkeypatch.setenv("NO_PROXY", "other.test,.vendor.test")
    resolve = socket.getaddrinfo  # no name server knows the name
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *rest: resolve("127.0.0.1" if host == NAME else host, *rest)
    )
    port = server.server_address[1]
    assert client(f"https://{NAME}:{port}", ca_bundle=bundle).send(GET).status == 200
    assert proxy.asked == []


@pytest.mark.parametrize(
    "url", ["http://", "mallory:s3cr3t@127.0.0.1:1", "foo://mallory:s3cr3t@proxy.test", "http://a:s3cr3t@[::1"]
)
def test_a_proxy_that_is_none_is_a_sentence_without_its_url(
    client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
    url: str,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", url)
    with pytest.raises(ConfigError, match=r"^acme: the proxy that the environment names for https ") as caught:
        client(f"https://{NAME}")
    assert "s3cr3t" not in str(caught.value)


def test_a_tap_at_debug_goes_through_the_proxy_and_shows_no_password(
    proxied: tuple[Vendor, Proxy], bundle: str, tap: RunTap
) -> None:
    server, proxy = proxied
    config = {"base_url": f"https://{NAME}", "token": "t0ken-of-visiblescm", "ca_bundle": bundle, "retry_seconds": 0}
    variables = {"https_proxy": proxy_url(proxy, "s3cr3t%2F%2Bvalue"), "no_proxy": "", "LOGLEVEL": "DEBUG"}
    done = tap(
        config, connector="visiblescm", env={**variables, "HTTPS_PROXY": variables["https_proxy"], "NO_PROXY": ""}
    )
    assert (done.code, {name for name, _ in proxy.asked}) == (0, {f"{NAME}:443"}), done.stderr
    assert "DEBUG" in done.stderr
    assert [text for text in ("s3cr3t", "t0ken") if text in done.stderr + done.stdout.decode()] == []
    assert server.got
