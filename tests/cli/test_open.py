"""`vendortap open`, and what a run ends with while something is open: in both ways of keeping the state."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tap_scansource import SCANSOURCE
from tests.cli.conftest import written
from tests.conftest import environment, executable
from vendortap.sandbox import serve

INVOICES = 30
DETAIL = "/scsc/invoice/v1/detail"


class Door:
    """Stands before a sandbox, and does not have some of its documents."""

    def __init__(self, app: Any) -> None:
        self.app, self.numbers, self.asked = app, set[str](), list[str]()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        query = scope["query_string"].decode()
        if scope["path"] == DETAIL:
            self.asked.append(query)
            if any(number in query for number in self.numbers):
                await send({"type": "http.response.start", "status": 404, "headers": []})
                await send({"type": "http.response.body", "body": b""})
                return
        await self.app(scope, receive, send)


@pytest.fixture
def door() -> Door:
    made = Door(serve.application(SCANSOURCE, invoices=INVOICES))
    made.numbers = {"40000003", "40000011", "40000020"}
    return made


@pytest.fixture
def config(door: Door, tmp_path: Path) -> Iterator[Path]:
    with serve.serving(door) as served:
        yield written(tmp_path, serve.settings(SCANSOURCE, served.url))


Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(params=["database", "file"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """Where the state is: the options that say so to `vendortap open`."""
    return (
        ["--to", str(tmp_path / "i.duckdb")] if request.param == "database" else ["--state", str(tmp_path / "s.json")]
    )


def vendortap(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [executable("vendortap"), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False, timeout=120)
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def run(config: Path, place: list[str], tmp_path: Path) -> Command:
    def call(*more: str) -> subprocess.CompletedProcess[str]:
        to = ["--to", str(tmp_path / "i.duckdb")]
        return vendortap("run", "scansource", "--config", config, *to, *(place if place[0] != "--to" else []), *more)

    return call


def listed(place: list[str], *more: str) -> list[Any]:
    done = vendortap("open", "list", "--json", *place, *more)
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


def documents(folder: Path) -> int:
    with duckdb.connect(str(folder / "i.duckdb"), read_only=True) as connection:
        found = connection.execute("SELECT count(*) FROM scansource.invoice_details").fetchone()
    return found[0] if found else 0


@pytest.mark.promise("While a document that was listed is missing, runs end with 3 and ask for it again")
def test_runs_end_with_3_until_all_has_arrived(run: Command, place: list[str], door: Door, tmp_path: Path) -> None:
    first = run()
    assert (first.returncode, documents(tmp_path)) == (3, INVOICES - 3)
    assert "not obtained of what the vendor lists: 3, in this run or before" in first.stderr
    assert "records or documents" not in first.stderr, "said once"
    assert f"vendortap open list {place[0]}" in first.stderr
    door.asked.clear()
    second = run()
    assert (second.returncode, len(door.asked)) == (3, 3)
    door.asked.clear()
    assert (run().returncode, door.asked) == (3, []), "not due, and open all the same"
    found = listed(place)
    assert {item["key"][-1] for item in found} == door.numbers
    assert {(item["stream"], item["connector"].partition(":")[0], item["tries"]) for item in found} == {
        ("invoice_details", "scansource", 2)
    }
    text = vendortap("open", "list", *place).stdout
    assert all(number in text for number in door.numbers)


def test_what_is_closed_or_acknowledged_lets_a_run_end_with_0(run: Command, place: list[str], door: Door) -> None:
    assert run().returncode == 3
    closed, known, other = sorted(door.numbers)
    done = vendortap("open", "close", closed, "--why", "cancelled", *place)
    assert (done.returncode, done.stderr) == (0, "vendortap: closed 1\n")
    until = (date.today() + timedelta(days=2)).isoformat()
    assert vendortap("open", "ack", known, "--until", until, *place).returncode == 0
    door.numbers.discard(other)
    door.asked.clear()
    assert run().returncode == 0
    assert len(door.asked) == 2, "what is acknowledged is asked for"
    assert [item["key"][-1] for item in listed(place)] == [known]
    assert {item["key"][-1]: item.get("note") for item in listed(place, "--all")} == {closed: "cancelled", known: None}
    assert run().returncode == 0


def test_all_of_before_a_day_is_closed_at_once(run: Command, place: list[str]) -> None:
    assert run().returncode == 3
    words = ["open", "close", "--why", "before our time", *place, "--before"]
    assert vendortap(*words, "2020-01-01").stderr == "vendortap: closed 0\n"
    assert vendortap(*words, "2999-01-01", "--stream", "invoices").stderr == "vendortap: closed 0\n"
    assert vendortap(*words, "2999-01-01", "--stream", "invoice_details").stderr == "vendortap: closed 3\n"
    assert run().returncode == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["list"], "give one of --to FILE.duckdb and --state FILE"),
        (["close", "--why", "x"], "either keys, or --before DATE"),
        (["close", "1"], "Missing option '--why'"),
        (["ack", "1", "--until", "soon"], "does not match the format"),
        (["ack", "1", "--until", "2020-01-01"], "has passed"),
        (["close", "7", "--why", "x", "--state", "STATE"], "nothing is open by the key '7'"),
        (["list", "--state", "BROKEN"], "is not a Singer state"),
    ],
)
def test_wrong_usage_is_a_sentence(words: list[str], says: str, tmp_path: Path) -> None:
    (tmp_path / "STATE").write_text('{"bookmarks": {}}')
    (tmp_path / "BROKEN").write_text('{"bookmarks": 5}')
    done = vendortap("open", *(str(tmp_path / word) if word in ("STATE", "BROKEN") else word for word in words))
    assert done.returncode == 2
    assert says in done.stderr


def test_a_bare_tap_warns_and_ends_with_0(config: Path, door: Door) -> None:
    done = subprocess.run(
        [executable("tap-scansource"), "--config", str(config)],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
        timeout=120,
    )
    assert done.returncode == 0
    assert "3 records or documents are listed by the vendor and not obtained" in done.stderr
    assert len(door.numbers) == 3
