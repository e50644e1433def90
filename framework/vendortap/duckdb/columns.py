"""JSON Schema → DuckDB types, and how the type of an existing column grows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import reduce
from itertools import product
from string import ascii_lowercase, ascii_uppercase
from typing import Any

from vendortap.errors import LoadError

MAX_PRECISION = 38
"""The most digits of a DuckDB DECIMAL (DuckDB, "Numeric Types")."""
INT64 = (-(2**63), 2**63 - 1)

NUMBERS = frozenset({"BIGINT", "HUGEINT", "DECIMAL"})
TEXTS = frozenset({"VARCHAR", "TIMESTAMPTZ", "DATE", "TIME"})
_KEEPS = {("DECIMAL", "BIGINT"), ("DECIMAL", "HUGEINT"), ("HUGEINT", "BIGINT"), *product(["VARCHAR"], TEXTS)}
_WIDENS = {("BIGINT", "HUGEINT"), ("BIGINT", "DECIMAL"), ("HUGEINT", "DECIMAL")}
_FORMATS = {"date-time": "TIMESTAMPTZ", "date": "DATE", "time": "TIME"}
_DECIMAL_FORMATS = frozenset({"x-singer.decimal", "singer.decimal"})
_ASCII_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


@dataclass(frozen=True, slots=True)
class Column:
    """The type of a column, a STRUCT's field or a LIST's item.

    ``kind`` is DuckDB's name of the type; ``precision`` and ``scale`` belong to DECIMAL, ``fields`` to STRUCT,
    ``item`` to LIST. ``nullable`` and ``required`` are the schema's and no part of the type.
    """

    kind: str
    precision: int = 0
    scale: int = 0
    fields: Mapping[str, Column] = field(default_factory=dict)
    item: Column | None = None
    nullable: bool = field(default=True, compare=False)
    required: bool = field(default=False, compare=False)


def quote(name: str) -> str:
    """Return the name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return the text as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def sql(column: Column, json: str = "JSON") -> str:
    """Return the type as SQL; ``json`` is what to write for JSON."""
    if column.kind == "STRUCT":
        fields = ", ".join(f"{quote(name)} {sql(item, json)}" for name, item in column.fields.items())
        return f"STRUCT({fields})"
    if column.item is not None:
        return f"{sql(column.item, json)}[]"
    if column.kind == "DECIMAL":
        return f"DECIMAL({column.precision},{column.scale})"
    return json if column.kind == "JSON" else column.kind


# --- from JSON Schema --------------------------------------------------------------------------------


def from_schema(schema: Any, number: Column) -> Column:
    """Return the column for a JSON Schema (draft 4 to 2020-12, as taps write it).

    ``number`` is the DECIMAL that numbers get. What has no single type gets JSON, which loses nothing.
    """
    if not isinstance(schema, Mapping):
        return Column("JSON")
    options = schema.get("anyOf") or schema.get("oneOf")
    if "type" not in schema and isinstance(options, list) and options:
        return _of_options(options, number)
    names = _type_names(schema)
    columns = [_of_type(name, schema, number) for name in names if name != "null"]
    return _union(columns, nullable="null" in names)


def _of_options(options: list[Any], number: Column) -> Column:
    columns = [from_schema(option, number) for option in options if not _is_null(option)]
    return _union(columns, nullable=len(columns) < len(options) or any(column.nullable for column in columns))


def _is_null(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("type") in ("null", ["null"])


def _type_names(schema: Mapping[str, Any]) -> list[str]:
    names = schema.get("type")
    if names is None:
        names = "object" if "properties" in schema else "array" if "items" in schema else []
    return [names] if isinstance(names, str) else list(names)


def _of_type(name: str, schema: Mapping[str, Any], number: Column) -> Column:
    if name == "object":
        return _of_object(schema, number)
    if name == "array":
        return _of_array(schema.get("items"), number)
    if name == "string":
        return _of_string(schema.get("format"), number)
    if name == "integer":
        return _of_integer(schema.get("minimum"), schema.get("maximum"))
    if name == "number":
        return number
    return Column("BOOLEAN" if name == "boolean" else "JSON")


def _of_array(items: Any, number: Column) -> Column:
    if isinstance(items, Mapping) and items:
        return Column("LIST", item=from_schema(items, number))
    return Column("JSON")


def _of_string(form: Any, number: Column) -> Column:
    if form in _DECIMAL_FORMATS:
        return number
    return Column(_FORMATS.get(form, "VARCHAR") if isinstance(form, str) else "VARCHAR")


def _of_object(schema: Mapping[str, Any], number: Column) -> Column:
    properties = schema.get("properties")
    # Names that are not known beforehand, of a type that is: a map, not a STRUCT.
    is_map = isinstance(schema.get("additionalProperties"), Mapping) or "patternProperties" in schema
    if is_map or not isinstance(properties, Mapping) or not properties:
        return Column("JSON")
    wanted = schema.get("required")
    required = frozenset(wanted) if isinstance(wanted, list) else frozenset()
    return Column(
        "STRUCT",
        fields={
            name: replace(from_schema(item, number), required=name in required) for name, item in properties.items()
        },
    )


def _of_integer(*bounds: Any) -> Column:
    fits = all(INT64[0] <= bound <= INT64[1] for bound in bounds if isinstance(bound, (int, Decimal)))
    return Column("BIGINT" if fits else "HUGEINT")


def _union(columns: list[Column], *, nullable: bool) -> Column:
    return replace(reduce(_either, columns), nullable=nullable) if columns else Column("JSON")


def _either(one: Column, other: Column) -> Column:
    """Return a type that holds the values of both without loss."""
    if one == other:
        return one
    kinds = {one.kind, other.kind}
    if kinds <= NUMBERS:
        return max(one, other, key=lambda column: ("BIGINT", "HUGEINT", "DECIMAL").index(column.kind))
    if kinds <= TEXTS:
        return Column("VARCHAR")
    if kinds == {"STRUCT"}:
        shared = {name: _either(one.fields[name], other.fields[name]) for name in one.fields.keys() & other.fields}
        return Column("STRUCT", fields=_relaxed({**one.fields, **other.fields, **shared}))
    if one.item is not None and other.item is not None:
        return Column("LIST", item=replace(_either(one.item, other.item), nullable=True))
    return Column("JSON")


def _relaxed(fields: Mapping[str, Column]) -> dict[str, Column]:
    return {name: replace(column, nullable=True, required=False) for name, column in fields.items()}


# --- from the database, and growth -------------------------------------------------------------------


def from_duckdb(kind: Any) -> Column:
    """Return the column for a DuckDBPyType (which lives in other modules in other versions of duckdb)."""
    name = str(kind)
    if name == "JSON":
        return Column("JSON")
    if kind.id == "struct":
        return Column("STRUCT", fields={field: from_duckdb(item) for field, item in kind.children})
    if kind.id == "list":
        return Column("LIST", item=from_duckdb(kind.children[0][1]))
    if kind.id == "decimal":
        sizes: dict[str, Any] = dict(kind.children)
        return Column("DECIMAL", precision=sizes["precision"], scale=sizes["scale"])
    return Column("TIMESTAMPTZ" if name == "TIMESTAMP WITH TIME ZONE" else name)


def widen(old: Column, new: Column, where: str) -> Column:
    """Return the type that a column of type ``old`` must get to take values of ``new`` as well.

    Raises LoadError where that could change what is already there; ``where`` names the column.
    """
    pair = (old.kind, new.kind)
    if pair == ("STRUCT", "STRUCT"):
        return replace(new, fields=widen_fields(old.fields, new.fields, where))
    if old.item is not None and new.item is not None:
        return replace(new, item=widen(old.item, new.item, f"{where}[]"))
    if pair == ("DECIMAL", "DECIMAL"):
        scale = max(old.scale, new.scale)
        digits = max(old.precision - old.scale, new.precision - new.scale)
        return replace(new, precision=min(MAX_PRECISION, digits + scale), scale=scale)
    if old.kind == "JSON" or pair in _KEEPS:
        return replace(old, nullable=new.nullable, required=new.required)
    if old.kind == new.kind or pair in _WIDENS:
        return new
    raise LoadError(
        f"{where} is {sql(old)} in the database, but {sql(new)} by the schema that the tap sends now: "
        "load into another default_target_schema, or rename the property with a stream map"
    )


def widen_fields(old: Mapping[str, Column], new: Mapping[str, Column], where: str) -> dict[str, Column]:
    """Return ``old`` with each field widened for ``new``, and new fields after them (LoadError: as widen)."""
    grown = dict(old)
    for name, column in new.items():
        path = f"{where}.{name}"
        grown[name] = widen(old[name], column, path) if name in old else column
    check_names(grown, where)
    return grown


def fold(name: str) -> str:
    """Return the name as DuckDB compares names: ASCII letters without their case."""
    return name.translate(_ASCII_LOWER)


def check_names(names: Iterable[str], where: str) -> None:
    """Raise LoadError for names that DuckDB cannot hold, or not beside each other."""
    seen: dict[str, str] = {}
    for name in names:
        if not name or "\0" in name:
            raise LoadError(f"{where} declares a property whose name is empty or holds a NUL character")
        other = seen.setdefault(fold(name), name)
        if other != name:
            raise LoadError(
                f"{where} has both {other!r} and {name!r}, which DuckDB takes for one name: rename one of them "
                "with a stream map"
            )


def check_nested_names(column: Column, where: str) -> None:
    """Raise LoadError as check_names does, for all that is inside the column."""
    check_names(column.fields, where)
    for name, item in column.fields.items():
        check_nested_names(item, f"{where}.{name}")
    if column.item is not None:
        check_nested_names(column.item, f"{where}[]")
