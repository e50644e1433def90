"""What samples show in each place of a document: how often which kind of value stood there."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from vendortap.decode.values import Dates, day
from vendortap.scaffold.notes import Notes

Leaf = Literal["boolean", "integer", "number", "date-time", "date", "whole", "decimal", "truth", "own-date", "text"]
"""What a value without inner structure is. The first three are JSON's own; the others are texts, by what they read
like: ``whole`` and ``decimal`` are numbers as a number would be written, ``truth`` is ``true`` or ``false``, an
``own-date`` is a date in a form that only its vendor has."""

OTHER_CASE = "written in more than one case; RecordSelector(any_case=True) reads them all"

MOST = 2_000
"""Different names in one object. What has more is a table of values by key, and no record."""
DEEPEST = 60
"""Levels of nesting. What is made of a deeper sample could not be written as Python."""

NATIVE = frozenset({"boolean", "integer", "number"})

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATE_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T\S+")
_OWN_DATE = re.compile(r"[0-9]{1,2}([/.-])[0-9]{1,2}\1[0-9]{2,4}(\s.*)?|[0-9]{4}/[0-9]{1,2}/[0-9]{1,2}(\s.*)?")
_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,99})")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,99})\.[0-9]{1,99}")
_DATES = Dates()


class TooMany(ValueError):
    """A sample has more places than a schema can be drafted of."""


@dataclass
class Observations:
    """What was seen in one place: a list's entries in ``item``, an object's members in ``fields``, in their order.

    ``strings`` counts the texts that JSON had, where a text is known to be one: in XML everything is. ``xml_name`` is
    the name in XML where it is another one, ``xml_wrapped`` whether a list there is an element around its entries.
    """

    nulls: int = 0
    blanks: int = 0
    leaves: Counter[Leaf] = field(default_factory=Counter)
    strings: int = 0
    objects: int = 0
    fields: dict[str, Observations] = field(default_factory=dict)
    lists: int = 0
    item: Observations | None = None
    xml_name: str | None = None
    xml_wrapped: bool | None = None
    xml_attribute: bool = False

    @property
    def is_object(self) -> bool:
        """Whether all values that were seen here are objects."""
        return self.objects > 0 and not self.leaves and not self.lists

    @property
    def times(self) -> int:
        """How many values were seen here."""
        return self.nulls + self.blanks + self.leaves.total() + self.objects + self.lists

    def add(self, value: Any, depth: int = 0) -> None:
        """Look at a value as ``json_wire.loads`` gives it; ``depth`` is how many others it is in. Raises TooMany."""
        if depth > DEEPEST:
            raise TooMany(f"it is nested more than {DEEPEST} levels deep")
        if value is None:
            self.nulls += 1
        elif isinstance(value, dict):
            self.objects += 1
            for name, member in value.items():
                self.member(name).add(member, depth + 1)
        elif isinstance(value, list):
            self.lists += 1
            self.item = self.item or Observations()
            for entry in value:
                self.item.add(entry, depth + 1)
        else:
            self._add_leaf(value)

    def member(self, name: str) -> Observations:
        """Return the place of a member. Raises TooMany."""
        if name not in self.fields and len(self.fields) >= MOST:
            raise TooMany(f"an object has more than {MOST:,} different names; it reads like a table of values by key")
        return self.fields.setdefault(name, Observations())

    def _add_leaf(self, value: Any) -> None:
        if isinstance(value, str):
            self.strings += 1
            if value.strip():
                self.leaves[text_leaf(value)] += 1
            else:
                self.blanks += 1
        else:
            self.leaves[
                "boolean" if isinstance(value, bool) else "integer" if isinstance(value, int) else "number"
            ] += 1

    def merge(self, other: Observations) -> None:
        """Take in what was seen elsewhere."""
        self.nulls += other.nulls
        self.blanks += other.blanks
        self.leaves += other.leaves
        self.strings += other.strings
        self.objects += other.objects
        self.lists += other.lists
        for name, member in other.fields.items():
            self.fields.setdefault(name, Observations()).merge(member)
        if other.item:
            self.item = self.item or Observations()
            self.item.merge(other.item)
        self.xml_name = self.xml_name or other.xml_name
        self.xml_wrapped = other.xml_wrapped if self.xml_wrapped is None else self.xml_wrapped
        self.xml_attribute = self.xml_attribute or other.xml_attribute

    def at(self, path: tuple[str, ...]) -> Observations | None:
        """Return the place that names lead to; ``None`` where they do not."""
        place: Observations | None = self
        for name in path:
            place = place.fields.get(name) if place else None
        return place


def fold_case(seen: Observations, like: Observations, notes: Notes, path: str) -> Observations:
    """Return what was seen with names that differ only in case taken for one, unless some object has several of them.

    ``like`` is what a schema says of the same place: its spelling is the one that is taken, else the first.
    """
    result = replace(seen, fields={}, item=None)
    spellings = _spellings(seen, like)
    for name, member in seen.fields.items():
        target = spellings[name]
        if target != name:
            notes.say(OTHER_CASE, f"{path}.{target}")
        result.fields.setdefault(target, Observations()).merge(member)
    for name, member in result.fields.items():
        result.fields[name] = fold_case(member, like.fields.get(name, Observations()), notes, f"{path}.{name}")
    if seen.item:
        result.item = fold_case(seen.item, like.item or Observations(), notes, f"{path}[]")
    return result


def _spellings(seen: Observations, like: Observations) -> dict[str, str]:
    """Return the name that each name of an object is taken for."""
    by_folded = {name.casefold(): name for name in (*reversed(seen.fields), *like.fields)}
    together = Counter[str]()
    for name, member in seen.fields.items():
        together[name.casefold()] += member.times
    result: dict[str, str] = {}
    for name in seen.fields:
        is_kept = name in like.fields or together[name.casefold()] > seen.objects
        result[name] = name if is_kept else by_folded[name.casefold()]
    return result


def text_leaf(text: str) -> Leaf:
    """Return what a text reads like; dates by the very rules of the decoders."""
    if text in ("true", "false"):
        return "truth"
    if _WHOLE.fullmatch(text):
        return "whole"
    if _DECIMAL.fullmatch(text):
        return "decimal"
    return _date_leaf(text)


def _date_leaf(text: str) -> Leaf:
    try:
        if _DATE.fullmatch(text):
            day(text)
            return "date"
        if _DATE_TIME.fullmatch(text):
            _DATES.parse(text)
            return "date-time"
    except ValueError:
        pass
    return "own-date" if _OWN_DATE.fullmatch(text) else "text"
