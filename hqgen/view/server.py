"""Serve an application on this machine, and open it in the browser."""

from __future__ import annotations

import errno
import socket
import threading
import webbrowser
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette

from hqgen.errors import UsageError
from hqgen.text import why

HOST, PORT = "127.0.0.1", 8642


def serve(
    app: Starlette,
    *,
    port: int | None = None,
    browser: bool = True,
    ready: Callable[[str], None] = lambda _address: None,
) -> None:
    """Serve an application until an interrupt (Ctrl-C) ends it.

    Args:
        app: the application.
        port: 0 for a free one; by default `PORT`, or a free one where that is taken.
        browser: whether to open the browser.
        ready: called with the address when it answers.

    Raises:
        UsageError: the port is taken.
    """
    with listening(port) as listener:
        address = f"http://{HOST}:{listener.getsockname()[1]}/"

        def announce() -> None:
            ready(address)
            if browser:
                threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

        config = uvicorn.Config(
            app, log_level="error", access_log=False, lifespan="off", timeout_graceful_shutdown=1
        )
        try:
            _Server(config, announce).run(sockets=[listener])
        except KeyboardInterrupt:  # uvicorn has shut down, and raises the signal again
            return


class _Server(uvicorn.Server):
    """Says when it answers."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()


def listening(port: int | None) -> socket.socket:
    """A socket that listens on this machine only."""
    for number in [PORT, 0] if port is None else [port]:
        listener = socket.socket()
        # A port that was in use a moment ago can be used again at once.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, number))
            listener.listen(128)
        except OSError as error:
            listener.close()
            if error.errno == errno.EADDRINUSE and port is None:
                continue
            raise UsageError(
                f"port {number} of this machine cannot be used: {why(error)}",
                hint="give another one with `--port`, or `--port 0` for a free one",
            ) from error
        return listener
    raise AssertionError("port 0 is never in use")
