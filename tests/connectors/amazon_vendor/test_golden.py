"""Amazon's documented shapes, in both versions of the API, against records that were written from the model by hand.

The vendor gives no whole answer: the bodies have every name of its models.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tap_amazon_vendor import AMAZON_VENDOR
from vendortap.declare.model import Page, RecordSelector, Reply
from vendortap.decode.reader import Reader
from vendortap.decode.structs import as_dict
from vendortap.decode.values import dates
from vendortap.errors import RefusedError
from vendortap.plugins import validation

FIXTURES = Path(__file__).parents[2] / "fixtures" / "amazon_vendor"
SHAPES = validation.shapes(AMAZON_VENDOR)
VERSIONS = ("v1", "2021-12-28")
STREAMS = ("customer_invoices", "customer_invoices_by_number")


def page(stream: str, version: str, body: bytes) -> Page:
    declared = AMAZON_VENDOR.stream(stream)
    assert callable(declared.record_selector)
    rows = declared.record_selector({"api_version": version})
    assert isinstance(rows, RecordSelector)
    reader = Reader(SHAPES[stream].row, rows, declared.keys, dates("UTC", None))
    found = reader.read(Reply(200, {"content-type": "application/json"}, body, datetime.now(UTC)))
    assert declared.check is not None
    declared.check(found)
    return found


def vendors(row: Any) -> dict[str, Any]:
    """What of a record is the vendor's; the end of the window is the request's."""
    return {name: value for name, value in as_dict(row).items() if name != "createdBefore"}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_list_and_the_single_answer_are_the_golden_records(version: str) -> None:
    wanted = json.loads((FIXTURES / "records.json").read_text(encoding="utf-8"))
    listed = page("customer_invoices", version, (FIXTURES / f"{version}-list.json").read_bytes())
    assert [vendors(row) for row in listed.records] == wanted
    assert listed.more["next"] == "MDAwMDAwMDAwMQ=="
    single = page("customer_invoices_by_number", version, (FIXTURES / f"{version}-single.json").read_bytes())
    assert [vendors(row) for row in single.records] == wanted[:1]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "document", [{}, {"customerInvoices": []}, {"pagination": {}}, {"pagination": {"nextToken": None}}]
)
def test_a_list_of_none_has_no_rows_and_no_token(version: str, document: dict[str, Any]) -> None:
    body = json.dumps({"payload": document} if version == "v1" else document).encode()
    found = page("customer_invoices", version, body)
    assert (list(found.records), found.more["next"]) == ([], None)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("stream", STREAMS)
def test_errors_under_200_are_errors(version: str, stream: str) -> None:
    error = {"code": "InternalFailure", "message": "We encountered an internal error.", "details": "x"}
    with pytest.raises(RefusedError, match="InternalFailure: We encountered"):
        page(stream, version, json.dumps({"errors": [error]}).encode())


@pytest.mark.parametrize("stream", STREAMS)
def test_the_schema_has_the_documented_names_and_where_a_document_went(stream: str) -> None:
    fields = {name: node for name, node in SHAPES[stream].row.fields.items() if node.kind != "given"}
    companions = ["content_path", "content_size", "content_sha256", "content_media_type"]
    assert list(fields) == ["purchaseOrderNumber", "content", *companions]
    assert SHAPES[stream].row.required == {"purchaseOrderNumber"}
