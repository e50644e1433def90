"""What vendortap promises to plugins and programs, as lines of text: ``python -m tests.api > tests/api.txt``.

Read from the source, so that it is the same with every Python: names, parameters and fields with their types and
defaults, one line each, so that additions and breaks can be told apart by the lines alone.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterable, Iterator
from pathlib import Path

PACKAGES = ("vendortap", "vendortap.declare")
"""Of these, all that they export; what it is, its own module says."""
MODULES = (
    *PACKAGES,
    "vendortap.declare.auth",
    "vendortap.declare.checks",
    "vendortap.embed.read",
    "vendortap.errors",
    "vendortap.plugins.hookspecs",
    "vendortap.declare.limits",
    "vendortap.declare.model",
    "vendortap.declare.paging",
    "vendortap.declare.request",
    "vendortap.sandbox.kit",
    "vendortap.sandbox.serve",
)
"""Those that are promised as a whole; docs/stability.md names the same."""
NAMES = {
    "vendortap.sandbox.faults": ("Faulty",),
    "vendortap.plugins.extensions": ("auth_flow", "pager"),
    "vendortap.declare.plan": ("in_file", "listed", "since_date"),
    "vendortap.plugins.host": ("load",),
    "vendortap.singer": ("run_tap",),
    "vendortap.testing": ("connector_suite",),
}
"""Of some modules, these names only."""

REQUIRED = " (required)"
Function = ast.FunctionDef | ast.AsyncFunctionDef


def api() -> list[str]:
    """Return all lines, sorted."""
    lines = {f"{package}.{name}" for package in PACKAGES for name in importlib.import_module(package).__all__}
    for module in sorted({*MODULES, *NAMES} - {*PACKAGES}):
        lines |= set(_module(module, _tree(module), NAMES.get(module)))
    return sorted(lines)


def _tree(module: str) -> ast.Module:
    return ast.parse(Path(importlib.import_module(module).__file__ or "").read_text(encoding="utf-8"))


def _module(module: str, tree: ast.Module, names: Iterable[str] | None) -> Iterator[str]:
    for statement in tree.body:
        if names and isinstance(statement, ast.ImportFrom):  # a package has them from its modules
            taken = {alias.name for alias in statement.names}.intersection(names)
            yield from _module(module, _tree(statement.module or ""), taken) if taken else ()
        name = _name(statement)
        if name is not None and (name in names if names else not name.startswith("_")):
            yield from _lines(f"{module}.{name}", statement)


def _name(statement: ast.stmt) -> str | None:
    if isinstance(statement, ast.ClassDef | Function):
        return statement.name
    target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
    return target.id if isinstance(target, ast.Name) else None


def _lines(name: str, statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, Function):
        yield from _function(name, statement)
    elif isinstance(statement, ast.ClassDef):
        yield from _class(name, statement)
    elif isinstance(statement, ast.AnnAssign | ast.Assign):
        yield f"{name}  = {ast.unparse(statement.value)}" if statement.value else name


def _function(name: str, function: Function) -> Iterator[str]:
    returns = ast.unparse(function.returns) if function.returns else "None"
    yield f"{name}  {_marks(function)}() -> {returns}"
    given = function.args
    places = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(places) - len(given.defaults)) + list(given.defaults)
    for place, (argument, default) in enumerate(zip(places, defaults, strict=True)):
        if argument.arg != "self":
            yield f"{name}  {place}: {_described(argument.arg, argument.annotation, default)}"
    for argument, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        yield f"{name}  keyword: {_described(argument.arg, argument.annotation, default)}"
    yield from (f"{name}  *{rest.arg}" for rest in (given.vararg,) if rest)
    yield from (f"{name}  **{rest.arg}" for rest in (given.kwarg,) if rest)


def _class(name: str, statement: ast.ClassDef) -> Iterator[str]:
    yield f"{name}  {_marks(statement)}class({', '.join(map(ast.unparse, statement.bases))})"
    for member in statement.body:
        inner = _name(member)
        if inner is None or (inner.startswith("_") and inner != "__init__"):
            continue
        if isinstance(member, ast.AnnAssign):
            yield f"{name}  field: {_described(inner, member.annotation, member.value)}"
        else:
            yield from _lines(f"{name}.{inner}", member)


def _marks(statement: Function | ast.ClassDef) -> str:
    return "".join(f"@{ast.unparse(mark)} " for mark in statement.decorator_list)


def _described(name: str, annotation: ast.expr | None, default: ast.expr | None) -> str:
    typed = f"{name}: {ast.unparse(annotation)}" if annotation else name
    return f"{typed}{REQUIRED}" if default is None else f"{typed} = {ast.unparse(default)}"


def step(promised: Iterable[str], now: Iterable[str]) -> str:
    """Return the step that Semantic Versioning asks for, from 1.0 on: ``major``, ``minor`` or ``patch``.

    A line that is gone or changed breaks somebody. So does a further parameter or field without a default, but for
    those of what is new itself.
    """
    before, after = set(promised), set(now)
    known = {_owner(line) for line in before}
    if before - after or any(line.endswith(REQUIRED) and _owner(line) in known for line in after - before):
        return "major"
    return "minor" if after - before else "patch"


def _owner(line: str) -> str:
    """Return the function or class that a line belongs to."""
    return line.partition("  ")[0]


if __name__ == "__main__":
    print("\n".join(api()))  # noqa: T201 - a command
