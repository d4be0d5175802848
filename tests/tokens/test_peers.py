"""OLMo's and OLMo-core's loaders, Megatron and datatrove read what is written here, and what they write is read.

They run in an environment of their own: `scripts/olmo_environment.sh DIR`, then DOLMA_OLMO_VENV=DIR.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dolma_pipeline.config.recipe import Convert, Pack, Recipe, Reshard, Source, Stage, Tokenizer, Tokens
from dolma_pipeline.tokens.datatrove import for_people
from dolma_pipeline.tokens.inspect import read_places, read_tokens
from dolma_pipeline.tokens.manifest import Manifest, read_manifest
from dolma_pipeline.tokens.source import open_source, read_rows
from dolma_pipeline.train.data import Instances, epoch_order
from tests import needs
from tests.tokens.token_toys import letters, run_recipe, run_stage, write_shard, write_tokenizer

LENGTH = 16
Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    """Answers of the peers: `ask("function of peer_server", **given)`."""
    environment = os.environ.get("DOLMA_OLMO_VENV")
    if not environment:
        needs.skip(
            "$DOLMA_OLMO_VENV names no environment of peers, which scripts/olmo_environment.sh builds",
            "DOLMA_OLMO_VENV=DIR make parity",
        )
    command = [f"{environment}/bin/python", str(Path(__file__).with_name("peer_server.py"))]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdin is not None
    assert server.stdout is not None

    def question(do: str, **given: Any) -> Any:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(json.dumps({"do": do, **given}) + "\n")
        server.stdin.flush()
        answer = server.stdout.readline()
        assert answer, f"{do}: the peer failed, see its traceback"
        return json.loads(answer)

    yield question
    server.stdin.close()
    server.wait()


@pytest.fixture(scope="module", params=["uint16", "uint32"])
def tokens(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three files of 300 documents, in a vocabulary that needs uint16."""
    work = tmp_path_factory.mktemp(request.param)
    path = write_tokenizer(work / "tokenizer.json", extra=400)
    documents = letters(300) + [(f"w{n}", f"w{n} w{399 - n}") for n in range(100)]
    shard = write_shard(work / "a.jsonl", documents)
    tokenizer = Tokenizer(path=str(path), eos="</s>", pad="<pad>")
    run_stage(work, {"s/a": shard}, Tokens(tokenizer=tokenizer, dtype=request.param, max_tokens=700))
    return work / "out"


def paths(directory: Path) -> list[str]:
    return [str(directory / f.path) for f in read_manifest(directory).files]


def given(directory: Path, length: int = LENGTH) -> dict[str, Any]:
    manifest = read_manifest(directory)
    return {
        "paths": paths(directory),
        "dtype": manifest.dtype,
        "length": length,
        "eos": manifest.eos_token_id,
        "pad": manifest.pad_token_id,
        "vocab_size": manifest.vocab_size,
        "masks": None,
    }


def ours(directory: Path, length: int = LENGTH) -> list[list[int]]:
    instances = Instances(directory, length)
    found: list[list[int]] = instances.read(np.arange(len(instances))).tolist()
    return found


def document_lengths(directory: Path, length: int = LENGTH) -> list[list[int]]:
    """Lengths of the pieces of documents in each instance, by our index."""
    found = []
    places = list(read_places(directory))
    for file in read_manifest(directory).files:
        ends = {p.end for p in places if p.file == file.path}
        for start in range(0, file.tokens // length * length, length):
            cuts = [start, *(e for e in range(start + 1, start + length) if e in ends), start + length]
            found.append([b - a for a, b in itertools.pairwise(cuts)])
    return found


def write_masks(directory: Path, where: Path) -> tuple[list[str], list[list[bool]]]:
    """A mask for each file, false on the first token of each document; and the masks of the instances."""
    files, masks = [], []
    for file in read_manifest(directory).files:
        mask: NDArray[np.bool_] = np.ones(file.tokens, dtype=np.bool_)
        mask[[p.start for p in read_places(directory) if p.file == file.path]] = False
        path = where / f"{file.path}.mask"
        mask.tofile(path)
        files.append(str(path))
        masks += mask[: len(mask) // LENGTH * LENGTH].reshape(-1, LENGTH).tolist()
    return files, masks


@pytest.mark.parametrize("reader", ["olmo_memmap", "core_fixed"])
def test_instances(reader: str, tokens: Path, ask: Ask, tmp_path: Path) -> None:
    masks, expected_masks = write_masks(tokens, tmp_path)
    found = ask(reader, **(given(tokens) | {"masks": masks}))
    assert len(found["input_ids"]) > 100
    assert found["input_ids"] == ours(tokens)
    assert found["doc_lens"] == document_lengths(tokens)
    assert found["label_mask"] == expected_masks


@pytest.mark.parametrize(
    ("seed", "epoch", "world", "drop_last"), [(6198, 0, 4, False), (1, 3, 4, True), (0, 0, 1, True)]
)
def test_order(seed: int, epoch: int, world: int, drop_last: bool, tokens: Path, ask: Ask) -> None:
    settings = {"seed": seed, "epoch": epoch, "world": world, "drop_last": drop_last}
    found = ask("olmo_order", **given(tokens), **settings)
    expected = epoch_order(len(Instances(tokens, LENGTH)), seed, epoch, world, drop_last=drop_last).tolist()
    assert found["global"] == expected
    assert found["ranks"] == [expected[rank::world] for rank in range(world)]


def test_documents(tokens: Path, ask: Ask) -> None:
    places = [
        [x for p in read_places(tokens) if p.file == file.path for x in (p.start, p.end)]
        for file in read_manifest(tokens).files
    ]
    found = ask("core_documents", **given(tokens))
    assert found["index"] == places
    assert found["eos"] == places


def test_packed_documents_are_whole(tokens: Path, ask: Ask, tmp_path: Path) -> None:
    found = ask("core_packed", **given(tokens), work_dir=str(tmp_path))
    pad = read_manifest(tokens).pad_token_id
    packed = []
    for row, lengths in zip(found["input_ids"], found["doc_lens"], strict=True):
        cuts = [0, *itertools.accumulate(lengths)]
        packed += [d for a, b in itertools.pairwise(cuts) if (d := [t for t in row[a:b] if t != pad])]
    documents = [read_tokens(tokens, p.file, p.start, p.end).tolist() for p in read_places(tokens)]
    assert sorted(packed) == sorted(documents)


def convert(directory: Path, work: Path, to: str, **options: Any) -> Path:
    stage = Stage(convert=Convert(to=to, destination=str(work / "out"), **options))  # type: ignore[arg-type]
    run_recipe(Recipe(name="toy", work_dir=str(work), sources={"s": Source(tokens=str(directory))}, stages=[stage]))
    return work / "out"


def documents_of(directory: Path) -> list[list[int]]:
    return [read_tokens(directory, p.file, p.start, p.end).tolist() for p in read_places(directory)]


def test_megatron_reads_ours(tokens: Path, ask: Ask, tmp_path: Path) -> None:
    out = convert(tokens, tmp_path, "megatron")
    found: list[list[int]] = []
    for file in read_manifest(tokens).files:
        answer = ask("megatron_read", prefix=str(out / file.path.removesuffix(".npy")))
        assert answer["dtype"] == {"uint16": "uint16", "uint32": "int32"}[read_manifest(tokens).dtype]
        assert answer["documents"] == list(range(file.documents + 1))
        assert answer["mapped"] == answer["read"]
        found += answer["mapped"]
    assert found == documents_of(tokens)


@pytest.mark.parametrize("dtype", ["uint16", "int32"])
def test_ours_reads_megatron(dtype: str, ask: Ask, tmp_path: Path) -> None:
    documents = [[[4, 5], [6, 1]], [[7, 1]], [[8, 9, 10], [11], [12, 1]]]
    (tmp_path / "in").mkdir()
    ask("megatron_write", prefix=str(tmp_path / "in" / "x"), documents=documents, dtype=dtype)
    tokenizer = Tokenizer(path=str(write_tokenizer(tmp_path / "tokenizer.json", extra=400)), eos="</s>")
    out = convert(tmp_path / "in", tmp_path / "w", "dolma", tokenizer=tokenizer)
    assert documents_of(out) == [[4, 5, 6, 1], [7, 1], [8, 9, 10, 11, 12, 1]]
    assert [p.id for p in read_places(out)] == ["x-0", "x-1", "x-2"]
    assert read_manifest(out).dtype == "uint16"


def test_datatrove_reads_ours(tokens: Path, ask: Ask, tmp_path: Path) -> None:
    out = convert(tokens, tmp_path, "datatrove")
    size = np.dtype(read_manifest(tokens).dtype).itemsize
    for file in read_manifest(tokens).files:
        found = ask("datatrove_read", path=str(out / file.path.replace(".npy", ".ds")), length=LENGTH, size=size)
        mine = read_tokens(tokens, file.path)
        assert found["input_ids"] == mine[: len(mine) // LENGTH * LENGTH].reshape(-1, LENGTH).tolist()
        # Positions begin at 0 in each window, whatever document it begins in.
        starts = {p.start for p in read_places(tokens) if p.file == file.path}
        for number, row in enumerate(found["positions"]):
            position, expected = -1, []
            for token in range(number * LENGTH, (number + 1) * LENGTH):
                position = 0 if token in starts else position + 1
                expected.append(position)
            assert row == expected


def test_datatrove_merges_ours(tokens: Path, ask: Ask, tmp_path: Path) -> None:
    out = convert(tokens, tmp_path / "a", "datatrove")
    only = tmp_path / "only"
    only.mkdir()
    for path in sorted(out.glob("*.ds*")):
        (only / path.name).write_bytes(path.read_bytes())
    ask("datatrove_merge", directory=str(only), output=str(tmp_path / "merged"))
    back = convert(tmp_path / "merged", tmp_path / "b", "dolma", source_dtype=read_manifest(tokens).dtype)
    merged = [t for f in sorted(back.glob("*.npy")) for t in np.fromfile(f, read_manifest(tokens).dtype).tolist()]
    assert merged == [t for d in documents_of(tokens) for t in d]


@pytest.mark.parametrize("size", [2, 4])
def test_ours_reads_datatrove(size: int, ask: Ask, tmp_path: Path) -> None:
    documents = [[4, 5, 1], [6, 1], [7, 8, 9, 1]]
    (tmp_path / "in").mkdir()
    ask("datatrove_write", directory=str(tmp_path / "in"), name="00000_x.ds", documents=documents, size=size,
        tokenizer="mine")  # fmt: skip
    source = open_source(str(tmp_path / "in"))
    assert (source.form, source.dtype, source.tokens) == ("datatrove", f"uint{8 * size}", 9)
    rows = next(read_rows(source.files[0]))
    assert rows.ids.to_pylist() == ["00000_x-0", "00000_x-1", "00000_x-2"]
    assert rows.lengths.tolist() == [3, 2, 4]


def test_counts_for_people(ask: Ask) -> None:
    numbers = [0, 1, 9, 10, 999, 1000, 1234, 99_999, 12_345_678, 10**12, 123_456_789_012_345]
    assert [for_people(n) for n in numbers] == ask("people", numbers=numbers)


def test_resharded_files_too(tokens: Path, ask: Ask, tmp_path: Path) -> None:
    stage = Stage(reshard=Reshard(rates={"s": 1.5}, max_tokens=1000, destination=str(tmp_path / "out")))
    run_recipe(Recipe(name="toy", work_dir=str(tmp_path), sources={"s": Source(tokens=str(tokens))}, stages=[stage]))
    out = tmp_path / "out"
    for reader in ("olmo_memmap", "core_fixed"):
        found = ask(reader, **given(out))
        assert found["input_ids"] == ours(out)
        assert found["doc_lens"] == document_lengths(out)


def test_packed_files_with_their_masks(ask: Ask, tmp_path: Path) -> None:
    """Instances and label masks as the trainer reads them."""
    path = write_tokenizer(tmp_path / "tokenizer.json", extra=400)
    tokenizer = Tokenizer(path=str(path), eos="</s>", pad="<pad>")
    shard = write_shard(tmp_path / "a.jsonl", letters(300))
    pack = Pack(length=LENGTH, mask_first=True)
    run_stage(tmp_path, {"s/a": shard}, Tokens(tokenizer=tokenizer, max_tokens=800, pack=pack))
    out = tmp_path / "out"
    masks = [str(out / (f.mask or "")) for f in read_manifest(out).files]
    assert len(masks) > 1
    instances = Instances(out, LENGTH)
    expected = instances.read_mask(np.arange(len(instances))).tolist()
    for reader in ("olmo_memmap", "core_fixed"):
        found = ask(reader, **(given(out) | {"masks": masks}))
        assert found["input_ids"] == ours(out)
        assert found["label_mask"] == expected


@pytest.mark.data
def test_real_documents(ask: Ask, shared_data: Path, tmp_path: Path) -> None:
    """Every instance of a collection, in a tokenizer that is trained on it."""
    from tests.tokens.token_toys import trained_tokens

    shards = {f"m/{p.name}": p for p in sorted((shared_data / "manpages" / "documents").glob("*.gz"))}
    run_stage(tmp_path, shards, trained_tokens(8000, max_tokens=1_000_000))
    out = tmp_path / "out"
    manifest: Manifest = read_manifest(out)
    assert manifest.tokens > 1_000_000
    for reader in ("olmo_memmap", "core_fixed"):
        found = ask(reader, **given(out, 512))
        assert found["input_ids"] == ours(out, 512)
        assert [sum(lengths) for lengths in found["doc_lens"]] == [512] * len(found["input_ids"])
