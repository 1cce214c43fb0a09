"""Settings that name a CLIP, and those of the small CLIP's training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from hqgen.config import FLAG, Count, Flag, Section


class ClipSettings(Section):
    """Which CLIP judges the images."""

    model: Annotated[str, Flag(variable="SPIKECLIP_CLIP", name="clip")] = "ViT-B-32"
    """A model of open_clip by name, or `small`, the stand-in that comes with spikeclip (and with
    `--spikes demo`)."""
    weights: Annotated[str | None, Flag(variable="SPIKECLIP_CLIP_WEIGHTS", name="clip_weights")] = None
    """A tag of published weights, which open_clip downloads if needed, or a file. [default: openai, or the
    model's only ones]"""


class SmallClipSettings(Section):
    """All that decides the weights besides the pictures; the defaults made the shipped ones."""

    image_size: Annotated[int, Field(ge=32), FLAG] = 64
    """Side of its pictures."""
    # The smallest residual network of timm, 0.4 M parameters. CLIP's own, with thin bottlenecks and attention
    # pooling, learned far slower from so few pictures.
    tower: str = "test_resnet"
    """Image tower: a network of timm by name."""
    text_width: Annotated[int, Field(ge=16, multiple_of=16)] = 32
    """Width of the text tower. The embedding of 49,408 tokens is the largest part of the model."""
    embed_dim: Count = 64
    """Numbers in a feature."""
    epochs: Annotated[Count, FLAG] = 30
    """Passes over the pictures."""
    batch: Annotated[int, Field(ge=2), FLAG] = 64
    """Pictures a step."""
    learning_rate: Annotated[float, Field(gt=0), FLAG] = 3e-3
    """The highest one, of AdamW: it rises over the first twentieth of the steps and falls as a cosine."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    """Weight decay of AdamW."""
    shapes: Annotated[int, Field(ge=0), FLAG] = 250
    """Drawn shapes of each class of the demo that it learns beside the pictures."""
    seed: Annotated[int, Field(ge=0), FLAG] = 0
    """Random seed."""
    bfloat16: bool = True
    """Run the towers in bfloat16 (twice as fast where the CPU has AVX512_BF16)."""

    def open_clip_config(self) -> dict[str, Any]:
        """The model in the words of open_clip's configurations."""
        vision = {"image_size": self.image_size, "timm_model_name": self.tower}
        vision |= {"timm_pool": "avg", "timm_proj": "linear"}
        text = {"context_length": 77, "vocab_size": 49408, "width": self.text_width, "layers": 2}
        heads = self.text_width // 16
        return {"embed_dim": self.embed_dim, "vision_cfg": vision, "text_cfg": text | {"heads": heads}}


class SmallClipCommand(SmallClipSettings):
    """The settings of `spikeclip clip train`."""

    pictures: Annotated[Path, FLAG]
    """A folder or a zip archive of CLASS/NAME.jpg."""
    out: Annotated[Path, FLAG]
    """The model to write; beside it the learning curve."""
    test: Annotated[Path | None, FLAG] = None
    """Pictures to test on. [default: every 20th of the others]"""
