"""Megatron's index, byte by byte as its specification has it."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dolma_pipeline.errors import DataError
from dolma_pipeline.tokens import megatron
from dolma_pipeline.tokens.megatron import MegatronIndex, write_index


def header(version: int = 1, code: int = 8, sequences: int = 0, indices: int = 1) -> bytes:
    return b"MMIDIDX\0\0" + struct.pack("<QBQQ", version, code, sequences, indices)


def index(lengths: list[int], pointers: list[int], documents: list[int], code: int = 8, modes: bytes = b"") -> bytes:
    return (
        header(code=code, sequences=len(lengths), indices=len(documents))
        + struct.pack(f"<{len(lengths)}i", *lengths)
        + struct.pack(f"<{len(pointers)}q", *pointers)
        + struct.pack(f"<{len(documents)}q", *documents)
        + modes
    )


def rows(path: Path, data: bytes, tokens: int) -> list[tuple[str, int, int]]:
    path.write_bytes(data)
    return [
        (p.ids[i].as_py(), int(p.starts[i]), int(p.lengths[i]))
        for p in MegatronIndex(path).rows("x", tokens)
        for i in range(len(p))
    ]


@pytest.mark.parametrize(
    ("dtype", "code", "size"), [("uint8", 1, 1), ("uint16", 8, 2), ("uint32", 4, 4), ("uint64", 5, 8)]
)
def test_bytes(dtype: str, code: int, size: int, tmp_path: Path) -> None:
    write_index(tmp_path / "x.idx", dtype, np.array([3, 0, 2]))
    assert (tmp_path / "x.idx").read_bytes() == index([3, 0, 2], [0, 3 * size, 3 * size], [0, 1, 2, 3], code)


def test_no_document(tmp_path: Path) -> None:
    write_index(tmp_path / "x.idx", "uint16", np.zeros(0, dtype=np.int64))
    assert (tmp_path / "x.idx").read_bytes() == index([], [], [0])
    assert MegatronIndex(tmp_path / "x.idx").documents == 0


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_documents_of_several_sequences(batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second has none, the third begins behind a gap; sequences of a document follow one another."""
    monkeypatch.setattr(megatron, "BATCH", batch)
    data = index([2, 3, 1, 4], [0, 4, 14, 16], [0, 2, 2, 4])
    found = rows(tmp_path / "x.idx", data, 12)
    assert [(name, length) for name, _, length in found] == [("x-0", 5), ("x-1", 0), ("x-2", 5)]
    assert (found[0][1], found[2][1]) == (0, 7)


def test_modes_are_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "x.idx").write_bytes(index([2, 1], [0, 4], [0, 1, 2], modes=b"\0\1"))
    assert MegatronIndex(tmp_path / "x.idx").multimodal


@pytest.mark.parametrize("batch", [1, 100])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"PK\3\4 and so on and on and on", r"expected an index that begins with `MMIDIDX`, found b'PK\x03\x04 and '"),
        (header()[:20], "expected a header of 34 bytes, found 20: the file was cut"),
        (header(version=2) + bytes(8), "expected version 1, found 2"),
        (header(code=7) + bytes(8), "expected token ids of a whole-number type, found `float32`"),
        (header(code=99) + bytes(8), "expected token ids of a whole-number type, found `code 99`"),
        (index([2, 1], [0, 4], [0, 1, 2])[:-1], "expected 82 bytes for 2 sequences and 3 document indices, found 81"),
        (index([2, 1], [0, 4], [0, 1, 1]), "expected document indices that rise from 0 to 2, the sequences there are"),
        (index([2, 1], [0, 4], [0, 2, 1, 2]), "expected document indices that rise from 0 to 2"),
        (index([2, 1], [0, 4], [0, 9, 1, 2]), "expected document indices that rise from 0 to 2"),
        (index([2, 2], [0, 4], [0, 1, 2]), "sequence 1: expected a range within the 3 tokens of the .bin, found 2 "
         "tokens from byte 4"),
        (index([2, -1], [0, 4], [0, 1, 2]), "sequence 1: expected a range within the 3 tokens"),
        (index([2, 1], [0, 3], [0, 1, 2]), "sequence 1: expected a range within the 3 tokens"),
        (index([1, 1], [0, 4], [0, 2]), "sequence 1: expected the sequences of a document one after the other, "
         "found it at byte 4, where the one before it ends at 2"),
    ],
)  # fmt: skip
def test_bad_indexes(data: bytes, message: str, batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(megatron, "BATCH", batch)
    with pytest.raises(DataError) as error:
        rows(tmp_path / "x.idx", data, 3)
    assert str(error.value).startswith(f"{tmp_path / 'x.idx'}: {message}")


def test_a_document_that_is_too_long_for_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"document 1: expected at most 2147483647 tokens, .*, found 2147483648"):
        write_index(tmp_path / "x.idx", "uint16", np.array([1, 2**31]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(place=st.integers(0, 200), value=st.integers(0, 255), cut=st.integers(0, 200), batch=st.integers(1, 3))
def test_whatever_byte_is_changed(tmp_path: Path, place: int, value: int, cut: int, batch: int) -> None:
    """Reading gives documents within the tokens, or raises DataError: no other error, and no tokens beyond the end."""
    data = bytearray(index([2, 3, 1], [0, 4, 10], [0, 2, 2, 3]))
    data[place % len(data)] = value
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(megatron, "BATCH", batch)
        try:
            found = rows(tmp_path / "x.idx", bytes(data[: max(1, len(data) - cut)] if cut < 20 else data), 6)
        except DataError:
            return
    assert all(0 <= start <= start + length <= 6 for _, start, length in found)
