"""A run's page in a real browser: it draws, in light and dark, and shows the numbers of the report in JSON."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import environment

if TYPE_CHECKING:
    from tests.conftest import Files, StartVendor

WIDTH, HEIGHT = 1100, 1600
LIGHT, DARK = (246, 247, 249), (18, 22, 28)
"""The page's background, as page.css has it."""


@pytest.fixture
def reported(start: StartVendor, file: Files, tmp_path: Path) -> tuple[Any, Path]:
    """A run's report, as JSON and as a page."""
    vendor = start(invoices=300, latency_ms=5)
    vendor.state.fail(2, 503)
    files = [tmp_path / "run.json", tmp_path / "run.html"]
    command = [sys.executable, "-m", "vendortap.cli", "run", "scansource", "--config", file(vendor.config())]
    command += ["--target", "cat", *(word for path in files for word in ("--report", str(path)))]
    subprocess.run(command, stdout=subprocess.DEVNULL, env=environment(), timeout=60, check=True)
    return json.loads(files[0].read_text()), files[1]


def browse(chromium: str, page: Path, *options: str) -> str:
    """Open a page in a browser of its own; returns what it prints, and holds it to have complained of nothing."""
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr"]
    command += [f"--user-data-dir={page.parent}/profile", f"--window-size={WIDTH},{HEIGHT}", *options, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr
    return done.stdout


def pixels(png: bytes) -> list[bytes]:
    """The rows of a picture, three or four bytes a pixel: PNG with 8 bits and no interlacing, as browsers write it."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height, depth, color, _, _, interlaced = struct.unpack(">IIBBBBB", png[16:29])
    assert (width, height, depth, interlaced) == (WIDTH, HEIGHT, 8, 0)
    size = {2: 3, 6: 4}[color]
    data, place = b"", 8
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        if png[place + 4 : place + 8] == b"IDAT":
            data += png[place + 8 : place + 8 + length]
        place += length + 12
    raw, rows, before = zlib.decompress(data), [], bytearray(width * size)
    for start in range(0, len(raw), width * size + 1):
        row = bytearray(raw[start + 1 : start + 1 + width * size])
        unfilter(raw[start], row, before, size)
        rows.append(bytes(b for at in range(0, len(row), size) for b in row[at : at + 3]))
        before = row
    return rows


def unfilter(kind: int, row: bytearray, before: bytearray, size: int) -> None:
    """Undo a row's filter in place (PNG specification, 9.2)."""
    for at in range(len(row)):
        a, b, c = (row[at - size], before[at], before[at - size]) if at >= size else (0, before[at], 0)
        near = min((a, b, c), key=lambda value: abs(a + b - c - value))  # min takes the first of equals, as PNG asks
        row[at] = (row[at] + (0, a, b, (a + b) // 2, near)[kind]) & 255


def test_the_page_shows_the_numbers_of_the_report(chromium: str, reported: tuple[Any, Path]) -> None:
    said, page = reported
    html = browse(chromium, page, "--dump-dom")
    found = re.findall(r'<td data-row="([^"]*)" data-column="([^"]*)">([^<]*)</td>', html)
    shown = {(row, column): text for row, column, text in found}
    for name, stream in said["streams"].items():
        for column in ("fetched", "emitted", "filtered", "quarantined", "skipped", "requests", "retries"):
            assert shown[name, column] == f"{stream[column]:,}"
        for total in stream["totals"]:
            assert shown[f"{name} {total['currency']}", "amount"].replace(",", "") == total["amount"]
    tiles = dict(re.findall(r'<strong data-figure="([^"]*)">([^<]*)</strong>', html))
    assert tiles["requests"] == f"{said['requests']:,}"
    assert tiles["records"] == f"{sum(stream['emitted'] for stream in said['streams'].values()):,}"
    assert f"{said['retries']:,} retries" in html
    assert said["retries"] == 2
    assert html.count("<svg") == 2
    lines = re.findall(r'<polyline class="line c\d" points="([^"]*)"', html)
    assert [len(points.split()) for points in lines[:2]] == [len(said["timeline"]) + 1] * len(said["streams"])


@pytest.mark.parametrize(("scheme", "background"), [("light", LIGHT), ("dark", DARK)])
def test_the_page_is_drawn_in_light_and_dark(
    chromium: str, reported: tuple[Any, Path], scheme: str, background: tuple[int, int, int]
) -> None:
    _, page = reported
    picture = page.with_suffix(".png")
    dark = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    browse(chromium, page, f"--screenshot={picture}", *dark)
    rows = pixels(picture.read_bytes())
    assert tuple(rows[0][:3]) == background
    colors = {row[at : at + 3] for row in rows[::4] for at in range(0, len(row), 3)}
    assert len(colors) > 100, "nothing but the background is drawn"
    drawn = [number for number, row in enumerate(rows) if row.count(bytes(background)) < WIDTH * 0.9]
    assert drawn[-1] > HEIGHT / 2, "the lower half is empty"
