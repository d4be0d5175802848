"""Toys of the tokens tests: a tokenizer whose every id is known, shards of documents, and a whole run of the stage."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from dolma_pipeline.recipe import Tokenizer, Tokens, TrainTokenizer
from dolma_pipeline.task import Context, Report
from dolma_pipeline.tokens import phases
from dolma_pipeline.tokens.encode import encode_shard
from dolma_pipeline.tokens.manifest import write_manifest
from dolma_pipeline.tokens.parts import choose_parts
from dolma_pipeline.tokens.training import SampledShard, train_tokenizer
from dolma_pipeline.tokens.write import write_part

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


def write_byte_tokenizer(path: Path, **options: object) -> Path:
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


def run_stage(
    work: Path,
    shards: dict[str, Path],
    tokens: Tokens,
    *,
    seed: int = 17,
    reorder: Callable[[Sequence[int]], list[int]] = in_order,
) -> dict[str, list[Report]]:
    """All phases into `work/out`, the tasks of each in the order of `reorder`; reports by phase."""
    context = Context()
    tokenizer_path = tokens.tokenizer.path or str(work / "tokenizer.json")
    sampled = [SampledShard(str(path), label) for label, path in shards.items()]
    training = phases.training_config(tokens, shards=sampled, seed=seed, output=tokenizer_path)
    reports: dict[str, list[Report]] = {"train": [train_tokenizer(training, context)] if training else []}
    configs = [
        phases.encoding_config(
            tokens,
            source=label.split("/")[0],
            path=str(path),
            label=label,
            output=str(work / "scratch" / label),
            tokenizer_path=tokenizer_path,
            seed=seed,
        )
        for label, path in shards.items()
    ]
    done = {i: encode_shard(configs[i], context) for i in reorder(range(len(configs)))}
    encoded = reports["encode"] = [done[i] for i in range(len(configs))]
    reports |= {"parts": [], "write": [], "manifest": []}
    for split, directory in phases.split_directories(tokens, str(work / "out")).items():
        plan = str(work / "scratch" / f"parts-{split}.json")
        reports["parts"].append(choose_parts(phases.parts_config(tokens, split, encoded, path=plan), context))
        writing = phases.writing_configs(plan, directory)
        pieces = {i: write_part(writing[i], context) for i in reorder(range(len(writing)))}
        written = [pieces[i] for i in range(len(writing))]
        reports["write"] += written
        manifest = phases.manifest_config(
            tokens, split, encoded, written, directory=directory, tokenizer_path=tokenizer_path
        )
        reports["manifest"].append(write_manifest(manifest, context))
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
