"""From a declaration and its settings to a connection: the limit, the secrets, the token file."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from vendortap.declare.auth import refresh_token
from vendortap.declare.model import Connector, Limit, Request
from vendortap.declare.request import setting
from vendortap.errors import ConfigError, RefusedError
from vendortap.http.client import Client
from vendortap.http.connect import connect, limit

SETTINGS: Mapping[str, Any] = {
    "properties": {
        "base_url": {"type": "string"},
        "key": {"type": "string", "secret": True},
        "other_key": {"type": ["string", "null"], "secret": True},
        "pin": {"type": "integer", "secret": True},
    }
}
COMMON: Mapping[str, Any] = {
    "timeout_seconds": 20,
    "retry_seconds": 0,
    "concurrency": 2,
    "reply_seconds": 30,
    "max_body_mb": 1,
}
ACME = Connector(
    name="acme", title="Acme", docs="", schemas="", base_url=setting("base_url"), streams=(), limit=Limit(2, 5)
)


@pytest.mark.parametrize(
    ("declared", "config", "expected"),
    [
        (None, {}, None),
        (Limit(2, 5), {}, Limit(2, 5)),
        (Limit(2, 5, each_endpoint=True), {}, Limit(2, 5, each_endpoint=True)),
        (Limit(2, 5), {"burst": 9}, Limit(2, 9)),
        (None, {"burst": 9}, None),
        (None, {"requests_per_second": 3}, Limit(3, 1, adaptive=False)),
        (None, {"requests_per_second": 3, "burst": 4}, Limit(3, 4, adaptive=False)),
        (Limit(2, 5), {"requests_per_second": 3}, Limit(3, 5, adaptive=False)),
        (
            Limit(2, 5, each_endpoint=True),
            {"requests_per_second": 0.5, "burst": 1},
            Limit(0.5, 1, each_endpoint=True, adaptive=False),
        ),
        (Limit(2, 5), {"requests_per_second": None}, None),
        (Limit(2, 5), {"requests_per_second": None, "burst": 3}, None),
    ],
)
def test_the_operators_limit_counts_and_then_the_connectors(
    declared: Limit | None, config: dict[str, Any], expected: Limit | None
) -> None:
    assert limit(replace(ACME, limit=declared), config) == expected


class Handler(BaseHTTPRequestHandler):
    """Refuses, and repeats what it was sent; gives out tokens."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200, {"access_token": "tok", "refresh_token": "rotated"})

    def do_GET(self) -> None:
        self.answer(400, {"message": f"not {self.path.partition('?')[2]} {self.headers.get('x-fresh')}"})

    def answer(self, status: int, document: Any) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Id", "trace-1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Keep stderr clean."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def complaint(made: Client, said: str = "") -> str:
    with pytest.raises(RefusedError) as caught:
        made.send(Request("GET", "/", {"q": said} if said else {}))
    made.close()
    return str(caught.value)


def test_secret_settings_are_not_shown_whatever_their_type(url: str) -> None:
    config = {**COMMON, "base_url": url, "key": "s3cr3t-1", "other_key": None, "pin": 123456, "open": "shown"}
    text = complaint(connect(ACME, config, SETTINGS), "s3cr3t-1-123456-shown")
    assert "q=***-***-shown" in text


def test_headers_and_trace_are_the_connectors(url: str) -> None:
    connector = replace(ACME, headers=lambda config: {"X-Fresh": config["open"]}, trace="X-Id")
    text = complaint(connect(connector, {**COMMON, "base_url": url, "open": "fresh"}, SETTINGS))
    assert "(request id trace-1): not fresh." in text


def test_a_token_file_is_used_where_the_settings_name_one(url: str, tmp_path: Path) -> None:
    flow = refresh_token(token_url="/token", refresh_token="key", client_id="open")
    connector = replace(ACME, auth=(flow,))
    config = {**COMMON, "base_url": url, "key": "first", "open": "id"}
    for name in (None, str(tmp_path / "tokens.json")):
        complaint(connect(connector, {**config, "token_file": name}, SETTINGS))
    assert list(json.loads((tmp_path / "tokens.json").read_text()).values()) == ["rotated"]
    assert [path.name for path in tmp_path.iterdir()] == ["tokens.json"]


def test_nothing_is_sent_by_connecting() -> None:
    made = connect(ACME, {**COMMON, "base_url": "https://acme.invalid"}, SETTINGS)
    assert made.traffic.requests == 0
    made.close()


def test_an_address_that_would_show_everything_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"acme: the setting 'base_url': http://acme\.test would show"):
        connect(ACME, {**COMMON, "base_url": "http://acme.test"}, SETTINGS)
