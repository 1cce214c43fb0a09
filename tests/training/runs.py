"""What tests of trainings share: runs that end early, and whether two ended in the same weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hqgen.progress import Job
from hqgen.training.loop import Stop
from tests.builder.small import Recorder


def weights(path: Path) -> dict[str, Tensor]:
    loaded: dict[str, Tensor] = torch.load(path, weights_only=True)
    return loaded


def assert_same(one: Path, other: Path) -> None:
    torch.testing.assert_close(weights(one), weights(other), rtol=0, atol=0)


def stop_after(calls: int) -> Stop:
    asked = iter(range(1, calls))
    return lambda: next(asked, None) is None


class Killed(Recorder):
    """Ends the process, or as good as, at the first point of the learning curve."""

    @contextmanager
    def progress(self, *_: Any, **__: Any) -> Iterator[Job]:
        class Last(Job):
            def tell(self, text: str, *, landmark: bool = False) -> None:
                raise KeyboardInterrupt(text, landmark)

        yield Last()
