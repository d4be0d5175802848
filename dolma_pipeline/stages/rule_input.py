"""What the task of a shard reads to try rules on its documents: the file, and the attributes that rules name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dolma_pipeline.engine.stage import Corpus, MapReduce, Shard
from dolma_pipeline.mixers.attribute_files import MixInput
from dolma_pipeline.mixers.expression import Rule
from dolma_pipeline.mixers.names import resolve_rules


class RuleInputs:
    """The inputs of a stage that tries `rules`; raises ConfigError for an attribute that there is not."""

    def __init__(self, stage: MapReduce, rules: Mapping[str, Rule]) -> None:
        corpus: Corpus = stage.corpus
        self.names = resolve_rules(rules, corpus.keys, corpus.attributes, corpus.kinds, corpus.earlier)
        self._files = {e: corpus.attributes[e] for e in sorted({e for e, _ in self.names.values()})}
        self._stage = stage

    def of(self, shard: Shard) -> MixInput:
        return MixInput(
            source=shard.source,
            path=shard.path,
            label=shard.label,
            attributes={e: paths[shard.id] for e, paths in self._files.items() if shard.id in paths},
            columns=shard.columns,
            quarantine=self._stage.quarantine(shard),
        )


def files_of(read: MixInput) -> Sequence[str]:
    """The files that a task reads with its input."""
    return [read.path, *read.attributes.values()]
