"""What auth flows keep from one run to the next: a small JSON file that only its owner can read."""

from __future__ import annotations

import json
from pathlib import Path

from vendortap.errors import ConfigError
from vendortap.files import read_json, write_atomically


class Memory:
    """Texts by name; in ``path`` if there is one, else for the life of the process.

    Each change is on disk, whole, before ``remember`` returns: a rotated token that were used first and lost
    then could not be had again.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._kept: dict[str, str] | None = None

    def recall(self, name: str) -> str | None:
        """Return what was remembered.

        Raises:
            ConfigError: the file is there and cannot be read.
        """
        return self._read().get(name)

    def remember(self, name: str, value: str) -> None:
        """Keep a text.

        Raises:
            ConfigError: the file cannot be written.
        """
        kept = {**self._read(), name: value}
        if self._path:
            try:
                write_atomically(self._path, json.dumps(kept).encode())
            except OSError as error:
                raise ConfigError(f"the token file {self._path} cannot be written: {error.strerror}") from None
        self._kept = kept

    def _read(self) -> dict[str, str]:
        if self._kept is None:
            exists = self._path is not None and self._path.exists()
            document = (
                read_json(self._path, ConfigError, f"the token file {self._path}") if self._path and exists else {}
            )
            self._kept = {name: value for name, value in document.items() if isinstance(value, str)}
        return self._kept
