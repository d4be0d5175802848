"""Recognises source files that are not documents by their first bytes, so that they are named before any work starts.

A file is only refused if its format is recognised and none of its first lines is a JSON object. A file with some bad
lines, or with bytes that nothing here recognises, is left to the reader.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import msgspec

from dolma_pipeline import _native
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.formats.magic import Foreign, by_magic
from dolma_pipeline.io import fs
from dolma_pipeline.io.cache import local_copy

HEAD = 64 << 10
"""Decompressed bytes of each file that are looked at."""
FURTHER = 8 << 20
"""Decompressed bytes that are looked at before a file is refused: its first line may be long, its first lines bad."""
MOST = 5
"""Files named in one message."""
THREADS = 8
EXPECTED = "JSON lines (one object a line; plain, gzip or zstd) or Parquet"
BOM = b"\xef\xbb\xbf"

Object = dict[str, msgspec.Raw]
OBJECT = re.compile(rb"""^[ \t]*\{[ \t]*["']""", re.MULTILINE)
ENDED_BY_CR = re.compile(rb'\}[ \t]*\r[ \t]*\{[ \t]*"')
WITHOUT_ENDS = re.compile(rb'\}[ \t]*[,\x1e]?[ \t]*\{[ \t]*"')
MEMBER = re.compile(rb'[ \t]*"(?:[^"\\]|\\.)*"[ \t]*:')
ARRAY = re.compile(rb'\[\s*(?:[\[{"\d\]]|$)')
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f-\x84\x86-\x9f]")

JSON_ARRAY = Foreign("a JSON array", "`jq -c '.[]' FILE` writes its items as lines")
PRETTY_JSON = Foreign("JSON objects of several lines each", "`jq -c . FILE` writes each on one line")
COMMAS = Foreign("JSON objects with commas between them", "`sed 's/,\\s*$//' FILE` takes the commas away")
NO_LINE_ENDS = Foreign("JSON objects without line ends between them", "`jq -c . FILE` writes each on a line")
CR = Foreign("lines that end with CR alone", "`tr '\\r' '\\n' < FILE` gives them the expected ends")
VALUES = Foreign(
    "lines of JSON that are not objects", "`jq -c '{id: input_line_number|tostring, text: .}' FILE` makes objects"
)
CSV = Foreign("CSV", "`pandas.read_csv(FILE).to_json(OUT, orient='records', lines=True)` writes a row as a line")
TSV = Foreign(
    "TSV", "`pandas.read_csv(FILE, sep='\\t').to_json(OUT, orient='records', lines=True)` writes a row as a line"
)
MARKUP = Foreign("HTML or XML", "extract the text, and write it as JSON lines with `id` and `text`")
TEXT = Foreign("plain text", "`jq -Rsc '{id: input_filename, text: .}' FILE` makes a document of each file")
PARQUET = Foreign("Parquet", "give the file a name that ends in `.parquet`")
JSON_LINES = Foreign(
    "JSON lines", "give the file a name that ends in `.jsonl`, or in `.jsonl.gz` or `.jsonl.zst` if it is compressed"
)


def refuse_foreign(paths: Iterable[str]) -> None:
    """Raises ConfigError, naming the first few, if any of `paths` is recognised as something else than documents."""
    with ThreadPoolExecutor(THREADS) as pool:
        found = [(path, f) for path, f in zip(paths, pool.map(foreign_format, paths), strict=True) if f is not None]
    if not found:
        return
    named = [f"{path}: found {f.name}; {f.remedy}" for path, f in found[:MOST]]
    if len(found) == 1:
        raise ConfigError(f"{found[0][0]}: expected {EXPECTED}, found {found[0][1].name}; {found[0][1].remedy}")
    if len(found) > MOST:
        named.append(f"and {len(found) - MOST:,} more")
    lines = "\n  ".join(named)
    raise ConfigError(f"{len(found):,} source files are not documents: expected {EXPECTED}\n  {lines}")


def foreign_format(path: str) -> Foreign | None:
    """Returns what the file at `path` is, or None if it may hold documents (or is not there)."""
    try:
        if path.endswith(".parquet"):
            return _not_parquet(path)
        found = _look(path, HEAD)
        return _look(path, FURTHER) if found is not None else None
    except OSError:
        # The stage that reads it tells.
        return None


def _not_parquet(path: str) -> Foreign | None:
    with fs.open_input(path) as file:
        magic = file.read(4)
    if not magic or magic in (b"PAR1", b"PARE"):
        return None
    return _look(path, HEAD, lines=JSON_LINES)


def _look(path: str, limit: int, lines: Foreign | None = None) -> Foreign | None:
    """What the first `limit` bytes tell; `lines`: the answer for a file of JSON lines."""
    compression, head, whole, damage = _native.read_head(str(local_copy(path)), limit)
    if not head:
        # Only what zstd itself cannot read is named; the reader tells of damage, and keeps what it can.
        unreadable = damage is not None and damage.startswith("the zstd frame ")
        return Foreign(*str(damage).split("; ", 1)) if unreadable else None
    if head.startswith(b"PAR1") and compression == "plain":
        return PARQUET
    known = by_magic(head)
    if known is not None:
        return known if compression == "plain" else Foreign(f"{known.name} in {compression}", known.remedy)
    text = head.removeprefix(BOM).lstrip()
    if not text:
        return None
    # Not `splitlines`, which would also end a line at a CR.
    ended = text if whole else text[: text.rfind(b"\n") + 1]
    rows = [row for row in ended.split(b"\n") if row.strip()]
    if text.startswith(b"["):
        return _array(text, rows, whole)
    if any(_is_object(row) for row in rows):
        return lines
    if text.startswith((b"{", b"\x1e")):
        return _objects(text, rows)
    return _text(path, text, rows, whole)


def _is_object(row: bytes) -> bool:
    """Whether a line that is not indented is a JSON object with keys."""
    if not row.startswith(b"{") or not row.rstrip().endswith(b"}"):
        return False
    return bool(_decoded(row, Object))


def _decoded(text: bytes, form: object) -> object:
    """The JSON value, or None if `text` is not one."""
    try:
        return msgspec.json.decode(text, type=form)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


def _array(text: bytes, rows: list[bytes], whole: bool) -> Foreign | None:
    if whole and isinstance(_decoded(text, list[msgspec.Raw]), list):
        return JSON_ARRAY
    if rows and isinstance(_decoded(rows[0], list[msgspec.Raw]), list):
        # A line of its own: bad where others are documents.
        return None if any(map(_is_object, rows)) else _values(rows)
    objects = sum(map(_is_object, rows))
    items = sum(_is_object(row.strip(b" \t\r,")) for row in rows if row.strip()[:1] == b"," or row.strip()[-1:] == b",")
    # The last item of an array has no comma behind it.
    if objects > 1 or objects > items:
        return None
    return JSON_ARRAY if ARRAY.match(text) else None


def _objects(text: bytes, rows: list[bytes]) -> Foreign | None:
    """Objects that are not one a line; None where they may be damaged lines."""
    if ENDED_BY_CR.search(text):
        return CR
    if len(rows) > 1 and MEMBER.match(rows[1]):
        return PRETTY_JSON
    first = (rows[0] if rows else text).lstrip(b"\x1e")
    cut = WITHOUT_ENDS.search(first)
    if cut is not None and _decoded(first[: cut.start() + 1], Object):
        return NO_LINE_ENDS
    between = first.rstrip(b", \t\r")
    return COMMAS if between != first.rstrip() and all(_is_object(row.strip(b", \t\r")) for row in rows) else None


def _values(rows: list[bytes]) -> Foreign | None:
    return VALUES if all(_decoded(row, msgspec.Raw) is not None for row in rows) else None


def _text(path: str, text: bytes, rows: list[bytes], whole: bool) -> Foreign | None:
    if ENDED_BY_CR.search(text):
        return CR
    if OBJECT.search(text) or not _is_text(text):
        return None
    if text.startswith(b'"') and rows and _values(rows):
        return VALUES
    if re.match(rb"<[!?/a-zA-Z]", text) and b">" in text:
        return MARKUP
    return _table(path, rows, whole) or TEXT


def _is_text(text: bytes) -> bool:
    try:
        decoded = text.decode()
    except UnicodeDecodeError as error:
        # Cut in the middle of a character, or of another encoding, in which every byte is a character.
        decoded = text.decode("utf-8" if error.start > len(text) - 4 else "latin-1", "replace")
    return len(CONTROL.findall(decoded)) * 100 <= len(decoded)


def _table(path: str, rows: list[bytes], whole: bool) -> Foreign | None:
    """CSV or TSV: by name, or because all rows have equally many cells."""
    name = path.lower()
    if ".csv" in name or ".tsv" in name:
        return TSV if ".tsv" in name else CSV
    lines = [row.decode("utf-8", "replace") for row in rows[:50]]
    for delimiter, found in (("\t", TSV), (",", CSV), (";", CSV)):
        try:
            table = list(csv.reader(lines, delimiter=delimiter, strict=True))
        except csv.Error:
            # A cell that goes on behind the rows that are looked at.
            continue
        widths = {len(cells) for cells in table}
        if len(table) > 1 and len(widths) == 1 and widths != {1}:
            return found
    return None
