"""The quarantine: records that do not fit their schema, kept as they were received until they can be read.

One file a connector in `quarantine_dir`, one JSON line an entry, only ever appended to and on disk before the state
moves past the record::

    {"id": "…", "time": "2025-01-31T12:00:00+00:00", "connector": "scansource", "account": null, "stream": "invoices",
     "key": {"InvoiceNumber": "90001234"}, "path": "$[3].Total", "error": "a number expected",
     "media_type": "application/json", "raw": "{…}", "encoding": "utf-8", "schema": "sha256:…",
     "request": {"method": "GET", "path": "/invoice/summary/1000012345", "params": {"page": "1"}},
     "unit": {"customer_number": "1000012345"}, "bookmark": null}

``raw`` is Base64 where ``encoding`` says so. ``unit`` and ``bookmark`` are what the request knew of the record, which
completes it when it is decoded again. Beside a key with a secret in it there is ``shown``, which lists show instead. A
line ``{"id": "…", "time": "…", "done": "…"}`` closes an entry: ``replayed``, or ``superseded`` by the same record,
which was handed on later and is therefore the newer one.

``account`` is that of vendortap.sync.owner. Several accounts may share a folder: each sees its own entries only, and
those of before there was an ``account``.

The folder can be entered by its owner only (mode 0700), files are read by their owner only (0600): the records are
whole, with names and addresses, and with a secret where the vendor sent one back. Only ``request`` and what is
shown have secrets blanked out.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal

import msgspec

from vendortap.declare.model import Config, Connector
from vendortap.declare.plan import partitions
from vendortap.errors import ConfigError, QuarantineError
from vendortap.plugins.validation import settings
from vendortap.support.files import open_private, read_private, real_path, sync_folder, trusted_owners
from vendortap.support.redact import shown_name
from vendortap.sync.owner import owner_of

ENOUGH = 100
"""Records of a stream from which on a per cent is one: of three, one would be 33."""

Done = Literal["replayed", "superseded"]


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """A record that does not fit. ``error`` is what was expected at ``path``; ``sentence`` is for the operator.

    ``key`` are its key properties as far as they could be read, ``shown`` is what is shown of them where the vendor put
    a secret into them. ``params`` and ``bookmark`` are those of its slice,
    ``schema`` is the hash of the schema that it did not fit. ``account`` is the hash of whose it is, ``None`` where no
    setting tells, and empty where the entry is of before there were accounts.
    """

    connector: str
    stream: str
    key: Mapping[str, str]
    path: str
    error: str
    media_type: str
    raw: bytes
    request: Mapping[str, Any]
    params: Mapping[str, str]
    bookmark: datetime | None
    schema: str
    time: datetime
    sentence: str = field(default="", compare=False)
    shown: str = field(default="", compare=False)
    account: str | None = None

    @property
    def id(self) -> str:
        """What tells it from any other; the same record met again by the same account is the same entry."""
        account = [self.account] if self.account else []
        parts = (*account, self.stream, json.dumps(sorted(self.key.items())), self.media_type)
        digest = hashlib.sha256("\0".join(parts).encode())
        digest.update(self.raw)
        return digest.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Account:
    """Whose entries are seen: those of the hash ``id``, in these ``partitions``, by the name of their parameter."""

    id: str | None = None
    partitions: Mapping[str, Collection[str]] = field(default_factory=dict)

    def has(self, kept: QuarantineEntry) -> bool:
        """Whether an entry is this account's; one of before there were accounts may be anybody's."""
        mine = all(kept.params.get(name) in (None, *values) for name, values in self.partitions.items())
        return mine and kept.account in ("", self.id)


class Quarantine:
    """The quarantine of a connector's account.

    ``limit`` is a number of records of a stream, or a per cent of them (``5%``).

    Raises:
        ConfigError: the folder cannot be used, or others can enter it.
    """

    def __init__(
        self, directory: str | Path, connector: str, limit: int | str | None = None, account: Account | None = None
    ) -> None:
        self.path = _private_folder(Path(directory)) / f"{connector}.jsonl"
        self._limit = limit
        self._account = account or Account()
        self._open: dict[str, tuple[str, tuple[str, ...]]] = {}
        self._keys: dict[str, dict[tuple[str, ...], list[str]]] = {}
        for kept in self.entries()[0]:
            self._note(kept)

    def entries(self) -> tuple[list[QuarantineEntry], int]:
        """Return the account's open entries in the order in which they came, and how many others have.

        Raises:
            ConfigError: the file cannot be read.
        """
        found = list(read(self.path))
        mine = [kept for kept in found if self._account.has(kept)]
        return mine, len(found) - len(mine)

    def replayed(self, stream: str) -> list[QuarantineEntry]:
        """Return the account's entries of a stream that a replay has closed, and of whose keys none is open.

        Raises:
            ConfigError: the file cannot be read.
        """
        done = [kept for kept in _read(self.path)[1] if kept.stream == stream and self._account.has(kept)]
        return [kept for kept in done if tuple(kept.key.values()) not in self.keys(stream)]

    def put(self, kept: QuarantineEntry) -> None:
        """Keep a record as the account's; it is on disk when this returns. One that is there is not written again.

        Raises:
            ConfigError: the file cannot be written.
        """
        kept = replace(kept, account=self._account.id)
        if self._open.keys().isdisjoint((kept.id, replace(kept, account="").id)):
            self._append([_line(kept)])
            self._note(kept)

    def keys(self, stream: str) -> Mapping[tuple[str, ...], list[str]]:
        """Return the keys of a stream's records that are here, with their entries' ids."""
        return self._keys.setdefault(stream, {})

    def close(self, ids: Iterable[str], done: Done) -> None:
        """Note that there is nothing to be done for these entries any more.

        Raises:
            ConfigError: the file cannot be written.
        """
        closed = [entry for entry in ids if entry in self._open]
        now = datetime.now(UTC).isoformat()
        self._append([json.dumps({"id": entry, "time": now, "done": done}) for entry in closed])
        for entry in closed:
            stream, key = self._open.pop(entry)
            self._keys[stream][key].remove(entry)
            if not self._keys[stream][key]:
                del self._keys[stream][key]

    def hold_limit(self, quarantined: int, read: int) -> None:
        """Hold the number of a stream's records that do not fit, of those ``read``, to the limit.

        Raises:
            QuarantineError: there are more.
        """
        text = str(self._limit).strip()
        if self._limit is None:
            return
        if text.endswith("%"):
            too_many = read >= ENOUGH and quarantined * 100 > float(text.rstrip("% ")) * read
        else:
            too_many = quarantined > int(text)
        if too_many:
            raise QuarantineError(
                f"{quarantined} of {read} records do not fit, which is more than quarantine_limit allows ({text}). "
                f"They are in {self.path}; `vendortap quarantine list {self.path.parent}` shows them"
            )

    def _note(self, kept: QuarantineEntry) -> None:
        """Remember an entry, without its record."""
        key = tuple(kept.key.values())
        self._open[kept.id] = kept.stream, key
        self._keys.setdefault(kept.stream, {}).setdefault(key, []).append(kept.id)

    def _append(self, lines: Iterable[str]) -> None:
        data = "".join(f"{line}\n" for line in lines).encode()
        if not data:
            return
        try:
            new = not self.path.exists()
            with open(self.path, "ab+", opener=open_private) as file:
                os.fchmod(file.fileno(), 0o600)
                if _ends_torn(file):
                    data = b"\n" + data
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if new:
                sync_folder(self.path.parent)
        except OSError as error:
            raise ConfigError(
                f"the quarantine {self.path} cannot be written: {error.strerror}; check the setting 'quarantine_dir'"
            ) from None


def of(connector: Connector, config: Config) -> Quarantine | None:
    """Return the quarantine that the settings name, if they do, as the account that they are of sees it.

    Raises:
        ConfigError: records are to be quarantined, and there is no folder that can be used.
    """
    folder = config.get("quarantine_dir")
    if folder:
        return Quarantine(folder, connector.name, config.get("quarantine_limit"), _account(connector, config))
    if config.get("on_bad_record") == "quarantine":
        raise ConfigError("the setting 'on_bad_record' is 'quarantine', which needs the setting 'quarantine_dir'")
    return None


def _account(connector: Connector, config: Config) -> Account:
    known: dict[str, set[str]] = {}
    for stream in connector.streams:
        for partition in partitions(stream.plan, config):
            for name, value in partition.items():
                known.setdefault(name, set()).add(value)
    return Account(owner_of(connector, config, settings(connector)).account, known)


def read(path: Path) -> Iterator[QuarantineEntry]:
    """Yield the open entries of a file, all accounts', in the order in which they came; none where there is no file.

    A line that was cut short, when a disk was full or the power failed, is passed over: the state did not move past
    its record.

    Raises:
        ConfigError: the file cannot be read, or a line is whole and no entry.
    """
    yield from _read(path)[0].values()


def _read(path: Path) -> tuple[dict[str, QuarantineEntry], list[QuarantineEntry]]:
    """Return the open entries of a file by their ids, and those that a replay has closed; raises ConfigError."""
    entries: dict[str, QuarantineEntry] = {}
    replayed: list[QuarantineEntry] = []
    try:
        lines = read_private(path).splitlines()
    except FileNotFoundError:
        lines = []
    except OSError as error:
        raise ConfigError(f"the quarantine {path} cannot be read: {error.strerror}") from None
    for number, line in enumerate(lines, 1):
        try:
            document = json.loads(line)
        except (ValueError, RecursionError):
            continue  # cut short
        try:
            _take_line(line, isinstance(document, dict) and "done" in document, entries, replayed)
        except (ValueError, msgspec.DecodeError):
            raise ConfigError(
                f"the quarantine {path} cannot be read: line {number} is no entry; mend it, or move it elsewhere"
            ) from None
    return entries, replayed


def _take_line(line: bytes, closes: bool, entries: dict[str, QuarantineEntry], replayed: list[QuarantineEntry]) -> None:
    if not closes:
        entry = _quarantine_entry(msgspec.json.decode(line, type=_Entry))
        entries.setdefault(entry.id, entry)
        return
    closing = msgspec.json.decode(line, type=_Closing)
    closed = entries.pop(closing.id, None)
    replayed += [closed] if closed and closing.done == "replayed" else []


def read_all(directory: Path) -> list[QuarantineEntry]:
    """Return the open entries of all connectors, by connector, and of each in the order in which they came.

    Raises:
        ConfigError: there is no such folder, or a file in it cannot be read.
    """
    if not directory.is_dir():
        raise ConfigError(f"there is no folder {directory}; give the one that the setting 'quarantine_dir' names")
    try:
        folder = real_path(directory)
    except OSError as error:
        raise ConfigError(f"the folder {directory} cannot be used: {error.strerror}") from None
    return [kept for path in sorted(folder.glob("*.jsonl")) for kept in read(path)]


def schema_hash(schema: Mapping[str, Any]) -> str:
    """Return what tells a schema from any other version of it."""
    return f"sha256:{hashlib.sha256(json.dumps(schema, sort_keys=True).encode()).hexdigest()}"


def key_text(key: Mapping[str, str]) -> str:
    """Return a key as it may be shown."""
    return ", ".join(f"{name} {shown_name(value)}" for name, value in key.items())


def _line(kept: QuarantineEntry) -> str:
    try:
        raw, encoding = kept.raw.decode(), "utf-8"
    except UnicodeDecodeError:
        raw, encoding = base64.b64encode(kept.raw).decode(), "base64"
    return json.dumps(
        {
            "id": kept.id,
            "time": kept.time.isoformat(),
            "connector": kept.connector,
            "account": kept.account,
            "stream": kept.stream,
            "key": dict(kept.key),
            "path": kept.path,
            "error": kept.error,
            "media_type": kept.media_type,
            "raw": raw,
            "encoding": encoding,
            "schema": kept.schema,
            "request": dict(kept.request),
            "unit": dict(kept.params),
            "bookmark": kept.bookmark and kept.bookmark.isoformat(),
            **({"shown": kept.shown} if kept.shown else {}),
        }
    )


class _Closing(msgspec.Struct):
    """A line that closes an entry."""

    id: str
    done: str


class _Asked(msgspec.Struct):
    """What is kept of a request."""

    method: str
    path: str
    params: dict[str, str]


class _Entry(msgspec.Struct):
    """A line that keeps a record; it has no ``account`` where it is of before there were accounts."""

    time: str
    connector: str
    stream: str
    key: dict[str, str]
    path: str
    error: str
    media_type: str
    raw: str
    encoding: Literal["utf-8", "base64"]
    schema: str
    request: _Asked
    unit: dict[str, str]
    bookmark: str | None
    account: str | None = ""
    shown: str = ""


def _quarantine_entry(entry: _Entry) -> QuarantineEntry:
    """Return the record of an entry; raises ValueError where a text in it is not what it has to be."""
    bookmark = datetime.fromisoformat(entry.bookmark) if entry.bookmark else None
    if bookmark and bookmark.tzinfo is None:
        raise ValueError
    return QuarantineEntry(
        connector=entry.connector,
        stream=entry.stream,
        key=entry.key,
        path=entry.path,
        error=entry.error,
        media_type=entry.media_type,
        raw=base64.b64decode(entry.raw) if entry.encoding == "base64" else entry.raw.encode(),
        request=msgspec.to_builtins(entry.request),
        params=entry.unit,
        bookmark=bookmark,
        schema=entry.schema,
        time=datetime.fromisoformat(entry.time),
        account=entry.account,
        shown=entry.shown,
    )


def _private_folder(directory: Path) -> Path:
    """Return the folder, made if need be, once it is known to be this user's alone; raises ConfigError."""
    try:
        folder = real_path(directory)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError as error:
        raise ConfigError(f"the folder 'quarantine_dir' cannot be used: {error.strerror}") from None
    if found.st_mode & 0o077:
        raise ConfigError(f"others can enter the folder 'quarantine_dir', {folder}: chmod 700 it, or name another")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"the folder 'quarantine_dir', {folder}, cannot be written")
    if found.st_uid not in trusted_owners():
        raise ConfigError(
            f"the folder 'quarantine_dir', {folder}, is another user's (uid {found.st_uid}), who could read what is "
            "put there: run this as that user, or name another folder"
        )
    return folder


def _ends_torn(file: IO[bytes]) -> bool:
    """Whether the last line was never written to its end."""
    if not file.seek(0, os.SEEK_END):
        return False
    file.seek(-1, os.SEEK_END)
    return file.read(1) != b"\n"
