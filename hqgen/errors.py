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
    """The root: `message` says what is wrong and where, `hint` what to do.

    What to do: read the hint below the message.
    """

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
    """A flag, a name or a configuration that makes no sense.

    What to do: correct the flag, the setting or the argument that the message names; `--help` shows the
    legal ones.
    """

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that is not in a list of legal ones.

    What to do: use one of the names that the hint lists; it guesses the one that you meant.
    """

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
    """Something was made from other settings or data than it is wanted for now.

    What to do: the message lists the differences; take the old settings again, or say with `--existing`
    what to do instead, or choose another `--out`.
    """


class RecordingError(HqgenError):
    """A file that is not a spike recording of the expected form.

    What to do: look at the file with `hqgen probe`: it says how the file can be read, if at all; a
    truncated file must be copied again.
    """


class UnreadableError(RecordingError):
    """A recording that cannot be read at the moment; its content may be fine.

    What to do: check that the disk or the network drive is there and that you may read the file, then run
    the same command again.
    """


class SourceError(HqgenError):
    """A source whose files cannot be found or read.

    What to do: see `hqgen sources`: it says where files are looked for and how to get them.
    """


class MethodError(HqgenError):
    """A method that cannot run on this window or on this machine.

    What to do: see `hqgen methods`: it says which methods can run here, and why the others cannot.
    """


class ScoreError(HqgenError):
    """A picture that the scorer refuses.

    What to do: give grey pictures of at least the size that the metric needs; a flat or dark picture has
    no score.
    """


class StoreError(HqgenError):
    """An HQ store that is missing, damaged or in use by another build.

    What to do: `hqgen inspect MANIFEST --verify` names what is damaged; the same `hqgen build` makes
    again what is missing.
    """


class BuildError(HqgenError):
    """A build that could not continue.

    What to do: correct what the message names, such as a full disk, then run the same command again: what
    is done is kept.
    """


class WeightsError(HqgenError):
    """Weights or a checkpoint that are missing or of the wrong form.

    What to do: give another file, or get the file again; `hqgen weights list` shows the registered ones.
    """


class DownloadError(HqgenError):
    """A file that cannot be downloaded, or is another one than expected.

    What to do: run the same command again: it continues where it stopped; if that fails too, get the file
    by hand.
    """


class TrainingError(HqgenError):
    """A training that could not continue.

    What to do: correct what the message names, then run the same command again: it continues from the
    last checkpoint.
    """
