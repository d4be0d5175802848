"""Token files as training instances, in OLMo's order: a pure function of (seed, step), whatever the number of ranks.

An instance is `sequence_length` consecutive tokens of one file; the tail of a file, shorter than that, is left out.
Packed files have instances of one length, without a tail, and masks that say which tokens are to be learnt.
Each epoch visits every instance once, shuffled by PCG64(seed + epoch). A batch is `batch_size` consecutive instances
of that order; rank r of W trains on its instances r, r + W, r + 2W, ...
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from dolma_pipeline.errors import ConfigError, DataError
from dolma_pipeline.io import fs
from dolma_pipeline.io.atomic import read_json
from dolma_pipeline.io.cache import map_array

Indices = npt.NDArray[np.integer]


class TokenFile(Struct, frozen=True, kw_only=True):
    """A headerless little-endian array of token ids."""

    path: str
    tokens: int
    index: str | None = None
    """csv.gz of `start,end,id,src,loc`: which tokens are which document."""
    documents: int = 0
    mask: str | None = None
    """A byte for each token: 1 where it is to be learnt, else 0."""


class Packed(Struct, frozen=True, kw_only=True):
    """How the instances in the files were made."""

    by: str
    length: int
    """Tokens of an instance; the most where there are several lengths."""


class TokenizerRef(Struct, frozen=True, kw_only=True):
    path: str
    blake3: str


class TokenManifest(Struct, frozen=True, kw_only=True):
    """What the trainer reads of a token directory's manifest.json."""

    dtype: str
    vocab_size: int
    tokens: int
    files: list[TokenFile]
    tokenizer: TokenizerRef | None = None
    bos_token_id: int | None = None
    eos_token_id: int | None = None
    pad_token_id: int | None = None
    documents: int = 0
    text_bytes: int = 0
    """UTF-8 bytes of the text the tokens stand for."""
    packed: Packed | None = None


def read_manifest(directory: str | Path) -> TokenManifest:
    """The manifest of a token directory; raises ConfigError if there is none, DataError if it is damaged."""
    path = Path(directory) / "manifest.json"
    try:
        manifest: TokenManifest = read_json(path, TokenManifest)
    except FileNotFoundError:
        raise ConfigError(f"{directory}: expected a directory of tokens, found no manifest.json in it") from None
    if manifest.dtype not in ("uint8", "uint16", "uint32", "uint64"):
        raise DataError(f"{path}: expected an unsigned dtype such as uint16, found `{manifest.dtype}` - at `$.dtype`")
    return manifest


class Instances:
    """The instances of a token directory, mapped into memory: opening costs nothing, reading one costs one page-in.

    Raises DataError for a file that is missing or not as long as its manifest says, and ConfigError for fewer tokens
    than one instance and for files packed for another length.
    """

    def __init__(self, directory: str | Path, sequence_length: int) -> None:
        self.directory = Path(directory)
        self.manifest = read_manifest(directory)
        self.length = sequence_length
        _check_packing(self.directory, self.manifest.packed, sequence_length)
        dtype = np.dtype(self.manifest.dtype).newbyteorder("<")
        files = self.manifest.files
        self._arrays = [_open(self.directory / f.path, f.tokens, dtype) for f in files]
        self._masks = [
            None if f.mask is None else _open(self.directory / f.mask, f.tokens, np.dtype(np.bool_)) for f in files
        ]
        self.masked = any(m is not None for m in self._masks)
        """Whether some file says which of its tokens are to be learnt."""
        counts = [len(a) // sequence_length for a in self._arrays]
        self._first = np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))
        if len(self) == 0:
            longest = max((len(a) for a in self._arrays), default=0)
            raise ConfigError(
                f"{directory}: no file holds an instance of {sequence_length} tokens; the longest has {longest:,}: "
                f"use a sequence_length of at most {longest}, or more text"
            )

    def __len__(self) -> int:
        return int(self._first[-1])

    def locate(self, instance: int) -> tuple[TokenFile, int]:
        """The file an instance is in, and its first token there."""
        number = int(np.searchsorted(self._first, instance, side="right")) - 1
        return self.manifest.files[number], (instance - int(self._first[number])) * self.length

    def read(self, indices: Indices) -> npt.NDArray[np.int64]:
        """Token ids [len(indices), sequence_length]; raises DataError for an id outside of the vocabulary."""
        out = np.empty((len(indices), self.length), dtype=np.int64)
        numbers = np.searchsorted(self._first, indices, side="right") - 1
        for row, (instance, number) in enumerate(zip(indices.tolist(), numbers.tolist(), strict=True)):
            start = (instance - int(self._first[number])) * self.length
            out[row] = self._arrays[number][start : start + self.length]
        # The largest as unsigned, so that a uint64 id that wrapped to a negative number is found too.
        if out.size and out.view(np.uint64).max() >= self.manifest.vocab_size:
            row, column = np.argwhere(out.view(np.uint64) >= self.manifest.vocab_size)[0].tolist()
            file, start = self.locate(int(indices[row]))
            raise DataError(
                f"{self.directory / file.path}: token {start + column} is {out.view(np.uint64)[row, column]}, outside "
                f"of the vocabulary of {self.manifest.vocab_size:,} ids that the manifest names"
            )
        return out

    def read_mask(self, indices: Indices) -> npt.NDArray[np.bool_]:
        """Which tokens are to be learnt [len(indices), sequence_length]: all of them in a file without a mask."""
        out = np.ones((len(indices), self.length), dtype=np.bool_)
        numbers = np.searchsorted(self._first, indices, side="right") - 1
        for row, (instance, number) in enumerate(zip(indices.tolist(), numbers.tolist(), strict=True)):
            mask = self._masks[number]
            if mask is not None:
                start = (instance - int(self._first[number])) * self.length
                out[row] = mask[start : start + self.length]
        return out


def _check_packing(directory: Path, packed: Packed | None, sequence_length: int) -> None:
    """Windows of another length would cut documents and fill with padding, which packing was to prevent."""
    if packed is None or (packed.by != "bucket" and packed.length == sequence_length):
        return
    if packed.by == "bucket":
        raise ConfigError(
            f"{directory}: expected instances of one length, {sequence_length}, found buckets of several up to "
            f"{packed.length}; pack with `by: best_fit` or `by: concatenate` and `length: {sequence_length}`"
        )
    raise ConfigError(
        f"{directory}: expected instances of the sequence_length {sequence_length}, found instances packed to "
        f"{packed.length}; use `sequence_length: {packed.length}`, or pack with `length: {sequence_length}`"
    )


def _open(path: Path, tokens: int, dtype: np.dtype[np.generic]) -> npt.NDArray[np.generic]:
    try:
        found = fs.stat(path).size
    except FileNotFoundError:
        raise DataError(f"{path} is not there, though the manifest names it") from None
    expected = tokens * dtype.itemsize
    if found != expected:
        raise DataError(
            f"{path}: expected {expected:,} bytes ({tokens:,} tokens of {dtype.name}), found {found:,}; "
            f"the file was cut or changed after it was written"
        )
    # An empty file cannot be mapped.
    return map_array(path, dtype) if found else np.empty(0, dtype)


def epoch_order(instances: int, seed: int, epoch: int, multiple: int, *, drop_last: bool) -> Indices:
    """Instances in the order of `epoch` (from 0), their number brought to a multiple of `multiple`.

    Too many are cut off where `drop_last`; else the head of the order is repeated. Bit-equal to OLMo's global
    indices, with the world size for `multiple`. Costs four bytes an instance (eight beyond 2^32).
    """
    order: Indices = np.arange(instances, dtype=np.uint32 if instances < 2**32 else np.uint64)
    np.random.Generator(np.random.PCG64(seed + epoch)).shuffle(order)
    if drop_last:
        return order[: instances // multiple * multiple]
    return np.resize(order, -(-instances // multiple) * multiple)


class Batches:
    """Which instances each step trains on."""

    def __init__(self, instances: int, batch_size: int, seed: int, *, drop_last: bool = True) -> None:
        if drop_last and instances < batch_size:
            raise ConfigError(
                f"an epoch of {instances:,} instances has no whole batch of {batch_size}; use a batch_size of at most "
                f"{instances}, a shorter sequence_length, or more text"
            )
        self.instances = instances
        self.batch_size = batch_size
        self.seed = seed
        self.drop_last = drop_last
        self.per_epoch = instances // batch_size if drop_last else -(-instances // batch_size)
        self._epoch = -1
        self._order: Indices = np.empty(0, np.uint32)

    def batch(self, step: int) -> Indices:
        """The instances of update number `step`, from 1; [batch_size]."""
        epoch, batch = divmod(step - 1, self.per_epoch)
        if epoch != self._epoch:
            self._order = epoch_order(self.instances, self.seed, epoch, self.batch_size, drop_last=self.drop_last)
            self._epoch = epoch
        return self._order[batch * self.batch_size : (batch + 1) * self.batch_size]

    def part(self, step: int, rank: int, world_size: int) -> Indices:
        """What `rank` trains on in `step`; [batch_size / world_size]."""
        return self.batch(step)[rank::world_size]
