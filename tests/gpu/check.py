"""`scripts/gpu-check`: every part in a process of its own, its rows in one JSON and one Markdown table.

A part that fails, crashes or takes too long keeps the rows that it has made, and its error is written beside
them; a broken CUDA context does not reach the next part. The exit code is 0, or 1 where something is wrong.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

from tests.gpu.rows import Request, Row

LIMIT = 540
"""Seconds of all parts together."""
START = 60
"""Seconds of `LIMIT` that a process may need to import everything; only the first one does."""

PARTS = {"hardware": 20, "parity": 80, "memory": 30, "latency": 50, "training": 210, "speed": 130}
"""Functions of `tests.gpu.parts` in their order, with the seconds after which each is ended."""


@dataclass
class Result:
    """What came of a part."""

    part: str
    budget: float
    about: str = ""
    seconds: float = 0.0
    error: str = ""
    rows: list[Row] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether it was measured whole, and nothing is wrong."""
        return not self.error and not any(row.fault for row in self.rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts; see the module."""
    parser = argparse.ArgumentParser(prog="scripts/gpu-check", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("gpu-check"), help="folder of the two files")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--small", action="store_true", help="the reduced form, for a machine without a GPU")
    parser.add_argument("--parts", default=",".join(PARTS), help="names of parts, with commas")
    options = parser.parse_args(arguments)
    names = options.parts.split(",")
    if unknown := [name for name in names if name not in PARTS]:
        parser.error(f"there is no part `{unknown[0]}`; there are {', '.join(PARTS)}")
    options.out.mkdir(parents=True, exist_ok=True)
    request = Request(options.device, options.small)
    results: list[Result] = []
    ends = time.monotonic() + LIMIT
    for name in names:
        results.append(measured(name, request, min(PARTS[name], ends - time.monotonic())))
        print(f"{name}: {results[-1].seconds:.0f} s {results[-1].error}".strip(), file=sys.stderr)
        # Written after each part, so that they are there even if this process is ended.
        write(options.out, request, results)
    print((options.out / "gpu-check.md").read_text())
    return 0 if all(result.sound for result in results) else 1


def measured(name: str, request: Request, budget: float) -> Result:
    """Run a part in a process of its own."""
    result = Result(name, budget)
    # A server that never touches CUDA has imported everything, and each part is forked from it.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.gpu.parts"])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(name, request, sender))
    process.start()
    sender.close()
    try:
        if not receiver.poll(START):
            result.error = f"did not start within {START} s"
            return result
        result.about, started = receiver.recv(), time.monotonic()
        result.error = _collected(receiver, result.rows, started + budget) or ""
        result.seconds = time.monotonic() - started
    except EOFError:
        process.join(10)
        result.error = f"the process died with exit code {process.exitcode}"
    finally:
        process.kill()
        process.join()
        receiver.close()
    return result


def _collected(receiver: Connection, rows: list[Row], until: float) -> str:
    """Take rows until the part ends; what went wrong, or nothing."""
    while receiver.poll(max(0.0, until - time.monotonic())):
        item = receiver.recv()
        if not isinstance(item, Row):
            return str(item)
        rows.append(item)
    return "took too long"


def _work(name: str, request: Request, sender: Connection) -> None:
    """What the process does: send what the part is about, its rows, and at last its error or nothing."""
    from tests.gpu import parts

    measure = getattr(parts, name)
    sender.send(" ".join((measure.__doc__ or "").split("\n\n")[0].split()))
    try:
        for row in measure(request):
            sender.send(row)
        sender.send("")
    except Exception:  # noqa: BLE001 - whatever it was, it belongs into the table
        traceback.print_exc()
        sender.send(traceback.format_exc().strip().splitlines()[-1])


def write(folder: Path, request: Request, results: Sequence[Result]) -> None:
    """Write `gpu-check.json` and `gpu-check.md`."""
    document = {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        **request._asdict(),
        "seconds": sum(result.seconds for result in results),
        "parts": [asdict(result) for result in results],
    }
    (folder / "gpu-check.json").write_text(json.dumps(document, indent=1) + "\n")
    flags = f"--device {request.device}{' --small' if request.small else ''}"
    lines = [f"`scripts/gpu-check {flags}`, {document['date']}, {document['seconds']:.0f} s", ""]
    for result in results:
        lines += [
            f"### {result.part}",
            "",
            f"{result.about} {result.seconds:.0f} s.",
            "",
        ]
        lines += [*table(result.rows), ""] if result.rows else []
        faults = [f"{row.name}: {row.fault}" for row in result.rows if row.fault]
        lines += [f"- **error**: {fault}" for fault in [*([result.error] if result.error else []), *faults]]
        lines += [""] if lines[-1] else []
    (folder / "gpu-check.md").write_text("\n".join(lines))


def table(rows: Sequence[Row]) -> list[str]:
    """Lines of Markdown: a column for each cell that a row has."""
    columns = list(dict.fromkeys(name for row in rows for name in row.cells))
    grid = [["", *columns], ["---"] * (1 + len(columns))]
    grid += [[row.name, *(_text(row.cells.get(name, "")) for name in columns)] for row in rows]
    return [f"| {' | '.join(line)} |" for line in grid]


def _text(cell: float | str) -> str:
    return cell.replace("|", r"\|").replace("\n", " ") if isinstance(cell, str) else f"{cell:.4g}"


if __name__ == "__main__":
    sys.exit(main())
