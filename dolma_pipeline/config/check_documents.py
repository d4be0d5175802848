"""Checks of the settings of `tag`, `dedupe`, `mix` and `stat`."""

from __future__ import annotations

import math
import re

from dolma_pipeline.config.check_minhash import check_minhash
from dolma_pipeline.config.checks import Checks, Path
from dolma_pipeline.config.recipe import Budget, Dedupe, Edit, Mix, Select, Stat, Tag, config_of, configs
from dolma_pipeline.errors import ConfigError, unknown


def check_tag(checks: Checks, tag: Tag, path: Path) -> None:
    _check_names(checks, tag, path)
    for i, tagger in enumerate(tag.names):
        if tagger in tag.names[:i]:
            checks.note((*path, "taggers", i), f"expected each tagger once, found `{tagger}` again")
    if tag.experiment is not None:
        checks.name(tag.experiment, (*path, "experiment"))
        checks.experiment(tag.experiment, (*path, "experiment"))
    else:
        for i, tagger in enumerate(dict.fromkeys(tag.names)):
            checks.experiment(tagger, (*path, "taggers", i))
    if tag.format == "parquet":
        for name, source in checks.recipe.sources.items():
            if source.destination is not None:
                text = f"expected a JSONL format for the `destination` of source `{name}`, found `parquet`"
                checks.note((*path, "format"), f"{text}; `jsonl.gz` is Dolma's")
    check_keep(checks, tag, (*path, "keep"))


def check_keep(checks: Checks, tag: Tag, path: Path) -> None:
    """Attributes that are not kept are for the mix right behind the stage."""
    if tag.keep:
        return
    if tag.on_error != "fail":
        checks.note(path, f"expected `on_error: fail` beside `keep: false`, found `{tag.on_error}`")
    if tag.format != "parquet":
        checks.note(path, f"expected no `format` beside `keep: false`, which writes no file, found `{tag.format}`")
    behind = [pair for stage in checks.behind(path) for pair in list(configs(stage).items())[:1]]
    kind, unkept = next(((k, c) for k, c in behind if not isinstance(c, Tag) or c.keep), ("", None))
    if not isinstance(unkept, Mix):
        found = "none" if unkept is None else f"`{kind}`"
        checks.note(path, f"expected a `mix` right behind a `tag` stage with `keep: false`, found {found}")
    elif unkept.budget is not None:
        checks.note(path, "expected a mix without a budget behind `keep: false`: a budget reads everything twice")


def _check_names(checks: Checks, tag: Tag, path: Path) -> None:
    from dolma_pipeline.taggers.custom import mistake
    from dolma_pipeline.taggers.registry import built_in, describe, unavailable

    for i, custom in enumerate(tag.taggers):
        if isinstance(custom, str):
            continue
        checks.name(custom.name, (*path, "taggers", i, "name"))
        problem = mistake(custom)
        if problem is not None:
            checks.note((*path, "taggers", i), problem)
    names = {i: name for i, name in enumerate(tag.taggers) if isinstance(name, str)}
    if all(name in built_in() for name in names.values()):
        return
    try:
        # Imports the user's modules: only where a name can be theirs.
        known = [entry.name for entry in describe(tag.tagger_modules)]
    except ConfigError as error:
        checks.note(path, str(error))
        return
    for i, name in names.items():
        if name not in known:
            checks.note((*path, "taggers", i), unavailable(name) or unknown("tagger", name, known))


def check_dedupe(checks: Checks, dedupe: Dedupe, path: Path) -> None:
    checks.name(dedupe.name, (*path, "name"))
    checks.experiment(dedupe.name, (*path, "name"))
    kinds = {"documents": dedupe.documents, "paragraphs": dedupe.paragraphs, "minhash": dedupe.minhash}
    checks.exactly_one(path, kinds)
    if dedupe.minhash is not None:
        check_minhash(checks, dedupe, dedupe.minhash, path)
    if dedupe.documents is not None and not re.fullmatch(r"[^.\s$]+(\.[^.\s$]+)*", dedupe.documents.key):
        text = f"expected a dotted path such as `text` or `metadata.url`, found `{dedupe.documents.key}`"
        checks.note((*path, "documents", "key"), text)
    part = dedupe.part
    if part is not None and part.index >= part.of:
        checks.note((*path, "part", "index"), f"expected the index of one of {part.of} parts, found {part.index}")
    if part is not None and dedupe.paragraphs is not None and dedupe.paragraphs.ngrams is not None:
        text = "expected none beside `paragraphs.ngrams`, found one: a part sees only some n-grams of a paragraph"
        checks.note((*path, "part"), text)
    if dedupe.bloom is not None and dedupe.bloom.read_only and dedupe.bloom.file is None:
        checks.note((*path, "bloom"), "expected the `file` of the filter that is to be read only, found none")


def check_mix(checks: Checks, mix: Mix, path: Path) -> None:
    checks.name(mix.name, (*path, "name"))
    checks.destination(f"mixed/{mix.name}", mix.destination, path, "give one another `name` or `destination`")
    for name, expression in mix.drop.items():
        if not expression.strip():
            checks.note((*path, "drop", name), "expected an expression such as `gopher_v2.word_count < 50`, found none")
    if mix.select is not None:
        check_select(checks, mix.select, (*path, "select"))
    for i, edit in enumerate(mix.edit):
        check_edit(checks, edit, (*path, "edit", i))
    if mix.keep_attributes and "attributes" in mix.discard_fields:
        text = "expected false where `discard_fields` names `attributes`, found true: nothing would be kept"
        checks.note((*path, "keep_attributes"), text)
    needed = next((f for f in mix.discard_fields if f in ("id", "text")), None)
    later = any(config_of(stage) is not None for stage in checks.behind(path))
    if needed is not None and mix.format != "parquet" and later:
        text = f"expected `id` and `text` to stay, which the stages behind this mix read, found `{needed}`"
        checks.note((*path, "discard_fields"), text)
    if mix.format == "parquet" and needed is not None:
        text = f"expected `id` and `text` to stay, which a Parquet file of documents must have, found `{needed}`"
        checks.note((*path, "discard_fields"), text)
    if mix.budget is not None:
        check_budget(checks, mix.budget, (*path, "budget"))


def check_select(checks: Checks, select: Select, path: Path) -> None:
    if not select.include and not select.exclude:
        checks.note(path, "expected `include` or `exclude`, found neither")


def check_edit(checks: Checks, edit: Edit, path: Path) -> None:
    checks.exactly_one(path, {"replace": edit.replace, "cut": edit.cut, "span": edit.span})
    if edit.with_ and edit.replace is None:
        checks.note((*path, "with"), "expected `with` beside `replace` alone")
    if edit.replacement and edit.span is None:
        checks.note((*path, "replacement"), "expected `replacement` beside `span` alone")
    low, high = edit.min_score, edit.max_score
    if low is not None and high is not None and low >= high:
        checks.note(path, f"expected min_score < max_score, found {low:g} and {high:g}: no span has such a score")


def check_budget(checks: Checks, budget: Budget, path: Path) -> None:
    checks.exactly_one(path, {"tokens": budget.tokens, "bytes": budget.bytes})
    checks.weights(budget.weights, (*path, "weights"))


def check_stat(checks: Checks, stat: Stat, path: Path) -> None:
    checks.destination("stat", stat.destination, path)
    for i, sweep in enumerate(stat.sweeps):
        for j, threshold in enumerate(sweep.at):
            if not math.isfinite(threshold):
                checks.note((*path, "sweeps", i, "at", j), f"expected a number, found {threshold}")
