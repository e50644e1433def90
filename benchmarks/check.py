"""Whether a contender's messages hold every invoice once, with every digit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import msgspec

from benchmarks.dataset import Truth


class _Line(msgspec.Struct):
    Price: Decimal


class _Invoice(msgspec.Struct):
    InvoiceNumber: str
    Total: Decimal
    InvoiceLines: list[_Line]


class _Singer(msgspec.Struct):
    type: str
    record: msgspec.Raw = msgspec.Raw()


class _Airbyte(msgspec.Struct):
    data: msgspec.Raw


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found: ``complete`` is every invoice once, ``exact`` every amount with all its digits."""

    complete: bool
    exact: bool


def check(messages: Path, truth: Truth) -> Checked:
    """Hold the RECORD messages in a file against the truth, by number, totals and prices of lines."""
    with messages.open("rb") as lines:
        return compare(_invoices(lines), truth)


def compare(found: Iterable[_Invoice | None], truth: Truth) -> Checked:
    """Hold invoices against the truth; None stands for one that cannot be read as one."""
    numbers: set[str] = set()
    count, total, prices = 0, Decimal(0), Decimal(0)
    for invoice in found:
        count += 1
        if invoice is not None:
            numbers.add(invoice.InvoiceNumber)
            total += invoice.Total
            prices += sum((line.Price for line in invoice.InvoiceLines), Decimal(0))
    complete = count == len(numbers) == truth.invoices
    return Checked(complete, exact=complete and (total, prices) == (truth.total, truth.prices))


def _invoices(lines: Iterable[bytes]) -> Iterable[_Invoice | None]:
    message, wrapped = msgspec.json.Decoder(_Singer), msgspec.json.Decoder(_Airbyte)
    invoice = msgspec.json.Decoder(_Invoice)
    for line in lines:
        if b'"RECORD"' not in line:
            continue
        record = bytes(message.decode(line).record)
        try:
            yield invoice.decode(wrapped.decode(record).data if record.startswith(b'{"stream"') else record)
        except msgspec.ValidationError:  # another shape, as generic XML readers give
            yield None
