"""Lists that fail in the middle while others are still to be read."""

from __future__ import annotations

import threading

import pytest

from tests.conftest import StartVendor, make_catalog
from tests.decode.test_bad_records import BAD, LIST, TOTAL, Spoiled, spoil, stopped
from vendortap.errors import RecordError


@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_list_that_fails_in_the_middle_does_not_keep_the_next_one_waiting(
    start: StartVendor, concurrency: int
) -> None:
    """Its thread has the next page already, and waits for a reader that has given up."""
    vendor = start(invoices=40)
    first, second = vendor.config()["customer_numbers"]
    wire: Spoiled = spoil(vendor, LIST, TOTAL["json"], BAD["json"], at=0)
    spoilt = wire.spoil
    wire.spoil = lambda body: spoilt(body) if vendor.wire.asked[-1].params["customerNumber"] == first else body
    options = {"page_size": 5, "concurrency": concurrency, "catalog": make_catalog(streams=["invoice_details"])}
    late = threading.Timer(60, lambda: pytest.exit("the run hangs"))
    late.start()
    try:
        output, error = stopped(vendor, RecordError, **options)
    finally:
        late.cancel()
    assert first in error
    assert {row["CustomerNumber"] for row in output.records("invoice_details")} == {second}
