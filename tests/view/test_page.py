"""The committed page is what `scripts/page` makes of `web/`."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from hqgen.view.app import FILES
from hqgen.view.web import PAGE

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(
    shutil.which("npx") is None or not (ROOT / "web/node_modules").is_dir(),
    reason="the tools of the page are not installed: `npm ci` in web/",
)
def test_the_committed_page_is_what_its_sources_make(tmp_path: Path) -> None:
    subprocess.run([ROOT / "scripts/page", tmp_path], check=True)
    for name in FILES.values():
        assert (tmp_path / name).read_bytes() == (PAGE / name).read_bytes(), f"run scripts/page: {name}"


def test_the_page_was_built_of_the_sources_as_they_are() -> None:
    lines = (ROOT / "web/sources.sha256").read_text().splitlines()
    digests = {name: digest for digest, name in (line.split() for line in lines)}
    assert {path.relative_to(ROOT / "web").as_posix() for path in (ROOT / "web/src").glob("*.ts")} <= set(
        digests
    )
    for name, digest in digests.items():
        assert hashlib.sha256((ROOT / "web" / name).read_bytes()).hexdigest() == digest, (
            f"run scripts/page: {name}"
        )
