"""Whose a state is, and with what it was read: the state of anything else is refused before anything is asked for."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import marked
from vendortap.errors import StateError
from vendortap.plugins import host
from vendortap.plugins.validation import settings
from vendortap.sync.owner import adopt, owner_of

if TYPE_CHECKING:
    from tests.conftest import StartVendor

INGRAM: dict[str, Any] = {"customer_number": "20-222222", "country_code": "US", "environment": "production"}
MARK = {"replication_key": "invoiceDate", "replication_key_value": "2025-01-31T00:00:00+00:00"}


def taken(state: dict[str, Any], connector: str = "ingram-micro", **config: Any) -> tuple[dict[str, Any], list[str]]:
    """Take a state over; returns it, and the warnings."""
    loaded = host.load(connector)
    schema = settings(loaded)
    defaults = {name: setting.get("default") for name, setting in schema["properties"].items()}
    whole = {**defaults, **(INGRAM if connector == "ingram-micro" else {}), **config}
    streams = [stream for stream in loaded.streams if stream.replication_key]
    state = deepcopy(state)
    return state, list(adopt(state, owner_of(loaded, whole, schema), streams, whole, schema))


def ours(**config: Any) -> dict[str, Any]:
    """Return a state that a run with these settings has left."""
    state, _ = taken({"bookmarks": {}}, **config)
    state["bookmarks"]["invoices"] |= deepcopy(MARK)
    return state


@pytest.mark.promise("A state of another connector, account or key is refused before anything is asked for")
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"connector": "scansource"}, "belongs to the connector 'ingram-micro', not to 'scansource'"),
        ({"customer_number": "20-333333"}, r"another account of ingram-micro \(what identifies it: customer_number"),
        ({"country_code": "CA"}, "another account of ingram-micro"),
    ],
)
def test_another_ones_state_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(StateError, match=says) as caught:
        taken(ours(), **change)
    assert "start with a new state" in str(caught.value)
    assert "20-222222" not in str(caught.value)


def test_ones_own_state_is_taken_without_a_word() -> None:
    state, warnings = taken(ours())
    assert warnings == []
    assert state == ours()
    assert "20-222222" not in json.dumps(state), "the account is a hash"


def test_another_key_is_refused() -> None:
    for wrong in ({"keys": ["somethingElse"]}, {"replication_key": "somethingElse"}):
        state = ours()
        state["bookmarks"]["invoices"] |= wrong
        with pytest.raises(StateError, match="somethingElse"):
            taken(state)


def test_another_origin_is_a_warning() -> None:
    state, warnings = taken(ours(base_url="https://one.example"), base_url="https://two.example/v9")
    assert len(warnings) == 1
    assert "https://one.example was asked, and now https://two.example is" in warnings[0]
    assert taken(state, base_url="https://two.example/v9")[1] == []


def test_a_state_of_before_is_adopted_once() -> None:
    old = {"bookmarks": {"invoices": deepcopy(MARK)}}
    state, warnings = taken(old)
    assert len(warnings) == 1
    assert "does not say whose it is" in warnings[0]
    assert taken(state)[1] == []
    with pytest.raises(StateError, match="no stream 'customer_invoices': it is another connector's"):
        taken({"bookmarks": {"customer_invoices": deepcopy(MARK)}})


@pytest.mark.promise("Settings that let in more than the state was read with are refused with the two ways on")
@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({"start_date": "2025-01-01"}, {"start_date": "2024-12-31"}),
        ({"start_date": "2025-01-01"}, {"start_date": None}),
        ({"start_date": "2025-01-01T00:00:00"}, {"start_date": "2024-01-01"}),
    ],
)
def test_a_wider_range_is_refused(before: dict[str, Any], now: dict[str, Any]) -> None:
    with pytest.raises(StateError, match="more records belong to the stream") as caught:
        taken(ours(**before), **now)
    assert "Set 'start_date' back" in str(caught.value)
    assert "start with a new state" in str(caught.value)


def test_a_narrower_range_is_taken_and_cannot_be_widened_again() -> None:
    """What lies between the two was not read while the later one was set."""
    state, _ = taken(ours(start_date="2025-01-01"), start_date="2025-03-01")
    assert taken(state, start_date="2025-03-01")[1] == []
    with pytest.raises(StateError, match="more records"):
        taken(state, start_date="2025-01-01")


def test_a_stream_that_was_never_read_has_no_range_to_widen() -> None:
    state, _ = taken({"bookmarks": {}}, start_date="2025-01-01")
    assert taken(state, start_date="2024-01-01")[1] == []


def test_a_tap_refuses_an_earlier_start_before_it_asks_for_anything(start: StartVendor) -> None:
    vendor = start(invoices=6)
    first = vendor.read(start_date="2021-01-02")
    assert marked(first.state, "invoices")
    asked = len(vendor.wire.asked)
    with pytest.raises(StateError, match="start_date"):
        vendor.read(state=first.state, start_date="2020-01-01")
    assert len(vendor.wire.asked) == asked


def test_a_customer_may_come_and_go(start: StartVendor) -> None:
    vendor = start(invoices=8)
    one, two = vendor.config()["customer_numbers"]
    first = vendor.read(customer_numbers=[one])
    second = vendor.read(state=first.state, customer_numbers=[two])
    assert {row["CustomerNumber"] for row in second.records("invoices")} == {two}
    assert sorted(marked(second.state, "invoices")) == sorted([one, two])
    assert vendor.read(state=second.state).of("RECORD") == []


def test_what_a_signpost_of_meltano_would_merge_is_both(start: StartVendor) -> None:
    """States of two customers merge deeply into one that has both."""
    vendor = start(invoices=8)
    one, two = vendor.config()["customer_numbers"]
    states = [vendor.read(customer_numbers=[number]).state for number in (one, two)]
    assert vendor.read(state=merged(*states)).of("RECORD") == []


def test_an_interrupted_full_refresh_leaves_no_old_bookmark(start: StartVendor) -> None:
    """The first STATE of a run without a state resets its streams, and merges into an old one as that."""
    vendor = start(invoices=8)
    old = vendor.read().state
    first = vendor.read().messages[0]["value"]
    assert len(vendor.read(state=merged(old, first)).records("invoices")) == 8


def merged(one: Any, two: Any) -> Any:
    """Merge objects deeply, as Meltano merges states: whatever is no object is replaced."""
    if not (isinstance(one, dict) and isinstance(two, dict)):
        return deepcopy(two)
    return {
        name: merged(one[name], two[name]) if name in one and name in two else one.get(name, two.get(name))
        for name in [*one, *two]
    }
