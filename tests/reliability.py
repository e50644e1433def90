"""What the tests promise: collected while they run, and written into docs/reliability.md.

A test that holds a promise says so, by a marker or while it runs; a figure says how much was tried::

    @pytest.mark.promise("No redirect carries credentials to another host", figure="20 redirects")
    def test_…

    def test_…(record_property):
        record_property("promise", "A killed run loses no invoice")
        record_property("figure", f"{kills} kills survived")

A figure belongs to the promise before it, and is a text, best of the form ``<number> <what>``: numbers of the same
what are added up over all tests and cases that hold the promise. Without figures the cases are counted.

``pytest --reliability=FILE`` writes what the tests that passed promise as JSON, with xdist too.
``python -m tests.reliability FILE`` prints docs/reliability.md made of it; with ``--check`` it only says whether
that document names the same promises and tests.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "reliability.md"
HEAD = """\
# Reliability

What vendortap promises, each promise beside the tests that hold it and the figure they came to. This page is made of a
run of the tests by `make reliability`; `.ci/run` fails where it names other promises or tests than the run does.

| promise | figure | held by |
|---|---|---|
"""
_NUMBER = re.compile(r"([0-9][0-9,]*)(?: (.*))?", re.DOTALL)
_ROW = re.compile(r"^\| (?P<promise>.+) \| (?P<figure>.*) \| (?P<tests>\[.+) \|$", re.MULTILINE)
_LINK = re.compile(r"\[`([^`]+)`\]\(\.\./([^)]+)\)")


@dataclass(frozen=True)
class Held:
    """One case of a test that held a promise; ``test`` is the test's id without the case."""

    test: str
    promise: str
    figure: str | None = None


# --- while the tests run -----------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that says where to write to."""
    parser.addoption("--reliability", metavar="FILE", help="write what the tests that passed promise, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, and collect where somebody wants to know; of xdist's processes the first one does."""
    config.addinivalue_line("markers", "promise(text, figure=None): what the test holds, for docs/reliability.md")
    if (path := config.getoption("--reliability")) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Collector(Path(path)))


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """Turn markers into properties, which a test may have of itself, too."""
    for item in items:
        for mark in item.iter_markers("promise"):
            item.user_properties.append(("promise", mark.args[0]))
            if figure := mark.kwargs.get("figure"):
                item.user_properties.append(("figure", figure))


class _Collector:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.held: dict[str, list[Held]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self.held[report.nodeid] = list(of_properties(report.nodeid, report.user_properties))

    def pytest_sessionfinish(self) -> None:
        cases = [self.held[node] for node in sorted(self.held)]  # whichever process was done first
        rows = [[held.test, held.promise, held.figure] for case in cases for held in case]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(rows, indent=1), encoding="utf-8")


def of_properties(node: str, properties: Iterable[tuple[str, Any]]) -> Iterator[Held]:
    """Yield what a case held, of its id and its properties."""
    test = node.partition("[")[0]
    promise, figures = None, 0
    for name, value in properties:
        if name == "promise":
            if promise is not None and not figures:
                yield Held(test, promise)
            promise, figures = str(value), 0
        elif name == "figure" and promise is not None:
            figures += 1
            yield Held(test, promise, str(value))
    if promise is not None and not figures:
        yield Held(test, promise)


# --- the document ------------------------------------------------------------------------------------


def read(path: Path) -> list[Held]:
    """Read what a run wrote."""
    return [Held(*row) for row in json.loads(path.read_text(encoding="utf-8"))]


def render(held: Sequence[Held]) -> str:
    """Return the document: promises in the order of the tests that hold them."""
    promises: dict[str, list[Held]] = {}
    for one in sorted(held, key=lambda one: (one.test, one.promise)):
        promises.setdefault(one.promise, []).append(one)
    return HEAD + "".join(
        f"| {_cell(promise)} | {_cell(figure(cases))} | {', '.join(_links(cases))} |\n"
        for promise, cases in promises.items()
    )


def figure(cases: Sequence[Held]) -> str:
    """Add up the figures of a promise; without any, its cases."""
    told = [case.figure for case in cases if case.figure is not None] or ["1 case"] * len(cases)
    sums: dict[str, int] = {}
    texts: dict[str, None] = {}
    for text in told:
        if found := _NUMBER.fullmatch(text):
            what = found[2] or ""
            sums[what] = sums.get(what, 0) + int(found[1].replace(",", ""))
        else:
            texts[text] = None
    if sums.get("case", 0) > 1:
        sums["cases"] = sums.pop("case")
    return "; ".join([*(f"{number:,} {what}".rstrip() for what, number in sums.items()), *texts])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _links(cases: Iterable[Held]) -> Iterator[str]:
    for test in dict.fromkeys(case.test for case in cases):
        path, _, name = test.partition("::")
        yield f"[`{name}`](../{path})"


def named(document: str) -> set[tuple[str, str]]:
    """Return the pairs of promise and test that the document names."""
    return {
        (row["promise"], f"{path}::{name}")
        for row in _ROW.finditer(document)
        for name, path in _LINK.findall(row["tests"])
    }


def main(arguments: Sequence[str]) -> int:
    """Print the document of a run, or say how the one in the tree differs from it."""
    check = "--check" in arguments
    (path,) = [Path(argument) for argument in arguments if argument != "--check"]
    document = render(read(path))
    if not check:
        sys.stdout.write(document)
        return 0
    there, here = named(DOCUMENT.read_text(encoding="utf-8")), named(document)
    for promise, test in sorted(there ^ here):
        side = "no test that passed holds" if (promise, test) in there else "docs/reliability.md does not have"
        print(f"{side}: {promise} ({test})")  # noqa: T201 - what a command says
    if there != here:
        print("`make reliability` makes docs/reliability.md anew.")  # noqa: T201 - likewise
        return 1
    print(f"docs/reliability.md names the {len(here)} promises and tests of this run.")  # noqa: T201 - likewise
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
