"""The contracts of imports: import-linter checks them, and here is checked that they have every connector."""

from __future__ import annotations

import subprocess
import sysconfig
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
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
