"""Where networks run, and with which arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from hqgen.errors import MethodError, UnknownNameError

__all__ = ["exact_arithmetic", "one_thread", "resolve_device"]


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


def resolve_device(name: str) -> str:
    """`cpu` or `cuda` for one of auto, cpu, cuda.

    Raises:
        UnknownNameError: another name.
        MethodError: cuda where there is none.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise UnknownNameError("device", name, ("auto", "cpu", "cuda"))
    if name == "cuda" and not torch.cuda.is_available():
        raise MethodError("this machine has no usable CUDA device", hint="use --device cpu or auto")
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name
