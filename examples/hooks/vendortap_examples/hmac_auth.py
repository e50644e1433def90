"""The auth flow ``hmac``: every request is signed with a key that never travels."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Generator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from vendortap.declare import Authorize, Config, Credentials, Outgoing, hookimpl


@hookimpl
def register_auth_flows() -> Mapping[str, Callable[..., Authorize]]:
    """Bring the flow."""
    return {"hmac": hmac_sha256}


def hmac_sha256(*, key_id: str, key: str) -> Authorize:
    """Sign method, path and query, time and body with HMAC-SHA-256; the arguments name the settings."""

    def flow(config: Config) -> Generator[Any, Any, Credentials]:
        yield from ()  # there is no token call to be made

        def sign(request: Outgoing) -> Mapping[str, str]:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            return {
                "X-Time": now,
                "X-Signature": signature(config[key], request.method, request.url, now, request.body),
            }

        return Credentials({"X-Key-Id": config[key_id]}, sign=sign)

    return flow


def signature(key: str, method: str, url: str, time: str, body: bytes) -> str:
    """Return the signature in hexadecimal."""
    parts = urlsplit(url)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    signed = "\n".join((method, target, time, hashlib.sha256(body).hexdigest()))
    return hmac.new(key.encode(), signed.encode(), hashlib.sha256).hexdigest()
