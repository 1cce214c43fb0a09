"""Pictures of hqgen's `base` over long windows: targets, made once for a low-light set and kept beside it.

In low light the 41 frames that `base` looks at hold about one spike per pixel. So the stream is first made
slower: four frames become one, as many as a bin of the voxel has, and 41 of these are 164 frames. In low
light a pixel hardly fires twice in four frames. So the slow stream is that of a camera in more light, which
`base` knows from its training.

On 14 streams simulated from CALTECH-101 (224x224 pixels, the sensor `low`) the PSNR at best gain is 32.3 dB.
`base` on the stream as it is has 27.5, TFI 24.9, TFP over 200 frames 23.1, and `mtfp` over 200 frames, which
follows the motion, 28.7. No ground truth is used, but `base` has learned from the same simulated camera.

::

    SET.base/VERSION-WEIGHTS-SET/SPLIT/NUMBER.npy    float16 (H, W), spikes per frame
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import StoreError, UsageError
from hqgen.files import write_atomically
from hqgen.progress import SILENT, Observer
from hqgen.spikes.packed import PackedSpikes, Window
from spikeclip.data.voxels import FRAMES_PER_BIN, binned_frames

if TYPE_CHECKING:
    from hqgen.methods.learned.base import Base
    from spikeclip.data.lowlight import LowLightSet, LowLightSplit

Rates = NDArray[np.float32]


class BasePictures:
    """Pictures of `base` of the samples of a low-light set.

    Args:
        low_light: the set.
        device: `cpu` or `cuda`, where they are made.
    """

    def __init__(self, low_light: LowLightSet, device: str = "cpu") -> None:
        self._path, self._digest, self._device = low_light.path, low_light.digest, device

    @cached_property
    def method(self) -> Base:
        """The method."""
        from hqgen.methods.learned.base import Base

        return Base(device=self._device)

    @property
    def specification(self) -> dict[str, Any]:
        """All that decides the pictures besides the spikes, for the plan."""
        weights = self.method.weights_digest()
        return {"version": self.method.version, "weights": weights, "frames_per_step": FRAMES_PER_BIN}

    @cached_property
    def folder(self) -> Path:
        """Where they are kept."""
        version, weights = self.method.version, self.method.weights_digest()[:16]
        return self._path.with_suffix(".base") / f"{version}-{weights}-{self._digest[:16]}"

    def make(
        self, split: LowLightSplit, observer: Observer = SILENT, stop: Callable[[], bool] = lambda: False
    ) -> bool:
        """Make the pictures of a split that are missing.

        Args:
            split: its samples.
            observer: gets the progress.
            stop: once it says so, no further picture is made.

        Returns:
            whether all are there.

        Raises:
            MethodError: the network cannot run on this machine.
            StoreError: a sample of the set is damaged.
            UsageError: the pictures cannot be written beside the set.
        """
        missing = [index for index in range(len(split)) if not self._file(split, index).is_file()]
        if not missing:
            return True
        done = len(split) - len(missing)
        with observer.progress("pictures of `base`", len(split), "samples", done) as job:
            for index in missing:
                if stop():
                    return False
                self._write(
                    self._file(split, index), self.method.reconstruct(slow_window(split.stream(index)))
                )
                job.advance()
        return True

    def read(self, split: LowLightSplit, indices: NDArray[np.int64]) -> Rates:
        """Some pictures that were made: float32 (n, H, W), spikes per frame.

        Raises:
            StoreError: one is missing or damaged.
        """
        return np.stack([self._read(self._file(split, int(index))) for index in indices])

    def _file(self, split: LowLightSplit, index: int) -> Path:
        return self.folder / split.name / f"{split.rows[index]:06d}.npy"

    def _write(self, file: Path, rate: Rates) -> None:
        buffer = BytesIO()
        np.save(buffer, (rate / FRAMES_PER_BIN).astype(np.float16))
        try:
            write_atomically(file, buffer.getvalue())
        except OSError as error:
            raise UsageError(
                f"the pictures of `base` cannot be written to `{self.folder}`: {error.strerror or error}",
                hint="copy the low-light set to a folder that you may write to",
            ) from error

    def _read(self, file: Path) -> Rates:
        try:
            return np.asarray(np.load(file, allow_pickle=False), np.float32)
        except (OSError, ValueError, EOFError) as error:
            raise StoreError(
                f"the picture `{file}` of `base` is missing or damaged: {error}",
                hint=f"remove `{file.name}` and train again: it is made again",
            ) from error


def slow_window(stream: PackedSpikes) -> Window:
    """The stream with four frames made one, each pixel firing where it did in any of them; around its middle.

    Raises:
        RecordingError: the stream has fewer than four frames.
    """
    steps = len(stream) // FRAMES_PER_BIN
    frames = stream[binned_frames(len(stream), max(steps, 1))].data
    slow = np.bitwise_or.reduce(frames.reshape(max(steps, 1), -1, frames.shape[1]), axis=1)
    return Window(PackedSpikes(slow, stream.height, stream.width), steps // 2)
