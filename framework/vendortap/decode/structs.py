"""The types of records: a msgspec struct for each object of a schema, for JSON, for what comes of XML, and for lists.

msgspec parses, checks and types a page in one step, in C. What is left to be done to it is done by ``completer``:
amounts are bounded, date-times read by the vendor's rules, and known extra fields dropped. Both only ever accept: what
does not fit is left to ``coerce``, which mends it, or names it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from typing import Annotated, Any, ClassVar

import msgspec

from vendortap.declare.model import UNKNOWN, Node
from vendortap.decode.values import Dates, day
from vendortap.support.numbers import LongNumber, hold, is_short

DATES_AT_MOST = 4096
"""So many different dates of a stream are kept as they were read."""

Complete = Callable[[Any], Any]
"""Completes a value in place where it can, and returns it; raises DoesNotFit."""


class DoesNotFit(ValueError):
    """A page, or something in it, is not quite as its schema has it; another reading says what."""


class RecordStruct(msgspec.Struct, gc=False):
    """A record, or an object inside one; by property name like a dict. Its properties are in the schema's order.

    A property whose name cannot be an attribute's has another one (``_attributes``). Where a name needs escapes in
    JSON, which msgspec writes none of, the row is not ``_is_writable`` as it is: ``as_dict`` is.
    """

    _attributes: ClassVar[Mapping[str, str]] = {}
    _names: ClassVar[tuple[str, ...]] = ()
    _is_writable: ClassVar[bool] = True

    def __getitem__(self, name: str) -> Any:
        return getattr(self, self._attributes.get(name, name) if self._attributes else name)

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self, self._attributes.get(name, name), value)

    def __repr__(self) -> str:
        """Return the repr of the record as a dict: pages are told apart by it."""
        return repr(as_dict(self))


def as_dict(record: Any) -> dict[str, Any]:
    """Return a record as a dict of typed values, objects inside it too; one that is a dict already, as it is."""
    if isinstance(record, dict):
        return record
    if record._is_writable:
        made: dict[str, Any] = msgspec.to_builtins(record, builtin_types=(Decimal, datetime, date))
        return made
    return {name: plain(value) for name, value in _set_members(record).items()}


def _set_members(row: RecordStruct) -> dict[str, Any]:
    members = {name: row[name] for name in row._names}
    return {name: value for name, value in members.items() if value is not msgspec.UNSET}


def plain(value: Any) -> Any:
    """Return a value with dicts in the place of rows."""
    if isinstance(value, RecordStruct):
        return {name: plain(member) for name, member in _set_members(value).items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


# --- types -------------------------------------------------------------------------------------------

_LEAVES: Mapping[str, Any] = {
    "string": str,
    "number": Decimal,
    "integer": Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)],  # longer ones are left to coerce
    "boolean": bool,
    "date-time": str,  # read by the vendor's rules
    "date": str,
    "any": Any,
    "given": Any,
}


def has_plain_names(node: Node) -> bool:
    """Whether all names of a schema stand in JSON as they are; msgspec reads and writes no others."""
    inner = node.fields.values() if node.item is None else (node.item,)
    return all(map(is_plain, node.fields)) and all(map(has_plain_names, inner))


def is_plain(name: str) -> bool:
    """Whether a name needs no escape in JSON (RFC 8259, 7)."""
    return not any(character in '"\\' or character < " " for character in name)


def attributes(names: Iterable[str]) -> dict[str, str]:
    """Return the attribute of each property: its name, where it can be one."""
    return {n: n if n.isidentifier() and n[0] != "_" else f"_{number}" for number, n in enumerate(names)}


def type_of(node: Node) -> Any:
    """Return the msgspec type of a schema; of an object, a subclass of Row."""
    if node.kind == "object":
        kind: Any = _struct(node)
    elif node.item is not None:
        kind = list[type_of(node.item)]  # type: ignore[misc] # a type made at run time
    else:
        kind = _LEAVES[node.kind]
    return kind | None if node.nullable else kind


def record_struct(node: Node) -> type[RecordStruct]:
    """Return the struct of an object whose members have been read: it takes any."""
    return _made(node, [(attribute, Any, None) for attribute in attributes(node.fields).values()])


def _struct(node: Node) -> type[RecordStruct]:
    """Return the struct of an object; properties that need not be there are None without.

    Extra names are read over: they are unset again, and so neither written nor part of the record.
    """
    own = attributes(node.fields)
    types = {name: type_of(member) for name, member in node.fields.items()}
    fields = [(own[name], k) if name in node.required else (own[name], k, None) for name, k in types.items()]
    extra = {f"_extra_{number}": name for number, name in enumerate(_extra(node))}
    unset = [(attribute, msgspec.Raw | msgspec.UnsetType, msgspec.UNSET) for attribute in extra]
    return _made(node, [*fields, *unset], extra)


def _made(node: Node, fields: list[Any], extra: Mapping[str, str] = {}) -> type[RecordStruct]:
    own = attributes(node.fields)
    renamed = {name: attribute for name, attribute in own.items() if name != attribute}
    made: type[RecordStruct] = msgspec.defstruct(  # type: ignore[assignment] # a subclass of its bases
        "Row",
        fields,
        bases=(RecordStruct,),
        namespace={"_attributes": renamed, "_names": tuple(own), "_is_writable": has_plain_names(node)},
        rename={attribute: name for name, attribute in renamed.items() if is_plain(name)} | dict(extra),
        forbid_unknown_fields=node.extra is not None,
        kw_only=True,
        gc=False,
    )
    return made


def _extra(node: Node) -> list[str]:
    return sorted(filter(is_plain, node.extra or ()))


# --- what is left to do ------------------------------------------------------------------------------

_is_finite = Decimal.is_finite


def completer(node: Node, dates: Dates) -> Complete:
    """Return what completes a value of the schema's type.

    Raises (the function):
        DoesNotFit: a number is too long, or not finite; a date is none; or the vendor has a field called ``UNKNOWN``.
    """
    readers: Readers = {"date-time": _moment(dates), "date": lru_cache(DATES_AT_MOST)(day)}
    return _complete(node, readers) or (lambda value: value)


Readers = Mapping[str, Callable[[str], Any]]


def _moment(dates: Dates) -> Callable[[str], Any]:
    """Return what reads a date-time as ``dates`` does; those of RFC 3339 with an offset in C."""
    parse = lru_cache(DATES_AT_MOST)(dates.parse)
    if dates.pattern:
        return parse

    def read_moment(text: str) -> Any:
        try:
            value = msgspec.convert(text, datetime)
        except msgspec.ValidationError:
            return parse(text)
        return parse(text) if value.tzinfo is None or value.year == 1 else value

    return read_moment


def _complete(node: Node, readers: Readers) -> Complete | None:
    """Return what completes a value that is not null; ``None`` where there is nothing to do."""
    if node.kind == "object":
        return _object(node, readers)
    if node.item is not None:
        return _list(node.item, readers)
    if node.kind in readers:
        return _date(readers[node.kind], nullable=node.nullable)
    return {"number": _number, "any": _any}.get(node.kind)


def _number(value: Decimal) -> Decimal:
    _check_numbers((value,))
    return value


def _check_numbers(values: Sequence[Any]) -> None:
    try:
        fit = all(map(_is_finite, map(hold, values)))
    except TypeError:  # nulls are among them
        _check_numbers([value for value in values if value is not None])
        return
    except LongNumber:
        fit = False
    if not fit:
        raise DoesNotFit("a number")


def _any(value: Any) -> Any:
    if isinstance(value, dict):
        list(map(_any, value.values()))
    elif isinstance(value, list):
        list(map(_any, value))
    elif isinstance(value, int | Decimal) and not is_short(value):
        raise DoesNotFit("a number")
    return value


def _date(parse: Callable[[str], Any], *, nullable: bool) -> Complete:
    def parse_date(text: str) -> Any:
        try:
            value = parse(text)
        except ValueError:
            raise DoesNotFit("a date") from None
        if value is None and not nullable:
            raise DoesNotFit("a date")
        return value

    return parse_date


def _list(item: Node, readers: Readers) -> Complete | None:
    if item.kind == "object":
        return _list_of_objects(item, readers)
    complete = _complete(item, readers)
    return complete and (lambda values: [v if v is None else complete(v) for v in values])


def _list_of_objects(item: Node, readers: Readers) -> Complete | None:
    """Check the numbers of all objects at once: lines are most of what there is."""
    numbers, complete = _numbers(item), _others(item, readers)
    if numbers is None and complete is None:
        return None

    def complete_all(rows: list[Any]) -> list[Any]:
        there = [row for row in rows if row is not None] if item.nullable else rows
        if numbers is not None:
            _check_numbers([*chain.from_iterable(map(numbers, there))])
        if complete is not None:
            for row in there:
                complete(row)
        return rows

    return complete_all


def _object(node: Node, readers: Readers) -> Complete | None:
    numbers, complete = _numbers(node), _others(node, readers)
    if numbers is None:
        return complete

    def complete_object(row: Any) -> Any:
        _check_numbers(numbers(row))
        return row if complete is None else complete(row)

    return complete_object


def _numbers(node: Node) -> Callable[[Any], tuple[Any, ...]] | None:
    """Return what gets the numbers that are properties of an object themselves."""
    own = attributes(node.fields)
    found = [own[name] for name, member in node.fields.items() if member.kind == "number"]
    if len(found) == 1:
        return lambda row: (getattr(row, found[0]),)
    return attrgetter(*found) if found else None


def _others(node: Node, readers: Readers) -> Complete | None:
    """Return what completes all properties of an object but its numbers."""
    own = attributes(node.fields)
    members = [
        (own[name], complete)
        for name, member in node.fields.items()
        if member.kind != "number" and (complete := _complete(member, readers))
    ]
    extra = [f"_extra_{number}" for number in range(len(_extra(node)))]
    unknown = own.get(UNKNOWN)
    given = [own[name] for name, member in node.fields.items() if member.kind == "given" and name != UNKNOWN]
    if not members and not extra and not given and unknown is None:
        return None

    def complete_members(row: Any) -> Any:
        for attribute, complete in members:
            if (value := getattr(row, attribute)) is not None and (after := complete(value)) is not value:
                setattr(row, attribute, after)
        for attribute in extra:
            setattr(row, attribute, msgspec.UNSET)
        for attribute in given:  # the request knows it, whatever the reply says
            setattr(row, attribute, None)
        if unknown is not None and getattr(row, unknown) is not None:
            raise DoesNotFit("a field of the vendor's own")
        return row

    return complete_members


def gatherer(node: Node) -> Callable[[Any, list[Decimal]], None]:
    """Return what appends the numbers in a record, or in its dict, to a list."""
    numbers, names = _numbers(node), [name for name, member in node.fields.items() if member.kind == "number"]
    inner = {name: found for name, member in node.fields.items() if (found := _inner_gatherer(member))}

    def gather(record: Any, into: list[Decimal]) -> None:
        if numbers is not None:
            own = numbers(record) if isinstance(record, RecordStruct) else [record[name] for name in names]
            into += [value for value in own if value is not None]
        for name, gather_inside in inner.items():
            if (value := record[name]) is not None:
                gather_inside(value, into)

    return gather


def _inner_gatherer(node: Node) -> Callable[[Any, list[Decimal]], None] | None:
    if not has_numbers(node) or node.kind == "number":
        return None
    if node.item is None:
        return gatherer(node)
    if node.item.kind == "number":
        return lambda values, into: into.extend(value for value in values if value is not None)
    each = _inner_gatherer(node.item)

    def gather_all(values: list[Any], into: list[Decimal]) -> None:
        for value in values:
            if value is not None and each is not None:
                each(value, into)

    return gather_all


def has_numbers(node: Node) -> bool:
    """Whether there are amounts in a schema."""
    inner = node.fields.values() if node.item is None else (node.item,)
    return node.kind == "number" or any(map(has_numbers, inner))
