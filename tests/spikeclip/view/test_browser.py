"""The page in a real browser: live without losing its place, by keys, on a phone, and safe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spikeclip.training.report import write_report
from spikeclip.view.app import application
from tests.spikeclip.training.folders import STEPS, begin, complete, evaluate, learn, say
from tests.spikeclip.view.test_app import ROW
from tests.view.served import served

Open = Callable[..., Any]


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    """Opens a page; at the end nothing may have gone wrong in it, or been asked of another host."""
    pages, wrong = [], []

    def opened(address: str, width: int = 1400) -> Any:
        page = browser.new_context(viewport={"width": width, "height": 800}).new_page()
        pages.append(page)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text))
        page.on("dialog", lambda dialog: wrong.append(dialog.message))
        own = (address.partition("?")[0], "data:")
        page.on("request", lambda asked: wrong.extend([asked.url][asked.url.startswith(own) :]))
        page.goto(address)
        return page

    yield opened
    for page in pages:
        page.context.close()
    assert wrong == []


def shown(page: Any) -> str:
    """The epoch that is shown, as the page names it everywhere."""
    name: str = page.inner_text("#samples output")
    place = int(page.input_value("[name=frame]"))
    assert page.evaluate(f"document.querySelectorAll('.frames li')[{place}].dataset.name") == name
    address = page.get_attribute("#frame", "href")
    assert page.evaluate(f"document.querySelectorAll('.frames li')[{place}].dataset.picture") == address
    assert set(page.locator(".of-frame").all_inner_texts()) == {name}
    return name


def test_a_live_page_keeps_its_place_and_follows_the_newest_epoch(open_page: Open, tmp_path: Path) -> None:
    files = begin(tmp_path / "run")
    with served(application(files.path)) as address:
        page = open_page(address)
        assert "stopped, no steps yet" in page.inner_text(".headline")
        with files.locked():
            learn(files, "coarse", 5, 2 * STEPS)
            page.evaluate("renew()")
            assert shown(page) == "coarse, epoch 2"
            assert "running, stage coarse, epoch 2 of 5" in page.title()
            learn(files, "coarse", 5, 3 * STEPS)
            page.evaluate("renew()")
            assert shown(page) == "coarse, epoch 3"  # it was the newest one
            page.focus("[name=frame]")
            page.keyboard.press("Home")
            page.evaluate("window.slider = document.activeElement")
            page.click("summary")
            page.focus("[name=frame]")
            learn(files, "coarse", 5, 4 * STEPS)
            page.evaluate("renew()")
            assert shown(page) == "coarse, epoch 1"
            assert page.evaluate("document.activeElement === window.slider")
            assert page.evaluate("document.querySelector('details').open")
            assert page.get_attribute("[name=frame]", "max") == "3"
        complete(files, "coarse", 5)
        learn(files, "fine", 2, STEPS)
        files.small("coarse").write_bytes(files.small("coarse", 5).read_bytes())
        page.evaluate("renew()")
        page.select_option("[name=beside]", "end of coarse")
        assert set(page.locator(".of-beside").all_inner_texts()) == {"end of coarse"}
        assert shown(page) == "coarse, epoch 1"
        page.keyboard.press("End")
        page.locator("h1").click()
        page.keyboard.press("End")
        assert shown(page) == "fine, epoch 1"


def test_without_the_server_the_page_says_so_and_recovers(browser: Any, tmp_path: Path) -> None:
    files = begin(tmp_path / "run")
    page = browser.new_page()
    with served(application(files.path)) as address:
        page.goto(address)
        page.evaluate("renew()")
        assert page.is_hidden("#notice")
    page.evaluate("renew()")
    assert page.inner_text("#notice") == "`spikeclip view` does not answer"
    page.close()


def whole(folder: Path) -> Path:
    """A recipe with a complete training, whose names nobody should run."""
    files = begin(folder / ROW / ROW, note=f"</script>{ROW}")
    for stage in ("coarse", "prompt", "fine"):
        complete(files, stage, 3)
    evaluate(files.path)
    evaluate(folder / ROW)
    say(files, f"error: {ROW} </pre><script>alert(2)</script>")
    return files.path


@pytest.mark.parametrize("width", [1400, 390])
def test_it_fits_and_no_name_runs(open_page: Open, tmp_path: Path, width: int) -> None:
    folder = whole(tmp_path)
    write_report(folder, running=False)
    with served(application(folder.parent)) as address:
        for place in (address, f"{address}?training={ROW}", (folder / "report.html").as_uri()):
            page = open_page(place, width)
            page.wait_for_timeout(100)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert ROW in page.inner_text("body")
            assert page.locator("script").count() == 1


def test_the_keys_of_the_report(open_page: Open, tmp_path: Path) -> None:
    folder = whole(tmp_path)
    write_report(folder, running=False)
    page = open_page((folder / "report.html").as_uri())
    assert shown(page) == "fine, epoch 3"
    for key, name in [
        ("ArrowLeft", "fine, epoch 2"),
        (",", "fine, epoch 1"),
        (".", "fine, epoch 2"),
        ("Home", "coarse, epoch 1"),
        ("ArrowLeft", "coarse, epoch 1"),
        ("ArrowRight", "coarse, epoch 2"),
        ("End", "fine, epoch 3"),
        ("ArrowRight", "fine, epoch 3"),
    ]:
        page.keyboard.press(key)
        assert shown(page) == name, key
    page.keyboard.press(" ")
    assert page.get_attribute("[name=play]", "aria-pressed") == "true"
    page.wait_for_timeout(500)
    assert shown(page) != "fine, epoch 3"
    page.keyboard.press(" ")
    assert page.inner_text("[name=play]") == "play"
    paused = shown(page)
    page.wait_for_timeout(500)
    assert shown(page) == paused
