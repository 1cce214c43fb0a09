"""Exports as a whole: whole or not at all, the same bytes, refused where something is in the way."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hqgen.curation import Journal
from hqgen.errors import PlanMismatchError, StoreError, UsageError
from hqgen.export import run
from hqgen.export.run import Exported
from hqgen.files import held
from hqgen.progress import Job
from tests.builder.small import Recorder
from tests.command_line import run as command

Export = Callable[..., Exported]
KINDS = ("imagefolder", "webdataset", "huggingface")


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("kind", KINDS)
def test_two_exports_have_the_same_bytes_and_the_second_call_writes_nothing(
    export: Export, tmp_path: Path, kind: str
) -> None:
    recorder = Recorder()
    found = export(kind, split="train=0.5,val=0.3,test=0.2", observer=recorder)
    assert found.made
    assert sum(found.samples.values()) == 13 == recorder.done["exporting"]
    assert found.left_out == {"without a picture": 2}
    assert sum(found.recordings.values()) == 10
    before = content(tmp_path / "set")
    assert {"README.md", "croissant.json", "export.json"} <= set(before)
    assert not export(kind, split="train=0.5,val=0.3,test=0.2").made
    export(kind, split="train=0.5,val=0.3,test=0.2", out=tmp_path / "other")
    assert content(tmp_path / "set") == before == content(tmp_path / "other")
    assert {path.name for path in tmp_path.iterdir()} == {"set", "other"}


def test_another_export_is_refused_and_replaced_when_asked(export: Export, tmp_path: Path) -> None:
    export("webdataset")
    with pytest.raises(PlanMismatchError, match=r"holds another export(.|\n)*max score: none -> 4\.5"):
        export("webdataset", max_score=4.5)
    assert sum(export("webdataset", max_score=4.5, existing="overwrite").samples.values()) < 13
    assert json.loads((tmp_path / "set/export.json").read_bytes())["settings"]["max_score"] == 4.5
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_folder_of_something_else_is_never_replaced(export: Export, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "thesis.tex").write_text("precious")
    with pytest.raises(StoreError, match="not an export of hqgen"):
        export("imagefolder", existing="overwrite")
    assert content(tmp_path / "set") == {"thesis.tex": b"precious"}
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="not an export of hqgen"):
        export("imagefolder", out=tmp_path / "file")


def test_an_export_that_fails_leaves_nothing(
    export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(run, "write_card", full)
        with pytest.raises(StoreError, match="No space left on device"):
            export("imagefolder")
    assert list(tmp_path.iterdir()) == []


def killed_half_way(path: Path, out: Path) -> None:
    from hqgen.export.settings import ExportSettings

    class Killed(Job):
        def advance(self, amount: int = 1) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

    class Killer(Recorder):
        @contextmanager
        def progress(self, what: str, total: int, unit: str, done: int = 0) -> Iterator[Job]:
            yield Killed()

    run.export_store(path, ExportSettings(to="imagefolder", out=out), Killer())


def test_a_killed_export_leaves_no_data_set_and_the_next_one_begins_again(
    export: Export, ugly: Path, tmp_path: Path
) -> None:
    child = multiprocessing.get_context("spawn").Process(
        target=killed_half_way, args=(ugly, tmp_path / "set")
    )
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == [".set.export"]
    assert list((tmp_path / ".set.export/new").rglob("*.png"))
    export("imagefolder")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert len(list((tmp_path / "set").rglob("*.png"))) == 13


def test_a_kill_between_the_two_moves_loses_nothing(export: Export, tmp_path: Path) -> None:
    export("imagefolder")
    (tmp_path / ".set.export").mkdir()
    (tmp_path / "set").rename(tmp_path / ".set.export/old")
    assert not export("imagefolder").made


def test_two_at_once_do_not_mix(export: Export, tmp_path: Path) -> None:
    with (
        held(tmp_path / ".set.export/lock", tmp_path / "set", "export", StoreError),
        pytest.raises(StoreError, match="another export is writing"),
    ):
        export("imagefolder")


def test_what_stays_is_said(export: Export, ugly: Path, tmp_path: Path) -> None:
    recorder = Recorder()
    export("imagefolder", split="train=0.999999,val=0.000001", observer=recorder)
    assert "left out: 2 without a picture" in recorder.notes
    assert any("split `val` is empty" in note for note in recorder.notes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "train=0.8"}, "sum to 1"),
        ({"bits": 12}, "must be 8 or 16"),
        ({"to": "tfrecord"}, "imagefolder"),
        ({"shard_mb": 0}, "at least 1"),
    ],
)
def test_a_wrong_setting_is_a_usage_error(
    ugly: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    flags = {"to": "imagefolder", "out": tmp_path / "set"} | changes
    given = [text for name, value in flags.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    done = command("export", ugly, *given)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_says_what_it_wrote(ugly: Path, tmp_path: Path) -> None:
    arguments = ("export", ugly.parent, "--to", "webdataset", "--out", tmp_path / "set")
    done = command(*arguments)
    assert done.returncode == 0, done.stderr
    assert "13 pictures" in done.stdout
    assert "load it with: webdataset.WebDataset(" in done.stdout
    again = command(*arguments, "--json")
    assert json.loads(again.stdout)["made"] is False


def test_a_store_that_lacks_or_breaks_a_shard_exports_nothing(
    export: Export, ugly: Path, tmp_path: Path
) -> None:
    import shutil

    shutil.copytree(ugly.parent, tmp_path / "damaged")
    shard = tmp_path / "damaged/hq.zarr/one/images/c/0/0/0"
    shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(StoreError, match="from `one/a/1` on cannot be read") as caught:
        export("imagefolder", path=tmp_path / "damaged/manifest.json")
    assert "--verify" in caught.value.hint
    assert not (tmp_path / "set").exists()


def test_a_pick_that_the_store_lacks_is_refused_by_the_command(ugly: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(ugly.parent, tmp_path / "store")
    Journal(tmp_path / "store/manifest.json").add("pick", ["one/a/1"], method="tfi")
    done = command("export", tmp_path / "store", "--to", "imagefolder", "--out", tmp_path / "set")
    assert done.returncode == UsageError.exit_code
    assert "--curation ignore" in done.stderr
