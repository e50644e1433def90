"""What auth flows keep from one run to the next: a small JSON file that only its owner can read."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from vendortap.errors import ConfigError
from vendortap.support import lock
from vendortap.support.files import read_json, real_path, remove_temporary, write_atomically
from vendortap.support.tokens import unfit

_CHECK = "check the setting 'token_file'"
_ANEW = "remove the file to sign in anew"
_ABANDONED_SECONDS = 3600.0
"""A temporary file as old as this is no other process's any more: it was killed while it wrote."""


class Memory:
    """Texts by name; in ``path`` if there is one, else for the life of the process.

    What is remembered is on disk, whole, before ``remember`` returns: a rotated token that were used first and
    lost then could not be had again. For the same reason ``recall`` already refuses a file that could not be
    written: a vendor may rotate a token with the very call that it is recalled for. Several processes may share a
    file: each change is made to what is on disk by then, and ``recall`` returns what is there now.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._kept: dict[str, str] = {}

    def recall(self, name: str) -> str | None:
        """Return what was remembered.

        Raises:
            ConfigError: the file cannot be read or written, is something else, or has a token that cannot be sent.
        """
        token = self._read().get(name)
        if token and (why := unfit(token)):
            raise ConfigError(f"a token in the token file {self._path} {why}; {_CHECK}, or {_ANEW}")
        return token

    def remember(self, texts: Mapping[str, str]) -> None:
        """Keep texts by name, all of them or none.

        Raises:
            ConfigError: the file cannot be written, or is something else.
            InUseError: another process does not let go of the file.
        """
        if self._path:
            self._merge(self._path, texts)
        self._kept |= texts

    def _merge(self, path: Path, texts: Mapping[str, str]) -> None:
        try:
            real = real_path(path)  # by whatever name it is called: the lock is one
            with lock.held(real.with_name(f"{real.name}.lock"), f"the token file {path}", patient=True):
                write_atomically(real, json.dumps({**self._read(), **texts}).encode())
        except OSError as error:
            raise ConfigError(f"the token file {path} cannot be written: {error.strerror}; {_CHECK}") from None

    def _read(self) -> dict[str, str]:
        """Return what is known; what others have written since counts for more than what this process knows."""
        return {**self._kept, **_kept_in(self._path)} if self._path else self._kept


def _kept_in(path: Path) -> dict[str, str]:
    try:
        real = real_path(path)
    except OSError as error:
        raise ConfigError(f"the token file {path} cannot be used: {error.strerror}; {_CHECK}") from None
    if not os.access(real.parent, os.W_OK | os.X_OK):
        raise ConfigError(f"the folder of the token file {path} is not there, or cannot be written; {_CHECK}")
    remove_temporary(real.parent, re.escape(real.name), _ABANDONED_SECONDS)
    if not real.exists():
        return {}
    try:
        document: dict[str, str] = read_json(real, ConfigError, f"the token file {path}", own=True)
    except ConfigError as error:
        raise ConfigError(f"{error}; {_CHECK}, or {_ANEW}") from None
    if not all(isinstance(value, str) for value in document.values()):
        raise ConfigError(f"{path} is not a token file, and is left alone; {_CHECK}")
    return document
