"""Peak memory of the tap must not depend on how much there is: 2,000 against 50,000 invoices, both streams."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.measure import Figure, sandbox

FEW = 2_000
MANY = 50_000
AT_MOST_PER_CENT = 10


def figures() -> Iterator[Figure]:
    """Measure both, and hold the growth against its bound."""
    peaks: list[float] = []
    for invoices in (FEW, MANY):
        with sandbox(invoices=invoices) as vendor:
            usage = vendor.tap()
        peaks.append(usage.peak_mib)
        note = f"list and details; {usage.cpu:.1f} CPU-s, {usage.wall:.1f} s wall"
        yield Figure(f"peak memory at {invoices:,} invoices", usage.peak_mib, "MiB", note)
    growth = (peaks[1] / peaks[0] - 1) * 100
    note = f"at most {AT_MOST_PER_CENT} %"
    yield Figure("growth of peak memory", growth, "%", note, passed=growth <= AT_MOST_PER_CENT)
