"""The ScanSource connector against its sandbox: what is asked, what comes out, what is said when it goes wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import marked
from vendortap.errors import BodyError, ConfigError, CredentialsError, MissingError, RecordError, VendortapError

if TYPE_CHECKING:
    from tests.conftest import Message, Output, RunTap, StartVendor, Vendor

FIRST, SECOND = "1000012345", "1000067890"
ReadTap = Callable[..., "Output"]


def truth(vendor: Vendor) -> dict[str, Any]:
    return {invoice["InvoiceNumber"]: invoice for invoice in vendor.state.invoices()}


def totals(records: list[Message]) -> dict[str, tuple[int, Decimal]]:
    found: dict[str, tuple[int, Decimal]] = {}
    for record in records:
        count, amount = found.get(record["Currency"], (0, Decimal(0)))
        found[record["Currency"]] = (count + 1, amount + record["Total"])
    return found


def without(records: list[Message], *names: str) -> list[Message]:
    return [{k: v for k, v in record.items() if k not in names} for record in records]


def latest(output: Output) -> datetime:
    return max(datetime.fromisoformat(record["LastChanged"]) for record in output.records("invoices"))


# --- what comes out ----------------------------------------------------------------------------------


def test_both_streams_are_complete_and_exact(vendor: Vendor, read_tap: ReadTap) -> None:
    output = read_tap(vendor.config())
    invoices = truth(vendor)
    assert {record["InvoiceNumber"] for record in output.records("invoices")} == set(invoices)
    details = output.records("invoice_details")
    assert len(details) == len(invoices) == 60
    assert totals(details) == vendor.state.totals()
    for record in details:
        invoice = invoices[record["InvoiceNumber"]]
        assert set(record) - set(invoice) == {"LastChanged"}
        assert record["CustomerNumber"] == invoice["CustomerNumber"]
        assert record["BillingAddress"] == invoice["BillingAddress"]
        assert record["ShippingAddress"] == invoice["ShippingAddress"]
        assert without(record["InvoiceLines"], "Id") == invoice["InvoiceLines"]
        assert record["TrackingNumbers"] == invoice["TrackingNumbers"]


def test_every_customer_has_its_own_records_and_bookmark(vendor: Vendor, read_tap: ReadTap) -> None:
    both = read_tap(vendor.config())
    partitions = both.state["bookmarks"]["invoices"]["partitions"]
    assert [part["context"]["customer_number"] for part in partitions.values()] == [FIRST, SECOND]
    only = read_tap(vendor.config(customer_numbers=[SECOND]))
    assert only.records("invoices") == [r for r in both.records("invoices") if r["CustomerNumber"] == SECOND]


def test_the_same_records_in_the_same_order_at_every_concurrency(start: StartVendor, read_tap: ReadTap) -> None:
    vendor = start(invoices=80, jitter_seconds=0.02)
    outputs = [read_tap(vendor.config(concurrency=count, page_size=10)) for count in (1, 2, 8, 32)]
    first = outputs[0]
    for stream in ("invoices", "invoice_details"):
        assert len(first.records(stream)) == 80
        assert all(output.records(stream) == first.records(stream) for output in outputs)
    assert all(output.state == first.state for output in outputs)


def test_json_and_xml_give_the_same_records_but_for_the_id_of_a_line(vendor: Vendor, read_tap: ReadTap) -> None:
    in_json, in_xml = (read_tap(vendor.config(format=form)) for form in ("json", "xml"))
    assert in_json.records("invoices") == in_xml.records("invoices")
    for left, right in zip(in_json.records("invoice_details"), in_xml.records("invoice_details"), strict=True):
        assert [line["Id"] for line in right["InvoiceLines"] or []] == [*range(1, 1 + len(right["InvoiceLines"] or []))]
        assert same(left) == same(right)


def same(record: Message) -> Message:
    """What XML cannot tell apart: no list and an empty one; and Id, which only XML has."""
    lines = without(record["InvoiceLines"] or [], "Id")
    for line in lines:
        line["SerialNumbers"] = line["SerialNumbers"] or []
    return {**record, "InvoiceLines": lines, "TrackingNumbers": record["TrackingNumbers"] or []}


@pytest.mark.parametrize("form", ["json", "xml"])
def test_the_documented_sample_comes_through(vendor: Vendor, read_tap: ReadTap, form: str) -> None:
    (record,) = read_tap(vendor.config(invoice_numbers=["sample string 1"], format=form)).records("invoice_details")
    assert record["ShipDate"] == "2025-01-18T00:13:47.209899-05:00"
    assert (record["Total"], record["LastChanged"]) == (14, None)
    assert record["BillingAddress"]["Country"] == "sample string 8"
    assert [line["Id"] for line in record["InvoiceLines"]] == ([1, 1] if form == "xml" else [None, None])
    assert record["InvoiceLines"][1]["SerialNumbers"] == ["sample string 1", "sample string 2"]


# --- how it asks -------------------------------------------------------------------------------------


def test_the_documented_path_form_gives_what_the_gateway_s_query_form_gives(
    start: StartVendor, read_tap: ReadTap
) -> None:
    vendor = start(invoices=20)
    gateway = read_tap(vendor.config(path_style="query"))
    assert vendor.state.requests["token"] == 1
    legacy = read_tap(
        vendor.config(path_style="path", base_url=f"{vendor.url}/api", client_id=None, client_secret=None)
    )
    assert vendor.state.requests["token"] == 1, "the legacy site has no OAuth"
    for stream in ("invoices", "invoice_details"):
        assert gateway.records(stream) == legacy.records(stream)


def test_serial_and_tracking_numbers_can_be_left_out(vendor: Vendor, read_tap: ReadTap) -> None:
    for record in read_tap(vendor.config(exclude_serial_tracking=True)).records("invoice_details"):
        assert record["TrackingNumbers"] == []
        assert all(line["SerialNumbers"] == [] for line in record["InvoiceLines"])


@pytest.mark.parametrize("form", ["setting", "text", "csv"])
def test_details_of_just_the_invoices_that_are_named(
    start: StartVendor, read_tap: ReadTap, tmp_path: Path, form: str
) -> None:
    vendor = start(invoices=20)
    numbers = ["40000007", "40000002", "40000003"]
    path = tmp_path / "numbers"
    path.write_text(
        "\n".join(numbers) if form == "text" else "who,number\n" + "".join(f'"a, b",{n}\n' for n in numbers),
        encoding="utf-8",
    )
    settings: dict[str, dict[str, Any]] = {
        "setting": {"invoice_numbers": numbers},
        "text": {"invoice_numbers_file": str(path)},
        "csv": {"invoice_numbers_file": str(path), "invoice_numbers_column": "number"},
    }
    output = read_tap(vendor.config(**settings[form]))
    assert [record["InvoiceNumber"] for record in output.records("invoice_details")] == numbers
    assert marked(output.state, "invoice_details") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read: No such file"),
        ("\n \n", "holds no keys"),
        ("1\n2\n1\n", "line 3 repeats line 1"),
    ],
)
def test_an_invoice_file_that_cannot_be_used_is_a_sentence(
    vendor: Vendor, read_tap: ReadTap, tmp_path: Path, text: str | None, message: str
) -> None:
    path = tmp_path / "numbers.txt"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message) as caught:
        read_tap(vendor.config(invoice_numbers_file=str(path)))
    assert "'invoice_numbers_file'" in str(caught.value)


def test_a_start_date_lists_from_that_day_on(vendor: Vendor, read_tap: ReadTap) -> None:
    records = read_tap(vendor.config(start_date="2021-01-05")).records("invoices")
    assert 0 < len(records) < 60
    assert all(record["DateEntered"] >= "2021-01-05" for record in records)


# --- again, after something has changed --------------------------------------------------------------


@pytest.mark.parametrize(
    ("follows", "filters"), [("unknown", "entered"), ("unknown", "changed"), ("last_changed", "changed")]
)
def test_changes_between_runs_come_once_each(start: StartVendor, read_tap: ReadTap, follows: str, filters: str) -> None:
    vendor = start(invoices=60, date_filter=filters)
    config = vendor.config(from_date_filters=follows, page_size=5)
    output = read_tap(config)
    top, state = latest(output), output.state
    for round_ in range(3):
        changed = {f"{40_000_000 + n}" for n in (round_, 10 + round_, 59 - round_)}
        top += timedelta(days=1)
        for number in changed:
            vendor.state.touch(number, top)  # all with one stamp
        if round_ == 1:
            known = set(truth(vendor))
            vendor.state.add(4)
            changed |= set(truth(vendor)) - known
        asked = vendor.state.requests["summary"]
        output = read_tap(config, state=state)
        listed = vendor.state.requests["summary"] - asked
        assert (listed < 20) == (follows == "last_changed"), "sixty rows, five a page, for two streams"
        for stream in ("invoices", "invoice_details"):
            assert {record["InvoiceNumber"] for record in output.records(stream)} == changed
            assert len(output.records(stream)) == len(changed)
        top, state = latest(output), output.state
    assert read_tap(config, state=state).of("RECORD") == []


def test_a_change_shows_in_the_document(start: StartVendor, read_tap: ReadTap) -> None:
    vendor = start(invoices=20)
    first = read_tap(vendor.config())
    vendor.state.touch("40000003", latest(first) + timedelta(hours=1))
    (record,) = read_tap(vendor.config(), state=first.state).records("invoice_details")
    assert record["TrackingNumbers"] == truth(vendor)["40000003"]["TrackingNumbers"]
    assert datetime.fromisoformat(record["LastChanged"]) == latest(first) + timedelta(hours=1)


# --- what goes wrong at the vendor -------------------------------------------------------------------


def test_a_missing_invoice_is_skipped_with_a_warning(tap: RunTap, start: StartVendor) -> None:
    vendor = start(invoices=5)
    done = tap(vendor.config(invoice_numbers=["40000000", "40000099", "40000003"]))
    assert done.code == 0
    assert [record["InvoiceNumber"] for record in done.records("invoice_details")] == ["40000000", "40000003"]
    (warning,) = [line for line in done.stderr.splitlines() if "Skipped" in line]
    assert "invoice number 40000099" in warning
    assert "404" in warning


def test_a_missing_invoice_fails_the_run_if_wanted(tap: RunTap, start: StartVendor) -> None:
    done = tap(start(invoices=5).config(invoice_numbers=["40000000", "40000099", "40000003"], on_missing="fail"))
    assert done.code == 1
    assert [record["InvoiceNumber"] for record in done.records("invoice_details")] == ["40000000", "40000003"]
    assert "scansource, invoice_details" in done.complaint
    assert "invoice number 40000099" in done.complaint


def test_a_customer_that_does_not_exist_is_never_skipped(vendor: Vendor, read_tap: ReadTap) -> None:
    with pytest.raises(MissingError, match=r"scansource, invoices \(customer number 9\).*404"):
        read_tap(vendor.config(customer_numbers=["9"]))


@pytest.mark.parametrize("numbers", [None, ["40000000", "40000001", "40000002", "40000003"]])
def test_a_wrong_key_stops_at_once_with_a_sentence(tap: RunTap, start: StartVendor, numbers: list[str] | None) -> None:
    vendor = start(invoices=20)
    done = tap(vendor.config(subscription_key="0123456789abcdef", client_id=None, invoice_numbers=numbers))
    assert done.code == 1
    assert done.of("RECORD") == []
    assert "refuses the credentials" in done.complaint
    assert "0123456789abcdef" not in done.stderr
    assert vendor.state.requests.total() == 1


def test_a_wrong_client_secret_stops_before_the_first_request(start: StartVendor, read_tap: ReadTap) -> None:
    vendor = start(invoices=5)
    with pytest.raises(CredentialsError, match="refuses the credentials") as caught:
        read_tap(vendor.config(client_secret="hush-hush"))
    assert "hush-hush" not in str(caught.value)
    assert vendor.state.requests == {"token": 1}


def test_a_token_that_is_revoked_in_the_middle_is_renewed_once(start: StartVendor, read_tap: ReadTap) -> None:
    vendor = start(invoices=100, latency_ms=5)
    with vendor.meanwhile(30, vendor.state.revoke_tokens):
        output = read_tap(vendor.config())
    assert totals(output.records("invoice_details")) == vendor.state.totals()
    assert vendor.state.requests["token"] == 2


@pytest.mark.parametrize(("status", "headers"), [(500, None), (503, None), (429, {"Retry-After": "0"}), (429, None)])
def test_bursts_of_refusals_are_retried_and_nothing_is_lost(
    start: StartVendor, read_tap: ReadTap, status: int, headers: Mapping[str, str] | None
) -> None:
    vendor = start(invoices=60)
    vendor.state.fail(2, status, headers)
    with vendor.meanwhile(20, lambda: vendor.state.fail(6, status, headers)):
        output = read_tap(vendor.config())
    assert totals(output.records("invoice_details")) == vendor.state.totals()
    assert len(output.records("invoices")) == 60


def test_a_vendor_that_stays_down_is_a_sentence_after_the_time_allowed(start: StartVendor, read_tap: ReadTap) -> None:
    vendor = start(invoices=60)
    vendor.state.fail(10_000, 500)
    with pytest.raises(VendortapError, match=r"scansource, invoices \(customer number 1000012345\).*500.*Gave up"):
        read_tap(vendor.config(retry_seconds=0.2))


# --- bodies ------------------------------------------------------------------------------------------

LEAK = "LEAK-4711"
ROW = {"InvoiceNumber": "1", "PONumber": LEAK, "Total": 1.5, "LastChanged": "2025-01-01T10:00:00"}
BOMB = (
    '<!DOCTYPE x [<!ENTITY a "LEAK-4711"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>'
    "<ArrayOfInvoiceSummary><InvoiceSummary><InvoiceNumber>&c;</InvoiceNumber></InvoiceSummary>"
    "</ArrayOfInvoiceSummary>"
)
XML = f"<ArrayOfInvoiceSummary><InvoiceSummary><PONumber>{LEAK}</PONumber></InvoiceSummary></ArrayOfInvoiceSummary>"
JSON_TYPE, XML_TYPE = "application/json; charset=utf-8", "application/xml; charset=utf-8"
BODIES: Mapping[str, tuple[str | None, str, type[Exception], str]] = {
    "truncated JSON": (JSON_TYPE, json.dumps([ROW])[:-9], BodyError, "not the JSON it is declared to be"),
    "truncated XML": (XML_TYPE, XML[:-9], BodyError, "not the XML it is declared to be"),
    "an empty body": (JSON_TYPE, "", BodyError, r"the answer is empty \(200\)"),
    "XML declared to be JSON": (JSON_TYPE, XML, BodyError, "not the JSON it is declared to be"),
    "JSON declared to be XML": (XML_TYPE, json.dumps([ROW]), BodyError, "not the XML it is declared to be"),
    "HTML under 200": ("text/html", f"<html><h1>{LEAK}</h1></html>", BodyError, "text/html, neither JSON nor XML"),
    "HTML declared to be JSON": (JSON_TYPE, f"<html>{LEAK}", BodyError, "not the JSON it is declared to be"),
    "no content type": (None, json.dumps([ROW]), BodyError, "of no declared type"),
    "a wrong type in one field": (
        JSON_TYPE,
        json.dumps([ROW, {**ROW, "InvoiceNumber": "2", "Total": {"amount": LEAK}}]),
        RecordError,
        r"InvoiceNumber 2: a number.* expected at \$\[1\]\.Total",
    ),
    "a text for an amount": (
        JSON_TYPE,
        json.dumps([{**ROW, "Total": f"about {LEAK}"}]),
        RecordError,
        r"InvoiceNumber 1: a number.* expected at \$\[0\]\.Total",
    ),
    "a missing key": (
        JSON_TYPE,
        json.dumps([{"PONumber": LEAK}]),
        RecordError,
        r"record 1 of the page: a value expected at \$\[0\]\.InvoiceNumber",
    ),
    "an error inside a good answer": (JSON_TYPE, json.dumps({"Message": LEAK}), BodyError, r"at \$: \$ has Message;"),
    "an XML bomb": (XML_TYPE, BOMB, BodyError, "DTD|not well-formed"),
}


@contextmanager
def answering(content_type: str | None, body: bytes) -> Iterator[str]:
    """A server that answers every request with these bytes."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            if content_type:
                self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def legacy(url: str) -> dict[str, Any]:
    return {"base_url": url, "path_style": "path", "subscription_key": "0" * 32, "customer_numbers": [FIRST]}


@pytest.mark.parametrize("case", BODIES)
def test_a_body_that_cannot_be_read_is_a_sentence_with_stream_and_place_and_nothing_of_it(
    read_tap: ReadTap, case: str
) -> None:
    content_type, body, kind, message = BODIES[case]
    with answering(content_type, body.encode()) as url, pytest.raises(kind, match=message) as caught:
        read_tap(legacy(url))
    assert f"scansource, invoices (customer number {FIRST}): " in str(caught.value)
    assert LEAK not in str(caught.value)


@pytest.mark.parametrize("case", ["HTML under 200", "a wrong type in one field", "an XML bomb"])
def test_a_bad_body_ends_the_command_with_1_and_one_sentence(tap: RunTap, case: str) -> None:
    content_type, body, _, _ = BODIES[case]
    with answering(content_type, body.encode()) as url:
        done = tap(legacy(url))
    assert done.code == 1
    assert "scansource, invoices" in done.complaint
    assert LEAK not in done.stderr + done.stdout.decode()


def test_a_list_that_never_moves_on_is_a_sentence(read_tap: ReadTap) -> None:
    body = json.dumps([ROW]).encode()
    with answering(JSON_TYPE, body) as url, pytest.raises(BodyError, match="page 2 repeats page 1"):
        read_tap(legacy(url))
