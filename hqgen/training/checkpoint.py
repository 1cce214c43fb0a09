"""The state of a training that is not done, in a file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hqgen.checkpoints import DAMAGED, write_checkpoint
from hqgen.errors import UsageError, WeightsError
from hqgen.provenance import Document, require_same
from hqgen.text import why


def require_free(out: Path) -> None:
    """Refuse to train what is there already; asked first, since reading pictures takes long.

    Raises:
        UsageError: `out` is there.
    """
    if out.exists():
        raise UsageError(
            f"`{out}` is there already", hint="remove it to train again, or write to another place"
        )


@dataclass(frozen=True)
class Checkpoint:
    """The state of an unfinished training; it is replaced whole, so a kill leaves the one before.

    Attributes:
        path: the file.
        plan: all that decides what will come of the training.
        folder: what to remove to start again; None: the file.
    """

    path: Path
    plan: Document
    folder: Path | None = None

    def restore(self) -> dict[str, Any] | None:
        """The saved state, its tensors on the CPU; None if there is none.

        Raises:
            PlanMismatchError: it belongs to another plan; the message says what differs.
            WeightsError: it is damaged.
        """
        import torch

        if not self.path.exists():
            return None
        with self.reading():
            state: dict[str, Any] = torch.load(self.path, weights_only=True, map_location="cpu")
            plan = json.loads(state.pop("plan"))
        self.require_plan(plan, self.path)
        return state

    @contextmanager
    def reading(self) -> Iterator[None]:
        """The block in which what the file holds is used: an error in it means that the file is damaged."""
        try:
            yield
        except DAMAGED as error:
            raise WeightsError(
                f"`{self.path}` is not a checkpoint, or it is damaged: {why(error)}", hint=self.hint
            ) from error

    def require_plan(self, plan: Document, file: Path) -> None:
        """Refuse the plan that a file holds unless it is the checkpoint's own.

        Raises:
            PlanMismatchError: it is another; the message says what differs.
        """
        hint = f"continue with those, choose another place, or {self.hint}"
        require_same(
            f"`{file}` belongs to a training with other settings or data", plan, self.plan, hint=hint
        )

    @property
    def hint(self) -> str:
        """What to do where a file is damaged."""
        return f"remove `{self.folder or self.path}` to start again"

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the state, all of it tensors and plain values."""
        write_checkpoint(self.path, {"plan": json.dumps(self.plan), **state})

    def remove(self) -> None:
        """Remove the state, once what was learned is written."""
        self.path.unlink(missing_ok=True)
