"""Charts: positions in percent, well-formed, bounded."""

from __future__ import annotations

from xml.etree import ElementTree

from dolma_pipeline.report.charts import MOST_POINTS, Segment, bar, loss_chart, smooth


def test_bar() -> None:
    drawn = bar(
        [Segment(0, 25, "kept", "kept: 25"), Segment(25, 0, "s0", "none"), Segment(25, 75, "s1", "rest: 75")], 100
    )
    assert drawn == (
        '<svg class="bar" role="img" aria-label="kept: 25, rest: 75">'
        '<rect x="0.000%" width="25.000%" height="100%" class="kept"><title>kept: 25</title></rect>'
        '<rect x="25.000%" width="75.000%" height="100%" class="s1"><title>rest: 75</title></rect></svg>'
    )
    assert bar([Segment(0, 0, "kept", "none")], 0) == '<svg class="bar" role="img" aria-label="nothing"></svg>'


def test_smooth_is_a_mean_of_neighbours() -> None:
    assert smooth([(1, 4.0), (2, 2.0)]) == [(1, 4.0), (2, 2.0)]
    points = [(float(i), float(i % 2)) for i in range(40)]
    assert smooth(points)[:2] == [(0.0, 0.5), (1.0, 1 / 3)]


def test_loss_chart_is_well_formed_and_bounded() -> None:
    points = [(i, 9.0 - i / 1000) for i in range(1, 5001)]
    root = ElementTree.fromstring(loss_chart(points))
    assert root.get("aria-label") == "loss, 8.999 at step 1 to 4.000 at step 5,000"
    thin, mean = (line.get("points", "").split() for line in root.iter("polyline"))
    assert len(thin) == len(mean) == MOST_POINTS
    assert (thin[0], thin[-1]) == ("52.0,25.1", "696.0,242.9")


def test_one_point_and_a_flat_curve() -> None:
    for points in ([(1, 3.0)], [(1, 3.0), (2, 3.0)]):
        ElementTree.fromstring(loss_chart(points))
