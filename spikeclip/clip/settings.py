"""Settings that name a CLIP, and those of the small CLIP's training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from hqgen.config import FLAG, Count, Flag, Names, Section


class ClipSettings(Section):
    """Which CLIP judges the images."""

    model: Annotated[str, Flag(variable="SPIKECLIP_CLIP", name="clip")] = "ViT-B-32"
    """A model of open_clip by name, or `small`, the stand-in that comes with spikeclip (and with
    `--spikes demo`), or `judge`, which comes to measure what `small` taught."""
    weights: Annotated[str | None, Flag(variable="SPIKECLIP_CLIP_WEIGHTS", name="clip_weights")] = None
    """A tag of published weights, which open_clip downloads if needed, or a file. [default: openai, or the
    model's only ones]"""


class SmallClipSettings(Section):
    """All that decides the weights besides the pictures; the defaults made the shipped `small`."""

    image_size: Annotated[int, Field(ge=32), FLAG] = 128
    """Side of its pictures."""
    tower: Annotated[str, FLAG] = "spikeclip_resnet"
    """Image tower: a network of timm by name, or spikeclip's own."""
    text_width: Annotated[int, Field(ge=16, multiple_of=16)] = 48
    """Width of the text tower. The embedding of 49,408 tokens is the largest part of the model."""
    context_length: Annotated[int, Field(ge=8, le=77)] = 20
    """Tokens of a text, with start and end. Learned prompts need 18."""
    embed_dim: Count = 96
    """Numbers in a feature."""
    steps: Annotated[Count, FLAG] = 10000
    """Steps of the training."""
    half_size: Annotated[float, Field(ge=0, le=1), FLAG] = 0.65
    """Share of the steps, from the first, in which views have half the side: classes are learned from them at
    a quarter of the cost. The others teach fine grain and detail."""
    look_every: Annotated[Count, FLAG] = 200
    """Steps between two points of the learning curve."""
    batch: Annotated[int, Field(ge=2), FLAG] = 64
    """Pictures a step; each set of pictures has an equal share, the drawn shapes a sixteenth."""
    learning_rate: Annotated[float, Field(gt=0), FLAG] = 3e-3
    """The highest one, of AdamW: it rises over 100 steps, stays, and falls over the last 35 % of them."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    """Weight decay of AdamW."""
    shapes: Annotated[int, Field(ge=0), FLAG] = 250
    """Drawn shapes of each class of the demo that it learns beside the pictures."""
    seed: Annotated[int, Field(ge=0), FLAG] = 0
    """Random seed."""
    bfloat16: bool | None = None
    """Run the towers in bfloat16. [default: where the processor computes in it; AVX2 only emulates it]"""

    def open_clip_config(self) -> dict[str, Any]:
        """The model in the words of open_clip's configurations."""
        vision = {"image_size": self.image_size, "timm_model_name": self.tower}
        vision |= {"timm_pool": "avg", "timm_proj": "linear"}
        text = {"context_length": self.context_length, "vocab_size": 49408, "width": self.text_width}
        text |= {"layers": 2, "heads": self.text_width // 16}
        return {"embed_dim": self.embed_dim, "vision_cfg": vision, "text_cfg": text}


class SmallClipCommand(SmallClipSettings):
    """The settings of `spikeclip clip train`."""

    pictures: Annotated[Names, FLAG]
    """Folders or zip archives of CLASS/NAME.jpg, separated by commas."""
    out: Annotated[Path, FLAG]
    """The model to write; beside it the learning curve."""
    test: Annotated[Names | None, FLAG] = None
    """Pictures to test on, for each of the others. [default: every 20th of the others]"""


class ResponsesCommand(Section):
    """The settings of `spikeclip clip responses`."""

    pictures: Annotated[Path, FLAG]
    """A folder or a zip archive of CLASS/NAME.jpg; the model was not trained on them."""
    out: Annotated[Path, FLAG]
    """The table to write, `.csv`; beside it the curves as `.svg`."""
    clip: ClipSettings = ClipSettings(model="small")
    size: Annotated[int, Field(ge=32), FLAG] = 192
    """Side of the pictures that get flaws; the model sees them at its own size."""
    every: Annotated[Count, FLAG] = 1
    """Take every so many pictures."""
