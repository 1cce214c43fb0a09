"""What writes one kind of data set."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

from hqgen.errors import UsageError
from hqgen.export.selection import Chosen
from hqgen.export.settings import Kind

Row = dict[str, Any]


class Writer(ABC):
    """Writes samples, one after the other, as files of one kind of data set.

    Args:
        folder: to write into; it is there and empty.
        methods, judges: keys of the columns `scores` and `judges`.
        most_bytes: of one file that holds many samples.

    Class attributes:
        pattern: of the files of a split, relative to the folder, with `{split}` in it.
    """

    pattern: ClassVar[str]

    def __init__(
        self, folder: Path, *, methods: Sequence[str], judges: Sequence[str], most_bytes: int
    ) -> None:
        self.folder, self.methods, self.judges, self.most_bytes = folder, methods, judges, most_bytes

    @abstractmethod
    def add(self, sample: Chosen, row: Row, png: bytes) -> None:
        """Write one sample: what is said of it, and its picture."""

    @abstractmethod
    def close(self) -> None:
        """Finish all files."""

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_HOMES: dict[Kind, str] = {
    "imagefolder": "hqgen.export.imagefolder:ImageFolder",
    "webdataset": "hqgen.export.webdataset:WebDataset",
    "huggingface": "hqgen.export.huggingface:HuggingFace",
}


def writer_of(kind: Kind) -> type[Writer]:
    """The writer of a kind of data set.

    Raises:
        UsageError: a library that it needs is not installed.
    """
    module, _, name = _HOMES[kind].partition(":")
    try:
        found: type[Writer] = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"`--to {kind}` needs the library `{error.name}`",
            hint="install it with `pip install 'hqgen[export]'`",
        ) from error
    return found
