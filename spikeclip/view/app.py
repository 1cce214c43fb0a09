"""The application: the report of a training, or of each training of a recipe, as its folder is now.

=====================================  =========================================================
address                                answer
=====================================  =========================================================
``/``                                  the report; of a recipe, its trainings and tables
``/?training=NAME``                    the report of one training of a recipe
``/picture?training=NAME&name=FILE``   a row of pictures of the report
``/pictures.png``                      the samples that a recipe compares in all its rows
``/style.css``, ``/page.js``, ...      what the page needs
=====================================  =========================================================

Each answer is made of the files of that moment, so a training need not know who watches it. The page asks
again every two seconds; its ETag makes that cheap. A name in an address is looked up among the
trainings and pictures that there are; it is never a path.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from hqgen.errors import UnknownNameError, UsageError
from hqgen.files import blake3_bytes
from hqgen.report.page import linked_page, resource
from hqgen.view.web import IMMUTABLE, PAGE, file_route, web_application
from spikeclip.training import report
from spikeclip.training.folder import RunFolder
from spikeclip.training.settings import STAGES
from spikeclip.training.status import REFERENCES, Frame, is_training, read_status, read_tables

PICTURE = re.compile(rf"({'|'.join(STAGES)})-\d+|{'|'.join(REFERENCES)}")
"""Names of rows of pictures."""

SAMPLES = "pictures.png"
"""What a recipe calls its picture of all rows."""


def application(folder: Path) -> Starlette:
    """The application over the folder of a training or of a recipe; it need not be there yet.

    Raises:
        UsageError: there is a file in its place.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(
            f"`{folder}` is not a folder", hint="name the folder of a training, as in `--out` of the training"
        )
    viewed = _Viewed(folder)
    return web_application(
        [
            Route("/", viewed.page),
            Route("/picture", viewed.picture),
            Route(f"/{SAMPLES}", viewed.samples),
            Route("/style.css", _text(report.style(), "text/css")),
            Route("/page.js", _text(resource("page.js", report.PACKAGE), "text/javascript")),
            file_route("/icon.svg", PAGE / "icon.svg"),
        ]
    )


class _Viewed:
    """The folder that is shown."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = report.report_environment("spikeclip.view")

    async def page(self, request: Request) -> Response:
        text = await run_in_threadpool(self._page, request.query_params.get("training"))
        tag = f'"{blake3_bytes(text.encode())[:16]}"'
        headers = {"Cache-Control": "no-cache", "ETag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(text, media_type="text/html", headers=headers)

    async def picture(self, request: Request) -> Response:
        name = request.query_params.get("name", "")
        folder = self._training(request.query_params.get("training"))
        path = RunFolder(folder).small(name)
        if not PICTURE.fullmatch(name) or not path.is_file():
            raise HTTPException(404)
        return FileResponse(path, media_type="image/webp", headers={"Cache-Control": IMMUTABLE})

    async def samples(self, _request: Request) -> Response:
        if not (self._folder / SAMPLES).is_file():
            raise HTTPException(404)
        return FileResponse(self._folder / SAMPLES, headers={"Cache-Control": "no-cache"})

    def _page(self, name: str | None) -> str:
        if name is None and not is_training(self._folder):
            below = trainings_below(self._folder)
            if below or (self._folder / "table.json").is_file():
                return self._overview(below)
        status = read_status(self._training(name))

        def source(frame: Frame) -> str:
            named = {} if name is None else {"training": name}
            return "/picture?" + urlencode({**named, "name": frame.file, "version": frame.version})

        values = report.page_values(status, source)
        above = "" if name is None else "/"
        return linked_page(
            self._environment, "report.html", title=report.title(status), above=above, **values
        )

    def _overview(self, below: dict[str, Path]) -> str:
        problems: list[str] = []
        found = [(name, read_status(path)) for name, path in below.items()]
        picture = self._folder / SAMPLES
        complete = sum(status.state == "complete" for _, status in found)
        name = self._folder.resolve().name
        return linked_page(
            self._environment,
            "overview.html",
            title=f"{name}: {complete} of {len(found)} trainings complete",
            name=name,
            complete=complete,
            trainings=[(name, report.headline(status), status) for name, status in found],
            tables=read_tables(self._folder, problems),
            problems=problems,
            picture=f"/{SAMPLES}?version={picture.stat().st_mtime_ns:x}" if picture.is_file() else None,
        )

    def _training(self, name: str | None) -> Path:
        """The folder of a training by its name.

        Raises:
            UnknownNameError: there is no such training.
        """
        if name is None:
            return self._folder
        below = trainings_below(self._folder)
        if name not in below:
            raise UnknownNameError("training", name, below)
        return below[name]


def trainings_below(folder: Path) -> dict[str, Path]:
    """The trainings of a recipe, by their places in its folder."""
    plans = [*sorted(folder.glob("*/plan.json")), *sorted(folder.glob("*/*/plan.json"))]
    found = [plan.parent for plan in plans if is_training(plan.parent)]
    return {path.relative_to(folder).as_posix(): path for path in found}


def _text(content: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_request: Request) -> Response:
        return Response(content, media_type=kind, headers={"Cache-Control": "no-cache"})

    return answer
