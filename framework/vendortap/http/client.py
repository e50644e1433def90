"""The client: sends one connector's requests, each as often as it takes."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError
from typing import Any

from urllib3.util import Url

from vendortap.declare.model import Authorize, Config, Limit, RateLimit, Reply, Request, Sign
from vendortap.errors import BodyError, ConfigError, TransportError
from vendortap.http import addresses
from vendortap.http.answers import Answers
from vendortap.http.bodies import FramingError, read_body
from vendortap.http.calls import Call, prepare, signatures
from vendortap.http.connection import Adapter
from vendortap.http.credentials import Keyring
from vendortap.http.failures import READ_ERRORS, Failure, failure
from vendortap.http.rate_limit import Stopped, TokenBucket, backoff, retry_after
from vendortap.http.token_store import Memory
from vendortap.http.traffic import Attempt, Traffic
from vendortap.support.redact import Redactor
from vendortap.support.version import version

log = logging.getLogger("vendortap.http")

QUIET_SECONDS = 60.0
"""A wait for the limit of an endpoint is told at most this often."""
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


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
        retry_seconds: Seconds from a request's first attempt in which a retry may begin; one that waits for ``limit``
            then may begin later.
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
        ca_bundle: File or folder of CA certificates to check the server's with, instead of the environment's.
        observe: Told of each attempt when it is over, by the thread that made it.
        stop: When set, every wait ends with ``Stopped``.

    Raises:
        ConfigError: ``base_url`` may not be used, or the CA bundle cannot.
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
        rate_limit: Callable[[Reply], RateLimit | None] = lambda _: None,
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
        base = addresses.checked(base_url, name, config)
        if base.query is not None or base.fragment is not None:
            what = f"{name}: {addresses.source(base_url, config)}"
            raise ConfigError(f"{what} has a '?' or '#', so paths cannot follow it; remove it.")
        self._base_url = base_url.rstrip("/")
        self._origin = addresses.origin(base)
        self._ca_bundle = ca_bundle
        self.redact = Redactor(secrets)
        """Makes a vendor's text fit for a message, and knows this connection's secrets."""
        self._environments = {self._origin: self._environment_of(base)}
        self._timeout = timeout
        self._retry_seconds = retry_seconds
        self._reply_seconds = reply_seconds
        self._max_body = max_body
        self._answers = Answers(name, self.redact, expired, missing, (trace or "").lower())
        self._stop = stop or threading.Event()
        self._limit = limit
        self._buckets: dict[str, TokenBucket] = {}
        self._quiet_until: dict[str, float] = {}
        self._rate_limit = rate_limit
        self._fresh = headers
        self._keyring = Keyring(name, auth, config, self._send_token_call, self.redact, memory=memory)
        self._headers = {"User-Agent": _user_agent(name), "Accept-Encoding": "gzip"}
        self._adapter = Adapter(reply_seconds, pool_maxsize=connections, pool_block=True, max_retries=0)

    def send(self, request: Request) -> Reply:
        """Return the vendor's answer to ``request``: 2xx, or what it takes for empty; to its end, decompressed.

        Raises:
            ConfigError: the request's URL or a header made of the settings cannot be sent.
            TransportError: no usable answer within the retry budget; an unknown certificate or host name.
            CredentialsError: the vendor refuses the credentials (401 or 403, or renewed ones again).
            MissingError: 404, or what else means that the vendor does not have it.
            RefusedError: another 4xx.
            UnavailableError: 501, 505, or a redirect, which is never followed.
            BodyError: the answer has a content encoding that was not asked for, or is too large, as a whole or around
                its body.
            Stopped: the client was told to stop.
        """
        call = self._call(request)
        if addresses.origin(call.url) != self._origin:
            return self._answers.judge(call.label, self._exchange(call, dict, self._begin(call)), request.empty)
        grant = self._keyring.grant()
        deadline = self._begin(call)
        reply = self._exchange(call, lambda: {**grant.headers, **self._fresh()}, deadline, grant.signs)
        if grant.renewable and self._answers.expired(reply):
            renewed = self._keyring.grant(invalid=grant)
            self._take_token(call)
            reply = self._exchange(call, lambda: {**renewed.headers, **self._fresh()}, deadline, renewed.signs)
        return self._answers.judge(call.label, reply, request.empty)

    def close(self) -> None:
        """Close all connections; what waits for the limit or to be retried ends at once."""
        self._stop.set()
        self._adapter.close()

    def _send_token_call(self, request: Request) -> Reply:
        """Send what an auth flow asked for: as ``send``, but without credentials."""
        call = self._call(request)
        return self._answers.judge_token(call.label, self._exchange(call, dict, self._begin(call)))

    def _call(self, request: Request) -> Call:
        absolute = _ABSOLUTE.match(request.path) is not None
        path = request.path.lstrip("/")
        joined = f"{self._base_url}/{path}" if path else self._base_url
        url = addresses.checked(request.path if absolute else joined, self._name, self._config)
        origin = addresses.origin(url)
        if origin not in self._environments:
            self._environments[origin] = self._environment_of(url)
        host = "" if origin == self._origin else url.host
        shown = self.redact(f"{host}{url.path or '/'}")
        label = f"{request.method} {shown}"
        return Call(request, url, label, self._environments[origin])

    def _host(self, call: Call) -> str:
        """Return where a request goes, for messages about the network."""
        _, host, port = addresses.origin(call.url)
        return self.redact(f"{host}:{port}")

    def _environment_of(self, url: Url) -> dict[str, Any]:
        environment = addresses.environment(url, self._name, self._ca_bundle)
        self.redact.learn(addresses.proxy_password(url, environment["proxies"], self._name))
        return environment

    def _begin(self, call: Call) -> float:
        """Take the token of a first attempt; return when the last retry may begin."""
        self._take_token(call)
        return time.monotonic() + self._retry_seconds

    def _bucket(self, call: Call) -> TokenBucket:
        """Return the bucket of a call: one for all, or one for each endpoint."""
        limit = self._limit
        endpoint = call.request.endpoint if limit and limit.each_endpoint else ""
        if endpoint not in self._buckets:  # setdefault: two threads may come at once
            self._buckets.setdefault(endpoint, TokenBucket(limit.rate, limit.burst) if limit else TokenBucket(None))
        return self._buckets[endpoint]

    def _take_token(self, call: Call) -> None:
        began = time.monotonic()
        self.traffic.add(waiting=1)
        try:
            self._bucket(call).acquire(self._stop, lambda left: self._say_waiting(call, left))
        finally:
            self.traffic.add(waiting=-1, waited_seconds=time.monotonic() - began)

    def _say_waiting(self, call: Call, seconds: float) -> None:
        """Say that the limit holds requests back: once a minute and endpoint, however many requests wait."""
        now = time.monotonic()
        if now < self._quiet_until.get(call.request.endpoint, now):
            return
        self._quiet_until[call.request.endpoint] = now + QUIET_SECONDS
        until = datetime.now().astimezone() + timedelta(seconds=seconds)
        clock = f"{until:%H:%M:%S}"
        log.warning("%s: %s waits for the rate limit, %.0f s more, until %s.", self._name, call.label, seconds, clock)

    def _follow(self, call: Call, reply: Reply) -> None:
        """Keep to what the vendor says about its limit. An operator's own rate is never exceeded."""
        limit = self._limit
        if (said := self._rate_limit(reply)) is None:
            return
        if said.rate and limit:
            self._bucket(call).change(said.rate if limit.adaptive else min(said.rate, limit.rate))
        if said.pause_seconds:
            self._bucket(call).pause(min(said.pause_seconds, self._retry_seconds))

    def _exchange(
        self, call: Call, credentials: Callable[[], Mapping[str, str]], deadline: float, signs: Sequence[Sign] = ()
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
            if isinstance(outcome, Reply) and (
                self._answers.is_final(outcome, retry) or retry + 1 == call.request.attempts
            ):
                return outcome
            self._wait(call, outcome, retry, deadline)
            retry += 1

    def _attempted(self, call: Call, outcome: Reply | Failure, retry: int, seconds: float) -> Attempt:
        _, host, port = addresses.origin(call.url)
        status = outcome.status if isinstance(outcome, Reply) else None
        endpoint = self.redact.blank(call.request.endpoint)
        return Attempt(call.request.method, endpoint, self.redact.blank(host or ""), port, status, retry, seconds)

    def _wait(self, call: Call, outcome: Reply | Failure, retry: int, deadline: float) -> None:
        """Wait before a retry, and take its token; raise where the retry budget has no room for it."""
        after, is_limited = None, False
        if isinstance(outcome, Reply):
            sentence = self._answers.sentence(call.label, outcome)
            after, is_limited = retry_after(outcome), outcome.status in (429, 503)
        else:
            sentence = f"{self._name}: {call.label} at {self._host(call)} failed: {outcome.reason}."
            if outcome.permanent:
                raise TransportError(sentence)
        seconds = max(backoff(retry), after or 0.0)
        if problem := self._out_of_time(seconds, after, deadline - time.monotonic(), retry):
            raise TransportError(f"{sentence} {problem}")
        log.warning("%s Trying again in %.1f s.", sentence, seconds)
        if after and is_limited:
            self._bucket(call).pause(after)  # The other threads would only be told the same.
        self.traffic.add(retries=1, waiting=1)
        began = time.monotonic()
        stopped = self._stop.wait(seconds)
        self.traffic.add(waiting=-1, waited_seconds=time.monotonic() - began)
        if stopped:
            raise Stopped(f"{self._name}: {call.label} was stopped while waiting to be retried.")
        self._take_token(call)

    def _out_of_time(self, seconds: float, after: float | None, left: float, retry: int) -> str:
        """Say why there is no time for a retry, if so; ``after`` is how long the vendor asks to wait."""
        if after is not None and after > left:
            return (
                f"The vendor asks to wait {after:.0f} s, which is more than is left of {self._retry_seconds:g} s "
                "(retry_seconds); run again after that time."
            )
        if seconds > left:
            return (
                f"Gave up after {retry + 1} attempts within {self._retry_seconds:g} s (retry_seconds); run again later."
            )
        return ""

    def _attempt(self, call: Call, credentials: Mapping[str, str], signs: Sequence[Sign]) -> Reply | Failure:
        prepared = prepare(call, {**credentials, **self._headers}, self._name)
        if signs:
            signed = {**credentials, **signatures(prepared, signs)}
            prepared = prepare(call, {**signed, **self._headers}, self._name)
        self.traffic.add(requests=1)
        began = time.monotonic()
        size = 0
        outcome: Reply | Failure
        try:
            timeout = (self._timeout, self._timeout)
            answer: Any = self._adapter.send(prepared, stream=True, timeout=timeout, **call.environment)
            headers = {name.lower(): value for name, value in answer.headers.items()}
            try:
                body = read_body(answer, headers, self._max_body, f"{self._name}: {call.label}")
            finally:
                size = answer.tell()
                answer.close()
                answer.release_conn()
                self.traffic.answered(time.monotonic() - began, size)
            outcome = Reply(answer.status, headers, body, datetime.now(UTC))
        except FramingError:
            raise BodyError(
                f"{self._name}: {call.label} answered with more headers, chunks or trailers than any body needs, and "
                "was not read on. Something other than the vendor's API may be answering: check base_url and proxies, "
                "or report it to the vendor."
            ) from None
        except READ_ERRORS as error:
            outcome = failure(error)
            if time.monotonic() - began >= self._reply_seconds:
                outcome = Failure(
                    f"the answer did not come to its end within {self._reply_seconds:g} s (reply_seconds)"
                )
        result = str(outcome.status) if isinstance(outcome, Reply) else outcome.reason
        log.debug("%s -> %s in %.0f ms, %d bytes", call.label, result, (time.monotonic() - began) * 1e3, size)
        return outcome


def _user_agent(name: str) -> str:
    try:
        return f"vendortap/{version()} ({name})"
    except PackageNotFoundError:  # run from a source tree
        return f"vendortap/unknown ({name})"
