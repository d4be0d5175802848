"""Dolma's configurations as recipes: the same keys, the same defaults, the same places."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dolma_pipeline.cli.command import WorkDir, notes
from dolma_pipeline.cli.drop_in import dedupe, mix, tag, tokens
from dolma_pipeline.cli.main import main
from dolma_pipeline.cli.sources import dataset_root, ledger, parent_of, sources
from dolma_pipeline.config import decode
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.formats.columns import Columns
from dolma_pipeline.recipe import (
    Bloom,
    Dedupe,
    DocumentKey,
    KeyPart,
    Ngrams,
    Pack,
    Paragraphs,
    Recipe,
    Source,
    Stage,
    Tag,
    Tokenizer,
    Tokens,
)
from dolma_pipeline.validation import validate

FORMS: dict[Any, Any] = {
    tag: tag.TagConfig,
    dedupe: dedupe.DeduperConfig,
    mix: mix.MixerConfig,
    tokens: tokens.TokensConfig,
}


def recipes(module: Any, config: dict[str, Any]) -> list[Recipe]:
    found: list[Recipe] = module.to_recipes(decode(FORMS[module], config, lax=True))
    for recipe in found:
        validate(recipe)
    return found


def message(module: Any, config: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as error:
        recipes(module, config)
    return str(error.value)


def test_tag() -> None:
    config = {
        "documents": ["/d/web/documents/*.gz", "/d/books/documents/en/*.gz", "/d/web/documents/b/*"],
        "taggers": ["gopher_v1", "c4_v2"],
        "experiment": "base",
        "tagger_modules": ["mine"],
    }
    (recipe,) = recipes(tag, config)
    assert recipe.layout == "beside"
    assert recipe.sources == {
        "web": Source(documents=["/d/web/documents/*.gz", "/d/web/documents/b/*"]),
        "books": Source(documents="/d/books/documents/en/*.gz"),
    }
    assert recipe.stages == [
        Stage(tag=Tag(taggers=["gopher_v1", "c4_v2"], experiment="base", tagger_modules=["mine"], format="jsonl.gz"))
    ]
    assert re.fullmatch(r"/d/web/\.dolma/tag-base-[0-9a-f]{8}", recipe.work_dir)


def test_tag_destinations() -> None:
    config = {
        "documents": ["a/*.gz", "b/*.gz"],
        "destination": ["out/a", "out/b"],
        "taggers": ["c4_v2"],
        "work_dir": {"output": "w/"},
    }
    (recipe,) = recipes(tag, config)
    assert recipe.sources == {
        "a": Source(documents="a/*.gz", destination="out/a"),
        "b": Source(documents="b/*.gz", destination="out/b"),
    }
    assert re.fullmatch(r"w/tag-c4_v2-[0-9a-f]{8}", recipe.work_dir)


def test_tag_mistakes() -> None:
    assert message(tag, {"taggers": ["c4_v2"]}) == (
        "$.documents: expected globs of document files, found none; give it in the file or as `--documents`"
    )
    assert message(tag, {"documents": ["d/documents/*"], "taggers": ["c4_v2"], "destination": ["a", "b"]}) == (
        "$.destination: expected a directory for each of the 1 patterns in `documents`, found 2"
    )
    assert message(tag, {"documents": ["a/documents/*", "b/*.gz"], "taggers": ["c4_v2"]}) == (
        "$.documents[1]: expected a directory `documents` in the path, found `b/*.gz`: attribute files go beside it, "
        "as in `data/documents/*.jsonl.gz`"
    )


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
    assert recipe.sources == {"d": Source(documents="d/docs/*.gz", document_dir="docs")}
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
    assert recipe.sources == {"documents": Source(documents="documents/*.gz")}
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


TOKENS = {
    "documents": ["/d/a/documents/*.gz"],
    "destination": "/out/tokens",
    "tokenizer": {"name_or_path": "tokenizer.json", "eos_token_id": 0, "pad_token_id": 1},
}


def test_tokens() -> None:
    more = {
        "seed": 5,
        "dtype": "uint32",
        "max_size": 1000,
        "fields": {"text_field_name": "body", "id_field_name": None},
    }
    (recipe,) = recipes(tokens, TOKENS | more)
    assert recipe.seed == 5
    assert recipe.sources == {"a": Source(documents="/d/a/documents/*.gz", columns=Columns(id=None, text="body"))}
    assert recipe.stages == [
        Stage(
            tokens=Tokens(
                tokenizer=Tokenizer(path="tokenizer.json", eos=0, pad=1, on_missing="warn"),
                order="shuffle",
                dtype="uint32",
                max_tokens=1000,
                destination="/out/tokens",
                id_field=None,
                as_dolma=True,
            )
        )
    ]
    assert re.fullmatch(r"/out/\.dolma/tokens-tokens-[0-9a-f]{8}", recipe.work_dir)


def test_fields_of_tokens_say_where_text_and_id_are() -> None:
    def columns(**fields: object) -> Columns | None:
        (recipe,) = recipes(tokens, TOKENS | {"fields": fields})
        return recipe.sources["a"].columns

    assert columns() is None
    assert columns(id_field_type="str", text_field_type="string") is None
    assert columns(id_field_type="int") == Columns(id="id")
    assert columns(id_field_name="uid", id_field_type="integer") == Columns(id="uid")
    assert columns(text_field_name="metadata.body") == Columns(text="metadata.body")
    assert message(tokens, TOKENS | {"fields": {"id_field_type": "float"}}).startswith(
        "$.fields.id_field_type: expected "
    )
    (recipe,) = recipes(tokens, TOKENS | {"columns": {"url": "link"}, "fields": {"text_field_name": "body"}})
    assert recipe.sources["a"].columns == Columns(url="link", text="body")


def test_every_command_takes_columns() -> None:
    columns = {"id": None, "text": "body"}
    wanted = Columns(id=None, text="body")
    marked = {"documents": {"attribute_name": "d", "key": "$.text"}}
    configs: list[tuple[Any, dict[str, Any]]] = [
        (tag, {"documents": ["d/documents/*"], "taggers": ["gopher_v2"]}),
        (dedupe, {"documents": ["d/documents/*"], "dedupe": marked, "bloom_filter": {"file": "f.bin"}}),
        (tokens, TOKENS),
    ]
    for command, given in configs:
        (recipe,) = recipes(command, given | {"columns": columns})
        assert [s.columns for s in recipe.sources.values()] == [wanted]


def test_tokens_packed() -> None:
    (recipe,) = recipes(tokens, TOKENS | {"pack": {"length": 2048, "by": "concatenate"}})
    assert isinstance(recipe.stages[0].tokens, Tokens)
    assert recipe.stages[0].tokens.pack == Pack(length=2048, by="concatenate")
    assert not recipe.stages[0].tokens.as_dolma
    given = {"name_or_path": "x", "eos_token_id": 0}
    assert message(tokens, {**TOKENS, "tokenizer": given, "pack": {"length": 8}}) == (
        "$.tokenizer.pad_token_id: expected the token that fills instances, found none; that of eos_token_id would do, "
        "for the label mask keeps it from being learnt"
    )
    assert message(tokens, {**TOKENS, "pack": {"by": "best_fit"}}) == (
        "$.pack: expected the key `length` (tokens of an instance; of `bucket` the most), found none"
    )


def test_tokens_engine() -> None:
    (recipe,) = recipes(tokens, TOKENS | {"tokenizer": {"name_or_path": "x", "eos_token_id": 0, "engine": "reference"}})
    assert isinstance(recipe.stages[0].tokens, Tokens)
    expected = Tokenizer(path="x", eos=0, engine="reference", on_missing="warn")
    assert recipe.stages[0].tokens.tokenizer == expected


def test_tokens_defaults_are_dolmas() -> None:
    (recipe,) = recipes(tokens, TOKENS)
    assert isinstance(recipe.stages[0].tokens, Tokens)
    assert (recipe.seed, recipe.stages[0].tokens.dtype, recipe.stages[0].tokens.max_tokens) == (3920, "uint16", 2**30)


def test_the_deprecated_tokenizer_option_ends_documents_with_the_last_id(tmp_path: Path) -> None:
    from tokenizers import Tokenizer as Loaded
    from tokenizers.models import WordLevel

    path = tmp_path / "tokenizer.json"
    Loaded(WordLevel({"a": 0, "b": 1, "c": 2}, unk_token="a")).save(str(path))
    config = {key: value for key, value in TOKENS.items() if key != "tokenizer"}
    (recipe,) = recipes(tokens, config | {"tokenizer_name_or_path": str(path)})
    assert isinstance(recipe.stages[0].tokens, Tokens)
    assert recipe.stages[0].tokens.tokenizer == Tokenizer(path=str(path), eos=2, on_missing="warn")


def test_tokens_mistakes() -> None:
    assert message(tokens, {**TOKENS, "tokenizer": {"name_or_path": "x"}}) == (
        "$.tokenizer: expected bos_token_id or eos_token_id, found neither: nothing would part the documents"
    )
    assert message(tokens, {**TOKENS, "dtype": "float32"}) == (
        '$.dtype: expected one of `uint8`, `uint16`, `uint32`, `uint64`, found "float32"'
    )
    assert message(tokens, {**TOKENS, "tokenizer": {}}) == (
        "$.tokenizer.name_or_path: expected a tokenizer, found none; give it in the file or as "
        "`--tokenizer.name_or_path`"
    )


def test_settings_without_effect_are_named_when_they_are_changed() -> None:
    config = decode(tokens.TokensConfig, TOKENS | {"ring_size": 9, "batch_size": 10_000, "tokenizer": {"refresh": 3}})
    assert notes(config, tokens.NO_EFFECT) == [
        "`ring_size` has no effect: documents of all files are shuffled together, by a hash of the seed and their ids",
        "`tokenizer.refresh` has no effect: the tokenizer is loaded once in each process",
    ]


@pytest.mark.parametrize("module", FORMS)
def test_settings_without_effect_exist(module: Any) -> None:
    """A key in NO_EFFECT that no option has would never be noted."""
    from dolma_pipeline.cli.main import make_parser

    name = module.__name__.rpartition(".")[2]
    options = make_parser(name)[1][name].option_strings()
    assert [key for key in module.NO_EFFECT if f"--{key}" not in options] == []


@pytest.mark.parametrize(
    ("pattern", "root"),
    [
        ("/d/web/documents/*.gz", "/d/web"),
        ("documents/*.gz", "."),
        ("/documents/*.gz", "/"),
        ("a/documents/b/documents/*.gz", "a/documents/b"),
        ("a/documents", None),
        ("a/*.gz", None),
        ("s3://bucket/web/documents/*.gz", "s3://bucket/web"),
    ],
)
def test_dataset_root(pattern: str, root: str | None) -> None:
    assert dataset_root(pattern, "documents") == root


def test_the_root_of_a_directory_of_documents(tmp_path: Path) -> None:
    (tmp_path / "web" / "documents").mkdir(parents=True)
    assert dataset_root(f"{tmp_path}/web/documents", "documents") == f"{tmp_path}/web"
    assert dataset_root(f"{tmp_path}/web/documents/", "documents") == f"{tmp_path}/web"
    assert dataset_root(f"{tmp_path}/*/documents", "documents") == f"{tmp_path}/*"


def test_a_wildcard_may_stand_for_the_directory_of_the_documents(tmp_path: Path) -> None:
    for name in ("documents", "docs"):
        (tmp_path / name).mkdir()
    (tmp_path / "documents" / "a.gz").touch()
    found = sources([f"{tmp_path}/doc*/a.gz"], beside=True)
    assert found == {tmp_path.name: Source(documents=f"{tmp_path}/doc*/a.gz")}
    (tmp_path / "docs" / "a.gz").touch()
    with pytest.raises(ConfigError, match=rf"expected a directory `documents` in the path, found `{tmp_path}/doc\*/a"):
        sources([f"{tmp_path}/doc*/a.gz"], beside=True)


def test_sources_have_names_of_their_own() -> None:
    found = sources(["/a/web/documents/*", "/b/web/documents/*", "/c/my web!/documents/*", "/b/web/documents/*"])
    assert {name: source.documents for name, source in found.items()} == {
        "web": "/a/web/documents/*",
        "web-2": "/b/web/documents/*",
        "my_web_": "/c/my web!/documents/*",
    }


@pytest.mark.parametrize(
    ("destination", "parent"),
    [
        ("/no/out", "/no"),
        ("/no/out/", "/no"),
        ("out", "."),
        ("no/out", "no"),
        (".", "./.."),
        ("..", "../.."),
        ("/out", "/"),
        ("s3://bucket/x/out", "s3://bucket/x"),
    ],
)
def test_ledgers_are_beside_destinations(destination: str, parent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: True)
    assert parent_of(destination) == parent


def test_a_ledger_is_in_the_destination_where_it_cannot_be_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    assert parent_of(f"{tmp_path}/out") == f"{tmp_path}/out"
    assert parent_of(f"{tmp_path}/a/out") == f"{tmp_path}/a"


def test_jobs_on_parts_of_a_data_set_have_ledgers_of_their_own() -> None:
    one = ledger(WorkDir(), "/d", "tag", "base", ["/d/documents/a*"])
    assert one == ledger(WorkDir(), "/d", "tag", "base", ["/d/documents/a*"])
    assert one != ledger(WorkDir(), "/d", "tag", "base", ["/d/documents/b*"])


def test_dryrun_prints_the_configuration_and_stops(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text("documents: [d/documents/*]\ntaggers: [gopher_v1]\nprocesses: ${oc.env:DOLMA_TEST_N,4}\n")
    argv = ["-c", "c.yaml", "tag", "--experiment", "base", "--profile.enable", "--dryrun"]
    assert main(argv) == 0
    out, err = capsys.readouterr()
    assert err == (
        "dolma: note: `profile.enable` has no effect: timings.json in the ledger directory has the time of every "
        "phase\n"
    )

    import yaml

    printed = yaml.safe_load(out)
    assert printed["experiment"] == "base"
    assert printed["processes"] == 4
    assert printed["documents"] == ["d/documents/*"]
    assert msgspec.convert(printed, tag.TagConfig).dryrun is True
    assert [p.name for p in tmp_path.iterdir()] == ["c.yaml"]


def test_packing_that_cannot_be_is_named_as_it_was_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("d").mkdir()
    Path("d/a.jsonl").write_text('{"id": "1", "text": "a"}\n')
    argv = ["tokens", "--documents", "d/*", "--destination", "out", "--tokenizer.name_or_path", "tokenizer.json"]
    argv += ["--tokenizer.eos_token_id", "0", "--tokenizer.pad_token_id", "0", "--pack.by", "bucket"]
    assert main([*argv, "--pack.length", "1000"]) == 2
    assert capsys.readouterr().err == (
        "dolma: error: --pack.length: $.pack.length: expected a power of two for `bucket`, found 1000; 512 or 1024 "
        "would do\n"
    )
