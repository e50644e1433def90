"""The auth flows, driven by hand: they do no I/O. That a client drives them right is in test_http.py."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qs

import pytest
from vendortap import auth
from vendortap.errors import ConfigError, CredentialsError
from vendortap.model import Authorize, Credentials, Recall, Remember, Reply, Request

SECRETS = {"id": "client-1", "secret": "s3cr3t/+& ü", "token": "tok-1", "refresh": "refresh-1"}


def run(
    flow: Authorize, config: Mapping[str, Any], *replies: Any, memory: dict[str, str] | None = None
) -> tuple[Credentials, list[Request]]:
    """Run a flow to its end, answering its token calls with these JSON documents, bodies or errors."""
    kept = {} if memory is None else memory
    waiting = list(replies)
    steps = flow(config)
    asked: list[Request] = []
    try:
        step = next(steps)
        while True:
            if isinstance(step, Recall):
                step = steps.send(kept.get(step.name))
            elif isinstance(step, Remember):
                kept[step.name] = step.value
                step = steps.send(None)
            else:
                assert waiting, "the flow asks for more token calls"
                asked.append(step)
                step = _answer(steps, waiting.pop(0))
    except StopIteration as end:
        assert not waiting
        return end.value, asked


def _answer(steps: Any, reply: Any) -> Any:
    if isinstance(reply, Exception):
        return steps.throw(reply)
    body = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
    return steps.send(Reply(200, {"content-type": "application/json"}, body, datetime.now(timezone.utc)))


def form(request: Request) -> dict[str, str]:
    assert request.body is not None
    return {name: value for name, (value,) in parse_qs(request.body.decode(), strict_parsing=True).items()}


def oauth(**changes: Any) -> Authorize:
    arguments = {"token_url": "https://login.test/token", "client_id": "id", "client_secret": "secret"}
    return auth.client_credentials(**{**arguments, **changes})


def refresh(**changes: Any) -> Authorize:
    arguments = {"token_url": "https://login.test/token", "refresh_token": "refresh", "client_id": "id"}
    return auth.refresh_token(**{**arguments, **changes})


def test_an_api_key_is_sent_as_it_is() -> None:
    flow = auth.api_key(header="X-Key", setting="token")
    assert run(flow, SECRETS) == (Credentials({"X-Key": "tok-1"}), [])


def test_a_bearer_token_is_sent_as_rfc_6750_says() -> None:
    assert run(auth.bearer(setting="token"), SECRETS)[0].headers == {"Authorization": "Bearer tok-1"}


def test_basic_is_the_example_of_rfc_7617() -> None:
    flow = auth.basic(username="user", password="password")
    credentials, _ = run(flow, {"user": "Aladdin", "password": "open sesame"})
    assert credentials.headers == {"Authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}
    assert run(flow, {"user": "test", "password": "123£"})[0].headers == {"Authorization": "Basic dGVzdDoxMjPCow=="}


def test_basic_refuses_a_user_name_with_a_colon() -> None:
    flow = auth.basic(username="user", password="password")
    with pytest.raises(ConfigError, match="'user' has a colon") as caught:
        run(flow, {"user": "ala:ddin", "password": "open sesame"})
    assert "ala" not in str(caught.value)


@pytest.mark.parametrize(
    ("flow", "missing"),
    [
        (auth.api_key(header="X-Key", setting="token"), "token"),
        (auth.bearer(setting="token"), "token"),
        (auth.basic(username="id", password="secret"), "id"),
        (auth.basic(username="id", password="secret"), "secret"),
        (oauth(), "id"),
        (oauth(), "secret"),
        (refresh(), "refresh"),
        (refresh(), "id"),
        (refresh(client_secret="secret"), "secret"),
    ],
)
@pytest.mark.parametrize("value", [None, "", 5])
def test_a_missing_setting_is_named(flow: Authorize, missing: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"setting '{missing}' is missing"):
        run(flow, {**SECRETS, missing: value})
    with pytest.raises(ConfigError, match=f"setting '{missing}' is missing"):
        run(flow, {name: value for name, value in SECRETS.items() if name != missing})


def test_client_credentials_asks_as_rfc_6749_says() -> None:
    credentials, (request,) = run(oauth(), SECRETS, {"access_token": "abc", "expires_in": 3600})
    assert credentials == Credentials({"Authorization": "Bearer abc"}, 3600.0)
    assert (request.method, request.path) == ("POST", "https://login.test/token")
    assert request.headers == {
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "application/json",
    }
    assert form(request) == {
        "grant_type": "client_credentials",
        "client_id": SECRETS["id"],
        "client_secret": SECRETS["secret"],
    }


def test_token_url_and_scope_may_depend_on_the_settings() -> None:
    flow = oauth(token_url=lambda config: config["login"] + "/token", scope=lambda config: config.get("scope"))
    _, (request,) = run(flow, {**SECRETS, "login": "https://a.test"}, {"access_token": "abc"})
    assert request.path == "https://a.test/token"
    assert "scope" not in form(request)
    _, (request,) = run(flow, {**SECRETS, "login": "/b", "scope": "read all"}, {"access_token": "abc"})
    assert request.path == "/b/token"
    assert form(request)["scope"] == "read all"
    with pytest.raises(ConfigError, match="no token URL"):
        run(oauth(token_url=lambda config: config.get("login")), SECRETS)


def test_client_may_identify_itself_by_basic() -> None:
    _, (request,) = run(oauth(client_auth="basic", scope="read"), SECRETS, {"access_token": "abc"})
    assert form(request) == {"grant_type": "client_credentials", "scope": "read"}
    scheme, _, pair = request.headers["Authorization"].partition(" ")
    assert scheme == "Basic"
    assert base64.b64decode(pair) == b"client-1:s3cr3t%2F%2B%26+%C3%BC"


def test_refresh_token_asks_as_rfc_6749_says() -> None:
    credentials, (request,) = run(refresh(), SECRETS, {"access_token": "abc", "expires_in": "600"})
    assert credentials == Credentials({"Authorization": "Bearer abc"}, 600.0)
    assert form(request) == {
        "grant_type": "refresh_token",
        "refresh_token": "refresh-1",
        "client_id": SECRETS["id"],
    }


def test_refresh_token_uses_the_newest_one() -> None:
    flow = refresh(client_secret="secret", scope="read")
    sent = []
    memory: dict[str, str] = {}
    for answer in ({"refresh_token": "refresh-2"}, {}, {"refresh_token": "refresh-3"}, {"refresh_token": 7}, {}):
        _, (request,) = run(flow, SECRETS, {"access_token": "abc", **answer}, memory=memory)
        sent.append(form(request)["refresh_token"])
    assert sent == ["refresh-1", "refresh-2", "refresh-2", "refresh-3", "refresh-3"]
    assert form(request)["client_secret"] == SECRETS["secret"]
    assert not any("refresh-1" in name for name in memory), "names in a token file are no secrets"
    _, (request,) = run(flow, {**SECRETS, "refresh": "another"}, {"access_token": "abc"}, memory=memory)
    assert form(request)["refresh_token"] == "another", "a token of other settings is no successor"


@pytest.mark.parametrize(
    ("document", "max_seconds", "seconds"),
    [
        ({}, None, None),
        ({"expires_in": None}, None, None),
        ({"expires_in": 0}, None, None),
        ({"expires_in": -1}, None, None),
        ({"expires_in": 59.5}, None, 59.5),
        ({"expires_in": "3600"}, None, 3600.0),
        ({"expires_in": 3600}, 600, 600),
        ({"expires_in": 60}, 600, 60.0),
        ({}, 600, 600),
    ],
)
def test_lifetimes(document: dict[str, Any], max_seconds: float | None, seconds: float | None) -> None:
    for flow in (oauth(max_seconds=max_seconds), refresh(max_seconds=max_seconds)):
        assert run(flow, SECRETS, {"access_token": "abc", **document})[0].expires_in == seconds


@pytest.mark.parametrize(
    "value", ["soon", "-5", "", "1e3", "²", True, [60], "9" * 400, 10**400, float("nan"), float("inf")]
)
def test_a_lifetime_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(CredentialsError, match="expires_in"):
        run(oauth(), SECRETS, {"access_token": "abc", "expires_in": value})


@pytest.mark.parametrize("document", [{}, {"access_token": None}, {"access_token": ""}, {"access_token": 5}])
def test_a_missing_access_token_is_named(document: dict[str, Any]) -> None:
    for flow in (oauth(), refresh()):
        with pytest.raises(CredentialsError, match="access_token"):
            run(flow, SECRETS, {**document, "note": "body-text"})


@pytest.mark.parametrize("body", [b"", b"<html>body-text</html>", b'["body-text"]', b"\xff\xfe\x00", b"[" * 200_000])
def test_an_answer_that_is_no_json_object_is_refused_without_showing_it(body: bytes) -> None:
    with pytest.raises(CredentialsError, match="JSON object") as caught:
        run(oauth(), SECRETS, body)
    assert "body-text" not in str(caught.value)


def test_an_optional_flow_is_used_where_its_setting_is_present() -> None:
    flow = auth.optional("id", oauth())
    credentials, asked = run(flow, SECRETS, {"access_token": "abc", "expires_in": 60})
    assert (credentials.expires_in, len(asked)) == (60.0, 1)
    for absent in ({}, {"id": None}, {"id": ""}):
        assert run(flow, absent) == (Credentials({}), [])


def test_secrets_are_not_in_messages() -> None:
    for document in ({}, {"access_token": "abc", "expires_in": "s3cr3t"}):
        with pytest.raises(CredentialsError) as caught:
            run(oauth(), SECRETS, document)
        assert not [value for value in (*SECRETS.values(), "s3cr3t", "abc") if value in str(caught.value)]
