"""Documents and samples that mean harm: what is made of them is data in every file, and never code."""

from __future__ import annotations

import ast
import importlib
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from tests.scaffold.hostile import MARK, TEXTS, Drawn, is_clear, parts
from vendortap.cli import commands
from vendortap.errors import UsageError
from vendortap.plugins import validation
from vendortap.scaffold import layout, new, project, schema
from vendortap.scaffold.vendor import Vendor

FIXTURES = Path(__file__).parents[1] / "fixtures"
DRAWN = 120
TRIED = (0, 1, 8)
"""Of which documents the project runs its own tests."""


def drafted(document: Any, folder: Path) -> Vendor:
    """Draft from a document, through its file."""
    file = folder / "document.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    return new.vendor("evil", spec=file)


def written(vendor: Vendor, folder: Path) -> dict[str, str]:
    """Write a project; path → text."""
    project.write(vendor, folder)
    return {
        path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in folder.rglob("*") if path.is_file()
    }


def python(files: dict[str, str], vendor: Vendor) -> set[str]:
    """All that the Python of a project is made of, by whatever names the draft has."""
    package = f"tap_{vendor.name.replace('-', '_')}"
    names = {
        package: "PACKAGE",
        package.removeprefix("tap_").upper(): "CONSTANT",
        f"{package}.sandbox": "PACKAGE.sandbox",
    }
    for stream in vendor.streams:
        names |= {f"answer_{stream.name}": "ANSWER", f"{stream.name}_record": "RECORD", stream.name.upper(): "XML"}
        names |= {stream.keyed.setting: "KEYS"} if stream.keyed else {}
    trees = (ast.parse(text) for name, text in files.items() if name.endswith(".py"))
    return {part for tree in trees for part in parts(tree, names)}


@pytest.fixture
def untidied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out ruff, which takes longer than all else."""
    monkeypatch.setattr(layout, "tidy", lambda _: None)


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """What the Python of projects is made of that nobody means harm with."""
    folder = tmp_path_factory.mktemp("sound")
    choices: list[dict[str, Any]] = [
        {"auth": auth, "paging": paging, "form": form}
        for auth in ("none", "bearer", "api-key", "basic", "oauth2-client")
        for paging in ("none", "page-number", "offset", "row-offset", "token")
        for form in ("json", "both")
    ]
    choices += [{"spec": file} for file in sorted((FIXTURES / "openapi").iterdir())]
    choices += [{"spec": write_sound(folder / f"{number}.json", number)} for number in range(30)]
    choices += [{"samples": [FIXTURES / "midnight" / "invoice.json", FIXTURES / "midnight" / "invoice.xml"]}]
    found: set[str] = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "tidy", lambda _: None)
        for number, chosen in enumerate(choices):
            vendor = new.vendor("sound", **chosen)
            found |= python(written(vendor, folder / f"tap-{number}"), vendor)
    return found


def write_sound(file: Path, seed: int) -> Path:
    """Write a document of the same form as the hostile ones, of harmless words."""
    file.write_text(json.dumps(Drawn(seed, is_sound=True).document()), encoding="utf-8")
    return file


@pytest.mark.promise("No text of an OpenAPI document becomes code in a project", figure="1 hostile documents")
@pytest.mark.parametrize("seed", range(DRAWN))
@pytest.mark.usefixtures("untidied")
def test_what_a_hostile_document_has_is_data_in_every_file(seed: int, vocabulary: set[str], tmp_path: Path) -> None:
    try:
        vendor = drafted(Drawn(seed).document(), tmp_path)
    except UsageError:
        return
    files = written(vendor, tmp_path / "tap-evil")
    assert python(files, vendor) - vocabulary == set()
    described = tomllib.loads(files["pyproject.toml"])
    assert described.keys() == {"build-system", "project", "tool"}
    assert described["project"]["scripts"] == {"tap-evil": "tap_evil.__main__:main"}
    assert described["project"]["entry-points"] == {"vendortap.connectors": {"evil": "tap_evil"}}
    assert yaml.safe_load(files[".github/workflows/test.yml"])["jobs"].keys() == {"test"}
    for name, text in files.items():
        assert [c for c in text if not is_clear(c) and c != "\n"] == [], name
        if name.endswith(".json"):
            json.loads(text, parse_constant=pytest.fail)


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Callable[[dict[str, str]], Path]]:
    """What makes a project one that is found like an installed one; the module is forgotten afterwards."""
    path, cache = [*sys.path], {*sys.modules}

    def installed(files: dict[str, str]) -> Path:
        folder = tmp_path / "tap-evil"
        meta = folder / "tap_evil-0.1.0.dist-info"
        meta.mkdir()
        (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: tap-evil\nVersion: 0.1.0\n")
        (meta / "entry_points.txt").write_text("[vendortap.connectors]\nevil = tap_evil\n")
        sys.path.insert(0, str(folder))
        assert "pyproject.toml" in files
        return folder

    yield installed
    sys.path[:] = path
    for name in {*sys.modules} - cache:
        if name.startswith("tap_evil"):
            del sys.modules[name]


@pytest.mark.parametrize("seed", range(0, DRAWN, 5))
@pytest.mark.usefixtures("untidied")
def test_a_hostile_documents_connector_is_sound_when_it_is_imported(
    seed: int, install: Callable[[dict[str, str]], Path], tmp_path: Path
) -> None:
    try:
        vendor = drafted(Drawn(seed).document(), tmp_path)
    except UsageError:
        return
    install(written(vendor, tmp_path / "tap-evil"))
    connector = importlib.import_module("tap_evil").register_connector()
    validation.check(connector, fully=True)
    importlib.import_module("tap_evil.sandbox").app(invoices=3)
    assert not Path(MARK).exists()


@pytest.mark.parametrize("seed", TRIED)
def test_a_hostile_documents_project_passes_its_own_tests(
    seed: int, install: Callable[[dict[str, str]], Path], tmp_path: Path
) -> None:
    vendor = drafted(Drawn(seed).document(), tmp_path)
    folder = install(written(vendor, tmp_path / "tap-evil"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *filter(None, sys.path)])}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-k",
        "cent or totals or declared or full",
    ]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:]
    assert not Path(MARK).exists()


# --- samples -----------------------------------------------------------------------------------------


def samples() -> Iterator[tuple[str, Any]]:
    """Bodies of which each name is hostile."""
    for number, text in enumerate(TEXTS):
        leaf = {"number": "A", text: 1, f"total{text}": 2.5, f"currency{text}": "EUR", "rows": [{text: {text: [1]}}]}
        yield f"{number}-document", leaf
        yield f"{number}-list", {text: [leaf, leaf]} if text else [leaf]
        yield f"{number}-key", {f"{text}number": "A", "updatedAt": "2025-01-01T00:00:00Z"}


@pytest.mark.promise("No name in a sample becomes code in a project")
@pytest.mark.parametrize(("name", "body"), [*samples()], ids=[name for name, _ in samples()])
@pytest.mark.usefixtures("untidied")
def test_what_a_hostile_sample_has_is_data_in_every_file(
    name: str, body: Any, vocabulary: set[str], tmp_path: Path
) -> None:
    file = tmp_path / f"{name}.json"
    file.write_text(json.dumps(body), encoding="utf-8")
    try:
        vendor = new.vendor("evil", samples=[file])
    except UsageError:
        return
    files = written(vendor, tmp_path / "tap-evil")
    assert python(files, vendor) - vocabulary == set()
    for path, text in files.items():
        assert [c for c in text if not is_clear(c) and c != "\n"] == [], path


@pytest.mark.parametrize("extend", [False, True])
def test_no_name_of_a_sample_reaches_the_terminal_as_a_command(extend: bool, tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text('{"type": "object", "properties": {}}', encoding="utf-8")
    (tmp_path / "new.json").write_text(json.dumps({"number": "A", **dict.fromkeys(TEXTS, 1)}), encoding="utf-8")
    arguments = ["infer", str(tmp_path / "new.json"), "--rows", ".", "--output", str(tmp_path / "made.json")]
    arguments += ["--extend", str(tmp_path / "old.json")] if extend else []
    done = CliRunner().invoke(commands, arguments, catch_exceptions=False, standalone_mode=False)
    assert schema.NO_NAME in done.stderr
    assert [line for line in done.stderr.splitlines() if not is_clear(line)] == []
    made = json.loads((tmp_path / "made.json").read_text("utf-8"))
    assert [name for name in made["properties"] if not is_clear(name)] == []


def test_what_is_to_be_declared_can_be_copied_into_a_declaration(tmp_path: Path) -> None:
    name = '"), __import__("os").abort(), ("'
    (tmp_path / "list.json").write_text(json.dumps({name: [{"number": "A"}]}), encoding="utf-8")
    arguments = ["infer", str(tmp_path / "list.json"), "--output", str(tmp_path / "made.json")]
    done = CliRunner().invoke(commands, arguments, catch_exceptions=False, standalone_mode=False)
    declared = done.stderr.strip().rpartition("declare record_selector=")[2]
    call = ast.parse(declared, mode="eval").body
    assert isinstance(call, ast.Call)
    assert [ast.literal_eval(argument) for argument in call.args] == [(name,)]
