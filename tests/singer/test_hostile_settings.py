"""Whatever a setting is, a run reads with it or ends with a sentence that names it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

import vendortap
from tests.conftest import Output, RunTap, StartVendor, Vendor
from vendortap.decode import schemas
from vendortap.errors import ConfigError, VendortapError
from vendortap.plugins import host
from vendortap.singer.tap import tap_class

CONNECTORS = ("amazon-vendor", "ingram-micro", "midnight", "scansource", "visiblescm")
Read = Callable[..., Output]


@pytest.fixture(scope="module")
def small(sandboxes: StartVendor) -> Callable[[str], Vendor]:
    """A sandbox of two invoices for each connector."""
    running: dict[str, Vendor] = {}

    def get(name: str) -> Vendor:
        if name not in running:
            running[name] = sandboxes(name, invoices=2)
        return running[name]

    return get


def test_a_whole_number_is_an_integer_however_it_is_written(vendor: Vendor, read_tap: Read) -> None:
    plain = read_tap(vendor.config())
    written = read_tap(vendor.config(concurrency=2.0, page_size=100.0, max_depth=64.0, burst=10.0))
    assert written.records("invoices") == plain.records("invoices")
    embedded = vendortap.read("scansource", vendor.config(concurrency=2.0), streams=["invoices"])
    records = [item.record for item in embedded if isinstance(item, vendortap.StreamRecord)]
    assert len(records) == len(plain.records("invoices"))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e308, 10**400, 2**53])
@pytest.mark.parametrize(
    "name", ["timeout_seconds", "retry_seconds", "reply_seconds", "max_body_mb", "requests_per_second", "burst"]
)
def test_a_number_beyond_all_reason_is_refused_by_name(vendor: Vendor, read_tap: Read, name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"the setting '{name}' has to be"):
        read_tap(vendor.config(**{name: value}))
    with pytest.raises(ConfigError, match=f"the setting '{name}' has to be"):
        list(vendortap.read("scansource", vendor.config(**{name: value})))


@pytest.mark.parametrize("name", ["timeout_seconds", "retry_seconds", "reply_seconds"])
def test_a_wait_of_more_than_a_week_is_refused(vendor: Vendor, read_tap: Read, name: str) -> None:
    with pytest.raises(ConfigError, match=f"the setting '{name}' does not fit \\(maximum: 604800\\)"):
        read_tap(vendor.config(**{name: 604_801}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("client_id", "\ud800"),
        ("client_secret", "a\0b"),
        ("customer_numbers", ["1", "\udfff"]),
        ("invoice_numbers_file", "a\0b"),
        ("quarantine_dir", "\ud800"),
        ("ca_bundle", "a\0b"),
        ("plugins", {"\ud800": {}}),
        ("stream_maps", {"invoices": {"X": "'\ud800'"}}),
        ("stream_maps", {"invoices": {"X": math.nan}}),
    ],
)
def test_what_no_request_and_no_file_name_can_hold_is_refused_by_name(
    vendor: Vendor, read_tap: Read, name: str, value: Any
) -> None:
    with pytest.raises(ConfigError, match=f"the setting '{name}' has a ") as refused:
        read_tap(vendor.config(**{name: value}))
    str(refused.value).encode()


def test_a_file_and_the_environment_are_read_alike(tap: RunTap, vendor: Vendor) -> None:
    for text in ("NaN", "1e400", "9" * 5_000, "[" * 100_000):
        done = tap(vendor.config(), "--config", "ENV", env={"TAP_SCANSOURCE_TIMEOUT_SECONDS": text})
        assert done.code == 2
        assert "the setting 'timeout_seconds' has to be" in done.complaint
    done = tap('{"subscription_key": "key", "customer_numbers": ["1"], "retry_seconds": 1e400}')
    assert done.code == 2
    assert "the setting 'retry_seconds' has to be a number between" in done.complaint


def test_flattening_without_a_depth_is_refused(vendor: Vendor, read_tap: Read) -> None:
    with pytest.raises(ConfigError, match="'flattening_enabled' is of no use without 'flattening_max_depth'"):
        read_tap(vendor.config(flattening_enabled=True))


HOSTILE: tuple[Any, ...] = (
    *(2.0, -1, math.nan, math.inf, 1e308, 10**400, True, None),
    *("", "\ud800", "a\0b", "x" * 20_000, "2.0", "9" * 5_000, "9" * 5_000 + "%", "5%\n", "~nobody/x", "/dev/null"),
    *("http://[::1", "https://127.0.0.1:99999999/", "https://xn--/", "9999-12-31", "{", "%", "\n"),
    *([], ["\ud800"], [1.0], {}, {"\ud800": 1}, json.loads("[" * 500 + "]" * 500)),
)


@pytest.mark.parametrize("connector", CONNECTORS)
def test_no_setting_of_any_connector_makes_a_defect(
    connector: str, small: Callable[[str], Vendor], read_tap: Read, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.chdir(tmp_path)  # some of the values are names of files
    quick = {"retry_seconds": 0.1, "timeout_seconds": 2, "reply_seconds": 3}
    config = small(connector).config(**quick)
    declared = host.load(connector)
    every = connector == "scansource"  # those that all connectors have are tried with one
    names = tap_class(declared).config_jsonschema if every else schemas.load(declared.schemas, "config")
    for name, value in product(names["properties"], HOSTILE):
        try:
            read_tap({**config, name: value}, connector=connector)
        except (VendortapError, OSError) as error:
            str(error).encode("utf-8")
        except Exception as error:
            raise AssertionError(f"{name} = {value!r:.40}") from error
