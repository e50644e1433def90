"""Records as Arrow: types from the compiled schema, batches with exact decimals. Needs the extra ``arrow``.

==========  ==========================================================
kind        Arrow type
==========  ==========================================================
string      string
number      decimal128(precision, scale), never a float
integer     int64
boolean     bool
date-time   timestamp[us, tz=UTC]
date        date32
object      struct
array       list
any         string, with JSON in it
==========  ==========================================================

A value that its type cannot hold exactly is an error, never rounded. https://arrow.apache.org/docs/format/Columnar.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from vendortap.declare.model import Node, Record
from vendortap.errors import ConfigError, RecordError
from vendortap.support.extras import require

if TYPE_CHECKING:
    import pyarrow as pa

MOST_DIGITS = 76
"""Digits that pyarrow reads of a number, zeros behind the point among them."""
_INT64 = range(-(2**63), 2**63)


def arrow_schema(record: Node, precision: int, scale: int) -> pa.Schema:
    """Return the Arrow schema of a stream's records; amounts are decimal128 of this precision and scale.

    Raises:
        ConfigError: there is no such decimal type.
        VendortapError: the extra ``arrow`` is not installed.
    """
    require("arrow", "read_arrow", "pyarrow")
    import pyarrow as pa

    if not 1 <= precision <= 38 or not 0 <= scale <= precision:
        raise ConfigError(f"decimal128({precision}, {scale}): the precision goes up to 38, the scale up to it")
    decimal = pa.decimal128(precision, scale)
    return pa.schema([_field(name, node, decimal) for name, node in record.fields.items()])


def _field(name: str, node: Node, decimal: pa.DataType) -> pa.Field:
    import pyarrow as pa

    return pa.field(name, _type(node, decimal), nullable=node.nullable)


def _type(node: Node, decimal: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    if node.kind == "object":
        return pa.struct([_field(name, member, decimal) for name, member in node.fields.items()])
    if node.item is not None:
        return pa.list_(_field("item", node.item, decimal))
    kinds: dict[str, pa.DataType] = {
        "string": pa.string(),
        "number": decimal,
        "integer": pa.int64(),
        "boolean": pa.bool_(),
        "date-time": pa.timestamp("us", tz="UTC"),
        "date": pa.date32(),
        "any": pa.string(),
    }
    return kinds[node.kind]


def to_batch(records: Sequence[Record], node: Node, schema: pa.Schema, keys: Sequence[str]) -> pa.RecordBatch:
    """Return records of one stream as a batch.

    Raises:
        RecordError: a value that its column cannot hold exactly; names the record by its keys, and the field.
    """
    import pyarrow as pa

    decimal = next((t for t in map(_decimal_of, schema.types) if t is not None), pa.decimal128(38, 9))
    amounts: list[Decimal] = []
    for record in records:
        _gather(record, node, amounts)
    try:
        if any(_is_too_fine(amount, decimal.scale) for amount in amounts):
            raise ValueError
        return pa.RecordBatch.from_pylist(records, schema=schema)
    except (pa.ArrowException, OverflowError, ValueError):
        for record in records:
            for path, why in _misfits(record, node, decimal, "$"):
                who = ", ".join(f"{key} {record[key]}" for key in keys)
                raise RecordError(f"{who}: the value at {path} {why}") from None
        raise


def _decimal_of(kind: pa.DataType) -> pa.DataType | None:
    """Return the decimal type that a type is made of, if it is; there is one for all amounts of a schema."""
    import pyarrow as pa

    if pa.types.is_decimal(kind):
        return kind
    inner = [kind.field(place).type for place in range(kind.num_fields)]
    return next((found for found in map(_decimal_of, inner) if found is not None), None)


def _misfits(value: Any, node: Node, decimal: pa.DataType, path: str) -> Iterator[tuple[str, str]]:
    """Yield where something does not fit, and why."""
    if value is None:
        return
    for name, member in node.fields.items():
        yield from _misfits(value[name], member, decimal, f"{path}.{name}")
    if node.item is not None:
        for place, item in enumerate(value):
            yield from _misfits(item, node.item, decimal, f"{path}[{place}]")
    if node.kind == "integer" and value not in _INT64:
        yield path, "is too large for int64"
    if node.kind == "number" and not _fits(value, decimal.precision, decimal.scale):
        kind = f"decimal128({decimal.precision}, {decimal.scale})"
        yield path, f"has too many digits for {kind}; give read_arrow another `decimal`"


def _gather(value: Any, node: Node, amounts: list[Decimal]) -> None:
    """Append the amounts inside a value."""
    if value is None:
        return
    if node.kind == "number":
        amounts.append(value)
    for name, member in node.fields.items():
        if member.kind in ("number", "object", "array"):
            _gather(value[name], member, amounts)
    if node.item is not None:
        for item in value:
            _gather(item, node.item, amounts)


def _is_too_fine(value: Decimal, scale: int) -> bool:
    """Whether Arrow would have to shift a value by more digits than it can: pyarrow then gives another number."""
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and -exponent > scale + 38


def _fits(value: Decimal, precision: int, scale: int) -> bool:
    """Whether so many digits, so many of them after the point, hold a value; by its digits, as arithmetic rounds."""
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)  # noqa: S101 - a record's numbers are finite
    zeros = len(digits) - len("".join(map(str, digits)).rstrip("0"))
    if _is_too_fine(value, scale) or len(digits) > MOST_DIGITS:
        return False
    return value == 0 or (-(exponent + zeros) <= scale and value.adjusted() < precision - scale)
