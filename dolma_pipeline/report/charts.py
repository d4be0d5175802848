"""Charts as SVG, coloured by the page's style sheet, so that they follow its light and dark themes and print well.

Bars are SVG as wide as their table cell, with positions in percent; only the loss curve has a coordinate system.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dolma_pipeline.report.markup import Markup, element
from dolma_pipeline.report.units import count, short, ticks

WIDTH, HEIGHT = 760, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 64, 12, 44
MOST_POINTS = 400
"""The most points of a curve; more would be less than two to a pixel."""


class Segment(NamedTuple):
    """A part of a bar: where it starts, how long it is, its class in the style sheet and its tooltip."""

    start: float
    length: float
    style: str
    title: str


def bar(segments: Sequence[Segment], whole: float) -> Markup:
    """A bar of `whole`, of which `segments` are filled; a part of less than a third of a percent is drawn as that."""
    scale = 100 / whole if whole else 0.0
    parts = [
        element(
            "rect",
            element("title", s.title),
            x=f"{min(s.start * scale, 99.7):.3f}%",
            width=f"{max(s.length * scale, 0.3):.3f}%",
            height="100%",
            class_=s.style,
        )
        for s in segments
        if s.length > 0
    ]
    label = ", ".join(s.title for s in segments if s.length > 0)
    return element("svg", parts, class_="bar", role="img", aria_label=label or "nothing")


def loss_chart(points: Sequence[tuple[int, float]]) -> Markup:
    """Loss against step: each point thin, and over them a running mean, whose last value is written beside it."""
    thin = _thinned(points)
    low, high = min(y for _, y in thin), max(y for _, y in thin)
    margin = (high - low) * 0.06 or 0.5
    x_range, y_range = (float(thin[0][0]), float(thin[-1][0])), (low - margin, high + margin)

    def x(step: float) -> float:
        return LEFT + (step - x_range[0]) / ((x_range[1] - x_range[0]) or 1.0) * (WIDTH - LEFT - RIGHT)

    def y(loss: float) -> float:
        return TOP + (y_range[1] - loss) / (y_range[1] - y_range[0]) * (HEIGHT - TOP - BOTTOM)

    def line(of: Sequence[tuple[float, float]], style: str) -> Markup:
        return element("polyline", points=" ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in of), class_=style)

    bottom = HEIGHT - BOTTOM
    grid: list[Markup] = []
    for value in ticks(*y_range):
        grid.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y(value), y2=y(value), class_="grid"))
        grid.append(element("text", f"{value:g}", x=LEFT - 8, y=y(value) + 4, class_="tick end"))
    for value in ticks(*x_range):
        grid.append(element("line", x1=x(value), x2=x(value), y1=bottom, y2=bottom + 5, class_="axis"))
        grid.append(element("text", short(value), x=x(value), y=bottom + 20, class_="tick middle"))
    grid.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=bottom, y2=bottom, class_="axis"))
    grid.append(element("text", "step", x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 4, class_="tick middle"))
    mean = smooth(thin)
    step, last = mean[-1]
    return element(
        "svg",
        grid,
        line(thin, "loss"),
        line(mean, "mean"),
        element("circle", cx=x(step), cy=y(last), r=3.5, class_="dot"),
        element("text", f"{last:.2f}", x=x(step) + 9, y=y(last) + 4, class_="value"),
        view_box=f"0 0 {WIDTH} {HEIGHT}",
        class_="chart",
        role="img",
        aria_label=f"loss, {_place(points[0])} to {_place(points[-1])}",
    )


def smooth(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Each point's y as the mean of its neighbours, itself included, in a window of a twentieth of all."""
    half = len(points) // 40
    result = []
    for i, (x, _) in enumerate(points):
        near = [y for _, y in points[max(0, i - half) : i + half + 1]]
        result.append((x, sum(near) / len(near)))
    return result


def _place(point: tuple[int, float]) -> str:
    return f"{point[1]:.3f} at step {count(point[0])}"


def _thinned(points: Sequence[tuple[int, float]]) -> list[tuple[float, float]]:
    """At most MOST_POINTS of them, evenly, the first and the last among them."""
    if len(points) <= MOST_POINTS:
        return [(float(a), b) for a, b in points]
    picked = [i * (len(points) - 1) // (MOST_POINTS - 1) for i in range(MOST_POINTS)]
    return [(float(points[i][0]), points[i][1]) for i in picked]
