"""XML documents as ``Observations``: which elements are lists, which are objects, and which member of JSON they are.

XML does not say what is a list. JSON of the same document does, and so does a schema that there is already; else an
element that repeats is one, and so is an element whose children all have one name, if that name sounds like it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from vendortap.scaffold import names
from vendortap.scaffold.notes import Notes
from vendortap.scaffold.observations import DEEPEST, MOST, Leaf, Observations, TooMany, text_leaf

_XSI = "{http://www.w3.org/2001/XMLSchema-instance}"

GUESSED_LIST = "taken for a list in XML, though no sample has two entries of it"
ATTRIBUTES_LEFT_OUT = "attributes left out, as the element has text or is a list"
SAME_INSIDE = "called otherwise in XML, as far as what is inside it tells"
TEXT_LEFT_OUT = "text between elements left out"


@dataclass
class Element:
    """All elements of one name in one place, over all samples."""

    times: int = 0
    nils: int = 0
    filled: int = 0
    """How many have elements inside."""
    texts: Counter[Leaf] = field(default_factory=Counter)
    children: dict[str, Element] = field(default_factory=dict)
    most: Counter[str] = field(default_factory=Counter)
    """The greatest number of a child within one element."""
    present: Counter[str] = field(default_factory=Counter)
    """How many elements have the child at all."""
    attributes: dict[str, Observations] = field(default_factory=dict)
    mixed: bool = False

    def add(self, element: Any, depth: int = 0) -> None:
        """Look at an element of lxml; ``depth`` is how many others it is in. Raises TooMany."""
        if depth > DEEPEST:
            raise TooMany(f"it is nested more than {DEEPEST} levels deep")
        self.times += 1
        self.nils += element.get(f"{_XSI}nil") in ("true", "1")
        for name, text in element.attrib.items():
            if not name.startswith(_XSI):
                self.attributes.setdefault(_local(name), Observations()).add(text)
        text = (element.text or "").strip()
        if len(element):
            self.mixed |= bool(text)
            self._add_children(element, depth)
        elif text:
            self.texts[text_leaf(text)] += 1

    def _add_children(self, element: Any, depth: int) -> None:
        self.filled += 1
        counts = Counter(_local(child.tag) for child in element)
        for tag, number in counts.items():
            self.most[tag] = max(self.most[tag], number)
            self.present[tag] += 1
        for child in element:
            self.children.setdefault(_local(child.tag), Element()).add(child, depth + 1)
        if len(self.children) + len(self.attributes) > MOST:
            raise TooMany(f"an element has more than {MOST:,} different names inside; it reads like a table by key")

    @property
    def may_be_list(self) -> bool:
        """Whether there is nothing inside that a list has not: neither texts, nor elements of two names."""
        return not self.texts and len(self.children) <= 1

    @property
    def blanks(self) -> int:
        """How many have nothing inside, and do not say that they are null."""
        return self.times - self.nils - self.filled - self.texts.total()


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def observe(element: Element, tag: str, like: Observations, notes: Notes, path: str) -> Observations:
    """Return what an element shows, if each is one value: a list with its entries inside, an object, or a text.

    ``like`` is what is known of the same place from JSON or from a schema; empty where nothing is.
    """
    if element.mixed:
        notes.say(TEXT_LEFT_OUT, path)
    if (entry := _entry(element, tag, like)) is not None:
        return _list(element, entry, like, notes, path)
    if element.children or ((element.attributes or like.objects) and not element.texts):
        return _object(element, like, notes, path)
    if element.attributes:
        notes.say(ATTRIBUTES_LEFT_OUT, path)
    return Observations(nulls=element.nils, blanks=element.blanks, leaves=element.texts.copy())


def _entry(element: Element, tag: str, like: Observations) -> str | None:
    """Return the name of the entries inside, if the element is a list; empty where none was ever seen."""
    if not element.may_be_list:
        return None
    only = next(iter(element.children), "")
    if like.lists:
        return only
    if not only or like.objects:
        return None
    guessed = not element.attributes and names.is_one_of(only, tag)
    return only if element.most[only] > 1 or guessed else None


def _list(element: Element, entry: str, like: Observations, notes: Notes, path: str) -> Observations:
    if element.attributes:
        notes.say(ATTRIBUTES_LEFT_OUT, path)
    if element.most[entry] == 1 and not like.lists:
        notes.say(GUESSED_LIST, path)
    result = Observations(nulls=element.nils, lists=element.filled + element.blanks, xml_wrapped=True)
    inner = like.item or Observations()
    result.item = observe(element.children[entry], entry, inner, notes, f"{path}[]") if entry else Observations()
    result.item.xml_name = entry or None
    return result


def _object(element: Element, like: Observations, notes: Notes, path: str) -> Observations:
    empty = 0 if element.attributes else element.blanks
    result = Observations(nulls=element.nils + empty, objects=element.times - element.nils - empty)
    known = _Known(like, element.children)
    result.fields = _attributes(element, known)
    for tag, child in element.children.items():
        name = known.name(tag, child, notes, path)
        name = tag if name in result.fields else name
        member = like.fields.get(name, Observations())
        place = f"{path}.{name}"
        if element.most[tag] > 1 or _is_entry(child, member):
            found = Observations(lists=element.present[tag], xml_wrapped=False)
            found.item = named = observe(child, tag, member.item or Observations(), notes, f"{place}[]")
        else:
            found = named = observe(child, tag, member, notes, place)
        named.xml_name = tag if tag != name else None
        result.fields[name] = found
    return result


def _attributes(element: Element, known: _Known) -> dict[str, Observations]:
    """Return the members that are attributes."""
    found: dict[str, Observations] = {}
    for tag, attribute in element.attributes.items():
        name = known.in_xml.get((tag, True), tag)
        name = f"{name}_attribute" if name in element.children else name
        found[name] = replace(attribute, strings=0, xml_attribute=True, xml_name=tag if tag != name else None)
    return found


def _is_entry(element: Element, like: Observations) -> bool:
    """Whether a single element is an entry of a list itself, and not around its entries."""
    if not like.lists:
        return False
    if like.xml_wrapped is not None:
        return not like.xml_wrapped
    inner = like.item.fields if like.item else {}
    return not element.may_be_list or any(tag in inner for tag in element.children)


class _Known:
    """Which name of JSON or of a schema belongs to which of the elements ``tags``."""

    def __init__(self, like: Observations, tags: Iterable[str]) -> None:
        self.fields = fields = like.fields
        self.in_xml = {_name_in_xml(name, member): name for name, member in fields.items()}
        self.folded = {name.casefold(): name for name in fields}
        self.lists = {names.singular(name): name for name, member in reversed(fields.items()) if member.lists}
        self.taken = {*map(self._by_name, tags)}

    def name(self, tag: str, element: Element, notes: Notes, path: str) -> str:
        """Return the name of the member that an element is; the element's own where there is none."""
        return self._by_name(tag) or self._by_content(element, notes, path) or tag

    def _by_name(self, tag: str) -> str | None:
        """Return the member's name: the very one, one in another case, or a list's for one of its entries."""
        if (named := self.in_xml.get((tag, False))) is not None:
            return named
        return self.folded.get(tag.casefold()) or self.lists.get(tag)

    def _by_content(self, element: Element, notes: Notes, path: str) -> str | None:
        """Return the member that has the same names inside as an element, where neither has another partner."""
        inside = _names_inside(element)
        for name, member in self.fields.items():
            fields = member.item.fields if member.item else member.fields
            own = {inner.casefold() for inner in fields}
            if name not in self.taken and len(own & inside) >= max(2, len(own | inside) / 2):
                notes.say(SAME_INSIDE, f"{path}.{name}")
                return name
        return None


def _names_inside(element: Element) -> set[str]:
    """Return the names of an element's children, or of the children of its entries, without case."""
    holder = next(iter(element.children.values())) if len(element.children) == 1 else element
    return {tag.casefold() for tag in holder.children}


def _name_in_xml(name: str, member: Observations) -> tuple[str, bool]:
    named = member.item if member.item and member.xml_wrapped is False else member
    return named.xml_name or name, member.xml_attribute
