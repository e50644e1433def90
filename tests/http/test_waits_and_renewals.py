"""What a client says while it waits for a limit, and what it does where a token is not renewed."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from tests.http.kit import GET, Answer, Got, MakeClient, Say, StartVendor
from vendortap.declare.auth import RENEWAL_ATTEMPTS, JsonRenewal, json_login
from vendortap.declare.model import Limit
from vendortap.http import rate_limit
from vendortap.http.token_store import Memory

LOGIN = json_login(
    url="/login",
    members={"User": "user"},
    renewal=JsonRenewal("/renew", auth_member="Auth", refresh_member="Refresh", account=("user",)),
)


def test_a_wait_for_the_limit_is_told_once_with_who_where_and_until_when(
    vendor: StartVendor, client: MakeClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rate_limit, "SILENT_SECONDS", 0.05)
    tap = client(vendor(Say(200)), limit=Limit(rate=4))
    with caplog.at_level(logging.WARNING, logger="vendortap.http"):
        for _ in range(4):
            tap.send(GET)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1, told
    assert told[0].startswith("acme: GET /invoices waits for the rate limit, 0 s more, until "), told


def test_a_short_wait_for_the_limit_is_not_told(
    vendor: StartVendor, client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    tap = client(vendor(Say(200)), limit=Limit(rate=20))
    for _ in range(3):
        tap.send(GET)
    assert caplog.records == []


@pytest.mark.parametrize("refusal", [Say(500), Say(503), Say(400), Say(404), Say(200, b"<html>"), Say(200, b"{}")])
def test_a_token_that_is_not_renewed_for_whatever_reason_is_followed_by_one_sign_in(
    vendor: StartVendor, client: MakeClient, tmp_path: Path, refusal: Say
) -> None:
    asked: list[str] = []

    def answer(got: Got) -> Answer:
        asked.append(got.target)
        if got.target == "/renew":
            return refusal
        token = json.dumps({"access_token": "new-token-0123456789", "refresh_token": "next-token-0123456789"})
        return Say(200, token.encode() if got.target == "/login" else b"")

    memory = Memory(tmp_path / "tokens.json")
    memory.remember({"access token of me": "stale-0123456789", "refresh token of me": "stale-refresh-0123456789"})
    tap = client(vendor(answer), auth=(LOGIN,), memory=memory, config={"user": "me"})
    assert tap.send(GET).status == 200
    assert asked.count("/login") == 1
    assert 1 <= asked.count("/renew") <= RENEWAL_ATTEMPTS
