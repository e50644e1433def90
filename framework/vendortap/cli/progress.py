"""Progress on a terminal: a bar for each stream, and a line for what the network does."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich import progress
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from vendortap.singer.progress_file import Report
from vendortap.support.redact import shown_line

REFRESHES = 5
"""How often a second what is shown is drawn anew."""


class Progress:
    """Shows how far a run is, as long as the context lasts; messages stand above it."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bars = progress.Progress(
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(bar_width=24),
            progress.TextColumn("{task.fields[records]}", justify="right", markup=False),
            progress.TextColumn("{task.fields[rate]}", justify="right", markup=False),
            progress.TextColumn("{task.fields[left]}", markup=False),
            console=self._console,
        )
        self._tasks: dict[str, progress.TaskID] = {}
        self._network = Text("starting")
        self._live = Live(
            Group(self._bars, self._network), console=self._console, refresh_per_second=REFRESHES, transient=True
        )

    def __enter__(self) -> Progress:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def log(self, _whose: str, line: str) -> None:
        """Print a line of the tap's or the target's above the bars."""
        plain = Text.from_ansi(line).plain  # colours as well: what else is in an escape may act on the terminal
        self._console.print(Text(shown_line(plain)), soft_wrap=True)

    def show(self, report: Report) -> None:
        """Show how far a run is."""
        for name, stream in report.get("streams", {}).items():
            over = report["final"] or (name != _current(report) and stream["seconds"] > 0)
            self._show_stream(name, stream, over=over)
        if report:
            self._network.plain = network(report)

    def _show_stream(self, name: str, stream: Mapping[str, Any], *, over: bool) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=None, start=False, records="", rate="", left="")
        done, expected, seconds = stream["slices"], stream["expected"], stream["seconds"]
        if seconds:
            self._bars.start_task(self._tasks[name])
        self._bars.update(
            self._tasks[name],
            completed=1 if over else done,
            total=1 if over else expected or None,
            records=f"{stream['records']:,} records",
            rate=f"{stream['records'] / seconds:,.0f}/s" if seconds else "",
            left="" if over else left(done, expected, seconds),
        )


def _current(report: Report) -> str | None:
    """Return the stream that is being read: the last that has taken any time, as they are read in turn."""
    begun = [name for name, stream in report["streams"].items() if stream["seconds"]]
    return begun[-1] if begun else None


def left(done: int, expected: int | None, seconds: float) -> str:
    """Estimate how long a stream still takes, where it is known how much there is."""
    if not expected or not done:
        return ""
    rest = round(seconds * max(expected - done, 0) / done)
    hours, minutes = divmod(rest // 60, 60)
    clock = f"{hours}:{minutes:02}:{rest % 60:02}" if hours else f"{minutes}:{rest % 60:02}"
    return f"{done:,} of {expected:,}, {clock} left"


def network(report: Report) -> str:
    """Say what the network does, in a line."""
    rate = report["requests"] / report["seconds"] if report["seconds"] else 0.0
    waiting = f" · {report['waiting']:,} waiting for the limit" if report["waiting"] else ""
    return f"{report['requests']:,} requests, {report['retries']:,} retries · {rate:,.1f} requests/s{waiting}"
