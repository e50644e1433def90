"""What the operator's stream maps do to a stream, read from the setting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any


def masks(setting: Any, stream: str, names: Iterable[str]) -> bool:
    """Whether a stream map (the SDK's ``stream_maps``) replaces or removes one of these properties of a stream."""
    if not isinstance(setting, Mapping):
        return False
    wanted = list(names)
    for alias, definition in setting.items():
        if not isinstance(definition, Mapping):
            continue
        if not fnmatchcase(stream, str(definition.get("__source__", alias))):
            continue
        removes_others = "__else__" in definition and definition["__else__"] is None
        if any(definition.get(name, None if removes_others else name) != name for name in wanted):
            return True
    return False
