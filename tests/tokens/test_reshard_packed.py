"""Resharding into packed files: every token of every copy once, and what is too short."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from dolma_pipeline.config.recipe import Convert, Pack, Recipe, Source, Stage, Tokenizer
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.tokens.manifest import read_manifest
from tests.tokens.reshard_toys import PAD, contents, make, padded, recipe, reshard
from tests.tokens.token_toys import file_bytes, letters, run_recipe, write_tokenizer


@pytest.mark.parametrize("by", ["best_fit", "concatenate"])
def test_packed_on_the_way(by: str, tmp_path: Path) -> None:
    """Instances of all sources together, with masks; every token of every copy once."""
    a = padded(tmp_path, letters(40))
    pack = Pack(length=12, by=by)  # type: ignore[arg-type]
    out = reshard(tmp_path, {"a": a, "b": a}, rates={"a": 2}, pack=pack, max_tokens=48)
    manifest = read_manifest(out)
    assert manifest.packed is not None
    assert (manifest.packed.by, manifest.packed.length, manifest.documents) == (by, 12, 120)
    whole = Counter(t for *_, tokens in contents(a) for t in tokens)
    found: Counter[int] = Counter()
    for file in manifest.files:
        tokens = np.fromfile(out / file.path, "u1")
        assert len(tokens) % 12 == 0
        mask = np.fromfile(out / (file.mask or ""), np.bool_)
        assert (tokens[~mask] == PAD).all()
        found.update(tokens[mask].tolist())
    assert found == Counter({t: 3 * n for t, n in whole.items()})
    assert {src for _, src, *_ in contents(out)} == {"p/a"}


def test_packed_like_the_tokens_stage(tmp_path: Path) -> None:
    """In input order and of one source, a reshard packs what the stage itself would."""
    plain = padded(tmp_path / "1", letters(40), order="input")
    packed = padded(tmp_path / "2", letters(40), order="input", pack=Pack(length=12))
    assert file_bytes(reshard(tmp_path, {"p": plain}, order="input", pack=Pack(length=12))) == file_bytes(packed)


def test_what_is_too_short_for_a_bucket(tmp_path: Path) -> None:
    a = padded(tmp_path, [("x", "a"), ("y", "a b c"), ("z", "a b c d e f g")])
    pack = Pack(length=8, by="bucket", min_length=4, rest="drop")
    reports = run_recipe(recipe(tmp_path, {"a": a}, rates={"a": 2}, pack=pack))
    counts = reports["01-reshard-select"][0].counts["a"]
    assert (counts.documents_in, counts.documents_out, counts.repeated) == (3, 4, 2)
    assert counts.dropped == {"shorter_than_bucket": 1}
    assert counts.balanced
    assert sorted((i, len(t)) for i, _, _, t in contents(tmp_path / "out")) == [("y", 4), ("y", 4), ("z", 8), ("z", 8)]


def test_packed_files_are_no_source(tmp_path: Path) -> None:
    packed = padded(tmp_path, letters(9), pack=Pack(length=12))
    with pytest.raises(ConfigError, match=r"\$\.sources\.a\.tokens: expected token files of whole documents, found"):
        reshard(tmp_path, {"a": packed})
    stage = Stage(convert=Convert(to="megatron", destination=str(tmp_path / "m")))
    with pytest.raises(ConfigError, match=r"is packed into instances; take the files it was made of, and pack as the"):
        run_recipe(Recipe(name="t", work_dir=str(tmp_path), sources={"a": Source(tokens=str(packed))}, stages=[stage]))


def test_tokens_made_without_padding_are_packed_with_one_that_is_named(tmp_path: Path) -> None:
    a = make(tmp_path, letters(9), "a")
    with pytest.raises(ConfigError, match=r"reshard.pack: expected a token to fill instances with, found none in the"):
        reshard(tmp_path, {"a": a}, pack=Pack(length=8))
    tokenizer = Tokenizer(path=str(tmp_path / "tokenizer.json"), pad=1)
    out = reshard(tmp_path, {"a": a}, pack=Pack(length=8), tokenizer=tokenizer)
    assert (read_manifest(out).pad_token_id, read_manifest(out).tokens) == (1, read_manifest(a).tokens)


@pytest.mark.parametrize("pack", [Pack(length=4, by=by) for by in ("best_fit", "concatenate")], ids=lambda p: p.by)
def test_documents_without_a_token_are_not_packed(pack: Pack, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    np.array([4, 5, 1, 6, 1], dtype="u1").tofile(tmp_path / "raw" / "x.npy")
    rows = "0,3,a,s,1\r\n3,3,b,s,2\r\n3,5,c,s,3\r\n"
    (tmp_path / "raw" / "x.csv.gz").write_bytes(gzip.compress(rows.encode()))
    tokenizer = Tokenizer(path=str(write_tokenizer(tmp_path / "tokenizer.json")), eos=1, pad=1)
    reports = run_recipe(recipe(tmp_path, {"raw": tmp_path / "raw"}, pack=pack, tokenizer=tokenizer))
    assert read_manifest(tmp_path / "out").documents == 2
    assert reports["01-reshard-select"][0].counts["raw"].dropped == {"empty": 1}
