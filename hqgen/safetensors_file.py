"""Checkpoints as safetensors files, which hold tensors and text, and never code.

A checkpoint is a mapping with `state_dict` and plain values. The tensors of `state_dict` are those of the
file, and the plain values are one JSON text, `checkpoint`, in the metadata of its header.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hqgen.errors import MethodError
from hqgen.files import is_web_page

SUFFIX = ".safetensors"

LONGEST_HEADER = 1_000_000
"""Bytes that a header may have: about 10,000 tensors."""

_KEY = "checkpoint"


def is_safetensors(path: Path) -> bool:
    """Whether a file is called so, or begins like one: the length of a header, then JSON."""
    if path.suffix.lower() == SUFFIX:
        return True
    with path.open("rb") as file:
        start = file.read(9)
    return start[8:] == b"{" and 2 <= int.from_bytes(start[:8], "little") <= path.stat().st_size - 8


def read_safetensors(path: Path, shown: Path) -> dict[str, Any]:
    """Read the content of a checkpoint; a file of another program has only `state_dict`.

    Args:
        path: the file.
        shown: the name for messages.

    Raises:
        MethodError: it is not a safetensors file, is truncated, or has a header that is too long.
    """
    from safetensors import SafetensorError, safe_open

    _require_header(path, shown)
    try:
        with safe_open(path, framework="pt") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            metadata = file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise MethodError(f"`{shown}` is truncated or damaged: {error}", hint="download it again") from error
    return {**_plain_values(metadata), "state_dict": state}


def encode_safetensors(content: Mapping[str, Any]) -> bytes:
    """The bytes of a checkpoint; equal content gives equal bytes.

    Args:
        content: `state_dict`, a mapping of tensors, and other entries that JSON can hold.
    """
    from safetensors.torch import save

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in content["state_dict"].items()}
    rest = {name: value for name, value in content.items() if name != "state_dict"}
    data = save(tensors, {"format": "pt", _KEY: json.dumps(rest)})
    # The library writes the metadata in a random order.
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[end:]


def _require_header(path: Path, shown: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(64)
    length = int.from_bytes(start[:8], "little")
    if is_web_page(start):
        raise MethodError(
            f"`{shown}` is a web page, not a safetensors file",
            hint="the file host wants something: open the address in a browser and download the file there",
        )
    if start[8:9] != b"{":
        raise MethodError(
            f"`{shown}` is not a safetensors file ({size} bytes that begin with {start[:4]!r})",
            hint="download it again; a checkpoint of PyTorch ends in `.pth` or `.pt`",
        )
    if length > LONGEST_HEADER:
        raise MethodError(
            f"`{shown}` says that its header has {length:,} bytes; more than {LONGEST_HEADER:,} are not read",
            hint="it is damaged, or does not hold the weights of a network",
        )


def _plain_values(metadata: Mapping[str, str]) -> dict[str, Any]:
    """What `encode_safetensors` wrote beside the tensors; {} where another program wrote the file."""
    try:
        values = json.loads(metadata.get(_KEY, "{}"))
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}
