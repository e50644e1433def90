"""Reading in a program that changes threads, and from a vendor that fails half-way."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.conftest import StartVendor
from vendortap import StreamBatch, StreamRecord, StreamState, read, read_arrow
from vendortap.errors import MissingError


@pytest.mark.parametrize("name", ["scansource", "midnight"])
def test_a_reading_goes_on_in_another_thread(name: str, sandboxes: StartVendor) -> None:
    """Documents that were listed, and keys that tell records apart, wait in a database between two records."""
    config = sandboxes(name, invoices=24).config()
    whole = sum(isinstance(item, StreamRecord) for item in read(name, config))

    async def count() -> int:
        reading, records = read(name, config), 0
        while (item := await asyncio.to_thread(next, reading, None)) is not None:
            records += isinstance(item, StreamRecord)
        return records

    assert asyncio.run(count()) == whole
    reading, records = read(name, config), 0
    item: Any = ...
    while item is not None:
        with ThreadPoolExecutor(1) as other:  # a new thread for each item
            item = other.submit(next, reading, None).result()
        records += isinstance(item, StreamRecord)
    assert records == whole


def test_batches_hold_what_came_before_the_stream_failed(sandboxes: StartVendor) -> None:
    config = sandboxes("scansource", invoices=24).config()
    items = read("scansource", config, streams=["invoices"])
    listed = [item.record["InvoiceNumber"] for item in items if isinstance(item, StreamRecord)]
    asked = [*listed[:15], "0000000", *listed[15:]]
    options = {"invoice_numbers": asked, "on_missing": "fail", "concurrency": 1}
    batches = read_arrow("scansource", {**config, **options}, streams=["invoice_details"])
    first = next(batches)
    assert isinstance(first, StreamBatch)
    assert first.batch["InvoiceNumber"].to_pylist() == listed
    state = next(batches)
    assert isinstance(state, StreamState), "with what is open"
    with pytest.raises(MissingError, match="0000000"):
        next(batches)


@pytest.mark.parametrize("how", [read, read_arrow])
def test_a_stream_that_failed_in_part_does_not_keep_the_others_out(sandboxes: StartVendor, how: Any) -> None:
    config = sandboxes("scansource", invoices=24).config()
    config["customer_numbers"] = ["0000000000", *config["customer_numbers"]]
    seen: list[str] = []

    def read_all() -> None:
        for item in how("scansource", config, streams=["invoices", "invoice_details"]):
            seen.extend([item.stream] * (item.batch.num_rows if isinstance(item, StreamBatch) else 1))

    with pytest.raises(MissingError, match=r"2 streams have failures\. .*0000000000"):
        read_all()
    assert min(seen.count("invoices"), seen.count("invoice_details")) >= 24
