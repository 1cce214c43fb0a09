"""The candidates of the study of rules, made once and kept in a folder.

`python -m tests.bench.regret_study FOLDER METHOD...` makes those of all scenes. A candidate is kept under the
method's parameters, version and weights, so new weights of one method cost only its own candidates.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hqgen.errors import HqgenError
from hqgen.inspection.regret import JudgedSample
from hqgen.methods.base import Method
from hqgen.methods.registry import parse_method
from hqgen.quality.consistency import consistency
from hqgen.quality.fidelity import fair_image, psnr, ssim
from hqgen.quality.normalise import to_uint8
from hqgen.quality.scorers import get_scorer
from hqgen.spikes.exposure import SPAN, key_exposure
from hqgen.spikes.packed import PackedSpikes
from hqgen.spikes.recording import open_recording
from tests.bench.regret_scenes import Floats, Scene, make

SCENES = 300

Levels = NDArray[np.uint8]


@dataclass(frozen=True)
class Cache:
    """Scenes and candidates in a folder.

    Args:
        folder: where they are kept; made if it is not there.
        data_root: the folder of real data.
    """

    folder: Path
    data_root: Path

    def keys(self, scenes: int = SCENES) -> list[str]:
        """Names of the simulated scenes and of the real samples with truth."""
        return [f"scene-{index:04d}" for index in range(scenes)] + list(real_samples(self.data_root))

    def scene(self, key: str) -> Scene:
        """A scene by its name; a simulated one is read again if it was made before."""
        if not key.startswith("scene-"):
            return read_sample(*real_samples(self.data_root)[key])
        file = self.folder / key / "scene.npz"
        if not file.exists():
            scene = make(int(key.removeprefix("scene-")), self.data_root)
            _save(
                file,
                spikes=scene.spikes.data,
                truth=scene.truth,
                centre=scene.centre,
                kind=[scene.motion, scene.light],
            )
        with np.load(file) as kept:
            height, width = kept["truth"].shape
            spikes = PackedSpikes(kept["spikes"], height, width)
            return Scene(spikes, int(kept["centre"]), kept["truth"], *map(str, kept["kind"]))

    def candidate(self, key: str, text: str) -> Levels | None:
        """What a method, such as `tfp:window=81`, makes of a scene: uint8 (H, W), or None if it cannot."""
        method = _method(text)
        file = self._file(key, method)
        if not file.exists():
            _save(file, picture=_picture(method, self.scene(key)))
        with np.load(file) as kept:
            picture: Levels = kept["picture"]
            return picture if picture.size else None

    def judged(self, key: str, methods: Sequence[str], judges: Sequence[str]) -> JudgedSample:
        """The candidates of a scene with their measures, among them `consistency`, and their quality."""
        scene = self.scene(key)
        pictures = [self.candidate(key, text) for text in methods]
        numbers = [
            self._numbers(self._file(key, _method(text)), picture, scene.truth, judges)
            for text, picture in zip(methods, pictures, strict=True)
        ]
        measures = {judge: np.array([row[judge] for row in numbers], np.float32) for judge in judges}
        measures["consistency"] = np.full(len(methods), np.inf, np.float32)
        reference = key_exposure(scene.window(*SPAN))
        for column, picture in enumerate(pictures):
            if picture is not None:
                measures["consistency"][column] = consistency(picture[None], reference)[0]
        psnrs, ssims = (np.array([row[name] for row in numbers]) for name in ("psnr", "ssim"))
        return JudgedSample(key, measures, psnrs, ssims)

    def _file(self, key: str, method: Method) -> Path:
        return self.folder / key / f"{method.name}-{_identity(method)}.npz"

    def _numbers(
        self, file: Path, picture: Levels | None, truth: Floats, judges: Sequence[str]
    ) -> dict[str, float]:
        """Quality and scores of a candidate, kept beside it."""
        if picture is None:
            return {"psnr": np.nan, "ssim": np.nan, **dict.fromkeys(judges, np.inf)}
        kept = file.with_suffix(".json")
        found: dict[str, float] = json.loads(kept.read_text()) if kept.exists() else {}
        if "psnr" not in found:
            image, wanted = fair_image(picture, truth), truth.astype(np.float64)
            found |= {"psnr": psnr(image, wanted) or np.inf, "ssim": ssim(image, wanted)}
        missing = [judge for judge in judges if judge not in found]
        if missing:
            found |= {judge: float(get_scorer(judge).score(picture[None])[0][0]) for judge in missing}
            kept.write_text(json.dumps(found))
        return found


def chosen_on(key: str) -> bool:
    """Whether constants were chosen on this scene: on six of every twelve simulated ones, one per motion."""
    return key.startswith("scene-") and int(key.removeprefix("scene-")) % 12 < 6


@cache
def _method(text: str) -> Method:
    return parse_method(text)


@cache
def _identity(method: Method) -> str:
    """A short digest of everything that decides a method's images."""
    identity = json.dumps([method.parameters(), method.version, method.weights_digest()], sort_keys=True)
    return sha256(identity.encode()).hexdigest()[:12]


def _picture(method: Method, scene: Scene) -> Levels:
    try:
        return to_uint8(method.reconstruct(scene.window(*method.span)))
    except HqgenError:
        return np.empty((0, 0), np.uint8)


def _save(file: Path, **arrays: Any) -> None:
    """Write whole or not at all: the study is often stopped."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{os.getpid()}.part.npz")
    np.savez(part, **arrays)
    part.replace(file)


@cache
def real_samples(data_root: Path) -> dict[str, tuple[Path, int, Path]]:
    """Every key frame of Spike-REDS with truth, by name: (recording, frame, truth)."""
    return dict(_real_samples(data_root / "spike-reds"))


def _real_samples(folder: Path) -> Iterator[tuple[str, tuple[Path, int, Path]]]:
    for truth in sorted(folder.glob("*/gt/*.png")):
        stem, _, number = truth.stem.partition("_key_id")
        recording = next(truth.parents[1].glob(f"spike/{stem}*"))
        yield f"{truth.parents[1].name}-{truth.stem}", (recording, int(number) - 1, truth)


def read_sample(recording: Path, frame: int, truth: Path) -> Scene:
    """A key frame of a real recording."""
    spikes = open_recording(recording, height=250, width=400).spikes()
    light = np.asarray(Image.open(truth).convert("L"), np.float32) / np.float32(255)
    return Scene(spikes, frame, light.astype(np.float32), "real", "real")


def main(folder: str, *methods: str) -> None:
    """Make the candidates of these methods, the real samples first."""
    import torch

    torch.set_num_threads(1)
    cache_of_study = Cache(Path(folder), Path(os.environ.get("HQGEN_TEST_DATA", "../shared/data")))
    keys = cache_of_study.keys()
    for count, key in enumerate(keys[SCENES:] + keys[:SCENES], 1):
        for text in methods:
            cache_of_study.candidate(key, text)
        print(count, key, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
