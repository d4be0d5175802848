"""Sources of a reshard: files of Dolma, directories below one, and which are refused together."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from dolma_pipeline.config.recipe import Pack, Recipe, Reshard, Source, Stage, Tokenizer, Tokens
from dolma_pipeline.errors import ConfigError, DataError
from dolma_pipeline.tokens import select
from dolma_pipeline.tokens.amount import Amount
from dolma_pipeline.tokens.manifest import read_manifest
from dolma_pipeline.tokens.source import SourceFile, open_source
from tests.tokens.reshard_toys import contents, make, recipe, reshard
from tests.tokens.test_source import bare
from tests.tokens.token_toys import (
    file_bytes,
    letters,
    run_recipe,
    run_stage,
    word_tokens,
    write_shard,
    write_tokenizer,
)


def test_dolmas_files_alone(tmp_path: Path) -> None:
    """Neither type nor tokenizer is needed; without the tokenizer there is no manifest, which is said."""
    directory = bare(tmp_path / "d")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "part-00007.npy").touch()
    reports = run_recipe(recipe(tmp_path, {"d": directory}, order="input", max_tokens=5))
    out = tmp_path / "out"
    assert sorted(p.name for p in out.iterdir()) == [
        "part-00000.csv.gz",
        "part-00000.npy",
        "part-00001.csv.gz",
        "part-00001.npy",
    ]
    assert np.fromfile(out / "part-00000.npy", "<u2").tolist() == [4, 5, 1, 6, 1]
    assert np.fromfile(out / "part-00001.npy", "<u2").tolist() == [7, 1]
    assert gzip.decompress((out / "part-00001.csv.gz").read_bytes()) == b"0,2,d1-0,s,2\n"
    assert reports["01-reshard"][0].warnings == [
        f"{out}: removed 1 file of an earlier run, part-00007.npy to part-00007.npy",
        f"{out}: no manifest.json is written, as nothing says which tokenizer made the tokens; with "
        "`tokenizer_name_or_path` (in a recipe `tokenizer: {path: …}`) there is one",
    ]
    assert reports["01-reshard-select"][0].counts["d"].tokens == 5


def test_a_manifest_of_other_files_is_removed(tmp_path: Path) -> None:
    out = reshard(tmp_path, {"a": make(tmp_path, letters(5), "a")})
    assert (out / "manifest.json").is_file()
    reports = run_recipe(recipe(tmp_path, {"d": bare(tmp_path / "d")}))
    assert not (out / "manifest.json").exists()
    assert f"{out}: removed manifest.json of an earlier run, which describes other files" in (
        reports["01-reshard"][0].warnings
    )


def test_all_directories_below_one(tmp_path: Path) -> None:
    """As Dolma's prefixes: every token file below them is taken."""
    for name in ("g0", "deep/g1"):
        made = make(tmp_path / name.replace("/", "-"), letters(6, 10 * len(name)), "a")
        (tmp_path / "all" / name).parent.mkdir(parents=True, exist_ok=True)
        made.rename(tmp_path / "all" / name)
    out = reshard(tmp_path, {"all": tmp_path / "all"})
    places = [tmp_path / "all" / "g0", tmp_path / "all" / "deep" / "g1"]
    assert sorted(contents(out)) == sorted([*contents(places[0]), *contents(places[1])])
    text_bytes = sum(read_manifest(p).text_bytes for p in places)
    assert read_manifest(out).sources["all"].text_bytes == text_bytes > 0
    with pytest.raises(ConfigError, match=r"expected a directory outside of .*/all, all of whose files are read"):
        run_recipe(recipe(tmp_path / "all", {"all": tmp_path / "all"}))
    (tmp_path / "all" / "x.npy").touch()
    with pytest.raises(ConfigError, match=r"expected all token files below .* found .*/all/x\.npy; name the dir"):
        reshard(tmp_path, {"all": tmp_path / "all"})
    (tmp_path / "all" / "x.npy").unlink()
    other = write_tokenizer(tmp_path / "more.json", extra=1)
    run_stage(tmp_path / "b", {"b/b": write_shard(tmp_path / "b.jsonl", letters(5))}, word_tokens(other))
    (tmp_path / "b" / "out").rename(tmp_path / "all" / "g2")
    with pytest.raises(
        ConfigError, match=r"expected one tokenizer \(BLAKE3\) below .*/all`, found \w{64} in .*/g1 and"
    ):
        reshard(tmp_path, {"all": tmp_path / "all"})


def test_dolmas_files_and_ours(tmp_path: Path) -> None:
    """Without a manifest the stage says what it would; the source of text is not known."""
    path = write_tokenizer(tmp_path / "tokenizer.json")
    directory = bare(tmp_path / "d", dtype="<u1")
    ours = make(tmp_path, [("x", "a")], "a")
    stage = {"tokenizer": Tokenizer(path=str(path), eos="</s>"), "order": "input"}
    out = reshard(tmp_path, {"d": directory, "a": ours}, **stage)
    assert contents(out) == [
        ("d0-0", "s", 3, (4, 5, 1)),
        ("d0-3", "s", 5, (6, 1)),
        ("d1-0", "s", 2, (7, 1)),
        ("x", "a/a", 1, (4, 1)),
    ]
    assert read_manifest(out).sources["d"] == Amount(documents=3, tokens=7, text_bytes=0)


def test_tokens_in_no_document_are_said_to_be_left_out(tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path / "tokenizer.json")
    directory = bare(tmp_path / "d", dtype="<u1")
    with (directory / "part-1-00000.npy").open("ab") as file:
        file.write(b"\5\5")
    stage: dict[str, Any] = {"tokenizer": Tokenizer(path=str(path), eos="</s>")}
    reports = run_recipe(recipe(tmp_path, {"d": directory}, **stage))
    assert [r.warnings for r in reports["01-reshard-select"]] == [
        [],
        [f"{directory}/part-1-00000.npy: 2 of its 4 tokens are in no document and are left out"],
    ]


def test_other_tokens_are_refused(tmp_path: Path) -> None:
    a = make(tmp_path, letters(5), "a")
    path = write_tokenizer(tmp_path / "more.json", extra=1)
    shard = write_shard(tmp_path / "b.jsonl", letters(5))
    run_stage(tmp_path / "b", {"b/b": shard}, word_tokens(path))
    message = (
        r"\$\.sources\.b\.tokens: expected the tokenizer of source `a` \(BLAKE3 \w{16}…\), found another \(\w{16}…\)"
    )
    with pytest.raises(ConfigError, match=message):
        reshard(tmp_path, {"a": a, "b": tmp_path / "b" / "out"})
    run_stage(tmp_path / "c", {"b/b": shard}, word_tokens(tmp_path / "tokenizer.json", dtype="uint16"))
    message = (
        r"\$\.sources\.c\.tokens: expected tokens of uint8, as source `a` has them, found uint16; "
        "`dolma tokens convert --source .*/c/out --to dolma --dtype uint8` makes them so"
    )
    with pytest.raises(ConfigError, match=message):
        reshard(tmp_path, {"a": a, "c": tmp_path / "c" / "out"})
    tokenizer = Tokenizer(path=str(tmp_path / "tokenizer.json"), bos="<s>", eos="</s>")
    run_stage(tmp_path / "d", {"b/b": shard}, Tokens(tokenizer=tokenizer))
    message = r"\$\.sources\.d\.tokens: expected the bos id of source `a`, None, found 0"
    with pytest.raises(ConfigError, match=message):
        reshard(tmp_path, {"a": a, "d": tmp_path / "d" / "out"})
    tokenizer = Tokenizer(path=str(tmp_path / "tokenizer.json"), eos="</s>", pad="<pad>")
    run_stage(tmp_path / "e", {"b/b": shard}, Tokens(tokenizer=tokenizer))
    assert read_manifest(reshard(tmp_path, {"a": a, "e": tmp_path / "e" / "out"})).pad_token_id == 2
    tokenizer = Tokenizer(path=str(tmp_path / "tokenizer.json"), eos="</s>", pad="<s>")
    run_stage(tmp_path / "f", {"b/b": shard}, Tokens(tokenizer=tokenizer))
    with pytest.raises(ConfigError, match="expected the pad id of source `e`, 2, found 0"):
        reshard(tmp_path, {"e": tmp_path / "e" / "out", "f": tmp_path / "f" / "out"})


def test_what_cannot_be_resharded(tmp_path: Path) -> None:
    directory = bare(tmp_path / "d")
    a = make(tmp_path, letters(5), "a")
    with pytest.raises(
        ConfigError, match=r"expected a manifest, or the `tokenizer` that .* was made with, found neither"
    ):
        reshard(tmp_path, {"a": a, "d": bare(tmp_path / "b", dtype="<u1")})
    with pytest.raises(ConfigError, match=r"\.pack: expected the tokenizer of the files that are to be packed"):
        reshard(tmp_path, {"d": directory}, pack=Pack(length=4))
    with pytest.raises(ConfigError, match="expected another directory than that of source `a`"):
        run_recipe(
            Recipe(
                name="toy",
                work_dir=str(tmp_path),
                sources={"a": Source(tokens=str(a))},
                stages=[Stage(reshard=Reshard(destination=str(a)))],
            )
        )


def test_a_wrong_type_does_not_pass(tmp_path: Path) -> None:
    """uint8 read as uint16 is Dolma's own mistake: ids that the vocabulary does not have give it away."""
    directory = bare(tmp_path / "d", dtype="<u1", index=False)
    (directory / "part-0-00000.npy").unlink()
    tokenizer = Tokenizer(path=str(write_tokenizer(tmp_path / "tokenizer.json")), eos="</s>")
    with pytest.raises(DataError, match=r"token 0 is 263, outside of the vocabulary of 14 ids: read as uint16"):
        reshard(tmp_path, {"d": directory}, tokenizer=tokenizer, dtype="uint16")


def test_a_file_that_was_cut_meanwhile(tmp_path: Path) -> None:
    file = open_source(str(make(tmp_path, letters(5), "a"))).files[0]
    from dolma_pipeline.engine.task import Context

    config = select.SelectDocuments(
        source="a", file=msgspec.structs.replace(file, size=file.size + 1), output=str(tmp_path / "x"), rate=1.0,
        seed=1, order="shuffle", vocab_size=14,
    )  # fmt: skip
    assert select.select_documents(config, Context()).warnings
    path = Path(file.tokens)
    path.write_bytes(path.read_bytes()[:-1])
    config = msgspec.structs.replace(config, file=file)
    with pytest.raises(DataError, match=r"part-00000\.npy: expected \d+ tokens or more, found \d+: the file was cut"):
        select.select_documents(config, Context())


def test_source_files_are_plain_json() -> None:
    file = SourceFile(form="megatron", name="x", tokens="x.bin", index="x.idx", rows=None, dtype="uint16", size=3)
    assert msgspec.convert(msgspec.to_builtins(file), SourceFile) == file
    assert file.inputs == ["x.bin", "x.idx"]


def test_the_directory_of_a_single_file_is_the_sources(tmp_path: Path) -> None:
    a = make(tmp_path, letters(9), "a")
    (a / "manifest.json").unlink()
    before = file_bytes(a)
    source = Source(tokens=str(a / "part-00000.npy"))
    stage = Reshard(destination=str(a), tokenizer=Tokenizer(path=str(tmp_path / "tokenizer.json"), eos=1))
    with pytest.raises(ConfigError, match="expected another directory than that of source `a`"):
        run_recipe(Recipe(name="toy", work_dir=str(tmp_path), sources={"a": source}, stages=[Stage(reshard=stage)]))
    assert file_bytes(a) == before


def test_a_tokenizer_that_is_not_there_is_missed_before_anything_is_written(tmp_path: Path) -> None:
    a = make(tmp_path, letters(9), "a")
    (a / "tokenizer.json").unlink()
    with pytest.raises(DataError, match=r"a/out/tokenizer.json: expected the tokenizer of `.*/a/out`, found no file"):
        reshard(tmp_path, {"a": a})
