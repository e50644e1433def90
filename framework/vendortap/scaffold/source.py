"""Python source for a drafted project: literals and calls, each on one line. ``layout.tidy`` breaks the lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from textwrap import wrap

COMMENT_WIDTH = 112
"""What a comment may take: it stands up to eight columns to the right, and the formatter does not wrap it."""


def text(value: str) -> str:
    """Return the literal of a text."""
    return json.dumps(value, ensure_ascii=False)


def names(values: Sequence[str]) -> str:
    """Return the literal of a tuple of texts."""
    return f"({', '.join(map(text, values))}{',' if len(values) == 1 else ''})"


def call(function: str, *arguments: str, spread: bool = False) -> str:
    """Return a call; an empty argument is left out.

    ``spread`` gives each argument a line of its own: the trailing comma tells the formatter so.
    """
    return f"{function}({', '.join(filter(None, arguments))}{',' if spread else ''})"


def members(entries: Mapping[str, str]) -> str:
    """Return the literal of a dict; the values are source already."""
    return f"{{{', '.join(f'{text(name)}: {value}' for name, value in entries.items())}}}"


def comments(sentences: Iterable[str]) -> str:
    """Return comment lines, each with its line end."""
    lines = (
        line
        for sentence in sentences
        for line in wrap(sentence, COMMENT_WIDTH, initial_indent="# ", subsequent_indent="#   ", break_on_hyphens=False)
    )
    return "".join(f"{line}\n" for line in lines)
