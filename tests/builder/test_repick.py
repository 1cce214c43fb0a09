"""A store from a store: the same bytes as a build, whatever happens on the way."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hqgen.builder.finish import Outcome
from hqgen.builder.repick import repick
from hqgen.builder.settings import RepickSettings
from hqgen.cli import app
from hqgen.errors import PlanMismatchError, StoreError, UsageError
from hqgen.manifest import read_manifest
from hqgen.store import StoreWriter, open_store
from hqgen.verify import verify
from tests.builder.small import Recorder, build_again, content, settings_for, write_scenes

OTHER: dict[str, Any] = {"rule": "niqe-guarded", "max_score": 43.0}
"""A rule that prefers other candidates in the small builds, and a limit that some of them exceed."""


@pytest.fixture(scope="module")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two builds of five samples: by the default rule in `out`, by `OTHER` in `other`."""
    root = tmp_path_factory.mktemp("repick")
    settings = settings_for(write_scenes(root / "lab", 5), methods="tfp,tfi,tfstp", shard_size=2)
    build_again(settings)
    build_again(settings, out=root / "other", **OTHER)
    shutil.rmtree(root / "lab")
    return root


@pytest.fixture
def built(built_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built_once / "out", tmp_path / "built"))


def repicked(built: Path, out: Path, **changes: Any) -> Outcome:
    return repick(built / "manifest.json", RepickSettings(out=out, **changes), Recorder())


def without_origin(out: Path) -> dict[str, bytes]:
    files = content(out)
    manifest = json.loads(files["manifest"])
    del manifest["repicked_from"]
    return files | {"manifest": json.dumps(manifest).encode()}


def test_the_builds_own_rule_gives_its_bytes_without_recordings(built: Path, tmp_path: Path) -> None:
    outcome = repicked(built, tmp_path / "new")
    assert outcome.made == 5
    assert without_origin(tmp_path / "new") == without_origin(built)
    assert verify(tmp_path / "new" / "manifest.json") == []


def test_another_rule_gives_the_bytes_of_a_build_by_it(built: Path, built_once: Path, tmp_path: Path) -> None:
    outcome = repicked(built, tmp_path / "new", **OTHER)
    assert without_origin(tmp_path / "new") == without_origin(built_once / "other")
    assert 0 < outcome.manifest.quarantined < 5
    (source,) = outcome.manifest.sources
    assert {sample.method for sample in source.samples} == {"tfstp", None}


def test_the_manifest_says_what_it_was_picked_from(built: Path, tmp_path: Path) -> None:
    origin = repicked(built, tmp_path / "new").manifest.repicked_from
    assert origin is not None
    assert origin.manifest == str(built / "manifest.json")
    assert origin.plan_id == read_manifest(built / "manifest.json").plan_id


def test_the_new_store_outlives_the_old_one(built: Path, tmp_path: Path) -> None:
    repicked(built, tmp_path / "new", **OTHER)
    shutil.rmtree(built)
    assert verify(tmp_path / "new" / "manifest.json") == []
    back = repicked(tmp_path / "new", tmp_path / "back")
    assert back.manifest.quarantined == 0


def test_candidates_can_be_left_behind(built: Path, tmp_path: Path) -> None:
    outcome = repicked(built, tmp_path / "new", keep_candidates=False)
    assert open_store(tmp_path / "new" / "hq.zarr")["folder-lab"].candidates == {}
    assert verify(outcome.output.manifest_path) == []
    with pytest.raises(StoreError, match="holds winners only") as caught:
        repicked(tmp_path / "new", tmp_path / "again")
    assert "--keep-candidates" in caught.value.hint


def test_a_stopped_run_continues_and_a_finished_one_has_nothing_to_do(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = iter(range(99))
    write = StoreWriter.write_shard

    def die(*arguments: Any) -> None:
        if next(written) == 1:
            raise KeyboardInterrupt
        write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr("hqgen.builder.repick.THREADS", 1)
        patch.setattr(StoreWriter, "write_shard", die)
        with pytest.raises(KeyboardInterrupt):
            repicked(built, tmp_path / "new", **OTHER)
    assert not (tmp_path / "new" / "manifest.json").exists()
    assert 0 < repicked(built, tmp_path / "new", **OTHER).made < 5
    repicked(built, tmp_path / "whole", **OTHER)
    assert content(tmp_path / "new") == content(tmp_path / "whole")
    assert repicked(built, tmp_path / "new", **OTHER).made == 0


def test_another_store_in_the_folder_is_refused_unless_it_may_go(built: Path, tmp_path: Path) -> None:
    repicked(built, tmp_path / "new")
    with pytest.raises(PlanMismatchError, match="niqe -> niqe-guarded"):
        repicked(built, tmp_path / "new", rule="niqe-guarded")
    repicked(built, tmp_path / "new", rule="niqe-guarded", existing="overwrite")
    assert verify(tmp_path / "new" / "manifest.json") == []


def test_a_store_is_never_picked_into_itself(built: Path) -> None:
    before = content(built)
    with pytest.raises(UsageError, match="holds the store to pick from"):
        repicked(built, built, rule="niqe-guarded", existing="overwrite")
    assert content(built) == before


def test_damaged_candidates_are_found_before_they_win(built: Path, tmp_path: Path) -> None:
    store = StoreWriter(built / "hq.zarr")
    pictures = store.read_shard("folder-lab", 0, 2, "candidates/tfstp")
    store.write_shard("folder-lab", 0, pictures[::-1], "candidates/tfstp")
    with pytest.raises(StoreError, match="the candidates of `tfstp` in shard 0 of `folder-lab` are damaged"):
        repicked(built, tmp_path / "new", rule="niqe-guarded")


def test_a_rule_whose_judges_the_store_lacks_is_refused(built: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs the judge `grain`"):
        repicked(built, tmp_path / "new", rule="consensus")
    assert not (tmp_path / "new").exists()


def test_the_command_says_where_the_new_store_is(built: Path, tmp_path: Path) -> None:
    command = ["repick", str(built / "manifest.json"), "--out", str(tmp_path / "new"), "--json"]
    command += ["--rule", "niqe-guarded", "--max-score", "43", "--metric", "niqe", "--judges", "consistency"]
    done = CliRunner().invoke(app, command, standalone_mode=False)
    assert done.return_value == 3, done.output
    assert json.loads(done.stdout)["manifest"] == str(tmp_path / "new" / "manifest.json")
