"""Progress as a terminal shows it: bars, figures, estimates, and who waits."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from vendortap.cli.progress import Progress, left, network


def stream(records: int, seconds: float, slices: int = 0, expected: int | None = None) -> dict[str, Any]:
    return {"records": records, "seconds": seconds, "slices": slices, "expected": expected}


def report(*, final: bool = False, waiting: int = 0, **streams: dict[str, Any]) -> dict[str, Any]:
    return {
        "final": final,
        "seconds": 20.0,
        "requests": 1234,
        "retries": 2,
        "waiting": waiting,
        "streams": streams,
    }


def shown(*reports: dict[str, Any], line: str = "") -> str:
    console = Console(file=io.StringIO(), force_terminal=True, width=160, color_system=None)
    with Progress(console) as progress:
        for one in reports:
            progress.show(one)
        if line:
            progress.log("tap", line)
        progress._live.refresh()
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()


def test_streams_records_rates_requests_and_waiting_are_shown() -> None:
    details = stream(500, 10.0, slices=500, expected=2000)
    text = shown(report(waiting=3, invoice_details=details, invoices=stream(0, 0.0)))
    assert "invoice_details" in text
    assert "500 records" in text
    assert "50/s" in text
    assert "500 of 2,000, 0:30 left" in text
    assert "1,234 requests, 2 retries · 61.7 requests/s · 3 waiting for the limit" in text


def test_before_the_first_word_it_is_starting_and_lines_stand_above() -> None:
    text = shown({}, line="a line [of the tap's] \x1b[31mown")
    assert "starting" in text
    assert "a line [of the tap's] own" in text


def test_a_stream_that_is_over_is_not_estimated() -> None:
    text = shown(report(one=stream(5, 1.0, slices=1, expected=2), two=stream(1, 1.0, slices=1, expected=4)))
    assert "of 2" not in text
    assert "1 of 4" in text
    assert " left" not in shown(report(final=True, two=stream(1, 1.0, slices=1, expected=4)))


@pytest.mark.parametrize(
    ("done", "expected", "seconds", "wanted"),
    [
        (0, 100, 5.0, ""),
        (5, None, 5.0, ""),
        (10, 100, 10.0, "10 of 100, 1:30 left"),
        (1, 7201, 1.0, "1 of 7,201, 2:00:00 left"),
        (3, 2, 1.0, "3 of 2, 0:00 left"),  # what was expected was an estimate
    ],
)
def test_an_estimate_needs_a_known_number_and_a_begin(
    done: int, expected: int | None, seconds: float, wanted: str
) -> None:
    assert left(done, expected, seconds) == wanted


def test_a_run_that_has_not_begun_has_no_rate() -> None:
    assert "0.0 requests/s" in network({"requests": 0, "retries": 0, "seconds": 0.0, "waiting": 0})
