"""What people say of samples: who says what, what holds, what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hqgen.curation import FILE, Journal, Undo, Verdict
from hqgen.errors import PlanMismatchError, StoreError, UnknownNameError, UsageError
from tests.made import manifest, rewrite, sample

A, B, DARK = "lab/a", "lab/b", 'lab/"dark" <img>'
MADE = manifest({"lab": [sample(A, 4.0, 5.0), sample(B, 6.0, 5.0), sample(DARK, None, 7.0)]})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A manifest whose store is not needed."""
    return rewrite(tmp_path / "manifest.json", MADE)


def actions(journal: Journal) -> dict[str, str]:
    return {key: verdict.action for key, verdict in journal.state().items()}


def test_the_last_verdict_of_a_sample_holds(path: Path) -> None:
    journal = Journal(path)
    assert journal.state() == {}
    journal.add("reject", [B, A], note="blurred", author="ada")
    (pick,) = journal.add("pick", [A], method="tfi", author="bob")
    assert journal.state() == {A: pick, B: journal.since()[0]}
    assert pick.model_dump(exclude={"time"}) == {
        "number": 3,
        "author": "bob",
        "source": "lab",
        "key": A,
        "action": "pick",
        "method": "tfi",
        "note": "",
    }
    journal.add("clear", [A])
    assert actions(journal) == {B: "reject"}
    assert Journal(path).state() == journal.state()
    assert path.with_name(FILE) == journal.path


def test_undo_makes_hold_what_held_before(path: Path) -> None:
    journal = Journal(path)
    journal.add("mark", [A])
    journal.add("reject", [A])
    assert journal.undo().undoes == 2
    assert actions(journal) == {A: "mark"}
    assert journal.undo(author="ada") == journal.since(3)[0]
    assert actions(journal) == {}
    with pytest.raises(UsageError, match=r"nothing in .* can be undone"):
        journal.undo()
    with pytest.raises(UsageError, match=r"entry 1 of .* is undone already"):
        journal.undo(1)
    assert journal.undo(4).undoes == 4  # the undo of the mark
    assert actions(journal) == {A: "mark"}
    with pytest.raises(UsageError, match="has no entry 9") as caught:
        journal.undo(9)
    assert "its last one is 5" in caught.value.hint


@given(
    st.lists(
        st.tuples(st.sampled_from(["reject", "mark", "clear"]), st.sampled_from([A, B])) | st.just("undo"),
        max_size=12,
    )
)
def test_the_undo_of_the_last_is_as_if_it_had_never_been_said(steps: list[tuple[str, str] | str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(rewrite(Path(folder, "manifest.json"), MADE))
        said: list[tuple[str, str]] = []
        for step in steps:
            if isinstance(step, tuple):
                journal.add(step[0], [step[1]])  # type: ignore[arg-type]
                said.append(step)
            elif said:
                journal.undo()
                said.pop()
        expected = {key: action for action, key in said}
        assert actions(journal) == {key: action for key, action in expected.items() if action != "clear"}


def test_what_was_said_and_undone_stays_in_the_file(path: Path) -> None:
    journal = Journal(path)
    journal.add("reject", [A])
    before = journal.path.read_bytes()
    journal.undo()
    assert journal.path.read_bytes().startswith(before)
    kinds = [type(entry) for entry in journal.since()]
    assert kinds == [Verdict, Undo]


def test_a_page_asks_for_what_is_new(path: Path) -> None:
    page, other = Journal(path), Journal(path)
    assert page.since() == []
    other.add("mark", [A])
    other.undo()
    assert [entry.number for entry in page.since(1)] == [2]
    assert page.since(2) == page.since(99) == []


def test_the_file_is_one_json_document_per_line(path: Path) -> None:
    journal = Journal(path)
    journal.add("reject", [DARK], note='a "quoted" \x1b[31m\nnote — ü', author="<b>")
    header, entry = map(json.loads, journal.path.read_text().splitlines())
    assert header["plan_id"] == MADE.plan_id
    assert (entry["key"], entry["note"]) == (DARK, 'a "quoted" \x1b[31m\nnote — ü')
    assert journal.state()[DARK].author == Journal(path).state()[DARK].author == "<b>"


def test_what_a_store_does_not_have_is_named_and_nothing_is_written(path: Path) -> None:
    journal = Journal(path)
    with pytest.raises(UsageError, match="unknown sample of the store `lab/c`") as caught:
        journal.add("reject", [A, "lab/c"])
    assert "did you mean" in caught.value.hint
    with pytest.raises(UnknownNameError, match="unknown method of the store `tfq`"):
        journal.add("pick", [A], method="tfq")
    with pytest.raises(UsageError, match=r"`tfp` has no candidate of .*dark.*: it is dark") as caught:
        journal.add("pick", [A, DARK], method="tfp")
    assert "`tfi`" in caught.value.hint
    with pytest.raises(UsageError, match="a pick must name its method"):
        journal.add("pick", [A])
    with pytest.raises(UsageError, match="a pick must name its method"):
        journal.add("mark", [A], method="tfp")
    with pytest.raises(UsageError, match="`note` in the verdict"):
        journal.add("mark", [A], note="x" * 5000)
    with pytest.raises(UsageError, match="`note` in the verdict"):
        journal.add("mark", [A], note="\ud800")
    with pytest.raises(UsageError, match="`action` in the verdict"):
        journal.add("love", [A])  # type: ignore[arg-type]
    assert journal.since() == []


def test_verdicts_on_another_store_are_refused_by_name(path: Path) -> None:
    Journal(path).add("mark", [A])
    other = manifest({"lab": [sample(A, 4.0, 5.0)]})
    rewrite(path, other)
    with pytest.raises(PlanMismatchError, match=f"`{MADE.plan_id}`.*`{other.plan_id}`") as caught:
        Journal(path).state()
    assert "move the file" in caught.value.hint
    with pytest.raises(PlanMismatchError):
        Journal(path).add("mark", [A])


@pytest.mark.parametrize("text", ["[]\n", "{}\n", "hello\n", '{"format": "hqgen-curation", "version": 9}\n'])
def test_another_file_in_the_place_of_the_journal_is_left_alone(path: Path, text: str) -> None:
    path.with_name(FILE).write_text(text)
    for _ in range(2):
        with pytest.raises(StoreError, match="is not a journal"):
            Journal(path).add("mark", [A])
    assert path.with_name(FILE).read_text() == text


def test_a_damaged_line_is_named_and_the_journal_works_once_it_is_repaired(path: Path) -> None:
    journal = Journal(path)
    journal.add("mark", [A, B])
    good = journal.path.read_text()
    for bad, message in {
        good.replace('"action":"mark"', '"action":"mar', 1): "entry 1 of .* is damaged: Invalid JSON",
        good.replace('"number":2', '"number":1'): "entry 2 of .* is damaged: it has the number 1",
        good.replace("lab/b", "lab/x"): "entry 2 of .* is damaged: unknown sample of the store `lab/x`",
        good + '{"number":3,"time":"","action":"undo","undoes":3}\n': "entry 3 .* it undoes entry 3",
    }.items():
        journal.path.write_text(bad)
        reader = Journal(path)
        for _ in range(2):
            with pytest.raises(StoreError, match=message):
                reader.since()
    journal.path.write_text(good)
    assert actions(journal) == {A: "mark", B: "mark"}


def test_an_entry_that_was_cut_off_is_left_out(path: Path) -> None:
    journal = Journal(path)
    journal.add("mark", [A, B])
    os.truncate(journal.path, journal.path.stat().st_size - 3)
    assert actions(Journal(path)) == {A: "mark"}
    (entry,) = Journal(path).add("reject", [B])
    assert entry.number == 2
    assert actions(Journal(path)) == {A: "mark", B: "reject"}


def test_verdicts_that_the_manifest_has_hold_until_another_one_or_a_clear(path: Path) -> None:
    journal = Journal(path)
    said = [*journal.add("pick", [A], method="tfi"), *journal.add("reject", [B])]
    journal.path.unlink()
    rewrite(path, MADE.model_copy(update={"verdicts": tuple(said)}))
    curated = Journal(path)
    assert [(item.number, item.action) for item in curated.state().values()] == [(0, "pick"), (0, "reject")]
    curated.add("clear", [B])
    assert actions(curated) == {A: "pick"}
    curated.undo()
    assert actions(curated) == {A: "pick", B: "reject"}


SPEAKER = """
import sys
from hqgen.curation import Journal

journal = Journal(sys.argv[1])
print("ready", flush=True)
for number in range(int(sys.argv[3])):
    journal.add("mark", ["lab/a", "lab/b"], note=f"{sys.argv[2]} {number}")
"""


def speaker(path: Path, name: str, times: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", SPEAKER, str(path), name, str(times)], stdout=subprocess.PIPE
    )


def test_two_processes_and_two_threads_at_once_lose_nothing(path: Path) -> None:
    shared = Journal(path)
    started = [speaker(path, name, 50) for name in ("p", "q")]
    threads = [
        Thread(target=lambda n=name: [shared.add("mark", [A], note=f"{n} {i}") for i in range(50)])
        for name in ("s", "t")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for process in started:
        process.communicate(timeout=60)
        assert process.returncode == 0
    entries = Journal(path).since()
    assert shared.since() == entries
    assert [entry.number for entry in entries] == list(range(1, 301))
    for name, each in {"p": 2, "q": 2, "s": 1, "t": 1}.items():
        notes = [e.note for e in entries if isinstance(e, Verdict) and e.note.startswith(name)]
        assert notes == [f"{name} {i}" for i in range(50) for _ in range(each)]


def test_a_kill_loses_no_entry_before_it_and_no_half_of_one(path: Path) -> None:
    killed = speaker(path, "p", 100_000)
    assert killed.stdout is not None
    killed.stdout.readline()
    while not path.with_name(FILE).exists() or path.with_name(FILE).stat().st_size < 3000:
        time.sleep(0.01)
    seen = Journal(path).since()
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    after = Journal(path).since()
    assert after[: len(seen)] == seen
    assert len(after) % 2 == 0  # both samples of a verdict, or neither
    Journal(path).undo()
