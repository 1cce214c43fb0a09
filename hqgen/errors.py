"""Every error that a user can cause, as one tree.

::

    HqgenError                  exit 1: something the user can fix
    ├── UsageError              exit 2: a flag, a name or a configuration that makes no sense
    │   ├── UnknownNameError    a name that is not in a list; the message names the legal ones
    │   └── PlanMismatchError   something was made from other settings or data
    ├── RecordingError          a file that is not a spike recording of the expected form
    │   └── UnreadableError     a recording that cannot be read at the moment
    ├── SourceError             a source whose files cannot be found or read
    ├── MethodError             a method that cannot run on this window or this machine
    ├── ScoreError              a picture that the scorer refuses
    ├── StoreError              an HQ store that is missing, damaged or in use
    ├── BuildError              a build that could not continue: no space, no worker, lost shards
    ├── WeightsError            weights or a checkpoint that are missing or of the wrong form
    ├── DownloadError           a file that cannot be downloaded, or is another one than expected
    └── TrainingError           a training that could not continue: a loss that is not a number, no data

The command line prints `error:` and the message, then `hint:` and the hint, without a traceback.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar

NAMED = 40
"""Legal names that an error lists; the rest is counted."""


class HqgenError(Exception):
    """The root: `message` says what is wrong and where, `hint` what to do."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the hint when the error is sent from a worker process to the client."""
        return _rebuild, (type(self), self.message, self.hint)


def _rebuild(kind: type[HqgenError], message: str, hint: str) -> HqgenError:
    error = kind.__new__(kind)
    HqgenError.__init__(error, message, hint=hint)
    return error


class UsageError(HqgenError):
    """A flag, a name or a configuration that makes no sense."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that is not in a list of legal ones."""

    def __init__(self, kind: str, name: str, legal: Iterable[str]) -> None:
        names = sorted(legal)
        close = get_close_matches(name, names, n=1)
        guess = f"did you mean `{close[0]}`? " if close else ""
        more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
        super().__init__(
            f"unknown {kind} `{name}`",
            hint=f"{guess}known: {', '.join(names[:NAMED]) + more if names else 'none'}",
        )


class PlanMismatchError(UsageError):
    """Something was made from other settings or data than it is wanted for now."""


class RecordingError(HqgenError):
    """A file that is not a spike recording of the expected form."""


class UnreadableError(RecordingError):
    """A recording that cannot be read at the moment; its content may be fine."""


class SourceError(HqgenError):
    """A source whose files cannot be found or read."""


class MethodError(HqgenError):
    """A method that cannot run on this window or on this machine."""


class ScoreError(HqgenError):
    """A picture that the scorer refuses."""


class StoreError(HqgenError):
    """An HQ store that is missing, damaged or in use by another build."""


class BuildError(HqgenError):
    """A build that could not continue."""


class WeightsError(HqgenError):
    """Weights or a checkpoint that are missing or of the wrong form."""


class DownloadError(HqgenError):
    """A file that cannot be downloaded, or is another one than expected."""


class TrainingError(HqgenError):
    """A training that could not continue."""
