"""Published weights, of a model that open_clip is told of for the test."""

from __future__ import annotations

import socket
import warnings
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from safetensors.torch import save_file

from hqgen.errors import UsageError, WeightsError
from spikeclip.clip.files import is_small_clip, save_clip
from spikeclip.clip.frozen import FrozenClip, load_clip
from spikeclip.networks import build
from tests.spikeclip.tiny_clip import place_in_cache, tiny_clip, tiny_config
from tests.web import Web

INCEPTION = (0.5, 0.5, 0.5)
URL = "a-host/clip/models/0123/tiny-test.pt"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of Hugging Face, an empty home, and the model `tiny-test` with its tags."""
    from open_clip import factory

    tags: dict[str, Any] = {
        "openai": {"hf_hub": "someone/tiny-test/", "url": URL, "quick_gelu": True},
        "named_file": {"hf_hub": "someone/tiny-named/tiny.bin"},
        "hub_only": {"hf_hub": "someone/tiny-hub/"},
    }
    usual = {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6), "interpolation": "bilinear"}
    monkeypatch.setitem(factory._MODEL_CONFIGS, "tiny-test", tiny_config())
    with_tags(monkeypatch, {tag: usual | tags[tag] for tag in tags})
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "hub"


def state() -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in tiny_clip().model.state_dict().items()}


def same_weights(clip: FrozenClip) -> bool:
    return all(torch.equal(tensor, clip.model.state_dict()[name]) for name, tensor in state().items())


def gelu(clip: FrozenClip) -> str:
    return type(clip.model.transformer.resblocks[0].mlp.gelu).__name__


def test_safetensors_in_the_cache_are_found_by_tag(cache: Path) -> None:
    save_file(state(), place_in_cache(cache, "someone/tiny-test", "open_clip_model.safetensors"))
    clip = load_clip("tiny-test", "openai")
    assert same_weights(clip)
    assert (clip.name, clip.preprocess["mean"]) == ("tiny-test", (0.1, 0.2, 0.3))
    assert clip.preprocess["interpolation"] == "bilinear"


def test_the_usual_tag_is_openais_and_brings_its_activation(cache: Path) -> None:
    save_file(state(), place_in_cache(cache, "someone/tiny-test", "open_clip_model.safetensors"))
    assert gelu(load_clip("tiny-test")) == "QuickGELU"


def test_other_tags_keep_the_activation_of_the_model(cache: Path) -> None:
    torch.save(state(), place_in_cache(cache, "someone/tiny-hub", "open_clip_pytorch_model.bin"))
    clip = load_clip("tiny-test", "hub-only")
    assert gelu(clip) == "GELU"
    assert same_weights(clip)


def test_a_tag_may_name_its_file(cache: Path) -> None:
    torch.save(state(), place_in_cache(cache, "someone/tiny-named", "tiny.bin"))
    assert same_weights(load_clip("tiny-test", "named_file"))


def test_absent_weights_are_refused_with_the_file_and_where_it_goes(cache: Path) -> None:
    with pytest.raises(WeightsError, match="the weights `openai` of the CLIP model `tiny-test`") as caught:
        load_clip("tiny-test")
    assert f"`open_clip_model.safetensors` of `someone/tiny-test` in `{cache}`" in caught.value.message
    assert "put `tiny-test.pt` into" in caught.value.hint
    with pytest.raises(WeightsError, match="the weights `hub_only`") as caught:
        load_clip("tiny-test", "hub_only")
    assert "`someone/tiny-hub` from the Hugging Face hub" in caught.value.hint
    assert "`--clip-weights hub_only:FILE`" in caught.value.hint
    assert "put" not in caught.value.hint


def scripted() -> torch.jit.ScriptModule:
    """The model as OpenAI published its: traced, three constants and no mask in the state_dict."""
    model = tiny_clip().model
    mask = model.attn_mask
    del model.attn_mask
    model.attn_mask = mask
    for name in ("input_resolution", "context_length", "vocab_size"):
        if hasattr(model, name):
            delattr(model, name)
        model.register_buffer(name, torch.tensor(32))
    text = torch.randint(0, 49408, (1, 77))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced: torch.jit.ScriptModule = torch.jit.trace(  # type: ignore[no-untyped-call]
            model, (torch.rand(1, 3, 32, 32), text), check_trace=False
        )
    return traced


@pytest.fixture
def hub(server: Web, monkeypatch: pytest.MonkeyPatch) -> Web:
    """A hub of Hugging Face's kind on this machine, which downloads may use."""
    constants = huggingface_hub.constants
    path = "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", server.address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.address + path)
    monkeypatch.setenv("HQGEN_OFFLINE", "0")
    server.files, server.faults, server.asked = {}, {}, []
    server.headers = {"X-Repo-Commit": "1" * 40}
    return server


def downloads(hub: Web) -> list[str]:
    return [path for path, _ in hub.asked if "/resolve/" in path]


def test_published_weights_that_are_not_here_are_downloaded_once(
    hub: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file(state(), tmp_path / "a.safetensors")
    path = "/someone/tiny-test/resolve/main/open_clip_model.safetensors"
    hub.put(path, (tmp_path / "a.safetensors").read_bytes())
    assert same_weights(load_clip("tiny-test"))
    assert set(downloads(hub)) == {path}
    hub.asked.clear()
    monkeypatch.setenv("HQGEN_OFFLINE", "1")
    assert same_weights(load_clip("tiny-test"))
    assert not hub.asked


def test_a_hub_that_does_not_give_the_file_is_one_error(hub: Web) -> None:
    with pytest.raises(WeightsError, match=r"the weights `openai` of .* cannot be downloaded") as caught:
        load_clip("tiny-test")
    assert "`--clip-weights openai:FILE`" in caught.value.hint


def test_a_hub_that_cannot_be_reached_is_one_error_at_once(hub: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the hub was asked for a file")

    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("open_clip.download_pretrained", refuse)
    with pytest.raises(WeightsError, match=r"downloaded: `http://127\.0\.0\.1:9` cannot be reached"):
        load_clip("tiny-test")


def test_a_web_page_from_the_hub_is_one_error(hub: Web) -> None:
    hub.put("/someone/tiny-named/resolve/main/tiny.bin", b"<!DOCTYPE html><p>Sign in</p>")
    with pytest.raises(WeightsError, match=r"tiny\.bin` is a web page, not weights of the CLIP model"):
        load_clip("tiny-test", "named_file")


def test_offline_no_socket_is_opened(hub: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setenv("HQGEN_OFFLINE", "1")
    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(WeightsError, match="not on this machine, and `--offline` forbids to download them"):
        load_clip("tiny-test")


def test_openais_own_form_is_read_with_its_activation(tmp_path: Path) -> None:
    old_cache = tmp_path / "home" / ".cache" / "clip"
    old_cache.mkdir(parents=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(scripted(), str(old_cache / "tiny-test.pt"))
    for clip in (load_clip("tiny-test"), load_clip("tiny-test", old_cache / "tiny-test.pt")):
        assert same_weights(clip)
        assert gelu(clip) == "QuickGELU"


@pytest.mark.parametrize("container", ["plain", "state_dict", "module"])
def test_a_file_that_someone_gives_is_read_as_the_tag_before_it_says(tmp_path: Path, container: str) -> None:
    content: object = state()
    if container == "module":
        content = {f"module.{name}": tensor for name, tensor in state().items()}
    torch.save({"epoch": 3, "state_dict": content} if container != "plain" else content, tmp_path / "a.pt")
    quick = load_clip("tiny-test", f"openai:{tmp_path / 'a.pt'}")
    plain = load_clip("tiny-test", f"hub_only:{tmp_path / 'a.pt'}")
    assert same_weights(quick)
    assert same_weights(plain)
    assert (gelu(quick), gelu(plain)) == ("QuickGELU", "GELU")
    assert quick.preprocess["mean"] == (0.1, 0.2, 0.3)


def with_tags(monkeypatch: pytest.MonkeyPatch, tags: dict[str, dict[str, Any]]) -> None:
    from open_clip import pretrained

    usual = {"mean": INCEPTION, "std": INCEPTION}
    monkeypatch.setitem(pretrained._PRETRAINED, "tiny-test", {tag: usual | tags[tag] for tag in tags})


@pytest.mark.parametrize("tags", [{}, {"a": {}}, {"a": {"quick_gelu": True}, "b": {"quick_gelu": True}}])
def test_a_file_needs_no_tag_where_all_tags_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tags: dict[str, dict[str, Any]]
) -> None:
    with_tags(monkeypatch, tags)
    torch.save(state(), tmp_path / "a.pt")
    clip = load_clip("tiny-test", tmp_path / "a.pt")
    assert same_weights(clip)
    assert gelu(clip) == ("QuickGELU" if len(tags) == 2 else "GELU")
    assert (clip.gray_mean == pytest.approx(0.5)) == bool(tags), "without tags it is open_clip's default"


@pytest.mark.parametrize("odd", [{"mean": (0.1, 0.2, 0.3)}, {"std": (0.1, 0.2, 0.3)}, {"quick_gelu": True}])
def test_preprocessing_and_activation_are_never_guessed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: dict[str, Any]
) -> None:
    with_tags(monkeypatch, {"a": {}, "b": odd})
    torch.save(state(), tmp_path / "a.pt")
    with pytest.raises(UsageError, match="it is not known with which preprocessing and activation") as caught:
        load_clip("tiny-test", tmp_path / "a.pt")
    assert f"`--clip-weights a:{tmp_path / 'a.pt'}`; tags: a, b" in caught.value.hint


def test_a_tag_before_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no CLIP weights `.*absent\.pt`"):
        load_clip("tiny-test", f"openai:{tmp_path / 'absent.pt'}")


@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04 and no more"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    for name in ("a.pt", "a.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(WeightsError, match="is damaged, or does not hold weights"):
            load_clip("tiny-test", f"openai:{tmp_path / name}")


@pytest.mark.parametrize("change", [{"layers": 3}, {"width": 64}], ids=["depth", "width"])
def test_weights_of_another_model_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    torch.save(tiny_clip(tiny_config(**change)).model.state_dict(), tmp_path / "a.pt")
    with pytest.raises(WeightsError, match="does not hold weights of the CLIP model `tiny-test`"):
        load_clip("tiny-test", f"openai:{tmp_path / 'a.pt'}")


def test_a_torchscript_archive_of_another_network_is_refused(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = torch.jit.script(torch.nn.Linear(3, 3))
        torch.jit.save(other, str(tmp_path / "a.pt"))
    with pytest.raises(WeightsError, match="does not hold weights of the CLIP model `tiny-test`"):
        load_clip("tiny-test", f"openai:{tmp_path / 'a.pt'}")
    with pytest.raises(WeightsError, match="is a TorchScript archive, which holds code"):
        load_clip("small", tmp_path / "a.pt")


def test_a_web_page_is_refused_as_one(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_text("<html>not found</html>")
    with pytest.raises(WeightsError, match="is a web page, not weights"):
        load_clip("tiny-test", f"openai:{tmp_path / 'a.pt'}")
    with pytest.raises(WeightsError, match="is a web page, not a PyTorch checkpoint"):
        load_clip("small", tmp_path / "a.pt")


def test_a_tokenizer_that_is_not_here_is_named_and_not_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from open_clip import factory

    config = tiny_config(hf_tokenizer_name="someone/words")
    monkeypatch.setitem(factory._MODEL_CONFIGS, "tiny-test", config)
    torch.save(state(), tmp_path / "a.pt")
    with pytest.raises(WeightsError, match="the tokenizer `someone/words` of the CLIP model `tiny-test`"):
        load_clip("tiny-test", f"openai:{tmp_path / 'a.pt'}")


def test_only_a_small_clip_is_taken_for_one(tmp_path: Path) -> None:
    save_clip(tmp_path / "small.pth", tiny_clip().model, tiny_config(), meta={})
    torch.save(build("lrn").state_dict(), tmp_path / "lrn.pth")
    (tmp_path / "page.pth").write_text("<html>")
    answers = [is_small_clip(tmp_path / name) for name in ("small.pth", "lrn.pth", "page.pth", "absent.pth")]
    assert answers == [True, False, False, False]


def test_a_small_clip_is_written_in_half_precision_and_always_alike(tmp_path: Path) -> None:
    for name in ("a.pth", "b.pth"):
        save_clip(tmp_path / name, tiny_clip().model, tiny_config(), meta={"accuracy": 0.5})
    assert (tmp_path / "a.pth").read_bytes() == (tmp_path / "b.pth").read_bytes()
    content = torch.load(tmp_path / "a.pth", weights_only=True)
    assert {tensor.dtype for tensor in content["state_dict"].values()} == {torch.float16}
    assert (content["format"], content["meta"]) == ("spikeclip-clip", {"accuracy": 0.5})
