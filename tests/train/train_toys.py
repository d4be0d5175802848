"""Toys of the trainer's tests: token files whose every id is known, and a config of a model that trains in a second."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from dolma_pipeline.io.atomic import write_json
from dolma_pipeline.train.config import Hardware, Optimization, TrainerConfig
from dolma_pipeline.train.presets import Architecture

VOCABULARY = 40
TINY = Architecture(d_model=16, n_layers=2, n_heads=2, mlp_width=32)


def write_tokens(
    directory: Path,
    *lengths: int,
    vocab_size: int = VOCABULARY,
    masks: Sequence[Sequence[int]] = (),
    **changes: object,
) -> Path:
    """Files of counting ids, which a model learns fast: file f begins with the id f; EOS is 0. `masks`: one a file."""
    directory.mkdir(parents=True)
    files: list[dict[str, object]] = []
    for number, length in enumerate(lengths):
        name = f"part-{number:05d}.npy"
        ((np.arange(length) + number) % vocab_size).astype("<u2").tofile(directory / name)
        files.append({"path": name, "tokens": length})
        if masks:
            files[-1]["mask"] = f"part-{number:05d}.mask"
            (directory / f"part-{number:05d}.mask").write_bytes(bytes(masks[number]))
    manifest = {"dtype": "uint16", "vocab_size": vocab_size, "tokens": sum(lengths), "files": files, "eos_token_id": 0}
    write_json(directory / "manifest.json", manifest | changes)
    return directory


def config(tokens: Path, output: Path, **changes: object) -> TrainerConfig:
    made = TrainerConfig(
        model=TINY,
        tokens=str(tokens),
        output=str(output),
        steps=30,
        batch_size=8,
        microbatch_size=2,
        sequence_length=16,
        optimization=Optimization(learning_rate=1e-2, warmup_steps=3),
        hardware=Hardware(device="cpu"),
        checkpoint_every=10,
        evaluate_every=30,
        log_every=1,
        seed=3,
    )
    return msgspec.structs.replace(made, **changes)


def write_config(config: TrainerConfig) -> Path:
    path = Path(config.output).with_suffix(".json")
    write_json(path, config)
    return path
