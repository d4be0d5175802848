"""The stage as a whole: the same bytes in any order of work, and tasks that survive the way through JSON."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from token_toys import file_bytes, letters, run_stage, trained_tokens, word_tokens, write_shard, write_tokenizer

from dolma_pipeline.recipe import Tokens
from dolma_pipeline.task import Context, Report, Task, call
from dolma_pipeline.tokens import phases
from dolma_pipeline.tokens.inspect import read_places
from dolma_pipeline.tokens.manifest import read_manifest


@pytest.fixture
def shards(tmp_path: Path) -> dict[str, Path]:
    return {
        f"s/{n}": write_shard(tmp_path / "documents" / f"{n}.jsonl", letters(count, first=100 * n))
        for n, count in enumerate([25, 1, 0, 40])
    }


@pytest.mark.parametrize("order", ["shuffle", "input"])
def test_the_same_bytes_whichever_task_comes_first(tmp_path: Path, shards: dict[str, Path], order: str) -> None:
    tokens = trained_tokens(vocab_size=300, order=order, holdout=0.2, max_tokens=100)
    first = run_stage(tmp_path / "one", shards, tokens)
    second = run_stage(tmp_path / "two", shards, tokens, reorder=lambda tasks: list(tasks)[::-1])
    assert len(first["write"]) > 2
    assert file_bytes(tmp_path / "one" / "out") == file_bytes(tmp_path / "two" / "out")
    assert [r.counts for r in first["encode"]] == [r.counts for r in second["encode"]]


def test_a_rerun_over_the_old_files_gives_the_same_bytes(tmp_path: Path, shards: dict[str, Path]) -> None:
    tokens = word_tokens(write_tokenizer(tmp_path / "tokenizer.json"), max_tokens=50)
    run_stage(tmp_path, shards, tokens)
    before = file_bytes(tmp_path / "out"), file_bytes(tmp_path / "scratch")
    run_stage(tmp_path, shards, tokens)
    assert (file_bytes(tmp_path / "out"), file_bytes(tmp_path / "scratch")) == before


def test_a_shuffle_hangs_on_labels_not_on_where_files_are(tmp_path: Path) -> None:
    tokens = word_tokens(write_tokenizer(tmp_path / "tokenizer.json"))
    for place in ("here", "there/below"):
        shard = write_shard(tmp_path / place / "a.jsonl", letters(20))
        run_stage(tmp_path / place, {"s/a": shard}, tokens)
    assert file_bytes(tmp_path / "here" / "out") == file_bytes(tmp_path / "there/below" / "out")


def test_another_seed_is_another_order_of_the_same_documents(tmp_path: Path, shards: dict[str, Path]) -> None:
    tokens = word_tokens(write_tokenizer(tmp_path / "tokenizer.json"))
    orders = []
    for seed in (17, 18):
        run_stage(tmp_path / str(seed), shards, tokens, seed=seed)
        orders.append([p.id for p in read_places(tmp_path / str(seed) / "out")])
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])


def test_splits_are_disjoint_and_complete_and_their_counts_add_up(tmp_path: Path, shards: dict[str, Path]) -> None:
    tokens = word_tokens(write_tokenizer(tmp_path / "tokenizer.json"), holdout=0.3)
    reports = run_stage(tmp_path, shards, tokens)
    ids = {split: [p.id for p in read_places(tmp_path / "out" / split)] for split in ("train", "validation")}
    assert not set(ids["train"]) & set(ids["validation"])
    assert sorted(ids["train"] + ids["validation"]) == sorted(i for n in (0, 1, 3) for i, _ in letters(
        {0: 25, 1: 1, 3: 40}[n], first=100 * n
    ))  # fmt: skip
    manifests = [read_manifest(tmp_path / "out" / split) for split in ids]
    assert sum(m.tokens for m in manifests) == sum(r.counts["s"].tokens for r in reports["encode"])
    assert sum(m.text_bytes for m in manifests) == sum(r.counts["s"].bytes_out for r in reports["encode"])


def test_directories() -> None:
    assert phases.split_directories(word_tokens(Path("t")), "out") == {"train": "out"}
    assert phases.split_directories(word_tokens(Path("t"), holdout=0.1), "out") == {
        "train": "out/train",
        "validation": "out/validation",
    }


def test_no_training_where_the_recipe_names_a_tokenizer() -> None:
    assert phases.training_config(word_tokens(Path("t")), shards=[], seed=17, output="o") is None


def test_tasks_run_from_their_json(tmp_path: Path, shards: dict[str, Path]) -> None:
    tokens = trained_tokens(vocab_size=300, max_tokens=80)
    run_stage(tmp_path / "direct", shards, tokens)
    tasks_through_json(tmp_path / "json", shards, tokens)
    assert file_bytes(tmp_path / "json" / "out") == file_bytes(tmp_path / "direct" / "out")


def tasks_through_json(work: Path, shards: dict[str, Path], tokens: Tokens) -> None:
    """The stage as an executor sees it: configs and reports go from one process to another as JSON."""

    def run(function: str, config: msgspec.Struct) -> Report:
        task = Task(
            phase="p", name="n", run=f"dolma_pipeline.tokens.{function}", config=msgspec.to_builtins(config), inputs=()
        )
        report = call(msgspec.json.decode(msgspec.json.encode(task), type=Task), Context())
        return msgspec.json.decode(msgspec.json.encode(report), type=Report)

    path = str(work / "tokenizer.json")
    sampled = [phases.SampledShard(str(p), label) for label, p in shards.items()]
    training = phases.training_config(tokens, shards=sampled, seed=17, output=path)
    assert training is not None
    run("training:train_tokenizer", training)
    encoded = [
        run(
            "encode:encode_shard",
            phases.encoding_config(
                tokens, source="s", path=str(p), label=label, output=str(work / "scratch" / label),
                tokenizer_path=path, seed=17,
            ),
        )
        for label, p in shards.items()
    ]  # fmt: skip
    plan, out = str(work / "parts.json"), str(work / "out")
    run("parts:choose_parts", phases.parts_config(tokens, "train", encoded, path=plan))
    written = [run("write:write_part", c) for c in phases.writing_configs(plan, out)]
    manifest = phases.manifest_config(tokens, "train", encoded, written, directory=out, tokenizer_path=path)
    run("manifest:write_manifest", manifest)
