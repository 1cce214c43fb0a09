"""How many pictures a CLIP names correctly: the one that taught the networks, and a judge that did not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import UsageError
from spikeclip.evaluation.quality import Image, brightened

if TYPE_CHECKING:
    from spikeclip.clip.frozen import FrozenClip

    Clip = FrozenClip | Callable[[str], FrozenClip]
    """A CLIP, or what loads it on a device."""

Outputs = Sequence[Image | str]
"""For each sample the output, float32 (h, w), or why there is none."""

TEACHER, JUDGE = "acc", "judge"
"""The two roles, as their columns begin."""


@dataclass(frozen=True)
class Reader:
    """A CLIP with the texts "image of a [cls]" of the classes, features (C, D)."""

    clip: FrozenClip
    texts: Any

    @property
    def name(self) -> str:
        """The name of the model, and the first digits of its digest."""
        return f"{self.clip.name}, {self.clip.digest[:12]}"

    def right(self, pictures: Outputs, labels: NDArray[np.int64]) -> int:
        """How many pictures, (h, w) with white as 1, are classified correctly.

        The class is that of the nearest text. A missing picture, or one that is not finite, counts as wrong:
        CLIP would give it the first class.
        """
        import torch

        finite = {
            index: np.float32(picture)
            for index, picture in enumerate(pictures)
            if not isinstance(picture, str) and np.isfinite(picture).all()
        }
        if not finite:
            return 0
        images = torch.from_numpy(np.stack(list(finite.values())))[:, None].to(self.texts.device)
        nearest = (self.clip.image_features(images) @ self.texts.T).argmax(1).cpu().numpy()
        return int(np.count_nonzero(nearest == labels[list(finite)]))

    def right_twice(self, outputs: Outputs, labels: NDArray[np.int64]) -> dict[str, int]:
        """`right` of the outputs as they are, and of the pictures at the common brightness."""
        return {"raw": self.right(outputs, labels), "bright": self.right(_bright(outputs), labels)}


def readers(clips: Mapping[str, Clip], classes: Sequence[str], device: str) -> dict[str, Reader]:
    """Load the CLIPs of the roles.

    Raises:
        WeightsError: one is missing or damaged.
        UsageError: the judge is the teacher.
    """
    from spikeclip.clip.frozen import FrozenClip, class_texts

    found = {}
    for role, clip in clips.items():
        loaded = clip if isinstance(clip, FrozenClip) else clip(device)
        found[role] = Reader(loaded, loaded.text_features(class_texts(classes)))
    if len({reader.clip.digest for reader in found.values()}) < len(found):
        raise UsageError(
            f"the judge is the CLIP that taught the networks, `{found[JUDGE].clip.name}`",
            hint="name another one with `--judge` and `--judge-weights`, or none",
        )
    return found


def _bright(outputs: Outputs) -> Outputs:
    """The pictures at the common brightness, white as 1."""
    pictures = [output if isinstance(output, str) else brightened(output) for output in outputs]
    white = np.float32(255)
    return [item if isinstance(item, str) else item.astype(np.float32) / white for item in pictures]
