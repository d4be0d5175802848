"""train: one task that launches the trainer on the tokens."""

from __future__ import annotations

from pathlib import Path

from dolma_pipeline.config.recipe import Train
from dolma_pipeline.engine.stage import Builder, Phase, StageInfo, State
from dolma_pipeline.engine.task import Task, make_task
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.report.units import counted

VERSION = 1


def plan(builder: Builder, number: int, config: Train) -> None:
    from dolma_pipeline.train.presets import architecture
    from dolma_pipeline.train.stage import TrainTask

    phase = f"{number:02d}-train"
    if builder.training is None:
        raise ConfigError(f"$.stages[{number - 1}].train: expected a `tokens` stage before it, found none")
    try:
        architecture(config.model)
    except ConfigError as error:
        # Before the stages that may take days, not after them.
        raise ConfigError(f"$.stages[{number - 1}].train.model: {error}") from None
    training, validation = builder.training, builder.validation
    seed = builder.recipe.seed if config.seed is None else config.seed
    output = str(builder.places.work_dir.joinpath("train", *([config.name] if config.name is not None else [])))

    def build(state: State) -> list[Task]:
        task = TrainTask(train=config, tokens=training, validation=validation, output=output, seed=seed)
        manifests = [str(Path(d) / "manifest.json") for d in (training, validation) if d is not None]
        return [
            make_task(
                phase=phase,
                name="model",
                run="dolma_pipeline.train.stage:train_model",
                config=task,
                inputs=manifests,
                version=VERSION,
                driver=True,
            )
        ]

    what = f"{config.model} for {counted(config.steps, 'step')} on {counted(config.nproc, 'rank')}"
    builder.add_phase(Phase(id=phase, what=what, build=build))
    builder.stages.append(StageInfo(id=phase, kind="train", counted=(phase,), phases=(phase,)))
