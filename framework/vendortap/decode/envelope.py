"""What a reply has in the place of its records, for the error that says so: names only, never a value."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
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
    try:
        document = xml_tree.parse(body) if is_in_xml else _json(body)
    except Malformed as error:
        return f"the answer has a name like a declared one, but cannot be read as a whole ({error})"
    members = _elements if is_in_xml else _members
    said = (_misspelt(document, where.path, members, any_case=rows.any_case) for where in rows.more.values())
    return next(filter(None, said), None)


def _json(body: bytes) -> Any:
    mended = without_lone_surrogates(body)
    return json_format.loads(mended[0] if mended else body)


def _misspelt(
    document: Any, path: Sequence[str], members: Callable[[Any], Mapping[str, Any]], *, any_case: bool
) -> str | None:
    """Follow a path; say which name on it is written in another way."""
    for name in path:
        names = members(document)
        if name not in names:
            other = next((other for other in names if _bare(other) == _bare(name)), name)
            is_same = other == name or (any_case and other.lower() == name.lower())
            return None if is_same else f"the answer has {shown_name(other)} where {name} is declared"
        document = names[name]
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


def _local(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]


def _names(names: Iterable[str]) -> str:
    known = list(names)
    more = f" and {len(known) - NAMES_AT_MOST} more" if len(known) > NAMES_AT_MOST else ""
    return f"{', '.join(map(shown_name, known[:NAMES_AT_MOST]))}{more}" if known else "nothing in it"
