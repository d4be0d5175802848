"""The shapes of models: those of the OLMo paper (arXiv 2402.00838, table 1), and small ones for a CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import yaml
from msgspec import Meta, Struct

from dolma_pipeline.errors import ConfigError, unknown
from dolma_pipeline.io import fs

EMBEDDING_MULTIPLE = 128
"""Rows of the embedding are padded to a multiple of this, as in OLMo (50,280 ids, 50,304 rows)."""


class Architecture(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The shape of an OLMo; the vocabulary comes from the tokens."""

    d_model: Annotated[int, Meta(ge=2)]
    n_layers: Annotated[int, Meta(ge=1)]
    n_heads: Annotated[int, Meta(ge=1)]
    mlp_width: Annotated[int, Meta(ge=1)]
    """Width of the activation; the fused projection before it is twice as wide."""
    weight_tying: bool = False
    """One matrix is both the embedding and the output."""
    rope_theta: Annotated[float, Meta(gt=0)] = 10_000.0
    clip_qkv: Annotated[float, Meta(gt=0)] | None = None
    """Queries, keys and values are clamped to this magnitude."""

    def __post_init__(self) -> None:
        if self.d_model % (2 * self.n_heads):
            raise ValueError(
                f"d_model {self.d_model} cannot be split into {self.n_heads} heads of even width; "
                f"{max(1, round(self.d_model / (2 * self.n_heads))) * 2 * self.n_heads} can"
            )

    def parameters(self, vocab_size: int) -> int:
        """Trained numbers, embeddings included, with a vocabulary of `vocab_size`."""
        layer = 4 * self.d_model**2 + 3 * self.d_model * self.mlp_width
        matrices = 1 if self.weight_tying else 2
        return self.n_layers * layer + matrices * self.d_model * embedding_size(vocab_size)


def embedding_size(vocab_size: int) -> int:
    """Rows of the embedding for `vocab_size` ids."""
    return -(-vocab_size // EMBEDDING_MULTIPLE) * EMBEDDING_MULTIPLE


PRESETS: dict[str, Architecture] = {
    # Named by their parameters with a vocabulary of 8,192.
    "olmo-1m": Architecture(d_model=64, n_layers=4, n_heads=2, mlp_width=192),
    "olmo-4m": Architecture(d_model=128, n_layers=8, n_heads=4, mlp_width=384),
    "olmo-20m": Architecture(d_model=384, n_layers=8, n_heads=6, mlp_width=1024),
    # Named by their parameters with a vocabulary of 50,280.
    "olmo-150m": Architecture(d_model=768, n_layers=12, n_heads=12, mlp_width=2048),
    "olmo-1b": Architecture(d_model=2048, n_layers=16, n_heads=16, mlp_width=8192, weight_tying=True),
    "olmo-7b": Architecture(d_model=4096, n_layers=32, n_heads=32, mlp_width=11008),
}


def architecture(name: str) -> Architecture:
    """The preset `name`, or the Architecture in a YAML or JSON file of that path; raises ConfigError for neither."""
    if name in PRESETS:
        return PRESETS[name]
    path = Path(name)
    if path.suffix not in (".yaml", ".yml", ".json"):
        raise ConfigError(f"{unknown('model', name, PRESETS)}, or a path that ends in .yaml or .json")
    try:
        loaded: Any = yaml.safe_load(fs.read_text(path))
        return msgspec.convert(loaded, Architecture)
    except FileNotFoundError:
        raise ConfigError(f"model file {name} is not there (presets: {', '.join(sorted(PRESETS))})") from None
    except (yaml.YAMLError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise ConfigError(f"model file {name}: {error}") from None
