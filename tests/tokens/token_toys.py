"""Toys of the tokens tests: a tokenizer whose every id is known, shards of documents, and a whole run of the stage."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from dolma_pipeline.config.recipe import Recipe, Source, Stage, Tokenizer, Tokens, TrainTokenizer
from dolma_pipeline.engine.builder import Builder
from dolma_pipeline.engine.corpus import Shard
from dolma_pipeline.engine.plan import State, make_plan
from dolma_pipeline.engine.shared_reading import run_fused
from dolma_pipeline.engine.task import Context, Report, Task, call
from dolma_pipeline.stages.tokens import plan

WORDS = ["<s>", "</s>", "<pad>", "[unk]", *"abcdefghij"]
"""Ids: <s> 0, </s> 1, <pad> 2, [unk] 3, a 4 ... j 13."""
Document = tuple[str, str]


def write_tokenizer(path: Path, extra: int = 0) -> Path:
    """A tokenizer of one id per white-space word, with `extra` words `w0`, `w1`, ... after the first 14."""
    vocabulary = {w: i for i, w in enumerate([*WORDS, *(f"w{i}" for i in range(extra))])}
    tokenizer = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token="[unk]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(["<s>", "</s>", "<pad>"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(tokenizer.to_str())
    return path


def write_byte_tokenizer(path: Path, **options: Any) -> Path:
    """A byte-level tokenizer without merges: `<eos>` is 256."""
    vocabulary = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(**{"add_prefix_space": False, **options})
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<eos>"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(tokenizer.to_str())
    return path


def write_shard(path: Path, documents: Sequence[Document], source: str | None = None) -> Path:
    """Documents (id, text) as JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"id": i, "text": t} | ({"source": source} if source else {}) for i, t in documents]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def letters(count: int, first: int = 0) -> list[Document]:
    """`d0`, `d1`, ...: texts of 1 to 7 words of which no two in a row are of equal length."""
    texts = {n: [WORDS[4 + (n + k) % 10] for k in range(1 + 3 * n % 7)] for n in range(first, first + count)}
    return [(f"d{n}", " ".join(words)) for n, words in texts.items()]


def in_order(tasks: Sequence[int]) -> list[int]:
    return list(tasks)


def executed(task: Task, context: Context) -> Report:
    """Executes a task by itself; one that is an op shares its reading with none."""
    report: Report = run_fused([task], context)[0] if task.fuse else call(task, context)
    return report


def run_stage(
    work: Path,
    shards: dict[str, Path],
    tokens: Tokens,
    *,
    seed: int = 17,
    reorder: Callable[[Sequence[int]], list[int]] = in_order,
) -> dict[str, list[Report]]:
    """The stage as it is planned, into `work/out`, the tasks of each phase in the order of `reorder`; their reports.

    Shards by label, `source/name`. Tasks and reports go the way they go between processes: as JSON.
    """
    stage = Stage(tokens=msgspec.structs.replace(tokens, destination=str(work / "out")))
    sources = {label.split("/")[0]: Source(documents="*") for label in shards}
    builder = Builder(Recipe(name="toy", work_dir=str(work), sources=sources, stages=[stage], seed=seed))
    builder.corpus.shards.extend(
        Shard(source=label.split("/")[0], name=label, path=str(path), label=label) for label, path in shards.items()
    )
    assert stage.tokens is not msgspec.UNSET
    plan(builder, 1, stage.tokens)
    builder.flush()
    context, state = Context(), State()
    reports: dict[str, list[Report]] = {}
    for phase in builder.phases:
        tasks = [msgspec.json.decode(msgspec.json.encode(task), type=Task) for task in phase.build(state)]
        done = {i: msgspec.json.encode(executed(tasks[i], context)) for i in reorder(range(len(tasks)))}
        found = [msgspec.json.decode(done[i], type=Report) for i in range(len(tasks))]
        for task, report in zip(tasks, found, strict=True):
            state.enter(task, report)
        reports[phase.id.removeprefix("01-tokens").removeprefix("-") or "manifest"] = found
    return reports


def run_recipe(recipe: Recipe, *, reorder: Callable[[Sequence[int]], list[int]] = in_order) -> dict[str, list[Report]]:
    """A recipe as it is planned, the tasks of each phase in the order of `reorder`; their reports by phase."""
    context, state = Context(), State()
    reports: dict[str, list[Report]] = {}
    for phase in make_plan(recipe).phases:
        tasks = [msgspec.json.decode(msgspec.json.encode(task), type=Task) for task in phase.build(state)]
        done = {i: msgspec.json.encode(executed(tasks[i], context)) for i in reorder(range(len(tasks)))}
        found = [msgspec.json.decode(done[i], type=Report) for i in range(len(tasks))]
        for task, report in zip(tasks, found, strict=True):
            state.enter(task, report)
        reports[phase.id] = found
    return reports


def word_tokens(path: Path, **options: object) -> Tokens:
    """Settings for the tokenizer of `write_tokenizer` at `path`, with `</s>` after each document."""
    return Tokens(tokenizer=Tokenizer(path=str(path), eos="</s>"), **options)  # type: ignore[arg-type]


def trained_tokens(vocab_size: int = 400, **options: object) -> Tokens:
    """Settings for a tokenizer to be trained."""
    return Tokens(tokenizer=Tokenizer(train=TrainTokenizer(vocab_size=vocab_size)), **options)  # type: ignore[arg-type]


def file_bytes(directory: Path) -> dict[str, bytes]:
    """Every file below `directory` by its path there."""
    return {p.relative_to(directory).as_posix(): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}
