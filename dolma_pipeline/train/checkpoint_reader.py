"""Reading a sharded checkpoint without running what it says.

PyTorch keeps the directory of a checkpoint (`.metadata`) and every value that is no tensor as pickles, and a pickle can
call any function when it is read. Here only the classes that such a directory consists of are let in, and values are
read with `weights_only=True`: a checkpoint from someone else can hold wrong numbers, but it cannot run code.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint import DefaultLoadPlanner, FileSystemReader
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta
from torch.distributed.checkpoint.planner import ReadItem

from dolma_pipeline.errors import DataError
from dolma_pipeline.io import fs

METADATA = ".metadata"
ALLOWED = {
    "pathlib": {"PosixPath"},
    "torch": {"Size"},
    "torch.distributed.checkpoint.filesystem": {"_StorageInfo"},
    "torch.distributed.checkpoint.metadata": {
        "BytesStorageMetadata",
        "ChunkStorageMetadata",
        "Metadata",
        "MetadataIndex",
        "StorageMeta",
        "TensorProperties",
        "TensorStorageMetadata",
        "_MEM_FORMAT_ENCODING",
    },
    "torch.serialization": {"_get_layout"},
}
"""Names that the pickle of a checkpoint's directory may use, by module; beside them the data types of torch."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name in ALLOWED.get(module, ()):
            return super().find_class(module, name)
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        raise pickle.UnpicklingError(f"found `{module}.{name}` in it, which no checkpoint needs")


class CheckpointReader(FileSystemReader):
    """PyTorch's reader, with a directory that is read by allowed names alone."""

    def read_metadata(self, *args: Any, **more: Any) -> Metadata:
        """Returns the directory of the checkpoint. Raises DataError if it is anything else."""
        rank = more.get("rank")
        path = Path(self.path) / (METADATA if rank is None else f"__{rank}{METADATA}")
        try:
            metadata = _Unpickler(io.BytesIO(fs.read_bytes(path))).load()
        # A damaged pickle fails in as many ways as there are opcodes.
        except OSError as error:
            raise DataError(f"{path}: expected the directory of a checkpoint, found none: {error.strerror}") from None
        except Exception as error:
            raise DataError(f"{path}: expected the directory of a checkpoint, found another pickle: {error}") from None
        if not isinstance(metadata, Metadata):
            kind = type(metadata).__name__
            raise DataError(f"{path}: expected the directory of a checkpoint, found a pickle of `{kind}`")
        stored = getattr(metadata, "storage_meta", None) or StorageMeta()
        stored.load_id = self.load_id
        metadata.storage_meta = stored
        return metadata


class CheckpointPlanner(DefaultLoadPlanner):
    """PyTorch's planner, with values that are read as plain data."""

    def load_bytes(self, read_item: ReadItem, value: io.BytesIO) -> None:
        plain = io.BytesIO()
        torch.save(torch.load(value, weights_only=True), plain)
        plain.seek(0)
        super().load_bytes(read_item, plain)
