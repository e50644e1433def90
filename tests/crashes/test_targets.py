"""Targets that die in the middle of a run: it is never a success, and the next run has everything."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from vendortap.operate import run

if TYPE_CHECKING:
    from tests.conftest import Files, StartVendor, Warehouse

DIES = """
import os, subprocess, sys, time
way, lines, command = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
real = subprocess.Popen(command, stdin=subprocess.PIPE)
for _ in range(lines):
    real.stdin.write(sys.stdin.buffer.readline())
real.stdin.close()
real.wait()
if way == "closes its input":
    os.close(0)
    time.sleep(0.5)
sys.exit(1 if way == "fails" else 0)
"""
"""A target that loads so many lines, hands back the state they lead to, and then dies in some way."""

PROBLEMS = {
    "fails": "the target failed with exit code 1; its message is above",
    "closes its input": "the target ended before it had read everything",
}


@pytest.mark.promise("A target that dies fails the run, and the next run completes its tables", figure="2 ways to die")
def test_a_target_that_dies_fails_the_run_and_the_next_one_goes_on(
    start: StartVendor, warehouse: Warehouse, file: Files
) -> None:
    """In one run after the other, each further on; a run into a whole one then completes the tables."""
    vendor = start(invoices=50, latency_ms=10)
    config = file(vendor.config(concurrency=2))
    for number, (way, problem) in enumerate(PROBLEMS.items()):
        target = [sys.executable, "-c", DIES, way, str(8 + 6 * number), *warehouse.target()]
        job = run.Job("scansource", [config], target, warehouse.state, environment={"LOGLEVEL": "ERROR"})
        outcome = run.run(job)
        assert (outcome.problem, outcome.exit_code) == (problem, 1)
        ((count,),) = warehouse.query("SELECT count(*) FROM scansource.invoice_details")
        assert 0 < count < 50
    assert warehouse.load(vendor.config()).exit_code == 0
    query = "SELECT Currency, count(*), sum(Total) FROM scansource.invoice_details GROUP BY ALL"
    assert {currency: (n, total) for currency, n, total in warehouse.query(query)} == vendor.state.totals()
    assert warehouse.query("SELECT count(DISTINCT InvoiceNumber) FROM scansource.invoices") == [(50,)]
