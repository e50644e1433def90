"""The Midnight connector against its sandbox: what is asked, what comes out, what is said when it goes wrong."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from lxml import etree

from tap_midnight import MIDNIGHT, sandbox
from tests import golden
from tests.conftest import make_catalog
from vendortap.declare.model import Credentials, Reply, Request
from vendortap.decode.schemas import with_defaults
from vendortap.decode.values import Dates
from vendortap.errors import BodyError, ConfigError, CredentialsError, MissingError, RecordError
from vendortap.plugins import validation

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tests.conftest import KillTap, Message, Output, RunTap, StartVendor, Vendor, Warehouse

FIXTURES = Path(__file__).parents[2] / "fixtures" / "midnight"
STREAMS = ("invoices", "invoice_details")
FORMATS = ("json", "xml")
DATES = ("InvoiceDate", "InvoiceDueDate", "PaymentBilledDateTime")
LIST, DETAIL = "/v1/Generic/InvoiceList", "/v2/invoice/detail"
LOGIN, RENEWAL = "/v1/Token/UserAuthentication", "/v1/Token/RegenerateAuthToken"
INVOICES = 120
UNKNOWN = "00000000-0000-4d46-bcae-ffffffffffff"


@pytest.fixture(scope="module")
def vendor(sandboxes: StartVendor) -> Vendor:
    """A sandbox that no test changes."""
    return sandboxes("midnight", invoices=INVOICES)


@pytest.fixture(scope="module")
def whole(vendor: Vendor) -> Output:
    """A full run, in JSON."""
    return vendor.read()


@pytest.fixture
def small(sandboxes: StartVendor) -> Vendor:
    """A sandbox of the test's own, whose requests can be counted."""
    return sandboxes("midnight", invoices=60)


def truth(vendor: Vendor) -> dict[str, Any]:
    """What the sandbox holds, by Guid, its dates read."""
    invoices = {}
    for invoice in vendor.state.invoices():
        dates = {name: Dates().parse(invoice[name]) if invoice[name] else None for name in DATES}
        invoices[invoice["GUID"]] = {**invoice, **dates}
    return invoices


def guids(output: Output) -> list[str]:
    return [record["GUID"] for record in output.records("invoice_details")]


def total(records: list[Message], amount: str = "TotalBilledAmount") -> tuple[int, Decimal]:
    return len(records), sum((record[amount] for record in records), Decimal(0))


def calls(vendor: Vendor) -> dict[str, int]:
    return {name: vendor.state.requests[name] for name in ("token", "refresh")}


# --- discovery, and what comes out -------------------------------------------------------------------


def test_both_streams_are_complete_and_exact(vendor: Vendor, whole: Output) -> None:
    invoices = truth(vendor)
    assert len(whole.records("invoices")) == len(whole.records("invoice_details")) == len(invoices) == INVOICES
    for row in map(golden.from_message, whole.records("invoices")):
        invoice = invoices[row["Guid"]]
        assert row["InvoiceAmount"] == invoice["TotalBilledAmount"]
        assert row["InvoiceBalance"] == invoice["Balance"]
        assert row["ContactID"] == (invoice["ContactId"] or None)
        assert row["InvoiceLineTypes"] == sorted({line["LineType"] for line in invoice["InvoiceLine"]})
        same = ("InvoiceID", "InvoiceNumber", "InvoiceNumberExt", "InvoiceDate", "InvoiceDueDate", "TermsCode")
        assert [row[name] for name in same] == [invoice[name] for name in same]
    for record in map(golden.from_message, whole.records("invoice_details")):
        invoice = invoices[record["GUID"]]
        assert record.pop("RequestedGuid") == invoice["GUID"]
        assert record.pop("ListedInvoiceDate") == invoice["InvoiceDate"]
        assert record == invoice
    assert {"": total(whole.records("invoice_details"))} == vendor.state.totals()


def test_json_and_xml_give_the_same_records_in_the_same_order(vendor: Vendor) -> None:
    in_json, in_xml = (vendor.read(format=form) for form in FORMATS)
    for stream in STREAMS:
        assert len(in_json.records(stream)) == INVOICES
        assert in_json.records(stream) == in_xml.records(stream)
    assert in_json.state == in_xml.state
    counts = {len(record["InvoiceLine"]) for record in in_xml.records("invoice_details")}
    assert {0, 1, 2} <= counts, "lists of none, of one and of more"


@pytest.mark.parametrize("form", FORMATS)
def test_the_documented_sample_is_asked_for_as_documented_and_is_no_answer_to_it(small: Vendor, form: str) -> None:
    with pytest.raises(RecordError, match=f"{sandbox.SAMPLE_GUID} has another GUID"):  # which is "sample string 1"
        small.read(invoice_guids=[sandbox.SAMPLE_GUID], format=form)
    (asked,) = small.wire.to(DETAIL)
    assert (asked.headers["content-type"], asked.headers["accept"]) == (f"application/{form}",) * 2
    documented = (FIXTURES / f"invoice-request.{form}").read_bytes()
    if form == "json":
        assert json.loads(asked.body) == json.loads(documented)
    else:
        assert canonical(asked.body) == canonical(documented)


def canonical(body: bytes) -> str:
    """Canonical XML (namespace declarations included) without the blanks between elements."""
    root = etree.fromstring(body, etree.XMLParser(remove_blank_text=True))
    return etree.tostring(root, method="c14n").decode()


def test_details_of_just_the_invoices_that_are_named(vendor: Vendor, tmp_path: Path) -> None:
    wanted = list(truth(vendor))[5:2:-1]
    path = tmp_path / "guids.txt"
    path.write_text("\n".join(wanted), encoding="utf-8")
    for settings in ({"invoice_guids": wanted}, {"invoice_guids_file": str(path)}):
        output = vendor.read(**settings)
        assert guids(output) == wanted
        assert len(output.records("invoices")) == INVOICES


# --- pages -------------------------------------------------------------------------------------------


def rows(vendor: Vendor) -> int:
    """Rows of the list: one for each order of each invoice."""
    return sum({4: 2, 9: 3}.get(index % 10, 1) for index in range(len(truth(vendor))))


@pytest.mark.parametrize(("page_size", "max_rows", "shown"), [(7, 0, 7), (50, 11, 11), (1000, 0, 1000)])
@pytest.mark.parametrize("form", FORMATS)
def test_pages_are_read_to_the_last_row_and_each_invoice_once(
    sandboxes: StartVendor, form: str, page_size: int, max_rows: int, shown: int
) -> None:
    vendor = sandboxes("midnight", invoices=60, max_rows=max_rows)
    only = make_catalog(connector="midnight", streams=["invoices"])
    records = vendor.read(page_size=page_size, format=form, catalog=only).records("invoices")
    assert sorted(record["Guid"] for record in records) == sorted(truth(vendor))
    assert total(records, "InvoiceAmount") == vendor.state.totals()[""]
    assert {record["TotalRecords"] for record in records} == {rows(vendor)} == {78}
    asked = [json.loads(asked.body)["tableFilterModel"] for asked in vendor.wire.to(LIST)]
    assert [page["First"] for page in asked] == list(range(0, 78, shown))
    assert {page["Rows"] for page in asked} == {page_size}


def test_what_is_sent_for_a_list_is_what_the_vendors_page_has(small: Vendor) -> None:
    with pytest.raises(BodyError, match=r"there are \d+ rows, but its pages hold .* see the setting 'first_row'"):
        small.read(page_size=1000, show_paid=False, first_row=1, catalog=make_catalog(connector="midnight"))
    assert json.loads(small.wire.to(LIST)[0].body) == {
        "ShowPaid": False,
        "ShowInactive": True,
        "tableFilterModel": {"Filters": {}, "First": 1, "Rows": 1000, "SortField": "InvoiceDate", "SortOrder": 1},
    }


def test_paid_and_inactive_invoices_can_be_left_out(vendor: Vendor, whole: Output) -> None:
    everything = {record["Guid"]: record for record in whole.records("invoices")}
    for settings, wanted in (
        ({"show_paid": False}, {g for g, row in everything.items() if row["PaymentStatus"] != "Paid"}),
        ({"show_inactive": False}, {g for g, row in everything.items() if row["Active"]}),
    ):
        assert 0 < len(wanted) < INVOICES
        output = vendor.read(**settings)
        assert {record["Guid"] for record in output.records("invoices")} == set(guids(output)) == wanted


@pytest.mark.parametrize("form", FORMATS)
def test_a_list_of_none_is_no_error(sandboxes: StartVendor, form: str) -> None:
    assert sandboxes("midnight", invoices=0).read(format=form).of("RECORD") == []


# --- again, and after something has changed ----------------------------------------------------------


def undated(vendor: Vendor) -> set[str]:
    return {guid for guid, invoice in truth(vendor).items() if invoice["InvoiceDate"] is None}


@pytest.mark.parametrize("form", FORMATS)
def test_the_next_run_fetches_what_is_new_and_what_has_no_date(small: Vendor, form: str) -> None:
    settings: dict[str, Any] = {"lookback_days": 0, "format": form}
    state, known = small.read(**settings).state, set(truth(small))
    assert len(undated(small)) == 1
    again = small.read(state=state, **settings)
    assert set(guids(again)) == undated(small)
    assert len(again.records("invoices")) == 60, "the list is read as a whole each time"
    assert again.state["bookmarks"] == state["bookmarks"]

    small.state.add(3)
    output = small.read(state=state, **settings)
    added = set(truth(small)) - known
    assert set(guids(output)) == undated(small) | added
    assert len(added) == 3
    assert set(guids(small.read(state=output.state, **settings))) == undated(small)


def test_each_run_looks_back_as_many_days_as_are_set_and_so_finds_payments(sandboxes: StartVendor) -> None:
    vendor = sandboxes("midnight", invoices=INVOICES)
    state = vendor.read().state
    dated = {guid: i["InvoiceDate"] for guid, i in truth(vendor).items() if i["InvoiceDate"]}
    latest = max(dated.values())
    early, late = min(dated, key=lambda guid: dated[guid]), max(dated, key=lambda guid: dated[guid])
    for guid in (early, late):
        vendor.state.touch(guid, datetime(2022, 2, 1, tzinfo=UTC))
    for days in (1, 90):
        recent = {guid for guid, at in dated.items() if at >= latest - timedelta(days)}
        output = vendor.read(state=state, lookback_days=days)
        assert set(guids(output)) == recent | undated(vendor)
        assert (late in recent, early in recent) == (True, days == 90)
        paid = {record["GUID"]: record["PaymentStatus"] for record in output.records("invoice_details")}
        assert paid[late] == "Paid"
        assert output.state["bookmarks"] == state["bookmarks"]


@pytest.mark.parametrize("form", FORMATS)
def test_a_run_that_is_killed_half_way_goes_on_from_its_last_state(
    sandboxes: StartVendor, killed: KillTap, form: str
) -> None:
    vendor = sandboxes("midnight", invoices=240, latency_ms=20)
    config = vendor.config(lookback_days=0, format=form)
    first = killed("midnight", {**config, "concurrency": 2}, lambda: vendor.state.requests["detail"] >= 170)
    assert first.of("STATE"), "it has come to a state"
    asked = vendor.state.requests["detail"]
    second = vendor.read(state=first.state, lookback_days=0, format=form, concurrency=16)
    assert vendor.state.requests["detail"] - asked < 200, "it did not begin again"
    wanted = {guid: invoice["TotalBilledAmount"] for guid, invoice in truth(vendor).items()}
    for stream, key, amount in (
        ("invoices", "Guid", "InvoiceAmount"),
        ("invoice_details", "GUID", "TotalBilledAmount"),
    ):
        together = first.records(stream) + second.records(stream)
        assert {record[key]: record[amount] for record in together} == wanted


# --- what the vendor does not have -------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("missing", ["404", "empty"])
def test_an_unknown_invoice_is_skipped_with_a_warning_and_never_a_record(
    sandboxes: StartVendor, tap: RunTap, form: str, missing: str
) -> None:
    vendor = sandboxes("midnight", invoices=5, missing=missing)
    known = list(truth(vendor))
    wanted = [known[0], UNKNOWN, known[1]]
    if form == "json":  # as the command does it; what XML adds needs no process
        done = tap(vendor.config(invoice_guids=wanted), connector="midnight")
        assert done.code == 0
        (warning,) = [line for line in done.stderr.splitlines() if "Skipped" in line]
        assert f"midnight, invoice_details (guid {UNKNOWN}): " in warning
        assert ("404" if missing == "404" else "an empty document") in warning
    else:
        done = vendor.read(invoice_guids=wanted, format=form)
    assert guids(done) == known[:2]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("missing", ["404", "empty"])
def test_an_unknown_invoice_fails_the_run_if_wanted(sandboxes: StartVendor, form: str, missing: str) -> None:
    vendor = sandboxes("midnight", invoices=5, missing=missing)
    with pytest.raises(MissingError, match=f"guid {UNKNOWN}"):
        vendor.read(invoice_guids=[UNKNOWN], on_missing="fail", format=form)


# --- signing in --------------------------------------------------------------------------------------


def test_it_signs_in_once_as_documented(small: Vendor) -> None:
    small.read()
    (login,) = small.wire.to(LOGIN)
    assert json.loads(login.body) == {
        "DomainName": sandbox.DOMAIN,
        "UserName": sandbox.USER,
        "Password": sandbox.PASSWORD,
        "IsPasswordEncrypted": False,
    }
    assert calls(small) == {"token": 1, "refresh": 0}
    sent = {asked.headers["authorization"].partition(" ")[0] for asked in small.wire.to(DETAIL)}
    assert sent == {"Bearer"}
    assert not [asked for asked in small.wire.asked if "miskey" in asked.headers]


@pytest.mark.parametrize(
    "wrong",
    [{"password": "Not-4711"}, {"user_name": "Not-4711"}, {"domain_name": "Not-4711"}, {"is_password_encrypted": True}],
)
def test_a_wrong_sign_in_is_one_request_and_a_sentence(sandboxes: StartVendor, wrong: Mapping[str, Any]) -> None:
    vendor = sandboxes("midnight", invoices=5)
    with pytest.raises(CredentialsError, match="refuses the credentials") as caught:
        vendor.read(**wrong)
    assert "4711" not in str(caught.value)
    assert sandbox.PASSWORD not in str(caught.value)
    assert vendor.state.requests == {"token": 1}


def test_a_mis_key_is_sent_where_it_is_set(small: Vendor) -> None:
    assert len(guids(small.read(mis_key=sandbox.MIS_KEY))) == 60
    for path, sent in ((DETAIL, {sandbox.MIS_KEY}), (LIST, {sandbox.MIS_KEY}), (LOGIN, {None})):
        assert {asked.headers.get("miskey") for asked in small.wire.to(path)} == sent
    with pytest.raises(CredentialsError, match="refuses the credentials") as caught:
        small.read(mis_key="Not-4711")
    assert "4711" not in str(caught.value)


def test_another_authorization_scheme_can_be_sent(small: Vendor) -> None:
    with pytest.raises(CredentialsError):
        small.read(authorization_scheme="Midnight")
    assert {asked.headers["authorization"].partition(" ")[0] for asked in small.wire.to(LIST)} == {"Midnight"}


# --- renewing the token ------------------------------------------------------------------------------


def test_a_token_that_the_vendor_ends_in_the_middle_is_renewed_with_its_refresh_token(small: Vendor) -> None:
    for moment in (20, 40):
        small.wire.at[DETAIL, moment] = small.state.revoke_tokens
    assert {"": total(small.read().records("invoice_details"))} == small.state.totals()
    assert calls(small) == {"token": 1, "refresh": 2}
    first, second = (json.loads(asked.body) for asked in small.wire.to(RENEWAL))
    assert set(first) == set(second) == {"AuthToken", "RefreshToken"}
    assert first["RefreshToken"] != second["RefreshToken"], "it rotates"
    sent = {asked.headers["authorization"] for asked in small.wire.to(DETAIL)}
    assert {f"Bearer {first['AuthToken']}", f"Bearer {second['AuthToken']}"} < sent
    assert len(sent) == 3


def test_a_token_is_renewed_shortly_before_its_end(sandboxes: StartVendor) -> None:
    vendor = sandboxes("midnight", invoices=60, token_seconds=1, latency_ms=25)
    assert {"": total(vendor.read(concurrency=1).records("invoice_details"))} == vendor.state.totals()
    assert vendor.state.requests["token"] == 1
    assert vendor.state.requests["refresh"] >= 1


@pytest.mark.parametrize(("unit", "seconds"), [(None, 90), ("seconds", 90), ("minutes", 5400), ("milliseconds", 0.09)])
def test_the_unit_of_a_tokens_lifetime_can_be_set(vendor: Vendor, unit: str | None, seconds: float) -> None:
    chosen = {"expires_in_unit": unit} if unit else {}
    config = with_defaults(vendor.config(**chosen), validation.settings(MIDNIGHT))
    (authorize,) = MIDNIGHT.auth
    answer = json.dumps({"access_token": "a", "refresh_token": "r", "expires_in": 90}).encode()
    assert signed_in(authorize(config), answer).expires_in == pytest.approx(seconds)


def signed_in(steps: Generator[Any, Any, Credentials], answer: bytes) -> Credentials:
    """Drive a flow that remembers nothing to its end."""
    reply = None
    while True:
        try:
            asked = steps.send(reply)
        except StopIteration as end:
            credentials: Credentials = end.value
            return credentials
        reply = Reply(200, {}, answer, datetime.now(UTC)) if isinstance(asked, Request) else None


def test_where_the_refresh_token_is_refused_it_signs_in_again(small: Vendor) -> None:
    small.wire.at[DETAIL, 20] = lambda: small.state.revoke_tokens(refresh=True)
    assert {"": total(small.read().records("invoice_details"))} == small.state.totals()
    assert calls(small) == {"token": 2, "refresh": 1}


# --- the token file ----------------------------------------------------------------------------------


def kept(path: Path) -> set[str]:
    """The tokens in a token file."""
    return set(json.loads(path.read_text(encoding="utf-8")).values())


def test_the_next_run_renews_what_the_token_file_holds_and_does_not_sign_in(small: Vendor, tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    path.touch(mode=0o644)
    path.write_text("{}", encoding="utf-8")
    for run in range(3):
        assert len(guids(small.read(token_file=str(path)))) == 60
        assert calls(small) == {"token": 1, "refresh": run}
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert len(kept(path)) == 2
        assert small.wire.asked[-1].headers["authorization"].partition(" ")[2] in kept(path)
    assert not list(tmp_path.glob(".*")), "no temporary file is left"


def test_a_token_is_in_the_file_before_it_is_used(small: Vendor, tmp_path: Path) -> None:
    path, found = tmp_path / "tokens.json", []

    def look() -> None:
        used = small.wire.asked[-1].headers["authorization"].partition(" ")[2]
        found.append((used in kept(path), len(kept(path))))

    small.wire.at[LIST, 1] = look  # after it has signed in
    small.wire.at[DETAIL, 20] = small.state.revoke_tokens
    small.wire.at[DETAIL, 75] = look  # after it has renewed
    small.read(token_file=str(path), concurrency=1)
    small.read(token_file=str(path), concurrency=1)
    assert found == [(True, 2), (True, 2)]


def test_a_run_that_is_killed_after_it_has_renewed_leaves_tokens_that_work(
    sandboxes: StartVendor, killed: KillTap, tmp_path: Path
) -> None:
    vendor = sandboxes("midnight", invoices=60, latency_ms=20)
    settings = {"token_file": str(tmp_path / "tokens.json")}
    vendor.read(**settings)
    killed("midnight", vendor.config(**settings), lambda: vendor.state.requests["detail"] > 60)
    assert calls(vendor) == {"token": 1, "refresh": 1}
    assert len(guids(vendor.read(**settings))) == 60
    assert calls(vendor) == {"token": 1, "refresh": 2}


def test_where_the_kept_refresh_token_is_refused_it_signs_in(small: Vendor, tmp_path: Path) -> None:
    settings = {"token_file": str(tmp_path / "tokens.json")}
    small.read(**settings)
    small.state.revoke_tokens(refresh=True)
    assert len(guids(small.read(**settings))) == 60
    assert calls(small) == {"token": 2, "refresh": 1}
    small.read(**settings)
    assert calls(small) == {"token": 2, "refresh": 2}


def test_the_tokens_of_another_account_are_left_alone(small: Vendor, tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    small.read(token_file=str(path))
    before = kept(path)
    with pytest.raises(CredentialsError):
        small.read(token_file=str(path), user_name="another")
    assert calls(small) == {"token": 2, "refresh": 0}
    assert kept(path) == before


@pytest.mark.parametrize("text", ["", "[]", '{"access'])
def test_a_token_file_that_cannot_be_read_is_named(small: Vendor, tmp_path: Path, text: str) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"the token file .*tokens\.json"):
        small.read(token_file=str(path))
    assert not small.state.requests


def test_a_token_file_that_cannot_be_written_stops_before_a_token_is_used(small: Vendor, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the token file .*tokens\.json"):
        small.read(token_file=str(tmp_path / "none" / "tokens.json"))
    assert not small.wire.to(LIST)


# --- into a database ---------------------------------------------------------------------------------


def test_json_and_xml_give_identical_tables_that_hold_what_the_sandbox_holds(
    vendor: Vendor, warehouses: Callable[..., Warehouse]
) -> None:
    tables = []
    for form in FORMATS:
        warehouse = warehouses(form, "midnight")
        assert warehouse.load(vendor.config(format=form)).exit_code == 0
        tables.append([warehouse.table(stream) for stream in STREAMS])
        for stream, amount in (("invoices", "InvoiceAmount"), ("invoice_details", "TotalBilledAmount")):
            found = warehouse.query(f"SELECT count(*), sum({amount}) FROM midnight.{stream}")
            assert found == [vendor.state.totals()[""]]
    assert tables[0] == tables[1]
