"""What goes wrong between vendors and their clients: faults to order, and the application that carries them out.

``Faulty`` stands around a sandbox. It numbers the requests, and lets each through unless a fault is due: then the
connection breaks, the answer never ends, is cut short, is too large, or is not what was asked for. What only the
vendor's own code can get wrong (its error bodies, its pages) is left to the sandbox, which finds the fault's kind in
its requests. Everything is written from RFC 9110, RFC 9112 and vendors' documents, and nothing from a client.
"""

from __future__ import annotations

import asyncio
import gzip
import re
import socket
import struct
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from http import HTTPStatus
from itertools import chain, repeat
from random import Random
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
"""An ASGI 3.0 application, and what it is called with."""

HUGE_MB = 200
"""The size of a huge body."""
BOMB_MB = 1024
"""What a compressed body of about a thousandth of it comes to."""
NESTED = 100_000
"""How deeply a deep body is nested."""
SLOW_SECONDS = 0.05
"""How long a slow answer takes for each byte."""
ABSURD_SECONDS = 999_999_999
"""What an absurd Retry-After asks for: 31 years."""

STATUSES = {
    **{str(number): f"{number} {HTTPStatus(number).phrase}" for number in (401, 403, 404, 408, 500, 502, 503)},
    "429": "429 Too Many Requests, Retry-After in seconds",
    "429-date": "429, Retry-After as a date",
    "429-absurd": "429, Retry-After of 31 years",
}
BROKEN = {
    "reset": "the connection is reset before there is any answer",
    "reset-before-body": "it is reset after the head of the answer",
    "reset-in-body": "it is reset half-way through the body",
    "reset-after-body": "it is reset after the whole answer",
    "close-in-body": "it is closed half-way through a body of no declared length",
    "hang": "there is no answer, and the connection stays open",
    "hang-in-body": "the answer stops half-way, and the connection stays open",
    "slow": "the answer comes a byte at a time",
    "truncated-gzip": "the compressed body stops half-way, and its length is that of the half",
    "length-too-long": "Content-Length is more than there is",
    "length-too-short": "Content-Length is less than there is",
}
BODIES = {
    "html": "a web page under 200",
    "huge": f"a body of {HUGE_MB} MB",
    "deep": f"a body nested {NESTED:,} deep",
    "gzip-bomb": f"a small compressed body that comes to {BOMB_MB} MB",
    "repeat-page": "the page before it in its list is given again; @2- is the same page, and its token, for ever",
}
VENDORS_OWN = {
    "error": "an error as the vendor writes it, under 200",
    "empty-page": "a page of a list is empty",
    "moving-rows": "a row of a list has moved from its beginning to its end",
}
KINDS: Mapping[str, str] = {**BROKEN, **STATUSES, **BODIES, **VENDORS_OWN}
"""Every kind of fault, and what happens."""

_FAULT = re.compile(r"(?P<kind>[a-z0-9-]+?)(?:@(?P<numbers>[0-9,-]+)|:(?P<chance>[0-9.]+))?(?P<path>/.*)?")
_NUMBERS = re.compile(r"([1-9][0-9]{0,8})(?:(-)([1-9][0-9]{0,8})?)?")


# --- which request -----------------------------------------------------------------------------------


class Fault(NamedTuple):
    """A kind of fault and the requests it befalls, of those whose path contains ``path``.

    These are numbered from 1. ``numbers`` holds the first and the last of each run of them (no last: and all that
    follow); ``chance`` is how likely each is to be befallen. With neither all are.
    """

    kind: str
    numbers: tuple[tuple[int, int | None], ...] = ()
    chance: float | None = None
    path: str = ""

    def befalls(self, number: int, dice: str) -> bool:
        """Whether the request of this number is befallen; the same ``dice``, the same chance."""
        if self.chance is not None:
            return Random(f"{dice}:{number}").random() < self.chance  # noqa: S311 - repeatable, not secret
        return not self.numbers or any(
            first <= number and (last is None or number <= last) for first, last in self.numbers
        )


def fault(text: str) -> Fault:
    """Read a fault: ``KIND``, ``KIND@NUMBERS`` or ``KIND:CHANCE``, and then perhaps the ``/PATH`` it is for.

    ``503@2-4/summary`` befalls the second to the fourth request whose path contains ``/summary``; ``2,5`` are two,
    ``2-`` is the second and all that follow. ``reset:0.1`` befalls one in ten.

    Raises:
        ValueError: it is no such text, or there is no such kind.
    """
    parts = _FAULT.fullmatch(text)
    if parts is None:
        raise ValueError(f"{text!r} is no fault; write KIND, KIND@2,5-7 or KIND:0.1, and then /PATH if it is for one")
    if parts["kind"] not in KINDS:
        raise ValueError(f"{parts['kind']!r} is no kind of fault; there are {', '.join(KINDS)}")
    chance = None if parts["chance"] is None else _chance(parts["chance"])
    return Fault(parts["kind"], tuple(_numbers(parts["numbers"])), chance, parts["path"] or "")


def _chance(text: str) -> float:
    try:
        chance = float(text)
    except ValueError:
        chance = -1.0
    if not 0 <= chance <= 1:
        raise ValueError(f"{text!r} is no chance; it is a number from 0 to 1")
    return chance


def _numbers(text: str | None) -> Iterator[tuple[int, int | None]]:
    for run in text.split(",") if text else ():
        parts = _NUMBERS.fullmatch(run)
        if parts is None:
            raise ValueError(f"{run!r} is no number of a request; write 2, 2-4 or 2-")
        first = int(parts[1])
        yield first, int(parts[3]) if parts[3] else None if parts[2] else first


# --- answers -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """A whole answer, as an application gave it; header names are lower case."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def header(self, name: bytes) -> bytes:
        """The value of a header, ``b""`` where there is none."""
        return next((value for key, value in self.headers if key.lower() == name), b"")

    def having(self, body: bytes, **headers: str | None) -> Answer:
        """The same answer with another body, and with these headers in place of its own; ``None``: without."""
        names = {name.replace("_", "-").encode(): value for name, value in headers.items()}
        kept = [(name, value) for name, value in self.headers if name.lower() not in names]
        new = [(name, value.encode()) for name, value in names.items() if value is not None]
        return Answer(self.status, (*kept, *new), body)


class Wire:
    """The connection below an exchange, for what an ASGI application cannot say. ``lost`` is set when it is gone."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.lost = asyncio.Event()

    def reset(self) -> None:
        """Let the connection end with RST; what has not reached the other side yet never will."""
        connection: socket.socket = self.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    async def end(self, seconds: float | None = None) -> bool:
        """Wait until the other side has had enough, or the server ends; whether that is so within ``seconds``."""
        try:
            await asyncio.wait_for(self.lost.wait(), seconds)
        except TimeoutError:
            return False
        except asyncio.CancelledError:
            self.transport.abort()
            await self.lost.wait()
        return True


@dataclass
class Exchange:
    """One request that a fault befalls."""

    app: Application
    scope: Scope
    receive: Receive
    send: Send
    before: Answer | None

    @property
    def wire(self) -> Wire:
        """The connection (``serve`` lets its server keep it where ASGI keeps the state of a server)."""
        wire: Wire = self.scope["state"]["wire"]
        return wire

    async def answer(self, *, plain: bool = False) -> Answer:
        """Return the application's answer; ``plain`` asks for one that is not compressed."""
        headers = [(k, v) for k, v in self.scope["headers"] if not (plain and k.lower() == b"accept-encoding")]
        return await collected(self.app, {**self.scope, "headers": headers}, self.receive)

    async def begin(self, answer: Answer) -> None:
        """Send the head of an answer."""
        headers = [(name, value) for name, value in answer.headers]
        await self.send({"type": "http.response.start", "status": answer.status, "headers": headers})

    async def give(self, body: bytes, *, more: bool = False) -> None:
        """Send a piece of the body, the last one unless there is ``more``."""
        await self.send({"type": "http.response.body", "body": body, "more_body": more})

    async def whole(self, answer: Answer) -> None:
        """Send an answer as it is."""
        await self.begin(answer)
        await self.give(answer.body)


async def collected(app: Application, scope: Scope, receive: Receive) -> Answer:
    """Return an application's answer instead of sending it."""
    status, headers, pieces = 500, [], []

    async def keep(message: MutableMapping[str, Any]) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status, headers = message["status"], list(message["headers"])
        else:
            pieces.append(message.get("body", b""))

    await app(scope, receive, keep)
    return Answer(status, tuple(headers), b"".join(pieces))


# --- what happens ------------------------------------------------------------------------------------

Act = Callable[[Exchange], Awaitable[None]]


async def _reset(exchange: Exchange) -> None:
    exchange.wire.reset()
    await exchange.wire.end()


async def _reset_before_body(exchange: Exchange) -> None:
    await exchange.begin(await exchange.answer())
    await _reset(exchange)


async def _reset_in_body(exchange: Exchange) -> None:
    await _half(exchange)
    await _reset(exchange)


async def _half(exchange: Exchange) -> None:
    answer = await exchange.answer()
    await exchange.begin(answer)
    await exchange.give(answer.body[: len(answer.body) // 2], more=True)


async def _reset_after_body(exchange: Exchange) -> None:
    await exchange.whole(await exchange.answer())
    await _reset(exchange)


async def _close_in_body(exchange: Exchange) -> None:
    """A body without Content-Length ends where the connection does (RFC 9112, 6.3): nothing shows that it is cut."""
    answer = await exchange.answer(plain=True)
    head = b"HTTP/1.1 %d\r\nContent-Type: %b\r\nConnection: close\r\n\r\n"
    exchange.wire.transport.write(head % (answer.status, answer.header(b"content-type")))
    exchange.wire.transport.write(answer.body[: len(answer.body) // 2])
    exchange.wire.transport.close()
    await exchange.wire.end()


async def _hang(exchange: Exchange) -> None:
    await exchange.wire.end()


async def _hang_in_body(exchange: Exchange) -> None:
    await _half(exchange)
    await exchange.wire.end()


async def _slow(exchange: Exchange) -> None:
    answer = await exchange.answer()
    await exchange.begin(answer)
    for at in range(len(answer.body)):
        await exchange.give(answer.body[at : at + 1], more=True)
        if await exchange.wire.end(SLOW_SECONDS):
            return
    await exchange.give(b"")


async def _truncated_gzip(exchange: Exchange) -> None:
    answer = await exchange.answer(plain=True)
    packed = gzip.compress(answer.body)
    half = packed[: len(packed) // 2]
    await exchange.whole(answer.having(half, content_encoding="gzip", content_length=str(len(half))))


async def _length_too_long(exchange: Exchange) -> None:
    answer = await exchange.answer()
    await exchange.begin(answer.having(answer.body, content_length=str(len(answer.body) + 100)))
    await exchange.give(answer.body, more=True)
    exchange.wire.transport.close()
    await exchange.wire.end()


async def _length_too_short(exchange: Exchange) -> None:
    """The rest stands where the next answer on the connection should begin."""
    answer = await exchange.answer(plain=True)
    size = len(answer.body) * 3 // 4
    await exchange.whole(answer.having(answer.body[:size], content_length=str(size)))
    exchange.wire.transport.write(answer.body[size:])


async def _html(exchange: Exchange) -> None:
    page = b"<!DOCTYPE html><html><head><title>Maintenance</title></head><body><h1>Back soon</h1></body></html>"
    headers = ((b"content-type", b"text/html; charset=utf-8"), (b"content-length", str(len(page)).encode()))
    await exchange.whole(Answer(200, headers, page))


async def _deep(exchange: Exchange) -> None:
    await _filled(exchange, (b"[" * NESTED, b"]" * NESTED), (b"<Extension>" * NESTED, b"</Extension>" * NESTED))


_MEGABYTE = b"x" * 1_000_000


async def _inflate(exchange: Exchange, megabytes: int, *, packed: bool = False) -> None:
    filler = list(repeat(_MEGABYTE, megabytes))
    await _filled(exchange, (b'"', *filler, b'"'), (b"<Extension>", *filler, b"</Extension>"), packed=packed)


async def _filled(
    exchange: Exchange, in_json: Iterable[bytes], in_xml: Iterable[bytes], *, packed: bool = False
) -> None:
    """Send the answer, with something added to it that is well-formed and that nobody asked for."""
    answer = await exchange.answer(plain=True)
    is_xml = b"xml" in answer.header(b"content-type")
    pieces = _into_xml(answer.body, in_xml) if is_xml else _into_json(answer.body, in_json)
    encoding = "gzip" if packed else None
    await exchange.begin(answer.having(b"", content_length=None, content_encoding=encoding))
    async for piece in _paced(_members(pieces) if packed else pieces, exchange.wire):
        await exchange.give(piece, more=True)
    await exchange.give(b"")


async def _paced(pieces: Iterable[bytes], wire: Wire) -> AsyncIterator[bytes]:
    """Yield the pieces while there is somebody to take them, and let other requests have their turn."""
    for piece in pieces:
        await asyncio.sleep(0)
        if wire.lost.is_set():
            return
        yield piece


def _into_json(body: bytes, value: Iterable[bytes]) -> Iterator[bytes]:
    """Add a member to the first object; where there is none, to an object of its own."""
    head, brace, tail = body.partition(b"{")
    if not brace:
        return chain((b'{"Extension":',), value, (b"}",))
    comma = b"" if tail.lstrip().startswith(b"}") else b","
    return chain((head, b'{"Extension":'), value, (comma, tail))


def _into_xml(body: bytes, element: Iterable[bytes]) -> Iterator[bytes]:
    """Add an element to the root; where that is empty, to a root of its own."""
    root = re.match(rb"\s*(<\?.*?\?>\s*)?<[^?!/>][^>]*(?<!/)>", body, re.DOTALL)
    if root is None:
        return chain((b"<Extensions>",), element, (b"</Extensions>",))
    return chain((body[: root.end()],), element, (body[root.end() :],))


def _members(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Compress each piece as a member of its own, which is still one gzip file (RFC 1952, 2.2)."""
    megabyte = gzip.compress(_MEGABYTE)
    for piece in pieces:
        yield megabyte if piece is _MEGABYTE else gzip.compress(piece)


async def _repeat_page(exchange: Exchange) -> None:
    assert exchange.before is not None  # noqa: S101 - without a page before, the fault is not due
    await exchange.whole(exchange.before)


async def _refuse(exchange: Exchange, kind: str) -> None:
    """Answer with a status for an application that has no error bodies of its own."""
    status, headers = refusal(kind)
    named = {"content-type": "text/plain", "content-length": "0", **headers}
    await exchange.whole(Answer(status, tuple((k.lower().encode(), v.encode()) for k, v in named.items()), b""))


def refusal(kind: str) -> tuple[int, dict[str, str]]:
    """Return the status of a kind of ``STATUSES``, and the headers that belong to it."""
    status, _, form = kind.partition("-")
    if status != "429":
        return int(status), {}
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)  # rounded down to seconds
    return 429, {"Retry-After": {"date": soon, "absurd": str(ABSURD_SECONDS)}.get(form, "1")}


_ACTS: Mapping[str, Act] = {
    "reset": _reset,
    "reset-before-body": _reset_before_body,
    "reset-in-body": _reset_in_body,
    "reset-after-body": _reset_after_body,
    "close-in-body": _close_in_body,
    "hang": _hang,
    "hang-in-body": _hang_in_body,
    "slow": _slow,
    "truncated-gzip": _truncated_gzip,
    "length-too-long": _length_too_long,
    "length-too-short": _length_too_short,
    "html": _html,
    "huge": lambda exchange: _inflate(exchange, HUGE_MB),
    "deep": _deep,
    "gzip-bomb": lambda exchange: _inflate(exchange, BOMB_MB, packed=True),
    "repeat-page": _repeat_page,
}


# --- pages -------------------------------------------------------------------------------------------

_MEMBERS = re.compile(r'"(\w+)"\s*:\s*"?([^",{}\[\]]*)|<(\w+)>([^<]*)</')
"""The members of a body in JSON, or the elements in XML, that have a text: enough to find the number of a page."""
_PAGES_KEPT = 200


class Asked(NamedTuple):
    """What a request for a page has in its path, and in its query and body."""

    path: str
    params: Mapping[str, str]

    @classmethod
    def of(cls, scope: Scope, body: bytes) -> Asked:
        """Read a request."""
        query = parse_qsl(scope["query_string"].decode("latin-1"))
        members = _MEMBERS.findall(body.decode("utf-8", "replace"))
        return cls(scope["path"], dict([*query, *((m[0] or m[2], m[1].strip() or m[3]) for m in members)]))

    def follows(self, before: Asked, answer: Answer, paging: Collection[str] | None) -> bool:
        """Whether this asks for a later page of the list that the other one, so answered, had a page of.

        Such requests differ in nothing but ``paging``: a number that grows, or a token out of the answer.
        """
        changed = {name for name in self.params if before.params.get(name) != self.params[name]}
        gone = before.params.keys() - self.params.keys()
        if self.path != before.path or not changed:
            return False
        if paging is not None and not {*map(str.lower, changed | gone)} <= {*paging}:
            return False
        text = gunzipped(answer).decode("utf-8", "replace")
        return all(_grows(before.params.get(name), self.params[name], text) for name in changed)


def _grows(before: str | None, now: str, text: str) -> bool:
    if _is_count(now):
        return int(before if before and _is_count(before) else 0) < int(now)
    return now in text


def _is_count(text: str) -> bool:
    return text.isdecimal() and len(text) <= 18


def gunzipped(answer: Answer) -> bytes:
    """Return the body of an answer as it was before it was compressed."""
    return gzip.decompress(answer.body) if answer.header(b"content-encoding") == b"gzip" else answer.body


# --- the application ---------------------------------------------------------------------------------

KEY = "vendortap.fault"
"""Where a sandbox finds, in the scope of a request, the kind of fault that it is to carry out itself."""


@dataclass
class Faulty:
    """An ASGI application around a sandbox's, with faults in it.

    ``app.state.faults`` are the kinds that the sandbox carries out itself, ``app.state.paging`` the parameters, in
    lower case, that its lists are paged by (any, where it does not say). ``done`` counts the faults that have
    befallen requests by kind. Served by ``vendortap.sandbox.serve``, which lends it the connections.

    Raises:
        ValueError: a fault is none, or of a kind that this sandbox does not know how to carry out.
    """

    app: Any
    seed: int = 0
    done: Counter[str] = field(default_factory=Counter)
    _faults: list[Fault] = field(default_factory=list)
    _seen: list[int] = field(default_factory=list)
    _pages: deque[tuple[Asked, Answer]] = field(default_factory=lambda: deque(maxlen=_PAGES_KEPT))

    @property
    def state(self) -> Any:
        """The sandbox's own state, which knows the truth."""
        return self.app.state

    def order(self, *texts: str) -> None:
        """Have these faults from now on, and no others; requests are numbered from 1 again."""
        faults = [fault(text) for text in texts]
        for unknown in (f.kind for f in faults if f.kind in VENDORS_OWN and f.kind not in self._own):
            raise ValueError(f"this sandbox has no way to do {unknown!r}: {VENDORS_OWN[unknown]}")
        self._faults, self._seen = faults, [0] * len(faults)
        self._pages.clear()
        self.done.clear()

    @property
    def _own(self) -> frozenset[str]:
        own: frozenset[str] = getattr(self.app.state, "faults", frozenset())
        return own

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or do to it what is due."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        kind = self._due(scope["path"])
        asked: Asked | None = None
        before: Answer | None = None
        if any(ordered.kind == "repeat-page" for ordered in self._faults):
            body = await read_body(receive)
            asked, receive = Asked.of(scope, body), again(body, receive)
            before = self._page_before(asked)
        exchange = Exchange(self.app, scope, receive, send, before)
        if kind is None or (kind == "repeat-page" and before is None):
            await self._pass_on(exchange, asked)
            return
        self.done[kind] += 1
        if kind in self._own:
            await self.app({**scope, KEY: kind}, receive, send)
            return
        act = _ACTS.get(kind, partial(_refuse, kind=kind))
        await act(exchange)

    async def _pass_on(self, exchange: Exchange, asked: Asked | None) -> None:
        """Answer as the application does, and keep the answer to what was asked for, if later ones may repeat it."""
        if asked is None:
            await self.app(exchange.scope, exchange.receive, exchange.send)
            return
        answer = await collected(self.app, exchange.scope, exchange.receive)
        self._pages.append((asked, answer))
        await exchange.whole(answer)

    def _page_before(self, asked: Asked) -> Answer | None:
        paging: Collection[str] | None = getattr(self.app.state, "paging", None)
        return next((answer for page, answer in reversed(self._pages) if asked.follows(page, answer, paging)), None)

    def _due(self, path: str) -> str | None:
        """Number a request, and return the first kind of fault that befalls it."""
        found = None
        for place, ordered in enumerate(self._faults):
            if ordered.path in path:
                self._seen[place] += 1
                if found is None and ordered.befalls(self._seen[place], f"{self.seed}:{place}"):
                    found = ordered.kind
        return found


async def read_body(receive: Receive) -> bytes:
    """Read the body of a request."""
    pieces: list[bytes] = []
    while True:
        message = await receive()
        pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(pieces)


def again(body: bytes, receive: Receive) -> Receive:
    """Return what gives the application a body that has been read already, and then what follows it."""
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive_again() -> MutableMapping[str, Any]:
        return next(messages, None) or await receive()

    return receive_again
