"""Upload of a published folder to the Hugging Face hub."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from hqgen.download import is_offline
from hqgen.errors import DownloadError, UsageError
from spikeclip.networks.locating import hub_error, hub_failures


def upload(folder: Path, files: Sequence[Path], repository: str, *, private: bool = False) -> str:
    """Put the files of a folder into a repository of the hub as one commit; it is made where there is none.

    The token is that of `HF_TOKEN`, or of `hf auth login`. It goes to the hub alone: it is never printed or
    written. `HF_ENDPOINT` names another hub.

    Args:
        folder: that the files are in.
        files: what is uploaded.
        repository: `OWNER/NAME`.
        private: whether a new repository is private.

    Returns:
        The address of the commit.

    Raises:
        DownloadError: offline, the hub cannot be reached, or refuses the token.
        UsageError: there is no token, or `repository` is not the name of one.
    """
    require_repository(repository)
    from huggingface_hub import HfApi
    from huggingface_hub.utils import disable_progress_bars

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=require_token(), library_name="spikeclip")
    disable_progress_bars()
    failures: tuple[type[Exception], ...] = (*hub_failures(), RuntimeError)
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            allow_patterns=[str(path.relative_to(folder)) for path in files],
            commit_message="Publish the network",
        )
    except failures as error:
        cause = error.__cause__ if isinstance(error, RuntimeError) else error  # that of one file, in threads
        raise hub_error(cause, f"`{repository}` cannot be written") from error
    return str(commit.commit_url)


def require_token() -> str:
    """The user's token for the hub.

    Raises:
        DownloadError: offline.
        UsageError: there is none.
    """
    from huggingface_hub import get_token

    if is_offline():
        raise DownloadError(
            "an upload needs the internet, which `--offline` forbids", hint="leave out `--offline`"
        )
    token = get_token()
    if token is None:
        raise UsageError(
            "there is no token for the Hugging Face hub", hint="set `HF_TOKEN`, or run `hf auth login`"
        )
    return str(token)


def require_repository(repository: str) -> None:
    """Make sure that a name is one of a repository, before anything is written.

    Raises:
        UsageError: it is not.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise UsageError(f"`{repository}` is not a repository: {error}", hint="write `OWNER/NAME`") from error
    if repository.count("/") != 1:
        raise UsageError(f"`{repository}` is not a repository", hint="write `OWNER/NAME`")
