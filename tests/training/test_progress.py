from __future__ import annotations

import io

from rich.console import Console

from hqgen.training.base import Point
from hqgen.training.progress import narrate

POINT = Point(step=500, loss=0.022, psnr=31.578, seconds=125)


def shown(*, terminal: bool) -> str:
    text = io.StringIO()
    with narrate(Console(file=text, force_terminal=terminal, width=120, color_system=None)) as report:
        report(POINT, 1500)
    return text.getvalue()


def test_off_a_terminal_a_point_is_one_plain_line_with_rate_and_time_left() -> None:
    assert shown(terminal=False) == (
        "step 500/1500, loss 0.0220, validation 31.58 dB, 4.0 steps/s, 0:04:10 left\n"
    )


def test_on_a_terminal_there_is_a_bar() -> None:
    assert "500/1500" in shown(terminal=True)
