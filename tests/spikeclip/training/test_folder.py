from __future__ import annotations

from pathlib import Path

import pytest

from hqgen.errors import PlanMismatchError, TrainingError, WeightsError
from hqgen.files import sha256_file
from hqgen.provenance import document_id
from spikeclip.training.folder import RunFolder, StageFolder, StageRecord
from spikeclip.training.plan import Plan

PLAN: Plan = {"stage": "coarse", "seed": 0}
OTHER: Plan = {"stage": "coarse", "seed": 1}


@pytest.fixture
def folder(tmp_path: Path) -> StageFolder:
    (tmp_path / "coarse").mkdir()
    return RunFolder(tmp_path).stage("coarse")


def complete(folder: StageFolder, content: bytes = b"weights") -> StageRecord:
    folder.final.write_bytes(content)
    record = StageRecord(
        stage="coarse",
        plan_id=document_id(PLAN),
        plan=PLAN,
        final=sha256_file(folder.final),
        steps=3,
        losses={"coarse": 0.5},
        best_epoch=1,
        validation=0.25,
        seconds=1.5,
        device="cpu",
    )
    folder.complete(record)
    return record


def test_record_is_found_again(folder: StageFolder) -> None:
    assert folder.record(PLAN) is None
    record = complete(folder)
    assert folder.record(PLAN) == record


def test_record_and_checkpoint_of_another_plan_are_refused_with_the_difference(folder: StageFolder) -> None:
    folder.checkpoint(PLAN).save({"step": 3})
    with pytest.raises(PlanMismatchError, match=r"last.checkpoint` belongs .*\n  seed: 0 -> 1") as caught:
        folder.checkpoint(OTHER).restore()
    assert f"remove `{folder.path}`" in caught.value.hint
    complete(folder)
    with pytest.raises(PlanMismatchError, match=r"record.json` belongs .*\n  seed: 0 -> 1"):
        folder.record(OTHER)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1"])
def test_damaged_record_is_named(folder: StageFolder, content: bytes) -> None:
    folder.record_path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"record.json` is damaged"):
        folder.record(PLAN)


def test_record_does_not_pass_for_other_weights_than_its_own(folder: StageFolder) -> None:
    complete(folder)
    folder.final.write_bytes(b"others!")
    with pytest.raises(WeightsError, match=r"final.pth` is not the file that its stage ended with"):
        folder.record(PLAN)
    folder.final.unlink()
    with pytest.raises(WeightsError, match=r"final.pth` is not the file"):
        folder.record(PLAN)


def test_one_training_holds_the_folder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "out")
    with folder.locked(), pytest.raises(TrainingError, match="another training is writing"), folder.locked():
        pass
    with folder.locked():
        pass


def test_partial_files_of_a_killed_training_go(tmp_path: Path) -> None:
    partial = tmp_path / "coarse" / ".last.checkpoint.123.partial"
    partial.parent.mkdir()
    partial.write_bytes(b"half")
    with RunFolder(tmp_path).locked():
        assert not partial.exists()


def test_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(TrainingError, match=r"cannot be written"), RunFolder(tmp_path / "file/out").locked():
        pass
