"""Files that the operator gives, and files that must never be half written."""

from __future__ import annotations

import os
import random
import re
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vendortap.errors import ConfigError, StateError
from vendortap.support.files import parse_json, read_json, remove_temporary, write_atomically


def test_an_object_is_read(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text('{"name": "Büro"}', encoding="utf-8")
    assert read_json(file, ConfigError, "the file") == {"name": "Büro"}


@pytest.mark.promise("An operator's file that cannot be used is named with the place that is wrong, and not quoted")
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "the file is not JSON (line 1, column 1: Expecting value)"),
        (b'{\n  "a" 1\n}', "the file is not JSON (line 2, column 7: Expecting ':' delimiter)"),
        (b"[1]", "the file is not a JSON object"),
        (b"\xff\xfe", "the file is not UTF-8 text"),
        (b'{"a":' * 100_000, "the file is not JSON that can be read"),
        (b'{"a": ' + b"1" * 5000 + b"}", "the file is not JSON that can be read"),
    ],
)
def test_what_is_not_an_object_is_an_error_with_its_place(content: bytes, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_json(file, ConfigError, "the file")
    assert str(caught.value).startswith(sentence.removesuffix("Expecting value)"))


def test_a_file_that_cannot_be_read_is_an_error_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="the state cannot be read: No such file or directory"):
        read_json(tmp_path / "none.json", StateError, "the state")
    with pytest.raises(StateError, match="the state cannot be read: Is a directory"):
        read_json(tmp_path, StateError, "the state")


@pytest.mark.promise("An operator's file that cannot be used is named with the place that is wrong, and not quoted")
def test_an_error_does_not_show_what_the_text_holds() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_json('{"client_secret": "PLANTED', ConfigError, "the config")
    assert "PLANTED" not in str(caught.value)


@pytest.mark.promise("State and tokens are written as a whole or not at all, and can be read by their owner only")
def test_a_file_is_replaced_as_a_whole_and_private(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    write_atomically(file, b"a much longer first state")
    write_atomically(file, b"second")
    assert file.read_bytes() == b"second"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_many_threads_may_write_the_same_file_at_once(tmp_path: Path) -> None:
    file = tmp_path / "same.bin"
    together = threading.Barrier(12)

    def write(number: int) -> None:
        together.wait(20)
        for _ in range(5):
            write_atomically(file, bytes([number]) * 50_000)
            assert len(set(file.read_bytes())) == 1

    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(write, range(12))) == [None] * 12
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.promise("State and tokens are written as a whole or not at all, and can be read by their owner only")
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    file.mkdir()  # a rename onto a folder fails, whoever runs this
    with pytest.raises(OSError, match="directory"):
        write_atomically(file, b"new")
    assert list(tmp_path.iterdir()) == [file]


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    os.symlink(real, link)
    write_atomically(link, b"{}")
    assert link.is_symlink()
    assert real.read_bytes() == b"{}"


@pytest.mark.promise("State, tokens and documents are written as a whole or not at all, synced to disk")
def test_what_is_renamed_is_on_disk_before_and_the_rename_is_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new file is synced under its temporary name, then renamed, then the folder is synced."""
    file = tmp_path / "state.json"
    synced: list[tuple[bool, bytes]] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        fsync(descriptor)
        synced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), file.read_bytes()))

    monkeypatch.setattr(os, "fsync", watched)
    file.write_bytes(b"old")
    write_atomically(file, b"new")
    assert synced == [(False, b"old"), (True, b"new")]


WRITER = """
import sys
from pathlib import Path
from vendortap.support.files import write_atomically
print("begun", flush=True)
while True:
    for letter in b"ab":
        write_atomically(Path(sys.argv[1]), bytes([letter]) * 300_000)
"""


@pytest.mark.promise(
    "State, tokens and documents are written as a whole or not at all, synced to disk", figure="12 kills survived"
)
def test_a_writer_that_is_killed_leaves_a_whole_file(tmp_path: Path) -> None:
    """Whenever a writer is killed, the file is the old one or the new one; what is left beside it can be removed."""
    file, moments, left = tmp_path / "state.json", random.Random(5), 0
    for _ in range(12):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(file)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"begun\n"
            time.sleep(moments.random() / 20)
            process.kill()
        if file.exists():
            content = file.read_bytes()
            assert (len(content), len(set(content))) == (300_000, 1)
        left = max(left, len(list(tmp_path.iterdir())) - 1)
    assert left, "no kill came while a temporary file was there"
    remove_temporary(tmp_path, re.escape(file.name))
    assert list(tmp_path.iterdir()) == [file]


def test_only_what_nobody_writes_any_more_is_removed(tmp_path: Path) -> None:
    names = (".token.json.abcd1234.new", ".token.json.abcd1235.new", ".tokens.json.abcd1234.new")
    idle, busy, other = (tmp_path / name for name in names)
    for file in (idle, busy, other):
        file.touch()
    for file in (idle, other):
        os.utime(file, (time.time() - 5000,) * 2)
    remove_temporary(tmp_path, re.escape("token.json"), idle_seconds=3600)
    assert sorted(tmp_path.iterdir()) == sorted([busy, other])
