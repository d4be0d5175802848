"""Every random choice of the stage: hashes of a document under a seed, so that none depends on who else is there."""

from __future__ import annotations

import hashlib
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dolma_pipeline import _native

Purpose = Literal["order", "holdout", "sample", "reshard", "fertility"]


def derived_seed(seed: int, purpose: Purpose) -> int:
    """A seed of 64 bits for one purpose: choices made for different purposes are independent of each other."""
    return int.from_bytes(hashlib.blake2b(f"tokens/{purpose}/{seed}".encode(), digest_size=8).digest(), "little")


def order_keys(ids: pa.LargeStringArray, label: str, lines: pa.Int64Array, seed: int) -> NDArray[np.uint64]:
    """The place of each document in the shuffle.

    A mix may repeat a document: its copies have one id but not one line, so that the place hashes both.
    """
    text = pa.large_string()
    place = pa.scalar(label, text)
    located = pc.binary_join_element_wise(ids, place, lines.cast(text), pa.scalar("\0", text))
    return _hashes(located, derived_seed(seed, "order"))


def content_hashes(
    ids: pa.LargeStringArray | None, texts: pa.LargeStringArray, seed: int, purpose: Purpose
) -> NDArray[np.uint64]:
    """The place of each document in a draw: a hash of its id and its text, or of the text alone without ids."""
    own = derived_seed(seed, purpose)
    by_text = _hashes(pc.fill_null(texts, ""), derived_seed(own, purpose))
    # Two hashes of independent seeds: together they are as even as either, and no text has to be copied.
    return by_text if ids is None else by_text ^ _hashes(pc.fill_null(ids, ""), own)


def holdout_hashes(ids: pa.LargeStringArray | None, texts: pa.LargeStringArray, seed: int) -> NDArray[np.uint64]:
    """The place of each document in the draw of the validation documents.

    A mix may repeat a document, and a copy in the training files would make the validation loss too low: copies have
    one id and one text, so that they stay together. So the place must not hash the file or the line, by which copies
    differ. The id alone would not do either: where ids repeat, all documents of one id would go to one side.
    """
    return content_hashes(ids, texts, seed, "holdout")


def held_out(
    ids: pa.LargeStringArray | None, texts: pa.LargeStringArray, fraction: float, seed: int
) -> NDArray[np.bool_]:
    """Which documents are for validation; newcomers move nobody."""
    return chosen(holdout_hashes(ids, texts, seed), fraction)


def chosen(hashes: NDArray[np.uint64], fraction: float) -> NDArray[np.bool_]:
    """Which hashes are in the first `fraction` of the 64-bit range."""
    bound = int(fraction * 2.0**64)
    if bound >= 2**64:
        return np.ones(len(hashes), dtype=np.bool_)
    return hashes < np.uint64(bound)


def sample_keys(ids: pa.LargeStringArray, seed: int) -> NDArray[np.uint64]:
    """The rank of each document in a sample: the smallest are drawn first."""
    return _hashes(ids, derived_seed(seed, "sample"))


def sampled_copies(
    ids: pa.LargeStringArray, sources: pa.LargeStringArray, lines: pa.Int64Array, rate: float, seed: int
) -> NDArray[np.int64]:
    """How often each document is taken: the whole part of `rate`, and once more for the rest of it by hash.

    The hash is of the document (id, file, line), not of the token file it is in: how tokens are divided into files
    does not change what is sampled, and what a smaller rate takes, a larger one takes too.
    """
    text = pa.large_string()
    whole = int(rate)
    copies = np.full(len(ids), whole, dtype=np.int64)
    if rate > whole:
        located = pc.binary_join_element_wise(ids, sources, lines.cast(text), pa.scalar("\0", text))
        copies += chosen(_hashes(located, derived_seed(seed, "reshard")), rate - whole)
    return copies


def _hashes(values: pa.LargeStringArray, seed: int) -> NDArray[np.uint64]:
    hashes: NDArray[np.uint64] = _native.keyed_hash(values, seed).to_numpy(zero_copy_only=False)
    return hashes
