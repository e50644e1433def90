"""The client against real servers on 127.0.0.1: what it sends, and what it makes of an answer."""

from __future__ import annotations

import gzip
import time
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import vendortap
from tests.http.kit import (
    GET,
    HEAD,
    SECRET,
    Answer,
    ChunkedHandler,
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
from vendortap.declare.model import Request
from vendortap.errors import BodyError, CredentialsError, MissingError
from vendortap.http.traffic import Traffic
from vendortap.support import latency

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


def test_traffic_counts_in_threads() -> None:
    traffic = Traffic()

    def count() -> None:
        for _ in range(500):
            traffic.add(requests=1, size=2)

    in_threads(8, count)
    assert (traffic.requests, traffic.bytes, traffic.retries) == (4000, 8000, 0)


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
