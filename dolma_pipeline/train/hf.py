"""Between our checkpoints and Hugging Face's OlmoForCausalLM: the same numbers under other names, nothing permuted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import torch
from msgspec import Struct, field
from torch import Tensor

from dolma_pipeline import __version__
from dolma_pipeline.errors import ConfigError, DataError
from dolma_pipeline.io import fs
from dolma_pipeline.io.atomic import publish_copy, write_json
from dolma_pipeline.train.checkpoint import read_parameters, verify
from dolma_pipeline.train.data import TokenManifest, read_manifest
from dolma_pipeline.train.model import Olmo, assign
from dolma_pipeline.train.presets import Architecture, embedding_size
from dolma_pipeline.train.safetensors import TensorFile, write_tensors

BLOCK_NAMES = {
    # Fused matrices are split into equal parts along their rows.
    "att_proj": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "attn_out": ("self_attn.o_proj",),
    "ff_proj": ("mlp.up_proj", "mlp.gate_proj"),
    "ff_out": ("mlp.down_proj",),
}


class RopeParameters(Struct, frozen=True, kw_only=True):
    rope_theta: float = 10_000.0
    rope_type: str = "default"


class HfConfig(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """config.json of an OlmoForCausalLM; of other keys none matters here."""

    model_type: str
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    vocab_size: int
    max_position_embeddings: int = 2048
    num_key_value_heads: int | None = None
    tie_word_embeddings: bool = False
    rope_theta: float = 10_000.0
    rope_parameters: RopeParameters | None = None
    """Where version 5 of transformers keeps the above."""
    clip_qkv: float | None = None
    attention_bias: bool = False
    hidden_act: str = "silu"
    bos_token_id: int | None = None
    eos_token_id: int | None = None
    pad_token_id: int | None = None
    architectures: list[str] = field(default_factory=lambda: ["OlmoForCausalLM"])
    torch_dtype: str = "float32"
    use_cache: bool = True


def hf_names(name: str) -> list[str]:
    """The Hugging Face names of the equal parts, along the rows, of the parameter `name`."""
    parts = name.split(".")
    if parts[1] == "blocks":
        return [f"model.layers.{parts[2]}.{part}.weight" for part in BLOCK_NAMES[parts[3]]]
    return ["model.embed_tokens.weight" if parts[1] == "wte" else "lm_head.weight"]


def parameter_shapes(shape: Architecture, vocab_size: int) -> dict[str, tuple[int, int]]:
    """Every parameter with its [rows, columns], in the order of the model."""
    width, rows = shape.d_model, embedding_size(vocab_size)
    shapes = {"transformer.wte.weight": (rows, width)}
    for layer in range(shape.n_layers):
        block = f"transformer.blocks.{layer}"
        shapes[f"{block}.att_proj.weight"] = (3 * width, width)
        shapes[f"{block}.attn_out.weight"] = (width, width)
        shapes[f"{block}.ff_proj.weight"] = (2 * shape.mlp_width, width)
        shapes[f"{block}.ff_out.weight"] = (width, shape.mlp_width)
    if not shape.weight_tying:
        shapes["transformer.ff_out.weight"] = (rows, width)
    return shapes


def export_hf(checkpoint: Path, tokens: Path, directory: Path) -> list[Path]:
    """Writes the model of `checkpoint`, trained on `tokens`, for Hugging Face; returns the files written.

    One parameter is in memory at a time. Ids come from the manifest of the tokens, whose tokenizer is copied beside
    the model. A checkpoint that is not whole raises DataError.
    """
    identity = verify(checkpoint).identity
    manifest = read_manifest(tokens)
    config = make_config(identity.model, identity.vocab_size, identity.sequence_length, manifest)
    shapes: dict[str, tuple[int, int]] = {}
    for name, (rows, columns) in parameter_shapes(identity.model, identity.vocab_size).items():
        names = hf_names(name)
        shapes.update(dict.fromkeys(names, (rows // len(names), columns)))

    def parts() -> Iterator[tuple[str, Tensor]]:
        for name, tensor in read_parameters(checkpoint):
            names = hf_names(name)
            yield from zip(names, tensor.chunk(len(names)), strict=True)

    written = [directory / "config.json", directory / "model.safetensors"]
    write_json(written[0], config)
    write_tensors(written[1], shapes, parts(), {"format": "pt", "producer": f"dolma-pipeline {__version__}"})
    if manifest.tokenizer is not None and fs.is_file(tokens / manifest.tokenizer.path):
        written.append(directory / "tokenizer.json")
        publish_copy(tokens / manifest.tokenizer.path, written[-1])
    return written


def make_config(shape: Architecture, vocab_size: int, sequence_length: int, manifest: TokenManifest) -> HfConfig:
    return HfConfig(
        model_type="olmo",
        hidden_size=shape.d_model,
        intermediate_size=shape.mlp_width,
        num_hidden_layers=shape.n_layers,
        num_attention_heads=shape.n_heads,
        num_key_value_heads=shape.n_heads,
        vocab_size=embedding_size(vocab_size),
        max_position_embeddings=sequence_length,
        tie_word_embeddings=shape.weight_tying,
        rope_theta=shape.rope_theta,
        clip_qkv=shape.clip_qkv,
        bos_token_id=manifest.bos_token_id,
        eos_token_id=manifest.eos_token_id,
        pad_token_id=manifest.pad_token_id,
    )


def read_architecture(directory: Path) -> tuple[Architecture, int]:
    """The shape of the Hugging Face OLMo in `directory`, and the rows of its embedding."""
    path = directory / "config.json"
    try:
        config = msgspec.json.decode(fs.read_bytes(path), type=HfConfig)
        rope = config.rope_parameters or RopeParameters(rope_theta=config.rope_theta)
        found = Architecture(
            d_model=config.hidden_size,
            n_layers=config.num_hidden_layers,
            n_heads=config.num_attention_heads,
            mlp_width=config.intermediate_size,
            weight_tying=config.tie_word_embeddings,
            rope_theta=rope.rope_theta,
            clip_qkv=config.clip_qkv,
        )
    except FileNotFoundError:
        raise ConfigError(f"{directory}: expected a Hugging Face model, found no config.json in it") from None
    except (msgspec.DecodeError, ValueError) as error:
        raise DataError(f"{path}: {error}") from None
    heads = config.num_key_value_heads or config.num_attention_heads
    problems = {
        f"model_type `{config.model_type}` instead of `olmo`": config.model_type != "olmo",
        f"{heads} key-value heads instead of {config.num_attention_heads}": heads != config.num_attention_heads,
        f"rotary positions of type `{rope.rope_type}`": rope.rope_type != "default",
        "biases in attention": config.attention_bias,
        f"the activation `{config.hidden_act}` instead of `silu`": config.hidden_act != "silu",
    }
    wrong = [what for what, holds in problems.items() if holds]
    if wrong:
        raise ConfigError(f"{path}: a model with {', '.join(wrong)} is not one that can be trained here")
    return found, config.vocab_size


def load_hf(model: Olmo, directory: Path) -> None:
    """Gives `model`, sharded or not, the weights in `directory`; another shape or a missing tensor is an error."""
    found, rows = read_architecture(directory)
    if (found, rows) != (model.shape, model.embedding_size):
        raise ConfigError(
            f"{directory} holds {found} with {rows:,} embeddings, but the run trains {model.shape} with "
            f"{model.embedding_size:,}"
        )
    places = {
        name: file for file in map(TensorFile, sorted(fs.find(directory, "*.safetensors"))) for name in file.entries
    }
    for name, parameter in model.named_parameters():
        names = hf_names(name)
        missing = [n for n in names if n not in places]
        if missing:
            raise DataError(f"{directory}: no `{missing[0]}` in its {len(set(places.values()))} .safetensors files")
        tensors = [places[n].read(n) for n in names]
        whole = torch.cat([t.float() for t in tensors])
        if whole.shape != parameter.shape:
            raise DataError(
                f"{directory}: {' + '.join(names)} is {list(whole.shape)}, expected {list(parameter.shape)}"
            )
        assign(parameter, whole)
