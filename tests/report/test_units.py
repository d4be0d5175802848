"""Numbers as people read them, at the edges of their units."""

from __future__ import annotations

import pytest

from dolma_pipeline.report.units import duration, share, short, size, ticks


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (12_345, "12.3 kB"), (999_600, "1.00 MB"), (5e9, "5.00 GB")],
)
def test_size(number: float, expected: str) -> None:
    assert size(number) == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (7, "7"),
        (0.5, "0.50"),
        (999, "999"),
        (9999, "10.0 k"),
        (4_194_304, "4.19 M"),
        (7e9, "7.00 B"),
        (-1500, "-1.50 k"),
    ],
)
def test_short(number: float, expected: str) -> None:
    assert short(number) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.0, "0.00 s"),
        (9.996, "10.0 s"),
        (59.9, "59.9 s"),
        (59.97, "1 min 00 s"),
        (125.4, "2 min 05 s"),
        (3720, "1 h 02 min"),
    ],
)
def test_duration(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


def test_share() -> None:
    assert [share(1, 0), share(0, 7), share(1, 7), share(1, 5000), share(7, 7)] == [
        "",
        "0.0%",
        "14.3%",
        "<0.1%",
        "100.0%",
    ]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (2.6, 9.2, [4, 6, 8]),
        (1, 300, [50, 100, 150, 200, 250, 300]),
        (3.01, 3.04, [3.01, 3.02, 3.03, 3.04]),
        (5, 5, [5]),
    ],
)
def test_ticks(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == expected
