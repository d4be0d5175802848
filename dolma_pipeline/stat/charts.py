"""Charts of distributions and of removal by threshold, in the report's style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dolma_pipeline.report.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH
from dolma_pipeline.report.markup import Markup, element
from dolma_pipeline.report.units import count, short, ticks
from dolma_pipeline.stat.histogram import Histogram

COLUMNS = 48
LOW = 84
"""Height of the chart of one attribute."""
TAIL = 0.005
"""Share of the values at either end that goes into the outermost column, so that one odd value does not flatten all."""
STYLES = 8


def distribution(histogram: Histogram, name: str) -> Markup:
    """Columns of equal width between the ends of the bulk of the values, whose range is written below."""
    edges, counts = histogram.edges()
    reached = np.cumsum(counts) / counts.sum()
    first, last = (int(i) for i in np.searchsorted(reached, [TAIL, 1 - TAIL]))
    # The next edge is where the next bucket with anything in it begins, which can be far away.
    low, high = float(edges[first]), float(edges[last if last > first else last + 1])
    width = (high - low) / COLUMNS or 1.0
    column = np.clip(((edges[:-1] - low) / width).astype(np.int64), 0, COLUMNS - 1)
    heights = np.bincount(column, weights=counts, minlength=COLUMNS)
    scale = (LOW - 18) / heights.max()
    bars = [
        element(
            "rect",
            element("title", f"{short(low + i * width)} to {short(low + (i + 1) * width)}: {count(int(h))}"),
            x=i * WIDTH / COLUMNS,
            y=LOW - 18 - max(1.0, float(h) * scale),
            width=WIDTH / COLUMNS - 1,
            height=max(1.0, float(h) * scale),
            class_="kept",
        )
        for i, h in enumerate(heights.tolist())
        if h
    ]
    bars.append(element("text", short(low), x=0, y=LOW - 4, class_="tick"))
    bars.append(element("text", short(high), x=WIDTH, y=LOW - 4, class_="tick end"))
    return element(
        "svg", bars, view_box=f"0 0 {WIDTH} {LOW}", class_="chart", role="img", aria_label=f"distribution of {name}"
    )


def removal(lines: Mapping[str, Sequence[tuple[float, float]]], label: str) -> Markup:
    """Share removed (0 to 1) against the threshold, a line for each source."""
    xs = [x for points in lines.values() for x, _ in points]
    low, high = min(xs), max(xs)
    top = max([y for points in lines.values() for _, y in points] + [0.01])

    def x(at: float) -> float:
        return LEFT + (at - low) / ((high - low) or 1.0) * (WIDTH - LEFT - RIGHT)

    def y(share: float) -> float:
        return TOP + (1 - share / top) * (HEIGHT - TOP - BOTTOM)

    parts: list[Markup] = []
    for value in ticks(0, top):
        parts.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y(value), y2=y(value), class_="grid"))
        parts.append(element("text", f"{value:.3g}", x=LEFT - 8, y=y(value) + 4, class_="tick end"))
    bottom = HEIGHT - BOTTOM
    for value in ticks(low, high):
        parts.append(element("line", x1=x(value), x2=x(value), y1=bottom, y2=bottom + 5, class_="axis"))
        parts.append(element("text", f"{value:g}", x=x(value), y=bottom + 20, class_="tick middle"))
    parts.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=bottom, y2=bottom, class_="axis"))
    parts.append(element("text", "threshold", x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 4, class_="tick middle"))
    for i, (name, points) in enumerate(lines.items()):
        style = f"s{i % STYLES}"
        path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in points)
        parts.append(element("polyline", points=path, class_=f"line {style}"))
        for a, b in points:
            title = element("title", f"{name}: {100 * b:.2f}% at {a:g}")
            parts.append(element("circle", title, cx=x(a), cy=y(b), r=3.5, class_=style))
    return element("svg", parts, view_box=f"0 0 {WIDTH} {HEIGHT}", class_="chart", role="img", aria_label=label)
