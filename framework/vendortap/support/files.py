"""Files that the operator gives, and files of our own: never half written, and never somebody else's.

Whatever vendortap keeps is opened here: readable for its owner only, whatever the umask is, and in a folder that
others can write to, such as /tmp, only if it is no link and nobody else's. An operator's own symbolic links lead to
where he wants a file to be, so they are followed; those of other users are not.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from vendortap.errors import UsageError


def parse_json(text: str, error: type[UsageError], what: str) -> Any:
    """Parse a JSON object; ``what`` names it in errors.

    Raises:
        UsageError: of the type given, with the place that is wrong.
    """
    try:
        document = json.loads(text)
    except json.JSONDecodeError as problem:
        place = f"line {problem.lineno}, column {problem.colno}: {problem.msg}"
        raise error(f"{what} is not JSON ({place})") from None
    except (RecursionError, ValueError):
        raise error(f"{what} is not JSON that can be read (nested too deeply, or a number without end)") from None
    if not isinstance(document, dict):
        raise error(f"{what} is not a JSON object")
    return document


def read_json(path: str | Path, error: type[UsageError], what: str, *, own: bool = False) -> Any:
    """Read a JSON object from a file; with ``own`` from one that vendortap keeps: see ``read_private``.

    Raises:
        UsageError: as parse_json does, and where the file cannot be read.
    """
    try:
        text = (read_private(real_path(Path(path))) if own else Path(path).read_bytes()).decode()
    except OSError as problem:
        raise error(f"{what} cannot be read: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise error(f"{what} is not UTF-8 text") from None
    return parse_json(text, error, what)


# --- whose a file is ---------------------------------------------------------------------------------


def real_path(path: Path) -> Path:
    """Return where a path leads. The symbolic links on the way have to belong to this user or to root.

    Raises:
        PermissionError: a link is another user's, who would choose the file.
        OSError: links lead round in a circle.
    """
    path = path.absolute()
    for _ in range(_MOST_LINKS):
        link = next((part for part in (*reversed(path.parents), path) if part.is_symlink()), None)
        if link is None:
            return Path(os.path.normpath(path))
        if (owner := link.lstat().st_uid) not in trusted_owners():
            raise _refused(link, f"is a symbolic link of another user (uid {owner}); name the file that it leads to")
        path = link.parent / link.readlink() / path.relative_to(link)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def check_own(path: Path) -> None:
    """Refuse a file that another user may have put there; none is fine.

    It has to be a regular file, and in a folder that others can write to, this user's or root's and without a second
    name (a hard link). For a library that opens files itself: ``open_private`` checks the file that it has opened.

    Raises:
        OSError: says what it is instead.
    """
    with suppress(FileNotFoundError):
        _check(path, path.lstat())


def open_private(path: str | Path, flags: int) -> int:
    """Open a file of ours, made with mode 0600; an opener for ``open``. No link is followed, nothing foreign truncated.

    Raises:
        OSError: as the file system has it, and as ``check_own`` does.
    """
    path = Path(path)
    try:  # without waiting for the other end of a pipe
        descriptor = os.open(path, (flags & ~os.O_TRUNC) | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError:
        check_own(path)  # which says more of what is in the way
        raise
    try:
        _check(path, os.fstat(descriptor))
        if flags & os.O_TRUNC:
            os.ftruncate(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check(path: Path, found: os.stat_result) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise _refused(path, "is a symbolic link, which is not followed here; remove it")
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(found.st_mode):
        raise _refused(path, "is not a regular file; remove it")
    folder = path.parent.stat()
    is_shared = folder.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if found.st_uid not in (trusted_owners() if is_shared else {*trusted_owners(), folder.st_uid}):
        raise _refused(path, f"is another user's (uid {found.st_uid}), and so may be its content; {_REMEDY}")
    if found.st_nlink > 1 and (is_shared or folder.st_uid not in trusted_owners()):
        raise _refused(path, f"has another name elsewhere (a hard link), which another user may have made; {_REMEDY}")


def trusted_owners() -> set[int]:
    """Return the users whose files and links are believed: this one, and root."""
    return {0, os.geteuid()}


def _refused(path: Path, why: str) -> OSError:
    return PermissionError(errno.EPERM, f"{path} {why}")


@contextmanager
def private_umask() -> Iterator[None]:
    """Have files and folders made for their owner only, for libraries that make them by themselves.

    The umask is the process's: what another thread makes meanwhile is private as well.
    """
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


# --- reading and writing -----------------------------------------------------------------------------


def read_private(path: Path) -> bytes:
    """Return what is in a file of ours; ``real_path`` comes first where the operator chose the path.

    Raises:
        OSError: as ``open_private`` does.
    """
    with open(path, "rb", opener=open_private) as file:
        return file.read()


def write_new(path: Path, data: bytes) -> None:
    """Write a file that is not there yet, and that only its owner can read.

    Raises:
        OSError: as the file system has it; FileExistsError where there is anything, be it a link that leads nowhere.
    """
    with open(path, "xb", opener=open_private) as file:
        file.write(data)


def write_atomically(path: Path, data: bytes, *, mode: int = 0o600, follow: bool = True, durable: bool = True) -> None:
    """Write a file as a whole or not at all: temporary file beside it, fsync, rename, fsync of the folder.

    Only its owner can read it, unless ``mode`` says otherwise. ``follow`` goes where ``real_path`` leads; without, a
    link is replaced. What is not ``durable`` is not synced. Several threads and processes may write the same file at
    once.

    Raises:
        OSError: as the file system has it, and as ``real_path`` does; the old file is as it was.
    """
    path = real_path(path) if follow else path
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:200]}.", suffix=_SUFFIX, dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if mode != 0o600:
                os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            if durable:
                os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def remove_temporary(folder: Path, name: str, idle_seconds: float = 0) -> None:
    """Remove what killed writers have left in a folder; ``name`` is a regular expression for the names of their files.

    ``idle_seconds`` spares what others may be writing at this moment. What cannot be removed stays.
    """
    temporary = re.compile(rf"\.{name}\.\w{{8}}\{_SUFFIX}")
    for left in folder.iterdir():
        if temporary.fullmatch(left.name):
            with suppress(OSError):
                if time.time() - left.lstat().st_mtime >= idle_seconds:
                    left.unlink()


_SUFFIX = ".new"
_MOST_LINKS = 40
"""As many as Linux follows."""
_REMEDY = "remove it, or use a folder that only you can write to"


def sync_folder(folder: Path) -> None:
    """Let a new name last through a power failure; some file systems do that unasked, and refuse to be asked."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)
