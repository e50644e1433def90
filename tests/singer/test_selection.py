"""A catalog that is older than the connector: what it does not have is not read, and one warning says so."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import make_catalog

if TYPE_CHECKING:
    from tests.conftest import Message, Output, RunTap, Vendor

PROMISE = "What a given catalog does not have is not read, and one warning names it: an upgrade passes no exclusion"
KEYS = {"CustomerNumber", "InvoiceNumber", "LastChanged"}

Crumb = tuple[str, ...]
Older = Callable[..., dict[str, Any]]


def warnings(output: Output) -> list[str]:
    return [line for line in output.stderr.splitlines() if "the catalog given" in line]


def properties(record: Message, *path: str) -> set[str]:
    inner: Any = record
    for name in path:
        inner = inner[name][0] if isinstance(inner[name], list) and inner[name] else inner[name]
    return set(inner or ())


def lacking(
    stream: str, *crumbs: Crumb, streams: tuple[str, ...] = (), selected: list[str] | None = None
) -> dict[str, Any]:
    """Return the catalog of a release that had not yet these properties of a stream, nor these streams."""
    document = make_catalog(streams=selected)
    document["streams"] = [entry for entry in document["streams"] if entry["tap_stream_id"] not in streams]
    for entry in document["streams"]:
        if entry["tap_stream_id"] == stream:
            for crumb in crumbs:
                entry["metadata"] = [m for m in entry["metadata"] if tuple(m["breadcrumb"][: len(crumb)]) != crumb]
                place = entry["schema"]
                for name in crumb[:-1]:
                    place = place[name]
                del place[crumb[-1]]
    return document


@pytest.mark.promise(PROMISE)
@pytest.mark.parametrize(
    ("crumb", "shown", "path"),
    [
        (("properties", "SalesRepEmail"), "SalesRepEmail", ()),
        (("properties", "InvoiceLines"), "InvoiceLines", ()),
        (
            ("properties", "InvoiceLines", "items", "properties", "ItemNumber"),
            "InvoiceLines.ItemNumber",
            ("InvoiceLines",),
        ),
        (("properties", "BillingAddress", "properties", "Street1"), "BillingAddress.Street1", ("BillingAddress",)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_property_that_the_catalog_does_not_have_is_in_no_message(
    tap: RunTap, vendor: Vendor, crumb: Crumb, shown: str, path: tuple[str, ...]
) -> None:
    whole = tap(vendor.config(), catalog=make_catalog())
    assert not warnings(whole)
    older = tap(vendor.config(), catalog=lacking("invoice_details", crumb))
    (warning,) = warnings(older)
    assert f"invoice_details: {shown}." in warning
    assert "`tap-scansource --discover`" in warning
    assert "--refresh-catalog" in warning
    for before, now in zip(whole.records("invoice_details"), older.records("invoice_details"), strict=True):
        had = properties(before, *path)
        assert had - properties(now, *path) == ({crumb[-1]} if had else set())
    (schema,) = [message["schema"] for message in older.of("SCHEMA") if message["stream"] == "invoice_details"]
    for name in crumb[:-1]:
        schema = schema[name]
    assert crumb[-1] not in schema


@pytest.mark.promise(PROMISE)
def test_a_stream_that_the_catalog_does_not_have_is_warned_of(tap: RunTap, vendor: Vendor) -> None:
    output = tap(vendor.config(), catalog=lacking("invoices", streams=("invoice_details", "invoice_documents")))
    assert {message.get("stream") for message in output.messages} == {None, "invoices"}
    (warning,) = warnings(output)
    assert "nothing is read of: the stream invoice_details. `tap" in warning


def test_one_warning_names_all(tap: RunTap, vendor: Vendor) -> None:
    document = lacking("invoices", ("properties", "PONumber"), ("properties", "Total"), streams=("invoice_details",))
    (warning,) = warnings(tap(vendor.config(), catalog=document))
    assert "the stream invoice_details; invoices: PONumber, Total." in warning


def test_a_deselected_stream_is_not_warned_of(tap: RunTap, vendor: Vendor) -> None:
    document = lacking("invoice_details", ("properties", "Total"), selected=["invoices"])
    assert not warnings(tap(vendor.config(), catalog=document))


def test_keys_are_read_from_a_catalog_that_does_not_have_them(tap: RunTap, vendor: Vendor) -> None:
    document = lacking("invoices", ("properties", "InvoiceNumber"), ("properties", "LastChanged"))
    output = tap(vendor.config(), catalog=document)
    assert all(set(record) >= KEYS for record in output.records("invoices"))
    assert not warnings(output)


@pytest.mark.parametrize("left", ["metadata", "schema"])
def test_a_catalog_has_what_its_schema_or_its_metadata_names(tap: RunTap, vendor: Vendor, left: str) -> None:
    document = copy.deepcopy(make_catalog())
    for entry in document["streams"]:
        if left == "schema":
            entry["metadata"] = [item for item in entry["metadata"] if not item["breadcrumb"]]
        else:
            entry["schema"] = {}
    output = tap(vendor.config(), catalog=document)
    assert not warnings(output)
    assert output.records("invoice_details") == tap(vendor.config()).records("invoice_details")


def test_an_entry_that_lists_no_property_speaks_of_the_whole(tap: RunTap, vendor: Vendor) -> None:
    chosen = {"tap_stream_id": "invoice_details", "metadata": [{"breadcrumb": [], "metadata": {"selected": True}}]}
    output = tap(vendor.config(), catalog={"streams": [chosen]})
    (warning,) = warnings(output)
    assert "the stream invoices." in warning
    assert output.records("invoice_details") == tap(vendor.config()).records("invoice_details")


def test_what_a_setting_asks_for_needs_no_catalog_that_has_it(tap: RunTap, vendor: Vendor) -> None:
    output = tap(vendor.config(keep_unknown=True), catalog=make_catalog())
    assert not warnings(output)
    assert all("_unknown" in record for record in output.records("invoices"))
