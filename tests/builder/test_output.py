from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hqgen.builder.output import Output
from hqgen.errors import StoreError


def test_the_lock_is_let_go_by_whoever_ends(tmp_path: Path) -> None:
    output = Output(tmp_path / "out")
    with output.locked(), pytest.raises(StoreError, match="another build is writing"), output.locked():
        pass
    with output.locked():
        pass


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    output = Output(tmp_path / "out")
    code = (
        "import sys, time; from pathlib import Path; from hqgen.builder.output import Output\n"
        "with Output(Path(sys.argv[1])).locked(): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(output.root)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match=f"process {holder.pid} on"), output.locked():
            pass
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    with output.locked():
        pass


def test_a_damaged_plan_is_said(tmp_path: Path) -> None:
    output = Output(tmp_path)
    assert output.plan() is None
    output.work.mkdir()
    (output.work / "plan.json").write_text("{")
    with pytest.raises(StoreError, match=r"plan\.json"):
        output.plan()
