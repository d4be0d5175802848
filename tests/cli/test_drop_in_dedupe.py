"""Dolma's configurations of `dedupe` as recipes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from dolma_pipeline.cli.drop_in import dedupe
from dolma_pipeline.config.load import decode
from dolma_pipeline.config.recipe import (
    Bloom,
    Dedupe,
    DocumentKey,
    KeyPart,
    Ngrams,
    Paragraphs,
    Source,
    Stage,
)
from dolma_pipeline.formats.columns import AS_DOLMA
from tests.cli.drop_in_recipes import message, recipes

BLOOM = {"file": "f.bin", "read_only": False, "estimated_doc_count": "1_000", "desired_false_positive_rate": 1e-4}


def test_dedupe_documents() -> None:
    config = {
        "documents": ["d/docs/*.gz"],
        "dedupe": {
            "name": "urls",
            "documents": {"attribute_name": "dup", "key": "$.metadata.url"},
            "document_dir": "docs",
            "min_length": 10,
            "min_words": 2,
            "skip_empty": True,
            "num_partitions": 4,
        },
        "bloom_filter": {"file": "f.bin", "read_only": True, "size_in_bytes": 1024},
    }
    (recipe,) = recipes(dedupe, config)
    assert recipe.sources == {"d": Source(documents="d/docs/*.gz", columns=AS_DOLMA, document_dir="docs")}
    assert recipe.stages == [
        Stage(
            dedupe=Dedupe(
                name="urls",
                documents=DocumentKey(key="metadata.url", attribute="dup"),
                bloom=Bloom(file="f.bin", read_only=True, size_in_bytes=1024),
                partitions=4,
                skip_empty=True,
                min_length=10,
                min_words=2,
                format="jsonl.gz",
            )
        )
    ]
    assert re.fullmatch(r"d/\.dolma/dedupe-urls-[0-9a-f]{8}", recipe.work_dir)


def test_dedupe_paragraphs() -> None:
    paragraphs = {"attribute_name": "dup", "by_ngram": {"ngram_length": 13, "stride": 2, "overlap_threshold": 0.5}}
    config = {
        "documents": ["documents/*.gz"],
        "dedupe": {"paragraphs": paragraphs},
        "bloom_filter": {"file": "f.bin", "estimated_doc_count": 1000, "desired_false_positive_rate": 1e-4},
    }
    (recipe,) = recipes(dedupe, config)
    assert recipe.sources == {"documents": Source(documents="documents/*.gz", columns=AS_DOLMA)}
    assert recipe.stages == [
        Stage(
            dedupe=Dedupe(
                name="dup",
                paragraphs=Paragraphs(attribute="dup", ngrams=Ngrams(length=13, stride=2, overlap_threshold=0.5)),
                bloom=Bloom(file="f.bin", estimated_keys=1000, false_positive_rate=1e-4),
                partitions=1,
                skip_empty=False,
                format="jsonl.gz",
            )
        )
    ]
    assert re.fullmatch(r"\./\.dolma/dedupe-dup-[0-9a-f]{8}", recipe.work_dir)


def test_dedupe_without_ngrams_compares_whole_paragraphs() -> None:
    config = {
        "documents": ["d/documents/*"],
        "dedupe": {"paragraphs": {"attribute_name": "dup", "by_ngram": {"stride": 2}, "paragraph_separator": "\n\n"}},
        "bloom_filter": {"file": "f.bin"},
    }
    stage = recipes(dedupe, config)[0].stages[0]
    assert isinstance(stage.dedupe, Dedupe)
    assert stage.dedupe.paragraphs == Paragraphs(attribute="dup", separator="\n\n")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, "$.dedupe: expected either `documents` (attribute_name and key) or `paragraphs` (attribute_name), "
         "found neither"),
        (
            {"documents": {"attribute_name": "a", "key": "$.text"}, "paragraphs": {"attribute_name": "a"}},
            "$.dedupe: expected either `documents` (attribute_name and key) or `paragraphs` (attribute_name), "
             "found both",
        ),
        (
            {"documents": {"attribute_name": "a"}},
            "$.dedupe.documents.key: expected the field to compare, found none; give it in the file or as "
            "`--dedupe.documents.key`",
        ),
        (
            {"documents": {"attribute_name": "a", "key": "$.a[*].b"}},
            "$.dedupe.documents.key: expected the path of one field, such as `$.text` or `$.metadata.url`, "
             "found `$.a[*].b`",
        ),
        (
            {"paragraphs": {"attribute_name": "a"}, "num_partitions": 4, "partition_index": 4},
            "$.dedupe.partition_index: expected a number below `dedupe.num_partitions`, which is 4, found 4",
        ),
        (
            {
                "paragraphs": {"attribute_name": "a", "by_ngram": {"ngram_length": 2}},
                "num_partitions": 4,
                "partition_index": 0,
            },
            "$.dedupe.partition_index: expected none beside `dedupe.paragraphs.by_ngram`, found one: each job would "
            "see only some of the n-grams of a paragraph; leave it out, and one run does all partitions",
        ),
    ],
)  # fmt: skip
def test_dedupe_mistakes(config: dict[str, Any], expected: str) -> None:
    whole = {"documents": ["d/documents/*"], "dedupe": config, "bloom_filter": {"file": "f.bin"}}
    assert message(dedupe, whole) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"num_partitions": 4, "partition_index": 0}, ("urls_0", "dup_0", KeyPart(index=0, of=4), 1)),
        ({"num_partitions": 4, "partition_index": 3}, ("urls_3", "dup_3", KeyPart(index=3, of=4), 1)),
        ({"num_partitions": 4}, ("urls", "dup", None, 4)),
        ({"partition_index": 0}, ("urls", "dup", None, 1)),
    ],
)
def test_dedupe_by_partition_jobs(given: dict[str, Any], expected: tuple[Any, ...]) -> None:
    for mode in ({"documents": {"attribute_name": "dup", "key": "$.id"}}, {"paragraphs": {"attribute_name": "dup"}}):
        whole = {"documents": ["d/documents/*"], "dedupe": {"name": "urls", **mode, **given}}
        stage = recipes(dedupe, {**whole, "bloom_filter": {"file": "f.bin"}})[0].stages[0].dedupe
        assert isinstance(stage, Dedupe)
        key = stage.documents or stage.paragraphs
        assert key is not None
        assert (stage.name, key.attribute, stage.part, stage.partitions) == expected


def test_dedupe_says_what_differs_from_dolma() -> None:
    config = decode(dedupe.DeduperConfig, {"dedupe": {"num_partitions": 4, "min_words": 2}})
    assert dedupe.remarks(config) == [
        "one run does all 4 partitions and writes one attribute; dolma 1.2.1 would do partition 0 alone, as "
        "`--dedupe.partition_index 0` does here",
        "`dedupe.min_words` leaves out what has fewer words, and compares the rest; dolma 1.2.1 compares nothing where "
        "it is above 0",
    ]
    assert dedupe.remarks(decode(dedupe.DeduperConfig, {})) == []
    paragraphs = {"paragraphs": {"attribute_name": "a", "paragraph_separator": "\n\n"}, "min_length": 3}
    assert dedupe.remarks(decode(dedupe.DeduperConfig, {"dedupe": paragraphs})) == [
        "spans include the 2 characters of `paragraph_separator`; those of dolma 1.2.1 count one"
    ]
    documents = {"documents": {"attribute_name": "a", "key": "$.text"}, "min_length": 3}
    assert dedupe.remarks(decode(dedupe.DeduperConfig, {"dedupe": documents})) == [
        "`dedupe.min_length` counts characters of a document's key; dolma 1.2.1 counts bytes"
    ]


def test_a_filter_of_dolma_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f.bin").write_bytes(bytes.fromhex("17f1f08101000000"))
    config = {"documents": ["d/documents/*"], "dedupe": {"paragraphs": {"attribute_name": "a"}}}
    assert message(dedupe, {**config, "bloom_filter": {"file": f"{tmp_path}/f.bin", "read_only": True}}) == (
        f"$.bloom_filter.file: expected a filter that this command saved, found one of dolma 1.2.1 in "
        f"`{tmp_path}/f.bin`: it has other hashes; name another file, and run over its documents to make one"
    )


def test_dedupe_needs_a_filter_file() -> None:
    assert message(dedupe, {"documents": ["d/documents/*"]}) == (
        "$.bloom_filter.file: expected the file of the Bloom filter, found none; give it in the file or as "
        "`--bloom_filter.file`"
    )


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("$.text", "text"),
        ("text", "text"),
        ("$.metadata.url", "metadata.url"),
        ("$['metadata']['a-b']", "metadata.a-b"),
    ],
)
def test_field_path(key: str, path: str) -> None:
    assert dedupe.field_path(key) == path
