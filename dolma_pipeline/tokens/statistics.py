"""What token files hold: documents and their lengths from the indexes, ids from the tokens themselves."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from dolma_pipeline.io import fs
from dolma_pipeline.io.atomic import blake3
from dolma_pipeline.io.url import local
from dolma_pipeline.report.units import counted
from dolma_pipeline.tokens.rows import Rows
from dolma_pipeline.tokens.source import SourceFile, TokenSource, check_ids, open_tokens, read_range, read_rows

SHORT = 1 << 20
"""Documents shorter than this are counted by length (8 MB), longer ones are remembered."""
PERCENTILES = (1, 10, 25, 50, 75, 90, 99)
SCAN_TOKENS = 1 << 22
BAR = 40


class Lengths:
    """Documents by length in tokens: exact, in memory that the longest documents alone make grow."""

    def __init__(self) -> None:
        self._short = np.zeros(SHORT, dtype=np.int64)
        self._long: list[int] = []
        self.documents = 0
        self.tokens = 0

    def add(self, lengths: NDArray[np.int64]) -> None:
        short = lengths[lengths < SHORT]
        self._short += np.bincount(short, minlength=SHORT)
        self._long.extend(lengths[lengths >= SHORT].tolist())
        self.documents += len(lengths)
        self.tokens += int(lengths.sum())

    def counts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Lengths that occur, rising, and how many documents have each."""
        values = np.flatnonzero(self._short)
        long, times = np.unique(np.array(self._long, dtype=np.int64), return_counts=True)
        return np.concatenate([values, long]), np.concatenate([self._short[values], times])

    def percentile(self, share: float) -> int:
        """The smallest length that `share` percent of the documents do not exceed; 0 of no documents."""
        values, times = self.counts()
        if not len(values):
            return 0
        rank = max(1, -(-self.documents * share // 100))
        return int(values[np.searchsorted(np.cumsum(times), rank)])

    def doublings(self) -> list[tuple[int, int, int]]:
        """(from, up to, documents) for lengths 0, 1, 2-3, 4-7, ... from the first that occurs to the last."""
        values, times = self.counts()
        if not len(values):
            return []
        # frexp gives the number of bits: 1 -> 1, 2 and 3 -> 2, 4 to 7 -> 3.
        bits = np.frexp(values.astype(np.float64))[1]
        found = np.bincount(bits, weights=times).astype(np.int64)
        first = int(bits[0])
        return [(1 << (b - 1) if b else 0, (1 << b) - 1, int(found[b])) for b in range(first, len(found))]


class FileStatistics(Struct, frozen=True, kw_only=True):
    path: str
    documents: int
    tokens: int


class SourceStatistics(Struct, frozen=True, kw_only=True):
    documents: int
    tokens: int
    text_bytes: int
    bytes_per_token: float | None


class IdStatistics(Struct, frozen=True, kw_only=True):
    """Figures of all tokens."""

    distinct: int
    """Ids that occur."""
    special: dict[str, int]
    """How often bos, eos and pad do."""
    ended: int | None
    """Documents whose last token is EOS."""
    most_common: list[tuple[int, int]]
    """(id, times) of ten."""


class Statistics(Struct, frozen=True, kw_only=True):
    path: str
    form: str
    dtype: str
    vocab_size: int | None
    bos_token_id: int | None
    eos_token_id: int | None
    pad_token_id: int | None
    documents: int
    tokens: int
    bytes: int
    """Size of the token files."""
    uncovered_tokens: int
    """In no document: padding, where documents are packed."""
    packed: bool
    """Documents are counted by the pieces that packing made of them."""
    text_bytes: int | None
    bytes_per_token: float | None
    mean_length: float
    longest: int
    percentiles: dict[str, int]
    lengths: list[tuple[int, int, int]]
    """(from, up to, documents)."""
    files: list[FileStatistics]
    sources: dict[str, SourceStatistics]
    ids: IdStatistics | None
    changed: list[str]
    """Files and label masks that are not those of the manifest by BLAKE3; only looked for where all tokens are read."""


def statistics(source: TokenSource, *, scan: bool = False) -> Statistics:
    """Reads the indexes and, with `scan`, every token. Memory does not depend on how many there are."""
    lengths = Lengths()
    files = []
    ids = _Ids(source) if scan else None
    for file in source.files:
        before = lengths.documents
        for rows in read_rows(file):
            lengths.add(rows.lengths)
            if ids is not None:
                ids.add_ends(file, rows)
        if ids is not None:
            ids.add(file)
        files.append(FileStatistics(path=file.tokens, documents=lengths.documents - before, tokens=file.size))
    manifest = source.manifest
    tokens = source.tokens
    longest = lengths.counts()[0]
    special = source.tokenizer
    return Statistics(
        path=source.path,
        form=source.form,
        dtype=source.dtype,
        vocab_size=source.vocab_size,
        bos_token_id=_id(special.bos) if special is not None else None,
        eos_token_id=_id(special.eos) if special is not None else None,
        pad_token_id=_id(special.pad) if special is not None else None,
        documents=lengths.documents,
        tokens=tokens,
        bytes=tokens * np.dtype(source.dtype).itemsize,
        uncovered_tokens=tokens - lengths.tokens,
        packed=source.packed,
        text_bytes=manifest.text_bytes or None if manifest is not None else None,
        bytes_per_token=_ratio(manifest.text_bytes, manifest.tokens) if manifest is not None else None,
        mean_length=lengths.tokens / lengths.documents if lengths.documents else 0.0,
        longest=int(longest[-1]) if len(longest) else 0,
        percentiles={str(p): lengths.percentile(p) for p in PERCENTILES},
        lengths=lengths.doublings(),
        files=files,
        sources={
            name: SourceStatistics(
                documents=a.documents,
                tokens=a.tokens,
                text_bytes=a.text_bytes,
                bytes_per_token=_ratio(a.text_bytes, a.tokens),
            )
            for name, a in (manifest.sources if manifest is not None else {}).items()
        },
        ids=ids.finish() if ids is not None else None,
        changed=_changed(source) if scan else [],
    )


def _changed(source: TokenSource) -> list[str]:
    if source.form != "dolma" or source.manifest is None:
        return []
    base = local(source.path)
    digests = [(base / f.path, f.blake3) for f in source.manifest.files]
    digests += [(base / f.mask, f.mask_blake3 or "") for f in source.manifest.files if f.mask is not None]
    return [str(path) for path, digest in digests if not fs.is_file(path) or blake3(path) != digest]


def _id(token: str | int | None) -> int | None:
    return token if isinstance(token, int) else None


def _ratio(text_bytes: int, tokens: int) -> float | None:
    return text_bytes / tokens if text_bytes and tokens else None


class _Ids:
    """How often each id occurs; 8 bytes for each of the vocabulary."""

    def __init__(self, source: TokenSource) -> None:
        self._source = source
        self._times = np.zeros(source.vocab_size or 0, dtype=np.int64)
        self._ended = 0
        self._eos = _id(source.tokenizer.eos) if source.tokenizer is not None else None

    def add(self, file: SourceFile) -> None:
        for low in range(0, file.size, SCAN_TOKENS):
            mine = read_range(file, low, min(file.size, low + SCAN_TOKENS))
            check_ids(file, mine, low, self._source.vocab_size)
            times = np.bincount(mine.astype(np.int64), minlength=len(self._times))
            if len(times) > len(self._times):
                self._times = np.pad(self._times, (0, len(times) - len(self._times)))
            self._times += times

    def add_ends(self, file: SourceFile, rows: Rows) -> None:
        lasts = (rows.starts + rows.lengths)[rows.lengths > 0] - 1
        if self._eos is None:
            return
        mapped = open_tokens(file)
        self._ended += int((mapped[lasts] == self._eos).sum())

    def finish(self) -> IdStatistics:
        tokenizer = self._source.tokenizer
        special = {k: _id(getattr(tokenizer, k)) for k in ("bos", "eos", "pad")} if tokenizer is not None else {}
        order = np.argsort(-self._times, kind="stable")[:10]
        return IdStatistics(
            distinct=int((self._times > 0).sum()),
            special={k: int(self._times[i]) for k, i in special.items() if i is not None},
            ended=self._ended if self._eos is not None else None,
            most_common=[(int(i), int(self._times[i])) for i in order if self._times[i]],
        )


def render(found: Statistics) -> str:
    """For people."""
    of_text = "" if found.bytes_per_token is None else f", {found.bytes_per_token:.2f} bytes of text a token"
    ids = ", ".join(
        f"{kind} {value}"
        for kind, value in (("bos", found.bos_token_id), ("eos", found.eos_token_id), ("pad", found.pad_token_id))
        if value is not None
    )
    vocabulary = f", vocabulary of {found.vocab_size:,}" if found.vocab_size is not None else ""
    lines = [
        f"{found.path}: {found.form}, {found.dtype}{vocabulary}{', ' if ids else ''}{ids}",
        f"{_documents(found)}, {counted(found.tokens, 'token')} in {counted(len(found.files), 'file')}{of_text}",
    ]
    if found.uncovered_tokens:
        where = "of padding" if found.packed else "in no document"
        lines.append(f"{counted(found.uncovered_tokens, 'token')} {where}")
    if found.sources:
        width = max(len(name) for name in found.sources)
        lines.append("")
        for name, s in found.sources.items():
            ratio = "" if s.bytes_per_token is None else f"{s.bytes_per_token:10.2f} bytes a token"
            lines.append(f"  {name:<{width}} {s.documents:>14,} documents {s.tokens:>18,} tokens{ratio}")
    lines += ["", f"tokens of a document: {found.mean_length:,.1f} on average, {found.longest:,} at most"]
    lines.append("  " + "  ".join(f"{p} %: {value:,}" for p, value in found.percentiles.items()))
    lines += _bars(found.lengths)
    if found.ids is not None:
        lines += ["", _of_ids(found, found.ids)]
    lines += [f"{path} is not the file that the manifest describes: its BLAKE3 is another" for path in found.changed]
    return "\n".join(lines)


def _documents(found: Statistics) -> str:
    return f"{counted(found.documents, 'piece')} of documents" if found.packed else counted(found.documents, "document")


def _of_ids(found: Statistics, ids: IdStatistics) -> str:
    of = f" of {found.vocab_size:,}" if found.vocab_size is not None else ""
    parts = [f"{ids.distinct:,}{of} ids occur"]
    parts += [f"{kind} {counted(times, 'time')}" for kind, times in ids.special.items()]
    if ids.ended is not None:
        parts.append(f"eos at the end of {ids.ended:,} of {_documents(found)}")
    return ", ".join(parts)


def _bars(lengths: Iterable[tuple[int, int, int]]) -> list[str]:
    rows = list(lengths)
    most = max((n for _, _, n in rows), default=0)
    return [
        f"  {low:>11,} – {high:<11,} {number:>12,}  {'█' * -(-BAR * number // most) if number else ''}".rstrip()
        for low, high, number in rows
    ]
