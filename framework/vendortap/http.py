"""The only network: pooled connections, token bucket, retries, timeouts, driving of auth flows, redaction.

A ``Client`` serves one connector and is shared by all its threads. It goes through requests' ``HTTPAdapter``,
not through a ``requests.Session``: the adapter has the pool, TLS verification and the proxies, and lacks what
must not happen here: cookies, following redirects, credentials out of ``~/.netrc``.

No message and no log line holds a body, a header, a query string or a value known to be secret.
"""

from __future__ import annotations

import importlib.metadata
import io
import json
import logging
import os
import random
import re
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from http.client import HTTPResponse
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qsl, unquote

import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util import Url, parse_url

from vendortap import latency
from vendortap.bounds import PIECE, TooLarge, bounded, gunzip
from vendortap.errors import (
    BodyError,
    ConfigError,
    CredentialsError,
    MissingError,
    RefusedError,
    TransportError,
    VendorError,
    VendortapError,
)
from vendortap.memory import Memory
from vendortap.model import (
    Authorize,
    Config,
    Credentials,
    Limit,
    Outgoing,
    Pace,
    Recall,
    Remember,
    Reply,
    Request,
    Sign,
)
from vendortap.redact import Redactor
from vendortap.wire import xml

log = logging.getLogger("vendortap.http")

BACKOFF_SECONDS = 0.5
"""Upper bound of the first wait; it doubles with each retry."""
BACKOFF_CAP_SECONDS = 30.0
"""Upper bound of any wait that the vendor did not ask for."""
RENEW_SECONDS = 60.0
"""Credentials are renewed this long before their end, or a tenth of their lifetime where that is less."""
ERROR_BODY_BYTES = 64 * 1024
"""Larger error bodies are not searched for the vendor's message."""
_MESSAGE_NAMES = ("message", "error_description", "detail", "error", "faultstring", "title")
_PUBLIC_FORM_FIELDS = frozenset({"grant_type", "scope"})
_PERMANENT_5XX = frozenset({501, 505})
MISSING_RETRIES = 1
"""How often a 5xx that says that there is no such record is asked for again before it is believed."""
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def _is_error(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


# urllib3 logs whole URLs, and keys may travel in their query.
for _logger in ("urllib3.connection", "urllib3.connectionpool", "urllib3.util.retry"):
    logging.getLogger(_logger).addFilter(_is_error)


class Stopped(VendortapError):
    """The run was told to stop while a request was waiting; nothing is wrong with the request."""


# --- what happened -----------------------------------------------------------------------------------


@dataclass
class Traffic:
    """What a client did so far, token calls included. ``bytes`` counts bodies as they came (compressed).

    ``waited_seconds`` adds up the waits of all threads for the token bucket and before retries; ``waiting`` is how many
    of them wait now. ``latencies`` counts answers by the time from the request to the last byte, as
    vendortap.latency has it.
    """

    requests: int = 0
    retries: int = 0
    waited_seconds: float = 0.0
    waiting: int = 0
    bytes: int = 0
    latencies: list[int] = field(default_factory=latency.none)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(
        self, *, requests: int = 0, retries: int = 0, waited_seconds: float = 0.0, waiting: int = 0, size: int = 0
    ) -> None:
        """Add to the counters; may be called by any thread."""
        with self._lock:
            self.requests += requests
            self.retries += retries
            self.waited_seconds += waited_seconds
            self.waiting += waiting
            self.bytes += size

    def answered(self, seconds: float, size: int) -> None:
        """Count an answer that has been read, as far as it was; may be called by any thread."""
        with self._lock:
            self.bytes += size
            self.latencies[latency.place(seconds)] += 1


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt of a request, as far as it may be told to others: neither path nor query, header or body.

    ``endpoint`` is the declared template of the path, empty where there is none. ``status`` is that of the reply,
    ``None`` where none came. ``retry`` counts from 0.
    """

    method: str
    endpoint: str
    host: str
    port: int
    status: int | None
    retry: int
    seconds: float


# --- pace --------------------------------------------------------------------------------------------


class TokenBucket:
    """Lets through ``rate`` requests a second on the average and ``burst`` at once; ``None``: any number.

    In any interval of ``t`` seconds there are never more than ``burst + rate * t`` permits. Implemented as
    the generic cell rate algorithm (ITU-T I.371, annex A): one integer, the nanosecond at which the bucket
    would be full again, so nothing drifts. ``clock`` gives nanoseconds that never go back.

    The vendor's bucket counts a request when it arrives, and the first ones, which open connections, take longest
    to arrive: those that follow a burst wait ``slack`` nanoseconds more than they have to, or they would be early.
    """

    def __init__(
        self, rate: float | None, burst: int = 1, clock: Callable[[], int] = time.monotonic_ns, slack: int = 50_000_000
    ) -> None:
        self._burst = burst
        self._slack = slack
        self._clock = clock
        self._set(rate)
        self._full_at = self._paused_until = clock()
        self._state = threading.Lock()
        self._turn = threading.Lock()

    def _set(self, rate: float | None) -> None:
        self._interval = 0 if rate is None else -int(-1e9 // rate)  # rounded up: never faster than ``rate``
        self._tolerance = max(0, (self._burst - 1) * self._interval - self._slack)

    def change(self, rate: float) -> None:
        """Let through ``rate`` requests a second from now on; as many permits are missing as before."""
        with self._state:
            begin = max(self._clock(), self._paused_until)
            missing, before = max(0, self._full_at - begin), self._interval or 1
            self._set(rate)
            self._full_at = begin + missing * self._interval // before

    def take(self) -> int:
        """Take a token and return 0, or return the nanoseconds until there may be one."""
        with self._state:
            now = self._clock()
            wait = self._full_at - self._tolerance - now
            if wait > 0:
                return wait
            self._full_at = max(self._full_at, now) + self._interval
            return 0

    def pause(self, seconds: float) -> None:
        """Let nothing through for ``seconds``; afterwards start with one permit, not with a burst."""
        with self._state:
            self._paused_until = max(self._paused_until, self._clock() + round(seconds * 1e9))
            self._full_at = max(self._full_at, self._paused_until + self._tolerance)

    def acquire(self, stop: threading.Event) -> None:
        """Take a token, waiting for it as long as it takes.

        Raises:
            Stopped: ``stop`` was set before there was a token.
        """
        with self._turn:  # One thread watches the clock, the others queue here.
            while not stop.is_set():
                wait = self.take()
                if wait == 0:
                    return
                stop.wait(min(wait / 1e9, 3600))
        raise Stopped("stopped while waiting for the rate limit.")


def backoff(retry: int, chance: Callable[[], float] = random.random) -> float:
    """Return the seconds to wait before retry ``retry`` (from 0): exponential with full jitter.

    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    return chance() * min(BACKOFF_CAP_SECONDS, BACKOFF_SECONDS * 2.0 ** min(retry, 30))


def retry_after(reply: Reply) -> float | None:
    """Return the seconds that ``Retry-After`` asks for, from its number or its date (RFC 9110, 10.2.3).

    A date is held against the reply's own ``Date``, where there is one, as clocks differ. ``None`` where the
    header is absent or neither form.
    """
    value = reply.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    until = _http_date(value)
    if until is None:
        return None
    now = _http_date(reply.headers.get("date", "")) or reply.received
    return max(0.0, (until - now).total_seconds())


def _http_date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=timezone.utc)


def _is_transient(status: int) -> bool:
    return status in (408, 429) or (500 <= status < 600 and status not in _PERMANENT_5XX)


# --- what a message may say --------------------------------------------------------------------------


def vendor_message(reply: Reply) -> str | None:
    """Return the human sentence in an error body in JSON or XML, unredacted; ``None`` where there is none.

    Looks for the usual members, among them those of RFC 6749 5.2, RFC 9457 and SOAP faults. XML with a
    document type or entities is not read.
    """
    if len(reply.body) > ERROR_BODY_BYTES:
        return None
    kind = reply.media_type
    try:
        if kind.endswith(("/json", "+json")):
            return _find_message(json.loads(reply.body))
        if kind.endswith(("/xml", "/soap+xml", "/problem+xml")):
            return _find_message(xml.loads(reply.body))
    except (ValueError, RecursionError):
        return None
    return None


def _find_message(document: Any, depth: int = 3) -> str | None:
    """Search members before their children; three levels reach the fault in a SOAP envelope."""
    if isinstance(document, list):
        document = document[0] if document else None
    if not isinstance(document, Mapping):
        return None
    members = {str(name).rpartition(":")[2].lower(): value for name, value in document.items()}
    for name in _MESSAGE_NAMES:
        value = members.get(name)
        text = value.get("#text") if isinstance(value, Mapping) else value
        if isinstance(text, str) and text.strip():
            return text
    if depth == 0:
        return None
    found = (_find_message(value, depth - 1) for value in members.values())
    return next((text for text in found if text), None)


# --- credentials -------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Grant:
    """The merged headers of a connector's flows, and what signs each request.

    ``renewable``: a flow asked for a token to make them.
    """

    headers: Mapping[str, str]
    renewable: bool
    renew_at: float
    signs: Sequence[Sign] = ()


class Keyring:
    """A connector's credentials: fetched once, shared by threads, renewed shortly before their end.

    A failure to get them is final: every thread gets that error, and none asks the vendor again. ``send``
    makes the token calls; ``clock`` gives seconds.
    """

    def __init__(
        self,
        name: str,
        flows: Sequence[Authorize],
        config: Config,
        send: Callable[[Request], Reply],
        redact: Redactor,
        clock: Callable[[], float] = time.monotonic,
        memory: Memory | None = None,
    ) -> None:
        self._name = name
        self._memory = memory or Memory()
        self._flows = flows
        self._config = config
        self._send = send
        self._redact = redact
        self._clock = clock
        self._grant: Grant | None = None
        self._failure: VendortapError | None = None
        self._lock = threading.Lock()

    def grant(self, invalid: Grant | None = None) -> Grant:
        """Return the credentials to use now; never those that the vendor has called ``invalid``.

        Of many threads that come with the same invalid ones, the first renews them.
        """
        with self._lock:
            if self._failure is not None:
                raise type(self._failure)(*self._failure.args)
            grant = self._grant
            if grant is None or grant is invalid or self._clock() >= grant.renew_at:
                try:
                    grant = self._grant = self._authorize()
                except VendortapError as error:
                    self._failure = error
                    raise
            return grant

    def _authorize(self) -> Grant:
        headers: dict[str, str] = {}
        renewable = False
        renew_at = float("inf")
        signs: list[Sign] = []
        for flow in self._flows:
            began = self._clock()  # The lifetime counts from before the call: rather too early than too late.
            credentials, token_calls = self._drive(flow)
            headers.update(credentials.headers)
            signs += [credentials.sign] if credentials.sign else []
            renewable = renewable or token_calls > 0
            if credentials.expires_in is not None:
                lifetime = credentials.expires_in
                renew_at = min(renew_at, began + lifetime - min(RENEW_SECONDS, lifetime / 10))
        return Grant(headers, renewable, renew_at, signs)

    def _drive(self, flow: Authorize) -> tuple[Credentials, int]:
        """Run a flow to its end; return its credentials and how many token calls it made."""
        steps = flow(self._config)
        token_calls = 0
        resume: Callable[[], Request | Recall | Remember] = partial(next, steps)
        while True:
            try:
                asked = resume()
            except StopIteration as end:
                credentials: Credentials = end.value
                self._redact.learn(_header_secrets(credentials.headers))
                return credentials, token_calls
            except VendortapError as error:  # A flow does not know whose it is.
                raise type(error)(_named(self._name, str(error))) from None
            token_calls += isinstance(asked, Request)
            try:
                resume = partial(steps.send, self._answer(asked))
            except VendorError as error:  # The flow may have another way.
                resume = partial(steps.throw, error)

    def _answer(self, asked: Request | Recall | Remember) -> Reply | str | None:
        if isinstance(asked, Recall):
            recalled = self._memory.recall(asked.name)
            self._redact.learn([recalled] if recalled else [])
            return recalled
        if isinstance(asked, Remember):
            self._redact.learn(asked.texts.values())
            self._memory.remember(asked.texts)
            return None
        self._redact.learn(_request_secrets(asked))
        return self._send(asked)


def _named(name: str, sentence: str) -> str:
    return sentence if sentence.startswith(f"{name}: ") else f"{name}: {sentence}"


def _header_secrets(headers: Mapping[str, str]) -> Iterator[str]:
    """Yield header values, and what follows an authentication scheme in them."""
    for value in headers.values():
        yield value
        yield value.partition(" ")[2]


def _request_secrets(request: Request) -> Iterator[str]:
    """Yield what may be secret in a token call: credentials in a header, parameters, form fields."""
    yield from _header_secrets(
        {k: v for k, v in request.headers.items() if k.lower() not in ("accept", "content-type")}
    )
    for name, value in (*request.params.items(), *_body_members(request.body or b"")):
        if name not in _PUBLIC_FORM_FIELDS:
            yield value


def _body_members(body: bytes) -> Iterable[tuple[str, str]]:
    text = body.decode("utf-8", "replace")
    if not text.startswith("{"):
        return parse_qsl(text)
    return [(name, value) for name, value in json.loads(text).items() if isinstance(value, str)]


# --- addresses ---------------------------------------------------------------------------------------


def _checked(url: str, who: str, config: Config) -> Url:
    """Parse a URL with the parser that later decides where the connection goes, and check that it may.

    Raises:
        ConfigError: it is not https (or http on this machine), or has a user name or password in it.
    """
    parts, what = _parsed(url), f"{who}: {_source(url, config)}"
    if parts is None or not parts.host or parts.scheme not in ("https", "http"):
        raise ConfigError(f"{what} is not an absolute https URL; check the URLs in the settings.")
    if parts.auth is not None:
        raise ConfigError(f"{what} has a user name in it; move the credentials to their settings.")
    if parts.scheme == "http" and not _is_loopback(parts.host):
        raise ConfigError(
            f"{what}: http://{parts.host} would show credentials and invoices to the network; use https "
            "(http is for 127.0.0.1, ::1 and localhost only)."
        )
    return parts


def _source(url: str, config: Config) -> str:
    """Say which setting a URL is, or begins with, as far as that can be told."""
    texts = {name: value.rstrip("/") for name, value in config.items() if isinstance(value, str)}
    begins = [name for name, text in texts.items() if text and (url == text or url.startswith(f"{text}/"))]
    return f"the setting {max(begins, key=lambda name: len(texts[name]))!r}" if begins else "a URL of the connector's"


def _parsed(url: str) -> Url | None:
    try:
        return parse_url(url)
    except urllib3.exceptions.LocationParseError:
        return None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _origin(url: Url) -> tuple[str | None, str | None, int]:
    """Return scheme, host and port (RFC 6454, 4)."""
    return url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80)


def _environment(url: Url, who: str, ca_bundle: str | None) -> dict[str, Any]:
    """Return the proxies that the environment sets for this address, and the CA bundle: the operator's goes first.

    What is sent to this machine goes through no proxy: it may be plain http. Nothing leaves certificates unchecked.

    Raises:
        ConfigError: the CA bundle cannot be used.
    """
    with requests.Session() as session:
        settings = session.merge_environment_settings(url.url, {}, None, ca_bundle, None)
    verify = settings["verify"]
    if url.scheme == "https" and isinstance(verify, str) and (problem := _bundle_problem(verify)):
        source = "the setting 'ca_bundle'" if ca_bundle else "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE"
        raise ConfigError(f"{who}: {source} names a file that {problem}.")
    proxies = {} if _is_loopback(url.host or "") else settings["proxies"]
    return {"verify": verify if isinstance(verify, str) else True, "proxies": proxies}


def _bundle_problem(path: str) -> str | None:
    """Say what is wrong with a CA bundle; a folder is one of OpenSSL's, and looked into when it is used."""
    if os.path.isdir(path):
        return None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        return "holds no certificates in PEM"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return None


def _proxy_password(url: Url, proxies: Mapping[str, str], who: str) -> tuple[str, ...]:
    """Return the password in the URL of the proxy for this address: as it stands there, and as it is sent.

    Raises:
        ConfigError: the URL is none of a proxy; it is not shown.
    """
    if (proxy := requests.utils.select_proxy(url.url, proxies)) is None:
        return ()
    parts = _parsed(proxy if "://" in proxy or "@" in proxy else f"http://{proxy}")
    if parts is None or not parts.host or not str(parts.scheme).startswith(("http", "socks")):
        raise ConfigError(
            f"{who}: the proxy that the environment names for {url.scheme} (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY) is "
            "not a URL of a proxy; correct it."
        )
    password = (parts.auth or "").partition(":")[2]
    return password, unquote(password)


def _user_agent(name: str) -> str:
    try:
        version = importlib.metadata.version("vendortap")
    except importlib.metadata.PackageNotFoundError:  # run from a source tree
        version = "unknown"
    return f"vendortap/{version} ({name})"


# --- one attempt -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Call:
    """A request with its address worked out. ``label`` is what messages call it: no query string."""

    request: Request
    url: Url
    label: str
    environment: Mapping[str, Any]


@dataclass(frozen=True)
class _Failure:
    """Why there is no reply; ``permanent`` where asking again cannot help."""

    reason: str
    permanent: bool = False


_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (requests.exceptions.ConnectTimeout, "no connection within the timeout"),
    (requests.exceptions.ReadTimeout, "no answer within the timeout"),
    (requests.exceptions.ProxyError, "the proxy failed"),
    (requests.exceptions.RequestException, "the connection failed"),
    (urllib3.exceptions.ReadTimeoutError, "no further piece of the answer within the timeout"),
    (urllib3.exceptions.HTTPError, "the answer broke off"),
    (zlib.error, "the compressed answer is damaged"),
    (EOFError, "the compressed answer broke off"),
)
_READ_ERRORS = tuple(kind for kind, _ in _REASONS)
_REFUSED_BY_PROXY = re.compile(r"Tunnel connection failed: ([0-9]{3}) ")  # http.client knows no other way to say it


def _failure(error: Exception) -> _Failure:
    """Say in our own words what went wrong: the exceptions' texts hold URLs with their queries."""
    reason = next(reason for kind, reason in _REASONS if isinstance(error, kind))
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _Failure(
                f"the server's certificate cannot be verified ({cause.verify_message}). Certificates are "
                "always checked; where a proxy on the way signs them anew, let the setting 'ca_bundle' or "
                "REQUESTS_CA_BUNDLE name the file with its CA certificate",
                permanent=True,
            )
        if isinstance(cause, socket.gaierror):
            # EAI_AGAIN: the name server did not answer. Everything else: there is no such name.
            return _Failure("the host name cannot be resolved", permanent=cause.errno != socket.EAI_AGAIN)
        if refused := _REFUSED_BY_PROXY.match(str(cause)):
            return _Failure(f"the proxy answered {refused[1]}", permanent=refused[1] in ("401", "403", "407"))
        if isinstance(cause, OSError) and cause.strerror:
            reason = f"{reason} ({cause.strerror})"
            break
        cause = cause.__context__
    return _Failure(reason)


def _decoded(pieces: Iterator[bytes], encoding: str, label: str) -> Iterator[bytes]:
    """Undo ``Content-Encoding`` strictly: unlike urllib3, notice a gzip stream that broke off."""
    if encoding in ("", "identity"):
        return pieces
    if encoding in ("gzip", "x-gzip"):
        return gunzip(pieces)
    raise BodyError(f"{label} answered in a content encoding other than gzip, which was not asked for.")


# --- connections with an end -------------------------------------------------------------------------


class _Until(io.RawIOBase):
    """What is read from a connection until ``end``, a time of the monotonic clock.

    The socket's own timeout is for each piece: a byte now and then would keep a reader for ever.
    """

    def __init__(self, raw: io.RawIOBase, connection: socket.socket, end: float) -> None:
        self._raw = raw
        self._connection = connection
        self._end = end
        self._each = connection.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer as a whole took too long")
        self._connection.settimeout(left if self._each is None else min(left, self._each))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _ending(kind: type[HTTPConnection], seconds: float) -> type[HTTPConnection]:
    """Return connections whose answers, heads included, end ``seconds`` after their request at the latest."""

    class EndingConnection(kind):  # type: ignore[valid-type,misc] # a class made at run time
        def request(self, *arguments: Any, **options: Any) -> None:
            self.end = time.monotonic() + seconds
            super().request(*arguments, **options)

        def response_class(self, connection: socket.socket, *arguments: Any, **options: Any) -> HTTPResponse:
            response = HTTPResponse(connection, *arguments, **options)
            end = getattr(self, "end", time.monotonic() + seconds)  # a proxy's answer comes before any request
            response.fp = io.BufferedReader(_Until(response.fp.detach(), connection, end))
            return response

    return EndingConnection


class _Adapter(HTTPAdapter):
    """requests' adapter, with connections whose answers end."""

    def __init__(self, reply_seconds: float, **options: Any) -> None:
        http = type("Pool", (HTTPConnectionPool,), {"ConnectionCls": _ending(HTTPConnection, reply_seconds)})
        https = type("Pool", (HTTPSConnectionPool,), {"ConnectionCls": _ending(HTTPSConnection, reply_seconds)})
        self._pools = {"http": http, "https": https}
        super().__init__(**options)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        if not proxy.lower().startswith("socks"):  # those connect in a way of their own
            manager.pool_classes_by_scheme = self._pools
        return manager


def _signatures(prepared: requests.PreparedRequest, signs: Sequence[Sign]) -> dict[str, str]:
    """Return the headers that sign a request."""
    body = prepared.body or b""
    outgoing = Outgoing(
        prepared.method or "",
        prepared.url or "",
        dict(prepared.headers),
        body.encode() if isinstance(body, str) else body,
    )
    return {name: value for sign in signs for name, value in sign(outgoing).items()}


# --- the client --------------------------------------------------------------------------------------


class Client:
    """Sends one connector's requests; its ``send`` may be called by any number of threads.

    Every attempt takes a token from one bucket, has a timeout, and checks the server's certificate.
    Connection errors, answers that break off, and the statuses 408, 429 and 5xx (but 501 and 505) are
    retried within ``retry_seconds`` of the first attempt; POST as well, since connectors only ever read.

    Args:
        name: The connector's name, for messages and ``User-Agent``.
        base_url: Where paths are joined to; https, or http on this machine.
        config: The settings, handed to the auth flows.
        auth: The auth flows; their headers are merged, and are sent to the origin of ``base_url`` only.
        limit: Rate of all attempts together, token calls and retries included; or that of each endpoint.
        timeout: Seconds to wait for a connection, and for each further piece of an answer.
        retry_seconds: Seconds from a request's first attempt in which a retry may begin.
        reply_seconds: Seconds that an attempt may take from its request to the last byte of the answer.
        max_body: Bytes that an answer may have, decompressed.
        connections: Upper bound of open connections to one host.
        expired: Tells that an answer means that the credentials have to be renewed.
        missing: Tells that an answer means that the vendor does not have what was asked for.
        secrets: Values of settings that no message may show.
        headers: Makes what every attempt carries anew, such as a correlation id.
        pace: Reads from an answer what it says about the limit.
        trace: Name of the header by which the vendor identifies an answer; messages quote it.
        memory: Where auth flows keep what the next run needs, such as a rotated refresh token.
        observe: Told of each attempt when it is over, by the thread that made it.
        stop: When set, every wait ends with ``Stopped``.

    Raises:
        ConfigError: ``base_url`` may not be used, or the CA bundle of the environment does not exist.
    """

    def __init__(
        self,
        *,
        name: str,
        base_url: str,
        config: Config,
        auth: Sequence[Authorize] = (),
        limit: Limit | None = None,
        timeout: float = 60,
        retry_seconds: float = 300,
        reply_seconds: float = 300,
        max_body: int = 64_000_000,
        connections: int = 8,
        expired: Callable[[Reply], bool] = lambda reply: reply.status == 401,
        missing: Callable[[Reply], bool] = lambda reply: reply.status == 404,
        secrets: Collection[str] = (),
        headers: Callable[[], Mapping[str, str]] = dict,
        pace: Callable[[Reply], Pace | None] = lambda _: None,
        trace: str | None = None,
        memory: Memory | None = None,
        ca_bundle: str | None = None,
        observe: Callable[[Attempt], None] | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self.traffic = Traffic()
        self._observe = observe
        self._name = name
        self._config = config
        base = _checked(base_url, name, config)
        if base.query is not None or base.fragment is not None:
            what = f"{name}: {_source(base_url, config)}"
            raise ConfigError(f"{what} has a '?' or '#', so paths cannot follow it; remove it.")
        self._base_url = base_url.rstrip("/")
        self._origin = _origin(base)
        self._ca_bundle = ca_bundle
        self.redact = Redactor(secrets)
        """Makes a vendor's text fit for a message, and knows this connection's secrets."""
        self._environments = {self._origin: self._environment_of(base)}
        self._timeout = timeout
        self._retry_seconds = retry_seconds
        self._reply_seconds = reply_seconds
        self._max_body = max_body
        self._expired = expired
        self._missing = missing
        self._stop = stop or threading.Event()
        self._limit = limit
        self._buckets: dict[str, TokenBucket] = {}
        self._pace = pace
        self._trace = (trace or "").lower()
        self._fresh = headers
        self._keyring = Keyring(name, auth, config, self._send_token_call, self.redact, memory=memory)
        self._headers = {"User-Agent": _user_agent(name), "Accept-Encoding": "gzip"}
        self._adapter = _Adapter(reply_seconds, pool_maxsize=connections, pool_block=True, max_retries=0)

    def send(self, request: Request) -> Reply:
        """Return the vendor's answer to ``request``: status 2xx, read to its end and decompressed.

        Raises:
            ConfigError: the request's URL or a header made of the settings cannot be sent.
            TransportError: no usable answer within the retry budget; an unknown certificate or host name.
            CredentialsError: the vendor refuses the credentials (401 or 403, or renewed ones again).
            MissingError: 404, or what else means that the vendor does not have it.
            RefusedError: another 4xx, 501, 505, or a redirect, which is never followed.
            BodyError: the answer has a content encoding that was not asked for, or is too large.
            Stopped: the client was told to stop.
        """
        call = self._call(request)
        if _origin(call.url) != self._origin:
            return self._judge(call, self._exchange(call, dict, self._begin(call)))
        grant = self._keyring.grant()
        deadline = self._begin(call)
        reply = self._exchange(call, lambda: {**grant.headers, **self._fresh()}, deadline, grant.signs)
        if grant.renewable and self._expired(reply):
            renewed = self._keyring.grant(invalid=grant)
            self._take_token(call)
            reply = self._exchange(call, lambda: {**renewed.headers, **self._fresh()}, deadline, renewed.signs)
        return self._judge(call, reply)

    def close(self) -> None:
        """Close all connections; what waits for the limit or to be retried ends at once."""
        self._stop.set()
        self._adapter.close()

    def _send_token_call(self, request: Request) -> Reply:
        """Send what an auth flow asked for: as ``send``, but without credentials.

        400, 401 and 403 are about the credentials in the call itself (RFC 6749, 5.2). A 404 is no
        ``MissingError`` here: what is missing is the token endpoint, not an invoice.
        """
        call = self._call(request)
        reply = self._exchange(call, dict, self._begin(call))
        if 200 <= reply.status < 300:
            return reply
        sentence = self._sentence(call, reply)
        if reply.status in (400, 401, 403):
            raise CredentialsError(f"{sentence} The vendor refuses the credentials; check the settings that hold them.")
        raise RefusedError(f"{sentence} No token could be had; check the token URL.")

    def _call(self, request: Request) -> _Call:
        absolute = _ABSOLUTE.match(request.path) is not None
        path = request.path.lstrip("/")
        joined = f"{self._base_url}/{path}" if path else self._base_url
        url = _checked(request.path if absolute else joined, self._name, self._config)
        origin = _origin(url)
        if origin not in self._environments:
            self._environments[origin] = self._environment_of(url)
        host = "" if origin == self._origin else url.host
        shown = self.redact(f"{host}{url.path or '/'}")
        label = f"{request.method} {shown}"
        return _Call(request, url, label, self._environments[origin])

    def _environment_of(self, url: Url) -> dict[str, Any]:
        environment = _environment(url, self._name, self._ca_bundle)
        self.redact.learn(_proxy_password(url, environment["proxies"], self._name))
        return environment

    def _begin(self, call: _Call) -> float:
        """Take the token of a first attempt; return when the last retry may begin."""
        self._take_token(call)
        return time.monotonic() + self._retry_seconds

    def _bucket(self, call: _Call) -> TokenBucket:
        """Return the bucket of a call: one for all, or one for each endpoint."""
        limit = self._limit
        endpoint = call.request.endpoint if limit and limit.each_endpoint else ""
        if endpoint not in self._buckets:  # setdefault: two threads may come at once
            self._buckets.setdefault(endpoint, TokenBucket(limit.rate, limit.burst) if limit else TokenBucket(None))
        return self._buckets[endpoint]

    def _take_token(self, call: _Call) -> None:
        began = time.monotonic()
        self.traffic.add(waiting=1)
        try:
            self._bucket(call).acquire(self._stop)
        finally:
            self.traffic.add(waiting=-1, waited_seconds=time.monotonic() - began)

    def _follow(self, call: _Call, reply: Reply) -> None:
        """Keep to what the vendor says about its limit. An operator's own rate is never exceeded."""
        limit = self._limit
        if (said := self._pace(reply)) is None:
            return
        if said.rate and limit:
            self._bucket(call).change(said.rate if limit.adaptive else min(said.rate, limit.rate))
        if said.pause_seconds:
            self._bucket(call).pause(min(said.pause_seconds, self._retry_seconds))

    def _exchange(
        self,
        call: _Call,
        credentials: Callable[[], Mapping[str, str]],
        deadline: float,
        signs: Sequence[Sign] = (),
    ) -> Reply:
        """Repeat the call until there is an answer that asking again would not change.

        The token of the first attempt has been taken. An answer that means expired credentials is returned
        even where its status alone would be retried.
        """
        retry = 0
        while True:
            began = time.monotonic()
            outcome = self._attempt(call, credentials(), signs)
            if self._observe:
                self._observe(self._attempted(call, outcome, retry, time.monotonic() - began))
            if isinstance(outcome, Reply):
                self._follow(call, outcome)
            if isinstance(outcome, Reply) and self._is_final(outcome, retry):
                return outcome
            self._wait(call, outcome, retry, deadline)
            retry += 1

    def _attempted(self, call: _Call, outcome: Reply | _Failure, retry: int, seconds: float) -> Attempt:
        _, host, port = _origin(call.url)
        status = outcome.status if isinstance(outcome, Reply) else None
        endpoint = self.redact.blank(call.request.endpoint)
        return Attempt(call.request.method, endpoint, host or "", port, status, retry, seconds)

    def _is_final(self, reply: Reply, retry: int) -> bool:
        """Whether asking again would not change an answer. A 5xx that means a missing record has to say so twice."""
        if not _is_transient(reply.status) or self._expired(reply):
            return True
        return retry >= MISSING_RETRIES and self._missing(reply)

    def _wait(self, call: _Call, outcome: Reply | _Failure, retry: int, deadline: float) -> None:
        """Wait before a retry, and take its token; raise where the retry budget has no room for it."""
        after = None
        permanent = False
        if isinstance(outcome, Reply):
            sentence = self._sentence(call, outcome)
            after = retry_after(outcome)
        else:
            sentence = f"{self._name}: {call.label} failed: {outcome.reason}."
            permanent = outcome.permanent
        left = deadline - time.monotonic()
        seconds = max(backoff(retry), after or 0.0)
        if permanent:
            raise TransportError(sentence)
        if after is not None and after > left:
            raise TransportError(
                f"{sentence} The vendor asks to wait {after:.0f} s, which is more than is left of "
                f"{self._retry_seconds:g} s (retry_seconds); run again after that time."
            )
        if seconds > left:
            raise TransportError(
                f"{sentence} Gave up after {retry + 1} attempts within {self._retry_seconds:g} s "
                "(retry_seconds); run again later."
            )
        log.warning("%s Trying again in %.1f s.", sentence, seconds)
        if after and isinstance(outcome, Reply) and outcome.status in (429, 503):
            self._bucket(call).pause(after)  # The other threads would only be told the same.
        self.traffic.add(retries=1, waited_seconds=seconds, waiting=1)
        stopped = self._stop.wait(seconds)
        self.traffic.add(waiting=-1)
        if stopped:
            raise Stopped(f"{self._name}: {call.label} was stopped while waiting to be retried.")
        self._take_token(call)

    def _attempt(self, call: _Call, credentials: Mapping[str, str], signs: Sequence[Sign]) -> Reply | _Failure:
        prepared = self._prepare(call, credentials)
        if signs:
            prepared = self._prepare(call, {**credentials, **_signatures(prepared, signs)})
        self.traffic.add(requests=1)
        began = time.monotonic()
        size = 0
        outcome: Reply | _Failure
        try:
            timeout = (self._timeout, self._timeout)
            response = self._adapter.send(prepared, stream=True, timeout=timeout, **call.environment)
            headers = {name.lower(): value for name, value in response.headers.items()}
            with response:
                try:
                    body = self._body(call, response, headers)
                finally:
                    size = response.raw.tell()
                    self.traffic.answered(time.monotonic() - began, size)
            outcome = Reply(response.status_code, headers, body, datetime.now(timezone.utc))
        except _READ_ERRORS as error:
            outcome = _failure(error)
            if time.monotonic() - began >= self._reply_seconds:
                outcome = _Failure(
                    f"the answer did not come to its end within {self._reply_seconds:g} s (reply_seconds)"
                )
        result = str(outcome.status) if isinstance(outcome, Reply) else outcome.reason
        log.debug("%s -> %s in %.0f ms, %d bytes", call.label, result, (time.monotonic() - began) * 1e3, size)
        return outcome

    def _body(self, call: _Call, response: requests.Response, headers: Mapping[str, str]) -> bytes:
        """Read an answer to its end, as far as it may go."""
        label = f"{self._name}: {call.label}"
        # In large pieces: requests' own of 10 kB cost a quarter of a request's time.
        pieces = iter(partial(response.raw.read, PIECE, decode_content=False), b"")
        encoding = headers.get("content-encoding", "").strip().lower()
        declared = headers.get("content-length", "")
        try:
            if declared.isdecimal() and int(declared) > self._max_body:
                raise TooLarge
            return bounded(_decoded(pieces, encoding, label), self._max_body)
        except TooLarge:
            raise BodyError(
                f"{label} answered with more than {self._max_body / 1e6:g} MB (max_body_mb), which was not read on. "
                "Ask for fewer records at a time, where a setting says how many, or raise max_body_mb if that is right."
            ) from None

    def _prepare(self, call: _Call, credentials: Mapping[str, str]) -> requests.PreparedRequest:
        request = call.request
        headers = {**request.headers, **credentials, **self._headers}
        try:
            for value in headers.values():
                value.encode("latin-1")  # what http.client would fail at, showing the value
            return requests.Request(
                request.method, call.url.url, headers=headers, params=request.params, data=request.body
            ).prepare()
        except (requests.exceptions.RequestException, UnicodeError):
            pass
        raise ConfigError(
            f"{self._name}: {call.label} cannot be sent: its URL or a header has characters that HTTP does "
            "not allow there; check the settings for line breaks and copied blanks."
        )

    def _judge(self, call: _Call, reply: Reply) -> Reply:
        """Return an answer that is good, raise for any other."""
        expired = self._expired(reply)
        if 200 <= reply.status < 300 and not expired:
            return reply
        raise self._error(call, reply, expired)

    def _error(self, call: _Call, reply: Reply, expired: bool) -> VendorError:
        sentence = self._sentence(call, reply)
        if expired or reply.status in (401, 403):
            return CredentialsError(
                f"{sentence} The vendor refuses the credentials; check that they are right, active, and "
                "allowed to read this."
            )
        if self._missing(reply):
            return MissingError(f"{sentence} The vendor does not have it; check what was asked for.")
        if 300 <= reply.status < 400:
            return RefusedError(
                f"{sentence} It redirects to {self._redirect_host(reply)}. Redirects are not followed, as "
                "they could carry credentials elsewhere; check the base URL."
            )
        return RefusedError(f"{sentence} Asking again would not help; check the settings the request is made of.")

    def _redirect_host(self, reply: Reply) -> str:
        target = _parsed(reply.headers.get("location", ""))
        return self.redact(target.host) if target and target.host else "another path"

    def _sentence(self, call: _Call, reply: Reply) -> str:
        """Say who asked what, and what the vendor answered, as far as that may be shown."""
        try:
            phrase = f" {HTTPStatus(reply.status).phrase}"
        except ValueError:
            phrase = ""
        message = vendor_message(reply)
        quoted = f": {self.redact(message).rstrip('.')}" if message else ""
        traced = reply.headers.get(self._trace)
        trace = f" (request id {self.redact(traced)})" if traced else ""
        return f"{self._name}: {call.label} answered {reply.status}{phrase}{trace}{quoted}."
