"""The vendor that a test scripts, and the client that talks to it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.http.kit import CONFIG, Answer, Got, MakeClient, StartVendor, Vendor
from vendortap.http import rate_limit
from vendortap.http.client import Client


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
