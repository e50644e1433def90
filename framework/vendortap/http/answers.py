"""What a vendor's answers mean: whether to ask again, which error one is, and the sentence that says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from vendortap.declare.model import Empty, Reply
from vendortap.errors import CredentialsError, MissingError, RefusedError, UnavailableError, VendorError
from vendortap.http import addresses
from vendortap.http.messages import vendor_message
from vendortap.support.redact import Redactor

_PERMANENT_5XX = frozenset({501, 505})
MISSING_RETRIES = 1
"""How often a 5xx that says that there is no such record is asked for again before it is believed."""


def _is_transient(status: int) -> bool:
    return status in (408, 429) or (500 <= status < 600 and status not in _PERMANENT_5XX)


@dataclass(frozen=True, slots=True)
class Answers:
    """How to take the answers to one connector's requests. A ``label`` is what messages call a request.

    ``name`` is the connector's, ``trace`` that of the header by which the vendor identifies an answer, in lower case.
    """

    name: str
    redact: Redactor
    expired: Callable[[Reply], bool]
    missing: Callable[[Reply], bool]
    trace: str

    def is_final(self, reply: Reply, retry: int) -> bool:
        """Whether asking again would not change an answer. A 5xx that means a missing record has to say so twice."""
        if not _is_transient(reply.status) or self.expired(reply):
            return True
        return retry >= MISSING_RETRIES and self.missing(reply)

    def judge(self, label: str, reply: Reply, empty: Empty | None = None) -> Reply:
        """Return an answer that is good, or ``empty``; raise for any other.

        Raises:
            CredentialsError: the vendor refuses the credentials.
            MissingError: the vendor does not have it.
            UnavailableError: a redirect, or a 5xx that does not pass.
            RefusedError: anything else.
        """
        expired = self.expired(reply)
        is_whole = 200 <= reply.status < 300 and reply.status != HTTPStatus.PARTIAL_CONTENT
        if not expired and (is_whole or (empty is not None and empty(reply))):
            return reply
        raise self._error(label, reply, expired)

    def judge_token(self, label: str, reply: Reply) -> Reply:
        """Return an answer to a token call that is good, raise for any other.

        400, 401 and 403 are about the credentials in the call itself (RFC 6749, 5.2). A 404 is no
        ``MissingError`` here: what is missing is the token endpoint, not an invoice.

        Raises:
            CredentialsError: the vendor refuses the credentials.
            UnavailableError: anything else.
        """
        if 200 <= reply.status < 300:
            return reply
        sentence = self.sentence(label, reply)
        if reply.status in (400, 401, 403):
            raise CredentialsError(f"{sentence} The vendor refuses the credentials; check the settings that hold them.")
        raise UnavailableError(f"{sentence} No token could be had; check the token URL.")

    def _error(self, label: str, reply: Reply, expired: bool) -> VendorError:
        sentence = self.sentence(label, reply)
        if expired or reply.status in (401, 403):
            return CredentialsError(
                f"{sentence} The vendor refuses the credentials; check that they are right, active, and "
                "allowed to read this."
            )
        if self.missing(reply):
            return MissingError(f"{sentence} The vendor does not have it; check what was asked for.")
        if reply.status == HTTPStatus.PARTIAL_CONTENT:  # RFC 9110, 15.3.7: of a range, and none was asked for
            return UnavailableError(f"{sentence} It is a part of an answer, and all of it was asked for.")
        if 300 <= reply.status < 400:
            return UnavailableError(
                f"{sentence} It redirects to {self._redirect_host(reply)}. Redirects are not followed, as "
                "they could carry credentials elsewhere; check the base URL."
            )
        if reply.status >= 500:
            return UnavailableError(f"{sentence} Asking again would not help; report it to the vendor.")
        return RefusedError(f"{sentence} Asking again would not help; check the settings the request is made of.")

    def _redirect_host(self, reply: Reply) -> str:
        target = addresses.parsed(reply.headers.get("location", ""))
        return self.redact(target.host) if target and target.host else "another path"

    def sentence(self, label: str, reply: Reply) -> str:
        """Say who asked what, and what the vendor answered, as far as that may be shown."""
        try:
            phrase = f" {HTTPStatus(reply.status).phrase}"
        except ValueError:
            phrase = ""
        message = vendor_message(reply)
        quoted = f": {self.redact(message).rstrip('.')}" if message else ""
        traced = reply.headers.get(self.trace)
        trace = f" (request id {self.redact(traced)})" if traced else ""
        return f"{self.name}: {label} answered {reply.status}{phrase}{trace}{quoted}."
