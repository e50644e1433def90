"""What a reply has in the place of its records, for the error that says so: names only, never a value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vendortap.declare.model import RecordSelector, Reply, is_xml
from vendortap.decode import json as json_format
from vendortap.decode import xml_tree
from vendortap.decode.charset import without_lone_surrogates, xml_as_utf8
from vendortap.decode.values import Malformed
from vendortap.support.redact import shown_name

NAMES_AT_MOST = 6
"""So many names are told."""


def content(reply: Reply, path: Sequence[str]) -> str:
    """Say what a reply has where ``path`` should lead: the last place on the way that is there, and what it is."""
    try:
        if is_xml(reply.media_type):
            return _in_xml(xml_tree.parse(reply.body), path)
        return _in_json(json_format.loads(reply.body), path)
    except Malformed:
        return "the answer cannot be read"


def misspelt(reply: Reply, rows: RecordSelector) -> str | None:
    """Say which name of ``RecordSelector.more`` a reply writes in another way; ``None`` where it does not.

    Only letter case and marks are looked past: ``NextToken`` or ``next_token`` stands for a ``nextToken`` that is not
    there, and a list would end where it does not. The reply is parsed only where it has such a name somewhere.
    """
    is_in_xml = is_xml(reply.media_type)
    body = xml_as_utf8(reply.body, reply.headers.get("content-type", "")) if is_in_xml else reply.body
    if not any(_has_alike(body, name) for where in rows.more.values() for name in where.path):
        return None
    mended = None if is_in_xml else without_lone_surrogates(body)
    try:
        document = xml_tree.parse(body) if is_in_xml else json_format.loads(mended[0] if mended else body)
    except Malformed as error:
        return f"the answer has a name like a declared one, but cannot be read as a whole ({error})"
    members = _elements if is_in_xml else _members
    for where in rows.more.values():
        inside = document
        for name in where.path:
            names = members(inside)
            if name not in names:
                other = next((other for other in names if _bare(other) == _bare(name)), None)
                if other is not None and not (rows.any_case and other.lower() == name.lower()):
                    return f"the answer has {shown_name(other)} where {name} is declared"
                break
            inside = names[name]
    return None


def _has_alike(body: bytes, name: str) -> bool:
    """Whether a body has a name somewhere, written in another way; a quick look that may be wrong in saying so."""
    letters = "[^A-Za-z0-9]{0,2}".join(_bare(name)).encode()
    return bool(letters) and any(found[0] != name.encode() for found in re.finditer(letters, body, re.IGNORECASE))


def _members(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _elements(element: Any) -> Mapping[str, Any]:
    return {_local(child): child for child in element}


def _bare(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


def _in_json(value: Any, path: Sequence[str]) -> str:
    place = "$"
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            break
        place, value = f"{place}.{name}", value[name]
    if isinstance(value, Mapping):
        return f"{place} has {_names(value)}"
    kinds = {type(None): "null", list: "a list", str: "a text", bool: "true or false"}
    return f"{place} is {kinds.get(type(value), 'a number')}"


def _in_xml(root: Any, path: Sequence[str]) -> str:
    element, place = root, f"the XML root <{shown_name(_local(root))}>"
    for name in path:
        inner = next((child for child in element if _local(child) == name), None)
        if inner is None:
            break
        element, place = inner, f"<{name}>"
    return f"{place} has {_names(dict.fromkeys(map(_local, element)))}"


def has_elements(body: bytes, path: Sequence[str]) -> bool:
    """Tell whether there are elements where ``path`` leads in an XML document."""
    element = xml_tree.parse(body)
    for name in path:
        element = next((child for child in element if _local(child) == name), ())
    return len(element) > 0


def _local(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]


def _names(names: Iterable[str]) -> str:
    known = list(names)
    more = f" and {len(known) - NAMES_AT_MOST} more" if len(known) > NAMES_AT_MOST else ""
    return f"{', '.join(map(shown_name, known[:NAMES_AT_MOST]))}{more}" if known else "nothing in it"
