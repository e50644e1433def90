"""ScanSource into DuckDB: tap and target as real processes, held against what the sandbox itself holds."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from vendortap.duckdb import states

if TYPE_CHECKING:
    from tests.conftest import Files, StartVendor, Vendor, Warehouse


def totals(warehouse: Warehouse, table: str = "invoice_details") -> dict[str, tuple[int, Decimal]]:
    rows = warehouse.query(f"SELECT Currency, count(*), sum(Total) FROM scansource.{table} GROUP BY ALL")
    return {currency: (count, amount) for currency, count, amount in rows}


@pytest.mark.promise("After a run the tables hold what the vendor holds, to the cent")
def test_tables_hold_what_the_sandbox_holds_to_the_cent_and_a_second_run_fetches_nothing(
    start: StartVendor, warehouse: Warehouse
) -> None:
    vendor = start(invoices=400)
    outcome = warehouse.load(vendor.config())
    assert outcome.exit_code == 0
    assert totals(warehouse) == vendor.state.totals()
    assert warehouse.query("SELECT count(*), sum(Total) FROM scansource.invoices") == [
        (400, sum(amount for _, amount in vendor.state.totals().values()))
    ]
    assert warehouse.columns("invoice_details")["Total"].startswith("DECIMAL")
    lines = sum(len(invoice["InvoiceLines"]) for invoice in vendor.state.invoices())
    assert warehouse.query("SELECT sum(len(InvoiceLines)) FROM scansource.invoice_details") == [(lines,)]

    asked = vendor.state.requests["detail"]
    again = warehouse.load(vendor.config())
    assert again.exit_code == 0
    assert {stream["records"] for stream in again.report["streams"].values()} == {0}
    assert vendor.state.requests["detail"] == asked == 400

    ((top,),) = warehouse.query("SELECT epoch(max(LastChanged)) FROM scansource.invoices")
    vendor.state.touch("40000003", datetime.fromtimestamp(top + 3600, tz=UTC))
    vendor.state.add(5)
    assert warehouse.load(vendor.config()).exit_code == 0
    assert vendor.state.requests["detail"] == asked + 6
    assert totals(warehouse) == vendor.state.totals()
    touched = next(i for i in vendor.state.invoices() if i["InvoiceNumber"] == "40000003")
    assert warehouse.query(
        "SELECT TrackingNumbers FROM scansource.invoice_details WHERE InvoiceNumber = '40000003'"
    ) == [(touched["TrackingNumbers"],)]


def test_json_and_xml_give_identical_tables_but_for_the_id_of_a_line(
    vendor: Vendor, warehouses: Callable[[str], Warehouse]
) -> None:
    tables = []
    for form in ("json", "xml"):
        warehouse = warehouses(form)
        assert warehouse.load(vendor.config(format=form)).exit_code == 0
        tables.append((warehouse.table("invoices"), [without_ids(row) for row in warehouse.table("invoice_details")]))
    assert tables[0] == tables[1]
    assert len(tables[0][1]) == 60


def without_ids(row: tuple[Any, ...]) -> list[Any]:
    """A row without InvoiceLines[].Id; XML does not tell no list from an empty one."""

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(item) for item in value] or None
        if isinstance(value, dict):
            return {name: plain(member) for name, member in value.items() if name != "Id"}
        return value

    return [plain(value) for value in row]


def test_amounts_as_strings_give_the_same_tables(vendor: Vendor, warehouses: Callable[[str], Warehouse]) -> None:
    numbers, strings = warehouses("numbers"), warehouses("strings")
    assert numbers.load(vendor.config()).exit_code == 0
    assert strings.load(vendor.config(use_singer_decimal=True)).exit_code == 0
    assert totals(numbers) == totals(strings) == vendor.state.totals()


def test_batches_give_the_same_tables(vendor: Vendor, warehouses: Callable[[str], Warehouse], tmp_path: Path) -> None:
    messages, batches = warehouses("messages"), warehouses("batches")
    encoding = {"format": "jsonl", "compression": "gzip"}
    config = {"encoding": encoding, "storage": {"root": (tmp_path / "files").as_uri()}, "batch_size": 17}
    assert messages.load(vendor.config()).exit_code == 0
    assert batches.load(vendor.config(batch_config=config)).exit_code == 0
    for table in ("invoices", "invoice_details"):
        assert messages.table(table) == batches.table(table)


def test_a_run_that_skipped_something_ends_with_3(vendor: Vendor, warehouse: Warehouse) -> None:
    outcome = warehouse.load(vendor.config(invoice_numbers=["40000001", "4711"]))
    assert (outcome.tap, outcome.target, outcome.exit_code, outcome.missing) == (0, 0, 3, 1)
    assert warehouse.query("SELECT InvoiceNumber FROM scansource.invoice_details") == [("40000001",)]


# --- killed half-way ---------------------------------------------------------------------------------


class Pipe:
    """A tap piped into a target, both to be killed; keeps the last state that the target handed back.

    Where ``in_database`` says so, the target keeps it in the database instead, and it is read from there.
    """

    def __init__(
        self, warehouse: Warehouse, file: Files, config: dict[str, Any], state: Any, *, in_database: bool = False
    ) -> None:
        self.last = state
        self.database = warehouse.path if in_database else None
        more = {"state_of": "scansource"} if in_database else {}
        self.target = subprocess.Popen(
            warehouse.target(**more), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        command = [str(Path(sys.executable).with_name("tap-scansource")), "--config", file(config)]
        if state is not None:
            command += ["--state", file(state)]
        self.tap = subprocess.Popen(command, stdout=self.target.stdin, stderr=subprocess.DEVNULL)
        assert self.target.stdin is not None
        self.target.stdin.close()
        self.target.stdin = None

    def wait(self) -> tuple[int, int]:
        """Both to their end; returns their exit codes."""
        output, _ = self.target.communicate(timeout=60)
        for line in output.splitlines(keepends=True):
            if line.endswith(b"\n"):
                self.last = json.loads(line)
        if self.database and (newest := states.look(self.database, "scansource", "scansource").newest):
            self.last = json.loads(newest.state)
        return self.tap.wait(60), self.target.returncode


@pytest.mark.promise("A run that is killed again and again ends with the same tables")
@pytest.mark.parametrize(("victim", "latency_ms"), [("tap", 40), ("target", 10)])
@pytest.mark.parametrize("in_database", [False, True], ids=["state handed back", "state in the database"])
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_tables(
    start: StartVendor,
    warehouses: Callable[[str], Warehouse],
    file: Files,
    victim: str,
    latency_ms: int,
    in_database: bool,
) -> None:
    vendor = start(invoices=240, latency_ms=latency_ms)
    config = vendor.config(concurrency=3, page_size=100)
    whole, broken = warehouses("whole"), warehouses("broken")
    assert whole.load({**config, "concurrency": 16}).exit_code == 0

    random, state = Random(11), None
    for _ in range(2):
        moment = vendor.state.requests["detail"] + random.randrange(90, 120)
        pipe = Pipe(broken, file, config, state, in_database=in_database)
        while vendor.state.requests["detail"] < moment and pipe.tap.poll() is None:
            time.sleep(0.002)
        (pipe.tap if victim == "tap" else pipe.target).kill()
        tap, target = pipe.wait()
        assert tap != 0
        assert (target == 0) == (victim == "tap")
        state = pipe.last
    before = vendor.state.requests["detail"]
    assert Pipe(broken, file, config, state, in_database=in_database).wait() == (0, 0)
    for table in ("invoices", "invoice_details"):
        assert broken.table(table) == whole.table(table)
    if victim == "tap":  # the target committed what it had got, and the tap went on from there
        assert vendor.state.requests["detail"] - before < 200
