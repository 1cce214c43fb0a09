"""The application: its page, its pictures, and what the page asks for, as JSON.

=========================================  =====================================================
address                                    answer
=========================================  =====================================================
``/``, ``/app.js``, ``/style.css``         the page
``/api/store``                             what holds for all samples
``/api/samples?...``                       the rows of a query, a part of them, and counts
``/api/samples/ROW``                       one sample
``/api/samples/ROW/rates``                 the spike rate of its window
``/api/samples/ROW/truth``                 its candidates beside the ground truth
``/api/verdicts``                          what people say of samples; POST says more
``/api/undo``                              POST takes back what was said last
``/pictures/VERSION/ROW/...``              a picture as PNG: see `hqgen.view.pictures`
=========================================  =====================================================

An error is JSON, too: `error`, and `hint`. All parts of an address are numbers; none is a path of a file.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hqgen.files import blake3_file
from hqgen.inspection.index import Query, Selection
from hqgen.inspection.samples import Samples
from hqgen.view.descriptions import page_of, sample_description, store_description
from hqgen.view.pictures import picture_routes
from hqgen.view.queries import asked
from hqgen.view.verdicts import Verdicts
from hqgen.view.web import PAGE, file_route, web_application

FILES = {"/": "index.html", "/app.js": "app.js", "/style.css": "style.css", "/icon.svg": "icon.svg"}

QUERIES_KEPT = 8
"""Queries whose rows stay in memory: a page that scrolls asks for parts of the same one."""


class _Api:
    """Answers what the page asks for."""

    def __init__(self, samples: Samples, version: str, verdicts: Verdicts) -> None:
        self._samples, self._version, self._verdicts = samples, version, verdicts
        self._select = lru_cache(maxsize=QUERIES_KEPT)(self._selected)

    async def store(self, _request: Request) -> Response:
        return JSONResponse(store_description(self._samples, self._version))

    async def rows(self, request: Request) -> Response:
        def answer() -> dict[str, Any]:
            wanted = asked(request.query_params)
            query = wanted.query()
            # What is found depends on the verdicts only where the query asks for them.
            verdicts = frozenset(self._verdicts.actions().items() if query.verdicts else ())
            found = self._select(query, verdicts)
            return page_of(self._samples.index, found, wanted.start, wanted.count, wanted.find)

        return JSONResponse(await run_in_threadpool(answer))

    async def sample(self, request: Request) -> Response:
        return JSONResponse(sample_description(self._samples, request.path_params["row"]))

    async def rates(self, request: Request) -> Response:
        return JSONResponse(asdict(await run_in_threadpool(self._samples.rates, request.path_params["row"])))

    async def truth(self, request: Request) -> Response:
        found = await run_in_threadpool(self._samples.beside_truth, request.path_params["row"])
        return JSONResponse(None if found is None else asdict(found))

    def _selected(self, query: Query, verdicts: frozenset[tuple[int, str]]) -> Selection:
        return self._samples.index.select(query, dict(verdicts))


def application(manifest_path: str | Path, data_root: Path | None = None, author: str = "") -> Starlette:
    """The application over one finished store.

    Args:
        manifest_path: the manifest; the store is where it says.
        data_root: where the catalog's folders are, for sources that are no longer where they were.
        author: who judges in the page.

    Raises:
        StoreError: there is no manifest or no complete store, or the store is of another plan.
    """
    samples = Samples(manifest_path, data_root)
    version = blake3_file(Path(manifest_path))[:16]
    verdicts = Verdicts(Path(manifest_path), samples, author)
    api = _Api(samples, version, verdicts)
    routes = [
        *(file_route(path, PAGE / name) for path, name in FILES.items()),
        Route("/api/store", api.store),
        Route("/api/samples", api.rows),
        Route("/api/samples/{row:int}", api.sample),
        Route("/api/samples/{row:int}/rates", api.rates),
        Route("/api/samples/{row:int}/truth", api.truth),
        *verdicts.routes(),
        *picture_routes(samples, version),
    ]
    return web_application(routes)
