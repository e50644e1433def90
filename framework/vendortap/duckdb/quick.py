"""The quick way of a record: from the tap's JSON to the JSON that DuckDB reads, in C.

msgspec decodes the record into structs made from the columns' types, which is the check, and writes it again. This only
accepts: what does not plainly fit is left to ``values``, which converts it or says what is wrong. Both give the same
rows.

Amounts are written as strings, digit by digit as they came, which DuckDB casts exactly: it would read a JSON number
with a point by way of DOUBLE. Only integers stay numbers, as those of 64 bits are integers in DuckDB, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from itertools import chain
from operator import attrgetter
from typing import Annotated, Any, Literal, NamedTuple, Union

import msgspec

from vendortap.duckdb.columns import INT64, Column
from vendortap.duckdb.values import document

Encoded = tuple[bytes, bytes]
"""A row as a JSON object, and the values of its key as a JSON array."""
Undeclared = Mapping[str, Mapping[str, bool]]
"""Names that records have and the table has not, by the path of the object that they are in, and whether they may have
a value; the others are passed over as long as they are null."""
Size = tuple[int, int, bool]
"""What amounts are checked by: a DECIMAL's precision and scale, and whether null is one of its values."""
Gather = Callable[[Any, list[Any]], None]
"""Appends the amounts in a row, or in a list, to the list: whatever JSON has in their places."""

_REFUSALS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidOperation)
_INTEGER_DIGITS = 18
"""Integers of so many digits have 64 bits at the most."""


class _NoStream(msgspec.Struct, tag_field="stream", tag=""):
    """A second kind of message: where there is only one, msgspec takes a message without the tag for it."""


class Row(msgspec.Struct, gc=False):
    """A record, or an object inside one. Attributes are ``f`` and the number of the property."""


class Document(str):
    """The JSON text of a value that has no single type."""

    __slots__ = ()


class Ignored:
    """What an undeclared property becomes: read, as it has to be JSON, and not written."""


_IGNORED = Ignored()
_LEAVES: Mapping[str, Any] = {
    "VARCHAR": str,
    "BIGINT": Annotated[int, msgspec.Meta(ge=INT64[0], le=INT64[1])],
    "HUGEINT": Annotated[int, msgspec.Meta(ge=INT64[0], le=INT64[1])],
    "BOOLEAN": bool,
    "DECIMAL": Any,
    "TIMESTAMPTZ": datetime,
    "DATE": date,
    "TIME": Annotated[time, msgspec.Meta(tz=False)],
    "JSON": Document,
}


class Table(NamedTuple):
    """The quick way into one table."""

    stream: str
    row: Any
    """The struct of a record."""
    encode: Callable[[Any], Encoded | None]
    """Takes such a struct; gives None where an amount in it does not plainly fit."""
    documents: bool
    """Whether it has values without a single type, whose numbers have to stay numbers."""


def compile(  # noqa: A001 - like re.compile
    stream: str, columns: Mapping[str, Column], keys: Iterable[str], undeclared: Undeclared, *, strict: bool
) -> Table | None:
    """Return the quick way into the table of a stream, or None where structs cannot have its names.

    ``strict`` and what makes a record fit are as in ``values.converter``; a key must have a value in any case.
    ``undeclared`` are the names that may be passed over.
    """
    row = Column("STRUCT", fields=columns)
    if not _can_name(row):
        return None
    row = row if strict else _relaxed(row)
    firm = {name: replace(row.fields[name], nullable=False, required=True) for name in keys}
    row = replace(row, fields={**row.fields, **firm})
    attributes = dict(zip(columns, _attributes(row), strict=True))
    encode = _encode(row, [attributes[name] for name in keys])
    return Table(stream, _struct(row, "$", undeclared), encode, _has_documents(row))


def messages(tables: Iterable[Table]) -> Callable[[bytes | str], tuple[str, Encoded] | None]:
    """Return what reads the RECORD messages of these tables: the stream and the row, or None for the other way."""
    by_message = {_message(table): table for table in tables}
    if not by_message:
        return lambda _: None
    decode = _decoder(Union[(_NoStream, *by_message)], documents=any(t.documents for t in by_message.values()))

    def convert_message(line: bytes | str) -> tuple[str, Encoded] | None:
        try:
            message = decode(line)
        except _REFUSALS:
            return None
        table = by_message.get(type(message))
        encoded = table.encode(message.record) if table else None
        return (table.stream, encoded) if table and encoded else None

    return convert_message


def records(table: Table) -> Callable[[bytes], Encoded | None]:
    """Return what reads bare records of this table, as BATCH files have them; it gives None for the other way."""
    decode = _decoder(table.row, documents=table.documents)

    def convert_record(line: bytes) -> Encoded | None:
        try:
            return table.encode(decode(line))
        except _REFUSALS:
            return None

    return convert_record


def _decoder(kind: Any, *, documents: bool) -> Callable[[bytes | str], Any]:
    """Return what decodes this type; a number with a point becomes the text that it is, which costs least."""
    return msgspec.json.Decoder(kind, dec_hook=_read_foreign, float_hook=Decimal if documents else str).decode


def _read_foreign(kind: type, value: Any) -> Any:
    if kind is Document and value is None:
        raise ValueError("null, where the schema has none")  # the other way says so, or leaves it out
    return Document(document(value)) if kind is Document else _IGNORED


# --- types -------------------------------------------------------------------------------------------


def _message(table: Table) -> type:
    """Return the struct of a RECORD message of this stream; anything else in it goes the other way."""
    return msgspec.defstruct(
        "Message",
        [("type", Literal["RECORD"]), ("record", table.row), ("time_extracted", Any, None), ("version", Any, None)],
        tag_field="stream",
        tag=table.stream,
        forbid_unknown_fields=True,
        kw_only=True,
        gc=False,
    )


def _attributes(column: Column) -> list[str]:
    return [f"f{number}" for number in range(len(column.fields))]


def _struct(column: Column, path: str, undeclared: Undeclared) -> Any:
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    rename = dict(zip(_attributes(column), column.fields, strict=True))
    for attribute, name in rename.items():
        item = column.fields[name]
        kind = _type(item, f"{path}.{name}", undeclared)
        fields.append((attribute, kind) if item.required else (attribute, kind, None))
    names = undeclared.get(path, {})
    passed = {f"u{n}": name for n, name in enumerate(sorted(filter(_is_plain, names)))}
    fields += [(a, Ignored, _IGNORED) if names[name] else (a, None, None) for a, name in passed.items()]
    return msgspec.defstruct(
        "Row",
        fields,
        bases=(Row,),
        rename=rename | passed,
        forbid_unknown_fields=True,
        omit_defaults=True,
        kw_only=True,
        gc=False,
    )


def _type(column: Column, path: str, undeclared: Undeclared) -> Any:
    if column.kind == "STRUCT":
        kind = _struct(column, path, undeclared)
    elif column.item is not None:
        kind = list[_type(column.item, f"{path}[]", undeclared)]  # type: ignore[misc] # a type made at run time
    else:
        kind = _LEAVES.get(column.kind)  # None: a type that is not this target's, which takes null and no more
    return kind | None if column.nullable and kind not in (None, Any) else kind


def _is_plain(name: str) -> bool:
    """Whether a property of a struct may be called so."""
    return not any(c in '"\\' or c < " " for c in name)


def _has_documents(column: Column) -> bool:
    return column.kind == "JSON" or any(map(_has_documents, _inner(column)))


def _can_name(column: Column) -> bool:
    return all(map(_is_plain, column.fields)) and all(map(_can_name, _inner(column)))


def _relaxed(column: Column) -> Column:
    fields = {name: _relaxed(item) for name, item in column.fields.items()}
    item = _relaxed(column.item) if column.item else None
    return replace(column, fields=fields, item=item, nullable=True, required=False)


# --- writing -----------------------------------------------------------------------------------------


def _encode(row: Column, keys: list[str]) -> Callable[[Any], Encoded | None]:
    write = msgspec.json.Encoder(enc_hook=str).encode
    key = _getter(keys)
    checks = [(_gather(row, size), _fits(size)) for size in {*_sizes(row)}]

    def encode(record: Any) -> Encoded | None:
        for gather, fits in checks:
            amounts: list[Any] = []
            gather(record, amounts)
            if not fits(amounts):
                return None
        return write(record), write(key(record))

    return encode


def _getter(attributes: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Return attrgetter, which gives a tuple for more than one name only."""
    if len(attributes) > 1:
        return attrgetter(*attributes)
    return (lambda row: (getattr(row, attributes[0]),)) if attributes else (lambda _: ())


# --- amounts -----------------------------------------------------------------------------------------


def _inner(column: Column) -> Iterable[Column]:
    return column.fields.values() if column.item is None else (column.item,)


def _sizes(column: Column) -> Iterator[Size]:
    if column.kind == "DECIMAL":
        yield _size(column)
    for item in _inner(column):
        yield from _sizes(item)


def _size(column: Column) -> Size:
    return (column.precision, column.scale, column.nullable)


def _fits(size: Size) -> Callable[[list[Any]], bool]:
    """Return what tells whether all of these are amounts that fit as they stand, written without an exponent."""
    precision, scale, nullable = size
    whole = f"-?[0-9]{{1,{min(_INTEGER_DIGITS, precision - scale)}}}" if precision > scale else "-?0"
    plain = rf"{whole}(?:\.[0-9]{{1,{scale}}})?" if scale else whole
    are_plain = re.compile(rf"(?:{plain}\n)*").fullmatch

    def fits(amounts: list[Any]) -> bool:
        if None in amounts:
            if not nullable:
                return False
            amounts = [amount for amount in amounts if amount is not None]
        lines = "\n".join(map(str, [*amounts, ""]))
        return lines.count("\n") == len(amounts) and are_plain(lines) is not None

    return fits


def _gather(column: Column, size: Size) -> Gather:
    """Return what gathers the amounts of one size in a value of this type."""
    if column.item is not None:
        return _gather_list(column.item, size)
    get, inner = _members(column, size)

    def gather(row: Any, amounts: list[Any]) -> None:
        amounts += get(row)
        for attribute, gather_inside in inner:
            value = getattr(row, attribute)
            if value is not None:
                gather_inside(value, amounts)

    return gather


def _members(column: Column, size: Size) -> tuple[Callable[[Any], tuple[Any, ...]], list[tuple[str, Gather]]]:
    """Return what gets an object's own amounts, and which of its properties hold others."""
    members = dict(zip(_attributes(column), column.fields.values(), strict=True))
    own = [attribute for attribute, item in members.items() if item.kind == "DECIMAL" and _size(item) == size]
    holders = {a: item for a, item in members.items() if item.kind != "DECIMAL" and size in _sizes(item)}
    return _getter(own), [(attribute, _gather(item, size)) for attribute, item in holders.items()]


def _gather_list(item: Column, size: Size) -> Gather:
    if item.kind == "DECIMAL":
        return lambda values, amounts: amounts.extend(values)
    get, inner = _members(item, size)
    if item.kind == "STRUCT" and not inner:  # the lines of an invoice: most of what there is
        return lambda rows, amounts: amounts.extend(chain.from_iterable(map(get, filter(None, rows))))
    each = _gather(item, size)

    def gather(values: Any, amounts: list[Any]) -> None:
        for value in values:
            if value is not None:
                each(value, amounts)

    return gather
