"""Serves a recording over a real socket, and points its connector there.

A request that was recorded is answered as it was. One that differs in its parameters, as the next run asks since
another date, gets the answer of the recorded request to the same path that it has most in common with. Other paths
are answered with 404.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from lxml import etree

from vendortap.declare.model import Config, Connector, Credentials, Recall, Remember, Request
from vendortap.decode import json as json_format
from vendortap.plugins import validation
from vendortap.sandbox import faults
from vendortap.testing.tape import URL, Asked, Exchange, Recording

Leaf = tuple[str, str]


class Replay:
    """An ASGI application that answers what was recorded in a folder."""

    def __init__(self, kept: Recording, folder: Path) -> None:
        self._bodies = {exchange.file: (folder / exchange.file).read_bytes() for exchange in kept.exchanges}
        self._by_path: dict[tuple[str, str], list[tuple[set[Leaf], Exchange]]] = {}
        for exchange in kept.exchanges:
            place = exchange.asked.method, unquote(exchange.asked.path)
            self._by_path.setdefault(place, []).append((set(_leaves(exchange.asked)), exchange))

    @property
    def state(self) -> Any:
        """Nothing: a recording knows no truth beside itself."""
        return None

    async def __call__(self, scope: faults.Scope, receive: faults.Receive, send: faults.Send) -> None:
        """Answer a request."""
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        body = (await receive()).get("body", b"").decode(errors="replace")
        params = dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
        asked = Asked(scope["method"], scope["path"], params, headers.get(b"accept", ""), body)
        status, media_type, answer = 404, "text/plain", b""
        if (found := self._find(asked)) is not None:
            host = headers.get(b"host", "")
            status, media_type = found.status, found.media_type
            answer = self._bodies[found.file].replace(URL.encode(), f"http://{host}".encode())
        told = [(b"content-type", media_type.encode()), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": told})
        await send({"type": "http.response.body", "body": answer})

    def _find(self, asked: Asked) -> Exchange | None:
        """Return the recorded exchange that has most in common; nothing where its path was never asked for."""
        wanted = set(_leaves(asked))
        known = self._by_path.get((asked.method, asked.path), [])
        return max(known, key=lambda one: len(one[0] & wanted) - len(one[0] ^ wanted), default=(set(), None))[1]


def _leaves(asked: Asked) -> Iterator[Leaf]:
    """Yield what a request says, piece by piece: each parameter, and each value of its body."""
    yield "accept", asked.accept
    yield from asked.params.items()
    if asked.body.lstrip().startswith("<"):
        for element in etree.fromstring(asked.body.encode()).iter(etree.Element):
            yield str(element.tag), (element.text or "").strip()
    elif asked.body:
        yield from _members(json_format.loads(asked.body.encode()), "")


def _members(value: Any, path: str) -> Iterator[Leaf]:
    if isinstance(value, dict):
        for name, member in value.items():
            yield from _members(member, f"{path}.{name}")
    elif isinstance(value, list):
        for item in value:
            yield from _members(item, f"{path}[]")
    else:
        yield path, str(value)


def pointed(connector: Connector, kept: Recording, url: str) -> Connector:
    """Return the connector as it asks a recording: for the streams that it has, and signed without a token call."""
    settings = validation.settings(connector)["properties"]
    secret = [name for name, setting in settings.items() if setting.get("secret")]

    def signed(config: Config) -> Generator[Request | Recall | Remember, Any, Credentials]:
        yield from ()
        values = [str(config[name]) for name in secret if config.get(name)]
        return Credentials({"Authorization": f"Recorded {values[0]}"} if values else {})

    streams = tuple(stream for stream in connector.streams if stream.name in kept.streams)
    return replace(connector, base_url=lambda _: url, auth=(signed,), streams=streams)


def settings(kept: Recording, url: str) -> Mapping[str, Any]:
    """Return the settings under which was recorded, with the address of the server in them."""
    return {name: value.replace(URL, url) if isinstance(value, str) else value for name, value in kept.config.items()}
