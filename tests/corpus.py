"""A small corpus of made-up text with duplicates in it, the same on every call."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

from dolma_pipeline.engine.ledger import newest
from dolma_pipeline.engine.roots import default_roots
from dolma_pipeline.engine.segments import phases

WORDS = (
    "the of and to in a is that it was for on are as with his they be at one have this from or had by hot but "
    "some what there we can out other were all your when up use word how said an each she which do their time "
    "if will way about many then them would write like so these her long make thing see him two has look more "
    "day could go come did my sound no most number who over know water than call first people may down side "
    "been now find "
)


def make_corpus(directory: Path, shards: int = 3, documents: int = 40) -> Path:
    """Sources `a` (gzip) and `b` (plain) of `shards` files each; about a fifth are copies, and paragraphs recur."""
    rng = random.Random(7)
    shared = [" ".join(rng.choices(WORDS.split(), k=25)) + "." for _ in range(12)]
    seen: list[str] = []
    for source, extension in (("a", ".jsonl.gz"), ("b", ".jsonl")):
        for number in range(shards):
            lines = []
            for i in range(documents):
                if seen and rng.random() < 0.2:
                    text = rng.choice(seen)
                else:
                    lengths = [rng.randint(3, 60) for _ in range(rng.randint(1, 5))]
                    paragraphs = [" ".join(rng.choices(WORDS.split(), k=n)) + "." for n in lengths]
                    paragraphs.insert(rng.randint(0, len(paragraphs)), rng.choice(shared))
                    text = "\n".join(paragraphs) + ("\nça été 😀" if i % 7 == 0 else "")
                    seen.append(text)
                lines.append({"id": f"{source}-{number}-{i}", "text": text, "source": source, "n": 1.50})
            data = "".join(json.dumps(line) + "\n" for line in lines).encode()
            path = directory / source / "documents" / "sub" / f"{number:02d}{extension}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(gzip.compress(data, mtime=0) if extension.endswith("gz") else data)
    return directory


def recipe(corpus: Path, work_dir: Path, **changes: Any) -> dict[str, Any]:
    """Every stage of the data half over `make_corpus`, as it would stand in YAML."""
    return {
        "name": "test",
        "work_dir": str(work_dir),
        "seed": 5,
        "sources": {
            "a": {"documents": str(corpus / "a" / "documents" / "**" / "*.gz")},
            "b": {"documents": [str(corpus / "b" / "documents" / "sub" / "*.jsonl")]},
        },
        "stages": [
            {"tag": {"experiment": "base", "taggers": ["gopher_v2", "c4_v2", "char_length_v1"]}},
            {"dedupe": {"name": "exact", "documents": {"key": "text"}, "partitions": 3}},
            {
                "dedupe": {
                    "name": "paragraphs",
                    "paragraphs": {},
                    "bloom": {"false_positive_rate": 1e-4},
                    "partitions": 2,
                    "min_words": 8,
                }
            },
            {
                "mix": {
                    "drop": {"short": "gopher_v2.word_count < 20", "copy": "exact.duplicate"},
                    "edit": [{"cut": "paragraphs.duplicate"}],
                    "budget": {"bytes": 20_000, "weights": {"a": 0.6, "b": 0.4}},
                }
            },
            {
                "tokens": {
                    "tokenizer": {"train": {"vocab_size": 400, "sample_bytes": 20_000}, "eos": "<|endoftext|>"},
                    "holdout": 0.1,
                    "max_tokens": 3000,
                }
            },
        ],
        **changes,
    }


def entered(directory: Path) -> int:
    """Number of tasks that are done by the ledgers below `directory`, where a run may be at work."""
    try:
        ledgers = [path.parent for path in directory.rglob("ledger")]
        return len({(w, p, e.task) for w in ledgers for p in phases(w) for _, e in newest(default_roots(w), p)})
    except FileNotFoundError:
        # It has just been joined with others.
        return 0
