"""The parts of the benchmarks; each measures one thing, and writes one file of results."""

from __future__ import annotations

PARTS = ("json", "xml", "details", "limit", "memory", "startup", "load", "processes", "profile")
"""In the order in which they are run, and in which the report has them."""

SIZES = {"json": 100_000, "xml": 20_000, "details": 2000, "limit": 400, "memory": 1_000_000, "load": 100_000}
"""Invoices of a full run; ``processes`` and ``profile`` take those of the lists."""
RUNS = 5
