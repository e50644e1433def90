"""Lays drafts out as people write them: Python by ruff, a schema with a property on one line, if it fits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vendortap.errors import VendortapError
from vendortap.support.environment import for_tool

WIDTH = 120
_RUFF = (sys.executable, "-m", "ruff")
_OPTIONS = ("--isolated", "--no-cache", "--no-respect-gitignore", "--quiet", f"--config=line-length={WIDTH}", ".")
# In an __init__.py ruff takes an unused import for an export, but for these two options and a section of its own.
_IMPORTS = (
    *("check", "--select=F401,I", "--fix", "--preview", "--unsafe-fixes", "--output-format=concise"),
    "--config=lint.isort.split-on-trailing-comma=false",
    "--config=lint.isort.sections={vendortap=['vendortap']}",
    "--config=lint.isort.section-order=['future','standard-library','third-party','vendortap','first-party']",
)


def tidy(folder: Path) -> None:
    """Lay out the Python in a folder: imports that nothing uses go, the others are sorted, lines are broken.

    Raises:
        VendortapError: it is no sound Python, so the template or what filled it in is wrong.
    """
    for command in (_IMPORTS, ("format",)):
        done = subprocess.run(  # noqa: S603 - of this environment
            [*_RUFF, *command, *_OPTIONS], cwd=folder, capture_output=True, text=True, env=for_tool(os.environ)
        )
        if done.returncode:
            said = (done.stdout + done.stderr).strip()
            raise VendortapError(f"the draft is no sound Python, a mistake of vendortap; report it: {said}")


def dumps(document: Any) -> str:
    """Return JSON with a line end; what holds properties is spread out, what else fits on a line stands on one."""
    return f"{_text(document, '', 0)}\n"


def _text(value: Any, indent: str, used: int, *, spread: bool = False) -> str:
    """``used`` is the length of what stands before the value on its line; ``spread`` forbids one line for it."""
    flat = json.dumps(value, ensure_ascii=False)
    fits = not spread and used + len(flat) < WIDTH and _short(value)
    if not isinstance(value, Mapping | list) or not value or fits:
        return flat
    inner = f"{indent}  "
    if isinstance(value, Mapping):
        return _members(value, indent, inner)
    lines = [f"{inner}{_text(entry, inner, len(inner))}" for entry in value]
    return "[\n" + ",\n".join(lines) + f"\n{indent}]"


def _members(value: Mapping[str, Any], indent: str, inner: str) -> str:
    if "description" in value and _short(value):
        return _described(value, inner)
    heads = {name: f"{inner}{json.dumps(name, ensure_ascii=False)}: " for name in value}
    lines = [
        f"{head}{_text(value[name], inner, len(head), spread=name == 'properties')}" for name, head in heads.items()
    ]
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def _described(value: Mapping[str, Any], inner: str) -> str:
    """Return a property that is too long for one line: its description, which comes last, on a second one."""
    head = {keyword: part for keyword, part in value.items() if keyword != "description"}
    description = json.dumps(value["description"], ensure_ascii=False)
    return f'{json.dumps(head, ensure_ascii=False)[:-1]},\n{inner}"description": {description}}}'


def _short(value: Any) -> bool:
    """Whether a value reads well on one line: no properties in it, and it is no whole schema."""
    if isinstance(value, Mapping):
        return "$schema" not in value and "properties" not in value and all(map(_short, value.values()))
    return True
