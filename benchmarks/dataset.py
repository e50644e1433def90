"""The invoices as they are served, written once into files: rendering 100,000 takes longer than fetching them.

A file a format holds the documents one behind the other, another one where each begins; the sums beside them are
what runs are held against. Beyond ``capacity`` documents repeat with other numbers, so that a million invoices
need no more room than ``capacity`` of them.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import re
from array import array
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Literal

from benchmarks import invoices
from benchmarks.invoices import Shape

Form = Literal["json", "xml"]
FORMS: tuple[Form, ...] = ("json", "xml")

_CHUNK = 1000
_SEPARATORS: dict[Form, bytes] = {"json": b",", "xml": b""}
_NUMBER = re.compile(rb"INV[0-9]{8}")


@dataclass(frozen=True, slots=True)
class Truth:
    """What ``invoices`` invoices come to: the sums of their totals, and of their lines' prices."""

    invoices: int
    total: Decimal
    prices: Decimal


class Dataset:
    """The documents of one format, read from its files.

    Raises:
        FileNotFoundError: they have not been written; ``build`` does.
    """

    def __init__(self, folder: Path, form: Form) -> None:
        self.form = form
        self._starts = _read(_file(folder, form, "starts"))
        self._cents = {part: _read(_file(folder, form, part)) for part in ("total", "prices")}
        with _file(folder, form, "documents").open("rb") as file:
            self._documents = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._separator = len(_SEPARATORS[form])
        self.capacity = len(self._starts) - 1

    def documents(self, first: int, count: int) -> bytes:
        """Return documents one behind the other, separated as in a list of the format."""
        start, rest = first % self.capacity, count
        parts: list[bytes] = []
        while rest:
            taken = min(rest, self.capacity - start)
            parts.append(self._documents[self._starts[start] : self._starts[start + taken] - self._separator])
            start, rest = 0, rest - taken
        found = _SEPARATORS[self.form].join(parts)
        return found if first + count <= self.capacity else _renumber(found, first)

    def truth(self, count: int) -> Truth:
        """Return what the first ``count`` invoices come to."""
        times, rest = divmod(count, self.capacity)
        sums = (times * sum(cents) + sum(cents[:rest]) for cents in self._cents.values())
        total, prices = (Decimal(cents).scaleb(-2) for cents in sums)
        return Truth(count, total, prices)


def _renumber(documents: bytes, first: int) -> bytes:
    """Number documents anew, from ``first`` on. Nothing else in a document looks like an invoice's number."""
    numbers = iter(range(first, first + len(documents)))
    return _NUMBER.sub(lambda _: invoices.number(next(numbers)).encode(), documents)


def folder(work: Path, shape: Shape = "schema") -> Path:
    """Return where the files of a shape belong; another generator has another folder."""
    source = Path(invoices.__file__).read_bytes() + Path(__file__).read_bytes()
    return work / "data" / hashlib.sha256(source).hexdigest()[:12] / shape


def build(folder: Path, form: Form, count: int, shape: Shape = "schema") -> None:
    """Write the files of a format, unless they are there and hold as many invoices."""
    starts = _file(folder, form, "starts")
    if starts.exists() and starts.stat().st_size > 8 * count:
        return
    folder.mkdir(parents=True, exist_ok=True)
    places, sums = array("q", [0]), {"total": array("q"), "prices": array("q")}
    with _file(folder, form, "documents").open("wb") as file:
        for document, total, prices in _rendered(form, count, shape):
            places.append(places[-1] + file.write(document))
            sums["total"].append(total)
            sums["prices"].append(prices)
    for part, cents in sums.items():
        _file(folder, form, part).write_bytes(cents.tobytes())
    starts.write_bytes(places.tobytes())  # last: it says that the others are complete


def _rendered(form: Form, count: int, shape: Shape) -> Iterator[tuple[bytes, int, int]]:
    """Yield each document with its sums in cents; many are made by as many processes as there are cores."""
    if count <= _CHUNK:
        yield from _render(form, shape, range(count))
        return
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        parts = [range(first, min(first + _CHUNK, count)) for first in range(0, count, _CHUNK)]
        for chunk in pool.map(partial(_render, form, shape), parts):
            yield from chunk


def _render(form: Form, shape: Shape, part: range) -> list[tuple[bytes, int, int]]:
    write = invoices.as_json if form == "json" else invoices.as_xml
    rendered: list[tuple[bytes, int, int]] = []
    for index in part:
        document = invoices.invoice(index)
        prices = sum(line["Price"] for line in document["InvoiceLines"])
        rendered.append(
            (
                write(invoices.shaped(document, shape, index)) + _SEPARATORS[form],
                _cents(document["Total"]),
                _cents(prices),
            )
        )
    return rendered


def _cents(amount: Decimal) -> int:
    return int(amount.scaleb(2))


def _file(folder: Path, form: Form, part: str) -> Path:
    return folder / f"{form}.{part}"


def _read(path: Path) -> array[int]:
    numbers = array("q")
    numbers.frombytes(path.read_bytes())
    return numbers
