"""`vendortap new`: every project that it makes is sound, formatted, and a tap that gets all of its sandbox."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from decimal import Decimal
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from vendortap.cli import commands
from vendortap.declare.model import Connector
from vendortap.errors import UsageError
from vendortap.plugins import validation
from vendortap.sandbox import serve
from vendortap.singer.tap import tap_class

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures"
SCRIPTS = Path(sysconfig.get_path("scripts"))
INVOICES = 120


def new(*arguments: str | Path) -> str:
    """Run the command; returns what it says on standard error."""
    done = CliRunner().invoke(commands, ["new", *map(str, arguments)], catch_exceptions=False, standalone_mode=False)
    return str(done.stderr)


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_the_example_is_what_the_template_gives(tmp_path: Path) -> None:
    new("acme", tmp_path / "tap-acme")
    made, example = files(tmp_path / "tap-acme"), files(ROOT / "examples" / "tap-acme")
    assert made.keys() == example.keys()
    for name, text in made.items():
        assert text == example[name], f"{name}: make it anew with `vendortap new acme examples/tap-acme`"


# --- whatever is chosen or drafted from --------------------------------------------------------------


def samples(*names: str) -> list[str | Path]:
    return [argument for name in names for argument in ("--from-sample", FIXTURES / name)]


PROJECTS: dict[str, Sequence[str | Path]] = {
    "auth-none": ["--auth", "none", "--format", "json"],
    "auth-api-key": ["--auth", "api-key", "--format", "xml"],
    "auth-basic": ["--auth", "basic", "--paging", "none"],
    "auth-oauth": ["--auth", "oauth2-client", "--paging", "offset", "--license", "mit"],
    "paging-document": ["--paging", "row-offset"],
    "paging-token": ["--paging", "token", "--title", "Token & Co.", "--license", "none"],
    "spec-distributor": ["--from-openapi", FIXTURES / "openapi" / "distributor.yaml"],
    "spec-marketplace": ["--from-openapi", FIXTURES / "openapi" / "marketplace.json"],
    "spec-billing": ["--from-openapi", FIXTURES / "openapi" / "billing.yaml"],
    "of-midnight": samples("midnight/invoice.json", "midnight/invoice.xml"),
    "of-scansource": [*samples("scansource/invoice.xml"), "--paging", "row-offset"],
    "of-ingram": samples("ingram_micro/v6-list.json", "ingram_micro/v61-camel.json"),
    "of-amazon": samples("amazon_vendor/v1-list.json"),
}


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with all projects, whose packages can be imported."""
    folder = tmp_path_factory.mktemp("projects")
    for name, arguments in PROJECTS.items():
        new(name, folder / f"tap-{name}", *arguments)
    paths = [str(folder / f"tap-{name}") for name in PROJECTS]
    sys.path[:0] = paths
    yield folder
    sys.path[:] = [path for path in sys.path if path not in paths]


def load(name: str) -> Connector:
    connector = importlib.import_module(f"tap_{name.replace('-', '_')}").register_connector()
    assert isinstance(connector, Connector)
    return connector


def records(connector: Connector, config: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Run the tap in this process; stream → records, amounts as Decimals."""
    written = BytesIO()
    with redirect_stdout(TextIOWrapper(written, encoding="utf-8", write_through=True)) as text:
        tap = tap_class(connector)(config=config)
        try:
            tap.sync_all()
        finally:
            tap.client.close()
            text.flush()
    found: dict[str, list[dict[str, Any]]] = {stream.name: [] for stream in connector.streams}
    for line in written.getvalue().splitlines():
        message = json.loads(line, parse_float=Decimal)
        if message["type"] == "RECORD":
            found[message["stream"]].append(message["record"])
    return found


@pytest.mark.parametrize("name", PROJECTS)
def test_a_new_tap_gets_all_of_its_sandbox_in_each_format(projects: Path, name: str) -> None:
    connector = load(name)
    validation.check(connector)
    formats = validation.settings(connector)["properties"].get("format", {}).get("enum", [None])
    app = serve.application(connector, invoices=INVOICES)
    with serve.serving(app) as served:
        settings = serve.settings(connector, served.url)
        read = [records(connector, {**settings, **({"format": form} if form else {})}) for form in formats]
    whole = [stream for stream in connector.streams if stream.parent is None or stream.parent.stream]
    for stream in whole:
        assert len(read[0][stream.name]) == INVOICES
        assert len({tuple(record[key] for key in stream.keys) for record in read[0][stream.name]}) == INVOICES
        members = validation.shapes(connector)[stream.name].record.fields
        empty = {name for name in members if all(record[name] is None for record in read[0][stream.name])}
        assert not empty  # of what the schema declares, the sandbox has all and the tap reads all
    assert all(other == read[0] for other in read[1:])
    assert sum(count for count, _ in app.state.totals().values()) == INVOICES


@pytest.mark.parametrize("name", PROJECTS)
def test_a_new_project_is_formatted_and_without_a_finding(projects: Path, name: str) -> None:
    folder = projects / f"tap-{name}"
    options = ["--isolated", "--line-length", "120"]
    for command in (
        ["format", "--check"],
        ["check", "--select", "A,ARG,B,C4,E,F,N,PIE,RET,SIM,UP,W", "--ignore", "PIE804"],
    ):
        done = subprocess.run([SCRIPTS / "ruff", *command, *options, folder], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_a_new_project_passes_its_own_tests_when_it_is_installed(projects: Path, tmp_path: Path) -> None:
    """Installed by pip into an environment of its own, which sees this one's packages."""
    folder = projects / "tap-spec-distributor"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    scripts = tmp_path / "env" / ("Scripts" if sys.platform == "win32" else "bin")
    site = sysconfig.get_path("purelib", vars={"base": str(tmp_path / "env")})
    seen = [path for path in sys.path if "site-packages" in path or path.startswith(str(ROOT))]
    (Path(site) / "seen.pth").write_text("\n".join(seen), encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--python", str(scripts / "python"), "install", "--quiet", "--no-index"]
    options = ["--no-deps", "--no-build-isolation", "--disable-pip-version-check", str(folder)]
    done = subprocess.run([*pip, *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # two of those that start processes, and one of the suite; CI runs all, and so does the example's test
    command = [
        str(scripts / "python"),
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-k",
        "cent or credentials or selection",
    ]
    tested = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert re.search(r"^3 passed", tested.stdout, re.MULTILINE), tested.stdout


# --- what it says, and what it refuses ---------------------------------------------------------------


def test_what_was_guessed_or_left_out_is_in_the_declaration_and_on_standard_error(tmp_path: Path) -> None:
    said = new("one", tmp_path / "one", "--from-openapi", FIXTURES / "openapi" / "distributor.yaml")
    text = (tmp_path / "one" / "tap_one" / "__init__.py").read_text(encoding="utf-8")
    joined = " ".join(line.strip(" #") for line in text.splitlines())
    for sentence in (
        "Guessed: invoiceNumber identifies a record.",
        "refers to itself; left out: $.related",
        "Left out, as the answer holds no list of objects: GET /oauth/token",
    ):
        assert sentence in joined
        assert sentence in said


@pytest.mark.promise("No value of a sample is copied into what is drafted from it")
def test_no_value_of_a_sample_is_copied(tmp_path: Path) -> None:
    body = {
        "invoiceNumber": "SECRET-1",
        "email": "jane@example.com",
        "total": 987654.32,
        "updatedAt": "2031-07-09T01:02:03Z",
    }
    sample = tmp_path / "sample.json"
    sample.write_text(json.dumps(body))
    said = new("one", tmp_path / "one", "--from-sample", sample)
    everything = said + "".join(text.decode() for text in files(tmp_path / "one").values())
    assert "invoiceNumber" in everything
    assert 'amount=Amount("total")' in everything
    assert "Guessed: total is what a record comes to." in said
    for value in ("SECRET-1", "jane@", "987654", "2031"):
        assert value not in everything


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Acme"], "cannot be a connector's name"),
        (["acme_corp"], "cannot be a connector's name"),
        (["acme", "--from-openapi", "missing.yaml"], "missing.yaml cannot be read"),
        (
            ["acme", "--from-openapi", "spec.yaml", "--paging", "token"],
            "leave out --from-sample, --paging and --format",
        ),
        (["acme", "--from-sample", "missing.json"], "missing.json cannot be read"),
        (["acme", "--match", "invoice"], "give one with --from-openapi"),
        (["acme", "taken"], "taken is there already"),
    ],
)
def test_what_cannot_be_made_is_refused_in_a_sentence(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("")
    before = files(tmp_path)
    with pytest.raises(UsageError, match=message):
        new(*arguments)
    assert files(tmp_path) == before
