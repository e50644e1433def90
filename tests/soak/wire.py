"""Bytes: what a vendor's tree looks like as JSON and XML, how the oracle reads it again, and a small HTTP server."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from xml.etree.ElementTree import Element, ParseError, fromstring
from xml.sax.saxutils import escape

Tree = Any
"""dict, list, str, int, bool, Decimal, None."""


def to_json(tree: Tree) -> str:
    """Write a tree; a Decimal with every digit, which ``json`` cannot."""
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{json.dumps(name)}: {to_json(value)}" for name, value in tree.items()) + "}"
    if isinstance(tree, list):
        return "[" + ", ".join(map(to_json, tree)) + "]"
    if isinstance(tree, Decimal):
        return str(tree)
    text = json.dumps(tree, ensure_ascii=False)
    return json.dumps(tree) if any("\ud800" <= letter <= "\udfff" for letter in text) else text


def to_xml(tree: Tree, name: str, items: Mapping[str, str]) -> str:
    """Write a tree as an element; ``items`` has the names of the items of each list."""
    if isinstance(tree, dict):
        inside = "".join(to_xml(value, key, items) for key, value in tree.items() if value is not None)
    elif isinstance(tree, list):
        inside = "".join(to_xml(value, items.get(name, "string"), items) for value in tree)
    elif isinstance(tree, bool):
        inside = str(tree).lower()
    else:
        inside = "" if tree is None else escape(str(tree))
    return f"<{name}>{inside}</{name}>"


@dataclass(frozen=True)
class Answer:
    """A reply as it goes out."""

    status: int
    body: bytes
    type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """A request as it came in."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes


def parse(answer: Answer) -> Tree | Element | None:
    """Read a reply with nothing but the standard library; None where that is not possible."""
    try:
        if "xml" in answer.type:
            return fromstring(re.sub(r"^\s*<\?xml.*?\?>", "", _xml_text(answer)))  # noqa: S314 - our own server's bytes
        return json.loads(answer.body.decode("utf-8-sig"), parse_float=Decimal)
    except (ValueError, ParseError, LookupError):
        return None


def _xml_text(answer: Answer) -> str:
    """Decode XML by RFC 7303: its byte order mark, then the header, then its declaration."""
    body = answer.body
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if body.startswith(mark):
            return body.decode(encoding)
    head = Message()
    head["Content-Type"] = answer.type
    declared = re.match(rb"""\s*<\?xml[^>]*encoding=["']([^"']+)""", body)
    return body.decode(head.get_content_charset() or (declared[1].decode() if declared else "utf-8"))


def find(node: Tree | Element, path: Sequence[str]) -> Tree | Element | None:
    """Return what is at a path, of JSON or XML: a text for a leaf of XML."""
    for name in path:
        node = node.get(name) if isinstance(node, dict) else node.find(name) if isinstance(node, Element) else None
    return node.text if isinstance(node, Element) and not len(node) else node


def nodes(tree: Tree | Element) -> Iterator[Tree | Element]:
    """Yield every object or element of a reply."""
    if isinstance(tree, Element):
        yield from tree.iter()
    elif isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from nodes(value)


def number(value: object) -> Decimal | None:
    """Return an amount as it was served, exactly; None for what is no number."""
    try:
        return None if value is None or isinstance(value, bool) else Decimal(str(value))
    except ArithmeticError:
        return None


def stamp(moment: datetime) -> str:
    """Write a moment as Json.NET and XmlSerializer do, with its offset."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


@contextmanager
def serving(answer: Callable[[Asked], Answer]) -> Iterator[str]:
    """Serve on a free port of this machine, one request after the other; yield the address."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with lock:
                reply = answer(Asked(self.command, parts.path, dict(parse_qsl(parts.query)), body))
            self.send_response(reply.status)
            for name, value in {"Content-Type": reply.type, **reply.headers}.items():
                self.send_header(name, value)
            if reply.status != 204:
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        do_POST = do_GET  # noqa: N815 - likewise

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name that it has there
            """Say nothing: a killed client is no news."""

    server = _Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that is killed leaves its connection."""
