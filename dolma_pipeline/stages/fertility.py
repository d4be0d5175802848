"""fertility: how many tokens tokenizers need, counted per shard; one task that adds the counts up."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dolma_pipeline.config.recipe import Fertility
from dolma_pipeline.engine.corpus import Corpus, Shard
from dolma_pipeline.engine.plan import Builder, Phase, StageInfo, State
from dolma_pipeline.engine.task import Task, make_task
from dolma_pipeline.errors import ConfigError, suggest
from dolma_pipeline.fertility.measure import GroupByTagger, MeasureFertility
from dolma_pipeline.fertility.merge import PAGE, RESULT, MergeFertility
from dolma_pipeline.formats.attributes import attribute_keys
from dolma_pipeline.formats.columns import with_fields
from dolma_pipeline.io import fs
from dolma_pipeline.mixers.keys import sanitize
from dolma_pipeline.report.units import counted
from dolma_pipeline.tokens.check import check_measured
from dolma_pipeline.tokens.engine import tokenizer_file

PACKAGE = "dolma_pipeline.fertility"
VERSION = 3
TRAINED = "trained"
"""The tokenizer of the `tokens` stage before, where that trains it."""


def plan(builder: Builder, number: int, config: Fertility) -> None:
    builder.flush()
    where = f"$.stages[{number - 1}].fertility"
    corpus, places, seed = builder.corpus, builder.places, builder.recipe.seed
    final = f"{number:02d}-fertility"
    measured = f"{final}-shards"
    directory = places.directory(config.destination, "fertility")
    for file in (RESULT, PAGE):
        builder.claim(directory / file, where=f"{where}.destination", remedy="another destination")
    tokenizers = _tokenizers(builder, config, where)
    found = _tagger(corpus, config.by, f"{where}.by") if config.by is not None else None
    experiment, prefix = found if found is not None else ("", "")
    quarantine = {s.id: builder.quarantine(s) for s in corpus.shards}

    def counts_path(shard: Shard) -> str:
        return places.scratch(measured, shard, ".msgpack")

    def build_shards(state: State) -> list[Task]:
        tasks = []
        for s in corpus.shards:
            beside = corpus.attributes[experiment][s.id] if found is not None else None
            settings = MeasureFertility(
                path=s.path,
                label=s.label,
                source=s.source,
                tokenizers=list(tokenizers.values()),
                by_field=config.by if found is None else None,
                by_tagger=GroupByTagger(path=beside, prefix=prefix) if beside is not None else None,
                sample=config.sample,
                seed=seed,
                columns=with_fields(s.columns, config.text_field, config.id_field) if corpus.raw else s.columns,
                text_field="text" if corpus.raw else config.text_field,
                id_field="id" if corpus.raw and config.id_field is not None else config.id_field,
                quarantine=quarantine[s.id],
                out=counts_path(s),
            )
            inputs = [s.path, *tokenizers.values(), *([beside] if beside is not None else [])]
            tasks.append(make_task(measured, s.id, f"{PACKAGE}.measure:measure_fertility", settings, inputs, VERSION))
        return tasks

    def build_final(state: State) -> list[Task]:
        counts = [counts_path(s) for s in corpus.shards]
        settings = MergeFertility(
            title=builder.recipe.name,
            counts=counts,
            tokenizers=tokenizers,
            shown={name: places.shown(path) for name, path in tokenizers.items()},
            by=config.by,
            sample=config.sample,
            baseline=config.baseline,
            directory=str(directory),
        )
        inputs = [*counts, *tokenizers.values()]
        return [make_task(final, "merge", f"{PACKAGE}.merge:merge_fertility", settings, inputs, VERSION)]

    what = f"measure {', '.join(tokenizers)} on {counted(len(corpus.shards), 'shard')}"
    builder.add_phase(Phase(id=measured, what=what, build=build_shards))
    builder.add_phase(Phase(id=final, what="add the measures up", build=build_final, after=[measured]))
    builder.stages.append(StageInfo(id=final, kind="fertility", counted=(measured,), phases=(measured, final)))


def _tokenizers(builder: Builder, config: Fertility, where: str) -> dict[str, str]:
    """Name -> file: that of the `tokens` stage before, then those of the recipe, named after files or directories."""
    found: dict[str, str] = {}
    if builder.tokenizer is not None:
        path, trained = builder.tokenizer
        found[TRAINED if trained else _name(Path(path), found)] = path
    for number, path in enumerate(config.tokenizers):
        builder.warnings += check_measured(path, f"{where}.tokenizers[{number}]")
        file = tokenizer_file(path)
        if str(file) not in found.values():
            # In a cache of the Hub the directories are called after contents, not after the tokenizer.
            named = file if fs.exists(Path(path).expanduser()) else Path(path)
            found[_name(named, found)] = str(file)
    if not found:
        raise ConfigError(f"{where}.tokenizers: expected a tokenizer.json, or a `tokens` stage before, found neither")
    return found


def _name(file: Path, taken: dict[str, str]) -> str:
    name = fs.resolve(file).parent.name if file.name == "tokenizer.json" else file.stem
    number, unused = 2, name
    while unused in taken:
        unused, number = f"{name}-{number}", number + 1
    return unused


def _tagger(corpus: Corpus, by: str, where: str) -> tuple[str, str] | None:
    """(experiment, how its keys begin) of the tagger `by`; None where it is the path of a field."""
    taggers: dict[str, tuple[str, str]] = {}
    for experiment, files in corpus.attributes.items():
        for key in corpus.keys[experiment] if experiment in corpus.keys else _keys(files.values()):
            own = f"{sanitize(experiment)}__" if key.startswith(f"{sanitize(experiment)}__") else ""
            tagger, separator, _ = key.removeprefix(own).partition("__")
            if separator and tagger:
                taggers.setdefault(tagger, (experiment, f"{own}{tagger}__"))
    if sanitize(by) in taggers:
        found = taggers[sanitize(by)]
        missing = next((s.id for s in corpus.shards if s.id not in corpus.attributes[found[0]]), None)
        if missing is not None:
            raise ConfigError(f"{where}: expected attributes of `{by}` for every shard, found none for {missing}")
        return found
    near = suggest(by, taggers)
    if "." not in by and near:
        raise ConfigError(f"{where}: unknown tagger `{by}`{near}; a field is a path such as `metadata.lang`")
    return None


def _keys(files: Iterable[str]) -> list[str]:
    """The keys of the first file that has any: taggers are alike in all of them, their attributes need not be."""
    return next(filter(None, map(attribute_keys, files)), [])
