"""Lists, read by real taps over a socket, of vendors that leave rows out, miscount them, or give two rows one key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import make_catalog
from vendortap.errors import BodyError
from vendortap.operate.run import Outcome

StartVendor = Callable[..., Any]
LIST = "/resellers/v6/invoices"
SUMMARY = "/scsc/invoice/v1/summary"
Document = Any
LAST = 9


def numbers(output: Any, key: str = "InvoiceNumber") -> set[str]:
    return {message["record"][key] for message in output.of("RECORD")}


def read(vendor: Any, stream: str = "invoices", state: Any = None, **changes: Any) -> Any:
    """A run that reads a list alone, and where there are customers that of the first one."""
    name = vendor.connector.name
    if name == "scansource":
        changes["customer_numbers"] = vendor.config()["customer_numbers"][:1]
    chosen = make_catalog(streams=[stream], connector=name)
    return vendor.read(state=state, catalog=chosen, requests_per_second=1000, **changes)


def page_of(vendor: Any) -> int:
    return int(vendor.wire.asked[-1].params["page"])


@pytest.mark.promise("A row that a page leaves out once is found by looking again", figure="3 runs")
def test_a_row_that_a_page_leaves_out_once_is_in_the_first_run(start: StartVendor) -> None:
    vendor = start(invoices=90)
    whole = numbers(read(vendor, page_size=20))
    assert len(whole) > 25
    left_out: list[Any] = []

    def lacking(document: Document) -> Document:
        if page_of(vendor) == 2 and not left_out:
            left_out.append(document.pop(4))
        return document

    vendor.wire.change[SUMMARY] = lacking
    state, runs = None, []
    for _ in range(3):
        output = read(vendor, state=state, page_size=20)
        runs.append(numbers(output))
        state = output.state
    assert left_out
    assert runs[0] == whole


def test_the_end_of_a_list_of_several_pages_costs_one_request(start: StartVendor) -> None:
    vendor = start(invoices=90)
    pages = -(-len(numbers(read(vendor, page_size=20))) // 20)
    asked = [asked.params["page"] for asked in vendor.wire.to(SUMMARY)]
    assert asked == [str(number + 1) for number in range(pages + 1)]


@pytest.mark.promise("A count below the rows that came does not end a list, and one above them is an error")
def test_a_count_that_the_rows_contradict_does_not_end_a_list(sandboxes: StartVendor) -> None:
    vendor = sandboxes("ingram-micro", invoices=60, rate=0)
    whole = numbers(read(vendor, page_size=25), "invoiceNumber")
    for count in (10, 0, None):
        vendor.wire.change[LIST] = lambda document, count=count: {**document, "recordsFound": count}
        assert numbers(read(vendor, page_size=25), "invoiceNumber") == whole, count


@pytest.mark.promise("A count below the rows that came does not end a list, and one above them is an error")
def test_a_count_above_the_rows_is_an_error_after_one_more_reading(sandboxes: StartVendor) -> None:
    vendor = sandboxes("ingram-micro", invoices=60, rate=0)
    vendor.wire.change[LIST] = lambda document: {**document, "recordsFound": 70}
    with pytest.raises(BodyError, match="ingram-micro, invoices: the vendor says that there are 70 rows"):
        read(vendor, page_size=25)
    assert sum(asked.params["pageNumber"] == "1" for asked in vendor.wire.to(LIST)) == 2


def test_a_list_may_grow_while_it_is_read(sandboxes: StartVendor) -> None:
    vendor = sandboxes("ingram-micro", invoices=60, rate=0)
    whole = numbers(read(vendor, page_size=25), "invoiceNumber")
    asked = len(vendor.wire.to(LIST))

    def smaller_at_first(document: Document) -> Document:
        return {**document, "recordsFound": 30} if len(vendor.wire.to(LIST)) == asked + 1 else document

    vendor.wire.change[LIST] = smaller_at_first
    assert numbers(read(vendor, page_size=25), "invoiceNumber") == whole


# --- two records with one key ------------------------------------------------------------------------


def one_customer(vendor: Any) -> dict[str, Any]:
    first = vendor.config()["customer_numbers"][:1]
    config: dict[str, Any] = vendor.config(page_size=20, customer_numbers=first)
    return config


def shared_key(vendor: Any) -> Callable[[Document], Document]:
    """What gives the first row of the second page the number of the first one of the first page."""
    first: list[str] = []

    def change(document: Document) -> Document:
        if page_of(vendor) == 1:
            first[:] = [document[0]["InvoiceNumber"]]
        if page_of(vendor) == 2:
            document[0] = {**document[0], "InvoiceNumber": first[0], "LastChanged": "2000-01-01T00:00:00"}
        return document

    return change


@pytest.mark.promise("Different records with one key are told with the key, counted, and end a run with 3")
def test_different_records_with_one_key_end_a_run_with_3(
    start: StartVendor, warehouse: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    vendor = start(invoices=90)
    vendor.wire.change[SUMMARY] = shared_key(vendor)
    outcome: Outcome = warehouse.load(one_customer(vendor))
    log = capfd.readouterr().err
    assert outcome.report["streams"]["invoices"]["conflicting"] == 1
    assert outcome.conflicting == 1
    assert outcome.exit_code == 3
    assert log.count("different records with this key") == 1
    assert "scansource, invoices: CustomerNumber " in log


def test_a_tap_alone_ends_with_0_and_a_warning(start: StartVendor, tap: Any) -> None:
    vendor = start(invoices=90)
    vendor.wire.change[SUMMARY] = shared_key(vendor)
    output = tap(one_customer(vendor), env={"LOGLEVEL": "WARNING"})
    assert output.code == 0
    assert "different records with this key" in output.stderr
