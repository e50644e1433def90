"""The tap as a command: options, catalogs, state, messages. Through real processes, against a real sandbox."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import jsonschema
import pytest

from tests.conftest import marked
from vendortap.declare.model import Connector
from vendortap.errors import CatalogError, ConfigError, StateError
from vendortap.plugins import host
from vendortap.singer import progress_file
from vendortap.singer.catalogs import check_catalog
from vendortap.singer.tap import tap_class
from vendortap.singer.writer import MessageWriter
from vendortap.sync.state import check_state, read_bookmark

if TYPE_CHECKING:
    from tests.conftest import Files, Output, RunTap, StartVendor, Vendor

SECRET = "5ca45007ce5a4db08a0b5a11db0c5e11"
CUSTOMERS = ["1000012345", "1000067890"]


# --- options -----------------------------------------------------------------------------------------


def test_discover_needs_no_settings_and_prints_the_catalog(tap: RunTap) -> None:
    done = tap(None, "--discover")
    assert done.code == 0
    streams = {entry["tap_stream_id"]: entry for entry in json.loads(done.stdout)["streams"]}
    assert list(streams) == ["invoice_details", "invoice_documents", "invoices"]
    for entry in streams.values():
        metadata = {tuple(item["breadcrumb"]): item["metadata"] for item in entry["metadata"]}
        assert entry["key_properties"] == metadata[()]["table-key-properties"] == ["CustomerNumber", "InvoiceNumber"]
        assert entry["replication_key"] == metadata[()]["replication-key"] == "LastChanged"
        assert metadata[()]["valid-replication-keys"] == ["LastChanged"]
        assert entry["replication_method"] == metadata[()]["forced-replication-method"] == "INCREMENTAL"
        automatic = {crumb for crumb, item in metadata.items() if item.get("inclusion") == "automatic"}
        assert automatic == {("properties", name) for name in ("CustomerNumber", "InvoiceNumber", "LastChanged")}
    inner = {tuple(item["breadcrumb"]) for item in streams["invoice_details"]["metadata"]}
    assert ("properties", "InvoiceLines", "items", "properties", "Price") in inner
    assert ("properties", "BillingAddress", "properties", "City") in inner


def test_version_names_the_tap_and_its_version(tap: RunTap) -> None:
    assert re.match(rb"tap-scansource v\d+\.\d+\.\d+, Meltano SDK v0\.54", tap(None, "--version").stdout)


@pytest.mark.promise("`--about` shows no value of a secret")
@pytest.mark.parametrize("form", ["text", "json", "markdown"])
def test_about_lists_settings_and_never_the_value_of_a_secret(tap: RunTap, form: str) -> None:
    arguments = ["--about"] if form == "text" else ["--about", "--format", form]
    done = tap(
        {"subscription_key": "hush-hush-1"},
        *arguments,
        "--config",
        "ENV",
        env={"TAP_SCANSOURCE_CLIENT_SECRET": "hush-hush-2"},
    )
    text = done.stdout.decode()
    assert done.code == 0
    assert all(name in text for name in ("tap-scansource", "subscription_key", "concurrency", "stream_maps"))
    assert "hush-hush" not in text + done.stderr
    if form == "json":
        assert json.loads(text)["name"] == "tap-scansource"


def test_a_config_file_may_be_a_pipe() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as pipe:
        json.dump({"page_size": 7}, pipe)
    try:
        context, option = click.Context(click.Command("tap")), click.Option(["--config"])
        given = tap_class(host.load("scansource")).cb_config(context, option, (f"/dev/fd/{reading}", "ENV"))
    finally:
        os.close(reading)
    assert (given.config, given.parse_env) == ({"page_size": 7}, True)


def test_config_files_are_merged_and_the_environment_comes_on_top(tap: RunTap, file: Files, vendor: Vendor) -> None:
    config = vendor.config(customer_numbers=["9"], invoice_numbers=["1"], page_size=7)
    done = tap(
        config,
        "--config",
        file({"invoice_numbers": ["2", "3"]}),
        "--config",
        "ENV",
        env={
            "TAP_SCANSOURCE_CUSTOMER_NUMBERS": json.dumps(CUSTOMERS),
            "TAP_SCANSOURCE_INVOICE_NUMBERS": '["40000001", "40000003"]',
            "TAP_SCANSOURCE_EXCLUDE_SERIAL_TRACKING": "true",
            "TAP_SCANSOURCE_TIMEOUT_SECONDS": "12.5",
            "TAP_SCANSOURCE_REQUESTS_PER_SECOND": "null",
            "TAP_SCANSOURCE_CONCURRENCY": "2",
        },
    )
    assert done.code == 0, done.stderr
    details = done.records("invoice_details")
    assert [record["InvoiceNumber"] for record in details] == ["40000001", "40000003"]
    assert all(line["SerialNumbers"] == [] for record in details for line in record["InvoiceLines"])


@pytest.mark.parametrize(
    ("setting", "text", "message"),
    [
        ("PAGE_SIZE", "many", "'page_size' has to be integer"),
        ("CUSTOMER_NUMBERS", "1000012345", "'customer_numbers' has to be array"),
        ("CUSTOMER_NUMBERS", "1,2", "'customer_numbers' has to be array"),
        ("EXCLUDE_SERIAL_TRACKING", "perhaps", "'exclude_serial_tracking' has to be boolean"),
        ("TIMEOUT_SECONDS", "hush-hush", "'timeout_seconds' has to be number"),
    ],
)
def test_a_setting_of_the_environment_that_cannot_be_read_is_a_sentence(
    scansource: Connector, vendor: Vendor, monkeypatch: pytest.MonkeyPatch, setting: str, text: str, message: str
) -> None:
    monkeypatch.setenv(f"TAP_SCANSOURCE_{setting}", text)
    with pytest.raises(ConfigError, match=message) as caught:
        tap_class(scansource)(config=vendor.config(), parse_env_config=True)
    assert text not in str(caught.value)


def test_test_reads_one_record_of_each_stream(tap: RunTap, vendor: Vendor) -> None:
    done = tap(vendor.config(), "--test")
    assert done.code == 0, done.stderr
    assert {stream: len(done.records(stream)) for stream in ("invoices", "invoice_details")} == {
        "invoices": 1,
        "invoice_details": 1,
    }


def test_test_schema_writes_schemas_and_asks_the_vendor_nothing(tap: RunTap, vendor: Vendor) -> None:
    done = tap(vendor.config(base_url="http://127.0.0.1:1"), "--test=schema")
    assert done.code == 0, done.stderr
    assert [message["type"] for message in done.messages] == ["SCHEMA"] * 3


# --- what is wrong with the command line -------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "missing.json"], "the config file missing.json cannot be read: No such file"),
        (["--config", "."], "the config file . cannot be read"),
        ([], "the setting 'subscription_key' is missing; the setting 'customer_numbers' is missing"),
    ],
)
def test_a_config_that_cannot_be_used_is_a_sentence_and_exit_2(tap: RunTap, arguments: list[str], message: str) -> None:
    done = tap(None, *arguments)
    assert (done.code, done.stdout) == (2, b"")
    assert message in done.complaint


@pytest.mark.promise("A setting that is wrong is named, its value never shown")
def test_problems_of_settings_are_named_all_at_once_and_never_their_values(tap: RunTap, vendor: Vendor) -> None:
    done = tap(vendor.config(concurrency="hush-hush", frmat="json", subscription_key=None))
    assert done.code == 2
    assert "'concurrency' has to be integer" in done.complaint
    assert "there is no setting 'frmat'" in done.complaint
    assert "'subscription_key' has to be string" in done.complaint
    assert "hush-hush" not in done.stderr


@pytest.mark.parametrize("what", ["catalog", "state", "config"])
@pytest.mark.parametrize("text", ["{broken", "[1]"])
def test_a_file_that_is_no_json_object_is_a_sentence_and_exit_2(
    tap: RunTap, vendor: Vendor, what: str, text: str
) -> None:
    documents = {"config": vendor.config(), what: text}
    done = tap(documents.pop("config"), **documents)
    assert (done.code, done.stdout) == (2, b"")
    assert f"the {what}" in done.complaint
    assert "JSON" in done.complaint


def test_plain_http_to_another_machine_is_a_sentence_and_exit_2(tap: RunTap, vendor: Vendor) -> None:
    done = tap(vendor.config(base_url="http://api.scansource.example"))
    assert done.code == 2
    assert "https" in done.complaint


# --- catalogs ----------------------------------------------------------------------------------------


def broken_catalogs() -> dict[str, tuple[Any, str]]:
    entry = {"tap_stream_id": "invoices"}
    return {
        "no streams": ({}, "no list 'streams'"),
        "streams of another type": ({"streams": {}}, "no list 'streams'"),
        "a stream of another type": ({"streams": ["invoices"]}, "no list 'streams'"),
        "an unknown stream": ({"streams": [{"tap_stream_id": "orders"}]}, "a stream 'orders'"),
        "a stream without a name": ({"streams": [{}]}, "a stream None"),
        "a stream with a list for a name": ({"streams": [{"tap_stream_id": []}]}, "a stream \\[\\]"),
        "an unknown field": (
            {"streams": [{**entry, "metadata": [{"breadcrumb": ["properties", "Totl"], "metadata": {}}]}]},
            "a field 'Totl' in 'invoices'",
        ),
        "an unknown field of the schema": (
            {"streams": [{**entry, "schema": {"properties": {"Totl": {}}}}]},
            "a field 'Totl' in 'invoices'",
        ),
        "a breadcrumb of lists": (
            {"streams": [{**entry, "metadata": [{"breadcrumb": [["properties"]], "metadata": {}}]}]},
            "entry of 'invoices' cannot be read",
        ),
        "no breadcrumb": (
            {"streams": [{**entry, "metadata": [{"metadata": {}}]}]},
            "entry of 'invoices' cannot be read",
        ),
        "metadata of another type": ({"streams": [{**entry, "metadata": 7}]}, "entry of 'invoices' cannot be read"),
        "a schema of another type": ({"streams": [{**entry, "schema": []}]}, "entry of 'invoices' cannot be read"),
    }


@pytest.mark.parametrize("case", broken_catalogs())
def test_a_catalog_that_does_not_fit_is_a_sentence(scansource: Connector, vendor: Vendor, case: str) -> None:
    document, message = broken_catalogs()[case]
    with pytest.raises(CatalogError, match=message) as caught:
        tap_class(scansource)(config=vendor.config(), catalog=document)
    assert "--discover` prints a catalog that fits" in str(caught.value)
    assert caught.value.exit_code == 2


def test_an_unknown_field_in_an_array_is_named_by_its_path(
    scansource: Connector, catalog: Callable[..., Any], vendor: Vendor
) -> None:
    document = catalog()
    crumb = ["properties", "InvoiceLines", "items", "properties", "Prise"]
    document["streams"][0]["metadata"].append({"breadcrumb": crumb, "metadata": {"selected": False}})
    with pytest.raises(CatalogError, match=r"a field 'InvoiceLines\.Prise' in 'invoice_details'"):
        tap_class(scansource)(config=vendor.config(), catalog=document)


def test_a_catalog_mistake_ends_the_command_with_2(tap: RunTap, vendor: Vendor) -> None:
    done = tap(vendor.config(), catalog={"streams": [{"tap_stream_id": "orders"}]})
    assert (done.code, done.stdout) == (2, b"")
    assert "a stream 'orders', which scansource does not" in done.complaint


def test_the_discovered_catalog_fits(tap: RunTap, vendor: Vendor, read_tap: Callable[..., Output]) -> None:
    document = json.loads(tap(None, "--discover").stdout)
    with_it, without = read_tap(vendor.config(), catalog=document), read_tap(vendor.config())
    both = [[{**m, "time_extracted": 0} for m in out.messages if m["type"] != "STATE"] for out in (with_it, without)]
    assert (both[0], with_it.state) == (both[1], without.state)


def test_a_deselected_stream_is_not_read(
    catalog: Callable[..., Any], start: StartVendor, read_tap: Callable[..., Output]
) -> None:
    vendor = start(invoices=9)
    output = read_tap(vendor.config(), catalog=catalog(streams=["invoices"]))
    assert {message.get("stream") for message in output.messages} == {None, "invoices"}
    assert vendor.state.requests["detail"] == 0


def test_a_stream_that_the_catalog_leaves_out_is_not_read(
    catalog: Callable[..., Any], vendor: Vendor, read_tap: Callable[..., Output]
) -> None:
    document = catalog()
    document["streams"] = [entry for entry in document["streams"] if entry["tap_stream_id"] == "invoices"]
    assert {message.get("stream") for message in read_tap(vendor.config(), catalog=document).messages} == {
        None,
        "invoices",
    }


def test_keys_stay_whatever_the_catalog_says(
    catalog: Callable[..., Any], vendor: Vendor, read_tap: Callable[..., Output]
) -> None:
    document = catalog(streams=["invoices"])
    for entry in document["streams"]:
        for item in entry["metadata"]:
            if item["breadcrumb"]:
                item["metadata"] = {"inclusion": "available", "selected": False}
    output = read_tap(vendor.config(), catalog=document)
    assert set(output.records("invoices")[0]) == {"CustomerNumber", "InvoiceNumber", "LastChanged"}


@pytest.mark.parametrize("place", ["entry", "metadata", "both"])
def test_full_table_in_the_catalog_ignores_the_bookmark_and_writes_none(
    place: str, catalog: Callable[..., Any], vendor: Vendor, read_tap: Callable[..., Output]
) -> None:
    state = read_tap(vendor.config()).state
    document = catalog(streams=["invoices"])
    for entry in document["streams"]:
        root = next(item["metadata"] for item in entry["metadata"] if not item["breadcrumb"])
        if place != "metadata":
            entry["replication_method"] = "FULL_TABLE"
        if place != "entry":
            root["forced-replication-method"] = "FULL_TABLE"
    again = read_tap(vendor.config(), state=state, catalog=document)
    assert len(again.records("invoices")) == 60
    fresh = read_tap(vendor.config(), catalog=document)
    assert marked(fresh.state, "invoices") == []


# --- state -------------------------------------------------------------------------------------------

GOOD = {"replication_key": "LastChanged", "replication_key_value": "2021-01-05T00:00:00+00:00", "seen": [["1", "2"]]}


@pytest.mark.promise("A state that cannot be used is refused in a sentence, not started over silently")
@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"version": 3, "bookmarks": {}}, "of version 3, this vendortap reads up to version 2: a newer one wrote it"),
        ({"version": "1", "bookmarks": {}}, "of version '1'"),
        ({"version": 1}, "has no 'bookmarks', so it is something else"),
        ({"bookmarks": {"invoices": "2021"}}, "bookmark of 'invoices' is not an object"),
        ({"bookmarks": {"invoices": {"partitions": 5}}}, "partitions of 'invoices' are not an object"),
        ({"bookmarks": {"invoices": {"partitions": [GOOD]}}}, "has not its shape"),
        ({"bookmarks": {"invoices": {"partitions": [{"context": {}}] * 2}}}, "has not its shape"),
        ({"version": 2, "bookmarks": {"invoices": {"partitions": {"a=1": {"context": {"a": "2"}}}}}}, "by their name"),
        ({"bookmarks": {"invoices": {"replication_key_value": "soon"}}}, "has to be a date-time"),
        ({"bookmarks": {"invoices": {"replication_key_value": 5}}}, "has to be a date-time"),
        ({"bookmarks": {"invoices": {"replication_key_value": "0001-01-01T00:00:00+14:00"}}}, "has to be a date-time"),
        ({"bookmarks": {"invoices": {"partitions": [{**GOOD, "context": {}, "seen": 5}]}}}, "cannot be read"),
        ({"bookmarks": {"invoices": {"partitions": [{**GOOD, "context": {}, "seen": [5]}]}}}, "cannot be read"),
    ],
)
def test_a_state_that_cannot_be_used_is_a_sentence(state: Any, message: str) -> None:
    with pytest.raises(StateError, match=message) as caught:
        check_state(state)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("text", ["2021-01-20T00:00:00", "2021-01-20T00:00:00Z", "2021-01-20T05:00:00+05:00"])
def test_a_bookmark_is_a_moment_in_utc_whatever_offset_the_state_has(text: str) -> None:
    bookmark = read_bookmark("invoices", {"replication_key_value": text})
    assert bookmark is not None
    assert bookmark.value.isoformat() == "2021-01-20T00:00:00+00:00"


def test_a_state_of_another_version_ends_the_command_with_2(tap: RunTap, vendor: Vendor) -> None:
    done = tap(vendor.config(), state={"version": 7, "bookmarks": {}})
    assert (done.code, done.stdout) == (2, b"")
    assert "of version 7" in done.complaint


def test_a_state_of_before_may_lack_version_and_seen(vendor: Vendor, read_tap: Callable[..., Output]) -> None:
    contexts = [{"context": {"customer_number": number}} for number in CUSTOMERS]
    value = {"replication_key": "LastChanged", "replication_key_value": "2021-01-20T00:00:00"}
    output = read_tap(
        vendor.config(), state={"bookmarks": {"invoices": {"partitions": [{**c, **value} for c in contexts]}}}
    )
    records = output.records("invoices")
    assert 0 < len(records) < 60
    assert all(stamp(record["LastChanged"]) >= stamp("2021-01-20T00:00:00+00:00") for record in records)


def stamp(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_the_second_run_reads_nothing_that_has_not_changed(start: StartVendor, read_tap: Callable[..., Output]) -> None:
    vendor = start(invoices=40)
    first = read_tap(vendor.config())
    details = vendor.state.requests["detail"]
    second = read_tap(vendor.config(), state=first.state)
    assert second.of("RECORD") == []
    assert vendor.state.requests["detail"] == details
    assert second.state == first.state


@pytest.mark.promise("A state follows the records that it covers")
def test_state_follows_the_records_it_covers(
    start: StartVendor, catalog: Callable[..., Any], read_tap: Callable[..., Output]
) -> None:
    """At every STATE each record that its bookmark covers has been written; replayed against the truth."""
    vendor = start(invoices=100, latency_ms=30)
    listed = read_tap(vendor.config(page_size=1000), catalog=catalog(streams=["invoices"])).records("invoices")
    truth = {(row["CustomerNumber"], row["InvoiceNumber"]): stamp(row["LastChanged"]) for row in listed}
    written: dict[str, set[tuple[str, str]]] = {"invoices": set(), "invoice_details": set()}
    checked = 0
    for message in read_tap(vendor.config(concurrency=1)).messages:
        if message["type"] == "RECORD":
            written[message["stream"]].add((message["record"]["CustomerNumber"], message["record"]["InvoiceNumber"]))
        elif message["type"] == "STATE":
            for name, entry in message["value"].get("bookmarks", {}).items():
                for part in entry.get("partitions", {}).values():
                    if (value := part.get("replication_key_value")) is None:
                        continue
                    customer, seen = part["context"]["customer_number"], {key[-1] for key in part["seen"]}
                    covered = {
                        key
                        for key, changed in truth.items()
                        if key[0] == customer
                        and (changed < stamp(value) or (changed == stamp(value) and key[1] in seen))
                    }
                    checked += 0 < len(covered) < len(truth)
                    assert covered <= written[name]
    assert checked > 1
    assert written["invoices"] == written["invoice_details"] == set(truth)


# --- messages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("strings", [False, True])
@pytest.mark.parametrize("form", ["json", "xml"])
def test_each_stream_has_one_schema_of_draft_7_that_its_records_fit(
    vendor: Vendor, read_tap: Callable[..., Output], strings: bool, form: str
) -> None:
    output = read_tap(vendor.config(use_singer_decimal=strings, format=form))
    for stream in ("invoices", "invoice_details"):
        (message,) = output.of("SCHEMA", stream)
        schema = message["schema"]
        jsonschema.Draft7Validator.check_schema(schema)
        assert not {"xml", "$ref", "$defs", "$schema"} & keywords(schema)
        assert message["key_properties"] == ["CustomerNumber", "InvoiceNumber"]
        assert message["bookmark_properties"] == ["LastChanged"]
        validator = jsonschema.Draft7Validator(schema, format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER)
        records = output.records(stream)
        assert len(records) == 60
        for record in records:
            validator.validate(json.loads(json.dumps(record, default=float)))
            assert set(record) == set(schema["properties"])
            assert type(record["Total"]) is (str if strings else Decimal)


def keywords(schema: Any) -> set[str]:
    if not isinstance(schema, dict):
        return set()
    inner = [*schema.get("properties", {}).values(), schema.get("items")]
    return set(schema).union(*(keywords(member) for member in inner))


@pytest.mark.promise("Amounts in Singer messages have every digit that the vendor sent")
def test_amounts_are_exact_as_numbers_and_as_strings(vendor: Vendor, read_tap: Callable[..., Output]) -> None:
    truth = {invoice["InvoiceNumber"]: invoice for invoice in vendor.state.invoices()}
    for strings in (False, True):
        for record in read_tap(vendor.config(use_singer_decimal=strings)).records("invoice_details"):
            invoice = truth[record["InvoiceNumber"]]
            assert str(record["Total"]) == str(invoice["Total"])
            assert [str(line["Price"]) for line in record["InvoiceLines"]] == [
                str(line["Price"]) for line in invoice["InvoiceLines"]
            ]
    assert any(invoice["Total"] == Decimal("1234567890123456.78") for invoice in truth.values())


def test_singer_decimals_are_announced_in_the_schema(vendor: Vendor, read_tap: Callable[..., Output]) -> None:
    (message,) = read_tap(vendor.config(use_singer_decimal=True)).of("SCHEMA", "invoice_details")
    price = message["schema"]["properties"]["InvoiceLines"]["items"]["properties"]["Price"]
    assert price == {"type": ["string", "null"], "format": "x-singer.decimal"}


def test_time_extracted_is_when_the_reply_arrived(vendor: Vendor, read_tap: Callable[..., Output]) -> None:
    before = datetime.now(UTC)
    output = read_tap(vendor.config(page_size=7))
    after = datetime.now(UTC)
    times = [stamp(message["time_extracted"].replace("Z", "+00:00")) for message in output.of("RECORD", "invoices")]
    assert all(before <= at <= after for at in times)
    # 45 and 15 invoices of the two customers, seven a page: one time a reply
    assert len(times) == 60
    assert len(set(times)) == 7 + 3
    assert times[:7] == [times[0]] * 7


def test_the_empty_state_comes_first_and_the_last_message_is_state(
    vendor: Vendor, read_tap: Callable[..., Output]
) -> None:
    messages = read_tap(vendor.config()).messages
    assert messages[0]["type"] == "STATE"
    assert all(marked(messages[0]["value"], stream) == [] for stream in ("invoices", "invoice_details"))
    assert messages[-1]["type"] == "STATE"


def test_the_writer_is_the_tap_s_own(scansource: Connector, vendor: Vendor) -> None:
    assert isinstance(tap_class(scansource)(config=vendor.config()).message_writer, MessageWriter)


def test_catalogs_are_held_against_the_connector_by_name(scansource: Connector) -> None:
    check_catalog({"streams": []}, scansource, {})


# --- being ended -------------------------------------------------------------------------------------


class Running:
    """A tap in a process, whose output is read line by line."""

    def __init__(self, config: str, **env: str) -> None:
        self.process = subprocess.Popen(
            [str(Path(sys.executable).with_name("tap-scansource")), "--config", config],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LOGLEVEL": "WARNING", **env},
        )
        assert self.process.stdout is not None
        self.lines = self.process.stdout
        self.messages: list[Any] = []

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def read_until(self, wanted: Callable[[Any], bool]) -> None:
        for line in self.lines:
            self.messages.append(json.loads(line))
            if wanted(self.messages[-1]):
                return
        raise AssertionError("the tap ended before")

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        time.sleep(0.2)  # it arrives before anything is read, that is, while the tap is writing or waiting
        self.messages += [json.loads(line) for line in self.lines]
        _, errors = self.process.communicate(timeout=20)
        assert b"Traceback" not in errors
        return self.process.returncode


@pytest.mark.promise("A signal ends a tap at once, with its last state and no line cut in two")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_tap_at_once_with_its_last_state(
    start: StartVendor, file: Files, number: signal.Signals
) -> None:
    vendor = start(invoices=2000, latency_ms=20)
    with Running(file(vendor.config(concurrency=2))) as tap:
        tap.read_until(lambda message: message["type"] == "RECORD")
        time.sleep(0.3)
        began = time.monotonic()
        assert tap.end(number) == 128 + number
        assert time.monotonic() - began < 10
    handed_on = [m["record"] for m in tap.messages if m["type"] == "RECORD"]
    assert 0 < len(handed_on) < 1500
    behind = tap.messages[-1]["type"] == "RECORD"  # the one that an unchanged state, which is not repeated, lacks
    state = tap.messages[-2 if behind else -1]
    part, *_ = state["value"]["bookmarks"]["invoice_details"]["partitions"].values()
    # documents come in the order of change: of what was handed on at most the last is not in the bookmark
    covered = [stamp(record["LastChanged"]) for record in handed_on[-2 : -1 if behind else None]]
    assert stamp(part["replication_key_value"]) in covered


@pytest.mark.promise("A signal ends a tap at once, with its last state and no line cut in two")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_signal_does_not_cut_a_line_that_waits_for_a_slow_target(
    start: StartVendor, file: Files, unbuffered: str
) -> None:
    vendor = start(invoices=2000)
    longer = {"invoice_details": {"Longer": "'x' * 20000"}}  # than any buffer
    with Running(file(vendor.config(stream_maps=longer)), PYTHONUNBUFFERED=unbuffered) as tap:
        tap.read_until(lambda message: message["type"] == "RECORD")
        requests = -1
        while requests != sum(vendor.state.requests.values()):  # until the pipe is full and the tap stands
            requests = sum(vendor.state.requests.values())
            time.sleep(0.3)
        assert tap.end(signal.SIGTERM) == 143
    assert tap.messages[-1]["type"] == "STATE"


def test_a_closed_pipe_is_a_sentence_and_no_error_of_the_taps(start: StartVendor, file: Files, tmp_path: Path) -> None:
    vendor = start(invoices=300)
    with Running(file(vendor.config()), **{progress_file.ENVIRONMENT: str(tmp_path / "told.json")}) as tap:
        tap.read_until(lambda message: message["type"] == "SCHEMA")
        tap.lines.close()
        assert tap.process.stderr is not None
        errors = tap.process.stderr.read().decode()
        assert tap.process.wait(20) == 1
    assert "Traceback" not in errors
    assert "the target closed the pipe" in errors
    told = progress_file.read(tmp_path / "told.json")
    assert (told["final"], told["error"]) == (True, None)


# --- progress ----------------------------------------------------------------------------------------


def test_progress_is_told_while_a_request_waits_to_be_retried(start: StartVendor, file: Files, tmp_path: Path) -> None:
    vendor = start(invoices=5)
    vendor.state.fail(1, 429, {"Retry-After": "600"})
    told = tmp_path / "report.json"
    config = file(vendor.config(retry_seconds=1200))
    with Running(config, **{progress_file.ENVIRONMENT: str(told)}) as tap:
        deadline = time.monotonic() + 30
        while not (said := progress_file.read(told)).get("retries"):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert (said["final"], said["waiting"], sum(said["latencies"])) == (False, 1, said["requests"])
        assert not any(stream["records"] for stream in said["streams"].values())
        assert tap.end(signal.SIGTERM) == 143
    assert progress_file.read(told)["final"] is True
