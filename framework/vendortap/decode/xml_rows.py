"""XML to rows, by way of JSON: records that an expression made of the schema matches are written as JSON, and read so.

To match a record and to write its texts between the names of its properties costs less than half of what it takes to
parse it into a tree and to read that. The expression holds where elements are: in the order that earlier pages of the
stream had them in, without prefixes, and without attributes but for ``xsi:nil``; what is missing is null. What the
texts are is told by the decoder of the JSON (vendortap.decode.structs).

A page with comments, prefixes, other attributes, character references, another encoding, another order or elements
that are not declared is left to the tree, as a whole. So is the first page. Where the schema has no name for the items
of the outermost list, they are called as the first one is; a list inside a record needs a declared name.

This is the only place that matches a vendor's bytes. No part of an expression can be tried again with less, so that
the time is linear in what is matched (tests/test_expressions.py).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import compress
from typing import Any, NamedTuple, TypeAlias

import msgspec

from vendortap.declare.model import Node, RecordSelector
from vendortap.decode import incremental, xml_tree
from vendortap.decode.incremental import is_named
from vendortap.decode.structs import DoesNotFit, completer, has_plain_names, type_of
from vendortap.decode.values import Dates

ONCE = "+" if sys.version_info >= (3, 11, 5) else ""
"""Keeps a repetition from being tried again with less, which is never of use here; wrong before (gh-106052)."""
WORTH = 2
"""The page of a stream from which on making an expression is worth it: many a list has only one."""
CREDIT = 3
"""Pages more that may be tried in vain than were read; then no page of the stream is tried any more."""
OBSERVED = 50
"""Of a page that was read by the tree, so many records show in which order elements come."""
ORDERS = 20
"""So often an expression is made anew because pages show another order."""
LARGEST = 1_000_000
"""Longer records, in bytes, are left to the parser, which knows how long a text may be."""
FORMATS = 500
"""Of so many sets of elements that are left out, what is written instead is kept, for each part of a record."""

_SPACE = rf"[ \t\r\n]*{ONCE}"
_ENTITIES: Mapping[bytes, bytes] = {
    b"&lt;": b"<",
    b"&gt;": b">",
    b"&amp;": b"&",
    b"&quot;": b'\\"',
    b"&apos;": b"'",
    b"&#34;": b'\\"',
    b"&#39;": b"'",
}
_ENTITY = re.compile(rb"&[^;]*;?")
_LEAVES: Mapping[str, str] = {
    "string": f"[^<]*{ONCE}",
    # Decimal keeps the sign of a zero, which has none in JSON where it has no point
    "number": rf"(?:-?[1-9][0-9]*{ONCE}|-0(?=\.)|0)(?:\.[0-9]+{ONCE})?",
    "integer": r"(?:-?[1-9][0-9]{0,17}|0)",
    "boolean": "(?:true|false)",
    "date-time": f"[^<]+{ONCE}",
    "date": f"[^<]+{ONCE}",
}
"""What texts are accepted: nothing that could be anything else in JSON. The decoder checks them after that."""
_QUOTED = ("string", "date-time", "date")
_PREFIXES = ("xsi", "i")
_NIL = rf' (?:{"|".join(_PREFIXES)}):nil=\\"true\\" ?/>'
"""The rest of the tag of an element that is null, its quotes escaped as those in texts are."""
_NAME = r"[\w.\x80-\xff-]+"
_EMPTY = re.compile(rf"<({_NAME}) ?/>".encode("latin-1"))
_MARK = "vendortap-records"
"""The element that stands for the records where they have been taken out."""
_between = re.compile(_SPACE.encode()).match
_NO_CHARACTERS = re.compile(rb"\xef\xbf[\xbe\xbf]")
"""U+FFFE and U+FFFF: UTF-8, but nothing that XML may have (XML 1.0, 2.2)."""

Step: TypeAlias = "Callable[[bytes, int, list[bytes]], int | None]"
"""Matches part of a record from a place on and appends it as JSON; returns where it ends, ``None`` where it differs."""


class Expression:
    """Reads pages of one list by an expression that is made of its schema and of what pages before have shown.

    Threads may disagree by a page, which does no harm.
    """

    def __init__(self, row: Node, selector: RecordSelector, dates: Dates, most: int) -> None:
        self._row = row
        self._path = selector.path
        self._dates = dates
        self._most = most
        self._order: Order = {}
        self._quick: _Quick | None = None
        self._pages, self._credit, self._remade = 0, CREDIT, 0
        self._can_be = len(self._path) + 1 + _levels(row) <= most

    def allow(self, row: Node) -> None:
        """Take another schema of the same records; its extra elements are ignored."""
        self._row, self._quick = row, None

    def observed(self) -> Observed:
        """Return what notes in which order elements stand in records that the expression could not read."""
        return Observed(self._row, {path: list(names) for path, names in self._order.items()})

    def learn(self, observed: Observed) -> None:
        """Go by the order that a page has shown."""
        if observed.order != self._order and self._remade < ORDERS:
            self._order, self._quick = observed.order, None
            self._remade += 1
            self._credit = max(self._credit, 0)

    def match(self, body: bytes) -> tuple[Any, list[Any]]:
        """Return the root element of a page without its records, and these as rows.

        Raises:
            DoesNotFit: the page, or anything in it, is not quite as the expression has it.
        """
        self._pages += 1
        if self._pages < WORTH or self._credit < 0 or not self._can_be:
            raise DoesNotFit("not worth it")
        if (quick := self._quick) is None:
            if (read_record := _record_reader(self._row, self._dates, self._order)) is None:
                self._can_be = False
                raise DoesNotFit("a schema that the expression does not know")
            quick = self._quick = _Quick(_beginning(self._path, self._row.xml_name), read_record)
        if (first := quick.find(body)) is None:  # no records, most likely
            raise DoesNotFit("no record")
        try:
            found = self._page(body, first, quick.read_record)
        except ValueError:  # DoesNotFit, Malformed, or no UTF-8
            self._credit -= 1
            raise DoesNotFit("another page") from None
        self._credit += 1
        return found

    def _page(self, body: bytes, first: re.Match[bytes], read_record: Callable[[bytes], Any]) -> tuple[Any, list[Any]]:
        opening, closing = b"<%b>" % first[1], b"</%b>" % first[1]
        rows: list[Any] = []
        start = at = first.end()
        while body.startswith(opening, at):
            end = body.index(closing, at)
            rows.append(read_record(body[at + len(opening) : end]))
            at = end + len(closing)
            at = found.end() if (found := _between(body, at)) else at
        root = xml_tree.parse(b"%b<%b/>%b" % (body[:start], _MARK.encode(), body[at:]), self._most)
        _take_mark(root, self._path, body)
        return root, rows


class _Quick(NamedTuple):
    """Finds the tag of a page's first record, and reads what is in a record's element."""

    find: Callable[[bytes], re.Match[bytes] | None]
    read_record: Callable[[bytes], Any]


def _beginning(path: Sequence[str], name: str | None) -> Callable[[bytes], re.Match[bytes] | None]:
    """Return what finds the tag that a list begins with; in its group is the name of the first item behind it."""
    holder = re.escape(path[-1]) if path else _NAME
    item = _NAME if name is None else re.escape(name)
    pattern = rf"<(?:{_NAME}:)?{holder}(?:\s[^<>]*)?(?<!/)>{_SPACE}(?=<({item})>)"
    return re.compile(pattern.encode()).search


def _take_mark(root: Any, path: tuple[str, ...], body: bytes) -> None:
    """Take out what stands for the records, which has to be all that is in the list.

    Raises:
        DoesNotFit: it is elsewhere; or what was matched means something else: another encoding, or another ``xsi``.
    """
    holder = incremental.single(root, path)
    if holder is None or len(holder) != 1 or not is_named(mark := holder[0], _MARK):
        raise DoesNotFit("another document")
    encoding = root.getroottree().docinfo.encoding or "UTF-8"
    bound = {prefix: mark.nsmap.get(prefix) == xml_tree.INSTANCE for prefix in _PREFIXES}
    if encoding.upper() != "UTF-8" or any(not bound[p] and f" {p}:nil".encode() in body for p in _PREFIXES):
        raise DoesNotFit("another document")
    holder.clear()  # beside elements, neither text nor xsi:nil counts


# --- the order of elements ---------------------------------------------------------------------------

Order: TypeAlias = "dict[tuple[str, ...], list[str]]"
"""Properties that lead to an object → the names of the elements in it, in the order that pages have shown."""


class Observed:
    """The order of elements that a page shows; of ``OBSERVED`` records at the most."""

    def __init__(self, row: Node, order: Order) -> None:
        self.order = order
        self._row = row
        self._left = OBSERVED

    def note(self, element: Any) -> None:
        """Note the order of the elements in a record."""
        if self._left:
            self._left -= 1
            _observe(self.order, (), self._row, element)


def _observe(order: Order, path: tuple[str, ...], node: Node, element: Any) -> None:
    _merge(order.setdefault(path, []), dict.fromkeys(xml_tree.local(child.tag) for child in element))
    inside = {tag: (name, member) for tag, (name, member) in _members(node).items() if _kind(member) == "object"}
    for child in element:
        if found := inside.get(xml_tree.local(child.tag)):
            name, member = found
            for item in child if member.item and member.xml_wrapped else [child]:
                _observe(order, (*path, name), member.item or member, item)


def _kind(node: Node) -> str:
    return (node.item or node).kind


def _merge(known: list[str], names: Iterable[str]) -> None:
    """Put names that are not known yet behind those that they follow."""
    at = 0
    for name in names:
        if name not in known:
            known.insert(at, name)
        at = known.index(name) + 1


def _members(node: Node) -> dict[str, tuple[str, Node]]:
    """Return the members of an object by the names of their elements."""
    return {xml_tree.name_of(member, name): (name, member) for name, member in node.fields.items()}


# --- one record --------------------------------------------------------------------------------------


def _record_reader(row: Node, dates: Dates, order: Order) -> Callable[[bytes], Any] | None:
    """Return what reads what is in a record's element; ``None`` where the schema has what the expression does not know.

    Raises (the function):
        ValueError: it is not quite as the expression has it.
    """
    if not _is_known(row) or not has_plain_names(row):
        return None
    bare = _without_extra(row)
    decode, complete = msgspec.json.Decoder(type_of(bare)).decode, completer(bare, dates)
    betweens: set[str] = set()
    step = _Builder(betweens, order).content(row, ())
    separated = re.compile("|".join(betweens).encode()).sub if betweens else None
    has_empty = False

    def write(raw: bytes) -> bytes:
        """Return a record as JSON, with the marks of XML still in the texts."""
        written: list[bytes] = []
        if step(raw, 0, written) != len(raw):
            raise DoesNotFit("another record")
        return b"".join(written)

    def decode_record(raw: bytes) -> Any:
        nonlocal has_empty  # to open up what needs it costs a fifth more, and vendors write it always or never
        raw = _escaped(raw)
        try:
            text = write(_EMPTY.sub(rb"<\1></\1>", raw) if has_empty else raw)
        except DoesNotFit:
            if has_empty:
                raise
            text = write(_EMPTY.sub(rb"<\1></\1>", raw))
            has_empty = True
        if separated:
            text = separated(b'","', text)
        return complete(decode(_ENTITY.sub(_character, text) if b"&" in text else text))

    return decode_record


def _without_extra(node: Node) -> Node:
    fields = {name: _without_extra(member) for name, member in node.fields.items()}
    return replace(node, fields=fields, item=node.item and _without_extra(node.item), extra=None)


def _escaped(raw: bytes) -> bytes:
    """Return part of a document with its quotes and backslashes escaped, as they are in JSON.

    Raises:
        DoesNotFit: it has what XML forbids, or is too large to tell.
    """
    has_end = b"]]" in raw and b"]]>" in raw  # the first look is much the quicker one
    if len(raw) > LARGEST or has_end or (not raw.isascii() and _NO_CHARACTERS.search(raw)):
        raise DoesNotFit("another record")
    if b"\\" in raw:
        raw = raw.replace(b"\\", b"\\\\")
    if b'"' in raw:
        raw = raw.replace(b'"', b'\\"')
    return raw


def _character(entity: re.Match[bytes]) -> bytes:
    try:
        return _ENTITIES[entity[0]]
    except KeyError:
        raise DoesNotFit("another record") from None


def _is_known(node: Node) -> bool:
    if node.xml_attribute:
        return False
    if node.kind == "object":
        return all(_is_known(member) and not _has_items(member) for member in node.fields.values())
    if node.item is None:
        return node.kind in _LEAVES or node.kind == "given"
    named = not node.xml_wrapped or node.item.xml_name is not None
    return named and node.item.kind in ("object", "string") and _is_known(node.item)


def _has_items(node: Node) -> bool:
    """Tell whether it is an object that has a list of objects: a segment for each of its parts would be needed."""
    return node.kind == "object" and any(
        _has_items(member) or (member.item is not None and member.item.kind == "object")
        for member in node.fields.values()
    )


def _levels(node: Node) -> int:
    """Return how many levels an element of this schema is deep, itself the first."""
    if node.item is not None:
        return _levels(node.item) + node.xml_wrapped
    return 1 + max(map(_levels, node.fields.values()), default=0)


class _Text(NamedTuple):
    """The text of an element, or null."""

    group: int
    quote: str


class _Texts(NamedTuple):
    """The texts of a list's items, with tags between them; ``marker`` is there where the list is."""

    group: int
    marker: int | None


class _Object(NamedTuple):
    """An object; where it has a ``marker``, it is null if that is not there."""

    marker: int | None
    inside: list[_Part]


_Part: TypeAlias = "str | _Text | _Texts | _Object"
"""What is written: a text as it stands, or what comes of groups."""


class _Segment:
    """Part of an element, up to a list of objects: one expression, and what is written of its groups."""

    def __init__(self, pattern: str, parts: Sequence[_Part]) -> None:
        expression = re.compile(pattern.encode())
        self._match = expression.match
        self._parts = parts
        self._full = self._written((True,) * expression.groups)
        self._format = lru_cache(FORMATS)(self._format_of)

    def step(self, raw: bytes, at: int, written: list[bytes]) -> int | None:
        """Match and append, as a Step does."""
        if (found := self._match(raw, at)) is None:
            return None
        groups = found.groups()
        try:
            written.append(self._full % groups)
        except TypeError:  # at least one is None; as good as free where none is
            text, there = self._format(tuple(map(type, groups)))
            written.append(text % tuple(compress(groups, there)))
        return found.end()

    def _format_of(self, kinds: tuple[type, ...]) -> tuple[bytes, tuple[bool, ...]]:
        """Return what is written where the groups are of these types, ``NoneType`` among them, and which are there."""
        there = tuple(kind is bytes for kind in kinds)
        return self._written(there), there

    def _written(self, there: Sequence[bool]) -> bytes:
        """Return what is written, with a place for each of the groups that are there, in their order."""
        return _written(self._parts, there).encode()


def _written(parts: Sequence[_Part], there: Sequence[bool]) -> str:
    return "".join(part if isinstance(part, str) else _written_part(part, there) for part in parts)


def _written_part(part: _Text | _Texts | _Object, there: Sequence[bool]) -> str:
    marker = None if isinstance(part, _Text) else part.marker
    place = "" if marker is None else "%b"  # a marker is an empty text
    if marker is not None and not there[marker]:
        return "null"
    if isinstance(part, _Object):
        return f"{place}{{{_written(part.inside, there)}}}"
    if isinstance(part, _Texts):
        return f'{place}["%b"]' if there[part.group] else f"{place}[]"
    return f"{part.quote}%b{part.quote}" if there[part.group] else "null"


class _Items:
    """A list of objects. ``opening`` is ``None`` where its items stand in the object themselves."""

    def __init__(self, item: Step, opening: str | None, missing: str | None, closing: str) -> None:
        self._item = item
        self._opening = None if opening is None else re.compile(opening.encode()).match
        self._missing = None if missing is None else re.compile(missing.encode()).match
        self._closing = re.compile(closing.encode()).match

    def step(self, raw: bytes, at: int, written: list[bytes]) -> int | None:
        """Match and append, as a Step does."""
        if self._opening is not None:
            if (found := self._opening(raw, at)) is None:
                found = self._missing(raw, at) if self._missing else None
                written.append(b"null")
                return found and found.end()
            at = found.end()
        written.append(b"[")
        while (end := self._item(raw, at, written)) is not None:
            written.append(b",")
            at = end
        if written[-1] == b",":
            written.pop()
        written.append(b"]")
        found = self._closing(raw, at)
        return found and found.end()


class _Builder:
    """Makes the step of an element, out of segments and the lists of objects between them.

    It adds to ``betweens`` what stands between the texts of a list.
    """

    def __init__(self, betweens: set[str], order: Order) -> None:
        self._betweens = betweens
        self._order = order
        self._steps: list[Step] = []
        self._begin_segment()

    def _begin_segment(self) -> None:
        self._pattern: list[str] = []
        self._parts: list[_Part] = []
        self._groups = 0

    def _end_segment(self) -> None:
        self._steps.append(_Segment("".join(self._pattern), self._parts).step)
        self._begin_segment()

    def content(self, node: Node, path: tuple[str, ...], name: str | None = None) -> Step:
        """Return the step of what is in an object's element, which has to be something; with its tags, by its name."""
        tag = "" if name is None else re.escape(name)
        self._pattern.append(f"{tag and f'<{tag}>'}{_SPACE}(?=<[^/])")
        self._parts.append("{")
        self._members(node, path)
        self._pattern.append(tag and f"</{tag}>{_SPACE}")
        self._parts.append("}")
        self._end_segment()
        return self._steps[0] if len(self._steps) == 1 else partial(_in_turn, tuple(self._steps))

    def _members(self, node: Node, path: tuple[str, ...]) -> None:
        members, comma = _members(node), ""
        for element in self._order.get(path) or members:
            name, member = members.get(element, (element, None))
            tag = re.escape(element)
            if member is None or member.kind == "given":
                if member is not None or node.extra is None or element in node.extra:
                    self._pattern.append(f"(?:(?:<{tag}>[^<]*{ONCE}</{tag}>|<{tag}{_NIL}){_SPACE})*{ONCE}")
                continue
            self._parts.append(f'{comma}"{name}":')
            comma = ","
            self._member(tag, member, (*path, name), member.nullable and name not in node.required)

    def _member(self, tag: str, node: Node, path: tuple[str, ...], optional: bool) -> None:
        if node.kind == "object":
            self._object(tag, node, path, optional)
        elif (item := node.item) is None:
            self._text(tag, node, optional)
        elif item.kind == "object":
            self._items(tag if node.xml_wrapped else None, item, path, item.xml_name or path[-1], optional)
        else:
            self._texts(tag if node.xml_wrapped else None, item, item.xml_name or path[-1], optional)

    def _group(self) -> int:
        self._groups += 1
        return self._groups - 1

    def _text(self, tag: str, node: Node, optional: bool) -> None:
        pattern = f"<{tag}>({_LEAVES[node.kind]})</{tag}>"
        if optional and node.kind != "string":
            pattern += f"|<{tag}></{tag}>"
        self._pattern.append(_element(pattern, tag if optional else None))
        self._parts.append(_Text(self._group(), _quote(node)))

    def _object(self, tag: str, node: Node, path: tuple[str, ...], optional: bool) -> None:
        marker = self._group() if optional else None
        (around, self._pattern), (outside, self._parts) = (self._pattern, []), (self._parts, [])
        self._members(node, path)
        if optional:
            pattern = f"<{tag}>{_SPACE}(?:</{tag}>|(){''.join(self._pattern)}</{tag}>)"
        else:
            pattern = f"<{tag}>{_SPACE}{''.join(self._pattern)}</{tag}>"
        outside.append(_Object(marker, self._parts))
        self._pattern, self._parts = around, outside
        self._pattern.append(_element(pattern, tag if optional else None))

    def _texts(self, tag: str | None, node: Node, name: str, optional: bool) -> None:
        """Add a list of texts, in an element of its own where there is a ``tag``."""
        item, text = re.escape(name), _LEAVES[node.kind]
        between = f"</{item}>{_SPACE}<{item}>"
        self._betweens.add(between)
        pattern = f"(?:<{item}>({text}(?:{between}{text})*{ONCE})</{item}>{_SPACE}|)"
        marker = None
        if tag is not None:
            marker = self._group()
            pattern = _element(f"<{tag}>(){_SPACE}{pattern}</{tag}>", tag if optional else None)
        self._pattern.append(pattern)
        self._parts.append(_Texts(self._group(), marker))

    def _items(self, tag: str | None, node: Node, path: tuple[str, ...], name: str, optional: bool) -> None:
        """Add a list of objects, in an element of its own where there is a ``tag``."""
        item = _Builder(self._betweens, self._order).content(node, path, name)
        self._end_segment()
        if tag is None:
            self._steps.append(_Items(item, None, None, "").step)
        else:
            missing = f"(?:<{tag}{_NIL}{_SPACE}|)" if optional else None
            self._steps.append(_Items(item, f"<{tag}>{_SPACE}", missing, f"</{tag}>{_SPACE}").step)


def _element(pattern: str, optional: str | None) -> str:
    """Return the pattern of an element and the spaces behind it: no place for spaces is beside another.

    Where repetitions can be tried again, it would take ages to find that a long space does not fit. ``optional`` is the
    tag of what may be null or left out.
    """
    if optional is None:
        return f"(?:{pattern}){_SPACE}"
    return f"(?:(?:{pattern}|<{optional}{_NIL}){_SPACE}|)"


def _quote(node: Node) -> str:
    return '"' if node.kind in _QUOTED else ""


def _in_turn(steps: Sequence[Step], raw: bytes, at: int, written: list[bytes]) -> int | None:
    """Match and append what these steps do, one after the other, as a Step does."""
    for step in steps:
        if (end := step(raw, at, written)) is None:
            return None
        at = end
    return at
