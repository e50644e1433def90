"""The VisibleSCM connector against its sandbox: what is asked, what comes out, what is said when it goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tap_visiblescm import sandbox
from tests import golden
from tests.conftest import make_catalog
from vendortap.decode.values import Dates
from vendortap.errors import BodyError, ConfigError, CredentialsError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import KillTap, Message, Output, StartVendor, Vendor, Warehouse

GOLDEN = Path(__file__).parents[2] / "fixtures" / "visiblescm" / "invoice.record.json"
STREAMS = ("invoices", "invoice_details")
FORMATS = ("json", "xml")
DATES = ("StartDate", "EndDate", "DueDate", "IssuedDate")
INVOICES = 120


@pytest.fixture(scope="module")
def vendor(sandboxes: StartVendor) -> Vendor:
    """A sandbox that no test changes."""
    return sandboxes("visiblescm", invoices=INVOICES)


@pytest.fixture(scope="module")
def whole(vendor: Vendor) -> Output:
    """A full run, in JSON."""
    return vendor.read()


def truth(vendor: Vendor) -> dict[str, Any]:
    """What the sandbox holds, by number, its dates read."""
    invoices = {}
    for invoice in vendor.state.invoices():
        dates = {name: Dates().parse(invoice[name]) if invoice[name] else None for name in DATES}
        invoices[invoice["InvoiceRefNumber"]] = {**invoice, **dates}
    return invoices


def numbers(records: list[Message]) -> set[str]:
    return {record["InvoiceRefNumber"] for record in records}


def total(records: list[Message]) -> Decimal:
    return sum((record["TotalInvoicedAmount"] for record in records), Decimal(0))


# --- discovery, and what comes out -------------------------------------------------------------------


def test_both_streams_are_complete_and_exact(vendor: Vendor, whole: Output) -> None:
    invoices = truth(vendor)
    assert len(whole.records("invoices")) == len(whole.records("invoice_details")) == len(invoices) == INVOICES
    for row in map(golden.from_message, whole.records("invoices")):
        assert row == {name: invoices[row["InvoiceRefNumber"]][name] for name in row}
    for record in map(golden.from_message, whole.records("invoice_details")):
        invoice = invoices[record["InvoiceRefNumber"]]
        assert record.pop("RequestedInvoiceRefNumber") == invoice["InvoiceRefNumber"]
        assert record.pop("ListedIssuedDate") == invoice["IssuedDate"]
        assert record == invoice
    assert {"": (INVOICES, total(whole.records("invoice_details")))} == vendor.state.totals()


@pytest.mark.parametrize("form", FORMATS)
def test_the_documented_sample_comes_through(vendor: Vendor, form: str) -> None:
    (record,) = vendor.read(invoice_numbers=["sample string 3"], format=form).records("invoice_details")
    assert golden.from_message(record) == {
        **golden.load(GOLDEN),
        "RequestedInvoiceRefNumber": "sample string 3",
        "ListedIssuedDate": None,
    }


def test_details_of_just_the_invoices_that_are_named(vendor: Vendor, tmp_path: Path) -> None:
    wanted = ["TM700007", "TM700002"]
    path = tmp_path / "numbers.csv"
    path.write_text("number,who\n" + "".join(f"{number},x\n" for number in wanted), encoding="utf-8")
    for settings in (
        {"invoice_numbers": wanted},
        {"invoice_numbers_file": str(path), "invoice_numbers_column": "number"},
    ):
        output = vendor.read(**settings)
        assert [record["InvoiceRefNumber"] for record in output.records("invoice_details")] == wanted
        assert len(output.records("invoices")) == INVOICES


# --- pages and filters -------------------------------------------------------------------------------


@pytest.mark.parametrize("first_page", [0, 1])
@pytest.mark.parametrize("form", FORMATS)
def test_pages_are_read_to_the_last_from_either_first_number_whatever_their_size(
    sandboxes: StartVendor, first_page: int, form: str
) -> None:
    vendor = sandboxes("visiblescm", invoices=50, first_page=first_page, max_page_size=7)
    only = make_catalog(connector="visiblescm", streams=["invoices"])
    output = vendor.read(first_page=first_page, page_size=20, format=form, catalog=only)
    assert [record["InvoiceRefNumber"] for record in output.records("invoices")] == list(truth(vendor))
    assert vendor.state.requests == {"list": 8}, "50 rows, 7 a page"


def test_a_first_page_of_another_number_is_an_error_and_not_a_hundred_invoices_less(sandboxes: StartVendor) -> None:
    vendor = sandboxes("visiblescm", invoices=50, first_page=0, max_page_size=20)
    with pytest.raises(BodyError, match=r"there are 50 rows, but its pages hold 30; .*'first_page'"):
        vendor.read(first_page=1)


@pytest.mark.parametrize("form", FORMATS)
def test_a_list_of_none_is_no_error(sandboxes: StartVendor, form: str) -> None:
    assert sandboxes("visiblescm", invoices=0).read(format=form).of("RECORD") == []


def test_a_start_date_and_a_status_filter_the_list_and_with_it_the_details(vendor: Vendor) -> None:
    invoices = truth(vendor).values()
    start = datetime(2022, 1, 4, tzinfo=UTC)
    issued = {i["InvoiceRefNumber"] for i in invoices if i["IssuedDate"] and i["IssuedDate"] >= start}
    past_due = {i["InvoiceRefNumber"] for i in invoices if i["InvoiceFriendlyStatus"] == "Past Due"}
    cases: list[tuple[dict[str, str], set[str]]] = [
        ({"start_date": "2022-01-04"}, issued),
        ({"invoice_status": "Past Due"}, past_due),
        ({"start_date": "2022-01-04", "invoice_status": "Past Due"}, issued & past_due),
    ]
    for settings, wanted in cases:
        output = vendor.read(**settings)
        assert 0 < len(wanted) < INVOICES
        assert numbers(output.records("invoices")) == numbers(output.records("invoice_details")) == wanted


# --- again, and after something has changed ----------------------------------------------------------


def drafts(vendor: Vendor) -> set[str]:
    return {number for number, invoice in truth(vendor).items() if invoice["IssuedDate"] is None}


@pytest.mark.parametrize("form", FORMATS)
def test_the_next_run_fetches_what_was_issued_since_and_what_is_not_issued_yet(
    sandboxes: StartVendor, form: str
) -> None:
    vendor = sandboxes("visiblescm", invoices=60)
    settings: dict[str, Any] = {"lookback_days": 0, "format": form}
    state = vendor.read(**settings).state
    waiting = drafts(vendor)
    assert len(waiting) == 5
    for _ in range(2):
        output = vendor.read(state=state, **settings)
        assert numbers(output.records("invoice_details")) == waiting
        assert len(output.records("invoices")) == 60, "the list is read as a whole each time"
        assert output.state["bookmarks"] == state["bookmarks"]

    issued, known = waiting.pop(), set(truth(vendor))
    at = datetime(2022, 2, 1, tzinfo=UTC)
    vendor.state.touch(issued, at)
    vendor.state.add(3)
    output = vendor.read(state=state, **settings)
    added = set(truth(vendor)) - known
    assert numbers(output.records("invoice_details")) == waiting | {issued} | added
    assert len(added) == 3
    (record,) = [r for r in output.records("invoice_details") if r["InvoiceRefNumber"] == issued]
    assert golden.from_message([record["IssuedDate"], record["ListedIssuedDate"]]) == [at, at]
    assert numbers(vendor.read(state=output.state, **settings).records("invoice_details")) == waiting


def test_each_run_looks_back_as_many_days_as_are_set(vendor: Vendor, whole: Output) -> None:
    latest = datetime.fromisoformat(whole.state["bookmarks"]["invoice_details"]["replication_key_value"])
    issued = {number: i["IssuedDate"] for number, i in truth(vendor).items() if i["IssuedDate"]}
    assert latest == max(issued.values())
    for days in (1, 90):
        recent = {number for number, at in issued.items() if at >= latest - timedelta(days)}
        output = vendor.read(state=whole.state, lookback_days=days)
        assert numbers(output.records("invoice_details")) == recent | drafts(vendor)
        assert output.state["bookmarks"] == whole.state["bookmarks"]
    assert len(recent | drafts(vendor)) == INVOICES


@pytest.mark.parametrize("form", FORMATS)
def test_a_run_that_is_killed_half_way_goes_on_from_its_last_state(
    sandboxes: StartVendor, killed: KillTap, form: str
) -> None:
    vendor = sandboxes("visiblescm", invoices=240, latency_ms=20)
    config = vendor.config(lookback_days=0, format=form)
    first = killed("visiblescm", {**config, "concurrency": 2}, lambda: vendor.state.requests["detail"] >= 170)
    assert first.of("STATE"), "it has come to a state"
    asked = vendor.state.requests["detail"]
    second = vendor.read(state=first.state, lookback_days=0, format=form, concurrency=16)
    assert vendor.state.requests["detail"] - asked < 200, "it did not begin again"
    invoices = truth(vendor)
    for stream in STREAMS:
        together = {r["InvoiceRefNumber"]: r for r in first.records(stream) + second.records(stream)}
        assert {n: r["TotalInvoicedAmount"] for n, r in together.items()} == {
            n: invoice["TotalInvoicedAmount"] for n, invoice in invoices.items()
        }
    assert (
        vendor.read(state=second.state, lookback_days=0, concurrency=16).state["bookmarks"] == second.state["bookmarks"]
    )


# --- what goes wrong at the vendor -------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
def test_a_detail_that_is_no_success_is_an_error_with_the_vendors_message(vendor: Vendor, form: str) -> None:
    with pytest.raises(RefusedError) as caught:
        vendor.read(invoice_numbers=["TM700001", "TM1"], format=form)
    assert str(caught.value) == (
        "visiblescm, invoice_details (invoice number TM1): "
        "the vendor says that the call failed: Invoice 'TM1' was not found."
    )


@pytest.mark.parametrize("form", FORMATS)
def test_a_list_that_is_no_success_is_an_error_with_the_vendors_message(vendor: Vendor, form: str) -> None:
    only = make_catalog(connector="visiblescm", streams=["invoices"])
    with pytest.raises(RefusedError) as caught:
        vendor.read(first_page=0, format=form, catalog=only)
    assert str(caught.value) == ("visiblescm, invoices: the vendor says that the call failed: The request is invalid.")


def test_bursts_of_refusals_are_retried_and_nothing_is_lost(sandboxes: StartVendor) -> None:
    vendor = sandboxes("visiblescm", invoices=60)
    vendor.state.fail(2, 503)
    with vendor.meanwhile(20, lambda: vendor.state.fail(5, 429, {"Retry-After": "0"})):
        output = vendor.read()
    assert {"": (60, total(output.records("invoice_details")))} == vendor.state.totals()


# --- credentials -------------------------------------------------------------------------------------

SCHEMES: Mapping[str, dict[str, str]] = {
    "bearer": {"token": sandbox.TOKEN},
    "header": {"header_name": sandbox.HEADER_NAME, "header_value": sandbox.HEADER_VALUE},
    "basic": {"username": sandbox.USER, "password": sandbox.PASSWORD},
    "account_token": {
        "username": sandbox.USER,
        "password": sandbox.PASSWORD,
        "api_key": sandbox.API_KEY,
        "api_secret": sandbox.API_SECRET,
    },
}


def credentials(vendor: Vendor, auth: str, settings: Mapping[str, str]) -> dict[str, Any]:
    return {"base_url": vendor.url, "auth": auth, "requests_per_second": None, **settings}


@pytest.fixture(scope="module")
def guarded(sandboxes: StartVendor) -> Callable[[str], Vendor]:
    """Gives the sandbox that asks for one scheme, its requests not counted yet."""
    started = {auth: sandboxes("visiblescm", invoices=5, auth=auth) for auth in SCHEMES}

    def give(auth: str) -> Vendor:
        started[auth].state.requests.clear()
        return started[auth]

    return give


@pytest.mark.parametrize("auth", SCHEMES)
def test_every_scheme_lets_in_with_the_right_credentials(
    guarded: Callable[[str], Vendor], read_tap: Callable[..., Output], auth: str
) -> None:
    vendor = guarded(auth)
    output = read_tap(credentials(vendor, auth, SCHEMES[auth]), connector="visiblescm")
    assert len(output.records("invoice_details")) == 5
    assert vendor.state.requests["token"] == (1 if auth == "account_token" else 0)


@pytest.mark.parametrize(("auth", "wrong"), [(auth, name) for auth in SCHEMES for name in SCHEMES[auth]])
def test_wrong_credentials_stop_at_the_first_request_with_a_sentence(
    guarded: Callable[[str], Vendor], read_tap: Callable[..., Output], auth: str, wrong: str
) -> None:
    vendor = guarded(auth)
    settings = {**SCHEMES[auth], wrong: "Not-4711"}
    with pytest.raises(CredentialsError, match="refuses the credentials") as caught:
        read_tap(credentials(vendor, auth, settings), connector="visiblescm")
    assert not [value for value in settings.values() if value in str(caught.value)]
    assert vendor.state.requests == {"token" if auth == "account_token" else "list": 1}


@pytest.mark.parametrize(
    ("auth", "missing"), [(auth, name) for auth in SCHEMES for name in SCHEMES[auth] if name != "header_name"]
)
def test_a_setting_that_a_scheme_needs_is_named(
    guarded: Callable[[str], Vendor], read_tap: Callable[..., Output], auth: str, missing: str
) -> None:
    vendor = guarded(auth)
    settings = {name: value for name, value in SCHEMES[auth].items() if name != missing}
    with pytest.raises(ConfigError, match=f"'{missing}'"):
        read_tap(credentials(vendor, auth, settings), connector="visiblescm")
    assert not vendor.state.requests


def test_an_account_token_that_ends_in_the_middle_is_renewed_once(
    sandboxes: StartVendor, read_tap: Callable[..., Output]
) -> None:
    vendor = sandboxes("visiblescm", invoices=60, auth="account_token", latency_ms=5)
    with vendor.meanwhile(20, vendor.state.revoke_tokens):
        output = read_tap(credentials(vendor, "account_token", SCHEMES["account_token"]), connector="visiblescm")
    assert {"": (60, total(output.records("invoice_details")))} == vendor.state.totals()
    assert vendor.state.requests["token"] == 2


# --- into a database ---------------------------------------------------------------------------------


def test_json_and_xml_give_identical_tables_that_hold_what_the_sandbox_holds(
    vendor: Vendor, warehouses: Callable[..., Warehouse]
) -> None:
    tables = []
    for form in FORMATS:
        warehouse = warehouses(form, "visiblescm")
        assert warehouse.load(vendor.config(format=form)).exit_code == 0
        tables.append([warehouse.table(stream) for stream in STREAMS])
        for stream in STREAMS:
            found = warehouse.query(f"SELECT count(*), sum(TotalInvoicedAmount) FROM visiblescm.{stream}")
            assert found == [vendor.state.totals()[""]]
    assert tables[0] == tables[1]
