"""A CLIP of random weights: small enough for tests of shapes, gradients, masks and checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from spikeclip.clip.files import build_clip
from spikeclip.clip.frozen import FrozenClip, simple_tokenizer


def tiny_config(*, custom_text: bool = False, **text: Any) -> dict[str, Any]:
    """A CLIP of 32x32 pictures, width 32 and two layers; `text` goes into its text tower."""
    return {
        "embed_dim": 32,
        "custom_text": custom_text,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2, **text},
    }


def tiny_clip(config: dict[str, Any] | None = None, *, seed: int = 0) -> FrozenClip:
    """Build it, always the same for a seed; the global random state is left as it was."""
    config = config or tiny_config()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_clip(config, {})
    tokenizer = simple_tokenizer(config["text_cfg"]["context_length"])
    return FrozenClip(model, tokenizer, name="tiny", config=config)


def place_in_cache(cache: Path, repository: str, file: str) -> Path:
    """Make the place of a file in Hugging Face's cache."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    (folder / "snapshots" / ("0" * 40)).mkdir(parents=True)
    return folder / "snapshots" / ("0" * 40) / file
