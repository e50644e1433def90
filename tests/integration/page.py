"""The table of docs/targets.md, made of what was seen while all taps were loaded into each target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

KINDS = ("string", "number", "integer", "boolean", "date-time", "object", "array")
INEXACT: Mapping[str, set[str]] = {"parquet": {"number", "date-time"}}
"""Target → the kinds that it does not keep as they are sent; known, and said on the page."""
_START, _END = "<!-- seen by tests/integration/test_targets.py -->\n", "<!-- until here -->\n"


@dataclass
class Seen:
    """What became of all values of a kind: the types that they are stored as, and whether each is what was sent."""

    types: set[str] = field(default_factory=set)
    exact: bool = True


@dataclass(frozen=True)
class Column:
    """A target in the table: kind → what was seen, with amounts as numbers, and as strings if it takes those."""

    title: str
    numbers: Mapping[str, Seen]
    strings: Mapping[str, Seen] | None
    nested: str


def table(columns: Sequence[Column]) -> str:
    """Return the table: a line for each kind of value, a column for each target."""
    lines = [["", *(column.title for column in columns)], ["---"] * (len(columns) + 1)]
    for kind in KINDS:
        if kind != "number":
            lines.append([kind, *(_cell(column.numbers[kind]) for column in columns)])
            continue
        lines.append(["number", *(_cell(column.numbers[kind]) for column in columns)])
        strings = (_cell(column.strings[kind]) if column.strings else "refused" for column in columns)
        lines.append(["number, `use_singer_decimal`", *strings])
    lines.append(["sent with", *(f"`nested: {column.nested}`" for column in columns)])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(seen: Seen) -> str:
    types = ", ".join(f"`{name}`" for name in sorted(seen.types))
    return types if seen.exact else f"{types}, **rounded**"


def write(document: str, made: str) -> str:
    """Return the page with this table in its place."""
    before, _, rest = document.partition(_START)
    _, _, after = rest.partition(_END)
    return f"{before}{_START}\n{made}\n{_END}{after}"
