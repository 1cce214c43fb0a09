"""A web server on this machine that serves files as a file host does, with the faults that hosts have."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Fault:
    """What one answer has wrong.

    Attributes:
        status: what it answers instead of the file; 200: the file.
        headers: in addition.
        body: instead of the file.
        cut: it stops after so many bytes of the body.
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    cut: int | None = None


@dataclass
class Web:
    """The server: what it serves by path, and what it was asked.

    Attributes:
        address: of its root, without a slash at the end.
        files: content by path, such as `/a.pth`.
        faults: answers with faults by path, in order; after them the file comes as it is.
        tagged: whether it names versions of its files.
        ranges: whether it sends parts of files.
        headers: of every answer.
        asked: path, and the header `Range` of every request.
    """

    address: str
    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    tagged: bool = True
    ranges: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def put(self, path: str, content: bytes, *faults: Fault) -> str:
        """Serve `content` at a path; returns the address."""
        self.files[path], self.faults[path] = content, list(faults)
        return self.address + path


class _Handler(BaseHTTPRequestHandler):
    @property
    def web(self) -> Web:
        assert isinstance(self.server, _Server)
        return self.server.web

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        web, path = self.web, self.path.partition("?")[0]
        web.asked.append((self.path, self.headers.get("Range")))
        fault = web.faults[path].pop(0) if web.faults.get(path) else Fault()
        if path not in web.files or fault.status != 200:
            status = fault.status if path in web.files else 404
            self.answer(status, fault.body or b"", dict(fault.headers), fault)
            return
        content = web.files[path] if fault.body is None else fault.body
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        headers = dict(fault.headers) | ({"ETag": tag} if web.tagged else {})
        start = self.first_byte(tag)
        if start is None:
            self.answer(200, content, headers, fault)
        elif start >= len(content):
            self.answer(416, b"", {"Content-Range": f"bytes */{len(content)}"}, fault)
        else:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.answer(206, content[start:], headers, fault)

    def first_byte(self, tag: str) -> int | None:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range", tag) == tag
        return int(asked[1]) if asked and same and self.web.ranges else None

    def answer(self, status: int, body: bytes, headers: dict[str, str], fault: Fault) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | self.web.headers | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: fault.cut])
        self.close_connection = True

    def log_request(self, code: object = None, size: object = None) -> None:
        pass


class _Server(ThreadingHTTPServer):
    web: Web


@contextmanager
def serving() -> Iterator[Web]:
    """A server that runs until the block ends."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.web = Web(f"http://127.0.0.1:{server.server_port}")
    with answering(server):
        yield server.web


@contextmanager
def answering(server: ThreadingHTTPServer) -> Iterator[None]:
    """Let a server answer until the block ends."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
