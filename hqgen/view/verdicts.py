"""Verdicts over HTTP: several browsers write into one journal, and each sees what the others say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hqgen.config import validated
from hqgen.curation import Journal
from hqgen.errors import UsageError
from hqgen.inspection.samples import Samples
from hqgen.manifest import Action

LARGEST_WRITE = 1 << 20
"""Bytes of one request that writes."""

Asked = TypeVar("Asked", bound=BaseModel)


class Said(BaseModel):
    """The same verdict on some samples: rows of the index, and for a pick the number of its method."""

    model_config = ConfigDict(extra="forbid")

    rows: Annotated[list[int], Field(min_length=1, max_length=10_000)]
    action: Action
    method: Annotated[int, Field(ge=0)] | None = None
    note: Annotated[str, Field(max_length=2000)] = ""


class TakenBack(BaseModel):
    """The number of an entry that no longer holds; without it the last one that holds."""

    model_config = ConfigDict(extra="forbid")

    number: Annotated[int, Field(ge=1)] | None = None


class Verdicts:
    """The journal of a store, by rows of its index.

    Args:
        manifest_path: the manifest; the journal is beside it.
        samples: of the store.
        author: who judges in the page.
    """

    def __init__(self, manifest_path: Path, samples: Samples, author: str = "") -> None:
        self._samples, self._author = samples, author
        self._journal = Journal(manifest_path, samples.manifest)
        self._row_of = {key: row for row, key in enumerate(samples.index.keys)}

    def routes(self) -> list[Route]:
        """The addresses of verdicts."""
        return [
            Route("/api/verdicts", self._read, methods=["GET"]),
            Route("/api/verdicts", self._write, methods=["POST"]),
            Route("/api/undo", self._undo, methods=["POST"]),
        ]

    def actions(self) -> dict[int, str]:
        """What holds: the action by row."""
        return {self._row_of[key]: verdict.action for key, verdict in self._journal.state().items()}

    def _length(self) -> int:
        return len(self._journal.since())

    def _state(self) -> dict[str, Any]:
        """What holds: of each sample with a verdict the action, the number of the method and the note."""
        names = self._samples.index.methods
        # The number first: what somebody says between the two is news for the next question, too.
        number = self._length()
        found = self._journal.state()
        return {
            "number": number,
            "verdicts": [
                {
                    "row": self._row_of[key],
                    "action": verdict.action,
                    "method": None if verdict.method is None else names.index(verdict.method),
                    "note": verdict.note,
                    "author": verdict.author,
                    "time": verdict.time,
                }
                for key, verdict in found.items()
            ],
        }

    async def _read(self, request: Request) -> Response:
        """What holds; with `since` only whether that has changed."""

        def answer() -> dict[str, Any]:
            # A page asks every second or two: most answers are that there is nothing new.
            if request.query_params.get("since") == str(number := self._length()):
                return {"number": number, "verdicts": None}
            return self._state()

        return JSONResponse(await run_in_threadpool(answer))

    async def _write(self, request: Request) -> Response:
        """Says more; the answer is what holds then, and the numbers of the new entries."""
        said = await _body(request, Said)

        def write() -> dict[str, Any]:
            method = None if said.method is None else self._samples.method(said.method)
            keys = [self._samples.place(row).sample.key for row in said.rows]
            new = self._journal.add(said.action, keys, method=method, note=said.note, author=self._author)
            return self._state() | {"said": [entry.number for entry in new]}

        return JSONResponse(await run_in_threadpool(write))

    async def _undo(self, request: Request) -> Response:
        taken = await _body(request, TakenBack)

        def write() -> dict[str, Any]:
            self._journal.undo(taken.number, author=self._author)
            return self._state()

        return JSONResponse(await run_in_threadpool(write))


async def _body(request: Request, model: type[Asked]) -> Asked:
    """What a request says.

    Raises:
        UsageError: it is too long, is not JSON, or says something else.
    """
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > LARGEST_WRITE:
            raise UsageError("the request is too long", hint=f"at most {LARGEST_WRITE} bytes")
    try:
        values = json.loads(bytes(content) or b"{}")
    except ValueError as error:
        raise UsageError(f"the request is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise UsageError("the request must be a JSON object")
    return validated(model, values, "the request")
