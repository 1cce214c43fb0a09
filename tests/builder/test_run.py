from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from pydantic import ValidationError

from hqgen.builder.finish import InterruptedBuildError
from hqgen.builder.legs import commit
from hqgen.builder.run import build
from hqgen.builder.settings import BuildSettings
from hqgen.errors import (
    BuildError,
    HqgenError,
    MethodError,
    PlanMismatchError,
    ScoreError,
    SourceError,
    StoreError,
    UnknownNameError,
    UsageError,
)
from hqgen.manifest import Plan
from hqgen.methods.api import reconstruct
from hqgen.progress import Job
from hqgen.quality.niqe import niqe
from hqgen.quality.normalise import to_uint8
from hqgen.spikes.camera import Camera
from hqgen.spikes.packed import PackedSpikes
from hqgen.spikes.recording import open_recording, write_dat
from hqgen.store import StoreWriter, open_store
from hqgen.verify import verify
from tests.builder.small import HEIGHT, WIDTH, Recorder, build_again, content, stream

NAME = "folder-recordings"

LIMIT = 24.0
"""A score that some picks of the small builds have, and some have not."""


def test_every_sample_has_the_candidate_with_the_lowest_score(
    settings: BuildSettings, recordings: Path, observer: Recorder
) -> None:
    outcome = build(settings, observer)
    store = open_store(settings.out / "hq.zarr")[NAME]
    assert len(store) == 7 == outcome.made == observer.done["building"]
    assert store.methods == ("tfp", "tfi")
    for row, key in enumerate(store.keys):
        stem, frame = key.removeprefix(f"{NAME}/").split("/")
        recording = open_recording(recordings / f"{stem}.dat", height=HEIGHT, width=WIDTH)
        candidates = [to_uint8(reconstruct(name, recording, centre=int(frame))) for name in ("tfp", "tfi")]
        scores = niqe(np.stack(candidates)).astype(np.float32)
        np.testing.assert_array_equal(store.scores[row], scores)
        winner = int(scores.argmin())
        assert store.method[row] == winner
        assert store.margin[row] == scores.max() - scores.min()
        np.testing.assert_array_equal(store.images[row], candidates[winner])
    assert store.valid.all()


def test_the_manifest_says_where_every_picture_came_from(settings: BuildSettings, observer: Recorder) -> None:
    manifest = build(settings, observer).manifest
    (spec,), (source,) = manifest.plan.sources, manifest.sources
    store = open_store(settings.out / "hq.zarr")
    assert store.plan_id == manifest.plan_id == manifest.plan.id
    assert [sample.key for sample in spec.samples] == [s.key for s in source.samples] == store[NAME].keys
    assert [recording.path for recording in spec.recordings] == [f"scene{n}.dat" for n in range(6)]
    assert [sample.recording for sample in spec.samples] == [0, 1, 2, 3, 4, 5, 5]
    assert manifest.quarantined == 0


def test_a_second_run_finds_nothing_to_do(settings: BuildSettings) -> None:
    first = build_again(settings)
    before = content(settings.out)
    stamps = {path: path.stat().st_mtime_ns for path in (settings.out / "hq.zarr").rglob("*")}
    second = build_again(settings)
    assert (first.made, second.made) == (7, 0)
    assert content(settings.out) == before
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())


@pytest.mark.parametrize("lost", ["record", "shard", "candidates", "manifest"])
def test_only_what_is_missing_is_made_again(settings: BuildSettings, lost: str) -> None:
    build_again(settings)
    before = content(settings.out)
    work = settings.out / "hq.build"
    made = 2
    if lost == "record":
        (work / f"records/{NAME}/000001.json").unlink()
    elif lost in ("shard", "candidates"):
        array = "images" if lost == "shard" else "candidates/tfi"
        (settings.out / f"hq.zarr/{NAME}/{array}/c/1/0/0").unlink()
    else:
        (settings.out / "manifest.json").unlink()
        made = 0
    assert build_again(settings).made == made
    assert content(settings.out) == before


def test_a_damaged_record_counts_as_missing(settings: BuildSettings) -> None:
    build_again(settings)
    before = content(settings.out)
    (settings.out / f"hq.build/records/{NAME}/000000.json").write_text('{"plan": ')
    assert build_again(settings).made == 2
    assert content(settings.out) == before


def test_the_order_of_names_changes_nothing(settings: BuildSettings, tmp_path: Path) -> None:
    one = build_again(settings, methods="tfi,tfp")
    other = build_again(settings, methods="tfp,tfi", out=tmp_path / "other")
    assert one.manifest.plan_id == other.manifest.plan_id
    assert content(settings.out) == content(tmp_path / "other")


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"methods": "tfp:window=21,tfi"}, "tfp window: 41 -> 21"),
        ({"methods": "tfp"}, "methods gone: tfi"),
        ({"methods": "tfp,tfi,tfstp"}, "methods added: tfstp"),
        ({"shard_size": 3}, "shard size: 2 -> 3"),
        ({"keep_candidates": False}, "keep candidates: true -> false"),
        ({"judges": ()}, "judges gone: consistency"),
        ({"rule": "niqe-guarded"}, "rule name: niqe -> niqe-guarded"),
        ({"max_score": 6.5}, "max score: none -> 6.5"),
    ],
)
def test_another_plan_is_refused_with_what_differs(
    settings: BuildSettings, change: dict[str, str], difference: str
) -> None:
    build_again(settings)
    before = content(settings.out)
    with pytest.raises(PlanMismatchError, match=difference) as caught:
        build_again(settings, **change)
    assert "--existing append" in caught.value.hint
    assert content(settings.out) == before


def test_changed_recordings_are_another_plan(settings: BuildSettings, recordings: Path) -> None:
    build_again(settings)
    write_dat(recordings / "scene1.dat", stream(77))
    write_dat(recordings / "scene9.dat", stream(9))
    (recordings / "scene0.dat").unlink()
    with pytest.raises(PlanMismatchError) as caught:
        build_again(settings)
    assert "recordings gone: scene0.dat" in caught.value.message
    assert "recordings added: scene9.dat" in caught.value.message
    assert "recordings scene1.dat blake3: " in caught.value.message


def test_existing_error_refuses_any_build_that_is_there(settings: BuildSettings) -> None:
    build_again(settings, existing="error")
    with pytest.raises(StoreError, match="holds a build already"):
        build_again(settings, existing="error")


def test_overwrite_starts_over_with_another_plan(settings: BuildSettings, tmp_path: Path) -> None:
    build_again(settings)
    build_again(settings, methods="tfp:window=21", existing="overwrite")
    build_again(settings, methods="tfp:window=21", out=tmp_path / "fresh")
    assert content(settings.out) == content(tmp_path / "fresh")


def test_overwrite_never_deletes_what_is_no_hq_store(settings: BuildSettings) -> None:
    precious = settings.out / "hq.zarr" / "thesis.tex"
    precious.parent.mkdir(parents=True)
    precious.write_text("five years of work")
    with pytest.raises(StoreError, match=r"not an HQ store|not one that"):
        build_again(settings, existing="overwrite")
    assert precious.exists()


def test_a_store_without_its_records_is_not_guessed_at(settings: BuildSettings) -> None:
    build_again(settings)
    shutil.rmtree(settings.out / "hq.build")
    with pytest.raises(StoreError, match="no plan of it"):
        build_again(settings)


@pytest.mark.parametrize(
    ("requested", "rules"),
    [
        ("tfstp", {}),
        ("tfp,tfi,tfstp", {"keep_candidates": False, "max_score": LIMIT}),
        ("tfstp", {"rule": "niqe-guarded"}),
        ("tfstp", {"rule": "niqe-guarded", "keep_candidates": False, "min_consistency": 0.23}),
    ],
)
def test_a_method_appended_later_gives_what_all_at_once_give(
    settings: BuildSettings, tmp_path: Path, requested: str, rules: dict[str, Any]
) -> None:
    settings = settings.model_copy(update=rules)
    build_again(settings)
    appended = build_again(settings, methods=requested, existing="append")
    build_again(settings, methods="tfp,tfi,tfstp", out=tmp_path / "at once")
    assert appended.made == 7
    assert content(settings.out) == content(tmp_path / "at once")


def test_a_method_that_only_the_store_has_is_needed_only_for_missing_shards(
    settings: BuildSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_again(settings)

    def unavailable(name: str, **parameters: Any) -> None:
        raise MethodError(f"method `{name}` is not available")

    monkeypatch.setattr("hqgen.builder.plan.get_method", unavailable)
    assert build_again(settings, methods="tfp", existing="append").made == 0
    with pytest.raises(MethodError, match="`tfi` is not available"):
        build_again(settings, methods="tfp,tfstp", existing="append")


def test_the_store_holds_every_candidate_with_what_every_judge_says(settings: BuildSettings) -> None:
    (source,) = build_again(settings).manifest.sources
    store = open_store(settings.out / "hq.zarr")[NAME]
    assert set(store.candidates) == {"tfp", "tfi"}
    for row, sample in enumerate(source.samples):
        for column, name in enumerate(store.methods):
            candidate = store.candidates[name][row]
            assert np.float32(niqe(candidate)[0]) == store.scores[row, column] == sample.scores[name]
            value = sample.judges["consistency"][name]
            assert value is not None
            assert 0 < value == store.judges["consistency"][row, column]
        np.testing.assert_array_equal(store.candidates[str(sample.method)][row], store.images[row])


def test_a_build_of_winners_only_has_the_same_winners(settings: BuildSettings, tmp_path: Path) -> None:
    build_again(settings)
    build_again(settings, keep_candidates=False, out=tmp_path / "small")
    kept, small = (open_store(out / "hq.zarr")[NAME] for out in (settings.out, tmp_path / "small"))
    assert small.candidates == {}
    np.testing.assert_array_equal(small.images[:], kept.images[:])


def test_picks_above_a_limit_are_quarantined_with_the_reason(settings: BuildSettings) -> None:
    outcome = build_again(settings, max_score=LIMIT)
    (source,) = outcome.manifest.sources
    store = open_store(settings.out / "hq.zarr")[NAME]
    worse = [min(score for score in s.scores.values() if score) > LIMIT for s in source.samples]
    assert 0 < sum(worse) < len(worse)
    assert (~store.valid).tolist() == worse
    assert outcome.manifest.quarantined == sum(worse)
    assert not store.images[:][worse].any()
    for sample, refused in zip(source.samples, worse, strict=True):
        assert (sample.method is None) == refused == (sample.refused is not None)
        assert not sample.reasons
    assert verify(settings.out / "manifest.json") == []


def test_a_rule_without_its_judges_is_refused_with_their_names(settings: BuildSettings) -> None:
    with pytest.raises(UsageError, match="the rule `niqe-guarded` needs the judge `consistency`") as caught:
        build_again(settings, judges=(), rule="niqe-guarded")
    assert caught.value.hint == "build with `consistency` among the `--judges`"
    with pytest.raises(UsageError, match="`--min-consistency` needs the judge `consistency`"):
        build_again(settings, judges=(), min_consistency=0.5)


def test_a_source_appended_later_leaves_the_others_alone(
    settings: BuildSettings, recordings: Path, tmp_path: Path
) -> None:
    second = tmp_path / "more"
    shutil.copytree(recordings, second)
    build_again(settings)
    shard = settings.out / f"hq.zarr/{NAME}/images/c/0/0/0"
    stamp = shard.stat().st_mtime_ns
    appended = build_again(settings, sources=(f"folder:{second}",), existing="append")
    build_again(settings, sources=(*settings.sources, f"folder:{second}"), out=tmp_path / "at once")
    assert appended.made == 7
    assert shard.stat().st_mtime_ns == stamp
    assert content(settings.out) == content(tmp_path / "at once")


def test_a_kill_while_appending_does_no_harm(
    settings: BuildSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worst moment: the images of a shard are those of the new plan, its record is of the old one."""
    build_again(settings)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("hqgen.builder.output.Output.write_record", die)
        with pytest.raises(KeyboardInterrupt):
            build_again(settings, methods="tfp,tfi,tfstp", existing="append")
    assert not (settings.out / "manifest.json").exists()
    build_again(settings, methods="tfp,tfi,tfstp")
    build_again(settings, methods="tfp,tfi,tfstp", out=tmp_path / "at once")
    assert content(settings.out) == content(tmp_path / "at once")


def test_append_refuses_other_parameters_and_other_recordings(
    settings: BuildSettings, recordings: Path
) -> None:
    build_again(settings)
    with pytest.raises(PlanMismatchError, match="tfp window: 41 -> 21"):
        build_again(settings, methods="tfp:window=21", existing="append")
    write_dat(recordings / "scene9.dat", stream(9))
    with pytest.raises(PlanMismatchError, match=r"recordings added: scene9\.dat"):
        build_again(settings, existing="append")


def test_methods_of_one_source_can_differ_from_the_others(
    settings: BuildSettings, recordings: Path, tmp_path: Path
) -> None:
    shutil.copytree(recordings, tmp_path / "more")
    outcome = build_again(
        settings,
        sources=(*settings.sources, f"folder:{tmp_path / 'more'}"),
        source_methods={"folder-more": "tfstp"},
    )
    store = open_store(outcome.output.store.path)
    assert store["folder-more"].methods == ("tfstp",)
    assert store[NAME].methods == ("tfp", "tfi")
    assert np.isinf(store["folder-more"].margin).all()
    assert len(store) == 14


def bad_files(folder: Path) -> None:
    write_dat(folder / "all_zero.dat", PackedSpikes.pack(np.zeros((50, HEIGHT, WIDTH), np.uint8)))
    write_dat(folder / "all_one.dat", PackedSpikes.pack(np.ones((50, HEIGHT, WIDTH), np.uint8)))
    (folder / "empty.dat").touch()
    (folder / "truncated.dat").write_bytes((folder / "scene0.dat").read_bytes()[:-100])
    (folder / "wrong_size.npy").write_bytes(b"")
    np.save(folder / "wrong_size.npy", np.zeros((50, 100, 100), np.uint8))
    np.savez(folder / "no_spikes.npz", spk=np.full((50, HEIGHT, WIDTH), 7, np.uint8))
    (folder / "folder.dat").mkdir()
    (folder / "dangling.dat").symlink_to(folder / "nowhere")


def test_bad_recordings_are_listed_and_harm_no_good_one(
    settings: BuildSettings, recordings: Path, tmp_path: Path
) -> None:
    build_again(settings)
    bad_files(recordings)
    outcome = build_again(settings, out=tmp_path / "mixed", shard_size=100)
    (source,) = outcome.manifest.sources
    files = {item.path: item.reason for item in source.quarantined_recordings}
    assert set(files) == {"empty.dat", "truncated.dat", "wrong_size.npy", "folder.dat", "dangling.dat"}
    assert "empty" in files["empty.dat"]
    assert "is a directory" in files["folder.dat"]
    assert "100x100" in files["wrong_size.npy"]
    reasons = {sample.key: sample.reasons for sample in source.quarantined_samples}
    assert set(reasons) == {f"{NAME}/{stem}/000020" for stem in ("all_zero", "all_one", "no_spikes")}
    assert all(set(reason) == {"tfp", "tfi"} for reason in reasons.values())
    assert outcome.manifest.quarantined == 8
    clean = open_store(settings.out / "hq.zarr")[NAME]
    mixed = open_store(tmp_path / "mixed/hq.zarr")[NAME]
    rows = [mixed.keys.index(key) for key in clean.keys]
    np.testing.assert_array_equal(mixed.images[:][rows], clean.images[:])
    np.testing.assert_array_equal(mixed.scores[rows], clean.scores)
    assert mixed.valid.sum() == len(clean)
    assert not mixed.images[:][~mixed.valid].any()
    assert np.isnan(mixed.scores[~mixed.valid]).all()
    assert (mixed.method[~mixed.valid] == -1).all()


def test_a_bad_file_that_appears_later_is_listed_without_building_anything(
    settings: BuildSettings, recordings: Path
) -> None:
    build_again(settings)
    (recordings / "empty.dat").touch()
    outcome = build_again(settings)
    assert outcome.made == 0
    assert [item.path for item in outcome.manifest.sources[0].quarantined_recordings] == ["empty.dat"]
    (recordings / "empty.dat").unlink()
    assert build_again(settings).manifest.quarantined == 0


def test_a_recording_that_vanishes_during_the_build_is_no_quarantine(
    settings: BuildSettings, recordings: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What cannot be read now may be read by the next run: the shard stays missing."""
    hidden = tmp_path / "hidden.dat"

    create = StoreWriter.create

    def create_and_lose(self: StoreWriter, plan: Plan) -> None:
        create(self, plan)
        (recordings / "scene0.dat").rename(hidden)

    with monkeypatch.context() as patch:
        patch.setattr(StoreWriter, "create", create_and_lose)
        with pytest.raises(BuildError, match=r"scene0\.dat"):
            build_again(settings)
    hidden.rename(recordings / "scene0.dat")
    assert build_again(settings).made == 2


@pytest.mark.parametrize("place", [6, 7, 8])
def test_a_full_disk_is_one_clear_error_and_loses_nothing(
    settings: BuildSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    """It comes with the first or second candidates, or the winners, of the third shard."""
    written = iter(range(99))

    def full(self: StoreWriter, *arguments: object) -> None:
        if next(written) == place:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        write(self, *arguments)  # type: ignore[arg-type]

    write = StoreWriter.write_shard
    with monkeypatch.context() as patch:
        patch.setattr(StoreWriter, "write_shard", full)
        with pytest.raises(StoreError, match="No space left on device") as caught:
            build_again(settings)
    assert "free some space" in caught.value.hint
    assert build_again(settings).made == 3
    build_again(settings, out=tmp_path / "fresh")
    assert content(settings.out) == content(tmp_path / "fresh")


def test_an_output_that_cannot_be_written_is_a_clear_error(settings: BuildSettings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        build_again(settings, out=tmp_path / "file" / "out")


def test_two_builds_on_one_output_are_refused(settings: BuildSettings) -> None:
    from hqgen.builder.output import Output

    with Output(settings.out).locked(), pytest.raises(StoreError, match=f"process {os.getpid()} on"):
        build_again(settings)
    build_again(settings)


def test_an_interrupt_finishes_the_shard_in_flight_and_keeps_it(
    settings: BuildSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import signal

    def interrupting(*arguments: object) -> object:
        signal.raise_signal(signal.SIGINT)
        return commit(*arguments)  # type: ignore[arg-type]

    before = signal.getsignal(signal.SIGINT)  # ignored where the tests run in the background of a shell
    with monkeypatch.context() as patch:
        patch.setattr("hqgen.builder.execute.commit", interrupting)
        with pytest.raises(InterruptedBuildError, match="stopped with 2 of 7 samples done"):
            build_again(settings)
    assert "interrupt again to stop at once" in caplog.text
    assert signal.getsignal(signal.SIGINT) is before
    assert build_again(settings).made == 5


def test_the_progress_counts_samples_inside_a_shard(settings: BuildSettings) -> None:
    class Steps(Recorder):
        steps: ClassVar[list[int]] = []

        @contextmanager
        def progress(self, what: str, total: int, unit: str, done: int = 0) -> Iterator[Job]:
            with super().progress(what, total, unit, done) as job:
                if what == "building":
                    job.advance = self.steps.append  # type: ignore[method-assign,assignment]
                yield job

    build(settings.model_copy(update={"shard_size": 7}), observer := Steps())
    assert observer.steps == [1] * 7


def test_a_method_that_breaks_its_contract_harms_only_its_own_candidates(
    settings: BuildSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hqgen.methods.tfi import TFI

    def broken(self: TFI, window: object) -> None:
        raise RuntimeError("third party")

    monkeypatch.setattr(TFI, "reconstruct", broken)
    (source,) = build_again(settings).manifest.sources
    assert all(sample.method == "tfp" for sample in source.samples)
    assert source.samples[0].reasons == {"tfi": "`tfi` failed: RuntimeError: third party"}
    assert source.samples[0].margin is None


def test_a_log_is_kept_of_every_run(settings: BuildSettings) -> None:
    build_again(settings)
    with pytest.raises(PlanMismatchError):
        build_again(settings, shard_size=3)
    logs = sorted((settings.out / "hq.build/logs").iterdir())
    assert any("holds a build of another plan" in log.read_text() for log in logs)


def test_names_that_make_no_sense_are_refused_before_anything_is_written(settings: BuildSettings) -> None:
    cases: list[tuple[dict[str, Any], type[HqgenError] | tuple[type[HqgenError], ...]]] = [
        ({"sources": ("redz",)}, UnknownNameError),
        ({"sources": ("reds",)}, SourceError),
        ({"methods": "tfx"}, UnknownNameError),
        ({"methods": "tfp:window=0"}, (UsageError, MethodError)),
        ({"metric": "beauty"}, UnknownNameError),
        ({"judges": ("beauty",)}, UnknownNameError),
        ({"rule": "taste"}, UnknownNameError),
        ({"source_methods": {"reds": "tfp"}}, UsageError),
    ]
    for change, error in cases:
        with pytest.raises(error):
            build_again(settings, **change)
    for name in ("none", ["none"], ""):
        assert BuildSettings.model_validate(settings.model_dump() | {"judges": name}).judges == ()
    with pytest.raises(ValidationError, match="must be the only judge"):
        BuildSettings.model_validate(settings.model_dump() | {"judges": "none,piqe"})
    with pytest.raises(ValidationError, match="workers"):
        BuildSettings.model_validate(settings.model_dump() | {"workers": 0})
    assert not settings.out.exists()


def test_a_source_too_small_for_the_metric_is_refused_at_once(
    settings: BuildSettings, tmp_path: Path
) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    np.save(folder / "a.npy", np.ones((50, 64, 64), np.uint8))
    with pytest.raises(ScoreError, match="64x64"):
        build_again(settings, sources=(f"folder:{folder}",))


def test_stale_partial_files_of_a_killed_writer_are_removed(settings: BuildSettings) -> None:
    build_again(settings)
    before = content(settings.out)
    partial = settings.out / f"hq.zarr/{NAME}/images/c/0/0/0.abc.partial"
    partial.write_bytes(b"half")
    (settings.out / f"hq.build/records/{NAME}/000000.json").unlink()
    build_again(settings)
    assert content(settings.out) == before


def test_a_camera_of_the_command_is_in_the_plan_and_the_pictures_are_those_of_the_plain_file(
    settings: BuildSettings, recordings: Path, tmp_path: Path
) -> None:
    plain = build(settings, Recorder()).manifest
    assert plain.plan.sources[0].camera is None
    assert '"camera"' not in (recordings.parent / "out" / "manifest.json").read_text()
    folder = tmp_path / "msb" / recordings.name
    folder.mkdir(parents=True)
    for path in recordings.glob("*.dat"):
        rows = open_recording(path, height=HEIGHT, width=WIDTH).frames()
        rows = np.pad(rows, ((0, 0), (0, 0), (0, 8)))
        (folder / path.name).with_suffix(".raw").write_bytes(np.packbits(rows).tobytes())
    camera = Camera(height=HEIGHT, width=WIDTH, padding=8, bit_order="msb", row_order="top-down")
    changes = {"sources": (f"folder:{folder}",), "out": tmp_path / "msb-out", "camera": camera}
    described = build(settings.model_copy(update=changes), Recorder()).manifest
    (spec,) = described.plan.sources
    assert spec.camera == {"padding": 8, "bit_order": "msb", "row_order": "top-down"}
    assert Camera.planned(spec.camera, HEIGHT, WIDTH) == camera
    assert [item.images_blake3 for item in described.sources[0].shards] == [
        item.images_blake3 for item in plain.sources[0].shards
    ]
