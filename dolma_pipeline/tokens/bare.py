"""What is known of token files without a manifest, such as Dolma's: those of several directories as one source."""

from __future__ import annotations

from pathlib import Path

import msgspec

from dolma_pipeline.config.recipe import Tokenizer
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.io import fs
from dolma_pipeline.io.url import local
from dolma_pipeline.tokens.encode import TRAIN, VALIDATION
from dolma_pipeline.tokens.manifest import MANIFEST
from dolma_pipeline.tokens.source import TokenSource, open_source, refuse_packed, token_files


def open_below(
    path: str, *, tokenizer: Tokenizer | None = None, dtype: str | None = None, where: str = "$"
) -> TokenSource:
    """As `open_source`; of a directory without a manifest, all directories with one below it, as one source.

    Dolma's resharding takes every token file below a prefix. Raises ConfigError if the directories have different
    tokenizers or types, if there are token files outside of them, and if they are the two halves of a holdout.
    """
    base = local(path)
    inside = _described_below(base)
    if not inside or {d.relative_to(base).as_posix() for d in inside} <= {TRAIN, VALIDATION}:
        return open_source(path, tokenizer=tokenizer, dtype=dtype, where=where)
    stranger = next((f for f in token_files(base, "dolma") if not any(d in f.parents for d in inside)), None)
    if stranger is not None:
        raise ConfigError(
            f"{where}: expected all token files below `{path}` in directories with a {MANIFEST}, as `{inside[0]}` is, "
            f"found {stranger}; name the directories one by one"
        )
    sources = [open_source(str(d), tokenizer=tokenizer, dtype=dtype, where=where) for d in inside]
    first = sources[0]
    for source in sources:
        refuse_packed(source, where)
        for what in ("digest", "dtype"):
            mine, others = getattr(source, what), getattr(first, what)
            if mine != others:
                kind = "tokenizer (BLAKE3)" if what == "digest" else what
                raise ConfigError(
                    f"{where}: expected one {kind} below `{path}`, found {others} in {first.path} and {mine} in "
                    f"{source.path}; name the directories one by one"
                )
        if source.tokenizer is not None and first.tokenizer is not None and _ends(source) != _ends(first):
            raise ConfigError(
                f"{where}: expected the same bos and eos ids below `{path}`, found {_ends(first)} in {first.path} and "
                f"{_ends(source)} in {source.path}: documents would be parted in two ways"
            )
    files = [
        msgspec.structs.replace(file, name=f"{directory.relative_to(base).as_posix()}/{file.name}")
        for directory, source in zip(inside, sources, strict=True)
        for file in source.files
    ]
    text_bytes = sum(s.text_bytes for s in sources)
    return msgspec.structs.replace(first, path=path, files=files, manifest=None, text_bytes=text_bytes)


def _described_below(base: Path) -> list[Path]:
    """The directories below `base` that have a manifest of token files, hidden ones and `base` itself left out."""
    if not fs.is_directory(base) or fs.is_file(base / MANIFEST):
        return []
    found = (p.parent.relative_to(base) for p in fs.find(base, f"**/{MANIFEST}"))
    return sorted(base / d for d in found if not any(part.startswith(".") for part in d.parts))


def _ends(source: TokenSource) -> tuple[object, object]:
    return (source.tokenizer.bos, source.tokenizer.eos) if source.tokenizer is not None else (None, None)
