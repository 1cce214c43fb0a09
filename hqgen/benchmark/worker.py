"""A process that runs one method and does nothing else, so that its time and its memory are the method's."""

from __future__ import annotations

import multiprocessing
import platform
import resource
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hqgen.benchmark.results import Memory, Seconds
from hqgen.errors import HqgenError, MethodError
from hqgen.methods.base import Method
from hqgen.spikes.kernels import count_spikes
from hqgen.spikes.packed import PackedSpikes, Window


class Outcome(NamedTuple):
    """What a method made of one window: an image float32 (H, W) and its time, or the reason why not."""

    image: NDArray[np.float32] | None
    seconds: Seconds | None
    reason: str | None


@dataclass
class Worker:
    """A running process of one method.

    Raises:
        MethodError: from each of its methods: the process ended, for example because memory ran out.
    """

    method: Method
    process: multiprocessing.process.BaseProcess
    connection: Connection

    def reconstruct(self, window: Window) -> Outcome:
        """Let the process reconstruct a window; the first one warms it up."""
        with self._alive():
            self.connection.send(window)
            outcome: Outcome = self.connection.recv()
        return outcome

    def memory(self) -> Memory:
        """The memory until now."""
        with self._alive():
            self.connection.send(None)
            memory: Memory = self.connection.recv()
        return memory

    @contextmanager
    def _alive(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, OSError) as error:
            self.process.join(5)
            raise MethodError(
                f"the process of `{self.method.name}` ended with the exit code {self.process.exitcode}",
                hint="a code of -9 usually means that memory ran out",
            ) from error


@contextmanager
def worker(method: Method, repeats: int) -> Iterator[Worker]:
    """Start a process for a method, and end it with the block.

    Args:
        method: on its device.
        repeats: how often each window is timed.
    """
    # A fork would inherit the memory of this process, and a CUDA context that it cannot use.
    context = multiprocessing.get_context("spawn")
    near, far = context.Pipe()
    process = context.Process(target=_serve, args=(far, method, repeats), daemon=True)
    process.start()
    far.close()
    try:
        yield Worker(method, process, near)
    finally:
        near.close()
        process.join(1)
        process.kill()
        process.join()


def _serve(connection: Connection, method: Method, repeats: int) -> None:
    """Answer windows with outcomes and None with the memory, until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the first one decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    maker = Maker(method, repeats)
    with suppress(EOFError, OSError):
        while True:
            window = connection.recv()
            connection.send(maker.memory() if window is None else maker(window))


class Maker:
    """Runs a method and takes its time and memory, in this process.

    Args:
        method: what to run.
        repeats: how often each window is timed.
    """

    def __init__(self, method: Method, repeats: int) -> None:
        self._method, self._repeats = method, repeats
        self._warm = False
        # The first call of any compiled kernel loads the compiler, which is not the method's memory.
        count_spikes(PackedSpikes.pack(np.zeros((1, 8, 8), np.uint8)))
        self._start = _restart_peak()

    def __call__(self, window: Window) -> Outcome:
        """Reconstruct a window; the first one that succeeds is made once more before, without the clock."""
        try:
            if not self._warm:
                self._method.reconstruct(window)
                self._warm = True
            image, seconds = self._timed(window)
        except HqgenError as error:
            return Outcome(None, None, error.message)
        except Exception as error:  # noqa: BLE001 - a method may come from a third party
            return Outcome(None, None, f"{type(error).__name__}: {error}")
        return Outcome(image, seconds, None)

    def _timed(self, window: Window) -> tuple[NDArray[np.float32], Seconds]:
        processor, wall = list[float](), list[float]()
        for _ in range(self._repeats):
            begun, began = time.process_time(), time.perf_counter()
            image = self._method.reconstruct(window)
            processor.append(time.process_time() - begun)
            wall.append(time.perf_counter() - began)
        return image, Seconds(processor=statistics.median(processor), wall=statistics.median(wall))

    def memory(self) -> Memory:
        """The memory since this object was made."""
        return Memory(start=self._start, peak=_peak(), device=_device_peak())


def _restart_peak() -> int:
    """Let the count of the peak begin at the memory of now, where the system can; returns the peak then."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> int:
    """Most resident bytes of this process.

    On Linux not `ru_maxrss`: a new process inherits there the peak of the one that started it.
    """
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
    unit = 1 if platform.system() == "Darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _device_peak() -> int | None:
    """Most bytes of the GPU that PyTorch held, if this process has used one."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return None
    return int(torch.cuda.max_memory_allocated())
