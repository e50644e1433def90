"""Invoices per CPU-second through the whole tap: from the wire to lines on standard output, start-up included.

``invoice_details`` are whole documents, one request each, as the vendor has them, so this measures the HTTP of
a request as well as the decoding of a body. ``invoices`` are rows of the list, 1,000 a request: hardly any HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.measure import Figure, sandbox

DETAILS = 5_000
ROWS = 50_000
CONCURRENCY = 8


def figures() -> Iterator[Figure]:
    """Measure both streams in both formats."""
    with sandbox(invoices=DETAILS) as vendor:
        for form in ("json", "xml"):
            usage = vendor.tap("invoice_details", format=form, concurrency=CONCURRENCY)
            note = f"{DETAILS:,} details at concurrency {CONCURRENCY}: {usage.cpu:.1f} CPU-s, {usage.wall:.1f} s wall"
            yield Figure(f"invoice_details, {form.upper()}", DETAILS / usage.cpu, "invoices / CPU-s", note)
    with sandbox(invoices=ROWS) as vendor:
        for form in ("json", "xml"):
            usage = vendor.tap("invoices", format=form, page_size=1000)
            note = f"{ROWS:,} rows, 1,000 a page: {usage.cpu:.1f} CPU-s, {usage.wall:.1f} s wall"
            yield Figure(f"invoices (list), {form.upper()}", ROWS / usage.cpu, "rows / CPU-s", note)
