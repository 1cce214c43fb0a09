"""A network of three layers, and files of its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(5, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.tail = nn.Conv2d(4, 1, 3)


def saved(content: object, path: Path, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path
