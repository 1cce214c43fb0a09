"""CLIP, frozen: what supervises the training, and judges it. Any model of open_clip, or the small CLIP."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, cached_property
from math import sqrt
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from hqgen.download import is_offline
from hqgen.errors import UsageError, WeightsError
from spikeclip.clip.files import read_clip

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in gray."""

PLACEHOLDER = "X"
"""The word whose places learned prompts take."""


class FrozenClip(nn.Module):
    """A CLIP model whose parameters never change; gradients pass through it to the pictures and the prompts.

    Args:
        model: the model, as `spikeclip.clip.files.build_clip` makes it.
        tokenizer: texts -> int64 (N, L).
        name: of the model, for messages and tables.
        config: its configuration in open_clip's form.

    Attributes:
        image_size: side of the square pictures that it takes, in pixels.
        logit_scale: its factor of cosine similarities.
    """

    model: Any  # open_clip's models have no common type

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Callable[[list[str]], Tensor],
        *,
        name: str,
        config: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.model = model.requires_grad_(False)
        self.tokenizer = tokenizer
        self.name = name
        self.config = dict(config)
        self.preprocess: dict[str, Any] = dict(self.model.visual.preprocess_cfg)
        size = self.preprocess["size"]
        self.image_size: int = size if isinstance(size, int) else size[0]
        self.logit_scale = float(self.model.logit_scale.exp())
        self._places: dict[tuple[int, torch.device], tuple[Tensor, Tensor]] = {}
        self.gray_mean, self.gray_std = gray_constants(self.preprocess["mean"], self.preprocess["std"])
        self.eval()

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002 - frozen whatever the network around it does
        """Stay in eval mode."""
        return super().train(False)

    @cached_property
    def digest(self) -> str:
        """The sha256 over configuration, preprocessing and weights, in lower-case hex."""
        total = hashlib.sha256(json.dumps([self.config, self.preprocess], sort_keys=True).encode())
        for name, tensor in sorted(self.model.state_dict().items()):
            total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            total.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        return total.hexdigest()

    def image_features(self, gray: Tensor) -> Tensor:
        """Features of gray pictures.

        They are normalised by one mean and one deviation, those that gray made of CLIP's three colours has:
        mean = Σ w m, std = √Σ w² s² (the published evaluation of SpikeCLIP).

        Args:
            gray: (B, 1, H, W), nominally in [0, 1]; resized, without keeping the aspect, to the model's size.

        Returns:
            float32 (B, D) of length one.
        """
        gray = gray.float()
        if gray.shape[-2:] != (self.image_size, self.image_size):
            mode = self.preprocess["interpolation"]
            gray = interpolate(gray, (self.image_size, self.image_size), mode=mode, antialias=True)
        colours = ((gray - self.gray_mean) / self.gray_std).expand(-1, 3, -1, -1)
        return _unit(self.model.encode_image(colours))

    @torch.no_grad()
    def text_features(self, texts: Sequence[str]) -> Tensor:
        """Features of texts, float32 (C, D) of length one."""
        return _unit(self.model.encode_text(self._tokens(texts)))

    def placeholder_context(self, n_context: int) -> Tensor:
        """Embeddings of a row of `n_context` words X, float32 (n_context, width)."""
        tokens, places = self._prompt_tokens(n_context)
        return self._embedding.weight[tokens[places]].detach().float().clone()

    def encode_prompts(self, context: Tensor) -> Tensor:
        """Features of texts that are given as embeddings of their words instead of as words (CoOp).

        The model's own `encode_text` runs on a row of words X, and what stands in their places after the
        look-up of embeddings is replaced. Start and end tokens, positions, mask, pooling and projection are
        therefore the model's, whatever its text tower is.

        Args:
            context: (N, n_context, width).

        Returns:
            float32 (N, D) of length one.

        Raises:
            UsageError: the model has no room for so many words.
        """
        tokens, places = self._prompt_tokens(context.shape[1])

        def put_context(_module: nn.Module, _inputs: object, embedded: Tensor) -> Tensor:
            return embedded.index_copy(1, places, context.to(embedded.dtype))

        handle = self._embedding.register_forward_hook(put_context)
        try:
            features = self.model.encode_text(tokens.expand(len(context), -1))
        finally:
            handle.remove()
        return _unit(features)

    @property
    def _embedding(self) -> nn.Embedding:
        embedding: nn.Embedding = getattr(self.model, "text", self.model).token_embedding
        return embedding

    def _tokens(self, texts: Sequence[str]) -> Tensor:
        return self.tokenizer(list(texts)).to(self._embedding.weight.device)

    def _prompt_tokens(self, n_context: int) -> tuple[Tensor, Tensor]:
        """The tokens (L,) of `n_context` words X with all that the tokenizer adds, and the places of X.

        Found once: to look for them, the host has to wait for the device.
        """
        known = n_context, self._embedding.weight.device
        if known not in self._places:
            self._places[known] = self._found_places(n_context)
        return self._places[known]

    def _found_places(self, n_context: int) -> tuple[Tensor, Tensor]:
        one, none, row = self._tokens([PLACEHOLDER, "", " ".join([PLACEHOLDER] * n_context)])
        word = one[~torch.isin(one, none)]
        places = torch.isin(row, word).nonzero()[:, 0]
        if len(word) != 1 or len(places) != n_context:
            raise UsageError(
                f"the CLIP model `{self.name}` has no room for {n_context} words of context in its "
                f"{len(row)} tokens",
                hint="learn shorter prompts: `context` in the table `[train.prompt]`",
            )
        return row, places


def load_clip(
    model: str = "ViT-B-32",
    weights: str | Path | None = None,
    device: str | torch.device = "cpu",
) -> FrozenClip:
    """Load a frozen CLIP; published weights that are not in open_clip's cache are downloaded to it.

    Args:
        model: one of open_clip's models by name, or `small` or `judge`, which come with spikeclip.
        weights: the tag of published weights; or a file; or `TAG:FILE`, which says that
            the file holds those weights, or was trained from them. A file of a small CLIP says itself what
            model it is, whatever `model` says. None: the weights that OpenAI published, or the only ones that
            there are.
        device: where it goes.

    Raises:
        UnknownNameError: there is no such model.
        WeightsError: the weights cannot be downloaded, or may not be (`hqgen.download.is_offline`; the
            message says which file to put where), or are damaged or of another model.
        UsageError: its text tower takes no learned prompts, or its weights must be named.
    """
    network, name, config = read_clip(model, weights)
    tokenizer = _tokenizer(name, config["text_cfg"])
    return FrozenClip(network, tokenizer, name=name, config=config).to(device)


def class_texts(labels: Iterable[str]) -> list[str]:
    """The texts "image of a [cls]" of class names, in which words may be joined by underscores."""
    return [f"image of a {label.replace('_', ' ')}" for label in labels]


@cache
def simple_tokenizer(length: int = 77, parameters: str = "{}") -> Callable[[list[str]], Tensor]:
    """open_clip's own tokenizer, which takes a tenth of a second to read; its parameters are JSON."""
    import open_clip

    tokenizer: Callable[[list[str]], Tensor] = open_clip.SimpleTokenizer(
        context_length=length, **json.loads(parameters)
    )
    return tokenizer


def _tokenizer(name: str, text: Mapping[str, Any]) -> Callable[[list[str]], Tensor]:
    import open_clip

    if "hf_tokenizer_name" not in text:
        parameters = json.dumps(text.get("tokenizer_kwargs", {}))
        return simple_tokenizer(text.get("context_length", 77), parameters)
    try:
        tokenizer: Callable[[list[str]], Tensor] = open_clip.get_tokenizer(
            name, local_files_only=is_offline()
        )
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"the tokenizer `{text['hf_tokenizer_name']}` of the CLIP model `{name}` is not in the cache of "
            f"Hugging Face, and {'`--offline` forbids' if is_offline() else 'it failed'} to download it",
            hint=f"where there is internet, run `open_clip.get_tokenizer('{name}')` once and copy the cache; "
            "models such as `ViT-B-32` need no such file",
        ) from error
    return tokenizer


def _unit(features: Tensor) -> Tensor:
    return normalize(features.float(), dim=-1)


def gray_constants(mean: Sequence[float], deviation: Sequence[float]) -> tuple[float, float]:
    """Mean and deviation of gray, made of independent red, green and blue."""
    return (
        sum(w * m for w, m in zip(LUMA, mean, strict=True)),
        sqrt(sum((w * s) ** 2 for w, s in zip(LUMA, deviation, strict=True))),
    )
