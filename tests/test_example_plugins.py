"""The plugins in examples/hooks are a distribution of their own: built, put on the path, and used."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import environment, executable

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "hooks"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the wheel is unpacked in, which is all that pip does to one but for scripts."""
    folder = tmp_path_factory.mktemp("plugins")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder / "dist")]
    subprocess.run(build, cwd=EXAMPLE, check=True, capture_output=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    shutil.unpack_archive(wheel, folder / "site", "zip")
    return folder / "site"


def run(command: list[str], folder: Path, site: Path) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in environment().items() if not name.startswith("PYTEST_")}
    env = {**kept, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


def test_every_plugin_is_found_and_sound(site: Path, tmp_path: Path) -> None:
    done = run([executable("vendortap"), "list", "--check"], tmp_path, site)
    assert done.returncode == 0, done.stderr
    for name in ("ledger", "audit", "csv", "hmac", "link", "mask", "x12"):
        assert re.search(rf"^{name} +vendortap-examples 0\.1\.0 +ok$", done.stdout, re.MULTILINE), done.stdout


def test_the_plugins_pass_their_own_tests(site: Path, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE / "tests", tmp_path / "tests")
    done = run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"], tmp_path, site)
    assert re.search(r"^7 passed in ", done.stdout, re.MULTILINE), done.stdout + done.stderr


def test_every_kind_of_hook_has_an_example() -> None:
    from vendortap.plugins import hookspecs

    hooks = {name for name, member in vars(hookspecs).items() if hasattr(member, "vendortap_spec")}
    code = "".join(path.read_text(encoding="utf-8") for path in (EXAMPLE / "vendortap_examples").rglob("*.py"))
    assert hooks == set(re.findall(r"^@hookimpl\ndef (\w+)", code, re.MULTILINE))
