"""Charts: every value is in some column, every threshold a point."""

from __future__ import annotations

import re

import numpy as np

from dolma_pipeline.stat.charts import distribution, removal
from dolma_pipeline.stat.histogram import Histogram


def histogram(values: list[float]) -> Histogram:
    made = Histogram()
    made.add(np.asarray(values))
    return made


def test_columns_hold_all_values_and_a_stray_one_does_not_flatten_them() -> None:
    drawn = distribution(histogram([*(float(v % 100) for v in range(1000)), 1e9]), "x")
    counts = [int(n.replace(",", "")) for n in re.findall(r"<title>[^<]*: ([\d,]+)</title>", drawn)]
    assert sum(counts) == 1001
    assert len(counts) > 40
    assert max(counts) < 60


def test_one_value_is_one_column() -> None:
    assert distribution(histogram([3.0] * 5), "x").count("<rect") == 1
    assert distribution(histogram([0.0, -2.5]), "x").count("<rect") == 2


def test_removal_has_a_line_a_source() -> None:
    drawn = removal({"web": [(10, 0.1), (20, 0.3)], "books": [(10, 0.0), (20, 0.05)]}, "removed")
    assert drawn.count("<polyline") == 2
    assert re.findall(r"<title>([^<]*)</title>", drawn) == [
        "web: 10.00% at 10",
        "web: 30.00% at 20",
        "books: 0.00% at 10",
        "books: 5.00% at 20",
    ]
    assert removal({"web": [(1, 0.0)]}, "nothing").count("<circle") == 1
