"""The frames of a video: a range such as `0:2000:10`, and how long they take."""

from __future__ import annotations

import re

from hqgen.errors import UsageError
from hqgen.methods.base import Method
from hqgen.text import count

RATE = 30.0
"""Pictures per second of a video, where no others are asked for."""

FASTEST = 1000
"""Pictures per second at most; no screen shows more."""


def parse_frames(text: str, recording: str, length: int) -> range:
    """The frames that `START:STOP:STEP` names, as a slice of Python does.

    Args:
        text: whole numbers from 0; by default all frames of the recording, each of them.
        recording: its name, for messages.
        length: frames that it has.

    Returns:
        At least one frame.

    Raises:
        UsageError: another form, a step of 0, no frame, or frames that are not in the recording.
    """
    found = re.fullmatch(r"(\d*):(\d*)(?::(\d*))?", text.strip())
    if not found:
        raise UsageError(
            f"`--frames {text}` is not START:STOP:STEP",
            hint="give whole numbers from 0, as in `0:2000:10`; parts may be empty, as in `::10`",
        )
    start, stop, step = (int(part) if part else None for part in found.groups())
    if step == 0:
        raise UsageError(
            f"`--frames {text}`: a step of 0 stays at one frame", hint="give a step of 1 or more"
        )
    frames = range(start or 0, length if stop is None else stop, step or 1)
    if frames.start >= length or frames.stop > length:
        fitting = f"{frames.start if frames.start < length else 0}:{length}:{frames.step}"
        raise UsageError(
            f"`--frames {text}` is not within `{recording}`, which has {count(length, 'frame')}",
            hint=f"give `--frames {fitting}` or less",
        )
    if not frames:
        raise UsageError(
            f"`--frames {text}` holds no frame: it ends before it begins", hint="give STOP larger than START"
        )
    return frames


def ends(method: Method, frames: range, length: int) -> str:
    """What happens to windows that reach over an end of the recording; empty if none does."""
    before, after = method.span
    over = sum(frame < before or frame + after >= length for frame in frames)
    if not over:
        return ""
    what = "are mirrored" if method.mirrors else "are left out"
    windows = f"{count(over, 'picture')} of {len(frames):,}"
    return f"{windows} near an end of the recording: frames beyond it {what} (docs/methods.md)"


def rates(frames: range, rate: float, frame_rate: float | None) -> str:
    """How long a video plays, and how that compares with the scene.

    Args:
        frames: of the recording.
        rate: pictures per second of the video.
        frame_rate: frames per second of the camera, if it is known.

    Raises:
        UsageError: `rate` is not above 0 to 1,000.
    """
    if not 0 < rate <= FASTEST:
        raise UsageError(
            f"a video cannot have {rate:g} pictures per second", hint=f"give `--rate` above 0 to {FASTEST}"
        )
    played = f"{count(len(frames), 'picture')} at {rate:g} per second play for {len(frames) / rate:.3g} s"
    if frame_rate is None:
        shown = f"a second of video is {rate * frames.step:g} frames (`--frame-rate` makes it seconds)"
    else:
        slower = frame_rate / (rate * frames.step)
        speed = f"{slower:.4g} times slower" if slower >= 1 else f"{1 / slower:.4g} times faster"
        real = 1e3 / slower
        shown = f"a second of video is {real:.4g} ms at {frame_rate:g} frames per second: {speed}"
    return f"{played}; {shown}"
