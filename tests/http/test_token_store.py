"""The token file: private, whole, written before anything is used, and never somebody else's file."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from vendortap.errors import ConfigError, InUseError
from vendortap.http.token_store import Memory
from vendortap.support import files, lock

TEXTS = {"refresh": "r-1", "access": "a-1"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


def test_without_a_file_it_lasts_as_long_as_the_process() -> None:
    memory = Memory()
    assert memory.recall("refresh") is None
    memory.remember(TEXTS)
    assert memory.recall("refresh") == "r-1"
    assert Memory().recall("refresh") is None


def test_what_is_remembered_is_in_the_file_when_remember_returns(path: Path) -> None:
    Memory(path).remember(TEXTS)
    assert json.loads(path.read_bytes()) == TEXTS
    assert Memory(path).recall("access") == "a-1"


@pytest.mark.parametrize("token", ["a\nb", "\u2026", "\ud800", "A" * 20_000])
def test_a_kept_token_that_could_not_be_sent_is_refused_with_the_way_out(path: Path, token: str) -> None:
    """Another account's does not matter."""
    path.write_text(json.dumps({"refresh": token, "access": "a-1"}))
    with pytest.raises(ConfigError, match=r"a token in the token file .* has .*, or remove the file to sign in anew"):
        Memory(path).recall("refresh")
    assert Memory(path).recall("access") == "a-1"


def test_what_was_there_stays(path: Path) -> None:
    Memory(path).remember(TEXTS)
    again = Memory(path)
    again.remember({"refresh": "r-2"})
    assert json.loads(path.read_bytes()) == {"refresh": "r-2", "access": "a-1"}
    assert (again.recall("refresh"), again.recall("access")) == ("r-2", "a-1")


@pytest.mark.promise("State and tokens are written as a whole or not at all, and can be read by their owner only")
@pytest.mark.parametrize("before", [None, 0o644, 0o666])
def test_only_the_owner_can_read_the_file_whatever_it_was(path: Path, before: int | None) -> None:
    if before is not None:
        path.write_text("{}")
        path.chmod(before)
    umask = os.umask(0)
    try:
        Memory(path).remember(TEXTS)
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.promise("State and tokens are written as a whole or not at all, and can be read by their owner only")
def test_a_reader_sees_the_old_file_or_the_new_one_and_never_a_part(path: Path) -> None:
    memory = Memory(path)
    memory.remember({"token": "0" * 5000})
    over = threading.Event()
    seen: set[str] = set()

    def read() -> None:
        while not over.is_set():
            seen.add(json.loads(path.read_bytes())["token"])

    thread = threading.Thread(target=read)
    thread.start()
    for number in range(1, 60):
        memory.remember({"token": str(number % 10) * 5000})
    over.set()
    thread.join()
    assert seen
    assert all(len(token) == 5000 and len(set(token)) == 1 for token in seen)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


# --- several processes -------------------------------------------------------------------------------


def test_a_change_is_made_to_what_another_has_written_meanwhile(path: Path) -> None:
    first, second = Memory(path), Memory(path)
    assert (first.recall("refresh of a"), second.recall("refresh of b")) == (None, None)
    first.remember({"refresh of a": "a-1"})
    second.remember({"refresh of b": "b-1"})
    first.remember({"refresh of a": "a-2"})
    assert json.loads(path.read_bytes()) == {"refresh of a": "a-2", "refresh of b": "b-1"}
    assert (second.recall("refresh of a"), first.recall("refresh of b")) == ("a-2", "b-1")


REMEMBER = """
import sys
from pathlib import Path
from vendortap.http.token_store import Memory
memory = Memory(Path(sys.argv[1]))
memory.recall("")
print("ready", flush=True)
sys.stdin.readline()
for number in range(20):
    memory.remember({f"{sys.argv[2]} {number}": "token"})
"""


@pytest.mark.promise("Processes that share a token file lose none of each other's rotated tokens", figure="60 tokens")
def test_processes_that_write_at_once_lose_nothing_of_each_other(path: Path) -> None:
    words = [sys.executable, "-c", REMEMBER, str(path)]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen([*words, name], **pipes) for name in "abc"]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.communicate("go\n", timeout=60)
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert json.loads(path.read_bytes()) == {f"{name} {number}": "token" for name in "abc" for number in range(20)}
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_the_end_of_another_change_is_waited_for_and_not_for_ever(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    its_lock = path.with_name(f"{path.name}.lock")
    with lock.held(its_lock, "it"):
        waiting = threading.Thread(target=Memory(path).remember, args=(TEXTS,))
        waiting.start()
        time.sleep(0.2)
        assert not path.exists()
    waiting.join()
    assert Memory(path).recall("refresh") == "r-1"
    monkeypatch.setattr(lock, "PATIENCE_SECONDS", 0.1)
    with (
        lock.held(its_lock, "it"),
        pytest.raises(InUseError, match=r"the token file .*tokens\.json is in use by another"),
    ):
        Memory(path).remember({"refresh": "r-2"})
    assert Memory(path).recall("refresh") == "r-1"


def test_a_symbolic_link_stays_one(tmp_path: Path, path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(path)
    Memory(link).remember(TEXTS)
    assert link.is_symlink()
    assert Memory(path).recall("access") == "a-1"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not JSON"),
        (b'{"refresh": "r-', "is not JSON"),
        (b"[]", "is not a JSON object"),
        (b"\xff\xfe", "is not UTF-8"),
        (b'{"client_id": "x", "concurrency": 8}', "is not a token file, and is left alone"),
    ],
)
def test_a_file_that_is_something_else_is_a_sentence_and_left_alone(path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    memory = Memory(path)
    with pytest.raises(ConfigError, match=message) as caught:
        memory.recall("refresh")
    assert str(path) in str(caught.value)
    assert "'token_file'" in str(caught.value)
    assert "r-" not in str(caught.value)
    with pytest.raises(ConfigError, match=message):
        memory.remember(TEXTS)
    assert path.read_bytes() == content


@pytest.mark.parametrize("name", ["none/tokens.json", "file/tokens.json"])
def test_a_file_that_could_not_be_written_is_refused_before_a_token_is_asked_for(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written; check the setting 'token_file'"):
        Memory(tmp_path / name).recall("refresh")


def test_a_file_that_cannot_be_replaced_is_a_sentence_and_the_old_tokens_stay(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory(path)
    memory.remember(TEXTS)
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(
        ConfigError, match=r"tokens\.json cannot be written: No space .*; check the setting 'token_file'"
    ):
        memory.remember({"refresh": "r-2"})
    assert memory.recall("refresh") == "r-1", "what is not kept may not be used"
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_token_that_a_killed_process_left_half_written_is_removed_after_a_while(path: Path) -> None:
    """Whoever was killed while it wrote tokens leaves a file that only its owner can read, and not for ever."""
    left, busy = (path.with_name(f".{path.name}.abcd123{number}.new") for number in (4, 5))
    for file in (left, busy):
        file.write_text("{")
    os.utime(left, (time.time() - 2 * 3600,) * 2)
    Memory(path).remember({"refresh": "new"})
    assert sorted(path.parent.iterdir()) == sorted([path, busy])


@pytest.mark.promise("What another user plants in a shared folder is neither followed, truncated nor believed")
@pytest.mark.parametrize("plant", ["symlink_to", "hardlink_to", "write_bytes", "lock"])
def test_what_another_user_has_planted_is_refused_in_a_sentence(
    plant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim, shared = tmp_path / "victim", tmp_path / "shared"
    victim.write_text("{}")
    shared.mkdir()
    shared.chmod(0o1777)
    path = shared / "tokens.json"
    memory = Memory(path)
    if plant == "lock":
        (shared / "tokens.json.lock").symlink_to(victim)
    else:
        getattr(path, plant)(b"{}" if plant == "write_bytes" else victim)
        if plant != "hardlink_to":
            monkeypatch.setattr(files, "trusted_owners", lambda: {54321})
        with pytest.raises(ConfigError, match=r"the token file .*(symbolic link|hard link|another user's)"):
            memory.recall("refresh")
    with pytest.raises(ConfigError, match=r"the token file .*(symbolic link|hard link|another user's)"):
        memory.remember(TEXTS)
    assert victim.read_text() == "{}"
