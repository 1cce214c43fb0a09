from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from hqgen.errors import UsageError
from spikeclip.clip.frozen import FrozenClip
from spikeclip.clip.prompts import LearnedPrompts
from spikeclip.training.losses import prompt_initial_loss, prompt_loss
from tests.spikeclip.tiny_clip import tiny_clip, tiny_config

WORDS = "one two three red green blue dog cat bird ship car truck frog horse deer plane"
OTHERS = "plane deer horse frog truck car ship bird cat dog blue green red three two one"

SIGLIP_LIKE: dict[str, Any] = {"no_causal_mask": True, "pool_type": "last", "proj_bias": True}

TOWERS: dict[str, dict[str, Any]] = {
    "CLIP": tiny_config(),
    "CLIP of another context length": tiny_config(context_length=24),
    "CLIP without causal mask": tiny_config(no_causal_mask=True, pool_type="last"),
    "CLIP pooling a named end token": tiny_config(pool_type="eos", eos_id=49407),
    "TextTransformer": tiny_config(custom_text=True),
    "TextTransformer without causal mask": tiny_config(custom_text=True, **SIGLIP_LIKE),
    "TextTransformer pooling the first token": tiny_config(
        custom_text=True, no_causal_mask=True, pool_type="first"
    ),
    "TextTransformer with a class token": tiny_config(custom_text=True, embed_cls=True),
    "TextTransformer without projection": tiny_config(custom_text=True, proj_type="none"),
    "CoCa": tiny_config(custom_text=True, embed_cls=True, output_tokens=True)
    | {
        "multimodal_cfg": {"context_length": 76, "width": 32, "heads": 2, "layers": 1, "vocab_size": 49408},
    },
}
TOWERS["CoCa"]["vision_cfg"] |= {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True}


@pytest.fixture(scope="module", params=TOWERS)
def tower(request: pytest.FixtureRequest) -> FrozenClip:
    clip = tiny_clip(TOWERS[request.param])
    with torch.no_grad():  # weights as large as trained ones, so that each word is felt at the end token
        for name, parameter in clip.model.named_parameters():
            if "visual" not in name and parameter.ndim > 1:
                parameter *= 4
    return clip


def embedded(clip: FrozenClip, *texts: str) -> torch.Tensor:
    """The embeddings of the sixteen words of each text."""
    tokens = clip.tokenizer(list(texts))[:, 1:17]
    assert int((tokens == 0).sum()) == 0, "a word is one token"
    embeddings: torch.Tensor = getattr(clip.model, "text", clip.model).token_embedding(tokens)
    return embeddings.detach()


def test_embeddings_of_real_words_give_the_features_of_their_text(tower: FrozenClip) -> None:
    expected = tower.text_features([WORDS, OTHERS])
    assert torch.equal(tower.encode_prompts(embedded(tower, WORDS, OTHERS)), expected)
    assert (expected[0] - expected[1]).abs().max() > 1e-3, "the features tell the texts apart"


def test_prompts_start_as_a_row_of_x(tower: FrozenClip) -> None:
    prompts = LearnedPrompts(tower)
    row = tower.text_features([" ".join(["X"] * 16)])
    torch.testing.assert_close(prompts(tower), row.expand(2, -1))


def test_prompts_alone_learn_to_tell_hq_from_lq(tower: FrozenClip) -> None:
    torch.manual_seed(0)
    before = tower.digest
    prompts = LearnedPrompts(tower)
    features = torch.nn.functional.normalize(torch.randn(8, tower.text_features(["a"]).shape[1]), dim=1)
    is_hq = torch.arange(8) < 4
    optimizer = torch.optim.Adam(prompts.parameters(), 0.01)
    losses = []
    for _ in range(12):
        loss = prompt_initial_loss(features, is_hq, prompts(tower), tower.logit_scale)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(math.log(2), abs=1e-5), "two equal prompts tell nothing apart"
    assert losses[-1] < losses[0] - 0.02
    assert all(parameter.grad is None for parameter in tower.parameters())
    del tower.digest
    assert tower.digest == before


def test_every_vector_of_both_prompts_gets_a_gradient() -> None:
    clip = tiny_clip()
    prompts = LearnedPrompts(clip, n_context=5)
    features = torch.nn.functional.normalize(torch.randn(3, 32), dim=1)
    prompt_loss(features, prompts(clip), clip.logit_scale).backward()  # type: ignore[no-untyped-call]
    assert prompts.context.shape == (2, 5, 32)
    assert prompts.context.grad is not None
    assert prompts.context.grad.abs().sum(2).min() > 0


def test_the_prompts_own_their_vectors_and_nothing_of_clip() -> None:
    prompts = LearnedPrompts(tiny_clip(), n_context=3)
    assert list(prompts.state_dict()) == ["context"]
    assert [name for name, _ in prompts.named_parameters()] == ["context"]


def test_learning_leaves_the_embeddings_of_clip_as_they_were() -> None:
    clip = tiny_clip()
    prompts = LearnedPrompts(clip)
    torch.nn.init.ones_(prompts.context)
    assert torch.equal(clip.text_features([WORDS]), tiny_clip().text_features([WORDS]))


def test_texts_are_texts_again_after_prompts_passed_or_failed() -> None:
    clip = tiny_clip()
    expected = clip.text_features([WORDS])
    clip.encode_prompts(torch.randn(2, 16, 32))
    assert torch.equal(clip.text_features([WORDS]), expected)
    with pytest.raises((RuntimeError, IndexError)):
        clip.encode_prompts(torch.randn(2, 16, 31))
    assert torch.equal(clip.text_features([WORDS]), expected)


def test_as_many_vectors_as_there_are_places_fit_and_no_more() -> None:
    clip = tiny_clip(tiny_config(context_length=18))
    assert LearnedPrompts(clip, n_context=16)(clip).shape == (2, 32)
    with pytest.raises(UsageError, match="no room for 17 words of context in its 18 tokens"):
        LearnedPrompts(clip, n_context=17)
