"""Python source for a drafted project: calls, dicts and texts, laid out as the formatter would."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from textwrap import wrap

WIDTH = 120


def text(value: str) -> str:
    """Return the literal of a text, in double quotes."""
    return json.dumps(value, ensure_ascii=False)


def quoted(value: str) -> str:
    """Return the literal of a text, in the quotes that spare escapes."""
    return f"'{value}'" if '"' in value and "'" not in value and "\\" not in value else text(value)


def names(values: Sequence[str]) -> str:
    """Return the literal of a tuple of texts."""
    return f"({', '.join(map(text, values))}{',' if len(values) == 1 else ''})"


def call(function: str, arguments: Iterable[str], used: int) -> str:
    """Return a call on one line, or with an argument a line where that is too long. ``used`` counts what is before it.

    The lines are not indented as a whole: whoever puts the call somewhere does that.
    """
    listed = [argument for argument in arguments if argument]
    flat = f"{function}({', '.join(listed)})"
    if used + len(flat) < WIDTH and "\n" not in flat:
        return flat
    joined = ", ".join(listed)
    if used < WIDTH and "\n" not in joined and used + len(joined) < WIDTH - 12:
        return f"{function}(\n{indented(joined)}\n)"
    inner = ",\n".join(indented(argument) for argument in listed)
    return f"{function}(\n{inner},\n)"


def members(entries: Mapping[str, str]) -> str:
    """Return the literal of a dict, a member a line; the values are source already."""
    if not entries:
        return "{}"
    inner = "".join(indented(f"{text(name)}: {value},") + "\n" for name, value in entries.items())
    return f"{{\n{inner}}}"


def flat_members(entries: Mapping[str, str]) -> str:
    """Return the literal of a dict on one line; the values are source already."""
    return f"{{{', '.join(f'{text(name)}: {value}' for name, value in entries.items())}}}"


def indented(source: str, by: int = 4) -> str:
    """Return source with every line moved to the right."""
    return "\n".join(f"{' ' * by}{line}" if line else "" for line in source.split("\n"))


def comments(sentences: Iterable[str], by: int) -> list[str]:
    """Return comment lines that fit where they are moved ``by`` columns to the right."""
    return [
        line
        for sentence in sentences
        for line in wrap(sentence, WIDTH - by, initial_indent="# ", subsequent_indent="#   ", break_on_hyphens=False)
    ]
