"""A random number for each document, by which a mix may sample."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from dolma_pipeline import _native
from dolma_pipeline.mixers.sampling import located_hashes
from dolma_pipeline.taggers.base import Attribute, Documents

NAME = "random_number_v1"
SEED = 17


class RandomNumber:
    """A number in [0, 1) that depends on the seed and the document's id, file and line, and on nothing else.

    The id alone would not do: where ids repeat, all documents of one id would have one number. Dolma 1.2.1 seeds a
    generator with the number of the process: a rerun draws anew, and so does another order of files. Here a document
    has the same number in every run; `seeded` draws another set of them.
    """

    attributes = (Attribute("random", "float64"),)

    def __init__(self, seed: int = SEED, name: str = NAME) -> None:
        self.name = name
        # Its own stream: a mix samples by a hash of the same seed and place.
        stream = _native.keyed_hash(pa.array([NAME], pa.large_string()), seed)
        self._seed = int(stream[0].as_py())

    def seeded(self, seed: int) -> RandomNumber:
        return RandomNumber(seed, self.name)

    def tag(self, documents: Documents) -> dict[str, pa.Array]:
        hashes = located_hashes(documents.id, documents.name, documents.line, self._seed)
        # 53 bits are what a float holds; rounded down, so that none is 1.
        return {"random": pa.array(np.floor((hashes >> np.uint64(11)) / 2.0**53 * 1e5) / 1e5)}
