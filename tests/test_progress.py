"""What a person sees while work goes on."""

from __future__ import annotations

import io
from dataclasses import dataclass

import pytest
from rich.console import Console

from hqgen.progress import SILENT, BarObserver, Both, LineObserver, stderr_observer


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def console(*, terminal: bool = False, width: int = 100) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, force_terminal=terminal, width=width, no_color=True), file


@pytest.fixture
def clock() -> Clock:
    return Clock()


def work(
    clock: Clock, steps: int, seconds: float, *, total: int = 1000, done: int = 0, amount: int = 10
) -> list[str]:
    """Lines printed while so many steps of so many seconds are done."""
    where, file = console()
    with LineObserver(where, clock).progress("building", total, "samples", done) as job:
        for _ in range(steps):
            clock.now += seconds
            job.advance(amount)
    return file.getvalue().splitlines()


def test_a_short_build_prints_nothing_but_its_end(clock: Clock) -> None:
    assert work(clock, 100, 0.05) == ["building: 1000/1000 samples in 5.0 s, 200.0/s"]


def test_a_longer_build_prints_every_tenth_with_rate_and_time_left(clock: Clock) -> None:
    lines = work(clock, 100, 2.0)
    assert len(lines) == 10
    assert lines[0] == "building: 100/1000 samples, 5.0/s, 3 min 0 s left"
    assert lines[-1] == "building: 1000/1000 samples in 3 min 20 s, 5.0/s"


def test_a_very_long_build_prints_at_least_every_five_minutes(clock: Clock) -> None:
    lines = work(clock, 5, 301.0, total=100_000)
    assert len(lines) == 6
    assert lines[0].startswith("building: 10/100000 samples, 0.033/s, 836 h")


def test_lines_are_never_closer_than_ten_seconds(clock: Clock) -> None:
    assert len(work(clock, 10, 9.0, amount=100)) == 5


def test_what_was_there_before_counts_as_done_but_not_in_the_rate(clock: Clock) -> None:
    assert work(clock, 1, 20.0, done=500, amount=200)[0] == "building: 700/1000 samples, 10.0/s, 30 s left"


def test_where_nothing_was_to_do_nothing_is_said(clock: Clock) -> None:
    assert work(clock, 0, 1.0, done=1000) == []
    assert work(clock, 0, 1.0, total=0) == []


def test_an_interrupted_stretch_says_how_far_it_came(clock: Clock) -> None:
    where, file = console()

    def interrupted() -> None:
        with LineObserver(where, clock).progress("building", 100, "samples") as job:
            clock.now += 2
            job.advance(30)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert file.getvalue() == "building: 30/100 samples in 2.0 s, 15.0/s\n"


def test_bytes_are_shown_as_bytes(clock: Clock) -> None:
    where, file = console()
    with LineObserver(where, clock).progress("reading", 3_000_000_000, "bytes") as job:
        clock.now += 20
        job.advance(1_500_000_000)
    assert file.getvalue().startswith("reading: 1.5 GB of 3.0 GB, 75.0 MB/s, 20 s left\n")


def test_a_long_note_stays_one_line_and_means_no_markup() -> None:
    where, file = console(width=20)
    LineObserver(where).note("`[bold]a[/bold]` is " + 10 * "very " + "long")
    assert file.getvalue() == "`[bold]a[/bold]` is " + 10 * "very " + "long\n"


def test_a_terminal_gets_a_bar_that_goes_when_it_is_done_and_notes_that_stay() -> None:
    where, file = console(terminal=True)
    observer = stderr_observer(where)
    assert isinstance(observer, BarObserver)
    with observer.progress("building", 400, "samples", 100) as job:
        job.advance(220)
        observer.note("one line")
    text = file.getvalue()
    assert "building" in text
    assert "320/400 samples" in text
    assert "one line\n" in text
    assert text.endswith("\x1b[2K")  # the bar's line is erased


def test_elsewhere_than_on_a_terminal_there_are_lines() -> None:
    assert type(stderr_observer(console()[0])) is LineObserver


def test_by_default_it_writes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    stderr_observer().note("hello")
    assert capsys.readouterr() == ("", "hello\n")


def test_what_is_told_comes_at_landmarks_and_not_too_often_between(clock: Clock) -> None:
    where, file = console()
    with LineObserver(where, clock).progress("fine", 50, "steps", 10) as job:
        for steps, seconds, landmark in (
            (10, 2.0, False),
            (5, 1.0, True),
            (10, 11.0, False),
            (5, 1.0, False),
        ):
            clock.now += seconds
            job.advance(steps)
            job.tell(f"total {clock.now - 100:g}", landmark=landmark)
    assert file.getvalue().splitlines() == [
        "fine: 25/50 steps, total 3, 5.0/s, 5.0 s left",
        "fine: 35/50 steps, total 14, 1.8/s, 8.4 s left",
        "fine: 40/50 steps in 15 s, 2.0/s",
    ]


def test_a_bar_shows_what_is_told_and_leaves_it_behind() -> None:
    where, file = console(terminal=True)
    with BarObserver(where).progress("fine", 50, "steps", 10) as job:
        job.advance()
        job.tell("total 1.25, prompt -0.5")
    text = file.getvalue()
    assert "11/50 steps" in text
    assert text.count("total 1.25, prompt -0.5") >= 2
    assert text.splitlines()[-1].startswith("\x1b") or text.endswith("total 1.25, prompt -0.5\n")


def test_two_observers_are_told_the_same(clock: Clock) -> None:
    consoles = [console() for _ in range(2)]
    both = Both(*(LineObserver(where, clock) for where, _ in consoles))
    with both.progress("fine", 50, "steps") as job:
        job.advance(25)
        job.tell("total 1", landmark=True)
    both.note("done")
    first, second = (file.getvalue() for _, file in consoles)
    assert first == second
    assert [line.partition(",")[0] for line in first.splitlines()] == [
        "fine: 25/50 steps",
        "fine: 25/50 steps in 0.0 s",
        "done",
    ]


def test_the_silent_one_takes_all_and_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with SILENT.progress("fine", 50, "steps") as job:
        job.advance(3)
        job.tell("total 1", landmark=True)
    SILENT.note("done")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("width", "length"), [(80, 12), (100, 24)])
def test_a_bar_keeps_its_length_and_its_numbers_beside_long_news(width: int, length: int) -> None:
    where, _ = console(terminal=True, width=width)
    lines = []
    with BarObserver(where).progress("reading recordings", 999_900_000, "bytes") as job:
        for news in ("", "loss 0.0123, validation 31.2 dB, and so on for more than the rest of the line"):
            job.tell(news)
            job.advance(999_900_000 if not news else 0)
            plain, file = console(width=width)
            plain.print(job.bar.get_renderable())  # type: ignore[attr-defined]
            lines.append(file.getvalue().rstrip("\n"))
    for line in lines:
        assert len(line) == width
        assert line.startswith("reading recordings ")
        assert line.count("━") == length
        assert "999.9 MB of 999.9 MB" in line
