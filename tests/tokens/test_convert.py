"""Token files to another format and back: the same bytes, and errors where a format cannot hold them."""

from __future__ import annotations

import gzip
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dolma_pipeline.config.recipe import Convert, Recipe, Source, Stage, Tokenizer
from dolma_pipeline.engine.task import Report
from dolma_pipeline.errors import ConfigError, DataError
from dolma_pipeline.tokens import convert as module
from dolma_pipeline.tokens.manifest import read_manifest
from tests.tokens.reshard_toys import contents
from tests.tokens.test_source import bare, write_pair
from tests.tokens.token_toys import (
    file_bytes,
    letters,
    run_recipe,
    run_stage,
    word_tokens,
    write_shard,
    write_tokenizer,
)

OUTSIDE = ("tokenizer.json", "conversion.json")


def convert(source: Path, out: Path, to: str, **options: Any) -> dict[str, list[Report]]:
    stage = Stage(convert=Convert(to=to, destination=str(out), **options))  # type: ignore[arg-type]
    sources = {"s": Source(tokens=str(source))}
    return run_recipe(Recipe(name="toy", work_dir=str(out.parent), sources=sources, stages=[stage]))


def make(work: Path, count: int = 30, **options: Any) -> Path:
    path = write_tokenizer(work / "tokenizer.json", extra=300)
    shard = write_shard(work / "a.jsonl", letters(count))
    run_stage(work, {"s/a": shard}, word_tokens(path, **options))
    return work / "out"


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "uint64"])
@pytest.mark.parametrize("to", ["megatron", "datatrove"])
def test_the_way_back_gives_the_same_bytes(to: str, dtype: str, tmp_path: Path) -> None:
    ours = make(tmp_path, max_tokens=40, dtype=dtype)
    convert(ours, tmp_path / "there" / "x", to)
    convert(tmp_path / "there" / "x", tmp_path / "back" / "x", "dolma")
    assert file_bytes(tmp_path / "back" / "x") == file_bytes(ours)
    assert len(read_manifest(ours).files) > 3


def test_by_way_of_both(tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path / "tokenizer.json")
    run_stage(tmp_path, {"s/a": write_shard(tmp_path / "a.jsonl", letters(9))}, word_tokens(path))
    assert read_manifest(tmp_path / "out").dtype == "uint8"
    convert(tmp_path / "out", tmp_path / "1" / "x", "megatron")
    convert(tmp_path / "1" / "x", tmp_path / "2" / "x", "datatrove")
    convert(tmp_path / "2" / "x", tmp_path / "3" / "x", "dolma")
    assert file_bytes(tmp_path / "3" / "x") == file_bytes(tmp_path / "out")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=20)
@given(
    lengths=st.lists(st.integers(0, 7), max_size=20),
    most=st.none() | st.integers(1, 12),
    chunk=st.integers(1, 9),
    way=st.sampled_from(["megatron", "datatrove"]),
)
def test_any_documents(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], most: int | None, chunk: int, way: str
) -> None:
    """Empty ones too, in chunks and files of any size; names and lines of the index survive."""
    work = tmp_path_factory.mktemp("any")
    (work / "d").mkdir()
    tokens = np.arange(sum(lengths), dtype="<u2") % 300
    tokens.tofile(work / "d" / "x.npy")
    ends = np.cumsum(lengths, dtype=np.int64).tolist()
    rows = [f"{e - n},{e},id {i},src {i % 3},{7 * i}\n" for i, (n, e) in enumerate(zip(lengths, ends, strict=True))]
    (work / "d" / "x.csv.gz").write_bytes(gzip.compress("".join(rows).encode()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK_TOKENS", chunk)
        convert(work / "d", work / "1" / "x", way, source_dtype="uint16")
        reports = convert(work / "1" / "x", work / "2" / "x", "dolma", source_dtype="uint16", max_tokens=most)
    files = [f for r in reports["01-convert-files"] for f in r.details["files"]]
    found = b"".join((work / "2" / "x" / f["path"]).read_bytes() for f in files)
    assert found == tokens.tobytes()
    expected = {"x.npy"} if most is None or sum(lengths) <= most else {f"x-{n:05d}.npy" for n in range(len(files))}
    assert {f["path"] for f in files} == expected
    start, back = 0, []
    for file in files:
        assert most is None or file["tokens"] <= most or file["documents"] == 1 or not most
        for row in gzip.decompress((work / "2" / "x" / file["index"]).read_bytes()).decode().splitlines():
            a, b, rest = row.split(",", 2)
            back.append(f"{start + int(a)},{start + int(b)},{rest}\n")
        start += file["tokens"]
    assert back == rows


def test_megatrons_bytes(tmp_path: Path) -> None:
    convert(bare(tmp_path / "d"), tmp_path / "m", "megatron", source_dtype="uint16")
    name = tmp_path / "m" / "part-0-00000"
    assert name.with_suffix(".bin").read_bytes() == struct.pack("<5H", 4, 5, 1, 6, 1)
    assert name.with_suffix(".idx").read_bytes() == (
        b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, 8, 2, 3) + struct.pack("<2i2q3q", 3, 2, 0, 6, 0, 1, 2)
    )
    assert not (tmp_path / "m" / "conversion.json").exists()


def test_datatroves_bytes(tmp_path: Path) -> None:
    convert(bare(tmp_path / "d"), tmp_path / "t", "datatrove", source_dtype="uint16")
    name = tmp_path / "t" / "part-0-00000.ds"
    assert name.read_bytes() == struct.pack("<5H", 4, 5, 1, 6, 1)
    assert Path(f"{name}.index").read_bytes() == struct.pack("<2Q", 3, 5)
    assert Path(f"{name}.metadata").read_text() == "tokenizer.json|2\n5\n5.00 T"


def test_without_ids_documents_are_numbered(tmp_path: Path) -> None:
    ours = make(tmp_path, 3, order="input")
    for to in ("megatron", "datatrove"):
        there = tmp_path / to / "x"
        convert(ours, there, to)
        for path in [*there.glob("*.csv.gz"), there / "conversion.json"]:
            path.unlink()
        tokenizer = Tokenizer(path=str(ours), eos=1)
        convert(there, tmp_path / to / "back", "dolma", tokenizer=tokenizer)
        assert [row[:3] for row in contents(tmp_path / to / "back")] == [
            ("part-00000-0", "part-00000", 1),
            ("part-00000-1", "part-00000", 2),
            ("part-00000-2", "part-00000", 3),
        ]
        assert (tmp_path / to / "back" / "part-00000.npy").read_bytes() == (ours / "part-00000.npy").read_bytes()


def test_without_a_tokenizer_there_is_no_manifest(tmp_path: Path) -> None:
    directory = write_pair(tmp_path / "m", struct.pack("<2H", 4, 1))
    reports = convert(directory, tmp_path / "out", "dolma")
    assert reports["01-convert"] == []
    assert sorted(file_bytes(tmp_path / "out")) == ["x.csv.gz", "x.npy"]
    tokenizer = Tokenizer(path=str(write_tokenizer(tmp_path / "t.json")), eos="</s>")
    convert(directory, tmp_path / "out", "dolma", tokenizer=tokenizer)
    manifest = read_manifest(tmp_path / "out")
    assert (manifest.dtype, manifest.documents, manifest.tokens, manifest.eos_token_id) == ("uint8", 1, 2, 1)


def test_another_type(tmp_path: Path) -> None:
    ours = make(tmp_path, 5)
    convert(ours, tmp_path / "x" / "wide", "dolma", dtype="uint32")
    assert read_manifest(tmp_path / "x" / "wide").dtype == "uint32"
    assert contents(tmp_path / "x" / "wide") == contents(ours)
    with pytest.raises(ConfigError, match=r"convert\.dtype: expected a type that holds the ids 0 to 313"):
        convert(ours, tmp_path / "x" / "narrow", "dolma", dtype="uint8")


@pytest.mark.parametrize(
    ("to", "dtype", "largest", "message"),
    [
        ("megatron", "uint32", 2**31, "expected token ids up to 2147483647, which is what uint32 holds in Megatron"),
        ("megatron", "uint64", 2**63, "expected token ids up to 9223372036854775807"),
        (
            "datatrove",
            "uint64",
            2**32,
            "expected token ids up to 4294967295, which is what uint32 holds, found 4294967296",
        ),
        ("dolma", "uint32", 2**16, "expected token ids up to 65535, which is what uint16 holds, found 65536"),
    ],
)
def test_ids_that_do_not_fit(to: str, dtype: str, largest: int, message: str, tmp_path: Path) -> None:
    directory = bare(tmp_path / "d", dtype=np.dtype(dtype).str)
    options = {"dtype": "uint16"} if to == "dolma" else {}
    for token in (largest - 1, largest):
        tokens = np.fromfile(directory / "part-1-00000.npy", dtype)
        tokens[0] = token
        tokens.tofile(directory / "part-1-00000.npy")
        if token < largest:
            convert(directory, tmp_path / "fits" / "x", to, source_dtype=dtype, **options)
    with pytest.raises(DataError, match=message):
        convert(directory, tmp_path / "not" / "x", to, source_dtype=dtype, **options)
    assert sorted(p.name for p in (tmp_path / "not" / "x").iterdir() if "part-1" in p.name) == []


def test_what_a_format_has_no_place_for_is_said(tmp_path: Path) -> None:
    directory = write_pair(tmp_path / "m", struct.pack("<3H", 4, 1, 9))
    with (directory / "x.idx").open("ab") as file:
        file.write(b"\1")
    (directory / "x.bin.loss").write_bytes(b"\1\1\1")
    assert convert(directory, tmp_path / "out", "dolma")["01-convert-files"][0].warnings == [
        f"{directory}/x.bin: 1 of its 3 tokens are in no document",
        f"{directory}/x.idx: the modes of its sequences are left out, no other format has them",
        f"{directory}/x.bin.loss: the loss mask is left out",
    ]


def test_what_was_divided_otherwise_goes(tmp_path: Path) -> None:
    """But not what belongs to a file that is called like a part of another."""
    directory = write_pair(tmp_path / "m", struct.pack("<4H", 4, 1, 5, 1), length=4)
    for suffix in (".bin", ".idx"):
        (directory / f"x-00007{suffix}").write_bytes((directory / f"x{suffix}").read_bytes())
    ours = make(tmp_path, 5, order="input")
    out = tmp_path / "out2" / "x"
    convert(ours, out, "dolma", max_tokens=10)
    assert len(list(out.glob("part-00000-*.npy"))) == 4
    reports = convert(ours, out, "dolma")
    assert sorted(p.name for p in out.glob("part*")) == ["part-00000.csv.gz", "part-00000.npy"]
    (warning,) = reports["01-convert-files"][0].warnings
    assert warning.startswith(f"{out}: removed part-00000-00000.csv.gz, part-00000-00000.npy, ")
    convert(ours, out, "dolma", max_tokens=10)
    assert len(list(out.glob("*.npy"))) == 4
    convert(directory, tmp_path / "named", "dolma")
    convert(directory, tmp_path / "named", "dolma")
    assert sorted(p.name for p in (tmp_path / "named").glob("*.npy")) == ["x-00007.npy", "x.npy"]
    with pytest.raises(
        ConfigError, match="expected no file called like a part of `x`, which `max_tokens` divides, found"
    ):
        convert(directory, tmp_path / "named", "dolma", max_tokens=2)


def test_into_itself(tmp_path: Path) -> None:
    directory = bare(tmp_path / "d")
    with pytest.raises(ConfigError, match="expected another directory than the source's"):
        convert(directory, directory, "megatron", source_dtype="uint16")


def test_what_is_written_never_takes_the_place_of_what_is_there(tmp_path: Path) -> None:
    ours = make(tmp_path)
    convert(ours, tmp_path / "m", "megatron")
    before = {p.name: p.read_bytes() for p in (tmp_path / "m").iterdir() if p.is_file()}
    with pytest.raises(ConfigError, match="expected another directory than the source's"):
        convert(tmp_path / "m" / "part-00000.bin", tmp_path / "m", "datatrove")
    with pytest.raises(ConfigError, match=r"expected a directory outside of .*/m, all of whose files are read"):
        convert(tmp_path / "m", tmp_path / "m" / "inner", "datatrove")
    with pytest.raises(ConfigError, match=r"without token files of another format, found .*/m/part-00000.bin"):
        convert(ours, tmp_path / "m", "datatrove")
    assert {p.name: p.read_bytes() for p in (tmp_path / "m").iterdir() if p.is_file()} == before


def test_files_of_another_conversion_are_named(tmp_path: Path) -> None:
    convert(make(tmp_path, max_tokens=40), tmp_path / "m", "megatron")
    few = tmp_path / "few"
    few.mkdir()
    reports = convert(make(few), tmp_path / "m", "megatron")
    text = r"part-00001.bin, part-00002.bin, part-00003.bin \(\d+ files\) are not of this conversion; remove them"
    assert any(re.search(text, w) for found in reports.values() for r in found for w in r.warnings)
