"""Ready-made auth flows, as generators without I/O.

Each function returns an ``Authorize``: it takes the settings, yields the token calls it needs, is sent their
replies, and returns the headers that the following requests carry. Flows without token calls yield nothing.
A connector lists one or more of them; their headers are merged.

Names of settings are given as strings; what may be a constant or depend on the settings is a ``Choice``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import quote_plus, urlencode

from vendortap.declare.model import Authorize, Config, Credentials, Recall, Remember, Reply, Request, Setting
from vendortap.errors import ConfigError, CredentialsError, RefusedError
from vendortap.support.tokens import unfit

Choice = str | Setting
"""A constant, or a function of the settings."""
Flow = Generator[Request | Recall | Remember, Any, Credentials]
"""An auth flow that has been begun."""
ClientAuth = Literal["body", "basic"]
"""How the client identifies itself to the token endpoint (RFC 6749, 2.3.1)."""
RENEWAL_ATTEMPTS = 2
"""How often a renewal is sent before the flow signs in again."""


def api_key(*, header: str, setting: str) -> Authorize:
    """Send the setting's value as it is in ``header``.

    Raises:
        ConfigError: the setting is missing.
    """
    return _static(lambda config: {header: _required(config, setting)})


def header(*, name: Choice, setting: str) -> Authorize:
    """Send the setting's value as it is in the header that ``name`` gives, for vendors whose header is a setting.

    Raises:
        ConfigError: the setting is missing, or there is no name.
    """

    def headers(config: Config) -> Mapping[str, str]:
        if not (resolved := _resolve(config, name)):
            raise ConfigError("the settings give no name for the header that signs in.")
        return {resolved: _required(config, setting)}

    return _static(headers)


def bearer(*, setting: str) -> Authorize:
    """Send the setting's value as a bearer token (RFC 6750, 2.1).

    Raises:
        ConfigError: the setting is missing.
    """
    return _static(lambda config: _bearer(_required(config, setting)))


def basic(*, username: str, password: str) -> Authorize:
    """Send the values of the settings ``username`` and ``password`` as HTTP Basic, in UTF-8 (RFC 7617, 2).

    Raises:
        ConfigError: a setting is missing, or the user name has a colon, which the scheme cannot carry.
    """

    def headers(config: Config) -> Mapping[str, str]:
        user = _required(config, username)
        if ":" in user:
            raise ConfigError(f"setting {username!r} has a colon, which HTTP Basic cannot carry; remove it.")
        return _basic(user, _required(config, password))

    return _static(headers)


def client_credentials(
    *,
    token_url: Choice,
    client_id: str,
    client_secret: str,
    scope: Choice | None = None,
    client_auth: ClientAuth = "body",
    max_seconds: float | None = None,
) -> Authorize:
    """OAuth 2.0 client credentials grant (RFC 6749, 4.4).

    Args:
        token_url: The token endpoint: absolute, or a path below the connector's base URL.
        client_id: The name of the setting with the client's id.
        client_secret: The name of the setting with the client's secret.
        scope: What to ask for; left out where it is ``None`` or empty.
        client_auth: Where id and secret go: in the form (``body``), or in an HTTP Basic header (``basic``).
        max_seconds: Upper bound of a token's lifetime, for vendors that state none or too long a one.

    Raises:
        ConfigError: a setting is missing.
        CredentialsError: the answer of the token endpoint is not a token (RFC 6749, 5.1).
    """
    client = _Client(token_url, client_id, client_secret, scope, client_auth)

    def flow(config: Config) -> Flow:
        reply = yield _token_call(config, client, {"grant_type": "client_credentials"})
        return token_credentials(token_document(reply), max_seconds)

    return flow


def refresh_token(
    *,
    token_url: Choice,
    refresh_token: str,
    client_id: str,
    client_secret: str | None = None,
    scope: Choice | None = None,
    client_auth: ClientAuth = "body",
    max_seconds: float | None = None,
    header: str = "Authorization",
    scheme: str = "Bearer",
) -> Authorize:
    """OAuth 2.0: get access tokens for the refresh token in the setting ``refresh_token`` (RFC 6749, 6).

    Where the vendor issues a new refresh token with an access token, the next renewal uses the new one, as
    the RFC asks for. It is remembered before it is used: in the operator's token file, or for the life of the
    process only.

    Args:
        token_url: The token endpoint: absolute, or a path below the connector's base URL.
        refresh_token: The name of the setting with the refresh token.
        client_id: The name of the setting with the client's id.
        client_secret: The name of the setting with the client's secret; ``None`` for public clients.
        scope: What to ask for; left out where it is ``None`` or empty.
        client_auth: Where id and secret go: in the form (``body``), or in an HTTP Basic header (``basic``).
        max_seconds: Upper bound of a token's lifetime, for vendors that state none or too long a one.
        header: The header that carries the access token.
        scheme: What stands before it there; empty for nothing.

    Raises:
        ConfigError: a setting is missing.
        CredentialsError: the answer of the token endpoint is not a token (RFC 6749, 5.1).
    """
    client = _Client(token_url, client_id, client_secret, scope, client_auth)

    def flow(config: Config) -> Flow:
        configured = _required(config, refresh_token)
        # A setting that the operator replaces counts for more than what followed on the old one.
        name = f"successor of {_digest(*client.account(config), configured)}"
        former = f"successor of {hashlib.sha256(configured.encode()).hexdigest()}"  # as earlier versions call it
        token = (yield Recall(name, former)) or configured
        reply = yield _token_call(config, client, {"grant_type": "refresh_token", "refresh_token": token})
        document = token_document(reply)
        successor = _token(document, "refresh_token")
        if successor not in ("", token):
            yield Remember({name: successor})
        return token_credentials(document, max_seconds, header, scheme)

    return flow


def optional(setting: str, flow: Authorize) -> Authorize:
    """Use ``flow`` only where ``setting`` is present and not empty; contribute no headers elsewhere."""

    def chosen(config: Config) -> Flow:
        if config.get(setting) in (None, ""):
            return Credentials({})
        return (yield from flow(config))

    return chosen


def chosen(setting: str, **flows: Authorize) -> Authorize:
    """Use the flow that belongs to the value of ``setting``."""

    def flow(config: Config) -> Flow:
        return (yield from flows[config[setting]](config))

    return flow


def json_login(
    *,
    url: Choice,
    members: Mapping[str, Choice],
    token: str = "access_token",  # noqa: S107 - a member's name
    header: str = "Authorization",
    scheme: Choice = "Bearer",
    unit_seconds: Callable[[Config], float] = lambda _: 1,
    renewal: JsonRenewal | None = None,
) -> Authorize:
    """Sign in with a JSON document, for vendors with a login of their own.

    Args:
        url: Where to post it: absolute, or a path below the connector's base URL.
        members: The document: member → name of the setting with a text, or a function of the settings.
        token: The member of the answer that holds the token.
        header: The header that carries it.
        scheme: What stands before it there; empty for nothing.
        unit_seconds: The seconds in one unit of ``expires_in``, for vendors that do not say which unit it is.
        renewal: How a token is exchanged for the next one. Tokens are remembered before they are used. Where
            the vendor refuses a renewal, or fails at it, the flow signs in again.

    Raises:
        ConfigError: a setting is missing.
        CredentialsError: the answer has no token.
    """

    def flow(config: Config) -> Flow:
        document = (yield from renewal.run(config)) if renewal else None
        if document is None or not _has_token(document, token):
            filled = {k: _required(config, v) if isinstance(v, str) else v(config) for k, v in members.items()}
            document = token_document((yield _json_call(_resolve(config, url), filled)))
        if renewal:
            yield Remember(renewal.remembered(config, document, token))
        credentials = token_credentials(document, None, header, _resolve(config, scheme), token)
        seconds = credentials.expires_in and credentials.expires_in * unit_seconds(config)
        return replace(credentials, expires_in=seconds)

    return flow


@dataclass(frozen=True)
class JsonRenewal:
    """How a ``json_login``'s token is renewed: by posting it together with its refresh token.

    ``auth_member`` and ``refresh_member`` are the document's members, ``answer_member`` is the one of the answers
    that holds the refresh token. Refresh tokens may rotate: the newest is the one remembered. ``account`` names
    the settings that tell whose tokens they are, none of them a secret: no other account is given them.
    """

    url: Choice
    auth_member: str
    refresh_member: str
    account: tuple[str, ...]
    answer_member: str = "refresh_token"

    def run(self, config: Config) -> Generator[Request | Recall | Remember, Any, dict[str, Any] | None]:
        """Renew what is remembered; ``None`` where there is nothing, or the vendor answers with an error."""
        auth = yield self._recall(config, "access")
        refresh = yield self._recall(config, "refresh")
        if not auth or not refresh:
            return None
        call = _json_call(_resolve(config, self.url), {self.auth_member: auth, self.refresh_member: refresh})
        try:
            document = token_document((yield replace(call, attempts=RENEWAL_ATTEMPTS)))
            _token(document, self.answer_member)
        except (
            CredentialsError,
            RefusedError,
        ):  # with a 500, some
            return None
        return document

    def remembered(self, config: Config, document: Mapping[str, Any], token: str) -> dict[str, str]:
        """Return what to remember of an answer: the access token in member ``token``, and a new refresh token.

        Raises:
            CredentialsError: one of them cannot be sent.
        """
        members = {"access": token, "refresh": self.answer_member}
        found = {self._name(config, kind): _token(document, member) for kind, member in members.items()}
        return {name: value for name, value in found.items() if value}

    def _recall(self, config: Config, kind: str) -> Recall:
        former = f"{kind} token of {', '.join(str(config[name]) for name in self.account)}"
        return Recall(self._name(config, kind), former)

    def _name(self, config: Config, kind: str) -> str:
        return f"{kind} token of {_digest(_resolve(config, self.url), *(str(config[name]) for name in self.account))}"


def _json_call(url: str, document: Mapping[str, Any]) -> Request:
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    return Request("POST", url, headers=headers, body=json.dumps(document).encode())


@dataclass(frozen=True)
class _Client:
    """An OAuth client: what ``client_credentials`` and ``refresh_token`` document."""

    token_url: Choice
    client_id: str
    client_secret: str | None
    scope: Choice | None
    auth: ClientAuth

    def account(self, config: Config) -> tuple[str, ...]:
        """Return what tells whose tokens it gets: where they come from, and for which client."""
        names = ("base_url", self.client_id)
        return (_resolve(config, self.token_url), *(str(config.get(name) or "") for name in names))


def _static(headers: Callable[[Config], Mapping[str, str]]) -> Authorize:
    """Return a flow that makes no token call."""

    def flow(config: Config) -> Flow:
        yield from ()
        return Credentials(headers(config))

    return flow


def _digest(*parts: str) -> str:
    """Return a hash of some texts, another one for any others: where one ends and the next begins counts as well."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _required(config: Config, setting: str) -> str:
    value = config.get(setting)
    if not isinstance(value, str) or not value:
        raise ConfigError(f"setting {setting!r} is missing or not a text; the connector needs it to sign in.")
    return value


def _resolve(config: Config, value: Choice | None) -> str:
    resolved = value(config) if callable(value) else value
    return resolved if isinstance(resolved, str) else ""


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _basic(username: str, password: str) -> dict[str, str]:
    pair = base64.b64encode(f"{username}:{password}".encode()).decode("ascii")
    return {"Authorization": f"Basic {pair}"}


def _token_call(config: Config, client: _Client, grant: Mapping[str, str]) -> Request:
    """Make the request of RFC 6749, 4.4.2 and 6: a form, answered in JSON."""
    url = _resolve(config, client.token_url)
    if not url:
        raise ConfigError("the settings give no token URL; the connector needs it to sign in.")
    scope = _resolve(config, client.scope)
    form = {**grant, "scope": scope} if scope else dict(grant)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    client_id = _required(config, client.client_id)
    secret = None if client.client_secret is None else _required(config, client.client_secret)
    if client.auth == "basic":
        # RFC 6749, 2.3.1: each half is form-encoded before it enters the Basic header.
        headers |= _basic(quote_plus(client_id), quote_plus(secret or ""))
    else:
        form |= {"client_id": client_id} if secret is None else {"client_id": client_id, "client_secret": secret}
    return Request("POST", url, headers=headers, body=urlencode(form).encode("ascii"))


def token_document(reply: Reply) -> dict[str, Any]:
    """Return the JSON object that a token endpoint answered with.

    Raises:
        CredentialsError: it is none.
    """
    try:
        document = json.loads(reply.body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise CredentialsError("the token endpoint did not answer with a JSON object; check the token URL.")
    return document


def token_credentials(
    document: Mapping[str, Any],
    max_seconds: float | None = None,
    header: str = "Authorization",
    scheme: str = "Bearer",
    member: str = "access_token",
    lifetime: str = "expires_in",
) -> Credentials:
    """Read the token and its lifetime out of a token endpoint's answer (RFC 6749, 5.1).

    ``token_type`` is not looked at: vendors write it as they please and mean bearer tokens.

    Raises:
        CredentialsError: there is no token that could be sent, or the lifetime is not a number of seconds.
    """
    if not (token := _token(document, member)):
        raise CredentialsError(f"the token endpoint's answer has no {member} that is a text; check the token URL.")
    lifetimes = [seconds for seconds in (_lifetime(document, lifetime), max_seconds) if seconds is not None]
    return Credentials({header: f"{scheme} {token}".strip()}, min(lifetimes, default=None))


def _token(document: Mapping[str, Any], member: str) -> str:
    """Return the token in a member of a token endpoint's answer; empty where there is none.

    Raises:
        CredentialsError: it cannot be sent.
    """
    token = document.get(member)
    if not isinstance(token, str) or not token:
        return ""
    if why := unfit(token):
        raise CredentialsError(f"the token endpoint's answer has an unusable {member}: it {why}; check the token URL.")
    return token


def _has_token(document: Mapping[str, Any], member: str) -> bool:
    token = document.get(member)
    return isinstance(token, str) and not unfit(token)


def _lifetime(document: Mapping[str, Any], member: str) -> float | None:
    """Return the lifetime in seconds; ``None`` where it is absent or not positive, so nothing is known."""
    value = document.get(member)
    if value is None:
        return None
    is_number = type(value) in (int, float) or (isinstance(value, str) and value.isascii() and value.isdigit())
    seconds = float(str(value)) if is_number else math.nan
    if not math.isfinite(seconds):
        raise CredentialsError(f"the token endpoint's answer has an {member} that is not a number of seconds.")
    return seconds if seconds > 0 else None
