"""From a file, overrides and interpolations to a frozen struct, or to every mistake at once with its place.

    recipe.yaml:12: $.stages[1].tag.tagers: unknown key; did you mean `taggers`? (allowed: `experiment`, ...)
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import NODEFAULT, Struct, UnsetType

from dolma_pipeline.errors import ConfigError, suggest
from dolma_pipeline.recipe import Recipe
from dolma_pipeline.resolvers import Text, resolve
from dolma_pipeline.validation import validate
from dolma_pipeline.yaml_file import File, Step, json_path, parse_value, read

S = TypeVar("S", bound=Struct)
_INVALID = object()
_OVERRIDE_STEP = re.compile(r"(?:^|\.)([^.\[\]=]+)|\[(\d+)\]")


def load_recipe(path: str, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe in a YAML or JSON file (local or remote), after `a.b[0].c=value` overrides, complete and valid."""
    file = read(path)
    data, labels = override(file.data, overrides)
    recipe = decode(Recipe, data, file=file, labels=labels)
    validate(recipe, lambda path: place(path, file, labels))
    return recipe


class Label(Struct, frozen=True):
    """Where a value came from that is not in the file: `--set seed`, `--processes`."""

    path: tuple[Step, ...]
    name: str


def place(path: Sequence[Step], file: File | None, labels: Sequence[Label] = ()) -> str:
    """`recipe.yaml:12: $.a.b`: what a message about the value at `path` begins with."""
    for label in reversed(labels):
        if tuple(path[: len(label.path)]) == label.path:
            return f"{label.name}: {json_path(path)}"
    return json_path(path) if file is None else f"{file.where(path)}: {json_path(path)}"


def decode(
    form: type[S], data: Any, *, file: File | None = None, labels: Sequence[Label] = (), lax: bool = False
) -> S:
    """`data` with interpolations resolved as a `form`; all mistakes in one ConfigError, a line each.

    `lax`: strings are read as the numbers and booleans the fields want, and numbers as strings, as Dolma does.
    """
    resolved = resolve({} if data is None else data, defaults(form), lambda path: place(path, file, labels))
    check = _Check(lax)
    clean = check.value(resolved, form, ())
    if check.problems:
        # In the order of the file, not of the walk.
        lines = [f"{place(path, file, labels)}: {text}" for path, text in check.problems]
        raise ConfigError("\n".join(dict.fromkeys(lines)))
    try:
        return msgspec.convert(clean, form)
    except msgspec.ValidationError as error:
        text, where = _split(str(error))
        prefix = f"{file.name}: " if file is not None else ""
        raise ConfigError(f"{prefix}${where}: {text}") from None


def override(data: Any, overrides: Sequence[str]) -> tuple[Any, list[Label]]:
    """A copy of `data` with each `a.b[0].c=value` put in its place, and where these are."""
    labels: list[Label] = []
    for text in overrides:
        name, equals, value = text.partition("=")
        path = _override_path(name.strip())
        if not equals or not path:
            raise ConfigError(f"--set {text}: expected `path=value`, as in `--set stages[0].tag.experiment=base`")
        data = _put(data, path, parse_value(value.strip()), f"--set {name.strip()}", ())
        labels.append(Label(path, f"--set {name.strip()}"))
    return data, labels


def merge(below: Any, above: Any) -> Any:
    """`above` over `below`: mappings key by key, anything else whole."""
    if isinstance(below, dict) and isinstance(above, dict):
        return {**below, **{key: merge(below.get(key), value) for key, value in above.items()}}
    return above


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


class _Check:
    """Walks data along a struct's types, notes what does not fit, and returns what does, converted where allowed."""

    def __init__(self, lax: bool) -> None:
        self.problems: list[tuple[tuple[Step, ...], str]] = []
        self._lax = lax

    def value(self, value: Any, form: Any, path: tuple[Step, ...]) -> Any:
        members = alternatives(form)
        struct = struct_of(form)
        if struct is not None and not (value is None and type(None) in members):
            return self._struct(value, struct, path)
        for member in members:
            arguments = typing.get_args(member)
            inner = arguments[-1] if arguments else None
            if inner is None or struct_of(inner) is None:
                continue
            if isinstance(value, list) and typing.get_origin(member) is list:
                return [self.value(item, inner, (*path, i)) for i, item in enumerate(value)]
            if isinstance(value, dict) and typing.get_origin(member) is dict:
                return {key: self.value(item, inner, (*path, key)) for key, item in value.items()}
        return self._leaf(value, form, members, path)

    def _struct(self, value: Any, form: type[Struct], path: tuple[Step, ...]) -> Any:
        fields = {info.encode_name: info for info in msgspec.structs.fields(form)}
        if not isinstance(value, dict):
            self.problems.append((path, f"expected a mapping with keys of {listed(fields)}, found {shown(value)}"))
            return None
        clean: dict[str, Any] = {}
        for key, item in value.items():
            if key in fields:
                clean[key] = self.value(item, fields[key].type, (*path, key))
            else:
                hint = suggest(str(key), fields)
                self.problems.append(((*path, key), f"unknown key{hint} (allowed: {listed(sorted(fields))})"))
        for name, info in fields.items():
            if info.required and name not in value:
                what = description_of(info.type)
                self.problems.append((path, f"expected the key `{name}`{f' ({what})' if what else ''}, found none"))
        return clean

    def _leaf(self, value: Any, form: Any, members: tuple[Any, ...], path: tuple[Step, ...]) -> Any:
        value, lax = _plain(value), self._lax or isinstance(value, Text)
        if isinstance(value, str) and str in members:
            lax = False
        elif lax and str in members and isinstance(value, (int, float)) and not isinstance(value, bool):
            value = value if type(value) in members else str(value)
        elif lax and isinstance(value, str) and bool in members:
            value = parse_value(value)
        if self._lax and isinstance(value, str) and not any(m is str or typing.get_origin(m) is Literal for m in members):
            value = [value] if any(typing.get_origin(m) is list for m in members) else value
        choices = [c for m in members if typing.get_origin(m) is Literal for c in typing.get_args(m)]
        if choices and isinstance(value, str) and value not in choices and str not in members:
            text = f"expected one of {listed(choices)}, found `{value}`{suggest(value, choices)}"
            self.problems.append((path, text))
            return _INVALID
        try:
            return msgspec.to_builtins(msgspec.convert(value, form, strict=not lax))
        except msgspec.ValidationError as error:
            text, where = _split(str(error))
            inside = _inside(value, where)
            found = "" if ", found " in text else f", found {shown(inside)}"
            self.problems.append((path, f"{f'at `{where}` ' if where else ''}{text}{found}"))
            return _INVALID
