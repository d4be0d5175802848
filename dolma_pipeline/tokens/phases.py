"""How the tasks of the stage follow from a recipe and from the reports of the tasks before them.

Five phases, each of tasks that need nothing of each other:

1. train_tokenizer  one task, where the recipe has a tokenizer trained
2. encode_shard     one per shard
3. choose_parts     one per split; inputs: the files of all encoded shards
4. write_part       one per part and split; input: the plan, which holds the digests of the encoded shards
5. write_manifest   one per split
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from dolma_pipeline.recipe import Tokens
from dolma_pipeline.task import Report
from dolma_pipeline.tokens.amount import Amount
from dolma_pipeline.tokens.encode import TRAIN, VALIDATION, EncodedSplit, EncodeShard
from dolma_pipeline.tokens.manifest import TokenFile, WriteManifest
from dolma_pipeline.tokens.parts import PlanParts, read_parts
from dolma_pipeline.tokens.training import SampledShard, TrainOnShards
from dolma_pipeline.tokens.write import WritePart


def split_directories(tokens: Tokens, destination: str) -> dict[str, str]:
    """Split -> directory: the destination itself, or `train` and `validation` in it where there is a holdout."""
    if tokens.holdout == 0:
        return {TRAIN: destination}
    return {split: str(Path(destination) / split) for split in (TRAIN, VALIDATION)}


def training_config(tokens: Tokens, *, shards: Sequence[SampledShard], seed: int, output: str) -> TrainOnShards | None:
    """The task that writes the tokenizer to `output`; None where the recipe names one."""
    if tokens.tokenizer.train is None:
        return None
    return TrainOnShards(
        shards=list(shards),
        train=tokens.tokenizer.train,
        output=output,
        seed=seed,
        holdout=tokens.holdout,
        text_field=tokens.text_field,
        id_field=tokens.id_field,
    )


def encoding_config(
    tokens: Tokens,
    *,
    source: str,
    path: str,
    label: str,
    output: str,
    tokenizer_path: str,
    seed: int,
    quarantine: str | None = None,
) -> EncodeShard:
    """The task of one shard; of the recipe it is told only what changes the tokens."""
    return EncodeShard(
        source=source,
        path=path,
        label=label,
        output=output,
        tokenizer_path=tokenizer_path,
        tokenizer=tokens.tokenizer,
        seed=seed,
        order=tokens.order,
        holdout=tokens.holdout,
        dtype=tokens.dtype,
        text_field=tokens.text_field,
        id_field=tokens.id_field,
        quarantine=quarantine,
    )


def parts_config(tokens: Tokens, split: str, encoded: Sequence[Report], *, path: str) -> PlanParts:
    """The task that plans the parts of `split`; `encoded`: the reports of all shards in the order of the corpus."""
    shards = [_split(report, split).files for report in encoded]
    return PlanParts(shards=shards, order=tokens.order, max_tokens=tokens.max_tokens, path=path)


def writing_configs(plan: str, directory: str) -> list[WritePart]:
    """The tasks for the parts of the plan that `choose_parts` has written."""
    return [WritePart(plan=plan, number=i, directory=directory) for i in range(len(read_parts(plan).parts))]


def manifest_config(
    tokens: Tokens,
    split: str,
    encoded: Sequence[Report],
    written: Sequence[Report],
    *,
    directory: str,
    tokenizer_path: str,
) -> WriteManifest:
    """The last task of `split`; `written`: the reports of its parts in their order."""
    sources: dict[str, Amount] = {}
    for report in encoded:
        for name, amount in _split(report, split).sources.items():
            sources.setdefault(name, Amount()).add(amount)
    return WriteManifest(
        directory=directory,
        tokenizer_path=tokenizer_path,
        tokenizer=tokens.tokenizer,
        files=[msgspec.convert(report.details["file"], TokenFile) for report in written],
        sources={name: sources[name] for name in sorted(sources)},
        dtype=tokens.dtype,
    )


def _split(report: Report, split: str) -> EncodedSplit:
    return msgspec.convert(report.details[split], EncodedSplit)
