"""What every application of this machine has: files, errors as JSON, and the guard against strangers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from hqgen.errors import HqgenError, UsageError
from hqgen.view.security import Guard

PAGE = Path(__file__).with_name("page")
"""The page of `hqgen view` as `scripts/page` builds it out of `web/`."""

IMMUTABLE = "private, max-age=31536000, immutable"
"""How long a browser keeps what never changes."""


def web_application(routes: Sequence[Route]) -> Starlette:
    """An application that answers only pages of its own, and errors as JSON: `error`, and `hint`.

    Args:
        routes: its addresses.
    """
    return Starlette(
        routes=routes,
        middleware=[Middleware(Guard), Middleware(GZipMiddleware, minimum_size=2000)],
        exception_handlers={HqgenError: _error, HTTPException: _refused},
    )


def file_route(path: str, file: Path) -> Route:
    """The address of a file that belongs to the installed page."""

    async def answer(_request: Request) -> Response:
        # The page of another version of hqgen must not stay in the browser; its ETag makes asking cheap.
        return FileResponse(file, headers={"Cache-Control": "no-cache"})

    return Route(path, answer)


async def _error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HqgenError)
    status = 400 if isinstance(error, UsageError) else 422
    return JSONResponse(
        {"error": error.message, "hint": error.hint}, status, headers={"Cache-Control": "no-store"}
    )


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = f"there is nothing at `{request.url.path}`" if error.status_code == 404 else error.detail
    return JSONResponse({"error": text, "hint": ""}, error.status_code)
