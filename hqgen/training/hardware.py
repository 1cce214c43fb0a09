"""Where a training computes: device, number format, compilation, and the processes that share a batch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from hqgen.devices import resolve_device
from hqgen.errors import UsageError

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class Hardware:
    """Where a training computes.

    Attributes:
        device: of this process.
        bfloat16: whether networks run in it, under autocast.
        compiles: whether networks are compiled.
        rank: number of this process, 0 for the one that writes.
        world: number of processes; each takes an equal share of every batch.
    """

    device: torch.device
    bfloat16: bool = False
    compiles: bool = False
    rank: int = 0
    world: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def place(self, module: Module) -> Module:
        """Move a module here, its convolutions in the layout that runs fastest on CPU and GPU."""
        return module.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A module or function, compiled where that is wanted."""
        return torch.compile(function) if self.compiles else function

    def shared(self, module: nn.Module) -> nn.Module:
        """A module that learns, its gradients averaged over all processes after each backward pass."""
        if self.world == 1:
            return module
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(module, device_ids=devices)

    def autocast(self, *, transformer: bool = False) -> torch.autocast:
        """The block in which networks run; losses stay outside of it.

        Args:
            transformer: whether they are transformers: these are slower in bfloat16 on a CPU, and stay in
                float32 there.
        """
        enabled = self.bfloat16 and not (transformer and self.device.type == "cpu")
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    def total(self, value: Tensor) -> Tensor:
        """Sum over all processes."""
        if self.world > 1:
            distributed.all_reduce(value)
        return value

    def any(self, flag: bool) -> bool:
        """Whether it is so in any process."""
        return (
            flag if self.world == 1 else self.total(torch.tensor(float(flag), device=self.device)).item() > 0
        )

    def wait(self) -> None:
        """Wait for all processes."""
        if self.world > 1:
            distributed.barrier()


def without_average(module: nn.Module, skip: bool) -> AbstractContextManager[None]:
    """Leave gradients of a shared module unaveraged: all but the last micro-batch of a step."""
    if skip and isinstance(module, DistributedDataParallel):
        unaveraged: AbstractContextManager[None] = module.no_sync()
        return unaveraged
    return nullcontext()


@contextmanager
def hardware(
    device_name: str, *, bfloat16: bool | None = None, compiles: bool | None = None
) -> Iterator[Hardware]:
    """The hardware that is asked for; under `torchrun`, that of this process.

    Args:
        device_name: `auto`, `cpu`, `cuda`, or one of several as `cuda:1`.
        bfloat16: whether networks run in it; None: where the hardware computes in it.
        compiles: whether networks are compiled; None: on a GPU.

    Raises:
        UsageError: a device that is not there.
    """
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    device = _device(device_name)
    on_gpu = device.type == "cuda"
    found = Hardware(
        device,
        bfloat16=has_bfloat16(device) if bfloat16 is None else bfloat16,
        compiles=on_gpu if compiles is None else compiles,
        rank=rank,
        world=world,
    )
    if on_gpu:
        torch.cuda.set_device(device)
        torch.backends.cudnn.benchmark = True
    if world > 1:
        distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield found
    finally:
        if world > 1:
            distributed.destroy_process_group()


def _device(name: str) -> torch.device:
    device = resolve_device(name, UsageError)
    if device == "cuda":
        device = resolve_device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}", UsageError)
    return torch.device(device)


def has_bfloat16(device: torch.device) -> bool:
    """Whether the hardware computes in bfloat16; emulated it is many times slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported())
