"""What a name, a path or a URL of a document may be in a draft: lists of what is allowed, never of what is not."""

from __future__ import annotations

import re
from collections.abc import Collection
from keyword import iskeyword

from vendortap.decode import schemas
from vendortap.scaffold import names
from vendortap.support.encodings import is_seen

LONGEST = 200
"""Characters of a property's or a parameter's name. A longer one is no name."""
_OURS = 60
"""Characters of a name that is made here."""
_OF_XML = re.compile(
    "(?!(?i:xml))[A-Za-z_\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u2c00-\u2fef\u3001-\ud7ff]"
    "[A-Za-z0-9_.\u00b7\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u037d\u037f-\u1fff\u2c00-\u2fef\u3001-\ud7ff-]*"
)
"""XML 1.0, production 5, without colons, which only namespaces have, and without what begins with ``xml``."""
_URL = re.compile(r"https?://[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?([/?#][A-Za-z0-9._~!$&*+,;=:@%/?#-]*)?")
_PATH = re.compile(r"(/(?!/|\.{1,2}(/|$))([A-Za-z0-9._~!$&*+,;=:@-]|\{\w+\})*)+", re.ASCII)
_HEADER = re.compile("[A-Za-z0-9_.-]+")
_OF_CLIENT = frozenset(
    {
        *("accept", "accept-encoding", "authorization", "connection", "content-length", "content-type", "cookie"),
        *("expect", "host", "proxy-authorization", "range", "te", "trailer", "transfer-encoding", "upgrade"),
        "user-agent",
    }
)
"""Headers that the client writes itself, or that would change what a request is."""
_TAKEN = frozenset(
    {
        *("api_key", "api_token", "base_url", "client_id", "client_secret", "first_page", "format", "page_size"),
        *("password", "token_url", "username", "batch_config", "faker_config", "flattening_enabled"),
        *("flattening_max_depth", "flattening_max_key_length", "stream_map_config", "stream_maps", "validate_records"),
        *schemas.load("vendortap.declare", "settings")["properties"],
    }
)
"""Settings that mean something already. A document that names a parameter like one of them does not change it."""


def identifier(name: str, otherwise: str) -> str:
    """Return the name as Python, a URL's template, a file and a table take it; ``otherwise`` begins it if need be."""
    found = names.snake(name)[:_OURS].strip("_")
    if not found:
        return otherwise
    return f"{otherwise}_{found}" if found[0].isdecimal() or iskeyword(found) else found


def setting(name: str) -> str:
    """Return the name of a setting of the vendor's own, which is none that means something already."""
    return f"vendor_{name}" if name in _TAKEN else name


def free(name: str, taken: Collection[str]) -> str:
    """Return the name, with a number behind it where it is taken."""
    numbered = (f"{name}_{number}" for number in range(2, len(taken) + 3))
    return name if name not in taken else next(other for other in numbered if other not in taken)


def is_plain(name: str) -> bool:
    """Whether a property or a parameter can be called so: in print, not too long, and as msgspec can read it."""
    return 0 < len(name) <= LONGEST and is_seen(name) and not {'"', "\\"} & {*name}


def is_of_xml(name: str) -> bool:
    """Whether an element or attribute can be called so."""
    return len(name) <= LONGEST and _OF_XML.fullmatch(name) is not None


def is_url(text: str) -> bool:
    """Whether a text is a URL with a host, of nothing but characters that mean nothing in Python, TOML and Markdown."""
    return len(text) <= 10 * LONGEST and _URL.fullmatch(text) is not None


def is_path(text: str) -> bool:
    """Whether a text is a path with places such as ``{name}``, each of them once, which no client would change."""
    places = re.findall(r"\{(\w+)\}", text)
    return len(text) <= LONGEST and _PATH.fullmatch(text) is not None and len(places) == len({*places})


def is_header(name: str) -> bool:
    """Whether a request can be given a header called so."""
    return _HEADER.fullmatch(name) is not None and len(name) <= LONGEST and name.lower() not in _OF_CLIENT
