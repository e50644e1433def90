"""Totals of what a tap writes: of stream maps, selection, flattening and batches, and never of what is hidden."""

from __future__ import annotations

import io
from collections import Counter
from contextlib import redirect_stdout
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartVendor, Vendor, _tap_class, make_catalog
from vendortap.singer import progress_file

DETAILS = "invoice_details"
Sums = dict[str | None, tuple[int, Decimal]]


@pytest.fixture(autouse=True)
def _wanted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(progress_file.ENVIRONMENT, str(tmp_path / "report.json"))
    monkeypatch.setenv(progress_file.TOTALS, "1")


def told(vendor: Vendor, catalog: Any = None, **options: Any) -> Sums:
    """The totals that the tap tells of the documents."""
    with redirect_stdout(io.TextIOWrapper(io.BytesIO(), encoding="utf-8")):
        tap = _tap_class(vendor.connector.name)(config=vendor.config(**options), catalog=catalog)
        tap.sync_all()
        tap.client.close()
        found = tap.snapshot()["streams"][DETAILS]["totals"]
    return {entry["currency"]: (entry["records"], Decimal(entry["amount"])) for entry in found}


def batches(tmp_path: Path) -> dict[str, Any]:
    return {"batch_config": {"encoding": {"format": "jsonl"}, "storage": {"root": tmp_path.as_uri()}}}


@pytest.mark.promise("A report's totals are sums of what is written: of nothing that a map drops, removes or masks")
@pytest.mark.parametrize("in_batches", [False, True])
@pytest.mark.parametrize(
    "maps",
    [
        {"Total": None},
        {"CustomerNumber": "CustomerNumber", "InvoiceNumber": "InvoiceNumber", "__else__": None},
        {"Total": "md5(str(Total))"},
        {"Total": "str('hidden') if Currency == 'EUR' else Total"},
        {"Currency": None},
        {"Total": "Total if int(InvoiceNumber) < 0 else None"},
    ],
)
def test_what_a_stream_map_hides_is_in_no_total(
    maps: dict[str, Any], in_batches: bool, vendor: Vendor, tmp_path: Path
) -> None:
    assert told(vendor, stream_maps={DETAILS: maps}, **(batches(tmp_path) if in_batches else {})) == {}


def test_what_a_stream_map_makes_of_an_amount_or_a_currency_is_what_is_added_up(vendor: Vendor) -> None:
    truth: Sums = vendor.state.totals()
    counts = {currency: count for currency, (count, _) in truth.items()}
    fives = told(vendor, stream_maps={DETAILS: {"Total": "int(5)"}})
    assert fives == {c: (n, Decimal(5 * n)) for c, n in counts.items()}
    together = (sum(counts.values()), sum(amount for _, amount in truth.values()))
    assert told(vendor, stream_maps={DETAILS: {"Currency": "'XTS'"}}) == {"XTS": together}


def test_a_record_that_is_written_twice_counts_once_and_one_that_is_dropped_does_not(vendor: Vendor) -> None:
    truth: Sums = vendor.state.totals()
    copy = {"copy": {"__source__": DETAILS, "Total": None}}
    assert told(vendor, stream_maps={DETAILS: {}, **copy}) == truth
    assert told(vendor, stream_maps={DETAILS: {"__filter__": "Currency != 'EUR'"}}) == {
        currency: total for currency, total in truth.items() if currency != "EUR"
    }


@pytest.mark.parametrize("field", ["Total", "Currency"])
def test_what_is_deselected_is_in_no_total(field: str, vendor: Vendor) -> None:
    assert told(vendor, make_catalog(streams=[DETAILS], deselect={DETAILS: [field]})) == {}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_singer_decimal": True},
        {"nested": "json"},
        {"nested": "json", "use_singer_decimal": True},
        {"flattening_enabled": True, "flattening_max_depth": 1},
        {"flattening_enabled": True, "flattening_max_depth": 5},
    ],
)
def test_an_amount_inside_a_record_is_found_in_whatever_form_it_is_written(
    options: dict[str, Any], sandboxes: StartVendor
) -> None:
    vendor = sandboxes("ingram-micro", invoices=12, calls_per_minute=0)
    assert Counter(told(vendor, **options)) == Counter(vendor.state.totals())
