"""Credentials: token calls, renewal, what is remembered, and what is secret."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from tests.http.kit import (
    CONFIG,
    GET,
    NOW,
    SECRET,
    Answer,
    Got,
    MakeClient,
    Reset,
    Say,
    StartVendor,
    in_threads,
    issuer,
    say,
    script,
)
from vendortap.declare import auth
from vendortap.declare.model import Authorize, Config, Credentials, Remember, Reply, Request
from vendortap.errors import ConfigError, CredentialsError, RefusedError, UnavailableError, VendorError
from vendortap.http.credentials import Keyring
from vendortap.http.token_store import Memory
from vendortap.support.redact import Redactor


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


@pytest.mark.parametrize("text", ["tok\r\nX-Evil: 1", "tok\u2026", "\u00e9" + "A" * 20_000])
@pytest.mark.parametrize("kept", [True, False])
def test_whoever_wrote_a_flow_what_the_vendor_answered_has_to_be_a_token(text: str, kept: bool) -> None:
    """Before it is remembered, or known to be secret: to learn what is very long would take minutes and gigabytes."""

    class Learning(Redactor):
        def learn(self, secrets: Iterable[str]) -> None:
            learnt.extend(secrets)

    learnt: list[str] = []

    def flow(_: Config) -> Generator[Request | Remember, Any, Credentials]:
        reply = yield Request("POST", "/token")
        if kept:
            yield Remember({"mine": reply.body.decode()})
        return Credentials({"X-Mine": reply.body.decode()})

    memory = Memory()
    answer = Reply(200, {}, text.encode(), NOW)
    with pytest.raises(CredentialsError, match=r"^acme: (X-Mine|mine), made of the token endpoint's answer, has "):
        Keyring("acme", [flow], CONFIG, lambda _: answer, Learning(), memory=memory).grant()
    assert learnt == []
    assert memory.recall("mine") is None


def test_an_unusable_token_is_not_a_matter_of_settings(vendor: StartVendor, client: MakeClient) -> None:
    server = vendor(say(200, {"access_token": "s3cr3t\r\nX-Evil: 1"}))
    flow = auth.client_credentials(token_url="/token", client_id="id", client_secret="key")
    with pytest.raises(
        CredentialsError, match="acme: the token endpoint's answer has an unusable access_token"
    ) as caught:
        client(server, auth=[flow]).send(GET)
    assert "s3cr3t" not in str(caught.value)
    assert len(server.got) == 1


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
