"""manifest.json: what a directory of token files holds and how to read it, so that no reader relies on a default."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from dolma_pipeline.config.recipe import Pack, Tokenizer
from dolma_pipeline.engine.task import Context, Report
from dolma_pipeline.errors import DataError
from dolma_pipeline.io import fs
from dolma_pipeline.io.atomic import publish_copy, read_json, write_json
from dolma_pipeline.report.units import count, counted
from dolma_pipeline.tokens.amount import Amount, PackedAmount, total
from dolma_pipeline.tokens.engine import loaded_engine, tokenizer_file
from dolma_pipeline.tokens.vocabulary import DTYPES, special_ids, token_dtype

FORMAT = 1
MANIFEST = "manifest.json"
TOKENIZER = "tokenizer.json"
PART = re.compile(r"^(bucket-\d+/)?part-\d{5,}\.(npy|csv\.gz|mask)$")
AS_DOLMA = re.compile(r"^part-0-\d{5,}\.(npy|csv\.gz)$")
"""Matches the files of a run that follows Dolma's naming; elsewhere such a file is Dolma's own and is left alone."""


class TokenFile(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A token file, `bytes` long, and its index; paths are relative to the manifest, `blake3` is of the tokens."""

    path: str
    index: str
    tokens: int
    """All that are in it, padding included."""
    documents: int
    """Those of which the first token is in it."""
    bytes: int
    blake3: str
    instance_length: int | None = None
    """Tokens of an instance, where documents are packed into instances."""
    padding: int = 0
    mask: str | None = None
    """A byte for each token: 1 where it is to be learnt, else 0."""
    mask_blake3: str | None = None


class Packed(PackedAmount, frozen=True, kw_only=True):
    """How instances were made, as in recipe.Pack, and how many."""

    by: str
    length: int
    long_documents: str
    min_length: int
    rest: str
    mask_first: bool


class TokenizerFile(Struct, frozen=True, kw_only=True):
    """The tokenizer beside the manifest."""

    path: str
    blake3: str


class Manifest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of manifest.json, every field always there but those of packing.

    `tokens` are those of documents as they were encoded: what is in the files is these, less `packed.dropped_tokens`,
    and `packed.padding`.
    """

    format: int
    dtype: str
    vocab_size: int
    tokenizer: TokenizerFile
    bos_token_id: int | None
    eos_token_id: int | None
    pad_token_id: int | None
    documents: int
    tokens: int
    text_bytes: int
    files: list[TokenFile]
    sources: dict[str, Amount]
    packed: Packed | None = None


class WriteManifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The manifest of `directory`, whose token files are `files`."""

    directory: str
    tokenizer_path: str
    tokenizer: Tokenizer
    files: list[TokenFile]
    sources: dict[str, Amount]
    dtype: str | None = None
    pack: Pack | None = None
    packed: PackedAmount = PackedAmount()
    needs_ends: bool = True
    """Whether a BOS or EOS must be known; the index of resharded files says where documents end."""


class CheckBare(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The token files of `directory`, whose tokenizer is not known."""

    directory: str
    files: list[TokenFile]
    sources: dict[str, Amount]


def check_bare(config: CheckBare, context: Context) -> Report:
    """Checks the counts of token files that get no manifest, and removes what an earlier run left beside them."""
    directory, taken = Path(config.directory), total(config.sources.values())
    written = sum(f.documents for f in config.files), sum(f.tokens for f in config.files)
    _check_counts(directory, written, taken)
    warnings = _remove_stale(directory, {name for f in config.files for name in (f.path, f.index)})
    for name in (MANIFEST, TOKENIZER):
        if fs.is_file(directory / name):
            fs.remove(directory / name)
            warnings.append(f"{directory}: removed {name} of an earlier run, which describes other files")
    if not config.files:
        warnings.append(f"{directory}: no document, so there is no token file")
    warnings.append(
        f"{directory}: no {MANIFEST} is written, as nothing says which tokenizer made the tokens; with "
        "`tokenizer_name_or_path` (in a recipe `tokenizer: {path: …}`) there is one"
    )
    return Report(outputs=[], warnings=warnings)


def _check_counts(directory: Path, written: tuple[int, int], expected: Amount) -> None:
    if written != (expected.documents, expected.tokens):
        raise DataError(
            f"{directory}: expected token files of {expected.documents} documents and {expected.tokens} tokens, as "
            f"were encoded, found {written[0]} documents and {written[1]} tokens"
        )


def write_manifest(config: WriteManifest, context: Context) -> Report:
    """Writes manifest.json, copies tokenizer.json beside it, and removes token files that an earlier run left."""
    engine = loaded_engine(context, config.tokenizer_path, choice="reference")
    special = special_ids(engine, config.tokenizer, needed=config.needs_ends)
    directory = Path(config.directory)
    copy = publish_copy(tokenizer_file(config.tokenizer_path), directory / TOKENIZER)
    encoded = total(config.sources.values())
    manifest = Manifest(
        format=FORMAT,
        dtype=token_dtype(engine.vocab_size, config.dtype).name,
        vocab_size=engine.vocab_size,
        tokenizer=TokenizerFile(path=TOKENIZER, blake3=copy.blake3),
        bos_token_id=special.bos,
        eos_token_id=special.eos,
        pad_token_id=special.pad,
        documents=encoded.documents,
        tokens=encoded.tokens,
        text_bytes=encoded.text_bytes,
        files=config.files,
        sources=config.sources,
        packed=None if config.pack is None else _packed(config.pack, config.packed),
    )
    tokens = sum(f.tokens - f.padding for f in config.files) + config.packed.dropped_tokens
    _check_counts(directory, (sum(f.documents for f in config.files), tokens), encoded)
    warnings = _remove_stale(directory, {name for f in config.files for name in (f.path, f.index, f.mask) if name})
    if not config.files:
        warnings.append(f"{directory}: no document, so there is no token file")
    if config.packed.dropped_tokens:
        share = config.packed.dropped_tokens / encoded.tokens
        warnings.append(
            f"{directory}: packing left out {counted(config.packed.dropped_tokens, 'token')} ({share:.2%}) of "
            f"{counted(config.packed.truncated, 'document')}, as asked for"
        )
    written = write_json(directory / MANIFEST, manifest)
    details: dict[str, Any] = {"form": f"{manifest.dtype}, vocabulary of {count(manifest.vocab_size)}"}
    if config.pack is not None:
        details["packed"] = _facts(config)
    return Report(outputs=[written, copy], details=details, warnings=warnings)


def _remove_stale(directory: Path, listed: set[str]) -> list[str]:
    """Readers take every part they see: one that is not in the manifest would be trained on."""
    found = (
        p.relative_to(directory).as_posix() for pattern in ("*", "bucket-*/*") for p in fs.find(directory, pattern)
    )
    own = [PART, AS_DOLMA] if any(AS_DOLMA.match(name) for name in listed) else [PART]
    stale = sorted(name for name in found if any(p.match(name) for p in own) and name not in listed)
    for name in stale:
        fs.remove(directory / name)
    for bucket in sorted(p for p in fs.find(directory, "bucket-*") if fs.is_directory(p) and not fs.list_directory(p)):
        fs.remove_directory(bucket)
    if not stale:
        return []
    return [f"{directory}: removed {counted(len(stale), 'file')} of an earlier run, {stale[0]} to {stale[-1]}"]


def _facts(config: WriteManifest) -> dict[str, str | int]:
    """For the account of the run, where those of two splits are added up."""
    by = config.pack.by if config.pack is not None else ""
    return {"by": by, "tokens": sum(f.tokens for f in config.files)} | msgspec.structs.asdict(config.packed)


def _packed(pack: Pack, amount: PackedAmount) -> Packed:
    return Packed(
        by=pack.by,
        length=pack.length,
        long_documents=pack.long_documents,
        min_length=pack.min_length,
        rest=pack.rest,
        mask_first=pack.mask_first,
        **msgspec.structs.asdict(amount),
    )


def read_manifest(directory: str | Path) -> Manifest:
    """The manifest of a directory of token files; a DataError where there is none, or it cannot be right."""
    path = Path(directory) / MANIFEST
    if not fs.is_file(path):
        raise DataError(f"{directory}: expected token files with a {MANIFEST}, found none")
    try:
        manifest: Manifest = read_json(path, Manifest)
    except DataError:
        found = read_json(path)
        if not isinstance(found, dict) or "recipe" not in found:
            raise
        there = sorted(str(p.parent) for p in fs.find(directory, f"*/{MANIFEST}"))
        also = f"; there are others in {', '.join(there)}" if there else ""
        raise DataError(f"{path}: expected the manifest of token files, found that of a run{also}") from None
    if manifest.format != FORMAT:
        raise DataError(f"{path}: expected format {FORMAT}, found {manifest.format}: it was written by a later version")
    _check(manifest, path)
    return manifest


def _check(manifest: Manifest, path: Path) -> None:
    """What was changed by hand is found here and not by what reads the tokens."""
    if manifest.dtype not in DTYPES:
        raise DataError(f"{path}: $.dtype: expected one of {', '.join(DTYPES)}, found `{manifest.dtype}`")
    if manifest.vocab_size < 1:
        raise DataError(f"{path}: $.vocab_size: expected 1 or more, found {manifest.vocab_size}")
    for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
        found = getattr(manifest, key)
        if found is not None and not 0 <= found < manifest.vocab_size:
            raise DataError(f"{path}: $.{key}: expected an id from 0 to {manifest.vocab_size - 1}, found {found}")
    width = np.dtype(manifest.dtype).itemsize
    for i, file in enumerate(manifest.files):
        if file.bytes != file.tokens * width:
            raise DataError(
                f"{path}: $.files[{i}]: expected {file.tokens * width} bytes for {file.tokens} tokens of "
                f"{manifest.dtype}, found {file.bytes}"
            )
