"""Token files from one format to another, document by document: Dolma's, Megatron's, datatrove's.

Beside every file stands a csv.gz of ids, files and lines, which the other formats cannot say, and in the directory a
conversion.json with the manifest, so that the way back gives the same bytes.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import Struct
from numpy.typing import NDArray

from dolma_pipeline._native import LineWriter
from dolma_pipeline.engine.task import Context, Counts, Output, Report
from dolma_pipeline.errors import DataError
from dolma_pipeline.io import fs
from dolma_pipeline.io.atomic import publish_copy, publishing, write_bytes, write_json, write_text
from dolma_pipeline.io.writing import write_array
from dolma_pipeline.tokens import datatrove, megatron
from dolma_pipeline.tokens.engine import tokenizer_file
from dolma_pipeline.tokens.manifest import FORMAT, TOKENIZER, Manifest, TokenFile
from dolma_pipeline.tokens.rows import Rows
from dolma_pipeline.tokens.shard import gather
from dolma_pipeline.tokens.source import (
    CONVERSION,
    SUFFIXES,
    Conversion,
    Form,
    SourceFile,
    check_ids,
    open_tokens,
    read_range,
    read_rows,
    token_files,
)

CHUNK_TOKENS = 1 << 22
"""In memory at once, or one document."""
WRITTEN: dict[Form, tuple[str, ...]] = {
    "dolma": (".npy",),
    "megatron": (".bin", ".idx"),
    "datatrove": (".ds", ".ds.index", ".ds.metadata"),
}
Chunk = tuple[NDArray[np.unsignedinteger], Rows]


class ConvertFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`file` as one of format `to` in `directory`, by the same name; of `max_tokens` at most, as several."""

    source: str
    file: SourceFile
    to: Form
    directory: str
    dtype: str
    max_tokens: int | None = None
    vocab_size: int | None = None
    others: list[str] = []
    """Files of the source that are called like parts of this one."""


class WriteConversion(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is needed for the way back, into `directory`."""

    directory: str
    to: Form
    tokenizer_path: str | None
    manifest: Manifest | None
    files: list[str] = []
    """Token files that were written, by their paths in the directory."""


def convert_file(config: ConvertFile, context: Context) -> Report:
    """Writes the files and their indexes. `details`: {"files": [TokenFile]}, those of Dolma's form.

    Memory: the rows of a batch and CHUNK_TOKENS tokens; to write Megatron's index, 8 bytes a document.
    """
    file, base = config.file, Path(config.directory) / config.file.name
    divided = config.max_tokens is not None and file.size > config.max_tokens
    most = file.size if config.max_tokens is None else config.max_tokens
    counts = Counts()
    outputs: list[Output] = []
    files: list[TokenFile] = []
    written = 0
    for number, group in itertools.groupby(_numbered(_chunks(config), most), key=lambda pair: pair[0]):
        name = base.with_name(f"{base.name}-{number:05d}") if divided else base
        found, described = _write(config, name, (chunk for _, chunk in group))
        outputs += found
        files.append(described)
        counts.documents_in += described.documents
        written += described.tokens
    if not files:
        # A file without a document is still a file, in any format.
        found, described = _write(config, base, iter(()))
        outputs += found
        files.append(described)
    counts.documents_out, counts.tokens = counts.documents_in, written
    warnings = _remove_stale(config, {Path(o.path).name for o in outputs})
    if written != file.size:
        warnings.append(f"{file.tokens}: {abs(file.size - written):,} of its {file.size:,} tokens are in no document")
    if file.form == "megatron" and megatron.MegatronIndex(file.index or "").multimodal:
        warnings.append(f"{file.index}: the modes of its sequences are left out, no other format has them")
    if fs.is_file(Path(f"{file.tokens}.loss")):
        warnings.append(f"{file.tokens}.loss: the loss mask is left out")
    details = {"files": [msgspec.to_builtins(f) for f in files]} if config.to == "dolma" else {}
    return Report(counts={config.source: counts}, outputs=outputs, details=details, warnings=warnings)


def _remove_stale(config: ConvertFile, written: set[str]) -> list[str]:
    """What an earlier run left that divided the file elsewhere: whoever reads all there is would read it twice."""
    base = Path(config.directory) / config.file.name
    endings = "|".join(map(re.escape, (*WRITTEN[config.to], ".csv.gz")))
    pattern = re.compile(rf"({re.escape(base.name)}(-\d{{5,}})?)({endings})")
    kept = {Path(name).name for name in config.others}
    stale = []
    for path in sorted(fs.list_directory(base.parent)):
        match = pattern.fullmatch(path.name)
        if match is not None and match[1] not in kept and path.name not in written:
            fs.remove(path)
            stale.append(path.name)
    return [f"{base.parent}: removed {', '.join(stale)} of an earlier run"] if stale else []


def _chunks(config: ConvertFile) -> Iterator[Chunk]:
    """The tokens of documents that follow one another, in the type that is written."""
    file = config.file
    target = np.dtype(config.dtype).newbyteorder("<")
    most = megatron.LARGEST[config.dtype] if config.to == "megatron" else int(np.iinfo(target).max)
    for batch in read_rows(file):
        number = (np.cumsum(batch.lengths) - batch.lengths) // CHUNK_TOKENS
        edges = [0, *(1 + np.flatnonzero(np.diff(number))).tolist(), len(batch)]
        for low, high in itertools.pairwise(edges):
            rows = batch.slice(low, high)
            first = int(rows.starts[0])
            total = int(rows.lengths.sum())
            if np.array_equal(rows.starts[1:], rows.starts[:-1] + rows.lengths[:-1]):
                mine = read_range(file, first, first + total)
            else:
                mine = gather(open_tokens(file), rows.starts, rows.lengths)
            check_ids(file, mine, first, config.vocab_size)
            if total and int(mine.max()) > most:
                raise DataError(
                    f"{file.tokens}: expected token ids up to {most}, which is what {config.dtype} "
                    f"{'holds in Megatron' if config.to == 'megatron' else 'holds'}, found {int(mine.max())}"
                )
            yield mine.astype(target, copy=False), rows


def _numbered(chunks: Iterable[Chunk], most: int) -> Iterator[tuple[int, Chunk]]:
    """Each chunk with the number of its file; a chunk is cut where a file of `most` tokens is full."""
    number = size = 0
    for tokens, rows in chunks:
        total = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(rows.lengths)])
        low = 0
        while low < len(rows):
            high = int(np.searchsorted(total, total[low] + most - size, side="right")) - 1
            if high <= low and size == 0:
                high = low + 1
            if high > low:
                yield number, (tokens[total[low] : total[high]], rows.slice(low, high))
                size += int(total[high] - total[low])
                low = high
            if low < len(rows):
                number, size = number + 1, 0


def _write(config: ConvertFile, base: Path, chunks: Iterator[Chunk]) -> tuple[list[Output], TokenFile]:
    """One token file with its indexes."""
    path, side = Path(f"{base}{SUFFIXES[config.to]}"), Path(f"{base}.csv.gz")
    sizes: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
    ids = LineWriter(str(side))
    position = 0
    try:
        with publishing(path) as published:
            for tokens, rows in chunks:
                write_array(published.file, tokens)
                ends = position + np.cumsum(rows.lengths)
                coded = rows.sources.dictionary_encode()
                ids.write_token_rows(
                    pa.array(ends - rows.lengths),
                    pa.array(ends),
                    rows.ids,
                    coded.indices.cast(pa.int64()),
                    coded.dictionary.to_pylist(),
                    rows.lines,
                )
                sizes.append(rows.lengths)
                position += len(tokens)
        size, digest = ids.finish()
    except BaseException:
        ids.abort()
        raise
    lengths = np.concatenate(sizes)
    written = [published.output, Output(path=str(side), bytes=size, blake3=digest)]
    if config.to == "megatron":
        written.append(megatron.write_index(Path(f"{base}.idx"), config.dtype, lengths))
    elif config.to == "datatrove":
        written.append(write_bytes(f"{path}.index", np.cumsum(lengths).astype("<u8").tobytes()))
        written.append(write_text(f"{path}.metadata", datatrove.metadata(TOKENIZER, config.dtype, position)))
    directory = Path(config.directory)
    described = TokenFile(
        path=path.relative_to(directory).as_posix(),
        index=side.relative_to(directory).as_posix(),
        tokens=position,
        documents=len(lengths),
        bytes=written[0].bytes,
        blake3=written[0].blake3,
    )
    return written, described


def write_conversion(config: WriteConversion, context: Context) -> Report:
    """Writes conversion.json where there is a manifest, and tokenizer.json where there is a tokenizer."""
    directory = Path(config.directory)
    outputs = []
    if config.tokenizer_path is not None:
        outputs.append(publish_copy(tokenizer_file(config.tokenizer_path), directory / TOKENIZER))
    if config.manifest is not None:
        conversion = Conversion(format=FORMAT, to=config.to, manifest=config.manifest)
        outputs.append(write_json(directory / CONVERSION, conversion))
    return Report(outputs=outputs, warnings=_strangers(directory, config))


def _strangers(directory: Path, config: WriteConversion) -> list[str]:
    """Files of the format that are not of this conversion: whoever reads all there is would read them too."""
    found = (p.relative_to(directory).as_posix() for p in token_files(directory, config.to))
    others = sorted(set(found) - set(config.files))
    if not others:
        return []
    return [f"{directory}: {', '.join(others[:3])} ({len(others)} files) are not of this conversion; remove them"]
