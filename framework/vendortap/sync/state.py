"""The state: its shape, its versions, and the file that a run keeps it in.

Version 2::

    {"version": 2,
     "owner": {"connector": "scansource", "account": "5d41402abc4b2a76", "origin": "https://api.scansource.com/…"},
     "bookmarks": {"<stream>": {"keys": ["CustomerNumber", "InvoiceNumber"], "read_with": {"start_date": "2025-01-31"},
        "partitions": {"customer_number=1": {"context": {"customer_number": "1"},
            "replication_key": "LastChanged", "replication_key_value": "2025-01-31T12:00:00+00:00",
            "seen": [["<key>"]]}}}}}

``owner`` says whose state it is: ``account`` is a hash of the settings that the connector's schema marks with
``account``, ``origin`` is where the vendor was asked. ``seen`` are the keys already handed on whose replication key
equals the bookmark. A stream without partitions has the members of one in place of ``partitions``. ``read_with`` has
the settings marked with ``range``, as they were when the stream was first read. Beside ``bookmarks`` there may be
``fields``, which vendortap.decode.drift remembers of each stream: ``{"<stream>": {"<field>": [<usual>, <without>]}}``.

Everything that runs write apart from each other is an object by name, never a list: Meltano merges states deeply, so
the states of two customers merge into both. A list is replaced as a whole.

Version 1 had a list of partitions, and no owner. Version 0 is a state without a version, as other taps on singer-sdk
write it: the same, but for ``seen``. Both are adopted by the first run that goes on from them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from vendortap.declare.model import Bookmark
from vendortap.errors import StateError
from vendortap.support import lock
from vendortap.support.files import read_json, read_private, real_path, remove_temporary, write_atomically
from vendortap.sync import open_items

State = dict[str, Any]
Migration = Callable[[State], State]
Fields = dict[str, tuple[int, int]]
"""Field → two figures of vendortap.decode.drift."""


def _from_0(state: State) -> State:
    """Whatever lacks in a state without a version, the reader does without."""
    return state


def _from_1(state: State) -> State:
    """Partitions become an object by name."""
    for entry in state.get("bookmarks", {}).values():
        if isinstance(entry, dict) and isinstance(entry.get("partitions"), list):
            contexts = [part["context"] for part in entry["partitions"]]
            if any(contexts.count(context) > 1 for context in contexts):
                raise ValueError("two partitions of one context")
            entry["partitions"] = {partition_name(part["context"]): part for part in entry["partitions"]}
    return state


MIGRATIONS: tuple[Migration, ...] = (_from_0, _from_1)
"""What makes of a state of version n one of version n + 1, at place n. A new version is a new line here."""
STATE_VERSION = len(MIGRATIONS)


# --- shape -------------------------------------------------------------------------------------------


def check_state(document: Any, migrations: Sequence[Migration] = MIGRATIONS) -> State:
    """Return the state in today's version, if it is one that this version can go on from.

    Raises:
        StateError: not a state, or of a newer version.
    """
    if not isinstance(document, dict) or not isinstance(document.get("bookmarks", {}), dict):
        raise StateError("the state is not a Singer state: an object with 'bookmarks' is expected")
    if document and "bookmarks" not in document:
        raise StateError("the state has no 'bookmarks', so it is something else. In a STATE message it is the 'value'")
    try:
        msgspec.json.encode(document)  # before anything is made of its texts
    except (UnicodeEncodeError, RecursionError):
        raise StateError(
            "the state has half of a surrogate pair in it, or is nested too deeply to be written"
        ) from None
    state = _migrated(deepcopy(document), migrations)
    if not isinstance(state.get("owner", {}), dict):
        raise StateError("the state's 'owner' is not an object, so it is not known whose it is")
    for name, entry in state.get("bookmarks", {}).items():
        _check_entry(name, entry)
    read_fields(state)
    return state


def _check_entry(name: str, entry: Any) -> None:
    if not isinstance(entry, dict):
        raise StateError(f"the state's bookmark of {name!r} is not an object")
    partitions = entry.get("partitions", {})
    if not _are_partitions(partitions):
        raise StateError(f"the state's partitions of {name!r} are not an object of partitions by their name")
    for part in [entry, *partitions.values()]:
        read_bookmark(name, part)
    open_items.check(name, entry.get("open", []))
    if not isinstance(entry.get("read_with", {}), dict):
        raise StateError(f"the state's 'read_with' of {name!r} is not an object; remove it")


def _migrated(state: State, migrations: Sequence[Migration]) -> State:
    version, newest = state.get("version", 0), len(migrations)
    if type(version) is not int or version < 0:
        raise StateError(f"the state is of version {version!r}, which there never was")
    if version > newest:
        raise StateError(
            f"the state is of version {version}, this vendortap reads up to version {newest}: a newer one wrote it. "
            "Update vendortap to go on from it"
        )
    try:
        for migrate in migrations[version:]:
            state = migrate(state)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise StateError(f"the state says that it is of version {version}, but has not its shape") from None
    return {**state, "version": newest}


def _are_partitions(partitions: Any) -> bool:
    """Whether this is an object of partitions, each under the name of its context."""
    return isinstance(partitions, dict) and all(
        isinstance(part, dict) and isinstance(part.get("context"), dict) and partition_name(part["context"]) == name
        for name, part in partitions.items()
    )


def partition_name(context: Mapping[str, Any]) -> str:
    """Return what a partition is called: ``customer_number=1000012345``."""
    return "&".join(f"{quote(name, safe='')}={quote(str(value), safe='')}" for name, value in sorted(context.items()))


def read_fields(state: Mapping[str, Any]) -> dict[str, Fields]:
    """Return what is remembered of the fields of each stream.

    Raises:
        StateError: it cannot be read.
    """
    try:
        return msgspec.convert(state.get("fields", {}), dict[str, Fields])
    except msgspec.ValidationError:
        raise StateError("the state's 'fields' cannot be read; remove them to start anew") from None


def read_bookmark(stream: str, entry: Any) -> Bookmark | None:
    """Return the bookmark in a stream's or a partition's state, if there is one.

    Raises:
        StateError: it is not one.
    """
    try:
        if (text := entry.get("replication_key_value")) is None:
            return None
        value = msgspec.convert(text, datetime)
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return Bookmark(aware.astimezone(UTC), tuple(tuple(map(str, key)) for key in entry.get("seen", ())))
    except (AttributeError, TypeError, OverflowError, msgspec.ValidationError):
        raise StateError(
            f"the state's bookmark of {stream!r} cannot be read: 'replication_key_value' has to be a date-time. "
            "Remove the bookmark to fetch the stream again"
        ) from None


def find_entry(state: Any, stream: str, partition: Mapping[str, str]) -> State | None:
    """Return the state of a partition, or ``None`` if there is none."""
    entry: State = state.get("bookmarks", {}).get(stream, {})
    if not partition:
        return entry
    found: State | None = entry.get("partitions", {}).get(partition_name(partition))
    return found


def make_entry(state: Any, stream: str, partition: Mapping[str, str]) -> State:
    """Return the state of a partition to write into, made if there is none."""
    entry: State = state.setdefault("bookmarks", {}).setdefault(stream, {})
    if not partition:
        return entry
    partitions: State = entry.setdefault("partitions", {})
    made: State = partitions.setdefault(partition_name(partition), {"context": dict(partition)})
    return made


def advance(
    state: Any, stream: str, replication_key: str | None, partition: Mapping[str, str], bookmark: Bookmark
) -> None:
    """Write a bookmark into the state."""
    make_entry(state, stream, partition).update(  # in one step: a signal in between would leave one that is not true
        replication_key=replication_key,
        replication_key_value=bookmark.value.isoformat(),
        seen=[list(key) for key in bookmark.keys_at_bookmark],
    )


def has_bookmark(state: Any, stream: str) -> bool:
    """Whether a stream has a bookmark, in any of its partitions."""
    entry: State = state.get("bookmarks", {}).get(stream, {})
    return any(part.get("replication_key_value") for part in [entry, *entry.get("partitions", {}).values()])


def reset(state: Any, stream: str, partitions: Iterable[Mapping[str, str]]) -> None:
    """Have no bookmark in these partitions, in so many words.

    Who merges this state into an older one (Meltano does, after a run that did not complete) would keep a bookmark that
    is only left out.
    """
    make_entry(state, stream, {}).setdefault("open", [])
    for partition in partitions:
        make_entry(state, stream, partition).update(replication_key=None, replication_key_value=None, seen=[])


# --- file --------------------------------------------------------------------------------------------


class StateFile:
    """The state file of a run that goes on; made by ``kept``.

    ``keep`` may be called by one thread at a time. ``lock`` is the descriptor that the run's children are to inherit.
    ``state`` is what is in the file, in today's version; ``None`` where there is nothing that can be used.
    """

    def __init__(self, path: Path, lock: int, state: State | None) -> None:
        self.path = path
        self.lock = lock
        self.state = state
        self._began_from = read_private(path) if state is not None else None
        self._now = json.loads(self._began_from) if self._began_from else None

    def keep(self, state: bytes) -> None:
        """Replace the state as a whole. The one that the run began from stays, as the previous one.

        Raises:
            OSError: as the file system has it; the old state is as it was.
        """
        if (document := json.loads(state)) == self._now:
            return
        if self._began_from is not None:
            write_atomically(previous(self.path), self._began_from)
            self._began_from = None
        write_atomically(self.path, state)
        self._now = document


@contextmanager
def kept(path: Path, *, full_refresh: bool = False) -> Iterator[StateFile]:
    """Have the state file to oneself, as long as the context lasts and whoever inherits the lock lives.

    What a killed run has left beside it is removed. With ``full_refresh``, a file that cannot be used is replaced.

    Raises:
        InUseError: another run has it.
        StateError: there cannot be such a file, or what is in it is not a state to go on from.
    """
    with ExitStack() as stack:
        try:
            real = real_path(path)  # by whatever name it is called: the lock is one
            descriptor = stack.enter_context(lock.held(real.with_name(f"{real.name}.lock"), f"the state file {path}"))
            for file in (real, previous(real)):
                remove_temporary(file.parent, re.escape(file.name))
        except OSError as error:
            raise StateError(f"the state file {path} cannot be written: {error.strerror}") from None
        try:
            state = read_state(path)
        except StateError:
            if not full_refresh:
                raise
            state = None
        yield StateFile(real, descriptor, state)


def read_state(path: Path) -> State | None:
    """Return the state in a file, in today's version; ``None`` if there is no file.

    Raises:
        StateError: it cannot be used; says which previous one there is, and how to go on from that.
    """
    if not path.exists():
        return None
    try:
        return check_state(read_json(path, StateError, f"the state file {path}", own=True))
    except StateError as error:
        raise StateError(
            f"{error}. Nothing was fetched. {way_back(path)}To fetch everything again, remove {path}"
        ) from None


def previous(path: Path) -> Path:
    """Return where the state stays that the last run began from."""
    return path.with_name(f"{path.name}.previous")


def way_back(path: Path) -> str:
    """Say how to go on from the previous state; nothing where there is none that can be used."""
    try:
        before = previous(real_path(path))
        check_state(read_json(before, StateError, "", own=True))
    except (StateError, OSError):
        return ""
    return f"The last run began from {before}: copy that to {path} to go on from there, which loses nothing. "


def without_generation(state: bytes) -> bytes:
    """Return a state without its ``generation``: where a target does not keep it, that would be of another one."""
    document = json.loads(state)
    if "generation" not in document:
        return state
    del document["generation"]
    return json.dumps(document).encode()


def is_state(line: bytes) -> bool:
    """Whether a line that a target printed is a state: some print other things too."""
    try:
        state = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(state, dict) and isinstance(state.get("bookmarks"), dict)
