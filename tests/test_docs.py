"""README and docs are executed: what they show is what happens."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from vendortap.decode import schemas
from vendortap.operate import reference
from vendortap.plugins import hookspecs, host, validation
from vendortap.sandbox import serve
from vendortap.singer.tap import tap_class

if TYPE_CHECKING:
    from tests.conftest import StartVendor

ROOT = Path(__file__).resolve().parents[1]
FIRST_PARTY = [name for name, plugin in host.find().items() if plugin.package == "vendortap"]
PAGES = [f"docs/connectors/{name}.md" for name in FIRST_PARTY]
PAPERS = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "examples/hooks/README.md",
    "examples/meltano/README.md",
    "examples/tap-acme/README.md",
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")),
)
README = (ROOT / "README.md").read_text(encoding="utf-8")
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
    """Blank out what differs from run to run.

    Seconds; how many weeks Amazon's windows have to cover by now; and how many of the documents that Ingram lists twice
    had been asked for when they were listed again.
    """
    lines = (re.sub(" +", " ", line).strip() for line in text.strip().splitlines())
    lines = (re.sub(r"^([a-z]+(?:-[a-z]+)* \w+ [\d,]+ .*) \d+\.\d$", r"\1 SECONDS", line) for line in lines)
    unsteady = r"^(amazon-vendor .*|ingram-micro invoice_details .*) [\d,]+ (\d+ SECONDS)$"
    return "\n".join(re.sub(unsteady, r"\1 REQUESTS \2", line) for line in lines)


def test_the_demo_prints_what_the_readme_shows(tmp_path: Path) -> None:
    done = run(["vendortap", "demo"], tmp_path)
    (block,) = (block for block in blocks(README, "text") if block.startswith("1. Sandboxes"))
    shown = [line for line in steady(block).splitlines() if line != "…"]
    printed = iter(steady(done.stdout).splitlines())
    assert [line for line in shown if line not in printed] == []  # in their order: what is found is used up
    assert 10 <= len(shown) <= 12
    assert done.returncode == 0


def test_the_queries_that_the_demo_proposes_work(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    done = run(["vendortap", "demo", "--invoices", "40"], tmp_path)
    queries = re.findall(r"^ +(SELECT .*;)$", done.stdout, re.MULTILINE)
    assert queries
    with duckdb.connect(str(tmp_path / "vendortap-demo.duckdb"), read_only=True) as database:
        assert all(len(database.sql(query)) for query in queries)


# --- against the vendor ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    """The settings that the README shows."""
    (block,) = blocks(README, "json")
    found: dict[str, Any] = json.loads(block)
    return found


def test_the_settings_in_the_readme_are_those_of_scansources_page(settings: dict[str, Any]) -> None:
    assert settings == reference.minimal(host.load("scansource"))


def test_the_commands_in_the_readme_work_as_they_stand(settings: dict[str, Any], tmp_path: Path) -> None:
    scansource = host.load("scansource")
    commands = [line for block in blocks(README, "sh") for line in block.splitlines() if line.startswith("vendortap ")]
    assert [command.split()[1] for command in commands] == ["check", "run"]
    app = serve.application(scansource, invoices=120, seed=1, latency_ms=0, rate=0)
    with serve.serving(app) as served:
        config = {**settings, **serve.settings(scansource, served.url), "start_date": None}
        (tmp_path / "scansource.json").write_text(json.dumps(config), encoding="utf-8")
        for command in [*commands, commands[-1]]:
            done = run(command, tmp_path)
            assert done.returncode == 0, done.stderr
        assert app.state.requests["detail"] == 120, "the second run fetches what has changed"
    assert {file.name for file in tmp_path.iterdir()} == {"scansource.json", "invoices.duckdb"}


def test_every_vendortap_command_in_the_papers_has_options_that_exist() -> None:
    text = "\n".join((ROOT / paper).read_text(encoding="utf-8") for paper in PAPERS)
    commands = re.findall(
        r"(?:^|[`/ ])vendortap ((?:open|quarantine|state) [a-z]+|[a-z]+)((?: [^`\n]*)?)",
        "\n".join(_code(text)),
        re.MULTILINE,
    )
    assert {name for name, _ in commands} >= {"list", "describe", "check", "run", "sandbox"}
    for name in {name for name, _ in commands}:
        done = run(["vendortap", *name.split(), "--help"], ROOT)
        assert done.returncode == 0, f"vendortap {name}"
        used = {option for found, rest in commands if found == name for option in _options(rest)}
        assert used <= set(re.findall(r"--[a-z-]+", done.stdout)), f"vendortap {name}"


def _code(text: str) -> Iterator[str]:
    for block in re.findall(r"^```(?:sh|text|ini)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
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
    assert {"demo", "test", "check", "bench", "catalog", "docs"} <= targets
    done = run(["make", "--dry-run", *sorted(targets)], ROOT)
    assert done.returncode == 0, done.stderr


def test_the_program_in_the_papers_runs(
    sandboxes: StartVendor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    vendor = sandboxes("scansource", invoices=12)
    (tmp_path / "scansource.json").write_text(json.dumps(vendor.config()), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    (program,) = blocks((ROOT / "docs" / "python.md").read_text(encoding="utf-8"), "python")
    names: dict[str, Any] = {}
    exec(program, names)  # noqa: S102 - our own document
    totals = [total for _, total in vendor.state.totals().values()]
    assert names["total"] == sum(totals)
    assert "invoice_details" in names["state"]["bookmarks"]
    shown = capsys.readouterr().out
    assert all(str(total) in shown for total in totals)


def test_the_sandbox_that_misbehaves_in_the_papers_can_be_started(capsys: pytest.CaptureFixture[str]) -> None:
    (program,) = blocks((ROOT / "docs" / "sandboxes.md").read_text(encoding="utf-8"), "python")
    exec(program, {})  # noqa: S102 - our own document
    assert capsys.readouterr().out.startswith("http://127.0.0.1:")


def test_the_quarantines_settings_in_the_papers_are_settings() -> None:
    first = blocks((ROOT / "docs" / "quarantine.md").read_text(encoding="utf-8"), "json")[0]
    scansource = host.load("scansource")
    schemas.check_config({**reference.minimal(scansource), **json.loads(first)}, validation.settings(scansource), "")


# --- the example -------------------------------------------------------------------------------------


def test_only_the_tutorial_lists_the_declaration_of_acme() -> None:
    listing = re.compile(r"^ACME = Connector\(", re.MULTILINE)
    assert [p for p in PAPERS if listing.search((ROOT / p).read_text(encoding="utf-8"))] == ["docs/tutorial.md"]


# --- systemd -----------------------------------------------------------------------------------------


def test_no_paper_tells_systemd_that_a_missing_invoice_is_a_success() -> None:
    assert [p for p in PAPERS if "SuccessExitStatus" in (ROOT / p).read_text(encoding="utf-8")] == []


def test_the_readme_and_the_operations_name_the_same_exit_codes() -> None:
    operations = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    codes = [re.findall(r"^\| (\d) \| ([a-z ]*[a-z])", text, re.MULTILINE) for text in (README, operations)]
    assert len(codes[0]) == 4
    assert codes[0] == codes[1]


# --- the connectors' pages ---------------------------------------------------------------------------


def test_every_first_party_connector_has_a_page_and_no_other_has() -> None:
    pages = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs" / "connectors").iterdir()}
    assert pages == set(PAGES)


@pytest.mark.parametrize("name", FIRST_PARTY)
def test_a_page_is_up_to_date(name: str) -> None:
    printed = run(["vendortap", "describe", name, "--markdown"], ROOT).stdout
    assert (ROOT / "docs" / "connectors" / f"{name}.md").read_text(encoding="utf-8") == printed, "run: make docs"


@pytest.mark.parametrize("name", FIRST_PARTY)
def test_the_configs_of_a_page_are_valid_and_its_sandboxs_gives_records(name: str) -> None:
    connector = host.load(name)
    page = (ROOT / "docs" / "connectors" / f"{name}.md").read_text(encoding="utf-8")
    minimal, sandbox = (json.loads(block) for block in blocks(page, "json"))
    schema = validation.settings(connector)
    schemas.check_config(minimal, schema, name)
    assert connector.base_url(schemas.with_defaults(minimal, schema)).startswith("https://")
    with serve.serving(serve.application(connector, invoices=12)) as served:
        config = {key: _moved(value, served.url) for key, value in sandbox.items()}
        assert config != sandbox
        read = _records(name, config)
    lists = {stream.name for stream in connector.streams if stream.parent is None}
    assert {stream for stream, count in read.items() if count >= 12} >= lists


def _moved(value: Any, url: str) -> Any:
    """The address of the sandbox that runs, for the one in the page."""
    return value.replace("http://127.0.0.1:8080", url) if isinstance(value, str) else value


def _records(name: str, config: dict[str, Any]) -> dict[str, int]:
    """Run a tap in this process; stream → records."""
    written = BytesIO()
    with redirect_stdout(TextIOWrapper(written, encoding="utf-8", write_through=True)) as text:
        tap = tap_class(host.load(name))(config=config)
        try:
            tap.sync_all()
        finally:
            tap.client.close()
            text.flush()
    messages = [json.loads(line) for line in written.getvalue().splitlines()]
    streams = [message["stream"] for message in messages if message["type"] == "RECORD"]
    return {stream: streams.count(stream) for stream in streams}


@pytest.mark.parametrize("name", FIRST_PARTY)
def test_a_setting_whose_description_admits_a_doubt_is_marked_and_in_the_page(name: str) -> None:
    doubt = re.compile(
        r"assum|(not|No .* is|Neither .* is) documented|does not (say|document)|documents no", re.IGNORECASE
    )
    own = schemas.load(host.load(name).schemas, "config")["properties"]
    assumed = {n for n, s in own.items() if s.get("assumed")}
    assert {n for n, s in own.items() if doubt.search(s["description"])} <= assumed
    page = (ROOT / "docs" / "connectors" / f"{name}.md").read_text(encoding="utf-8")
    section = page.partition("## Assumed, or not known")[2].partition("\n## ")[0]
    assert set(re.findall(r"^- `(\w+)`: ", section, re.MULTILINE)) == assumed


# --- hooks -------------------------------------------------------------------------------------------


def test_the_hook_reference_is_up_to_date_and_has_every_hook_with_an_example() -> None:
    page = (ROOT / "docs" / "hooks.md").read_text(encoding="utf-8")
    assert page == reference.hooks_markdown(), "run: make docs"
    hooks = {name for name, member in vars(hookspecs).items() if hasattr(member, "vendortap_spec")}
    assert set(re.findall(r"^## (\w+)$", page, re.MULTILINE)) == {*hooks, "Types"}
    for hook, example in re.findall(r"^## (\w+)$.*?\]\(\.\./(examples/[^)]+)\)", page, re.MULTILINE | re.DOTALL):
        assert f"@hookimpl\ndef {hook}(" in (ROOT / example).read_text(encoding="utf-8")


# --- the site ----------------------------------------------------------------------------------------


def test_every_document_is_in_the_menu_of_the_site() -> None:
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    menu = list(_leaves(site["nav"]))
    documents = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert sorted(menu) == sorted(documents)


def _leaves(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    else:
        for child in nav.values() if isinstance(nav, dict) else nav:
            yield from _leaves(child)


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
    rows = re.findall(r"^\| \[`([a-z-]+)`\]\(docs/connectors/\1\.md\) \| .* \| (.*) \| (.*) \|$", README, re.MULTILINE)
    assert {name: re.findall(r"`(\w+)`", streams) for name, _, streams in rows} == {
        name: [stream.name for stream in host.load(name).streams] for name in FIRST_PARTY
    }
    for name, formats, _ in rows:
        options = validation.settings(host.load(name))["properties"].get("format", {}).get("enum", ["json"])
        assert formats == ", ".join(options).upper()
