"""Golden records: written from a vendor's document by hand, in JSON, with decimals as text."""

from __future__ import annotations

import json
import re
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

_DATE_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T.*")
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def load(path: Path) -> dict[str, Any]:
    """Read a record: a text of digits is a decimal, one in RFC 3339 is a date-time (no text of a sample is either)."""
    record: dict[str, Any] = _typed(json.loads(path.read_text(encoding="utf-8")))
    return record


def _typed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _typed(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_typed(item) for item in value]
    if not isinstance(value, str):
        return value
    if _DECIMAL.fullmatch(value):
        return Decimal(value)
    return datetime.fromisoformat(value) if _DATE_TIME.fullmatch(value) else value


def with_types(value: Any) -> Any:
    """Make unequal what Python calls equal though its types differ: 10, Decimal("10") and True."""
    if isinstance(value, dict):
        return {name: with_types(member) for name, member in value.items()}
    if isinstance(value, list):
        return [with_types(item) for item in value]
    return type(value).__name__, value


def from_message(value: Any) -> Any:
    """Return a record of a Singer message with its date-times read."""
    if isinstance(value, dict):
        return {name: from_message(member) for name, member in value.items()}
    if isinstance(value, list):
        return [from_message(item) for item in value]
    is_date = isinstance(value, str) and _DATE_TIME.fullmatch(value)
    return msgspec.convert(value, datetime) if is_date else value
