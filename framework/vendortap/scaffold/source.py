"""Source for a drafted project: literals and calls, each on one line. ``layout.tidy`` breaks the lines.

What a draft is made of can come from anywhere. Whatever stands in a document or a sample becomes part of a file through
the functions here, and through nothing else: ``text`` for Python, TOML and YAML, ``docstring`` and ``comments`` for
Python, ``markdown`` for a README, and ``vendortap.duckdb.columns.quote`` for a name in SQL.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from textwrap import wrap

from vendortap.support.encodings import is_seen

COMMENT_WIDTH = 112
"""What a comment may take: it stands up to eight columns to the right, and the formatter does not wrap it."""
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_MARKUP = re.compile(r"[\\`*_{}\[\]<>#!|&~]")


def text(value: str) -> str:
    """Return the literal of a text, as Python, TOML (basic strings) and YAML (double-quoted) have it.

    What cannot be seen is escaped. Half of a surrogate pair is no text in TOML or YAML, and is replaced by U+FFFD.
    """
    return f'"{"".join(map(_escaped, value))}"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if is_seen(character):
        return character
    number = ord(character)
    if 0xD800 <= number <= 0xDFFF:
        return "\N{REPLACEMENT CHARACTER}"
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"


def docstring(value: str) -> str:
    """Return the docstring of a text: one line, which nothing in the text can end."""
    return f'""{text(value)}""'


def markdown(value: str) -> str:
    """Return a text as Markdown shows it: nothing in it is markup, HTML or the border of a table's cell."""
    return _MARKUP.sub(r"\\\g<0>", printable(value))


def printable(value: str) -> str:
    """Return a text without what is not seen or acted on: control characters, marks of direction, blank glyphs, …"""
    return "".join(character if is_seen(character) else "\N{REPLACEMENT CHARACTER}" for character in value)


def names(values: Sequence[str]) -> str:
    """Return the literal of a tuple of texts."""
    return f"({', '.join(map(text, values))}{',' if len(values) == 1 else ''})"


def call(function: str, *arguments: str, spread: bool = False, **keywords: str | bool) -> str:
    """Return a call; an argument that is empty, or False, is left out.

    ``spread`` gives each argument a line of its own: the trailing comma tells the formatter so.
    """
    given = [*filter(None, arguments), *(f"{name}={value}" for name, value in keywords.items() if value)]
    return f"{function}({', '.join(given)}{',' if spread else ''})"


def members(entries: Mapping[str, str]) -> str:
    """Return the literal of a dict; the values are source already."""
    return f"{{{', '.join(f'{text(name)}: {value}' for name, value in entries.items())}}}"


def texts(entries: Mapping[str, str]) -> str:
    """Return the literal of a dict of texts; nothing where it is empty."""
    return members({name: text(value) for name, value in entries.items()}) if entries else ""


def comments(sentences: Iterable[str]) -> str:
    """Return comment lines, each with its line end."""
    lines = (
        line
        for sentence in map(printable, sentences)
        for line in wrap(sentence, COMMENT_WIDTH, initial_indent="# ", subsequent_indent="#   ", break_on_hyphens=False)
    )
    return "".join(f"{line}\n" for line in lines)
