"""How a value is written: one table of lexical rules, by which JSON and XML are read alike."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any, TypeAlias

import msgspec

from vendortap.errors import ConfigError
from vendortap.support.numbers import MOST_DIGITS, is_short

Place: TypeAlias = tuple[str | int, ...]
"""Names and indexes that lead from a record to something inside it."""


FEWER_DIGITS = f"a number of at most {MOST_DIGITS} digits"
"""What should stand in the place of a number that is too long."""


class Malformed(ValueError):
    """The body is not of its format: truncated, hostile, or something else altogether."""


class TooDeep(Malformed):
    """The body is nested more deeply than it may be."""


class SchemaMismatch(ValueError):
    """A value does not fit its schema; ``path`` is a JSON path, ``expected`` what should stand there.

    Raised with the path relative to the value, and completed on the way out (``inside``), so that values that
    fit cost no paths.
    """

    def __init__(self, path: str, expected: str) -> None:
        super().__init__(f"{expected} expected at {path}")
        self.path = path
        self.expected = expected

    def inside(self, place: str) -> SchemaMismatch:
        """Return the same mismatch as it is called one level further out."""
        return SchemaMismatch(place + self.path, self.expected)


class TooLong(ValueError):
    """A text is a number, and has more digits than one may have."""


@dataclass(frozen=True, slots=True)
class Dates:
    """How a vendor writes date-times, beyond RFC 3339.

    ``zone`` is assumed where there is no offset. ``pattern`` is a strptime format tried first, for vendors with
    a format of their own. A bare date is midnight; the year 1 is .NET's unset date, that is null. Its last moment,
    ``9999-12-31T23:59:59.9999999``, cannot be rounded up: it is the last microsecond.
    """

    zone: tzinfo = UTC
    pattern: str | None = None

    def parse(self, text: str) -> datetime | None:
        """Read a date-time, aware; ``None`` where the vendor means no date. Microseconds are rounded.

        Raises:
            ValueError: not a date-time.
        """
        value = self._read(text)
        if value.year == 1:
            return None
        return value if value.tzinfo is not None else self._local(value)

    def _local(self, value: datetime) -> datetime:
        local = value.replace(tzinfo=self.zone)
        offset = local.utcoffset()
        # RFC 3339 has no seconds in offsets, and before there were zones a place's time had them.
        return local.astimezone(UTC) if offset and offset.total_seconds() % 60 else local

    def _read(self, text: str) -> datetime:
        if self.pattern:
            try:
                return datetime.strptime(text, self.pattern)
            except ValueError:
                pass  # vendors mix formats: RFC 3339 is always understood
        try:
            return msgspec.convert(text, datetime)
        except msgspec.ValidationError:
            if (end := _end_of_time.match(text)) is not None:
                return msgspec.convert(end[1] + text[end.end() :], datetime)
            bare = msgspec.convert(text, date)
            return datetime(bare.year, bare.month, bare.day)


def dates(zone: str, pattern: str | None) -> Dates:
    """Return the Dates for an IANA zone name and a strptime pattern.

    Raises:
        ConfigError: there is no such zone, or it is not such a pattern.
    """
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # here, as each start of a tap would pay for it

    if pattern:
        try:
            datetime.strptime(datetime(2001, 2, 3).strftime(pattern), pattern)
        except (ValueError, re.error) as error:
            raise ConfigError(
                f"{pattern!r} is not a strptime pattern, such as '%m/%d/%Y %H:%M'; check the setting 'date_format'"
            ) from error
    try:
        return Dates(ZoneInfo(zone), pattern)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            f"{zone!r} is not the name of a time zone, such as 'America/New_York'; check the setting 'timezone'"
        ) from error


is_number = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?").fullmatch
_is_integer = re.compile(rf"[+-]?[0-9]{{1,{MOST_DIGITS}}}").fullmatch
_end_of_time = re.compile(r"(9999-12-31[Tt ]23:59:59\.9{6})[0-9]+")
_midnight = re.compile(r"(?:T00:00:00(?:\.0+)?)?(?:Z|[+-][0-9]{2}:[0-9]{2})?\Z")


def number(text: str) -> Decimal:
    """Read a decimal number, digit for digit (XML Schema 1.1 part 2, 3.3.3, and an exponent).

    ``-0`` is 0: a zero without a point has no sign where JSON decoders read it.

    Raises:
        TooLong: it has too many digits.
        ValueError: not a finite number in plain digits (Decimal itself would take ``1_0``, ``٣`` or ``NaN``).
    """
    if not is_number(text):
        raise ValueError("not a number")
    try:
        value = Decimal(text)
    except InvalidOperation:  # beyond even Decimal's exponents
        raise TooLong("not a number of so few digits") from None
    if not is_short(value):
        raise TooLong("not a number of so few digits")
    return _ZERO if value.as_tuple() == _SIGNED_ZERO else value


_ZERO = Decimal(0)
_SIGNED_ZERO = Decimal("-0").as_tuple()


def integer(text: str) -> int:
    """Read an integer in plain digits; a fraction of zeros is accepted (``3.0``).

    Raises:
        TooLong: it has too many digits.
        ValueError: not an integer.
    """
    if _is_integer(text):
        return int(text)
    value = number(text)
    if value != value.to_integral_value():
        raise ValueError("not an integer")
    return int(value)


def boolean(text: str) -> bool:
    """Read a boolean (XML Schema 1.1 part 2, 3.3.2), whatever its case.

    Raises:
        ValueError: not a boolean.
    """
    try:
        return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
    except KeyError:
        raise ValueError("not a boolean") from None


def day(text: str) -> date | None:
    """Read a date, or the date of a date-time at midnight; an offset says nothing about a day (ibid., 3.3.9).

    Raises:
        ValueError: not a date.
    """
    value = msgspec.convert(_midnight.sub("", text, count=1), date)
    return None if value.year == 1 else value


TEXTS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "number": ("a number", number),
    "integer": ("an integer", integer),
    "boolean": ("true or false", boolean),
    "date": ("a date", day),
}
"""Kind → what is expected in words, and what reads its text; date-times are read by ``Dates.parse``."""


def text_reader(kind: str, dates: Dates) -> tuple[str, Callable[[str], Any]]:
    """Return what is expected of a value of this kind, in words, and what reads its text; it raises ValueError."""
    return ("a date-time", dates.parse) if kind == "date-time" else TEXTS[kind]
