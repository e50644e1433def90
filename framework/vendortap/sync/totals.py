"""The amounts of a stream's records as they are written, added up exactly, currency by currency.

Of a vendor that names currencies without end, the first ones are told each by itself, and all others as one: without a
sum, as there is none of several currencies.

Stream maps may have removed or replaced an amount, flattened what it is in, or made JSON text of that. What is told is
a sum of amounts that were written. Where one is hidden, or its currency, no total of the stream is told.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import Any

from vendortap.declare.model import Amount, Record
from vendortap.support.numbers import is_short

_EXACT = Context(prec=500, Emax=500, Emin=-500, traps=[Inexact, InvalidOperation, Overflow])
"""What has more digits than this is not added up, instead of wrongly."""

CURRENCIES = 100
"""So many currencies are told each by itself; ISO 4217 has 180, and an account is invoiced in a few."""
CURRENCY_LENGTH = 10
"""Characters that the name of one has at the most."""
OTHERS = "(others)"
"""What stands in the place of a currency for all that are not told by themselves."""


class _Gone:
    """Stands for what is not in a record: it was deselected, removed, or put into something that cannot be read."""


class Totals:
    """The sums so far; one thread adds, others may look. ``separator`` joins the names of a flattened record."""

    def __init__(self, amount: Amount, separator: str = "__") -> None:
        self._amount = _at(amount.path, separator)
        self._currency = _at(amount.currency, separator) if amount.currency else (lambda _: None)
        self._sums: dict[str | None, tuple[int, Decimal | None]] = {}
        self._is_hidden = False

    def add(self, records: Iterable[Record]) -> None:
        """Add records as they are written; those without an amount are not counted."""
        for record in records:
            amount = self._amount(record)
            if amount is None or amount is _Gone:
                continue
            currency, number = self._currency(record), _number(amount)
            if number is None or not isinstance(currency, str | None):
                self._is_hidden = True
                return
            has_line = self._has_line(currency)
            line = currency if has_line else OTHERS
            count, total = self._sums.get(line, (0, Decimal(0)))
            self._sums[line] = count + 1, _sum(total, number) if has_line else None

    def _has_line(self, currency: str | None) -> bool:
        """Whether a currency has a line of its own."""
        if currency in self._sums or currency is None:
            return currency != OTHERS
        own = len(self._sums) - (None in self._sums) - (OTHERS in self._sums)
        return own < CURRENCIES and len(currency) <= CURRENCY_LENGTH and currency != OTHERS

    def snapshot(self, shown: Callable[[str], str] = str) -> list[dict[str, Any]]:
        """Return for each currency how many records had an amount, and the sum as text; nothing where one is hidden.

        The currency is ``None`` where the vendor states none, and as ``shown`` has it, since it may state anything; the
        sum is ``None`` where it has too many digits. Last comes ``OTHERS``, where there are any, without a sum.
        """
        if self._is_hidden:
            return []
        sums = sorted(self._sums.copy().items(), key=lambda line: line[0] == OTHERS)
        return [
            {
                "currency": currency and shown(currency),
                "records": count,
                "amount": None if total is None else f"{total:f}",
            }
            for currency, (count, total) in sums
        ]


def _number(amount: Any) -> Decimal | None:
    """Return an amount as a number, ``None`` where it is none. Amounts are texts where the operator wishes them to be.

    A float is what a stream map has made of an amount, and is written as the shortest text that is it.
    """
    if isinstance(amount, bool) or not isinstance(amount, Decimal | int | float | str):
        return None
    try:
        number = Decimal(repr(amount) if isinstance(amount, float) else amount)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _sum(total: Decimal | None, amount: Decimal) -> Decimal | None:
    """Return the exact sum; ``None`` once there is none, as there is of amounts that are too long."""
    if total is None or not is_short(amount):
        return None
    try:
        return _EXACT.add(total, amount)
    except (Inexact, InvalidOperation, Overflow):
        return None


def _at(path: str, separator: str) -> Callable[[Record], Any]:
    """Return what reads the value at a path; ``None`` where something on the way is null, ``_Gone`` if not there."""
    names = path.split(".")
    return lambda record: _value(record, names, separator)


def _value(value: Any, names: Sequence[str], separator: str) -> Any:
    for index, name in enumerate(names):
        if isinstance(value, str):
            value = _parsed(value)
        if isinstance(value, list):
            value = value[0] if value else None
        if value is None:
            return None
        try:
            value = value[name]
        except (KeyError, TypeError):
            return _flattened(value, names[index:], separator)
    return value


def _flattened(value: Any, names: Sequence[str], separator: str) -> Any:
    """Return what is at a path of which some names are joined into one."""
    for count in range(2, len(names) + 1):
        joined = separator.join(names[:count])
        if isinstance(value, dict) and joined in value:
            return _value(value[joined], names[count:], separator)
    return _Gone


def _parsed(text: str) -> Any:
    """Return what was made JSON text, its numbers to the last digit."""
    try:
        return json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError):
        return _Gone
