"""Records that do not fit: the run stops at the right place, or they are kept; and every record is accounted for."""

from __future__ import annotations

import json
import logging
import re
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from tests.conftest import Figure, Output, StartVendor, Vendor, Warehouse, make_catalog, marked
from vendortap.declare.model import Bookmark, Connector, Node, Parent, Plan, RecordSelector, Reply, Request, Stream
from vendortap.declare.request import get
from vendortap.decode import schemas
from vendortap.errors import BodyError, ConfigError, InternalError, MissingError, QuarantineError, RecordError
from vendortap.plugins.validation import Shape
from vendortap.sync import reading
from vendortap.sync.context import BookmarkUpdate, Records, SyncContext
from vendortap.sync.counters import Counters
from vendortap.sync.quarantine import Quarantine, read

ReadTap = Callable[..., Output]
LIST, DETAIL = "/scsc/invoice/v1/summary", "/scsc/invoice/v1/detail"
LEAK = "LEAK-4711"


class Spoiled:
    """Between a tap and a sandbox: changes the bytes of a path's answers."""

    def __init__(self, app: Any, path: str, spoil: Callable[[bytes], bytes]) -> None:
        self.app, self.path, self.spoil = app, path, spoil
        self.sent: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != self.path:
            await self.app(scope, receive, send)
            return
        plain = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
        said: list[Any] = []

        async def keep(message: Any) -> None:
            said.append(message)

        await self.app({**scope, "headers": plain}, receive, keep)
        body = self.spoil(b"".join(message.get("body", b"") for message in said))
        self.sent.append(body)
        headers = [(name, value) for name, value in said[0]["headers"] if name != b"content-length"]
        await send({**said[0], "headers": [*headers, (b"content-length", str(len(body)).encode())]})
        await send({"type": "http.response.body", "body": body})


def spoil(vendor: Vendor, path: str, pattern: str, by: str, *, at: int = 0) -> Spoiled:
    """Have the so many-th value of each answer of a path be another one."""

    def change(body: bytes) -> bytes:
        found = list(re.finditer(pattern.encode(), body))
        if len(found) <= at:
            return body
        start, end = found[at].span(1)
        return body[:start] + by.encode() + body[end:]

    wire = Spoiled(vendor.wire.app, path, change)
    vendor.wire.app = wire
    return wire


TOTAL = {"json": r'"Total":([^,}]+)', "xml": r"<Total>([^<]+)</Total>"}
BAD = {"json": f'"{LEAK}"', "xml": LEAK}


def quarantined(folder: Path, connector: str = "scansource") -> list[Any]:
    path = folder / f"{connector}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


# --- fail --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["json", "xml"])
def test_a_bad_record_of_a_list_stops_the_run_with_its_key_and_place(
    form: str, start: StartVendor, read_tap: ReadTap, promise: Figure
) -> None:
    """A record that does not fit stops the run by default, and all before it has been handed on."""
    vendor = start(invoices=40)
    first, second = vendor.config()["customer_numbers"]
    whole = vendor.read(catalog=make_catalog(streams=["invoices"])).records("invoices")
    spoil(vendor, LIST, TOTAL[form], BAD[form], at=7)
    vendor.wire.app.spoil = _only_for(vendor, second, vendor.wire.app.spoil)
    output, error = stopped(vendor, RecordError, catalog=make_catalog(streams=["invoices"]), format=form)
    expected = [row for row in whole if row["CustomerNumber"] == first]
    others = [row for row in whole if row["CustomerNumber"] == second]
    bad = others[7]["InvoiceNumber"]
    assert f"scansource, invoices (customer number {second}): InvoiceNumber {bad}: a number" in error
    assert "expected at $[7].Total" in error
    assert LEAK not in error
    assert [row["InvoiceNumber"] for row in output.records("invoices")] == [
        row["InvoiceNumber"] for row in [*expected, *others[:7]]
    ]
    assert marked(output.state, "invoices") == [first], "it moves over complete lists only"

    vendor.wire.app = vendor.wire.app.app  # the vendor mends it
    again = vendor.read(state=output.state, catalog=make_catalog(streams=["invoices"]))
    assert {row["InvoiceNumber"] for row in again.records("invoices")} == {row["InvoiceNumber"] for row in others}


def _only_for(vendor: Vendor, customer: str, change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda body: change(body) if vendor.wire.asked[-1].params["customerNumber"] == customer else body


def stopped(vendor: Vendor, kind: type[Exception], **options: Any) -> tuple[Output, str]:
    """Run the tap in this process, which fails; returns what it wrote until then, and why."""
    import io
    from contextlib import redirect_stdout

    from tests.conftest import _tap_class

    state, catalog = options.pop("state", None), options.pop("catalog", None)
    written = io.BytesIO()
    with redirect_stdout(io.TextIOWrapper(written, encoding="utf-8", write_through=True)) as text:
        tap = _tap_class(vendor.connector.name)(config=vendor.config(**options), state=state, catalog=catalog)
        with pytest.raises(kind) as caught:
            tap.sync_all()
        tap.client.close()
        text.flush()
    return Output(written.getvalue()), str(caught.value)


@pytest.mark.parametrize("form", ["json", "xml"])
def test_a_bad_document_ends_the_run_after_all_others_and_the_state_covers_those_before_it(
    form: str, start: StartVendor, promise: Figure
) -> None:
    """Where a document does not fit, all others are read, and the state covers those before it and none behind."""
    vendor = start(invoices=30)
    catalog = make_catalog(streams=["invoice_details"])
    customers = vendor.config()["customer_numbers"][:1]
    whole = vendor.read(catalog=catalog, customer_numbers=customers).records("invoice_details")
    bad = whole[5]["InvoiceNumber"]
    wire = spoil(vendor, DETAIL, TOTAL[form], BAD[form])
    change = wire.spoil
    wire.spoil = lambda body: change(body) if bad.encode() in body else body
    output, error = stopped(vendor, RecordError, catalog=catalog, customer_numbers=customers, format=form)
    assert f"invoice number {bad}): InvoiceNumber {bad}: a number" in error
    assert [row["InvoiceNumber"] for row in output.records("invoice_details")] == [
        row["InvoiceNumber"] for row in whole if row["InvoiceNumber"] != bad
    ]
    (part,) = output.state["bookmarks"]["invoice_details"]["partitions"].values()
    assert datetime.fromisoformat(part["replication_key_value"]) == datetime.fromisoformat(whole[4]["LastChanged"])
    vendor.wire.app = wire.app
    again = vendor.read(state=output.state, catalog=catalog, customer_numbers=customers)
    assert [row["InvoiceNumber"] for row in again.records("invoice_details")] == [
        row["InvoiceNumber"] for row in whole[5:]
    ]


# --- quarantine --------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["json", "xml"])
def test_quarantine_keeps_the_bytes_and_the_run_goes_on(
    form: str, start: StartVendor, warehouse: Warehouse, tmp_path: Path, promise: Figure
) -> None:
    """In quarantine mode the record's own bytes are kept, all others arrive, and `vendortap run` ends with 3."""
    vendor = start(invoices=40)
    wire = spoil(vendor, LIST, TOTAL[form], BAD[form], at=7)
    details = spoil(vendor, DETAIL, TOTAL[form], BAD[form])
    change, victim = details.spoil, b"40000011"
    details.spoil = lambda body: change(body) if victim in body else body
    folder = tmp_path / "kept"
    config = vendor.config(format=form, on_bad_record="quarantine", quarantine_dir=str(folder))
    outcome = warehouse.load(config)
    assert (outcome.tap, outcome.target, outcome.exit_code, outcome.quarantined) == (0, 0, 3, 3)
    loaded = {
        name: warehouse.query(f"SELECT count(*) FROM scansource.{name}") for name in ("invoices", "invoice_details")
    }
    assert loaded == {"invoices": [(38,)], "invoice_details": [(39,)]}
    for stream in outcome.report["streams"].values():
        figures = [stream[name] for name in ("records", "filtered", "quarantined", "skipped")]
        assert stream["fetched"] == sum(figures) == 40

    entries = quarantined(folder)
    assert [entry["stream"] for entry in entries] == ["invoice_details", "invoices", "invoices"]
    for entry in entries:
        assert entry["connector"] == "scansource"
        assert "number" in entry["error"]
        assert entry["path"] == ("$.Total" if entry["stream"] == "invoice_details" else "$[7].Total")
        assert entry["media_type"] == f"application/{form}"
        assert entry["schema"].startswith("sha256:")
        assert datetime.fromisoformat(entry["time"]) <= datetime.now(UTC)
        assert entry["request"]["method"] == "GET"
        bodies = details.sent if entry["stream"] == "invoice_details" else wire.sent
        assert any(_holds(body, entry["raw"].encode(), form) for body in bodies), "the bytes are not as received"
    assert entries[0]["key"]["InvoiceNumber"] == victim.decode()
    assert entries[1]["request"]["params"]["customerNumber"] == entries[1]["key"]["CustomerNumber"]


def _holds(body: bytes, raw: bytes, form: str) -> bool:
    """Whether a record's bytes are in a body: as they are in JSON, as the same element in XML."""
    if form == "json" or body == raw:
        return raw in body
    same = etree.tostring(etree.fromstring(raw), method="c14n", exclusive=True)
    return any(
        etree.tostring(e, method="c14n", exclusive=True, with_tail=False) == same for e in etree.fromstring(body).iter()
    )


@pytest.mark.parametrize("secret", ["subscription_key", "client_secret"])
def test_only_the_owner_can_read_the_quarantine_whose_only_secrets_are_those_that_the_vendor_sent(
    secret: str, start: StartVendor, tmp_path: Path, promise: Figure
) -> None:
    """The quarantine (folder 0700, files 0600) has the vendor's exact bytes, echoed secrets too, and no other."""
    vendor, folder = start(invoices=10), tmp_path / "new" / "kept"
    config = vendor.config(on_bad_record="quarantine", quarantine_dir=str(folder))
    sent = spoil(vendor, LIST, TOTAL["json"], f'"{config[secret]}"').sent
    vendor.read(**config)
    assert [stat.S_IMODE(place.stat().st_mode) for place in (folder, folder / "scansource.jsonl")] == [0o700, 0o600]
    for entry in quarantined(folder):
        assert any(f'"{config[secret]}"' in entry["raw"] and entry["raw"].encode() in body for body in sent)
        assert config[secret] not in json.dumps({**entry, "raw": ""})


def test_a_folder_that_others_can_enter_is_refused(start: StartVendor, tmp_path: Path) -> None:
    vendor = start(invoices=5)
    tmp_path.chmod(0o755)
    with pytest.raises(ConfigError, match=r"others can enter the folder 'quarantine_dir'.*chmod 700"):
        vendor.read(on_bad_record="quarantine", quarantine_dir=str(tmp_path))
    with pytest.raises(ConfigError, match="'on_bad_record' is 'quarantine', which needs the setting 'quarantine_dir'"):
        vendor.read(on_bad_record="quarantine")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"'quarantine_dir' cannot be used: (Not a directory|File exists)"):
        vendor.read(on_bad_record="quarantine", quarantine_dir=str(tmp_path / "file"))
    assert vendor.wire.asked == [], "nothing was fetched"


def test_the_same_bad_record_is_one_entry_however_often_it_is_met(start: StartVendor, tmp_path: Path) -> None:
    """It is counted in each run that met it."""
    vendor = start(invoices=10)
    spoil(vendor, LIST, TOTAL["json"], BAD["json"])
    options = {"on_bad_record": "quarantine", "quarantine_dir": str(tmp_path / "kept")}
    vendor.read(**options)
    before = quarantined(tmp_path / "kept")
    vendor.read(**options)
    assert quarantined(tmp_path / "kept") == before
    assert len(before) == 2


def test_a_mended_record_that_is_handed_on_closes_its_entry(start: StartVendor, tmp_path: Path) -> None:
    """What is replayed is never older than what is in the target."""
    vendor = start(invoices=10)
    wire = spoil(vendor, LIST, TOTAL["json"], BAD["json"])
    options: dict[str, Any] = {"on_bad_record": "quarantine", "quarantine_dir": str(tmp_path / "kept")}
    vendor.read(**options)
    path = tmp_path / "kept" / "scansource.jsonl"
    assert len(list(read(path))) == 2
    vendor.wire.app = wire.app
    vendor.read(quarantine_dir=str(tmp_path / "kept"))
    assert list(read(path)) == []
    assert [entry["done"] for entry in quarantined(tmp_path / "kept")[2:]] == ["superseded"] * 2


@pytest.mark.parametrize(
    ("limit", "stops"), [(1, True), (2, False), ("3", False), ("10%", False), (None, False), (0, True)]
)
def test_a_number_of_bad_records_stops_the_run(
    limit: Any, stops: bool, start: StartVendor, tmp_path: Path, promise: Figure
) -> None:
    """A run in which more records do not fit than `quarantine_limit` allows stops, and those met are kept."""
    vendor = start(invoices=10)
    spoil(vendor, LIST, TOTAL["json"], BAD["json"])
    folder = tmp_path / "kept"
    catalog = make_catalog(streams=["invoices"])
    options = {"on_bad_record": "quarantine", "quarantine_dir": str(folder), "quarantine_limit": limit}
    if not stops:
        vendor.read(catalog=catalog, **options)
        assert len(quarantined(folder)) == 2
        return
    _, error = stopped(vendor, QuarantineError, catalog=catalog, **options)
    assert f"more than quarantine_limit allows ({limit})" in error
    assert len(quarantined(folder)) == limit + 1, "the one that was too many is kept as well"


def test_a_per_cent_counts_from_the_hundredth_record_on(tmp_path: Path) -> None:
    kept = Quarantine(tmp_path / "kept", "acme", "5%")
    kept.hold_limit(99, 99)
    kept.hold_limit(5, 100)
    with pytest.raises(QuarantineError, match=r"6 of 100 records do not fit, which is more than .* \(5%\)"):
        kept.hold_limit(6, 100)
    kept.hold_limit(6, 120)
    Quarantine(tmp_path / "kept", "acme", "12.5%").hold_limit(25, 200)


@pytest.mark.parametrize("limit", ["5 percent", "-1", -1, "%", 1.5])
def test_a_limit_that_is_none_is_refused(limit: Any, start: StartVendor) -> None:
    with pytest.raises(ConfigError, match="the setting 'quarantine_limit'"):
        start(invoices=1).read(quarantine_limit=limit)


def test_a_page_that_cannot_be_read_is_an_error_all_the_same(start: StartVendor, tmp_path: Path) -> None:
    """A whole page that is broken, or not what was asked for, is no bad record."""
    options = {"on_bad_record": "quarantine", "quarantine_dir": str(tmp_path / "kept")}
    for broken in (b'[{"InvoiceNumber": "1"', b'"No data"', b"[1, 2"):
        vendor = start(invoices=5)
        vendor.wire.app = Spoiled(vendor.wire.app, LIST, lambda _, body=broken: body)  # type: ignore[misc] # bound now
        with pytest.raises(BodyError):
            vendor.read(catalog=make_catalog(streams=["invoices"]), **options)
    assert quarantined(tmp_path / "kept") == []


def test_an_error_under_200_is_no_bad_document(sandboxes: StartVendor, tmp_path: Path) -> None:
    """What a reply says of itself is heard before what does not fit in it."""
    vendor = sandboxes("visiblescm", invoices=3)
    vendor.wire.app = Spoiled(
        vendor.wire.app, "/api/Invoice/InvoiceList", lambda _: b'{"IsSuccessful": false, "Message": "no", "List": [1]}'
    )
    with pytest.raises(Exception, match="the vendor says that the call failed: no"):
        vendor.read(on_bad_record="quarantine", quarantine_dir=str(tmp_path / "kept"))
    assert quarantined(tmp_path / "kept", "visiblescm") == []


def test_a_document_inside_a_record_that_is_no_base64_is_quarantined(sandboxes: StartVendor, tmp_path: Path) -> None:
    vendor = sandboxes("amazon-vendor", invoices=6, rate_limit=0)
    path = "/vendor/directFulfillment/shipping/v1/customerInvoices"
    spoil(vendor, path, r'"content": ?"([^"]*)"', "not Base64!")
    kept, documents = tmp_path / "kept", tmp_path / "documents"
    output = vendor.read(on_bad_record="quarantine", quarantine_dir=str(kept), documents_dir=str(documents))
    entries = quarantined(kept, "amazon-vendor")
    assert entries
    assert {entry["error"] for entry in entries} == {"Base64 expected"}
    assert all(re.fullmatch(r"\$\.payload\.customerInvoices\[0\]\.content", entry["path"]) for entry in entries)
    assert (
        len(output.records("customer_invoices")) + len({entry["key"]["purchaseOrderNumber"] for entry in entries}) == 6
    )


def test_a_bad_row_of_a_list_keeps_no_document_from_being_fetched(start: StartVendor, tmp_path: Path) -> None:
    """As long as its key can be read; a row without one is kept, and counted."""
    vendor = start(invoices=10)
    spoil(vendor, LIST, TOTAL["json"], BAD["json"])
    options = {"on_bad_record": "quarantine", "quarantine_dir": str(tmp_path / "kept")}
    details = make_catalog(streams=["invoice_details"])
    assert len(vendor.read(catalog=details, **options).records("invoice_details")) == 10
    assert quarantined(tmp_path / "kept") == []
    spoil(vendor, LIST, r'"InvoiceNumber":("[^"]*")', "{}")
    assert len(vendor.read(catalog=details, **options).records("invoice_details")) == 8
    assert [entry["stream"] for entry in quarantined(tmp_path / "kept")] == ["invoices"] * 2
    with pytest.raises(RecordError, match=r"record 1 of the page: a string.* expected at \$\[0\].InvoiceNumber"):
        vendor.read(catalog=details)


def test_a_full_disk_stops_the_run_before_the_state_moves_on(
    start: StartVendor, tmp_path: Path, file: Callable[[Any], str], promise: Figure
) -> None:
    """Where a record cannot be kept, the run stops, and the state does not move past it."""
    import resource
    import subprocess

    from tests.conftest import environment, executable

    vendor = start(invoices=10)
    spoil(vendor, LIST, TOTAL["json"], BAD["json"])
    config = vendor.config(on_bad_record="quarantine", quarantine_dir=str(tmp_path / "kept"))
    done = subprocess.run(
        [executable("tap-scansource"), "--config", file(config), "--catalog", file(make_catalog(streams=["invoices"]))],
        capture_output=True,
        env=environment(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)),
        check=False,
        timeout=60,
    )
    output = Output(done.stdout, done.stderr.decode(), done.returncode)
    assert output.code == 2
    assert "cannot be written: File too large; check the setting 'quarantine_dir'" in output.complaint
    assert marked(output.state, "invoices") == []
    again = vendor.read(on_bad_record="quarantine", quarantine_dir=str(tmp_path / "kept"))
    assert len(again.records("invoices")) == 8
    assert len(list(read(tmp_path / "kept" / "scansource.jsonl"))) == 2, "the line that was cut short is passed over"


# --- accounts ----------------------------------------------------------------------------------------


def test_what_stream_maps_drop_is_filtered(
    start: StartVendor, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """In RECORD and BATCH mode alike; the account is in the log."""
    vendor = start(invoices=12)
    maps = {"invoices": {"__filter__": "int(InvoiceNumber) % 2 == 0", "__else__": "__NULL__"}}
    batches = {"encoding": {"format": "jsonl", "compression": "gzip"}, "storage": {"root": f"file://{tmp_path}"}}
    catalog = make_catalog(streams=["invoices"])
    for more in ({}, {"batch_config": batches}):
        caplog.clear()
        with caplog.at_level(logging.INFO):
            vendor.read(
                catalog=catalog, stream_maps={"invoices": {"__filter__": maps["invoices"]["__filter__"]}}, **more
            )
        expected = "fetched 12 = emitted 6 + filtered 6 + quarantined 0 + skipped 0 (known 0, repeated 0, missing 0)"
        assert any(message == f"invoices: {expected}" for message in caplog.messages), caplog.messages


def test_accounts_that_do_not_add_up_are_an_internal_error(
    start: StartVendor, monkeypatch: pytest.MonkeyPatch, promise: Figure
) -> None:
    """fetched = emitted + filtered + quarantined + skipped is checked for each stream of each run."""
    vendor = start(invoices=10)
    whole = reading.read

    def lossy(*arguments: Any) -> Any:
        for item in whole(*arguments):
            yield replace(item, records=item.records[1:]) if isinstance(item, Records) else item

    monkeypatch.setattr(reading, "read", lossy)
    _, error = stopped(vendor, InternalError, catalog=make_catalog(streams=["invoices"]))
    assert error.startswith("scansource, invoices: internal error: the records do not add up, fetched 10 = emitted 8 ")


SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "xml": {"name": "Row"},
    "properties": {
        "Id": {"type": "string"},
        "At": {"type": ["string", "null"], "format": "date-time"},
        "Total": {"type": ["number", "null"]},
    },
    "required": ["Id"],
}
NODE = schemas.compile_record(SCHEMA, "row")
NOW = datetime(2025, 6, 1, tzinfo=UTC)


def connector(form: str, *, distinct: bool, parent: bool) -> Connector:
    def pages(request: Request, config: Any) -> Any:
        page = yield request
        for number in range(1, config["pages"]):
            assert len(page.records) == config["sizes"][number - 1], "a pager sees the rows that do not fit, too"
            page = yield request.with_params({"page": number})

    listed = Stream(
        name="rows",
        title="",
        request=get("/rows", page="0"),
        record_selector=RecordSelector(("list",)),
        pages=pages,
        keys=("Id",),
        replication_key="At",
        distinct=distinct,
        plan=Plan(),
    )
    documents = Stream(
        name="documents",
        title="",
        request=get("/document/{id}"),
        record_selector=RecordSelector(many=False),
        parent=Parent("id", stream="rows", field="Id"),
        keys=("Id",),
        replication_key="At",
        schema="documents",
    )
    streams = (listed, documents) if parent else (listed,)
    return Connector(name="acme", title="", docs="", schemas="", base_url=lambda _: "", streams=streams)


BAD_VALUES = st.sampled_from(["good"] * 6 + ["total", "stamp", "key", "nothing"])
ROWS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 30), BAD_VALUES), max_size=8)


def written(row: tuple[int, int, str], form: str) -> str:
    number, day, bad = row
    at = (NOW - timedelta(days=day)).isoformat()
    values: dict[str, Any] = {"Id": str(number), "At": at, "Total": day}
    values |= {"total": {"Total": "x"}, "stamp": {"At": "then"}}.get(bad, {})
    if bad == "key":
        del values["Id"]
    if form == "json":
        return "null" if bad == "nothing" else json.dumps(values, separators=(", ", ":  "))
    if bad == "nothing":
        return "<Row>  </Row>"
    return "<Row>" + "".join(f"<{name}>{value}</{name}>" for name, value in values.items()) + "</Row>"


NO_KEY = ("key", "nothing")
"""What a row is called whose key cannot be read."""


def before_stopping(source: SyncContext, stream: Stream) -> list[str]:
    """The records that are handed on until one does not fit."""
    handed_on: list[str] = []
    with suppress(RecordError):
        for item in reading.read(source, stream, lambda _: None, Counters()):
            handed_on += [record["Id"] for record in item.records] if isinstance(item, Records) else []
    return handed_on


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pages=st.lists(ROWS, min_size=1, max_size=4),
    form=st.sampled_from(["json", "xml"]),
    distinct=st.booleans(),
    parent=st.booleans(),
    mark=st.none() | st.integers(0, 30),
    missing=st.sets(st.integers(0, 12), max_size=2),
    bad=st.sets(st.integers(0, 12), max_size=3),
)
def test_whatever_the_pages_hold_every_record_is_accounted_for(
    pages: list[list[tuple[int, int, str]]],
    form: str,
    distinct: bool,
    parent: bool,
    mark: int | None,
    missing: set[int],
    bad: set[int],
    tmp_path_factory: pytest.TempPathFactory,
    promise: Figure,
) -> None:
    """Each record of random pages with random bad rows is handed on, quarantined or skipped, and nothing is both."""
    promise(f"{sum(map(len, pages))} records")
    head, tail = ('{"list": [', "]}") if form == "json" else ("<r><list>", "</list></r>")
    bodies = [head + ("," if form == "json" else "").join(written(row, form) for row in page) + tail for page in pages]
    headers = {"content-type": f"application/{form}", "date": "Sun, 01 Jun 2025 00:10:00 GMT"}

    def send(request: Request) -> Reply:
        if request.path == "/rows":
            return Reply(200, headers, bodies[int(request.params["page"])].encode(), NOW)
        number = int(request.path.rpartition("/")[2])
        if number in missing:
            raise MissingError("not there.")
        row = (number, 0, "total" if number in bad else "good")
        return Reply(200, headers, written(row, form).encode(), NOW)

    made = connector(form, distinct=distinct, parent=parent)
    stream = made.streams[-1]
    folder = tmp_path_factory.mktemp("kept")
    folder.chmod(0o700)
    settings_ = {
        "pages": len(pages),
        "sizes": list(map(len, pages)),
        "concurrency": 2,
        "on_missing": "skip",
        "on_bad_record": "quarantine",
    }
    given_node = replace(NODE, fields={**NODE.fields, "At": Node("given")})
    shapes = {"rows": Shape(SCHEMA, NODE, NODE), "documents": Shape(SCHEMA, NODE, given_node)}
    source = SyncContext(made, settings_, send, shapes, quarantine=Quarantine(folder, "acme"))
    bookmark = None if mark is None else Bookmark(NOW - timedelta(days=mark))
    tally, handed_on = Counters(), []
    for item in reading.read(source, stream, lambda _: bookmark, tally):
        if isinstance(item, BookmarkUpdate):
            assert bookmark is None or item.bookmark.value >= bookmark.value
            continue
        handed_on += [record["Id"] for record in item.records]
    tally.emitted = len(handed_on)
    tally.check("acme")
    entries = list(read(folder / "acme.jsonl"))
    assert tally.quarantined >= len(entries)
    rows = [row for page in pages for row in page]
    if not parent:
        keys = [number for page in pages for number, _, fit in page if fit not in NO_KEY]
        is_read_again = len(pages) > 1 and not distinct and len(set(keys)) < len(keys)  # a row may have moved
        times = 2 if is_read_again else 1
        assert tally.fetched == times * len(rows)
        good = {str(number) for number, day, fit in rows if fit == "good" and (mark is None or day <= mark)}
        assert good <= set(handed_on)
        if mark is None and not distinct:
            assert (len(handed_on), tally.quarantined) == (
                times * len(good_rows := [r for r in rows if r[2] == "good"]),
                times * (len(rows) - len(good_rows)),
            )
            assert before_stopping(replace(source, config={**settings_, "on_bad_record": "fail"}), stream) == [
                str(number) for number, _, _ in takewhile(lambda row: row[2] == "good", times * rows)
            ]
        raws = {entry.raw for entry in entries}
        assert all(any(raw.decode() in body for body in bodies) for raw in raws)
    else:
        listed = {number for number, day, fit in rows if fit not in NO_KEY and (mark is None or day <= mark)}
        asked = listed - missing
        assert {int(key) for key in handed_on} >= asked - bad
        assert {int(entry.key["Id"]) for entry in entries if entry.stream == "documents"} >= asked & bad
        assert tally.missing >= len(listed & missing)
