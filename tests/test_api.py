"""What is promised to plugins and programs stays as it is, or changes with a version that says so."""

from __future__ import annotations

import re
import warnings
from importlib.metadata import version
from pathlib import Path

import pytest

import vendortap
from tests.api import MODULES, NAMES, api, step
from vendortap.support import deprecation
from vendortap.support.deprecation import Deprecation, deprecate, deprecated

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


def test_who_uses_what_is_deprecated_is_warned_at_his_own_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deprecation, "DEPRECATIONS", [])

    @deprecated(since="0.2.0", removed_in="0.4.0", instead="vendortap.declare.paging.page_number")
    def numbered(size: int) -> int:
        """Count."""
        return size + 1

    sentence = "is deprecated since 0.2.0 and is removed in 0.4.0; use vendortap.declare.paging.page_number"
    with pytest.warns(DeprecationWarning, match=f"^vendortap: .*numbered {sentence}$") as caught:
        assert numbered(size=2) == 3
    assert caught[0].filename == __file__
    assert (numbered.__name__, numbered.__doc__) == ("numbered", "Count.")
    assert sentence in numbered.__deprecated__  # type: ignore[attr-defined] # PEP 702
    assert [item.removed_in for item in deprecation.DEPRECATIONS] == ["0.4.0"]


def test_what_is_no_function_warns_as_well() -> None:
    def declare(old: int | None = None) -> None:
        if old is not None:
            deprecate(Deprecation("the argument 'old' of declare", "0.2.0", "0.4.0", "'new'"))

    with pytest.warns(DeprecationWarning, match="vendortap: the argument 'old' of declare is deprecated") as caught:
        declare(old=1)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        declare()


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:3])


def test_nothing_that_is_deprecated_outlives_its_version() -> None:
    for item in deprecation.DEPRECATIONS:
        assert _numbers(item.since) < _numbers(item.removed_in), item
        assert _numbers(version("vendortap")) < _numbers(item.removed_in), f"remove it: {item}"
