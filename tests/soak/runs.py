"""The product, run against a hostile vendor: through ``vendortap.read``, or through the console commands."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

import vendortap
from tests.soak.histories import CONSOLE_EVERY, History
from tests.soak.hostile import Hostile
from tests.soak.oracle import Outcome, Rows, Verdict, judge, plain, streams
from tests.soak.vendors import Table
from tests.soak.wire import serving
from vendortap.duckdb import states
from vendortap.errors import StateError, VendortapError
from vendortap.support.files import read_json

SECONDS = 120
"""A run that takes longer hangs."""
ERROR = re.compile(r"^(vendortap|tap-[a-z-]+): error:|\b(ERROR|CRITICAL)\b")


def play(history: History) -> tuple[Verdict, list[Outcome]]:
    """Play a history to its end, and judge it."""
    hostile = Hostile(history)
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="vendortap-soak-") as folder, serving(hostile.answer) as url:
        settings = hostile.vendor.settings(history, url)
        quarantine = Path(folder) / "quarantine"
        if history.quarantine:
            settings |= {"on_bad_record": "quarantine", "quarantine_dir": str(quarantine), "quarantine_limit": None}
        product = Console(Path(folder), hostile) if history.console else Embedded()
        for _ in range(history.runs):
            hostile.begin()
            ended = product.run(hostile, settings)
            held = frozenset(hostile.book.held_since(hostile.began - 1))
            said = ended.said + _in_quarantine(quarantine)
            outcomes.append(Outcome(ended.code, said, ended.error, held, product.tables(), _open(product.kept_state())))
    return judge(hostile, outcomes), outcomes


def _open(state: Mapping[str, Any]) -> str:
    """Return the keys of all open items of a state, as text."""
    entries = state.get("bookmarks", {}).values()
    return "".join(f" {key[-1]} " for entry in entries for item in entry.get("open", ()) if (key := item["key"]))


def _of_another(connector: str) -> dict[str, Any]:
    """Return the state of another connector, as its run leaves it."""
    owner = {"connector": f"not-{connector}", "account": None, "origin": "https://api.example.com"}
    mark = {"replication_key": "At", "replication_key_value": "2999-01-01T00:00:00+00:00"}
    return {"version": 2, "owner": owner, "bookmarks": dict.fromkeys(("invoices", "customer_invoices"), mark)}


def _in_quarantine(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.exists() else []
    return "".join(path.read_text(errors="replace") for path in files)


@dataclass(frozen=True)
class Ended:
    """How one run ended: its exit code (None: killed), its warnings, and the error that ended it."""

    code: int | None
    said: str
    error: str


def cell(table: Table, record: Mapping[str, Any]) -> tuple[Decimal | None, int | None]:
    """Return what is compared of a record."""
    lines = record.get(table.lines) if table.lines else None
    count = (0 if lines is None else len(lines)) if table.lines else None
    return table.amount(record), count


@dataclass
class Embedded:
    """The product inside this process: what it yields is put into tables by key, as a target does."""

    state: Mapping[str, Any] = field(default_factory=dict)
    before: Mapping[str, Any] = field(default_factory=dict)
    kept: dict[str, dict[str, tuple[Decimal | None, int | None]]] = field(default_factory=dict)

    def run(self, hostile: Hostile, settings: Mapping[str, Any]) -> Ended:
        """Read everything; a kill is to stop reading, and to forget what the last state does not cover."""
        kill = next(
            (event.at for event in hostile.history.events if (event.run, event.where) == (hostile.run, "kill")), 0
        )
        accident = hostile.history.accident(hostile.run)
        self.before, self.state = self.state, self.before if accident == "old state" else self.state
        with _listening() as said:
            try:
                if accident == "another's state":
                    self._hold_refused(hostile, settings)
                killed = self._read(hostile, settings, kill)
            except VendortapError as error:
                return Ended(1, "\n".join(said), str(error))
            except Exception:  # noqa: BLE001 - that the product lets it out is what is told
                return Ended(1, "\n".join(said), f"unexpected: {traceback.format_exc()}")
        return Ended(None if killed else 0, "\n".join(said), "")

    def _read(self, hostile: Hostile, settings: Mapping[str, Any], kill: int) -> bool:
        chosen = list(streams(hostile.history, hostile.vendor))
        reading = vendortap.read(hostile.history.connector, settings, streams=chosen, state=self.state)
        with closing(reading):
            for count, item in enumerate(reading, 1):
                if isinstance(item, vendortap.StreamState):
                    self.state = json.loads(json.dumps(item.state))
                else:
                    table = hostile.vendor.tables[item.stream]
                    rows = self.kept.setdefault(item.stream, {})
                    rows[plain(str(item.record[table.key]))] = cell(table, item.record)
                if count == kill:
                    return True
        return False

    def _hold_refused(self, hostile: Hostile, settings: Mapping[str, Any]) -> None:
        """Raise where the state of another connector is taken; nothing is asked for before it is refused."""
        wrong = _of_another(hostile.history.connector)
        try:
            next(iter(vendortap.read(hostile.history.connector, settings, state=wrong)), None)
        except StateError:
            return
        raise AssertionError("the state of another connector was taken")

    def kept_state(self) -> Mapping[str, Any]:
        """Return the state that the next run goes on from."""
        return self.state

    def tables(self) -> Mapping[str, Rows]:
        """Return what is in the tables."""
        return {stream: dict(rows) for stream, rows in self.kept.items()}


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Collect what is logged as a warning or worse."""
    said: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    listener = Listener(logging.WARNING)
    logging.getLogger().addHandler(listener)
    try:
        yield said
    finally:
        logging.getLogger().removeHandler(listener)


class Console:
    """The product's commands: `vendortap run` into a DuckDB file; a kill is SIGKILL for all.

    The file keeps the state; every other history has a state file, too.
    """

    def __init__(self, folder: Path, hostile: Hostile) -> None:
        self.hostile = hostile
        self.database, self.config = folder / "invoices.duckdb", folder / "config.json"
        self.state, self.catalog, self.temporary = folder / "state.json", folder / "catalog.json", folder / "tmp"
        self.temporary.mkdir()
        self.has_file = hostile.history.seed // CONSOLE_EVERY % 2 == 0
        self.environment = {**os.environ, "TMPDIR": str(self.temporary), "NO_COLOR": "1"}

    def run(self, hostile: Hostile, settings: Mapping[str, Any]) -> Ended:
        """Run the command as an operator does."""
        self.config.write_text(json.dumps(settings))
        connector = hostile.history.connector
        if not self.catalog.exists():
            self._choose(hostile)
        command = [_executable("vendortap"), "run", connector, "--config", str(self.config)]
        command += ["--to", str(self.database), "--catalog", str(self.catalog)]
        command += ["--state", str(self.state)] if self.has_file else []
        self._happen(hostile.history.accident(hostile.run))
        ended = self._ended(hostile, command)
        if ended.code == 2 and (mine := self.state.with_suffix(".mine")).exists():
            mine.replace(self.state)
            ended = self._ended(hostile, command)
        if ended.code == 2 and "--full-refresh" in ended.error:
            ended = self._ended(hostile, [*command, "--full-refresh"])
        return ended

    def _happen(self, accident: str | None) -> None:
        """Do to the database and the state file what has happened; keep copies for what may happen later."""
        there = [path for path in (self.database, self.state) if path.exists()]
        old = {path: copy for path in there if (copy := path.with_suffix(".old")).exists()}
        now = {path: path.read_bytes() for path in there}
        if accident == "lost database":
            self.database.unlink(missing_ok=True)
        elif accident == "old database" and self.database in old:
            old[self.database].replace(self.database)
        elif accident == "old state" and self.state in old:
            old[self.state].replace(self.state)
        elif accident == "another's state" and self.state in there:
            self.state.with_suffix(".mine").write_bytes(now[self.state])
            self.state.write_text(json.dumps(_of_another(self.hostile.history.connector)))
        for path, content in now.items():
            path.with_suffix(".old").write_bytes(content)

    def _ended(self, hostile: Hostile, command: list[str]) -> Ended:
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            env=self.environment,
            start_new_session=True,
        )
        hostile.killer = lambda: os.killpg(process.pid, signal.SIGKILL)
        try:
            _, stderr = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return Ended(1, process.communicate()[1], f"unexpected: no end after {SECONDS} s")
        finally:
            hostile.killer = None
        lines = stderr.splitlines()
        said = "\n".join(line for line in lines if not ERROR.search(line))
        error = "\n".join(line for line in lines if ERROR.search(line))
        return Ended(None if process.returncode == -signal.SIGKILL else process.returncode, said, error)

    def kept_state(self) -> Mapping[str, Any]:
        """Return the state that the next run goes on from."""
        if self.has_file:
            return read_json(self.state, StateError, "the state") if self.state.exists() else {}
        kept = states.history(self.database) if self.database.exists() else []
        found: Mapping[str, Any] = json.loads(kept[0].state) if kept else {}
        return found

    def _choose(self, hostile: Hostile) -> None:
        """Write a catalog that selects the streams of the history."""
        command = [_executable(f"tap-{hostile.history.connector}"), "--config", str(self.config), "--discover"]
        found = subprocess.run(command, capture_output=True, text=True, check=True, env=self.environment)
        catalog = json.loads(found.stdout)
        chosen = set(streams(hostile.history, hostile.vendor))
        for stream in catalog["streams"]:
            top = next(entry for entry in stream["metadata"] if entry["breadcrumb"] == [])
            top["metadata"]["selected"] = stream["tap_stream_id"] in chosen
        self.catalog.write_text(json.dumps(catalog))

    def tables(self) -> Mapping[str, Rows]:
        """Return what is in the DuckDB file."""
        if not self.database.exists():
            return {}
        schema = self.hostile.history.connector.replace("-", "_")
        kept: dict[str, Rows] = {}
        with duckdb.connect(str(self.database)) as connection:
            there = connection.execute(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = ?", [schema]
            ).fetchall()
            for (stream,) in there:
                if (table := self.hostile.vendor.tables.get(stream)) is None:
                    continue
                found = connection.execute(f'SELECT * FROM "{schema}"."{stream}"')
                names = [column[0] for column in found.description or ()]
                records = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
                kept[stream] = {plain(str(record[table.key])): cell(table, record) for record in records}
        return kept


def _executable(name: str) -> str:
    return str(Path(sys.executable).parent / name)
