"""What there is to fetch: stream, settings and bookmarks in, slices out. Pure, but for reading a file of keys."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from pathlib import Path

from vendortap.declare.model import Bookmark, Config, KeySource, Plan, Slice, Windows
from vendortap.errors import ConfigError

Bookmarks = Callable[[Mapping[str, str]], Bookmark | None]
"""Partition → its bookmark."""

_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)


def slices(plan: Plan, config: Config, bookmarks: Bookmarks, now: datetime) -> Iterator[Slice]:
    """Yield the slices of a plan, in the order of the settings, windows from the oldest on.

    Raises:
        ConfigError: a date setting is not a date.
    """
    for partition in partitions(plan, config):
        bookmark = bookmarks(partition)
        known = _set_back(bookmark, config[plan.lookback]) if bookmark and plan.lookback else bookmark
        extra = plan.since(config, known) if plan.since else {}
        slice_ = Slice({**partition, **extra}, partition, bookmark, known)
        if plan.windows is None:
            yield slice_
        else:
            yield from _windowed(slice_, plan.windows, config, now)


def _set_back(bookmark: Bookmark, days: int) -> Bookmark:
    return Bookmark(_before(bookmark.value, days=days)) if days else bookmark


def _before(moment: datetime, *, days: float = 0, seconds: float = 0) -> datetime:
    """Go back in time, but not beyond its beginning."""
    try:
        return moment - timedelta(days=days, seconds=seconds)
    except OverflowError:
        return _BEGINNING


def _windowed(slice_: Slice, windows: Windows, config: Config, now: datetime) -> Iterator[Slice]:
    """Cut a slice into windows that overlap a little and leave nothing out; the last one ends at ``now``.

    No window ends later than that, whatever the settings say: its bookmark would cover what is still to come.
    """
    first = _midnight(config[windows.start], windows.start)
    end = now.replace(microsecond=0)
    if config.get(windows.end):
        end = min(_midnight(config[windows.end], windows.end), end)
    start = max(first, slice_.known.value) if slice_.known else first
    overlap = timedelta(seconds=windows.overlap_seconds)
    while start < end:
        left = (end - start).days + 2  # days until ``end``, the overlap included: no window needs more
        stop = min(start + timedelta(days=min(config[windows.days], left)) - overlap, end)
        moments = (_before(start, seconds=windows.overlap_seconds), stop)
        texts = (f"{moment.replace(tzinfo=None).isoformat(timespec='seconds')}Z" for moment in moments)
        yield replace(slice_, params={**slice_.params, **dict(zip(windows.params, texts, strict=True))}, bookmark=stop)
        start = stop


def partitions(plan: Plan, config: Config) -> Sequence[Mapping[str, str]]:
    """Return the partitions of a plan: one for each value of its list setting, or one without a name."""
    if plan.each is None:
        return [{}]
    setting, param = plan.each
    return [{param: str(value)} for value in dict.fromkeys(config[setting])]


def since_date(
    param: str, *, start: str, follows: Callable[[Config], bool] = lambda _: False
) -> Callable[..., Mapping[str, str]]:
    """List from a date on: the setting ``start``, or the bookmark if ``follows`` says that may be relied on.

    The bookmark is the one that the plan has set back, where it looks back, though never to before ``start``.
    Its UTC day less one is sent: the vendor's day may be another one, and asking for more loses nothing.

    Raises (the result):
        ConfigError: ``start`` is not a date.
    """

    def since(config: Config, bookmark: Bookmark | None) -> Mapping[str, str]:
        days = [_day(config[start], start)] if config.get(start) else []
        if bookmark and follows(config):
            days.append(_before(bookmark.value, days=1).date().isoformat())
        return {param: max(days)} if days else {}

    return since


def _midnight(text: str, setting: str) -> datetime:
    day = date.fromisoformat(_day(text, setting))
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _day(text: str, setting: str) -> str:
    try:
        return date.fromisoformat(text[:10]).isoformat()
    except ValueError:
        raise ConfigError(f"the setting {setting!r} has to be a date, such as 2025-01-31") from None


# --- keys that the operator configured ---------------------------------------------------------------


def listed(setting: str) -> KeySource:
    """Take the keys from a list setting, each once.

    Raises (the source):
        ConfigError: one of them is blank.
    """

    def keys(config: Config) -> Iterable[str] | None:
        if (values := config.get(setting)) is None:
            return None
        stripped = [str(value).strip() for value in values]
        if "" in stripped:
            raise ConfigError(f"the setting {setting!r} has a blank value; remove it")
        return list(dict.fromkeys(stripped))

    return keys


def in_file(setting: str, *, column: str) -> KeySource:
    """Take the keys from a file: one a line, or, if the setting ``column`` is given, a column of a CSV file.

    Raises (the source):
        ConfigError: the file cannot be read, holds no key or one of them twice, or has no such column.
    """

    def keys(config: Config) -> Iterable[str] | None:
        if (name := config.get(setting)) is None:
            return None
        path = Path(name)
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise ConfigError(f"the file {path} named by {setting!r} cannot be read: {why}") from None
        try:
            return _distinct(_lines(text, config.get(column), path, column), path, setting)
        except csv.Error as error:
            raise ConfigError(f"the file {path} named by {setting!r} is not CSV: {error}") from None

    return keys


def _lines(text: str, name: str | None, path: Path, setting: str) -> Iterable[tuple[int, str]]:
    """Return the file's lines, or the values of the CSV column ``name``, each with its line number."""
    if name is None:
        return enumerate(text.splitlines(), 1)
    rows = csv.DictReader(StringIO(text, newline=""))
    if name not in (rows.fieldnames or ()):
        raise ConfigError(f"the file {path} has no column {name!r}, which {setting!r} names")
    return ((rows.line_num, row[name] or "") for row in rows)


def _distinct(lines: Iterable[tuple[int, str]], path: Path, setting: str) -> list[str]:
    seen: dict[str, int] = {}
    for number, line in lines:
        if not (key := line.strip()):
            continue
        if key in seen:
            raise ConfigError(f"the file {path} named by {setting!r}: line {number} repeats line {seen[key]}")
        seen[key] = number
    if not seen:
        raise ConfigError(f"the file {path} named by {setting!r} holds no keys")
    return list(seen)


def configured(sources: Iterable[KeySource], config: Config) -> list[str] | None:
    """Return the keys of the first source that is configured, or ``None``."""
    for source in sources:
        if (keys := source(config)) is not None:
            return list(keys)
    return None
