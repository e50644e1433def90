"""How much of a vendor's latency concurrency hides: 500 details at 20 ms each, 10 at a time.

The numbers are configured, so there is one request a document and one for the token; the ideal is
500 times 20 ms / 10 = 1 second. ``stream`` is the time of the stream itself, ``process`` includes start-up.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

from benchmarks.measure import Figure, Vendor, command, sandbox

DETAILS = 500
LATENCY_MS = 20
CONCURRENCY = 10
IDEAL = DETAILS * LATENCY_MS / 1000 / CONCURRENCY


def figures() -> Iterator[Figure]:
    """Measure with concurrency 10, and one by one for comparison."""
    with sandbox(invoices=2 * DETAILS, latency_ms=LATENCY_MS) as vendor:
        customer = vendor.settings["customer_numbers"][0]
        asked: dict[str, Any] = {"customer_numbers": [customer]}
        asked["invoice_numbers"] = _numbers(vendor, customer)[:DETAILS]
        for concurrency, ideal in ((CONCURRENCY, IDEAL), (1, IDEAL * CONCURRENCY)):
            report = vendor.folder / "report.json"
            usage = vendor.tap("invoice_details", report, **asked, concurrency=concurrency)
            seconds = json.loads(report.read_text(encoding="utf-8"))["streams"]["invoice_details"]["seconds"]
            name = f"{DETAILS} details at {LATENCY_MS} ms, concurrency {concurrency}"
            yield Figure(name, seconds, "s stream", f"ideal {ideal:.1f} s; {usage.wall:.2f} s the whole process")


def _numbers(vendor: Vendor, customer: str) -> list[str]:
    """Return the numbers of a customer's invoices, as the list has them."""
    config = vendor.folder / "list.json"
    config.write_text(json.dumps({**vendor.settings, "page_size": 1000}), encoding="utf-8")
    arguments = [command("tap-scansource"), "--config", str(config), "--catalog", str(vendor.catalog("invoices"))]
    output = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
    messages = [json.loads(line) for line in output.splitlines()]
    records = [message["record"] for message in messages if message["type"] == "RECORD"]
    return [record["InvoiceNumber"] for record in records if record["CustomerNumber"] == customer]
