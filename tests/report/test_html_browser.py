"""The page in a real browser: it filters, it fits on a phone, and no name of a store runs as code."""

from __future__ import annotations

from typing import Any

import pytest

from hqgen.report.html import html_page
from tests.made import manifest, sample, write

NAME = "lab/<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    rows = [
        sample(NAME, 4.0, 5.0),
        sample("lab/\"b\" 'c'", 6.0, 5.9),
        sample("lab/a_name_that_is_long_" + "x" * 80, 3.0, 7.0),
        sample("lab/dark", None, None, reason="<script>alert(2)</script>"),
    ]
    folder = tmp_path_factory.mktemp("page")
    made = manifest({"lab": rows}, quarantined=[("<img src=x onerror=alert(3)>.dat", "is <b>empty</b>")])
    html_page(write(made, folder), folder / "page.html")
    return (folder / "page.html").as_uri()


def opened(browser: Any, file: str, width: int) -> tuple[Any, list[str]]:
    """The page, and what must not happen: dialogs, requests, messages of errors."""
    page = browser.new_page(viewport={"width": width, "height": 800})
    happened: list[str] = []

    def dismiss(dialog: Any) -> None:
        happened.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", dismiss)
    page.on("request", lambda request: happened.append(request.url))
    page.on("console", lambda message: happened.append(message.text))
    page.on("pageerror", lambda error: happened.append(str(error)))
    page.goto(file)
    return page, [item for item in happened if item != file and not item.startswith("data:")]


def shown(page: Any) -> list[str]:
    keys: list[str] = page.eval_on_selector_all(
        "#samples li", "cards => cards.filter(card => !card.hidden).map(card => card.dataset.key)"
    )
    return keys


@pytest.mark.parametrize("width", [1400, 390])
def test_it_fits_and_nothing_runs_or_is_fetched(browser: Any, file: str, width: int) -> None:
    page, happened = opened(browser, file, width)
    assert happened == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert NAME in page.inner_text("#samples")
    assert page.locator("script").count() == 1
    narrow = page.eval_on_selector_all(
        "table:not(.text) td:first-child", "cells => cells.filter(cell => cell.clientHeight > 60).length"
    )
    assert narrow == 0
    page.close()


def test_samples_are_filtered_and_sorted(browser: Any, file: str) -> None:
    page, _ = opened(browser, file, 1400)
    everything = shown(page)
    assert len(everything) == 4
    page.fill("[name=key]", "IMG SRC")
    assert shown(page) == [NAME]
    assert page.inner_text("output") == "1 of 4"
    page.fill("[name=key]", "")
    page.select_option("[name=state]", "no picture")
    assert shown(page) == ["lab/dark"]
    page.select_option("[name=state]", "ambiguous")
    assert shown(page) == ["lab/\"b\" 'c'"]
    page.select_option("[name=state]", "")
    page.select_option("[name=method]", "tfi")
    assert shown(page) == ["lab/\"b\" 'c'"]
    page.select_option("[name=method]", "")
    page.select_option("[name=order]", "-score")
    assert shown(page) == [everything[1], everything[0], everything[2], everything[3]]
    page.select_option("[name=order]", "")
    assert shown(page) == everything
    page.close()
