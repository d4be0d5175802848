"""Token files as a dataset for PyTorch, which needs no torch itself."""

from __future__ import annotations

import operator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dolma_pipeline.errors import ConfigError
from dolma_pipeline.train.data import Instances


class TokenDataset:
    """The instances of a token directory as a map-style dataset: `torch.utils.data.DataLoader` takes it as it is.

    An instance is `sequence_length` consecutive tokens of one file. Files are mapped into memory: opening costs
    nothing, and reading an instance costs one page-in. Raises ConfigError if `directory` holds no tokens, or fewer than
    one instance of this length.
    """

    def __init__(self, directory: str | Path, sequence_length: int) -> None:
        if not isinstance(sequence_length, int) or sequence_length < 1:
            raise ConfigError(
                f"expected a whole number of tokens from 1 as `sequence_length`, found {sequence_length!r}"
            )
        self._instances = Instances(directory, sequence_length)
        self.manifest = self._instances.manifest

    def __len__(self) -> int:
        return len(self._instances)

    def __getitem__(self, index: int) -> dict[str, npt.NDArray[Any]]:
        """Returns `input_ids`: int64 [sequence_length], and `label_mask`: bool, where some tokens are not to be learnt.

        Raises IndexError past the end, DataError for an id outside of the vocabulary.
        """
        index = operator.index(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"expected an instance from 0 to {len(self) - 1}, found {index}")
        wanted = np.array([index % len(self)], np.int64)
        item: dict[str, npt.NDArray[Any]] = {"input_ids": self._instances.read(wanted)[0]}
        if self._instances.masked:
            item["label_mask"] = self._instances.read_mask(wanted)[0]
        return item
