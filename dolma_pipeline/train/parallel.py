"""The ranks, and how a model is split over them: FSDP2, or HSDP where there are replicas.

The same calls serve one CPU process (gloo, a world of one) and many nodes of GPUs (nccl).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from msgspec import Struct
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

from dolma_pipeline.errors import ConfigError
from dolma_pipeline.train.config import Hardware
from dolma_pipeline.train.model import Olmo


class World(Struct, frozen=True, kw_only=True):
    """This rank among its peers."""

    rank: int
    size: int
    device: torch.device
    mesh: DeviceMesh

    @property
    def first(self) -> bool:
        return self.rank == 0

    def sum(self, *values: float) -> list[float]:
        """Each of `values` added up over all ranks, in float64; every rank gets the same."""
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return [float(v) for v in total.tolist()]

    def barrier(self) -> None:
        dist.barrier()

    def share(self, value: object) -> object:
        """What rank 0 passes in, on every rank."""
        box = [value]
        dist.broadcast_object_list(box, src=0, device=self.device)
        return box[0]


@contextmanager
def join_world(hardware: Hardware) -> Iterator[World]:
    """Joins the process group that torchrun's environment describes, or makes a world of one without it."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    device = _device(hardware)
    _make_deterministic(hardware.threads if size == 1 else 1, device)
    if size % hardware.replicas:
        raise ConfigError(
            f"{size} ranks cannot hold {hardware.replicas} replicas of equal size - at `$.hardware.replicas`; "
            f"use one of {', '.join(str(n) for n in range(1, size + 1) if size % n == 0)}"
        )
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    if "WORLD_SIZE" in os.environ:
        dist.init_process_group(backend, device_id=device if device.type == "cuda" else None)
    else:
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    try:
        yield World(rank=rank, size=size, device=device, mesh=_mesh(device, size, hardware.replicas))
    finally:
        dist.destroy_process_group()


def _device(hardware: Hardware) -> torch.device:
    available = torch.cuda.is_available()
    if hardware.device == "cuda" and not available:
        raise ConfigError("expected a CUDA device, found none - at `$.hardware.device`; use `cpu` or `auto`")
    if hardware.device == "cpu" or not available:
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return device


def _make_deterministic(threads: int, device: torch.device) -> None:
    # The order of a floating-point sum depends on the number of threads: it must not depend on the machine.
    torch.set_num_threads(threads)
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True)
    setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)  # noqa: B010
    torch.manual_seed(0)


def _mesh(device: torch.device, size: int, replicas: int) -> DeviceMesh:
    if replicas == 1:
        return init_device_mesh(device.type, (size,), mesh_dim_names=("shard",))
    return init_device_mesh(device.type, (replicas, size // replicas), mesh_dim_names=("replicate", "shard"))


def shard_model(model: Olmo, world: World, hardware: Hardware) -> None:
    """Splits `model` (best made on the meta device) into one unit per block and one for the rest.

    Gradients are summed over ranks, not averaged: the loss is already divided by the count of the global batch.
    Embedding and head stay gathered from forward to backward, as does the last block, which backward needs at once.
    """
    policy = MixedPrecisionPolicy()
    if hardware.precision == "bf16":
        # Inputs are left as they are: ids, and the cosines and sines that must stay in float32.
        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32, cast_forward_inputs=False)
    blocks = model.blocks
    for block in blocks:
        fully_shard(block, mesh=world.mesh, mp_policy=policy, reshard_after_forward=block is not blocks[-1])
    fully_shard(model, mesh=world.mesh, mp_policy=policy)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            # Gloo has no scaled reduction, and with a factor of one none is needed.
            module.set_force_sum_reduction_for_comms(True)
            module.set_gradient_divide_factor(1.0)


def clip_gradients(model: Olmo, max_norm: float) -> float:
    """Scales all gradients so that their global norm is at most `max_norm`; returns the norm before."""
    norm: Tensor = torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    whole = getattr(norm, "full_tensor", None)
    return float(whole() if whole is not None else norm)
