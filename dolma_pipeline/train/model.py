"""OLMo, the decoder of arXiv 2402.00838: no biases, layer norms without parameters, SwiGLU, rotary positions.

Parameters have the names and the layout of OLMo's own checkpoints (fused q-k-v, fused up-gate), so that export to
another layout is a table of names and slices (hf.py).
"""

from __future__ import annotations

import hashlib
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils.checkpoint import checkpoint

from dolma_pipeline.train.presets import Architecture, embedding_size

IGNORED = -100
"""A target that is not learnt from."""
LAYER_NORM_EPS = 1e-5


class LayerNorm(nn.Module):
    """Layer norm without weight or bias, in float32 whatever the type of its input."""

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x.float(), x.shape[-1:], eps=LAYER_NORM_EPS).to(x.dtype)


class Block(nn.Module):
    """Attention and SwiGLU, each behind a norm and added to the stream: [B, T, d] -> [B, T, d]."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.n_heads = shape.n_heads
        self.clip_qkv = shape.clip_qkv
        self.att_proj = nn.Linear(shape.d_model, 3 * shape.d_model, bias=False)
        self.attn_out = nn.Linear(shape.d_model, shape.d_model, bias=False)
        self.ff_proj = nn.Linear(shape.d_model, 2 * shape.mlp_width, bias=False)
        self.ff_out = nn.Linear(shape.mlp_width, shape.d_model, bias=False)
        self.norm = LayerNorm()

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self._attend(self.norm(x), cos, sin)
        up, gate = self.ff_proj(self.norm(x)).chunk(2, dim=-1)
        hidden: Tensor = self.ff_out(F.silu(gate) * up)
        return x + hidden

    def _attend(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, length, width = x.shape
        qkv: Tensor = self.att_proj(x)
        if self.clip_qkv is not None:
            qkv = qkv.clamp(-self.clip_qkv, self.clip_qkv)
        q, k, v = qkv.view(batch, length, 3, self.n_heads, -1).permute(2, 0, 3, 1, 4).unbind()
        mixed = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v, is_causal=True)
        out: Tensor = self.attn_out(mixed.transpose(1, 2).reshape(batch, length, width))
        return out


class Olmo(nn.Module):
    """Tokens [B, T] to logits [B, T, V], or to the summed loss where targets are given."""

    def __init__(self, shape: Architecture, vocab_size: int, *, activation_checkpointing: bool = False) -> None:
        super().__init__()
        self.shape = shape
        self.embedding_size = embedding_size(vocab_size)
        self.activation_checkpointing = activation_checkpointing
        self.norm = LayerNorm()
        self.transformer = nn.ModuleDict(
            {
                "wte": nn.Embedding(self.embedding_size, shape.d_model),
                "blocks": nn.ModuleList(Block(shape) for _ in range(shape.n_layers)),
            }
        )
        if not shape.weight_tying:
            self.transformer["ff_out"] = nn.Linear(shape.d_model, self.embedding_size, bias=False)

    @property
    def blocks(self) -> list[nn.Module]:
        return list(self.transformer["blocks"].children())

    def forward(self, tokens: Tensor, targets: Tensor | None = None) -> Tensor:
        """`tokens`: ids [B, T]. With `targets`, ids [B, T'] of the first T' positions: float32 sum of their losses.

        The sum rather than the mean, because the count of targets is that of the global batch, which one rank does
        not see. A target of IGNORED counts nothing.
        """
        cos, sin = rotary(tokens.shape[1], self.shape, tokens.device)
        x = self.transformer["wte"](tokens)
        for block in self.blocks:
            if self.activation_checkpointing and self.training:
                x = checkpoint(block, x, cos, sin, use_reentrant=False)
            else:
                x = block(x, cos, sin)
        x = self.norm(x)
        if targets is None:
            return self._logits(x)
        # The head is the largest product of a small model: the last position, which has no target, is left out.
        logits = self._logits(x[:, : targets.shape[1]]).float()
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum")

    def _logits(self, x: Tensor) -> Tensor:
        if self.shape.weight_tying:
            weight = self.transformer["wte"].weight
            assert isinstance(weight, Tensor)
            return F.linear(x, weight)
        logits: Tensor = self.transformer["ff_out"](x)
        return logits


def rotary(length: int, shape: Architecture, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines [T, d / heads] of the rotary embedding, in float32."""
    width = shape.d_model // shape.n_heads
    exponent = torch.arange(0, width, 2, dtype=torch.float32, device=device) / width
    angles = torch.outer(torch.arange(length, dtype=torch.float32, device=device), 1.0 / shape.rope_theta**exponent)
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turns [B, H, T, w] by its positions, pairing a channel with the one half the width on, in float32."""
    wide = x.float()
    first, second = wide.chunk(2, dim=-1)
    return (wide * cos + torch.cat((-second, first), dim=-1) * sin).to(x.dtype)


def initialise(model: Olmo, seed: int) -> None:
    """Fills the parameters by Mitchell's rule: normal, cut at three deviations, smaller in deeper layers' outputs.

    Each parameter is drawn whole from a generator of its own, so that the result does not depend on how the model is
    sharded; a rank holds one whole matrix at a time for it (0.8 GB for the embedding of olmo-7b).
    """
    for name, parameter in model.named_parameters():
        deviation = _deviation(name, model.shape)
        digest = hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)
        bound = 3 * deviation
        whole = torch.empty(parameter.shape, dtype=torch.float32)
        assign(parameter, nn.init.trunc_normal_(whole, 0.0, deviation, -bound, bound, generator=generator))


def _deviation(name: str, shape: Architecture) -> float:
    parts = name.split(".")
    width = shape.d_model
    if "blocks" not in parts or parts[-2] in ("att_proj", "ff_proj"):
        return 1 / math.sqrt(width)
    depth = int(parts[parts.index("blocks") + 1]) + 1
    if parts[-2] == "ff_out":
        width = shape.mlp_width
    return 1 / math.sqrt(2 * width * depth)


@torch.no_grad()
def assign(parameter: Tensor, values: Tensor) -> None:
    """Gives `parameter`, sharded or not, the whole tensor `values`, which every rank has: nothing is sent."""
    if isinstance(parameter, DTensor):
        local = parameter.to_local()
        part = distribute_tensor(
            values.to(local.device), parameter.device_mesh, parameter.placements, src_data_rank=None
        )
        local.copy_(part.to_local())
    else:
        parameter.copy_(values)
