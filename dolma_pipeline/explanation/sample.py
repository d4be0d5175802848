"""A reviewable sample of the documents that a rule dropped, or that a dedupe stage marked."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from msgspec import Struct

from dolma_pipeline.engine.corpus import stem
from dolma_pipeline.engine.task import Context
from dolma_pipeline.errors import ConfigError, suggest
from dolma_pipeline.explanation.explain import RunDirectory
from dolma_pipeline.formats.columns import shown_id
from dolma_pipeline.formats.documents import read_documents
from dolma_pipeline.mixers.computed import Computed
from dolma_pipeline.mixers.decide import Decider
from dolma_pipeline.mixers.sampling import located_hashes
from dolma_pipeline.stages.mix import BATCH_BYTES, MixShards

TEXT = 2000
"""Characters of a text that a sample has."""


class Sampled(Struct, frozen=True, kw_only=True):
    """A document that a rule dropped."""

    stage: str
    rule: str
    expression: str
    source: str
    file: str
    line: int
    id: str
    text: str
    """How the text begins."""
    characters: int
    """Length of the whole text in code points."""


def sample_rule(run: str | Path, rule: str, count: int) -> list[Sampled]:
    """Returns `count` of the documents that a rule of a mix dropped, or all if there are fewer, in input order.

    Which ones is a keyed hash of id, file and line with the seed of the run, so that every call returns the same. It
    reads the documents and attributes of the mix once more. Raises ConfigError if no mix has the rule.
    """
    directory = RunDirectory(run)
    tasks = list(_mixes(directory))
    known = list(dict.fromkeys(name for _, task in tasks for name in Decider(task.mix, task.names).rules))
    if rule not in known:
        raise ConfigError(f"expected a rule of a mix ({', '.join(known)}), found `{rule}`{suggest(rule, known)}")
    best: list[tuple[int, int, Sampled]] = []
    for number, (hashed, sampled) in enumerate(_dropped(directory, tasks, rule)):
        # heapq keeps the largest at the top when the hash is negative.
        entry = (-hashed, -number, sampled)
        if len(best) < count:
            heapq.heappush(best, entry)
        elif entry > best[0]:
            heapq.heapreplace(best, entry)
    return [sampled for _, _, sampled in sorted(best, key=lambda entry: -entry[1])]


def _mixes(run: RunDirectory) -> Iterator[tuple[str, MixShards]]:
    for number in range(len(run.plan.reads)):
        yield from run.mixes(number)


def _dropped(run: RunDirectory, tasks: list[tuple[str, MixShards]], rule: str) -> Iterator[tuple[int, Sampled]]:
    for stage, task in tasks:
        computed = Computed(task.computed, Context()) if task.computed else None
        decider = Decider(task.mix, task.names, computed)
        if rule not in decider.rules:
            continue
        position = decider.rules.index(rule)
        for each in task.inputs:
            stream = read_documents(each.path, columns=each.columns, keep_raw=True, batch_bytes=BATCH_BYTES)
            for decision in decider.decisions(each, stream):
                rows = (decision.rule == position).nonzero()[0]
                if not len(rows):
                    continue
                documents = decision.documents
                chosen = documents.records.take(pa.array(rows))
                hashes = located_hashes(chosen["id"], stem(each.name), chosen["line"], run.recipe.seed)
                for row, hashed in zip(_rows(chosen), hashes.tolist(), strict=True):
                    text = row["text"] or ""
                    yield (
                        hashed,
                        Sampled(
                            stage=stage,
                            rule=rule,
                            expression=task.mix.drop.get(rule, ""),
                            source=task.source,
                            file=each.path,
                            line=row["line"],
                            id=shown_id(row["id"] or ""),
                            text=text[:TEXT],
                            characters=len(text),
                        ),
                    )


def _rows(records: pa.RecordBatch) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = records.select(["id", "text", "line"]).to_pylist()
    return rows
