"""File names for samples: any key gives a name that is safe everywhere, and no two keys give one name."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]|^-")
_LONGEST = 80
"""The name, its ending and a split stay below the 100 bytes that a tar's header has."""


def file_names(keys: Sequence[str]) -> list[str]:
    """A name without an ending for every key of one source, in order.

    What is not a letter, a digit, `_` or `-` becomes `=` and two hexadecimal digits per byte, so the key can
    be read from the name. A dot is written so, too: WebDataset takes all before the first dot as the key.
    Long names, and names that differ only in capitals, get a digest of the key.
    """
    names = [_escaped(key) for key in keys]
    alike = Counter(name.lower() for name in names)
    return [
        _with_digest(name, key) if alike[name.lower()] > 1 or len(name) > _LONGEST else name
        for name, key in zip(names, keys, strict=True)
    ]


def _escaped(key: str) -> str:
    return _UNSAFE.sub(
        lambda found: "".join(f"={byte:02X}" for byte in found[0].encode("utf-8", "surrogateescape")), key
    )


def _with_digest(name: str, key: str) -> str:
    """`==` is in no escaped name, so this one equals none of them."""
    digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return f"{name[: _LONGEST - 18]}=={digest}"
