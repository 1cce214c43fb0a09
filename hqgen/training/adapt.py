"""The training that adapts `base` to recordings; `hqgen.training.bsn` says why it works."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from hqgen.checkpoints import load_weights
from hqgen.methods.learned.base import Base
from hqgen.training.blind import Batch, Blind, BlindRecipe, inner, mean_square
from hqgen.training.crops import Crops
from hqgen.training.loop import Losses

MEMORY = 0.02
"""Weight of the newest batch in the running means of `Trust`."""
NEIGHBOURS = ((0, 1), (0, -1), (1, 0), (-1, 0))


class Trust(nn.Module):
    """How much of what the blind network says of errors is confirmed by crops that it has not yet seen."""

    agreement: Tensor
    size: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("agreement", torch.zeros(()))
        self.register_buffer("size", torch.zeros(()))

    def look(self, said: Tensor, difference: Tensor) -> None:
        """Add a batch to the running means."""
        self.agreement.lerp_((said * difference).mean(), MEMORY)
        self.size.lerp_(said.square().mean(), MEMORY)

    def share(self) -> float:
        """The factor from 0 to 1 with which it predicts the differences best."""
        return float((self.agreement / self.size.clamp(min=1e-12)).clamp(0, 1))


class Adapted(Blind):
    """`base`, and the blind network that learns what it does wrong.

    First the blind network learns, while `base` stays as it is. Then `base` is moved to its first output plus
    the errors that the blind network says. This target is fixed, so that noise of the steps does not add up.
    """

    name = "base"
    guesses = 1

    def __init__(
        self,
        crops: Crops,
        held: Crops,
        out: Path,
        recipe: BlindRecipe,
        rate: float,
        start: Path,
        sha256: str | None,
    ) -> None:
        super().__init__(crops, held, out, recipe, rate)
        self.first, self.seeing, self.trust = Base().network(), Base().network(), Trust()
        for network in (self.first, self.seeing):
            load_weights(network, start, sha256)
        self.first.requires_grad_(False)
        nn.init.zeros_(self.blind.tail.weight)  # at first, nothing is wrong
        nn.init.zeros_(self.blind.tail.bias)  # type: ignore[arg-type]
        self.learns = nn.ModuleDict({"blind": self.blind, "seeing": self.seeing})
        groups = [{"params": list(module.parameters())} for module in (self.blind, self.seeing)]
        self.optimizer = torch.optim.Adam(groups)
        self.moves_from = self.steps - self.steps // 3

    def modules(self) -> dict[str, nn.Module]:
        """What learns, and how far it is trusted."""
        return {"learns": self.learns, "trust": self.trust}

    def losses(self, network: nn.Module, part: Batch) -> Losses:
        """See `Task`."""
        del network
        if part.step >= self.moves_from:
            return {"loss": self._distance(part)}
        said, difference = self._said(part), self._difference(part)
        self.trust.look(inner(said.detach()), inner(difference))
        return {"loss": mean_square(difference - said)}

    def _difference(self, part: Batch) -> Tensor:
        """Between what hidden pixels fired and the first picture, in units of the mean rate."""
        with torch.no_grad(), self.hardware.autocast():
            seen = Base().infer(self.first, part.spikes)[:, ::2, ::2]
        return self.target(part) - seen.float() / self.rate

    def _blindly(self, part: Batch, network: nn.Module) -> Tensor:
        """A picture made without the hidden pixels, in units of the mean rate."""
        with torch.no_grad(), self.hardware.autocast():
            return Base().infer(network, _filled(part)).float() / self.rate

    def _said(self, part: Batch) -> Tensor:
        """That difference as far as the pixels around predict it."""
        guess = self._blindly(part, self.first)
        with self.hardware.autocast():
            return self.blind.hidden(part.spikes, guess).float()

    def _distance(self, part: Batch) -> Tensor:
        """Between `seeing` and its target; hidden pixels take the four places of a cell in turn."""
        with torch.no_grad():
            said = self._said(part) * self.trust.share()
        down, right = divmod(part.step % 4, 2)
        spikes = part.spikes[:, :, down:, right:]
        with self.hardware.autocast():
            with torch.no_grad():
                first = Base().infer(self.first, spikes)
            seen = Base().infer(self.seeing, spikes)
        moved = (seen.float() - first.float())[:, down::2, right::2] / self.rate
        return mean_square(moved - said[:, down:, right:])

    def before_step(self, step: int) -> None:
        """One network after the other learns, each at a rate that falls to zero."""
        blind, seeing = self.optimizer.param_groups
        recipe, before, after = self.recipe, self.moves_from - step, self.steps - step
        rise = min(1.0, (step + 1) / max(recipe.warm_up, 1))
        blind["lr"] = recipe.learning_rate * min(rise, max(0, 2 * before / self.moves_from))
        moves = before <= 0
        seeing["lr"] = recipe.start_learning_rate * after / (self.steps - self.moves_from) if moves else 0.0

    def validate(self) -> dict[str, float]:
        """What is left of the mistakes of the first `base`: by what the blind network says, and by the move.

        The move is that of a picture made without the hidden pixels. With them it could copy their noise, and
        the noise of the target is the same: a worse picture would look better.
        """
        difference = self._difference(self.held)
        said = self._said(self.held) * self.trust.share()
        moved = (self._blindly(self.held, self.seeing) - self._blindly(self.held, self.first))[:, ::2, ::2]
        left, picture = (float(mean_square(difference - part)) for part in (said, moved))
        whole = float(mean_square(difference))
        return {"error": left / whole, "picture": picture / whole, "trust": self.trust.share()}

    def result(self) -> nn.Module:
        """The adapted network."""
        return self.seeing


def _filled(part: Batch) -> Tensor:
    """The spikes, those of every hidden pixel replaced by those of one of its neighbours."""
    filled = part.spikes.clone()
    rolled = part.spikes.roll(NEIGHBOURS[part.step // 4 % len(NEIGHBOURS)], (2, 3))
    filled[:, :, ::2, ::2] = rolled[:, :, ::2, ::2]
    return filled
