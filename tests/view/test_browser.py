"""The page in a real browser: every key, two browsers at once, a phone, and names that nobody should run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hqgen.curation import Journal
from hqgen.view.app import application
from tests.view.served import served
from tests.view.stores import QUARANTINED, key_of, make_store


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("browser"), 300)


@pytest.fixture(scope="module")
def address(manifest: Path, browser: Any) -> Iterator[str]:
    with served(application(manifest, author="ada")) as found:
        yield found


@pytest.fixture
def open_page(browser: Any, address: str, manifest: Path) -> Iterator[Callable[..., Any]]:
    """Opens the page; at the end nothing may have gone wrong in it, or been asked of another host."""
    manifest.with_name("curation.json").unlink(missing_ok=True)
    pages, wrong = [], []

    def opened(place: str = "", width: int = 1200) -> Any:
        page = browser.new_context(viewport={"width": width, "height": 800}, color_scheme="light").new_page()
        pages.append(page)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(dialog.message))
        page.on("request", lambda asked: wrong.extend([asked.url][asked.url.startswith(address) :]))
        page.goto(f"{address}#{place}")
        page.wait_for_selector(".pane img" if "sample=" in place else ".tile img")
        return page

    yield opened
    for page in pages:
        page.context.close()
    assert wrong == []


def until(page: Any, condition: str) -> None:
    """Wait for a condition, from outside: the page's policy forbids `wait_for_function` inside it."""
    end = time.monotonic() + 8
    while not page.evaluate(f"Boolean({condition})"):
        assert time.monotonic() < end, f"not in time: {condition}"
        page.wait_for_timeout(20)


def is_text(selector: str, text: str) -> str:
    return f"document.querySelector({selector!r})?.textContent === {text!r}"


def active(page: Any) -> int:
    page.wait_for_selector(".tile.active")
    return int(page.get_attribute(".tile.active", "data-place"))


def test_the_keys_of_the_gallery(open_page: Callable[..., Any]) -> None:
    page = open_page()
    keys = page.keyboard
    columns = page.evaluate(
        "new Set([...document.querySelectorAll('.tile')].map(t => t.getBoundingClientRect().x)).size"
    )
    for key, place in [
        ("ArrowRight", 1),
        ("ArrowDown", 1 + columns),
        ("ArrowLeft", columns),
        ("ArrowUp", 0),
        ("End", 299),
        ("Home", 0),
    ]:
        keys.press(key)
        until(page, f"document.querySelector('.tile.active')?.dataset.place === '{place}'")
    keys.press("PageDown")
    until(page, f"document.querySelector('.tile.active')?.dataset.place > {columns}")
    keys.press("PageUp")
    until(page, "document.querySelector('.tile.active')?.dataset.place === '0'")
    width = page.evaluate("document.querySelector('.tile').offsetWidth")
    keys.press("+")
    until(page, f"document.querySelector('.tile')?.offsetWidth > {width}")
    keys.press("-")
    until(page, f"document.querySelector('.tile')?.offsetWidth === {width}")
    keys.press("s")
    keys.press("s")
    until(page, "document.querySelector('.sorting select').value === 'score'")
    until(page, "document.querySelector('.tile.active')?.dataset.row === '299'")
    keys.press("r")
    until(page, "document.querySelector('.tile.active')?.dataset.row === '0'")
    assert "order=score&descending=true" in page.url
    keys.press("/")
    keys.type("IMG SRC")
    until(page, is_text(".found", "1 of 300 samples"))
    keys.press("Escape")
    keys.press("c")
    until(page, is_text(".found", "300 samples"))
    keys.press("?")
    assert page.is_visible("dialog")
    keys.press("?")
    assert not page.is_visible("dialog")
    keys.press("t")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    keys.press("f")
    assert page.evaluate("document.activeElement.closest('.filters') !== null")
    keys.press("Escape")
    keys.press("Home")
    keys.press("Enter")
    page.wait_for_selector(".pane img")


def test_filters_find_samples_and_the_address_keeps_them(open_page: Callable[..., Any]) -> None:
    page = open_page()
    page.check("input[name=winner][value=tfi]")
    until(page, is_text(".found", "75 of 300 samples"))
    page.click("button[data-field=ambiguous][data-value=yes]")
    until(page, is_text(".found", "15 of 300 samples"))
    page.fill("input[name=score_min]", "9")
    until(page, is_text(".found", "2 of 300 samples"))
    page.reload()
    page.wait_for_selector(".tile img")
    until(page, is_text(".found", "2 of 300 samples"))
    page.click("text=clear all filters")
    page.click("button[data-field=quarantined][data-value=yes]")
    until(page, is_text(".found", "1 of 300 samples"))
    assert page.inner_text(".tile .caption b") == "no picture"
    page.click("text=clear all filters")
    page.select_option("select[aria-label=Reason]", index=1)
    until(page, is_text(".found", "1 of 300 samples"))


def test_only_tiles_that_can_be_seen_exist(open_page: Callable[..., Any]) -> None:
    page = open_page()
    for end in ("End", "Home"):
        page.keyboard.press(end)
        page.wait_for_selector(".tile.active img")
        assert page.locator(".tile").count() < 120


def test_the_keys_of_a_sample(open_page: Callable[..., Any]) -> None:
    page = open_page("sample=4")
    keys = page.keyboard
    page.wait_for_selector(".curve polyline")
    compare = "document.querySelector('.compare')"
    for key, mode in [("w", "swipe"), ("b", "blink"), ("d", "difference"), ("g", "side by side")]:
        keys.press(key)
        until(page, f"{compare}.dataset.mode === '{mode}'")
    keys.press("w")
    names = page.locator(".pair figcaption b").all_inner_texts()
    keys.press("a")
    assert page.locator(".pair figcaption b").all_inner_texts() == names[::-1]
    keys.press("a")
    keys.press("Shift+ArrowRight")
    until(page, f"{compare}.style.getPropertyValue('--cut') === '55%'")
    keys.press("b")
    keys.press(" ")
    until(page, f"{compare}.dataset.side === 'right'")
    keys.press("g")
    keys.press("+")
    keys.press("l")
    until(page, f"{compare}.style.getPropertyValue('--scale') === '1.5'")
    until(page, f"{compare}.style.getPropertyValue('--x') !== '-25%'")
    shown = page.eval_on_selector_all(
        ".pane img", "all => new Set(all.map(i => getComputedStyle(i).transform)).size"
    )
    assert shown == 1  # all pictures zoom together
    keys.press("h")
    keys.press("j")
    keys.press("k")
    keys.press("-")
    keys.press("0")
    until(page, f"{compare}.dataset.zoomed === 'false'")
    keys.press("3")
    until(page, "document.querySelector('.pane.chosen').dataset.look === 'tfstp'")
    keys.press("ArrowUp")
    until(page, "document.querySelector('.pane.chosen').dataset.look === 'tfi'")
    keys.press("ArrowDown")
    until(page, "document.querySelector('.pane.chosen').dataset.look === 'tfstp'")
    for key, frame in [(".", 5), (",", 4), (">", 14), ("<", 4), (".", 5), ("o", 4)]:
        keys.press(key)
        until(page, is_text(".frames output", f"{frame} / 60"))
    page.wait_for_selector(".recording img[src*='/frame/4/']")
    keys.press("i")
    page.wait_for_selector(".provenance[open]")
    keys.press("ArrowRight")
    until(page, is_text(".sample h1", key_of(5)))
    keys.press("ArrowLeft")
    until(page, is_text(".sample h1", key_of(4)))
    keys.press("Escape")
    until(page, "document.activeElement.classList.contains('gallery')")
    assert active(page) == 4


def test_every_verdict_by_keys(open_page: Callable[..., Any], manifest: Path) -> None:
    page = open_page("sample=4")
    keys = page.keyboard
    pressed = "document.querySelector('.tools [aria-pressed=true]')?.textContent"

    keys.press("3")
    keys.press("p")
    until(page, f"{pressed} === 'pick tfstp'")
    assert page.get_attribute(".pane:has(.picked)", "data-look") == "tfstp"
    keys.press("n")
    keys.type("sharper")
    keys.press("Enter")
    journal = Journal(manifest)
    page.wait_for_timeout(300)
    assert journal.state()[key_of(4)].note == "sharper"
    keys.press("x")
    until(page, f"{pressed} === 'reject'")
    verdict = journal.state()[key_of(4)]
    assert (verdict.action, verdict.note, verdict.author) == ("reject", "sharper", "ada")
    keys.press("u")
    until(page, f"{pressed} === 'pick tfstp'")
    keys.press("Escape")
    until(page, is_text("#tile-4 .verdict", "picked tfstp"))
    keys.press("m")
    until(page, is_text("#tile-4 .verdict", "marked"))
    keys.press("m")
    until(page, "document.querySelector('#tile-4 .verdict').hidden")
    keys.press("ArrowRight")
    keys.press("x")
    until(page, is_text("#tile-5 .verdict", "rejected"))
    page.check("input[name=verdict][value=reject]")
    until(page, is_text(".found", "1 of 300 samples"))
    page.locator(".gallery").focus()
    page.reload()  # the page still knows what it said
    page.wait_for_selector(".tile img")
    keys.press("u")
    until(page, is_text(".found", "0 of 300 samples"))


def test_two_browsers_see_and_keep_what_both_say(open_page: Callable[..., Any], manifest: Path) -> None:
    one, other = open_page(), open_page()
    one.keyboard.press("x")
    until(other, is_text("#tile-0 .verdict", "rejected"))
    other.keyboard.press("ArrowRight")
    other.keyboard.press("m")
    until(one, is_text("#tile-1 .verdict", "marked"))
    one.keyboard.press("u")
    until(other, "document.querySelector('#tile-0 .verdict').hidden")
    assert {key: verdict.action for key, verdict in Journal(manifest).state().items()} == {key_of(1): "mark"}
    one.keyboard.press("u")
    until(one, is_text(".notice", "this page has said nothing that it could take back"))


def test_it_fits_on_a_phone(open_page: Callable[..., Any]) -> None:
    page = open_page("", 390)
    for row, ready in ((None, ".tile img"), (1, ".pane img"), (QUARANTINED, ".pane .problem")):
        if row is not None:
            page.evaluate(f"location.hash = 'sample={row}'")
            until(page, is_text(".sample h1", key_of(row)))
        page.wait_for_selector(ready)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.evaluate("location.hash = ''")
    page.wait_for_selector(".tile img")
    page.keyboard.press("f")
    assert page.is_visible(".filters .clear")
    page.keyboard.press("f")
    assert not page.is_visible(".filters .clear")


def test_dark_and_light_follow_the_system(open_page: Callable[..., Any]) -> None:
    page = open_page()
    for scheme, colour in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(21, 21, 23)")):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == colour
