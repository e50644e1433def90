"""A replay into targets that take all, nothing, or a part: what is closed is what a STATE that came back covers."""

from __future__ import annotations

import json
import re
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Figure, Files, StartVendor, Vendor
from tests.decode.test_bad_records import DETAIL, Spoiled
from tests.sync.test_quarantine import MENDED, STRANGE, command, strange_dates
from vendortap.errors import VendortapError
from vendortap.operate.replay import replay
from vendortap.singer import tap
from vendortap.sync.quarantine import read

STREAMS = {"invoices": 2, "invoice_details": 3}
"""How many of their records are in quarantine."""
TARGET = """
import json, os, sys
states, most, code = [], int(sys.argv[1]), int(sys.argv[2])
for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "STATE":
        print(json.dumps(message["value"]), flush=True)
        states.append(message)
        if len(states) == most:
            break
sys.stdout.flush()
os._exit(code)
"""
"""A target that hands back so many STATEs, and ends with this code."""


def target(states: int, code: int = 0) -> list[str]:
    return [sys.executable, "-c", TARGET, str(states), str(code)]


@pytest.fixture
def filled(start: StartVendor, tmp_path: Path) -> tuple[Vendor, dict[str, Any], Path]:
    """A vendor, settings that read all of its records, and a quarantine that has some of two streams."""
    vendor = start(invoices=20)
    strange_dates(vendor)
    victims = [invoice["InvoiceNumber"].encode() for invoice in islice(vendor.state.invoices(), 3)]
    pattern = re.compile(rb'"ShipDate":"[^"]*"')

    def change(body: bytes) -> bytes:
        bad = any(b'"InvoiceNumber":"%b"' % victim in body for victim in victims)
        return pattern.sub(b'"ShipDate":"%b"' % STRANGE.encode(), body) if bad else body

    vendor.wire.app = Spoiled(vendor.wire.app, DETAIL, change)
    path = tmp_path / "kept" / "scansource.jsonl"
    config = vendor.config(on_bad_record="quarantine", quarantine_dir=str(path.parent))
    vendor.read(**config)
    assert left(path) == STREAMS
    return vendor, {**config, **MENDED}, path


def left(path: Path) -> dict[str, int]:
    streams = [entry.stream for entry in read(path)]
    return {stream: streams.count(stream) for stream in dict.fromkeys(streams)}


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("true", "the target true (ended before|handed back no STATE)"),
        ("head -n 2", "the target head (ended before|handed back no STATE)"),
        ("cat", "the target cat handed back no STATE that covers everything"),
        ("sh -c 'cat >/dev/null'", "the target sh handed back no STATE that covers everything"),
        ("sh -c 'cat >/dev/null; exit 7'", "the target failed with exit code 7; its message is above"),
    ],
)
def test_a_target_that_hands_no_state_back_closes_nothing(
    words: str, why: str, filled: tuple[Vendor, dict[str, Any], Path], file: Files, promise: Figure
) -> None:
    """A replay closes only what a STATE covers that the target handed back, and fails where there is none."""
    _, config, path = filled
    before = path.read_bytes()
    done = command("replay", "scansource", "--config", file(config), "--target", words)
    assert done.returncode == 1
    assert re.search(why, done.stderr.decode())
    assert "all entries stay" in done.stderr.decode()
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("code", "why"), [(0, "the target .*python.* (ended before|handed back no STATE)"), (9, "failed with exit code 9")]
)
def test_a_target_that_ends_half_way_closes_what_it_has_taken(
    code: int, why: str, filled: tuple[Vendor, dict[str, Any], Path]
) -> None:
    vendor, config, path = filled
    first = next(read(path)).stream
    with pytest.raises(VendortapError, match=rf"{why}.*{STREAMS[first]} of \d entries are closed, the others stay"):
        replay(vendor.connector, config, target=target(1, code))
    assert left(path) == {stream: n for stream, n in STREAMS.items() if stream != first}
    assert len(replay(vendor.connector, config, target=target(2)).written) == sum(STREAMS.values()) - STREAMS[first]
    assert left(path) == {}


def test_a_long_stream_has_states_within_it(
    filled: tuple[Vendor, dict[str, Any], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a target that fails at the end of it has not taken everything in vain."""
    vendor, config, path = filled
    monkeypatch.setattr(tap, "REPLAYED_BETWEEN_STATES", 2)
    first = next(read(path)).stream
    with pytest.raises(VendortapError, match=r"2 of [2-5] entries are closed"):
        replay(vendor.connector, config, target=target(1, 9))
    assert left(path).get(first, 0) == STREAMS[first] - 2


def test_what_a_target_took_before_a_record_stopped_the_replay_is_closed(
    filled: tuple[Vendor, dict[str, Any], Path], capfd: pytest.CaptureFixture[str]
) -> None:
    vendor, config, path = filled
    _, second = left(path)
    maps = {"stream_maps": {second: {"added": "[][0]"}}}
    with pytest.raises(VendortapError, match="stream_maps"):
        replay(vendor.connector, {**config, **maps}, target=target(9))
    assert left(path) == {second: STREAMS[second]}
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("printed", ["5", '"abc"', '{"a": 1}', "[1, null, {}]", '["nosuch"]', "null"])
def test_a_state_of_something_else_covers_nothing(
    printed: str, filled: tuple[Vendor, dict[str, Any], Path], tmp_path: Path
) -> None:
    vendor, config, path = filled
    states = tmp_path / "states"
    states.write_text(f'no state\n{{"bookmarks": {{}}, "replayed": {printed}}}\n{json.dumps({"bookmarks": {}})}\n')
    with pytest.raises(VendortapError, match="the target sh handed back no STATE"):
        replay(vendor.connector, config, target=["sh", "-c", f"cat > /dev/null; cat {states}"])
    assert left(path) == STREAMS
