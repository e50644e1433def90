"""XML to rows, by way of JSON: records that an expression made of the schema matches are written as JSON, and read so.

To match a record and to write its texts between the names of its properties costs less than half of what it takes to
parse it into a tree and to read that. The expression holds where elements are: in the schema's order, without prefixes,
and without attributes but for ``xsi:nil``; what is missing is null. What the texts are is told by the decoder of the
JSON (vendortap.decode.structs). Together that takes six tenths of the time of a tree.

A page with comments, prefixes, other attributes, character references, another encoding or elements that are not
declared is left to ``xml``, as a whole. So is the first page. Where the schema has no name for the items of the
outermost list, they are called as the first one is; a list inside a record needs a declared name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from itertools import compress
from typing import Any, NamedTuple, TypeAlias

from vendortap.declare.model import Node
from vendortap.decode import incremental
from vendortap.decode import structs as rows_wire
from vendortap.decode import xml as xml_wire
from vendortap.decode.expressions import ONCE, Trial
from vendortap.decode.values import Dates, Decode, Mismatch

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
    "date-time": rf"[0-9]{{4}}-[0-9:.TZ+-]+{ONCE}",
    "date": r"[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}",
}
"""What texts are let pass: nothing that could be anything else in JSON; the decoder has the last word."""
_QUOTED = ("string", "date-time", "date")
_PREFIXES = ("xsi", "i")
_NIL = rf' (?:{"|".join(_PREFIXES)}):nil=\\"true\\" ?/>'
"""The rest of the tag of an element that is null, its quotes escaped as those in texts are."""
_NAME = r"[\w.\x80-\xff-]+"
_EMPTY = re.compile(rf"<({_NAME}) ?/>".encode("latin-1"))
_MARK = "vendortap-records"
"""The element that stands for the records where they have been taken out."""
_NO_CHARACTERS = re.compile(rb"\xef\xbf[\xbe\xbf]")
"""U+FFFE and U+FFFF: UTF-8, but nothing that XML may have (XML 1.0, 2.2)."""

Step: TypeAlias = "Callable[[bytes, int, list[bytes]], int | None]"
"""Matches part of a record from a place on and appends it as JSON; returns where it ends, ``None`` where it differs."""


def compile(page: Node, row: Node, dates: Dates, most: int) -> Decode:  # noqa: A001 - like re.compile
    """Return the decoder of pages: the records are rows where they have been matched, and dicts where not.

    ``row`` is the schema of a record, as it stands inside ``page``. Raises, and ``most`` is, as in ``xml.compile``.
    """
    read = xml_wire.compile(page, dates, most)
    trial = Trial()
    quick: _Quick | None = None

    def decode(body: bytes) -> Any:
        nonlocal quick
        if not trial.is_due():
            return read(body)
        quick = quick or _quick(page, row, dates, most)
        if quick is None:
            trial.give_up()
            return read(body)
        if (first := quick.find(body)) is None:  # no records, most likely
            return read(body)
        try:
            value = quick.read(body, first)
        except ValueError:  # Mismatch, Malformed, Undeclared, or no UTF-8
            trial.note(was_read=False)
            return read(body)
        trial.note(was_read=True)
        return value

    return decode


class _Quick(NamedTuple):
    """Finds the tag of a page's first record, and reads a page by the expression from there on.

    ``read`` raises ValueError where the page, or anything in it, is not quite as the expression has it.
    """

    find: Callable[[bytes], re.Match[bytes] | None]
    read: Callable[[bytes, re.Match[bytes]], Any]


def _quick(page: Node, row: Node, dates: Dates, most: int) -> _Quick | None:
    """Return what reads a page by the expression; ``None`` where the schema has what that does not know."""
    read_record = _record_reader(row, dates)
    if read_record is None:
        return None
    above: list[int] = []

    def reader(item: Node, elements: int) -> Decode:
        above.extend([elements] if item.fields is row.fields else [])
        return read_record

    listed = incremental.listed(page, reader)
    if listed is None or not above or above[0] + _levels(row) > most:
        return None
    read_rest = xml_wire.root_reader(page, dates)
    between = re.compile(_SPACE.encode()).match

    def read(body: bytes, first: re.Match[bytes]) -> Any:
        opening, closing = b"<%b>" % first[1], b"</%b>" % first[1]
        rows: list[Any] = []
        start = at = first.end()
        while body.startswith(opening, at):
            end = body.index(closing, at)
            rows.append(read_record(body[at + len(opening) : end]))
            at = end + len(closing)
            at = found.end() if (found := between(body, at)) else at
        root = xml_wire.parse(b"%b<%b/>%b" % (body[:start], _MARK.encode(), body[at:]), most)
        _take_mark(root, listed, body)
        return listed.put(read_rest(root), rows)

    return _Quick(re.compile(_beginning(listed).encode()).search, read)


def _beginning(listed: incremental.Listed) -> str:
    """Return the pattern of the tag that a list begins with; in its group is the name of the first item behind it."""
    holder = re.escape(listed.elements[-1]) if listed.elements else _NAME
    item = _NAME if listed.item is None else re.escape(listed.item)
    return rf"<(?:{_NAME}:)?{holder}(?:\s[^<>]*)?(?<!/)>{_SPACE}(?=<({item})>)"


def _take_mark(root: Any, listed: incremental.Listed, body: bytes) -> None:
    """Take out what stands for the records, which has to be all that is in the list.

    Raises:
        Mismatch: it is elsewhere; or what was matched means something else: another encoding, or another ``xsi``.
    """
    holder = incremental.find(root, listed.elements)
    if holder is None or len(holder) != 1 or not incremental.is_named(mark := holder[0], _MARK):
        raise Mismatch("$", "another document")
    encoding = root.getroottree().docinfo.encoding or "UTF-8"
    bound = {prefix: mark.nsmap.get(prefix) == xml_wire.INSTANCE for prefix in _PREFIXES}
    if encoding.upper() != "UTF-8" or any(not bound[p] and f" {p}:nil".encode() in body for p in _PREFIXES):
        raise Mismatch("$", "another document")
    holder.clear()  # beside elements, neither text nor xsi:nil counts


# --- one record --------------------------------------------------------------------------------------


def _record_reader(row: Node, dates: Dates) -> Decode | None:
    """Return what reads what is in a record's element; ``None`` where the schema has what the expression does not know.

    Raises (the function):
        ValueError: it is not quite as the expression has it.
    """
    decode = rows_wire.compile(row, row, dates)
    if decode is None or not _is_known(row):
        return None
    betweens: set[str] = set()
    step = _Builder(betweens).content(row)
    separated = re.compile("|".join(betweens).encode()).sub if betweens else None
    has_empty = False

    def write(raw: bytes) -> bytes:
        """Return a record as JSON, with the marks of XML still in the texts."""
        written: list[bytes] = []
        if step(raw, 0, written) != len(raw):
            raise Mismatch("$", "another record")
        return b"".join(written)

    def read(raw: bytes) -> Any:
        nonlocal has_empty  # to open up what needs it costs a fifth more, and vendors write it always or never
        raw = _escaped(raw)
        try:
            text = write(_EMPTY.sub(rb"<\1></\1>", raw) if has_empty else raw)
        except Mismatch:
            if has_empty:
                raise
            text = write(_EMPTY.sub(rb"<\1></\1>", raw))
            has_empty = True
        if separated:
            text = separated(b'","', text)
        return decode(_ENTITY.sub(_character, text) if b"&" in text else text)

    return read


def _escaped(raw: bytes) -> bytes:
    """Return part of a document with its quotes and backslashes escaped, as they are in JSON.

    Raises:
        Mismatch: it has what XML forbids, or is too large to tell.
    """
    has_end = b"]]" in raw and b"]]>" in raw  # the first look is much the quicker one
    if len(raw) > LARGEST or has_end or (not raw.isascii() and _NO_CHARACTERS.search(raw)):
        raise Mismatch("$", "another record")
    if b"\\" in raw:
        raw = raw.replace(b"\\", b"\\\\")
    if b'"' in raw:
        raw = raw.replace(b'"', b'\\"')
    return raw


def _character(entity: re.Match[bytes]) -> bytes:
    try:
        return _ENTITIES[entity[0]]
    except KeyError:
        raise Mismatch("$", "another record") from None


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

    def __init__(self, betweens: set[str]) -> None:
        self._betweens = betweens
        self._steps: list[Step] = []
        self._begin_segment()

    def _begin_segment(self) -> None:
        self._pattern: list[str] = []
        self._parts: list[_Part] = []
        self._groups = 0

    def _end_segment(self) -> None:
        self._steps.append(_Segment("".join(self._pattern), self._parts).step)
        self._begin_segment()

    def content(self, node: Node, name: str | None = None) -> Step:
        """Return the step of what is in an object's element, which has to be something; with its tags, by its name."""
        tag = "" if name is None else re.escape(name)
        self._pattern.append(f"{tag and f'<{tag}>'}{_SPACE}(?=<[^/])")
        self._parts.append("{")
        self._members(node)
        self._pattern.append(tag and f"</{tag}>{_SPACE}")
        self._parts.append("}")
        self._end_segment()
        return self._steps[0] if len(self._steps) == 1 else partial(_in_turn, tuple(self._steps))

    def _members(self, node: Node) -> None:
        comma = ""
        for name, member in node.fields.items():
            if member.kind == "given":
                continue
            self._parts.append(f'{comma}"{name}":')
            comma = ","
            tag = re.escape(member.xml_name or name)
            optional = member.nullable and name not in node.required
            if member.kind == "object":
                self._object(tag, member, optional)
            elif (item := member.item) is None:
                self._text(tag, member, optional)
            else:
                add = self._items if item.kind == "object" else self._texts
                add(tag if member.xml_wrapped else None, item, item.xml_name or name, optional)

    def _group(self) -> int:
        self._groups += 1
        return self._groups - 1

    def _text(self, tag: str, node: Node, optional: bool) -> None:
        pattern = f"<{tag}>({_LEAVES[node.kind]})</{tag}>"
        if optional and node.kind != "string":
            pattern += f"|<{tag}></{tag}>"
        self._pattern.append(_element(pattern, tag if optional else None))
        self._parts.append(_Text(self._group(), _quote(node)))

    def _object(self, tag: str, node: Node, optional: bool) -> None:
        marker = self._group() if optional else None
        (around, self._pattern), (outside, self._parts) = (self._pattern, []), (self._parts, [])
        self._members(node)
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

    def _items(self, tag: str | None, node: Node, name: str, optional: bool) -> None:
        """Add a list of objects, in an element of its own where there is a ``tag``."""
        item = _Builder(self._betweens).content(node, name)
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
