"""Toys of the reshard tests: token files to reshard, the stage run on them, and what the result holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dolma_pipeline.config.recipe import Recipe, Reshard, Source, Stage, Tokenizer, Tokens
from dolma_pipeline.tokens.inspect import read_places, read_tokens
from tests.tokens.token_toys import run_recipe, run_stage, word_tokens, write_shard, write_tokenizer

Found = tuple[str, str, int, tuple[int, ...]]


def make(work: Path, documents: list[tuple[str, str]], name: str = "s", **options: Any) -> Path:
    """Token files of the toy tokenizer; `name` is that of the source, and of the shard in the index."""
    path = write_tokenizer(work / "tokenizer.json")
    shard = write_shard(work / name / "a.jsonl", documents)
    run_stage(work / name, {f"{name}/a": shard}, word_tokens(path, **options))
    return work / name / "out"


def recipe(work: Path, sources: dict[str, Path], seed: int = 17, **options: Any) -> Recipe:
    stage = Stage(reshard=Reshard(destination=str(work / "out"), **options))
    found = {name: Source(tokens=str(path)) for name, path in sources.items()}
    return Recipe(name="toy", work_dir=str(work), sources=found, stages=[stage], seed=seed)


def reshard(work: Path, sources: dict[str, Path], **options: Any) -> Path:
    run_recipe(recipe(work, sources, **options))
    return work / "out"


def contents(directory: Path) -> list[Found]:
    """(id, src, loc, tokens) of every document, read from the files."""
    return [
        (p.id, p.src, p.loc, tuple(read_tokens(directory, p.file, p.start, p.end).tolist()))
        for p in read_places(directory)
    ]


PAD = 2


def padded(work: Path, documents: list[tuple[str, str]], **options: Any) -> Path:
    """As `make`, with a token to fill instances with."""
    path = write_tokenizer(work / "tokenizer.json")
    shard = write_shard(work / "p" / "a.jsonl", documents)
    tokenizer = Tokenizer(path=str(path), eos="</s>", pad="<pad>")
    run_stage(work / "p", {"p/a": shard}, Tokens(tokenizer=tokenizer, **options))
    return work / "p" / "out"
