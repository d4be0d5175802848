"""Sharded checkpoints that are whole or not there: written under a temporary name, hashed, renamed.

    checkpoints/step-00000300/    one .distcp file per rank, .metadata, trainer.json (where the run stood),
                                  manifest.json (SHA-256 of every other file; written last)
    checkpoints/latest            -> step-00000300

A checkpoint may be loaded by any number of ranks. Equal runs write equal bytes.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import torch
import torch.distributed.checkpoint as dcp
from msgspec import Struct
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

from dolma_pipeline.errors import ConfigError, DataError
from dolma_pipeline.io import fs
from dolma_pipeline.io.atomic import point_to, publish_directory, write_json
from dolma_pipeline.train.checkpoint_reader import METADATA, CheckpointPlanner, CheckpointReader
from dolma_pipeline.train.checkpoint_writer import CheckpointWriter
from dolma_pipeline.train.parallel import World
from dolma_pipeline.train.presets import Architecture

MANIFEST = "manifest.json"
STATE = "trainer.json"
LATEST = "latest"


class Identity(Struct, frozen=True, kw_only=True):
    """What two runs must share for one to go on from the other's checkpoint."""

    model: Architecture
    vocab_size: int
    tokens: str
    """SHA-256 of the token directory's manifest.json."""
    sequence_length: int
    batch_size: int
    drop_last: bool
    seed: int


class TrainerState(Struct, frozen=True, kw_only=True):
    """Where a run stood: with the identity this fixes its position in the data."""

    step: int
    identity: Identity


class CheckpointManifest(Struct, frozen=True, kw_only=True):
    files: dict[str, str]
    """SHA-256 in hex by name."""


class Checkpoints:
    """The checkpoints of one run."""

    def __init__(self, directory: Path, keep: int, world: World) -> None:
        self.directory = directory
        self.keep = keep
        self.world = world

    def save(self, model: nn.Module, optimizer: torch.optim.Optimizer, state: TrainerState) -> Path:
        """Writes the checkpoint of `state.step` and removes all but the newest `keep`; called on all ranks."""
        final = self.directory / step_name(state.step)
        # The same on every rank, for all of them write into it.
        temporary = self.directory / f".{final.name}.tmp"
        if self.world.first:
            fs.make_directories(self.directory)
            fs.remove_tree(temporary, ignore_errors=True)
            fs.make_directories(temporary)
        self.world.barrier()
        parameters, moments = get_state_dict(model, optimizer)
        writer = CheckpointWriter(temporary)
        try:
            dcp.save({"model": parameters, "optimizer": moments}, storage_writer=writer)
            if self.world.first:
                write_json(temporary / STATE, state)
                files = {p.name: sha256(p) for p in sorted(fs.list_directory(temporary))}
                write_json(temporary / MANIFEST, CheckpointManifest(files=files))
        except (CheckpointException, OSError) as error:
            fs.remove_tree(temporary, ignore_errors=True)
            raise writer.failure(final, error) from None
        if self.world.first:
            if fs.exists(final):
                fs.remove_tree(final)
            publish_directory(temporary, final)
            self._point_latest(final.name)
            for old in self._steps()[: -self.keep]:
                _remove(self.directory / step_name(old))
        self.world.barrier()
        return final

    def load(self, model: nn.Module, optimizer: torch.optim.Optimizer, checkpoint: Path) -> None:
        """Fills `model` and `optimizer` in place; called on all ranks, of any number."""
        parameters, moments = get_state_dict(model, optimizer)
        state: dict[str, Any] = {"model": parameters, "optimizer": moments}
        reader = CheckpointReader(checkpoint)
        # Outside of `load`, which hides errors in one of its own.
        reader.read_metadata()
        try:
            dcp.load(state, storage_reader=reader, planner=CheckpointPlanner())
        except CheckpointException as error:
            reason = "; ".join(str(failure).splitlines()[0] for failure, _ in error.failures.values())
            raise DataError(f"{checkpoint}: expected a checkpoint of this model, found another: {reason}") from None
        set_state_dict(model, optimizer, model_state_dict=state["model"], optim_state_dict=state["optimizer"])

    def newest(self, identity: Identity) -> tuple[Path, TrainerState, list[str]] | None:
        """Returns the newest whole checkpoint, its state, and what was wrong with newer ones; called on all ranks.

        Newer ones that are not whole are set aside under another name: they are neither read nor overwritten. Raises
        ConfigError for a checkpoint of another run, so that no run is continued on other data by mistake, and DataError
        if there are checkpoints and none is whole.
        """
        found: Any = self.world.share(self._newest() if self.world.first else None)
        path, state, problems = found
        if path is None:
            if problems:
                raise DataError(
                    f"{self.directory}: expected a whole checkpoint to go on from, found none: {'; '.join(problems)}; "
                    f"move the directory away, or remove it, to start over"
                )
            return None
        check_identity(state.identity, identity, path)
        said = self._set_aside(state.step, problems) if self.world.first else None
        shared: Any = self.world.share(said)
        return path, state, shared

    def _newest(self) -> tuple[Path | None, TrainerState | None, list[str]]:
        problems: list[str] = []
        for step in reversed(self._steps()):
            path = self.directory / step_name(step)
            try:
                return path, verify(path), problems
            except DataError as error:
                problems.append(str(error))
        return None, None, problems

    def _set_aside(self, step: int, problems: list[str]) -> list[str]:
        """Renames the checkpoints after `step`, newest first, and returns what is to be said of each."""
        said = []
        for newer, problem in zip(reversed([s for s in self._steps() if s > step]), problems, strict=True):
            path = self.directory / step_name(newer)
            number = 1
            while fs.exists(aside := path.with_name(f"{path.name}.damaged-{number}")):
                number += 1
            fs.move(path, aside)
            said.append(f"{problem}; it was set aside as {aside.name}")
        return said

    def _steps(self) -> list[int]:
        names = [p.name for p in fs.find(self.directory, "step-*")] if fs.is_directory(self.directory) else []
        return sorted(int(n.removeprefix("step-")) for n in names if n.removeprefix("step-").isdecimal())

    def _point_latest(self, name: str) -> None:
        point_to(self.directory / LATEST, name)


def step_name(step: int) -> str:
    return f"step-{step:08d}"


def verify(checkpoint: Path) -> TrainerState:
    """Returns the state of a checkpoint if its manifest has the digest of each of its files, and no file differs.

    Raises DataError that names the file otherwise. Nothing in a checkpoint is unpickled before this.
    """
    try:
        manifest = msgspec.json.decode(fs.read_bytes(checkpoint / MANIFEST), type=CheckpointManifest)
        there = {p.name for p in fs.list_directory(checkpoint)} - {MANIFEST}
        for name in sorted(there.symmetric_difference(manifest.files) | {METADATA, STATE} - set(manifest.files)):
            found = "found a file without one" if name in there else "found no such file"
            raise DataError(f"{checkpoint / name}: expected a file with a digest in {MANIFEST}, {found}")
        for name, expected in manifest.files.items():
            found = sha256(checkpoint / name)
            if found != expected:
                raise DataError(f"{checkpoint / name}: expected SHA-256 {expected[:12]}..., found {found[:12]}...")
        return msgspec.json.decode(fs.read_bytes(checkpoint / STATE), type=TrainerState)
    except (OSError, msgspec.DecodeError) as error:
        raise DataError(f"{checkpoint}: not a whole checkpoint: {error}") from None


def check_identity(found: Identity, expected: Identity, checkpoint: Path) -> None:
    """Raises ConfigError, which lists them, for a checkpoint that was made with other settings."""
    different = [
        f"{name} {getattr(found, name)!r} instead of {getattr(expected, name)!r}"
        for name in Identity.__struct_fields__
        if getattr(found, name) != getattr(expected, name)
    ]
    if different:
        raise ConfigError(
            f"{checkpoint} is of another run, with {', '.join(different)}; choose another output directory, or remove "
            f"this one to start over"
        )


def read_parameters(checkpoint: Path) -> Iterator[tuple[str, Tensor]]:
    """The name and the whole tensor of each parameter, in order of name, one in memory at a time; no ranks needed."""
    metadata = CheckpointReader(checkpoint).read_metadata().state_dict_metadata
    for key in sorted(metadata):
        stored = metadata[key]
        if key.startswith("model.") and isinstance(stored, TensorStorageMetadata):
            name = key.removeprefix("model.")
            state = {"model": {name: torch.empty(stored.size, dtype=stored.properties.dtype)}}
            with warnings.catch_warnings():
                # That it loads in a single process is what was asked for.
                warnings.simplefilter("ignore", UserWarning)
                dcp.load(state, storage_reader=CheckpointReader(checkpoint), planner=CheckpointPlanner(), no_dist=True)
            yield name, state["model"][name]


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with fs.open_input(path) as handle:
        while block := handle.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def _remove(path: Path) -> None:
    """Takes the name away first: what is left of an interrupted removal does not look like a checkpoint."""
    gone = path.with_name(f".{path.name}.tmp")
    fs.remove_tree(gone, ignore_errors=True)
    fs.move(path, gone)
    fs.remove_tree(gone)
