"""Writing a file whole, and telling by a digest what is in one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from blake3 import blake3

__all__ = ["digest_bytes", "digest_file", "write_atomically"]

_PIECE = 1 << 20


def digest_bytes(data: bytes | memoryview) -> str:
    """BLAKE3 of some bytes, 64 hexadecimal digits: what `b3sum` prints of a file that holds them."""
    return str(blake3(data).hexdigest())


def digest_file(path: Path) -> str:
    """BLAKE3 of a file, of which no more than a piece is held in memory.

    Recordings are digested before anything else happens to them, all of them and every byte; SHA-256 does
    1.5 GB a second on a core, less than one disk delivers, BLAKE3 5.

    Raises:
        OSError: it cannot be read.
    """
    hasher, piece = blake3(), bytearray(_PIECE)
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(piece):
            hasher.update(memoryview(piece)[:count])
    return str(hasher.hexdigest())


def write_atomically(path: Path, content: bytes | str | Iterable[str]) -> None:
    """Write a file so that `path` holds either what it held or all that is new, also after a power cut.

    Args:
        path: the file; folders above it are made.
        content: bytes, or text, whole or in pieces, which is written as UTF-8.

    Raises:
        OSError: it cannot be written; then `path` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            for piece in [content] if isinstance(content, bytes | str) else content:
                file.write(piece.encode() if isinstance(piece, str) else piece)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
