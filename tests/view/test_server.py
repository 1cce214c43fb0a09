"""The server as a user starts it: one port of this machine, an address to open, Ctrl-C."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from hqgen.errors import UsageError
from hqgen.view.server import HOST, PORT, listening
from tests.command_line import run


def test_it_serves_this_machine_only_until_ctrl_c(ten: Path) -> None:
    program = [sys.executable, "-c", "from hqgen.cli import main; main()"]
    command = [*program, "view", str(ten), "--no-browser", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(f"{address}api/store", timeout=10) as answer:
            assert json.load(answer)["samples"] == 10
        server.send_signal(signal.SIGINT)
        _, said = server.communicate(timeout=20)
    assert server.returncode == 0
    assert said == "Ctrl-C ends it\n"


def test_without_a_port_another_one_is_taken_where_the_usual_one_is_in_use() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind((HOST, PORT))
            other.listen()
        except OSError:
            pass  # somebody else uses it already, which is the case to test
        with listening(None) as found:
            assert found.getsockname()[0] == HOST
            assert found.getsockname()[1] != PORT


def test_a_port_in_use_is_an_error_that_says_what_to_do() -> None:
    with listening(0) as other:
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} of this machine cannot be used") as error:
            listening(port)
    assert "--port 0" in (error.value.hint or "")


def test_a_store_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    done = run("view", tmp_path / "gone", "--no-browser", "--port", "0")
    assert done.returncode != 0
    assert "gone" in done.stderr
    assert done.stdout == ""
