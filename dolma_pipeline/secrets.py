"""Values of environment variables that a configuration used: they are told by name, never by value.

`${oc.env:TOKEN}` in a recipe is resolved for those who work with it. Whatever is written down or shown (manifest,
report, ledger, progress, messages, a configuration that is printed) has `${oc.env:TOKEN}` in its place, and so have the
ways in which programs write a value: escaped for JSON, HTML, URLs, Python or a shell, in base64 or hex, broken over
lines, or a part of it that is secret by itself, such as the password in a URL.

Paths are no secrets: a file is named as it is called on the disk, whatever its name was made of. Numbers are none
either, and a value of a few letters is left alone where it would stand in ordinary words.
"""

from __future__ import annotations

import base64
import html
import itertools
import json
import os
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

SHORTEST = 4
"""Number of characters from which a value is hidden where it stands in a setting, if only as a word of its own."""
SHORTEST_IN_TEXT = 6
"""Number of characters from which it is hidden everywhere: messages have many short words."""
SHORTEST_PIECE = 16
"""Number of characters from which a piece between punctuation marks is taken for a token or a key."""
BROKEN = 12
"""Number of characters from which a value is found although a line break stands in it."""
LONGEST = 1024
"""Number of characters up to which a value is looked for in its other forms; a longer one by its lines and pieces."""

_names: set[str] = set()
_adopted: dict[str, str] = {}

_UNITS = re.compile(r"\s+|\\+|.", re.DOTALL)
_SPACE = r"(?:\\*\s|\+|\\+[nrt]|%(?:25)*(?:20|0[9AaDd])|&#(?:32|10|9|13);)+"
_BREAK = r"(?:\\?\r?\n[ \t]*)?"
_BETWEEN = re.compile(r"[\s/?&;,:@|#{}\[\]()<>\"'`=]+")
_ENDS = " \t\r\n$\"'`"
_OPTION = re.compile(r"[a-z_]+")


def remember(name: str) -> None:
    """Notes that a configuration has used the value of the environment variable `name`."""
    _names.add(name)


def known() -> dict[str, str]:
    """What stands for each value that is to be hidden: `{"hunter2": "${oc.env:PASSWORD}"}`."""
    own = {os.environ[name]: f"${{oc.env:{name}}}" for name in sorted(_names) if os.environ.get(name)}
    return {**_adopted, **own}


def adopt(values: Mapping[str, str]) -> None:
    """Hides what `known` has returned in another process."""
    _adopted.update(values)


def hide(text: str) -> str:
    """A message without the values; those that are names of files or directories stay, for they tell where."""
    return _replaced(text, _spans_in_text(text))


def hide_in_page(page: str) -> str:
    """The same for HTML."""
    return _replaced(page, [(start, end, html.escape(shown)) for start, end, shown in _spans_in_text(page)])


def hide_in_settings(settings: Any) -> Any:
    """A copy of settings (mappings, lists, strings) without the values: as it was written in the configuration.

    Keys that look like names of options stay: a value may be an ordinary word, and no interpolation makes such a key.
    """
    if isinstance(settings, str):
        return _replaced(settings, _spans_in_setting(settings))
    if isinstance(settings, dict):
        return {
            key if isinstance(key, str) and _OPTION.fullmatch(key) else hide_in_settings(key): hide_in_settings(value)
            for key, value in settings.items()
        }
    if isinstance(settings, (list, tuple)):
        return [hide_in_settings(value) for value in settings]
    return settings


def _spans_in_text(text: str) -> list[tuple[int, int, str]]:
    """Start, end and substitute of all that is to be hidden in a message."""
    return [
        (*found.span(), shown)
        for value, shown in known().items()
        if len(value) >= SHORTEST_IN_TEXT and not _is_path(value)
        for part in (value, *_parts(value), *_pieces(value))
        if len(part) >= SHORTEST_IN_TEXT
        for found in _pattern(part).finditer(text)
        if not _is_path(part)
    ]


def _spans_in_setting(text: str) -> list[tuple[int, int, str]]:
    """Start, end and substitute of all that is to be hidden in a setting, paths included."""
    found = []
    for value, shown in known().items():
        if len(value) >= SHORTEST_IN_TEXT:
            patterns = [_pattern(part) for part in (value, *_parts(value)) if len(part) >= SHORTEST_IN_TEXT]
        elif len(value) >= SHORTEST:
            patterns = [re.compile(rf"(?<!\w){re.escape(value)}(?!\w)")]
        else:
            patterns = []
        found += [(*match.span(), shown) for pattern in patterns for match in pattern.finditer(text)]
    return found


def _replaced(text: str, spans: list[tuple[int, int, str]]) -> str:
    """`text` with substitutes for `spans`; of those that overlap nothing stays, and the one that lies in another
    leaves no trace."""
    parts: list[str] = []
    position = 0
    last = ""
    for start, end, shown in sorted(spans, key=lambda span: (span[0], -span[1])):
        if start >= position:
            parts += [text[position:start], shown]
        elif end > position and shown != last:
            parts.append(shown)
        if end > position:
            position, last = end, shown
    return "".join(parts) + text[position:]


@lru_cache(maxsize=256)
def _parts(value: str) -> tuple[str, ...]:
    """The parts of `value` that are secret by themselves.

    They are the value without `$`, quotes and white space around it, its lines, the strings in it if it is YAML or
    JSON (`oc.decode` takes it apart), and what stands before the `@` of a URL.
    """
    parts = [value.strip(_ENDS), *value.splitlines(), *_strings(value)]
    for part in tuple(parts):
        if "://" in part and (userinfo := _userinfo(part)):
            user, _, password = userinfo.partition(":")
            secret = password or user
            parts += [userinfo, secret, unquote(userinfo), unquote(secret)]
    return tuple(dict.fromkeys(part for part in parts if part != value))


def _userinfo(url: str) -> str:
    """`user:password` of `https://user:password@host`; empty for what has none or is no URL."""
    try:
        return urlsplit(url).netloc.rpartition("@")[0]
    except ValueError:
        return ""


def _strings(value: str) -> list[str]:
    """The strings in a mapping or list that is written as YAML; their keys are not secret."""
    if not re.match(r"\s*[\[{]|[^\n]*:\s|\s*- ", value):
        return []
    from dolma_pipeline.config.yaml_file import parse_value

    def within(found: Any) -> Iterator[str]:
        if isinstance(found, str):
            yield found
        elif isinstance(found, (dict, list)):
            for item in found.values() if isinstance(found, dict) else found:
                yield from within(item)

    try:
        return list(within(parse_value(value)))
    # A password with a bracket in it is most often no YAML.
    except Exception:
        return []


@lru_cache(maxsize=256)
def _pieces(value: str) -> tuple[str, ...]:
    """Pieces of `value` that look like tokens or keys: long, of letters and digits, as a part of a path may be."""
    return tuple(
        piece
        for piece in dict.fromkeys(_BETWEEN.split(value))
        if len(piece) >= SHORTEST_PIECE and re.search(r"\d", piece) and re.search(r"[^\W\d_]", piece)
    )


@lru_cache(maxsize=1024)
def _pattern(value: str) -> re.Pattern[str]:
    """Matches `value` as programs write it: escaped in any way, broken over lines, in base64, in hex."""
    if len(value) > LONGEST:
        return re.compile(re.escape(value))
    units = _UNITS.findall(value.strip())
    pattern = _written(units[0]) if units else "(?!)"
    for before, unit in itertools.pairwise(units):
        # White space matches a line break by itself; twice would make a long run of it slow.
        breaks = len(value) >= BROKEN and not before.isspace() and not unit.isspace()
        pattern += (_BREAK if breaks else "") + _written(unit)
    forms = [(_BREAK if len(value) >= BROKEN else "").join(map(re.escape, form)) for form in _encoded(value)]
    return re.compile("|".join([pattern, *forms]))


def _written(unit: str) -> str:
    """A pattern for a character, or a run of white space or backslashes, as it is and escaped in any way."""
    if unit.isspace():
        return _SPACE
    if unit[0] == "\\":
        return r"(?:\\+|(?:%(?:25)*5[Cc])+|(?:&#92;)+)"
    if unit.isascii() and (unit.isalnum() or unit == "_"):
        return unit
    data = unit.encode("utf-8", "surrogateescape")
    forms = [
        r"\\*" + re.escape(unit),
        "".join(f"%(?:25)*(?i:{byte:02x})" for byte in data),
        f"&(?:amp;)*#(?:{ord(unit)}|[xX]0*(?i:{ord(unit):x}));",
        "".join(rf"\\+x(?i:{byte:02x})" for byte in data),
        "".join(rf"\\+u(?i:{half})" for half in _utf16(unit)),
    ]
    if (named := html.escape(unit)) != unit and not named.startswith("&#"):
        forms.append(f"&(?:amp;)*{named[1:]}")
    if unit == "'":
        forms.append("""'"'"'|'\\\\+''""")
    return f"(?:{'|'.join(forms)})"


def _utf16(character: str) -> list[str]:
    """The code units that JSON escapes a character as, in hex."""
    return json.dumps(character + "\x00")[1:-1].lower().split("\\u")[1:-1] or [f"{ord(character):04x}"]


def _encoded(value: str) -> list[str]:
    """`value` in base64 and hex, alone and within a longer text, where it begins at any byte of three."""
    data = value.encode("utf-8", "surrogateescape")
    forms = [data.hex(), data.hex().upper()]
    for before in range(3):
        text = base64.b64encode(b"\0" * before + data).decode()
        # Without the characters that also hold bits of what stands before and behind.
        end = (before + len(data)) * 8 // 6
        alone = text.rstrip("=") if before == 0 else ""
        inside = text[-(-before * 8 // 6) : end]
        forms += [form for form in (alone, inside) if form]
    urls = [form.replace("+", "-").replace("/", "_") for form in forms]
    return list(dict.fromkeys([*forms, *urls]))


def _is_path(value: str) -> bool:
    return os.path.exists(value)  # noqa: PTH110 (Path.exists raises on a value that is too long for a name)
