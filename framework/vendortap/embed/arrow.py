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

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from decimal import Context, Decimal, Inexact, InvalidOperation
from itertools import repeat
from typing import TYPE_CHECKING, Any

import msgspec

from vendortap.declare.model import Node
from vendortap.decode.structs import gatherer
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
    return pa.schema([pa.field(n, _type(node, decimal), nullable=node.nullable) for n, node in record.fields.items()])


def _type(node: Node, decimal: pa.DataType) -> pa.DataType:
    """Return the Arrow type of a value; what is inside an object may be null, as the object may be."""
    import pyarrow as pa

    if node.kind == "object":
        return pa.struct([pa.field(name, _type(member, decimal)) for name, member in node.fields.items()])
    if node.item is not None:
        return pa.list_(pa.field("item", _type(node.item, decimal)))
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


class Holds:
    """Tells whether a batch holds the amounts of records exactly; pyarrow makes 0 of what is too fine for it."""

    def __init__(self, node: Node, precision: int, scale: int) -> None:
        self._gather = gatherer(node)
        self._unit = Decimal(1).scaleb(-scale)
        self._quantize = Context(prec=precision, traps=[Inexact, InvalidOperation]).quantize

    def __call__(self, records: Iterable[Any]) -> bool:
        """Whether all amounts fit; costs little for each."""
        amounts: list[Decimal] = []
        for record in records:
            self._gather(record, amounts)
        try:
            deque(map(self._quantize, amounts, repeat(self._unit)), maxlen=0)
        except (Inexact, InvalidOperation):
            return False
        return True


def to_batch(lines: bytes | bytearray, schema: pa.Schema) -> pa.RecordBatch:
    """Return records of one stream, a line of JSON each, as a batch.

    pyarrow reads numbers as decimals digit for digit where the schema says so.

    Raises:
        ValueError: a value that its column cannot hold; ``unfit`` says which.
    """
    import pyarrow as pa
    from pyarrow import json

    parsed = pa.schema([pa.field(field.name, _parsed(field.type)) for field in schema])
    options = json.ParseOptions(explicit_schema=parsed, unexpected_field_behavior="error")
    whole = json.ReadOptions(use_threads=False, block_size=len(lines) + 1)
    table = json.read_json(pa.BufferReader(lines), read_options=whole, parse_options=options)
    return table.select(schema.names).cast(schema).combine_chunks().to_batches()[0]


def unfit(lines: bytes | bytearray, node: Node, schema: pa.Schema, keys: Sequence[str]) -> RecordError | None:
    """Return what a batch of these records cannot hold: the record by its keys, the field, and why."""
    import pyarrow as pa

    decimal = next((t for t in map(_decimal_of, schema.types) if t is not None), pa.decimal128(38, 9))
    for record in map(_decoder.decode, lines.splitlines()):
        for path, why in _unfit(record, node, decimal, "$"):
            who = ", ".join(f"{key} {record[key]}" for key in keys)
            return RecordError(f"{who}: the value at {path} {why}")
    return None


_decoder = msgspec.json.Decoder(float_hook=Decimal)


def _parsed(kind: pa.DataType) -> pa.DataType:
    """Return the type that is read of JSON; pyarrow reads no dates there, but makes some of texts."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, _parsed(field.type)) for field in kind])
    if pa.types.is_list(kind):
        return pa.list_(pa.field("item", _parsed(kind.value_type)))
    return pa.string() if pa.types.is_date(kind) else kind


def _decimal_of(kind: pa.DataType) -> pa.DataType | None:
    """Return the decimal type that a type is made of, if it is; there is one for all amounts of a schema."""
    import pyarrow as pa

    if pa.types.is_decimal(kind):
        return kind
    inner = [kind.field(place).type for place in range(kind.num_fields)]
    return next((found for found in map(_decimal_of, inner) if found is not None), None)


def _unfit(value: Any, node: Node, decimal: pa.DataType, path: str) -> Iterator[tuple[str, str]]:
    """Yield where something does not fit, and why."""
    if value is None:
        return
    for name, member in node.fields.items():
        yield from _unfit(value[name], member, decimal, f"{path}.{name}")
    if node.item is not None:
        for place, item in enumerate(value):
            yield from _unfit(item, node.item, decimal, f"{path}[{place}]")
    if node.kind == "integer" and value not in _INT64:
        yield path, "is too large for int64"
    if node.kind == "number" and not _fits(value, decimal.precision, decimal.scale):
        kind = f"decimal128({decimal.precision}, {decimal.scale})"
        yield path, f"has too many digits for {kind}; give read_arrow another `decimal`"


def _fits(value: Decimal, precision: int, scale: int) -> bool:
    """Whether so many digits, so many of them after the point, hold a value; by its digits, as arithmetic rounds."""
    _, digits, exponent = Decimal(value).as_tuple()
    assert isinstance(exponent, int)  # noqa: S101 - a record's numbers are finite
    zeros = len(digits) - len("".join(map(str, digits)).rstrip("0"))
    if len(digits) > MOST_DIGITS:
        return False
    return value == 0 or (-(exponent + zeros) <= scale and Decimal(value).adjusted() < precision - scale)
