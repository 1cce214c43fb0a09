"""Download a file whole: resumed, tried again, checked, and never half in its place."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from hqgen.errors import DownloadError
from hqgen.files import is_web_page, sha256_file, sync, write_atomically
from hqgen.progress import SILENT, Observer
from hqgen.text import byte_size, duration

if TYPE_CHECKING:
    from requests import Response

PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds before each further try, where the server does not say how long to wait."""

LONGEST_PAUSE = 300.0
"""Seconds that a server may ask us to wait; if it asks for more, the download ends."""

TIMEOUTS = (10.0, 60.0)
"""Seconds to wait for a connection, and for the next bytes."""

OFFLINE = ("HQGEN_OFFLINE", "HF_HUB_OFFLINE")
"""Environment variables that forbid downloads."""

PIECE = 1 << 14
"""Bytes that are written at once; what arrived of a piece is lost when the connection ends in it."""

_BUSY = {408, 429, 500, 502, 503, 504}


class RemoteFile(BaseModel):
    """A file on the internet, and what is known of its content.

    Attributes:
        address: where it is (http or https).
        size: in bytes, if known.
        sha256: lower-case hex, if known.
        git_sha1: the name of the file's content in git, lower-case hex, if it is known: the sha1 of `blob`, a
            space, the size, a zero byte and the content. `git ls-tree` shows it without a download.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    address: Annotated[str, Field(pattern=r"^https?://\S+$")]
    size: Annotated[int | None, Field(gt=0)] = None
    sha256: Annotated[str | None, Field(pattern=r"^[0-9a-f]{64}$")] = None
    git_sha1: Annotated[str | None, Field(pattern=r"^[0-9a-f]{40}$")] = None

    @property
    def has_digest(self) -> bool:
        """Whether its content can be checked."""
        return self.sha256 is not None or self.git_sha1 is not None


class _AgainError(Exception):
    """A failure that may be gone at the next try, and the seconds that the server asks us to wait."""

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


def is_offline() -> bool:
    """Whether the user forbids downloads, by `--offline` or a variable of `OFFLINE`."""
    return any(os.environ.get(name, "").lower() in {"1", "on", "yes", "true"} for name in OFFLINE)


def require_online(what: str) -> None:
    """Refuse a download that the user forbids.

    Raises:
        DownloadError: `is_offline`.
    """
    if is_offline():
        raise DownloadError(
            f"{what} must be downloaded, which `--offline` forbids",
            hint=f"leave out `--offline`, and unset {' and '.join(f'`{name}`' for name in OFFLINE)}",
        )


def require_reachable(address: str) -> None:
    """Make sure that a server answers, before a library asks it again and again for a minute.

    Raises:
        DownloadError: offline, or no server answers.
    """
    import requests

    require_online(f"a file of `{address}`")
    try:
        requests.head(address, timeout=TIMEOUTS).close()
    except requests.RequestException as error:
        raise DownloadError(
            f"`{address}` cannot be reached: {_cause(error)}", hint="check the connection to the internet"
        ) from error


def download(
    remote: RemoteFile,
    target: Path,
    *,
    observer: Observer = SILENT,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Download a file, or the rest of one, and put it into its place when it is whole and right.

    An interrupted download leaves `TARGET.part`. The next one continues it if the server says that its file
    is the same (ETag or Last-Modified), or if a digest is known.

    Args:
        remote: the file.
        target: where it goes; folders above it are made, an older file is replaced.
        observer: gets the progress.
        pause: waits so many seconds.

    Raises:
        DownloadError: offline, no connection, no such file, a web page instead of it, another size or digest
            than expected, or `target` cannot be written.
    """
    require_online(f"`{remote.address}`")
    partial = target.with_name(f"{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _try_again_and_again(remote, partial, observer, pause)
        _check(remote, partial)
        sync(partial)
        partial.replace(target)
        _tag(partial).unlink(missing_ok=True)
    except OSError as error:
        raise DownloadError(
            f"cannot write `{error.filename or target}`: {error.strerror or error}",
            hint="choose another folder, or make room",
        ) from error


def _try_again_and_again(
    remote: RemoteFile, partial: Path, observer: Observer, pause: Callable[[float], None]
) -> None:
    for usual in (*PAUSES, None):
        try:
            _fetch_rest(remote, partial, observer)
        except _AgainError as problem:
            wait = usual if problem.after is None else problem.after
            if usual is None or wait is None or wait > LONGEST_PAUSE:
                asked = f"; it asks to wait {duration(problem.after)}" if problem.after else ""
                raise DownloadError(
                    f"cannot download `{remote.address}`: {problem}{asked}",
                    hint="run the same command again later; what is here already is kept",
                ) from problem
            observer.note(f"{problem}; trying again in {duration(wait)}")
            pause(wait)
        else:
            return


def _fetch_rest(remote: RemoteFile, partial: Path, observer: Observer) -> None:
    """Ask for what `partial` lacks, and add it."""
    import requests

    start, headers = _resume(remote, partial)
    try:
        with requests.get(remote.address, headers=headers, stream=True, timeout=TIMEOUTS) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                _require_complete(response, partial, start)
                return
            if response.status_code != requests.codes.partial_content:
                start = 0
            _require_file(response, remote, partial, start)
            _receive(response, remote, partial, start, observer)
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise _AgainError(_cause(error)) from error
    except requests.RequestException as error:
        raise DownloadError(
            f"cannot download `{remote.address}`: {error}", hint="check the address"
        ) from error


def _resume(remote: RemoteFile, partial: Path) -> tuple[int, dict[str, str]]:
    """How many bytes are here already, and the headers that ask for the others."""
    from hqgen import __version__

    headers = {"User-Agent": f"hqgen/{__version__}", "Accept-Encoding": "identity"}
    start = partial.stat().st_size if partial.is_file() else 0
    address, _, same = _tag(partial).read_text().partition("\n") if _tag(partial).is_file() else ("", "", "")
    if not start or address != remote.address or not (same or remote.has_digest):
        return 0, headers
    return start, headers | {"Range": f"bytes={start}-"} | ({"If-Range": same} if same else {})


def _tag(partial: Path) -> Path:
    """The file that says from which address a part came, and which version of the file it was."""
    return partial.with_name(f"{partial.name}.tag")


def _require_complete(response: Response, partial: Path, start: int) -> None:
    """Raise unless the server has nothing after `start` because that is the end of its file."""
    if response.headers.get("Content-Range") != f"bytes */{start}":
        partial.unlink()
        raise _AgainError("the partial file is not the beginning of the file on the server", after=0)


def _require_file(response: Response, remote: RemoteFile, partial: Path, start: int) -> None:
    """Raise unless the answer is the file, or the rest of it after `start`."""
    status = response.status_code
    if status in _BUSY:
        raise _AgainError(f"the server answers {status} {response.reason}", _retry_after(response))
    if status not in (200, 206):
        raise DownloadError(
            f"cannot download `{remote.address}`: the server answers {status} {response.reason}",
            hint="the file may have moved: look for it in a browser",
        )
    begins = response.headers.get("Content-Range", "").partition("-")[0]
    if status == 206 and begins != f"bytes {start}":
        partial.unlink(missing_ok=True)
        raise _AgainError(f"the server sends another part than that after {byte_size(start)}", after=0)
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise _page(remote)


def _receive(response: Response, remote: RemoteFile, partial: Path, start: int, observer: Observer) -> None:
    """Write what arrives after the first `start` bytes of `partial`."""
    length = response.headers.get("Content-Length")
    total = start + int(length) if length is not None else remote.size
    if not start:
        write_atomically(_tag(partial), f"{remote.address}\n{_validator(response)}")
    name = Path(remote.address.partition("?")[0]).name
    with (
        partial.open("ab" if start else "wb") as file,
        observer.progress(f"downloading {name}", total or 0, "bytes", done=start) as job,
    ):
        for piece in response.iter_content(PIECE):
            if not file.tell() and is_web_page(piece):
                raise _page(remote)
            file.write(piece)
            job.advance(len(piece))
        received = file.tell()
    if total is not None and received < total:
        raise _AgainError(f"the connection ended after {byte_size(received)} of {byte_size(total)}")


def _validator(response: Response) -> str:
    """What names this version of the file: its ETag, unless it is a weak one, or its date."""
    tag: str = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def _retry_after(response: Response) -> float | None:
    from urllib3 import Retry
    from urllib3.exceptions import InvalidHeader

    try:
        said = response.headers.get("Retry-After")
        return None if said is None else Retry().parse_retry_after(said)
    except InvalidHeader:
        return None


def _page(remote: RemoteFile) -> DownloadError:
    return DownloadError(
        f"`{remote.address}` answers with a web page, not with the file",
        hint="open the address in a browser: the host may want a confirmation there",
    )


def _cause(error: Exception) -> str:
    """What is wrong, without the names of the classes that passed it on."""
    text = str(error)
    for known, said in (
        ("NameResolution", "the name of the server cannot be resolved"),
        ("refused", "the connection was refused"),
        ("timed out", "the server does not answer"),
        ("IncompleteRead", "the connection ended too early"),
        ("CERTIFICATE", "the certificate of the server is not valid"),
    ):
        if known in text:
            return said
    return f"the connection failed ({text})"


def _check(remote: RemoteFile, partial: Path) -> None:
    """Compare size and digests with the expected ones; a wrong file is removed."""
    found: dict[str, object] = {"size": partial.stat().st_size}
    if remote.sha256 is not None:
        found["sha256"] = sha256_file(partial)
    if remote.git_sha1 is not None:
        found["git_sha1"] = git_sha1(partial)
    for name, value in found.items():
        expected = getattr(remote, name)
        if expected is not None and value != expected:
            partial.unlink()
            _tag(partial).unlink(missing_ok=True)
            raise DownloadError(
                f"`{remote.address}` is not the expected file: its {name} is {value}, not {expected}",
                hint="try again; if it stays so, the publisher has changed the file",
            )


def git_sha1(path: Path) -> str:
    """The name that git gives to the content of a file."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()
