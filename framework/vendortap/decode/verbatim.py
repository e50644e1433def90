"""JSON to records that go out as they came: the vendor's own bytes, where little or nothing in them is to be changed.

A regular expression made of the schema is both the typed check and the proof: what it matches is in the schema's order,
and decoding and encoding it would give the same bytes, and cost half as much again or more. Outside of lists, what is
known to be missing is put between the vendor's bytes: nulls for what was left out, what the request knows, and
date-times where the vendor writes them in another way, each read and written by the decoder's own rules. Everything
else is left to the other decoders, and so is a page in which anything does not match, as a whole.

It is used from the second page of a list on, where amounts stay numbers and nested values stay nested, and takes 0.4 to
0.8 of the time of decoding and encoding; the slower the memory, the smaller the gain. A stream in which more pages
fail than match is not tried any more. A record is read by property name like a row: keys, replication key and amount
by themselves, anything else by decoding the record after all. What is beside the records is decoded as a page with an
empty list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple

import msgspec

from vendortap.declare.model import Node
from vendortap.decode import json as json_wire
from vendortap.decode import structs as rows_wire
from vendortap.decode.expressions import ONCE, Trial
from vendortap.decode.values import Dates, Malformed, Mismatch
from vendortap.support.numbers import MOST_DIGITS

_SPACE = r"[ \t\n\r]*"
_PLAIN = rf"[ !#-\[\]-\xff]*{ONCE}"
_STRING = rf'"{_PLAIN}(?:\\["\\bfnrt]{_PLAIN})*{ONCE}"'
_DAY = (
    r"(?:(?!000)[0-9]{4}-"
    r"(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
    r"|[0-9]{2}(?:0[48]|[2468][048]|[13579][26])-02-29)"
)
_TIME = (
    r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.(?!000000)[0-9]{6})?"
    r"(?:Z|[+-](?!00:00)(?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
_HALF = MOST_DIGITS // 2
"""Digits on each side of a point; what has more, and still few enough, is left to other ways."""
_LEAVES: Mapping[str, str] = {
    "string": _STRING,
    # -0 becomes 0, and str writes a Decimal with an exponent where six zeros follow the point
    "number": (
        rf"(?:-?[1-9][0-9]{{0,{_HALF - 1}}}{ONCE}|(?:0|-0(?=\.))(?!\.000000[0-9]))(?:\.[0-9]{{1,{_HALF}}}{ONCE})?"
    ),
    "integer": r"(?:0|-?[1-9][0-9]{0,17}(?![0-9]))",
    "boolean": r"(?:true|false)",
    "date-time": f'"{_DAY}T{_TIME}"',
    "date": f'"{_DAY}"',
}
"""Each kind as msgspec writes it; years before 10, leap days of centuries and rare numbers are left to other ways."""
_OTHER_TIME = f'"{_PLAIN}"'
_SENTINEL = b"0"
"""Stands for the records where they have been taken out."""

Given = Mapping[str, Any]
"""What the request knows of its records: property → value."""


class _Leaf(NamedTuple):
    """A property that is read by itself: the group it is in, and what reads it."""

    group: int
    read: Callable[[bytes], Any]


class _Form(NamedTuple):
    """How the records of a stream are found, and read.

    ``leaves`` are read by themselves. ``changes`` come in their order: date-times in another way, properties that are
    not there, and those that the request knows.
    """

    match: Callable[[bytes, int], re.Match[bytes] | None]
    end: int
    leaves: Mapping[str, _Leaf]
    changes: Sequence[tuple[int, Callable[[bytes, Given], bytes]]]
    decode: Callable[[bytes], Any]


class Verbatim:
    """One record, and its own bytes; by property name like a dict, to read it only, and at the cost of decoding."""

    __slots__ = ("_changed", "_form", "_found", "_given", "_row")

    def __init__(self, form: _Form, found: re.Match[bytes], given: Given) -> None:
        self._form = form
        self._found = found
        self._given = given
        self._changed = _changed(form, found, given)
        self._row: Any = None

    def write_into(self, lines: bytearray) -> None:
        """Append the record as JSON; its bytes are those of the page, of which no copy is kept."""
        body, at = self._found.string, self._found.start()
        for begin, after, text in self._changed:
            lines += body[at:begin]
            lines += text
            at = after
        lines += body[at : self._found.end() - 1]

    def __getitem__(self, name: str) -> Any:
        if name in self._given:
            return self._given[name]
        if self._row is None and (leaf := self._form.leaves.get(name)):
            value = self._found[leaf.group]
            return None if value is None else leaf.read(value)
        return self._decoded()[name]

    def __repr__(self) -> str:
        """Return what the repr of a row would be: pages are told apart by it."""
        return repr(self._decoded())

    def _decoded(self) -> Any:
        if self._row is None:
            self._row = self._form.decode(self._found[0][:-1])
        return self._row


class Passing:
    """Takes the records out of pages that can be passed on, where ``path`` leads; any number of threads may read.

    ``names`` are the properties that are going to be asked for.
    """

    def __init__(self, row: Node, path: Sequence[str], dates: Dates, names: Collection[str] = ()) -> None:
        self._row = row
        self._path = path
        self._dates = dates
        self._names = names
        self._form: _Form | None = None
        self._begin = re.compile(_beginning(path).encode())
        self._trial = Trial()

    def read(self, body: bytes, given: Given) -> tuple[bytes, list[Any]] | None:
        """Return a page without its records, and these; ``None`` where they are to be read on another way."""
        if not self._trial.is_due():
            return None
        if (form := self._form) is None:
            if (form := _form(self._row, self._dates, self._names)) is None:
                self._trial.give_up()
                return None
            self._form = form
        begin = self._begin.search(body)
        if begin and body.startswith(b"]", begin.end()):
            return None
        passed = self._passed(form, body, begin.end(), given) if begin else None
        self._trial.note(was_read=passed is not None)
        return passed

    def _passed(self, form: _Form, body: bytes, begin: int, given: Given) -> tuple[bytes, list[Any]] | None:
        records: list[Any] = []
        at, is_over = begin, False
        try:
            while not is_over:
                if (found := form.match(body, at)) is None:
                    return None
                if not (raw := found[0]).isascii():
                    raw.decode()  # bytes that are no UTF-8 match as well
                records.append(Verbatim(form, found, given))
                at, is_over = found.end(), found.start(form.end) >= 0
            end = at - 1
            if not self._is_list(body[:begin] + _SENTINEL + body[end:]):
                return None
        except (Mismatch, Malformed, UnicodeDecodeError):
            return None
        return body[:begin] + body[end:], records

    def _is_list(self, rest: bytes) -> bool:
        """Whether what was found is what the path leads to, and not another list with its name."""
        value = json_wire.loads(rest)
        for name in self._path:
            value = value.get(name) if isinstance(value, dict) else None
        return bool(value == [0])


def _changed(form: _Form, found: re.Match[bytes], given: Given) -> list[tuple[int, int, bytes]]:
    """Return what is written in another way than it came: from where to where in the page, and how.

    Raises:
        Mismatch: a date-time is none.
    """
    return [
        (begin, after, change(found[number], given))
        for number, change in form.changes
        for begin, after in (found.span(number),)
        if begin >= 0
    ]


# --- the expression ----------------------------------------------------------------------------------


def _beginning(path: Sequence[str]) -> str:
    name = rf'(?<!\\)"{re.escape(path[-1])}"{_SPACE}:' if path else r"\A"
    return rf"{name}{_SPACE}\[{_SPACE}"


def _form(row: Node, dates: Dates, names: Collection[str]) -> _Form | None:
    """Return how records are found and read, or ``None`` where they cannot be passed on."""
    if dates.pattern or not _can_pass(row) or (decode := rows_wire.compile(row, row, dates)) is None:
        return None
    groups = _Groups(dates, names)
    pattern = rf"{groups.object(row, outermost=True)}(?:,|(\]))"
    return _Form(re.compile(pattern.encode()).match, next(groups.numbers), groups.leaves, groups.changes, decode)


def _can_pass(row: Node) -> bool:
    """Whether it is known how everything in a record is written, and the first property, which is always there."""
    asked = [member for member in row.fields.values() if member.kind != "given"]
    return bool(asked) and not row.extra and all(map(_is_known, asked))


def _is_known(node: Node) -> bool:
    inner = [*node.fields.values(), *((node.item,) if node.item else ())]
    known = node.kind in ("object", "array") or node.kind in _LEAVES
    return known and not node.extra and all(map(_is_known, inner))


class _Groups:
    """Writes the pattern of an object that is in no list, and notes what is in its groups."""

    def __init__(self, dates: Dates, names: Collection[str]) -> None:
        self.leaves: dict[str, _Leaf] = {}
        self.changes: list[tuple[int, Callable[[bytes, Given], bytes]]] = []
        self.numbers = count(1)
        self._dates = dates
        self._names = names

    def object(self, node: Node, *, outermost: bool = False) -> str:
        """Return the pattern of an object: the first property that is not given is there, others may be missing."""
        first = next((name for name, member in node.fields.items() if member.kind != "given"), None)
        before = True
        members: list[str] = []
        for name, member in node.fields.items():
            if member.kind == "given":
                members.append(self._given(name, before=before))
            elif name == first:
                members.append(f'"{name}":{self._value(name, member, outermost)}')
                before = False
            elif name in node.required:
                members.append(f',"{name}":{self._value(name, member, outermost)}')
            else:
                there = self._value(name, member, outermost)
                members.append(f'(?:,"{name}":{there}|{self._missing(name)})')
        return rf"\{{{''.join(members)}\}}"

    def _value(self, name: str, node: Node, outermost: bool) -> str:
        if is_asked := outermost and name in self._names and node.kind in _LEAVES:
            self.leaves[name] = _Leaf(next(self.numbers), rows_wire.leaf(node, self._dates))
        if node.kind == "object":
            pattern = self.object(node)
        elif node.kind == "date-time":
            usual = _LEAVES[node.kind]  # not tried in both ways: of many dates, that would double the ways with each
            pattern = f"(?:{usual}|(?!{usual})({_OTHER_TIME}))"
            read = rows_wire.leaf(node, self._dates)
            self._change(lambda raw, _: msgspec.json.encode(read(raw)))
        else:
            pattern = _value(node)
        pattern = _or_null(pattern, node)
        return f"({pattern})" if is_asked else pattern

    def _missing(self, name: str) -> str:
        text = f',"{name}":null'.encode()
        self._change(lambda _, __: text)
        return "()"

    def _given(self, name: str, *, before: bool) -> str:
        """Return the place of what the request knows; ``before`` all that is in the vendor's bytes, or behind."""
        start, end = (f'"{name}":', ",") if before else (f',"{name}":', "")
        self._change(lambda _, given: b"%b%b%b" % (start.encode(), msgspec.json.encode(given[name]), end.encode()))
        return "()"

    def _change(self, change: Callable[[bytes, Given], bytes]) -> None:
        self.changes.append((next(self.numbers), change))


def _value(node: Node) -> str:
    """Return the pattern of a value in a list: without groups, and with nothing missing."""
    if node.item is not None:
        item = _or_null(_value(node.item), node.item)
        return rf"\[(?:{item}(?:,{item})*{ONCE})?\]"
    if node.kind == "object":
        members = (f'"{name}":{_or_null(_value(member), member)}' for name, member in node.fields.items())
        return rf"\{{{','.join(members)}\}}"
    return _LEAVES[node.kind]


def _or_null(pattern: str, node: Node) -> str:
    return f"(?:null|{pattern})" if node.nullable else pattern
