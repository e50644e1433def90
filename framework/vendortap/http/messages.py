"""The vendor's own sentence, out of the body of an error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from vendortap.declare.model import Reply
from vendortap.declare.reasons import reason
from vendortap.decode import xml_tree

ERROR_BODY_BYTES = 64 * 1024
"""Larger error bodies are not searched for the vendor's message."""


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
            return _find_message(xml_tree.loads(reply.body))
    except (ValueError, RecursionError):
        return None
    return None


def _find_message(document: Any, depth: int = 3) -> str | None:
    """Search members before their children; three levels reach the fault in a SOAP envelope."""
    if isinstance(document, list):
        document = document[0] if document else None
    if not isinstance(document, Mapping):
        return None
    if said := reason(document):
        return said
    if depth == 0:
        return None
    found = (_find_message(value, depth - 1) for value in document.values())
    return next(filter(None, found), None)
