"""Where networks run, and with which arithmetic."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from hqgen.errors import HqgenError, MethodError, UnknownNameError


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """Inference in full float32 and with fixed kernels, whatever the process is set to.

    TF32 would keep 10 bits of the mantissa, which is visible in an 8-bit picture; cuDNN's autotuning may
    choose another kernel, and so other last bits, from run to run.
    """
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    cudnn = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    try:
        with torch.inference_mode(), cudnn:
            yield
    finally:
        torch.set_float32_matmul_precision(precision)


@contextmanager
def one_thread() -> Iterator[None]:
    """Inference on one thread: the order in which threads share a sum out changes its last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def resolve_device(name: str, error: type[HqgenError] = MethodError) -> str:
    """`cpu`, `cuda` or `cuda:N` for one of auto, cpu, cuda, cuda:N.

    Raises:
        UnknownNameError: another name.
        HqgenError: an `error`: the device is not there.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise UnknownNameError("device", name, ("auto", "cpu", "cuda"))
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return "cuda" if count else "cpu"
    if name != "cpu" and int(name.partition(":")[2] or 0) >= count:
        raise error(
            f"the device `{name}` is not there",
            hint=f"PyTorch sees {count} CUDA devices; `auto` takes what there is",
        )
    return name
