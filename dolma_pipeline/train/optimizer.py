"""AdamW as OLMo sets it up: weights of linear maps decay, embeddings do not."""

from __future__ import annotations

import torch
from torch import nn

from dolma_pipeline.train.config import Optimization


def make_optimizer(model: nn.Module, config: Optimization) -> torch.optim.AdamW:
    """AdamW over the (sharded) parameters of `model`; a matrix that is also the embedding does not decay."""
    decayed: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    linear = {id(m.weight) for m in model.modules() if isinstance(m, nn.Linear)}
    for parameter in model.parameters():
        decays = id(parameter) in linear and id(parameter) not in embeddings
        (decayed if decays else others).append(parameter)
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    # The fused kernel does in one pass over memory what the plain one does in about twelve.
    return torch.optim.AdamW(
        groups, lr=config.learning_rate, betas=(config.beta1, config.beta2), eps=config.eps, fused=True
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
