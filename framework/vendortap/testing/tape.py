"""A recording on disk: ``recording.json``, which says what was asked and under which settings, and a file a reply.

The files are what the vendor sent, made fit for a repository; they may be read, reviewed, and changed by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from vendortap.errors import UsageError
from vendortap.support.files import read_json, real_path, write_new

INDEX = "recording.json"
VERSION = 1
URL = "{url}"
"""Stands, in what is recorded, for the address that the connector asks."""


@dataclass(frozen=True)
class Asked:
    """What was asked: the path below the base URL, the query, the media type, and the body of a POST."""

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    accept: str = ""
    body: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """The same for the same request."""
        return self.method, self.path, self.accept, self.body, *(f"{k}={v}" for k, v in sorted(self.params.items()))


@dataclass(frozen=True)
class Exchange:
    """What was asked, and the answer: ``file`` has its body."""

    asked: Asked
    status: int
    media_type: str
    file: str


@dataclass(frozen=True)
class Recording:
    """A connector's recorded replies; ``config`` are the settings under which they were asked for, without secrets.

    ``streams`` are those that were read, and those whose lists they are asked for by.
    """

    connector: str
    config: Mapping[str, Any]
    streams: Sequence[str]
    exchanges: Sequence[Exchange]
    version: int = VERSION


def load(folder: Path, connector: str) -> Recording:
    """Read a recording.

    Raises:
        UsageError: there is none in the folder, it is another connector's, or of another version.
    """
    where = f"the recording {folder / INDEX}"
    document = read_json(folder / INDEX, UsageError, where)
    try:
        kept = msgspec.convert(document, Recording)
    except msgspec.ValidationError as error:
        raise UsageError(f"{where} cannot be read: {error}") from None
    if kept.connector != connector or kept.version != VERSION:
        raise UsageError(
            f"{where} is of {kept.connector!r}, version {kept.version}, not of {connector!r}, version {VERSION}"
        )
    return kept


def write(folder: Path, kept: Recording, bodies: Mapping[str, bytes]) -> None:
    """Write a recording into a folder that does not exist yet, or is empty; ``bodies`` by the names of their files.

    Only their owner can read the files: nobody has looked yet whether all that is personal was found.

    Raises:
        UsageError: there is something in the folder, or it cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already, and not an empty folder; name another, or remove it")
    try:
        real = real_path(folder)
        real.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, body in bodies.items():
            write_new(real / name, body)
        index = msgspec.json.format(msgspec.json.encode(kept), indent=2)
        write_new(real / INDEX, index + b"\n")
    except OSError as error:
        raise UsageError(f"the recording {folder} cannot be written: {error.strerror}") from None
