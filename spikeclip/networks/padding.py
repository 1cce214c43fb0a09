"""What a convolution sees beyond the picture."""

from __future__ import annotations

from typing import Literal

Padding = Literal["zeros", "reflect"]
"""Black, as the published network; or the picture mirrored at its edge, which has no dark borders."""
