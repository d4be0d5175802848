"""From instances to what the model takes: ids, and the ids to predict."""

from __future__ import annotations

import torch
from torch import Tensor

from dolma_pipeline.train.data import Indices, Instances
from dolma_pipeline.train.model import IGNORED


def make_batch(instances: Instances, indices: Indices, device: torch.device) -> tuple[Tensor, Tensor]:
    """Tokens [B, T] and targets [B, T - 1], each the token that follows; padding is not learnt from.

    As in OLMo, a label is ignored where the mask of its own token is false: labels are masked, then shifted.
    """
    tokens = torch.from_numpy(instances.read(indices))
    targets = tokens[:, 1:].clone()
    manifest = instances.manifest
    if instances.masked:
        targets[~torch.from_numpy(instances.read_mask(indices))[:, 1:]] = IGNORED
    elif manifest.pad_token_id is not None and manifest.pad_token_id != manifest.eos_token_id:
        targets[targets == manifest.pad_token_id] = IGNORED
    return tokens.to(device, non_blocking=True), targets.to(device, non_blocking=True)
