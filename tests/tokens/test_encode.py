"""Encoding a shard: the rules for texts, boundaries, splits and the account."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from dolma_pipeline.config.recipe import Tokenizer
from dolma_pipeline.engine.shared_reading import run_fused
from dolma_pipeline.engine.task import Context, Report, make_task
from dolma_pipeline.errors import ConfigError, DataError
from dolma_pipeline.formats.documents import read_documents
from dolma_pipeline.tokens.encode import EncodedSplit, EncodeOp, EncodeShard, ShardEncoder
from dolma_pipeline.tokens.encoded import Encoded
from dolma_pipeline.tokens.engine import load_engine
from dolma_pipeline.tokens.fast import FastEngine
from dolma_pipeline.tokens.reference import ReferenceEngine
from dolma_pipeline.tokens.shard import ShardIndex
from tests.tokens import adversarial
from tests.tokens.token_toys import Document, letters, write_byte_tokenizer, write_shard, write_tokenizer


def config(tmp_path: Path, documents: Sequence[Document] | Path, **changes: object) -> EncodeShard:
    path = documents if isinstance(documents, Path) else write_shard(tmp_path / "f.jsonl", documents)
    base = EncodeShard(
        source="s",
        path=str(path),
        label="s/f.jsonl",
        output=str(tmp_path / "scratch" / "f"),
        tokenizer_path=str(write_tokenizer(tmp_path / "tokenizer.json")),
        tokenizer=Tokenizer(path="given", eos="</s>"),
        seed=17,
        order="input",
    )
    return msgspec.structs.replace(base, **changes)


def encode_shard(settings: EncodeShard, context: Context) -> Report:
    """Encodes in a reading that nobody shares."""
    task = make_task("encode", "f", EncodeOp, settings, [settings.path], version=1)
    (report,) = run_fused([task], context)
    return report


def index(report: Report, split: str = "train") -> ShardIndex:
    return ShardIndex(msgspec.convert(report.details[split], EncodedSplit).files)


def documents(report: Report, split: str = "train") -> list[tuple[str, int, list[int]]]:
    """(id, line, tokens) in the order of the file."""
    found = index(report, split)
    return [
        (name, line, found.read(i, i + 1).tolist())
        for i, (name, line) in enumerate(zip(found.ids.to_pylist(), found.lines.tolist(), strict=True))
    ]


def test_texts_are_stripped_encoded_and_ended(tmp_path: Path) -> None:
    report = encode_shard(config(tmp_path, [("x", " \n a b\u00a0"), ("y", "c")]), Context())
    assert documents(report) == [("x", 1, [4, 5, 1]), ("y", 2, [6, 1])]


def test_empty_documents_are_dropped_and_counted(tmp_path: Path) -> None:
    report = encode_shard(config(tmp_path, [("x", ""), ("y", " \n\t"), ("z", "a"), ("u", "\u2003")]), Context())
    assert documents(report) == [("z", 3, [4, 1])]
    counts = report.counts["s"]
    assert (counts.documents_in, counts.documents_out, counts.dropped) == (4, 1, {"empty": 3})
    assert counts.balanced


def test_documents_shorter_than_any_bucket_are_dropped_and_counted(tmp_path: Path) -> None:
    rows = [("x", "a b c"), ("y", "a"), ("z", ""), ("u", "d e"), ("v", "b")]
    report = encode_shard(config(tmp_path, rows, min_tokens=3), Context())
    assert documents(report) == [("x", 1, [4, 5, 6, 1]), ("u", 4, [7, 8, 1])]
    counts = report.counts["s"]
    assert (counts.documents_out, counts.tokens) == (2, 7)
    assert counts.dropped == {"empty": 1, "shorter_than_bucket": 2}
    assert counts.balanced


def test_boundaries_that_stand_in_the_text(tmp_path: Path) -> None:
    given = Tokenizer(path="given", bos="<s>", eos="</s>")
    rows = [("x", "<s> a </s>"), ("y", "a"), ("z", "</s>")]
    report = encode_shard(config(tmp_path, rows, tokenizer=given), Context())
    assert [t for _, _, t in documents(report)] == [[0, 4, 1], [0, 4, 1], [0, 1]]


def test_special_tokens_as_text_do_not_count_as_boundaries(tmp_path: Path) -> None:
    path = str(write_byte_tokenizer(tmp_path / "bytes.json"))
    lengths = {}
    for as_text in (False, True):
        given = Tokenizer(path="given", eos="<eos>", encode_special_tokens=as_text)
        report = encode_shard(config(tmp_path, [("x", "a<eos>")], tokenizer_path=path, tokenizer=given), Context())
        lengths[as_text] = len(documents(report)[0][2])
    assert lengths == {False: 2, True: 7}


def test_the_account_by_source_and_split(tmp_path: Path) -> None:
    rows = [{"id": f"d{i}", "text": "é b", "source": ["web", None][i % 2]} for i in range(40)]
    path = tmp_path / "f.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    report = encode_shard(config(tmp_path, path, holdout=0.5), Context())
    train = {name: amount["documents"] for name, amount in report.details["train"]["sources"].items()}
    aside = {name: amount["documents"] for name, amount in report.details["validation"]["sources"].items()}
    assert {name: train[name] + aside[name] for name in train} == {"web": 20, "s": 20}
    assert report.details["train"]["sources"]["web"] == {
        "documents": train["web"],
        "tokens": 3 * train["web"],
        "text_bytes": 4 * train["web"],
    }
    counts = report.counts["s"]
    assert (counts.documents_in, counts.documents_out, counts.tokens, counts.bytes_out) == (40, 40, 120, 160)


def test_held_out_documents_are_disjoint_stable_and_keep_copies_together(tmp_path: Path) -> None:
    def split(rows: list[Document]) -> tuple[list[str], list[str]]:
        report = encode_shard(config(tmp_path, rows, holdout=0.3), Context())
        return index(report).ids.to_pylist(), index(report, "validation").ids.to_pylist()

    train, aside = split(letters(100))
    assert len(train) + len(aside) == 100
    assert 15 < len(aside) < 45
    assert not set(train) & set(aside)
    more_train, more_aside = split(letters(50, first=100) + letters(100) + letters(20))
    assert set(train) <= set(more_train)
    assert set(aside) <= set(more_aside)
    assert not set(more_train) & set(more_aside)


def test_without_a_holdout_there_is_one_split(tmp_path: Path) -> None:
    report = encode_shard(config(tmp_path, letters(3)), Context())
    assert list(report.details) == ["train", "engine"]
    assert [Path(o.path).name for o in report.outputs] == ["f.train.arrow", "f.train.tokens"]


def test_copies_have_places_of_their_own(tmp_path: Path) -> None:
    report = encode_shard(config(tmp_path, [("x", "a")] * 50, order="shuffle"), Context())
    found = index(report)
    assert len(set(found.keys.tolist())) == 50
    assert sorted(found.lines.tolist()) == list(range(1, 51))
    assert found.lines.tolist() != list(range(1, 51))


def test_the_seed_changes_the_order_and_nothing_else(tmp_path: Path) -> None:
    orders = [
        documents(encode_shard(config(tmp_path, letters(50), order="shuffle", seed=seed), Context())) for seed in (1, 2)
    ]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])


def test_bad_lines_are_set_aside_and_a_damaged_file_keeps_what_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl.gz"
    texts = [hashlib.sha256(b"%d" % i).hexdigest() for i in range(500)]
    rows = [{"id": "bad"}, *({"id": f"d{i}", "text": text} for i, text in enumerate(texts))]
    packed = gzip.compress("".join(json.dumps(r) + "\n" for r in rows).encode())
    path.write_bytes(packed[: len(packed) // 2])
    quarantine = tmp_path / "quarantine.jsonl"
    report = encode_shard(config(tmp_path, path, quarantine=str(quarantine)), Context())
    counts = report.counts["s"]
    assert counts.quarantined >= 1
    assert 100 < counts.documents_out < 400
    assert counts.balanced
    assert json.loads(quarantine.read_text().splitlines()[0])["line"] == 1
    assert str(quarantine) in [o.path for o in report.outputs]
    assert report.warnings[0].startswith(f"{path}: ")


def test_other_fields_for_text_and_id(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    row = {"id": "d", "text": "a", "metadata": {"abstract": "b c", "key": "k"}}
    other = {"id": "e", "text": "a", "metadata": {"abstract": "d"}}
    path.write_text(json.dumps(row) + "\n" + json.dumps(other) + "\n")
    changes = {"text_field": "metadata.abstract", "id_field": "metadata.key"}
    assert documents(encode_shard(config(tmp_path, path, **changes), Context())) == [
        ("k", 1, [5, 6, 1]),
        ("", 2, [7, 1]),
    ]
    report = encode_shard(config(tmp_path, path, id_field=None), Context())
    name = hashlib.sha256(b"s/f.jsonl").hexdigest()
    assert [i for i, _, _ in documents(report)] == [f"{name}-1", f"{name}-2"]


def test_the_type_follows_the_vocabulary(tmp_path: Path) -> None:
    report = encode_shard(config(tmp_path, [("x", "a")]), Context())
    assert (index(report).dtype, Path(report.outputs[1].path).read_bytes()) == (np.dtype("u1"), b"\x04\x01")
    report = encode_shard(config(tmp_path, [("x", "a")], dtype="uint16"), Context())
    assert (index(report).dtype, Path(report.outputs[1].path).read_bytes()) == (np.dtype("<u2"), b"\x04\0\x01\0")
    large = write_tokenizer(tmp_path / "large.json", extra=65_536)
    report = encode_shard(config(tmp_path, [("x", "w65530")], tokenizer_path=str(large)), Context())
    assert documents(report) == [("x", 1, [65_544, 1])]
    assert index(report).dtype == np.dtype("<u4")
    with pytest.raises(ConfigError, match=r"\$\.dtype: expected a type that holds the ids 0 to 65549"):
        encode_shard(config(tmp_path, [("x", "a")], tokenizer_path=str(large), dtype="uint16"), Context())


def bpe(path: Path) -> str:
    return str(write_byte_tokenizer(path))


@pytest.mark.parametrize("given", [Tokenizer(path="g", eos="<eos>"), Tokenizer(path="g", bos="<eos>", eos=7)])
def test_the_same_bytes_with_either_engine(tmp_path: Path, given: Tokenizer) -> None:
    rows = [(f"d{i}", text) for i, text in enumerate(adversarial.texts(["<eos>"], 300))]
    path = tmp_path / "f.jsonl"
    path.write_text("".join(json.dumps({"id": i, "text": t, "source": i[-1]}) + "\n" for i, t in rows))
    made = {}
    for engine in ("fast", "reference"):
        tokenizer = msgspec.structs.replace(given, engine=engine)
        changes = {"tokenizer_path": bpe(tmp_path / "b.json"), "order": "shuffle", "holdout": 0.3}
        report = encode_shard(config(tmp_path, path, tokenizer=tokenizer, **changes), Context())
        assert report.details.pop("engine") == engine
        made[engine] = (report, [Path(o.path).read_bytes() for o in report.outputs])
    assert made["fast"] == made["reference"]


class Wrong(FastEngine):
    """A fast engine that has an id wrong."""

    def encode_batch(self, texts: list[str]) -> list[NDArray[np.uint32]]:
        return [np.where(ids == 7, 8, ids).astype(np.uint32) for ids in super().encode_batch(texts)]

    def encode(self, texts: pa.LargeStringArray, *, bos: int | None = None, eos: int | None = None) -> Encoded:
        raise AssertionError("encodes although it is wrong")


def test_a_shard_on_which_the_engine_is_wrong_is_encoded_by_the_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Wrong, "agrees", lambda self, texts: None)
    path = Path(bpe(tmp_path / "b.json"))
    engine = Wrong(path, ReferenceEngine(path))
    monkeypatch.undo()
    changes = {"tokenizer_path": str(path), "tokenizer": Tokenizer(path="g", eos="<eos>")}
    settings = config(tmp_path, [("x", "ab"), ("y", "c(d")], **changes)
    expected = encode_shard(settings, Context())
    encoder = ShardEncoder(settings, engine)
    for batch in read_documents(settings.path):
        encoder.add(batch)
    assert encoder.finish()["train"] == msgspec.convert(expected.details["train"], EncodedSplit)
    assert (encoder.engine.name, encoder.engine.warning) == (
        "reference",
        f"{settings.path}: the fast engine gives other ids than `tokenizers`, [8, 67] instead of [7, 67] at token 1 of "
        "the text 'c(d'; the shard was encoded by `tokenizers`",
    )
    only = msgspec.structs.replace(settings, tokenizer=Tokenizer(path="g", eos="<eos>", engine="fast"))
    with pytest.raises(DataError, match=r"at token 1 of the text 'c\(d'; `engine: auto` or `reference` would do"):
        for batch in read_documents(settings.path):
            ShardEncoder(only, engine).add(batch)


def test_a_tokenizer_beyond_the_fast_engine_is_said_aloud(tmp_path: Path) -> None:
    report = encode_shard(config(tmp_path, letters(3)), Context())
    assert report.details["engine"] == "reference"
    assert report.warnings == [
        f"{tmp_path / 'tokenizer.json'}: encoded by the `tokenizers` library, which is slower: "
        "expected a model of type BPE, found WordLevel"
    ]
    chosen = Tokenizer(path="given", eos="</s>", engine="reference")
    assert encode_shard(config(tmp_path, letters(3), tokenizer=chosen), Context()).warnings == []


class Overflowing(ReferenceEngine):
    """An engine whose second document has an id beyond its vocabulary."""

    def encode(self, texts: pa.LargeStringArray, *, bos: int | None = None, eos: int | None = None) -> Encoded:
        return Encoded(np.array([4, 1, 4, 300, 1], np.uint32), np.array([2, 3]), np.array([1, 1]))


def test_an_id_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    settings = config(tmp_path, letters(2))
    encoder = ShardEncoder(settings, Overflowing(Path(settings.tokenizer_path)))
    with pytest.raises(DataError) as error:
        for batch in read_documents(settings.path):
            encoder.add(batch)
    assert str(error.value) == (
        f"{settings.path}: line 2: expected token ids up to 255, which is what `uint8` holds, "
        "found 300 in document `d1`"
    )
    encoder.abort()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_an_empty_shard_makes_empty_files(tmp_path: Path) -> None:
    report = encode_shard(config(tmp_path, [], holdout=0.5), Context())
    assert (documents(report), documents(report, "validation")) == ([], [])
    assert report.counts["s"].documents_in == 0


def test_a_run_that_fails_leaves_nothing_half_written(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"f\.jsonl"):
        encode_shard(config(tmp_path, tmp_path / "f.jsonl"), Context())
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_file_that_cannot_be_read_gives_no_documents_and_a_warning(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["x"]}), tmp_path / "f.parquet")
    settings = config(tmp_path, tmp_path / "f.parquet")
    settings = msgspec.structs.replace(settings, quarantine=str(tmp_path / "q.jsonl"))
    report = encode_shard(settings, Context())
    assert documents(report) == []
    assert report.warnings[0].startswith(f"{tmp_path}/f.parquet: the file cannot be read: expected a column `text`")


def test_encodes_as_the_engine_does_one_by_one(tmp_path: Path) -> None:
    settings = config(tmp_path, letters(30))
    engine = load_engine(settings.tokenizer_path)
    expected = [[*engine.encode_batch([text])[0].tolist(), 1] for _, text in letters(30)]
    assert [t for _, _, t in documents(encode_shard(settings, Context()))] == expected
