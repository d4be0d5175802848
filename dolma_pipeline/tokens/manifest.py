"""manifest.json: what a directory of token files holds and how to read it, so that no reader relies on a default."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from msgspec import Struct

from dolma_pipeline.errors import DataError
from dolma_pipeline.recipe import Tokenizer
from dolma_pipeline.storage import atomic_path, output, read_json, write_json
from dolma_pipeline.task import Context, Report
from dolma_pipeline.tokens.amount import Amount, total
from dolma_pipeline.tokens.engine import loaded_engine, tokenizer_file
from dolma_pipeline.tokens.vocabulary import special_ids, token_dtype

FORMAT = 1
MANIFEST = "manifest.json"
TOKENIZER = "tokenizer.json"
PART = re.compile(r"^part-\d{5,}\.(npy|csv\.gz)$")


class TokenFile(Struct, frozen=True, kw_only=True):
    """A token file, `bytes` long, and its index; paths are relative to the manifest, `blake3` is of the tokens."""

    path: str
    index: str
    tokens: int
    documents: int
    bytes: int
    blake3: str


class TokenizerFile(Struct, frozen=True, kw_only=True):
    """The tokenizer beside the manifest."""

    path: str
    blake3: str


class Manifest(Struct, frozen=True, kw_only=True):
    """The content of manifest.json, every field always there."""

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


class WriteManifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The manifest of `directory`, whose token files are `files`."""

    directory: str
    tokenizer_path: str
    tokenizer: Tokenizer
    files: list[TokenFile]
    sources: dict[str, Amount]
    dtype: str | None = None


def write_manifest(config: WriteManifest, context: Context) -> Report:
    """Writes manifest.json, copies tokenizer.json beside it, and removes token files that an earlier run left."""
    engine = loaded_engine(context, config.tokenizer_path, choice="reference")
    special = special_ids(engine, config.tokenizer)
    directory = Path(config.directory)
    with atomic_path(directory / TOKENIZER) as temporary:
        shutil.copyfile(tokenizer_file(config.tokenizer_path), temporary)
    copy = output(directory / TOKENIZER)
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
    )
    written = sum(f.documents for f in config.files), sum(f.tokens for f in config.files)
    if written != (encoded.documents, encoded.tokens):
        raise DataError(
            f"{directory}: expected token files of {encoded.documents} documents and {encoded.tokens} tokens, as were "
            f"encoded, found {written[0]} documents and {written[1]} tokens"
        )
    warnings = _remove_stale(directory, {name for f in config.files for name in (f.path, f.index)})
    if not config.files:
        warnings.append(f"{directory}: no document, so there is no token file")
    write_json(directory / MANIFEST, manifest)
    return Report(outputs=[output(directory / MANIFEST), copy], warnings=warnings)


def _remove_stale(directory: Path, listed: set[str]) -> list[str]:
    """Readers take every part they see: one that is not in the manifest would be trained on."""
    stale = sorted(p for p in directory.iterdir() if PART.match(p.name) and p.name not in listed)
    for path in stale:
        path.unlink()
    if not stale:
        return []
    return [f"{directory}: removed {len(stale)} files of an earlier run, {stale[0].name} to {stale[-1].name}"]


def read_manifest(directory: str | Path) -> Manifest:
    """The manifest of a directory of token files; a DataError where there is none, or one of another format."""
    path = Path(directory) / MANIFEST
    if not path.is_file():
        raise DataError(f"{directory}: expected token files with a {MANIFEST}, found none")
    manifest: Manifest = read_json(path, Manifest)
    if manifest.format != FORMAT:
        raise DataError(f"{path}: expected format {FORMAT}, found {manifest.format}: it was written by a later version")
    return manifest
