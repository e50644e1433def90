"""The database file: for its owner alone, and nobody else's."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.duckdb.kit import INTEGER, load, record, rows, schema
from vendortap.duckdb import database, states
from vendortap.errors import LoadError
from vendortap.support import files

PLANTED = "What another user plants in a shared folder is neither followed, truncated nor believed"
HEAD = schema("s", {"n": INTEGER}, ["n"])


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    return folder


@pytest.fixture
def without_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.promise("What vendortap keeps can be read by its owner only, whatever the umask is")
@pytest.mark.usefixtures("without_umask")
def test_the_database_its_log_and_its_batches_are_private_whatever_the_umask_is(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: dict[str, int] = {}

    def note() -> None:
        for path in file.parent.rglob("*"):
            modes[path.name.removeprefix(file.name) or "itself"] = stat.S_IMODE(path.stat().st_mode) & 0o077

    forget = database._forget

    def after_commit(connection: object) -> None:
        note()
        forget(connection)  # type: ignore[arg-type] # it is one

    monkeypatch.setattr(database, "_forget", after_commit)
    load(file, HEAD, record("s", n=1))
    note()
    assert {"itself", ".wal"} <= modes.keys()
    assert len(modes) > 2, "no batch was seen"
    assert not any(modes.values()), modes


def test_a_database_that_is_there_keeps_its_mode(file: Path) -> None:
    """Its owner may have opened it to others, who read it."""
    load(file, HEAD, record("s", n=1))
    file.chmod(0o644)
    load(file, HEAD, record("s", n=2))
    assert stat.S_IMODE(file.stat().st_mode) == 0o644


def test_what_does_not_fit_into_memory_is_put_beside_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(database.connect(tmp_path / "x.duckdb")) as connection, database.batch_folder(tmp_path / "y") as spill:
        query = "SELECT current_setting('temp_directory')"
        assert connection.execute(query).fetchall() == [("",)]
        database.spill_into(connection, spill)
        assert connection.execute(query).fetchall() == [(spill,)]


@pytest.mark.promise(PLANTED)
def test_an_operators_own_link_is_followed_and_batches_wait_where_the_file_is(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tmp_path / "mnt" / "real.duckdb"
    real.parent.mkdir()
    file.symlink_to(real)
    load(file, HEAD, record("s", n=1))
    assert rows(real, "SELECT n FROM s") == [(1,)]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["invoices.duckdb", "mnt", "real.duckdb"]
    monkeypatch.setattr(files, "trusted_owners", lambda: {54321})
    with pytest.raises(LoadError, match=r"cannot open .* is a symbolic link of another user"):
        database.connect(file)


@pytest.mark.promise(PLANTED)
@pytest.mark.parametrize("suffix", ["", ".wal", ".checkpoint.wal"])
@pytest.mark.parametrize("plant", ["write_bytes", "hardlink_to", "symlink_to"])
def test_a_planted_database_or_log_is_refused(
    suffix: str, plant: str, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DuckDB replays a log into the database, and makes one where a link leads."""
    path, victim = shared / "invoices.duckdb", tmp_path / "victim"
    load(path, HEAD, record("s", n=1))
    victim.write_bytes(b"kept")
    planted = shared / f"invoices.duckdb{suffix}"
    planted.unlink(missing_ok=True)
    if plant == "write_bytes":
        planted.write_bytes(b"")
        monkeypatch.setattr(files, "trusted_owners", lambda: {54321})
    else:
        getattr(planted, plant)(victim)
        if not suffix and plant == "symlink_to":
            monkeypatch.setattr(files, "trusted_owners", lambda: {54321})
    before = victim.read_bytes()
    for use in (
        lambda: load(path, HEAD, record("s", n=2)),
        lambda: states.look(path, "acme", "acme"),
        lambda: states.restore(path, 1),
    ):
        with pytest.raises(LoadError, match=r"symbolic link|hard link|another user's"):
            use()
    assert victim.read_bytes() == before
