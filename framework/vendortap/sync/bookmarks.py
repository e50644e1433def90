"""How far bookmarks lead, and what they cover."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time, tzinfo

from vendortap.declare.model import Bookmark, Slice, Stream

Key = tuple[str, ...]

KEYS_AT_MOST = 1000
"""Keys that a bookmark remembers at its own value; beyond that they are fetched again, which loses nothing."""


def advanced(mark: Bookmark | None, slice_: Slice, stream: Stream, watermark: HighWatermark) -> Bookmark | None:
    """Return the bookmark after a complete slice, whose records ``watermark`` has met."""
    if stream.replication_key is None:
        return None
    if stream.parent is None:
        return _after_window(mark, slice_.bookmark, watermark) if slice_.bookmark else watermark.bookmark()
    watermark = HighWatermark(mark, watermark.safe_until, zone=watermark.zone, named=watermark.named)
    watermark.take(slice_.bookmark, (slice_.params[stream.parent.param],))
    return watermark.bookmark()


def _after_window(mark: Bookmark | None, end: datetime, watermark: HighWatermark) -> Bookmark:
    """Return the bookmark after a window; its end may be now, by another clock than the vendor's."""
    end = min(end, watermark.safe_until or end)
    return mark if mark and mark.value >= end else Bookmark(end)


def _utc(value: datetime) -> datetime:
    """Return a moment in UTC; one that lies beyond the calendar there ("for ever") is its last."""
    try:
        return value.astimezone(UTC)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


class HighWatermark:
    """The greatest replication key met so far and the keys that have it; starts from a bookmark.

    It leads no further than ``safe_until``. A record that changes while its list is read is listed as it was, or
    not at all, if it moves to a page that has been read; another one that changes after it may be listed as it
    is. A bookmark at the latter would hide the former for ever.

    ``zone`` is the vendor's, by which a midnight is told; ``named`` gives a key as the state has it.
    """

    def __init__(
        self,
        since: Bookmark | None,
        safe_until: datetime | None = None,
        known: Bookmark | None = None,
        zone: tzinfo = UTC,
        named: Callable[[Key], Key] = lambda key: key,
    ) -> None:
        self.since = since
        self.zone = zone
        self.named = named
        self.safe_until = safe_until
        self._covers = known or since
        self.value = since.value if since else None
        self._kept: Sequence[Key] = since.keys_at_bookmark if since else ()
        self._met: list[Key] = []
        self._known = frozenset(self._covers.keys_at_bookmark) if self._covers else frozenset()
        self._bare = self._in_utc = False

    def take(self, value: datetime | None, key: Key) -> bool:
        """Note a record; returns whether the bookmark we started from does not cover it."""
        if value is None:
            return True
        at = _utc(value)
        if self._covers and self._covered(max(at, _utc(value.replace(fold=1))), key):
            return False
        bare, in_utc = value.time() == time(), not value.utcoffset()
        if self.value is None or at > self.value:
            self.value, self._kept, self._met, self._bare, self._in_utc = at, (), [key], bare, in_utc
        elif at == self.value:
            self._bare, self._in_utc = self._bare or bare, self._in_utc or in_utc
            if len(self._kept) + len(self._met) <= KEYS_AT_MOST:
                self._met.append(key)
        return True

    def _covered(self, latest: datetime, key: Key) -> bool:
        """Whether the bookmark covers a record; in the hour that a clock put back repeats, by its later reading."""
        assert self._covers is not None  # noqa: S101 - there is a bookmark
        return latest < self._covers.value or (latest == self._covers.value and self.named(key) in self._known)

    def bookmark(self) -> Bookmark | None:
        """Return how far this leads. A bare date remembers no keys: changes of that day may follow.

        That is what midnight is taken for, as it is written, or, as some write it in UTC, in the vendor's zone.
        """
        if self.value is None:
            return None
        if self.safe_until and self.value > self.safe_until:
            return self.since if self.since and self.since.value >= self.safe_until else Bookmark(self.safe_until)
        bare = self._bare or (self._in_utc and self._is_midnight(self.value))
        if bare or len(self._kept) + len(self._met) > KEYS_AT_MOST:
            return Bookmark(self.value)
        return Bookmark(self.value, tuple(dict.fromkeys([*self._kept, *map(self.named, self._met)])))

    def _is_midnight(self, value: datetime) -> bool:
        try:
            return value.astimezone(self.zone).time() == time()
        except OverflowError:
            return False
