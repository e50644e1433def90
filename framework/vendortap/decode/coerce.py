"""Parsed documents to typed records, by the schema: the reading that mends what vendors are known to get wrong.

What JSON and XML have in common once a page is parsed. Mended are amounts and booleans as strings, ``""`` for null,
one object where a list is declared, numbers where strings are declared, and names in another case. What does not fit
then is named by its JSON path, and what is not declared is noted with its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

from vendortap.declare.model import UNKNOWN, Node
from vendortap.decode.structs import RecordStruct, attributes, record_struct
from vendortap.decode.values import (
    FEWER_DIGITS,
    Dates,
    Place,
    SchemaMismatch,
    TooLong,
    number,
    text_reader,
)
from vendortap.support.numbers import is_short


class Digits(str):
    """A JSON number with a fraction or an exponent, as it stands in the reply."""

    __slots__ = ()


class Unfit(NamedTuple):
    """Stands for a value that cannot be what the schema expects."""

    expected: str


class Noted(NamedTuple):
    """A value, and what a parser found in its place that is not declared."""

    value: Any
    unknown: list[tuple[Place, Any]]


class Finding(NamedTuple):
    """Something noticed in a record: an unknown field and its value, or a value of another type than ``expected``."""

    place: Place
    value: Any = None
    expected: str | None = None


Findings: TypeAlias = list[Finding]
Build: TypeAlias = Callable[[Any, Findings], Any]
"""Parsed value, and where to note findings → typed value; raises SchemaMismatch with the path inside the value."""


def compile(node: Node, dates: Dates, *, texts: bool = False, any_case: bool = False) -> Build:  # noqa: A001 - like re.compile
    """Return what makes a typed value of a parsed one.

    ``texts``: the format has no types, so that a text in the place of a number is none of another type. ``any_case``:
    names in another case are no finding.
    """
    return Compiler(dates, texts, any_case).build(node)


def untyped(value: Any) -> Any:
    """Return a parsed value of unknown shape with its numbers read.

    Raises:
        SchemaMismatch: there is a number that is too long; with the place inside the value.
    """
    if isinstance(value, dict):
        return {name: _inside(f".{name}", untyped, member) for name, member in value.items()}
    if isinstance(value, list):
        return [_inside(f"[{index}]", untyped, item) for index, item in enumerate(value)]
    if type(value) is Digits:
        return _read("a number", number, value)
    if isinstance(value, int) and not is_short(value):
        raise SchemaMismatch("", FEWER_DIGITS)
    return value


def _inside(place: str, function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except SchemaMismatch as error:
        raise error.inside(place) from None


def _read(expected: str, parse: Callable[[str], Any], text: str) -> Any:
    try:
        return parse(text)
    except TooLong:
        raise SchemaMismatch("", FEWER_DIGITS) from None
    except ValueError:
        raise SchemaMismatch("", expected) from None


def _refusal(value: Any, expected: str) -> SchemaMismatch:
    return SchemaMismatch("", value.expected if type(value) is Unfit else expected)


class Compiler(NamedTuple):
    """Compiles schemas for one format and one vendor; see ``compile``."""

    dates: Dates
    texts: bool
    any_case: bool

    def build(self, node: Node) -> Build:
        """Return what builds values of a schema."""
        if node.kind == "object":
            return ObjectBuilder(node, self)
        if node.item is not None:
            return self.array(node.item)
        if node.kind == "any":
            return lambda value, _: untyped(value)
        return self.string() if node.kind == "string" else self.leaf(node)

    def string(self) -> Build:
        """Text; numbers are taken for text as they came."""

        def build(value: Any, found: Findings) -> Any:
            if type(value) is str:
                return value
            if type(value) not in (int, Digits):
                raise _refusal(value, "a string")
            _read("a string", number, str(value))  # or it is too long
            found.append(Finding((), expected="a string"))
            return str(value)

        return build

    def leaf(self, node: Node) -> Build:
        """A value that is no text in JSON, or a date; blank text stands for null."""
        expected, parse = text_reader(node.kind, self.dates)
        typed = "date" in node.kind or self.texts
        natives = _NATIVES.get(node.kind, ())

        def build(value: Any, found: Findings) -> Any:
            kind = type(value)
            if kind not in natives:
                if kind is not str:
                    raise _refusal(value, expected)
                if not (value := value.strip()):
                    return None
            if not typed and kind not in _SAME[node.kind]:
                found.append(Finding((), expected=expected))
            return _read(expected, parse, value if isinstance(value, str) else str(value).lower())

        return build

    def array(self, item: Node) -> Build:
        """A list; one value that is none stands for a list of it."""
        build_item = self.build(item)

        def build(value: Any, found: Findings) -> Any:
            if not isinstance(value, list):
                if type(value) is Unfit:
                    raise _refusal(value, "")
                if isinstance(value, str) and not value.strip():
                    return None
                found.append(Finding((), expected="a list"))
                value = [value]
            return _items(build_item, value, found, nullable=item.nullable)

        return build


_NATIVES = {"number": (int, Digits), "integer": (int, Digits), "boolean": (bool, int, Digits)}
"""What JSON has in the place of a kind, but for text."""
_SAME = {"number": (int, Digits), "integer": (int, Digits), "boolean": (bool,)}
"""Of these, what is of the declared type."""


def _member(place: str | int, build: Build, value: Any, found: Findings, *, nullable: bool) -> Any:
    """Build what stands at a place, and say where what was found in it is.

    Raises:
        SchemaMismatch: it does not fit, or is null and may not be.
    """
    before = len(found)
    if type(value) is Noted:
        found += [Finding(*one) for one in value.unknown]
        value = value.value
    try:
        value = None if value is None else build(value, found)
        if value is None and not nullable:
            raise SchemaMismatch("", "a value")
    except SchemaMismatch as error:
        found[before:] = [one for one in found[before:] if one.expected is None]
        _place(found, before, place)
        raise error.inside(f"[{place}]" if isinstance(place, int) else f".{place}") from None
    if len(found) > before:
        _place(found, before, place)
    return value


def _items(build: Build, values: list[Any], found: Findings, *, nullable: bool) -> list[Any]:
    """Build all items; what is not declared is noted in all of them, whichever does not fit.

    Raises:
        SchemaMismatch: the first item that does not fit, or is null and may not be.
    """
    built: list[Any] = []
    first: SchemaMismatch | None = None
    for index, value in enumerate(values):
        try:
            built.append(_member(index, build, value, found, nullable=nullable))
        except SchemaMismatch as error:
            first = first or error
    if first is not None:
        raise first
    return built


def _place(found: Findings, start: int, place: str | int) -> None:
    """Say of findings inside a value where that is."""
    found[start:] = [one._replace(place=(place, *one.place)) for one in found[start:]]


class ObjectBuilder:
    """Builds the rows of one object's schema."""

    def __init__(self, node: Node, compiler: Compiler) -> None:
        own = attributes(node.fields)
        self._make = record_struct(node)
        self._members = {
            name: (own[name], compiler.build(member), member.nullable)
            for name, member in node.fields.items()
            if member.kind != "given"
        }
        self._spelling = {name.casefold(): name for name in self._members}
        self._passed = {name for name in node.fields if name not in self._members and name != UNKNOWN}
        self._passed.update(node.extra or ())
        self._any_case = compiler.any_case
        self._nulls = dict.fromkeys(own.values())
        self._required = [(own[name], name) for name in node.required]

    def __call__(self, value: Any, found: Findings) -> Any:
        """Build a row; null of blank text.

        Raises:
            SchemaMismatch: something does not fit.
        """
        if isinstance(value, str) and not value.strip():
            return None
        row, error = self.attempt(value, found)
        if error is not None:
            raise error
        return row

    def attempt(self, value: Any, found: Findings) -> tuple[RecordStruct, SchemaMismatch | None]:
        """Build what can be read of a row, null where it does not fit; and return the first thing that does not."""
        if not isinstance(value, dict):
            return self.blank(), _refusal(value, "an object")
        built = self._nulls.copy()
        first: SchemaMismatch | None = None
        for key, member, (attribute, build, nullable) in self._known(value, found):
            try:
                built[attribute] = _member(key, build, member, found, nullable=nullable)
            except SchemaMismatch as error:
                first = first or error
        missing = (name for attribute, name in self._required if built[attribute] is None)
        if first is None and (name := next(missing, None)) is not None:
            first = SchemaMismatch(f".{name}", "a value")
        return self._make(**built), first

    def _known(self, value: dict[str, Any], found: Findings) -> Iterator[tuple[str, Any, tuple[str, Build, bool]]]:
        """Yield the members that are declared, by their names in the schema; note the others."""
        for key, member in value.items():
            if declared := self._members.get(key):
                yield key, member, declared
                continue
            if key in self._passed:
                continue
            name = self._spelling.get(key.casefold())
            if name is None or name in value:
                found.append(Finding((key,), member))
                continue
            if not self._any_case:
                found.append(Finding((key,), expected=f"written {name!r}"))
            yield name, member, self._members[name]

    def blank(self) -> RecordStruct:
        """Return a row without any value."""
        return self._make(**self._nulls)
