"""The plugin in examples/ is a distribution of its own: built, put on the path beside this environment, and used."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ACME = ROOT / "examples" / "tap-acme"
VENDORTAP = str(Path(sysconfig.get_path("scripts")) / "vendortap")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the example's wheel is unpacked in, which is all that pip does to one but for scripts."""
    folder = tmp_path_factory.mktemp("acme")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder / "dist")]
    subprocess.run(build, cwd=ACME, check=True, capture_output=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    shutil.unpack_archive(wheel, folder / "site", "zip")
    return folder / "site"


def run(command: list[str], folder: Path, site: Path) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment = {**kept, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_the_plugin_is_found_and_sound(site: Path, tmp_path: Path) -> None:
    done = run([VENDORTAP, "list", "--check"], tmp_path, site)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^acme +tap-acme 0\.1\.0 +ok$", done.stdout, re.MULTILINE), done.stdout


def test_the_plugin_is_described_and_discovered_like_any_other(site: Path, tmp_path: Path) -> None:
    page = run([VENDORTAP, "describe", "acme", "--markdown"], tmp_path, site).stdout
    assert page.startswith("# Acme\n")
    discovered = run([sys.executable, "-m", "tap_acme", "--discover"], tmp_path, site)
    assert {entry["tap_stream_id"] for entry in json.loads(discovered.stdout)["streams"]} == {
        "invoices",
        "invoice_details",
    }


def test_the_plugin_takes_part_in_the_demo(site: Path, tmp_path: Path) -> None:
    done = run([VENDORTAP, "demo", "--connector", "acme", "--invoices", "40"], tmp_path, site)
    assert done.returncode == 0, done.stderr
    assert "40 rows in acme.invoice_details  = sandbox" in done.stdout


def test_the_plugin_passes_its_own_tests(site: Path, tmp_path: Path) -> None:
    shutil.copytree(ACME / "tests", tmp_path / "tests")
    done = run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"], tmp_path, site)
    assert re.search(r"^\d{2,} passed, 1 skipped in ", done.stdout, re.MULTILINE), done.stdout + done.stderr


def test_the_declaration_is_short() -> None:
    """But for the names that it imports, which stand one a line."""
    text = (ACME / "tap_acme" / "__init__.py").read_text(encoding="utf-8")
    (imports,) = (node for node in ast.parse(text).body if isinstance(node, ast.ImportFrom))
    assert imports.end_lineno is not None
    assert len(text.splitlines()[imports.end_lineno :]) <= 45
