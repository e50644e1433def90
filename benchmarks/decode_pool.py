"""What a pool of processes would make of decoding, in the project's environment: ``decode_pool.py URL FORM WAY SIZE``.

All pages are fetched first; then each is decoded, checked and written as lines, ``here``; or in a pool of SIZE
processes, which gets the body and hands ``lines`` back, or ``records``, pickled, which are written here. Prints the
seconds that this took, and the CPU time of all processes, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any
from urllib.request import Request, urlopen

import msgspec
from tap_bench import BENCH

from vendortap.declare.model import RecordSelector, Reply
from vendortap.decode.reader import Reader
from vendortap.decode.values import dates
from vendortap.plugins.validation import shapes

_ENCODER = msgspec.json.Encoder(decimal_format="number")


@cache
def reader() -> Reader:
    """Return what reads the list, once in each process."""
    stream = BENCH.stream("invoices")
    assert isinstance(stream.record_selector, RecordSelector)
    return Reader(shapes(BENCH)[stream.name].row, stream.record_selector, stream.keys, dates("UTC", None))


def records(form: str, body: bytes) -> list[Any]:
    """Decode a page into records that can be pickled."""
    return list(reader().read(_reply(form, body)).records)


def lines(form: str, body: bytes) -> bytes:
    """Decode a page and write its records, by the quick way where the format has one."""
    return written(reader().read(_reply(form, body)).records)


def written(rows: Iterable[Any]) -> bytes:
    """Write records as lines."""
    return b"".join([_ENCODER.encode(row) + b"\n" for row in rows])


def _reply(form: str, body: bytes) -> Reply:
    return Reply(200, {"content-type": f"application/{form}"}, body, datetime.now(UTC))


def fetched(url: str, form: str) -> Iterator[bytes]:
    """Yield the bodies of all pages."""
    count = int(url.rpartition("/")[2])
    for page in range(1, -(-count // 200) + 1):
        asked = Request(f"{url}/invoices?page={page}&size=200", headers={"Accept": f"application/{form}"})  # noqa: S310 - the benchmarks' own server
        with urlopen(asked) as reply:  # noqa: S310 - likewise
            yield reply.read()


def in_pool(pool: Executor, way: str, form: str, bodies: list[bytes]) -> Iterator[bytes]:
    """Yield the lines of all pages, decoded in the pool."""
    if way == "lines":
        yield from pool.map(partial(lines, form), bodies)
    else:
        yield from map(written, pool.map(partial(records, form), bodies))


def main() -> None:
    """Measure one way."""
    url, form, way, size_of_pool = sys.argv[1:]
    bodies = list(fetched(url, form))
    used, began = _cpu(), time.perf_counter()
    if way == "here":
        size = sum(len(lines(form, body)) for body in bodies)
    else:
        with ProcessPoolExecutor(int(size_of_pool)) as pool:
            size = sum(map(len, in_pool(pool, way, form, bodies)))
    print(json.dumps({"wall": time.perf_counter() - began, "user": _cpu() - used, "size": size}))


def _cpu() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])


if __name__ == "__main__":
    main()
