"""The plots of docs/performance.md, as SVG: the same results give the same files.

Each file names in its description a digest of the figures that it is drawn from, so that a test can tell without
matplotlib whether it belongs to the results.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.contenders import AIRBYTE, DLT_EXTRACT, SINGER_SDK, TITLES, VENDORTAP
from benchmarks.dataset import FORMS
from benchmarks.figures import Results, measured, peak, rate, wall
from benchmarks.parts import details, lists

OURS_COLOUR, OTHERS = "#c2410c", ("#475569", "#0891b2", "#65a30d", "#a16207", "#7c3aed", "#be185d")
_HEIGHTS = {"limit": 2.8, "invoices-per-cpu-second": 6}
_ROUND = (1, 2, 5, 10, 20, 50, 100, 200)

Series = dict[str, list[tuple[float, float, float, float]]]
"""Contender → its points: x, median, least, greatest."""


def series(results: Results) -> dict[str, dict[str, Series]]:
    """Return what each plot shows: plot → panel → series."""
    return {
        "invoices-per-cpu-second": {form: _rates(results, form) for form in FORMS if form in results},
        "concurrency": {"": _concurrency(results)},
        "memory": {"": _memory(results)},
        "limit": {"": _limit(results)},
    }


def digest(panels: Mapping[str, Series]) -> str:
    """Return the digest that a plot of these figures names."""
    return hashlib.sha256(json.dumps(panels, sort_keys=True).encode()).hexdigest()[:16]


def _rates(results: Results, form: str) -> Series:
    contenders = lists.COMPETING["json" if form == "json" else "xml"]
    found = {contender.name: measured(results[form], contender.name, rate) for contender in contenders}
    return {name: [(0, one.median, one.least, one.greatest)] for name, one in found.items() if one}


def _concurrency(results: Results) -> Series:
    if (part := results.get("details")) is None:
        return {}
    found: Series = {}
    for contender in details.CONCURRENT:
        for flight in sorted(details.SWEEP):
            if one := measured(part, contender.name, wall, flight):
                found.setdefault(contender.name, []).append((flight, one.median, one.least, one.greatest))
    ideal = [(flight, details.ideal(part.sizes["details"], flight)) for flight in sorted(details.SWEEP)]
    return found | {"ideal": [(x, y, y, y) for x, y in ideal]}


def _memory(results: Results) -> Series:
    if (part := results.get("memory")) is None:
        return {}
    many = part.sizes["memory"]
    found: Series = {}
    for contender in (VENDORTAP, SINGER_SDK, AIRBYTE, DLT_EXTRACT):
        for count in (many // 100, many // 10, many):
            if one := measured(part, contender.name, peak, count):
                found.setdefault(contender.name, []).append((count, one.median, one.least, one.greatest))
        if (
            contender != VENDORTAP
            and (listed := results.get("json"))
            and (one := measured(listed, contender.name, peak))
        ):
            found.setdefault(contender.name, []).append((listed.sizes["json"], one.median, one.least, one.greatest))
    return found


def _limit(results: Results) -> Series:
    if (part := results.get("limit")) is None:
        return {}
    found = {contender.name: measured(part, contender.name, wall) for contender in details.LIMITED}
    ideal = details.ideal_limited(part.sizes["limit"])
    shown = {name: [(0.0, one.median, one.least, one.greatest)] for name, one in found.items() if one}
    return shown | {"ideal": [(0.0, ideal, ideal, ideal)]}


# --- drawing -----------------------------------------------------------------------------------------


def draw(results: Results, folder: Path) -> None:
    """Draw the plots for which there are figures."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams |= {"svg.hashsalt": "vendortap", "svg.fonttype": "none", "font.size": 9, "axes.axisbelow": True}
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    drawn: dict[str, Callable[[Any, Mapping[str, Series]], None]] = {
        "invoices-per-cpu-second": lambda figure, panels: _bars(figure, panels, "invoices per CPU-second"),
        "limit": lambda figure, panels: _bars(figure, panels, "seconds"),
        "concurrency": lambda figure, panels: _lines(
            figure, panels[""], "in flight", "seconds", logarithmic=(True, True)
        ),
        "memory": lambda figure, panels: _lines(figure, panels[""], "invoices", "peak MiB", logarithmic=(True, False)),
    }
    for name, panels in series(results).items():
        if any(panels.values()):
            figure = pyplot.figure(figsize=(8, _HEIGHTS.get(name, 4.6)), layout="constrained")
            drawn[name](figure, panels)
            about = {"Date": None, "Creator": None, "Description": f"drawn from {digest(panels)}"}
            figure.savefig(folder / f"{name}.svg", metadata=about)
            pyplot.close(figure)


def _colours(names: list[str]) -> dict[str, str]:
    others = iter(OTHERS * 3)
    return {
        name: OURS_COLOUR if name == VENDORTAP.name else "#94a3b8" if name == "ideal" else next(others)
        for name in names
    }


def _bars(figure: Any, panels: Mapping[str, Series], what: str) -> None:
    """One bar a contender, in a panel for each format; the line across its end is the spread."""
    heights = [len(shown) for shown in panels.values()]
    rows = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)
    for (axes,), (panel, shown) in zip(rows, panels.items(), strict=True):
        names = list(shown)[::-1]
        points = [shown[name][0] for name in names]
        spread = [[median - least for _, median, least, _ in points], [most - median for _, median, _, most in points]]
        colours = [OURS_COLOUR if name == VENDORTAP.name else "#94a3b8" for name in names]
        titles = [TITLES.get(name, name).strip("*") for name in names]
        bars = axes.barh(titles, [point[1] for point in points], xerr=spread, color=colours, ecolor="#1e293b")
        axes.bar_label(
            bars, [f"{median:,.0f}" if median >= 100 else f"{median:.1f}" for _, median, _, _ in points], padding=4
        )
        axes.margins(x=0.1)
        axes.set_title(panel.upper())
        axes.grid(axis="x", color="#e2e8f0")
    rows[-1][0].set_xlabel(what)


def _lines(figure: Any, shown: Series, across: str, up: str, *, logarithmic: tuple[bool, bool]) -> None:
    """One line a contender; the bars at its points are the spread."""
    axes = figure.subplots()
    colours = _colours(list(shown))
    for name, points in shown.items():
        xs, ys, least, most = (list(column) for column in zip(*points, strict=True))
        spread = [
            [y - low for y, low in zip(ys, least, strict=True)],
            [high - y for y, high in zip(ys, most, strict=True)],
        ]
        style = "--" if name == "ideal" else "o-"
        axes.errorbar(
            xs, ys, yerr=spread, fmt=style, color=colours[name], label=TITLES.get(name, name).strip("*"), capsize=2
        )
    for scaled, set_scale in zip(logarithmic, (axes.set_xscale, axes.set_yscale), strict=True):
        if scaled:
            set_scale("log")
    marks = sorted({x for points in shown.values() for x, *_ in points})
    axes.set_xticks(marks, [f"{mark:,.0f}" for mark in marks])
    if logarithmic[1]:
        axes.set_yticks(_ROUND, [f"{number:g}" for number in _ROUND])
        ends = [y for points in shown.values() for point in points for y in point[1:]]
        axes.set_ylim(min(ends) * 0.8, max(ends) * 1.3)
    else:
        axes.set_ylim(bottom=0)
    axes.minorticks_off()
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(color="#e2e8f0")
    axes.legend(frameon=False)
