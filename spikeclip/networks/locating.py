"""Where a network is: a file, a folder, a repository of the Hugging Face hub, or the authors' own."""

from __future__ import annotations

import os
import re
from pathlib import Path

from hqgen.download import RemoteFile, download, is_offline
from hqgen.errors import DownloadError, UsageError, WeightsError
from hqgen.files import weights_folder

PUBLISHED = "model.safetensors"
"""The file of the network in what `spikeclip publish` writes."""

IN_FOLDERS = (PUBLISHED, "network.pth")
"""Files that hold the network of a folder; the first one that is there is taken."""

HUB = "hf:"

AUTHORS = {
    "lrn-caltech": RemoteFile(
        address="https://raw.githubusercontent.com/chenkang455/SpikeCLIP/"
        "76295d47e90d4f06651347da326debfa2a3b7b6e/models/LRN_CALTECH.pth",
        size=746_794,
        git_sha1="249e057caf53e2a5825be98fa898c120741d1ad7",
    )
}
"""Networks that the authors of SpikeCLIP published with its evaluation code; no licence is stated."""

# A `Path` makes one slash of two.
_REPOSITORY = re.compile(r"hf:/{1,2}(?P<repository>[\w.-]+/[\w.-]+?)(?:@(?P<revision>[^@]+))?")


def located(place: str | Path) -> Path:
    """The file of a network.

    Args:
        place: a file; a folder of a training, or one that `spikeclip publish` wrote;
            `hf://OWNER/NAME`, with `@REVISION` for another one than the newest; or a name of `AUTHORS`, which
            is downloaded once, into the folder of weights.

    Raises:
        DownloadError: the repository or file cannot be downloaded, or the repository has no such file.
        UsageError: the name of the repository is not one.
        WeightsError: there is no such file, or none in the folder.
    """
    if str(place).startswith(HUB):
        return _downloaded(str(place))
    path = Path(place)
    if str(place) in AUTHORS and not path.exists():
        return _of_authors(str(place))
    if path.is_dir():
        for name in IN_FOLDERS:
            if (path / name).is_file():
                return path / name
        raise WeightsError(
            f"`{path}` holds no network: neither `{IN_FOLDERS[0]}` nor `{IN_FOLDERS[1]}` is in it",
            hint="give the folder of a training, or one that `spikeclip publish` wrote",
        )
    if not path.is_file():
        raise WeightsError(
            f"no checkpoint `{path}`",
            hint="`spikeclip train` writes one, `network.pth`, into its run folder; the authors published "
            f"{' and '.join(f'`{name}`' for name in AUTHORS)}",
        )
    return path


def _of_authors(name: str) -> Path:
    remote = AUTHORS[name]
    path = weights_folder() / remote.address.rpartition("/")[2]
    if not path.is_file():
        download(remote, path)
    return path


def _downloaded(place: str) -> Path:
    found = _REPOSITORY.fullmatch(place)
    if found is None:
        raise UsageError(f"`{place}` is not a repository", hint="write `hf://OWNER/NAME`")
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HFValidationError

    name = found["repository"]
    try:
        return Path(
            hf_hub_download(
                name,
                PUBLISHED,
                revision=found["revision"],
                endpoint=os.environ.get("HF_ENDPOINT"),
                local_files_only=is_offline(),
            )
        )
    except HFValidationError as error:
        raise UsageError(f"`{place}` is not a repository: {error}", hint="write `hf://OWNER/NAME`") from error
    except hub_failures() as error:
        raise hub_error(error, f"`{PUBLISHED}` of `{name}` cannot be downloaded") from error


def hub_failures() -> tuple[type[Exception], ...]:
    """What huggingface_hub raises where a request fails: errors of HTTP and of the system."""
    from huggingface_hub.errors import HfHubHTTPError

    return (*HfHubHTTPError.__bases__, OSError)


def hub_error(error: BaseException | None, what: str) -> DownloadError:
    """What huggingface_hub says, in our words, without the header of the request."""
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    token = "`HF_TOKEN`, or `hf auth login`, gives a token that may do it"
    if isinstance(error, LocalEntryNotFoundError) and is_offline():
        return DownloadError(
            f"{what}: it is not in the cache, and `--offline` forbids to download it",
            hint="leave out `--offline`",
        )
    if isinstance(error, GatedRepoError):
        return DownloadError(f"{what}: its owner has to give you access", hint="ask for it on its page")
    if isinstance(error, RevisionNotFoundError):
        return DownloadError(f"{what}: there is no such revision", hint="see the page of the repository")
    if isinstance(error, RepositoryNotFoundError):
        return DownloadError(f"{what}: there is no such repository, or it is private", hint=token)
    if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
        return DownloadError(f"{what}: the repository has no such file", hint="see its page for its files")
    if isinstance(error, HfHubHTTPError) and error.response is not None:
        status = error.response.status_code
        if status in (401, 403):
            return DownloadError(f"{what}: the hub refuses the token ({status})", hint=token)
        return DownloadError(f"{what}: the hub answers {status}", hint="try again later")
    return DownloadError(f"{what}: the hub cannot be reached", hint="check the connection to the internet")
