"""What people say becomes a store: the pictures they picked, without those they rejected."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hqgen.builder.comparison import compare_builds
from hqgen.builder.curate import apply_verdicts
from hqgen.builder.finish import Outcome
from hqgen.builder.repick import repick
from hqgen.builder.settings import CurateSettings, RepickSettings
from hqgen.curation import Journal, summarise
from hqgen.documents import unsealed
from hqgen.errors import PlanMismatchError, StoreError, UsageError
from hqgen.inspection.statistics import statistics
from hqgen.manifest import SampleRecord, read_manifest
from hqgen.report.notes import source_notes
from hqgen.store import open_store
from hqgen.verify import verify
from tests.builder.small import Recorder, build_again, content, settings_for, write_scenes
from tests.command_line import run

SOURCE = "folder-lab"


@pytest.fixture(scope="module")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("curate")
    settings = settings_for(write_scenes(root / "lab", 4), methods="tfp,tfi,tfstp", shard_size=2)
    build_again(settings)
    build_again(settings, out=root / "winners", keep_candidates=False)
    shutil.rmtree(root / "lab")
    return root


@pytest.fixture
def built(built_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built_once / "out", tmp_path / "built"))


def samples(out: Path) -> tuple[SampleRecord, ...]:
    return read_manifest(out / "manifest.json").sources[0].samples


def other(sample: SampleRecord) -> str:
    """A method that did not win."""
    return next(name for name in sample.scores if name != sample.method)


def applied(built: Path, out: Path, **changes: Any) -> Outcome:
    return apply_verdicts(built / "manifest.json", CurateSettings(out=out, **changes), Recorder())


def curated(built: Path) -> Journal:
    """Sample 0 is overruled, 1 is rejected, 2 is marked, and what was said of 3 was undone."""
    journal, there = Journal(built / "manifest.json"), samples(built)
    journal.add("pick", [there[0].key], method=other(there[0]), note="sharper", author="ada")
    journal.add("reject", [there[1].key], note="a hand in front of it")
    journal.add("mark", [there[2].key])
    journal.add("reject", [there[3].key])
    journal.undo()
    return journal


def test_a_new_store_honours_the_verdicts_and_says_whose_they_are(built: Path, tmp_path: Path) -> None:
    curated(built)
    before, old = samples(built), open_store(built / "hq.zarr")[SOURCE]
    outcome = applied(built, tmp_path / "new")
    after, new = samples(tmp_path / "new"), open_store(tmp_path / "new" / "hq.zarr")[SOURCE]
    method = other(before[0])
    assert (after[0].method, after[0].by_hand, after[0].scores) == (method, "sharper", before[0].scores)
    assert after[0].margin is not None
    assert after[0].margin < 0
    assert np.array_equal(new.images[0], old.candidates[method][0])
    assert (after[1].method, after[1].refused) == (None, "rejected by hand: a hand in front of it")
    assert not new.valid[1]
    assert not new.images[1].any()
    assert np.array_equal(new.candidates["tfp"][1], old.candidates["tfp"][1])
    assert after[2:] == before[2:]
    assert np.array_equal(new.images[2:], old.images[2:])
    assert new.keys == old.keys
    said = outcome.manifest.verdicts
    assert said is not None
    assert [(v.number, v.author, v.action) for v in said] == [
        (1, "ada", "pick"),
        (2, "", "reject"),
        (3, "", "mark"),
    ]
    assert outcome.manifest.quarantined == 1
    assert verify(tmp_path / "new" / "manifest.json") == []


def test_one_state_gives_one_store_whatever_was_said_on_the_way(built: Path, tmp_path: Path) -> None:
    there = samples(built)
    journal = Journal(built / "manifest.json")
    journal.add("reject", [there[1].key], note="blurred")
    applied(built, tmp_path / "one")
    assert applied(built, tmp_path / "one").made == 0
    journal.add("clear", [there[1].key])
    journal.add("pick", [there[0].key], method=other(there[0]))
    journal.undo()
    journal.undo()
    applied(built, tmp_path / "other")
    assert content(tmp_path / "one") == content(tmp_path / "other")


def test_without_verdicts_it_is_the_same_store(built: Path, tmp_path: Path) -> None:
    applied(built, tmp_path / "new")
    found, before = content(tmp_path / "new"), content(built)
    manifest = json.loads(found.pop("manifest"))
    assert manifest.pop("repicked_from")["manifest"] == str(built / "manifest.json")
    assert json.loads(before.pop("manifest")) == manifest | {"repicked_from": None}
    assert found == before


def test_the_plan_tells_stores_of_other_verdicts_apart(built: Path, tmp_path: Path) -> None:
    journal = curated(built)
    applied(built, tmp_path / "new")
    journal.add("mark", [samples(built)[3].key])  # which decides nothing
    again = applied(built, tmp_path / "new")
    assert (again.made, len(again.manifest.verdicts or ())) == (0, 4)
    journal.add("reject", [samples(built)[3].key])
    with pytest.raises(PlanMismatchError, match=r"by hand: 1 picked, 1 rejected.* -> 1 picked, 2 rejected"):
        applied(built, tmp_path / "new")
    assert applied(built, tmp_path / "new", existing="overwrite").manifest.quarantined == 2


def test_the_difference_to_the_store_before_is_shown(built: Path, tmp_path: Path) -> None:
    curated(built)
    applied(built, tmp_path / "new")
    found = compare_builds(built / "manifest.json", tmp_path / "new" / "manifest.json")
    assert len(found.plan) == 1
    assert "by hand: none -> 1 picked, 1 rejected" in found.plan[0]
    there = samples(built)
    keys = [there[0].key, there[1].key]
    assert [item.key for item in found.sources[0].other_winner] == keys
    assert list(found.sources[0].other_pixels) == keys


def test_verdicts_last_through_further_stores(built: Path, tmp_path: Path) -> None:
    curated(built)
    applied(built, tmp_path / "new")
    shutil.rmtree(built)
    settings = RepickSettings(out=tmp_path / "ruled", rule="niqe-guarded")
    ruled = repick(tmp_path / "new" / "manifest.json", settings, Recorder()).manifest
    assert [sample.by_hand for sample in ruled.sources[0].samples] == [
        "sharper",
        "a hand in front of it",
        None,
        None,
    ]
    assert len(ruled.verdicts or ()) == 3
    journal = Journal(tmp_path / "new" / "manifest.json")
    journal.add("clear", [samples(tmp_path / "new")[1].key])
    assert summarise(journal).to_apply == 1
    second = applied(tmp_path / "new", tmp_path / "second")
    assert second.manifest.quarantined == 0
    assert [v.action for v in second.manifest.verdicts or ()] == ["pick", "mark"]
    assert verify(second.output.manifest_path) == []


def test_a_store_of_winners_can_lose_pictures_and_not_get_others(built_once: Path, tmp_path: Path) -> None:
    winners = Path(shutil.copytree(built_once / "winners", tmp_path / "winners"))
    there = samples(winners)
    journal = Journal(winners / "manifest.json")
    journal.add("reject", [there[0].key])
    journal.add("pick", [there[1].key], method=there[1].method)
    new = applied(winners, tmp_path / "new")
    assert [s.method for s in samples(tmp_path / "new")] == [None, *(s.method for s in there[1:])]
    assert verify(new.output.manifest_path) == []
    journal.add("pick", [there[2].key], method=other(there[2]))
    with pytest.raises(StoreError, match="winners only") as caught:
        applied(winners, tmp_path / "other")
    assert "undo that verdict" in caught.value.hint
    assert not (tmp_path / "other").exists()


def test_a_person_is_not_bound_by_a_limit(built: Path, tmp_path: Path) -> None:
    strict = RepickSettings(out=tmp_path / "strict", max_score=1.0)
    assert repick(built / "manifest.json", strict, Recorder()).manifest.quarantined == 4
    key = samples(built)[0].key
    Journal(tmp_path / "strict" / "manifest.json").add("pick", [key], method="tfp")
    new = applied(tmp_path / "strict", tmp_path / "new")
    assert [s.method for s in samples(tmp_path / "new")] == ["tfp", None, None, None]
    assert new.manifest.plan.max_score == 1.0


def test_a_store_never_takes_the_place_of_the_one_it_is_made_from(built: Path) -> None:
    before = content(built)
    with pytest.raises(UsageError, match="holds the store to pick from"):
        applied(built, built, existing="overwrite")
    assert content(built) == before


def test_a_changed_verdict_in_the_manifest_is_damage(built: Path, tmp_path: Path) -> None:
    curated(built)
    path = applied(built, tmp_path / "new").output.manifest_path
    text, _ = unsealed(path.read_bytes().replace(b'"by_hand": "sharper"', b'"by_hand": "nicer"'))
    path.write_bytes(text)
    assert any("who decided" in str(damage) for damage in verify(path))


def test_inspect_counts_the_verdicts(built: Path, tmp_path: Path) -> None:
    shown = run("inspect", built, env={"COLUMNS": "80"}).stdout
    assert "verdicts" not in shown
    curated(built)
    shown = run("inspect", built, env={"COLUMNS": "80"}).stdout
    assert "1 picked, 1 rejected, 1 marked; 2 to apply" in " ".join(shown.split())
    done = run("curate", "apply", built, "--out", tmp_path / "new")
    assert done.returncode == 3, done.stderr
    found = json.loads(run("inspect", tmp_path / "new", "--json").stdout)
    assert found["verdicts"] == {"picked": 1, "rejected": 1, "marked": 1, "to_apply": 0, "problem": None}
    (source,) = statistics(read_manifest(tmp_path / "new" / "manifest.json")).sources
    assert "by hand: 1 picked, 1 rejected" in source_notes(source)
    assert not any("refused by a limit" in note for note in source_notes(source))
    (built / "curation.json").write_text("{}\n")
    assert "is not a journal" in " ".join(run("inspect", built).stdout.split())
