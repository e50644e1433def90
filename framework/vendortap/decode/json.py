"""JSON to typed values: one C-speed typed decode (msgspec), then a finish that costs only what has to be done.

The schema becomes a msgspec type once (objects → TypedDict, so records stay plain dicts). The finish fills in
the properties that are absent and reads dates. ``loads`` is the untyped way in, for repairs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import MAX_EMAX, Decimal, InvalidOperation
from typing import Any, TypedDict

import msgspec

from vendortap.declare.model import Node
from vendortap.decode.values import FEWER_DIGITS, Dates, Decode, Malformed, Mismatch, Place, TooDeep, day
from vendortap.support.numbers import is_short

_BOM = b"\xef\xbb\xbf"
_LEAVES: dict[str, Any] = {
    "string": str,
    "number": Decimal,
    "integer": int,
    "boolean": bool,
    "any": Any,
    "date-time": str,  # the finish reads dates, by the same rules as in XML
    "date": str,
}
_EXPECTED = {
    "decimal": "a number",
    "int": "an integer",
    "str": "a string",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
}

Finish = Callable[[Any], Any]
"""Value (never None) → finished value; raises Mismatch with the path inside the value."""


def compile(node: Node, dates: Dates) -> Decode:  # noqa: A001 - like re.compile
    """Return the decoder of one schema.

    Raises (the decoder):
        Malformed: not JSON.
        Mismatch: JSON that does not fit, with the path of the first place.
    """
    decoder = msgspec.json.Decoder(_type(node))
    return _checked(lambda body: decoder.decode(body.removeprefix(_BOM)), node, dates)


def converter(node: Node, dates: Dates) -> Callable[[Any], Any]:
    """Return the converter of values that ``loads`` gave, into the same typed values; raises Mismatch."""
    target = _type(node)
    # msgspec looks into a type when it is first converted to, and crashes where two threads do so at once.
    msgspec.json.Decoder(target)
    return _checked(lambda value: msgspec.convert(value, target), node, dates)


def dumps(document: Any) -> bytes:
    """Write a body."""
    return _encoder.encode(document)


def loads(body: bytes) -> Any:
    """Read any JSON; numbers with a fraction or exponent are Decimals.

    A number that may be too long to be written is given all the same: whoever takes it has to look
    (vendortap.support.numbers). One that neither Decimal nor int can hold becomes another one that is too long.

    Raises:
        Malformed: not JSON.
    """
    try:
        body = body.removeprefix(_BOM)
        try:
            return _untyped.decode(body)
        except msgspec.ValidationError:  # an integer of thousands of digits
            return _untyped.decode(_TOKEN.sub(_without_long_integer, body))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise _malformed(error) from None


# --- a closer look -----------------------------------------------------------------------------------


def split(body: bytes, path: Sequence[str], row: Node, *, many: bool) -> list[bytes]:
    """Return each record's own bytes, as they stand in the body. ``path`` leads to them; case counts only in doubt.

    Raises:
        Malformed: not JSON.
    """
    del row  # what a record is called in XML
    try:
        place: Any = body.removeprefix(_BOM)
        for name in path:
            members = msgspec.json.decode(place, type=dict[str, msgspec.Raw] | None) or {}
            spelt = next((member for key, member in members.items() if key.casefold() == name.casefold()), None)
            place = members.get(name, spelt)
            if place is None:
                return []
        if not many:
            return [bytes(place)]
        return [bytes(row) for row in _rows_in(place)]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise _malformed(error) from None


def _rows_in(place: Any) -> Iterable[Any]:
    """The items of a list; one object where a list is declared is one item, as in repairs; else there are none."""
    try:
        return msgspec.json.decode(place, type=list[msgspec.Raw] | None) or ()
    except msgspec.ValidationError:
        return (place,) if bytes(place).lstrip()[:1] == b"{" else ()


def undeclared(raw: bytes, node: Node, *, any_case: bool = False) -> Iterator[tuple[Place, Any]]:
    """Yield what a record has beside its schema, with its value as ``loads`` gives it.

    With ``any_case`` a name in another case is that of the schema, as it is in repairs.
    """
    yield from _undeclared(loads(raw), node, any_case)


def _undeclared(value: Any, node: Node, any_case: bool) -> Iterator[tuple[Place, Any]]:
    if isinstance(value, dict) and node.kind == "object":
        for name, member in value.items():
            found = _field(name, value, node, any_case)
            inner = [((), member)] if found is None else _undeclared(member, found, any_case)
            yield from (((name, *place), inside) for place, inside in inner)
    elif node.item is not None:
        for index, item in enumerate(value if isinstance(value, list) else [value]):
            yield from (((index, *place), inside) for place, inside in _undeclared(item, node.item, any_case))


def _field(name: str, value: Mapping[str, Any], node: Node, any_case: bool) -> Node | None:
    """Return the field that a name stands for, if any."""
    if name in node.fields or not any_case:
        return node.fields.get(name)
    spelt = next((known for known in node.fields if known.casefold() == name.casefold()), None)
    return node.fields[spelt] if spelt is not None and spelt not in value else None


def retyped(raw: bytes, node: Node) -> Iterator[tuple[Place, str]]:
    """Yield where a record has another JSON type than is declared, and what is declared.

    Null and the empty string, which vendors write for null, are no other type; neither is 3.0 for 3.
    """
    yield from _retyped(loads(raw), node)


def _retyped(value: Any, node: Node) -> Iterator[tuple[Place, str]]:
    if value is None or node.kind not in _TYPES or (isinstance(value, str) and not value.strip()):
        return
    expected, kinds = _TYPES[node.kind]
    if type(value) not in kinds:
        yield (), expected
    elif node.kind == "object":
        for name, member in value.items():
            if name in node.fields:
                yield from (((name, *place), said) for place, said in _retyped(member, node.fields[name]))
    elif node.item is not None:
        for index, item in enumerate(value):
            yield from (((index, *place), said) for place, said in _retyped(item, node.item))


_TYPES: Mapping[str, tuple[str, tuple[type, ...]]] = {
    "object": ("an object", (dict,)),
    "array": ("a list", (list,)),
    "string": ("a string", (str,)),
    "number": ("a number", (int, Decimal)),
    "integer": ("an integer", (int, Decimal)),
    "boolean": ("true or false", (bool,)),
    "date-time": ("a date-time", (str,)),
    "date": ("a date", (str,)),
}
"""What is declared, in words, and what ``loads`` gives for it."""


# --- decoders ----------------------------------------------------------------------------------------


_TOO_LONG = Decimal((0, (1,), MAX_EMAX))
_INTEGER_DIGITS = 4000
"""Longer integers are not read: Python makes none of more than 4,300 digits (sys.set_int_max_str_digits)."""
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|[0-9.eE+-]+', re.DOTALL)
"""A text, or a number, of JSON: so that digits in a text are not taken for a number."""


def _without_long_integer(token: re.Match[bytes]) -> bytes:
    text = token[0]
    is_long = len(text) > _INTEGER_DIGITS and text[:1] != b'"' and text.removeprefix(b"-").isdigit()
    return str(_TOO_LONG).encode() if is_long else text


def _decimal(text: str) -> Decimal:
    """Read a number; one beyond even Decimal's exponents becomes the longest there is."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return _TOO_LONG


_encoder = msgspec.json.Encoder(decimal_format="number")
_untyped = msgspec.json.Decoder(float_hook=_decimal)


def _checked(typed: Callable[[Any], Any], node: Node, dates: Dates) -> Callable[[Any], Any]:
    """Return ``typed`` and the finish as one function that raises nothing but Malformed and Mismatch."""
    finish = _finish(node, dates)

    def decode(source: Any) -> Any:
        try:
            value = typed(source)
        except msgspec.ValidationError as error:
            raise _mismatch(error) from None
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise _malformed(error) from None
        if value is None or finish is None:
            return value
        try:
            return finish(value)
        except Mismatch as error:
            raise error.inside("$") from None

    return decode


def _malformed(error: Exception) -> Malformed:
    if isinstance(error, RecursionError):
        return TooDeep("nested too deeply")
    return Malformed("not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error))


def _mismatch(error: msgspec.ValidationError) -> Mismatch:
    """Translate msgspec's message, which is kept free of values, into path and expectation."""
    text, _, place = str(error).partition(" - at `")
    path = place.removesuffix("`") or "$"
    if found := re.match(r"Object missing required field `(.*)`", text):
        return Mismatch(f"{path}.{found[1]}", "a value")
    if found := re.match(r"Expected `([^`]*)`", text):
        return Mismatch(path, " or ".join(_EXPECTED.get(kind, kind) for kind in found[1].split(" | ")))
    return Mismatch(path, FEWER_DIGITS if "out of range" in text else "a number")


def _type(node: Node) -> Any:
    """Return the msgspec type of a node. Absent properties are allowed where they are not required."""
    if node.kind == "object":
        kind: Any = _typed_dict(node)
    elif node.kind == "array":
        assert node.item is not None  # noqa: S101 - the compiler of schemas sees to it
        kind = list[_type(node.item)]  # type: ignore[misc] # a type made at run time
    else:
        kind = _LEAVES[node.kind]
    return kind | None if node.nullable else kind


def _typed_dict(node: Node) -> Any:
    """Required and optional keys are mixed by inheritance (PEP 589)."""
    for name in node.fields:  # a non-ASCII key that was never encoded is not found (msgspec issue 1126)
        msgspec.json.encode(name)
    required = {name: _type(member) for name, member in node.fields.items() if name in node.required}
    free = {name: member for name, member in node.fields.items() if name not in node.required}
    rest = {name: _type(member) for name, member in free.items() if member.kind != "given"}
    base: Any = TypedDict("Required", required)  # type: ignore[misc] # a type made at run time
    make: Any = type(base)
    return make("Record", (base,), {"__annotations__": rest}, total=False)


def _finish(node: Node, dates: Dates) -> Finish | None:
    """Return what is still to be done to a typed value; ``None`` where that is nothing."""
    if node.kind == "object":
        return _finish_object(node, dates)
    if node.kind == "array":
        assert node.item is not None  # noqa: S101 - likewise
        return _finish_array(_finish(node.item, dates))
    if node.kind == "date-time":
        return _finish_date(dates.parse, "a date-time", nullable=node.nullable)
    if node.kind == "date":
        return _finish_date(day, "a date", nullable=node.nullable)
    if node.kind == "any":
        return hold_numbers
    return _hold_number if node.kind in _NUMBERS else None


_NUMBERS = ("number", "integer")


def _hold_number(value: Any) -> Any:
    """Refuse NaN and infinity, which Decimal reads from strings, and what takes too many digits to be written."""
    if not is_short(value):
        raise Mismatch("", _expected_of(value))
    return value


def _expected_of(value: int | Decimal) -> str:
    return FEWER_DIGITS if isinstance(value, int) or value.is_finite() else "a finite number"


def hold_numbers(value: Any) -> Any:
    """Refuse a value of unknown shape that has a number in it that is too long.

    Raises:
        Mismatch: with the place inside the value.
    """
    if isinstance(value, dict):
        inner = [(f".{name}", member) for name, member in value.items()]
    elif isinstance(value, list):
        inner = [(f"[{index}]", item) for index, item in enumerate(value)]
    else:
        inner = []
    if isinstance(value, int | float | Decimal):
        _hold_number(Decimal(repr(value)) if isinstance(value, float) else value)
    for place, member in inner:
        try:
            hold_numbers(member)
        except Mismatch as error:
            raise error.inside(place) from None
    return value


def _finish_date(parse: Callable[[str], Any], expected: str, *, nullable: bool) -> Finish:
    def finish(text: Any) -> Any:
        try:
            value = parse(text)
        except ValueError:
            raise Mismatch("", expected) from None
        if value is None and not nullable:
            raise Mismatch("", expected)
        return value

    return finish


def _finish_array(item: Finish | None) -> Finish | None:
    if item is None:
        return None

    def finish(values: Any) -> Any:
        for index, value in enumerate(values):
            if value is not None:
                try:
                    values[index] = item(value)
                except Mismatch as error:
                    raise error.inside(f"[{index}]") from None
        return values

    return finish


def _others(node: Node, dates: Dates) -> Iterator[tuple[str, Finish]]:
    for name, member in node.fields.items():
        if member.kind not in _NUMBERS and (finish := _finish(member, dates)):
            yield name, finish


def _finish_object(node: Node, dates: Dates) -> Finish:
    nulls = dict.fromkeys(node.fields)
    numbers = tuple(name for name, member in node.fields.items() if member.kind in _NUMBERS)
    members = tuple(_others(node, dates))

    def finish(value: Any) -> Any:
        value = {**nulls, **value}  # complete, and in the schema's order
        for name in numbers:  # by far the most frequent
            if (found := value[name]) is not None and not is_short(found):
                raise Mismatch(f".{name}", _expected_of(found))
        for name, member in members:
            if (found := value[name]) is not None:
                try:
                    value[name] = member(found)
                except Mismatch as error:
                    raise error.inside(f".{name}") from None
        return value

    return finish
