"""What the vendor holds, and how that changes: the truth that no reply alone shows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

from tests.soak.histories import Event


@dataclass(frozen=True)
class Invoice:
    """One invoice. ``rank`` is its place in its list; ``born`` is the moment of the vendor's count that made it."""

    number: str
    partition: str
    amount: Decimal
    stamp: datetime
    rank: float
    born: int
    lines: int


@dataclass(frozen=True)
class Habits:
    """How a vendor's dates behave, by its document.

    ``span`` is over how many days the first invoices are dated. ``recent`` is how old the date of an invoice may be
    that still changes or comes; each connector looks back further. ``stamped``: the date is that of the last change.
    ``fixed``: the date of an invoice never changes.
    """

    span: timedelta
    recent: timedelta
    stamped: bool = False
    fixed: bool = False


class Book:
    """The invoices of one vendor. ``moment`` counts the requests; nothing happens between two moments."""

    def __init__(self, seed: str, numbers: list[str], partitions: tuple[str, ...], habits: Habits) -> None:
        self.moment = 0
        self.held: dict[str, Invoice] = {}
        self._chance = Random(seed)
        self._spare = numbers[::-1]
        self._partitions = partitions
        self._last = datetime.now(UTC) - timedelta(minutes=5)
        self._habits = habits

    def fill(self, count: int) -> None:
        """Make the first invoices, dated over the whole span; some have the same stamp as the one before."""
        begin, span = self._last - self._habits.span, self._habits.span
        stamp = begin
        for index in range(count):
            if self._chance.random() > 0.1:
                stamp = _whole(begin + span * index / count)
            self._add(self._partitions[self._chance.random() < 0.4 and len(self._partitions) > 1], stamp, stamp)

    def rows(self, partition: str, since: datetime | None = None, until: datetime | None = None) -> list[Invoice]:
        """Return the invoices of a list, in its order."""
        chosen = [
            invoice
            for invoice in self.held.values()
            if partition == invoice.partition
            and (since is None or invoice.stamp >= since)
            and (until is None or invoice.stamp < until)
        ]
        return sorted(chosen, key=lambda invoice: (invoice.rank, invoice.number))

    def held_since(self, moment: int) -> set[str]:
        """Return the numbers of the invoices that the vendor has held since a moment."""
        return {invoice.number for invoice in self.held.values() if invoice.born <= moment}

    def change(self, event: Event, partition: str) -> None:
        """Let one thing happen to a list."""
        rows = self.rows(partition)
        recent = [row for row in rows if row.stamp > self._last - self._habits.recent]
        chosen = rows if event.what in ("delete", "swap") or self._habits.stamped else recent
        if event.what == "insert" or not chosen:
            stamp = (
                self._now()
                if self._habits.stamped
                else _whole(self._now() - event.part * self._habits.recent / 2 - timedelta(minutes=1))
            )
            self._add(partition, stamp, stamp - event.part * self._habits.span)
            return
        row = chosen[int(event.part * len(chosen))]
        moves = self._habits.stamped or (event.what == "redate" and not self._habits.fixed)
        stamp = self._now() if moves else row.stamp
        if event.what == "delete":
            del self.held[row.number]
        elif event.what == "modify":
            self.held[row.number] = replace(row, amount=self._amount(), stamp=stamp)
        elif event.what == "redate":
            self.held[row.number] = replace(row, stamp=stamp, rank=stamp.timestamp())
        elif event.what == "swap":
            other = chosen[int(event.part * 7919 % 1 * len(chosen))]
            self.held[row.number] = replace(row, rank=other.rank)
            self.held[other.number] = replace(other, rank=row.rank)

    def _add(self, partition: str, stamp: datetime, place: datetime) -> None:
        number, lines = self._spare.pop(), self._chance.randrange(1, 4)
        rank = place.timestamp()
        self.held[number] = Invoice(number, partition, self._amount(), stamp, rank, self.moment, lines)

    def _now(self) -> datetime:
        self._last = max(_whole(datetime.now(UTC)), self._last + timedelta(milliseconds=1))
        return self._last

    def _amount(self) -> Decimal:
        whole = self._chance.choice((10**4, 10**6, 10**15))
        return Decimal(self._chance.randrange(-whole // 10, whole)).scaleb(-2)


def _whole(moment: datetime) -> datetime:
    """Cut a moment to milliseconds, as the vendors' stamps may have them."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
