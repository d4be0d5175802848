"""classifier: labelled documents of every shard, then one task that trains on them and judges what it has made."""

from __future__ import annotations

from pathlib import Path

import msgspec

from dolma_pipeline.classifier import require_fasttext
from dolma_pipeline.classifier.examples import ReadExamples
from dolma_pipeline.classifier.line import TextForm
from dolma_pipeline.classifier.manifest import manifest_path
from dolma_pipeline.classifier.train import TrainClassifier
from dolma_pipeline.config.recipe import Classifier
from dolma_pipeline.engine.corpus import Shard
from dolma_pipeline.engine.plan import Builder, Phase, StageInfo, State
from dolma_pipeline.engine.task import Output, Task, make_task
from dolma_pipeline.mixers import expression
from dolma_pipeline.mixers.attribute_files import MixInput
from dolma_pipeline.mixers.names import resolve_rules
from dolma_pipeline.report.units import counted

VERSION = 3


def plan(builder: Builder, number: int, config: Classifier) -> None:
    library = require_fasttext()
    builder.flush()
    where = f"$.stages[{number - 1}].classifier"
    phase = f"{number:02d}-{config.name}"
    read = f"{phase}-read"
    corpus, places = builder.corpus, builder.places
    seed = builder.recipe.seed
    labels = list(config.labels)
    rules = {
        name: expression.compile(label.where, f"{where}.labels.{name}.where")
        for name, label in config.labels.items()
        if label.where is not None
    }
    names = resolve_rules(rules, corpus.keys, corpus.attributes)
    files = {e: corpus.attributes[e] for e in sorted({e for e, _ in names.values()})}
    quarantine = {s.id: builder.quarantine(s) for s in corpus.shards}

    def of(shard: Shard) -> dict[str, str | None]:
        return {n: w.where for n, w in config.labels.items() if not w.sources or shard.source in w.sources}

    shards = [s for s in corpus.shards if of(s)]

    def examples_path(shard: Shard) -> str:
        return places.scratch(read, shard, ".parquet")

    def build_read(state: State) -> list[Task]:
        tasks = []
        for s in shards:
            beside = {e: paths[s.id] for e, paths in files.items() if s.id in paths}
            settings = ReadExamples(
                input=MixInput(
                    path=s.path,
                    label=s.label,
                    attributes=beside,
                    columns=s.columns,
                    quarantine=quarantine[s.id],
                ),
                source=s.source,
                labels=labels,
                rules=of(s),
                names=names,
                held_out=config.held_out,
                form=TextForm(lower=config.lower, strip=config.strip),
                seed=seed,
                out=examples_path(s),
            )
            tasks.append(
                make_task(
                    phase=read,
                    name=s.id,
                    run="dolma_pipeline.classifier.examples:read_examples",
                    config=settings,
                    inputs=(s.path, *beside.values()),
                    version=VERSION,
                )
            )
        return tasks

    extension = "bin" if config.quantize is None else "ftz"
    model = str(places.directory(config.destination, "classifiers", f"{config.name}.{extension}"))
    for file in (model, str(manifest_path(model))):
        builder.claim(file, where=f"{where}.destination", remedy="another name or destination")

    def build_train(state: State) -> list[Task]:
        reports = state.reports.get(read, {})
        settings = TrainClassifier(
            classifier=config,
            examples=[examples_path(s) for s in shards],
            inputs=[
                msgspec.structs.replace(
                    msgspec.convert(reports[s.id].details["input"], Output), path=places.shown(s.path)
                )
                for s in shards
            ],
            seed=seed,
            library=library,
            scratch=str(Path(places.work_dir) / "scratch" / phase),
            model=model,
        )
        return [
            make_task(
                phase=phase,
                name="model",
                run="dolma_pipeline.classifier.train:train_classifier",
                config=settings,
                inputs=settings.examples,
                version=VERSION,
            )
        ]

    what = f"label the documents of {counted(len(shards), 'shard')}"
    builder.add_phase(Phase(id=read, what=what, build=build_read))
    what = f"train on {', '.join(labels)}, judge on {config.held_out:.0%} held out"
    builder.add_phase(Phase(id=phase, what=what, build=build_train, after=[read]))
    builder.stages.append(StageInfo(id=phase, kind="classifier", counted=(read,), phases=(read, phase)))
