"""fertility: how many tokens tokenizers need, counted per shard; one task that adds the counts up."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dolma_pipeline.config.recipe import Fertility
from dolma_pipeline.engine.stage import Builder, Call, Corpus, MapReduce, Shard, State
from dolma_pipeline.errors import ConfigError, suggest
from dolma_pipeline.fertility.measure import FertilityOp, GroupByTagger, MeasureFertility
from dolma_pipeline.fertility.merge import PAGE, RESULT, MergeFertility, merge_fertility
from dolma_pipeline.formats.attributes import attribute_keys
from dolma_pipeline.formats.columns import with_fields
from dolma_pipeline.io import fs
from dolma_pipeline.mixers.keys import sanitize
from dolma_pipeline.report.units import counted
from dolma_pipeline.tokens.check import check_measured
from dolma_pipeline.tokens.engine import tokenizer_file

VERSION = 3
TRAINED = "trained"
"""The tokenizer of the `tokens` stage before, where that trains it."""


def plan(builder: Builder, number: int, config: Fertility) -> None:
    where = f"$.stages[{number - 1}].fertility"
    stage = MapReduce(builder, number, "fertility", VERSION)
    corpus, raw, places, seed = stage.corpus, stage.corpus.raw, builder.places, builder.recipe.seed
    directory = places.directory(config.destination, "fertility")
    for file in (RESULT, PAGE):
        builder.claim(directory / file, where=f"{where}.destination", remedy="another destination")
    tokenizers = _tokenizers(builder, config, where)
    found = _tagger(corpus, config.by, f"{where}.by") if config.by is not None else None
    experiment, prefix = found if found is not None else ("", "")

    def measure(shard: Shard, out: str) -> Call:
        beside = corpus.attributes[experiment][shard.id] if found is not None else None
        columns = with_fields(shard.columns, config.text_field, config.id_field) if raw else shard.columns
        settings = MeasureFertility(
            path=shard.path,
            label=shard.label,
            source=shard.source,
            tokenizers=list(tokenizers.values()),
            by_field=config.by if found is None else None,
            by_tagger=GroupByTagger(path=beside, prefix=prefix) if beside is not None else None,
            sample=config.sample,
            seed=seed,
            columns=columns,
            text_field="text" if raw else config.text_field,
            id_field="id" if raw and config.id_field is not None else config.id_field,
            quarantine=stage.quarantine_of(shard, columns),
            out=out,
        )
        inputs = [shard.path, *tokenizers.values(), *([beside] if beside is not None else [])]
        return Call(FertilityOp, settings, inputs)

    def merge(state: State) -> Call:
        settings = MergeFertility(
            title=builder.recipe.name,
            counts=stage.scratch,
            tokenizers=tokenizers,
            shown={name: places.shown(path) for name, path in tokenizers.items()},
            by=config.by,
            sample=config.sample,
            baseline=config.baseline,
            directory=str(directory),
        )
        return Call(merge_fertility, settings, [*stage.scratch, *tokenizers.values()])

    what = f"measure {', '.join(tokenizers)} on {counted(len(corpus.shards), 'shard')}"
    stage.map("shards", what, corpus.shards, measure, suffix=".msgpack")
    stage.reduce("merge", "add the measures up", merge)
    stage.finish(counted=["shards"])


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
