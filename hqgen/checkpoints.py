"""Checkpoints: files of tensors, read without running code, written whole."""

from __future__ import annotations

import re
import struct
import zipfile
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from hqgen.errors import MethodError
from hqgen.files import is_web_page, sha256_file, write_atomically
from hqgen.safetensors_file import SUFFIX, encode_safetensors, is_safetensors, read_safetensors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor, nn

WRAPPERS = ("state_dict", "model_state_dict", "model", "params_ema", "params", "net", "network", "weights")
"""Names under which training scripts put the state_dict; the first one present is taken."""

PREFIXES = ("module.", "_orig_mod.", "model.", "net.")
"""What DataParallel, torch.compile and training frameworks put before every name."""

DAMAGED = (
    UnpicklingError,
    struct.error,
    RuntimeError,
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    OSError,
)
"""What reading a file with torch.load raises, depending on where the damage is."""


def load_weights(
    network: nn.Module, path: str | Path, sha256: str | None = None, *, shown: Path | None = None
) -> None:
    """Load a checkpoint into `network`: every tensor it needs, and no other.

    Args:
        network: the network, changed in place.
        path: a checkpoint as `read_checkpoint` takes it.
        sha256: what the file must have; None: not checked.
        shown: the name for messages, where `path` is a temporary copy.

    Raises:
        MethodError: missing, of another sha256, damaged, no checkpoint, or not the tensors of `network`; the
            message names the first tensor that differs, with the expected and the found shape.
    """
    path, shown = existing_file(Path(path)), shown or Path(path)
    if sha256 is not None and (found := sha256_file(path)) != sha256.lower():
        raise MethodError(
            f"`{shown}` is not the expected file: its sha256 is {found}, not {sha256.lower()}",
            hint="download it again, or register the new file with `hqgen weights add`",
        )
    fill(network, read_checkpoint(path, shown=shown), shown)


def fill(network: nn.Module, state: Mapping[str, Tensor], shown: Path) -> None:
    """Put a state_dict that was read into `network`: every tensor it needs, and no other.

    Args:
        network: the network, changed in place.
        state: of the checkpoint.
        shown: the name of the checkpoint for messages.

    Raises:
        MethodError: these are not the tensors of `network`; see `load_weights`.
    """
    expected = network.state_dict()
    state = _without_prefix(state, expected)
    _require_fit(state, expected, shown)
    network.load_state_dict(state)


def read_checkpoint(path: str | Path, *, shown: Path | None = None) -> dict[str, Tensor]:
    """Read the state_dict in a checkpoint file, without running any code that the file may hold.

    The file holds a state_dict, or a dict with one under a usual name (`WRAPPERS`); or it is safetensors.

    Raises:
        MethodError: damaged, no checkpoint, a pickled network, or no state_dict in it.
    """
    return read_checkpoint_and_meta(path, shown=shown)[0]


def read_checkpoint_and_meta(
    path: str | Path, *, shown: Path | None = None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a checkpoint once for what `read_checkpoint` and `read_meta` give."""
    path, shown = Path(path), shown or Path(path)
    content = _content(path, shown)
    state = _state_dict(content)
    if state is None:
        what = type(content).__name__
        if isinstance(content, dict):
            names = ", ".join(f"`{name}`" for name in list(content)[:5])
            what = f"the entries {names or 'of an empty dict'}"
        raise MethodError(
            f"`{shown}` holds no state_dict, but {what}",
            hint="save the network's own `state_dict()` with torch.save",
        )
    return state, _meta(content)


def read_meta(path: str | Path) -> dict[str, Any]:
    """Read what a checkpoint says beside its tensors: its entry `meta`, {} where it has none.

    Raises:
        MethodError: as `read_checkpoint`.
    """
    return _meta(_content(Path(path), Path(path)))


def _meta(content: Any) -> dict[str, Any]:
    meta = content.get("meta") if isinstance(content, dict) else None
    return dict(meta) if isinstance(meta, dict) else {}


def _content(path: Path, shown: Path) -> Any:
    import torch

    if is_safetensors(path):
        return read_safetensors(path, shown)
    _require_checkpoint(path, shown)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except DAMAGED as error:
        raise _unreadable(error, shown) from error


def write_checkpoint(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write with torch.save, or as safetensors where the name ends so; whole or not at all.

    Args:
        path: the file; folders above it are made.
        content: tensors and plain values, which `torch.load(weights_only=True)` reads. As safetensors, all
            tensors are in its `state_dict`, and the rest is what JSON can hold.

    Raises:
        OSError: it cannot be written; then `path` is as it was.
    """
    import torch

    if Path(path).suffix.lower() == SUFFIX:
        write_atomically(Path(path), encode_safetensors(content))
        return
    data = BytesIO()
    torch.save(dict(content), data)
    write_atomically(Path(path), data.getvalue())


def is_torchscript(path: Path) -> bool:
    """Whether a file is an archive of TorchScript, made by `torch.jit.save`."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def existing_file(path: Path) -> Path:
    """`path`, or a MethodError that says that there is no such file."""
    if not path.is_file():
        raise MethodError(f"no weights file `{path}`", hint="see docs/weights.md for where to get it")
    return path


def _state_dict(content: Any) -> dict[str, Tensor] | None:
    """The state_dict that `content` is, or holds under a usual name."""
    import torch

    if not isinstance(content, dict) or not content:
        return None
    if all(isinstance(value, torch.Tensor) for value in content.values()):
        return dict(content)
    for name in WRAPPERS:
        if (state := _state_dict(content.get(name))) is not None:
            return state
    return None


def _without_prefix(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Strip what wrappers put before every name, unless the network itself has it."""
    for prefix in PREFIXES:
        while all(name.startswith(prefix) for name in state) and not any(
            name.startswith(prefix) for name in expected
        ):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def _require_fit(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], shown: Path) -> None:
    problems = list(_misfits(state, expected))
    if problems:
        others = f" (and {len(problems) - 1} more tensors differ)" if len(problems) > 1 else ""
        raise MethodError(
            f"`{shown}` does not fit the network: {problems[0]}{others}",
            hint="it was trained for another method, variant or number of frames",
        )


def _misfits(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> Iterator[str]:
    for name, tensor in expected.items():
        found = state.get(name)
        if found is None:
            yield f"`{name}` {tuple(tensor.shape)} is missing"
        elif found.shape != tensor.shape:
            yield f"`{name}` has the shape {tuple(found.shape)}, expected {tuple(tensor.shape)}"
        elif found.is_floating_point() and not bool(found.isfinite().all()):
            yield f"`{name}` holds values that are not finite"
    yield from (
        f"`{name}` {tuple(state[name].shape)} is not expected" for name in state if name not in expected
    )


def _require_checkpoint(path: Path, shown: Path) -> None:
    """Refuse a file that does not begin like what torch.save writes: a zip archive, or once a pickle."""
    with path.open("rb") as file:
        start = file.read(64)
    if is_web_page(start):
        raise MethodError(
            f"`{shown}` is a web page, not a PyTorch checkpoint",
            hint="the file host wants something: open the address in a browser and download the file there",
        )
    if not start.startswith((b"PK\x03\x04", b"\x80\x02")):
        raise MethodError(
            f"`{shown}` is not a PyTorch checkpoint ({path.stat().st_size} bytes that begin with "
            f"{start[:4]!r})",
            hint="download it again",
        )
    if is_torchscript(path):
        raise MethodError(
            f"`{shown}` is a TorchScript archive, which holds code, not a checkpoint of tensors",
            hint="if you trust it, save its tensors: `import torch; "
            f"torch.save(torch.jit.load('{shown.name}').state_dict(), '{shown.stem}.state.pth')`",
        )


def _unreadable(error: Exception, shown: Path) -> MethodError:
    """Tell pickled objects from damage."""
    found = re.search(r"GLOBAL (\S+) was not an allowed global", str(error))
    if found is None:
        return MethodError(f"`{shown}` is truncated or damaged", hint="download it again")
    return MethodError(
        f"`{shown}` holds a pickled `{found[1]}`, not just tensors: loading it could run any code",
        hint="if you trust it, convert it where its original code can be imported: "
        f"`import torch; torch.save(torch.load('{shown.name}', weights_only=False).state_dict(), "
        f"'{shown.stem}.state.pth')`",
    )
