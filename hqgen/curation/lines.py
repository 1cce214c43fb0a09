"""A file of lines that many processes append to at once, of which no line is ever lost."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from hqgen.errors import StoreError
from hqgen.files import sync
from hqgen.text import byte_size, why

log = logging.getLogger(__name__)


class News(NamedTuple):
    """Lines that were not read before, without their ends; `from_start`: they begin with the file's first."""

    lines: list[bytes]
    from_start: bool


class Lines:
    """A file of lines. A line counts once its end is on the disk; what a killed writer left of one does not.

    Args:
        path: the file; it is made by the first line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.forget()

    def news(self) -> News:
        """The lines since the last call; all of them where the file is another one than it was then.

        Raises:
            StoreError: the file cannot be read.
        """
        try:
            with self.path.open("rb", buffering=0) as file:
                fcntl.flock(file, fcntl.LOCK_SH)
                return self._news(file)
        except FileNotFoundError:
            self.forget()
            return News([], from_start=True)
        except OSError as error:
            raise StoreError(f"`{self.path}` cannot be read: {why(error)}") from error

    @contextmanager
    def alone(self) -> Iterator[tuple[News, FileIO]]:
        """Keep all other processes from reading and writing; gives what `news` does, and where to `append`.

        Raises:
            StoreError: the file cannot be written.
        """
        try:
            with self.path.open("a+b", buffering=0) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield self._news(file), file
        except OSError as error:
            raise StoreError(
                f"`{self.path}` cannot be written: {why(error)}",
                hint="verdicts are kept beside the manifest; copy the store to a place where you may write",
            ) from error

    def forget(self) -> None:
        """Begin again with the first line when the file is read next."""
        self._first, self._end, self._torn = b"", 0, 0
        # the first line, bytes of whole lines that were read, and of a torn line that a note named

    def append(self, file: FileIO, lines: list[bytes]) -> None:
        """Append lines, all or none, and see them on the disk; what was left of a torn line goes."""
        data = b"".join(line + b"\n" for line in lines)
        file.truncate(self._end)
        try:
            written = 0
            while written < len(data):
                written += file.write(data[written:])
            os.fsync(file.fileno())
        except OSError:
            file.truncate(self._end)
            raise
        if self._end == 0:
            self._first = lines[0]
            sync(self.path.parent)
        self._end, self._torn = self._end + len(data), 0

    def _news(self, file: FileIO) -> News:
        file.seek(0)
        first = file.readline().removesuffix(b"\n")
        from_start = self._end == 0 or first != self._first or os.fstat(file.fileno()).st_size < self._end
        if from_start:
            self._end = 0
        file.seek(self._end)
        data = file.readall()
        *lines, torn = data.split(b"\n")
        if torn and len(torn) != self._torn:
            log.warning(
                "`%s`: the last line (%s) was cut off and is left out", self.path, byte_size(len(torn))
            )
        self._first = lines[0] if from_start and lines else self._first
        self._end, self._torn = self._end + len(data) - len(torn), len(torn)
        return News(lines, from_start)
