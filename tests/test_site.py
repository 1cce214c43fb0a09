"""The site of the documentation: every page, every public name, every command and every error is in it."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import typer

pytest.importorskip("sphinx", reason="the extra `docs` is not installed")

from docs.generate import examples, failures, navigation
from docs.generate.names import public_names
from docs.generate.text import escaped
from hqgen import errors

DOCS = Path(__file__).parents[1] / "docs"
FOREIGN = re.compile(r"<(?:link|script|img|iframe|source)\b[^>]*?(?:href|src)=[\"']?(?:https?:)?//[^>]*>")


def build(source: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """Build a site, as `scripts/docs` does."""
    flags = ["--builder", "html", "--fresh-env", "--quiet", "--fail-on-warning"]
    return subprocess.run(
        [sys.executable, "-m", "sphinx", *flags, str(source), str(out)],
        cwd=DOCS.parent,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    done = build(DOCS, out)
    assert done.returncode == 0, done.stderr
    return out


def words(page: Path) -> str:
    """What a reader sees, without markup."""
    return " ".join(unescape(re.sub(r"<[^>]+>", "", page.read_text())).split())


def listed_from(page: str) -> Iterator[str]:
    yield page
    for entries in navigation.listed((DOCS / f"{page}.md").read_text()).values():
        for entry in entries:
            yield from listed_from(entry.page)


def test_every_page_is_in_the_navigation_once() -> None:
    assert sorted(listed_from("index")) == sorted(page.stem for page in DOCS.glob("*.md"))


def test_a_page_that_lists_no_others_gets_no_navigation() -> None:
    text = "# Title\n\n| [Other](other.md) | about |\n"
    assert navigation.with_navigation(text) == text


def test_a_page_that_lists_others_leads_to_them_by_their_titles() -> None:
    text = f"# Title\n\n{navigation.LISTING}\n## Group\n\n| [The `x`](other-page.md) | about |\n"
    assert ":caption: Group\n\nThe x <other-page>\n" in navigation.with_navigation(text)


def test_an_example_that_no_test_runs_is_a_fault() -> None:
    page = "```c\nint x;\n```\n```bash\nls\n```\n```text\nout\n```\n```\nplain\n```\n"
    assert len(list(examples.faults(examples.blocks(page)))) == 2


def test_text_is_not_taken_for_markup_except_between_backticks() -> None:
    assert escaped("a_b | `c_d|e` <f>*") == r"a\_b \| `c_d|e` \<f>\*"


def test_every_error_says_what_to_do() -> None:
    kinds = failures.kinds()
    assert {name for name, value in vars(errors).items() if isinstance(value, type)} & set(kinds)
    for kind in kinds.values():
        assert kind.remedy.endswith("."), kind.name
        known = getattr(errors, kind.name, None)
        assert known is None or (known.exit_code, known.__mro__[1].__name__) == (
            kind.exit_code,
            kind.base or "Exception",
        )


def test_every_error_of_the_code_is_known() -> None:
    """Counted in another way than the tables are made: by the lines that raise one."""
    names = "|".join(failures.kinds())
    raised = {
        f"{file.relative_to(DOCS.parent)}:{number}"
        for file in failures.sources()
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if re.search(rf"\braise (?:{names})\(", line)
    }
    assert len(raised) > 300
    assert raised <= {message.place for message in failures.all_messages()}


def test_a_message_shows_its_parts() -> None:
    code = 'raise UsageError(f"`{path.name}` has {len(x)} rows" + ("" if y else ", cut"), hint=advice)'
    function = ast.parse(f"def f():\n    advice = 'use `--flag`'\n    {code}")
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    call = next(node for node in calls if node.keywords)
    assert failures._text(call.args[0], function) == "`NAME` has … rows, cut"
    assert failures._text(call.keywords[0].value, function) == "use `--flag`"


@pytest.mark.parametrize("about", failures.FINDINGS)
def test_reasons_are_found_where_they_are_written(about: str) -> None:
    assert len(failures.findings(about).splitlines()) >= 3


@pytest.mark.slow
def test_every_page_is_built(site: Path) -> None:
    assert {page.stem for page in DOCS.glob("*.md")} <= {page.stem for page in site.glob("*.html")}


@pytest.mark.slow
def test_a_page_asks_no_other_host_for_anything(site: Path) -> None:
    for page in site.glob("*.html"):
        assert not FOREIGN.findall(page.read_text()), page.name
    for style in site.rglob("*.css"):
        assert not re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", style.read_text()), style.name


@pytest.mark.slow
@pytest.mark.parametrize("package", ["hqgen", "spikeclip"])
def test_every_public_name_is_in_the_reference(site: Path, package: str) -> None:
    page = (site / "names.html").read_text()
    for name in public_names(package):
        assert f'id="{name}"' in page, name


def paths(command: Any, name: str) -> Iterator[str]:
    commands = getattr(command, "commands", {})
    if not commands:
        yield name
    for sub, found in commands.items():
        yield from paths(found, f"{name} {sub}")


@pytest.mark.slow
def test_every_command_is_in_the_reference(site: Path) -> None:
    from hqgen.cli import app as hqgen_app
    from spikeclip.cli import app as spikeclip_app

    headings = re.findall(r"<h3>.*?<span class=\"pre\">(.*?)</code>", (site / "commands.html").read_text())
    shown = {" ".join(re.sub(r"<[^>]+>", "", heading).split()) for heading in headings}
    for name, app in (("hqgen", hqgen_app), ("spikeclip", spikeclip_app)):
        assert set(paths(typer.main.get_command(app), name)) <= shown
    assert "--min-motion <float" in words(site / "commands.html")


@pytest.mark.slow
def test_every_message_is_in_the_table_of_errors(site: Path) -> None:
    page = words(site / "errors.html")
    for message in failures.all_messages():
        if any(letter.islower() for letter in message.text):
            assert " ".join(message.text.replace("`", "").split()) in page, message
    for about in failures.FINDINGS:
        for file in failures.FINDINGS[about]:
            for reason in failures.reasons(DOCS.parent / file):
                assert reason.replace("`", "") in page


@pytest.mark.slow
def test_a_broken_page_ends_the_build_with_its_name(tmp_path: Path) -> None:
    shutil.copy(DOCS / "conf.py", tmp_path / "conf.py")
    shutil.copytree(DOCS / "static", tmp_path / "static")
    (tmp_path / "index.md").write_text(
        "# Title\n\n[gone](gone.md) [no heading](other.md#nowhere)\n\n```c\nint x;\n```\n"
    )
    (tmp_path / "other.md").write_text("# Other\n")
    done = build(tmp_path, tmp_path / "out")
    assert done.returncode != 0
    for fault in ("'gone.md'", "'nowhere'", "is not run by any test", "isn't included in any toctree"):
        assert fault in done.stderr
