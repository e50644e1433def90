"""The amounts of a stream's records, added up exactly, currency by currency."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import Any

from vendortap.declare.model import Amount, Record

_EXACT = Context(prec=500, traps=[Inexact, InvalidOperation, Overflow])
"""What has more digits than this is not added up, instead of wrongly."""


class Totals:
    """The sums so far; one thread adds, others may look."""

    def __init__(self, amount: Amount) -> None:
        self._amount = _at(amount.path)
        self._currency = _at(amount.currency) if amount.currency else (lambda _: None)
        self._sums: dict[str | None, tuple[int, Decimal | None]] = {}

    def add(self, records: Iterable[Record]) -> None:
        """Add records that are handed on; those without an amount are not counted."""
        for record in records:
            if (amount := self._amount(record)) is not None:
                currency = self._currency(record)
                count, total = self._sums.get(currency, (0, Decimal(0)))
                self._sums[currency] = count + 1, _sum(total, amount)

    def told(self) -> list[dict[str, Any]]:
        """Return for each currency how many records had an amount, and the sum as text.

        The currency is ``None`` where the vendor states none, the sum where it has too many digits.
        """
        return [
            {"currency": currency, "records": count, "amount": None if total is None else f"{total:f}"}
            for currency, (count, total) in self._sums.copy().items()
        ]


def _sum(total: Decimal | None, amount: Decimal | int | str) -> Decimal | None:
    """Return the exact sum; ``None`` once there is none. Amounts are texts where the operator wishes them to be."""
    try:
        return None if total is None else _EXACT.add(total, Decimal(amount))
    except (Inexact, InvalidOperation, Overflow):
        return None


def _at(path: str) -> Callable[[Record], Any]:
    """Return what reads the value at a path; ``None`` where something on the way to it is not there, or deselected."""
    names = path.split(".")

    def read(record: Any) -> Any:
        value = record
        for name in names:
            if isinstance(value, list):
                value = value[0] if value else None
            if value is None:
                return None
            try:
                value = value[name]
            except KeyError:
                return None
        return value

    return read
