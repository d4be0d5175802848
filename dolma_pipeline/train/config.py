"""What a rank is told: one frozen struct in a JSON file, complete but for the world it runs in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from dolma_pipeline.errors import ConfigError
from dolma_pipeline.io import fs
from dolma_pipeline.train.presets import Architecture

PositiveInt: TypeAlias = Annotated[int, Meta(ge=1)]
Count: TypeAlias = Annotated[int, Meta(ge=0)]
Fraction: TypeAlias = Annotated[float, Meta(ge=0.0, le=1.0)]


class Optimization(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """AdamW and its learning rate; the defaults are those of the OLMo paper (sections 3.3 and A)."""

    learning_rate: Annotated[float, Meta(gt=0)] = 4e-4
    """The peak, reached after `warmup_steps`."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup_steps: Count = 5000
    warmup_from: Fraction = 0.1
    """Share of the peak at step 0."""
    final_fraction: Fraction = 0.1
    """Share of the peak at the last step; `constant` does not fall."""
    beta1: Fraction = 0.9
    beta2: Fraction = 0.95
    eps: Annotated[float, Meta(gt=0)] = 1e-5
    weight_decay: Annotated[float, Meta(ge=0)] = 0.1
    """It acts on the weights of linear maps; embeddings do not decay."""
    max_grad_norm: Annotated[float, Meta(gt=0)] = 1.0


class Hardware(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How it is computed, which changes speed and rounding but not what is learnt from."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16 computes in bfloat16; parameters, gradient sums and the optimizer stay in float32."""
    threads: PositiveInt = 1
    """Threads of a rank that is alone; several ranks on a CPU have one each."""
    replicas: PositiveInt = 1
    """Copies of the sharded model (HSDP); 1 shards it over all ranks."""
    activation_checkpointing: bool = False
    """Computes each block twice rather than keep its activations."""
    watts: Annotated[float, Meta(ge=0)] = 0.0
    """Mean power of all machines together, for the estimate of energy; 0 makes none."""
    pue: Annotated[float, Meta(ge=1)] = 1.1
    """Power usage effectiveness of the data centre."""
    carbon_intensity: Annotated[float, Meta(ge=0)] = 0.0
    """Carbon intensity of the grid, in kg of CO2 equivalent per kWh."""


class TrainerConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A training run."""

    model: Architecture
    tokens: str
    """Directory of token files with their manifest.json."""
    output: str
    """Directory of checkpoints, metrics and the exported model."""
    validation: str | None = None
    """Directory of held-out token files."""
    steps: PositiveInt
    batch_size: PositiveInt
    """Instances in a global batch."""
    microbatch_size: PositiveInt
    """Instances a rank forwards at once."""
    sequence_length: Annotated[int, Meta(ge=2)]
    """Tokens in an instance."""
    drop_last: bool = True
    """Leaves out the last, incomplete batch of an epoch; else the epoch's first instances fill it up."""
    optimization: Optimization = Optimization()
    hardware: Hardware = Hardware()
    checkpoint_every: PositiveInt = 1000
    keep_checkpoints: PositiveInt = 2
    evaluate_every: PositiveInt = 1000
    log_every: PositiveInt = 10
    """Steps between lines on the terminal; metrics.jsonl has every step."""
    export_hf: bool = True
    """Writes `output`/hf at the end: config.json and model.safetensors for Hugging Face transformers."""
    start_from: str | None = None
    """Directory of a Hugging Face OLMo whose weights a new run starts from."""
    seed: Count = 0


def read_config(path: str | Path) -> TrainerConfig:
    """The config in a JSON file; raises ConfigError with its `$.path` for what is wrong with it."""
    try:
        return msgspec.json.decode(fs.read_bytes(path), type=TrainerConfig)
    except FileNotFoundError:
        raise ConfigError(f"trainer config {path} is not there") from None
    except msgspec.DecodeError as error:
        raise ConfigError(f"trainer config {path}: {error}") from None
