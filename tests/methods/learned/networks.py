"""The networks that published weights fit, as the tests need them: sizes, goldens, bounds of the output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hqgen.methods.learned.bsf import BSF
from hqgen.methods.learned.network import NetworkMethod
from hqgen.methods.learned.rsir import RSIR
from hqgen.methods.learned.spikeformer import SpikeFormer
from hqgen.methods.learned.spk2imgnet import Spk2ImgNet
from hqgen.methods.learned.ssir import SSIR
from hqgen.methods.learned.ssml import SSML
from hqgen.methods.learned.stir import STIR
from hqgen.methods.learned.wgse import WGSE
from tests.methods.golden import Golden, formula_state


@dataclass(frozen=True)
class NetworkCase:
    """One network.

    Attributes:
        method: with the parameters that belong to its weights.
        golden: name of its golden; None where there is none.
        parameters: how many the paper, or the authors' code, gives it.
        sizes: (H, W) at which it must give a picture in every test run.
        large: (H, W) at which it must do so, too, but that takes long.
        picture: the golden's output with the formula's weights; None where the golden has other ones.
        signed: whether that output lies in -1 to 1 and the method gives it as brightness.
        bounds: between which its output lies.
        gain: of the random weights; a spiking network stays silent with weights that are too small.
        times, plus: the golden's overrides of the formula by parameter.
    """

    method: NetworkMethod
    golden: str | None
    parameters: int
    sizes: tuple[tuple[int, int], ...]
    large: tuple[tuple[int, int], ...] = ((123, 211),)
    picture: str | None = "out"
    signed: bool = False
    bounds: tuple[float, float] = (-np.inf, np.inf)
    gain: float = 1
    times: Mapping[str, float] = field(default_factory=dict)
    plus: Mapping[str, float] = field(default_factory=dict)

    @property
    def frames(self) -> int:
        """Length of its window."""
        return sum(self.method.span) + 1

    def fresh(self) -> nn.Module:
        """The network with the same random parameters each time."""
        torch.manual_seed(0)
        network = self.method.network().eval()
        for parameter in network.parameters():
            parameter.data *= self.gain
        return network

    def filled(self, golden: Golden) -> nn.Module:
        """The network with the golden's parameters."""
        network = golden.filled(self.method.network())
        for name, factor in self.times.items():
            network.get_parameter(name).data *= factor
        for name, offset in self.plus.items():
            network.get_parameter(name).data += offset
        return network

    def expected(self, golden: Golden) -> NDArray[Any]:
        """What the method makes of the golden's spikes."""
        assert self.picture is not None
        image = golden.arrays[self.picture]
        return (np.clip(image, -1, 1) + 1) / 2 if self.signed else image

    def with_formula(self, gain: float) -> nn.Module:
        """The network with the weights of the goldens' formula, for one without a golden."""
        network = self.method.network()
        network.load_state_dict(formula_state(network, {"gain": gain, "vec": 0.05}))
        return network.eval()

    def noise(self, size: tuple[int, int], count: int = 1) -> Tensor:
        """Random spikes at a rate of a half: float32 (count, frames, H, W)."""
        return torch.rand(count, self.frames, *size).round()


NETWORKS = {
    "wgse": NetworkCase(
        WGSE(),
        "wgse",
        3_805_575,
        ((32, 32), (33, 37), (5, 42)),
        bounds=(0, np.inf),
        plus={"tail.2.bias": 0.5},
    ),
    "spk2imgnet": NetworkCase(Spk2ImgNet(), "spk2imgnet", 3_904_185, ((24, 28), (17, 23))),
    "ssml": NetworkCase(
        SSML(),
        "ssml_doublenet",
        2 * 1_192_287,
        ((32, 32), (17, 36), (36, 9)),
        large=((123, 211), (96, 211)),
        picture="out_nbsn",
        times={"nbsn.nin_C.weight": 2000, "bsn.nin_C.weight": 200},
    ),
    "ssml-simple": NetworkCase(
        SSML(variant="simple"), "ssml_simple", 904_176, ((32, 32), (33, 42)), picture=None
    ),
    "spikeformer": NetworkCase(
        SpikeFormer(),
        "spikeformer",
        7_581_441,
        ((32, 32), (33, 37), (35, 42), (17, 24)),
        signed=True,
        bounds=(0, 1),
    ),
    "rsir": NetworkCase(RSIR(), "rsir", 254_502, ((32, 32), (33, 47)), picture=None, bounds=(0, np.inf)),
    "ssir": NetworkCase(SSIR(), "ssir", 381_542, ((32, 32), (33, 47), (5, 20)), picture=None, gain=3),
    "bsf": NetworkCase(BSF(), "bsf", 2_476_870, ((24, 28), (17, 23))),
    "bsf-41": NetworkCase(BSF(frames=41), None, 2_472_262, ((17, 23),), picture=None),
    "stir": NetworkCase(
        STIR(),
        "stir",
        5_107_960,
        ((96, 96), (33, 47), (9, 20)),
        plus={"decorder_1st.predict_img.bias": 0.5},
    ),
    "stir-41": NetworkCase(STIR(frames=41), None, 5_078_698, ((33, 47),), picture=None),
}
