"""Write, share and digest files, tell a web page, lock a folder, and find the folder of weights."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import IO

from blake3 import blake3

from hqgen.errors import HqgenError, UsageError
from hqgen.text import why

_PIECE = 1 << 20


def blake3_bytes(data: bytes | memoryview) -> str:
    """BLAKE3 of some bytes, 64 hexadecimal digits: what `b3sum` prints of a file that holds them."""
    return str(blake3(data).hexdigest())


def blake3_file(path: Path) -> str:
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


def sha256_file(path: str | Path) -> str:
    """The sha256 of a file in lower-case hex; read once as long as its size and time do not change."""
    status = Path(path).stat()
    return _digest(str(path), status.st_size, status.st_mtime_ns, status.st_ino)


@lru_cache(maxsize=256)
def _digest(path: str, _size: int, _changed: int, _inode: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, content: bytes | str | Iterable[str]) -> None:
    """Write a file whole: even after a power cut `path` holds all of the new content or all of the old.

    Args:
        path: the file; folders above it are made.
        content: bytes, or text (whole or in pieces), which is written as UTF-8.

    Raises:
        OSError: it cannot be written; then `path` is as it was.
    """
    with appearing(path) as partial, partial.open("wb") as file:
        for piece in [content] if isinstance(content, bytes | str) else content:
            file.write(piece.encode() if isinstance(piece, str) else piece)


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A name to write a file or a new folder under; after the block it becomes `path`, or is removed.

    The name begins with a dot and ends in `.partial`. Folders above it are made.

    Raises:
        OSError: it cannot be written; then `path` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        sync(partial)
        partial.replace(path)
    except BaseException:
        if partial.is_dir():
            shutil.rmtree(partial)
        partial.unlink(missing_ok=True)
        raise
    sync(path.parent)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Let the block write a file that a user named; the folders above it are made.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise UsageError(
            f"`{path}` cannot be written: {why(error)}", hint="name a file at a place where you may write"
        ) from error


def sync(path: Path) -> None:
    """Force a file, or the entries of a folder, to the disk.

    Raises:
        OSError: it cannot be read, or the disk does not take it.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_way(path: Path, *, within: Path) -> None:
    """Remove what is in the way of a file: an empty folder at its place, or files where folders should be.

    Args:
        path: the place of the file.
        within: a folder of ours; nothing outside of it is removed.

    Raises:
        OSError: there is a folder with content, which may be of a person.
    """
    for parent in reversed(path.relative_to(within).parents[:-1]):
        folder = within / parent
        if folder.is_file():
            folder.unlink(missing_ok=True)
    if path.is_dir():
        with suppress(FileNotFoundError):  # another worker was faster
            path.rmdir()


def share(file: Path, target: Path) -> None:
    """Let a file be at a second place: as a link, which takes no space, or else as a copy.

    It is for files that are only replaced, never changed, as those of a store: there a link is as good as a
    copy.

    Raises:
        OSError: there is no such file, or the second place cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(file, target)
    except OSError:
        if not file.is_file():
            raise
        partial = target.with_name(f"{target.name}.partial")
        shutil.copyfile(file, partial)
        sync(partial)
        partial.replace(target)
    sync(target.parent)


LOCK_TRIES, LOCK_PAUSE = 5, 0.02
"""How often to ask for a lock, and seconds between two times: `is_held` has it for a moment."""


def is_held(lock: Path) -> bool:
    """Whether a process has a place locked with `held`; nothing is made or changed to find out."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # there is no lock, or it may not be read
        return False
    return False


@contextmanager
def held(lock: Path, place: Path, who: str, error: type[HqgenError]) -> Iterator[None]:
    """Lock a place against other processes, until the block or the process ends.

    Args:
        lock: the file to lock; it and the folders above it are made.
        place: that the lock protects, for messages.
        who: what writes there, for messages: `build`, `training`.
        error: what to raise.

    Raises:
        HqgenError: an `error`: another process has the lock, or the place cannot be written.
    """
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("a+")
    except OSError as reason:
        raise error(
            f"`{place}` cannot be written: {reason.strerror or reason}", hint="choose another place"
        ) from reason
    with file:
        try:
            _locked(file)
        except OSError as reason:
            file.seek(0)
            raise error(
                f"another {who} is writing to `{place}` ({file.read().strip() or 'holder unknown'})",
                hint="wait until it has ended, or choose another place",
            ) from reason
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield


def _locked(file: IO[str]) -> None:
    """Lock a file.

    Raises:
        OSError: another process has it locked.
    """
    for tries_left in reversed(range(LOCK_TRIES)):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if not tries_left:
                raise
            time.sleep(LOCK_PAUSE)
        else:
            return


def is_web_page(start: bytes) -> bool:
    """Whether a file that begins so is HTML: what a host sends instead of a file that it does not give."""
    return start.lstrip().lower().startswith((b"<!doctype", b"<html"))


def weights_folder(folder: str | Path | None = None) -> Path:
    """The user's folder of weights: `folder`, else `HQGEN_WEIGHTS`, else `hqgen/weights` in the cache."""
    if folder:
        return Path(folder).expanduser()
    if named := os.environ.get("HQGEN_WEIGHTS"):
        return Path(named).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "hqgen" / "weights"
