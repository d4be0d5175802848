"""What an engine makes of a batch of texts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Encoded:
    """The tokens of documents, one after the other: ids (tokens), lengths and text_bytes (documents).

    `text_bytes`: the UTF-8 bytes of the stripped texts. A document that is empty, or of which no token remains, has
    length 0. `lacking`: the documents of whose text the vocabulary lacks something; None where it lacks nothing.
    """

    ids: NDArray[np.uint32]
    lengths: NDArray[np.int64]
    text_bytes: NDArray[np.int64]
    lacking: NDArray[np.bool_] | None = None
