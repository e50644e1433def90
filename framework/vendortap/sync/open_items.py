"""Open items: what the vendor listed and a run did not obtain, remembered until it arrives or the operator closes it.

They are kept in the state, as a list in ``bookmarks.<stream>.open``; a list, as whoever merges states deeply replaces a
list as a whole, and would bring closed ones back from an object. An item::

    {"key": ["90001234"], "partition": {"customer_number": "1000012345"}, "why": "missing",
     "since": "2025-01-31T12:00:00+00:00", "tried": "2025-02-01T12:00:00+00:00", "tries": 2,
     "changed": "2025-01-30T08:00:00+00:00"}

``key`` is what a document is asked for by, or the key of a record of a list; it is null where the record does not show
one. ``changed`` is the document's replication key, as it was listed. A record of a list has ``begin`` instead, the
bookmark from which its list was read (null: from the start), and, where the list is read in windows, ``slice``, the
params of its window. ``acknowledged`` is the day until which the operator knows of it, ``closed`` the moment at which
the operator gave it up, ``note`` why. What is closed is kept, so that it is not opened again.

Where a stream map masks the key, the state has a keyed hash of it instead (RFC 2104), and so it does where the vendor
put a secret into it (``hashed`` is true then). A document cannot be asked for by that: it is looked for in the list,
read from as far back as it was there.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import msgspec

from vendortap.declare.model import Slice
from vendortap.errors import OpenItemsError, StateError
from vendortap.support.redact import has_secret

Item = dict[str, Any]
Key = tuple[str, ...]
Why = Literal["missing", "refused", "does not fit"]

MOST = 1000
"""With so many items a stream stops: who has that many lacks more than single invoices."""
MOST_CLOSED = 1000
"""Closed ones that are remembered; beyond that the oldest are forgotten."""
AT_ONCE = 100
"""So many are asked for again by a run, or, if that is more, a tenth of the documents that it asks for."""
FIRST_DISTANCE = timedelta(hours=1)
"""From the second try to the third; it doubles with each further try."""
GREATEST_DISTANCE = timedelta(days=7)


class OpenItems:
    """The open items of a stream, in its entry of the state; one thread at a time.

    ``closed`` are keys that the settings close. Keys are hashed with ``secret`` where they are ``masked``, or have a
    secret in them. ``is_changed`` says that there is something that no bookmark covers.
    """

    def __init__(
        self,
        entry: Item,
        *,
        closed: Iterable[str] = (),
        secret: bytes = b"",
        masked: bool = False,
        now: datetime | None = None,
    ) -> None:
        self._entry = entry
        self._secret = secret
        self._masked = masked
        self._now = now or datetime.now(UTC)
        self._closed = frozenset(closed)
        self._tried: dict[int, Item] = {}
        self._asked: dict[int, Item] = {}
        self._by_key: dict[Key, list[Item]] = {}
        self.is_changed = False
        for item in forgotten(self._items()):
            self._remove(item)
        for item in self._items():
            self._index(item)
            if "closed" not in item and is_named(item, self._closed):
                close(item, self._now, "the setting closed_items")
                self.is_changed = True

    def __bool__(self) -> bool:
        """Whether there are any, open or closed."""
        return bool(self._entry.get("open") or self._closed)

    def named(self, key: Key) -> Key:
        """Return a key as the state has it."""
        if not self._is_hashed(key):
            return key
        digest = hmac.new(self._secret, "\0".join(key).encode(errors="surrogatepass"), hashlib.sha256)
        return (digest.hexdigest()[:32],)

    def _is_hashed(self, key: Key) -> bool:
        return self._masked or any(map(has_secret, key))

    def _has_key(self, item: Item) -> bool:
        """Whether the state shows by which key an item is asked for."""
        return item["key"] is not None and not self._masked and not item.get("hashed", False)

    # --- what is to be asked for again ---

    def documents(self, partitions: Sequence[Mapping[str, str]], asked: int = 0) -> list[Item]:
        """Return the documents that are due, the least tried first; ``asked`` are those that the run asks for anyway.

        One whose partition is not known (``{}``) belongs to all of them.
        """
        due = [item for item in self._due() if self._has_key(item) and "begin" not in item]
        due = [item for item in due if not item["partition"] or item["partition"] in partitions]
        return sorted(due, key=lambda item: (item["tries"], item["since"]))[: max(AT_ONCE, asked // 10)]

    def slices(self, partition: Mapping[str, str]) -> list[Item]:
        """Return what is due of a partition's list: its records, and the documents that are looked for in it.

        Whoever asks is going to read what they are in.
        """
        due = [item for item in self._due() if item["partition"] == partition]
        due = [item for item in due if "begin" in item or not self._has_key(item)]
        self._asked |= {id(item): item for item in due}
        return due

    def is_sought(self, key: Key, partition: Mapping[str, str]) -> bool:
        """Whether this is a document that is due, and can only be looked for in the list."""
        found = self._of(self.named(key), partition) if self._is_hashed(key) else []
        return any(id(item) in self._asked for item in found)

    def _due(self) -> Iterator[Item]:
        for item in self._items():
            if "closed" in item:
                continue
            wait = FIRST_DISTANCE * 2 ** min(item["tries"] - 2, 10) if item["tries"] > 1 else timedelta(0)
            tried = datetime.fromisoformat(item["tried"])
            if not tried <= self._now < tried + min(wait, GREATEST_DISTANCE):  # also where the clock was put back
                yield item

    # --- what became of it ---

    def note(self, key: Sequence[str] | None, why: Why, slice_: Slice, *, of_list: bool) -> None:
        """Note a document, or a record of a list, that was not obtained: once a run.

        Raises:
            OpenItemsError: there are too many.
        """
        item = self._find(key, slice_, of_list=of_list) or self._add(key, slice_, of_list=of_list)
        item.pop("closed", None)  # it has changed since, or would not have been asked for
        item["why"] = why
        if slice_.bookmark is not None:
            item["changed"] = slice_.bookmark.isoformat()
        self._try(item)

    def _add(self, key: Sequence[str] | None, slice_: Slice, *, of_list: bool) -> Item:
        if sum("closed" not in one for one in self._items()) >= MOST:
            raise OpenItemsError(
                f"there are {MOST:,} open items, so the stream stops here, and its bookmark with it. "
                "`vendortap open list` shows them, `vendortap open close` gives up what will not come"
            )
        now = self._now.isoformat()
        item: Item = {
            "key": None,
            "partition": dict(slice_.partition),
            "why": "",
            "since": now,
            "tried": now,
            "tries": 0,
        }
        if key is not None:
            item["key"] = list(self.named(tuple(key)))
            item |= {"hashed": True} if self._is_hashed(tuple(key)) and not self._masked else {}
        if of_list:
            begin = slice_.known or slice_.since
            item["begin"] = begin and begin.value.isoformat()
            item |= {} if slice_.bookmark is None else {"slice": dict(slice_.params)}
        self._entry.setdefault("open", []).append(item)
        self._index(item)
        return item

    def tried(self, slice_: Slice) -> None:
        """Note that a list has been read to its end, for the sake of items of it as well: they have been tried.

        One without a key has arrived then, if no record without one came up: all of its list was handed on.
        """
        for item in [one for one in self._asked.values() if self._is_of(one, slice_)]:
            if id(item) in self._tried:
                continue
            del self._asked[id(item)]
            if item["key"] is None:
                self._remove(item)
            else:
                self._try(item)

    def _try(self, item: Item) -> None:
        self.is_changed = True
        if id(item) not in self._tried:
            self._tried[id(item)] = item
            item["tries"] += 1
            item["tried"] = self._now.isoformat()

    def has(self, key: Key, partition: Mapping[str, str]) -> bool:
        """Whether this is an open item: whatever the bookmark covers, it is wanted."""
        return any("closed" not in item for item in self._of(self.named(key), partition))

    def is_closed(self, key: Sequence[str], partition: Mapping[str, str], changed: datetime | None = None) -> bool:
        """Whether the operator has given this up, and it has not changed since."""
        if self._closed and is_named({"key": list(key)}, self._closed):
            return True
        return any(
            "closed" in item and (changed is None or datetime.fromisoformat(item.get("changed", _END)) >= changed)
            for item in self._of(self.named(tuple(key)), partition)
        )

    def arrived(self, key: Key, partition: Mapping[str, str]) -> None:
        """Forget what has been handed on."""
        for item in self._of(self.named(key), partition):
            self._remove(item)

    # --- the list ---

    def _items(self) -> list[Item]:
        items: list[Item] = self._entry.get("open", [])
        return items

    def _of(self, key: tuple[str, ...], partition: Mapping[str, str]) -> list[Item]:
        return [item for item in self._by_key.get(key, ()) if item["partition"] in ({}, partition)]

    def _find(self, key: Sequence[str] | None, slice_: Slice, *, of_list: bool) -> Item | None:
        if key is not None:
            name = self.named(tuple(key))
            return next((item for item in self._of(name, slice_.partition) if ("begin" in item) == of_list), None)
        return next((item for item in self._items() if item["key"] is None and self._is_of(item, slice_)), None)

    @staticmethod
    def _is_of(item: Item, slice_: Slice) -> bool:
        """Whether a record belongs to the list, or to the window of it, that a slice reads."""
        mine = "begin" in item and "closed" not in item and item["partition"] == slice_.partition
        return mine and item.get("slice") == (dict(slice_.params) if slice_.bookmark is not None else None)

    def _index(self, item: Item) -> None:
        if item["key"] is not None:
            self._by_key.setdefault(tuple(item["key"]), []).append(item)

    def _remove(self, item: Item) -> None:
        self.is_changed = True
        self._asked.pop(id(item), None)
        self._entry["open"] = [one for one in self._items() if one is not item]
        if item["key"] is not None and item in (same := self._by_key.get(tuple(item["key"]), [])):
            same.remove(item)


_END = "9999-12-31T00:00:00+00:00"


# --- of a whole state --------------------------------------------------------------------------------


def of_stream(state: Any, stream: str) -> list[Item]:
    """Return the items of a stream, closed ones too."""
    items: list[Item] = state.get("bookmarks", {}).get(stream, {}).get("open", [])
    return items


def check(stream: str, items: Any) -> None:
    """Hold what a state has of a stream's open items to its form.

    Raises:
        StateError: it is something else.
    """
    try:
        for item in msgspec.convert(items, list[_Form]):
            for text in (item["since"], item["tried"], *map(item.get, ("changed", "begin", "closed"))):
                _check_moment(text)
            if "acknowledged" in item:
                date.fromisoformat(item["acknowledged"])
            if "slice" in item and "changed" not in item:
                raise ValueError
    except (OverflowError, ValueError, msgspec.ValidationError):
        raise StateError(f"the state's open items of {stream!r} cannot be read; remove 'open' to forget them") from None


class _Form(TypedDict):
    """What an item is; whatever else it has is left alone."""

    key: Annotated[list[str], msgspec.Meta(min_length=1)] | None
    partition: dict[str, str]
    why: str
    since: str
    tried: str
    tries: Annotated[int, msgspec.Meta(ge=0)]
    changed: NotRequired[str]
    begin: NotRequired[str | None]
    slice: NotRequired[dict[str, str]]
    acknowledged: NotRequired[str]
    closed: NotRequired[str]
    note: NotRequired[str]
    hashed: NotRequired[bool]


def _check_moment(text: Any) -> None:
    """Raise ValueError or OverflowError for what is no moment that can be compared with others."""
    if text is not None:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError
        moment.astimezone(UTC)


def is_named(item: Item, names: Iterable[str]) -> bool:
    """Whether one of these names the item: its key, in whole or its last part."""
    key = item["key"]
    return bool(key) and any(name in (key[-1], ", ".join(key)) for name in names)


def is_acknowledged(item: Item, today: date) -> bool:
    """Whether the operator knows of an item, and until a day that has not passed."""
    return "acknowledged" in item and today <= date.fromisoformat(item["acknowledged"])


def close(item: Item, now: datetime, note: str) -> None:
    """Give an item up."""
    item |= {"closed": now.isoformat(), "note": note}


def forgotten(items: Sequence[Item]) -> list[Item]:
    """Return the closed items that are more than are remembered."""
    closed = sorted((item for item in items if "closed" in item), key=lambda item: item["closed"])
    return closed[:-MOST_CLOSED]


def forget(entry: Item) -> None:
    """Have no open items: whatever was not obtained is asked for anew. What the operator has said of some stays."""
    entry["open"] = [item for item in entry.get("open", ()) if "closed" in item]


def summary(state: Any, today: date) -> dict[str, Any]:
    """Return how many items of a state are open, how many of these acknowledged, and since when the oldest is open."""
    entries = list(state.get("bookmarks", {}).values())  # another thread may be at work on it
    found = [item for entry in entries for item in entry.get("open", [])]
    still = [item for item in found if "closed" not in item]
    known = sum(is_acknowledged(item, today) for item in still)
    return {"open": len(still), "acknowledged": known, "oldest": min((item["since"] for item in still), default=None)}
