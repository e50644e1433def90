"""From xmltodict's tree of strings to typed values by the JSON schema: what a careful hand-written tap does."""

from __future__ import annotations

from decimal import Decimal

_ITEMS = {"InvoiceLines": "InvoiceLine", "SerialNumbers": "string", "TrackingNumbers": "string"}


def convert(value, schema, name=""):
    """Return the typed value of an element."""
    if value is None or (isinstance(value, dict) and value.get("@xsi:nil") == "true"):
        return None
    kind = schema["type"]
    if "array" in kind:
        return [convert(item, schema["items"]) for item in value[_ITEMS[name]]]
    if "object" in kind:
        members = schema["properties"]
        return {key: convert(item, members[key], key) for key, item in value.items() if key in members}
    if "integer" in kind:
        return int(value)
    return Decimal(value) if "number" in kind else value
