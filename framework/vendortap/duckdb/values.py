"""A record → the JSON that DuckDB reads with exact types, checked on the way.

Every DECIMAL and HUGEINT leaves as a string, which DuckDB casts exactly; JSON numbers would pass through DOUBLE.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Context, Decimal, Inexact, InvalidOperation
from functools import partial
from typing import Any

import msgspec

from vendortap.duckdb.columns import INT64, Column, sql

Convert = Callable[[Any], Any]
"""Takes a value that is not null; gives what is written for it. Raises InvalidValue."""
Notice = Callable[[str, str, bool], None]
"""Is told of each undeclared property: the path of its object, its name, and whether it has a value."""

_INT128 = (-(2**127), 2**127 - 1)
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_as_json = msgspec.json.Encoder(decimal_format="number")
_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "a boolean"),
    ((int, Decimal), "a number"),
    (str, "a string"),
    (dict, "an object"),
    (list, "an array"),
    (float, "a binary floating-point number"),
)


class InvalidValue(Exception):
    """A value does not fit; never leaves the target, which says it with line and stream as a LoadError.

    ``path`` holds property names and array indexes, innermost first.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path: list[str | int] = []

    def __str__(self) -> str:
        steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in reversed(self.path))
        return f"${''.join(steps)} {self.reason}"


def converter(column: Column, *, strict: bool, notice: Notice, path: str = "$") -> Convert:
    """Return the function that checks and converts values of this type.

    With ``strict``, null where the schema does not allow it and a missing required property are InvalidValues too.
    """
    if column.kind == "STRUCT":
        return _object(column, strict=strict, notice=notice, path=path)
    if column.item is not None:
        entry = converter(column.item, strict=strict, notice=notice, path=f"{path}[]")
        return _list(entry, nullable=column.item.nullable or not strict)
    if column.kind == "DECIMAL":
        return _number(column)
    return _SIMPLE.get(column.kind, _foreign)


def _object(column: Column, *, strict: bool, notice: Notice, path: str) -> Convert:
    fields = {
        name: converter(item, strict=strict, notice=notice, path=f"{path}.{name}")
        for name, item in column.fields.items()
    }
    checked = column.fields.items() if strict else ()
    firm = frozenset(name for name, item in checked if not item.nullable)
    required = frozenset(name for name, item in checked if item.required)
    return partial(_struct, fields, firm, required, partial(notice, path))


def nonfinite(value: Any) -> InvalidValue | None:
    """Return a InvalidValue with the path of the first NaN or Infinity inside the value, or None."""
    if isinstance(value, Decimal) and not value.is_finite():
        return InvalidValue("is not a finite number")
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, item in items:
        found = nonfinite(item)
        if found is not None:
            found.path.append(step)
            return found
    return None


def _unexpected(value: Any, wanted: str) -> InvalidValue:
    kind = next((name for types, name in _KINDS if isinstance(value, types)), "something else")
    return InvalidValue(f"must be {wanted}, but is {kind}")


def _struct(
    fields: Mapping[str, Convert],
    firm: frozenset[str],
    required: frozenset[str],
    notice: Callable[[str, bool], None],
    value: Any,
) -> dict[str, Any]:
    """Convert an object; ``firm`` are the fields that must not be null."""
    if type(value) is not dict:
        raise _unexpected(value, "an object")
    if not required <= value.keys():
        raise InvalidValue(f"lacks the required {', '.join(sorted(required - value.keys()))}")
    row: dict[str, Any] = {}
    name = ""
    try:
        for name, item in value.items():
            if name not in fields:
                notice(name, item is not None)
            elif item is not None:
                row[name] = fields[name](item)
            elif name in firm:
                raise InvalidValue("must not be null")
    except InvalidValue as invalid:
        invalid.path.append(name)
        raise
    return row


def _list(item: Convert, *, nullable: bool) -> Convert:
    def convert(value: Any) -> list[Any]:
        if type(value) is not list:
            raise _unexpected(value, "an array")
        row: list[Any] = []
        try:
            for entry in value:
                if entry is None and not nullable:
                    raise InvalidValue("must not be null")
                row.append(None if entry is None else item(entry))
        except InvalidValue as invalid:
            invalid.path.append(len(row))
            raise
        return row

    return convert


def _number(column: Column) -> Convert:
    quantum = Decimal((0, (1,), -column.scale))
    context = Context(prec=column.precision, traps=[Inexact, InvalidOperation])

    def convert(value: Any) -> str:
        number = _decimal(value)
        try:
            # Inexact: digits beyond the scale. InvalidOperation: more digits than the precision.
            return format(number.quantize(quantum, context=context), "f")
        except (Inexact, InvalidOperation):
            raise InvalidValue(_why(number, column)) from None

    return convert


def _decimal(value: Any) -> Decimal:
    """Return a JSON number, or a string that is one (x-singer.decimal), as the same Decimal."""
    if type(value) is Decimal:
        number = value
    elif type(value) is int or (type(value) is str and _NUMBER.fullmatch(value)):
        try:
            number = Decimal(value)
        except InvalidOperation:
            raise InvalidValue("is a number with an exponent beyond all reason") from None
    elif type(value) is str:
        raise InvalidValue("is a string that is not a decimal number")
    else:
        raise _unexpected(value, "a number")
    if not number.is_finite():
        raise InvalidValue("is not a finite number")
    return number


def _why(number: Decimal, column: Column) -> str:
    digits = column.precision - column.scale
    if number and number.adjusted() >= digits:
        way = "lower decimal_scale" if column.precision == 38 else "raise decimal_precision"
        return f"has more than {digits} digits before the point, too many for {sql(column)}: {way}"
    return f"has more than {column.scale} digits after the point, too many for {sql(column)}: raise decimal_scale"


def _integer(value: Any, bounds: tuple[int, int], kind: str) -> int:
    if type(value) is Decimal and value.is_finite() and value.adjusted() < 40 and value == value.to_integral_value():
        value = int(value)  # 5.0 is an integer (JSON Schema, "type")
    if type(value) is not int:
        raise _unexpected(value, "an integer")
    if not bounds[0] <= value <= bounds[1]:
        raise InvalidValue(f"is too large for {kind}: map it to a string with a stream map")
    return value


def _hugeint(value: Any) -> str:
    return str(_integer(value, _INT128, "HUGEINT"))


def _boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise _unexpected(value, "a boolean")
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise _unexpected(value, "a string")
    return value


def _foreign(_: Any) -> Any:
    raise InvalidValue("belongs to a field of the table that this target did not make, of a type that it cannot fill")


def document(value: Any) -> str:
    """Return the JSON text that stands for a value without a single type, its numbers digit for digit."""
    return _as_json.encode(value).decode()


def _timestamp(value: Any) -> datetime:
    """RFC 3339 date-times, and what else ISO 8601 has; without an offset: UTC."""
    text = _text(value)
    try:
        moment = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        moment = _iso(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _iso(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidValue("is not a date-time (RFC 3339)") from None
    offset = moment.utcoffset()
    if offset is not None and offset.total_seconds() % 60:
        raise InvalidValue("has an offset that is not in whole minutes")
    return moment


def _date(value: Any) -> date:
    """RFC 3339 full-dates; a date-time is taken for its date where it is a midnight, as some taps write it."""
    text = _text(value)
    try:
        return msgspec.convert(text, date)
    except msgspec.ValidationError:
        moment = _iso(text)
    if moment.time() != time():
        raise InvalidValue("is a date-time where the schema says date")
    return moment.date()


def _time(value: Any) -> time:
    """RFC 3339 partial-times; DuckDB's TIME has no offset, so only UTC's is taken."""
    try:
        moment = msgspec.convert(_text(value), time)
    except msgspec.ValidationError:
        raise InvalidValue("is not a time (RFC 3339)") from None
    if moment.utcoffset():
        raise InvalidValue("is a time with an offset, which TIME cannot hold: map it to a string with a stream map")
    return moment.replace(tzinfo=None)


_SIMPLE: Mapping[str, Convert] = {
    "BIGINT": partial(_integer, bounds=INT64, kind="BIGINT"),
    "HUGEINT": _hugeint,
    "BOOLEAN": _boolean,
    "VARCHAR": _text,
    "JSON": document,
    "TIMESTAMPTZ": _timestamp,
    "DATE": _date,
    "TIME": _time,
}
