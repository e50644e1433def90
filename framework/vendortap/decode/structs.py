"""JSON to rows: the values that ``json`` gives, in structs instead of dicts, for records that go out as they came.

A struct costs about a third less than a dict to make, to hold and to write. A row is read and changed by property
name like a record; its properties are in the schema's order, and all there. A page that does not fit is left to
``json`` and its coercion, as a whole; so nothing that is wrong is named here.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from operator import attrgetter, is_not
from typing import Annotated, Any, TypedDict

import msgspec

from vendortap.declare.model import Node
from vendortap.decode.json import hold_numbers
from vendortap.decode.values import Dates, Decode, Mismatch, Undeclared
from vendortap.support.numbers import LongNumber, hold

Settle = Callable[[Any], None]
"""Completes a row in place; raises Mismatch where the page has to be read the other way."""


class Row(msgspec.Struct, gc=False):
    """One record, or an object inside one; by property name like a dict."""

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self, name, value)

    def __repr__(self) -> str:
        """Return the repr of the dict that ``json`` would have made: pages are told apart by it."""
        members = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return repr({name: value for name, value in members if value is not msgspec.UNSET})


_LEAVES: Mapping[str, Any] = {
    "string": str,
    "number": Decimal,
    "integer": Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)],  # longer ones are left to the other way
    "boolean": bool,
    "date-time": datetime,
    "date": date,
    "any": Any,
    "given": Any,
}


def compile(page: Node, row: Node, dates: Dates) -> Decode | None:  # noqa: A001 - like re.compile
    """Return the decoder of pages whose records are rows, or ``None`` where structs cannot hold them.

    ``row`` is the schema of a record, as it stands inside ``page``.

    Raises (the decoder):
        Mismatch: anything at all is not as the schema has it; without a path.
        Undeclared: an object has a name that its schema does not let pass.
    """
    if dates.pattern or not _can_hold(row):
        return None
    decoder = msgspec.json.Decoder(_type(page, row))
    settle = _settle(row, dates)
    find = _finder(page, row)
    around = tuple(_numbers_around(page, row))

    def decode(body: bytes) -> Any:
        try:
            value = decoder.decode(body)
        except msgspec.ValidationError as error:
            raise _refusal(error) from None
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise Mismatch("$", "another document") from None
        for record in find(value):
            settle(record)
        for path in around:
            hold_numbers(_at(value, path))
        return value

    return decode


def _refusal(error: msgspec.ValidationError) -> Mismatch | Undeclared:
    """Tell a name that is not declared, which msgspec has no exception of its own for, from all else."""
    if str(error).startswith("Object contains unknown field"):
        return Undeclared("a name that is not declared")
    return Mismatch("$", "another document")


def names(page: Node, row: Node) -> Callable[[bytes], None]:
    """Return what looks at nothing but the names in a page, for decoders that cannot forbid any.

    Raises (the function):
        Undeclared: an object has a name that its schema does not let pass.
    """
    decoder = msgspec.json.Decoder(_names_type(page, row))

    def look(body: bytes) -> None:
        try:
            decoder.decode(body)
        except msgspec.ValidationError as error:
            if isinstance(refusal := _refusal(error), Undeclared):
                raise refusal from None
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            pass  # the decoder says it better

    return look


def _names_type(node: Node, row: Node, *, inside: bool = False) -> Any:
    """Return a msgspec type that knows names and is content with any value."""
    if node.kind == "object":
        inside = inside or node.fields is row.fields
        if not inside:
            members = {name: _names_type(member, row) for name, member in node.fields.items()}
            return TypedDict("Wrapper", members, total=False) | None  # type: ignore[operator] # likewise
        types = {name: _names_type(member, row, inside=True) for name, member in node.fields.items()}
        fields = [(f"_{i}", kind, _unset(name)) for i, (name, kind) in enumerate(types.items())]
        return msgspec.defstruct("Names", [*fields, *_extra(node)], forbid_unknown_fields=node.extra is not None) | None
    if node.item is not None and node.item.kind in ("object", "array"):
        return list[_names_type(node.item, row, inside=inside)] | None  # type: ignore[misc] # a type made at run time
    return msgspec.Raw


def _unset(name: str) -> Any:
    return msgspec.field(default=msgspec.UNSET, name=name)


def _extra(node: Node) -> list[tuple[str, Any, Any]]:
    """Return the members that are let pass and not kept; as they are unset again, they are not written either."""
    extra = sorted(node.extra or ())
    return [(f"_extra_{i}", msgspec.Raw | msgspec.UnsetType, _unset(name)) for i, name in enumerate(extra)]


def _can_hold(node: Node) -> bool:
    """Whether every property's name can be an attribute's."""
    inner = [*node.fields.values(), *((node.item,) if node.item else ())]
    names_fit = all(n.isascii() and n.isidentifier() and n[0] != "_" and not keyword.iskeyword(n) for n in node.fields)
    return names_fit and all(map(_can_hold, inner))


def _type(node: Node, row: Node, *, inside: bool = False) -> Any:
    """Return the msgspec type: dicts down to the records, structs from there on."""
    if node.kind == "object":
        inside = inside or node.fields is row.fields
        kind: Any = _struct(node, row) if inside else _wrapper(node, row)
    elif node.item is not None:
        kind = list[_type(node.item, row, inside=inside)]  # type: ignore[misc] # a type made at run time
    else:
        kind = _LEAVES[node.kind]
    return kind | None if node.nullable else kind


def _wrapper(node: Node, row: Node) -> Any:
    members = {name: _type(member, row) for name, member in node.fields.items()}
    return TypedDict("Wrapper", members, total=False)  # type: ignore[operator] # likewise


def _struct(node: Node, row: Node) -> Any:
    types = {name: _type(member, row, inside=True) for name, member in node.fields.items()}
    fields = [(name, kind) if name in node.required else (name, kind, None) for name, kind in types.items()]
    strict = node.extra is not None
    return msgspec.defstruct(
        "Row", [*fields, *_extra(node)], bases=(Row,), kw_only=True, gc=False, forbid_unknown_fields=strict
    )


def _finder(node: Node, row: Node) -> Callable[[Any], Any]:
    """Return what finds the records in a decoded page."""
    if node.fields is row.fields:
        return lambda value: () if value is None else (value,)
    if node.item is not None:
        return lambda value: value or ()
    for name, member in node.fields.items():
        if _holds(member, row):
            find = _finder(member, row)
            return lambda value: find(value.get(name) if value else None)
    raise AssertionError("the page has no place for records")


def _numbers_around(node: Node, row: Node) -> Iterator[tuple[str, ...]]:
    """Yield where a page has numbers, or what may have some, beside its records."""
    if node.fields is row.fields:
        return
    if node.kind in ("number", "any"):
        yield ()
    for name, member in node.fields.items():
        yield from ((name, *path) for path in _numbers_around(member, row))


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = value.get(name) if value else None
    return value


def _holds(node: Node, row: Node) -> bool:
    inner = [*node.fields.values(), *((node.item,) if node.item else ())]
    return node.fields is row.fields or any(_holds(member, row) for member in inner)


_is_finite = Decimal.is_finite
_is_there = partial(is_not, None)


def _settle(node: Node, dates: Dates) -> Settle:
    """Return what holds numbers to be short, makes date-times aware and drops extra names, in a row and inside it."""
    numbers = [name for name, member in node.fields.items() if member.kind == "number"]
    stamps = [_settle_stamp(name, member, dates) for name, member in node.fields.items() if member.kind == "date-time"]
    inner = [(name, found) for name, member in node.fields.items() if (found := _settle_inside(member, dates))]
    amounts = _getter(numbers)

    def settle(row: Any) -> None:
        try:
            are_finite = all(map(_is_finite, map(hold, filter(_is_there, amounts(row)))))
        except LongNumber:
            are_finite = False
        if not are_finite:
            raise Mismatch("$", "a number")
        for stamp in stamps:
            stamp(row)
        for name, settle_inside in inner:
            if (value := getattr(row, name)) is not None:
                settle_inside(value)

    return _forgetting(settle, node) if node.extra else settle


def _forgetting(settle: Settle, node: Node) -> Settle:
    extra = [name for name, _, _ in _extra(node)]

    def forget(row: Any) -> None:
        for name in extra:
            setattr(row, name, msgspec.UNSET)
        settle(row)

    return forget


def _settle_stamp(name: str, node: Node, dates: Dates) -> Settle:
    settled = _settled(node, dates)

    def settle(row: Any) -> None:
        value = getattr(row, name)
        if value is not None and (after := settled(value)) is not value:
            setattr(row, name, after)

    return settle


def _settled(node: Node, dates: Dates) -> Callable[[datetime], datetime | None]:
    """Return what makes a date-time aware, or null where it is .NET's unset one."""
    zone, nullable = dates.zone, node.nullable

    def settled(value: datetime) -> datetime | None:
        if value.year == 1:
            if not nullable:
                raise Mismatch("$", "a date-time")
            return None
        return value if value.tzinfo is not None else value.replace(tzinfo=zone)

    return settled


def leaf(node: Node, dates: Dates) -> Decode:
    """Return the decoder of one value by itself, which is neither an object nor an array, as it is in a row.

    Raises (the decoder):
        Mismatch: it is not as the schema has it.
    """
    decode = msgspec.json.Decoder(_type(node, node)).decode
    settled = _settled(node, dates) if node.kind == "date-time" else lambda value: value

    def read(raw: bytes) -> Any:
        try:
            value = decode(raw)
        except msgspec.DecodeError:  # or, below it, ValidationError
            raise Mismatch("$", "another value") from None
        return None if value is None else settled(value)

    return read


def _getter(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    if len(names) > 1:
        return attrgetter(*names)
    return (lambda row: (getattr(row, names[0]),)) if names else (lambda _: ())


def _settle_inside(node: Node, dates: Dates) -> Settle | None:
    """Return the settle of an object or of a list of objects; ``None`` where there is nothing to do."""
    if node.kind == "object":
        return _settle(node, dates) if _has_work(node) else None
    if node.item is None or not _has_work(node.item):
        return None
    if node.item.kind != "object":
        return _refuse_lists  # of numbers or date-times: rare, and left to the other way
    item = _settle(node.item, dates)

    def settle(rows: Any) -> None:
        for row in rows:
            if row is not None:
                item(row)

    return settle


def _refuse_lists(values: Any) -> None:
    if values:
        raise Mismatch("$", "a list that the other way reads")


def _has_work(node: Node) -> bool:
    inner = [*node.fields.values(), *((node.item,) if node.item else ())]
    return node.kind in ("number", "date-time") or bool(node.extra) or any(map(_has_work, inner))
