from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from hqgen.errors import PlanMismatchError, UsageError, WeightsError
from hqgen.training.checkpoint import Checkpoint, require_free

ME, YOU = {"seed": 0}, {"seed": 1}


def test_a_state_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "new" / "made.checkpoint", ME)
    assert checkpoint.restore() is None
    checkpoint.save({"step": 1, "weight": torch.zeros(2)})
    weight = torch.randn(3, 3).to(torch.bfloat16)
    checkpoint.save({"step": 2, "weight": weight, "curve": [{"step": 1}]})
    saved = checkpoint.restore()
    assert saved is not None
    assert set(saved) == {"step", "weight", "curve"}
    assert (saved["step"], saved["curve"]) == (2, [{"step": 1}])
    assert torch.equal(saved["weight"], weight)
    checkpoint.remove()
    checkpoint.remove()
    assert checkpoint.restore() is None


def test_another_trainings_checkpoint_is_refused_with_the_difference_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "made.checkpoint"
    Checkpoint(path, ME).save({"step": 1})
    with pytest.raises(PlanMismatchError, match=r"made.checkpoint` belongs .*\n  seed: 0 -> 1") as caught:
        Checkpoint(path, YOU, folder=tmp_path).restore()
    assert f"remove `{tmp_path}`" in caught.value.hint
    assert Checkpoint(path, ME).restore() == {"step": 1}


def test_what_is_made_already_is_not_made_anew(tmp_path: Path) -> None:
    (tmp_path / "made.pth").write_bytes(b"an hour of work")
    with pytest.raises(UsageError, match=r"`.*made.pth` is there already"):
        require_free(tmp_path / "made.pth")
    require_free(tmp_path / "other.pth")


def saved(value: object, folder: Path) -> bytes:
    torch.save(value, folder / "value")
    return (folder / "value").read_bytes()


@pytest.mark.parametrize("kind", ["empty", "text", "cut", "cut zip", "list", "tensor", "no plan", "code"])
def test_a_damaged_checkpoint_is_named(kind: str, tmp_path: Path) -> None:
    whole = saved({"plan": "{}", "weight": torch.zeros(1000)}, tmp_path)
    content = {
        "empty": b"",
        "text": b"no checkpoint",
        "cut": whole[: len(whole) // 2],
        "cut zip": b"PK\x03\x04 cut off",
        "list": saved([1, 2], tmp_path),
        "tensor": saved(torch.zeros(2), tmp_path),
        "no plan": saved({"step": 1}, tmp_path),
        "code": pickle.dumps(Path("x"), protocol=2),
    }[kind]
    path = tmp_path / "made.checkpoint"
    path.write_bytes(content)
    with pytest.raises(
        WeightsError, match=r"`.*made.checkpoint` is not a checkpoint, or it is damaged"
    ) as error:
        Checkpoint(path, ME).restore()
    assert error.value.hint == f"remove `{path}` to start again"
