"""A data set of the Hugging Face Hub: `data/SPLIT-00000.parquet`, with PNG files as images of `datasets`."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from hqgen.export.metadata import features
from hqgen.export.selection import Chosen
from hqgen.export.writers import Row, Writer

ROWS = 64
"""Rows in a group of a parquet file: what a reader of one row must load."""

_TYPES = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64()}


class HuggingFace(Writer):
    """See the module."""

    pattern: ClassVar[str] = "data/{split}-*.parquet"

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._rows: dict[str, list[Row]] = {}
        self._open: dict[str, tuple[pq.ParquetWriter, int]] = {}
        self._begun: dict[str, int] = {}

    def add(self, sample: Chosen, row: Row, png: bytes) -> None:
        """See `Writer`."""
        rows = self._rows.setdefault(sample.split, [])
        rows.append({"image": {"bytes": png, "path": f"{sample.name}.png"}} | row)
        if len(rows) == ROWS:
            self._write(sample.split)

    def _write(self, split: str) -> None:
        """Write the rows that wait, as one group."""
        rows = self._rows.pop(split)
        size = sum(len(row["image"]["bytes"]) for row in rows)
        schema = self._schema()
        writer, written = self._open.get(split, (None, 0))
        if writer is None or written + size > self.most_bytes:
            if writer is not None:
                writer.close()
            number = self._begun.get(split, 0)
            self._begun[split] = number + 1
            path = self.folder / "data" / f"{split}-{number:05d}.parquet"
            path.parent.mkdir(exist_ok=True)
            writer, written = pq.ParquetWriter(path, schema, compression="zstd"), 0
        writer.write_table(pa.Table.from_pylist(rows, schema=schema))
        self._open[split] = (writer, written + size)

    def _schema(self) -> pa.Schema:
        described = features(self.methods, self.judges)
        image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        fields = [(name, image if kind == "image" else _arrow(kind)) for name, kind in described.items()]
        info = {"info": {"features": {name: _feature(kind) for name, kind in described.items()}}}
        return pa.schema(fields, metadata={"huggingface": json.dumps(info)})

    def close(self) -> None:
        """See `Writer`."""
        for split in list(self._rows):
            self._write(split)
        for writer, _ in self._open.values():
            writer.close()


def _arrow(kind: str | dict[str, str]) -> pa.DataType:
    return (
        pa.struct([(name, _TYPES[inner]) for name, inner in kind.items()])
        if isinstance(kind, dict)
        else _TYPES[kind]
    )


def _feature(kind: str | dict[str, str]) -> dict[str, Any]:
    """A column as the metadata of `datasets` has it."""
    if isinstance(kind, dict):
        return {name: _feature(inner) for name, inner in kind.items()}
    return {"_type": "Image"} if kind == "image" else {"dtype": kind, "_type": "Value"}
