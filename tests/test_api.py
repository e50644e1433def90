"""What is promised to plugins and programs stays as it is, or changes with a version that says so."""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Callable
from importlib.metadata import EntryPoint, version
from pathlib import Path
from types import FunctionType

import pytest
from typing_extensions import deprecated

import vendortap
from tests.api import MODULES, NAMES, api, step
from vendortap.plugins import host
from vendortap.plugins.host import Plugin

ROOT = Path(__file__).resolve().parents[1]
PROMISED = (ROOT / "tests" / "api.txt").read_text(encoding="utf-8").splitlines()
BREAKS = {
    "major": "This BREAKS what is promised: deprecate first (docs/stability.md), or raise the first number of the "
    "version; before 1.0, the second",
    "minor": "This adds to what is promised: raise the second number of the version; before 1.0, the third",
    "patch": "",
}


@pytest.mark.promise("What plugins and programs may use does not change unseen: names, parameters, fields, defaults")
def test_the_public_interface_is_what_was_promised() -> None:
    now = api()
    gone, new = sorted(set(PROMISED) - set(now)), sorted(set(now) - set(PROMISED))
    changes = "\n".join([*(f"- {line}" for line in gone), *(f"+ {line}" for line in new)])
    assert now == PROMISED, (
        f"{BREAKS[step(PROMISED, now)]}. Write it into CHANGELOG.md, and then: "
        f"python -m tests.api > tests/api.txt\n{changes}"
    )


def test_all_that_is_exported_is_there_and_promised() -> None:
    assert {f"vendortap.{name}" for name in vendortap.__all__} <= set(PROMISED)
    for name in vendortap.__all__:
        assert getattr(vendortap, name) is not None


def test_the_paper_names_what_is_promised() -> None:
    text = (ROOT / "docs" / "stability.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(vendortap[\w.]*)` \| (.*?) \|", text, re.MULTILINE))
    assert rows.keys() == {*MODULES, *NAMES}
    for module, names in NAMES.items():
        assert set(re.findall(r"`(\w+)`", rows[module])) == set(names)


OLD = ["m.f  () -> int", "m.f  0: a: int (required)", "m.C  class()", "m.C  field: x: int (required)"]


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (OLD, "patch"),
        (OLD[1:], "major"),
        ([*OLD[:1], "m.f  0: a: str (required)", *OLD[2:]], "major"),
        ([*OLD, "m.f  keyword: b: int = 1"], "minor"),
        ([*OLD, "m.f  keyword: b: int (required)"], "major"),
        ([*OLD, "m.C  field: y: int (required)"], "major"),
        ([*OLD, "m.C  field: y: int = 0"], "minor"),
        ([*OLD, "m.g  () -> int", "m.g  0: a: int (required)"], "minor"),
        ([*OLD, "m.C.method  () -> int"], "minor"),
    ],
)
def test_what_a_change_means(now: list[str], expected: str) -> None:
    assert step(OLD, now) == expected


# --- deprecations ------------------------------------------------------------------------------------


REMOVED_IN = re.compile(r"vendortap: .+ is deprecated since ([0-9.]+) and is removed in ([0-9.]+); use .+")


def test_what_a_plugin_uses_that_is_deprecated_is_shown_at_its_own_line_when_plugins_are_checked() -> None:
    @deprecated("vendortap: old is deprecated since 0.2.0 and is removed in 0.4.0; use new")
    def old(_: Plugin) -> None:
        """Do nothing."""

    plugin = Plugin("acme", EntryPoint("acme", "tap_acme", "vendortap.connectors"))
    with pytest.warns(DeprecationWarning, match=REMOVED_IN) as caught:
        assert _silently(lambda: host.problems_of({"acme": plugin}, lambda found: old(found))) == {"acme": None}
    assert [warning.filename for warning in caught] == [__file__]


def _silently(run: Callable[[], object]) -> object:
    """Run what would show no warning by itself, as a command does."""
    warnings.simplefilter("ignore")
    return run()


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:3])


def test_nothing_that_is_deprecated_outlives_its_version() -> None:
    for module in map(importlib.import_module, [*MODULES, *NAMES]):
        for name, value in vars(module).items():
            if text := vars(value).get("__deprecated__") if isinstance(value, type | FunctionType) else None:
                found = REMOVED_IN.fullmatch(text)
                assert found, f"{name} does not say when it is removed, and what to use: {text}"
                assert _numbers(found[1]) < _numbers(found[2]), text
                assert _numbers(version("vendortap")) < _numbers(found[2]), f"remove it: {text}"
