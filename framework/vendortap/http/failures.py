"""Why there is no reply, in our own words."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import zlib
from dataclasses import dataclass

import requests
import urllib3.exceptions

from vendortap.http.bodies import WrongLengthError


@dataclass(frozen=True)
class Failure:
    """Why there is no reply; ``permanent`` where asking again cannot help."""

    reason: str
    permanent: bool = False


_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (requests.exceptions.ConnectTimeout, "no connection within the timeout"),
    (requests.exceptions.ReadTimeout, "no answer within the timeout"),
    (requests.exceptions.ProxyError, "the proxy failed"),
    (requests.exceptions.RequestException, "the connection failed"),
    (urllib3.exceptions.ReadTimeoutError, "no further piece of the answer within the timeout"),
    (WrongLengthError, "the answer gives a length that is not a number of bytes"),
    (urllib3.exceptions.HTTPError, "the answer broke off"),
    (zlib.error, "the compressed answer is damaged"),
    (EOFError, "the compressed answer broke off"),
)
READ_ERRORS = tuple(kind for kind, _ in _REASONS)
"""What sending and reading raise where no reply comes of it."""
_REFUSED_BY_PROXY = re.compile(r"Tunnel connection failed: ([0-9]{3}) ")  # http.client knows no other way to say it


def failure(error: Exception) -> Failure:
    """Say in our own words what went wrong: the exceptions' texts hold URLs with their queries."""
    reason = next(reason for kind, reason in _REASONS if isinstance(error, kind))
    cause: BaseException | None = error
    while cause is not None:
        if known := _known_cause(cause):
            return known
        if isinstance(cause, OSError) and cause.strerror:
            reason = f"{reason} ({cause.strerror})"
            break
        cause = cause.__context__
    return Failure(reason)


def _known_cause(cause: BaseException) -> Failure | None:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Failure(
            f"the server's certificate cannot be verified ({cause.verify_message}). Certificates are "
            "always checked; where a proxy on the way signs them anew, let the setting 'ca_bundle' or "
            "REQUESTS_CA_BUNDLE name the file with its CA certificate",
            permanent=True,
        )
    if isinstance(cause, socket.gaierror):
        # EAI_AGAIN: the name server did not answer. Everything else: there is no such name.
        return Failure("the host name cannot be resolved", permanent=cause.errno != socket.EAI_AGAIN)
    if type(cause) in (http.client.HTTPException, http.client.LineTooLong):  # the former has no kind of its own
        return Failure("the answer has more headers, or a longer line among them, than is read", permanent=True)
    if refused := _REFUSED_BY_PROXY.match(str(cause)):
        return Failure(f"the proxy answered {refused[1]}", permanent=refused[1] in ("401", "403", "407"))
    return None
