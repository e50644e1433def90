"""A box for sandboxes: what local servers that imitate vendors have in common.

A sandbox is written from its vendor's documents alone. This module therefore knows nothing of the rest of
vendortap but ``faults`` (import-linter holds that): its JSON and XML are written by other means than the decoders
that will read them. ``Server`` counts, delays, limits and injects faults; ``answer`` writes a document in the form
that ``Accept`` asks for, as ASP.NET's serializers do.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import secrets
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from decimal import Decimal
from http import HTTPStatus
from importlib.resources import files
from random import Random
from typing import Any, NamedTuple, TypeVar

import xmltodict
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vendortap.sandbox import faults
from vendortap.support.numbers import plain

Row = TypeVar("Row")
Document = dict[str, Any]
"""Members in the vendor's order; amounts are Decimal, dates are text as sent."""
Handler = Callable[["Call"], Response]
Refuse = Callable[[Request, int, str], Response]
"""Request, status and detail → the vendor's error answer; the detail of a 429 is the seconds to wait."""

UNSET = "0001-01-01T00:00:00"
"""What .NET prints for a DateTime that nobody set."""


# --- data --------------------------------------------------------------------------------------------


def random_for(*parts: object) -> Random:
    """Return the random numbers of a seed, an index and a purpose: the same parts, the same numbers."""
    return Random(":".join(map(str, parts)))  # noqa: S311  (repeatable, not secret)


def table(text: str) -> list[list[str]]:
    """Return the rows of a text with one row a line and ``|`` between the cells."""
    return [[cell.strip() for cell in row.split("|")] for row in text.strip().splitlines()]


def stamp(at: datetime, offset: str = "", tick: int = 0) -> str:
    """Write a date as .NET does: 0 to 7 fraction digits (``tick`` is the seventh), no trailing zeros."""
    fraction = f"{at.microsecond:06}{tick}".rstrip("0")
    return at.isoformat()[:19] + (f".{fraction}" if fraction else "") + offset


def on_clock(at: datetime, clock: tzinfo) -> datetime:
    """Return a moment without zone, on the wall clock of ``clock``; one without zone is there already."""
    return at if at.tzinfo is None else at.astimezone(clock).replace(tzinfo=None)


def blank(document: Document) -> Document:
    """Return the document that .NET makes of an object nobody filled: nulls, zeros and false."""
    return {
        name: type(value)() if isinstance(value, bool | int | Decimal) else None for name, value in document.items()
    }


def add_up(amounts: Iterable[tuple[str, Decimal]]) -> dict[str, tuple[int, Decimal]]:
    """Return currency → (number of amounts, exact sum)."""
    sums: dict[str, tuple[int, Decimal]] = {}
    for currency, amount in amounts:
        count, total = sums.get(currency, (0, Decimal("0.00")))
        sums[currency] = count + 1, total + amount
    return sums


# --- forms -------------------------------------------------------------------------------------------

_MEDIA_TYPES = {
    "application/json": "application/json",
    "text/json": "text/json",
    "application/xml": "application/xml",
    "text/xml": "text/xml",
    "application/*": "application/json",
    "text/*": "text/json",
    "*/*": "application/json",
}


def media_type(accept: str) -> str:
    """Return the media type to answer with: the best of ``Accept`` (RFC 9110, 12.5.1), JSON when none fits."""
    best, best_quality = "application/json", 0.0
    for entry in accept.split(","):
        name, *parameters = (part.strip().lower() for part in entry.split(";"))
        quality = next((_quality(text[2:]) for text in parameters if text.startswith("q=")), 1.0)
        if name in _MEDIA_TYPES and quality > best_quality:
            best, best_quality = _MEDIA_TYPES[name], quality
    return best


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def to_json(value: object) -> bytes:
    """Write JSON as Json.NET does: nulls too, a decimal in its own scale (``10.00``), a whole one as ``8.0``.

    The json module has no exact form for Decimal: it is written as a string between two NULs, which no value
    here contains, and the quotes are then taken off.
    """
    text = json.dumps(value, default=_mark_decimal, ensure_ascii=False, separators=(",", ":"))
    return text.replace('"\\u0000', "").replace('\\u0000"', "").encode()


def _mark_decimal(value: object) -> str:
    if not isinstance(value, Decimal):
        raise TypeError(f"sandbox: JSON has no form for {type(value).__name__}")
    text = plain(value)
    return f"\0{text if '.' in text else text + '.0'}\0"


class XmlNames(NamedTuple):
    """What XmlSerializer knows of a type and JSON does not show.

    ``root`` is the root element; a bare list's is ``ArrayOf<Type>``. ``items`` names the item element of each
    list by its member; ``nil`` holds the members of nullable value types, whose null is ``xsi:nil``; ``renamed``
    gives members another name in XML (``@name`` for an attribute); ``left_out`` are members that only JSON has.
    The entries of ``flat`` lists stand in the object itself. ``namespaces`` are the prefixes that the root declares, in
    their order.
    """

    root: str
    items: Mapping[str, str] = {}
    nil: frozenset[str] = frozenset()
    renamed: Mapping[str, str] = {}
    left_out: frozenset[str] = frozenset()
    flat: frozenset[str] = frozenset()
    namespaces: tuple[str, ...] = ("xsi", "xsd")


_NAMESPACES = {"xsi": "http://www.w3.org/2001/XMLSchema-instance", "xsd": "http://www.w3.org/2001/XMLSchema"}


def to_xml(document: Document | list[Document], names: XmlNames) -> bytes:
    """Write XML as the help pages of ASP.NET show it: no declaration; an empty list is an empty element."""
    content: Document = {f"@xmlns:{prefix}": _NAMESPACES[prefix] for prefix in names.namespaces}
    if isinstance(document, list):
        content[names.root.removeprefix("ArrayOf")] = [_members(row, names) for row in document]
    else:
        content.update(_members(document, names))
    text: str = xmltodict.unparse({names.root: content}, full_document=False, short_empty_elements=True)
    return text.encode()


def _members(document: Document, names: XmlNames) -> Document:
    written: Document = {}
    for name, value in document.items():
        element = names.renamed.get(name, name)
        if name in names.left_out:
            continue
        if name in names.flat and isinstance(value, list):
            written[names.items.get(name, element)] = [_element(name, entry, names) for entry in value]
        elif value is not None:
            written[element] = _element(name, value, names)
        elif name in names.nil:
            written[element] = {"@xsi:nil": "true"}
    return written


def _element(name: str, value: object, names: XmlNames) -> object:
    if isinstance(value, dict):
        return _members(value, names)
    if isinstance(value, list):
        items = [_element(name, item, names) for item in value]
        return {names.items.get(name, "string"): items} if items else None
    if isinstance(value, bool):
        return "true" if value else "false"
    return plain(value) if isinstance(value, Decimal) else str(value)


def answer(request: Request, document: Document | list[Document], names: XmlNames, status: int = 200) -> Response:
    """Answer with a document in the form that ``Accept`` asks for."""
    chosen = media_type(request.headers.get("accept", ""))
    body = to_xml(document, names) if chosen.endswith("xml") else to_json(document)
    return Response(body, status, media_type=f"{chosen}; charset=utf-8")


def json_answer(document: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with JSON, whatever was asked for."""
    return Response(to_json(document), status, headers, "application/json; charset=utf-8")


def sample_answer(request: Request, package: str) -> Response:
    """Answer with the vendor's own sample, byte for byte: ``samples/invoice.json`` or ``.xml`` of ``package``."""
    chosen = media_type(request.headers.get("accept", ""))
    name = "invoice.xml" if chosen.endswith("xml") else "invoice.json"
    return Response((files(package) / "samples" / name).read_bytes(), media_type=f"{chosen}; charset=utf-8")


def web_api_error(request: Request, status: int, detail: str = "") -> Response:
    """Refuse as ASP.NET Web API does by default: a ``Message``, in XML within ``Error``."""
    usual = {401: "Authorization has been denied for this request.", 500: "An error has occurred."}
    told = "" if status == 429 else detail
    message = usual.get(status) or told or HTTPStatus(status).phrase
    return answer(request, {"Message": message}, XmlNames("Error", namespaces=()), status)


# --- server ------------------------------------------------------------------------------------------


class Call(NamedTuple):
    """One request: query and path parameters by lower-case name, and the body, read to its end.

    ``fault`` is the kind of fault (``vendortap.sandbox.faults``) that the handler is to carry out itself, if any.
    """

    request: Request
    params: Mapping[str, str]
    body: bytes
    fault: str = ""

    def moved(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return all the rows of a list in their order, or as they are once the first has moved to the end."""
        return [*rows[1:], *rows[:1]] if self.fault == "moving-rows" else rows

    def shown(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return the rows of a page, or none of them where an empty page is due."""
        return [] if self.fault == "empty-page" else rows

    def json(self) -> Any:
        """Return the JSON body; anything else is answered with 400."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise HTTPException(400, "The request is invalid.") from None

    def whole(self, name: str, default: int, least: int = 1) -> int:
        """Return a parameter that is a whole number, ``least`` or more; anything else is answered with 400."""
        text = self.params.get(name) or str(default)
        if not re.fullmatch("0*[0-9]{1,9}", text) or int(text) < least:
            raise HTTPException(400, "The request is invalid.")
        return int(text)

    def moment(self, name: str, clock: tzinfo, *, end_of_day: bool = False) -> datetime | None:
        """Return a parameter that is a date or a date-time, on the vendor's clock; 400 for anything else.

        A date alone is the day's start, or its last microsecond.
        """
        text = self.params.get(name)
        if not text:
            return None
        try:
            at = on_clock(datetime.fromisoformat(text.replace("Z", "+00:00")), clock)
        except (ValueError, OverflowError):
            raise HTTPException(400, "The request is invalid.") from None
        if end_of_day and len(text) <= len("YYYY-MM-DD"):
            return at.replace(hour=23, minute=59, second=59, microsecond=999_999)
        return at


@dataclass
class Bucket:
    """A token bucket of ``rate`` requests a second, full at first; 0 means no limit."""

    rate: float
    burst: int | None = None
    level: float = 0.0
    filled: float = 0.0

    def __post_init__(self) -> None:
        self.level, self.filled = self.size, time.monotonic()

    @property
    def size(self) -> float:
        """How many may come at once."""
        return self.burst or max(1, math.ceil(self.rate))

    def wait(self) -> int:
        """Take a token and return 0, or return the whole seconds until there is one."""
        if not self.rate:
            return 0
        now = time.monotonic()
        self.level = min(self.size, self.level + (now - self.filled) * self.rate)
        self.filled = now
        if self.level >= 1:
            self.level -= 1
            return 0
        return math.ceil((1 - self.level) / self.rate)


class Fault(NamedTuple):
    """A failure to answer with instead of what was asked for."""

    status: int
    headers: Mapping[str, str]


@dataclass
class Tokens:
    """Bearer tokens that a sandbox has issued, each with its end on the monotonic clock."""

    seconds: float = 3600
    issued: dict[str, float] = field(default_factory=dict)

    def issue(self, seconds: float | None = None) -> str:
        """Make a new token, good for ``seconds`` if these are not the usual ones."""
        token = secrets.token_urlsafe(32)
        self.issued[token] = time.monotonic() + (self.seconds if seconds is None else seconds)
        return token

    def valid(self, token: str) -> bool:
        """Whether a token was issued and is still good."""
        return self.issued.get(token, 0.0) > time.monotonic()

    def revoke(self) -> None:
        """Make every token issued so far invalid."""
        self.issued.clear()


@dataclass
class Server:
    """Counts, delays, limits and, when told to, fails requests before a handler sees them.

    ``refuse`` writes the vendor's error answers. ``requests`` counts arrivals by route name, whatever they are
    answered with, and the 429s sent as "429". The order is: latency, injected fault, guard, limit, handler.
    ``fail`` is the short way to have statuses; ``vendortap.sandbox.faults`` stands outside and knows many more.
    """

    refuse: Refuse
    latency_ms: float = 0
    bucket: Bucket = field(default_factory=lambda: Bucket(0))
    requests: Counter[str] = field(default_factory=Counter)
    faults: deque[Fault] = field(default_factory=deque)

    def fail(self, number_of_requests: int, status: int, headers: Mapping[str, str] | None = None) -> None:
        """Answer the next ``number_of_requests`` guarded requests with ``status``.

        A 429 has ``Retry-After: 1`` unless ``headers`` are given.
        """
        default = {"Retry-After": "1"} if status == 429 else {}
        self.faults.extend([Fault(status, default if headers is None else headers)] * number_of_requests)

    def route(
        self,
        path: str,
        name: str,
        handler: Handler,
        *,
        methods: Iterable[str] = ("GET",),
        guard: Callable[[Call], Response | None] | None = None,
        failed: Handler | None = None,
    ) -> Route:
        """Return a route. Without ``guard`` (token calls) it is neither delayed, nor limited, nor failed.

        ``failed`` writes what the vendor answers under HTTP 200 when this call has failed; where its documents know
        of no such answer, it is the one that ``refuse`` writes for 500.
        """

        async def serve(request: Request) -> Response:
            self.requests[name] += 1
            given = [*request.query_params.items(), *request.path_params.items()]
            params = {key.lower(): str(value) for key, value in given}
            call = Call(request, params, await request.body(), request.scope.get(faults.KEY, ""))
            if call.fault in faults.STATUSES:
                return self._refusal(request, *faults.refusal(call.fault))
            if call.fault == "error":
                return failed(call) if failed else self._refusal_under_200(request)
            if guard is None:
                return handler(call)
            if self.latency_ms:
                await asyncio.sleep(self.latency_ms / 1000)
            return self._fault(request) or guard(call) or self._limit(request) or handler(call)

        endpoint: Callable[[Request], Awaitable[Response]] = serve
        return Route(path, endpoint, methods=list(methods))

    def _fault(self, request: Request) -> Response | None:
        return self._refusal(request, *self.faults.popleft()) if self.faults else None

    def _refusal_under_200(self, request: Request) -> Response:
        response = self.refuse(request, 500, "")
        response.status_code = 200
        return response

    def _limit(self, request: Request) -> Response | None:
        seconds = self.bucket.wait()
        return self._refusal(request, 429, {"Retry-After": str(seconds)}) if seconds else None

    def _refusal(self, request: Request, status: int, headers: Mapping[str, str]) -> Response:
        if status == 429:
            self.requests["429"] += 1
        response = self.refuse(request, status, headers.get("Retry-After", "") if status == 429 else "")
        response.headers.update(headers)
        return response

    def application(self, routes: Iterable[Route], **state: Any) -> Starlette:
        """Return the ASGI application; gzips what clients accept.

        Its ``state`` has ``requests`` and ``fail`` of this server, the ``faults`` that it carries out itself, and
        whatever is given, ``paging`` among it: the parameters, in lower case, that its lists are paged by.
        """

        async def refused(request: Request, error: Any) -> Response:
            response = self.refuse(request, error.status_code, error.detail)
            response.headers.update(error.headers or {})
            return response

        app = Starlette(
            routes=list(routes),
            middleware=[Middleware(GZipMiddleware, compresslevel=1)],
            exception_handlers={HTTPException: refused},
        )
        app.state.requests, app.state.fail = self.requests, self.fail
        app.state.faults = frozenset({*faults.STATUSES, *faults.VENDORS_OWN})
        for name, value in state.items():
            setattr(app.state, name, value)
        return app
