"""The one Dask cluster that all steps of a recipe share, or this process alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True)
class RecipeWorkers:
    """Where the steps run.

    Attributes:
        client: the client of the cluster; None to do everything in this process.
        gpu: whether a worker offers the resource `GPU`; tasks then ask for it.
        count: threads of all workers together.
    """

    client: Client | None = None
    gpu: bool = False
    count: int = 1

    @property
    def scheduler(self) -> str:
        """The value of `--scheduler` for a build that takes the same cluster."""
        return "sync" if self.client is None else str(self.client.scheduler.address)

    @property
    def pool(self) -> Executor | None:
        """The cluster as a pool for many small tasks; None without one."""
        if self.client is None:
            return None
        pool: Executor = self.client.get_executor(pure=False)
        return pool

    def submit(self, function: Callable[..., Any], *arguments: Any, tasks: int) -> Any:
        """Run a function now and give its result, or let a worker run it and give its future.

        A worker gives each of `tasks` tasks that may run at the same time its share of the cores.
        """
        if self.client is None:
            return function(*arguments)
        resources = {"GPU": 1} if self.gpu else None
        share = min(self.count, tasks)
        return self.client.submit(_on_share, share, function, *arguments, resources=resources, pure=False)

    def result(self, submitted: Any) -> Any:
        """The result of what `submit` gave."""
        return submitted if self.client is None else submitted.result()


def _on_share(share: int, function: Callable[..., Any], *arguments: Any) -> Any:
    import torch

    torch.set_num_threads(max(1, (os.cpu_count() or 1) // share))
    return function(*arguments)


@contextmanager
def open_workers(scheduler: str, workers: int | None) -> Iterator[RecipeWorkers]:
    """The workers that `--scheduler` and `--workers` name; `sync` names this process.

    Raises:
        HqgenError: see `hqgen.builder.cluster.open_client`.
    """
    from hqgen.builder.cluster import capacity, open_client

    if scheduler == "sync":
        yield RecipeWorkers()
        return
    with open_client(scheduler, workers or os.cpu_count() or 1) as client:
        threads, gpu = capacity(client)
        yield RecipeWorkers(client, gpu, threads)
