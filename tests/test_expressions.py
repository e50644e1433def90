"""Every regular expression takes linear time: none is slow, whatever text a vendor sends."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.pumping import slow_text
from vendortap.declare import empty
from vendortap.declare.model import Node, RecordSelector
from vendortap.decode import xml_rows
from vendortap.decode.values import Dates
from vendortap.duckdb import quick
from vendortap.plugins import host, validation
from vendortap.scaffold import document
from vendortap.support import files
from vendortap.sync import context

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {
    ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__"): path
    for folder in (ROOT / "framework", ROOT / "connectors")
    for path in sorted(folder.rglob("*.py"))
}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in SOURCES.items()}
METHODS = ("match", "fullmatch", "search", "sub", "subn", "split", "finditer", "findall")
CONNECTORS = ("amazon-vendor", "ingram-micro", "midnight", "scansource", "visiblescm")


@dataclass(frozen=True)
class Use:
    """A pattern, and a method that it is used by."""

    place: str
    pattern: re.Pattern[Any]
    method: str


# --- those that are written down ---------------------------------------------------------------------


def calls_of_re(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """The calls of functions of ``re`` in a piece of code, and their names."""
    for node in ast.walk(tree):
        function = node.func if isinstance(node, ast.Call) else None
        is_of_re = isinstance(function, ast.Attribute) and _last_name(function.value) == "re"
        if isinstance(node, ast.Call) and is_of_re and _last_name(node.func) in (*METHODS, "compile"):
            yield _last_name(node.func), node


def methods_of(name: str) -> list[str]:
    """By which methods a pattern is used anywhere: ``_DOMAIN.finditer``, ``fake_data.PERSONAL.search``."""
    found = {
        node.attr
        for tree in TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in METHODS and _last_name(node.value) == name
    }
    return sorted(found) or ["search"]  # where it is handed to a function


def _last_name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def named() -> Iterator[tuple[str, ast.Call, list[Use]]]:
    """The patterns that modules have under a name, with the calls that made them."""
    for module, tree in TREES.items():
        for node in (node for node in tree.body if isinstance(node, ast.Assign)):
            for _, call in calls_of_re(node):
                name = _last_name(node.targets[0])
                made = getattr(importlib.import_module(module), name)
                is_method = callable(made)
                methods = [made.__name__] if is_method else methods_of(name)
                patterns = [made.__self__] if is_method else [*made] if isinstance(made, tuple) else [made]
                place = f"{module}:{name}"
                yield place, call, [Use(place, pattern, method) for pattern in patterns for method in methods]


def inline() -> Iterator[tuple[str, ast.Call, list[Use]]]:
    """The patterns that are written where they are used; those that are made there have no uses here."""
    known = {call for _, call, _ in NAMED}
    for module, tree in TREES.items():
        for function in ast.walk(tree):
            for method, call in calls_of_re(function) if isinstance(function, ast.FunctionDef) else ():
                if call not in known:
                    known.add(call)
                    place = f"{module}:{function.name}"  # type: ignore[attr-defined] # a function has one
                    yield place, call, list(uses_of(place, method, call))


def uses_of(place: str, method: str, call: ast.Call) -> Iterator[Use]:
    first = call.args[0]
    if isinstance(first, ast.Constant) and method != "compile":
        flags = [getattr(re, _last_name(a)) for a in call.args[2:] if isinstance(a, ast.Attribute)]
        yield Use(place, re.compile(first.value, *flags), method)


NAMED = list(named())
INLINE = list(inline())

# --- those that are made -----------------------------------------------------------------------------


class Recorder:
    """Stands for the module ``re`` in another module, and keeps what is compiled."""

    def __init__(self) -> None:
        self.made: list[re.Pattern[Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(re, name)

    def compile(self, *arguments: Any) -> re.Pattern[Any]:
        self.made.append(re.compile(*arguments))
        return self.made[-1]


def recorded(module: Any, make: Callable[[], object]) -> list[re.Pattern[Any]]:
    """What a module compiles while something is made."""
    recorder = module.re = Recorder()
    try:
        make()
    finally:
        module.re = re
    return list({pattern.pattern: pattern for pattern in recorder.made}.values())


def streams() -> Iterator[tuple[Node, RecordSelector]]:
    """The schemas of the records of all streams of the connectors, and where they are."""
    for name in CONNECTORS:
        connector = host.load(name)
        properties = validation.settings(connector)["properties"]
        config = {key: value.get("default") for key, value in properties.items()}
        for stream in connector.streams:
            row = validation.shapes(connector)[stream.name].record
            yield row, context.record_selector_of(stream, config)


DATES = Dates()
MADE: dict[tuple[str, ...], Callable[[], list[tuple[re.Pattern[Any], str]]]] = {}
"""Where patterns are made of something: which come of it here, and how they are used."""


Made = Callable[[], list[tuple[re.Pattern[Any], str]]]


def made_by(*places: str) -> Callable[[Made], Made]:
    def note(make: Made) -> Made:
        MADE[places] = make
        return make

    return note


@made_by("vendortap.declare.empty:childless")
def _childless() -> list[tuple[re.Pattern[Any], str]]:
    made = recorded(empty, lambda: empty.childless("ArrayOf*", "Invoices"))
    return [(pattern, "fullmatch") for pattern in made]


@made_by("vendortap.decode.envelope:_has_alike")
def _alike() -> list[tuple[re.Pattern[Any], str]]:
    between = "[^A-Za-z0-9]{0,2}"
    return [(re.compile(between.join(name).encode(), re.IGNORECASE), "finditer") for name in ("nexttoken", "aaaa")]


@made_by(
    "vendortap.decode.xml_rows:_beginning",
    "vendortap.decode.xml_rows:_record_reader",
    "vendortap.decode.xml_rows:__init__",
)
def _xml_rows() -> list[tuple[re.Pattern[Any], str]]:
    made = recorded(xml_rows, _make_expressions)
    return [(pattern, _method_in_xml(pattern.pattern)) for pattern in made]


def _make_expressions() -> None:
    """Make the expressions of each stream: in the order of its schema, and in one that pages have shown."""
    for row, where in streams():
        xml_rows._beginning(where.path, row.xml_name)
        for order in ({}, _backwards(row, ())):
            xml_rows._record_reader(row, DATES, order)


def _backwards(node: Node, path: tuple[str, ...]) -> dict[tuple[str, ...], list[str]]:
    """All elements in another order, and some that are not declared between them."""
    names = [tag for name in reversed(xml_rows._members(node)) for tag in (name, f"{name}.{len(path)}")]
    order = {path: names}
    for name, member in node.fields.items():
        inner = member.item or member
        if inner.kind == "object":
            order |= _backwards(inner, (*path, name))
    return order


def _method_in_xml(pattern: bytes) -> str:
    """How xml_rows uses a pattern: to find a list, to tell items apart, or from a place on."""
    if b"(?=<(" in pattern:
        return "search"
    return "sub" if pattern.startswith(b"</") else "match"


@made_by("vendortap.duckdb.quick:_fits")
def _amounts() -> list[tuple[re.Pattern[Any], str]]:
    sizes = ((38, 9, True), (9, 0, False), (4, 4, True))
    made = recorded(quick, lambda: [quick._fits(size) for size in sizes])
    return [(pattern, "fullmatch") for pattern in made]


@made_by("vendortap.scaffold.names:key")
def _keys() -> list[tuple[re.Pattern[Any], str]]:
    return [(re.compile("(invoice|document|bill)?(ref)?(number|id|guid|uuid|no|key)"), "fullmatch")]


@made_by("vendortap.scaffold.document:_parse")
def _scalars() -> list[tuple[re.Pattern[Any], str]]:
    return [(re.compile(rf"(?:{pattern})\Z"), "match") for _, pattern, _ in document._CORE]


@made_by("vendortap.support.files:remove_temporary")
def _temporary() -> list[tuple[re.Pattern[Any], str]]:
    return [(pattern, "fullmatch") for pattern in recorded(files, lambda: files.remove_temporary(ROOT / ".ci", "x.*"))]


@made_by("tap_amazon_vendor.sandbox:_restricted_path")
def _restricted() -> list[tuple[re.Pattern[Any], str]]:
    return [(re.compile(r"/vendor/(v1|2021)/customerInvoices(/(\{number\}|[a-zA-Z0-9]+))?"), "fullmatch")]


# --- the tests ---------------------------------------------------------------------------------------


def test_every_expression_is_looked_at() -> None:
    made = {place for place, _, uses in INLINE if not uses}
    assert made == {place for places in MADE for place in places}
    calls = {call for tree in TREES.values() for _, call in calls_of_re(tree)}
    assert calls == {call for _, call, _ in (*NAMED, *INLINE)}
    assert len(calls) > 80


@pytest.mark.promise("No regular expression takes more than linear time, whatever a vendor sends")
@pytest.mark.parametrize(
    "use",
    [pytest.param(use, id=f"{use.place} {use.method}") for _, _, uses in (*NAMED, *INLINE) for use in uses],
)
def test_expressions_that_are_written_down_are_linear(use: Use) -> None:
    assert slow_text(use.pattern, use.method) is None


@pytest.mark.promise("No regular expression takes more than linear time, whatever a vendor sends")
@pytest.mark.parametrize("places", MADE, ids=lambda places: places[0])
def test_expressions_that_are_made_are_linear(places: tuple[str, ...]) -> None:
    made = MADE[places]()
    assert made
    for pattern, method in made:
        assert slow_text(pattern, method) is None, pattern.pattern


@pytest.mark.parametrize(
    ("pattern", "method"),
    [
        (r"[\w.+-]+@[\w-]+(\.[\w-]+)+", "search"),
        (r"[\w.+-]+@[\w-]+(\.[\w-]+)+", "sub"),
        (r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", "fullmatch"),
        (r"next.*(token|cursor)|cursor", "search"),
        (r"\s+$", "search"),
        (r"(a+)+$", "match"),
        (r"(?:a|a)*b", "match"),
        (rb'"[^:]*:', "search"),
    ],
)
def test_an_expression_that_is_not_linear_is_found_out(pattern: str, method: str) -> None:
    assert slow_text(re.compile(pattern), method)
