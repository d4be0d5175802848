"""validate: what the types of a recipe cannot say. Each message begins with the `$.path` of what is wrong.

It reads no data and loads no model: what depends on those (a pattern that matches nothing, an attribute that no stage
writes) is found when the plan is made.
"""

from __future__ import annotations

import math
import os
import pathlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import UNSET

from dolma_pipeline.config.recipe import (
    Budget,
    Classifier,
    Convert,
    Dedupe,
    Edit,
    Fertility,
    Mix,
    Pack,
    Recipe,
    Reshard,
    Select,
    Source,
    Stat,
    Tag,
    Tokenizer,
    Tokens,
    Train,
)
from dolma_pipeline.config.yaml_file import Step, json_path
from dolma_pipeline.errors import ConfigError, listed, suggest, unknown
from dolma_pipeline.formats.columns import AS_DOLMA, Columns
from dolma_pipeline.tokens.specials import special_tokens

Path = tuple[Step, ...]
MOST_CENTROIDS = 256
"""Vectors that a quantised fastText model must have at least."""
_NAME = re.compile(r"^\w[\w.+-]*$")
STAGES = ("tag", "dedupe", "mix", "stat", "tokens", "reshard", "convert", "fertility", "classifier", "train")


def validate(recipe: Recipe, where: Callable[[Sequence[Step]], str] = json_path) -> None:
    """Raises one ConfigError with a line for each mistake; `where` says where a path of the recipe stands."""
    checks = _Checks(recipe)
    checks.run()
    if checks.problems:
        raise ConfigError("\n".join(f"{where(path)}: {text}" for path, text in checks.problems))


def _absolute(path: str) -> str:
    return os.path.normpath(pathlib.Path(path.removeprefix("file://")).expanduser().absolute())


class _Checks:
    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.problems: list[tuple[Path, str]] = []
        self._experiments: dict[str, str] = {}
        self._attributes: dict[str, Path] = {}
        """The first place where a source names attributes that are there already, by experiment."""
        self._destinations: dict[str, str] = {}

    def run(self) -> None:
        for name, source in self.recipe.sources.items():
            self._source(name, source, ("sources", name))
        tokenized: Tokens | Reshard | Convert | None = None
        for i, stage in enumerate(self.recipe.stages):
            path: Path = ("stages", i)
            stages = {kind: getattr(stage, kind) for kind in STAGES}
            self._exactly_one(path, {kind: None if config is UNSET else config for kind, config in stages.items()})
            if stage.tag is not UNSET:
                self._tag(stage.tag, (*path, "tag"))
                self._keep(stage.tag, i, (*path, "tag", "keep"))
            if stage.dedupe is not UNSET:
                self._dedupe(stage.dedupe, (*path, "dedupe"))
            if stage.mix is not UNSET:
                self._mix(stage.mix, (*path, "mix"))
            if stage.tokens is not UNSET:
                tokenized = stage.tokens
                self._tokens(stage.tokens, (*path, "tokens"))
            if stage.reshard is not UNSET:
                tokenized = stage.reshard
                self._reshard(stage.reshard, i, (*path, "reshard"))
            if stage.convert is not UNSET:
                tokenized = stage.convert if stage.convert.to == "dolma" else None
                self._convert(stage.convert, i, (*path, "convert"))
            if stage.fertility is not UNSET:
                self._fertility(stage.fertility, i, (*path, "fertility"))
            if stage.stat is not UNSET:
                self._stat(stage.stat, (*path, "stat"))
            if stage.classifier is not UNSET:
                self._classifier(stage.classifier, (*path, "classifier"))
            if stage.train is not UNSET:
                self._train(stage.train, tokenized, (*path, "train"))
        self._token_sources()

    def _source(self, name: str, source: Source, path: Path) -> None:
        self._name(name, path)
        self._exactly_one(path, {"documents": source.documents, "collect": source.collect, "tokens": source.tokens})
        if source.documents == []:
            self._note((*path, "documents"), "expected at least one pattern, found none")
        if source.columns is not None and source.documents is None:
            self._note((*path, "columns"), "expected `documents` beside it, whose columns it names, found none")
        if source.columns is not None and source.columns.as_dolma:
            self._as_dolma(source.columns, (*path, "columns"))
        if source.attributes_dir is not None and source.destination is not None:
            self._note(path, "expected at most one of `attributes_dir` and `destination`, found both")
        for i, experiment in enumerate(source.attributes):
            self._attributes.setdefault(experiment, (*path, "attributes", i))
            if experiment in source.attributes[:i]:
                self._note((*path, "attributes", i), f"expected each experiment once, found `{experiment}` again")

    def _as_dolma(self, columns: Columns, path: Path) -> None:
        """Documents whose ids may be anything: nothing that needs an id can follow."""
        if columns != AS_DOLMA:
            self._note(path, "expected either `as_dolma` or names of columns, found both")
        kinds = [next((k for k in STAGES if getattr(s, k) is not UNSET), "tag") for s in self.recipe.stages]
        for i, kind in enumerate(kinds):
            if kind not in ("tag", "dedupe", "mix") or "mix" in kinds[:i]:
                text = f"expected `tag`, `dedupe` and at their end one `mix`, found `{kind}` in $.stages[{i}]"
                self._note((*path, "as_dolma"), f"{text}, which needs the ids of all documents")
                return

    def _keep(self, tag: Tag, number: int, path: Path) -> None:
        """Attributes that are not kept are for the mix right behind the stage."""
        if tag.keep:
            return
        if tag.on_error != "fail":
            self._note(path, f"expected `on_error: fail` beside `keep: false`, found `{tag.on_error}`")
        if tag.format != "parquet":
            self._note(path, f"expected no `format` beside `keep: false`, which writes no file, found `{tag.format}`")
        behind = self.recipe.stages[number + 1 :]
        unkept = next((s for s in behind if s.tag is UNSET or s.tag.keep), None)
        if unkept is None or unkept.mix is UNSET:
            found = "none" if unkept is None else f"`{next(k for k in STAGES if getattr(unkept, k) is not UNSET)}`"
            self._note(path, f"expected a `mix` right behind a `tag` stage with `keep: false`, found {found}")
        elif unkept.mix.budget is not None:
            self._note(path, "expected a mix without a budget behind `keep: false`: a budget reads everything twice")

    def _tag(self, tag: Tag, path: Path) -> None:
        self._known_taggers(tag, path)
        for i, tagger in enumerate(tag.names):
            if tagger in tag.names[:i]:
                self._note((*path, "taggers", i), f"expected each tagger once, found `{tagger}` again")
        if tag.experiment is not None:
            self._name(tag.experiment, (*path, "experiment"))
            self._experiment(tag.experiment, (*path, "experiment"))
        else:
            for i, tagger in enumerate(dict.fromkeys(tag.names)):
                self._experiment(tagger, (*path, "taggers", i))
        if tag.format == "parquet":
            for name, source in self.recipe.sources.items():
                if source.destination is not None:
                    text = f"expected a JSONL format for the `destination` of source `{name}`, found `parquet`"
                    self._note((*path, "format"), f"{text}; `jsonl.gz` is Dolma's")

    def _known_taggers(self, tag: Tag, path: Path) -> None:
        from dolma_pipeline.taggers.custom import mistake
        from dolma_pipeline.taggers.registry import built_in, describe, unavailable

        for i, custom in enumerate(tag.taggers):
            if isinstance(custom, str):
                continue
            self._name(custom.name, (*path, "taggers", i, "name"))
            problem = mistake(custom)
            if problem is not None:
                self._note((*path, "taggers", i), problem)
        names = {i: name for i, name in enumerate(tag.taggers) if isinstance(name, str)}
        if all(name in built_in() for name in names.values()):
            return
        try:
            # Imports the user's modules: only where a name can be theirs.
            known = [entry.name for entry in describe(tag.tagger_modules)]
        except ConfigError as error:
            self._note(path, str(error))
            return
        for i, name in names.items():
            if name not in known:
                self._note((*path, "taggers", i), unavailable(name) or unknown("tagger", name, known))

    def _dedupe(self, dedupe: Dedupe, path: Path) -> None:
        self._name(dedupe.name, (*path, "name"))
        self._experiment(dedupe.name, (*path, "name"))
        self._exactly_one(path, {"documents": dedupe.documents, "paragraphs": dedupe.paragraphs})
        if dedupe.documents is not None and not re.fullmatch(r"[^.\s$]+(\.[^.\s$]+)*", dedupe.documents.key):
            text = f"expected a dotted path such as `text` or `metadata.url`, found `{dedupe.documents.key}`"
            self._note((*path, "documents", "key"), text)
        part = dedupe.part
        if part is not None and part.index >= part.of:
            self._note((*path, "part", "index"), f"expected the index of one of {part.of} parts, found {part.index}")
        if part is not None and dedupe.paragraphs is not None and dedupe.paragraphs.ngrams is not None:
            text = "expected none beside `paragraphs.ngrams`, found one: a part sees only some n-grams of a paragraph"
            self._note((*path, "part"), text)
        if dedupe.bloom is not None and dedupe.bloom.read_only and dedupe.bloom.file is None:
            self._note((*path, "bloom"), "expected the `file` of the filter that is to be read only, found none")

    def _mix(self, mix: Mix, path: Path) -> None:
        self._name(mix.name, (*path, "name"))
        self._destination(f"mixed/{mix.name}", mix.destination, path, "give one another `name` or `destination`")
        for name, expression in mix.drop.items():
            if not expression.strip():
                self._note(
                    (*path, "drop", name), "expected an expression such as `gopher_v2.word_count < 50`, found none"
                )
        if mix.select is not None:
            self._select(mix.select, (*path, "select"))
        for i, edit in enumerate(mix.edit):
            self._edit(edit, (*path, "edit", i))
        if mix.keep_attributes and "attributes" in mix.discard_fields:
            text = "expected false where `discard_fields` names `attributes`, found true: nothing would be kept"
            self._note((*path, "keep_attributes"), text)
        needed = next((f for f in mix.discard_fields if f in ("id", "text")), None)
        later = any(
            getattr(stage, kind) is not UNSET for stage in self.recipe.stages[int(path[1]) + 1 :] for kind in STAGES
        )
        if needed is not None and mix.format != "parquet" and later:
            text = f"expected `id` and `text` to stay, which the stages behind this mix read, found `{needed}`"
            self._note((*path, "discard_fields"), text)
        if mix.format == "parquet" and needed is not None:
            text = f"expected `id` and `text` to stay, which a Parquet file of documents must have, found `{needed}`"
            self._note((*path, "discard_fields"), text)
        if mix.budget is not None:
            self._budget(mix.budget, (*path, "budget"))

    def _select(self, select: Select, path: Path) -> None:
        if not select.include and not select.exclude:
            self._note(path, "expected `include` or `exclude`, found neither")

    def _edit(self, edit: Edit, path: Path) -> None:
        self._exactly_one(path, {"replace": edit.replace, "cut": edit.cut, "span": edit.span})
        if edit.with_ and edit.replace is None:
            self._note((*path, "with"), "expected `with` beside `replace` alone")
        if edit.replacement and edit.span is None:
            self._note((*path, "replacement"), "expected `replacement` beside `span` alone")
        low, high = edit.min_score, edit.max_score
        if low is not None and high is not None and low >= high:
            self._note(path, f"expected min_score < max_score, found {low:g} and {high:g}: no span has such a score")

    def _budget(self, budget: Budget, path: Path) -> None:
        self._exactly_one(path, {"tokens": budget.tokens, "bytes": budget.bytes})
        self._weights(budget.weights, (*path, "weights"))

    def _weights(self, weights: Mapping[str, float], path: Path) -> None:
        sources = self.recipe.sources
        for name, weight in weights.items():
            self._known_source(name, (*path, name))
            if weight < 0:
                self._note((*path, name), f"expected a weight >= 0, found {weight:g}")
        if not weights:
            return
        missing = [name for name in sources if name not in weights]
        if missing:
            text = f"expected a weight for every source, found none for {listed(missing)}; 0 leaves a source out"
            self._note(path, text)
        if not sum(weights.values()) > 0:
            self._note(path, "expected a weight above 0, found none")

    def _fertility(self, fertility: Fertility, number: int, path: Path) -> None:
        self._destination("fertility", fertility.destination, path)
        if not fertility.tokenizers and all(s.tokens is UNSET for s in self.recipe.stages[:number]):
            self._note(path, "expected `tokenizers`, or a `tokens` stage before it, found neither to measure")
        if fertility.baseline is not None and fertility.by is None:
            self._note((*path, "baseline"), "expected it beside `by`, found it alone")

    def _stat(self, stat: Stat, path: Path) -> None:
        self._destination("stat", stat.destination, path)
        for i, sweep in enumerate(stat.sweeps):
            for j, threshold in enumerate(sweep.at):
                if not math.isfinite(threshold):
                    self._note((*path, "sweeps", i, "at", j), f"expected a number, found {threshold}")

    def _classifier(self, classifier: Classifier, path: Path) -> None:
        self._name(classifier.name, (*path, "name"))
        self._destination(f"classifiers/{classifier.name}", classifier.destination, path)
        for label, which in classifier.labels.items():
            self._name(label, (*path, "labels", label))
            for i, name in enumerate(which.sources):
                self._known_source(name, (*path, "labels", label, "sources", i))
        if classifier.target is not None and classifier.target not in classifier.labels:
            self._note((*path, "target"), unknown("label", classifier.target, classifier.labels))
        if classifier.fasttext.min_n > classifier.fasttext.max_n:
            low, high = classifier.fasttext.min_n, classifier.fasttext.max_n
            self._note((*path, "fasttext"), f"expected min_n <= max_n, found {low} and {high}")
        if classifier.quantize is not None and 0 < classifier.quantize.cutoff < MOST_CENTROIDS:
            text = f"expected 0 or at least {MOST_CENTROIDS}, found {classifier.quantize.cutoff}"
            self._note((*path, "quantize", "cutoff"), f"{text}: a byte chooses among {MOST_CENTROIDS} centroids")
        expected = ".bin" if classifier.quantize is None else ".ftz"
        if classifier.destination is not None and not classifier.destination.endswith(expected):
            kind = "quantised model" if classifier.quantize is not None else "model that is not quantised"
            text = f"expected a file `*{expected}` for a {kind}, found `{classifier.destination}`"
            self._note((*path, "destination"), text)

    def _tokens(self, tokens: Tokens, path: Path) -> None:
        self._exactly_one((*path, "tokenizer"), {"path": tokens.tokenizer.path, "train": tokens.tokenizer.train})
        self._destination("tokens", tokens.destination, path)
        train = tokens.tokenizer.train
        if train is not None:
            self._weights(train.weights, (*path, "tokenizer", "train", "weights"))
        if tokens.pack is not None:
            self._pack(tokens.pack, tokens, (*path, "pack"))

    def _shape(self, pack: Pack, max_tokens: int, path: Path) -> None:
        if pack.length > max_tokens:
            text = f"expected at most `max_tokens`, {max_tokens}, found {pack.length}: an instance is in one file"
            self._note((*path, "length"), text)
        if pack.by == "bucket":
            for key in ("length", "min_length"):
                found = getattr(pack, key)
                if found.bit_count() != 1:
                    near = 1 << (found.bit_length() - 1)
                    text = f"expected a power of two for `bucket`, found {found}; {near} or {2 * near} would do"
                    self._note((*path, key), text)
            if pack.min_length > pack.length:
                text = f"expected at most `length`, {pack.length}, found {pack.min_length}"
                self._note((*path, "min_length"), text)
        for key, by in (("min_length", "bucket"), ("rest", "bucket"), ("long_documents", "best_fit")):
            if by != pack.by and getattr(pack, key) != getattr(Pack(length=2), key):
                self._note((*path, key), f"expected only with `by: {by}`, found with `by: {pack.by}`")
        if pack.mask_first and not pack.label_mask:
            self._note((*path, "mask_first"), "expected `label_mask: true`, found false: it is the mask that says so")

    def _pack(self, pack: Pack, tokens: Tokens, path: Path) -> None:
        self._shape(pack, tokens.max_tokens, path)
        train = tokens.tokenizer.train
        pad = tokens.tokenizer.pad
        if pad is None and train is not None and "<|padding|>" in special_tokens(train).names:
            pad = "<|padding|>"
        if pack.pads and pad is None:
            remedy = "; or `rest: drop`" if pack.by == "bucket" else ""
            self._note(
                path,
                "expected `tokenizer.pad`, a token to fill instances with, found none; that of `eos` would do, for the "
                f"label mask keeps it from being learnt{remedy}",
            )
        if pack.pads and pad is not None and pad == tokens.tokenizer.eos and not pack.label_mask:
            text = "expected `true` where `pad` is `eos`, found false: padding could not be told from ends of documents"
            self._note((*path, "label_mask"), text)

    def _train(self, train: Train, tokens: Tokens | Reshard | Convert | None, path: Path) -> None:
        if train.name is not None:
            self._name(train.name, (*path, "name"))
        if sum(s.train is not UNSET for s in self.recipe.stages) > 1:
            if train.name is None:
                self._note(path, "expected a `name`, for there are several `train` stages, found none")
            else:
                self._destination(f"train/{train.name}", None, path, "give one another `name`")
        if tokens is None:
            self._note(path, "expected a `tokens` stage before it to train on, found none")
        elif isinstance(tokens, Convert) or tokens.pack is None:
            return
        elif tokens.pack.by == "bucket":
            text = "expected tokens packed to one length, found buckets of several; `by: best_fit` would do"
            self._note(path, text)
        elif tokens.pack.length != train.sequence_length:
            text = f"expected the length that tokens are packed to, {tokens.pack.length}, found {train.sequence_length}"
            self._note((*path, "sequence_length"), text)

    def _reshard(self, reshard: Reshard, number: int, path: Path) -> None:
        self._reads_tokens(number, path)
        for key, amounts in (("rates", reshard.rates), ("tokens", reshard.tokens)):
            for name in amounts:
                self._known_source(name, (*path, key, name))
        for name in reshard.rates:
            if name in reshard.tokens:
                self._note((*path, "rates", name), "expected `rates` or `tokens` of a source, found both")
        if reshard.pack is not None:
            self._shape(reshard.pack, reshard.max_tokens, (*path, "pack"))
            if reshard.max_files is not None:
                text = "expected none with `pack`: how many files that takes only packing can tell"
                self._note((*path, "max_files"), text)
        if reshard.max_files is not None and reshard.max_bytes is not None:
            self._note(path, "expected at most one of `max_bytes` and `max_files`, found both")
        self._tokenizer_of_files(reshard.tokenizer, path)
        self._destination("tokens", reshard.destination, path)

    def _convert(self, convert: Convert, number: int, path: Path) -> None:
        self._reads_tokens(number, path)
        if len(self.recipe.sources) > 1:
            self._note(path, f"expected one source, found {listed(self.recipe.sources, ' and ')}; `reshard` joins them")
        if convert.dtype is not None and convert.to != "dolma":
            text = f"expected `dtype` with `to: dolma` alone: {convert.to} has types of its own"
            self._note((*path, "dtype"), text)
        self._tokenizer_of_files(convert.tokenizer, path)
        self._destination("tokens", convert.destination, path)

    def _reads_tokens(self, number: int, path: Path) -> None:
        if number:
            self._note(path, "expected to be the first stage: token files of the sources are all it reads")
        for name, source in self.recipe.sources.items():
            if source.tokens is None and (source.documents is not None or source.collect is not None):
                text = f"expected `tokens`, which is what `{path[-1]}` reads, found documents"
                self._note(("sources", name), text)

    def _tokenizer_of_files(self, tokenizer: Tokenizer | None, path: Path) -> None:
        if tokenizer is not None and tokenizer.path is None:
            self._note((*path, "tokenizer", "path"), "expected the tokenizer that the files were made with, found none")

    def _token_sources(self) -> None:
        """Nothing but `reshard`, `convert` and what may follow can do with them."""
        readers = ("reshard", "convert")
        reader = next((k for s in self.recipe.stages for k in readers if getattr(s, k) is not UNSET), None)
        for i, stage in enumerate(self.recipe.stages):
            for kind in STAGES:
                if reader is None or kind in (reader, "train") or getattr(stage, kind) is UNSET:
                    continue
                self._note(("stages", i), f"expected no stage beside `{reader}` that reads documents, found `{kind}`")
        if reader is None:
            for name, source in self.recipe.sources.items():
                if source.tokens is not None:
                    text = "expected a `reshard` or `convert` stage to read them, found none"
                    self._note(("sources", name, "tokens"), text)

    def _known_source(self, name: str, path: Path) -> None:
        sources = self.recipe.sources
        if name not in sources:
            self._note(path, f"unknown source `{name}`{suggest(name, sources)} (sources: {listed(sources)})")

    def _exactly_one(self, path: Path, options: Mapping[str, Any]) -> None:
        given = [name for name, value in options.items() if value is not None]
        if len(given) != 1:
            found = listed(given, " and ") or "none"
            self._note(path, f"expected exactly one of {listed(options)}, found {found}")

    def _name(self, name: str, path: Path) -> None:
        """Names become directories."""
        if not _NAME.match(name):
            self._note(path, f"expected a name of letters, digits, `_`, `-`, `+` and `.`, found `{name}`")

    def _experiment(self, name: str, path: Path) -> None:
        if name in self._attributes:
            there = json_path(self._attributes[name])
            self._note(path, f"expected a name of its own, found `{name}`, attributes that {there} reads")
        first = self._experiments.setdefault(name, json_path(path))
        if first != json_path(path):
            self._note(path, f"expected a name of its own, found `{name}`, which {first} writes too")

    def _destination(
        self, default: str, given: str | None, path: Path, remedy: str = "give one another `destination`"
    ) -> None:
        """Notes a stage whose place is another's; `default`: its place in the work_dir where none is `given`."""
        work_dir = _absolute(self.recipe.work_dir)
        place = f"{work_dir}/{default}" if given is None else _absolute(given)
        if place == work_dir:
            text = f"expected a directory of its own in the work_dir, found the work_dir `{given}` itself"
            self._note((*path, "destination"), f"{text}, where the run keeps its own files")
        first = self._destinations.setdefault(place, json_path(path))
        if first != json_path(path):
            self._note(path, f"expected a place of its own for its files, found that of {first}; {remedy}")

    def _note(self, path: Path, text: str) -> None:
        self.problems.append((path, text))
