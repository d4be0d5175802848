"""A toy corpus and its recipes: 300 documents, each a function of its number, and every stage that runs offline.

Source `web` has two shards of JSON lines (gzip, zstd) and lines that are no documents; source `books` has one of gzip
and one of Parquet, with a text under another name and without ids. Paths are relative to the directory that `make_toy`
fills, so that nothing that is written depends on where the directory lies.
"""

from __future__ import annotations

import gzip
import io
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from msgspec import yaml

DOCUMENTS = 75
"""Documents of a shard, the lines that cannot be read among them."""
WORDS = {
    "en": "the of and to in is that it was for on are as with his they be at one have water house river stone",
    "de": "der die und in den von zu das mit sich des auf für ist im dem nicht ein Straße größer über Äpfel schön",
    "fr": "le la les des et une été garçon où déjà français être naïve cœur forêt très après l'eau aujourd'hui",
    "ru": "и в не на я быть он с что а по это она этот к но они мы весь который река дом",
    "el": "και το να είναι που με για από την της νερό σπίτι ποτάμι θάλασσα",
    "zh": "的 一 是 不 了 人 我 在 有 他 这 中 大 来 上 国 河流 房子",
    "ja": "の に は を た が で て と し れ さ ある いる も する カワ イエ",
    "ar": "في من على أن إلى هذا التي كان ما هو بيت نهر ماء",
    "hi": "के है में की से को का एक पर और नदी घर पानी",
    "ko": "이 그 저 것 수 등 들 및 강 집 물",
}
ENDS = {"zh": "。", "ja": "。", "hi": "।"}
EXTRAS = (
    "Write to jane.doe@example.org or call (555) 234-5678 from 192.168.10.7.",
    "lorem ipsum dolor sit amet",
    "function f() { return javascript; }",
    "Read more...",
    "* a point\n* another point\n* a third point",
    "emoji 😀👩‍👩‍👧 and a\u0301 combining mark",
    "#hashtag #again ... … #more",
)
TAGGER = '''"""Taggers of the toy corpus's own."""

from dolma_pipeline import tagger


@tagger("toy_questions")
def questions(text: str) -> float:
    """Question marks per character."""
    return text.count("?") / max(1, len(text))


@tagger("toy_unlucky")
def unlucky(text: str) -> float:
    """Fails on some texts, so that their documents are set aside."""
    if "unlucky" in text:
        raise ValueError("an unlucky text")
    return float(len(text.split()))
'''


def make_toy(directory: Path) -> None:
    """Writes the corpus, a list of hosts, the module of taggers and the recipes of `RECIPES` into `directory`."""
    rng = random.Random(20)
    seen: list[str] = []
    shared = [_sentence(rng, "en", 14) for _ in range(8)]
    lines: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for source in ("web", "books"):
        for shard in (0, 1):
            lines[source, shard] = [_document(rng, source, shard, n, seen, shared) for n in range(DOCUMENTS)]
    web, books = directory / "web" / "documents", directory / "books" / "documents" / "sub"
    for folder in (web, books):
        folder.mkdir(parents=True)
    (web / "00.jsonl.gz").write_bytes(gzip.compress(_jsonl(lines["web", 0], damaged=True), mtime=0))
    (web / "01.jsonl.zst").write_bytes(zstandard.ZstdCompressor().compress(_jsonl(lines["web", 1], damaged=True)))
    (books / "00.jsonl.gz").write_bytes(gzip.compress(_jsonl(_own_names(lines["books", 0])), mtime=0))
    (books / "01.parquet").write_bytes(_parquet(_own_names(lines["books", 1])))
    (directory / "hosts.txt").write_text("# hosts\nbad.example\nworse.example\n")
    (directory / "toy_taggers.py").write_text(TAGGER)
    for name, recipe in RECIPES.items():
        (directory / f"{name}.yaml").write_bytes(yaml.encode(recipe))


def _draw(rng: random.Random, items: tuple[str, ...] | list[str]) -> str:
    """One of `items`, by the one method of `Random` that gives the same on every version of Python."""
    return items[int(rng.random() * len(items))]


def _sentence(rng: random.Random, language: str, words: int) -> str:
    chosen = [_draw(rng, WORDS[language].split()) for _ in range(words)]
    joined = ("" if language in ("zh", "ja") else " ").join(chosen)
    return joined[:1].upper() + joined[1:] + ENDS.get(language, ".")


def _document(
    rng: random.Random, source: str, shard: int, number: int, seen: list[str], shared: list[str]
) -> dict[str, Any]:
    language = "en" if rng.random() < 0.5 else _draw(rng, tuple(WORDS))
    if seen and rng.random() < 0.12:
        text = _draw(rng, seen)
    else:
        paragraphs = [
            " ".join(_sentence(rng, language, 3 + int(rng.random() * 12)) for _ in range(1 + int(rng.random() * 4)))
            for _ in range(1 + int(rng.random() * 5))
        ]
        if rng.random() < 0.4:
            paragraphs.insert(int(rng.random() * (len(paragraphs) + 1)), _draw(rng, shared))
        if rng.random() < 0.3:
            paragraphs.append(_draw(rng, EXTRAS))
        if rng.random() < 0.1:
            paragraphs.append("What? Why?")
        if number % 25 == 3:
            paragraphs.append("This one is unlucky.")
        text = ("\n\n" if number % 3 == 0 else "\n").join(paragraphs)
        seen.append(text)
    if number % 37 == 11:
        text = " \n "
    host = _draw(rng, ("good.example", "www.bad.example", "other.example", "worse.example"))
    return {
        "id": f"{source}-{shard}-{number}",
        "text": text,
        "source": source,
        "created": f"2024-01-{1 + number % 28:02d}T00:00:00.000Z",
        "metadata": {"url": f"https://{host}/{number}", "lang": language, "n": number / 4},
        "size": 1.50,
    }


def _own_names(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same under the names of somebody else's table, without ids."""
    return [
        {"content": d["text"], "url": d["metadata"]["url"], "lang": d["metadata"]["lang"], "pages": len(d["text"])}
        for d in documents
    ]


def _jsonl(documents: list[dict[str, Any]], *, damaged: bool = False) -> bytes:
    out = io.BytesIO()
    for number, document in enumerate(documents):
        line = json.dumps(document, ensure_ascii=number % 2 == 0).encode()
        if damaged and number == 20:
            line = line[: len(line) // 2]
        if damaged and number == 40:
            line = b'{"id": "no text"}'
        if damaged and number == 60:
            line = line[:-2] + b', "x": "\xff"}}'
        out.write(line + (b"\r\n" if number % 10 == 9 else b"\n") + (b"\n" if number == 50 else b""))
    return out.getvalue()


def _parquet(documents: list[dict[str, Any]]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(documents), out, row_group_size=30)
    return out.getvalue()


EOS = "<|endoftext|>"

RECIPES: dict[str, dict[str, Any]] = {
    "toy": {
        "name": "toy",
        "work_dir": "runs/toy",
        "seed": 5,
        "max_bad_fraction": 0.1,
        "sources": {
            "web": {"documents": "web/documents/*", "priority": 1},
            "books": {
                "documents": ["books/documents/**/*.gz", "books/documents/**/*.parquet"],
                "columns": {"id": None, "text": "content", "url": "url"},
            },
        },
        "stages": [
            {
                "tag": {
                    "experiment": "base",
                    "taggers": [
                        "gopher_v2",
                        "c4_v2",
                        "char_length_v1",
                        "pii_regex_with_counts_v2",
                        "uniseg_length_paragraphs_v1",
                        "random_number_v1",
                        {"name": "blocked", "url_list": "hosts.txt"},
                    ],
                }
            },
            {
                "tag": {
                    "experiment": "own",
                    "taggers": ["toy_questions", "toy_unlucky", "code_redpajama_taggers_v1"],
                    "tagger_modules": ["toy_taggers.py"],
                    "format": "jsonl.gz",
                    "on_error": "quarantine",
                }
            },
            {
                "stat": {
                    "sweeps": [{"expression": "gopher_v2.word_count < {t}", "at": [5, 20, 60]}],
                    "drop": {"short": "gopher_v2.word_count < 10", "blocked": "blocked.url"},
                }
            },
            {
                "dedupe": {
                    "name": "copies",
                    "documents": {"key": "text"},
                    "bloom": {"false_positive_rate": 1e-4},
                    "partitions": 3,
                }
            },
            {"dedupe": {"name": "paragraphs", "paragraphs": {}, "partitions": 2, "min_words": 6}},
            {
                "dedupe": {
                    "name": "ngrams",
                    "paragraphs": {"ngrams": {"length": 5, "overlap_threshold": 0.5}},
                    "partitions": 2,
                    "format": "jsonl.zst",
                }
            },
            {
                "mix": {
                    "drop": {
                        "blocked": "blocked.url",
                        "short": "gopher_v2.word_count < 6 and char_length_v1.length < 60",
                        "copy": "copies.duplicate",
                        "questions": "toy_questions.score > 0.05 or metadata.n > 18.4",
                    },
                    "edit": [
                        {"cut": "paragraphs.duplicate"},
                        {"replace": "pii_regex_with_counts_v2.EMAIL_ADDRESS", "with": "|||EMAIL|||"},
                    ],
                    "budget": {"bytes": 45_000, "weights": {"web": 0.4, "books": 0.6}, "max_epochs": 2},
                    "keep_attributes": True,
                    "max_size_in_bytes": 30_000,
                }
            },
            {"mix": {"name": "columns", "drop": {"long": "length > 1200"}, "format": "parquet"}},
            {
                "classifier": {
                    "labels": {"en": {"where": 'metadata.lang == "en"'}, "other": {}},
                    "held_out": 0.2,
                    "fasttext": {"dim": 4, "bucket": 500, "epoch": 2, "min_count": 1},
                }
            },
            {
                "tokens": {
                    "tokenizer": {"train": {"vocab_size": 420, "sample_bytes": 20_000}, "eos": EOS},
                    "holdout": 0.1,
                    "max_tokens": 9000,
                }
            },
            {"fertility": {"by": "metadata.lang", "baseline": "en"}},
        ],
    },
    "reshard": {
        "name": "reshard",
        "work_dir": "runs/reshard",
        "seed": 6,
        "sources": {"train": {"tokens": "runs/toy/tokens/train"}, "held": {"tokens": "runs/toy/tokens/validation"}},
        "stages": [
            {
                "reshard": {
                    "rates": {"train": 0.7, "held": 2.5},
                    "max_tokens": 6000,
                    "pack": {"by": "best_fit", "length": 128, "mask_first": True},
                }
            }
        ],
    },
    "megatron": {
        "name": "megatron",
        "work_dir": "runs/megatron",
        "sources": {"train": {"tokens": "runs/toy/tokens/train"}},
        "stages": [{"convert": {"to": "megatron"}}],
    },
    "datatrove": {
        "name": "datatrove",
        "work_dir": "runs/datatrove",
        "sources": {"megatron": {"tokens": "runs/megatron/tokens"}},
        "stages": [{"convert": {"to": "datatrove"}}],
    },
}
"""Recipes by name, in the order in which they are run: each reads what those before it wrote."""
