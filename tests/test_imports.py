"""The rooms: import-linter checks what they import; here, that it checks all of them, and that the tests follow."""

from __future__ import annotations

import subprocess
import sysconfig
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "framework" / "vendortap"
TESTS = ROOT / "tests"
ACROSS = {"benchmarks", "connectors", "crashes", "faults", "fuzz", "integration", "soak"}
"""Folders of tests that are of no single room."""
LONGEST = 600
CONNECTORS = sorted(path.parent.name for path in (ROOT / "connectors").glob("tap_*/__init__.py"))


@pytest.fixture(scope="module")
def linter() -> dict[str, Any]:
    """import-linter's configuration."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found: dict[str, Any] = document["tool"]["importlinter"]
    return found


def contract(linter: dict[str, Any], word: str) -> dict[str, Any]:
    """Return the contract whose name holds the word."""
    (found,) = (entry for entry in linter["contracts"] if word in entry["name"])
    result: dict[str, Any] = found
    return result


def test_every_contract_is_kept() -> None:
    command = [str(Path(sysconfig.get_path("scripts")) / "lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("package", CONNECTORS)
def test_every_connector_is_held_by_the_contracts(linter: dict[str, Any], package: str) -> None:
    assert package in linter["root_packages"]
    for word in ("singer_sdk", "requests", "declaration"):
        assert package in contract(linter, word)["source_modules"]
    assert package in contract(linter, "Connectors")["modules"]
    if (ROOT / "connectors" / package / "sandbox.py").exists():
        sandboxes = contract(linter, "sandbox")
        assert f"{package}.sandbox" in sandboxes["source_modules"]
        assert package in sandboxes["forbidden_modules"]


def test_the_package_is_the_api_the_errors_and_the_rooms_of_the_contract(linter: dict[str, Any]) -> None:
    layers = [layer.split(" | ") for layer in contract(linter, "rooms point down")["layers"]]
    names = sorted(name for layer in layers for name in layer)
    rooms = [f"{name}.py" if name == "errors" else name for name in names]
    there = [path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"]
    assert sorted(there) == sorted(["__init__.py", "py.typed", *rooms])
    assert all((PACKAGE / room / "__init__.py").exists() for room in rooms if room != "errors.py")


def test_the_tests_have_the_rooms_of_the_package() -> None:
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    folders = {path.relative_to(TESTS).parts[0] for path in TESTS.glob("*/**/*.py")}
    assert folders == rooms | ACROSS
    assert sorted(path.name for path in (TESTS / "connectors").glob("[!_]*")) == [
        package.removeprefix("tap_") for package in CONNECTORS
    ]


@pytest.mark.parametrize("module", sorted(TESTS.rglob("*.py")), ids=lambda path: path.relative_to(TESTS).as_posix())
def test_no_module_of_the_tests_is_too_long_to_read(module: Path) -> None:
    lines = len(module.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST, "split it: a module for each subject, and what they share in a kit.py beside them"
