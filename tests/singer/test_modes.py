"""Selection, stream maps, flattening and decimals do the same in every output mode, and the same as in the SDK."""

from __future__ import annotations

import copy
import gzip
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import redirect_stdout
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from singer_sdk import Stream, Tap

from tests.conftest import without_times
from vendortap.decode import xml_rows
from vendortap.decode.structs import RecordStruct
from vendortap.errors import ConfigError
from vendortap.singer.stream import ConnectorStream
from vendortap.singer.tap import ConnectorTap
from vendortap.singer.writer import MessageWriter
from vendortap.sync.state import has_bookmark

if TYPE_CHECKING:
    from tests.conftest import Output, RunTap, StartVendor, Vendor

STREAMS = ("invoices", "invoice_details")
KEYS = {"CustomerNumber": "CustomerNumber", "InvoiceNumber": "InvoiceNumber"}
MAPS: Mapping[str, Any] = {
    "none": None,
    "rename": {"invoice_details": {"PurchaseOrder": "PONumber", "PONumber": None}},
    "drop": {"invoice_details": {"PONumber": None, "InvoiceLines": None}, "invoices": {"PONumber": "__NULL__"}},
    "mask": {stream: {"PONumber": "md5(PONumber)"} for stream in STREAMS},
    "filter": {"invoice_details": {"__filter__": "Currency == 'USD'"}, "invoices": None},
    "alias": {"invoices": {"__alias__": "bills"}},
    "two streams": {
        "invoice_details": {"PONumber": None},
        "ledger": {
            "__source__": "invoice_details",
            **KEYS,
            "__else__": None,
            "Total": "Total",
            "PONumber": "md5(PONumber)",
        },
    },
    "only some fields": {
        "invoice_details": {**KEYS, "__else__": None, "Total": "Total", "Who": "SalesRepCode or 'none'"}
    },
    "only some streams": {"invoice_details": {"Twice": "str(Total)"}, "__else__": None},
}
DESELECTED: Mapping[str, tuple[str, ...]] = {
    "nothing": (),
    "fields": ("SalesRepEmail", "TaxAmount", "ShipDate"),
    "in objects": ("BillingAddress.Street1", "ShippingAddress.Name", "SalesRepEmail"),
    "in arrays": ("InvoiceLines[].ItemDescription", "InvoiceLines[].SerialNumbers"),
    "a whole array": ("InvoiceLines", "TrackingNumbers"),
}
NOT_BY_THE_SDK = {"keep": ("in arrays",), "json": ("in arrays", "in objects")}
"""Where the SDK selects nothing: in arrays, and in a text."""
FLATTENING: Mapping[str, Mapping[str, Any]] = {
    "off": {},
    "one level": {"flattening_enabled": True, "flattening_max_depth": 1},
    "three levels": {"flattening_enabled": True, "flattening_max_depth": 3, "flattening_separator": "."},
}


@pytest.fixture(scope="module")
def full(vendor: Vendor, read_tap: Callable[..., Output]) -> Mapping[tuple[bool, str], Output]:
    """What there is, without selection and maps; with amounts as numbers and as strings, objects kept or as text."""
    return {
        (strings, nested): read_tap(some(vendor, use_singer_decimal=strings, nested=nested))
        for strings in (False, True)
        for nested in ("keep", "json")
    }


def some(vendor: Vendor, **changes: Any) -> dict[str, Any]:
    """Settings for fourteen documents, among them one without lines, and the list of the second customer."""
    numbers = [str(40_000_000 + n) for n in range(14)]
    return vendor.config(invoice_numbers=numbers, customer_numbers=["1000012345"], on_missing="skip", **changes)


def by_stream(records: Iterable[tuple[str, Any]]) -> dict[str, list[str]]:
    """Stream → its records, in order, as text that tells 1.0 from 1.00."""
    found: dict[str, list[str]] = {}
    for stream, record in records:
        found.setdefault(stream, []).append(repr(sorted(record.items())))
    return found


def in_records(output: Output) -> dict[str, list[str]]:
    return by_stream((m["stream"], m["record"]) for m in output.of("RECORD"))


def batch_files(output: Output) -> Iterator[tuple[str, bytes]]:
    for message in output.of("BATCH"):
        for url in message["manifest"]:
            yield message["stream"], gzip.decompress(Path(urlsplit(url).path).read_bytes())


def in_batches(output: Output) -> dict[str, list[str]]:
    return by_stream(
        (stream, json.loads(line, parse_float=Decimal))
        for stream, content in batch_files(output)
        for line in content.splitlines()
    )


def batch_config(folder: Path, size: int = 5) -> dict[str, Any]:
    encoding = {"format": "jsonl", "compression": "gzip"}
    return {"encoding": encoding, "storage": {"root": folder.as_uri(), "prefix": "x-"}, "batch_size": size}


# --- the reference: a plain tap on the SDK -----------------------------------------------------------


class PlainStream(Stream):
    records: ClassVar[dict[str, list[Any]]] = {}

    def get_records(self, context: Any) -> Iterable[dict[str, Any]]:  # noqa: ARG002 - the SDK's signature
        return copy.deepcopy(self.records[self.name])


class PlainTap(Tap):
    name = "tap-plain"
    config_jsonschema: ClassVar[dict[str, Any]] = {"properties": {}}
    schemas: ClassVar[dict[str, Any]] = {}

    def discover_streams(self) -> list[Stream]:
        streams: list[Stream] = []
        for name, schema in self.schemas.items():
            stream = PlainStream(self, schema, name)
            stream.primary_keys = ["CustomerNumber", "InvoiceNumber"]
            stream.replication_key = "LastChanged"
            streams.append(stream)
        return streams


def plainly(full: Output, config: Mapping[str, Any], catalog: Any) -> list[Any]:
    """What the SDK makes of the records and schemas of an output, with these settings and this catalog."""
    PlainTap.schemas = {m["stream"]: m["schema"] for m in full.of("SCHEMA")}
    PlainStream.records = {stream: full.records(stream) for stream in STREAMS}
    catalog["streams"] = [entry for entry in catalog["streams"] if entry["tap_stream_id"] in PlainTap.schemas]
    for entry in catalog["streams"]:
        entry["schema"] = PlainTap.schemas[entry["tap_stream_id"]]  # a plain tap believes what the catalog says
    with redirect_stdout(io.StringIO()) as text:
        PlainTap(config=copy.deepcopy(dict(config)), catalog=catalog).sync_all()
    return [json.loads(line, parse_float=Decimal) for line in text.getvalue().splitlines()]


# --- properties --------------------------------------------------------------------------------------


@given(
    maps=st.sampled_from(sorted(MAPS)),
    deselected=st.sampled_from(sorted(DESELECTED)),
    flattening=st.sampled_from(sorted(FLATTENING)),
    strings=st.booleans(),
    nested=st.sampled_from(["keep", "json"]),
)
@hypothesis_settings(
    max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_batches_hold_the_very_records_of_record_messages_and_the_sdk_would_make_the_same(
    vendor: Vendor,
    read_tap: Callable[..., Output],
    catalog: Callable[..., Any],
    full: Mapping[tuple[bool, str], Output],
    tmp_path: Path,
    maps: str,
    deselected: str,
    flattening: str,
    strings: bool,
    nested: str,
) -> None:
    if maps == "drop" and deselected == "a whole array":
        return  # a map of what is not selected
    chosen = catalog(deselect={"invoice_details": DESELECTED[deselected]})
    shaping = {**FLATTENING[flattening], **({"stream_maps": MAPS[maps]} if MAPS[maps] else {})}
    config = some(vendor, use_singer_decimal=strings, nested=nested, **shaping)
    records = read_tap(config, catalog=chosen)
    batches = read_tap({**config, "batch_config": batch_config(tmp_path)}, catalog=chosen)

    assert in_batches(batches) == in_records(records)
    assert batches.of("SCHEMA") == records.of("SCHEMA")
    assert batches.of("RECORD") == []
    assert without_times(batches.state) == without_times(records.state)

    if deselected not in NOT_BY_THE_SDK[nested]:
        plain = plainly(full[strings, nested], shaping, catalog(deselect={"invoice_details": DESELECTED[deselected]}))
        assert in_records(records) == by_stream((m["stream"], m["record"]) for m in plain if m["type"] == "RECORD")
        assert [drop_descriptions(m) for m in records.of("SCHEMA")] == [
            drop_descriptions(m) for m in plain if m["type"] == "SCHEMA"
        ]


PLAIN: Mapping[str, Any] = {
    "maps": "none",
    "deselected": "nothing",
    "flattening": "off",
    "batches": False,
    "format": "json",
}


@given(
    maps=st.sampled_from(sorted(MAPS)),
    deselected=st.sampled_from(sorted(DESELECTED)),
    flattening=st.sampled_from(sorted(FLATTENING)),
    strings=st.booleans(),
    nested=st.sampled_from(["keep", "json"]),
    batches=st.booleans(),
    format=st.sampled_from(["json", "xml"]),
)
@example(**PLAIN, strings=False, nested="keep")
@example(**PLAIN, strings=True, nested="keep")
@example(**PLAIN, strings=False, nested="json")
@example(**PLAIN, strings=True, nested="json")
@hypothesis_settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_quick_way_writes_the_very_bytes_of_the_other_way(
    vendor: Vendor,
    read_tap: Callable[..., Output],
    catalog: Callable[..., Any],
    tmp_path: Path,
    maps: str,
    deselected: str,
    flattening: str,
    strings: bool,
    nested: str,
    batches: bool,
    format: str,  # noqa: A002 - the setting's name
) -> None:
    if maps == "drop" and deselected == "a whole array":
        return  # a map of what is not selected
    chosen = catalog(deselect={"invoice_details": DESELECTED[deselected]})
    shaping = {**FLATTENING[flattening], **({"stream_maps": MAPS[maps]} if MAPS[maps] else {})}
    config = some(vendor, use_singer_decimal=strings, nested=nested, format=format, **shaping)
    if batches:
        config["batch_config"] = batch_config(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(xml_rows, "WORTH", 1)
        quick = read_tap(config, catalog=chosen)
        patch.setattr(ConnectorStream, "_as_they_are", False)
        slow = read_tap(config, catalog=chosen)
    assert timeless(quick) == timeless(slow)
    assert [content for _, content in batch_files(quick)] == [content for _, content in batch_files(slow)]


def test_records_are_written_as_they_were_decoded_unless_something_alters_them(
    vendor: Vendor, read_tap: Callable[..., Output], monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bool] = []

    class Noticed(MessageWriter):
        def serialize_records(self, stream: str, records: Any, *rest: Any, **options: Any) -> bytearray:
            written.extend(isinstance(record, RecordStruct) for record in records if stream == "invoices")
            return super().serialize_records(stream, records, *rest, **options)

    monkeypatch.setattr(ConnectorTap, "message_writer_class", Noticed)
    maps = {"invoices": {"PONumber": "md5(PONumber)"}}
    for changes, are_as_decoded in (
        ({}, [True]),
        ({"use_singer_decimal": True}, [True]),
        ({"format": "xml"}, [True]),
        ({"stream_maps": maps}, []),
    ):
        written.clear()
        output = read_tap(some(vendor, **changes))
        assert written == are_as_decoded * len(output.records("invoices"))
        assert {record["CustomerNumber"] for record in output.records("invoices")} == {"1000012345"}


def test_a_list_in_xml_is_read_by_expression(
    vendor: Vendor, read_tap: Callable[..., Output], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xml_rows, "WORTH", 1)
    slow = read_tap(some(vendor, format="json", use_singer_decimal=True))
    expressions: list[xml_rows.Expression] = []
    read = xml_rows.Expression.match

    def noted(self: xml_rows.Expression, body: bytes) -> Any:
        found = read(self, body)
        expressions.append(self)
        return found

    monkeypatch.setattr(xml_rows.Expression, "match", noted)
    quick = read_tap(some(vendor, format="xml", use_singer_decimal=True))
    assert expressions
    assert sorted(map(by_text, quick.records("invoices"))) == sorted(map(by_text, slow.records("invoices")))


def test_a_run_that_ends_at_a_number_of_records_writes_them_as_others_do(
    vendor: Vendor, read_tap: Callable[..., Output], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `--test` does: it writes record by record."""
    monkeypatch.setattr(xml_rows, "WORTH", 1)
    whole = read_tap(some(vendor))
    monkeypatch.setattr(ConnectorStream, "ABORT_AT_RECORD_COUNT", 10_000)
    assert timeless(read_tap(some(vendor))) == timeless(whole)


def read_again(record: Mapping[str, Any], nested: set[str]) -> dict[str, Any]:
    """Return a record whose nested properties are text, with what these say in their place."""
    return {k: json.loads(v, parse_float=Decimal) if v and k in nested else v for k, v in record.items()}


def by_text(record: Mapping[str, Any]) -> str:
    return repr(sorted(record.items()))


@pytest.mark.parametrize("strings", [False, True])
@pytest.mark.parametrize("format", ["json", "xml"])
@pytest.mark.parametrize("selection", ["nothing", "in arrays", "in objects", "a whole array"])
def test_objects_and_arrays_as_text_say_what_they_said(
    vendor: Vendor,
    read_tap: Callable[..., Output],
    catalog: Callable[..., Any],
    selection: str,
    format: str,  # noqa: A002 - the setting's name
    strings: bool,
) -> None:
    chosen = catalog(deselect={"invoice_details": DESELECTED[selection]})
    config = some(vendor, use_singer_decimal=strings, format=format)
    kept, text = (read_tap({**config, "nested": nested}, catalog=chosen) for nested in ("keep", "json"))
    for stream in STREAMS:
        (before,), (after,) = (output.of("SCHEMA", stream) for output in (kept, text))
        types = {name: member["type"] for name, member in before["schema"]["properties"].items()}
        nested = {name for name, kinds in types.items() if {"array", "object"}.intersection(kinds)}
        assert ("BillingAddress" in nested) == (stream == "invoice_details")
        for name, member in after["schema"]["properties"].items():
            assert member["type"] == (["string", "null"] if name in nested else types[name])
            assert set(member) <= {"type", "description", "format"}
        assert {**after, "schema": None} == {**before, "schema": None}
        whole, written = kept.records(stream), text.records(stream)
        assert len(whole) == len(written) > 0
        for name in nested:
            assert {type(record[name]) for record in written} <= {str, type(None)}
        assert [by_text(read_again(record, nested)) for record in written] == [by_text(record) for record in whole]


def test_the_catalog_selects_inside_what_becomes_text(vendor: Vendor, tap: RunTap) -> None:
    kept, text = (json.loads(tap(vendor.config(nested=nested), "--discover").stdout) for nested in ("keep", "json"))
    for before, after in zip(kept["streams"], text["streams"], strict=True):
        assert sorted(before["metadata"], key=str) == sorted(after["metadata"], key=str)


def timeless(output: Output) -> list[bytes]:
    """The lines of an output but for when they were made, and where its batches are."""
    lines = [re.sub(rb'"(time_extracted|since|tried)":"[^"]*"', b"", line) for line in output.stdout.splitlines()]
    return [re.sub(rb'"manifest":\[[^]]*\]', b"", line) for line in lines]


def drop_descriptions(value: Any) -> Any:
    """The SDK's own copy of a schema keeps fewer annotations, and an empty list of required properties."""
    if isinstance(value, dict):
        return {k: drop_descriptions(v) for k, v in value.items() if k != "description" and (k, v) != ("required", [])}
    return [drop_descriptions(v) for v in value] if isinstance(value, list) else value


@pytest.mark.promise("What the operator deselects or masks is nowhere in the output, in every mode")
@pytest.mark.parametrize("flattening", FLATTENING)
@pytest.mark.parametrize("mode", ["RECORD", "BATCH"])
@pytest.mark.parametrize("how", ["deselected", "dropped", "masked"])
def test_what_is_withheld_is_nowhere_in_the_output(
    vendor: Vendor,
    read_tap: Callable[..., Output],
    catalog: Callable[..., Any],
    tmp_path: Path,
    how: str,
    mode: str,
    flattening: str,
) -> None:
    truth = list(vendor.state.invoices())[:14]
    withheld = {invoice["PONumber"] for invoice in truth} | {"29615"}
    fields = ["PONumber", "BillingAddress.PostalCode"]
    lines = {line["ItemDescription"] for invoice in truth for line in invoice["InvoiceLines"]}
    chosen = catalog()
    maps: dict[str, Any] = {}
    if how == "deselected":
        withheld |= {serial for i in truth for line in i["InvoiceLines"] for serial in line["SerialNumbers"]}
        withheld |= {json.dumps(text)[1:-1] for text in lines}
        fields += ["InvoiceLines[].SerialNumbers", "InvoiceLines[].ItemDescription"]
        chosen = catalog(deselect={"invoice_details": fields, "invoices": ["PONumber"]})
    elif how == "dropped":
        maps = {"invoice_details": {"PONumber": None, "BillingAddress": None}, "invoices": {"PONumber": None}}
    else:
        hidden = {"PONumber": "md5(PONumber)"}
        maps = {"invoices": hidden, "invoice_details": {**hidden, "BillingAddress": "md5(str(BillingAddress))"}}
    config = some(vendor, **FLATTENING[flattening], stream_maps=maps)
    if mode == "BATCH":
        config["batch_config"] = batch_config(tmp_path)
    output = read_tap(config, catalog=chosen)
    everything = output.stdout.decode() + "".join(content.decode() for _, content in batch_files(output))
    assert '"InvoiceNumber":"40000001"' in everything
    present = {value for value in withheld if value in everything}
    assert present == set()


def test_selection_inside_arrays_reaches_schema_and_records(
    vendor: Vendor, read_tap: Callable[..., Output], catalog: Callable[..., Any]
) -> None:
    chosen = catalog(deselect={"invoice_details": ["InvoiceLines[].Price", "ShippingAddress.City"]})
    output = read_tap(some(vendor), catalog=chosen)
    (schema,) = [message["schema"]["properties"] for message in output.of("SCHEMA", "invoice_details")]
    assert "Price" not in schema["InvoiceLines"]["items"]["properties"]
    assert "City" not in schema["ShippingAddress"]["properties"]
    assert "City" in schema["BillingAddress"]["properties"]
    for record in output.records("invoice_details"):
        assert all("Price" not in line and "Shipped" in line for line in record["InvoiceLines"])


@pytest.mark.promise("A state follows the records that it covers")
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_state_in_batch_mode_follows_the_batch_that_it_covers(
    vendor: Vendor, read_tap: Callable[..., Output], tmp_path: Path, size: int
) -> None:
    output = read_tap(vendor.config(batch_config=batch_config(tmp_path, size)))
    changed = {
        record["InvoiceNumber"]: record["LastChanged"] for record in read_tap(vendor.config()).records("invoices")
    }
    written: set[str] = set()
    states = 0
    for message in output.messages:
        if message["type"] == "BATCH" and message["stream"] == "invoice_details":
            (url,) = message["manifest"]
            lines = gzip.decompress(Path(urlsplit(url).path).read_bytes()).splitlines()
            assert len(lines) <= size
            written |= {json.loads(line)["InvoiceNumber"] for line in lines}
        elif message["type"] == "STATE":
            parts = message["value"].get("bookmarks", {}).get("invoice_details", {}).get("partitions", {}).values()
            states += any(part["replication_key_value"] for part in parts)
            covered = {number for part in parts for key in part["seen"] for number in key}
            assert covered <= written
    assert states >= 1
    assert written == set(changed)
    again = read_tap(vendor.config(batch_config=batch_config(tmp_path, size)), state=output.state)
    assert again.of("BATCH") == []


@pytest.mark.promise("A state follows the records that it covers")
def test_a_failed_run_in_batch_mode_does_not_cover_what_waits_to_be_written(
    tap: RunTap, start: StartVendor, tmp_path: Path
) -> None:
    vendor = start(invoices=60, latency_ms=5)
    with vendor.meanwhile(30, lambda: vendor.state.fail(10_000, 500)):
        done = tap(vendor.config(batch_config=batch_config(tmp_path, 1000), retry_seconds=0.1))
    assert done.code == 1
    assert done.of("BATCH") == []
    assert not any(has_bookmark(message["value"], "invoice_details") for message in done.of("STATE"))


def test_the_state_of_a_stream_whose_records_are_all_filtered_out_advances(
    vendor: Vendor, read_tap: Callable[..., Output], tmp_path: Path
) -> None:
    maps = {"invoices": {"__filter__": "Total == 'never'"}, "invoice_details": None}
    for mode in ({}, {"batch_config": batch_config(tmp_path)}):
        output = read_tap(vendor.config(stream_maps=maps, **mode))
        assert output.of("RECORD") == output.of("BATCH") == []
        assert len(output.state["bookmarks"]["invoices"]["partitions"]) == 2


# --- what is wrong with them -------------------------------------------------------------------------


@pytest.mark.promise("A stream map that fails is a sentence without the data it failed at")
@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ({"invoices": {"PONumber": "md5("}}, "'stream_maps' cannot be used: Failed to parse expression md5\\("),
        ({"invoices": {"InvoiceNumber": None}}, "'stream_maps' cannot be used: Removing key property"),
        ({"invoices": {"__else__": "all"}}, "'stream_maps' cannot be used: Option '__else__=all' is not supported"),
        ({"__other__": None}, "'stream_maps' cannot be used"),
        ({"invoices": {"X": "Unknown"}}, "'stream_maps' cannot be applied to 'invoices': Failed to evaluate"),
        (
            {"invoices": {"X": "Total * 1.5"}},
            "'stream_maps' cannot be applied to 'invoices': it fails with a TypeError",
        ),
        ({"invoices": {"X": "int(PONumber)"}}, "'stream_maps' cannot be applied to 'invoices': it fails with a ValueE"),
    ],
)
def test_a_map_that_cannot_be_used_is_a_sentence_without_data(
    vendor: Vendor, read_tap: Callable[..., Output], maps: Any, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read_tap(vendor.config(stream_maps=maps))
    assert "PO#" not in str(caught.value)


def test_settings_are_left_as_they_were_given(vendor: Vendor, read_tap: Callable[..., Output]) -> None:
    config = vendor.config(stream_maps={"invoices": {"PONumber": None}, "__else__": None})
    before = copy.deepcopy(config)
    read_tap(config)
    assert config == before


@pytest.mark.parametrize(
    "encoding",
    [
        {"format": "jsonl", "compression": "zstd"},
        {"format": "csv", "compression": "gzip"},
        {"format": "parquet", "compression": "gzip"},
    ],
)
def test_batch_files_that_would_not_be_as_asked_are_refused(
    vendor: Vendor, read_tap: Callable[..., Output], tmp_path: Path, encoding: dict[str, str]
) -> None:
    wanted = {**batch_config(tmp_path), "encoding": encoding}
    with pytest.raises(ConfigError, match=r"'batch_config' (has another '(format|compression)' than|needs 'encoding')"):
        read_tap(vendor.config(batch_config=wanted))


@pytest.mark.parametrize("broken", [{"encoding": {}}, {"storage": {"root": "file:///x"}}, {"size": 5}])
def test_a_batch_config_that_cannot_be_used_is_a_sentence(
    vendor: Vendor, read_tap: Callable[..., Output], broken: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match="'batch_config' needs 'encoding'"):
        read_tap(vendor.config(batch_config=broken))


def test_a_mistake_in_a_map_ends_the_command_with_2(tap: RunTap, vendor: Vendor) -> None:
    done = tap(vendor.config(stream_maps={"invoices": {"X": "Total * 1.5"}}))
    assert done.code == 2
    assert "the setting 'stream_maps' cannot be applied to 'invoices'" in done.complaint


def test_batches_that_cannot_be_written_are_a_sentence_and_exit_1(
    tap: RunTap, start: StartVendor, tmp_path: Path
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be", encoding="utf-8")
    done = tap(start(invoices=3).config(batch_config=batch_config(blocked / "batches")))
    assert done.code == 1
    assert str(blocked) in done.complaint
