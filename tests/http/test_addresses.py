"""Where requests go: base URLs, other origins, proxies, TLS and names that do not resolve."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import pytest

from tests.http.kit import CONFIG, GET, SECRET, MakeClient, Say, StartVendor, issuer, say
from vendortap.declare import auth
from vendortap.declare.model import Request
from vendortap.errors import ConfigError, CredentialsError, TransportError
from vendortap.http.connection import ORIGINS

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

    def safe_until(count: int) -> int:
        deadline = time.monotonic() + 10
        while open_connections() > count and time.monotonic() < deadline:
            time.sleep(0.01)
        return open_connections()

    for server in [*servers, *servers]:
        tap.send(Request("GET", f"{server.url}/x"))
    assert [len(server.got) for server in servers] == [2] * len(servers)
    assert safe_until(ORIGINS) == ORIGINS
    tap.close()
    assert safe_until(0) == 0


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
