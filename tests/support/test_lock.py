"""Locks: one holder at a time, for as long as it or a child that inherits lives."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from vendortap.errors import InUseError
from vendortap.support import lock

WHAT = "the state file s.json"
HOLD = """
import sys, subprocess, time
from pathlib import Path
from vendortap.support import lock
with lock.held(Path(sys.argv[1]), "it") as descriptor:
    if sys.argv[2:]:
        subprocess.Popen(sys.argv[2:], pass_fds=[descriptor])
    print("held", flush=True)
    time.sleep(60)
"""


def holder(path: Path, *child: str) -> subprocess.Popen[bytes]:
    """A process that has the lock, and perhaps a child that inherits it."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path), *child], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def killed(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


@pytest.mark.promise("A second run on the same state file is refused, until the first has ended or is killed")
def test_a_second_holder_is_refused_at_once_and_told_who_the_first_is(tmp_path: Path) -> None:
    """While the first lives the second is refused; when that is killed, the third has it at once."""
    path = tmp_path / "s.lock"
    process = holder(path)
    began = time.monotonic()
    with (
        pytest.raises(InUseError, match=rf"{WHAT} is in use by another run \(process {process.pid}\); wait for its"),
        lock.held(path, WHAT),
    ):
        pass
    assert time.monotonic() - began < lock.PATIENCE_SECONDS / 2
    killed(process)
    assert path.exists(), "a killed process removes nothing"
    with lock.held(path, WHAT):
        assert path.read_text() == str(os.getpid())
    assert not path.exists()


def test_what_a_killed_holder_has_left_running_keeps_others_out_until_it_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, end = tmp_path / "s.lock", tmp_path / "end"
    process = holder(path, "sh", "-c", f"until [ -e {end} ]; do sleep 0.05; done")
    killed(process)
    monkeypatch.setattr(lock, "PATIENCE_SECONDS", 0.2)
    with pytest.raises(InUseError, match=rf"a killed run \(process {process.pid}\) has left"), lock.held(path, WHAT):
        pass
    monkeypatch.setattr(lock, "PATIENCE_SECONDS", 30)
    threading.Timer(0.2, end.touch).start()
    with lock.held(path, WHAT):
        assert end.exists()


def test_never_two_at_a_time_although_each_removes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "s.lock"
    inside, worst, had = 0, 0, []
    until = time.monotonic() + 0.5

    def contend(number: int) -> None:
        nonlocal inside, worst
        while time.monotonic() < until:
            try:
                with lock.held(path, WHAT):
                    inside += 1
                    worst = max(worst, inside)
                    time.sleep(0.0005)
                    inside -= 1
                    had.append(number)
            except InUseError:
                pass

    threads = [threading.Thread(target=contend, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert worst == 1
    assert len(set(had)) > 1
    assert not path.exists()


def test_a_lock_file_that_cannot_be_is_the_systems_error_and_nothing_stays_open(tmp_path: Path) -> None:
    before = len(os.listdir("/dev/fd"))
    with pytest.raises(FileNotFoundError), lock.held(tmp_path / "none" / "s.lock", WHAT):
        pass
    with pytest.raises(RuntimeError), lock.held(tmp_path / "s.lock", WHAT):
        raise RuntimeError
    assert len(os.listdir("/dev/fd")) == before
    assert not (tmp_path / "s.lock").exists()


def test_the_patient_wait_for_a_holder_that_lives_but_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.lock"
    process = holder(path)
    threading.Timer(0.2, killed, (process,)).start()
    with lock.held(path, WHAT, patient=True):
        assert path.read_text() == str(os.getpid())
        monkeypatch.setattr(lock, "PATIENCE_SECONDS", 0.2)
        with pytest.raises(InUseError, match=WHAT), lock.held(path, WHAT, patient=True):
            pass
