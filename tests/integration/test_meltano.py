"""The example project in real Meltano, by the commands of its README, held against the sandboxes' own data."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
import yaml
from jsonschema import Draft202012Validator

from vendortap.plugins import host

if TYPE_CHECKING:
    from tests.conftest import StartVendor, Vendor
    from tests.integration.conftest import GetEnvironment

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "meltano"
INSTALLED = ("pyproject.toml", "README.md", "LICENSE", "framework", "connectors", "schemas", "examples/meltano")
"""What the example needs of the repository."""
OTHERS = ["amazon-vendor", "ingram-micro", "midnight", "visiblescm"]
RUN = "meltano run tap-scansource target-vendortap-duckdb"
STATE_ID = "sandbox:tap-scansource-to-target-vendortap-duckdb"
HUB_ONLY = {"domain_url", "keywords", "maintenance_status", "quality", "settings_preamble", "supported_python_versions"}
"""What the Hub says of a plugin, and a project's meltano.yml does not."""


@dataclass
class Project:
    """A copy of the example in a copy of the repository; ``said`` is all that Meltano wrote."""

    folder: Path
    meltano: str
    said: list[str] = field(default_factory=list)

    def environment(self, changes: Mapping[str, str]) -> dict[str, str]:
        """Return what Meltano is started with."""
        unset = ("TAP_", "TARGET_", "MELTANO_", "SANDBOX_", "SCANSOURCE_", "VENDORTAP")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(unset)}
        path = f"{Path(self.meltano).parent}{os.pathsep}{kept['PATH']}"
        return {**kept, "PATH": path, "NO_COLOR": "1", **changes}

    def run(self, line: str, **environment: str) -> str:
        """Run one command of the README, and return what it wrote to standard output."""
        program, *words = shlex.split(line)
        assert program == "meltano"
        done = subprocess.run(
            [self.meltano, *words],
            cwd=self.folder,
            env=self.environment(environment),
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        self.said.append(done.stdout + done.stderr)
        assert done.returncode == 0, f"{line}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def query(self, sql: str, database: str = "sandbox") -> list[Any]:
        with duckdb.connect(str(self.folder / f"{database}.duckdb"), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def tables(self, connector: str) -> set[str]:
        named = self.query(f"SELECT table_name FROM duckdb_tables() WHERE schema_name = '{schema(connector)}'")
        return {name for (name,) in named}


def schema(connector: str) -> str:
    return f"tap_{connector.replace('-', '_')}"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository, as far as the example needs it."""
    root = tmp_path_factory.mktemp("repository")
    left_out = shutil.ignore_patterns("__pycache__", ".meltano", ".env", "*.duckdb")
    for name in INSTALLED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, root / name, ignore=left_out)
        else:
            shutil.copy(ROOT / name, root / name)
    return root


@pytest.fixture(scope="module")
def project(meltano: str, clone: Path) -> Project:
    """The example, its plugins installed."""
    made = Project(clone / "examples" / "meltano", meltano)
    made.run("meltano install")
    return made


def commands() -> list[str]:
    """The README's commands from the first run on, but for those that need an account."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (EXAMPLE / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("meltano ")]
    assert lines[0] == "meltano install"
    return [line for line in lines[1:] if "production" not in line]


@dataclass
class Followed:
    """What came of following the README; ``asked`` are the requests for documents of each `meltano run`."""

    vendor: Vendor
    wrote: Mapping[str, str]
    asked: list[int]
    state: Any


@pytest.fixture(scope="module")
def followed(project: Project, sandboxes: StartVendor) -> Followed:
    """The README's commands, run in their order; before the second run the vendor gets four more invoices."""
    vendor = sandboxes("scansource", invoices=60)
    wrote: dict[str, str] = {}
    asked: list[int] = []
    for line in commands():
        before = vendor.state.requests["detail"]
        if line == RUN and asked:
            vendor.state.add(4)
        wrote[line] = project.run(line, SANDBOX_URL=vendor.url)
        if line == RUN:
            asked.append(vendor.state.requests["detail"] - before)
    return Followed(vendor, wrote, asked, json.loads(wrote[f"meltano state get {STATE_ID}"]))


# --- what the README promises ------------------------------------------------------------------------


def test_the_database_holds_what_the_sandbox_holds(project: Project, followed: Followed) -> None:
    assert followed.vendor.connector.sandbox is not None
    totals = followed.vendor.connector.sandbox.totals.replace("{schema}", "tap_scansource")
    assert {c: (n, amount) for c, n, amount in project.query(totals)} == followed.vendor.state.totals()
    assert project.query("SELECT count(*), count(DISTINCT InvoiceNumber) FROM tap_scansource.invoices") == [(64, 64)]


def test_mail_addresses_are_masked(project: Project, followed: Followed) -> None:
    stored = project.query("SELECT InvoiceNumber, SalesRepEmail, EnteredByEmail FROM tap_scansource.invoice_details")
    expected = {
        (one["InvoiceNumber"], *(one[name] and "***@example.com" for name in ("SalesRepEmail", "EnteredByEmail")))
        for one in followed.vendor.state.invoices()
    }
    assert set(stored) == expected
    assert len({mail for _, *mails in stored for mail in mails}) == 2  # masked, and none


def test_what_is_deselected_is_not_there(project: Project, followed: Followed) -> None:
    assert project.tables("scansource") == {"invoices", "invoice_details"}
    columns = dict(row[:2] for row in project.query("DESCRIBE tap_scansource.invoice_details"))
    assert "SalesRepName" not in columns
    assert "SalesRepCode" in columns
    assert "ItemNumber" in columns["InvoiceLines"]
    assert "SerialNumbers" not in columns["InvoiceLines"]


def test_meltano_keeps_the_state_and_the_second_run_goes_on_from_it(project: Project, followed: Followed) -> None:
    assert followed.asked == [60, 4]
    assert STATE_ID in followed.wrote["meltano state list"].splitlines()
    assert followed.state["singer_state"]["bookmarks"].keys() == {"invoices", "invoice_details"}


def test_secrets_are_redacted(project: Project, followed: Followed) -> None:
    assert followed.vendor.connector.sandbox is not None
    config = followed.vendor.connector.sandbox.config
    listed = followed.wrote["meltano --environment=sandbox config list tap-scansource --all"]
    for name in ("subscription_key", "client_secret"):
        assert re.search(rf"^{name} .*current value: \(redacted\)", listed, re.MULTILINE)
        assert all(config[name] not in text for text in project.said)
    assert config["client_id"] in listed


def test_each_schedule_is_listed_and_the_sandboxs_runs(project: Project, followed: Followed) -> None:
    listed = followed.wrote["meltano schedule list"]
    assert "[@hourly] job sandbox-hourly" in listed
    assert "[30 4 * * *] job production-nightly" in listed
    assert "meltano schedule run sandbox-hourly" in followed.wrote


def test_meltano_leaves_the_projects_files_as_they_are(project: Project, followed: Followed) -> None:
    files = [EXAMPLE / "meltano.yml", *(EXAMPLE / "plugins").rglob("*.lock")]
    for file in files:
        assert (project.folder / file.relative_to(EXAMPLE)).read_bytes() == file.read_bytes()


def test_production_takes_what_is_yours_from_the_environment(project: Project, sandboxes: StartVendor) -> None:
    """Here production is a sandbox, too: only the addresses are put in its place."""
    vendor = sandboxes("scansource", invoices=20, seed=2)
    config = vendor.config()
    given = {name: config[name] for name in ("subscription_key", "client_id", "client_secret")}
    numbers = json.dumps(config["customer_numbers"])
    yours = {f"SCANSOURCE_{name.upper()}": value for name, value in given.items()}
    dotenv = "".join(
        f"{name}='{value}'\n" for name, value in [*yours.items(), ("SCANSOURCE_CUSTOMER_NUMBERS", numbers)]
    )
    (project.folder / ".env").write_text(dotenv, encoding="utf-8")
    moved = {f"TAP_SCANSOURCE_{name.upper()}": config[name] for name in ("base_url", "token_url")}
    moved["TAP_SCANSOURCE_START_DATE"] = "2000-01-01"
    project.run("meltano --environment=production config test tap-scansource", **moved)
    project.run("meltano schedule run production-nightly", **moved)
    assert vendor.connector.sandbox is not None
    totals = vendor.connector.sandbox.totals.replace("{schema}", "tap_scansource")
    assert {c: (n, amount) for c, n, amount in project.query(totals, "production")} == vendor.state.totals()
    assert all(given["client_secret"] not in text and given["subscription_key"] not in text for text in project.said)


@pytest.mark.parametrize("name", OTHERS)
def test_the_other_taps_run_in_the_same_way(name: str, project: Project, sandboxes: StartVendor) -> None:
    sandbox = host.load(name).sandbox
    assert sandbox is not None
    vendor = sandboxes(name, invoices=30, **sandbox.options)
    project.run(f"meltano run tap-{name} target-vendortap-duckdb", SANDBOX_URL=vendor.url)
    loaded = project.query(sandbox.totals.replace("{schema}", schema(name)))
    assert {currency: (count, amount) for currency, count, amount in loaded} == vendor.state.totals()
    for table in project.tables(name):
        for (row,) in project.query(f"SELECT to_json(t)::VARCHAR FROM {schema(name)}.{table} t"):
            assert not re.search(r"\w@", row), "a mail address that nothing masks"


# --- definitions -------------------------------------------------------------------------------------


# --- states ------------------------------------------------------------------------------------------

LOST = "40000007"
"""A document that the vendor lists and does not have."""


@dataclass
class Instance:
    """Runs of one state id into one database, against a vendor that lacks a document."""

    project: Project
    vendor: Vendor
    name: str

    def environment(self, **changes: str) -> dict[str, str]:
        path = str(self.project.folder / f"{self.name}.duckdb")
        return {"SANDBOX_URL": self.vendor.url, "TARGET_VENDORTAP_DUCKDB_PATH": path, **changes}

    def line(self, *options: str) -> str:
        return f"{RUN.replace('run', ' '.join(['run', f'--state-id-suffix={self.name}', *options]), 1)}"

    def run(self, *options: str, **changes: str) -> None:
        self.project.run(self.line(*options), **self.environment(**changes))

    def killed(self, *options: str, documents: int) -> None:
        """Run slowly, and kill Meltano, tap and target when so many more documents have been asked for.

        By then the target has made its file, so it has had the first STATE, and Meltano keeps what it prints.
        """
        until = self.vendor.state.requests["detail"] + documents
        words = [self.project.meltano, *shlex.split(self.line(*options))[1:]]
        process = subprocess.Popen(
            words,
            cwd=self.project.folder,
            env=self.project.environment(self.environment(TAP_SCANSOURCE_CONCURRENCY="1")),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        database = self.project.folder / f"{self.name}.duckdb"
        while self.vendor.state.requests["detail"] < until or not database.exists():
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
        time.sleep(1)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    @property
    def state(self) -> Any:
        """The state that Meltano has, without what depends on the time."""
        state = json.loads(self.project.run(f"meltano state get {STATE_ID}:{self.name}"))["singer_state"]
        for entry in state["bookmarks"].values():
            entry["open"] = [item["key"] for item in entry.get("open", [])]
        return state

    def rows(self) -> list[Any]:
        sql = "SELECT InvoiceNumber, Total FROM tap_scansource.invoice_details ORDER BY ALL"
        return self.project.query(sql, self.name)


class WithoutOne:
    """Stands before a sandbox, and does not have one document."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].endswith("/detail") and LOST.encode() in scope["query_string"]:
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        await self.app(scope, receive, send)


@pytest.fixture(scope="module")
def whole(project: Project, sandboxes: StartVendor) -> Instance:
    """A run that nothing interrupts."""
    vendor = sandboxes("scansource", invoices=120, latency_ms=60)
    vendor.wire.app = WithoutOne(vendor.wire.app)
    made = Instance(project, vendor, "whole")
    made.run()
    assert len(made.rows()) == 119
    assert made.state["bookmarks"]["invoice_details"]["open"] == [[LOST]]
    return made


def test_a_killed_run_is_resumed(project: Project, whole: Instance) -> None:
    cut = Instance(project, whole.vendor, "cut")
    cut.killed(documents=30)
    cut.run("--force")  # Meltano takes a run that was killed for one that goes on
    assert (cut.rows(), cut.state) == (whole.rows(), whole.state)


def test_a_killed_full_refresh_is_resumed_as_one(project: Project, whole: Instance) -> None:
    again = Instance(project, whole.vendor, "again")
    again.run()
    (project.folder / "again.duckdb").unlink()
    again.killed("--full-refresh", documents=30)
    again.run("--force")
    assert (again.rows(), again.state) == (whole.rows(), whole.state)


def test_the_states_of_two_customers_merge(project: Project, whole: Instance) -> None:
    both = [Instance(project, whole.vendor, f"customer{number}") for number in (1, 2)]
    for one, number in zip(both, whole.vendor.config()["customer_numbers"], strict=True):
        one.run(TAP_SCANSOURCE_CUSTOMER_NUMBERS=json.dumps([number]))
    first, second = both
    project.run(f"meltano state merge --from-state-id {STATE_ID}:{second.name} {STATE_ID}:{first.name}")
    merged = first.state["bookmarks"]
    for stream, entry in whole.state["bookmarks"].items():
        assert merged[stream]["partitions"] == entry["partitions"]
    asked = whole.vendor.state.requests["detail"]
    first.run()
    assert whole.vendor.state.requests["detail"] == asked
    assert len(first.rows()) + len(second.rows()) == 119


@pytest.fixture(scope="module")
def meltano_schema(environment: GetEnvironment) -> Any:
    (file,) = environment("meltano").folder.glob("lib/python*/site-packages/meltano/schemas/meltano.schema.json")
    return json.loads(file.read_text(encoding="utf-8"))


every_definition = pytest.mark.parametrize(
    "file", sorted((ROOT / "meltano").rglob("*.yml")), ids=lambda file: str(file.parent.name)
)


def test_the_project_is_valid_by_meltanos_schema(meltano_schema: Any) -> None:
    Draft202012Validator(meltano_schema).validate(yaml.safe_load((EXAMPLE / "meltano.yml").read_text("utf-8")))


@every_definition
def test_a_definition_is_valid_by_meltanos_schema(file: Path, meltano_schema: Any) -> None:
    definition = yaml.safe_load(file.read_text(encoding="utf-8"))
    known = {name: value for name, value in definition.items() if name not in HUB_ONLY}
    kind, validator = file.parent.parent.name, Draft202012Validator(meltano_schema)
    validator.validate({"plugins": {kind: [known]}})
    assert not validator.is_valid({"plugins": {kind: [{**known, "capabilities": ["telepathy"]}]}})


@every_definition
def test_meltano_adds_a_plugin_from_its_definition(file: Path, meltano: str, tmp_path: Path) -> None:
    """A project that has never heard of it has all of it afterwards, and asks no Hub."""
    (tmp_path / "meltano.yml").write_text("send_anonymous_usage_stats: false\n", encoding="utf-8")
    name, kind = file.parent.name, file.parent.parent.name
    Project(tmp_path, meltano).run(f"meltano add --no-install --from-ref {file} {name}")
    definition = yaml.safe_load(file.read_text(encoding="utf-8"))
    (added,) = yaml.safe_load((tmp_path / "meltano.yml").read_text(encoding="utf-8"))["plugins"][kind]
    for word in definition.keys() - HUB_ONLY - {"select", "dialect"}:  # which --from-ref leaves out
        assert added[word] == definition[word], word


def test_the_documented_way_to_add_plugins_installs_them_from_the_clone(
    clone: Path, meltano: str, tmp_path: Path
) -> None:
    """The block of docs/meltano.md, in a project that has never heard of vendortap; no index is asked for it."""
    text = (ROOT / "docs" / "meltano.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"<!-- tried by tests/integration/test_meltano.py -->\n *```sh\n(.*?)```", text, re.DOTALL)
    (tmp_path / "meltano.yml").write_text("send_anonymous_usage_stats: false\n", encoding="utf-8")
    made = Project(tmp_path, meltano)
    for line in block.replace("/srv/vendortap", str(clone)).strip().splitlines():
        words = shlex.split(line)
        if words[0] == "meltano":
            made.run(line.strip())
            continue
        done = subprocess.run([sys.executable, "-m", "vendortap.cli", *words[1:-2]], capture_output=True, check=True)
        (tmp_path / words[-1]).write_bytes(done.stdout)
    plugins = yaml.safe_load((tmp_path / "meltano.yml").read_text(encoding="utf-8"))["plugins"]
    assert plugins["extractors"][0]["pip_url"] == str(clone)
    assert plugins["loaders"][0]["pip_url"] == f"{clone}[duckdb]"
    for kind, name in (("extractors", "tap-scansource"), ("loaders", "target-vendortap-duckdb")):
        assert (tmp_path / ".meltano" / kind / name / "venv" / "bin" / name).is_file()


def test_a_shipped_definition_installs_nothing_until_it_is_said_from_where(
    clone: Path, meltano: str, tmp_path: Path
) -> None:
    (tmp_path / "meltano.yml").write_text("send_anonymous_usage_stats: false\n", encoding="utf-8")
    file = ROOT / "meltano" / "extractors" / "tap-midnight" / "vendortap.yml"
    made = Project(tmp_path, meltano)
    made.run(f"meltano add --no-install --from-ref {file} tap-midnight")
    with pytest.raises(AssertionError, match="Installation failed"):
        made.run("meltano install")
    made.run("meltano install", VENDORTAP=str(clone))
