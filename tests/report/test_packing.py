"""The line on packing."""

from __future__ import annotations

from dolma_pipeline.engine.manifest import StageAccount
from dolma_pipeline.report.packing import packing

PACKED = {
    "by": "best_fit",
    "instances": 1200,
    "tokens": 2_457_600,
    "padding": 4915,
    "fragmented": 31,
    "truncated": 0,
    "dropped_tokens": 0,
}


def line(**changes: int) -> str:
    return packing(StageAccount(id="01-tokens", kind="tokens", details={"packed": PACKED | changes}))


def test_the_line() -> None:
    assert line() == "packed by best_fit: 1,200 instances, 0.2% padding, 31 documents in pieces"
    assert line(padding=0, fragmented=0, truncated=7, dropped_tokens=9000) == (
        "packed by best_fit: 1,200 instances, 0.0% padding, 9,000 tokens of 7 documents left out"
    )
    assert line(instances=0, tokens=0, padding=0, fragmented=0) == "packed by best_fit: 0 instances, 0% padding"


def test_where_nothing_was_packed_there_is_none() -> None:
    assert packing(StageAccount(id="01-tokens", kind="tokens")) == ""
