"""What each status means, which message an error quotes, and what logs show."""

from __future__ import annotations

import json
import logging

import pytest

from tests.http.kit import GET, NOW, SECRET, Answer, Got, MakeClient, Reset, Say, StartVendor, issuer, say, script
from vendortap.declare import auth
from vendortap.declare.model import Reply, Request
from vendortap.errors import (
    CredentialsError,
    MissingError,
    RefusedError,
    TransportError,
    UnavailableError,
    VendortapError,
)
from vendortap.http.messages import vendor_message

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
