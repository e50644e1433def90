"""The target's settings, and what is wrong with given ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from singer_sdk import typing as th
from singer_sdk.plugin_base import JSONSchemaValidator

SETTINGS: dict[str, Any] = th.PropertiesList(
    th.Property("path", th.StringType(min_length=1), required=True, description="The .duckdb file."),
    th.Property(
        "default_target_schema",
        th.StringType(min_length=1),
        default="main",
        description="The schema of the file that the tables go to.",
    ),
    th.Property(
        "decimal_precision",
        th.IntegerType(minimum=1, maximum=38),
        default=38,
        description="Digits of a number in all. A number that has more is an error.",
    ),
    th.Property(
        "decimal_scale",
        th.IntegerType(minimum=0, maximum=38),
        default=9,
        description="Digits of a number after the point. A number that has more is an error.",
    ),
    th.Property(
        "load_method",
        th.StringType(),
        default="upsert",
        allowed_values=["upsert", "append-only", "overwrite"],
        description="Replace rows of the same key, add all rows, or empty the table first.",
    ),
    th.Property(
        "batch_size_rows",
        th.IntegerType(minimum=1),
        default=10_000,
        description="Commit when this many rows, of all streams together, are pending.",
    ),
    th.Property(
        "max_batch_age_seconds",
        th.IntegerType(minimum=0),
        default=5,
        description="Commit at the first STATE message this long after the last commit.",
    ),
    th.Property(
        "validate_records",
        th.BooleanType(),
        default=True,
        description="Refuse missing required properties, and null where the schema does not allow it. "
        "Types are checked in any case.",
    ),
).to_dict()
"""JSON Schema of the target's own settings; the SDK adds its own to it."""

_RULES = {
    "type": "must be of type",
    "enum": "must be one of",
    "minimum": "must be at least",
    "maximum": "must be at most",
}


def setting_errors(config: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence for each bad setting, never with its value; fill in defaults on the way."""
    known = schema["properties"]
    for name in sorted(config.keys() - known.keys()):
        yield f"unknown setting {name!r}; known are {', '.join(sorted(known))}"
    for error in JSONSchemaValidator(schema).iter_errors(config):
        yield _sentence(".".join(map(str, error.absolute_path)), str(error.validator), error.validator_value)
    if config.get("path") == ":memory:":
        yield "setting path: must be a file; :memory: would be lost at the end"
    precision, scale = config.get("decimal_precision"), config.get("decimal_scale")
    if isinstance(precision, int) and isinstance(scale, int) and scale > precision:
        yield "setting decimal_scale: must not be above decimal_precision"


def _sentence(name: str, rule: str, wanted: Any) -> str:
    if rule == "required":
        return f"missing setting: {', '.join(wanted)} {'is' if len(wanted) == 1 else 'are'} required"
    shown = ", ".join(str(item) for item in wanted if item != "null") if isinstance(wanted, list) else str(wanted)
    return f"setting {name}: {_RULES[rule]} {shown}" if rule in _RULES else f"setting {name}: breaks its {rule} rule"
