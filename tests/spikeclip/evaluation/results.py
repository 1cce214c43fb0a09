"""A small table of results."""

from __future__ import annotations

import math

from hqgen.tables import Cell, ResultRow
from spikeclip.evaluation.table import ResultTable


def table(niqe: float = 4.657, *, notes: tuple[str, ...] = ("LRN: a note",)) -> ResultTable:
    cost = {"params": Cell(0.185889), "macs": Cell(18.5616), "latency": Cell(0.54)}
    rows = (
        ResultRow("lrn", {"niqe_raw": Cell(niqe), "acc_raw": Cell(64.0), **cost}),
        ResultRow("tfp:window=200", {"niqe_raw": Cell(13.276), "acc_raw": Cell(1.6), "macs": Cell(0.0)}),
        ResultRow("broken_net", {"niqe_raw": Cell(math.inf), "acc_raw": Cell(0.0)}),
    )
    return ResultTable(rows, ("niqe",), {"split": "test", "samples": 20}, notes)
