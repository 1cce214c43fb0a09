"""A folder of PNG files: `SPLIT/SOURCE/NAME.png`, and what is said of them in `SPLIT/metadata.jsonl`.

`datasets` reads it as `imagefolder`; torchvision's `ImageFolder` reads one split, where sources are classes.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar, TextIO

from hqgen.export.selection import Chosen
from hqgen.export.writers import Row, Writer


class ImageFolder(Writer):
    """See the module."""

    pattern: ClassVar[str] = "{split}/**"

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._lines: dict[str, TextIO] = {}

    def add(self, sample: Chosen, row: Row, png: bytes) -> None:
        """See `Writer`."""
        name = f"{sample.source.name}/{sample.name}.png"
        file = self.folder / sample.split / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png)
        if sample.split not in self._lines:
            self._lines[sample.split] = (self.folder / sample.split / "metadata.jsonl").open(
                "w", encoding="utf-8"
            )
        self._lines[sample.split].write(json.dumps({"file_name": name} | row, ensure_ascii=False) + "\n")

    def close(self) -> None:
        """See `Writer`."""
        for file in self._lines.values():
            file.close()
