"""Held-out loss, perplexity and bits per byte."""

from __future__ import annotations

import math

import numpy as np
import torch

from dolma_pipeline.train.data import Instances
from dolma_pipeline.train.metrics import Evaluation
from dolma_pipeline.train.model import IGNORED, Olmo
from dolma_pipeline.train.parallel import World
from dolma_pipeline.train.targets import make_batch


@torch.no_grad()
def evaluate(model: Olmo, instances: Instances, microbatch_size: int, world: World) -> Evaluation:
    """The loss of `model` on all of `instances`, in order, shared out over the ranks; called on all of them."""
    model.eval()
    mine = np.arange(world.rank, len(instances), world.size)
    # Every rank must forward equally often, for each forward gathers parameters from all.
    each = -(-len(instances) // world.size)
    forwards = -(-each // microbatch_size)
    total = torch.zeros((), dtype=torch.float64, device=world.device)
    predicted = 0
    for number in range(forwards):
        part = mine[number * microbatch_size : (number + 1) * microbatch_size]
        idle = len(part) == 0
        tokens, targets = make_batch(instances, np.zeros(1, np.int64) if idle else part, world.device)
        if idle:
            targets.fill_(IGNORED)
        total += model(tokens, targets).double()
        predicted += int((targets != IGNORED).sum())
    model.train()
    nats, count = world.sum(float(total), predicted)
    loss = nats / max(1.0, count)
    manifest = instances.manifest
    bits = None
    if manifest.text_bytes:
        bits = loss / math.log(2) * manifest.tokens / manifest.text_bytes
    # exp overflows where a model is worse than 1e308.
    return Evaluation(loss=loss, perplexity=math.exp(min(loss, 700.0)), bits_per_byte=bits, tokens=int(count))
