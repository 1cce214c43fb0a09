"""Builds on worker processes: the same bytes whatever happens on the way."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest

from hqgen.builder.cluster import WorkerWatch, capacity
from hqgen.builder.earlier import FinishedSamples
from hqgen.builder.execute import DaskExecutor, Failure
from hqgen.builder.jobs import Pieces, missing_jobs
from hqgen.builder.output import Output
from hqgen.builder.plan import RequestedSource
from hqgen.builder.prepare import plan_request, resolve
from hqgen.builder.settings import BuildSettings
from hqgen.errors import BuildError, UsageError
from hqgen.interrupt import Stop
from hqgen.manifest import ShardRecord
from hqgen.methods.base import Leg, Method
from hqgen.methods.tfp import TFP
from hqgen.spikes.packed import Window
from hqgen.spikes.recording import write_dat
from tests.builder.small import Recorder, build_again, content, stream

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        yield cluster


@pytest.fixture
def expected(settings: BuildSettings, tmp_path: Path) -> dict[str, bytes]:
    """What a build in this process gives."""
    build_again(settings, out=tmp_path / "expected")
    return content(tmp_path / "expected")


@pytest.mark.parametrize("workers", [1, 3])
def test_any_number_of_workers_gives_the_same_bytes(
    settings: BuildSettings, expected: dict[str, bytes], workers: int
) -> None:
    build_again(settings, scheduler="local", workers=workers)
    assert content(settings.out) == expected


def test_a_running_scheduler_is_used_by_its_address_or_its_file(
    settings: BuildSettings, expected: dict[str, bytes], cluster: LocalCluster, tmp_path: Path
) -> None:
    build_again(settings, scheduler=cluster.scheduler_address)
    assert content(settings.out) == expected
    file = tmp_path / "scheduler.json"
    file.write_text(json.dumps({"address": cluster.scheduler_address}))
    build_again(settings, scheduler=str(file), out=tmp_path / "by file")
    assert content(tmp_path / "by file") == expected


def test_two_builds_of_one_plan_share_a_scheduler_without_sharing_results(
    settings: BuildSettings, expected: dict[str, bytes], cluster: LocalCluster, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        build_again(settings, scheduler=cluster.scheduler_address, out=tmp_path / name)
        assert content(tmp_path / name) == expected


def test_a_scheduler_that_is_not_there_is_a_clear_error(
    settings: BuildSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="neither `local`, `sync`, an address nor a scheduler file"):
        build_again(settings, scheduler="cloud")
    (tmp_path / "broken.json").write_text("{}")
    with pytest.raises(UsageError, match="holds no address"):
        build_again(settings, scheduler=str(tmp_path / "broken.json"))
    monkeypatch.setattr("hqgen.builder.cluster._TIMEOUT", "1s")
    with pytest.raises(BuildError, match="no Dask scheduler answers"):
        build_again(settings, scheduler="tcp://127.0.0.1:1")


def test_a_scheduler_without_workers_is_a_clear_error(settings: BuildSettings) -> None:
    from distributed import LocalCluster

    with (
        LocalCluster(n_workers=0, dashboard_address=":0") as empty,
        pytest.raises(BuildError, match="has no workers"),
    ):
        build_again(settings, scheduler=empty.scheduler_address)


def test_workers_are_seen_while_the_client_refreshes_what_it_remembers(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import Client

    with Client(cluster.scheduler_address) as client:
        refresh = client._update_scheduler_info

        async def overtaken(n_workers: int = 0) -> None:
            await refresh(n_workers)
            await refresh(0)  # as the client's own clock does, at any moment

        monkeypatch.setattr(client, "_update_scheduler_info", overtaken)
        assert capacity(client) == (2, False)
        assert WorkerWatch(client, gpu=False).somebody_works()


@pytest.mark.parametrize("given_up", [False, True])
def test_a_scheduler_that_is_gone_is_a_clear_error(given_up: bool) -> None:
    import dask
    from distributed import Client, LocalCluster

    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as lost,
        Client(lost) as client,
    ):
        if given_up:
            client.close()
        else:
            lost.close()
        with pytest.raises(BuildError, match="the Dask scheduler no longer answers"):
            capacity(client)


@dataclass(frozen=True)
class Networklike(Method):
    """A method of the `gpu` leg that says where it ran by nothing but its resource."""

    name: ClassVar[str] = "networklike"
    rank: ClassVar[int] = 1000
    leg: ClassVar[Leg] = "gpu"
    citation: ClassVar[str] = "none"

    @property
    def span(self) -> tuple[int, int]:
        return 5, 5

    def reconstruct(self, window: Window) -> np.ndarray[Any, np.dtype[np.float32]]:
        from distributed import get_worker

        if "GPU" not in get_worker().state.total_resources:
            raise RuntimeError("ran on a worker without a GPU")
        return TFP(window=11).reconstruct(window)


@dataclass(frozen=True)
class Deadly(Method):
    """A method that takes its worker with it, as a crash in native code does."""

    name: ClassVar[str] = "deadly"
    rank: ClassVar[int] = 1001
    citation: ClassVar[str] = "none"

    @property
    def span(self) -> tuple[int, int]:
        return 5, 5

    def reconstruct(self, window: Window) -> np.ndarray[Any, np.dtype[np.float32]]:
        os._exit(1)


@contextmanager
def running(
    client: Client, settings: BuildSettings, *methods: Method, gpu: bool = False, stop: Stop | None = None
) -> Iterator[Iterator[ShardRecord | Failure]]:
    """The results of a build on a client, as they come."""
    request = resolve(settings, Recorder())
    ((source, ensemble),) = request.sources
    request = replace(request, sources=(RequestedSource(source, [*ensemble, *methods]),))
    output = Output(settings.out)
    with output.locked():
        planned = plan_request(request, output.work / "blake3.json", Recorder())
        output.accept(planned.plan, {})
        output.store.create(planned.plan)
        jobs = list(missing_jobs(planned.sources[0], FinishedSamples(output, [])))
        pieces = Pieces.for_work(jobs, 2, gpu=gpu)
        executor = DaskExecutor(client, output, planned.scoring, planned.decider, gpu, 2, pieces)
        yield executor.run(jobs, stop or Stop(), lambda _: None)


def run_with(
    client: Client, settings: BuildSettings, *methods: Method, gpu: bool
) -> list[ShardRecord | Failure]:
    with running(client, settings, *methods, gpu=gpu) as results:
        return list(results)


def test_on_a_mixed_cluster_networks_run_only_where_the_gpu_is(settings: BuildSettings) -> None:
    from distributed import Client, Nanny, Scheduler, SpecCluster

    def worker(resources: dict[str, float]) -> dict[str, Any]:
        return {"cls": Nanny, "options": {"nthreads": 1, "resources": resources, "dashboard": False}}

    scheduler = {"cls": Scheduler, "options": {"dashboard_address": ":0", "port": 0, "host": "127.0.0.1"}}
    workers = {"cpu": worker({}), "gpu": worker({"GPU": 1})}
    with SpecCluster(workers=workers, scheduler=scheduler) as mixed, Client(mixed) as client:
        client.wait_for_workers(2)
        records = run_with(client, settings, Networklike(), gpu=True)
    assert len(records) == 4
    for record in records:
        assert isinstance(record, ShardRecord)
        for sample in record.samples:
            assert set(sample.scores) == {"tfp", "tfi", "networklike"}
            assert sample.scores["networklike"] is not None


def test_a_method_that_kills_its_worker_fails_its_shards_and_says_so(settings: BuildSettings) -> None:
    import dask
    from distributed import Client, LocalCluster

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as fragile,
        Client(fragile) as client,
    ):
        results = run_with(client, settings, Deadly(), gpu=False)
    assert len(results) == 4
    for result in results:
        assert isinstance(result, Failure)
        assert "2 workers died of it" in str(result.error)


@pytest.fixture
def dying(settings: BuildSettings) -> Iterator[tuple[Client, Callable[[], None]]]:
    """A client of one worker, and what removes that worker."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):

        def kill() -> None:
            cluster.scale(0)
            while client.scheduler_info()["workers"]:
                time.sleep(0.05)

        yield client, kill


def test_a_build_ends_with_an_error_some_time_after_its_last_worker_has_died(
    settings: BuildSettings,
    dying: tuple[Client, Callable[[], None]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("hqgen.builder.cluster.GRACE", 2.0)
    client, kill = dying
    with running(client, settings.model_copy(update={"shard_size": 1})) as results:
        assert isinstance(next(results), ShardRecord)
        kill()
        with pytest.raises(BuildError, match="no worker is left on the Dask cluster") as caught:
            list(results)
    assert "the same command continues" in caught.value.hint
    assert "0 of 1 worker left; waiting 2.0 s for one" in caplog.text


def test_the_first_wish_to_stop_does_not_wait_for_work_that_nobody_does(
    settings: BuildSettings, dying: tuple[Client, Callable[[], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hqgen.builder.cluster.GRACE", 1e9)
    (client, kill), stop = dying, Stop()
    with running(client, settings.model_copy(update={"shard_size": 1}), stop=stop) as results:
        assert isinstance(next(results), ShardRecord)
        kill()
        stop.asked = True
        assert len(list(results)) < 6


def test_workers_that_come_back_in_time_finish_the_build(
    settings: BuildSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from distributed import Client, LocalCluster

    monkeypatch.setattr("hqgen.builder.cluster.GRACE", 1e9)
    settings = settings.model_copy(update={"shard_size": 1})
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
        running(client, settings) as results,
    ):
        first = next(results)
        cluster.scale(0)
        while client.scheduler_info()["workers"]:
            time.sleep(0.05)
        told = threading.Thread(target=scale_once_told, args=(cluster, caplog))
        told.start()
        assert all(isinstance(item, ShardRecord) for item in (first, *results))
        told.join()
    assert "0 of 1 worker left" in caplog.text


def scale_once_told(cluster: LocalCluster, caplog: pytest.LogCaptureFixture) -> None:
    """Bring a worker back, but not before the build has said that none is left: it looks once a second."""
    deadline = time.monotonic() + 60
    while "0 of 1 worker left" not in caplog.text and time.monotonic() < deadline:
        time.sleep(0.05)
    cluster.scale(1)


def start(settings: BuildSettings, *flags: str) -> subprocess.Popen[bytes]:
    """The build as a user starts it, in a process of its own that starts workers."""
    command = [sys.executable, "-m", "hqgen", "build", "--sources", settings.sources[0], "--workers", "2"]
    command += ["--judges", ",".join(settings.judges)]
    command += ["--methods", str(settings.methods), "--out", str(settings.out), "--shard-size", "2", *flags]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_kills_at_random_moments_change_no_byte(
    settings: BuildSettings, recordings: Path, tmp_path: Path
) -> None:
    """One while it starts, the others once so many more shards are done, and a little later."""
    for seed in range(6, 40):
        write_dat(recordings / f"scene{seed}.dat", stream(seed))
    build_again(settings, out=tmp_path / "expected")
    manifest = settings.out / "manifest.json"

    def records() -> int:
        return len(list(settings.out.glob("hq.build/records/*/*.json")))

    moments = random.Random(11)
    halfway = 0
    for more, later in ((0, 1.5), (1, 0.05), (2, 0.05), (4, 0.05), (8, 0.05)):
        complete = manifest.exists()
        process = start(settings, "--existing", "overwrite" if complete else "resume")
        while complete and manifest.exists() and process.poll() is None:
            time.sleep(0.01)
        enough = min(records() + more, 20)
        while records() < enough and process.poll() is None:
            time.sleep(0.002)
        time.sleep(moments.uniform(0, later))
        process.kill()
        process.wait()
        halfway += 0 < records() < 21
    assert halfway, "no kill came between the first and the last shard"
    assert start(settings).wait(timeout=120) == 0
    assert content(settings.out) == content(tmp_path / "expected")


def test_ctrl_c_reaches_the_whole_process_group_and_loses_no_shard(
    settings: BuildSettings, recordings: Path, tmp_path: Path
) -> None:
    for seed in range(6, 60):
        write_dat(recordings / f"scene{seed}.dat", stream(seed))
    command = [sys.executable, "-m", "hqgen", "build", "--sources", settings.sources[0], "--workers", "2"]
    command += ["--methods", "tfp,tfi,tfstp", "--out", str(settings.out), "--shard-size", "1"]
    command += ["--judges", ",".join(settings.judges)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while process.poll() is None and not list(settings.out.glob("hq.build/records/*/*.json")):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "stopped with" in errors
    assert "the same command continues from there" in errors
    assert "Traceback" not in errors
    done = len(list(settings.out.glob("hq.build/records/*/*.json")))
    resumed = build_again(settings, methods="tfp,tfi,tfstp", shard_size=1)
    assert resumed.made == 61 - done > 0
