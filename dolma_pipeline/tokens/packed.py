"""Writing a packed part: its instances, the table of its pieces and its label mask, one file or one for each bucket."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import Struct
from numpy.typing import NDArray

from dolma_pipeline import _native
from dolma_pipeline.config.recipe import Pack
from dolma_pipeline.engine.task import Output, Report
from dolma_pipeline.errors import StageError
from dolma_pipeline.io.atomic import atomic_path, make_empty, output, publishing
from dolma_pipeline.io.writing import write_array
from dolma_pipeline.tokens.amount import PackedAmount
from dolma_pipeline.tokens.manifest import TokenFile
from dolma_pipeline.tokens.merge import TOKENS, Merge
from dolma_pipeline.tokens.packing import Integers, Layout, kept_tokens, lay_out
from dolma_pipeline.tokens.parts import Part, Parts

ROWS = 1 << 18
"""Rows of a table in memory, with their ids."""
MASKED = 1 << 24
"""Labels of a mask in memory."""


@dataclass(frozen=True)
class Documents:
    """The documents of a part in their order: where each is, its place in the shuffle, and its tokens."""

    shards: Integers
    rows: Integers
    keys: NDArray[np.uint64]
    lengths: Integers


class PackedFile(Struct, frozen=True):
    """Where the files of a layout go."""

    tokens: Path
    index: Path
    mask: Path | None

    @property
    def paths(self) -> list[Path]:
        return [p for p in (self.tokens, self.index, self.mask) if p is not None]


def write_packed(parts: Parts, merge: Merge, part: Part, name: str, directory: Path) -> Report:
    """Writes `<name>.npy`, `<name>.csv.gz` and `<name>.mask`; of buckets into `bucket-<length>/`.

    A mask has a byte for each token, as OLMo's `label_mask_paths` have it: 1 where it is to be learnt. It is not called
    `.npy`, so that a glob of token files does not find it. `details`: {"files": [TokenFile], "packed": PackedAmount}.

    Memory: some 100 bytes for each document of the part; of the tokens a chunk at a time is read and put in place.
    """
    assert parts.pack is not None
    documents = _documents(merge, part)
    layouts = lay_out(documents.lengths, documents.keys, parts.pack, parts.order)
    found = len(documents.rows), int(documents.lengths.sum()), sum(x.tokens for x in layouts)
    if found != (part.documents, part.tokens, part.packed):
        raise StageError(
            f"{directory / name}: expected {part.documents} documents of {part.tokens} tokens, packed {part.packed}, "
            f"as planned, found {found[0]} of {found[1]}, packed {found[2]}: the encoded shards have changed since; "
            "run again"
        )
    files = [_files(directory, name, layout, parts.pack) for layout in layouts]
    _write_tokens(merge, part, layouts, [f.tokens for f in files], parts.pad)
    listed, outputs = [], []
    for layout, file in zip(layouts, files, strict=True):
        tokens = output(file.tokens)
        index = _write_index(merge, documents, layout, file.index)
        mask = _write_mask(layout, file.mask, parts.pack.mask_first) if file.mask is not None else None
        outputs += [o for o in (tokens, index, mask) if o is not None]
        listed.append(
            TokenFile(
                path=file.tokens.relative_to(directory).as_posix(),
                index=file.index.relative_to(directory).as_posix(),
                tokens=layout.tokens,
                documents=int((layout.pieces.starts == 0).sum()),
                bytes=tokens.bytes,
                blake3=tokens.blake3,
                instance_length=layout.length,
                padding=layout.padding,
                mask=file.mask.relative_to(directory).as_posix() if file.mask is not None else None,
                mask_blake3=mask.blake3 if mask is not None else None,
            )
        )
    packed = _amount(documents, layouts, parts.pack)
    details = {"files": msgspec.to_builtins(listed), "packed": msgspec.to_builtins(packed)}
    return Report(outputs=outputs, details=details)


def _documents(merge: Merge, part: Part) -> Documents:
    chunks = list(merge.chunks(part.first, part.end))
    return Documents(
        shards=np.concatenate([c.shards for c in chunks]),
        rows=np.concatenate([c.rows for c in chunks]),
        keys=np.concatenate([c.keys for c in chunks]),
        lengths=np.concatenate([c.lengths for c in chunks]),
    )


def _files(directory: Path, name: str, layout: Layout, pack: Pack) -> PackedFile:
    base = directory / f"bucket-{layout.length}" if pack.by == "bucket" else directory
    mask = base / f"{name}.mask" if pack.label_mask else None
    return PackedFile(tokens=base / f"{name}.npy", index=base / f"{name}.csv.gz", mask=mask)


def _write_tokens(merge: Merge, part: Part, layouts: list[Layout], paths: list[Path], pad: int | None) -> None:
    """Reads the part once, in order; pieces go to their places, all over the files."""
    with ExitStack() as stack:
        raw = [stack.enter_context(atomic_path(p)) for p in paths]
        dtype = merge.shards[0].dtype
        for layout, path in zip(layouts, raw, strict=True):
            make_empty(path, layout.tokens * dtype.itemsize)
        before = 0
        for chunk in merge.chunks(part.first, part.end, tokens=TOKENS):
            tokens, starts = merge.read(chunk)
            for layout, path in zip(layouts, raw, strict=True):
                pieces = layout.pieces
                low, high = np.searchsorted(pieces.documents, [before, before + len(chunk)]).tolist()
                # In the order of places, which halves the time of the writing.
                mine = low + np.argsort(layout.places[low:high])
                first = starts[pieces.documents[mine] - before] + pieces.starts[mine]
                _scatter(path, tokens, first, pieces.lengths[mine], layout.places[mine])
            before += len(chunk)
        for layout, path in zip(layouts, raw, strict=True):
            fill = layout.fill()
            open_ = np.flatnonzero(fill < layout.length)
            if len(open_):
                assert pad is not None
                padding = np.full(layout.length, pad, dtype=dtype)
                lengths = layout.length - fill[open_]
                _scatter(path, padding, np.zeros_like(lengths), lengths, open_ * layout.length + fill[open_])


def _scatter(
    path: Path, tokens: NDArray[np.unsignedinteger], starts: Integers, lengths: Integers, places: Integers
) -> None:
    size = tokens.dtype.itemsize
    columns = (pa.array(size * column) for column in (starts, lengths, places))
    _native.scatter_bytes(str(path), pa.array(tokens.view(np.uint8)), *columns)


def _write_index(merge: Merge, documents: Documents, layout: Layout, path: Path) -> Output:
    """start, end, id, src, loc of each piece, in the order of the file."""
    sequence = np.argsort(layout.places)
    index = _native.LineWriter(str(path))
    try:
        for low in range(0, len(sequence), ROWS):
            block = sequence[low : low + ROWS]
            starts = layout.places[block]
            whose = layout.pieces.documents[block]
            shards, rows = documents.shards[whose], documents.rows[whose]
            ids, sources, lines = _ids_and_lines(merge, shards, rows)
            used, files = np.unique(sources, return_inverse=True)
            labels = [merge.labels[i] for i in used.tolist()]
            ends = starts + layout.pieces.lengths[block]
            index.write_token_rows(pa.array(starts), pa.array(ends), ids, pa.array(files), labels, pa.array(lines))
        size, digest = index.finish()
    except BaseException:
        index.abort()
        raise
    return Output(path=str(path), bytes=size, blake3=digest)


def _ids_and_lines(merge: Merge, shards: Integers, rows: Integers) -> tuple[pa.LargeStringArray, Integers, Integers]:
    """Ids, files (indexes into the labels) and lines of documents anywhere: one look into each shard."""
    by_shard = np.argsort(shards, kind="stable")
    groups = np.split(by_shard, 1 + np.flatnonzero(np.diff(shards[by_shard])))
    looks = [(int(shards[group[0]]), rows[group]) for group in groups]
    ids = pa.concat_arrays([merge.shards[shard].ids.take(pa.array(wanted)) for shard, wanted in looks])
    sources = np.concatenate([merge.sources(shard, wanted) for shard, wanted in looks])
    lines = np.concatenate([merge.shards[shard].lines[wanted] for shard, wanted in looks])
    back = np.empty_like(by_shard)
    back[by_shard] = np.arange(len(by_shard))
    return ids.take(pa.array(back)), sources[back], lines[back]


def _write_mask(layout: Layout, path: Path, mask_first: bool) -> Output:
    length, fill = layout.length, layout.fill()
    firsts = np.sort(layout.places[layout.places % length > 0]) if mask_first else np.zeros(0, dtype=np.int64)
    column = np.arange(length)
    step = max(1, MASKED // length)
    with publishing(path) as published:
        for low in range(0, layout.instances, step):
            mask = column < fill[low : low + step, None]
            begin, end = np.searchsorted(firsts, [low * length, low * length + mask.size])
            mask.reshape(-1)[firsts[begin:end] - low * length] = False
            write_array(published.file, mask)
    return published.output


def _amount(documents: Documents, layouts: list[Layout], pack: Pack) -> PackedAmount:
    kept = kept_tokens(documents.lengths, pack)
    fragmented = np.zeros(len(documents.rows), dtype=np.bool_)
    for layout in layouts:
        fragmented[layout.pieces.documents[layout.pieces.starts > 0]] = True
    return PackedAmount(
        instances=sum(layout.instances for layout in layouts),
        padding=sum(layout.padding for layout in layouts),
        fragmented=int(fragmented.sum()),
        truncated=int((kept < documents.lengths).sum()),
        dropped_tokens=int((documents.lengths - kept).sum()),
    )
