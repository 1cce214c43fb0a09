"""How often the check of a reading is wrong: false alarms and misses on simulated recordings.

`python -m tests.bench.camera_study [COUNT [START]]` simulates 200 scenes from scikit-image's pictures in six
kinds of light and motion, on four cameras. Every recording is checked as it was written, where an alarm is
false, and in each wrong way that the formats allow, where no alarm is a miss. A dark scene shows no picture,
so no check can find it misread; it is counted apart.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import HqgenError
from hqgen.pictures import read_light
from hqgen.simulation.camera import Sensor, preset, simulate
from hqgen.simulation.motion import Motion, moving_picture
from hqgen.sources.demo import _SCENES, _chart, _installed
from hqgen.spikes.camera import PRESETS, Camera
from hqgen.spikes.plausibility import check
from hqgen.spikes.recording import open_recording

FRAMES = 164
"""41 frames of 1000x1000 pixels are 410 of 250x400; 16 of the large camera are enough to be read wrongly."""

LIGHTS: dict[str, tuple[Sensor, float]] = {
    "normal": (preset("normal"), 1.0),
    "low": (preset("low"), 1.0),
    "dark": (preset("low"), 0.0),
    "saturated": (replace(preset("normal"), sensitivity=1.5), 1.0),
    "static": (preset("normal"), 1.0),
    "fast": (preset("normal"), 1.0),
}


def scene(kind: str, number: int, frames: int, height: int, width: int) -> Iterator[NDArray[np.float32]]:
    rng = np.random.default_rng(number)
    files = [item.file for item in _SCENES.values()]
    file = files[number // len(LIGHTS) % len(files)]
    picture = _chart() if file is None else read_light(_installed(file))
    speed = {"static": 0.0, "fast": 3.0}.get(kind, 0.15)
    angle = rng.uniform(0, 2 * np.pi)
    motion = Motion(right=speed * np.cos(angle), down=speed * np.sin(angle))
    for frame in moving_picture(picture, frames, height, width, motion):
        yield frame * np.float32(LIGHTS[kind][1])


def raw(frames: NDArray[np.uint8], padding: int, seed: int) -> bytes:
    """Rows bottom up with a counter in their padding, least significant bit first."""
    counter = np.zeros((*frames.shape[:2], padding), np.uint8)
    if padding:
        numbers = np.arange(len(frames))[:, None] * frames.shape[1] + np.arange(frames.shape[1]) + seed
        counter[..., :16] = numbers[..., None] >> np.arange(16) & 1
    return np.packbits(np.concatenate([frames, counter], 2)[:, ::-1], bitorder="little").tobytes()


def readings(name: str) -> dict[str, dict[str, Any]]:
    wrong: dict[str, dict[str, Any]] = {
        f"as {other}": {"preset": other} for other in PRESETS if other != name
    }
    wrong["as msb"] = {"preset": name, "bit_order": "msb"}
    if name.startswith("vidar-250"):
        for size in ((400, 250), (200, 500), (125, 800), (500, 200)):
            wrong[f"as {size[0]}x{size[1]}"] = {"height": size[0], "width": size[1]}
    return wrong


def main(count: int, start: int = 0) -> None:
    alarms, misses, tries = Counter[str](), Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(start, start + count):
            kind = list(LIGHTS)[number % len(LIGHTS)]
            name = list(PRESETS)[0 if number % 10 < 6 else 1 if number % 10 < 8 else 2 + number % 2]
            fields = PRESETS[name]
            frames = FRAMES if fields["height"] == 250 else 20
            sensor, _ = LIGHTS[kind]
            made = simulate(
                scene(kind, number, frames, fields["height"], fields["width"]), sensor, seed=number
            )
            spikes = made.frames()
            path = Path(folder, "r.raw")
            path.write_bytes(raw(spikes, fields["padding"], number))
            tests: list[tuple[str, Path, dict[str, Any], bool]] = [("right", path, {"preset": name}, True)]
            tests += [(how, path, camera, False) for how, camera in readings(name).items()]
            array = Path(folder, "r.npy")
            for axes in ("THW", "HTW", "HWT", "WTH", "WHT"):
                if fields["height"] == 250:
                    stored = array.with_stem(axes)
                    np.save(stored, spikes.transpose(["THW".index(axis) for axis in axes]))
                    tests.append((f"array of {axes}", stored, {}, axes == "THW"))
            for how, file, camera, right in tests:
                try:
                    recording = open_recording(file, Camera.model_validate(camera))
                except HqgenError:
                    continue  # refused by its size
                verdict = check(recording, file)
                tries[f"{kind} {'right' if right else 'wrong'}"] += 1
                wrong = verdict.kind in ("misread", "doubtful") if right else verdict.kind != "misread"
                if wrong:
                    (alarms if right else misses)[f"{kind} {how} {verdict.kind}"] += 1
                if wrong and (right or kind not in ("dark", "saturated")):
                    print(number, kind, name, how, verdict, flush=True)
    print("tries", dict(tries))
    print("false alarms", dict(alarms))
    print("misses", dict(misses))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:] or ["200"]))
