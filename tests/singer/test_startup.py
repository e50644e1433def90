"""What a start imports: what it does not need costs time and memory in every run, and creeps in unseen."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vendortap.plugins import host

CONNECTORS = list(host.find())
LAST_LINE = "import atexit, sys; atexit.register(lambda: print('\\n' + ' '.join(sys.modules), file=sys.stderr)); "
TAP = LAST_LINE + "from vendortap.singer import run_tap; run_tap({0!r}, sys.argv[1:])"
COMMAND = LAST_LINE + "from vendortap.cli import main; main()"
SLOW = {"singer_sdk", "requests", "urllib3", "lxml", "xmltodict", "jsonschema", "msgspec", "rich", "duckdb", "uvicorn"}
"""What `vendortap list` does without; a declaration is read without the half of it that it says nothing of."""
SPARED = {"lxml", "xmltodict", "sqlite3", "zoneinfo", "rich", "puremagic", "vendortap.http", "vendortap.http.connect"}
"""What discovery does without, though a sync may need it."""

Loaded = Callable[..., set[str]]


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    """Run a program in an interpreter of its own, and return the modules that it has imported when it ends."""

    def run(program: str, *arguments: str, path: str = "") -> set[str]:
        command = [sys.executable, "-c", program, *arguments]
        env = {**os.environ, "PYTHONPATH": path}
        done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return set(done.stderr.splitlines()[-1].split())

    return run


def third_party(modules: set[str]) -> set[str]:
    return {top for module in modules if (top := module.partition(".")[0]) not in sys.stdlib_module_names}


@pytest.fixture(scope="module")
def fifty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifty installed plugins, each of which ends the program when it is imported."""
    site = tmp_path_factory.mktemp("fifty")
    for number in range(50):
        name = f"vendor_{number}"
        (site / f"{name}.py").write_text(f"raise SystemExit('{name} is imported')\n")
        metadata = site / f"tap_{name}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: tap-{name}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[{host.GROUP}]\nvendor-{number} = {name}\n")
    return site


@pytest.mark.parametrize("arguments", [["list"], ["--help"], ["list", "--help"]])
def test_what_fetches_nothing_imports_no_plugin_and_nothing_slow(
    arguments: list[str], fifty: Path, loaded: Loaded
) -> None:
    modules = loaded(COMMAND, *arguments, path=str(fifty))
    assert "vendortap.plugins" in modules
    assert not {module for module in modules if module.startswith(("vendor_", "tap_"))}
    assert not modules & SLOW


def test_fifty_plugins_are_listed(fifty: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vendortap.cli", "list"]
    env = {**os.environ, "PYTHONPATH": str(fifty)}
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path, timeout=60, check=True)
    names = {line.split()[0] for line in done.stdout.splitlines()[1:]}
    assert names == {*CONNECTORS, *(f"vendor-{number}" for number in range(50))}


@pytest.mark.parametrize("name", CONNECTORS)
def test_a_declaration_imports_neither_singer_nor_the_network_nor_xml(name: str, loaded: Loaded) -> None:
    modules = loaded(LAST_LINE + f"import {host.find()[name].entry_point.module}")
    assert "vendortap.declare.model" in modules
    assert not modules & (SLOW - {"msgspec"} | SPARED)


def test_nothing_is_collected_while_a_tap_imports_and_all_that_it_runs_with_is(loaded: Loaded) -> None:
    """About a tenth of the time that a start takes, looking for garbage that there is none of."""
    shown = "print(gc.isenabled(), gc.get_freeze_count() > 50_000, sum(s['collections'] for s in gc.get_stats()) < 60"
    told = f"import atexit, gc, sys; atexit.register(lambda: {shown}, file=sys.stderr)); "
    assert loaded(told + TAP.removeprefix(LAST_LINE).format("scansource"), "--discover") == {"True"}


@pytest.mark.parametrize("name", CONNECTORS)
def test_discovery_imports_little_beyond_singer_sdk(name: str, loaded: Loaded) -> None:
    modules = loaded(TAP.format(name), "--discover")
    assert f"vendortap_schemas.{name.replace('-', '_')}" in modules
    assert not modules & SPARED
    ours = {"vendortap", "vendortap_schemas", host.find()[name].entry_point.module, "msgspec", "pluggy"}
    assert third_party(modules - loaded(LAST_LINE + "import singer_sdk")) - ours == set()
