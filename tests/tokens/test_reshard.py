"""Resharding: which documents are taken, how often, and in which order."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dolma_pipeline.errors import ConfigError
from dolma_pipeline.tokens import select
from dolma_pipeline.tokens.amount import Amount
from dolma_pipeline.tokens.inspect import Place, read_places
from dolma_pipeline.tokens.manifest import read_manifest
from tests.tokens.reshard_toys import contents, make, recipe, reshard
from tests.tokens.token_toys import (
    file_bytes,
    letters,
    run_recipe,
    run_stage,
    word_tokens,
    write_shard,
    write_tokenizer,
)


@pytest.mark.parametrize("block", [1, 20, 1 << 26])
@pytest.mark.parametrize("order", ["shuffle", "input"])
def test_whole_rates_are_exact(block: int, order: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "BLOCK_TOKENS", block)
    a, b = make(tmp_path, letters(30), "a", max_tokens=50), make(tmp_path, letters(20, 100), "b", max_tokens=50)
    out = reshard(tmp_path, {"a": a, "b": b}, rates={"a": 2, "b": 1}, order=order, max_tokens=40)
    assert Counter(contents(out)) == Counter(contents(a) * 2 + contents(b))
    manifest = read_manifest(out)
    whole, other = read_manifest(a), read_manifest(b)
    assert manifest.sources == {
        "a": Amount(documents=60, tokens=2 * whole.tokens, text_bytes=2 * whole.text_bytes),
        "b": Amount(documents=20, tokens=other.tokens, text_bytes=other.text_bytes),
    }
    assert max(f.tokens for f in manifest.files) <= 40
    assert (manifest.dtype, manifest.eos_token_id, manifest.tokenizer) == ("uint8", 1, whole.tokenizer)


def test_input_order_keeps_copies_together(tmp_path: Path) -> None:
    a = make(tmp_path, [("x", "a b"), ("y", "c")], "a", order="input")
    out = reshard(tmp_path, {"a": a}, rates={"a": 2}, order="input")
    assert list(read_places(out)) == [
        Place(file="part-00000.npy", start=0, end=3, id="x", src="a/a", loc=1),
        Place(file="part-00000.npy", start=3, end=6, id="x", src="a/a", loc=1),
        Place(file="part-00000.npy", start=6, end=8, id="y", src="a/a", loc=2),
        Place(file="part-00000.npy", start=8, end=10, id="y", src="a/a", loc=2),
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=15)
@given(rate=st.floats(0, 4), seed=st.integers(0, 100))
def test_rates(tmp_path_factory: pytest.TempPathFactory, rate: float, seed: int) -> None:
    """Each document is taken floor(rate) or one more times, in all about rate times."""
    work = tmp_path_factory.mktemp("rates")
    documents = [(f"d{n}", "a") for n in range(400)]
    a = make(work, documents, "a")
    reports = run_recipe(recipe(work, {"a": a}, seed=seed, rates={"a": rate}))
    times = Counter(name for name, *_ in contents(work / "out"))
    assert {times[name] for name, _ in documents} <= {int(rate), int(rate) + 1}
    # Five standard deviations of 400 draws at most.
    assert abs(sum(times.values()) - rate * 400) <= 50
    counts = reports["01-reshard-select"][0].counts["a"]
    assert counts.balanced
    assert (counts.documents_in, counts.documents_out) == (400, sum(times.values()))


def test_a_larger_rate_takes_what_a_smaller_one_takes(tmp_path: Path) -> None:
    a = make(tmp_path, letters(200), "a")
    taken = [Counter(contents(reshard(tmp_path / str(r), {"a": a}, rates={"a": r}))) for r in (0.2, 0.5, 1.0, 1.2)]
    assert 20 < sum(taken[0].values()) < 60 < sum(taken[1].values()) < 140
    for less, more in itertools.pairwise(taken):
        assert less < more
    # The rest of a rate is drawn as a rate is.
    assert taken[3] - taken[2] == taken[0]


def test_an_amount_of_tokens(tmp_path: Path) -> None:
    """By the rate that gives them: 150 of 200 documents of two tokens, but for the chance of the draw."""
    a = make(tmp_path, [(f"d{n}", "a") for n in range(200)], "a")
    by_amount = reshard(tmp_path / "x", {"a": a}, tokens={"a": 300})
    assert 260 <= read_manifest(by_amount).tokens <= 340
    assert file_bytes(by_amount) == file_bytes(reshard(tmp_path / "y", {"a": a}, rates={"a": 0.75}))


def test_what_is_taken_depends_on_the_document_alone(tmp_path: Path) -> None:
    """Not on how its tokens are divided into files, their order, or who else is there."""
    small = make(tmp_path / "1", letters(200), "a", max_tokens=50)
    large = make(tmp_path / "2", letters(200), "a", order="input")
    other = make(tmp_path / "3", letters(50, 300), "b")
    one = reshard(tmp_path / "x", {"a": small}, rates={"a": 0.5})
    two = reshard(tmp_path / "y", {"b": other, "renamed": large}, rates={"renamed": 0.5, "b": 0})
    three = reshard(tmp_path / "z", {"a": small}, rates={"a": 0.5}, seed=18)
    assert sorted(contents(one)) == sorted(contents(two))
    assert sorted(contents(one)) != sorted(contents(three))


def test_copies_are_spread(tmp_path: Path) -> None:
    """Those made here, and those that a former resharding made, whose rows are all alike."""
    a = make(tmp_path, [(f"d{n}", "a") for n in range(300)], "a")
    twice = reshard(tmp_path / "x", {"a": a}, rates={"a": 2})
    again = reshard(tmp_path / "y", {"a": twice}, seed=5)
    for out in (twice, again):
        ids = [name for name, *_ in contents(out)]
        assert len(ids) == 600
        assert sum(x == y for x, y in itertools.pairwise(ids)) < 10


def test_order_of_tasks_does_not_matter(tmp_path: Path) -> None:
    sources = {n: make(tmp_path, letters(40, 100 * i), n, max_tokens=30) for i, n in enumerate("ab")}
    options: dict[str, Any] = {"rates": {"a": 0.6, "b": 1.7}, "max_tokens": 50}
    run_recipe(recipe(tmp_path / "x", sources, **options))
    run_recipe(recipe(tmp_path / "y", sources, **options), reorder=lambda tasks: list(reversed(tasks)))
    assert file_bytes(tmp_path / "x" / "out") == file_bytes(tmp_path / "y" / "out")


@pytest.mark.parametrize("files", [1, 2, 3, 7])
def test_number_of_files(files: int, tmp_path: Path) -> None:
    a = make(tmp_path, letters(100), "a")
    found = read_manifest(reshard(tmp_path, {"a": a}, max_files=files)).files
    assert len(found) == files
    assert max(f.tokens for f in found) - min(f.tokens for f in found) < 60


def test_bytes_of_a_file(tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path / "tokenizer.json")
    shard = write_shard(tmp_path / "a.jsonl", letters(50))
    run_stage(tmp_path, {"s/a": shard}, word_tokens(path, dtype="uint32"))
    out = reshard(tmp_path / "r", {"s": tmp_path / "out"}, max_bytes=100)
    sizes = [(out / f.path).stat().st_size for f in read_manifest(out).files]
    assert max(sizes) <= 100
    assert sorted(contents(out)) == sorted(contents(tmp_path / "out"))


def test_nothing_taken(tmp_path: Path) -> None:
    a = make(tmp_path, letters(5), "a")
    reports = run_recipe(recipe(tmp_path, {"a": a}, rates={"a": 0}))
    assert read_manifest(tmp_path / "out").files == []
    assert reports["01-reshard"][0].warnings == [f"{tmp_path}/out: no document, so there is no token file"]
    assert reports["01-reshard-select"][0].counts["a"].dropped == {"not_sampled": 5}


@given(
    lengths=st.lists(st.lists(st.integers(0, 9), max_size=8), max_size=5),
    tokens=st.integers(1, 20),
    documents=st.integers(1, 5),
)
def test_blocks(lengths: list[list[int]], tokens: int, documents: int) -> None:
    """Every document once, in order; none larger than allowed but by a single document."""
    from dolma_pipeline.tokens.rows import Rows, numbered

    batches: list[Rows] = []
    number = 0
    for batch in lengths:
        sizes = np.array(batch, dtype=np.int64)
        batches.append(numbered("x", np.cumsum(sizes) - sizes, sizes, number))
        number += len(batch)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(select, "BLOCK_TOKENS", tokens)
        blocks = list(select._blocks(batches, documents))
    assert [i for b in blocks for i in b.ids.to_pylist()] == [f"x-{n}" for n in range(number)]
    assert [n for b in blocks for n in b.lengths.tolist()] == [n for batch in lengths for n in batch]
    for block in blocks:
        assert 1 <= len(block) <= documents
        assert block.lengths.sum() <= tokens or len(block) == 1 or block.lengths[:-1].sum() == 0


def test_more_copies_than_anybody_wants(tmp_path: Path) -> None:
    a = make(tmp_path, letters(9), "a")
    there = read_manifest(a).tokens
    with pytest.raises(ConfigError, match=rf"reshard.tokens.a: expected at most {10_000 * there}, 10000 times the"):
        reshard(tmp_path, {"a": a}, tokens={"a": 10_000 * there + 1})


def test_blocks_are_bounded_by_their_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a = make(tmp_path, letters(9), "a", order="input")
    whole = file_bytes(reshard(tmp_path, {"a": a}, rates={"a": 30.5}))
    monkeypatch.setattr(select, "BLOCK_DOCUMENTS", 61)
    sizes: list[int] = []
    write: Callable[..., Any] = select._write

    def counting(*arguments: Any) -> Any:
        sizes.append(len(arguments[3]))
        return write(*arguments)

    monkeypatch.setattr(select, "_write", counting)
    run_recipe(recipe(tmp_path / "again", {"a": a}, rates={"a": 30.5}))
    assert file_bytes(tmp_path / "again" / "out") == whole
    assert max(sizes) <= 62
