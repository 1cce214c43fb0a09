from __future__ import annotations

import io

from rich.console import Console

from spikeclip.training.curve import Point
from spikeclip.training.observer import BarObserver, LineObserver, stderr_observer


def point(step: int, validation: float | None = None) -> Point:
    return Point(step, 2, {"total": 1.25, "prompt": -0.5}, validation, 1.0)


def console(terminal: bool) -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, force_terminal=terminal, width=120, color_system=None), text


def test_lines_come_at_epoch_ends_and_not_too_often_between() -> None:
    out, text = console(False)
    now = [0.0]
    with LineObserver(out, clock=lambda: now[0]).stage("fine", 10, 50) as steps:
        for step, seconds, validation in [
            (20, 2.0, None),
            (25, 3.0, 1.5),
            (35, 14.0, None),
            (40, 15.0, None),
        ]:
            now[0] = seconds
            steps.point(point(step, validation))
    assert text.getvalue().splitlines() == [
        "fine: step 25/50, epoch 2, total 1.25, prompt -0.5, held-out 1.5, 5 steps/s, 5.0 s left",
        "fine: step 35/50, epoch 2, total 1.25, prompt -0.5, 1.79 steps/s, 8.4 s left",
    ]


def test_bar_shows_steps_and_losses() -> None:
    out, text = console(True)
    with BarObserver(out).stage("fine", 10, 50) as steps:
        steps.advance()
        steps.point(point(11))
    assert "11/50" in text.getvalue()
    assert "epoch 2, total 1.25, prompt -0.5" in text.getvalue()


def test_observer_suits_the_console() -> None:
    assert isinstance(stderr_observer(console(True)[0]), BarObserver)
    assert isinstance(stderr_observer(console(False)[0]), LineObserver)


def test_notes_are_printed_as_they_are() -> None:
    out, text = console(False)
    LineObserver(out).note("stage `coarse` [done]")
    assert text.getvalue() == "stage `coarse` [done]\n"
