"""validate: what the types of a recipe cannot say. Each message begins with the `$.path` of what is wrong.

It reads no data and loads no model: what depends on those (a pattern that matches nothing, an attribute that no stage
writes) is found when the plan is made. Each kind of stage has a function of its own for its settings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dolma_pipeline.config.checks import Checks, Path
from dolma_pipeline.config.recipe import Recipe, Source, configs
from dolma_pipeline.config.yaml_file import Step, json_path
from dolma_pipeline.engine.blame import blaming
from dolma_pipeline.engine.registry import BUILT_IN, kinds_of, names
from dolma_pipeline.errors import ConfigError, listed
from dolma_pipeline.formats.columns import AS_DOLMA, Columns


def validate(recipe: Recipe, where: Callable[[Sequence[Step]], str] = json_path) -> None:
    """Raises one ConfigError with a line for each mistake; `where` says where a path of the recipe stands."""
    checks = Checks(recipe)
    _seed(checks, recipe.seed, ("seed",))
    for name, source in recipe.sources.items():
        _source(checks, name, source, ("sources", name))
    kinds = kinds_of(recipe)
    for i, stage in enumerate(recipe.stages):
        found = configs(stage)
        checks.exactly_one(("stages", i), {kind: found.get(kind) for kind in kinds})
        for kind, config in found.items():
            if not kinds[kind].origin:
                _seed(checks, getattr(config, "seed", None), ("stages", i, kind, "seed"))
            with blaming(f"{where(('stages', i, kind))}: its `validate`"):
                kinds[kind].validate_function(checks, config, ("stages", i, kind))
    _token_sources(checks)
    if checks.problems:
        raise ConfigError("\n".join(f"{where(path)}: {text}" for path, text in checks.problems))


def _seed(checks: Checks, seed: int | None, path: Path) -> None:
    """Hashes take seeds of 64 bits."""
    if seed is not None and not 0 <= seed < 2**64:
        checks.note(path, f"expected a whole number from 0 to {2**64 - 1}, found {seed}")


def _source(checks: Checks, name: str, source: Source, path: Path) -> None:
    checks.name(name, path)
    checks.exactly_one(path, {"documents": source.documents, "collect": source.collect, "tokens": source.tokens})
    if source.documents == []:
        checks.note((*path, "documents"), "expected at least one pattern, found none")
    if source.columns is not None and source.documents is None:
        checks.note((*path, "columns"), "expected `documents` beside it, whose columns it names, found none")
    if source.columns is not None and source.columns.as_dolma:
        _as_dolma(checks, source.columns, (*path, "columns"))
    if source.attributes_dir is not None and source.destination is not None:
        checks.note(path, "expected at most one of `attributes_dir` and `destination`, found both")
    for i, experiment in enumerate(source.attributes):
        checks.given_attributes.setdefault(experiment, (*path, "attributes", i))
        if experiment in source.attributes[:i]:
            checks.note((*path, "attributes", i), f"expected each experiment once, found `{experiment}` again")


def _as_dolma(checks: Checks, columns: Columns, path: Path) -> None:
    """Documents whose ids may be anything: nothing that needs an id can follow."""
    if columns != AS_DOLMA:
        checks.note(path, "expected either `as_dolma` or names of columns, found both")
    free = [k.kind for k in BUILT_IN if not k.needs_ids]
    filters = [name for name in names(role="filter") if name in free]
    kinds = [next(iter(configs(stage)), free[0]) for stage in checks.recipe.stages]
    for i, kind in enumerate(kinds):
        if kind not in free or any(name in kinds[:i] for name in filters):
            marks = listed(name for name in free if name not in filters)
            text = f"expected {marks} and at their end one {listed(filters)}, found `{kind}` in $.stages[{i}]"
            checks.note((*path, "as_dolma"), f"{text}, which needs the ids of all documents")
            return


def _token_sources(checks: Checks) -> None:
    """Token files of sources are for the stages that read such files, and for those that may follow them."""
    readers, behind = names(reads="token files"), names(reads="tokens")
    kinds = [(i, kind) for i, stage in enumerate(checks.recipe.stages) for kind in configs(stage)]
    reader = next((kind for _, kind in kinds if kind in readers), None)
    for i, kind in kinds:
        if reader is not None and kind != reader and kind not in behind:
            checks.note(("stages", i), f"expected no stage beside `{reader}` that reads documents, found `{kind}`")
    if reader is None:
        for name, source in checks.recipe.sources.items():
            if source.tokens is not None:
                text = f"expected a {listed(readers, ' or ')} stage to read them, found none"
                checks.note(("sources", name, "tokens"), text)
