"""The attributes that keep rules name, found when the stage is planned."""

from __future__ import annotations

from collections.abc import Sequence

from dolma_pipeline.config.recipe_minhash import KeepRule
from dolma_pipeline.dedupe.near_texts import score_rule
from dolma_pipeline.engine.stage import Builder, Shard
from dolma_pipeline.mixers.names import resolve_rules


class Scores:
    """Which attribute files the rules of `keep` read; raises ConfigError for an attribute that there is not.

    `where`: the path of the rules in the recipe.
    """

    def __init__(self, builder: Builder, keep: Sequence[KeepRule], where: str) -> None:
        corpus = builder.corpus
        texts = {i: r.score for i, r in enumerate(keep) if not isinstance(r, str) and r.score is not None}
        rules = {str(i): score_rule(text, f"{where}[{i}].score") for i, text in texts.items()}
        self.names = resolve_rules(rules, corpus.keys, corpus.attributes, corpus.kinds)
        """(experiment, key) of each attribute."""
        self._files = {e: corpus.attributes[e] for e in sorted({e for e, _ in self.names.values()})}

    def files(self, shard: Shard) -> dict[str, str]:
        """Experiment -> attribute file of a shard."""
        return {e: paths[shard.id] for e, paths in self._files.items() if shard.id in paths}
