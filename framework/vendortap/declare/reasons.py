"""The sentence in a vendor's error: its code, its message, and the details that say more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MESSAGES = ("message", "error_description", "detail", "error", "faultstring", "title")
"""Where the sentence is; among them the members of RFC 6749 5.2, RFC 9457 and SOAP faults."""
_DETAILS = "details"
"""Where some vendors, Amazon among them, say what the message leaves open."""
_FIELDS = "fields"
"""Where others, Ingram Micro among them, say it of each field of the request; its value is not quoted."""


def reason(error: Any) -> str:
    """Return what an error says of itself, in the order of reading; empty where it says nothing. Names have no case."""
    if isinstance(error, str):
        return error.strip()
    if not isinstance(error, Mapping):
        return ""
    members = {str(name).rpartition(":")[2].casefold(): value for name, value in error.items()}
    message = next((text for name in _MESSAGES if (text := _text(members.get(name)))), "")
    said = [message, _text(members.get(_DETAILS)), *_of_fields(members.get(_FIELDS))]
    return ": ".join(dict.fromkeys(text.rstrip(".") for text in said if text))


def _text(value: Any) -> str:
    text = value.get("#text") if isinstance(value, Mapping) else value
    return text.strip() if isinstance(text, str) else ""


def _of_fields(fields: Any) -> list[str]:
    """Return what is said of each field: its name and the message, or the one of them that is there."""
    named = [field for field in fields if isinstance(field, Mapping)] if isinstance(fields, list) else []
    pairs = ([_text(field.get("field")), _text(field.get("message"))] for field in named)
    return [text for pair in pairs if (text := " ".join(filter(None, pair)))]
