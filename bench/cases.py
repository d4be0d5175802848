"""The stages as both tools are asked for them: the same flags and files, one process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

RULES = ["gopher_v2", "c4_v2", "pii_regex_v2", "char_length_v1", "whitespace_tokenizer_with_paragraphs_v1"]
SIX = [*RULES, "ft_lang_id_en_doc_v2"]


@dataclass(frozen=True)
class Case:
    name: str
    arguments: Callable[[Path], list[str]]
    """What follows the command, for a directory that holds `documents/`."""
    peer: bool = True
    fraction: float = 1.0
    """Share of the documents that the peer is given. All of them would take minutes."""


def tag(*taggers: str) -> Callable[[Path], list[str]]:
    def arguments(directory: Path) -> list[str]:
        documents = str(directory / "documents" / "*.gz")
        return ["tag", "--documents", documents, "--experiment", "bench", "--taggers", *taggers, "--processes", "1"]

    return arguments


def recipe(*taggers: str) -> Callable[[Path], list[str]]:
    """The same of a recipe, whose attributes are Parquet."""

    def arguments(directory: Path) -> list[str]:
        path = directory / "recipe.yaml"
        made = {
            "name": "bench",
            "work_dir": str(directory / "run"),
            "sources": {"all": {"documents": str(directory / "documents" / "*.gz")}},
            "stages": [{"tag": {"experiment": "bench", "taggers": list(taggers)}}],
        }
        path.write_text(yaml.safe_dump(made))
        return ["run", str(path)]

    return arguments


def configured(command: str, config: Callable[[Path], dict[str, Any]]) -> Callable[[Path], list[str]]:
    def arguments(directory: Path) -> list[str]:
        path = directory / f"{command}.yaml"
        path.write_text(yaml.safe_dump(config(directory)))
        return ["-c", str(path), command]

    return arguments


def dedupe(mode: dict[str, Any], name: str) -> Callable[[Path], dict[str, Any]]:
    def config(directory: Path) -> dict[str, Any]:
        return {
            "documents": [str(directory / "documents" / "*.gz")],
            "dedupe": {"name": name, "skip_empty": True, **mode},
            "bloom_filter": {
                "file": str(directory / f"{name}.bloom"),
                "read_only": False,
                "estimated_doc_count": 5_000_000,
                "desired_false_positive_rate": 1e-5,
            },
            "processes": 1,
        }

    return config


def mix(directory: Path) -> dict[str, Any]:
    key = "bench__gopher_v2__word_count"
    return {
        "streams": [
            {
                "name": "mixed",
                "documents": [str(directory / "documents" / "*.gz")],
                "attributes": ["bench"],
                "output": {"path": str(directory / "mixed"), "max_size_in_bytes": 1_000_000_000},
                "filter": {
                    "include": [],
                    "exclude": [f"$.attributes[?(@.{key} && @.{key}[0] && @.{key}[0][2] < 50)]"],
                },
            }
        ],
        "processes": 1,
    }


def tokens(directory: Path) -> list[str]:
    documents = str(directory / "documents" / "*.gz")
    tokenizer = str(directory / "tokenizer.json")
    return [
        "tokens", "--documents", documents, "--destination", str(directory / "tokens"),
        "--tokenizer.name_or_path", tokenizer, "--tokenizer.eos_token_id", "0", "--tokenizer.pad_token_id", "1",
        "--processes", "1",
    ]  # fmt: skip


def packed(directory: Path) -> list[str]:
    arguments = tokens(directory)
    arguments[arguments.index("--destination") + 1] = str(directory / "packed")
    return [*arguments, "--pack.length", "2048"]


CASES = [
    Case("tag char_length_v1", tag("char_length_v1")),
    Case("tag gopher_v2", tag("gopher_v2"), fraction=0.2),
    Case("tag c4_v2", tag("c4_v2")),
    Case("tag gopher, c4, length", tag("gopher_v2", "c4_v2", "char_length_v1"), fraction=0.2),
    Case("tag language ID", tag("ft_lang_id_en_doc_v2"), fraction=0.2),
    Case("tag five rules", tag(*RULES), fraction=0.1),
    Case("tag five rules, Parquet", recipe(*RULES), peer=False),
    Case("tag all six", tag(*SIX), fraction=0.1),
    Case("tag all six, Parquet", recipe(*SIX), peer=False),
    Case("dedupe paragraphs", configured("dedupe", dedupe({"paragraphs": {"attribute_name": "dup"}}, "par"))),
    Case(
        "dedupe documents",
        configured("dedupe", dedupe({"documents": {"attribute_name": "dup", "key": "$.text"}}, "doc")),
    ),
    Case("mix", configured("mix", mix)),
    Case("tokens", tokens, fraction=0.15),
    Case("tokens, packed", packed, peer=False),
]
