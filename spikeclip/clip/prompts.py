"""Learnable prompts: what low and high quality look like, in words of no vocabulary (CoOp, CLIP-LIT)."""

from __future__ import annotations

from torch import Tensor, nn

from spikeclip.clip.frozen import FrozenClip


class LearnedPrompts(nn.Module):
    """The prompts T_lq and T_hq: two rows of vectors in CLIP's space of token embeddings.

    Both start as the embedding of a row of words X; training separates them.

    Args:
        clip: the CLIP model that they are learned for.
        n_context: vectors of each prompt.

    Attributes:
        context: (2, n_context, width), T_lq first.

    Raises:
        UsageError: the model has no room for so many vectors.
    """

    def __init__(self, clip: FrozenClip, n_context: int = 16) -> None:
        super().__init__()
        row = clip.placeholder_context(n_context)
        self.context = nn.Parameter(row.repeat(2, 1, 1))

    def forward(self, clip: FrozenClip) -> Tensor:
        """Features of T_lq and T_hq, float32 (2, D) of length one."""
        return clip.encode_prompts(self.context)
