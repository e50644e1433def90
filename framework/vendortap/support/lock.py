"""A lock on a file's name that lasts as long as the processes that have it, and not a moment longer.

It is an flock(2) on a lock file: the system lets go of it when the last process that has the descriptor has ended,
however that came about, so nothing has to be cleaned up after a kill -9.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vendortap.errors import InUseError
from vendortap.support.files import open_private

PATIENCE_SECONDS = 30.0
"""How long to wait for what a killed holder has left running, and for a holder that is soon done."""
_TURN_SECONDS = 0.05


@contextmanager
def held(path: Path, what: str, *, patient: bool = False) -> Iterator[int]:
    """Have the lock file ``path`` for this process and for those that inherit the descriptor, which is yielded.

    Children that have it keep others out until they have ended, even where this process is killed before them.
    The file holds the number of the process that made it, for messages, and is removed at the end. Whoever is
    ``patient`` waits for another process: that has it for a moment only.

    Raises:
        InUseError: another process has it; at once while that lives, after a while where only its children do, and
            for the patient.
        OSError: there can be no such file, or it is a link or another user's.
    """
    descriptor = _taken(path, what, patient)
    try:
        yield descriptor
    finally:
        with suppress(OSError):  # it may stay, too; it is the lock that counts
            path.unlink()  # while it is locked: who opened it before finds that it is gone, see _is_still
        os.close(descriptor)


def _taken(path: Path, what: str, patient: bool) -> int:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        descriptor, taken = open_private(path, os.O_RDWR | os.O_CREAT), False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still(path, descriptor):
                _sign(path, descriptor)
                taken = True
                return descriptor
        except BlockingIOError:
            _wait_for(os.pread(descriptor, 20, 0).decode(errors="replace"), deadline, what, patient)
        finally:
            if not taken:
                os.close(descriptor)


def _sign(path: Path, descriptor: int) -> None:
    """Say in the file whose it is; where a disk does not take that, there is no file."""
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _wait_for(holder: str, deadline: float, what: str, patient: bool) -> None:
    """Wait a turn for a holder that has been killed and whose children are about to end; for any other if patient."""
    is_late = time.monotonic() > deadline
    if _lives(holder) and (is_late or not patient):
        process = f" (process {holder})" if holder else ""
        raise InUseError(f"{what} is in use by another run{process}; wait for its end") from None
    if is_late:
        raise InUseError(
            f"{what} is still in use by what a killed run (process {holder}) has left running; "
            "wait until its target has ended"
        ) from None
    time.sleep(_TURN_SECONDS)


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether the descriptor's file is still the one of that name: its last holder may have removed it meanwhile."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _lives(process: str) -> bool:
    """Whether a process lives; one that has not yet said its number does."""
    if not process.isdecimal():
        return True
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return True
