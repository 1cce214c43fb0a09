"""From `--scheduler` to a Dask client whose workers can do the work."""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hqgen
from hqgen.builder.output import Output
from hqgen.errors import BuildError, UsageError
from hqgen.text import count, duration

if TYPE_CHECKING:
    from distributed import Client, SpecCluster

log = logging.getLogger(__name__)

_TIMEOUT = "15s"

LOOK_EVERY = 1.0
"""Seconds between two looks at the workers."""

GRACE = 60.0
"""Seconds that a build waits for a worker after the last one has gone."""

# One thread for every library, as Dask has it; and the C library keeps freed memory instead of giving arrays
# of some 100 kB back and asking for them again, which cost more than the arithmetic on them.
_WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": 1,
    "MKL_NUM_THREADS": 1,
    "OPENBLAS_NUM_THREADS": 1,
    "MALLOC_MMAP_THRESHOLD_": 64 << 20,
    "MALLOC_TRIM_THRESHOLD_": 128 << 20,
}

_CONFIGURATION = {
    "distributed.nanny.pre-spawn-environ": _WORKER_ENVIRONMENT,
    # Dask's profiler and its logs of every transition are for its dashboard, which is not there.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.low-level-log-length": 100,
    "distributed.admin.log-length": 100,
}


@contextmanager
def open_client(scheduler: str, workers: int, *, gpu: bool = True) -> Iterator[Client]:
    """A client of the workers that `--scheduler` names.

    Args:
        scheduler: `local` for worker processes on this machine, or a running scheduler: its address or its
            scheduler file.
        workers: how many local processes.
        gpu: whether one more local process gets the GPU of this machine, if there is one.

    Raises:
        UsageError: `scheduler` makes no sense.
        BuildError: no scheduler answers, it has no workers, or they run another version.
    """
    from distributed import Client

    if scheduler == "local":
        with _local_cluster(workers, gpu=gpu and has_local_gpu()) as cluster, Client(cluster) as client:
            client.wait_for_workers(len(cluster.worker_spec), timeout=60)
            yield client
        return
    address = scheduler if "://" in scheduler else _address_in(Path(scheduler))
    try:
        client = Client(address, timeout=_TIMEOUT)
    except (OSError, TimeoutError, ValueError) as error:
        raise BuildError(
            f"no Dask scheduler answers at `{scheduler}`",
            hint="start one with `dask scheduler`, or leave `--scheduler` out to run on this machine",
        ) from error
    with client:
        _check_workers(client, scheduler)
        yield client


def _local_cluster(workers: int, *, gpu: bool) -> SpecCluster:
    """Worker processes of one thread each, and one more with the GPU if asked for.

    One thread per worker keeps the blame exact when one dies.
    """
    import dask
    from distributed import Nanny, Scheduler, SpecCluster
    from distributed.system import MEMORY_LIMIT

    def worker(resources: dict[str, float]) -> dict[str, Any]:
        options = {
            "nthreads": 1,
            "resources": resources,
            "memory_limit": int(MEMORY_LIMIT / (workers + gpu)),
            "silence_logs": logging.CRITICAL,
            "dashboard": False,
        }
        return {"cls": Nanny, "options": options}

    # GPU workers mostly wait for the device, so they come on top of those that fill the cores.
    specs: dict[object, Any] = {f"cpu-{index}": worker({}) for index in range(workers)}
    if gpu:
        specs["gpu-0"] = worker({"GPU": 1})
    # The scheduler serves HTTP in any case; port 0 keeps two builds from wanting the same one.
    options = {"dashboard": False, "dashboard_address": ":0", "port": 0, "host": "127.0.0.1"}
    scheduler = {"cls": Scheduler, "options": options}
    # A worker inherits that Ctrl-C is ignored: it reaches the whole process group, and the client decides.
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with dask.config.set(_CONFIGURATION):
            return SpecCluster(workers=specs, scheduler=scheduler, silence_logs=logging.CRITICAL)
    finally:
        signal.signal(signal.SIGINT, handler)


def has_local_gpu() -> bool:
    """Whether this machine has a GPU that networks can use."""
    import torch

    return bool(torch.cuda.is_available())


def _address_in(file: Path) -> str:
    """The address in a scheduler file."""
    if not file.is_file():
        raise UsageError(
            f"`--scheduler {file}` is neither `local`, `sync`, an address nor a scheduler file",
            hint="an address looks like `tcp://host:8786`; `dask scheduler --scheduler-file` writes a file",
        )
    try:
        return str(json.loads(file.read_bytes())["address"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UsageError(f"the scheduler file `{file}` holds no address: {error!r}") from error


def _check_workers(client: Client, scheduler: str) -> None:
    versions = client.run(_version)
    if not versions:
        raise BuildError(
            f"the Dask scheduler at `{scheduler}` has no workers",
            hint=f"start some with `dask worker {scheduler} --nthreads 1`",
        )
    for address, version in versions.items():
        if version != hqgen.__version__:
            raise BuildError(
                f"worker `{address}` runs hqgen {version}, this is {hqgen.__version__}",
                hint="install the same version on all machines of the cluster",
            )


def _version() -> str:
    return hqgen.__version__


def check_paths(client: Client, output: Output, recording: Path | None) -> None:
    """Make sure that every worker sees the recordings and the output directory.

    Raises:
        BuildError: one does not; the message names the worker and the path.
    """
    for address, missing in client.run(_missing, output.root, recording).items():
        if missing:
            raise BuildError(
                f"worker `{address}` cannot reach `{missing}`",
                hint="recordings and output must be on a file system that all machines share",
            )


def _missing(output: Path, recording: Path | None) -> str | None:
    if not os.access(output, os.W_OK):
        return str(output)
    if recording is not None and not os.access(recording, os.R_OK):
        return str(recording)
    return None


def capacity(client: Client) -> tuple[int, bool]:
    """Threads of all workers together, and whether some worker offers the resource `GPU`."""
    workers = _workers(client)
    return sum(item["nthreads"] for item in workers), any(item["resources"].get("GPU") for item in workers)


def _workers(client: Client) -> list[dict[str, Any]]:
    """What the scheduler says of each of its workers now.

    `Client.scheduler_info` reads what the client remembers. Its own refresh, every two seconds, may have
    replaced that by an answer without workers.

    Raises:
        BuildError: the scheduler does not answer.
    """
    try:
        if client.scheduler is None:
            raise ConnectionError("the client has given it up")
        answer = client.sync(client.scheduler.identity, n_workers=-1)
    except OSError as error:
        raise BuildError(
            "the Dask scheduler no longer answers",
            hint="start it again; what is done is kept, and the same command continues from there",
        ) from error
    return list(answer["workers"].values())


@dataclass
class WorkerWatch:
    """Looks after the workers while a build waits for them: tasks of workers that died are never done.

    Args:
        client: connected to their scheduler.
        gpu: whether some of the work needs a worker with the resource `GPU`.
    """

    client: Client
    gpu: bool
    _most: int = 0
    _said: int = 0
    _looked: float = -LOOK_EVERY
    _alone_since: float | None = None

    def somebody_works(self) -> bool:
        """Whether there are workers for all kinds of work; says on stderr when there are fewer than before.

        Raises:
            BuildError: there have been none for `GRACE` seconds, or the scheduler does not answer.
        """
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY:
            return self._alone_since is None
        self._looked = now
        workers = _workers(self.client)
        able = [item for item in workers if item["resources"].get("GPU")] if self.gpu else workers
        self._tell(len(workers), alone=not able)
        if able:
            self._alone_since = None
            return True
        self._alone_since = self._alone_since or now
        if now - self._alone_since >= GRACE:
            raise BuildError(
                f"no {'worker with a GPU' if workers else 'worker'} is left on the Dask cluster",
                hint="start workers; what is done is kept, and the same command continues from there",
            )
        return False

    def _tell(self, left: int, *, alone: bool) -> None:
        self._most = max(self._most, left)
        if left < self._said or (alone and self._alone_since is None):
            kind = "; none of them has a GPU" if left and alone else ""
            waiting = f"; waiting {duration(GRACE)} for one" if alone else ""
            log.warning(f"{left} of {count(self._most, 'worker')} left{kind}{waiting}")
        self._said = left
