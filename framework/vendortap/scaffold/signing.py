"""Where an OpenAPI document says that the API is, and how it is signed in to there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from vendortap.scaffold import allowed
from vendortap.scaffold.document import Json
from vendortap.scaffold.notes import Notes
from vendortap.scaffold.operations import Operation
from vendortap.scaffold.spec import Spec, as_list
from vendortap.scaffold.vendor import Auth, SignIn

_LONGEST = 2000
_VARIABLES = 50


_PLAIN: Mapping[str, Auth] = {"basic/": "basic", "http/basic": "basic", "http/bearer": "bearer"}
"""Sign-ins of which nothing else has to be known: type/scheme → sign-in."""


def sign_ins(spec: Spec, operations: Sequence[Operation], left_out: Notes) -> tuple[SignIn, ...]:
    """Return how the drafted operations are signed in to: by the first way that the document gives for them."""
    schemes = spec.follow(spec.document.get("securityDefinitions")) if spec.is_swagger else {}
    schemes = schemes or spec.follow(spec.follow(spec.document.get("components")).get("securitySchemes"))
    wanted = next((one.security[0] for one in operations if isinstance(one.security, list) and one.security), None)
    asked = list(wanted) if isinstance(wanted, Mapping) else list(schemes)[:1]
    found = [_sign_in(str(name), spec.follow(schemes.get(name)), left_out) for name in asked]
    return tuple(filter(None, found))


def _sign_in(name: str, scheme: Json, left_out: Notes) -> SignIn | None:
    kind = str(scheme.get("type", "")).lower()
    way = str(scheme.get("scheme", "")).lower() if kind == "http" else ""
    if kind == "apikey" and scheme.get("in") == "header":
        header = str(scheme.get("name", "X-Api-Key"))
        if header.lower() == "authorization":
            left_out.say("Guessed: the Authorization header takes a bearer token", name)
            return SignIn("bearer")
        if allowed.is_header(header):
            return SignIn("api-key", header=header)
    if (plain := _PLAIN.get(f"{kind}/{way}")) is not None:
        return SignIn(plain)
    if kind == "oauth2":
        return _oauth(name, scheme, left_out)
    left_out.say("A way to sign in that vendortap.declare.auth has no flow for; write one", name)
    return None


def _oauth(name: str, scheme: Json, left_out: Notes) -> SignIn:
    flows = scheme.get("flows")
    by_name = flows if isinstance(flows, Mapping) else {str(scheme.get("flow", "")): scheme}
    for flow in ("clientCredentials", "application"):
        if isinstance(found := by_name.get(flow), Mapping):
            url = str(found.get("tokenUrl") or "/oauth/token")
            if not (allowed.is_url(url) or allowed.is_path(url)):
                left_out.say("Where tokens come from is no URL; /oauth/token stands in", name)
                url = "/oauth/token"
            return SignIn("oauth2-client", token_url=url)
    left_out.say(
        "OAuth for people, not for programs; a bearer token stands in. See vendortap.declare.auth.refresh_token", name
    )
    return SignIn("bearer")


def base_url(spec: Spec, left_out: Notes) -> str | None:
    """Return where the API is; ``None`` where the document does not tell the host."""
    if spec.is_swagger:
        host, base = spec.document.get("host"), str(spec.document.get("basePath") or "")
        return _https(f"{host}{base}") if host else None
    url = _server(spec)
    try:
        parts = urlsplit(url)
    except ValueError:  # brackets around what is no address
        return None
    if not parts.hostname:
        return None
    if parts.scheme != "https":
        left_out.say("Written with https, as credentials may not travel without", url)
    return _https(f"{parts.netloc}{parts.path}")


def _server(spec: Spec) -> str:
    """Return the URL of the first server, its variables filled in."""
    server = spec.follow(next(iter(as_list(spec.document.get("servers"))), None))
    url = str(server.get("url") or "")[:_LONGEST]
    for name, variable in [*spec.follow(server.get("variables")).items()][:_VARIABLES]:
        url = url.replace(f"{{{name}}}", str(spec.follow(variable).get("default", ""))[:_LONGEST])[:_LONGEST]
    return url


def _https(rest: str) -> str | None:
    """Return the URL of a host and a path; ``None`` where it is none, or has somebody's name in it."""
    url = f"https://{rest}".rstrip("/")
    return url if allowed.is_url(url) and "?" not in url and "#" not in url else None
