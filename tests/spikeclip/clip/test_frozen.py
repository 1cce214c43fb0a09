from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate, normalize

from hqgen.errors import UnknownNameError, UsageError, WeightsError
from spikeclip.clip import files
from spikeclip.clip.files import build_clip, save_clip
from spikeclip.clip.frozen import FrozenClip, class_texts, load_clip
from spikeclip.clip.prompts import LearnedPrompts
from spikeclip.networks import build
from spikeclip.training.losses import class_loss, prompt_loss
from tests.spikeclip.tiny_clip import tiny_clip, tiny_config

MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
LUMA = (0.299, 0.587, 0.114)


def test_image_features_have_length_one() -> None:
    features = tiny_clip().image_features(torch.rand(3, 1, 32, 32))
    assert (features.shape, features.dtype) == ((3, 32), torch.float32)
    assert torch.allclose(features.norm(dim=1), torch.ones(3))


def test_gray_is_repeated_and_normalised_by_one_mean_and_deviation() -> None:
    clip = tiny_clip()
    gray = torch.rand(2, 1, 32, 32)
    mean = np.dot(LUMA, MEAN)
    deviation = np.sqrt(np.dot(np.square(LUMA), np.square(DEVIATION)))
    with torch.no_grad():
        expected = clip.model.encode_image(((gray - mean) / deviation).repeat(1, 3, 1, 1))
    torch.testing.assert_close(clip.image_features(gray), normalize(expected, dim=1))


def test_the_constants_are_those_of_the_model_at_hand() -> None:
    clip = tiny_clip()
    other = FrozenClip(
        build_clip(clip.config, {"mean": (0.5, 0.4, 0.3), "std": (0.5, 0.5, 0.5)}),
        clip.tokenizer,
        name="other",
        config=clip.config,
    )
    assert other.gray_mean == pytest.approx(0.299 * 0.5 + 0.587 * 0.4 + 0.114 * 0.3)
    assert other.gray_std == pytest.approx(0.5 * np.linalg.norm(LUMA))
    assert other.gray_mean != clip.gray_mean


@pytest.mark.parametrize("size", [(48, 48), (20, 20), (30, 50)])
def test_pictures_of_another_size_are_resized(size: tuple[int, int]) -> None:
    clip = tiny_clip()
    gray = torch.rand(2, 1, *size)
    resized = interpolate(gray, (32, 32), mode="bicubic", antialias=True)
    assert torch.equal(clip.image_features(gray), clip.image_features(resized))


def test_bfloat16_pictures_are_taken() -> None:
    gray = torch.rand(1, 1, 40, 40).bfloat16()
    assert tiny_clip().image_features(gray).dtype == torch.float32


def test_text_features_have_length_one_and_need_no_gradient() -> None:
    clip = tiny_clip()
    features = clip.text_features(class_texts(["ship", "Gerenuk", "wild_cat"]))
    assert (features.shape, features.requires_grad) == ((3, 32), False)
    assert torch.allclose(features.norm(dim=1), torch.ones(3))


def test_class_texts_are_the_papers() -> None:
    assert class_texts(["ship", "wild_cat"]) == ["image of a ship", "image of a wild cat"]


def test_clip_stays_frozen_whatever_the_training_around_it_does() -> None:
    config = tiny_config()
    config["vision_cfg"] = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "head_width": 16}
    clip = tiny_clip(config)
    torch.nn.ModuleList([clip]).train()
    before = clip.digest
    clip.image_features(torch.rand(2, 1, 32, 32))  # would move the averages of batch normalisation
    assert not any(part.training for part in clip.modules())
    assert not any(parameter.requires_grad for parameter in clip.parameters())
    del clip.digest
    assert clip.digest == before


def test_gradients_reach_the_network_through_clip_and_nothing_else() -> None:
    torch.manual_seed(0)
    clip, network = tiny_clip(), build("lrn", bins=6)
    prompts = LearnedPrompts(clip, n_context=4)
    torch.nn.init.normal_(prompts.context)
    prompts.requires_grad_(False)
    texts = clip.text_features(class_texts(["ship", "cat", "deer"]))
    features = clip.image_features(network(torch.rand(3, 6, 32, 32)))
    class_term = class_loss(features, texts, torch.tensor([0, 1, 2]))
    (class_term + 100 * prompt_loss(features, prompts(clip), clip.logit_scale)).backward()  # type: ignore[no-untyped-call]
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name
    assert all(parameter.grad is None for parameter in [*clip.parameters(), *prompts.parameters()])
    assert texts.grad is None


def test_the_gradient_through_clip_is_the_derivative() -> None:
    torch.manual_seed(0)
    clip = tiny_clip()
    gray = torch.rand(1, 1, 32, 32, requires_grad=True)
    direction, towards = torch.randn(1, 1, 32, 32), torch.randn(32)
    (gradient,) = torch.autograd.grad(clip.image_features(gray)[0] @ towards, gray)
    step = 1e-2
    ahead, behind = (clip.image_features(gray.detach() + s * direction)[0] @ towards for s in (step, -step))
    assert (gradient * direction).sum().item() == pytest.approx(
        (ahead - behind).item() / (2 * step), rel=0.02
    )


def test_the_digest_tells_weights_and_preprocessing_apart() -> None:
    clip = tiny_clip()
    other_constants = FrozenClip(
        tiny_clip().model, clip.tokenizer, name="tiny", config=clip.config | {"quick_gelu": True}
    )
    digests = {clip.digest, tiny_clip(seed=1).digest, other_constants.digest}
    assert len(digests) == 3
    assert tiny_clip().digest == clip.digest


def test_a_saved_clip_comes_back_with_its_configuration_and_preprocessing(tmp_path: Path) -> None:
    config = tiny_config(context_length=30)
    model = build_clip(config, {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6)})
    model.half().float()  # what the file can hold
    save_clip(tmp_path / "clip.pth", model, config, meta={"accuracy": 0.5})
    clip = load_clip("small", tmp_path / "clip.pth")
    assert (clip.name, clip.image_size, clip.config) == ("small", 32, config)
    assert clip.preprocess["mean"] == (0.1, 0.2, 0.3)
    assert clip.tokenizer(["a"]).shape == (1, 30)
    gray = torch.rand(1, 1, 32, 32)
    original = FrozenClip(model, clip.tokenizer, name="small", config=config)
    assert torch.equal(clip.image_features(gray), original.image_features(gray))
    assert clip.digest == original.digest


@pytest.fixture
def small(tmp_path: Path) -> Path:
    save_clip(tmp_path / "clip.pth", tiny_clip().model, tiny_config(), meta={})
    return tmp_path / "clip.pth"


def test_a_file_of_a_small_clip_says_itself_which_model_it_is(small: Path) -> None:
    assert load_clip("ViT-B-32", small).name == "small"


def test_a_small_clip_without_preprocessing_takes_open_clips(small: Path) -> None:
    content = torch.load(small, weights_only=True)
    del content["preprocess"]
    torch.save(content, small)
    assert load_clip("small", small).gray_mean == pytest.approx(np.dot(LUMA, MEAN))


def test_a_truncated_clip_is_refused(small: Path) -> None:
    whole = small.read_bytes()
    for kept in (0, 10, len(whole) // 2, len(whole) - 100):
        small.write_bytes(whole[:kept])
        with pytest.raises(WeightsError, match=r"clip\.pth"):
            load_clip("small", small)


def test_a_foreign_checkpoint_is_refused(tmp_path: Path) -> None:
    torch.save(build("lrn").state_dict(), tmp_path / "lrn.pth")
    with pytest.raises(WeightsError, match=r"is not a small CLIP, but holds `0\.0\.weight`"):
        load_clip("small", tmp_path / "lrn.pth")
    with pytest.raises(WeightsError, match=r"damaged, or does not hold weights of .* `RN50`"):
        load_clip("RN50", f"openai:{tmp_path / 'lrn.pth'}")


@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        ("config", {"embed_dim": 32}, "no model can be made of it"),
        ("config", tiny_config(depth=3), "no model can be made of it"),
        ("config", tiny_config(layers=3), "does not fit the network"),
        ("config", tiny_config(hf_model_name="someone/bert"), "`someone/bert` of Hugging Face"),
        ("state_dict", {"visual.proj": torch.zeros(2)}, "does not fit the network"),
    ],
    ids=["no towers", "unknown word", "another depth", "foreign text tower", "another state"],
)
def test_a_clip_whose_parts_do_not_fit_is_refused(small: Path, part: str, value: object, said: str) -> None:
    content = torch.load(small, weights_only=True)
    content[part] = value
    torch.save(content, small)
    with pytest.raises((WeightsError, UsageError), match=said):
        load_clip("small", small)


def test_weights_that_are_not_finite_are_refused(small: Path) -> None:
    content = torch.load(small, weights_only=True)
    content["state_dict"]["visual.proj"][0, 0] = torch.nan
    torch.save(content, small)
    with pytest.raises(WeightsError, match=r"`visual\.proj` holds values that are not finite"):
        load_clip("small", small)


def test_a_small_clip_that_did_not_come_with_the_installation_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(files.SHIPPED, "small", tmp_path / "small-clip.pth")
    with pytest.raises(WeightsError, match=r"no small CLIP `.*small-clip\.pth`"):
        load_clip("small")


def test_an_unknown_model_is_refused_with_a_guess() -> None:
    with pytest.raises(UnknownNameError, match="unknown CLIP model `ViT-B-33`") as caught:
        load_clip("ViT-B/33")
    assert "did you mean `ViT-B-32`?" in caught.value.hint


def test_an_unknown_tag_is_refused_with_the_known_ones() -> None:
    with pytest.raises(WeightsError, match=r"`opnai`.*neither a file nor a tag") as caught:
        load_clip("ViT-B-32", "opnai")
    assert "its tags: openai, " in caught.value.hint


def test_a_model_without_usual_weights_asks_which() -> None:
    with pytest.raises(UsageError, match="which weights") as caught:
        load_clip("ViT-H-14")
    assert "laion2b_s32b_b79k" in caught.value.hint


@pytest.mark.parametrize("name", ["roberta-ViT-B-32", "xlm-roberta-base-ViT-B-32", "mt5-base-ViT-B-32"])
def test_a_text_tower_of_hugging_face_is_refused_before_its_weights_are_looked_for(name: str) -> None:
    with pytest.raises(UsageError, match="of Hugging Face; it cannot take learned prompts"):
        load_clip(name, "anything")


OFFLINE = """
import socket, sys
def refuse(*arguments, **options):
    print("CONNECTS", arguments, flush=True)
    raise OSError("no network")
socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
from hqgen.errors import HqgenError
from spikeclip.clip.frozen import load_clip
try:
    load_clip(*sys.argv[1:])
except HqgenError as error:
    print(type(error).__name__, error.message, "|", error.hint)
"""


@pytest.mark.slow
@pytest.mark.parametrize("said_offline", [True, False])
def test_absent_weights_are_named_at_once_and_nobody_is_asked(tmp_path: Path, said_offline: bool) -> None:
    names = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "XDG_"))}
    environment = names | {"HOME": str(tmp_path), "HF_HOME": str(tmp_path / "hf")}
    environment |= {"HF_HUB_OFFLINE": "1"} if said_offline else {}
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, "ViT-B-32"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env=environment,
    )
    assert "CONNECTS" not in done.stdout
    assert done.stdout.startswith("WeightsError the weights `openai` of the CLIP model `ViT-B-32` are not on")
    assert f"`{tmp_path / 'hf' / 'hub'}`" in done.stdout
    assert "get `open_clip_model.safetensors` of `timm/vit_base_patch32_clip_224.openai`" in done.stdout
    assert f"put `ViT-B-32.pt` into `{tmp_path / '.cache' / 'clip'}`" in done.stdout
