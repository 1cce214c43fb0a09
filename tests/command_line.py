"""A command line of this project, run in this process: as a user's shell would run it, without its start."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import sys
from pathlib import Path
from subprocess import CompletedProcess
from unittest import mock

import pytest

SETTINGS = ("HQGEN_", "SPIKECLIP_", "HF_HUB_OFFLINE")
"""How the environment variables start that would change what a command does."""


def run(
    *arguments: str | Path, program: str = "hqgen", env: dict[str, str] | None = None, cwd: Path | None = None
) -> CompletedProcess[str]:
    """Run `program` offline; environment, folder, streams and loggers are as before afterwards."""
    command = [program, *map(str, arguments)]
    stdout, stderr = io.StringIO(), io.StringIO()
    logger = logging.getLogger("hqgen")
    handlers, level = logger.handlers[:], logger.level
    with (
        mock.patch.dict(os.environ),  # which a command may change for the workers that it starts
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
    ):
        for name in [name for name in os.environ if name.startswith(SETTINGS)]:
            patch.delenv(name)
        for name, value in ({"NO_COLOR": "1", "COLUMNS": "100", "HQGEN_OFFLINE": "1"} | (env or {})).items():
            patch.setenv(name, value)
        patch.chdir(cwd or Path.cwd())
        patch.setattr(sys, "argv", command)
        try:
            with pytest.raises(SystemExit) as end:
                importlib.import_module(f"{program}.cli").main()
        finally:
            logger.handlers[:] = handlers
            logger.setLevel(level)
    code = end.value.code
    assert isinstance(code, int)
    return CompletedProcess(command, code, stdout.getvalue(), stderr.getvalue())
