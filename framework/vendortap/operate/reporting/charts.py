"""Line charts as inline SVG, without scripts: what a point is shows under the mouse, by the browser's own means."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise, takewhile
from xml.etree.ElementTree import Element

from vendortap.operate.reporting.markup import element

WIDTH, HEIGHT = 720, 260
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 12, 34
COLORS = 5
"""How many colors the style sheet has; further lines begin anew."""

Label = Callable[[float], str]
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Axis:
    """The scale of an axis, from 0 to ``top`` in steps."""

    top: float
    step: float

    @classmethod
    def over(cls, greatest: float, steps: int = 4) -> Axis:
        """Return an axis that ends at or above a value, in steps of 1, 2 or 5 times a power of ten."""
        rough = max(greatest, 1e-9) / steps
        power = 10 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999999)
        return cls(step * max(1, math.ceil(greatest / step - 1e-9)), step)

    def ticks(self) -> list[float]:
        """Return where the steps are."""
        return [number * self.step for number in range(round(self.top / self.step) + 1)]


def lines(title: str, series: Mapping[str, Points], label: Label, *, seconds: float) -> Element:
    """Return a chart of values over the seconds of a run, with a legend; ``label`` writes a value."""
    across = Axis.over(seconds, 6)
    up = Axis.over(max((value for _, value in chain.from_iterable(series.values())), default=1) or 1)
    end = max(seconds, 1e-9)  # the axis ends with the run; ticks beyond it are left out

    def x(at: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * at / end, 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / up.top, 1)

    picture = element("svg", viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=title)
    for tick in up.ticks():
        picture.append(element("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=y(tick), y2=y(tick)))
        picture.append(element("text", label(tick), class_="up", x=LEFT - 8, y=y(tick) + 4))
    for tick in takewhile(end.__ge__, across.ticks()):
        picture.append(element("text", duration(tick), class_="across", x=x(tick), y=HEIGHT - BOTTOM + 20))
    for number, points in enumerate(series.values()):
        path = " ".join(f"{x(at)},{y(value)}" for at, value in points)
        picture.append(element("polyline", class_=f"line c{number % COLORS}", points=path))
        for at, value in points[-1:]:
            picture.append(element("circle", class_=f"dot c{number % COLORS}", cx=x(at), cy=y(value), r=4))
    picture.extend(_hints(series, label, x))
    names = [
        element("span", element("i", class_=f"c{number % COLORS}"), name, class_="key")
        for number, name in enumerate(series)
    ]
    return element(
        "figure", element("figcaption", element("h2", title), element("p", *names, class_="legend")), picture
    )


def _hints(series: Mapping[str, Points], label: Label, x: Callable[[float], float]) -> list[Element]:
    """Return a strip for each moment, which tells the values there."""
    told: dict[float, list[str]] = {}
    for name, points in series.items():
        for at, value in points:
            told.setdefault(at, []).append(f"{name}: {label(value)}")
    moments = sorted(told)
    edges = [
        *(x(at) for at in moments[:1]),
        *((x(one) + x(two)) / 2 for one, two in pairwise(moments)),
        *(x(at) for at in moments[-1:]),
    ]
    return [
        element(
            "rect",
            element("title", "\n".join([duration(at), *told[at]])),
            class_="hint",
            x=round(edges[number], 1),
            y=TOP,
            width=round(max(edges[number + 1] - edges[number], 1), 1),
            height=HEIGHT - TOP - BOTTOM,
        )
        for number, at in enumerate(moments)
    ]


def duration(seconds: float) -> str:
    """Write seconds as a person does: 0.25 s, 12 s, 3 min 05 s, 2 h 04 min."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min"
