"""From a file, overrides and interpolations to a frozen struct, or to every mistake at once with its place.

recipe.yaml:12: $.stages[1].tag.tagers: unknown key; did you mean `taggers`? (allowed: `experiment`, ...)
"""

from __future__ import annotations

import json
import re
import types
import typing
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import NODEFAULT, Struct, UnsetType

from dolma_pipeline.config.extends import extended
from dolma_pipeline.config.recipe import AnyStage, Recipe, recipe_form
from dolma_pipeline.config.resolvers import Text, resolve
from dolma_pipeline.config.validation import validate
from dolma_pipeline.config.yaml_file import File, Step, json_path, parse_path, parse_value, read
from dolma_pipeline.config.yaml_file import merge as merge
from dolma_pipeline.engine.registry import kinds
from dolma_pipeline.errors import ConfigError, listed, suggest
from dolma_pipeline.secrets import hide_in_settings

S = TypeVar("S", bound=Struct)
_UNDERSCORES = re.compile(r"[+-]?\d+(_\d+)+(\.\d+)?([eE][+-]?\d+)?")
"""A number with its digits in groups, as Python and YAML have them: `6_000_000`."""


def load_recipe(path: str, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe in a YAML or JSON file (local or remote), after `a.b[0].c=value` overrides, complete and valid."""
    return make_recipe(read(path), overrides)


def make_recipe(
    file: File, overrides: Sequence[str] = (), work_dir: str | None = None, scratch_dir: str | None = None
) -> Recipe:
    """As `load_recipe`, of a file already read, over what it extends; directories that are given replace its own."""
    file = extended(file)
    data, labels = override(file.data, overrides)
    for key, directory in (("work_dir", work_dir), ("scratch_dir", scratch_dir)):
        if directory is not None:
            label = Label((key,), f"--{key.replace('_', '-')}")
            data = _put(data, label.path, directory, label.name, ())
            labels.append(label)
    recipe = decode_recipe(data, file=file, labels=labels)
    validate(recipe, lambda path: place(path, file, labels))
    return recipe


def decode_recipe(data: Any, *, file: File | None = None, labels: Sequence[Label] = ()) -> Recipe:
    """`data` as a recipe, whose stages may be of kinds that its `stage_modules` or installed packages bring."""
    resolved = resolve({} if data is None else data, defaults(Recipe), lambda path: place(path, file, labels))
    modules: Any = resolved.get("stage_modules", []) if isinstance(resolved, dict) else []
    stages: Any = resolved.get("stages", []) if isinstance(resolved, dict) else []
    wanted = [str(key) for stage in stages if isinstance(stage, dict) for key in stage] if _is_list(stages) else []
    if not _is_list(modules) or not all(isinstance(m, str) for m in modules):
        return decode(Recipe, data, file=file, labels=labels)
    known = kinds(modules, wanted, lambda i: place(("stage_modules", i), file, labels))
    form = recipe_form(tuple((name, kind.config_type) for name, kind in known.items() if kind.origin))
    return decode(form, data, file=file, labels=labels)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


class Label(Struct, frozen=True):
    """Where a value came from that is not in the file: `--set seed`, `--processes`."""

    path: tuple[Step, ...]
    name: str


def place(path: Sequence[Step], file: File | None, labels: Sequence[Label] = ()) -> str:
    """`recipe.yaml:12: $.a.b`: what a message about the value at `path` begins with."""
    missing = file is None or not file.holds(path)
    for label in reversed(labels):
        above = tuple(path[: len(label.path)]) == label.path
        # A key on the way to an overridden value, where the file has none, was made by the override.
        on_the_way = missing and label.path[: len(path)] == tuple(path)
        if above or on_the_way:
            return f"{label.name}: {json_path(path)}"
    return json_path(path) if file is None else f"{file.where(path)}: {json_path(path)}"


def decode(form: type[S], data: Any, *, file: File | None = None, labels: Sequence[Label] = (), lax: bool = False) -> S:
    """`data` with interpolations resolved as a `form`; all mistakes in one ConfigError, a line each.

    `lax`: strings are read as the numbers and booleans the fields want, and numbers as strings, as Dolma does.
    """
    resolved = resolve({} if data is None else data, defaults(form), lambda path: place(path, file, labels))
    check = _Check(lax)
    clean = check.value(resolved, form, ())
    if check.problems:
        raise ConfigError("\n".join(f"{place(path, file, labels)}: {text}" for path, text in check.problems))
    return msgspec.convert(clean, form)


def override(data: Any, overrides: Sequence[str]) -> tuple[Any, list[Label]]:
    """A copy of `data` with each `a.b[0].c=value` put in its place, and where these are."""
    labels: list[Label] = []
    for text in overrides:
        name, equals, value = text.partition("=")
        path = parse_path(name.strip())
        if not equals or not path:
            raise ConfigError(f"--set {text}: expected `path=value`, as in `--set stages[0].tag.experiment=base`")
        label = Label(path, f"--set {name.strip()}")
        data = _put(data, path, parse_value(value.strip(), f"{label.name}="), label.name, ())
        labels.append(label)
    return data, labels


def defaults(form: Any) -> dict[str, Any]:
    """The default values of a struct and of those in it, as far as it has any: what references may mean."""
    tree: dict[str, Any] = {}
    for info in msgspec.structs.fields(form):
        inner = struct_of(info.type)
        if info.default is not NODEFAULT and not isinstance(info.default, UnsetType):
            tree[info.encode_name] = msgspec.to_builtins(info.default)
        elif info.default_factory is not NODEFAULT:
            tree[info.encode_name] = msgspec.to_builtins(info.default_factory())
        elif inner is not None:
            tree[info.encode_name] = defaults(inner)
    return tree


def alternatives(form: Any) -> tuple[Any, ...]:
    """The members of a union, without annotations; of anything else itself."""
    if typing.get_origin(form) is Annotated:
        return alternatives(typing.get_args(form)[0])
    if typing.get_origin(form) in (typing.Union, types.UnionType):
        return tuple(a for member in typing.get_args(form) for a in alternatives(member))
    return (form,)


def struct_of(form: Any) -> type[Struct] | None:
    """The struct in `form`, as in `Tag | UnsetType` or `Annotated[Bloom | None, ...]`."""
    return next((a for a in alternatives(form) if isinstance(a, type) and issubclass(a, Struct)), None)


def description_of(form: Any) -> str:
    """The description in a field's `Meta`, or nothing."""
    metas = typing.get_args(form)[1:] if typing.get_origin(form) is Annotated else ()
    return next((m.description for m in metas if isinstance(m, msgspec.Meta) and m.description), "")


def is_option(form: Any) -> bool:
    """Whether a field is an option of commands too: not if its `Meta` says `extra={"option": False}`."""
    metas = typing.get_args(form)[1:] if typing.get_origin(form) is Annotated else ()
    return all((m.extra or {}).get("option", True) for m in metas if isinstance(m, msgspec.Meta))


def shown(value: Any) -> str:
    """A value as a message quotes it: short, and in the words of YAML."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    value = hide_in_settings(value)
    if isinstance(value, str) and len(value) > 60:
        value = f"{value[:57]}..."
    return json.dumps(value, ensure_ascii=False)


class _Check:
    """Walks data along a struct's types, notes what does not fit, and returns what does, converted where allowed."""

    def __init__(self, lax: bool) -> None:
        self.problems: list[tuple[tuple[Step, ...], str]] = []
        self._lax = lax

    def value(self, value: Any, form: Any, path: tuple[Step, ...]) -> Any:
        members = alternatives(form)
        struct = struct_of(form)
        words = str in members or any(typing.get_origin(m) is Literal for m in members)
        plain = (value is None and type(None) in members) or (isinstance(value, str) and words)
        if struct is not None and not plain:
            return self._struct(value, struct, path, text=str in members)
        for member in members:
            arguments = typing.get_args(member)
            if isinstance(value, list) and typing.get_origin(member) is list:
                self._length(value, form, path)
                return [self.value(item, arguments[0], (*path, i)) for i, item in enumerate(value)]
            if isinstance(value, dict) and typing.get_origin(member) is dict:
                self._length(value, form, path)
                return {key: self.value(item, arguments[1], (*path, key)) for key, item in value.items()}
        return self._scalar(value, form, members, path)

    def _struct(self, value: Any, form: type[Struct], path: tuple[Step, ...], *, text: bool = False) -> dict[str, Any]:
        fields = {info.encode_name: info for info in msgspec.structs.fields(form)}
        clean: dict[str, Any] = {}
        if not isinstance(value, dict):
            kind = "a string or a mapping" if text else "a mapping"
            self._note(path, f"expected {kind} (keys: {listed(fields)}), found {shown(value)}")
            return clean
        for key, item in value.items():
            if key in fields:
                clean[key] = self.value(item, fields[key].type, (*path, key))
            elif issubclass(form, AnyStage):
                own = "a stage of your own is in a module that `stage_modules` names"
                self._note((*path, key), f"unknown stage{suggest(key, fields)} (known: {listed(fields)}; {own})")
            else:
                self._note((*path, key), f"unknown key{suggest(key, fields)} (allowed: {listed(fields)})")
        for name, info in fields.items():
            if info.required and name not in value:
                meaning = description_of(info.type)
                self._note(path, f"expected the key `{name}`{f' ({meaning})' if meaning else ''}, found none")
        return clean

    def _length(self, value: list[Any] | dict[str, Any], form: Any, path: tuple[Step, ...]) -> None:
        for meta in typing.get_args(form)[1:] if typing.get_origin(form) is Annotated else ():
            if meta.min_length is not None and len(value) < meta.min_length:
                self._note(path, f"expected at least {meta.min_length}, found {len(value)}")

    def _scalar(self, value: Any, form: Any, members: tuple[Any, ...], path: tuple[Step, ...]) -> Any:
        lax = self._lax or isinstance(value, Text)
        if isinstance(value, str):
            value = str(value)
            if lax and bool in members and str not in members:
                value = parse_value(value)
            elif lax and str not in members and _UNDERSCORES.fullmatch(value):
                value = value.replace("_", "")
        elif lax and str in members and type(value) in (int, float) and type(value) not in members:
            value = str(value)
        choices = [c for m in members if typing.get_origin(m) is Literal for c in typing.get_args(m)]
        if choices and isinstance(value, str) and value not in choices:
            self._note(path, f"expected one of {listed(choices)}, found {shown(value)}{suggest(value, choices)}")
            return value
        try:
            return msgspec.convert(value, form, strict=not lax or str in members)
        except msgspec.ValidationError as error:
            # msgspec names types; the value says more.
            expected = str(error).partition(", got ")[0]
            expected = re.sub(r"\barray\b", "list", re.sub(r"\bobject\b", "mapping", expected))
            self._note(path, f"{expected[:1].lower()}{expected[1:]}, found {shown(value)}")
            return value

    def _note(self, path: tuple[Step, ...], text: str) -> None:
        self.problems.append((path, text))


def _put(data: Any, path: tuple[Step, ...], value: Any, name: str, done: tuple[Step, ...]) -> Any:
    """A copy of `data` with `value` at `path`; mappings on the way are made where there is nothing."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        if not isinstance(data, list):
            raise ConfigError(f"{name}: expected a list at {json_path(done)}, found {shown(data)}")
        if step >= len(data):
            raise ConfigError(f"{name}: expected an index below {len(data)} at {json_path(done)}, found {step}")
        copy = list(data)
        copy[step] = _put(data[step], rest, value, name, (*done, step))
        return copy
    if data is not None and not isinstance(data, dict):
        raise ConfigError(f"{name}: expected a mapping at {json_path(done)}, found {shown(data)}")
    below = data or {}
    return {**below, step: _put(below.get(step), rest, value, name, (*done, step))}
