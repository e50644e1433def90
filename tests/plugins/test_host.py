"""The host, with real installed distributions: a folder of packages with their metadata on PYTHONPATH."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vendortap.plugins import host
from vendortap.sandbox import serve

FIRST_PARTY = list(host.find())
VENDORTAP = str(Path(sysconfig.get_path("scripts")) / "vendortap")

GOOD = """
from vendortap.declare import Connector, RecordSelector, Stream, get, hookimpl, setting

CONNECTOR = Connector(
    name={name!r},
    title="Acme",
    docs="https://acme.test/docs",
    schemas={package!r},
    base_url=setting("url"),
    streams=(
        Stream(
            name="bills",
            title="Bills",
            request=get("/bills"),
            record_selector=RecordSelector(path=("bills",)),
            keys=("number",),
        ),
    ),
)

@hookimpl
def register_connector():
    return CONNECTOR
"""
HOOK = """
from vendortap.declare import hookimpl

@hookimpl
def register_connector({arguments}):
    {body}
"""
CONFIG = {"type": "object", "properties": {"url": {"type": "string", "description": "Where."}}, "required": ["url"]}
BILLS = {
    "type": "object",
    "properties": {"number": {"type": "string"}, "amount": {"type": ["number", "null"]}},
    "required": ["number"],
}

BROKEN: Mapping[str, tuple[str, str]] = {
    "import-error": ("import no_such_module", "importing import_error raised ModuleNotFoundError: No module named"),
    "syntax-error": ("def broken(:", "importing syntax_error raised SyntaxError: invalid syntax"),
    "exits": ("raise SystemExit('I quit')", "importing exits raised SystemExit: I quit"),
    "exits-later": (HOOK.format(arguments="", body="exit(3)"), "calling its hooks raised SystemExit: 3"),
    "raises": (HOOK.format(arguments="", body="raise OSError('a\\nb')"), "calling its hooks raised OSError: a b"),
    "wrong-type": (HOOK.format(arguments="", body="return {'name': 1}"), "returned dict, not a Connector"),
    "returns-none": (HOOK.format(arguments="", body="return None"), "implements no hook register_connector"),
    "no-hook": ("", "no_hook implements no hook register_connector"),
    "arguments": (HOOK.format(arguments="config", body="return None"), "'config'} are declared in the hookimpl"),
    "unknown-hook": (
        HOOK.format(arguments="", body="return None") + "\n@hookimpl\ndef register_conector():\n    return None\n",
        "unknown hook 'register_conector'",
    ),
    "bad-schema": (GOOD, "schema bad_schema/bills.json at $.properties.amount.type: 'decimal' is not valid"),
    "bad-title": (GOOD, "schema bad_title/bills.json at $.title: 1 is not of type 'string'"),
    "bad-keyword": (GOOD, "bad_keyword/bills.json at $.amount: the keyword 'multipleOf' is not supported"),
    "other-hook": (
        GOOD + "\n@hookimpl\ndef page_action(connector, stream, options):\n    return None\n",
        "it implements the hook page_action, which is called only in modules that an entry point of the group",
    ),
    "other-name": (GOOD.replace("{name!r}", "'acme'"), "its entry point is called 'other-name', its connector 'acme'"),
    "streamless": (GOOD.replace("streams=(", "streams=() and ("), "it has no streams"),
    "nonsense": (GOOD.replace("streams=(", "streams=7 or ("), "checking its declaration raised TypeError"),
    "newer": (
        "HOOKSPEC_VERSION = 99" + GOOD,
        "it is made for hook specification 99, this vendortap speaks 2; upgrade vendortap",
    ),
}
SCHEMAS = {
    "bad-schema": {**BILLS, "properties": {"number": {"type": "string"}, "amount": {"type": "decimal"}}},
    "bad-title": {**BILLS, "title": 1},
    "bad-keyword": {
        **BILLS,
        "properties": {"number": {"type": "string"}, "amount": {"type": ["number", "null"], "multipleOf": 0.01}},
    },
}


def install(site: Path, name: str, source: str = GOOD, package: str | None = None) -> None:
    """Install a distribution `vendor-<package>` whose plugin leaves a file behind when it is imported."""
    package = package or name.replace("-", "_")
    folder = site / package
    folder.mkdir(parents=True)
    trace = f"import pathlib; pathlib.Path(__file__).with_name('imported').touch(); print('hello from {package}')\n"
    body = source.format(name=name, package=package) if "{package!r}" in source else source
    (folder / "__init__.py").write_text(trace + body)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "bills.json").write_text(json.dumps(SCHEMAS.get(name, BILLS)))
    metadata = site / f"vendor_{package}-2.5.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vendor-{package}\nVersion: 2.5\n")
    (metadata / "entry_points.txt").write_text(f"[vendortap.connectors]\n{name} = {package}\n")


def vendortap(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([VENDORTAP, *arguments], capture_output=True, text=True, env=environment, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good plugin among every kind of broken one."""
    folder = tmp_path_factory.mktemp("site")
    for name, (source, _) in BROKEN.items():
        install(folder, name, source)
    install(folder, "acme")
    install(folder, "twin", package="twin_one")
    install(folder, "twin", package="twin_two")
    return folder


@pytest.fixture(scope="module")
def checked(site: Path) -> subprocess.CompletedProcess[str]:
    return vendortap(site, "list", "--check")


def test_list_names_all_plugins_and_imports_none(tmp_path: Path) -> None:
    for name, (source, _) in BROKEN.items():
        install(tmp_path, name, source)
    listed = vendortap(tmp_path, "list")
    assert listed.returncode == 0
    assert listed.stderr == ""
    rows = dict(line.split(maxsplit=1) for line in listed.stdout.splitlines()[1:])
    assert rows.keys() == {*FIRST_PARTY, *BROKEN}
    assert rows["syntax-error"] == "vendor-syntax_error 2.5"
    assert not list(tmp_path.rglob("imported"))


def test_list_imports_nothing_slow() -> None:
    program = "import sys; from vendortap.cli import _main; assert _main(['list']) == 0; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "vendortap.plugins" in loaded
    slow = {"singer_sdk", "requests", "lxml", "jsonschema", "msgspec", "rich", "duckdb", "uvicorn", "tap_scansource"}
    assert not loaded & slow


@pytest.mark.promise("A broken plugin strikes no other")
def test_check_ends_with_1_and_leaves_the_others_alone(checked: subprocess.CompletedProcess[str]) -> None:
    assert checked.returncode == 1
    assert "Traceback" not in checked.stderr
    states = {line.split()[0]: line.split()[-1] for line in checked.stdout.splitlines()[1:]}
    assert states == {
        **dict.fromkeys(["acme", *FIRST_PARTY], "ok"),
        **dict.fromkeys(["twin", *BROKEN], "broken"),
    }


@pytest.mark.parametrize("name", BROKEN)
def test_check_gives_distribution_and_reason(name: str, checked: subprocess.CompletedProcess[str]) -> None:
    start = f"connector {name!r} of vendor-{name.replace('-', '_')} 2.5 cannot be used: "
    [sentence] = [line for line in checked.stderr.splitlines() if line.startswith(start)]
    assert BROKEN[name][1] in sentence


def test_two_distributions_of_one_name_are_both_refused(site: Path, checked: subprocess.CompletedProcess[str]) -> None:
    start = "connector 'twin' of vendor-twin_one 2.5 and vendor-twin_two 2.5 cannot be used: the name is taken"
    assert any(line.startswith(start) for line in checked.stderr.splitlines())
    assert not list(site.glob("twin_*/imported"))


def test_nobody_can_take_the_name_of_a_first_party_connector(tmp_path: Path) -> None:
    install(tmp_path, "scansource", package="impostor")
    install(tmp_path, "acme")
    refused = vendortap(tmp_path, "describe", "scansource")
    assert refused.returncode == 1
    assert "vendor-impostor 2.5" in refused.stderr
    assert "vendortap 0" in refused.stderr
    assert "uninstall all but one" in refused.stderr
    assert not (tmp_path / "impostor" / "imported").exists()
    assert vendortap(tmp_path, "describe", "acme").returncode == 0


@pytest.mark.parametrize("name", ["exits", "arguments", "bad-keyword", "newer", "twin"])
@pytest.mark.parametrize("command", ["describe", "run"])
def test_using_a_broken_plugin_is_an_error_in_a_sentence(name: str, command: str, site: Path, tmp_path: Path) -> None:
    options = {"describe": [], "run": ["--config", "unread.json", "--to", str(tmp_path / "x.duckdb")]}
    used = vendortap(site, command, name, *options[command])
    assert used.returncode == 1
    assert used.stdout == ""
    lines = [line for line in used.stderr.splitlines() if not line.startswith("hello from")]
    assert len(lines) == 1
    assert lines[0].startswith(f"vendortap: error: connector {name!r} of vendor-")
    assert list(tmp_path.iterdir()) == []


def test_what_a_plugin_prints_does_not_get_into_the_output(site: Path) -> None:
    described = vendortap(site, "describe", "acme", "--json")
    assert json.loads(described.stdout)["title"] == "Acme"
    assert "hello from acme" in described.stderr


def test_an_unknown_connector_is_bad_usage_and_names_the_known_ones(site: Path) -> None:
    unknown = vendortap(site, "describe", "nosuch")
    assert unknown.returncode == 2
    assert "there is no connector 'nosuch'; installed: acme, " in unknown.stderr


def test_an_installation_that_is_on_the_path_twice_is_no_rival_of_itself(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        install(tmp_path / folder, "acme")
    both = Path(f"{tmp_path / 'one'}{os.pathsep}{tmp_path / 'two'}")
    assert vendortap(both, "describe", "acme").returncode == 0


def test_a_third_party_plugin_runs_into_a_database_exactly(site: Path, tmp_path: Path) -> None:
    def bills(_: Request) -> Response:
        body = '{"bills": [{"number": "A1", "amount": 1234567890123456.78}, {"number": "A2", "amount": 0.10}]}'
        return Response(body, media_type="application/json")

    database, config = tmp_path / "acme.duckdb", tmp_path / "acme.json"
    with serve.serving(Starlette(routes=[Route("/bills", bills)])) as served:
        config.write_text(json.dumps({"url": served.url}))
        ran = vendortap(site, "run", "acme", "--config", str(config), "--to", str(database))
    assert ran.returncode == 0, ran.stderr
    assert f"Loaded into {database}: acme.acme.bills" in ran.stderr  # the file is called like the schema
    with duckdb.connect(str(database), read_only=True) as connection:
        rows = connection.execute("SELECT number, amount FROM acme.acme.bills ORDER BY 1").fetchall()
    assert rows == [("A1", Decimal("1234567890123456.78")), ("A2", Decimal("0.10"))]
