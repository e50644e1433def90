"""The state that a database keeps: runs that go on from it, and state files that do not belong to it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tap_scansource import SCANSOURCE
from tap_visiblescm import VISIBLESCM
from vendortap.declare.model import Connector
from vendortap.duckdb import states
from vendortap.errors import InUseError, LoadError, StateError
from vendortap.operate import beginning, run
from vendortap.operate.beginning import Database
from vendortap.sandbox import serve
from vendortap.sync.state import previous

INVOICES = 12


@dataclass
class Place:
    """A sandbox, and a folder that it is loaded into by runs as `vendortap run --to` makes them."""

    folder: Path
    served: serve.Served
    app: Any
    connector: Connector = SCANSOURCE

    @property
    def database(self) -> Path:
        return self.folder / "invoices.duckdb"

    @property
    def state(self) -> Path:
        return self.folder / "state.json"

    @property
    def asked(self) -> int:
        return sum(self.app.state.requests.values())

    def run(self, *, file: bool = False, full_refresh: bool = False, account: str | None = None) -> run.Outcome:
        config = self.folder / f"{self.connector.name}.json"
        config.write_text(json.dumps(serve.settings(self.connector, self.served.url)))
        into = Database(self.database, self.connector.name, account)
        with run.duckdb_command(self.connector.name, self.database, into.instance) as command:
            state = self.state if file else None
            quiet = {"LOGLEVEL": "ERROR"}
            name = self.connector.name
            job = run.Job(name, [str(config)], command, state, None, quiet, database=into, full_refresh=full_refresh)
            return run.run(job)

    def records(self, **options: Any) -> int:
        """How many documents a run hands on."""
        outcome = self.run(**options)
        assert outcome.exit_code == 0, outcome.problem
        return int(outcome.report["streams"]["invoice_details"]["records"])

    def rows(self) -> int:
        with duckdb.connect(str(self.database), read_only=True) as database:
            schema = self.connector.name.replace("-", "_")
            [(count,)] = database.execute(f"SELECT count(*) FROM {schema}.invoice_details").fetchall()
        return int(count)

    def refuses(self, reason: str, **options: Any) -> None:
        """A run ends before it has asked for anything, and has changed nothing."""
        before, kept = self.asked, self.database.exists()
        with pytest.raises(StateError, match=reason) as refused:
            self.run(**options)
        assert refused.value.exit_code == 2
        assert (self.asked, self.database.exists()) == (before, kept)
        assert "--full-refresh" in str(refused.value)


@contextmanager
def place_of(connector: Connector, folder: Path, **options: Any) -> Iterator[Place]:
    app = serve.application(connector, invoices=INVOICES, seed=1, latency_ms=0, **options)
    with serve.serving(app) as served:
        yield Place(folder, served, app, connector)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with place_of(SCANSOURCE, tmp_path, rate=0) as place:
        yield place


# --- the state in the database -----------------------------------------------------------------------


@pytest.mark.promise("A second run into a DuckDB file goes on from the state in it")
def test_a_second_run_goes_on_from_what_the_database_has(place: Place) -> None:
    """Without a state file: only what is new is fetched, and nothing is left beside the database."""
    assert place.records() == INVOICES
    place.app.state.add(2)
    details = place.app.state.requests["detail"]
    assert place.records() == 2
    assert place.app.state.requests["detail"] == details + 2
    assert place.rows() == INVOICES + 2
    assert sorted(path.name for path in place.folder.iterdir()) == ["invoices.duckdb", "scansource.json"]


@pytest.mark.promise("A lost database is read anew, or with its state file an error, never left empty")
def test_a_lost_database_is_read_anew(place: Place) -> None:
    assert place.records() == INVOICES
    place.database.unlink()
    assert place.records() == INVOICES == place.rows()


def test_a_full_refresh_fetches_everything_and_replaces_the_state(place: Place) -> None:
    assert place.records() == INVOICES
    place.app.state.add(1)
    assert place.records(full_refresh=True) == INVOICES + 1 == place.rows()
    assert [kept.number for kept in states.history(place.database)] == [2, 1]
    assert place.records() == 0


@pytest.mark.parametrize(
    ("spoiled", "reason"),
    [
        ("""'{"bookmarks": 7}'""", "is not a Singer state"),
        ("""'{"bookmarks": {}, "version": 99}'""", "a newer one wrote it"),
        ("'[]'", "it is not a JSON object"),
    ],
)
def test_a_state_that_cannot_be_used_is_refused_with_the_way_back(place: Place, spoiled: str, reason: str) -> None:
    """The states before it are listed and can be restored; a full refresh does without any."""
    assert place.records() == INVOICES
    place.app.state.add(1)
    assert place.records() == 1
    with duckdb.connect(str(place.database)) as database:
        database.execute(f"UPDATE _vendortap.states SET state = {spoiled} WHERE generation = 2")
    place.refuses(f"keeps cannot be used: .*{reason}.*`vendortap state list ")
    states.restore(place.database, 1)
    assert place.records() == 1


def test_a_state_whose_tables_are_gone_is_refused(place: Place) -> None:
    assert place.records() == INVOICES
    with duckdb.connect(str(place.database)) as database:
        database.execute("DROP SCHEMA scansource CASCADE")
    place.refuses("keeps is without its tables: the schema scansource is empty")
    assert place.records(full_refresh=True) == INVOICES


@pytest.mark.promise("Connectors and accounts share a database, each with its own state")
def test_two_connectors_share_a_database(place: Place, tmp_path: Path) -> None:
    with place_of(VISIBLESCM, tmp_path) as other:
        for _ in range(2):
            assert place.run().exit_code == other.run().exit_code == 0
        assert place.rows() == other.rows() == INVOICES
        assert {kept.instance for kept in states.history(place.database)} == {"scansource", "visiblescm"}
        assert place.records() == 0


def test_accounts_of_a_connector_are_instances_of_their_own() -> None:
    config = {"base_url": "http://localhost", "username": "one"}
    one, other = (
        beginning.database_of(VISIBLESCM, {**config, "username": name}, Path("x.duckdb")) for name in ("one", "other")
    )
    assert one.instance.startswith("visiblescm:")
    assert one.instance != other.instance
    assert one.schema == other.schema == "visiblescm"


# --- one at a time -----------------------------------------------------------------------------------


def test_two_runs_at_once_are_refused_whatever_the_database_is_called(place: Place) -> None:
    link = place.folder / "link.duckdb"
    link.symlink_to(place.database)
    with beginning.held(link), pytest.raises(InUseError, match=r"the database .* is in use by another run"):
        place.run()
    assert place.asked == 0
    assert place.records() == INVOICES


HOLD = (
    "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == 'r'); print(1, flush=True); input()"
)


@pytest.mark.parametrize("mode", ["w", "r"])
def test_a_database_that_another_program_has_open_is_a_sentence_before_anything_is_asked_for(
    place: Place, mode: str
) -> None:
    duckdb.connect(str(place.database)).close()
    command = [sys.executable, "-c", HOLD, str(place.database), mode]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        holder.stdout.readline()
        for full_refresh in (False, True):
            with pytest.raises(LoadError, match="another process has it open; close that one first"):
                place.run(full_refresh=full_refresh)
        holder.communicate(b"\n")
    assert place.asked == 0


# --- with a state file -------------------------------------------------------------------------------


@pytest.mark.promise("A lost database is read anew, or with its state file an error, never left empty")
def test_a_state_file_without_its_database_is_refused(place: Place) -> None:
    assert place.records(file=True) == INVOICES
    assert place.records(file=True) == 0
    whole, lost = place.state.read_bytes(), place.database.with_name("lost")
    place.database.rename(lost)
    place.refuses("the database .* does not exist.*Restore the .*invoices.duckdb", file=True)
    duckdb.connect(str(place.database)).close()
    place.refuses("has no tables of scansource", file=True)
    assert place.state.read_bytes() == whole
    lost.replace(place.database)
    assert place.records(file=True) == 0


@pytest.mark.promise("A database that is behind its state file is refused before anything is asked for")
def test_an_older_copy_of_the_database_is_refused(place: Place) -> None:
    """Its file goes with it: the one of before is taken, and a newer database than the file is no harm."""
    assert place.records(file=True) == INVOICES
    backup, newest = place.folder / "backup", place.folder / "newest"
    shutil.copy(place.database, backup)
    place.app.state.add(2)
    assert place.records(file=True) == 2
    shutil.copy(place.database, newest)
    backup.replace(place.database)
    place.refuses("is behind: it is at generation 1, and the file at 2", file=True)
    newest.replace(place.database)
    previous(place.state).replace(place.state)
    assert place.records(file=True) == 2
    assert place.rows() == INVOICES + 2


def test_another_database_is_refused_and_a_full_refresh_takes_it(place: Place) -> None:
    """It is another one even where it has the same invoices."""
    assert place.records(file=True) == INVOICES
    state = place.state.read_bytes()
    place.database.unlink()
    assert place.records() == INVOICES
    place.refuses("is another database than the one that it belongs to", file=True)
    assert place.records(file=True, full_refresh=True) == INVOICES
    assert previous(place.state).read_bytes() == state
    assert place.records(file=True) == 0


def test_a_broken_state_file_is_replaced_by_a_full_refresh(place: Place) -> None:
    previous(place.state).write_text('{"bookmarks": {}}')
    place.state.write_text("half")
    assert place.records(file=True, full_refresh=True) == INVOICES
    assert json.loads(place.state.read_text())["generation"]["number"] == 1
    assert previous(place.state).read_text() == '{"bookmarks": {}}', "what can be used is not given for what cannot"


@pytest.mark.parametrize("generation", [7, {"database": "x"}, {"database": "x", "number": "many"}])
def test_a_generation_that_cannot_be_read_is_refused(place: Place, generation: Any) -> None:
    assert place.records(file=True) == INVOICES
    state = json.loads(place.state.read_text())
    place.state.write_text(json.dumps({**state, "generation": generation}))
    asked = place.asked
    with pytest.raises(StateError, match="has a 'generation' that cannot be read"):
        place.run(file=True)
    assert place.asked == asked


def test_a_state_file_of_an_older_version_is_adopted_where_the_database_has_its_tables(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert place.records(file=True) == INVOICES
    state = json.loads(place.state.read_text())
    del state["generation"]
    place.state.write_text(json.dumps(state))
    with duckdb.connect(str(place.database)) as database:
        database.execute("DROP SCHEMA _vendortap CASCADE")
    assert place.records(file=True) == 0
    assert "does not say which database it belongs to" in capsys.readouterr().err
    assert json.loads(place.state.read_text())["generation"]["number"] == 1
    assert place.records(file=True) == 0
    assert capsys.readouterr().err == ""
    place.state.write_text(json.dumps(state))
    place.database.unlink()
    place.refuses("does not exist", file=True)


def test_without_its_state_file_everything_is_fetched_and_it_is_said_who_has_a_state(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert place.records() == INVOICES
    assert place.records(file=True) == INVOICES
    assert f"there is no state file {place.state}, so everything is fetched. Without --state" in capsys.readouterr().err


ECHO = """
import json, sys
for line in map(json.loads, sys.stdin):
    if line["type"] == "STATE":
        print(json.dumps(line["value"]))
"""


def test_a_target_that_keeps_no_states_leaves_no_generation_in_the_file(place: Place) -> None:
    """Its bookmarks are of another place; the database would take them for what it has."""
    assert place.records(file=True) == INVOICES
    assert "generation" in json.loads(place.state.read_text())
    place.app.state.add(1)
    config = str(place.folder / "scansource.json")
    job = run.Job("scansource", [config], [sys.executable, "-c", ECHO], place.state, environment={"LOGLEVEL": "ERROR"})
    assert run.run(job).exit_code == 0
    assert "generation" not in json.loads(place.state.read_text())
