"""A value in a path stays in its segment, or the request is not made."""

from __future__ import annotations

import pytest

from tests.conftest import Figure, StartVendor, make_catalog
from vendortap.declare.request import get, post
from vendortap.errors import ConfigError, MissingError

BUILDS = [get("/i/{number}/lines"), post("/i/{number}/lines", {})]


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("value", ["", ".", ".."])
def test_a_segment_that_would_be_removed_is_refused(build: object, value: str) -> None:
    assert callable(build)
    with pytest.raises(MissingError, match=r"^the key '\.{0,2}' cannot be a segment of the path /i/\{number\}/lines: "):
        build({}, {"number": value})
    with pytest.raises(ConfigError, match=r"^the setting 'number': '\.{0,2}' cannot be a segment of the path"):
        build({"number": value}, {})


def test_of_several_values_in_one_segment_the_whole_counts() -> None:
    build = get("/i/{a}.{b}")
    assert build({}, {"a": "", "b": "1"}).path == "/i/.1"
    with pytest.raises(MissingError):
        build({}, {"a": "", "b": ""})


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("...", "/i/.../lines"),
        (".a", "/i/.a/lines"),
        ("../x", "/i/..%2Fx/lines"),
        ("%2e%2e", "/i/%252e%252e/lines"),
        ("..\\x", "/i/..%5Cx/lines"),
        (" ", "/i/%20/lines"),
    ],
)
def test_all_else_is_encoded_and_stays(value: str, path: str) -> None:
    for build in BUILDS:
        assert build({}, {"number": value}).path == path


def test_dots_that_stand_in_a_path_itself_are_its_own() -> None:
    assert get("/a/../{number}/")({}, {"number": "1"}).path == "/a/../1/"


def test_a_tap_asks_for_no_other_place(sandboxes: StartVendor, promise: Figure) -> None:
    """A key that would leave its path segment is not asked for; it is named, and the others are read."""
    vendor = sandboxes("visiblescm", invoices=3)
    only = make_catalog(streams=["invoice_details"], connector="visiblescm")
    numbers = [row["RequestedInvoiceRefNumber"] for row in vendor.read(catalog=only).records("invoice_details")]
    before = len(vendor.wire.asked)
    output = vendor.read(catalog=only, invoice_numbers=["..", *numbers])
    assert [row["RequestedInvoiceRefNumber"] for row in output.records("invoice_details")] == numbers
    assert {asked.path for asked in vendor.wire.asked[before:]} == {f"/api/Invoice/{number}" for number in numbers}
    with pytest.raises(MissingError, match=r"visiblescm, invoice_details \(invoice number \.\.\): the key '\.\.' cann"):
        vendor.read(catalog=only, invoice_numbers=[".."], on_missing="fail")
