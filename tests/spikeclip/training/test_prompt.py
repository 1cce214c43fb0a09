from __future__ import annotations

import numpy as np
import torch
from torch import nn

from hqgen.training.hardware import Hardware
from spikeclip.clip.prompts import LearnedPrompts
from spikeclip.data.batches import Batch
from spikeclip.training.prompt import prompt_losses
from tests.spikeclip.tiny_clip import tiny_clip


def test_only_prompts_get_gradients_and_the_loss_is_the_equations() -> None:
    clip, coarse = tiny_clip(), nn.Conv2d(4, 1, 3, padding=1)
    prompts = LearnedPrompts(clip, 4)
    with torch.no_grad():
        prompts.context[1] += 0.05
    part = Batch(torch.rand(3, 4, 32, 32), torch.zeros(3), torch.zeros(3), hq=torch.rand(2, 1, 32, 32))
    loss = prompt_losses(
        prompts,
        part,
        coarse=coarse,
        clip=clip,
        image_features=clip.image_features,
        hardware=Hardware(torch.device("cpu")),
    )["initial"]
    loss.backward()  # type: ignore[no-untyped-call]
    assert prompts.context.grad is not None
    assert all(row.abs().sum() > 0 for row in prompts.context.grad)
    assert all(p.grad is None for p in (*coarse.parameters(), *clip.parameters()))

    with torch.no_grad():
        images = torch.cat([coarse(part.voxel), part.hq])  # type: ignore[list-item]
        scores = (clip.image_features(images) @ prompts(clip).T).double().numpy() * clip.logit_scale
    hq = np.exp(scores[:, 1]) / np.exp(scores).sum(axis=1)
    y = np.array([0, 0, 0, 1, 1])
    expected = -np.mean(y * np.log(hq) + (1 - y) * np.log(1 - hq))
    assert abs(loss.item() - expected) < 1e-4
