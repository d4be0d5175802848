"""classifier: labelled documents of every shard, then one task that trains on them and judges what it has made."""

from __future__ import annotations

import msgspec

from dolma_pipeline.classifier import require_fasttext
from dolma_pipeline.classifier.examples import ExamplesOp, ReadExamples
from dolma_pipeline.classifier.line import TextForm
from dolma_pipeline.classifier.manifest import manifest_path
from dolma_pipeline.classifier.train import TrainClassifier, train_classifier
from dolma_pipeline.config.recipe import Classifier
from dolma_pipeline.engine.stage import Builder, Call, MapReduce, Output, Shard, State
from dolma_pipeline.mixers import expression
from dolma_pipeline.report.units import counted
from dolma_pipeline.stages.rule_input import RuleInputs, files_of

VERSION = 3


def plan(builder: Builder, number: int, config: Classifier) -> None:
    library = require_fasttext()
    where = f"$.stages[{number - 1}].classifier"
    stage = MapReduce(builder, number, "classifier", VERSION, config.name)
    places, seed = builder.places, builder.recipe.seed
    labels = list(config.labels)
    rules = {
        name: expression.compile(label.where, f"{where}.labels.{name}.where")
        for name, label in config.labels.items()
        if label.where is not None
    }
    inputs = RuleInputs(stage, rules)

    def of(shard: Shard) -> dict[str, str | None]:
        return {n: w.where for n, w in config.labels.items() if not w.sources or shard.source in w.sources}

    shards = [s for s in stage.corpus.shards if of(s)]

    def read(shard: Shard, out: str) -> Call:
        settings = ReadExamples(
            read=inputs.of(shard),
            labels=labels,
            rules=of(shard),
            names=inputs.names,
            held_out=config.held_out,
            form=TextForm(lower=config.lower, strip=config.strip),
            seed=seed,
            out=out,
        )
        return Call(ExamplesOp, settings, files_of(settings.read))

    extension = "bin" if config.quantize is None else "ftz"
    model = str(places.directory(config.destination, "classifiers", f"{config.name}.{extension}"))
    for file in (model, str(manifest_path(model))):
        builder.claim(file, where=f"{where}.destination", remedy="another name or destination")

    def was_read(shard: Shard, state: State) -> Output:
        found = state.reports[stage.phase("read")][shard.id].details["input"]
        return msgspec.structs.replace(msgspec.convert(found, Output), path=places.shown(shard.path))

    def train(state: State) -> Call:
        settings = TrainClassifier(
            classifier=config,
            examples=stage.scratch,
            inputs=[was_read(s, state) for s in shards],
            seed=seed,
            library=library,
            scratch=places.scratch_file(stage.id, "train"),
            model=model,
        )
        return Call(train_classifier, settings, stage.scratch)

    stage.map("read", f"label the documents of {counted(len(shards), 'shard')}", shards, read, suffix=".parquet")
    stage.reduce("model", f"train on {', '.join(labels)}, judge on {config.held_out:.0%} held out", train)
    stage.finish(counted=["read"])
