"""The Ingram Micro connector against its sandbox: what is asked, what comes out, what is said when it goes wrong."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tap_ingram_micro import INGRAM_MICRO
from tap_ingram_micro.sandbox import SAMPLE_INVOICE, V4_PATH, V6_PATH, V61_PATH
from vendortap.declare.model import Credentials, Reply, Request
from vendortap.errors import BodyError, CredentialsError, MissingError, RefusedError
from vendortap.http.rate_limit import TokenBucket
from vendortap.operate import demo
from vendortap.sync.state import has_bookmark

if TYPE_CHECKING:
    from tests.conftest import KillTap, Message, Output, StartVendor, Vendor, Warehouse

NAME = "ingram-micro"
TOKEN_PATH = "/oauth/oauth20/token"
Start = Callable[..., "Vendor"]
Catalog = Callable[..., Any]


@pytest.fixture
def start(sandboxes: StartVendor) -> Start:
    return lambda **options: sandboxes(NAME, **{"invoices": 45, "calls_per_minute": 0, **options})


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vendortap.http.rate_limit.BACKOFF_SECONDS", 0.02)


@pytest.fixture(scope="module")
def quiet(sandboxes: StartVendor) -> Vendor:
    """A sandbox that no test changes."""
    return sandboxes(NAME, invoices=100, calls_per_minute=0)


def numbers(vendor: Vendor) -> list[str]:
    """The sales order numbers, oldest invoice first."""
    return [invoice["invoiceNumber"] for invoice in vendor.state.invoices()]


def bare(number: str) -> str:
    return number.replace("-", "")


def listed(output: Output) -> list[str]:
    return [bare(record["invoiceNumber"]) for record in output.records("invoices")]


def detailed(output: Output) -> list[str]:
    return [bare(record["requestedNumber"]) for record in output.records("invoice_details")]


def totals(records: list[Message]) -> dict[str, tuple[int, Decimal]]:
    found: dict[str, tuple[int, Decimal]] = {}
    for record in records:
        currency = record["lines"][0]["currencyCode"]
        count, amount = found.get(currency, (0, Decimal(0)))
        found[currency] = (count + 1, amount + record["summary"]["totals"]["invoicedAmountDue"])
    return found


def bookmark(output: Output, stream: str = "invoices") -> datetime:
    return datetime.fromisoformat(output.state["bookmarks"][stream]["replication_key_value"])


def agree(value: Any, truth: Any) -> bool:
    """Whether a value is what the vendor sent, whatever the case of its names, and numbers as text or not."""
    if isinstance(truth, dict):
        members = {name.casefold(): member for name, member in truth.items()}
        return {name.casefold() for name in value} == set(members) and all(
            agree(member, members[name.casefold()]) for name, member in value.items()
        )
    if isinstance(truth, list):
        return len(value) == len(truth) and all(map(agree, value, truth))
    return bool(value == truth) or (isinstance(value, int | Decimal) and value == Decimal(str(truth)))


# --- what comes out ----------------------------------------------------------------------------------


def test_list_and_details_are_complete_and_exact(quiet: Vendor) -> None:
    output = quiet.read()
    wanted = {bare(invoice["invoiceNumber"]): invoice for invoice in quiet.state.invoices()}
    assert len(wanted) == 100
    assert set(listed(output)) == set(wanted)
    details = output.records("invoice_details")
    assert sorted(detailed(output)) == sorted(wanted)
    assert totals(details) == quiet.state.totals()
    for record in details:
        own = {name: record.pop(name) for name in ("requestedNumber", "listedInvoiceDate")}
        assert agree(record, wanted[bare(own["requestedNumber"])])
    for record in output.records("invoices"):
        totalled = wanted[bare(record["invoiceNumber"])]["summary"]["totals"]["invoicedAmountDue"]
        assert (record["invoicedAmountDue"], record["invoiceAmountInclTax"]) == (totalled, totalled)


def test_an_invoice_on_several_pages_comes_with_its_newest_date_last_and_has_one_document(start: Start) -> None:
    vendor = start()
    output = vendor.read(page_size=7)
    dates: dict[str, list[str]] = {}
    for record in output.records("invoices"):
        dates.setdefault(record["invoiceNumber"], []).append(record["invoiceDate"])
    assert sorted(map(len, map(set, dates.values()))) == [1] * 43 + [2] * 2, (
        "every twentieth is listed again, re-issued"
    )
    assert all(found == sorted(set(found)) * 2 for found in dates.values()), (
        "the list is read twice, as it may have moved"
    )
    newest = {number: found[-1] for number, found in dates.items()}
    details = output.records("invoice_details")
    assert {record["requestedNumber"]: record["listedInvoiceDate"] for record in details} == newest
    assert len(details) == 45


def test_the_same_records_in_the_same_order_at_every_concurrency(start: Start) -> None:
    vendor = start(jitter_seconds=0.02)
    first, *others = [vendor.read(concurrency=count, page_size=10) for count in (1, 16)]
    for stream in ("invoices", "invoice_details"):
        assert all(output.records(stream) == first.records(stream) for output in others)
    assert all(output.state == first.state for output in others)


def test_names_in_another_case_give_the_same_documents(quiet: Vendor, start: Start) -> None:
    pascal = start(invoices=100, key_case="pascal")
    assert pascal.read().records("invoice_details") == quiet.read().records("invoice_details")


def test_v4_gives_the_orders_that_are_named_under_the_numbers_asked_for(quiet: Vendor) -> None:
    wanted = [*numbers(quiet)[72:100], SAMPLE_INVOICE]
    output = quiet.read(order_numbers=wanted, invoice_numbers=[wanted[0]])
    records = output.records("invoice_details_v4")
    assert [record["requestednumber"] for record in records] == wanted
    truth = {invoice["invoiceNumber"]: invoice["summary"]["totals"] for invoice in quiet.state.invoices()}
    for record in records[:-1]:
        number = record["requestednumber"]
        assert (record["globalorderid"], record["invoicenumber"]) == (number, number[3:])
        assert record["totalamount"] == truth[number]["invoicedAmountDue"]
        assert record["totaltaxamount"] == truth[number]["totalTaxAmount"]
        assert (record["shiptoaddress"] is None) != (record["shoptoaddress"] is None)
    assert [record["lines"][-1]["linenumber"] for record in records].count("895") > 5
    assert not has_bookmark(output.state, "invoice_details_v4"), "there is nothing to go on from"
    again = quiet.read(order_numbers=wanted, invoice_numbers=[wanted[0]], state=output.state)
    assert again.records("invoice_details_v4") == records


def test_tables_hold_what_the_sandbox_holds_to_the_cent(start: Start, warehouses: Callable[..., Warehouse]) -> None:
    vendor, warehouse = start(invoices=60), warehouses("w", NAME)
    for _ in range(2):
        outcome = warehouse.load(vendor.config(order_numbers=[SAMPLE_INVOICE, *numbers(vendor)[50:]]))
        assert outcome.exit_code == 0
        counts, found = demo.held(INGRAM_MICRO, warehouse.path)
        assert set(counts.values()) == {60}
        assert found == vendor.state.totals()
    ((count, amount),) = warehouse.query("SELECT count(*), sum(invoicedAmountDue) FROM ingram_micro.invoices")
    assert (count, amount) == (60, sum(total for _, total in vendor.state.totals().values()))
    assert warehouse.query("SELECT count(*), count(soldto.name1) FROM ingram_micro.invoice_details_v4") == [(11, 11)]
    kinds = warehouse.columns("invoices")
    assert kinds["invoicedAmountDue"].startswith("DECIMAL")
    assert kinds["invoiceDate"] == "TIMESTAMP WITH TIME ZONE"


# --- how it asks -------------------------------------------------------------------------------------


def test_the_list_is_paged_by_number_and_its_nextpage_is_not_followed(start: Start) -> None:
    vendor = start()
    vendor.read(page_size=10, start_date="2020-01-01", invoice_numbers=[numbers(vendor)[0]])
    asked = [request.params for request in vendor.wire.to(V6_PATH)]
    assert asked == [
        {
            "invoiceFromDate": "2020-01-01",
            "orderby": "InvoiceDate",
            "direction": "asc",
            "pageNumber": str(number),
            "pageSize": "10",
        }
        for number in (1, 2, 3, 4, 5) * 2  # a re-issued invoice may be one that moved
    ]


def test_every_call_has_the_headers_required_and_a_correlation_id_of_its_own_retries_too(start: Start) -> None:
    vendor = start()
    vendor.state.fail(2, 503)
    vendor.wire.at[f"{V61_PATH}/{numbers(vendor)[5]}", 1] = lambda: vendor.state.fail(1, 500)
    vendor.read(
        order_numbers=[SAMPLE_INVOICE],
        invoice_numbers=numbers(vendor)[:9],
        sender_id="me",
        application_id="app",
        version_header="v6.1",
    )
    token, *calls = vendor.wire.asked
    assert (token.method, token.path) == ("POST", TOKEN_PATH)
    assert token.body.startswith(b"grant_type=client_credentials&client_id=")
    assert len(calls) == 1 + 9 + 1 + 3
    ids = [call.headers["im-correlationid"] for call in calls]
    assert len(set(ids)) == len(calls)
    assert max(map(len, ids)) <= 32
    for call in calls:
        assert (call.headers["im-customernumber"], call.headers["im-countrycode"]) == ("20-222222", "US")
        assert (call.headers["im-applicationid"], call.headers["im-senderid"]) == ("app", "me")
        assert (call.headers["version"], call.headers["accept"]) == ("v6.1", "application/json")
        assert call.headers["authorization"].startswith("Bearer ")
    assert [call.headers["content-type"] for call in calls if call.path == V4_PATH] == ["application/json"]


def test_headers_that_are_not_set_are_not_sent(start: Start) -> None:
    vendor = start(invoices=1)
    vendor.read()
    for call in vendor.wire.asked[1:]:
        assert not {"im-senderid", "version"} & set(call.headers)
        assert call.headers["im-applicationid"] == "vendortap"


@pytest.mark.parametrize("form", ["setting", "text", "csv"])
@pytest.mark.parametrize(
    ("setting", "stream", "key"),
    [
        ("invoice_numbers", "invoice_details", "requestedNumber"),
        ("order_numbers", "invoice_details_v4", "requestednumber"),
    ],
)
def test_just_the_documents_that_are_named(
    quiet: Vendor, tmp_path: Path, catalog: Catalog, form: str, setting: str, stream: str, key: str
) -> None:
    wanted = [numbers(quiet)[n] for n in (90, 75, 88)]
    path = tmp_path / "numbers"
    lines = "\n".join(wanted) if form == "text" else "who,number\n" + "".join(f'"a, b",{n}\n' for n in wanted)
    path.write_text(lines, encoding="utf-8")
    settings: dict[str, dict[str, Any]] = {
        "setting": {setting: wanted},
        "text": {f"{setting}_file": str(path)},
        "csv": {f"{setting}_file": str(path), f"{setting}_column": "number"},
    }
    output = quiet.read(catalog=catalog(streams=[stream], connector=NAME), **settings[form])
    assert [record[key] for record in output.records(stream)] == wanted


def test_serial_numbers_can_be_left_out(start: Start) -> None:
    vendor = start(invoices=10)
    output = vendor.read(include_serial_numbers=False)
    lines = [line for record in output.records("invoice_details") for line in record["lines"]]
    assert {line["serialNumbers"] for line in lines} == {None}
    details = [asked for asked in vendor.wire.asked if asked.path.startswith(V61_PATH)]
    assert {tuple(asked.params.items()) for asked in details} == {(("includeSerialNumbers", "false"),)}


@pytest.mark.parametrize(
    ("config", "url"),
    [
        ({"environment": "production"}, "https://api.ingrammicro.com:443"),
        ({"environment": "sandbox"}, "https://api.ingrammicro.com:443/sandbox"),
        ({"environment": "sandbox", "base_url": "https://proxy.example"}, "https://proxy.example"),
    ],
)
def test_the_environment_chooses_the_address_unless_one_is_given(config: dict[str, str], url: str) -> None:
    assert INGRAM_MICRO.base_url(config) == url


# --- again, and going on -----------------------------------------------------------------------------


def test_an_old_invoice_that_is_paid_shows_in_the_next_run_and_the_bookmark_stays(start: Start) -> None:
    vendor = start()
    first = vendor.read()
    top, all_numbers = bookmark(first), numbers(vendor)
    dates = {bare(r["invoiceNumber"]): datetime.fromisoformat(r["invoiceDate"]) for r in first.records("invoices")}
    recent = {number for number, at in dates.items() if at >= top - timedelta(days=60)}
    inside, outside = bare(all_numbers[42]), bare(all_numbers[30])
    assert inside in recent
    assert outside not in recent
    for number in (all_numbers[42], all_numbers[30]):
        vendor.state.touch(number, "VOID")

    second = vendor.read(state=first.state)
    assert set(listed(second)) == set(detailed(second)) == recent
    changed = {bare(r["invoiceNumber"]) for r in second.records("invoices") if r["invoiceStatus"] == "VOID"}
    documents = {bare(r["requestedNumber"]) for r in second.records("invoice_details") if r["invoiceStatus"] == "VOID"}
    assert changed == documents == {inside}
    assert bookmark(second) == bookmark(second, "invoice_details") == top
    day_before = (top - timedelta(days=61)).date().isoformat()
    assert {request.params.get("invoiceFromDate") for request in vendor.wire.to(V6_PATH)} == {None, day_before}

    third = vendor.read(state=second.state, lookback_days=365)
    assert {bare(r["invoiceNumber"]) for r in third.records("invoices") if r["invoiceStatus"] == "VOID"} == {
        inside,
        outside,
    }
    assert bookmark(third) == top


def test_new_invoices_come_with_the_next_run_and_move_the_bookmark(start: Start) -> None:
    vendor = start()
    first = vendor.read(lookback_days=0)
    before = set(numbers(vendor))
    vendor.state.add(10)
    second = vendor.read(state=first.state, lookback_days=0)
    new = {bare(number) for number in set(numbers(vendor)) - before}
    assert new <= set(listed(second))
    assert set(detailed(second)) == set(listed(second))
    assert len(second.records("invoice_details")) < 15
    assert bookmark(second) > bookmark(first)


def test_looking_back_never_leads_to_before_the_start(start: Start) -> None:
    vendor = start()
    first = vendor.read(start_date="2026-06-01")
    second = vendor.read(start_date="2026-06-01", state=first.state)
    assert listed(second) == listed(first)
    assert {request.params["invoiceFromDate"] for request in vendor.wire.to(V6_PATH)} == {"2026-06-01"}


@pytest.mark.parametrize(("killed_at", "requests"), [("search", 6), ("detail", 95)])
def test_a_run_that_is_killed_goes_on_from_its_last_state_and_ends_with_the_same_records(
    start: Start, killed: KillTap, killed_at: str, requests: int
) -> None:
    vendor = start(invoices=130, latency_ms=40)
    config = vendor.config(concurrency=3, page_size=10, lookback_days=0)
    part = killed(NAME, config, lambda: vendor.state.requests[killed_at] >= requests)
    states = part.of("STATE")
    state = states[-1]["value"] if states else None
    before = -1
    while before != vendor.state.requests["detail"]:  # what was under way at the kill still arrives
        before = vendor.state.requests["detail"]
        time.sleep(0.3)
    assert before < 130
    # with a limit nothing is asked for early, so what is listed twice is asked for once
    rest = vendor.read(state=state, concurrency=16, page_size=100, lookback_days=0, requests_per_second=1000)
    again = vendor.state.requests["detail"] - before
    assert set(detailed(part)) | set(detailed(rest)) == {bare(number) for number in numbers(vendor)}
    assert set(listed(part)) | set(listed(rest)) == {bare(number) for number in numbers(vendor)}
    if killed_at == "detail":
        assert state is not None
        assert 130 - before <= again < 130, "it went on from where it was"
        assert bookmark(part, "invoice_details") < bookmark(rest, "invoice_details")
    else:
        assert again == 130, "the list is one unit: it is read again"
    assert bookmark(rest) == bookmark(rest, "invoice_details")


# --- what the vendor says under 200, and 404 ---------------------------------------------------------


def test_a_list_that_is_not_found_is_empty(start: Start, catalog: Catalog) -> None:
    vendor = start()
    vendor.state.fail(2, 404)  # one alone may be a passing failure
    output = vendor.read(catalog=catalog(streams=["invoices"], connector=NAME))
    assert output.of("RECORD") == []
    assert len(vendor.read(state=output.state).records("invoice_details")) == 45


UNKNOWN = "20-ZZZZZ-11"


def skipped(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [text for text in caplog.messages if "Skipped" in text]


def test_what_v4_does_not_find_is_skipped_and_what_it_finds_in_part_is_a_record_with_a_warning(
    quiet: Vendor, caplog: pytest.LogCaptureFixture
) -> None:
    old, partial, odd_code = (numbers(quiet)[n] for n in (10, 71, 81))
    with caplog.at_level(logging.WARNING):
        output = quiet.read(order_numbers=[UNKNOWN, old, partial, odd_code], invoice_numbers=[odd_code])
    assert [record["requestednumber"] for record in output.records("invoice_details_v4")] == [partial, odd_code]
    warnings = skipped(caplog)
    assert [number in text for number, text in zip((UNKNOWN, old), warnings, strict=True)] == [True] * 2
    assert "ingram-micro, invoice_details_v4 (order number 20-ZZZZZ-11): " in warnings[0]
    assert "FAILED: Data Not Found" in warnings[0]
    (told,) = [text for text in caplog.messages if "SUCCESSWITHERROR" in text]
    assert told.endswith(f"(order number {partial}): the vendor answers SUCCESSWITHERROR: Partial Data Found.")


def test_what_is_skipped_is_counted(start: Start, warehouses: Callable[..., Warehouse]) -> None:
    vendor, warehouse = start(invoices=3), warehouses("w", NAME)
    outcome = warehouse.load(vendor.config(order_numbers=[SAMPLE_INVOICE, UNKNOWN], invoice_numbers=[UNKNOWN]))
    assert (outcome.exit_code, outcome.missing) == (3, 2)
    assert outcome.report["streams"]["invoice_details_v4"]["missing"] == 1


def test_a_success_without_the_invoice_is_skipped(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    vendor = start(invoices=3)

    def without_invoice(document: Any) -> Any:
        del document["serviceresponse"]["invoicedetailresponse"]
        return document

    vendor.wire.change[V4_PATH] = without_invoice
    with caplog.at_level(logging.WARNING):
        output = vendor.read(order_numbers=[SAMPLE_INVOICE])
    assert output.records("invoice_details_v4") == []
    (warning,) = skipped(caplog)
    assert f"(order number {SAMPLE_INVOICE}): the vendor answers SUCCESS without a record: Invoice Found." in warning


@pytest.mark.parametrize(("setting", "stream"), [("order_numbers", "invoice_details_v4"), ("invoice_numbers", "inv")])
def test_what_is_missing_fails_the_run_if_wanted(quiet: Vendor, setting: str, stream: str) -> None:
    with pytest.raises(MissingError, match=rf"ingram-micro, {stream}.*\(\w+ number {UNKNOWN}\): "):
        quiet.read(**{"invoice_numbers": [numbers(quiet)[0]], setting: [UNKNOWN], "on_missing": "fail"})


def test_an_invoice_that_v61_does_not_have_is_skipped(quiet: Vendor, caplog: pytest.LogCaptureFixture) -> None:
    wanted = numbers(quiet)[4]
    with caplog.at_level(logging.WARNING):
        output = quiet.read(invoice_numbers=[UNKNOWN, wanted])
    assert detailed(output) == [bare(wanted)]
    assert [UNKNOWN in text and "404" in text for text in skipped(caplog)] == [True]


def test_another_failure_under_200_stops_with_what_it_says(start: Start) -> None:
    vendor = start(invoices=3)
    preamble = {"responsestatus": "FAILED", "statuscode": "500", "responsemessage": "System not available"}
    vendor.wire.change[V4_PATH] = lambda _: {"serviceresponse": {"responsepreamble": preamble}}
    with pytest.raises(RefusedError, match=r"v4 \(order number 30-13649-13\): .* FAILED: System not available\."):
        vendor.read(order_numbers=[SAMPLE_INVOICE])


@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_foreign_customer_number_stops_with_what_the_vendor_says_of_it(
    start: Start, catalog: Catalog, status: int
) -> None:
    vendor = start(invoices=3, fault_status=status)
    for stream in ("invoices", "invoice_details_v4"):
        with pytest.raises(Exception, match="Invalid customer number") as caught:
            vendor.read(
                customer_number="20-333333",
                order_numbers=[SAMPLE_INVOICE],
                catalog=catalog(streams=[stream], connector=NAME),
                retry_seconds=0,
            )
        assert str(caught.value).startswith(f"ingram-micro, {stream}")


def test_a_fault_under_200_in_place_of_a_document_is_an_error(start: Start, catalog: Catalog) -> None:
    vendor = start(invoices=3, fault_status=200)
    only = catalog(streams=["invoice_details"], connector=NAME)
    with pytest.raises(RefusedError, match=r"ingram-micro, invoice_details .*: Invalid customer number"):
        vendor.read(customer_number="20-333333", invoice_numbers=numbers(vendor), catalog=only)


def test_a_500_that_says_404_inside_is_an_invoice_that_is_not_there_if_it_stays(
    start: Start, catalog: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    vendor = start(invoices=3, missing_status=500)
    only = catalog(streams=["invoice_details"], connector=NAME)
    with caplog.at_level(logging.WARNING):
        output = vendor.read(invoice_numbers=["20-ZZZZZ-11", *numbers(vendor)], catalog=only)
    assert len(output.records("invoice_details")) == 3
    assert vendor.state.requests["detail"] == 5
    assert len(skipped(caplog)) == 1


def test_a_list_without_its_rows_is_an_error(start: Start) -> None:
    vendor = start(invoices=3)
    vendor.wire.change[V6_PATH] = lambda document: {**document, "invoices": None}
    with pytest.raises(
        BodyError,
        match=r"ingram-micro, invoices: the answer has no list of records at \$\.invoices: \$\.invoices is null",
    ):
        vendor.read()


# --- tokens ------------------------------------------------------------------------------------------


def granted(expires_in: Any) -> Credentials:
    """What the connector makes of a token answer."""
    config = {"token_url": "https://x/token", "client_id": "a", "client_secret": "b"}
    (authorize,) = INGRAM_MICRO.auth
    flow = authorize(config)
    assert isinstance(next(flow), Request)
    body = json.dumps({"access_token": "t", "token_type": "Bearer", "expires_in": expires_in}).encode()
    with pytest.raises(StopIteration) as end:
        flow.send(Reply(200, {}, body, datetime.now(UTC)))
    credentials = end.value.value
    assert isinstance(credentials, Credentials)
    return credentials


@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [(3600, 3600), ("3600", 3600), (86400, 86400), ("2592000", 86400), (2592000, 86400), (10**12, 86400)],
)
def test_a_token_is_used_as_long_as_stated_but_no_longer_than_a_day(expires_in: Any, seconds: int) -> None:
    assert granted(expires_in).expires_in == seconds


@pytest.mark.parametrize("expires_in", ["86400", 10**12])
def test_either_form_of_expires_in_comes_through(start: Start, expires_in: Any) -> None:
    vendor = start(invoices=3, expires_in=expires_in)
    assert len(vendor.read().records("invoice_details")) == 3
    assert vendor.state.requests["token"] == 1


def test_a_token_that_is_revoked_in_the_middle_is_renewed_once(start: Start) -> None:
    vendor = start()
    vendor.wire.at[f"{V61_PATH}/{numbers(vendor)[20]}", 1] = vendor.state.revoke_tokens
    vendor.wire.at[f"{V61_PATH}/{bare(numbers(vendor)[20])}", 1] = vendor.state.revoke_tokens
    assert totals(vendor.read().records("invoice_details")) == vendor.state.totals()
    assert vendor.state.requests["token"] == 2


def test_a_401_that_names_the_api_product_stops_at_once(start: Start) -> None:
    vendor = start(unapproved=frozenset({V6_PATH}))
    with pytest.raises(CredentialsError, match=r"ingram-micro, invoices: .*401.*no apiproduct match found"):
        vendor.read()
    assert vendor.state.requests == {"token": 1, "search": 1}


def test_a_wrong_client_secret_stops_before_the_first_request(start: Start) -> None:
    vendor = start(invoices=3)
    with pytest.raises(CredentialsError, match="Invalid client credentials") as caught:
        vendor.read(client_secret="hush-hush")
    assert "hush-hush" not in str(caught.value)
    assert vendor.state.requests == {"token": 1}


# --- limits ------------------------------------------------------------------------------------------


def test_no_minute_ever_sees_more_than_sixty_calls_of_an_endpoint() -> None:
    limit = INGRAM_MICRO.limit
    assert limit is not None
    assert limit.each_endpoint
    now = [0]
    bucket = TokenBucket(limit.rate, limit.burst, clock=lambda: now[0])
    taken: list[int] = []
    while now[0] < 300e9:
        if wait := bucket.take():
            now[0] += wait
        else:
            taken.append(now[0])
    assert all(later - earlier >= 60e9 for earlier, later in zip(taken, taken[60:], strict=False))
    assert len(taken) > 250, "and it is made use of"


@pytest.mark.parametrize("reset", ["epoch", "seconds"])
def test_a_limit_that_is_used_up_is_waited_for_whatever_the_reset_means(start: Start, reset: str) -> None:
    vendor = start(invoices=7, calls_per_minute=5, window_seconds=1, reset=reset)
    config = {"requests_per_second": 1000, "burst": 10, "concurrency": 1}
    wanted = [SAMPLE_INVOICE, *numbers(vendor)]
    assert len(vendor.read(invoice_numbers=wanted, **config).records("invoice_details")) == 8
    assert vendor.state.requests["429"] == 0
