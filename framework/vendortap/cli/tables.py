"""Tables of text, as the commands print them: whatever is in a cell is fit to be shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from vendortap.support.redact import shown_line

if TYPE_CHECKING:
    from vendortap.singer.progress_file import Report


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align columns with spaces, figures to the right, so that the output also serves programs."""
    lines = [list(map(shown_line, line)) for line in (head, *rows)]
    columns = map(_aligned, zip(*lines, strict=True))
    return "\n".join("  ".join(line).rstrip() for line in zip(*columns, strict=True))


def _aligned(cells: Sequence[str]) -> list[str]:
    """Make the cells of a column equally wide; the first one is its head."""
    width = max(map(len, cells))
    are_figures = len(cells) > 1 and all(cell[:1].isdigit() for cell in cells[1:])
    return [cell.rjust(width) if are_figures else cell.ljust(width) for cell in cells]


_FIGURES = {
    "fetched": "fetched",
    "emitted": "records",
    "filtered": "filtered",
    "quarantined": "quarantined",
    "skipped": "skipped",
    "requests": "requests",
    "retries": "retries",
    "seconds": "seconds",
}
"""Heads of the closing table, and where their figures are in a report."""


def outcome_table(report: Report) -> str:
    """Return what a run came to, stream by stream."""
    figures = _figures([report])
    return table(["stream", *figures], list(_outcome_rows(report, figures)))


def outcomes_table(reports: Sequence[tuple[str, Report]]) -> str:
    """Return what the runs of several connectors came to, by name of the connector."""
    figures = _figures([report for _, report in reports])
    rows = [[name, *row] for name, report in reports for row in _outcome_rows(report, figures)]
    return table(["connector", "stream", *figures], rows)


def _figures(reports: Sequence[Report]) -> Mapping[str, str]:
    """Return the columns: keys that several records have are rare, and have one only where there are any."""
    streams = [stream for report in reports for stream in report.get("streams", {}).values()]
    return {**_FIGURES, **({"conflicting": "conflicting"} if any(s["conflicting"] for s in streams) else {})}


def _outcome_rows(report: Report, figures: Mapping[str, str]) -> Iterator[list[str]]:
    for name, stream in report.get("streams", {}).items():
        yield [name, *(_figure(stream[figure]) for figure in figures.values())]


def _figure(value: float) -> str:
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"
