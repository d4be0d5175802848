"""The attributes a mix speaks of, found before it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from dolma_pipeline import _native
from dolma_pipeline.config.recipe import Mix
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.formats.attributes import attribute_keys, attribute_kinds
from dolma_pipeline.formats.kinds import Kind
from dolma_pipeline.mixers import edits, expression, rule_kinds
from dolma_pipeline.mixers.keys import Earlier, resolve

Kinds: TypeAlias = Mapping[str, Mapping[str, Kind]]
"""The kinds of attributes by experiment and key, as far as the plan knows them."""


def resolve_names(
    mix: Mix,
    keys: Mapping[str, Sequence[str]],
    files: Mapping[str, Mapping[str, str]],
    where: str,
    kinds: Kinds | None = None,
    earlier: Sequence[Earlier] = (),
) -> dict[str, tuple[str, str]]:
    """The (experiment, key) of every attribute that the rules and edits of `mix` name.

    `keys` are those of experiments that may not have run yet; `files` (experiment -> shard -> attribute file) are asked
    for the keys of the others. Raises ConfigError for what in `mix` cannot be meant, with its path below `where`, and
    for an attribute whose kind, by `kinds` or its files, is not what a rule or edit wants. `earlier` has the attributes
    before each earlier stage that wrote the documents anew: whoever names one of these is told so.
    """
    rules = expression.compile_all(mix.drop, f"{where}.drop")
    for i, edit in enumerate(mix.edit):
        edits.check(edit, f"{where}.edit[{i}]")
    selectors(mix, where)
    found = _search(lambda available: _resolve(mix, rules, available, where), keys, files, earlier)
    wanted = [*expression.needs_of(rules), *edits.needs(mix.edit, f"{where}.edit")]
    rule_kinds.check_planned(wanted, _kinds(found, keys, files, kinds or {}))
    return found


def resolve_rules(
    rules: Mapping[str, expression.Rule],
    keys: Mapping[str, Sequence[str]],
    files: Mapping[str, Mapping[str, str]],
    kinds: Kinds | None = None,
    earlier: Sequence[Earlier] = (),
) -> dict[str, tuple[str, str]]:
    """The same for rules that are compiled already."""
    found = _search(lambda available: expression.resolve_all(rules, available), keys, files, earlier)
    rule_kinds.check_planned(expression.needs_of(rules), _kinds(found, keys, files, kinds or {}))
    return found


def _kinds(
    names: Mapping[str, tuple[str, str]],
    keys: Mapping[str, Sequence[str]],
    files: Mapping[str, Mapping[str, str]],
    kinds: Kinds,
) -> dict[str, Kind | None]:
    """The kind of each name, as far as the plan or the first file of an experiment that is there tells."""
    seen: dict[str, Mapping[str, Kind | None]] = {}
    for experiment, _ in names.values():
        paths = [] if experiment in keys else list(files.get(experiment, {}).values())
        if experiment not in seen:
            seen[experiment] = attribute_kinds(paths[0]) if paths else dict(kinds.get(experiment, {}))
    return {name: seen[experiment].get(key) for name, (experiment, key) in names.items()}


def _search(
    resolved: Callable[[Mapping[str, Sequence[str]]], dict[str, tuple[str, str]]],
    keys: Mapping[str, Sequence[str]],
    files: Mapping[str, Mapping[str, str]],
    earlier: Sequence[Earlier],
) -> dict[str, tuple[str, str]]:
    """What `resolved` finds among as few keys as it takes; its ConfigError where it takes more than there are."""
    available: Mapping[str, Sequence[str]] = dict(keys)
    # Most often the first file of an experiment has all its keys; a JSON lines file need not.
    for available in _more_keys(keys, files):
        try:
            return resolved(available)
        except ConfigError:
            continue
    try:
        return resolved(available)
    except ConfigError as error:
        before = next((each for each in reversed(earlier) if _would_find(resolved, available, each)), None)
        if before is None:
            raise
        raise ConfigError(
            f"{error}; the documents had it before {before.stage}, which has written them anew: give that stage the "
            "rule, or tag the documents again behind it"
        ) from None


def _would_find(
    resolved: Callable[[Mapping[str, Sequence[str]]], dict[str, tuple[str, str]]],
    available: Mapping[str, Sequence[str]],
    before: Earlier,
) -> bool:
    """Whether `resolved` would find everything if the attributes before an earlier stage were still there."""
    for more in _more_keys(before.keys, before.files):
        both = {e: [*dict.fromkeys([*available.get(e, ()), *more.get(e, ())])] for e in {**available, **more}}
        try:
            resolved(both)
        except ConfigError:
            continue
        return True
    return False


class Selectors(NamedTuple):
    """The compiled expressions of a mix."""

    select: _native.Selector | None
    spans: dict[int, _native.SpanSelector]
    """The `span` of each edit that has one, by the edit's position."""
    replacements: dict[int, _native.Replacement]
    """The `replacement` of each edit where it is a jq program."""


def selectors(mix: Mix, where: str = "$") -> Selectors:
    """Compiles `select`, spans and replacements; raises ConfigError if one of them does not compile."""
    place = f"{where}.select"
    found = Selectors(None, {}, {})
    strict = mix.as_dolma
    try:
        if mix.select is not None:
            chosen = mix.select
            found = found._replace(
                select=_native.Selector(chosen.include, chosen.exclude, chosen.syntax, strict=strict)
            )
        for i, edit in enumerate(mix.edit):
            place = f"{where}.edit[{i}].span"
            if edit.span is not None:
                found.spans[i] = _native.SpanSelector(edit.span, edit.syntax, strict=strict)
            place = f"{where}.edit[{i}].replacement"
            program = edits.program(edit)
            if program is not None:
                found.replacements[i] = _native.Replacement(program, strict=strict)
    except ValueError as error:
        raise ConfigError(f"{place}: {error}") from None
    return found


def _resolve(
    mix: Mix, rules: Mapping[str, expression.Rule], available: Mapping[str, Sequence[str]], where: str
) -> dict[str, tuple[str, str]]:
    found = expression.resolve_all(rules, available)
    for i, edit in enumerate(mix.edit):
        name = edits.attribute(edit)
        if name is not None and name not in found:
            kind = "replace" if edit.replace is not None else "cut"
            found[name] = resolve(name, available, f"{where}.edit[{i}].{kind}")
    return found


def _more_keys(
    keys: Mapping[str, Sequence[str]], files: Mapping[str, Mapping[str, str]]
) -> Iterator[dict[str, Sequence[str]]]:
    """What is known; then with the keys of one file of each other experiment; then with those of all its files."""
    yield dict(keys)
    others = {e: list(shards.values()) for e, shards in files.items() if e not in keys}
    for most in (1, None):
        more = {
            e: dict.fromkeys(k for path in paths[:most] for k in attribute_keys(path)) for e, paths in others.items()
        }
        yield {**keys, **{e: list(found) for e, found in more.items()}}
