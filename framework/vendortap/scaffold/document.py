"""Reads an OpenAPI document: JSON or YAML, in the data model of JSON, of a size that can be worked on.

A small file can stand for a large document: YAML's aliases name one part in many places, and a part inside itself. What
an alias stands for counts wherever it stands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from vendortap.errors import UsageError
from vendortap.scaffold.source import printable
from vendortap.support.extras import require

Json = Mapping[str, Any]

MOST = 50_000_000
"""What a document may come to: one for each character of a name or a text, and ``_VALUE`` for each value."""
_VALUE = 25
DEEPEST = 100
"""Levels of nesting. Documents of vendors have some twenty."""


def load(path: Path) -> Json:
    """Read a document in JSON or YAML.

    Raises:
        UsageError: it cannot be read, is no OpenAPI document, or is too large or too deep with its aliases followed.
    """
    require("new", "reading YAML", "yaml")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"the OpenAPI document {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"the OpenAPI document {path} is not UTF-8 text") from None
    document = _parse(text, path)
    if problem := _problem(document):
        raise UsageError(f"the OpenAPI document {path} {problem}")
    version = str(document.get("swagger") or document.get("openapi") or "") if isinstance(document, dict) else ""
    if not version.startswith(("2.", "3.")):
        raise UsageError(f"{path} is no OpenAPI document: it has neither 'swagger: 2.0' nor 'openapi: 3.x'")
    return cast("Json", document)


def _parse(text: str, path: Path) -> Any:
    """Parse YAML 1.2's core schema, of which JSON is a part: ``no`` is text there, and so is a date."""
    import yaml

    if text.lstrip().startswith("{"):
        with suppress(ValueError, RecursionError):
            return json.loads(text)  # many times as quick; what is no JSON may still be YAML

    class Loader(yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader):  # type: ignore[misc] # made at run time
        yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - as the base class has it

        def flatten_mapping(self, node: Any) -> None:
            """Leave out YAML 1.1's merging of mappings, which copies what an alias stands for while it is read."""

    for tag, pattern, first in _CORE:
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"(?:{pattern})\\Z"), list(first))
    try:
        if _depth(yaml.parse(text, Loader=Loader)) > DEEPEST:  # libyaml's composer recurses in C, and would crash
            raise UsageError(f"the OpenAPI document {path} is nested more than {DEEPEST} levels deep")
        return yaml.load(text, Loader=Loader)  # noqa: S506 - the safe loader, with fewer kinds of scalars
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UsageError(f"the OpenAPI document {path} is neither JSON nor YAML{place}") from None
    except (RecursionError, ValueError, TypeError):
        raise UsageError(
            f"the OpenAPI document {path} cannot be read: nested too deeply, or a number or a name that is none"
        ) from None


def _depth(events: Iterable[Any]) -> int:
    """Return how deep the events of a YAML document are nested; counted no further than what is too deep."""
    depth = deepest = 0
    for event in events:
        depth += {"MappingStartEvent": 1, "SequenceStartEvent": 1, "MappingEndEvent": -1, "SequenceEndEvent": -1}.get(
            type(event).__name__, 0
        )
        deepest = max(deepest, depth)
        if deepest > DEEPEST:
            break
    return deepest


def _problem(document: Any) -> str:
    """Return what is wrong with a document as data, with its place; empty where nothing is."""
    left = MOST
    for way, name, value in _walk(document):
        if value is not None and not isinstance(value, str | int | float | Mapping | list):
            return f"has a value at {_place([*way, name])} that JSON has no form for; write it as text"
        left -= _VALUE + len(str(name)) + (len(value) if isinstance(value, str) else 0)
        if left < 0:
            return f"is too large, its aliases followed as far as {_place(way)}; leave out what is not needed"
        if len(way) > DEEPEST:
            return f"is nested more than {DEEPEST} levels deep at {_place(way)}, or has an alias for what it is in"
    return ""


def _walk(document: Any) -> Iterator[tuple[list[Any], Any, Any]]:
    """Yield every value, an alias's as often as it is named: the names that lead to it, its own, and it."""
    way: list[Any] = []
    inside: list[Iterator[tuple[Any, Any]]] = [iter([("", document)])]
    while inside:
        step = next(inside[-1], None)
        if step is None:
            inside.pop()
            del way[-1:]
            continue
        yield way, *step
        if isinstance(step[1], Mapping | list):
            way.append(step[0])
            inside.append(iter(step[1].items() if isinstance(step[1], Mapping) else enumerate(step[1])))


def _place(way: Iterable[Any]) -> str:
    """Return names as a path."""
    parts = (f".{name}" if isinstance(name, str) else f"[{name}]" for name in way if name != "")
    return printable(f"${''.join(parts)}"[:200])


_CORE = (
    ("bool", "true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", "[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("null", "~|null|Null|NULL|", ["~", "n", "N", ""]),
)
