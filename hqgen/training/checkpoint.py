"""What a training that makes one file keeps beside it: its learning curve and, until the end, its state."""

from __future__ import annotations

import csv
import io
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hqgen.checkpoints import write_checkpoint
from hqgen.errors import UsageError
from hqgen.files import write_atomically

__all__ = ["Checkpoint", "require_free"]


def require_free(out: Path) -> None:
    """Refuse to train what is there already; asked first, since reading pictures takes long.

    Raises:
        UsageError: `out` is there.
    """
    if out.exists():
        raise UsageError(
            f"`{out}` is there already", hint="remove it to train anew, or write to another place"
        )


@dataclass(frozen=True)
class Checkpoint:
    """The state of an unfinished training, `OUT.checkpoint`, and its learning curve, `OUT.csv`.

    Both are replaced whole, so a kill at any moment leaves the ones before.

    Attributes:
        out: the file that the training makes.
        identity: a digest of all that decides what will be in it.
    """

    out: Path
    identity: str

    @property
    def path(self) -> Path:
        """Where the state lies."""
        return self.out.with_suffix(".checkpoint")

    def restore(self) -> dict[str, Any] | None:
        """The saved state, on the CPU; None where there is none.

        Raises:
            UsageError: it is damaged, or another training's.
        """
        if not self.path.exists():
            return None
        try:
            saved: dict[str, Any] = torch.load(self.path, weights_only=True, map_location="cpu")
            identity = saved.pop("identity")
        except (
            RuntimeError,
            pickle.UnpicklingError,
            EOFError,
            LookupError,
            TypeError,
            AttributeError,
        ) as error:
            raise UsageError(
                f"`{self.path}` is no checkpoint: {error}", hint="remove it to start anew"
            ) from error
        if identity != self.identity:
            raise UsageError(
                f"`{self.path}` belongs to a training with other settings or other pictures",
                hint="go on with those, remove it to start anew, or write to another place",
            )
        return saved

    def save(self, state: Mapping[str, Any], curve: Sequence[Mapping[str, object]]) -> None:
        """Replace both: the state, all of it tensors and plain values, and the rows of the curve."""
        write_checkpoint(self.path, {**state, "identity": self.identity})
        text = io.StringIO()
        if curve:
            writer = csv.DictWriter(text, list(curve[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(curve)
        write_atomically(self.out.with_suffix(".csv"), text.getvalue())

    def remove(self) -> None:
        """Remove the state, once `out` is written."""
        self.path.unlink(missing_ok=True)
