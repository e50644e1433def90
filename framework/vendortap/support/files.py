"""Files that the operator gives, and files that must never be half written."""

from __future__ import annotations

import errno
import json
import os
import re
import tempfile
import time
from contextlib import suppress
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


def read_json(path: str | Path, error: type[UsageError], what: str) -> Any:
    """Read a JSON object from a file; raises like parse_json, and where the file cannot be read."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as problem:
        raise error(f"{what} cannot be read: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise error(f"{what} is not UTF-8 text") from None
    return parse_json(text, error, what)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file as a whole or not at all: temporary file beside it, fsync, rename, fsync of the folder.

    Follows symbolic links. Only its owner can read it. Several threads and processes may write the same file at once.

    Raises:
        OSError: as the file system has it; the old file is as it was.
    """
    path = Path(os.path.realpath(path))
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:200]}.", suffix=_SUFFIX, dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def remove_temporary(folder: Path, name: str, idle_seconds: float = 0) -> None:
    """Remove what killed writers have left in a folder; ``name`` is a regular expression for the names of their files.

    ``idle_seconds`` spares what others may be writing at this moment. What cannot be removed stays.
    """
    temporary = re.compile(rf"\.{name}\.\w{{8}}\{_SUFFIX}")
    for left in folder.iterdir():
        if temporary.fullmatch(left.name):
            with suppress(OSError):
                if time.time() - left.stat().st_mtime >= idle_seconds:
                    left.unlink()


_SUFFIX = ".new"


def _sync_folder(folder: Path) -> None:
    """Let a rename last through a power failure; some file systems do that unasked, and refuse to be asked."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)
