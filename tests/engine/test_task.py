from dolma_pipeline.engine.manifest import combine
from dolma_pipeline.engine.task import Counts


def test_counts_balance() -> None:
    counts = Counts(documents_in=5, documents_out=4, quarantined=1, dropped={"a": 1}, repeated=1)
    assert counts.balanced
    counts.add(Counts(documents_in=2, documents_out=1, dropped={"a": 1}))
    assert counts.balanced
    assert counts.dropped == {"a": 2}
    counts.add(Counts(documents_in=1))
    assert not counts.balanced


def test_counts_below_zero_balance_and_cannot_be() -> None:
    counts = Counts(documents_in=81, documents_out=86, dropped={"a": -6, "b": 1})
    assert counts.balanced
    assert counts.below_zero() == {"dropped a": -6}
    assert Counts(documents_in=-1, unread=-1).below_zero() == {"documents_in": -1, "unread": -1}
    assert Counts(documents_in=1, documents_out=1).below_zero() == {}


def test_a_copy_is_independent() -> None:
    counts = Counts(documents_in=1, dropped={"a": 1})
    counts.copy().add(Counts(documents_in=1, dropped={"a": 1}))
    assert counts == Counts(documents_in=1, dropped={"a": 1})
    assert counts.copy(edited={"x": 2}).edited == {"x": 2}


def test_details_of_many_tasks() -> None:
    one = {"keys": 1, "fill": 0.5, "kind": "bloom", "by": {"a": 1}}
    assert combine([one]) == one
    two = {"keys": 2, "fill": 0.25, "kind": "exact", "by": {"a": 1, "b": 2}}
    assert combine([one, two]) == {"keys": 3, "fill": 0.5, "kind": "mixed", "by": {"a": 2, "b": 2}}
