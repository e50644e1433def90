"""README and docs are executed: what they show is what happens."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from vendortap import declaration, plugins, schemas, serve

ROOT = Path(__file__).resolve().parents[1]
PAPERS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/architecture.md")
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
SCRIPTS = sysconfig.get_path("scripts")


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def run(command: str | list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a shell line, or a command, with this environment's scripts first on the path."""
    path = f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}"
    shell = isinstance(command, str)
    variables = {**os.environ, "PATH": path, **environment}
    return subprocess.run(command, shell=shell, cwd=folder, env=variables, capture_output=True, text=True)


# --- the demo ----------------------------------------------------------------------------------------


def steady(text: str) -> str:
    """Blank out what differs from run to run: the port, and the seconds at the end of a table's line."""
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", text)
    return re.sub(r"^(invoice\S* .*\d) +\d+\.\d$", r"\1 SECONDS", text, flags=re.MULTILINE).strip()


def test_the_demo_prints_what_the_readme_shows(tmp_path: Path) -> None:
    done = run(["vendortap", "demo"], tmp_path)
    shown = next(block for block in blocks(README, "text") if block.startswith("1. A sandbox"))
    assert steady(done.stdout) == steady(shown)
    assert done.returncode == 0


def test_the_queries_that_the_demo_proposes_work(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    done = run(["vendortap", "demo", "--invoices", "40"], tmp_path)
    queries = re.findall(r"^ +(SELECT .*;)$", done.stdout, re.MULTILINE)
    assert len(queries) == 3
    with duckdb.connect(str(tmp_path / "vendortap-demo.duckdb"), read_only=True) as database:
        assert all(len(database.sql(query)) for query in queries)


# --- against the vendor ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    """The settings that the README shows."""
    (block,) = blocks(README, "json")
    found: dict[str, Any] = json.loads(block)
    return found


def test_the_settings_in_the_readme_are_those_of_scansource(settings: dict[str, Any]) -> None:
    schemas.check_config(settings, declaration.settings(plugins.load("scansource")), "scansource")


def test_the_commands_in_the_readme_work_as_they_stand(settings: dict[str, Any], tmp_path: Path) -> None:
    scansource = plugins.load("scansource")
    commands = [line for block in blocks(README, "sh") for line in block.splitlines() if line.startswith("vendortap ")]
    assert [command.split()[1] for command in commands] == ["check", "run"]
    app = serve.application(scansource, invoices=120, seed=1, latency_ms=0, rate=0)
    with serve.serving(app) as served:
        config = {**settings, **serve.settings(scansource, served.url), "start_date": None}
        (tmp_path / "scansource.json").write_text(json.dumps(config), encoding="utf-8")
        for command in commands:
            done = run(command, tmp_path)
            assert done.returncode == 0, done.stderr
    assert {"invoices.duckdb", "scansource.state.json"} <= {file.name for file in tmp_path.iterdir()}


def test_every_vendortap_command_in_the_papers_has_options_that_exist() -> None:
    text = "\n".join((ROOT / paper).read_text(encoding="utf-8") for paper in PAPERS)
    commands = re.findall(r"(?:^|[`/ ])vendortap ([a-z]+)((?: [^`\n]*)?)", "\n".join(_code(text)), re.MULTILINE)
    assert {name for name, _ in commands} >= {"list", "describe", "check", "run", "sandbox"}
    for name in {name for name, _ in commands}:
        done = run(["vendortap", name, "--help"], ROOT)
        assert done.returncode == 0, f"vendortap {name}"
        used = {option for found, rest in commands if found == name for option in _options(rest)}
        assert used <= set(re.findall(r"--[a-z-]+", done.stdout)), f"vendortap {name}"


def _code(text: str) -> Iterator[str]:
    for block in re.findall(r"^```(?:sh|text)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield from block.splitlines()
    yield from re.findall(r"`([^`\n]+)`", text)


def _options(rest: str) -> list[str]:
    own = re.sub(r'"[^"]*"', "", rest)  # what is quoted is the target's
    return re.findall(r"(?<= )--[a-z-]+", own)


# --- make --------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_every_make_target_in_the_papers_exists() -> None:
    text = "\n".join((ROOT / paper).read_text(encoding="utf-8") for paper in PAPERS)
    targets = set(re.findall(r"make (?:[A-Z]+=\S+ )?([a-z]+)", "\n".join(_code(text))))
    assert {"demo", "test", "check", "bench", "catalog"} <= targets
    done = run(["make", "--dry-run", *sorted(targets)], ROOT)
    assert done.returncode == 0, done.stderr


# --- the architecture --------------------------------------------------------------------------------


def test_the_declaration_in_the_readme_is_one() -> None:
    (block,) = blocks(README, "python")
    boxes = "from vendortap import *\nfrom vendortap.auth import bearer\nfrom vendortap.request import get, setting\n"
    names: dict[str, Any] = {}
    exec(boxes + block, names)  # noqa: S102 - our own README
    assert names["register_connector"]().stream("invoices").keys == ("number",)


def example_files() -> dict[str, str]:
    """Return the files of the worked example: a path in backquotes, and the fenced block that follows it."""
    found = re.findall(r"^`(tap-acme/[^`]+)`.*?^```\w+\n(.*?)^```$", ARCHITECTURE, re.MULTILINE | re.DOTALL)
    return dict(found)


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The worked example, built and installed beside this environment; the folder to put on the path."""
    folder = tmp_path_factory.mktemp("acme")
    for name, text in example_files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder / "dist")]
    assert run(build, folder / "tap-acme").returncode == 0
    (wheel,) = (folder / "dist").glob("*.whl")
    shutil.unpack_archive(wheel, folder / "installed", "zip")  # which is all that pip does to a wheel without scripts
    return folder


def test_the_example_is_found_and_sound(acme: Path) -> None:
    done = run(["vendortap", "list", "--check"], acme, PYTHONPATH=str(acme / "installed"))
    assert re.search(r"^acme +tap-acme 0\.1\.0 +ok$", done.stdout, re.MULTILINE), done.stdout + done.stderr
    assert run(["vendortap", "describe", "acme"], acme, PYTHONPATH=str(acme / "installed")).returncode == 0


def test_the_example_passes_its_own_test(acme: Path) -> None:
    pytest_command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    done = run(pytest_command, acme / "tap-acme", PYTHONPATH=str(acme / "installed"))
    assert "1 passed" in done.stdout, done.stdout + done.stderr


# --- links and versions ------------------------------------------------------------------------------


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")


@pytest.mark.parametrize("paper", PAPERS)
def test_links_inside_the_repository_lead_somewhere(paper: str) -> None:
    text = (ROOT / paper).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    for link in links:
        name, _, anchor = link.partition("#")
        target = (ROOT / paper).parent / name if name else ROOT / paper
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(_anchor, headings), link


def test_the_readme_lists_every_first_party_connector() -> None:
    listed = set(re.findall(r"^\| `([a-z-]+)` \|", README, re.MULTILINE))
    assert listed == {name for name, plugin in plugins.find().items() if plugin.package == "vendortap"}
