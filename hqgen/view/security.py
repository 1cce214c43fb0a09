"""Who may talk to the application: only pages that it served itself, to a browser on this machine.

Any page on the web can send requests to a port of this machine, and a name server of its owner can call this
machine by another name (DNS rebinding). So the application answers only requests that name it by its own
address, and takes writes only from its own pages.
"""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = ("127.0.0.1", "localhost", "[::1]")
"""Names of this machine that a request may give."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""What every answer carries: no script, style or picture of another origin, and no page around it."""


class Guard:
    """Middleware that refuses requests of strangers, and adds `HEADERS` to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        problem = refusal(scope["method"], Headers(scope=scope))
        if problem:
            await JSONResponse({"error": problem, "hint": ""}, 403)(scope, receive, with_headers)
        else:
            await self._app(scope, receive, with_headers)


def refusal(method: str, headers: Headers) -> str:
    """Why a request is refused; empty where it is not."""
    host = headers.get("host", "")
    if _name(host) not in HOSTS:
        return f"this application answers to {' and '.join(f'`{name}`' for name in HOSTS)}, not to `{host}`"
    if method in ("GET", "HEAD"):
        return ""
    if headers.get("origin") != f"http://{host}":
        return "only the application's own page may write"
    if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return "what is written must be JSON"
    return ""


def _name(host: str) -> str:
    """A host without its port."""
    name, _, port = host.rpartition(":")
    return name if name and port.isdecimal() else host
