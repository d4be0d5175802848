"""What is at a place with token files, and what is wrong with it."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path

import numpy as np
import pytest

from dolma_pipeline.config.recipe import Tokenizer
from dolma_pipeline.errors import ConfigError, DataError
from dolma_pipeline.tokens.source import check_ids, open_source, open_tokens, read_range, read_rows
from tests.tokens.token_toys import run_stage, word_tokens, write_shard, write_tokenizer


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    path = write_tokenizer(tmp_path / "tokenizer.json")
    shard = write_shard(tmp_path / "a.jsonl", [("x", "a b"), ("y", "c")])
    run_stage(tmp_path, {"s/a": shard}, word_tokens(path, order="input"))
    return tmp_path / "out"


def bare(directory: Path, *, dtype: str = "<u2", index: bool = True) -> Path:
    """Two files without a manifest, as Dolma leaves them."""
    directory.mkdir()
    for number, tokens in enumerate(([4, 5, 1, 6, 1], [7, 1])):
        np.array(tokens, dtype=dtype).tofile(directory / f"part-{number}-00000.npy")
        if index:
            ends = [i + 1 for i, token in enumerate(tokens) if token == 1]
            rows = "".join(f"{a},{b},d{number}-{a},s,{b}\r\n" for a, b in zip([0, *ends], ends, strict=False))
            (directory / f"part-{number}-00000.csv.gz").write_bytes(gzip.compress(rows.encode()))
    return directory


def test_ours(ours: Path) -> None:
    source = open_source(str(ours))
    assert (source.form, source.dtype, source.vocab_size, source.tokens) == ("dolma", "uint8", 14, 5)
    assert source.tokenizer == Tokenizer(path=str(ours / "tokenizer.json"), eos=1)
    assert [f.name for f in source.files] == ["part-00000"]
    assert open_tokens(source.files[0]).tolist() == [4, 5, 1, 6, 1]
    assert read_range(source.files[0], 1, 4).tolist() == [5, 1, 6]


def test_what_the_manifest_says_cannot_be_said_otherwise(ours: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the manifest of .* says dtype `uint8`, found `uint16` given"):
        open_source(str(ours), dtype="uint16")
    other = Tokenizer(path=str(write_tokenizer(tmp_path / "other.json", extra=1)), eos="</s>")
    with pytest.raises(ConfigError, match=r"the tokenizer in the manifest of .* is another than .*leave it out"):
        open_source(str(ours), tokenizer=other)
    same = Tokenizer(path=str(ours), eos="</s>")
    assert open_source(str(ours), tokenizer=same).digest == open_source(str(ours)).digest


def test_a_file_that_is_not_the_manifests(ours: Path) -> None:
    (ours / "part-00000.npy").write_bytes(b"\4")
    with pytest.raises(DataError, match=r"part-00000\.npy: expected 5 bytes, found 1: the file is not the manifest's"):
        open_source(str(ours))
    (ours / "part-00000.npy").unlink()
    with pytest.raises(DataError, match="expected 5 bytes, found no file"):
        open_source(str(ours))


def test_dolmas_without_a_manifest(tmp_path: Path) -> None:
    directory = bare(tmp_path / "d")
    tokenizer = Tokenizer(path=str(write_tokenizer(tmp_path / "tokenizer.json", extra=300)), eos="</s>")
    source = open_source(str(directory), tokenizer=tokenizer)
    assert (source.dtype, source.vocab_size, source.tokens, source.manifest) == ("uint16", 314, 7, None)
    assert source.tokenizer == Tokenizer(path=tokenizer.path, eos=1)
    ids = [i for f in source.files for rows in read_rows(f) for i in rows.ids.to_pylist()]
    assert ids == ["d0-0", "d0-3", "d1-0"]
    assert open_source(str(directory), dtype="uint16").vocab_size is None


def test_documents_parted_by_eos_where_there_is_no_index(tmp_path: Path) -> None:
    directory = bare(tmp_path / "d", index=False)
    tokenizer = Tokenizer(path=str(write_tokenizer(tmp_path / "tokenizer.json", extra=300)), eos="</s>")
    files = open_source(str(directory), tokenizer=tokenizer).files
    assert [r.ids.to_pylist() for f in files for r in read_rows(f)] == [
        ["part-0-00000-0", "part-0-00000-1"],
        ["part-1-00000-0"],
    ]
    with pytest.raises(ConfigError, match=r"expected part-0-00000\.csv\.gz beside .*name the tokenizer and its `eos`"):
        open_source(str(directory), dtype="uint16")


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64"])
def test_the_index_says_the_type(dtype: str, tmp_path: Path) -> None:
    directory = bare(tmp_path / "d", dtype=np.dtype(dtype).newbyteorder("<").str)
    (directory / "empty.npy").touch()
    (directory / "empty.csv.gz").write_bytes(gzip.compress(b""))
    source = open_source(str(directory))
    assert (source.dtype, source.tokens, source.tokenizer, source.vocab_size) == (dtype, 7, None, None)
    # A tokenizer without an EOS will do, as the index says where documents end; its vocabulary must fit the type.
    tokenizer = Tokenizer(path=str(write_tokenizer(tmp_path / "tokenizer.json", extra=300)))
    if dtype == "uint8":
        with pytest.raises(ConfigError, match=r"holds the ids 0 to 313 of the vocabulary, found `uint8`"):
            open_source(str(directory), tokenizer=tokenizer)
    else:
        found = open_source(str(directory), tokenizer=tokenizer)
        assert (found.dtype, found.vocab_size, found.tokenizer) == (dtype, 314, tokenizer)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    directory = bare(tmp_path / "d")
    without = bare(tmp_path / "e", index=False)
    tokenizer = Tokenizer(path=str(write_tokenizer(tmp_path / "tokenizer.json")))
    with pytest.raises(ConfigError, match=r"where\.tokenizer: expected `eos` or `bos`, found neither"):
        open_source(str(without), tokenizer=tokenizer, where="where")
    (directory / "part-0-00000.csv.gz").write_bytes(gzip.compress(b"0,3,x,s,1\r\n"))
    (directory / "part-1-00000.npy").unlink()
    with pytest.raises(ConfigError, match=r"expected `dtype`, .*: neither the file nor its index says its type"):
        open_source(str(directory))
    directory = bare(tmp_path / "f")
    with pytest.raises(DataError, match="expected a multiple of 4 bytes for uint32, found 10: cut, or another type"):
        open_source(str(directory), dtype="uint32")
    with pytest.raises(ConfigError, match=r"where: expected token files of one format \(.*\) at .*, found none"):
        open_source(str(tmp_path / "nowhere"), where="where")
    (directory / "x.ds").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"found `\*\.npy` and `\*\.ds`"):
        open_source(str(directory), dtype="uint16")
    assert len(open_source(str(directory), dtype="uint16", form="dolma").files) == 2


def test_a_holdout_is_not_read_along(ours: Path) -> None:
    ours.rename(ours.parent / "train")
    with pytest.raises(
        ConfigError, match=r"expected a manifest\.json in .*, found none, but in `.*/train`; name one of"
    ):
        open_source(str(ours.parent))


def test_hidden_directories_are_a_ledgers(tmp_path: Path) -> None:
    directory = bare(tmp_path / "d")
    bare(directory / ".dolma")
    assert len(open_source(str(directory), dtype="uint16").files) == 2


def write_pair(directory: Path, tokens: bytes, code: int = 8, length: int = 2) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "x.bin").write_bytes(tokens)
    head = b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, code, 1, 2)
    (directory / "x.idx").write_bytes(head + struct.pack("<iqqq", length, 0, 0, 1))
    return directory


def test_one_megatron_prefix(tmp_path: Path) -> None:
    directory = write_pair(tmp_path / "m", struct.pack("<2H", 4, 1))
    for path in (directory, directory / "x", directory / "x.bin", directory / "x.idx"):
        source = open_source(str(path))
        assert (source.form, source.dtype, [f.name for f in source.files]) == ("megatron", "uint16", ["x"])


def test_a_cut_bin(tmp_path: Path) -> None:
    directory = write_pair(tmp_path / "m", struct.pack("<2H", 4, 1)[:3])
    with pytest.raises(DataError, match=r"x\.bin: expected a multiple of 2 bytes for uint16, found 3"):
        open_source(str(directory))
    write_pair(directory, struct.pack("<1H", 4))
    file = open_source(str(directory)).files[0]
    with pytest.raises(
        DataError, match=r"sequence 0: expected a range within the 1 tokens of the \.bin, found 2 tokens"
    ):
        list(read_rows(file))
    (directory / "x.idx").unlink()
    with pytest.raises(DataError, match=r"x\.bin: expected its index x\.idx beside it, found none"):
        open_source(str(directory))


def test_ids_that_are_none(tmp_path: Path) -> None:
    file = open_source(str(write_pair(tmp_path / "m", struct.pack("<2i", 4, -1), code=4))).files[0]
    assert (file.dtype, file.signed) == ("uint32", True)
    with pytest.raises(DataError, match="token 11 is -1, outside of the ids that a token can have: read as uint32"):
        check_ids(file, open_tokens(file), 10, None)
    with pytest.raises(DataError, match="token 0 is 4, outside of the vocabulary of 4 ids"):
        check_ids(file, open_tokens(file)[:1], 0, 4)
    check_ids(file, open_tokens(file)[:1], 0, 5)


def test_metadata_of_another_file(tmp_path: Path) -> None:
    (tmp_path / "x.ds").write_bytes(struct.pack("<2H", 4, 1))
    (tmp_path / "x.ds.index").write_bytes(struct.pack("<Q", 2))
    assert open_source(str(tmp_path), dtype="uint16").tokens == 2
    (tmp_path / "x.ds.metadata").write_text("gpt2|2\n3\n3.00 T")
    with pytest.raises(DataError, match=r"x\.ds: expected 3 tokens of uint16, found 4 bytes"):
        open_source(str(tmp_path))
    (tmp_path / "x.ds.metadata").write_text("gpt2|4\n1\n1.00 T")
    with pytest.raises(ConfigError, match=r"x\.ds\.metadata says dtype `uint32`, found `uint16` given"):
        open_source(str(tmp_path), dtype="uint16")


@pytest.mark.parametrize("rows", ["0,1,a,s,1\n1,2,b,s,2\n", "", "0,2,a,s,1\n2,2,b,s,2\n", "0,1,a,s,1\n"])
def test_ids_of_other_files(rows: str, tmp_path: Path) -> None:
    """The csv.gz beside Megatron's files must have its documents, no other, no more, no fewer."""
    directory = write_pair(tmp_path / "m", struct.pack("<2H", 4, 1))
    (directory / "x.csv.gz").write_bytes(gzip.compress(b"0,2,a,s,1\n"))
    file = open_source(str(directory)).files[0]
    assert [r.ids.to_pylist() for r in read_rows(file)] == [["a"]]
    (directory / "x.csv.gz").write_bytes(gzip.compress(rows.encode()))
    with pytest.raises(
        DataError, match=r"x\.csv\.gz: document [01]: expected the documents of .*x\.idx, found another"
    ):
        list(read_rows(file))


def test_a_later_manifest_is_not_guessed_at(ours: Path) -> None:
    manifest = json.loads((ours / "manifest.json").read_text())
    (ours / "manifest.json").write_text(json.dumps(manifest | {"format": 2}))
    with pytest.raises(DataError, match="expected format 1, found 2"):
        open_source(str(ours))


def test_ids_that_the_manifest_denies(ours: Path) -> None:
    path = str(ours / "tokenizer.json")
    with pytest.raises(ConfigError, match=r"the manifest of .* says eos 1, found 4 given"):
        open_source(str(ours), tokenizer=Tokenizer(path=path, eos=4))
    with pytest.raises(ConfigError, match=r"the manifest of .* says that there is no bos, found 4 given"):
        open_source(str(ours), tokenizer=Tokenizer(path=path, bos=4))
    assert open_source(str(ours), tokenizer=Tokenizer(path=path, pad=1)).tokenizer == Tokenizer(path=path, eos=1, pad=1)


def test_rows_that_a_whole_gzip_lacks(ours: Path) -> None:
    index = ours / "part-00000.csv.gz"
    index.write_bytes(gzip.compress(gzip.decompress(index.read_bytes()).splitlines(keepends=True)[0]))
    with pytest.raises(DataError, match=r"part-00000.csv.gz: expected 2 documents, as the manifest says, found 1"):
        list(read_rows(open_source(str(ours)).files[0]))


def test_another_tokenizer_beside_the_manifest(ours: Path) -> None:
    write_tokenizer(ours / "tokenizer.json", extra=1)
    with pytest.raises(
        DataError, match=r"tokenizer.json: expected the tokenizer of the manifest \(BLAKE3 .*found anoth"
    ):
        open_source(str(ours))


def test_a_header_is_not_taken_for_tokens(tmp_path: Path) -> None:
    tokenizer = Tokenizer(path=str(write_tokenizer(tmp_path / "tokenizer.json")), eos=1)
    np.save(tmp_path / "x.npy", np.array([4, 1], dtype="<u2"))
    with pytest.raises(DataError, match=r"x.npy: expected token ids from the first byte on, found a header of NumPy"):
        open_source(str(tmp_path / "x.npy"), tokenizer=tokenizer)
