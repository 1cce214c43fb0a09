"""How a command line of this project ends: exit codes, and errors that say what to do.

=====  ==========================================================
exit   meaning
=====  ==========================================================
0      done
1      something that the user can mend
2      usage or configuration
3      done, but with quarantined recordings or samples
4      an internal error; the traceback is in a log file
130    interrupted
=====  ==========================================================

stdout carries data only; everything else goes to stderr.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TextIO

import typer
from typer.exceptions import TyperException

from hqgen.errors import HqgenError

__all__ = ["QUARANTINED", "print_json", "run"]

QUARANTINED = 3


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is at the time, which a progress bar replaces while it is drawn."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self.setLevel(logging.WARNING)
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def run(app: typer.Typer, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command line and leave the process with the exit code that fits what happened."""
    logger = logging.getLogger("hqgen")
    logger.setLevel(logging.INFO)
    logger.addHandler(_Stderr())
    sys.exit(_exit_code(lambda: app(arguments, prog_name=app.info.name, standalone_mode=False)))


def _exit_code(command: Callable[[], Any]) -> int:
    try:
        result = command()
        sys.stdout.flush()
    except HqgenError as error:
        return _complain(error.message, error.hint, error.exit_code)
    except TyperException as error:
        return _complain(*_usage(error), 2)
    except (KeyboardInterrupt, typer.Abort):
        return _complain("interrupted", "", 130)
    except BrokenPipeError:  # the reader of our output has gone, as in `hqgen methods | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - the one place where a bug of ours ends
        log = _save_traceback()
        return _complain(f"internal error: {error!r}", f"please report it with the log `{log}`", 4)
    return result if isinstance(result, int) else 0


def _usage(error: TyperException) -> tuple[str, str]:
    """Message and hint of what typer says of a command line; of its errors only the root is public."""
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    context = getattr(error, "ctx", None)
    return message.rstrip("."), f"see `{context.command_path} --help`" if context is not None else ""


def _complain(message: str, hint: str, code: int) -> int:
    text = f"error: {message}\n" + (f"\nhint: {hint}\n" if hint else "")
    sys.stderr.write(text)
    return code


def _save_traceback() -> Path:
    with tempfile.NamedTemporaryFile("w", prefix="hqgen-", suffix=".log", delete=False) as file:
        file.write(traceback.format_exc())
    return Path(file.name)


def print_json(value: Any) -> None:
    """Write JSON for a script to stdout."""
    json.dump(value, sys.stdout, indent=1, ensure_ascii=False, default=str)
    sys.stdout.write("\n")
