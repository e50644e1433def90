"""Drift: what replies have that the schema does not, and the other way round; noticed once each, never with a value.

Three kinds, in ``Event.kind``:

``unknown``
    a field that is not declared. The decoders forbid names that they do not know, which costs nothing while there
    are none. At the first one the page is searched, each name found becomes an ``extra`` name of its node, and the
    types are made again with it: read over, and not written. Another name raises again, so none is missed. After 200
    names all pass, since such names are data.
``type``
    another type than is declared: repaired in silence, or a record that does not fit.
``absent``
    a declared field that earlier runs saw, and that has been in none of many records since. Per field, the state
    keeps two figures: after how many records at most it had come up in a run, and in how many it has not since. It
    is absent after ten times the former, and ``ENOUGH`` records at least. A null is no field.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from vendortap.declare.model import Node, Record
from vendortap.errors import DriftError
from vendortap.support.redact import shown_line

_ATTRIBUTE = re.compile(r"((?:^|(?<=\.))@)")
"""The mark of an attribute in a name."""
_log = logging.getLogger("vendortap.drift")

ENOUGH = 100
"""Records without a field that are needed to call it absent."""
TIMES = 10
"""How many times longer than ever before a field has to have stayed away."""
FIRST, EVERY = 200, 16
"""Of a run, so many records are looked through for fields that have not come up in it; then every so-manieth."""
EVENTS_AT_MOST = 100
"""Events of one stream; names that are data, as in a map by customer, would be without end."""

Kind = Literal["unknown", "type", "absent"]
Fields = Mapping[str, tuple[int, int]]
"""What the state keeps: field → after how many records it comes up at most, and how many have been without it since."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing noticed. ``field`` is such as ``Lines[].Price``, ``path`` where it was first met in a reply."""

    connector: str
    stream: str
    kind: Kind
    field: str
    path: str
    expected: str | None = None

    @property
    def sentence(self) -> str:
        """What was noticed, without saying whose it is."""
        what = {
            "unknown": "is not declared",
            "type": f"is not always {self.expected}",
            "absent": "is not there any more",
        }[self.kind]
        return f"the field {self.field} {what}, see {self.path}"

    def __str__(self) -> str:
        """Say it, and whose it is."""
        return f"{self.connector}, {self.stream}: {self.sentence}"


# --- names -------------------------------------------------------------------------------------------


def strict(node: Node, extra: Collection[str] = ()) -> Node:
    """Return a schema that lets no names pass but those declared, and ``extra`` at its root."""
    return replace(
        node,
        fields={name: strict(member) for name, member in node.fields.items()},
        item=node.item and strict(node.item),
        extra=frozenset(extra) - node.fields.keys() if node.kind in ("object", "array") else None,
    )


def with_extra(node: Node, place: tuple[str | int, ...]) -> Node:
    """Return a strict schema that lets the name at ``place`` pass as well."""
    first, *rest = place
    if isinstance(first, int):
        return replace(node, item=node.item and with_extra(node.item, tuple(rest)))
    if not rest:
        return replace(node, extra=(node.extra or frozenset()) | {first})
    return replace(node, fields={**node.fields, first: with_extra(node.fields[first], tuple(rest))})


def text(place: Iterable[str | int]) -> str:
    """Return a place inside a record as text: ``Lines[2].Price``; ``["a.b"]`` where a name could be taken for two."""
    parts = (f"[{part}]" if isinstance(part, int) else _step(part) for part in place)
    return "".join(parts).removeprefix(".")


def field_name(place: Iterable[str | int]) -> str:
    """Return what all places are called that differ in nothing but indexes: ``Lines[].Price``."""
    parts = ("[]" if isinstance(part, int) else _step(part) for part in place)
    return "".join(parts).removeprefix(".")


def _step(name: str) -> str:
    return f"[{json.dumps(name, ensure_ascii=False)}]" if any(mark in name for mark in '.[]"') else f".{name}"


# --- one stream --------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Awaited:
    """A field that has not come up in this run, or one with such fields inside."""

    name: str
    inner: dict[str, _Awaited] = field(default_factory=dict)
    seen: bool = False


def _awaited(node: Node, prefix: str = "") -> dict[str, _Awaited]:
    fields = {name: member for name, member in node.fields.items() if member.kind != "given"}
    return {name: _Awaited(f"{prefix}{name}", _inside(member, f"{prefix}{name}")) for name, member in fields.items()}


def _inside(node: Node, name: str) -> dict[str, _Awaited]:
    return _inside(node.item, f"{name}[]") if node.item is not None else _awaited(node, f"{name}.")


class Drift:
    """What has been noticed of one stream. ``note`` may be called by any number of threads.

    ``exempt`` are properties that say nothing of the replies; ``prefix`` is the JSON path of a record. With ``fail``
    what is noticed is an error. ``redact`` makes names fit for a message: they are the vendor's.
    """

    def __init__(
        self,
        connector: str,
        stream: str,
        row: Node,
        *,
        prefix: str = "$",
        exempt: Collection[str] = (),
        fail: bool = False,
        redact: Callable[[str], str] = str,
        remembered: Fields | None = None,
    ) -> None:
        self.events: list[Event] = []
        self._who = connector, stream
        self._prefix = prefix
        self._fail = fail
        self._redact = redact
        self._noted: set[tuple[Kind, str]] = set()
        self._lock = threading.Lock()
        kept = {name: member for name, member in row.fields.items() if name not in exempt}
        self._awaited = _awaited(replace(row, fields=kept))
        declared = set(_names(self._awaited))
        self._remembered = {name: two for name, two in (remembered or {}).items() if name in declared}
        self._come: dict[str, int] = {}
        self._records = self._looked = 0

    def note(self, kind: Kind, name: str, path: str, expected: str | None = None, *, governed: bool = True) -> None:
        """Note something, once; what is not ``governed`` by `on_drift` is never an error.

        Raises:
            DriftError: the operator wants to stop at it.
        """
        event = Event(*self._who, kind, self._shown(name), self._shown(path), expected)
        with self._lock:
            new = (kind, name) not in self._noted and len(self.events) < EVENTS_AT_MOST
            if new:
                self._noted.add((kind, name))
                self.events.append(event)
                _log.warning("drift %s", json.dumps(asdict(event)), extra={"drift": asdict(event)})
        if self._fail and governed:
            raise DriftError(f"{event.sentence}. Extend the schema of the stream, or set on_drift to 'warn'")

    def _shown(self, name: str) -> str:
        """Return a name or path as it may be shown; the ``@`` of an attribute does not make it a mail address."""
        parts = _ATTRIBUTE.split(shown_line(name))
        return "".join(part if part == "@" else self._redact(part) for part in parts)

    def look(self, records: Iterable[Record]) -> None:
        """Look for fields that have not come up in this run, in records in their order; costs less the more have."""
        if not self._awaited:
            return
        for record in records:
            self._records += 1
            if self._records <= FIRST or self._records % EVERY == 0:
                self._looked += 1
                self._look(record, self._awaited)

    def _look(self, record: Any, awaited: dict[str, _Awaited]) -> None:
        found = [(name, value) for name in awaited if (value := record[name]) is not None and value != []]
        for name, value in found:
            one = awaited[name]
            if not one.seen:
                one.seen = True
                self._come[one.name] = self._looked
            if one.inner:
                for inside in _objects(value):
                    self._look(inside, one.inner)
            if not one.inner:
                del awaited[name]

    def end(self) -> None:
        """Note what is absent, when the stream has been read to its end.

        Raises:
            DriftError: as ``note``.
        """
        gone: list[str] = []
        for name, (usual, without) in sorted(self.fields().items()):
            inside = any(name.startswith((f"{outer}.", f"{outer}[")) for outer in gone)
            if without >= max(ENOUGH, TIMES * usual) and not inside:
                gone.append(name)
        for name in gone:
            self.note("absent", name, f"{self._prefix}.{name}")

    def fields(self) -> Fields:
        """Return what the state is to keep."""
        kept: dict[str, tuple[int, int]] = {}
        for name, (usual, without) in self._remembered.items():
            kept[name] = (usual, without) if name in self._come else (usual, without + self._looked)
        for name, after in self._come.items():
            usual, without = kept.get(name, (0, 0))
            kept[name] = (max(usual, without + after), 0)
        return kept


def _names(awaited: Mapping[str, _Awaited]) -> Iterator[str]:
    for one in awaited.values():
        yield one.name
        yield from _names(one.inner)


def _objects(value: Any) -> Iterator[Any]:
    """Yield the objects that a value is, or that are in the list that it is."""
    if isinstance(value, list):
        for item in value:
            yield from _objects(item)
    elif value is not None:
        yield value
