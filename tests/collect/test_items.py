"""Sampling by family, digests and well-formed text."""

from __future__ import annotations

import random

from dolma_pipeline.collect.items import Item, digest, family, sample, well_formed


def item(key: str, size: int = 10) -> Item:
    return Item(key, size, "1", lambda: key)


def test_digest_is_pinned() -> None:
    assert digest("python_stdlib", "os.py") == "8c2d3758bbdea0279af958f257489d5f"


def test_sample_keeps_copies_together_and_ignores_order() -> None:
    owners = ["rich", "pip/_vendor/rich", "other/rich"]
    items = [item(f"{owner}/m{i}.py") for i in range(40) for owner in owners]
    chosen = sample(items, 300)
    assert len(chosen) == 30
    families = [family(one.key) for one in chosen]
    assert {families.count(name) for name in families} == {3}
    shuffled = items[:]
    random.Random(1).shuffle(shuffled)
    assert sample(shuffled, 300) == chosen
    assert [one.key for one in chosen] == sorted(one.key for one in chosen)


def test_sample_is_bounded_and_whole_when_it_fits() -> None:
    items = [item("a/b.py", 90), item("c/d.py", 50), item("e/f.py", 10)]
    assert sum(one.size for one in sample(items, 100)) <= 100
    assert sample(items, 150) == items


def test_well_formed() -> None:
    assert well_formed("naïve 🫖") == "naïve 🫖"
    assert well_formed("a\ud800b") == "a\ufffdb"
    assert well_formed("\ud83e\uded6 and \udc00") == "🫖 and \ufffd"
