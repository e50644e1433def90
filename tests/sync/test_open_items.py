"""Open items: what a run did not obtain is remembered, and asked for again until it arrives. Over a real socket."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest
from starlette.responses import Response

from tests.conftest import make_catalog
from vendortap import StreamRecord, StreamState, read
from vendortap.declare.model import Slice
from vendortap.errors import OpenItemsError, RecordError, RefusedError, StateError
from vendortap.singer.maps import masks
from vendortap.support.redact import Redactor
from vendortap.sync import open_items, quarantine
from vendortap.sync.open_items import OpenItems
from vendortap.sync.state import check_state

if TYPE_CHECKING:
    from tests.conftest import Output, StartVendor, Vendor

DETAIL, SUMMARY = "/scsc/invoice/v1/detail", "/scsc/invoice/v1/summary"
DETAILS = make_catalog(streams=["invoice_details"])
LIST = make_catalog(streams=["invoices"])


class Withheld:
    """Stands before a sandbox: what names one of these numbers is answered with a status, or has its total spoiled."""

    def __init__(self, vendor: Vendor, status: int | None = 404) -> None:
        self.app, self.status = vendor.wire.app, status
        self.numbers: set[str] = set()
        self.asked: list[str] = []
        vendor.wire.app = self

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        query = scope["query_string"].decode()
        if scope["path"] == DETAIL:
            self.asked += [value for _, value in parse_qsl(query) if value.startswith("4000")]
        if self.status and any(number in query for number in self.numbers):
            await Response(status_code=self.status)(scope, receive, send)
            return
        if self.status:
            await self.app(scope, receive, send)
            return
        await self._spoiled(scope, receive, send)

    async def _spoiled(self, scope: Any, receive: Any, send: Any) -> None:
        said: list[Any] = []

        async def keep(message: Any) -> None:
            said.append(message)

        plain = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
        await self.app({**scope, "headers": plain}, receive, keep)
        body = b"".join(message.get("body", b"") for message in said)
        document = json.loads(body) if scope["path"] in (DETAIL, SUMMARY) else None
        for row in document if isinstance(document, list) else [document]:
            if row and row.get("InvoiceNumber") in self.numbers:
                row["Total"] = "none of your business"
                if self.loses_number:
                    row["InvoiceNumber"] = {}
        body = json.dumps(document).encode() if document is not None else body
        headers = [(name, value) for name, value in said[0]["headers"] if name != b"content-length"]
        await send({**said[0], "headers": [*headers, (b"content-length", str(len(body)).encode())]})
        await send({"type": "http.response.body", "body": body})

    loses_number = False


def items(output: Output, stream: str = "invoice_details") -> list[Any]:
    found: list[Any] = output.state["bookmarks"][stream].get("open", [])
    return found


def numbers(output: Output, stream: str = "invoice_details") -> list[str]:
    return [record["InvoiceNumber"] for record in output.records(stream)]


def long_ago(state: Any, days: float = 1) -> Any:
    """Return a state whose items were tried so many days before they were."""
    for entry in state["bookmarks"].values():
        for item in entry.get("open", []):
            item["tried"] = (datetime.fromisoformat(item["tried"]) - timedelta(days=days)).isoformat()
    return state


@pytest.fixture
def vendor(start: StartVendor) -> Vendor:
    return start(invoices=12)


@pytest.fixture
def some(vendor: Vendor) -> list[str]:
    """Three of its invoices, the first of all among them."""
    whole = numbers(vendor.read(catalog=DETAILS))
    return [whole[0], whole[4], whole[9]]


# --- documents ---------------------------------------------------------------------------------------


@pytest.mark.promise("A document that was listed and not obtained is asked for again until it arrives")
def test_a_missing_document_is_asked_for_again_and_arrives(vendor: Vendor, some: list[str]) -> None:
    """In the very next run, then with growing distance, whatever the bookmark covers."""
    door = Withheld(vendor)
    door.numbers = set(some)
    first = vendor.read(catalog=DETAILS)
    assert {item["key"][0] for item in items(first)} == set(some)
    assert {(item["why"], item["tries"]) for item in items(first)} == {("missing", 1)}
    assert all(item["partition"].keys() == {"customer_number"} for item in items(first))

    door.asked.clear()
    second = vendor.read(catalog=DETAILS, state=first.state)
    assert set(door.asked) == set(some)
    assert {item["tries"] for item in items(second)} == {2}
    assert {item["since"] for item in items(second)} == {item["since"] for item in items(first)}

    door.asked.clear()
    third = vendor.read(catalog=DETAILS, state=second.state)
    assert (door.asked, third.state) == ([], second.state), "not so soon"

    door.numbers.pop()
    fourth = vendor.read(catalog=DETAILS, state=long_ago(third.state))
    assert len(numbers(fourth)) == 1
    assert {item["key"][0] for item in items(fourth)} == door.numbers
    door.numbers.clear()
    fifth = vendor.read(catalog=DETAILS, state=long_ago(fourth.state))
    assert sorted([*numbers(fourth), *numbers(fifth)]) == sorted(some)
    assert items(fifth) == []
    assert vendor.read(catalog=DETAILS, state=fifth.state).records("invoice_details") == []


def test_a_document_that_the_list_shows_again_is_asked_for_once(vendor: Vendor, some: list[str]) -> None:
    door = Withheld(vendor)
    door.numbers = {some[0]}
    first = vendor.read(catalog=DETAILS)
    door.numbers.clear()
    door.asked.clear()
    vendor.state.touch(some[0], datetime.now(UTC) - timedelta(minutes=10))
    second = vendor.read(catalog=DETAILS, state=first.state)
    assert door.asked == numbers(second) == [some[0]]
    assert items(second) == []


def test_distance_grows() -> None:
    moment = datetime.fromisoformat("2025-01-01T00:00:00+00:00")
    unit = Slice({"customer_number": "1", "number": "7"}, {"customer_number": "1"})
    entry: dict[str, Any] = {}
    waited = []
    for _ in range(14):
        run = OpenItems(entry, now=moment)
        run.note(("7",), "missing", unit, of_list=False)
        began = moment
        while not OpenItems(entry, now=moment).documents([unit.partition]):
            moment += timedelta(minutes=30)
        waited.append((moment - began) / timedelta(hours=1))
    assert waited == [0, 1, 2, 4, 8, 16, 32, 64, 128, 168, 168, 168, 168, 168]
    assert OpenItems(entry, now=moment - timedelta(days=900)).documents([{}, unit.partition]), "a clock put back"
    assert len(entry["open"]) == 1


def test_a_run_asks_for_a_hundred_or_a_tenth_of_what_it_asks_for_anyway() -> None:
    entry: dict[str, Any] = {}
    run = OpenItems(entry)
    for number in range(300):
        run.note((str(number),), "missing", Slice({"number": str(number)}), of_list=False)
    run = OpenItems(entry)
    assert [len(run.documents([{}], asked)) for asked in (0, 1000, 1500, 5000)] == [100, 100, 150, 300]


def test_a_document_in_quarantine_is_an_item_until_the_vendor_mends_it(
    vendor: Vendor, some: list[str], tmp_path: Path
) -> None:
    door = Withheld(vendor, None)
    door.numbers = {some[1]}
    options: dict[str, Any] = {"on_bad_record": "quarantine", "quarantine_dir": str(tmp_path / "kept")}
    first = vendor.read(catalog=DETAILS, **options)
    assert [(item["key"], item["why"]) for item in items(first)] == [([some[1]], "does not fit")]
    door.numbers.clear()
    second = vendor.read(catalog=DETAILS, state=first.state, **options)
    assert (numbers(second), items(second)) == ([some[1]], [])
    assert '"done": "superseded"' in (tmp_path / "kept" / "scansource.jsonl").read_text()


def test_a_refused_document_fails_the_run_and_is_an_item(vendor: Vendor, some: list[str]) -> None:
    from tests.decode.test_bad_records import stopped

    door = Withheld(vendor, 400)
    door.numbers = {some[1]}
    output, error = stopped(vendor, RefusedError, catalog=DETAILS)
    assert some[1] in error
    assert [(item["key"], item["why"]) for item in items(output)] == [([some[1]], "refused")]
    door.numbers.clear()
    second = vendor.read(catalog=DETAILS, state=output.state)
    assert some[1] in numbers(second)
    assert len(set(numbers(second))) == len(numbers(second)), "asked for once"
    assert items(second) == []


def test_a_state_is_written_for_the_sake_of_items_alone(vendor: Vendor, some: list[str]) -> None:
    """No bookmark moves when an item arrives; the last STATE of the run says so all the same."""
    door = Withheld(vendor)
    door.numbers = set(some)
    first = vendor.read(catalog=DETAILS)
    door.numbers.clear()
    second = vendor.read(catalog=DETAILS, state=first.state)
    assert second.messages[-1]["type"] == "STATE"
    assert items(second) == []
    states = [m["value"] for m in second.messages if m["type"] == "STATE"]
    assert len(states[0]["bookmarks"]["invoice_details"]["open"]) == 3, "still there before its records"


def test_a_program_finds_them_in_its_last_state(vendor: Vendor, some: list[str]) -> None:
    door = Withheld(vendor)
    door.numbers = set(some)
    first = [*read("scansource", vendor.config(), streams=["invoice_details"])]
    assert isinstance(first[-1], StreamState)
    state = first[-1].state
    assert {item["key"][0] for item in state["bookmarks"]["invoice_details"]["open"]} == set(some)
    door.numbers.clear()
    second = [*read("scansource", vendor.config(), streams=["invoice_details"], state=state)]
    assert {item.record["InvoiceNumber"] for item in second if isinstance(item, StreamRecord)} == set(some)
    assert isinstance(second[-1], StreamState)
    assert second[-1].state["bookmarks"]["invoice_details"]["open"] == []


def test_a_stream_that_is_read_anew_forgets_them(vendor: Vendor, some: list[str]) -> None:
    door = Withheld(vendor)
    door.numbers = set(some)
    first = vendor.read(catalog=DETAILS)
    door.numbers.clear()
    anew = json.loads(json.dumps(DETAILS))
    for entry in anew["streams"]:
        entry["replication_method"] = "FULL_TABLE"
    second = vendor.read(catalog=anew, state=first.state)
    assert second.messages[0]["value"]["bookmarks"]["invoice_details"]["open"] == []
    assert len(numbers(second)) == 12


# --- records of lists --------------------------------------------------------------------------------


@pytest.mark.promise(
    "A record of a list that did not fit arrives when the vendor mends it, whatever the bookmark covers"
)
@pytest.mark.parametrize("loses_number", [False, True], ids=["with its key", "without"])
def test_a_row_of_a_list_arrives_when_it_is_mended(
    vendor: Vendor, some: list[str], tmp_path: Path, *, loses_number: bool
) -> None:
    whole = numbers(vendor.read(catalog=LIST), "invoices")
    door = Withheld(vendor, None)
    door.numbers, door.loses_number = {whole[2]}, loses_number
    options: dict[str, Any] = {"on_bad_record": "quarantine", "quarantine_dir": str(tmp_path / "kept")}
    first = vendor.read(catalog=LIST, **options)
    assert len(numbers(first, "invoices")) == 11
    (item,) = items(first, "invoices")
    assert (item["why"], item["key"] is None) == ("does not fit", loses_number)
    assert vendor.read(catalog=LIST, state=first.state, **options).records("invoices") == [] or loses_number
    door.numbers.clear()
    second = vendor.read(catalog=LIST, state=first.state, **options)
    assert whole[2] in numbers(second, "invoices")
    assert items(second, "invoices") == []
    if not loses_number:
        assert numbers(second, "invoices") == [whole[2]]
    assert vendor.read(catalog=LIST, state=second.state, **options).records("invoices") == []


def test_a_bad_record_is_met_again_whatever_the_bookmark_covers_until_it_is_closed(
    start: StartVendor, tmp_path: Path
) -> None:
    from tests.decode.test_bad_records import BAD, TOTAL, quarantined, spoil

    vendor = start(invoices=10)
    spoil(vendor, SUMMARY, TOTAL["json"], BAD["json"])
    options: dict[str, Any] = {"on_bad_record": "quarantine", "quarantine_dir": str(tmp_path / "kept")}
    first = vendor.read(catalog=LIST, **options)
    (tmp_path / "kept" / "scansource.jsonl").unlink()
    again = vendor.read(catalog=LIST, state=first.state, **options)
    assert again.records("invoices") == []
    bad = [entry["key"]["InvoiceNumber"] for entry in quarantined(tmp_path / "kept")]
    assert len(bad) == 2
    with pytest.raises(RecordError, match=bad[0]):
        vendor.read(catalog=LIST, state=first.state)
    assert vendor.read(catalog=LIST, state=first.state, closed_items=bad).records("invoices") == []


# --- what the operator says --------------------------------------------------------------------------


def test_closed_items_are_not_asked_for(vendor: Vendor, some: list[str]) -> None:
    door = Withheld(vendor)
    door.numbers = set(some)
    first = vendor.read(catalog=DETAILS)
    door.asked.clear()
    second = vendor.read(catalog=DETAILS, state=first.state, closed_items=some)
    assert door.asked == []
    assert all("closed" in item for item in items(second))
    third = vendor.read(catalog=DETAILS, state=second.state)
    assert door.asked == [], "closed for good"
    assert open_items.summary(third.state, datetime.now(UTC).date())["open"] == 0
    fresh = vendor.read(catalog=DETAILS, closed_items=some)
    assert set(some).isdisjoint(door.asked)
    assert items(fresh) == []


def test_a_stream_stops_where_there_are_too_many(
    vendor: Vendor, some: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.decode.test_bad_records import stopped

    monkeypatch.setattr(open_items, "MOST", 2)
    door = Withheld(vendor)
    door.numbers = set(some)
    output, error = stopped(vendor, OpenItemsError, catalog=DETAILS, concurrency=1)
    assert "vendortap open close" in error
    assert len(items(output)) == 2
    door.numbers.clear()
    monkeypatch.undo()
    second = vendor.read(catalog=DETAILS, state=output.state)
    assert set(some) <= {*numbers(output), *numbers(second)}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda item: item.pop("key"),
        lambda item: item.update(tried="soon"),
        lambda item: item.update(since="2025-01-01"),
        lambda item: item.update(tries="1"),
        lambda item: item.update(partition=[]),
        lambda item: item.update(key=[{}]),
        lambda item: item.update(acknowledged="one day"),
        lambda item: item.update(closed="then"),
        lambda item: item.update(closed="2025-01-01T00:00:00"),
        lambda item: item.update(key=[]),
        lambda item: item.update(key=[None]),
        lambda item: item.update(key=[1]),
        lambda item: item.update(changed=None),
        lambda item: item.update(begin="2025-01-01"),
        lambda item: item.update(begin="0001-01-01T00:00:00+23:59"),
        lambda item: item.update(slice={"from": "x"}),
        lambda item: item.update(slice={"from": [1]}, changed=item["since"]),
        lambda item: item.update(partition={"customer": 5}),
        lambda item: item.update(note=5),
    ],
)
def test_items_that_cannot_be_read_are_refused(spoil: Callable[[Any], Any]) -> None:
    moment = "2025-01-01T00:00:00+00:00"
    item = {"key": ["1"], "partition": {}, "why": "missing", "since": moment, "tried": moment, "tries": 1}
    assert check_state({"bookmarks": {"s": {"open": [item]}}})["bookmarks"]["s"]["open"] == [item]
    spoil(item)
    with pytest.raises(StateError, match="open items of 's' cannot be read"):
        check_state({"bookmarks": {"s": {"open": [item]}}})
    with pytest.raises(StateError):
        check_state({"bookmarks": {"s": {"open": 5}}})


# --- masked keys -------------------------------------------------------------------------------------

MASKED = {
    "invoice_details": {"InvoiceNumber": "md5(InvoiceNumber)"},
    "invoices": {"InvoiceNumber": "md5(InvoiceNumber)"},
}


@pytest.mark.promise("A key that a stream map masks is not in the state, and its open item arrives all the same")
def test_a_masked_key_is_not_in_the_state(vendor: Vendor, some: list[str]) -> None:
    door = Withheld(vendor)
    door.numbers = set(some)
    first = vendor.read(stream_maps=MASKED)
    text = json.dumps(first.state)
    assert len(items(first)) == 3
    assert not any(number in text for number in [*some, "40000000", "40000001"]), text
    again = vendor.read(stream_maps=MASKED, state=first.state)
    assert again.of("RECORD") == [], "what was handed on is known by its hash"
    door.numbers.clear()
    second = vendor.read(stream_maps=MASKED, state=long_ago(again.state))
    assert len(second.records("invoice_details")) == 3
    assert items(second) == []


@pytest.mark.parametrize(
    ("maps", "expected"),
    [
        (None, False),
        ({"other": {"Id": "md5(Id)"}}, False),
        ({"s": None}, False),
        ({"s": {"Name": "md5(Name)"}}, False),
        ({"s": {"Id": "Id", "__else__": None}}, False),
        ({"s": {"Id": "md5(Id)"}}, True),
        ({"s": {"Id": None}}, True),
        ({"s": {"Name": "Name", "__else__": None}}, True),
        ({"t": {"__source__": "s", "Id": "md5(Id)"}}, True),
        ({"*": {"Id": "md5(Id)"}}, True),
    ],
)
def test_what_masks_a_key(maps: Any, expected: bool) -> None:
    assert masks(maps, "s", ["Id"]) is expected


def test_a_record_that_was_replayed_is_open_no_more(vendor: Vendor, some: list[str], tmp_path: Path) -> None:
    door = Withheld(vendor, None)
    door.numbers = {some[1]}
    options: dict[str, Any] = {"on_bad_record": "quarantine", "quarantine_dir": str(tmp_path / "kept")}
    first = vendor.read(catalog=DETAILS, **options)
    kept = quarantine.of(vendor.connector, vendor.config(**options))
    assert kept is not None
    kept.close([entry.id for entry in kept.entries()[0]], "replayed")
    door.asked.clear()
    second = vendor.read(catalog=DETAILS, state=first.state, **options)
    assert (items(second), door.asked) == ([], [])


def test_a_window_is_read_again_for_what_is_open_in_it(sandboxes: StartVendor, tmp_path: Path) -> None:
    """Amazon hands out a few days at a time: the window of the row is its slice."""
    vendor = sandboxes("amazon-vendor", invoices=30)
    path = "/vendor/directFulfillment/shipping/v1/customerInvoices"
    options: dict[str, Any] = {"on_bad_record": "quarantine", "quarantine_dir": str(tmp_path / "kept")}
    options["end_date"] = "2026-07-01"
    whole = [row["purchaseOrderNumber"] for row in vendor.read(**options).records("customer_invoices")]

    def spoil(document: Any) -> Any:
        for row in document["payload"].get("customerInvoices", []):
            if row["purchaseOrderNumber"] == whole[3]:
                row["content"] = {"not": "a text"}
        return document

    vendor.wire.change[path] = spoil
    first = vendor.read(**options)
    (item,) = items(first, "customer_invoices")
    assert (item["key"], sorted(item["slice"])) == ([whole[3]], ["created_after", "created_before"])
    vendor.wire.change.clear()
    before = len(vendor.wire.to(path))
    second = vendor.read(state=first.state, **options)
    assert whole[3] in [row["purchaseOrderNumber"] for row in second.records("customer_invoices")]
    assert items(second, "customer_invoices") == []
    windows = {
        asked.params["createdBefore"] for asked in vendor.wire.to(path)[before:] if "createdBefore" in asked.params
    }
    assert item["slice"]["created_before"] in windows
    assert (
        second.state["bookmarks"]["customer_invoices"]["replication_key_value"]
        >= (first.state["bookmarks"]["customer_invoices"]["replication_key_value"])
    )


@pytest.mark.promise("A key that has a secret in it is not in the state, and its open item arrives all the same")
def test_a_key_with_a_secret_is_hashed_and_looked_for_in_the_list() -> None:
    redact, secret = Redactor(["pl4nted-secret"]), b"the secret settings"
    entry: dict[str, Any] = {}
    number, unit = "INV-pl4nted%2Dsecret", Slice({"customer": "1"}, {"customer": "1"})
    run = OpenItems(entry, secret=secret)
    run.note((number,), "missing", unit, of_list=False)
    run.note(("INV-2",), "missing", unit, of_list=False)
    assert "pl4nted" not in json.dumps(entry)
    again = OpenItems(entry, secret=secret)
    assert [item["key"] for item in again.documents([unit.partition])] == [["INV-2"]]
    assert len(again.slices(unit.partition)) == 1
    assert again.is_sought((number,), unit.partition)
    assert not again.is_sought(("INV-2",), unit.partition)
    assert again.has((number,), unit.partition)
    again.arrived((number,), unit.partition)
    assert [item["key"] for item in open_items.of_stream({"bookmarks": {"s": entry}}, "s")] == [["INV-2"]]
    del redact
