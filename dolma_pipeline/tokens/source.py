"""A place with token files: a directory of ours with its manifest, one of Dolma's or OLMo's without, Megatron's or
datatrove's files. What is known of it, and how its files are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from dolma_pipeline import _native
from dolma_pipeline.config.recipe import Tokenizer
from dolma_pipeline.errors import ConfigError, DataError
from dolma_pipeline.io import fs
from dolma_pipeline.io.atomic import read_json
from dolma_pipeline.io.cache import map_array, read_array
from dolma_pipeline.io.url import local
from dolma_pipeline.tokens.datatrove import read_ends, read_metadata
from dolma_pipeline.tokens.engine import load_engine, tokenizer_file
from dolma_pipeline.tokens.manifest import MANIFEST, Manifest, read_manifest
from dolma_pipeline.tokens.megatron import MegatronIndex
from dolma_pipeline.tokens.rows import Rows, by_ends, by_eos, indexed_dtype, read_csv
from dolma_pipeline.tokens.vocabulary import special_ids, token_dtype

Form: TypeAlias = Literal["dolma", "megatron", "datatrove"]
CONVERSION = "conversion.json"
"""Beside converted files: what their own format cannot say."""
SUFFIXES: dict[Form, str] = {"dolma": ".npy", "megatron": ".bin", "datatrove": ".ds"}
NUMPY = b"\x93NUMPY"
"""Begins what `numpy.save` writes; token files have the same extension and no header."""
INDEX = {"megatron": ".idx", "datatrove": ".ds.index"}


class SourceFile(Struct, frozen=True, kw_only=True):
    """A token file and what says which of its tokens are which document."""

    form: Form
    name: str
    """Path in the directory, without extension."""
    tokens: str
    index: str | None
    """Megatron's or datatrove's."""
    rows: str | None
    """The csv.gz of ids."""
    dtype: str
    size: int
    """Tokens."""
    signed: bool = False
    """The type is a signed one of that size."""
    documents: int | None = None
    """Rows of the csv.gz, where the manifest says how many."""
    eos: int | None = None
    """Parts documents where nothing else does."""

    @property
    def inputs(self) -> list[str]:
        """The files that it consists of."""
        return [p for p in (self.tokens, self.index, self.rows) if p is not None]


class Conversion(Struct, frozen=True, kw_only=True):
    """conversion.json: the manifest of the files that were converted."""

    format: int
    to: Form
    manifest: Manifest


class TokenSource(Struct, frozen=True, kw_only=True):
    """Token files of one tokenizer and type."""

    path: str
    form: Form
    files: list[SourceFile]
    dtype: str
    vocab_size: int | None
    """None without a tokenizer."""
    tokenizer: Tokenizer | None
    """Path and ids."""
    digest: str | None
    """BLAKE3 of the tokenizer.json."""
    manifest: Manifest | None = None
    """Where there is one, or one of the files that these were converted from."""
    text_bytes: int = 0
    """UTF-8 bytes of the text behind the tokens, where a manifest says so."""

    @property
    def packed(self) -> bool:
        """Whether rows of the indexes are pieces of documents, between padding."""
        return self.form == "dolma" and self.manifest is not None and self.manifest.packed is not None

    @property
    def tokens(self) -> int:
        return sum(f.size for f in self.files)


def open_source(
    path: str,
    *,
    tokenizer: Tokenizer | None = None,
    dtype: str | None = None,
    form: Form | None = None,
    where: str = "$",
) -> TokenSource:
    """What is at `path`: a directory, one file, or Megatron's prefix of two.

    `tokenizer` and `dtype` say what files without a manifest do not; raises ConfigError if a file says otherwise.
    """
    base = local(path)
    form = form or _form(base, where)
    if form == "dolma" and fs.is_file(base / MANIFEST):
        return _described(path, base, tokenizer, dtype, where)
    _refuse_splits(base, where)
    conversion = _conversion(base)
    manifest = conversion.manifest if conversion is not None else None
    if manifest is not None and tokenizer is None:
        tokenizer = _tokenizer(base, manifest)
    paths = token_files(base, form)
    vocab_size, digest, eos = None, None, None
    if tokenizer is not None:
        engine = load_engine(tokenizer.path or "", choice="reference")
        # Where indexes say where documents end, nobody needs to know by which token.
        special = special_ids(engine, tokenizer, f"{where}.tokenizer", needed=not _all_indexed(paths, form))
        tokenizer = Tokenizer(path=tokenizer.path, bos=special.bos, eos=special.eos, pad=special.pad)
        vocab_size, digest, eos = engine.vocab_size, blake3(tokenizer.path or ""), special.eos
        if dtype is not None:
            token_dtype(vocab_size, dtype, f"{where}.dtype")
    if dtype is None and form == "dolma":
        dtype = indexed_dtype((p, _index(p)) for p in paths)
        if vocab_size is not None:
            dtype = token_dtype(vocab_size, dtype, f"{where}.dtype").name
    files = [_file(form, p, base, dtype, eos, where) for p in paths]
    if not files:
        raise ConfigError(f"{where}: expected files `*{SUFFIXES[form]}` at `{path}`, found none")
    found = _one({f.dtype: f for f in files}, f"{where}: expected files of one type at `{path}`")
    return TokenSource(
        path=path,
        form=form,
        files=files,
        dtype=found.dtype,
        vocab_size=vocab_size,
        tokenizer=tokenizer,
        digest=digest,
        manifest=manifest,
        text_bytes=manifest.text_bytes if manifest is not None else 0,
    )


def _index(tokens: Path) -> Path:
    """The csv.gz of documents of one of Dolma's token files."""
    return tokens.with_name(f"{tokens.name.removesuffix(SUFFIXES['dolma'])}.csv.gz")


def _all_indexed(files: list[Path], form: Form) -> bool:
    return form != "dolma" or all(fs.is_file(_index(f)) for f in files)


def _form(base: Path, where: str) -> Form:
    if fs.is_file(base / MANIFEST):
        return "dolma"
    conversion = _conversion(base)
    if conversion is not None:
        return conversion.to
    found: list[Form] = [form for form in SUFFIXES if token_files(base, form)]
    if len(found) != 1:
        several = " and ".join(f"`*{SUFFIXES[f]}`" for f in found)
        raise ConfigError(
            f"{where}: expected token files of one format (a directory with a {MANIFEST}, `*.npy`, `*.bin` with "
            f"`*.idx`, or `*.ds`) at `{base}`, found {several or 'none'}"
        )
    return found[0]


def _refuse_splits(base: Path, where: str) -> None:
    """A corpus with a holdout is two directories, of which nobody wants to read both as one."""
    inner = sorted(p.parent.name for p in fs.find(base, f"*/{MANIFEST}")) if fs.is_directory(base) else []
    if inner:
        listed = ", ".join(f"`{base / name}`" for name in inner)
        raise ConfigError(f"{where}: expected a {MANIFEST} in `{base}`, found none, but in {listed}; name one of them")


def token_files(base: Path, form: Form) -> list[Path]:
    """Those of a format that are at or below `base`, sorted; hidden ones are left out."""
    suffix = SUFFIXES[form]
    if fs.is_directory(base):
        found = (p for p in fs.find(base, f"**/*{suffix}") if fs.is_file(p))
        # What is hidden is a ledger's, or half written.
        return sorted(p for p in found if not any(part.startswith(".") for part in p.relative_to(base).parts))
    name = str(base).removesuffix(INDEX.get(form, suffix)).removesuffix(suffix)
    file = Path(f"{name}{suffix}")
    return [file] if fs.is_file(file) else []


def _described(path: str, base: Path, tokenizer: Tokenizer | None, dtype: str | None, where: str) -> TokenSource:
    manifest = read_manifest(base)
    if dtype not in (None, manifest.dtype):
        raise ConfigError(f"{where}: the manifest of `{path}` says dtype `{manifest.dtype}`, found `{dtype}` given")
    digest = manifest.tokenizer.blake3
    if tokenizer is not None and blake3(tokenizer.path or "") != digest:
        raise ConfigError(
            f"{where}: the tokenizer in the manifest of `{path}` is another than `{tokenizer.path}` (BLAKE3 "
            f"{digest[:16]}…); leave it out, the manifest has all that is needed"
        )
    described = _tokenizer(base, manifest)
    if fs.is_file(Path(described.path or "")) and blake3(described.path or "") != digest:
        raise DataError(
            f"{described.path}: expected the tokenizer of the manifest (BLAKE3 {digest[:16]}…), found another; its ids "
            "would stand for other text"
        )
    if tokenizer is not None:
        described = _agreeing(path, described, tokenizer, where)
    files = []
    for file in manifest.files:
        tokens = base / file.path
        if not fs.is_file(tokens) or fs.stat(tokens).size != file.bytes:
            found = fs.stat(tokens).size if fs.is_file(tokens) else "no file"
            raise DataError(f"{tokens}: expected {file.bytes} bytes, found {found}: the file is not the manifest's")
        files.append(
            SourceFile(
                form="dolma",
                name=file.path.removesuffix(".npy"),
                tokens=str(tokens),
                index=None,
                rows=str(base / file.index),
                dtype=manifest.dtype,
                size=file.tokens,
                # Packed files have a row for each piece of a document.
                documents=file.documents if manifest.packed is None else None,
            )
        )
    return TokenSource(
        path=path,
        form="dolma",
        files=files,
        dtype=manifest.dtype,
        vocab_size=manifest.vocab_size,
        tokenizer=described,
        digest=digest,
        manifest=manifest,
        text_bytes=manifest.text_bytes,
    )


def _tokenizer(base: Path, manifest: Manifest) -> Tokenizer:
    return Tokenizer(
        path=str(base / manifest.tokenizer.path),
        bos=manifest.bos_token_id,
        eos=manifest.eos_token_id,
        pad=manifest.pad_token_id,
    )


def _agreeing(path: str, described: Tokenizer, given: Tokenizer, where: str) -> Tokenizer:
    """The ids of the manifest; those given must be the same, but may say the padding of tokens made without any."""
    if given.bos is None and given.eos is None:
        given = msgspec.structs.replace(given, bos=described.bos, eos=described.eos)
    special = special_ids(load_engine(given.path or "", choice="reference"), given, f"{where}.tokenizer")
    for kind in ("bos", "eos", "pad"):
        mine, theirs = getattr(special, kind), getattr(described, kind)
        if mine in (None, theirs) or (kind == "pad" and theirs is None):
            continue
        says = f"{kind} {theirs}" if theirs is not None else f"that there is no {kind}"
        raise ConfigError(f"{where}: the manifest of `{path}` says {says}, found {mine} given")
    return msgspec.structs.replace(described, pad=special.pad if described.pad is None else described.pad)


def _conversion(base: Path) -> Conversion | None:
    path = base / CONVERSION
    if not fs.is_file(path):
        return None
    conversion: Conversion = read_json(path, Conversion)
    return conversion


def _file(form: Form, path: Path, base: Path, dtype: str | None, eos: int | None, where: str) -> SourceFile:
    stem = path.with_name(path.name.removesuffix(SUFFIXES[form]))
    name = stem.relative_to(base).as_posix() if fs.is_directory(base) else stem.name
    index = Path(f"{stem}{INDEX[form]}") if form in INDEX else None
    rows = Path(f"{stem}.csv.gz")
    signed = False
    if index is not None and not fs.is_file(index):
        raise DataError(f"{path}: expected its index {index.name} beside it, found none")
    if form == "megatron":
        header = MegatronIndex(index or "")
        dtype, signed = header.dtype, header.signed
    elif form == "datatrove":
        described = Path(f"{path}.metadata")
        if fs.is_file(described):
            _, found, count = read_metadata(described)
            if dtype not in (None, found):
                raise ConfigError(f"{where}: {described} says dtype `{found}`, found `{dtype}` given")
            dtype = found
            if fs.stat(path).size != count * np.dtype(dtype).itemsize:
                raise DataError(f"{path}: expected {count} tokens of {dtype}, found {fs.stat(path).size} bytes")
    elif not fs.is_file(rows) and eos is None:
        raise ConfigError(
            f"{where}: expected {rows.name} beside {path}, found none; name the tokenizer and its `eos`, and documents "
            "are parted by it"
        )
    with fs.open_input(path) as opened:
        if form == "dolma" and opened.read(len(NUMPY)) == NUMPY:
            raise DataError(
                f"{path}: expected token ids from the first byte on, found a header of NumPy: "
                "`numpy.load(file).tofile(other)` writes them without"
            )
    if dtype is None:
        raise ConfigError(
            f"{where}: expected `dtype`, or the tokenizer, for {path}: neither the file nor its index says its type"
        )
    size = fs.stat(path).size
    width = np.dtype(dtype).itemsize
    if size % width:
        raise DataError(f"{path}: expected a multiple of {width} bytes for {dtype}, found {size}: cut, or another type")
    return SourceFile(
        form=form,
        name=name,
        tokens=str(path),
        index=None if index is None else str(index),
        rows=str(rows) if fs.is_file(rows) else None,
        dtype=dtype,
        size=size // width,
        signed=signed,
        eos=eos,
    )


def _one(found: dict[str, SourceFile], what: str) -> SourceFile:
    if len(found) > 1:
        (one, a), (other, b) = list(found.items())[:2]
        raise ConfigError(f"{what}, found {one} in {a.tokens} and {other} in {b.tokens}")
    return next(iter(found.values()))


def blake3(path: str) -> str:
    """The hash of the tokenizer.json that `path` names."""
    return str(_native.blake3_file(str(tokenizer_file(path))))


def refuse_packed(source: TokenSource, where: str) -> None:
    """Pieces of documents, in places that packing chose, are no documents to be sampled or converted."""
    if source.packed:
        raise ConfigError(
            f"{where}: expected token files of whole documents, found `{source.path}`, which is packed into instances; "
            "take the files it was made of, and pack as the last step"
        )


def refuse_destination(source: TokenSource, directory: Path, where: str, than: str) -> None:
    """What is written must not take the place of the source's files, nor be taken for some of them the next time."""
    target, base = fs.resolve(directory), fs.resolve(local(source.path))
    if target == base or any(fs.resolve(f.tokens).parent == target for f in source.files):
        raise ConfigError(f"{where}: expected another directory than {than}, found {directory}")
    if (source.form != "dolma" or source.manifest is None) and target.is_relative_to(base):
        raise ConfigError(
            f"{where}: expected a directory outside of {source.path}, all of whose files are read, found {directory}"
        )


def open_tokens(file: SourceFile) -> NDArray[np.unsignedinteger]:
    """Its tokens, mapped into memory; raises DataError for a file of another size than was planned."""
    dtype = np.dtype(file.dtype).newbyteorder("<")
    found = fs.stat(file.tokens).size
    if found != file.size * dtype.itemsize:
        raise DataError(f"{file.tokens}: expected {file.size} tokens of {dtype.name}, found {found} bytes")
    return map_array(file.tokens, dtype) if found else np.empty(0, dtype)


def read_range(file: SourceFile, low: int, high: int) -> NDArray[np.unsignedinteger]:
    """Tokens low ... high - 1, in memory: pages of a mapped file would count as this process's."""
    dtype = np.dtype(file.dtype).newbyteorder("<")
    tokens = read_array(file.tokens, dtype, count=high - low, offset=low * dtype.itemsize)
    if len(tokens) != high - low:
        raise DataError(f"{file.tokens}: expected {high} tokens or more, found {low + len(tokens)}: the file was cut")
    return tokens


def read_rows(file: SourceFile) -> Iterator[Rows]:
    """The documents of a file in its order, with ids where a csv.gz has them."""
    name = file.name.rpartition("/")[2]
    if file.form == "megatron":
        found: Iterable[Rows] = MegatronIndex(file.index or "").rows(name, file.size)
    elif file.form == "datatrove":
        found = by_ends(name, read_ends(file.index or ""), file.size, file.index or "")
    elif file.rows is not None:
        return read_csv(file.rows, file.size, file.documents)
    else:
        return by_eos(name, open_tokens(file), file.eos or 0)
    return _with_ids(found, file) if file.rows is not None else iter(found)


def _with_ids(found: Iterable[Rows], file: SourceFile) -> Iterator[Rows]:
    """The rows of the csv.gz, which must be those of the file's own index."""
    own = iter(found)
    left: Rows | None = None
    number = 0
    for rows in read_csv(file.rows or "", file.size):
        done = 0
        while done < len(rows):
            left = left if left is not None and len(left) else next(own, None)
            if left is None:
                break
            size = min(len(left), len(rows) - done)
            mine, theirs = rows.slice(done, done + size), left.slice(0, size)
            same = (mine.lengths == theirs.lengths) & ((mine.starts == theirs.starts) | (mine.lengths == 0))
            if not same.all():
                raise _other_rows(file, number + done + int(np.argmin(same)))
            done, left = done + size, left.slice(size, len(left))
        if done < len(rows):
            raise _other_rows(file, number + done)
        number += done
        yield rows
    if (left is not None and len(left)) or next(own, None) is not None:
        raise _other_rows(file, number)


def _other_rows(file: SourceFile, number: int) -> DataError:
    return DataError(
        f"{file.rows}: document {number}: expected the documents of {file.index}, found another; remove the csv.gz "
        "if it belongs to other files"
    )


def check_ids(file: SourceFile, tokens: NDArray[np.unsignedinteger], first: int, vocab_size: int | None) -> None:
    """A DataError for an id outside of the vocabulary (or below 0): most likely the type or tokenizer is another."""
    if not len(tokens):
        return
    limit = vocab_size if vocab_size is not None else 2 ** (8 * tokens.dtype.itemsize - file.signed)
    if int(tokens.max()) < limit:
        return
    i = int(np.argmax(tokens >= limit))
    found = int(tokens[i]) if not file.signed else int(tokens.view(tokens.dtype.str.replace("u", "i"))[i])
    of = f"the vocabulary of {vocab_size} ids" if vocab_size is not None else "the ids that a token can have"
    raise DataError(
        f"{file.tokens}: token {first + i} is {found}, outside of {of}: read as {file.dtype}; is that the type of the "
        "file, and its tokenizer the right one?"
    )
