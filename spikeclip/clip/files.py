"""CLIP models on disk: where published weights are, how they are read, and the file form of the small CLIP.

Weights are a file that somebody gives, or one in open_clip's cache. If a published file is not there,
open_clip downloads it, unless `hqgen.download.is_offline`.
"""

from __future__ import annotations

import copy
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from pickle import UnpicklingError
from textwrap import shorten
from typing import Any, cast

import torch
from safetensors import SafetensorError
from torch import nn

from hqgen.checkpoints import DAMAGED, is_torchscript, load_weights, read_checkpoint, write_checkpoint
from hqgen.download import is_offline, require_reachable
from hqgen.errors import DownloadError, MethodError, UnknownNameError, UsageError, WeightsError
from hqgen.files import is_web_page

SMALL = "small"
"""The name of the small CLIP that comes with spikeclip to teach; a file of the same form goes by it, too."""

JUDGE = "judge"
"""The name of the one that comes to judge: another tower, pictures of another size, another seed."""

_FOLDER = Path(__file__).parents[1] / "weights_data"

SHIPPED = {name: _FOLDER / f"{name}-clip.pth" for name in (SMALL, JUDGE)}

FORMAT = "spikeclip-clip"

SCRIPTED_CONSTANTS = frozenset({"input_resolution", "context_length", "vocab_size"})
"""What OpenAI's TorchScript archives hold beside the weights."""

Config = dict[str, Any]


def build_clip(model_config: Mapping[str, Any], preprocess: Mapping[str, Any]) -> nn.Module:
    """Build a CLIP model with fresh parameters.

    Args:
        model_config: the model in open_clip's form: `embed_dim`, `vision_cfg`, `text_cfg`, and so on.
        preprocess: what its pictures went through: `mean` and `std` for each colour, `interpolation`; the
            rest is as in open_clip.

    Raises:
        UsageError: its text tower is one of Hugging Face's, which are not shown to take learned prompts.
        TypeError, ValueError, LookupError, AttributeError: it is not the configuration of a model.
    """
    from open_clip.coca_model import CoCa
    from open_clip.model import CLIP, CustomTextCLIP, set_model_preprocess_cfg
    from open_clip.transform import PreprocessCfg, merge_preprocess_dict

    import spikeclip.clip.tower  # noqa: F401 - timm learns its name

    _refuse_hub_tower(model_config)
    config = copy.deepcopy(dict(model_config))
    config["vision_cfg"]["timm_model_pretrained"] = False  # which would be a download
    custom_text = config.pop("custom_text", False)
    kind = CoCa if "multimodal_cfg" in config else CustomTextCLIP if custom_text else CLIP
    model: nn.Module = kind(**config)
    size = config["vision_cfg"].get("image_size", 224)
    set_model_preprocess_cfg(
        model, merge_preprocess_dict(asdict(PreprocessCfg(size=size)), {**preprocess, "size": size})
    )
    return model.eval()


def _refuse_hub_tower(config: Mapping[str, Any]) -> None:
    if tower := config["text_cfg"].get("hf_model_name"):
        raise UsageError(
            f"the text tower of this CLIP model is `{tower}` of Hugging Face; it cannot take learned prompts",
            hint="choose a model with a text tower of open_clip's own, such as `ViT-B-32`",
        )


def save_clip(
    path: str | Path, model: nn.Module, config: Mapping[str, Any], *, meta: Mapping[str, Any]
) -> None:
    """Write a small CLIP whole or not at all: float16, with its configuration and preprocessing.

    Args:
        path: the file.
        model: what `build_clip` made of `config`.
        config: see `build_clip`.
        meta: what else is known about it; plain values that `torch.load(weights_only=True)` reads.
    """
    state = {
        name: tensor.detach().cpu().half() if tensor.is_floating_point() else tensor.detach().cpu()
        for name, tensor in model.state_dict().items()
    }
    content = {
        "format": FORMAT,
        "config": copy.deepcopy(dict(config)),
        "preprocess": dict(cast(Any, model.visual).preprocess_cfg),
        "meta": dict(meta),
        "state_dict": state,
    }
    write_checkpoint(path, content)


def is_small_clip(path: Path) -> bool:
    """Whether a file says of itself that it is a small CLIP; reads no tensor."""
    if not zipfile.is_zipfile(path) or is_torchscript(path):
        return False
    try:
        content = torch.load(path, map_location="meta", weights_only=True)
    except DAMAGED:
        return False
    return isinstance(content, dict) and content.get("format") == FORMAT


def read_clip(model: str, weights: str | Path | None) -> tuple[nn.Module, str, Config]:
    """Read a CLIP model from a file or from open_clip's cache.

    Args:
        model: one of open_clip's models by name, `small` or `judge`.
        weights: see `spikeclip.clip.frozen.load_clip`.

    Returns:
        the model, its name and its configuration.

    Raises:
        UnknownNameError: there is no such model.
        WeightsError: the weights are absent, damaged, or of another model.
        UsageError: its text tower takes no learned prompts, or its weights must be named.
    """
    name = model.replace("/", "-")
    if weights is None:
        weights = SHIPPED.get(name)
    if name in SHIPPED or (weights is not None and is_small_clip(Path(weights))):
        network, config = _read_small(Path(str(weights)))
        return network, name if name in SHIPPED else SMALL, config
    config, tags = published_config(name), _published_tags(name)
    path, tag = _located(name, tags, weights)
    return _load_published(name, config, tags, path, tag), name, config


def _located(name: str, tags: Mapping[str, Config], weights: str | Path | None) -> tuple[Path, str | None]:
    """The file that is meant by a tag, by a file, or by a file with a tag before it; and the tag."""
    said, _, file = (_usual_tag(name, tags) if weights is None else str(weights)).partition(":")
    tag = said.lower().replace("-", "_")
    if tag in tags and not file:
        return _find_published(name, tag, tags[tag]), tag
    path = Path(file if tag in tags else str(weights))
    if not path.is_file():
        raise WeightsError(
            f"no CLIP weights `{path}`: it is neither a file nor a tag of the model `{name}`",
            hint=f"its tags: {', '.join(tags) or 'none'}",
        )
    return path, tag if tag in tags else None


def _usual_tag(name: str, tags: Mapping[str, object]) -> str:
    if "openai" in tags or len(tags) == 1:
        return "openai" if "openai" in tags else next(iter(tags))
    raise UsageError(
        f"which weights of the CLIP model `{name}`?",
        hint=f"give a file or one of its tags with `--clip-weights`: {', '.join(tags) or 'it has none'}",
    )


def _read_small(path: Path) -> tuple[nn.Module, Config]:
    """Read what `save_clip` wrote; its weights become float32."""
    if not path.is_file():
        raise WeightsError(f"no small CLIP `{path}`", hint="`spikeclip clip train` makes one")
    try:
        read_checkpoint(path)  # which says what is wrong with a damaged or foreign file
        content = torch.load(path, map_location="cpu", weights_only=True)
        if content.get("format") != FORMAT:
            keys = ", ".join(f"`{key}`" for key in list(content)[:3])
            raise WeightsError(
                f"`{path}` is not a small CLIP, but holds {keys}",
                hint="`spikeclip clip train` makes one; for weights of another CLIP name its model, such as "
                "`ViT-B-32`",
            )
        model = build_clip(content["config"], content.get("preprocess", {}))
        load_weights(model, path)
    except MethodError as error:
        raise WeightsError(error.message, hint=error.hint) from error
    except DAMAGED as error:
        raise WeightsError(
            f"`{path}` is not a small CLIP: no model can be made of it ({_brief(error)})",
            hint="make it again with `spikeclip clip train`",
        ) from error
    return model, content["config"]


def published_config(name: str) -> Config:
    """The configuration of one of open_clip's models.

    Raises:
        UnknownNameError: open_clip has no such model.
        UsageError: its text tower is one of Hugging Face's.
    """
    import open_clip

    if name not in open_clip.list_models():
        raise UnknownNameError("CLIP model", name, [*SHIPPED, *open_clip.list_models()])
    config: Config = open_clip.get_model_config(name)
    _refuse_hub_tower(config)
    return config


def _published_tags(name: str) -> dict[str, Config]:
    """The published weights of one of open_clip's models, by tag: where they are, how pictures go in."""
    import open_clip

    tags = open_clip.list_pretrained_tags_by_model(name)
    return {tag: open_clip.get_pretrained_cfg(name, tag) for tag in tags}


def _find_published(name: str, tag: str, published: Config) -> Path:
    """The weights of a tag in the caches of open_clip: Hugging Face's, then its own older one.

    If they are in none of them, open_clip downloads them.
    """
    import huggingface_hub

    repository, files = _hub_files(published.get("hf_hub", ""))
    for file in files:
        cached = huggingface_hub.try_to_load_from_cache(repository, file)
        if isinstance(cached, str):
            return Path(cached)
    old_name: str = published.get("url", "").rpartition("/")[2]
    old = Path("~/.cache/clip").expanduser() / old_name if old_name else None
    if old is not None and old.is_file():
        return old
    if is_offline():
        raise _absent(name, tag, repository, files, old)
    return _downloaded(name, tag, published)


def _downloaded(name: str, tag: str, published: Config) -> Path:
    import huggingface_hub
    import open_clip

    try:
        if published.get("hf_hub"):
            require_reachable(huggingface_hub.constants.ENDPOINT)
        path: str = open_clip.download_pretrained(published)
    except (DownloadError, OSError, RuntimeError, ValueError) as error:
        raise WeightsError(
            f"the weights `{tag}` of the CLIP model `{name}` cannot be downloaded: {_brief(error)}",
            hint=f"try again, or give the file with `--clip-weights {tag}:FILE`; "
            "`--clip small` needs no download",
        ) from error
    return Path(path)


def _hub_files(location: str) -> tuple[str, list[str]]:
    """Repository, and the file names to look for: `owner/name/file`, or `owner/name/` for the usual ones."""
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

    repository, _, file = location.rpartition("/")
    if not repository:
        return "", []
    file = file or HF_WEIGHTS_NAME
    safe = HF_SAFE_WEIGHTS_NAME if file == HF_WEIGHTS_NAME else f"{Path(file).stem}.safetensors"
    return repository, [safe, file]


def _absent(name: str, tag: str, repository: str, files: list[str], old: Path | None) -> WeightsError:
    import huggingface_hub

    hub = Path(huggingface_hub.constants.HF_HUB_CACHE)
    places = [f"no `{files[0]}` of `{repository}` in `{hub}`"] if files else []
    places += [f"no `{old}`"] if old else []
    wanted = f"`{files[0]}` of `{repository}` from the Hugging Face hub" if files else f"`{old}`"
    return WeightsError(
        f"the weights `{tag}` of the CLIP model `{name}` are not on this machine, and `--offline` forbids to "
        f"download them: {', '.join(places)}",
        hint=f"leave out `--offline`, or get {wanted} elsewhere and give it with `--clip-weights {tag}:FILE`"
        + (f", or put `{old.name}` into `{old.parent}`" if old else "")
        + "; `--clip small` is a stand-in that comes with spikeclip",
    )


def _load_published(
    name: str, config: Config, tags: Mapping[str, Config], path: Path, tag: str | None
) -> nn.Module:
    """Build one of open_clip's models and load its weights from a file; `config` gets the activation.

    The tag decides preprocessing and activation. Without one they are those that the weights of all tags
    share.
    """
    with path.open("rb") as file:
        if is_web_page(file.read(64)):
            raise WeightsError(
                f"`{path}` is a web page, not weights of the CLIP model `{name}`",
                hint="the file host wants something: open the address in a browser, download the file there",
            )
    scripted = is_torchscript(path)
    published = tags.get("openai", {}) if scripted else tags[tag] if tag else _shared(name, path, tags)
    # OpenAI trained with QuickGELU; open_clip's `ViT-B-32` without the suffix has it off.
    config["quick_gelu"] = scripted or _quick(config) or _quick(published)
    model = build_clip(config, published)
    try:
        _load_into(model, path, scripted)
    except (*DAMAGED, AssertionError, SafetensorError) as error:  # open_clip asserts that widths are equal
        raise WeightsError(
            f"`{path}` is damaged, or does not hold weights of the CLIP model `{name}`: {_brief(error)}",
            hint="name the model that it is of with `--clip`, or get the file again",
        ) from error
    return model


def _quick(settings: Mapping[str, Any]) -> bool:
    return bool(settings.get("quick_gelu", False))


def _shared(name: str, path: Path, tags: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """What open_clip says about the weights of a model, where it says the same for all tags."""
    choices = {(tuple(said["mean"]), tuple(said["std"]), _quick(said)): said for said in tags.values()}
    if len(choices) > 1:
        usual = "openai" if "openai" in tags else next(iter(tags))
        raise UsageError(
            f"it is not known with which preprocessing and activation `{path}` was trained: the published "
            f"weights of the CLIP model `{name}` differ in it",
            hint="say whose weights it holds, or was trained from, with a tag before the file: "
            f"`--clip-weights {usual}:{path}`; tags: {', '.join(tags)}",
        )
    return next(iter(choices.values()), {})


def _load_into(model: nn.Module, path: Path, scripted: bool) -> None:
    import open_clip

    if not scripted:
        open_clip.load_checkpoint(model, str(path), weights_only=True)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, and what OpenAI published stays in it
        state = torch.jit.load(str(path), map_location="cpu").state_dict()  # type: ignore[no-untyped-call]
    model.load_state_dict({key: tensor for key, tensor in state.items() if key not in SCRIPTED_CONSTANTS})


def _brief(error: Exception) -> str:
    """The beginning of what PyTorch says, which names every tensor that differs."""
    if isinstance(error, UnpicklingError):  # PyTorch's long advice does not apply
        return "it does not hold tensors only"
    return shorten(str(error), 200) or type(error).__name__
