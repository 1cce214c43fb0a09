"""Pictures as PNG, for a browser that keeps them.

The address of a picture has the digest of the manifest in it, and the manifest has the digests of all stored
pixels. So what an address shows never changes, and a browser need not ask for it again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hqgen.errors import HqgenError, UsageError
from hqgen.inspection.samples import SPIKES, Picture, Samples
from hqgen.pictures import png
from hqgen.view.web import IMMUTABLE

GAIN = 4
"""What the difference to the winner is multiplied by."""

LARGEST_FACTOR = 64


Draw = Callable[[Samples, Request], NDArray[np.uint8]]


def picture_routes(samples: Samples, version: str) -> list[Route]:
    """The addresses of pictures.

    Args:
        samples: of the store.
        version: digest of the manifest.
    """

    def route(path: str, draw: Draw, cache: str = IMMUTABLE) -> Route:
        endpoint = partial(_answer, samples, version, draw, cache)
        return Route(f"/pictures/{{version}}/{{row:int}}/{path}", endpoint)

    return [
        route("small/{factor:int}.png", _small),
        route("candidate/{method:int}.png", _candidate),
        route("difference/{method:int}.png", _difference),
        route("truth.png", _truth, "no-store"),  # the manifest has no digest of it
        route("frame/{frame:int}/spikes.png", _spikes),
        route("frame/{frame:int}/{method:int}.png", _frame),
    ]


async def _answer(
    samples: Samples,
    version: str,
    draw: Draw,
    cache: str,
    request: Request,
) -> Response:
    if request.path_params["version"] != version:
        raise UsageError("the page is of another state of the store", hint="load the page again")
    tag = f'"{version}{request.url.path.partition(version)[2]}"'
    headers = {"Cache-Control": cache} | ({"ETag": tag} if cache == IMMUTABLE else {})
    # Nothing needs to be drawn to know that it is the same.
    if cache == IMMUTABLE and tag in [
        item.strip() for item in request.headers.get("if-none-match", "").split(",")
    ]:
        return Response(status_code=304, headers=headers)
    content = await run_in_threadpool(lambda: png(Image.fromarray(draw(samples, request))))
    return Response(content, media_type="image/png", headers=headers)


def _small(samples: Samples, request: Request) -> Picture:
    factor = request.path_params["factor"]
    if not 1 <= factor <= LARGEST_FACTOR:
        raise UsageError(f"a picture cannot be smaller by {factor}", hint=f"from 1 to {LARGEST_FACTOR}")
    return samples.thumbnail(request.path_params["row"], factor)


def _candidate(samples: Samples, request: Request) -> Picture:
    return samples.candidate(request.path_params["row"], samples.method(request.path_params["method"]))


def _difference(samples: Samples, request: Request) -> NDArray[np.uint8]:
    row = request.path_params["row"]
    winner = samples.place(row).sample.method
    if winner is None:
        raise HqgenError("there is no winner to compare with")
    return difference(
        samples.candidate(row, samples.method(request.path_params["method"])), samples.candidate(row, winner)
    )


def _truth(samples: Samples, request: Request) -> Picture:
    found = samples.truth(request.path_params["row"])
    if found is None:
        raise HqgenError("there is no ground truth of this sample")
    return found


def _spikes(samples: Samples, request: Request) -> Picture:
    return samples.frame(request.path_params["row"], request.path_params["frame"], SPIKES)


def _frame(samples: Samples, request: Request) -> Picture:
    row, frame = request.path_params["row"], request.path_params["frame"]
    return samples.frame(row, frame, samples.method(request.path_params["method"]))


def difference(picture: Picture, winner: Picture) -> NDArray[np.uint8]:
    """What a picture has more than the winner in orange, what it has less in blue, on black; times `GAIN`.

    Returns:
        uint8 (H, W, 3).
    """
    apart = np.clip((picture.astype(np.int16) - winner) * GAIN, -255, 255)
    more, less = np.maximum(apart, 0), np.maximum(-apart, 0)
    colours = np.stack([more, more * 5 // 8 + less // 2, less], axis=-1)
    found: NDArray[np.uint8] = np.minimum(colours, 255).astype(np.uint8)
    return found
