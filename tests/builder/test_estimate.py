from __future__ import annotations

import shutil
from pathlib import Path

from hqgen.builder.estimate import estimate
from hqgen.builder.settings import BuildSettings
from tests.builder.small import HEIGHT, WIDTH, Recorder, build_again


def test_an_estimate_says_what_would_run_and_writes_nothing(
    settings: BuildSettings, recordings: Path
) -> None:
    (recordings / "empty.dat").touch()
    found = estimate(settings, Recorder())
    (source,) = found.sources
    assert (source.recordings, source.quarantined, source.samples, source.shards) == (6, 1, 7, 4)
    assert source.missing is None
    assert source.read_bytes == sum(path.stat().st_size for path in recordings.glob("*.dat"))
    assert source.store_bytes == 7 * HEIGHT * WIDTH
    assert source.candidate_bytes == 2 * source.store_bytes
    assert set(source.seconds) == {"tfp", "tfi"}
    assert found.seconds > 0
    assert not settings.out.exists()


def test_an_estimate_knows_what_is_there_already(settings: BuildSettings) -> None:
    build_again(settings)
    assert estimate(settings, Recorder()).sources[0].missing == 0
    (settings.out / "hq.build/records/folder-recordings/000002.json").unlink()
    found = estimate(settings, Recorder())
    assert found.sources[0].missing == 1
    assert estimate(settings.model_copy(update={"methods": "tfp"}), Recorder()).sources[0].missing == 4


def test_an_estimate_counts_what_an_update_takes_over(settings: BuildSettings, recordings: Path) -> None:
    build_again(settings)
    (recordings / "scene0.dat").unlink()
    build_again(settings, out=settings.out.parent / "other")  # so that the digests are known
    shutil.copy(settings.out.parent / "other/hq.build/blake3.json", settings.out / "hq.build/blake3.json")
    for existing, to_make in (("update", 0), ("overwrite", 6)):
        found = estimate(settings.model_copy(update={"existing": existing}), Recorder())
        assert (found.sources[0].missing, found.sources[0].to_make) == (3, to_make)
    assert found.seconds > 0
