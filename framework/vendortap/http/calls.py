"""A request on its way out: its address worked out, what is sent, and what signs that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import requests
from urllib3.util import Url

from vendortap.declare.model import Outgoing, Request, Sign
from vendortap.errors import ConfigError


@dataclass(frozen=True)
class Call:
    """A request with its address worked out. ``label`` is what messages call it: no query string."""

    request: Request
    url: Url
    label: str
    environment: Mapping[str, Any]


def prepare(call: Call, others: Mapping[str, str], who: str) -> requests.PreparedRequest:
    """Return what is sent: the request with these ``others`` beside its own headers.

    Raises:
        ConfigError: the URL or a header made of the settings cannot be sent.
    """
    if (prepared := _prepared(call, {**call.request.headers, **others})) is None:
        raise ConfigError(
            f"{who}: {call.label} cannot be sent: its URL or a header has characters that HTTP does "
            "not allow there; check the settings for line breaks and copied blanks."
        )
    return prepared


def _prepared(call: Call, headers: Mapping[str, str]) -> requests.PreparedRequest | None:
    """Return what is sent, ``None`` where that cannot be.

    Step by step, without requests' own cookies, logins and hooks: there are none, and they take half of the time.
    """
    prepared = requests.PreparedRequest()
    try:
        for value in headers.values():
            value.encode("latin-1")  # what http.client would fail at, showing the value
        prepared.prepare_method(call.request.method)
        prepared.prepare_url(call.url.url, call.request.params or "")  # nothing in a dict takes longer
        prepared.prepare_headers(headers)
        prepared.prepare_body(call.request.body, None)
    except (requests.exceptions.RequestException, UnicodeError):
        return None
    return prepared


def signatures(prepared: requests.PreparedRequest, signs: Sequence[Sign]) -> dict[str, str]:
    """Return the headers that sign a request."""
    body = prepared.body or b""
    outgoing = Outgoing(
        prepared.method or "",
        prepared.url or "",
        dict(prepared.headers),
        body.encode() if isinstance(body, str) else body,
    )
    return {name: value for sign in signs for name, value in sign(outgoing).items()}
