"""The Python face of the package: what programs and notebooks import. `dolma_pipeline` re-exports all of it.

Everything that a command does is a call here. Recipe parts are frozen structs with the names and defaults of the YAML
keys; `run` returns the account of every document as Arrow tables; the readers stream batches.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
from msgspec import Struct

from dolma_pipeline.config.load import decode_recipe, make_recipe
from dolma_pipeline.config.plain import is_list, names_given, paths_given, plain_settings
from dolma_pipeline.config.recipe import (
    Bloom,
    Classifier,
    Convert,
    CustomTagger,
    Dedupe,
    DocumentKey,
    Fertility,
    Mix,
    Pack,
    Paragraphs,
    Recipe,
    Reshard,
    Source,
    Stage,
    Stat,
    Tag,
    Tokens,
    Train,
)
from dolma_pipeline.config.recipe_minhash import KeepBy, MinHash, Verification
from dolma_pipeline.config.recipe_mix import Budget, Edit
from dolma_pipeline.config.recipe_tokenizer import Tokenizer
from dolma_pipeline.config.shipped import find_recipe
from dolma_pipeline.config.validation import validate
from dolma_pipeline.engine.clean import Cleaned, clean_run
from dolma_pipeline.engine.manifest import RunManifest, read_manifest
from dolma_pipeline.engine.plan import Plan, make_plan
from dolma_pipeline.engine.progress import ObservedProgress
from dolma_pipeline.engine.registry import kinds
from dolma_pipeline.engine.run import RunOptions, run_recipe
from dolma_pipeline.engine.verify import verify_run
from dolma_pipeline.errors import ConfigError, DataError, DolmaError, suggest
from dolma_pipeline.explanation.explain import explain as _explain
from dolma_pipeline.explanation.sample import Sampled
from dolma_pipeline.explanation.sample import sample_rule as _sample_rule
from dolma_pipeline.explanation.story import Story
from dolma_pipeline.formats.attributes import attribute_batches, attribute_keys
from dolma_pipeline.formats.columns import Columns
from dolma_pipeline.formats.documents import Documents
from dolma_pipeline.formats.documents import read_documents as _stream
from dolma_pipeline.io.files import find_files
from dolma_pipeline.stages.decontaminate.config import Decontaminate, EvaluationFields
from dolma_pipeline.taggers.registry import load_taggers
from dolma_pipeline.train.dataset import TokenDataset

__all__ = [
    "Bloom",
    "Budget",
    "Classifier",
    "Cleaned",
    "Columns",
    "Convert",
    "CustomTagger",
    "Decontaminate",
    "Dedupe",
    "DocumentKey",
    "DolmaError",
    "Edit",
    "EvaluationFields",
    "Fertility",
    "KeepBy",
    "MinHash",
    "Mix",
    "Pack",
    "Paragraphs",
    "Plan",
    "Recipe",
    "Reshard",
    "Run",
    "Sampled",
    "Source",
    "Stage",
    "Stat",
    "Story",
    "Tag",
    "TokenDataset",
    "Tokenizer",
    "Tokens",
    "Train",
    "Verification",
    "clean",
    "explain",
    "load_recipe",
    "open_run",
    "plan",
    "read_attributes",
    "read_documents",
    "recipe",
    "run",
    "sample_rule",
    "tag",
    "verify",
]

PathLike = str | os.PathLike[str]
Event = dict[str, Any]
"""What happens in a run, in the form of `dolma run --json`: `{"event": "begin", "phase": ..., "tasks": ...}`."""


def recipe(
    name: str, sources: Mapping[str, Source], stages: Sequence[Struct], *, work_dir: PathLike, **more: Any
) -> Recipe:
    """Returns a valid recipe made of its parts, as `stages=[Tag(...), Mix(...)]`; `more`: other keys, such as `seed`.

    Settings of a stage of your own stand among them too: then `stage_modules` names the module of their kind.

    Raises ConfigError with every mistake and its path, exactly as for a recipe file.
    """
    if not isinstance(stages, list | tuple) or not isinstance(sources, Mapping):
        raise ConfigError(
            "expected `sources` as a dict of Source by name, and `stages` as a list, found "
            f"{type(sources).__name__} and {type(stages).__name__}"
        )
    more = plain_settings(more)
    # Packages are looked into, for a kind of no name, only where a stage is not built in.
    built_in = all(isinstance(stage, Stage) or type(stage).__name__ in _kinds(()) for stage in stages)
    known = _kinds(() if built_in else more.get("stage_modules", ()), wanted=() if built_in else ("",))
    wrapped = [stage if isinstance(stage, Stage) else {_key(stage, known): stage} for stage in stages]
    made = {"name": name, "work_dir": work_dir, "sources": dict(sources), "stages": wrapped, **more}
    checked = decode_recipe(plain_settings(made))
    validate(checked)
    return checked


def _given(recipe: Recipe) -> Recipe:
    if not isinstance(recipe, Recipe):
        raise ConfigError(f"expected a Recipe, found {recipe!r}; load_recipe({recipe!r}) reads a file")
    return recipe


def _kinds(modules: Sequence[str], wanted: Sequence[str] = ()) -> dict[str, str]:
    """The kinds of stages by the names of their settings: a module that a recipe names is imported once more by it."""
    return {kind.config_type.__name__: name for name, kind in kinds(modules, wanted).items()}


def _key(part: Struct, known: Mapping[str, str]) -> str:
    name, own = type(part).__name__, 'name the module of your own stage: `recipe(..., stage_modules=["my_stage.py"])`'
    if name not in known:
        raise ConfigError(f"expected a stage ({', '.join(known)}), found {name}; {own}")
    return known[name]


def load_recipe(
    name: str | Path,
    overrides: Sequence[str] = (),
    *,
    work_dir: str | Path | None = None,
    scratch_dir: str | Path | None = None,
) -> Recipe:
    """Returns the recipe in a YAML or JSON file, or a shipped one by its name, such as `quickstart`.

    `overrides`: as for `dolma run --set`, such as `stages[0].tag.experiment=base`. Raises ConfigError with every
    mistake and its line.
    """
    places = [None if place is None else str(place) for place in (work_dir, scratch_dir)]
    return make_recipe(find_recipe(str(name)), overrides, *places)


def plan(recipe: Recipe) -> Plan:
    """Returns what `run` would do; `print(plan(recipe))` shows each phase and what is up to date."""
    return make_plan(_given(recipe))


def run(
    recipe: Recipe,
    *,
    processes: int = 1,
    address: str | None = None,
    force: bool = False,
    renamed: bool = False,
    keep_scratch: bool = False,
    on_event: Callable[[Event], None] | None = None,
) -> Run:
    """Runs `recipe` to its end, as `dolma run` does, and returns its results.

    `processes`: workers on this machine (more than one takes the package `ray`); `address`: a Ray cluster instead;
    `force`: do again what is up to date; `renamed`: go on in a work directory that knows the recipe under its old name;
    `keep_scratch`: leave the files between two phases when their stage is done.
    `on_event` is called with each event of the run. An exception that it raises ends the run, which a later call
    resumes. Raises a DolmaError, as the command does; BadInputError comes after everything is done.
    """
    recipe = _given(recipe)
    if not isinstance(processes, int) or processes < 1:
        raise ConfigError(f"expected a whole number of `processes` from 1, found {processes!r}")
    if on_event is not None and not callable(on_event):
        raise ConfigError(f"expected a function of one event as `on_event`, found {on_event!r}")
    options = RunOptions(
        processes=processes,
        address=address,
        force=force,
        renamed=renamed,
        keep_scratch=keep_scratch,
        progress="none",
    )
    progress = None if on_event is None else ObservedProgress(on_event)
    run_recipe(recipe, options, progress=progress)
    return open_run(recipe.work_dir)


def open_run(directory: str | Path) -> Run:
    """Returns the results of a finished run. Raises DataError if `directory` holds none."""
    return Run(directory=Path(directory), manifest=read_manifest(Path(directory)))


def clean(directory: str | Path, *, dry_run: bool = False, moved: bool = False) -> Cleaned:
    """Removes what a run needs no more: its scratch files, and what killed writers have left. The outputs stay.

    With `dry_run` the files are only counted; with `moved` the scratch files of the place where the run was before go
    too. Raises DataError if `directory` is not the work directory of a run, and StageError while a run is at work.
    """
    return clean_run(directory, dry_run=dry_run, moved=moved)


def explain(directory: str | Path, identifier: str, *, source: str | None = None) -> list[Story]:
    """Returns what became of each document of a finished run with this id, stage by stage.

    `source` looks in one source alone. Raises DataError if no document has the id; if a line with it was set aside, it
    says why. It reads the sources until it has found the document, and asks the rules of each mix again.
    """
    return _explain(directory, identifier, source=source)


def sample_rule(directory: str | Path, rule: str, count: int = 20) -> list[Sampled]:
    """Returns `count` of the documents that a rule of a mix dropped, the same ones on every call, in input order.

    Raises ConfigError if no mix of the run has the rule.
    """
    return _sample_rule(directory, rule, count)


def verify(directory: str | Path) -> list[str]:
    """Returns the problems of a finished run, as sentences: files that changed, documents without an account."""
    return verify_run(directory)


class Run(Struct, frozen=True):
    """The results of a run."""

    directory: Path
    manifest: RunManifest

    def counts(self) -> pa.Table:
        """Returns the account: a row for each stage and source.

        Columns: stage, kind, source; documents_in, documents_out, dropped, quarantined, unread, repeated, bytes_in,
        bytes_out, tokens: int64. documents_in + repeated = documents_out + dropped + quarantined + unread, where
        `unread` counts the rows of damaged files that could not be read.
        """
        rows = []
        for stage in self.manifest.stages:
            for source, c in stage.counts.items():
                row: dict[str, Any] = {"stage": stage.id, "kind": stage.kind, "source": source}
                row |= {"documents_in": c.documents_in, "documents_out": c.documents_out}
                row |= {"dropped": sum(c.dropped.values()), "quarantined": c.quarantined}
                row |= {"unread": c.unread, "repeated": c.repeated}
                row |= {"bytes_in": c.bytes_in, "bytes_out": c.bytes_out, "tokens": c.tokens}
                rows.append(row)
        return _table(rows, text=("stage", "kind", "source"), numbers=_COUNTS)

    def dropped(self) -> pa.Table:
        """Returns how many documents each rule dropped. Columns: stage, source, rule; documents: int64."""
        rows = [
            {"stage": stage.id, "source": source, "rule": rule, "documents": documents}
            for stage in self.manifest.stages
            for source, counts in stage.counts.items()
            for rule, documents in counts.dropped.items()
        ]
        return _table(rows, text=("stage", "source", "rule"), numbers=("documents",))

    def quarantined(self) -> pa.Table:
        """Returns the files with documents that could not be used, and why.

        Columns: stage, source, file; documents: int64, the number that was set aside; reason: the first reason, or the
        damage of the file; quarantine: the file that has them.
        """
        rows = [
            {
                "stage": stage.id,
                "source": source,
                "file": bad.file,
                "documents": bad.documents,
                "reason": bad.reason or bad.damage,
                "quarantine": str(self.directory / bad.quarantine) if bad.quarantine else None,
            }
            for stage in self.manifest.stages
            for source, found in stage.bad.items()
            for bad in found
        ]
        return _table(rows, text=("stage", "source", "file", "reason", "quarantine"), numbers=("documents",))

    def files(self, prefix: str = "") -> list[Path]:
        """Returns the files that the run wrote, by paths that begin with `prefix`, such as `mixed/` or `tokens/`.

        Raises ConfigError if no file of the run has such a path.
        """
        if not isinstance(prefix, str):
            raise ConfigError(f"expected a text as `prefix`, such as `mixed/`, found {prefix!r}")
        files = [file.path for file in self.manifest.files if file.path.startswith(prefix)]
        if not files and prefix:
            tops = sorted({file.path.partition("/")[0] + "/" for file in self.manifest.files})
            raise ConfigError(
                f"expected how files of the run begin ({', '.join(tops)}), found `{prefix}`{suggest(prefix, tops)}"
            )
        return [self.directory / self.manifest.work_dir / path for path in files]

    def details(self, stage: str) -> dict[str, Any]:
        """Returns what a stage found out, by its id, such as `03-exact`; the table of your own stage is in `table`."""
        found = {s.id: s.details for s in self.manifest.stages}
        if stage not in found:
            raise ConfigError(f"expected a stage of the run, found `{stage}`{suggest(stage, list(found))}")
        return found[stage]


_COUNTS = (
    "documents_in",
    "documents_out",
    "dropped",
    "quarantined",
    "unread",
    "repeated",
    "bytes_in",
    "bytes_out",
    "tokens",
)


def _table(rows: list[dict[str, Any]], text: Sequence[str], numbers: Sequence[str]) -> pa.Table:
    names = [*rows[0]] if rows else [*text, *numbers]
    schema = pa.schema([(name, pa.int64() if name in numbers else pa.string()) for name in names])
    return pa.Table.from_pylist(rows, schema)


def tag(texts: Iterable[str], taggers: Sequence[str | CustomTagger], *, modules: Sequence[PathLike] = ()) -> pa.Table:
    """Returns what taggers say of some texts, in memory: a row for each text.

    `texts`: a list, or another sequence of strings, such as a column of Arrow, numpy or pandas.

    Columns `TAGGER__ATTRIBUTE`: float64, int64, large_string or bool, null where a text has none; or for spans
    list<struct<start: int64, end: int64, score: float64>>, code points, half-open. `modules`: Python files or modules
    with taggers of your own. The taggers see texts without metadata: one that reads other fields needs a `tag` stage.
    """
    names = names_given("taggers", taggers)
    if not names:
        raise ConfigError("expected at least one tagger, found none")
    loaded = load_taggers(names, [str(m) for m in names_given("modules", modules)])
    values = _texts(texts)
    count = len(values)
    raw = [msgspec.json.encode({"id": str(i), "text": text}) for i, text in enumerate(values)]
    records = pa.RecordBatch.from_pydict(
        {
            "id": pa.array([str(i) for i in range(count)], pa.large_string()),
            "text": pa.array(values, pa.large_string()),
            "source": pa.nulls(count, pa.large_string()),
            "line": pa.array(range(1, count + 1), pa.int64()),
            "raw": pa.array(raw, pa.large_binary()),
        }
    )
    columns = loaded.tag(Documents(records))
    return pa.table({f"{tagger}__{attribute}": column for (tagger, attribute), column in columns.items()})


def _texts(given: Any) -> list[str]:
    """Returns texts as a list of strings; raises ConfigError for one text that is no list, and for other values."""
    if not is_list(given):
        raise ConfigError(f"expected a list of texts, found {type(given).__name__}")
    texts = [value.as_py() if isinstance(value, pa.Scalar) else value for value in given]
    for number, text in enumerate(texts):
        try:
            texts[number] = str.__str__(text)
            text.encode()
        except (TypeError, UnicodeEncodeError) as error:
            what = "a text that is not Unicode" if isinstance(text, str) else type(text).__name__
            raise ConfigError(f"text {number}: expected a string, found {what} ({error})") from None
    return texts


def read_documents(paths: PathLike | Iterable[PathLike], *, columns: Columns | None = None) -> Iterator[pa.RecordBatch]:
    """Yields the documents of JSONL or Parquet files, about 4 MB of text at a time, in order.

    `paths`: files or globs. Columns: id, text, source: large_string; line: int64, from 1. Raises DataError, with file
    and line, at a line that is no document and at the end of what a damaged file gives.
    """
    for path in find_files(paths_given(paths), "paths"):
        stream = _stream(path, columns=columns)
        for documents in stream:
            for bad in stream.take_bad():
                raise DataError(f"{path}:{bad.line}: {bad.reason}")
            yield documents.records.select(["id", "text", "source", "line"])
        for bad in stream.take_bad():
            raise DataError(f"{path}:{bad.line}: {bad.reason}")
        if stream.damage is not None:
            raise DataError(f"{path}: {stream.damage}")


def read_attributes(
    paths: PathLike | Iterable[PathLike], keys: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yields attribute files, Parquet or JSON lines, row for row beside their documents.

    Columns: id: large_string, and each of `keys` (default: all that the file has), in the types of `tag`; a number in
    JSON lines is spans, unless it is whole. Raises DataError for a damaged file and for a value of another kind than
    those before, ConfigError for a key that the file does not have.
    """
    wanted = None if keys is None else names_given("keys", keys)
    for path in find_files(paths_given(paths), "paths"):
        found = attribute_keys(path)
        for key in wanted if wanted is not None else ():
            if key not in found:
                raise ConfigError(f"{path}: expected an attribute `{key}`, found none{suggest(key, found)}")
        yield from attribute_batches(path, wanted if wanted is not None else found)
