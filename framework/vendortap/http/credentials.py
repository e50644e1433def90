"""Credentials: the auth flows driven, what they gave shared by threads, renewed in time and known to be secret."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from vendortap.declare.model import Authorize, Config, Credentials, Recall, Remember, Reply, Request, Sign
from vendortap.errors import CredentialsError, VendorError, VendortapError
from vendortap.http.token_store import Memory
from vendortap.support.redact import Redactor
from vendortap.support.tokens import HEADER_LENGTH, TOKEN_LENGTH, unfit

RENEW_SECONDS = 60.0
"""Credentials are renewed this long before their end, or a tenth of their lifetime where that is less."""
_PUBLIC_FORM_FIELDS = frozenset({"grant_type", "scope", "method", "path"})
"""What in a token call is no secret: Amazon's names the endpoints that a token is for."""


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
                if token_calls:
                    self._hold_usable(credentials.headers, HEADER_LENGTH)
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
            if recalled is None and asked.former:
                recalled = self._memory.recall(asked.former)
            self._redact.learn([recalled] if recalled else [])
            return recalled
        if isinstance(asked, Remember):
            self._hold_usable(asked.texts)
            self._redact.learn(asked.texts.values())
            self._memory.remember(asked.texts)
            return None
        self._redact.learn(_request_secrets(asked))
        return self._send(asked)

    def _hold_usable(self, texts: Mapping[str, str], most: int = TOKEN_LENGTH) -> None:
        """Hold what a flow made of the vendor's answers to what can be sent, whoever wrote the flow."""
        for name, text in texts.items():
            if text and (why := unfit(text, most)):
                raise CredentialsError(
                    f"{self._name}: {name}, made of the token endpoint's answer, {why}; check the token URL."
                )


def _named(name: str, sentence: str) -> str:
    return sentence if sentence.startswith(f"{name}: ") else f"{name}: {sentence}"


def _header_secrets(headers: Mapping[str, str]) -> Iterator[str]:
    """Yield header values, and what follows an authentication scheme in them."""
    for value in headers.values():
        yield value
        yield value.partition(" ")[2]


def _request_secrets(request: Request) -> Iterator[str]:
    """Yield what may be secret in a token call: credentials in a header, parameters, what is in its body."""
    yield from _header_secrets(
        {k: v for k, v in request.headers.items() if k.lower() not in ("accept", "content-type")}
    )
    for name, value in (*request.params.items(), *_body_members(request.body or b"")):
        if name not in _PUBLIC_FORM_FIELDS:
            yield value


def _body_members(body: bytes) -> Iterable[tuple[str, str]]:
    """Yield the names and texts in a body: a form's fields, or the members of JSON at any depth."""
    text = body.decode("utf-8", "replace")
    if text.lstrip().startswith(("{", "[")):
        try:
            return list(_json_members("", json.loads(text)))
        except (ValueError, RecursionError):
            pass  # a form after all, or nothing that anybody could read
    return parse_qsl(text)


def _json_members(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield name, value
    for member, inner in value.items() if isinstance(value, Mapping) else ():
        yield from _json_members(member, inner)
    for inner in value if isinstance(value, list) else ():
        yield from _json_members(name, inner)
