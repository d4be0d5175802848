"""Random recipes over random, damaged files, and where each of their documents must end up.

A case is a function of its number. What must happen to a document is known from how it was made, not from reading the
files with the code under test: `Made.fate` is `kept`, `bad` (its line cannot be read), `unread` (its row group is
damaged) or the name of the rule that drops it.
"""

from __future__ import annotations

import gzip
import io
import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

WORDS = ["the", "of", "and", "to", "in", "a", "is", "that", "it", "was", "for", "on", "are", "as", "with", "his"]
LOST = ("bad", "unread")
"""Fates of documents that no rule gets to see."""
SHORT = 60
"""Texts of fewer characters are dropped by the rule `short`."""


@dataclass
class Made:
    """A document as it was made."""

    source: str
    file: str
    line: int
    id: str
    text: str
    fate: str = "kept"


@dataclass
class Case:
    recipe: dict[str, Any]
    made: list[Made]
    stages: list[str] = field(default_factory=list)


def make_case(number: int, directory: Path) -> Case:
    rng = random.Random(number)
    made: list[Made] = []
    sources: dict[str, Any] = {}
    texts: list[str] = []
    for s in range(rng.randint(1, 3)):
        name = f"s{s}"
        folder = directory / name / "documents"
        folder.mkdir(parents=True)
        for f in range(rng.randint(1, 3)):
            form = rng.choice(["jsonl", "jsonl.gz", "jsonl.zst", "parquet"])
            path = folder / rng.choice(["", "sub"]) / f"{f:02d}.{form}"
            path.parent.mkdir(exist_ok=True)
            documents = [_document(rng, name, str(path), texts) for _ in range(rng.choice([0, 1, 5, 40, 120]))]
            for i, each in enumerate(documents):
                each.id = f"{name}-{f}-{i}" if rng.random() < 0.9 else "same"
            data = _parquet(rng, documents) if form == "parquet" else _lines(rng, documents, form)
            path.write_bytes(data)
            made += documents
        sources[name] = {"documents": f"{folder}/**/*.*", "priority": rng.choice([0, 0, 1])}
        if not any(folder.rglob("*.*")):
            (folder / "empty.jsonl").write_bytes(b"")
    stages = _stages(rng, directory)
    recipe = {
        "name": f"case-{number}",
        "work_dir": str(directory / "run"),
        "seed": number,
        "max_bad_fraction": rng.choice([0.01, 0.2, 1.0]),
        "sources": sources,
        "stages": stages,
    }
    case = Case(recipe, made)
    _decide(case)
    if sum(each.fate == "kept" for each in made) < 40:
        # A tokenizer cannot be trained on nothing, nor can a few documents be split.
        stages[:] = [stage for stage in stages if "tokens" not in stage]
    case.stages = [next(iter(stage)) for stage in stages]
    return case


def _document(rng: random.Random, source: str, path: str, texts: list[str]) -> Made:
    if texts and rng.random() < 0.15:
        text = rng.choice(texts)
    else:
        count = rng.choice([1, 3, 30, 60, 200])
        text = " ".join(rng.choices(WORDS, k=count)) + rng.choice(["", "\nça va 😀", "\n\n", " \u2028 x", '"\\'])
        text = f"{len(texts)}: {text}"
        texts.append(text)
    return Made(source, path, 0, "", text)


def _lines(rng: random.Random, documents: list[Made], form: str) -> bytes:
    out = io.BytesIO()
    line = 0
    ending = rng.choice([b"\n", b"\n", b"\r\n"])
    if rng.random() < 0.1:
        out.write(b"\xef\xbb\xbf")
    for each in documents:
        while rng.random() < 0.03:
            out.write(rng.choice([b"", b"  "]) + ending)
            line += 1
        line += 1
        each.line = line
        fields: dict[str, Any] = {"id": each.id, "text": each.text}
        if rng.random() < 0.5:
            fields |= {"source": "x", "metadata": {"n": rng.randint(0, 9), "f": 1.50}, "extra": [1, {"a": None}]}
        encoded = json.dumps(fields, ensure_ascii=rng.random() < 0.5).encode()
        if rng.random() < rng.choice([0, 0, 0.01, 0.1]):
            encoded = _damaged(rng, each, fields, encoded)
        out.write(encoded + ending)
    data = out.getvalue()
    if rng.random() < 0.2 and data.endswith(ending):
        data = data[: -len(ending)]
    if form == "jsonl":
        return data
    cut = rng.randint(0, len(data))
    if form == "jsonl.gz":
        return gzip.compress(data[:cut], mtime=0) + gzip.compress(data[cut:], mtime=0)
    compressor = zstandard.ZstdCompressor()
    return compressor.compress(data[:cut]) + compressor.compress(data[cut:])


def _damaged(rng: random.Random, each: Made, fields: dict[str, Any], encoded: bytes) -> bytes:
    each.fate = "bad"
    kind = rng.randrange(9)
    if kind == 0:
        return encoded[: len(encoded) // 2]
    if kind == 1:
        return json.dumps({**fields, "text": None}).encode()
    if kind == 2:
        return json.dumps({**fields, "text": rng.choice([5, ["a"], {"b": 1}])}).encode()
    if kind == 3:
        missing = rng.choice(["id", "text"])
        return json.dumps({k: v for k, v in fields.items() if k != missing}).encode()
    if kind == 4:
        return encoded[:-3] + b'\xff"}'
    if kind == 5:
        return b'{"id":"x","text":"\\ud800"}'
    if kind == 6:
        return b"[1, 2]"
    if kind == 7:
        return b'{"id":"x","text":"a","text":"b"}'
    return b'{"id":"x","text":"\x00"}'


def _parquet(rng: random.Random, documents: list[Made]) -> bytes:
    for i, each in enumerate(documents):
        each.line = i + 1
    texts: list[Any] = [d.text for d in documents]
    for i, each in enumerate(documents):
        if rng.random() < rng.choice([0, 0, 0.02]):
            texts[i], each.fate = None, "bad"
    kind = rng.randrange(5)
    string = pa.string()
    ids = pa.array([d.id for d in documents], string)
    if kind == 0:
        ids = pa.array(range(len(documents)), rng.choice([pa.int64(), pa.int32(), pa.uint64()]))
        for i, each in enumerate(documents):
            each.id = str(i)
    column = pa.array(texts, rng.choice([string, pa.large_string()]))
    if kind == 1:
        column = column.dictionary_encode()
    if kind == 2:
        column, ids = column.cast(pa.binary()), ids.cast(pa.binary())
    columns = {"text": column, "id": ids}
    if kind in (3, 4):
        columns["score"] = pa.array([rng.random() for _ in documents], pa.float64())
        columns["url"] = pa.array([f"http://a/{i}" if i % 3 else None for i in range(len(documents))], string)
    out = io.BytesIO()
    size = rng.choice([7, 1000])
    pq.write_table(pa.table(columns), out, row_group_size=size, write_page_checksum=True)
    data = bytearray(out.getvalue())
    if documents and size == 7 and rng.random() < 0.7:
        _damage_groups(rng, documents, data, size)
    return bytes(data)


def _damage_groups(rng: random.Random, documents: list[Made], data: bytearray, size: int) -> None:
    """Damages a column of some row groups, in the middle as at the ends: their rows are lost, and no others."""
    metadata = pq.read_metadata(io.BytesIO(data))
    count = metadata.num_row_groups
    for group in sorted(rng.sample(range(count), min(count, rng.randint(1, 3)))):
        column = metadata.row_group(group).column(rng.randrange(metadata.num_columns))
        begin = column.dictionary_page_offset or column.data_page_offset
        data[begin + column.total_compressed_size - 1] ^= 0x55
        for each in documents[group * size : (group + 1) * size]:
            each.fate = "unread"


def _stages(rng: random.Random, directory: Path) -> list[dict[str, Any]]:
    stages: list[dict[str, Any]] = []
    drop: dict[str, str] = {}
    if rng.random() < 0.8:
        form = rng.choice(["parquet", "jsonl.zst", "jsonl.gz"])
        stages.append({"tag": {"experiment": "e", "taggers": ["char_length_v1", "c4_v2"], "format": form}})
        drop["short"] = f"char_length_v1.length < {SHORT}"
    if rng.random() < 0.6:
        dedupe: dict[str, Any] = {"name": "copies", "documents": {"key": "text"}, "partitions": rng.randint(1, 4)}
        stages.append({"dedupe": dedupe})
        drop["copy"] = "copies.duplicate"
    mix: dict[str, Any] = {"name": "first", "drop": drop, "format": _format(rng)}
    if rng.random() < 0.4:
        mix["max_size_in_bytes"] = rng.choice([2000, 10_000_000])
    if rng.random() < 0.2:
        mix["keep_attributes"] = True
    stages.append({"mix": mix})
    if rng.random() < 0.3:
        stages.append({"mix": {"name": "second", "format": _format(rng)}})
    if rng.random() < 0.3:
        holdout = rng.choice([0.0, 0.3])
        train = {"vocab_size": 300, "sample_bytes": 50_000}
        stages.append({"tokens": {"tokenizer": {"train": train, "eos": "<|endoftext|>"}, "holdout": holdout}})
    return stages


def _format(rng: random.Random) -> str:
    return rng.choice(["jsonl.zst", "jsonl.gz", "jsonl", "parquet"])


def _decide(case: Case) -> None:
    """The rules of the first mix, in their order, for documents that can be read."""
    drop = next(stage["mix"]["drop"] for stage in case.recipe["stages"] if "mix" in stage)
    priority = {name: source["priority"] for name, source in case.recipe["sources"].items()}
    seen: set[str] = set()
    copies: set[int] = set()
    # The first copy is that of the highest priority, then of the first source, file (by its path) and line.
    for each in sorted(case.made, key=lambda d: (-priority[d.source], d.source, d.file)):
        if each.fate in LOST:
            continue
        if each.text in seen and each.text.strip():
            copies.add(id(each))
        seen.add(each.text)
    for each in case.made:
        if each.fate in LOST:
            continue
        if "short" in drop and len(each.text) < SHORT:
            each.fate = "short"
        elif "copy" in drop and id(each) in copies:
            each.fate = "copy"


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The documents of an output, by readers that are not ours."""
    if path.suffix == ".parquet":
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        return rows
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    if path.suffix == ".zst":
        reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True)
        data = reader.read()
    return [json.loads(line) for line in data.split(b"\n") if line]
