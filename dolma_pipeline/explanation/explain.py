"""Follows documents through a finished run, from their source to the tokens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.compute as pc
from msgspec import structs

from dolma_pipeline.config.load import decode_recipe
from dolma_pipeline.config.recipe import Dedupe, Mix, Recipe, configs
from dolma_pipeline.engine.corpus import Shard
from dolma_pipeline.engine.manifest import RunManifest, read_manifest
from dolma_pipeline.engine.plan import Plan, make_plan
from dolma_pipeline.engine.state import State
from dolma_pipeline.errors import ConfigError, DataError
from dolma_pipeline.explanation.attributes import attributes_of, duplicate_key, first_of
from dolma_pipeline.explanation.find import Found, documents_of, set_aside
from dolma_pipeline.explanation.mix import MixAnswer, input_of
from dolma_pipeline.explanation.pair import pair_of
from dolma_pipeline.explanation.story import StageStory, Story, TokenRange
from dolma_pipeline.formats.columns import shown_id
from dolma_pipeline.io import fs
from dolma_pipeline.report.units import counted
from dolma_pipeline.stages.mix import MixShards
from dolma_pipeline.tokens.rows import read_csv

EXCERPT = 200
"""Characters of a text that are shown."""
WHOLE = 1 << 62
"""Bytes of a piece that no file has: large files are looked at as wholes."""


class RunDirectory:
    """A finished run, with its plan made again from the recipe in its manifest."""

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory).absolute()
        self.manifest: RunManifest = read_manifest(self.directory)
        self.work_dir = self.directory / self.manifest.work_dir
        self.recipe: Recipe = _recipe(self.manifest, self.work_dir)
        sizes = {str(self.work_dir / file.path): file.bytes for file in self.manifest.files}
        self.plan: Plan = make_plan(self.recipe, None, sizes)
        self.configs = [config for stage in self.recipe.stages for config in configs(stage).values()]

    @property
    def sources(self) -> list[Shard]:
        return self.plan.given

    def mixes(self, number: int) -> Iterator[tuple[str, MixShards]]:
        """Yields the tasks of stage `number` of the recipe, from 0, with its id; none of a stage that is no mix."""
        if not isinstance(self.configs[number], Mix):
            return
        stage = self.plan.reads[number].ids[-1]
        for phase in self.plan.phases:
            if phase.id == stage:
                yield from ((stage, task.config) for task in phase.build(State()))

    def mix_task(self, number: int, path: str) -> MixShards | None:
        """Returns the task of a mix that read the file at `path`; None for a stage that is no mix."""
        return next((task for _, task in self.mixes(number) if input_of(task, path) is not None), None)


def _recipe(manifest: RunManifest, work_dir: Path) -> Recipe:
    try:
        recipe = decode_recipe({**manifest.recipe, "work_dir": str(work_dir)})
    except ConfigError as error:
        raise DataError(f"{work_dir}: the recipe in the manifest is not one of this version: {error}") from None
    return structs.replace(recipe, piece_bytes=WHOLE)


def explain(run: str | Path, identifier: str, *, source: str | None = None) -> list[Story]:
    """Returns what became of each document with this id, in input order.

    `source` looks in one source alone. Raises DataError if no document has the id, and says so if a line with it was
    set aside; raises ConfigError for an unknown source. It reads the sources to find the document, and the files of
    every stage up to it.
    """
    directory = RunDirectory(run)
    shards = directory.sources
    if source is not None:
        names = list(directory.recipe.sources)
        if source not in names:
            raise ConfigError(f"expected a source of the run ({', '.join(names)}), found `{source}`")
        shards = [shard for shard in shards if shard.source == source]
    stories = [_story(directory, found) for found in documents_of(shards, identifier)]
    if not stories:
        for row in set_aside(directory.work_dir / "quarantine", identifier):
            raise DataError(f"{row.file}:{row.line}: the line with the id `{identifier}` was set aside: {row.reason}")
        files = counted(len(shards), "file")
        raise DataError(f"{run}: expected a document with the id `{identifier}` in {files} of its sources, found none")
    return stories


def _story(run: RunDirectory, found: Found) -> Story:
    stages: list[StageStory] = []
    story = Story(
        id=shown_id(found.document.id[0].as_py()),
        source=found.shard.source,
        place=found.place,
        text=found.text[:EXCERPT],
        stages=stages,
        outcome="It passed every stage.",
    )
    for number, reads in enumerate(run.plan.reads):
        later = run.plan.reads[number + 1].corpus if number + 1 < len(run.plan.reads) else None
        told, following = _stage(run, number, found)
        stages += [told] if told is not None else []
        if following is not None:
            found = following
        elif told is not None and told.dropped_by is not None:
            story.outcome = f"`{told.stage}` dropped it by the rule `{told.dropped_by}`."
            return story
        elif told is not None and told.copies == 0:
            story.outcome = f"`{told.stage}` kept it, but its budget had no room for it."
            return story
        elif later is not None and later is not reads.corpus:
            story.outcome = f"`{reads.ids[-1]}` wrote other documents; this one is not followed beyond it."
            return story
    ranges = list(_tokens(run, found))
    if ranges:
        stages.append(StageStory(stage="tokens", tokens=ranges))
        story.outcome = "It passed every stage, and its tokens are written."
    return story


def _stage(run: RunDirectory, number: int, found: Found) -> tuple[StageStory | None, Found | None]:
    """What a stage made of a document, and the document that it wrote, if it wrote one."""
    reads, config = run.plan.reads[number], run.configs[number]
    if not reads.ids:
        return None, None
    task = run.mix_task(number, found.shard.path)
    if task is not None:
        return _mix(reads.ids[-1], task, found, run)
    attributes = attributes_of(reads, found)
    if not attributes and not reads.experiments:
        return None, None
    told = StageStory(stage=reads.ids[-1], attributes=attributes)
    if isinstance(config, Dedupe) and attributes.get(duplicate_key(config)) == 1.0:
        shards = sorted(reads.corpus.shards, key=lambda s: -run.recipe.sources[s.source].priority)
        told.first = first_of(config, shards, found)
        told.note = None if told.first else "an earlier run wrote its key into the filter"
    kept = attributes.get(f"{reads.experiments[0]}__duplicate_of") if reads.experiments else None
    if isinstance(config, Dedupe) and isinstance(kept, str):
        told.first, told.note = None, None
        told.pair = pair_of(reads.corpus.shards, found, kept)
    return told, None


def _mix(stage: str, task: MixShards, found: Found, run: RunDirectory) -> tuple[StageStory, Found | None]:
    answer = MixAnswer(task, found)
    told = answer.tell(stage)
    if told.dropped_by is not None:
        return told, None
    written = [
        each
        for each in documents_of([_output(task)], shown_id(found.document.id[0].as_py()))
        if each.text == answer.text
    ]
    told.written = [str(each.place) for each in written]
    told.copies = len(written)
    if not written and task.rates is None:
        raise DataError(
            f"{task.path}: expected document `{shown_id(found.document.id[0].as_py())}` of {found.place} in it, as "
            f"stage {stage} keeps it, found none; `dolma verify {run.directory}` tells whether the file has changed"
        )
    return told, written[0] if written else None


def _output(task: MixShards) -> Shard:
    return Shard(source=task.source, name=Path(task.path).name, path=task.path, label=task.path)


def _tokens(run: RunDirectory, found: Found) -> Iterator[TokenRange]:
    """The tokens of a document, by the indexes of token files that the run wrote."""
    identifier = shown_id(found.document.id[0].as_py())
    for file in run.manifest.files:
        if not file.path.endswith(".csv.gz"):
            continue
        path = run.work_dir / file.path
        if not fs.is_file(path):
            continue
        for rows in read_csv(path, WHOLE):
            for row in pc.indices_nonzero(pc.equal(rows.ids, identifier)).to_pylist():
                name, line = str(rows.sources[row].as_py()), rows.lines[row].as_py()
                if line == found.place.line and name.endswith(Path(found.place.file).name):
                    start = int(rows.starts[row])
                    yield TokenRange(file=file.path, start=start, end=start + int(rows.lengths[row]))
