"""Reports of runs: of real ones with their figures held against the sandbox, of failed ones, and their parts."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import environment
from vendortap.errors import VendortapError
from vendortap.operate.reporting import following, page
from vendortap.operate.reporting.charts import Axis, duration
from vendortap.operate.reporting.document import Recorder
from vendortap.operate.reporting.history import History
from vendortap.operate.reporting.markup import element, written
from vendortap.plugins import host
from vendortap.sync.counters import Counters

if TYPE_CHECKING:
    from tests.conftest import Files, StartVendor, Vendor

SECRETS = ("5ca45007ce5a4db08a0b5a11db0c5e11", "sandbox~not-a-secret")
WITHOUT_TOTALS = {"amazon-vendor"}
"""Whose amounts are inside documents."""


def command(config: str, folder: Path, *arguments: str, connector: str = "scansource") -> list[str]:
    words = [sys.executable, "-m", "vendortap.cli", "run", connector, "--config", config]
    return [*words, "--report", str(folder / "run.json"), "--report", str(folder / "run.html"), *arguments]


def run(config: str, folder: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    words = command(config, folder, *(arguments or ("--target", "cat")), **options)
    return subprocess.run(words, capture_output=True, text=True, env=environment(), timeout=60, check=False)


def reported(folder: Path) -> Any:
    return json.loads((folder / "run.json").read_text())


def cells(html: str) -> dict[tuple[str, str], str]:
    """What the page's tables show, by row and column."""
    found = re.findall(r'<td data-row="([^"]*)" data-column="([^"]*)">([^<]*)</td>', html)
    return {(row, column): text for row, column, text in found}


# --- runs --------------------------------------------------------------------------------------------


@pytest.mark.promise("A run's report has the sandbox's own totals to the last digit, and accounts for every record")
@pytest.mark.parametrize("name", list(host.find()))
def test_a_report_has_the_exact_totals_and_the_whole_account(
    name: str, sandboxes: StartVendor, file: Files, tmp_path: Path
) -> None:
    vendor: Vendor = sandboxes(name, invoices=30, **(vendor_options(name)))
    done = run(file(vendor.config()), tmp_path, connector=name)
    assert done.returncode == 0, done.stderr
    said = reported(tmp_path)
    assert (said["connector"], said["exit_code"], said["problem"], said["complete"]) == (name, 0, None, True)
    for stream in said["streams"].values():
        tally = Counters(**{field: stream[field] for field in ("fetched", "emitted", "filtered", "quarantined")})
        tally.known, tally.repeated, tally.missing = stream["known"], stream["repeated"], stream["missing"]
        tally.check(name)
        assert stream["skipped"] == tally.skipped
    assert sum(stream["emitted"] for stream in said["streams"].values()) >= 30
    truth = {currency or None: total for currency, total in vendor.state.totals().items()}
    details = said["streams"].get("invoice_details", {}).get("totals", [])
    found = {entry["currency"]: (entry["records"], Decimal(entry["amount"])) for entry in details}
    assert found == ({} if name in WITHOUT_TOTALS else truth)
    assert said["requests"] >= sum(stream["requests"] for stream in said["streams"].values()) > 0
    assert said["bytes"] >= sum(stream["bytes"] for stream in said["streams"].values()) > 0
    assert said["latency"]["answers"] == said["requests"]
    last = said["timeline"][-1]
    assert last["records"] == {stream: figures["emitted"] for stream, figures in said["streams"].items()}
    assert sum(point["latency"]["answers"] for point in said["timeline"]) == said["requests"]
    html = (tmp_path / "run.html").read_text()
    shown = cells(html)
    for stream, figures in said["streams"].items():
        assert shown[stream, "fetched"] == f"{figures['fetched']:,}"
        assert shown[stream, "requests"] == f"{figures['requests']:,}"
    assert not re.search(r"<script|https?:|url\(|@import|src=|href=", html)
    assert not any(secret in html + json.dumps(said) for secret in SECRETS)


def vendor_options(name: str) -> dict[str, Any]:
    sandbox = host.load(name).sandbox
    return dict(sandbox.options) if sandbox else {}


def test_a_report_knows_amounts_and_nothing_else_of_a_record(vendor: Vendor, file: Files, tmp_path: Path) -> None:
    assert run(file(vendor.config()), tmp_path).returncode == 0
    said = (tmp_path / "run.json").read_text() + (tmp_path / "run.html").read_text()
    for invoice in vendor.state.invoices():
        for text in (invoice["InvoiceNumber"], invoice["BillingAddress"]["Name"]):
            assert str(text) not in said


def test_amounts_are_added_up_behind_stream_maps_and_in_batches(vendor: Vendor, file: Files, tmp_path: Path) -> None:
    kept = {"stream_maps": {"invoice_details": {"__filter__": "Currency == 'EUR'"}}, "use_singer_decimal": True}
    assert run(file(vendor.config(**kept)), tmp_path).returncode == 0
    [eur] = reported(tmp_path)["streams"]["invoice_details"]["totals"]
    assert (eur["currency"], (eur["records"], Decimal(eur["amount"]))) == ("EUR", vendor.state.totals()["EUR"])
    batches = {"encoding": {"format": "jsonl"}, "storage": {"root": tmp_path.as_uri()}}
    assert run(file(vendor.config(batch_config=batches)), tmp_path).returncode == 0
    found = {
        entry["currency"]: (entry["records"], Decimal(entry["amount"]))
        for entry in reported(tmp_path)["streams"]["invoice_details"]["totals"]
    }
    assert found == vendor.state.totals()


# --- runs that fail ----------------------------------------------------------------------------------


def test_a_tap_that_fails_is_reported_with_its_own_sentence(start: StartVendor, file: Files, tmp_path: Path) -> None:
    vendor = start(invoices=20)
    vendor.wire.change["/scsc/invoice/v1/detail"] = lambda _: {"InvoiceNumber": [1], "Total": "none"}
    done = run(file(vendor.config()), tmp_path)
    said = reported(tmp_path)
    assert done.returncode == said["exit_code"] == 1
    assert said["problem"].startswith("scansource, invoice_details")
    assert said["problem"] in done.stderr
    assert said["streams"]["invoice_details"]["requests"] > 0
    html = (tmp_path / "run.html").read_text()
    assert 'class="end bad"' in html
    assert said["problem"] == re.sub("&gt;", ">", re.search('<p class="problem">(.*?)</p>', html)[1])  # type: ignore[index] # it is there, or the test fails


@pytest.mark.parametrize(
    ("target", "changes", "code", "sentence"),
    [
        ("false", {}, 1, "the target failed with exit code 1"),
        ("no-such-target", {}, 2, "'no-such-target' cannot be started"),
        ("cat", {"page_size": "x"}, 2, "the setting 'page_size' has to be integer"),
    ],
)
def test_a_run_that_fails_is_reported(
    vendor: Vendor, file: Files, tmp_path: Path, target: str, changes: dict[str, Any], code: int, sentence: str
) -> None:
    done = run(file({**vendor.config(), **changes}), tmp_path, "--target", target)
    said = reported(tmp_path)
    assert done.returncode == said["exit_code"] == code
    assert sentence in said["problem"]
    assert "failed" in (tmp_path / "run.html").read_text()


def test_a_run_that_is_ended_is_reported_as_far_as_it_came(start: StartVendor, file: Files, tmp_path: Path) -> None:
    vendor = start(invoices=2000, latency_ms=20)
    words = command(file(vendor.config()), tmp_path, "--target", "cat")
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()) as process:
        while vendor.state.requests["detail"] < 20:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
    said = reported(tmp_path)
    assert process.returncode == said["exit_code"] == 143
    assert (said["problem"], said["complete"]) == ("the run was interrupted", True)
    assert said["requests"] >= 20


def test_a_file_of_another_kind_or_without_a_folder_is_refused_before_anything_is_fetched(
    vendor: Vendor, file: Files, tmp_path: Path
) -> None:
    config = file(vendor.config())
    for name in ("run.pdf", "none/run.json"):
        done = run(config, tmp_path, "--target", "cat", "--report", str(tmp_path / name))
        assert done.returncode == 2
        assert not (tmp_path / "run.json").exists()


def test_a_report_that_cannot_be_written_fails_a_run_but_hides_no_failure(tmp_path: Path) -> None:
    folder = tmp_path / "run.json"
    folder.mkdir()
    with (
        pytest.raises(VendortapError, match=r"the report .*run.json cannot be written: Is a directory"),
        following(Recorder("acme", "Acme"), [folder]) as recorder,
    ):
        recorder.ended(0, None)
    with pytest.raises(VendortapError, match="the first problem"), following(Recorder("acme", "Acme"), [folder]):
        raise VendortapError("the first problem")
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


# --- parts -------------------------------------------------------------------------------------------


@given(st.lists(st.floats(0.001, 60), max_size=400), st.integers(4, 40))
def test_moments_are_few_in_order_and_end_with_the_last(steps: list[float], most: int) -> None:
    history, seconds = History(most), 0.0
    for step in steps:
        seconds += step
        history.add({"seconds": seconds})
        history.add({"seconds": seconds})
    found = [now["seconds"] for _, now in history.steps()]
    assert len(found) <= most + 1
    assert found == sorted(set(found))
    assert found[-1:] == ([seconds] if steps else [])
    assert [before.get("seconds") for before, _ in history.steps()] == [None, *found[:-1]][: len(found)]


@given(st.floats(0, 1e12), st.integers(1, 8))
def test_an_axis_has_a_few_round_steps_that_reach_the_greatest_value(greatest: float, steps: int) -> None:
    axis = Axis.over(greatest, steps)
    ticks = axis.ticks()
    assert 2 <= len(ticks) <= steps + 2
    assert ticks[-1] >= greatest * 0.999999
    assert f"{axis.step:e}"[0] in "125"


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_text_stays_text(text: str) -> None:
    page_text = written(element("p", text, element("b", "!"), text, title=text))
    found = re.fullmatch('<!DOCTYPE html>\n<p title="([^"]*)">([^<]*)<b>!</b>([^<]*)</p>\n', page_text)
    assert found
    assert [unescape(part) for part in found.groups()] == [text] * 3


@pytest.mark.parametrize(
    ("write", "value", "wanted"),
    [
        (duration, 0.25, "0.25 s"),
        (duration, 185.2, "3 min 05 s"),
        (duration, 7_440, "2 h 04 min"),
        (page.size, 0, "0 bytes"),
        (page.size, 999_600, "1 MB"),
        (page.size, 86_015, "86 kB"),
        (page.size, 5_200_000_000, "5.2 GB"),
    ],
)
def test_figures_are_written_as_people_read_them(write: Callable[[Any], str], value: Any, wanted: str) -> None:
    assert write(value) == wanted
