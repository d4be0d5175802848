"""Dolma's configurations of `tokens` as recipes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dolma_pipeline.cli.drop_in import tokens
from dolma_pipeline.cli.main import main
from dolma_pipeline.config.recipe import (
    Pack,
    Source,
    Stage,
    Tokenizer,
    Tokens,
)
from dolma_pipeline.formats.columns import Columns
from tests.cli.drop_in_recipes import TOKENS, message, recipes


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
        "$.pack: expected the key `length` (tokens in an instance; with `bucket`, in the longest one), found none"
    )


def test_tokens_engine() -> None:
    (recipe,) = recipes(tokens, TOKENS | {"tokenizer": {"name_or_path": "x", "eos_token_id": 0, "engine": "reference"}})
    assert recipe.stages[0].tokens.tokenizer == Tokenizer(path="x", eos=0, engine="reference", on_missing="warn")


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
