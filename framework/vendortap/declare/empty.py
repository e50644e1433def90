"""Replies by which a vendor says that there are no records: what ``RecordSelector.empty`` is made of.

Each is a function of the reply as it came. A reply that none of them knows, and that has no place for records, is an
error: a gateway's answer, another version of the API, or a wrong address.
"""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Collection
from typing import Any

from vendortap.declare.model import Empty, Reply, is_xml


def no_content(reply: Reply) -> bool:
    """Tell 204 (RFC 9110, 15.3.5)."""
    return reply.status == 204


def no_body(reply: Reply) -> bool:
    """Tell a 2xx with an empty body, or one of white space."""
    return 200 <= reply.status < 300 and not reply.body.strip()


def absent(*path: str, beside: Collection[str] = ()) -> Empty:
    """Take a JSON object without the place ``path``, or with an empty object there.

    The objects on the way may have the names in ``beside`` as well, and no others: an object with another name is
    another envelope. Null is no such reply.
    """

    def empty(reply: Reply) -> bool:
        value = _document(reply) if 200 <= reply.status < 300 else None
        for name in path:
            if not isinstance(value, dict) or value.keys() - {name, *beside}:
                return False
            if name not in value:
                return True
            value = value[name]
        return value == {}

    return empty


def childless(*roots: str) -> Empty:
    """Take an XML root without elements that is called so; ``*`` at the end stands for the rest of a name.

    For lists that are the root itself, such as ``ArrayOfInvoice``: so does .NET's XmlSerializer call a list of its
    ``Invoice``. ``<Error/>`` has no records either, and is no list.
    """
    names = "|".join(re.escape(root.removesuffix("*")) + (r"[\w.-]*" if root.endswith("*") else "") for root in roots)
    bare = re.compile(rf"\s*(?:<\?xml[^<>]*\?>\s*)?<(?:[\w.-]+:)?(?:{names})(?:\s[^<>]*)?(?:/>|>\s*</[^<>]*>)\s*")

    def empty(reply: Reply) -> bool:
        return 200 <= reply.status < 300 and is_xml(reply.media_type) and bool(bare.fullmatch(_text(reply.body)))

    return empty


def error_list(status: int, name: str, *members: str) -> Empty:
    """Take a status with a JSON object whose member ``name`` is a list of errors, each of which has these members."""

    def empty(reply: Reply) -> bool:
        document = _document(reply) if reply.status == status else None
        errors = document.get(name) if isinstance(document, dict) else None
        if not isinstance(errors, list) or not errors:
            return False
        return all(isinstance(error, dict) and error.keys() >= set(members) for error in errors)

    return empty


def _text(body: bytes) -> str:
    """Return a document whose names are ASCII, in UTF-16 where a byte order mark says so."""
    is_wide = body.startswith((BOM_UTF16_LE, BOM_UTF16_BE))
    return body.decode("utf-16" if is_wide else "utf-8-sig", "replace")


def _document(reply: Reply) -> Any:
    """Return a JSON body; ``None`` where it is none."""
    if not reply.media_type.endswith(("/json", "+json")):
        return None
    try:
        return json.loads(reply.body)
    except (ValueError, RecursionError):
        return None
