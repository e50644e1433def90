"""A page action that masks mail addresses in every text of every connector, and whole fields by name.

``{"plugins": {"mask": {"fields": ["ContactName"]}}}`` masks those fields too, wherever they stand in a record.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from vendortap.declare import Connector, PageAction, Stream, hookimpl

MASK = "***"
MAIL = re.compile(r"[^\s@<>,;:\"]+@[^\s@<>,;:\"]+")


@hookimpl
def page_action(connector: Connector, stream: Stream, options: Mapping[str, Any]) -> PageAction:
    """Mask the records of all streams; keys stay, as records are told apart by them."""
    del connector
    fields = frozenset(options.get("fields", ())) - frozenset(stream.keys)

    def act(records: Sequence[dict[str, Any]]) -> None:
        for record in records:
            for name, value in record.items():
                if name not in stream.keys:
                    record[name] = masked(value, name in fields, fields)

    return PageAction(act)


def masked(value: Any, whole: bool, fields: Collection[str]) -> Any:
    """Return a value masked: all its texts where it is masked as a ``whole``, else the mail addresses in them."""
    if isinstance(value, str):
        return MASK if whole else MAIL.sub(MASK, value)
    if isinstance(value, dict):
        return {name: masked(member, whole or name in fields, fields) for name, member in value.items()}
    if isinstance(value, list):
        return [masked(item, whole, fields) for item in value]
    return value
