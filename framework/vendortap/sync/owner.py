"""Whose a state is, and with which settings its streams were read.

A bookmark means something only for the connector, the account, the key and the range of records that it was written
with. A state of anything else would skip what it never covered, so it is refused before anything is asked for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from vendortap.declare.model import Config, Connector, Stream
from vendortap.errors import StateError
from vendortap.sync.state import State, has_bookmark

_ANEW = (
    "To read everything again, start with a new state (`vendortap run --full-refresh`, `meltano run --full-refresh`). "
    "What is in the target is replaced by key"
)


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose state it is.

    ``account`` is a hash of the settings that identify the account, whose names are ``settings``; ``None`` where none
    of them is set. ``origin`` is where the vendor is asked: scheme, host and port. ``streams`` are the connector's.
    """

    connector: str
    account: str | None
    origin: str
    settings: tuple[str, ...]
    streams: tuple[str, ...]


def owner_of(connector: Connector, config: Config, schema: Mapping[str, Any]) -> Owner:
    """Return whom a run with these settings belongs to; ``schema`` is that of the settings."""
    names = tuple(name for name, setting in schema["properties"].items() if setting.get("account"))
    values = {name: config[name] for name in names if config.get(name) is not None}
    text = json.dumps([connector.name, values], sort_keys=True)
    account = hashlib.sha256(text.encode()).hexdigest()[:16] if values else None
    streams = tuple(stream.name for stream in connector.streams)
    return Owner(connector.name, account, _origin(str(connector.base_url(config))), names, streams)


def hash_secret(connector: Connector, config: Config, schema: Mapping[str, Any]) -> bytes:
    """Return what keys in the state are hashed with, where they may not be shown there: the secret settings.

    Whoever has the state alone cannot try numbers one by one. With other secrets, what is open under a hashed key is
    not recognised any more, and stays open until it is closed.
    """
    secrets = sorted(name for name, setting in schema["properties"].items() if setting.get("secret"))
    return json.dumps([connector.name, *map(config.get, secrets)]).encode()


def _origin(url: str) -> str:
    """Return scheme, host and port; of what is no URL nothing, as whoever connects to it says what is wrong."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def adopt(
    state: State, owner: Owner, streams: Sequence[Stream], config: Config, schema: Mapping[str, Any]
) -> Iterator[str]:
    """Take a state over for a run of ``streams``, or refuse it. Writes into it, and yields what to warn of.

    Raises:
        StateError: the state is another connector's or account's, has another key, or was read with a narrower range.
    """
    yield from _adopt_owner(state, owner)
    for stream in streams:
        entry: State = state["bookmarks"].setdefault(stream.name, {})
        _check_keys(entry, owner, stream)
        _check_range(entry, owner, stream, config, schema)


def _adopt_owner(state: State, owner: Owner) -> Iterator[str]:
    told: Mapping[str, Any] | None = state.get("owner")
    bookmarks = state.setdefault("bookmarks", {})
    if told is None:
        yield from _take_over(bookmarks, owner)
    elif not isinstance(told, dict) or told.get("connector") != owner.connector:
        other = told.get("connector") if isinstance(told, dict) else None
        raise StateError(f"the state belongs to the connector {other!r}, not to {owner.connector!r}. {_ANEW}")
    elif told.get("account") != owner.account:
        names = ", ".join(owner.settings)
        raise StateError(
            f"the state belongs to another account of {owner.connector} (what identifies it: {names or 'nothing'}). "
            f"Give the state of this account. {_ANEW}"
        )
    elif told.get("origin") != owner.origin:
        yield (
            f"{owner.connector}: the state was written while {told.get('origin')} was asked, and now {owner.origin} "
            "is. If that is another system with other invoices, start with a new state"
        )
    state["owner"] = {"connector": owner.connector, "account": owner.account, "origin": owner.origin}


def _take_over(bookmarks: Mapping[str, Any], owner: Owner) -> Iterator[str]:
    """Take a state that does not say whose it is for this one's, unless it has streams of another."""
    if foreign := [name for name in bookmarks if name not in owner.streams]:
        raise StateError(
            f"the state does not say whose it is, and {owner.connector} has no stream {foreign[0]!r}: it is "
            f"another connector's. {_ANEW}"
        )
    if bookmarks:
        yield (
            f"{owner.connector}: the state does not say whose it is, as an older version or another program wrote "
            "it. It is taken for this connector's and account's, and says so from now on"
        )


def _check_keys(entry: State, owner: Owner, stream: Stream) -> None:
    for part in [entry, *entry.get("partitions", {}).values()]:
        before = part.get("replication_key") or stream.replication_key
        if before != stream.replication_key and part.get("replication_key_value") is not None:
            raise StateError(
                f"{owner.connector}, {stream.name}: the state's bookmark is by {before!r}, and the stream's "
                f"replication key is {stream.replication_key!r}. {_ANEW}"
            )
    keys = list(stream.keys)
    if entry.setdefault("keys", keys) != keys:
        raise StateError(
            f"{owner.connector}, {stream.name}: the state was written with the key {entry['keys']}, and the stream's "
            f"key is {keys}. {_ANEW}"
        )


def _check_range(entry: State, owner: Owner, stream: Stream, config: Config, schema: Mapping[str, Any]) -> None:
    """Refuse a wider range of records than the bookmarks were read with; what they cover would never be asked for."""
    ranges = {name: config.get(name) for name, setting in schema["properties"].items() if setting.get("range")}
    if not ranges or stream.replication_key is None:
        return
    has_read = has_bookmark({"bookmarks": {stream.name: entry}}, stream.name)
    before, entry["read_with"] = entry.get("read_with", {}), ranges
    for name, value in ranges.items():
        if has_read and _is_wider(value, before.get(name)):
            raise StateError(
                f"{owner.connector}, {stream.name}: with {name!r} as it is now, more records belong to the stream than "
                f"the state was read with ({name}: {before.get(name)!r}). Those before its bookmark would be missed. "
                f"Set {name!r} back. {_ANEW}"
            )


def _is_wider(now: Any, before: Any) -> bool:
    """Whether a setting lets in records that it did not: an earlier date, a flag that is now set, another choice."""
    if now == before or before is None:
        return False
    if isinstance(now, bool):
        return now
    return not (_is_date(now) and _is_date(before)) or now < before


def _is_date(value: Any) -> bool:
    return isinstance(value, str) and value[:4].isdigit()
