"""WebDataset: tars `SPLIT-000000.tar`, in which a sample is `SOURCE/NAME.png` and `SOURCE/NAME.json`.

What the JSON files say is in `SPLIT.jsonl` too: readers of Croissant cannot read JSON inside a tar. People
can look there for a sample without opening tars.
"""

from __future__ import annotations

import io
import json
import tarfile
from typing import Any, ClassVar, TextIO

from hqgen.export.selection import Chosen
from hqgen.export.writers import Row, Writer


class WebDataset(Writer):
    """See the module. Two exports of one store have the same bytes: no time and no owner is in the tars."""

    pattern: ClassVar[str] = "{split}-*.tar"

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._open: dict[str, tarfile.TarFile] = {}
        self._begun: dict[str, int] = {}
        self._lines: dict[str, TextIO] = {}

    def add(self, sample: Chosen, row: Row, png: bytes) -> None:
        """See `Writer`."""
        line = json.dumps(row, ensure_ascii=False)
        text = line.encode()
        tar = self._tar(sample.split, len(png) + len(text) + 4 * tarfile.BLOCKSIZE)
        for ending, content in (("json", text), ("png", png)):
            entry = tarfile.TarInfo(f"{sample.source.name}/{sample.name}.{ending}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        self._lines[sample.split].write(line + "\n")

    def _tar(self, split: str, more: int) -> tarfile.TarFile:
        """The tar that a sample of so many bytes goes into."""
        there = self._open.get(split)
        if there is not None and (there.offset == 0 or there.offset + more <= self.most_bytes):
            return there
        if there is not None:
            there.close()
        else:
            self._lines[split] = (self.folder / f"{split}.jsonl").open("w", encoding="utf-8")
        number = self._begun.get(split, 0)
        self._begun[split] = number + 1
        path = self.folder / f"{split}-{number:06d}.tar"
        self._open[split] = tarfile.open(path, "w", format=tarfile.GNU_FORMAT)  # noqa: SIM115 - closed by `close`
        return self._open[split]

    def close(self) -> None:
        """See `Writer`."""
        for tar in self._open.values():
            tar.close()
        for lines in self._lines.values():
            lines.close()
