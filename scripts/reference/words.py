"""Types of configuration keys in plain words, and their defaults."""

from __future__ import annotations

import types
import typing
from typing import Annotated, Any, Literal

import msgspec
from msgspec import NODEFAULT, UNSET, Meta, Struct, UnsetType

from scripts.reference.markdown import code, listed


def in_words(form: Any, *, many: bool = False) -> str:
    """What a key takes, such as `whole number from 1 to 4096`; `many`: in the plural, as in a list of them."""
    metas: list[Meta] = []
    while typing.get_origin(form) is Annotated:
        metas += [m for m in typing.get_args(form)[1:] if isinstance(m, Meta)]
        form = typing.get_args(form)[0]
    if typing.get_origin(form) in (typing.Union, types.UnionType):
        members = [m for m in typing.get_args(form) if m not in (type(None), UnsetType)]
        choices = [c for m in members for c in _choices(m)]
        return listed([*choices, *(in_words(m, many=many) for m in members if not _choices(m))])
    origin, arguments = typing.get_origin(form), typing.get_args(form)
    if origin is Literal:
        return listed(_choices(form))
    if origin is list:
        return f"{'lists' if many else 'list'} of {in_words(arguments[0], many=True)}"
    if origin is dict:
        return f"{'mappings' if many else 'mapping'} from names to {in_words(arguments[1], many=True)}"
    if isinstance(form, type) and issubclass(form, Struct):
        return f"[{form.__name__}](#{form.__name__.lower()})"
    if form is bool:
        return "`true` or `false`"
    names = {str: ("text", "texts"), int: ("whole number", "whole numbers"), float: ("number", "numbers")}
    return names[form][many] + _bounds(metas)


def _choices(form: Any) -> list[str]:
    """The values of a Literal."""
    values = typing.get_args(form) if typing.get_origin(form) is Literal else ()
    return [code(str(v) or '""') for v in values]


def _bounds(metas: list[Meta]) -> str:
    low = next((f"from {_short(m.ge)}" for m in metas if m.ge is not None), "")
    low = low or next((f"above {_short(m.gt)}" for m in metas if m.gt is not None), "")
    high = next((f"to {_short(m.le)}" for m in metas if m.le is not None), "")
    high = high or next((f"below {_short(m.lt)}" for m in metas if m.lt is not None), "")
    joint = ", " if low and high and (low.startswith("above") or high.startswith("below")) else " "
    return "".join((" " + low if low else "", (joint if low else " ") + high if high else ""))


def _short(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


def default_of(info: msgspec.structs.FieldInfo) -> str:
    """The default as YAML has it; `required` without one, nothing where leaving the key out means none."""
    value = info.default_factory() if info.default_factory is not NODEFAULT else info.default
    if value is NODEFAULT:
        return "required"
    if value is None or value is UNSET or value in ([], {}) or isinstance(value, Struct):
        return ""
    return code(msgspec.json.encode(value).decode())


def structs_in(form: Any) -> list[type[Struct]]:
    """The structs that a type mentions, in order."""
    if isinstance(form, type) and issubclass(form, Struct):
        return [form]
    return [found for argument in typing.get_args(form) for found in structs_in(argument)]
