"""Disks that are full or read-only, and streams that take nothing more: a sentence, and what was there stays whole.

Real file systems: a small tmpfs, where this machine lets one be mounted; and everywhere a limit on the size of files,
which answers EFBIG where a full disk answers ENOSPC. What is promised is held by the latter.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from tests.conftest import environment, executable
from vendortap.duckdb import database
from vendortap.errors import ConfigError, LoadError, StateError
from vendortap.http.token_store import Memory
from vendortap.sync.documents import Documents
from vendortap.sync.state import has_bookmark, kept, previous

if TYPE_CHECKING:
    from tests.conftest import Files, StartVendor, Vendor, Warehouse

resource = pytest.importorskip("resource", reason="limits on the size of files are POSIX's")

STATE = b'{"version": 1, "bookmarks": {}}'
NEWER = b'{"version": 1, "bookmarks": {"invoices": {}}}'
PDF = b"%PDF-1.4\n" + b"x" * 100_000


class Disk:
    """A small file system of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self) -> None:
        with self._filler.open("wb", buffering=0) as filler:
            try:
                while filler.write(b"x" * 4096):
                    pass
            except OSError:
                return

    def free(self) -> None:
        self._filler.unlink()

    def remount(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", self.path], check=True)  # noqa: S607 - the system's


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A file system of half a megabyte; skips where none may be mounted, as in a container without that right."""
    path = tmp_path / "disk"
    path.mkdir()
    try:
        command = ["mount", "-t", "tmpfs", "-o", "size=512k,mode=0755", "vendortap-tests", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no command mount here")
    if done.returncode:
        pytest.skip(f"no file system may be mounted here: {done.stderr.strip()}")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "-l", path], check=True)  # noqa: S607 - likewise


def totals(path: Path) -> dict[str, Any]:
    query = "SELECT Currency, count(*), sum(Total) FROM scansource.invoice_details GROUP BY ALL"
    with duckdb.connect(str(path), read_only=True) as connection:
        return {currency: (count, total) for currency, count, total in connection.execute(query).fetchall()}


def run(config: str, *options: str, **more: Any) -> subprocess.CompletedProcess[str]:
    command = [executable("vendortap"), "run", "scansource", "--config", config, *options]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    done = subprocess.run(command, text=True, env=environment(), timeout=120, check=False, **streams)
    assert "Traceback" not in (done.stderr or "")
    return done


# --- full --------------------------------------------------------------------------------------------


def test_a_full_disk_for_state_tokens_and_documents_leaves_what_was_there(disk: Disk) -> None:
    """Each says that the disk is full; the old state and the old tokens are whole, and go on to be used."""
    path, tokens = disk.path / "state.json", disk.path / "tokens.json"
    path.write_bytes(STATE)
    Memory(tokens).remember({"refresh": "old"})
    documents = Documents(str(disk.path))
    disk.fill()
    with pytest.raises(StateError, match=r"state\.json cannot be written: No space left on device"), kept(path):
        pass
    with pytest.raises(ConfigError, match=r"tokens\.json cannot be written: No space left on device"):
        Memory(tokens).remember({"refresh": "new"})
    with pytest.raises(ConfigError, match="'documents_dir': No space left on device"):
        documents._write("a.pdf", PDF)
    disk.free()
    with kept(path) as file:
        disk.fill()
        with pytest.raises(OSError, match="No space left"):
            file.keep(NEWER)
        assert path.read_bytes() == STATE
        disk.free()
        file.keep(NEWER)
    assert (path.read_bytes(), previous(path).read_bytes()) == (NEWER, STATE)
    assert Memory(tokens).recall("refresh") == "old"
    assert sorted(file.name for file in disk.path.iterdir()) == ["state.json", "state.json.previous", "tokens.json"]


def target(path: Path, file: Files) -> list[str]:
    """The target that loads into a database, ten rows a commit."""
    settings = {"path": str(path), "default_target_schema": "scansource", "batch_size_rows": 10}
    return [executable("target-vendortap-duckdb"), "--config", file(settings)]


def load(command: list[str], messages: bytes) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(command, input=messages, capture_output=True, env=environment(), check=False)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done


def limited(size: int, command: list[str]) -> list[str]:
    """A command whose files may have so many bytes at most, by the shell's own limit (in blocks of 512 bytes)."""
    return ["sh", "-c", f"ulimit -f {size // 512}; exec {shlex.join(command)}"]


def check_half(done: subprocess.CompletedProcess[bytes], path: Path) -> None:
    """The load failed with a sentence and came to no bookmark; the database is as of one of its commits."""
    said = done.stderr.decode()
    marked = [has_bookmark(json.loads(line), "invoice_details") for line in done.stdout.splitlines()]
    assert (done.returncode, any(marked)) == (1, False), said
    why = r"(did not take the batch \((the disk is full|files may not be so large here)\)|cannot write beside)"
    assert re.match(f"target-vendortap-duckdb: .*{why}", said.splitlines()[-1]), said
    with duckdb.connect(str(path), read_only=True) as connection:
        ((count,),) = connection.execute("SELECT count(*) FROM scansource.invoice_details").fetchall()
    assert 0 < count < 120
    assert count % 10 == 0


def test_a_full_disk_for_the_database_leaves_the_last_commit_and_the_next_run_completes_it(
    disk: Disk, start: StartVendor, file: Files
) -> None:
    """A disk that is full in the middle of a load; with room again, the same messages make the tables whole."""
    vendor, path = start(invoices=120), disk.path / "invoices.duckdb"
    messages = vendor.read().stdout
    disk.remount("size=100k")
    check_half(load(target(path, file), messages), path)
    disk.remount("size=20m")
    done = load(target(path, file), messages)
    assert (done.returncode, done.stderr) == (0, b"")
    assert totals(path) == vendor.state.totals()
    assert [left.name for left in disk.path.iterdir()] == ["invoices.duckdb"]


@pytest.mark.promise("A full disk is said in a sentence, and what was there stays whole", figure="1 kinds of files")
def test_a_target_that_may_not_write_on_ends_as_of_its_last_commit(
    start: StartVendor, file: Files, tmp_path: Path
) -> None:
    """The same by a limit on the size of files, which every machine has."""
    path = tmp_path / "invoices.duckdb"
    check_half(load(limited(100_000, target(path, file)), start(invoices=120).read().stdout), path)


@pytest.mark.promise("A full disk is said in a sentence, and what was there stays whole", figure="1 kinds of files")
@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits of another process are Linux's")
def test_a_state_that_finds_no_room_fails_the_run_although_all_is_loaded(
    start: StartVendor, warehouse: Warehouse, file: Files
) -> None:
    """The run says so and ends with 1; the old state stays, so the next run fetches again and loses nothing."""
    vendor = start(invoices=30, latency_ms=20)
    warehouse.state.write_bytes(STATE)
    command = [executable("vendortap"), "run", "scansource", "--config", file(vendor.config(concurrency=2))]
    command += ["--to", str(warehouse.path), "--state", str(warehouse.state)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment()) as process:
        while not vendor.state.requests["detail"]:
            assert process.poll() is None
            time.sleep(0.01)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, 0))  # of the run alone: its children have begun
        out, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "invoice_details" in out, "the table of what was done"
    assert f"vendortap: error: the state file {warehouse.state} cannot be written: File too large; what was" in said
    assert "Traceback" not in said
    assert warehouse.state.read_bytes() == STATE
    assert totals(warehouse.path) == vendor.state.totals()
    left = sorted(path.name for path in warehouse.folder.iterdir())
    assert left == ["state.json", "warehouse.duckdb"]


SPOOL = """
    import json, resource, sys
    from datetime import datetime, timezone
    from vendortap.declare import Connector, Parent, RecordSelector, Reply, Stream, get
    from vendortap.decode import schemas
    from vendortap.errors import VendortapError
    from vendortap.plugins.validation import Shape
    from vendortap.sync import reading
    from vendortap.sync.context import SyncContext
    from vendortap.sync.counters import Counters

    schema = {"type": "object", "properties": {"Id": {"type": "string"}}, "required": ["Id"]}
    node = schemas.compile_record(schema, "row")
    rows = [{"Id": f"{number:040}"} for number in range(80_000)]
    body = json.dumps({"rows": rows}).encode()
    common = {"title": "", "record_selector": RecordSelector(("rows",)), "keys": ("Id",)}
    list_ = Stream(name="list", request=get("/list"), distinct=True, **common)
    documents = Stream(name="documents", request=get("/{id}"), parent=Parent("id", stream="list", field="Id"), **common)
    acme = {"name": "acme", "title": "", "docs": "", "schemas": "", "base_url": lambda _: ""}
    connector = Connector(**acme, streams=(list_, documents))
    send = lambda request: Reply(200, {"content-type": "application/json"}, body, datetime.now(timezone.utc))
    shapes = {stream.name: Shape(schema, node, node) for stream in connector.streams}
    source = SyncContext(connector, {"concurrency": 1, "on_missing": "fail"}, send, shapes)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    for stream in connector.streams:
        try:
            for _ in reading.read(source, stream, lambda _: None, Counters()):
                pass
        except VendortapError as error:
            print(error)
"""


@pytest.mark.promise("A full disk is said in a sentence, and what was there stays whole", figure="2 kinds of files")
def test_no_room_for_what_is_listed_is_a_sentence() -> None:
    """A list that is kept on disk while its documents are fetched, and the keys of one that repeats itself."""
    command = [sys.executable, "-c", textwrap.dedent(SPOOL)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for stream, line in zip(("list", "documents"), done.stdout.splitlines(), strict=True):
        assert line.startswith(f"acme, {stream}: what has been listed cannot be kept in the folder for temporary files")
        assert line.endswith("make room there, or name another one with SQLITE_TMPDIR")


@pytest.mark.promise("A full disk is said in a sentence, and what was there stays whole", figure="1 kinds of files")
def test_no_room_for_the_quarantine_stops_the_tap_before_its_state_moves_on(
    start: StartVendor, tmp_path: Path, file: Files
) -> None:
    """A record that does not fit and cannot be kept either is not passed over."""
    vendor = start(invoices=20)
    vendor.wire.change["/scsc/invoice/v1/detail"] = lambda invoice: {**invoice, "Total": "none"}
    config = file(vendor.config(on_bad_record="quarantine", quarantine_dir=str(tmp_path / "quarantine")))
    done = subprocess.run(
        limited(0, [executable("tap-scansource"), "--config", config]),
        capture_output=True,
        env=environment(),
        check=False,
    )
    said = done.stderr.decode()
    assert done.returncode in (1, 2), said
    assert "Traceback" not in said
    assert "the quarantine" in said.splitlines()[-1]
    assert "cannot be written: File too large" in said.splitlines()[-1]
    states = [m["value"] for m in map(json.loads, done.stdout.splitlines()) if m["type"] == "STATE"]
    assert not any(has_bookmark(state, "invoice_details") for state in states)


# --- streams -----------------------------------------------------------------------------------------


@pytest.mark.promise("A full disk is said in a sentence, and what was there stays whole", figure="1 streams")
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
@pytest.mark.parametrize("who", ["tap", "target", "run"])
def test_an_output_that_takes_nothing_more_is_a_sentence(
    who: str, vendor: Vendor, warehouse: Warehouse, file: Files
) -> None:
    """Standard output on a full disk: exit code 1, and one sentence that says why."""
    config = file(vendor.config())
    reader = shlex.join([sys.executable, "-c", "import sys; sys.stdin.read()"])
    commands: Mapping[str, list[str]] = {
        "tap": [executable("tap-scansource"), "--config", config],
        "target": warehouse.target(),
        "run": [executable("vendortap"), "run", "scansource", "--config", config, "--target", reader],
    }
    messages = b'{"type": "STATE", "value": {"bookmarks": {}}}\n'
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            commands[who], input=messages, stdout=full, stderr=subprocess.PIPE, env=environment(), check=False
        )
    said = done.stderr.decode()
    assert done.returncode == 1, said
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    assert "No space left on device" in said.splitlines()[-1]


# --- read-only ---------------------------------------------------------------------------------------


@pytest.fixture
def read_only(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder with a state in it that nobody may write to: by its mode, or where root tests, by its file system."""
    if os.geteuid() == 0:
        disk: Disk = request.getfixturevalue("disk")
        (disk.path / "state.json").write_bytes(STATE)
        disk.remount("ro")
        yield disk.path
        return
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "state.json").write_bytes(STATE)
    folder.chmod(0o500)
    yield folder
    folder.chmod(0o700)


def test_a_read_only_folder_is_a_sentence_before_anything_is_fetched(
    read_only: Path, vendor: Vendor, tmp_path: Path, file: Files
) -> None:
    """For the state, the tokens, documents and the database, for root too."""
    why = "Read-only file system|Permission denied"
    with pytest.raises(StateError, match=f"cannot be written: ({why})"), kept(read_only / "state.json"):
        pass
    with pytest.raises(ConfigError, match=r"the folder of the token file .* cannot be written"):
        Memory(read_only / "tokens.json").recall("refresh")
    with pytest.raises(ConfigError, match=f"documents_dir.*({why})"):
        Documents(str(read_only / "documents"))
    with pytest.raises(LoadError, match=r"read-only|permission denied"):
        database.connect(read_only / "invoices.duckdb")

    asked = sum(vendor.state.requests.values())
    config = file(vendor.config())
    done = run(config, "--to", str(tmp_path / "invoices.duckdb"), "--state", str(read_only / "new.json"))
    assert (done.returncode, done.stdout) == (2, "")
    assert f"vendortap: error: the state file {read_only / 'new.json'} cannot be written: " in done.stderr
    assert sum(vendor.state.requests.values()) == asked
    assert not (tmp_path / "invoices.duckdb").exists()
