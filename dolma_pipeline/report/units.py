"""Numbers as people read them."""

from __future__ import annotations

import math


def count(number: int) -> str:
    """`1,234,567`."""
    return f"{number:,}"


def counted(number: int, noun: str) -> str:
    """`1 source`, `2,000 sources`, `2 processes`."""
    ending = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{ending}"


def short(number: float) -> str:
    """Three figures: `987`, `12.3 k`, `4.56 M`, `1.20 B`."""
    for unit, name in ((1e9, " B"), (1e6, " M"), (1e3, " k")):
        if abs(number) >= unit * 0.9995:
            return f"{_three(number / unit)}{name}"
    return f"{number:.0f}" if float(number).is_integer() else _three(number)


def size(number: float) -> str:
    """Bytes in decimal units: `0 B`, `812 B`, `20.1 MB`."""
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= unit * 0.9995:
            return f"{_three(number / unit)} {name}"
    return f"{number:.0f} B"


def duration(seconds: float) -> str:
    """`0.42 s`, `12.3 s`, `2 min 05 s`, `1 h 02 min`."""
    if seconds < 59.95:
        return f"{_three(seconds)} s"
    if round(seconds) < 3600:
        return f"{round(seconds) // 60} min {round(seconds) % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def share(part: float, whole: float) -> str:
    """`12.3%`; `<0.1%` of what is not nothing; nothing of nothing."""
    if not whole:
        return ""
    percent = 100 * part / whole
    return "<0.1%" if 0 < percent < 0.1 else f"{percent:.1f}%"


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers, steps of 1, 2 or 5 times a power of ten, that lie in [low, high]: at most `most` of them."""
    if not high > low:
        return [low]
    scale = 10.0 ** math.floor(math.log10((high - low) / most))
    for factor in (1, 2, 5, 10, 20, 50):
        step = factor * scale
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            return [round(i * step, 12) for i in range(first, last + 1)]
    return [low, high]


def _three(number: float) -> str:
    if abs(number) >= 99.95:
        return f"{number:.0f}"
    return f"{number:.1f}" if abs(number) >= 9.995 else f"{number:.2f}"
