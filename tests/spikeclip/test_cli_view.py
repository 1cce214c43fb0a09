"""`spikeclip view` as a user starts it."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.spikeclip.training.folders import begin, complete


def test_it_serves_this_machine_only_until_ctrl_c(tmp_path: Path) -> None:
    complete(begin(tmp_path / "run", stages=["coarse"]), "coarse", 1)
    program = [sys.executable, "-c", "from spikeclip.cli import main; main()"]
    command = [*program, "view", str(tmp_path / "run"), "--no-browser", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address, timeout=10) as answer:
            assert "complete, 1 stage" in answer.read().decode()
        server.send_signal(signal.SIGINT)
        _, said = server.communicate(timeout=20)
    assert server.returncode == 0
    assert said == "Ctrl-C ends it\n"
