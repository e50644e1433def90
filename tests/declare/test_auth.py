"""The auth flows, driven by hand: they do no I/O. That a client drives them right is in test_http.py."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import pytest

from vendortap.declare import auth
from vendortap.declare.model import Authorize, Credentials, Recall, Remember, Reply, Request
from vendortap.errors import ConfigError, CredentialsError, RefusedError, TransportError
from vendortap.support.tokens import TOKEN_LENGTH

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
                step = steps.send(kept.get(step.name) or kept.get(step.former or ""))
            elif isinstance(step, Remember):
                kept.update(step.texts)
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
    return steps.send(Reply(200, {"content-type": "application/json"}, body, datetime.now(UTC)))


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
    "other", [{"id": "client-2"}, {"base_url": "https://b.test"}, {"login": "https://other.test/token"}]
)
def test_an_account_with_the_same_refresh_token_has_a_successor_of_its_own(other: dict[str, str]) -> None:
    flow, config = refresh(token_url=lambda settings: settings["login"]), {**SECRETS, "login": "/token"}
    memory: dict[str, str] = {}
    for settings, successor in ((config, "refresh-a"), ({**config, **other}, "refresh-b")):
        _, (request,) = run(flow, settings, {"access_token": "abc", "refresh_token": successor}, memory=memory)
        assert form(request)["refresh_token"] == "refresh-1"
    assert sorted(memory.values()) == ["refresh-a", "refresh-b"]


def test_a_successor_that_an_earlier_version_kept_is_adopted() -> None:
    memory = {f"successor of {hashlib.sha256(b'refresh-1').hexdigest()}": "refresh-2"}
    sent = []
    for successor in ("refresh-3", "refresh-4"):
        _, (request,) = run(refresh(), SECRETS, {"access_token": "a", "refresh_token": successor}, memory=memory)
        sent.append(form(request)["refresh_token"])
    assert sent == ["refresh-2", "refresh-3"]


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


UNUSABLE = {
    "too long": "A" * (TOKEN_LENGTH + 1),
    "a line break": "abcd\r\nX-Evil: 1",
    "a NUL": "abcd\0",
    "not Latin-1": "\u4ee4\u724c4711",
    "half of a surrogate pair": "abcd\ud800",
    "no width": "\u200babcd",
    "a blank first": " abcd",
}


@pytest.mark.parametrize("text", UNUSABLE.values(), ids=UNUSABLE)
def test_a_token_that_could_not_be_sent_is_the_vendors_fault(text: str) -> None:
    """It is refused before anything is made of it, and not shown."""
    refused = r"the token endpoint's answer has an unusable (access|refresh)_token: it has .*; check the token URL"
    memory: dict[str, str] = {}
    for answer in ({"access_token": text}, {"access_token": "abc", "refresh_token": text}):
        for flow in (refresh(), login()):
            with pytest.raises(CredentialsError, match=refused) as caught:
                run(flow, {**SECRETS, **LOGIN}, answer, memory=memory)
            assert "abcd" not in str(caught.value)
    assert memory == {}
    with pytest.raises(CredentialsError, match=refused):
        run(oauth(), SECRETS, {"access_token": text})


@pytest.mark.parametrize("spoilt", ["access_token", "refresh_token"])
def test_a_renewal_that_brings_an_unusable_token_leads_to_a_new_login(spoilt: str) -> None:
    memory: dict[str, str] = {}
    run(login(), LOGIN, SIGNED_IN, memory=memory)
    credentials, _ = run(login(), LOGIN, {**RENEWED, spoilt: "a\nb"}, RENEWED, memory=memory)
    assert credentials.headers == {"Authorization": "Bearer a-2"}
    assert sorted(memory.values()) == ["a-2", "r-2"]


def test_the_longest_token_is_taken() -> None:
    longest = "\u00e9" * TOKEN_LENGTH
    assert run(oauth(), SECRETS, {"access_token": longest})[0].headers == {"Authorization": f"Bearer {longest}"}


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


# --- headers that the settings name, and flows that they choose --------------------------------------


def test_the_header_that_signs_in_may_be_a_setting() -> None:
    flow = auth.header(name=lambda config: config.get("header"), setting="token")
    assert run(flow, {**SECRETS, "header": "X-Mine"}) == (Credentials({"X-Mine": "tok-1"}), [])
    assert run(auth.header(name="X-Key", setting="token"), SECRETS)[0].headers == {"X-Key": "tok-1"}
    for name in (None, ""):
        with pytest.raises(ConfigError, match="no name for the header"):
            run(flow, {**SECRETS, "header": name})
    with pytest.raises(ConfigError, match="setting 'token' is missing"):
        run(flow, {"header": "X-Mine"})


def test_the_flow_of_the_settings_value_is_used() -> None:
    flow = auth.chosen("scheme", bearer=auth.bearer(setting="token"), oauth=oauth())
    assert run(flow, {**SECRETS, "scheme": "bearer"}) == (Credentials({"Authorization": "Bearer tok-1"}), [])
    credentials, asked = run(flow, {**SECRETS, "scheme": "oauth"}, {"access_token": "abc"})
    assert (credentials.headers, len(asked)) == ({"Authorization": "Bearer abc"}, 1)


def test_a_refreshed_token_may_travel_in_a_header_of_the_vendors_own() -> None:
    credentials, _ = run(refresh(header="X-Token", scheme=""), SECRETS, {"access_token": "abc"})
    assert credentials.headers == {"X-Token": "abc"}
    credentials, _ = run(refresh(scheme="Token"), SECRETS, {"access_token": "abc"})
    assert credentials.headers == {"Authorization": "Token abc"}


@pytest.mark.parametrize(("answer", "kept"), [("refresh-2", "refresh-2"), ("refresh-1", None), ("", None)])
def test_only_a_new_refresh_token_is_remembered_and_before_it_is_used(answer: str, kept: str | None) -> None:
    steps = refresh()(SECRETS)
    assert isinstance(next(steps), Recall)
    assert isinstance(steps.send(None), Request)
    document = {"access_token": "abc", "refresh_token": answer}
    try:
        step = _answer(steps, document)
    except StopIteration:
        step = None
    assert (list(step.texts.values()) == [kept]) if kept else step is None


# --- logins of a vendor's own ------------------------------------------------------------------------

ACCOUNT = ("domain", "user")
LOGIN = {"domain": "acme", "user": "jane", "password": "s3cr3t/+& ü"}
SIGNED_IN = {"access_token": "a-1", "refresh_token": "r-1", "expires_in": 600}
RENEWED = {"access_token": "a-2", "refresh_token": "r-2", "expires_in": 600}


def login(*, renews: bool = True, **changes: Any) -> Authorize:
    renewal = auth.JsonRenewal("/renew", auth_member="Auth", refresh_member="Refresh", account=ACCOUNT)
    arguments: dict[str, Any] = {
        "url": "/login",
        "members": {"Domain": "domain", "User": "user", "Password": "password", "Encrypted": lambda _: False},
        "renewal": renewal if renews else None,
    }
    return auth.json_login(**{**arguments, **changes})


def document(request: Request) -> Any:
    assert request.headers == {"Content-Type": "application/json", "Accept": "application/json"}
    return json.loads(request.body or b"")


def test_a_login_posts_its_members_and_sends_the_token_that_comes_back() -> None:
    credentials, (request,) = run(login(renews=False), LOGIN, SIGNED_IN)
    assert (request.method, request.path) == ("POST", "/login")
    assert document(request) == {"Domain": "acme", "User": "jane", "Password": "s3cr3t/+& ü", "Encrypted": False}
    assert credentials == Credentials({"Authorization": "Bearer a-1"}, 600)


def test_token_header_scheme_url_and_unit_may_be_the_vendors_own() -> None:
    flow = login(
        renews=False,
        url=lambda config: f"https://{config['domain']}.test/in",
        token="Token",
        header="X-Token",
        scheme=lambda _: "",
        unit_seconds=lambda _: 60,
    )
    credentials, (request,) = run(flow, LOGIN, {"Token": "t", "expires_in": "5"})
    assert request.path == "https://acme.test/in"
    assert credentials == Credentials({"X-Token": "t"}, 300)


@pytest.mark.parametrize("missing", LOGIN)
def test_a_login_without_one_of_its_settings_names_it(missing: str) -> None:
    with pytest.raises(ConfigError, match=f"setting '{missing}' is missing"):
        run(login(renews=False), {name: value for name, value in LOGIN.items() if name != missing})


@pytest.mark.parametrize("answer", [{}, {"access_token": ""}, {"access_token": 5}, b"<html/>"])
def test_a_login_that_brings_no_token_is_refused(answer: Any) -> None:
    with pytest.raises(CredentialsError):
        run(login(), LOGIN, answer)


def test_a_second_run_renews_what_the_first_one_was_given() -> None:
    memory: dict[str, str] = {}
    run(login(), LOGIN, SIGNED_IN, memory=memory)
    assert sorted(memory.values()) == ["a-1", "r-1"]
    credentials, (request,) = run(login(), LOGIN, RENEWED, memory=memory)
    assert request.path == "/renew"
    assert document(request) == {"Auth": "a-1", "Refresh": "r-1"}
    assert credentials.headers == {"Authorization": "Bearer a-2"}
    assert sorted(memory.values()) == ["a-2", "r-2"]


def test_a_renewal_without_a_new_refresh_token_keeps_the_old_one() -> None:
    memory: dict[str, str] = {}
    run(login(), LOGIN, SIGNED_IN, memory=memory)
    run(login(), LOGIN, {"access_token": "a-2"}, memory=memory)
    _, (request,) = run(login(), LOGIN, RENEWED, memory=memory)
    assert document(request) == {"Auth": "a-2", "Refresh": "r-1"}


def test_tokens_are_remembered_together_and_before_they_are_used() -> None:
    steps = login()(LOGIN)
    assert [isinstance(next(steps), Recall), isinstance(steps.send(None), Recall)] == [True, True]
    assert isinstance(steps.send(None), Request)
    step = _answer(steps, SIGNED_IN)
    assert isinstance(step, Remember)
    assert sorted(step.texts.values()) == ["a-1", "r-1"]
    with pytest.raises(StopIteration):
        steps.send(None)


@pytest.mark.parametrize("refusal", [CredentialsError("no."), RefusedError("no."), b"<html/>", b"[]", {"ok": False}])
def test_a_renewal_that_is_refused_is_followed_by_a_login(refusal: Any) -> None:
    memory: dict[str, str] = {}
    run(login(), LOGIN, SIGNED_IN, memory=memory)
    credentials, (renewal, request) = run(login(), LOGIN, refusal, RENEWED, memory=memory)
    assert (renewal.path, request.path) == ("/renew", "/login")
    assert credentials.headers == {"Authorization": "Bearer a-2"}
    assert sorted(memory.values()) == ["a-2", "r-2"]


def test_a_renewal_that_gets_no_answer_is_no_reason_to_sign_in() -> None:
    memory: dict[str, str] = {}
    run(login(), LOGIN, SIGNED_IN, memory=memory)
    with pytest.raises(TransportError):
        run(login(), LOGIN, TransportError("no answer."), memory=memory)


def test_a_refused_login_is_told() -> None:
    with pytest.raises(CredentialsError, match="wrong password"):
        run(login(), LOGIN, CredentialsError("wrong password."))


def test_tokens_that_an_earlier_version_kept_are_renewed() -> None:
    before = ", ".join(LOGIN[name] for name in ACCOUNT)
    memory = {f"access token of {before}": "a-0", f"refresh token of {before}": "r-0"}
    _, (request,) = run(login(), LOGIN, SIGNED_IN, memory=memory)
    assert document(request) == {"Auth": "a-0", "Refresh": "r-0"}
    _, (request,) = run(login(), LOGIN, RENEWED, memory=memory)
    assert document(request) == {"Auth": "a-1", "Refresh": "r-1"}


def test_names_whose_parts_are_cut_in_another_way_are_other_accounts() -> None:
    memory: dict[str, str] = {}
    one, two = ({**LOGIN, **dict(zip(ACCOUNT, names, strict=True))} for names in (("a, b", "c"), ("a", "b, c")))
    run(login(), one, SIGNED_IN, memory=memory)
    _, (request,) = run(login(), two, RENEWED, memory=memory)
    assert request.path == "/login"
    assert len(memory) == 4


@pytest.mark.parametrize("other", [{"user": "joe"}, {"domain": "other"}])
def test_another_account_is_not_given_the_tokens(other: dict[str, str]) -> None:
    memory: dict[str, str] = {}
    run(login(), LOGIN, SIGNED_IN, memory=memory)
    _, (request,) = run(login(), {**LOGIN, **other}, RENEWED, memory=memory)
    assert request.path == "/login"
    assert sorted(memory.values()) == ["a-1", "a-2", "r-1", "r-2"]
    assert not any(LOGIN["password"] in name for name in memory)
