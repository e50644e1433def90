"""Draws docs/architecture.svg from the layers contract in pyproject.toml: ``python docs/architecture_picture.py``.

The picture is a column as wide as a telephone's screen, so that its text is readable there, and has a background of its
own, so that it is readable on any page. Its colours follow the reader's preference for light or dark.
"""

from __future__ import annotations

import textwrap
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "architecture.svg"

JOBS: Mapping[str, str] = {
    "cli": "arguments into calls, errors into exit codes",
    "operate": "run, replay, reports, demo",
    "testing": "suite for plugins, recordings",
    "scaffold": "drafts plugins and schemas",
    "singer": "a connector as a Singer tap",
    "embed": "read and read_arrow",
    "duckdb": "the DuckDB target",
    "sync": "the pipeline: order, bookmarks, quarantine",
    "plugins": "finds and loads plugins",
    "http": "requests, rate limits",
    "decode": "bytes to typed records",
    "sandbox": "local servers, faults",
    "declare": "what the author of a connector writes",
    "support": "files, locks, logs, redaction",
    "errors": "every error, one tree",
}
"""The job of each room, in a few words. A room without an entry cannot be drawn."""

WIDTH, EDGE, GAP = 360, 12, 8
LINE, LETTER = 15, 6.6
"""The height of a line of a job, and the width that one of its letters may take."""
STYLE = """
    .page { fill: #ffffff; stroke: #d0d7de; }
    .room { fill: #e3f3f1; stroke: #00796b; }
    text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #1b1f24; text-anchor: middle; }
    .name { font-size: 15px; font-weight: 600; }
    .job { font-size: 12px; }
    .arrow { stroke: #57606a; stroke-width: 1.5; fill: none; }
    @media (prefers-color-scheme: dark) {
      .page { fill: #161b22; stroke: #3d444d; }
      .room { fill: #143531; stroke: #4db6ac; }
      text { fill: #f0f3f6; }
      .arrow { stroke: #b1bac4; }
    }
"""


def layers() -> list[list[str]]:
    """Return the rooms from top to bottom, as the contract has them; those of one layer side by side."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = document["tool"]["importlinter"]["contracts"]
    (contract,) = (entry for entry in contracts if entry.get("containers") == ["vendortap"])
    return [layer.split(" | ") for layer in contract["layers"]]


def draw(rooms: Sequence[Sequence[str]]) -> str:
    """Return the picture as SVG."""
    body: list[str] = []
    top = 40
    for number, layer in enumerate(rooms):
        if number:
            body.append(_arrow(top))
            top += 2 * GAP
        height = _height(layer)
        body.extend(_boxes(layer, top, height))
        top += height
    return "\n".join([*_head(top + EDGE), *body, "</svg>", ""])


def _head(height: int) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'role="img" aria-labelledby="title">'
    )
    yield '  <title id="title">The rooms of vendortap. An import may only point down.</title>'
    yield f"  <style>{STYLE}  </style>"
    yield f'  <rect class="page" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="6"/>'
    yield f'  <text class="job" x="{WIDTH / 2:g}" y="25">An import may only point down.</text>'


def _arrow(top: int) -> str:
    middle, start, end = WIDTH / 2, top + 2, top + 2 * GAP - 2
    head = f"M {middle - 4:g} {end - 4} L {middle:g} {end} L {middle + 4:g} {end - 4}"
    return f'  <path class="arrow" d="M {middle:g} {start} L {middle:g} {end} {head}"/>'


def _boxes(layer: Sequence[str], top: int, height: int) -> Iterator[str]:
    width = _width(layer)
    for number, room in enumerate(layer):
        left = EDGE + number * (width + GAP)
        middle = left + width / 2
        yield f'  <rect class="room" x="{left:g}" y="{top}" width="{width:g}" height="{height}" rx="4"/>'
        yield f'  <text class="name" x="{middle:g}" y="{top + 20}">{room}</text>'
        for line, text in enumerate(_job(room, width)):
            yield f'  <text class="job" x="{middle:g}" y="{top + 37 + line * LINE}">{text}</text>'


def _height(layer: Sequence[str]) -> int:
    return 29 + LINE * max(len(_job(room, _width(layer))) for room in layer)


def _width(layer: Sequence[str]) -> float:
    return round((WIDTH - 2 * EDGE - GAP * (len(layer) - 1)) / len(layer), 1)


def _job(room: str, width: float) -> list[str]:
    return textwrap.wrap(JOBS[room], int((width - GAP) / LETTER))


if __name__ == "__main__":
    PICTURE.write_text(draw(layers()), encoding="utf-8")
