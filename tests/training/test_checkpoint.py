from __future__ import annotations

import csv
import pickle
from pathlib import Path

import pytest
import torch

from hqgen.errors import UsageError
from hqgen.training.checkpoint import Checkpoint, require_free

ROWS = [{"step": 1, "loss": "0.5"}, {"step": 2, "loss": "0.25"}]


def test_a_state_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "new" / "made.pth", "me")
    assert checkpoint.restore() is None
    checkpoint.save({"step": 1, "weight": torch.zeros(2)}, [])
    checkpoint.save({"step": 2, "weight": torch.arange(3)}, ROWS)
    saved = checkpoint.restore()
    assert saved is not None
    assert set(saved) == {"step", "weight"}
    assert saved["step"] == 2
    assert torch.equal(saved["weight"], torch.arange(3))
    checkpoint.remove()
    checkpoint.remove()
    assert checkpoint.restore() is None


def test_the_learning_curve_is_a_table(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "made.pth", "me")
    checkpoint.save({}, [])
    assert (tmp_path / "made.csv").read_text() == ""
    checkpoint.save({}, ROWS)
    with (tmp_path / "made.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [{key: str(value) for key, value in row.items()} for row in ROWS]


def test_another_trainings_checkpoint_is_refused_and_kept(tmp_path: Path) -> None:
    Checkpoint(tmp_path / "made.pth", "me").save({"step": 1}, [])
    with pytest.raises(UsageError, match=r"`.*made.checkpoint` belongs to a training with other settings"):
        Checkpoint(tmp_path / "made.pth", "you").restore()
    assert Checkpoint(tmp_path / "made.pth", "me").restore() == {"step": 1}


def test_what_is_made_already_is_not_made_anew(tmp_path: Path) -> None:
    (tmp_path / "made.pth").write_bytes(b"an hour of work")
    with pytest.raises(UsageError, match=r"`.*made.pth` is there already"):
        require_free(tmp_path / "made.pth")
    require_free(tmp_path / "other.pth")


def saved(value: object, folder: Path) -> bytes:
    torch.save(value, folder / "value")
    return (folder / "value").read_bytes()


@pytest.mark.parametrize("kind", ["empty", "text", "cut", "list", "no identity", "code"])
def test_a_damaged_checkpoint_is_named(kind: str, tmp_path: Path) -> None:
    whole = saved({"identity": "me", "weight": torch.zeros(1000)}, tmp_path)
    content = {
        "empty": b"",
        "text": b"no checkpoint",
        "cut": whole[: len(whole) // 2],
        "list": saved([1, 2], tmp_path),
        "no identity": saved({"step": 1}, tmp_path),
        "code": pickle.dumps(Path("x"), protocol=2),
    }[kind]
    (tmp_path / "made.checkpoint").write_bytes(content)
    with pytest.raises(UsageError, match=r"`.*made.checkpoint` is no checkpoint"):
        Checkpoint(tmp_path / "made.pth", "me").restore()
