"""The Amazon Vendor connector against its sandbox: what is asked, what comes out, what is said when it goes wrong."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import stat
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import fsspec
import pytest
from starlette.responses import JSONResponse

from tap_amazon_vendor import AMAZON_VENDOR, _restricted_data_token_url, sandbox
from vendortap.errors import ConfigError, CredentialsError, MissingError, RecordError
from vendortap.operate import demo

if TYPE_CHECKING:
    from tests.conftest import Asked, KillTap, Message, Output, RunTap, StartVendor, Vendor, Warehouse

NAME = "amazon-vendor"
LISTS = {version: f"{sandbox.SHIPPING_PATH}/{version}/customerInvoices" for version in sandbox.VERSIONS}
LIST = LISTS["v1"]
END = "2026-07-01"
FIRST = datetime(2026, 5, 1, tzinfo=UTC)
LAST = datetime(2026, 7, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
Start = Callable[..., "Vendor"]
Catalog = Callable[..., Any]


@pytest.fixture
def start(sandboxes: StartVendor) -> Start:
    return lambda **options: sandboxes(NAME, **{"invoices": 120, "rate_limit": 0, **options})


@pytest.fixture(scope="module")
def quiet(sandboxes: StartVendor) -> Vendor:
    """A sandbox that no test changes."""
    return sandboxes(NAME, invoices=120, rate_limit=0)


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vendortap.http.rate_limit.BACKOFF_SECONDS", 0.02)


@pytest.fixture(scope="session")
def only_list(catalog: Catalog) -> Any:
    return catalog(streams=["customer_invoices"], connector=NAME)


def truth(vendor: Vendor) -> dict[str, str]:
    """Purchase order number → content, in the order in which the orders became available."""
    return {invoice["purchaseOrderNumber"]: invoice["content"] for invoice in vendor.state.invoices()}


def orders(output: Output) -> list[str]:
    """The orders, each once, in the order of the records."""
    return list(dict.fromkeys(r["purchaseOrderNumber"] for r in output.records("customer_invoices")))


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def windows(asked: list[Asked]) -> list[tuple[datetime, datetime]]:
    """The windows that were asked for, each once."""
    texts = dict.fromkeys((a.params["createdAfter"], a.params["createdBefore"]) for a in asked)
    return sorted((moment(after), moment(before)) for after, before in texts)


def bookmark(output: Output) -> datetime:
    return moment(output.state["bookmarks"]["customer_invoices"]["replication_key_value"])


# --- what comes out ----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", sandbox.VERSIONS)
def test_both_versions_give_every_invoice_with_its_document_and_the_end_of_its_window(
    start: Start, version: str
) -> None:
    vendor = start()
    output = vendor.read(api_version=version, end_date=END)
    records = output.records("customer_invoices")
    assert {r["purchaseOrderNumber"]: r["content"] for r in records} == truth(vendor)
    assert orders(output) == list(truth(vendor)), "the oldest window first"
    ends = {before for _, before in windows(vendor.wire.to(LISTS[version]))}
    assert {moment(r["createdBefore"]) for r in records} <= ends
    assert {r["content_path"] for r in records} == {None}
    assert bookmark(output) == max(ends) == LAST
    resources = json.loads(vendor.wire.to(sandbox.RDT_PATH)[0].body)["restrictedResources"]
    path = LISTS[version]
    assert resources == [{"method": "GET", "path": p} for p in (path, path + "/{purchaseOrderNumber}")]


def test_the_same_records_in_the_same_order_at_every_concurrency(start: Start) -> None:
    vendor = start(jitter_seconds=0.02)
    first, other = [vendor.read(concurrency=count, window_days=2, limit=2, end_date=END) for count in (1, 16)]
    assert other.records("customer_invoices") == first.records("customer_invoices")
    assert other.state == first.state


def test_tables_hold_what_the_sandbox_holds_to_the_cent(start: Start, warehouses: Callable[..., Warehouse]) -> None:
    vendor, warehouse = start(), warehouses("w", NAME)
    for _ in range(2):
        outcome = warehouse.load(vendor.config(purchase_order_numbers=list(truth(vendor))[:7]))
        assert outcome.exit_code == 0
        counts, found = demo.held(AMAZON_VENDOR, warehouse.path)
        assert set(counts.values()) == {120}
        assert found == vendor.state.totals()
    assert warehouse.query("SELECT count(*) FROM amazon_vendor.customer_invoices_by_number") == [(7,)]
    assert warehouse.columns("customer_invoices")["createdBefore"] == "TIMESTAMP WITH TIME ZONE"


# --- windows -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [1, 3, 7])
def test_windows_of_at_most_the_days_allowed_overlap_from_the_start_to_the_end(start: Start, days: int) -> None:
    vendor = start(invoices=20)
    vendor.read(window_days=days, end_date=END)
    asked = windows(vendor.wire.to(LIST))
    assert max(before - after for after, before in asked) == timedelta(days=days)
    assert all(following[0] < before for (_, before), following in pairwise(asked))
    assert asked[0][0] <= FIRST
    assert asked[-1][1] == LAST


@pytest.mark.parametrize("end", [None, "2999-12-31"])
def test_the_last_window_ends_now_and_never_later(start: Start, end: str | None) -> None:
    vendor = start(invoices=20)
    began = datetime.now(UTC).replace(microsecond=0)
    output = vendor.read(start_date=(began - timedelta(days=9)).date().isoformat(), end_date=end)
    last = windows(vendor.wire.to(LIST))[-1][1]
    assert began <= last <= datetime.now(UTC)
    assert began - timedelta(minutes=2) <= bookmark(output) <= last


@pytest.mark.parametrize("bounds", ["[)", "()", "[]"])
@pytest.mark.parametrize("edge", ["end of the first", "beginning of the second"])
def test_an_order_exactly_on_a_boundary_comes_through_whatever_the_bounds(start: Start, bounds: str, edge: str) -> None:
    ends = [FIRST + timedelta(days=7) - SECOND, FIRST + timedelta(days=7) - 2 * SECOND]
    at = ends[edge != "end of the first"]
    vendor = start(invoices=6, start=at, end=at + timedelta(days=3), bounds=bounds)
    output = vendor.read(end_date=END)
    asked = windows(vendor.wire.to(LIST))
    assert at in (asked[0][1], asked[1][0])
    assert orders(output) == list(truth(vendor))


@pytest.mark.parametrize("bounds", ["[)", "()", "[]"])
def test_nothing_is_lost_whatever_the_bounds(start: Start, bounds: str) -> None:
    vendor = start(bounds=bounds)
    first = vendor.read(end_date="2026-06-01", lookback_days=0)
    second = vendor.read(end_date=END, lookback_days=0, state=first.state)
    assert list(dict.fromkeys(orders(first) + orders(second))) == list(truth(vendor))


# --- how it asks -------------------------------------------------------------------------------------


def test_a_next_token_is_sent_with_all_the_other_parameters(start: Start) -> None:
    vendor = start()
    output = vendor.read(limit=3, sort_order="DESC", ship_from_party_id="ABCD", end_date=END, concurrency=1)
    asked = vendor.wire.to(LIST)
    assert sum("nextToken" in a.params for a in asked) > 10
    for before, after in pairwise(asked):
        if "nextToken" in after.params:
            rest = {name: value for name, value in after.params.items() if name != "nextToken"}
            assert rest == {name: value for name, value in before.params.items() if name != "nextToken"}
            own = {name: value for name, value in rest.items() if not name.startswith("created")}
            assert own == {"limit": "3", "sortOrder": "DESC", "shipFromPartyId": "ABCD"}
            assert len(rest) == 5
    assert set(orders(output)) == set(list(truth(vendor))[::2]), "every second order is of this warehouse"


def test_the_order_within_a_window_is_the_one_wanted(quiet: Vendor) -> None:
    ascending, descending = (quiet.read(sort_order=order, end_date="2026-05-07") for order in ("ASC", "DESC"))
    assert orders(descending) == orders(ascending)[::-1]
    assert len(orders(ascending)) > 5


def test_without_a_warehouse_none_is_asked_for_and_a_page_has_a_hundred(start: Start) -> None:
    vendor = start(invoices=5)
    vendor.read(end_date="2026-05-03")
    (asked,) = vendor.wire.to(LIST)
    assert set(asked.params) == {"createdAfter", "createdBefore", "limit", "sortOrder"}
    assert (asked.params["limit"], asked.params["sortOrder"]) == ("100", "ASC")
    assert asked.headers["accept"] == "application/json"
    assert 0 < len(asked.headers["user-agent"]) <= 500


@pytest.mark.parametrize("form", ["setting", "text", "csv"])
@pytest.mark.parametrize("version", sandbox.VERSIONS)
def test_just_the_orders_that_are_named(
    quiet: Vendor, tmp_path: Path, catalog: Catalog, form: str, version: str
) -> None:
    wanted = [list(truth(quiet))[n] for n in (90, 4, 88)]
    path = tmp_path / "numbers"
    lines = "\n".join(wanted) if form == "text" else "who,number\n" + "".join(f'"a, b",{n}\n' for n in wanted)
    path.write_text(lines, encoding="utf-8")
    settings: dict[str, dict[str, Any]] = {
        "setting": {"purchase_order_numbers": wanted},
        "text": {"purchase_order_numbers_file": str(path)},
        "csv": {"purchase_order_numbers_file": str(path), "purchase_order_numbers_column": "number"},
    }
    only = catalog(streams=["customer_invoices_by_number"], connector=NAME)
    output = quiet.read(catalog=only, api_version=version, **settings[form])
    records = output.records("customer_invoices_by_number")
    assert [(r["purchaseOrderNumber"], r["content"]) for r in records] == [(n, truth(quiet)[n]) for n in wanted]
    assert (
        quiet.read(catalog=only, state=output.state, **settings[form]).records("customer_invoices_by_number") == records
    ), "there is nothing to go on from"


def test_an_order_that_is_not_there_is_skipped_or_fails(
    quiet: Vendor, catalog: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = next(iter(truth(quiet)))
    config = {
        "catalog": catalog(streams=["customer_invoices_by_number"], connector=NAME),
        "purchase_order_numbers": ["NOSUCH1", wanted],
    }
    with caplog.at_level(logging.WARNING):
        output = quiet.read(**config)
    assert [r["purchaseOrderNumber"] for r in output.records("customer_invoices_by_number")] == [wanted]
    (warning,) = [text for text in caplog.messages if "Skipped" in text]
    assert "amazon-vendor, customer_invoices_by_number (purchase order number NOSUCH1): " in warning
    with pytest.raises(MissingError, match=r"\(purchase order number NOSUCH1\): .* 404 .*request id"):
        quiet.read(on_missing="fail", **config)


REGIONS = ("na", "eu", "fe")


@pytest.mark.parametrize("region", REGIONS)
def test_regions_and_their_sandboxes_have_addresses_and_restricted_tokens_come_from_production(region: str) -> None:
    production = f"https://sellingpartnerapi-{region}.amazon.com"
    tokens = f"{production}/tokens/2021-03-01/restrictedDataToken"
    for is_sandbox, url in ((False, production), (True, f"https://sandbox.sellingpartnerapi-{region}.amazon.com")):
        config = {"region": region, "sandbox": is_sandbox}
        assert (AMAZON_VENDOR.base_url(config), _restricted_data_token_url(config)) == (url, tokens)
        own = {**config, "base_url": "https://x.example/"}
        assert AMAZON_VENDOR.base_url(own) == "https://x.example/"
        assert _restricted_data_token_url(own) == "https://x.example/tokens/2021-03-01/restrictedDataToken"
        given = {**own, "restricted_data_token_url": "https://y.example/rdt"}
        assert _restricted_data_token_url(given) == "https://y.example/rdt"


# --- again, and going on -----------------------------------------------------------------------------


def test_the_next_run_looks_back_and_finds_what_is_new(start: Start) -> None:
    vendor = start()
    first = vendor.read(end_date="2026-06-30")
    vendor.state.add(5)
    second = vendor.read(end_date=END, state=first.state)
    every = list(truth(vendor))
    assert orders(second)[-5:] == every[-5:]
    assert 15 <= len(orders(second)) <= 25, "two a day, for seven days before the last window's end"
    assert bookmark(second) == LAST
    third = vendor.read(end_date=END, state=second.state, lookback_days=0)
    assert third.of("RECORD") == []
    assert bookmark(third) == LAST


@pytest.mark.parametrize("lookback", [0, 7, 30, 10_000])
def test_the_bookmark_never_goes_back(start: Start, monkeypatch: pytest.MonkeyPatch, lookback: int) -> None:
    monkeypatch.setattr("vendortap.singer.stream.STATE_SECONDS", 0)
    vendor = start(invoices=30)
    first = vendor.read(end_date=END)
    second = vendor.read(end_date=END, state=first.state, lookback_days=lookback, window_days=1)
    for output, least in ((first, FIRST), (second, LAST)):
        states = [m["value"].get("bookmarks", {}).get("customer_invoices", {}) for m in output.of("STATE")]
        marks = [moment(state["replication_key_value"]) for state in states if state.get("replication_key_value")]
        assert marks == sorted(marks)
        assert marks[0] >= least
    assert len(first.of("STATE")) > 8, "one a window"


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_run_that_is_killed_goes_on_at_its_window_and_skips_none(
    start: Start, killed: KillTap, only_list: Any, concurrency: int
) -> None:
    vendor = start(latency_ms=35 * concurrency)
    config = vendor.config(window_days=1, concurrency=concurrency, lookback_days=0, end_date=END)
    part = killed(NAME, config, lambda: vendor.state.requests["list"] >= 50)
    state = part.of("STATE")[-1]["value"]
    stopped = moment(state["bookmarks"]["customer_invoices"]["replication_key_value"])
    assert FIRST < stopped < LAST
    asked = len(vendor.wire.asked)
    rest = vendor.read(state=state, concurrency=16, lookback_days=0, end_date=END)
    after = windows([a for a in vendor.wire.asked[asked:] if a.path == LIST])
    assert after[0][0] == stopped - SECOND
    assert bookmark(rest) == LAST
    every, come = list(truth(vendor)), orders(part)
    assert come == every[: len(come)], "without a gap"
    assert list(dict.fromkeys(come + orders(rest))) == every
    assert len(orders(rest)) < len(every)


def test_a_window_that_fails_is_where_the_next_run_goes_on(start: Start, tap: RunTap) -> None:
    vendor = start()
    fails = "2026-05-21"  # the windows behind it may have been fetched by then; the bookmark is not beyond it

    def refuse() -> None:
        if vendor.wire.asked[-1].params["createdAfter"].startswith(fails):
            vendor.state.fail(1, 400)

    vendor.wire.at = {(LIST, count): refuse for count in range(1, 100)}
    done = tap(vendor.config(concurrency=4, end_date=END, lookback_days=0), connector=NAME)
    assert done.code == 1
    assert "amazon-vendor, customer_invoices" in done.complaint
    assert bookmark(done).date().isoformat() == fails
    vendor.wire.at.clear()
    rest = vendor.read(end_date=END, lookback_days=0, state=done.state)
    assert list(dict.fromkeys(orders(done) + orders(rest))) == list(truth(vendor))


# --- tokens ------------------------------------------------------------------------------------------


def test_calls_carry_a_restricted_data_token_that_was_had_for_an_access_token(start: Start) -> None:
    vendor = start(invoices=20)
    vendor.read(end_date=END)
    (login,), (exchange,) = vendor.wire.to(sandbox.LWA_PATH), vendor.wire.to(sandbox.RDT_PATH)
    assert parse_qs(login.body.decode()) == {
        "grant_type": ["refresh_token"],
        "refresh_token": [sandbox.REFRESH_TOKEN],
        "client_id": [sandbox.CLIENT_ID],
        "client_secret": [sandbox.CLIENT_SECRET],
    }
    plain = exchange.headers["x-amz-access-token"]
    (restricted,) = {asked.headers["x-amz-access-token"] for asked in vendor.wire.to(LIST)}
    assert restricted != plain
    assert "authorization" not in exchange.headers


def test_a_plain_token_will_do_where_it_is_allowed(start: Start) -> None:
    vendor = start(restricted=False)
    assert orders(vendor.read(restricted_data_token=False, end_date=END)) == list(truth(vendor))
    assert vendor.state.requests["restricted_token"] == 0


def test_a_plain_token_that_is_refused_is_a_sentence(start: Start) -> None:
    vendor = start()
    with pytest.raises(CredentialsError, match=r"amazon-vendor, customer_invoices .*: .*403.*request id.*denied"):
        vendor.read(restricted_data_token=False, end_date=END)
    assert vendor.state.requests == {"token": 1, "list": 1}


def test_a_token_that_expires_in_the_middle_of_a_list_is_renewed_once_and_the_page_asked_again(start: Start) -> None:
    vendor = start()
    vendor.wire.at[LIST, 8] = vendor.state.expire_tokens
    output = vendor.read(limit=5, concurrency=1, end_date=END)
    assert orders(output) == list(truth(vendor))
    assert (vendor.state.requests["token"], vendor.state.requests["restricted_token"]) == (2, 2)
    asked = vendor.wire.to(LIST)
    assert "nextToken" in asked[7].params
    assert asked[7].params == asked[8].params
    assert len({json.dumps(a.params, sort_keys=True) for a in asked}) == len(asked) - 1


def test_a_token_that_is_expired_for_good_stops(start: Start) -> None:
    vendor = start(token_seconds=0)
    with pytest.raises(CredentialsError, match="403"):
        vendor.read(end_date=END, restricted_data_token=False)
    assert vendor.state.requests == {"token": 2, "list": 2}


def test_a_revoked_token_is_no_expired_one(start: Start) -> None:
    vendor = start()
    vendor.wire.at[LIST, 3] = vendor.state.revoke_tokens
    with pytest.raises(CredentialsError, match=r"403 Forbidden \(request id [0-9a-f-]{36}\): Access .* denied"):
        vendor.read(end_date=END, concurrency=1)
    assert vendor.state.requests["token"] == 1


def test_another_403_stops_with_the_request_id(start: Start) -> None:
    vendor = start()
    error = {
        "code": "Unauthorized",
        "message": "Access to requested resource is denied.",
        "details": "The LWA secret token you provided has expired",
    }
    vendor.wire.change[LIST] = lambda _: JSONResponse({"errors": [error]}, 403, {"x-amzn-RequestId": "rid-4711"})
    with pytest.raises(CredentialsError, match=r"amazon-vendor, customer_invoices .*: .*\(request id rid-4711\)"):
        vendor.read(end_date=END)
    assert vendor.state.requests["token"] == 1


def test_a_wrong_role_is_a_sentence(start: Start) -> None:
    vendor = start()
    message = "Application do not have access to some or all requested resource"
    error = {"code": "InvalidInput", "message": message, "details": ""}
    vendor.wire.change[sandbox.RDT_PATH] = lambda _: JSONResponse({"errors": [error]}, 400)
    with pytest.raises(CredentialsError, match=f"400 .*{message}"):
        vendor.read(end_date=END)
    assert vendor.state.requests == {"token": 1, "restricted_token": 1}


@pytest.mark.parametrize("answer", [{}, {"restrictedDataToken": 7}, {"restrictedDataToken": "t", "expiresIn": "soon"}])
def test_an_answer_without_a_usable_restricted_data_token_is_a_sentence(
    start: Start, answer: Mapping[str, Any]
) -> None:
    vendor = start()
    vendor.wire.change[sandbox.RDT_PATH] = lambda _: answer
    with pytest.raises(CredentialsError, match=r"amazon-vendor.*(restrictedDataToken|expiresIn)"):
        vendor.read(end_date=END)


def test_a_wrong_refresh_token_stops_before_the_first_request(start: Start) -> None:
    vendor = start()
    with pytest.raises(CredentialsError, match="invalid grant parameter") as caught:
        vendor.read(refresh_token="Atzr|hush-hush")
    assert "hush-hush" not in str(caught.value)
    assert vendor.state.requests == {"token": 1}


def test_a_refresh_token_that_rotates_is_kept_for_the_next_run(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor, path = start(), tmp_path / "tokens.json"
    vendor.wire.change[sandbox.LWA_PATH] = lambda document: document | {"refresh_token": "Atzr|second"}
    vendor.read(token_file=str(path), end_date="2026-05-03")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(json.loads(path.read_text()).values()) == ["Atzr|second"]
    monkeypatch.setattr(sandbox, "REFRESH_TOKEN", "Atzr|second")  # the first is worth nothing from now on
    del vendor.wire.change[sandbox.LWA_PATH]
    assert len(vendor.read(token_file=str(path), end_date="2026-05-03").of("RECORD")) > 0
    with pytest.raises(CredentialsError):
        vendor.read(end_date="2026-05-03")


# --- limits ------------------------------------------------------------------------------------------


def test_ten_a_second_with_a_burst_of_ten_for_each_operation_is_declared() -> None:
    limit = AMAZON_VENDOR.limit
    assert limit is not None
    assert (limit.rate, limit.burst, limit.each_endpoint, limit.adaptive) == (10, 10, True, True)


def test_the_tap_settles_at_the_rate_that_the_vendor_names(start: Start, read_tap: Callable[..., Output]) -> None:
    vendor = start(invoices=40, rate_limit=5)
    config = vendor.config(window_days=3, end_date=END)
    del config["requests_per_second"]
    output = read_tap(config, connector=NAME)
    assert orders(output) == list(truth(vendor))
    assert vendor.state.requests["list"] - vendor.state.requests["429"] == 22, "one window is empty"
    assert vendor.state.requests["429"] <= 2, "the vendor fills its bucket by its own clock"


# --- documents ---------------------------------------------------------------------------------------

KINDS = {4: "application/xml", 9: "image/png"}
"""The sandbox's, by the last digits of an order's index."""
SUFFIXES = {"application/pdf": ".pdf", "application/xml": ".xml", "text/plain": ".txt", "image/png": ".png"}


def check_documents(vendor: Vendor, records: list[Message], data: Callable[[str], bytes]) -> None:
    contents = list(truth(vendor).items())
    for record in records:
        index = [number for number, _ in contents].index(record["purchaseOrderNumber"])
        wanted = base64.b64decode(contents[index][1])
        digest = hashlib.sha256(wanted).hexdigest()
        kind = "text/plain" if index == 5 else KINDS.get(index % 20, "application/pdf")
        assert record["content"] is None
        assert (record["content_sha256"], record["content_size"]) == (digest, len(wanted))
        assert record["content_media_type"] == kind
        assert record["content_path"].endswith(f"/{digest}{SUFFIXES[kind]}")
        assert data(record["content_path"]) == wanted


def test_documents_go_into_a_folder_under_the_hash_of_their_bytes(
    quiet: Vendor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "new" / "documents"
    config = {"documents_dir": str(folder), "end_date": END, "purchase_order_numbers": list(truth(quiet))[:10]}
    output = quiet.read(**config)
    check_documents(quiet, output.records("customer_invoices"), lambda path: Path(path).read_bytes())
    check_documents(quiet, output.records("customer_invoices_by_number"), lambda path: Path(path).read_bytes())
    assert len(list(folder.iterdir())) == 120
    written = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    quiet.read(**config)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == written, "the same document is one file"


def test_documents_go_to_any_storage_that_fsspec_knows(quiet: Vendor, tmp_path: Path, tap: RunTap) -> None:
    in_memory = quiet.read(documents_dir="memory://documents", end_date="2026-05-10").records("customer_invoices")
    check_documents(quiet, in_memory, lambda url: bytes(fsspec.filesystem("memory").cat_file(url)))
    assert len(in_memory) > 10
    url = (tmp_path / "documents").as_uri()
    done = tap(quiet.config(documents_dir=url, end_date="2026-05-10"), connector=NAME)
    assert done.code == 0
    check_documents(quiet, done.records("customer_invoices"), lambda path: Path(path[7:]).read_bytes())


@pytest.mark.parametrize("stream", ["customer_invoices", "customer_invoices_by_number"])
def test_a_document_that_is_not_base64_is_a_sentence_with_field_and_key(
    start: Start, tmp_path: Path, catalog: Catalog, stream: str
) -> None:
    vendor = start(invoices=5)
    number = list(truth(vendor))[1]
    bad = {"purchaseOrderNumber": number, "content": "not Base64: LEAK!"}
    vendor.wire.change[LIST] = lambda _: {"payload": {"customerInvoices": [bad]}}
    vendor.wire.change[f"{LIST}/{number}"] = lambda _: {"payload": bad}
    config = {
        "catalog": catalog(streams=[stream], connector=NAME),
        "end_date": "2026-05-10",
        "purchase_order_numbers": [number],
    }
    with pytest.raises(RecordError, match=rf"amazon-vendor, {stream}.*{number}.* content is not Base64") as caught:
        vendor.read(documents_dir=str(tmp_path / "documents"), **config)
    assert "LEAK" not in str(caught.value)
    assert {r["content"] for r in vendor.read(**config).records(stream)} == {bad["content"]}, "kept as it came"


def test_a_folder_that_cannot_be_written_is_a_sentence(quiet: Vendor, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (str(tmp_path / "file"), str(tmp_path / "file" / "below"), "nosuchscheme://x"):
        with pytest.raises(ConfigError, match="'documents_dir'"):
            quiet.read(documents_dir=folder, end_date="2026-05-10")
