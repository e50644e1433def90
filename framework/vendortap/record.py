"""Replies become pages of typed records; known vendor habits are repaired, the rest is named exactly.

Clean replies take one typed decode. Only when that fails is JSON decoded untyped, repaired (amounts as strings,
``""`` for null, one object where a list is declared, the case of keys) and converted again; what still does
not fit is a bad record, with its key and JSON path. XML needs no repair: it is read by the schema already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import cached_property
from typing import Any

from vendortap.bounds import is_deeper
from vendortap.errors import BodyError, RecordError
from vendortap.model import Node, Page, Reply, Rows
from vendortap.wire import Dates, Decode, Malformed, Mismatch, TooDeep, boolean, integer, number
from vendortap.wire import json as json_wire
from vendortap.wire import rows as rows_wire
from vendortap.wire import xml as xml_wire
from vendortap.wire.xml import DEEPEST

_JSON_TYPES = ("application/json", "text/json")
_XML_TYPES = ("application/xml", "text/xml")


class Reader:
    """Reads the replies of one stream: decoders of both formats, compiled when they are first needed.

    With ``structs`` records come as rows (vendortap.wire.rows) where that can be; they are used like dicts.
    """

    def __init__(
        self,
        node: Node,
        rows: Rows,
        keys: Iterable[str],
        dates: Dates,
        *,
        structs: bool = False,
        max_depth: int = DEEPEST,
    ) -> None:
        self._row = node
        self.rows = rows
        self._keys = tuple(key for key in keys if key in node.fields)
        self._dates = dates
        self._max_depth = max_depth
        self._node = page_node(node, rows)
        # what a check wants of a single document is inside it, and looked for in dicts
        self._structs = structs and not rows.any_case and bool(rows.path or not rows.more)

    def read(self, reply: Reply) -> Page:
        """Decode a reply by its ``Content-Type``, whatever was asked for.

        Raises:
            BodyError: neither JSON nor XML, or not well-formed.
            RecordError: a record that does not fit its schema, with key and path.
        """
        value = self._decode(reply)
        rows = dig(value, self.rows.path)
        if not self.rows.many:
            rows = None if rows is None else [rows]
        more = {name: dig(value, where.path) for name, where in self.rows.more.items()}
        return Page([], more, absent=True) if rows is None else Page(rows, more)

    def _decode(self, reply: Reply) -> Any:
        form = _format(reply.media_type)
        try:
            return self._read_json(reply.body) if form == "JSON" else self._read_xml(reply.body)
        except TooDeep:
            raise BodyError(
                f"the answer is nested more than {self._max_depth} levels deep (max_depth), which no invoice is; "
                "report it to the vendor"
            ) from None
        except Malformed as error:
            raise BodyError(
                f"the answer is not the {form} it is declared to be ({error}); "
                "it may have been cut short: run again, and report it to the vendor if it stays"
            ) from None

    def _read_json(self, body: bytes) -> Any:
        if is_deeper(body, self._max_depth):
            raise TooDeep
        if self._structs and self._rows_json:
            try:
                return self._rows_json(body)
            except Mismatch:  # by far the less frequent; the other way names what is wrong, or mends it
                pass
        try:
            if not self.rows.any_case:  # the typed way would not see a name in another case
                return self._typed_json(body)
        except Mismatch:
            pass
        untyped = repair(json_wire.loads(body), self._node)
        try:
            return self._convert(untyped)
        except Mismatch as error:
            raise self._refusal(error, untyped) from None

    def _read_xml(self, body: bytes) -> Any:
        try:
            return self._typed_xml(body)
        except Mismatch as error:
            raise self._refusal(error, self._keys_in_xml(body)) from None

    @cached_property
    def _rows_json(self) -> Decode | None:
        return rows_wire.compile(self._node, self._row, self._dates)

    @cached_property
    def _typed_json(self) -> Decode:
        return json_wire.compile(self._node, self._dates)

    @cached_property
    def _convert(self) -> Callable[[Any], Any]:
        return json_wire.converter(self._node, self._dates)

    @cached_property
    def _typed_xml(self) -> Decode:
        return xml_wire.compile(self._node, self._dates, self._max_depth)

    def _keys_in_xml(self, body: bytes) -> Any:
        """Read nothing but the keys, as the text they are, of a reply that does not fit."""
        keys = {key: replace(self._row.fields[key], kind="string", nullable=True) for key in self._keys}
        row = replace(self._row, fields=keys, required=frozenset())
        try:
            return xml_wire.compile(page_node(row, self.rows), self._dates)(body)
        except Mismatch:
            return None

    def _refusal(self, error: Mismatch, value: Any) -> RecordError:
        """Name the record by its key, as far as it has one."""
        place, who = dig(value, self.rows.path), "the document"
        if self.rows.many:
            index = _index(error.path, self.rows)
            who = "the page" if index is None else f"record {index + 1} of the page"
            place = place[index] if index is not None and isinstance(place, list) else None
        found = place if isinstance(place, dict) else {}
        key = ", ".join(f"{k} {_short(found[k])}" for k in self._keys if isinstance(found.get(k), str | int))
        return RecordError(
            f"{key or who}: {error.expected} expected at {error.path}; "
            "the vendor sent something else. Report it to the vendor, or mend the schema of the stream"
        )


def _format(media_type: str) -> str:
    if media_type in _JSON_TYPES or media_type.endswith("+json"):
        return "JSON"
    if media_type in _XML_TYPES or media_type.endswith("+xml"):
        return "XML"
    raise BodyError(
        f"the answer is {media_type or 'of no declared type'}, neither JSON nor XML; "
        "something other than the vendor's API may be answering: check base_url and proxies"
    )


def page_node(row: Node, rows: Rows) -> Node:
    """Return the schema of a whole reply, of which only the rows and what the pager needs is looked at."""
    leaf = Node("array", item=row, xml_wrapped=True) if rows.many else replace(row, nullable=bool(rows.path))
    tree: dict[str, Any] = {}
    for path, node in [(rows.path, leaf), *((v.path, Node(v.kind)) for v in rows.more.values())]:
        if not path:
            return node
        place = tree
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = node
    return _tree_node(tree)


def _tree_node(tree: Mapping[str, Any]) -> Node:
    return Node("object", fields={k: v if isinstance(v, Node) else _tree_node(v) for k, v in tree.items()})


def dig(value: Any, path: Iterable[str]) -> Any:
    """Follow names into nested objects; ``None`` where the way ends early."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _index(path: str, rows: Rows) -> int | None:
    """Return which of the rows a path leads into, if any."""
    prefix = "$" + "".join(f".{name}" for name in rows.path) + "["
    digits = path.removeprefix(prefix).partition("]")[0]
    return int(digits) if digits.isdecimal() else None


def _short(value: str | int) -> str:
    """A key that is fit for one line of a log, whatever the vendor sent."""
    return " ".join(str(value).split())[:60]


# --- repairs -----------------------------------------------------------------------------------------

_PARSERS: Mapping[str, Callable[[str], Any]] = {"number": number, "integer": integer, "boolean": boolean}


def repair(value: Any, node: Node) -> Any:
    """Return untyped JSON with the habits repaired that vendors are known to have; it may still not fit."""
    if value is None or node.kind in ("any", "given"):
        return value
    if isinstance(value, str):
        return _repair_text(value, node)
    if node.kind == "object":
        return _repair_object(value, node) if isinstance(value, dict) else value
    if node.item is not None:
        return [repair(item, node.item) for item in (value if isinstance(value, list) else [value])]
    return _repair_number(value, node)


def _repair_object(value: Mapping[str, Any], node: Node) -> dict[str, Any]:
    spelling = {name.casefold(): name for name in node.fields}
    repaired: dict[str, Any] = {}
    for key, member in value.items():
        name = key if key in node.fields else spelling.get(key.casefold())
        if name is not None and (name == key or name not in value):
            repaired[name] = repair(member, node.fields[name])
    return repaired


def _repair_text(text: str, node: Node) -> Any:
    if node.kind == "string":
        return text
    stripped = text.strip()
    if not stripped:
        return None
    if node.item is not None:
        return [repair(text, node.item)]
    try:
        return _PARSERS.get(node.kind, str)(stripped)
    except ValueError:
        return text


def _repair_number(value: Any, node: Node) -> Any:
    """Numbers where text is declared, and integers with a fraction of zeros."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return value
    if node.kind == "string":
        return str(value)
    return _repair_text(str(value), node) if node.kind == "integer" else value
