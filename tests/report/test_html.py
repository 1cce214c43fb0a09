"""The page: well formed, self-contained, complete."""

from __future__ import annotations

import base64
import hashlib
import io
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hqgen.errors import UsageError
from hqgen.report.html import html_page
from hqgen.store import open_store
from tests.made import manifest, sample, write

VOID = {"meta", "img", "rect", "line", "br", "input", "link"}


class Page(HTMLParser):
    """Checks that tags are balanced, and keeps what tests ask for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.text: list[str] = []
        self.tags: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "data-picture")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    @property
    def pictures(self) -> list[str]:
        """Pictures that are shown pixel by pixel."""
        return [link for link in self.links if link.startswith("data:image/png;base64,")]

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def page(path: Path, data_root: Path | None = None) -> Page:
    out = path.with_name("page.html")
    html_page(path, out, data_root)
    return Page(out.read_text())


def test_a_page_is_well_formed_and_needs_nothing_else(built: Path) -> None:
    found = page(built / "manifest.json")
    assert all(link.startswith("data:image/") for link in found.links if link != "#samples")
    assert not {"link", "iframe"} & set(found.tags)
    assert found.tags.count("script") == 1
    style = (built / "page.html").read_text().split("</style>")[0]
    assert "@import" not in style
    assert "url(" not in style


def test_it_shows_summary_wins_histograms_pictures_and_quarantine(built: Path) -> None:
    found = page(built / "manifest.json")
    for text in ("4 pictures of 5 samples", "folder-lab", "tfp", "tfi", "winners", "Best", "quarantined: 2"):
        assert text in found.words
    assert "<cut>.dat" in found.words
    assert found.tags.count("svg") == 1
    assert len(found.pictures) == 2 * 3
    assert found.tags.count("img") == 2 * 3 + 4
    assert "5 of 5 samples to look through" in found.words


def test_the_winners_in_it_are_the_stored_pixels(built: Path) -> None:
    stored = open_store(built / "hq.zarr")["folder-lab"].images[:]
    shown = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(link.split(",")[1]))))
        for link in page(built / "manifest.json").pictures
    ]
    assert sum(any(np.array_equal(image, other) for other in stored) for image in shown) == 3


def test_without_recordings_it_shows_the_winners_and_says_why(moved: Path, tmp_path: Path) -> None:
    found = page(moved / "manifest.json")
    assert len(found.pictures) == 3
    assert "the recordings of `folder-lab` are gone" in found.words
    assert len(page(moved / "manifest.json", tmp_path / "new").pictures) == 6


def test_names_are_escaped(tmp_path: Path) -> None:
    made = manifest(
        {"reds": [sample("a<script>b&c", 4, None), sample("b", None, None, reason="<i>&")]},
        quarantined=[("<b>", "<u>")],
    )
    found = page(write(made, tmp_path))
    assert found.tags.count("script") == 1
    assert "u" not in found.tags
    assert "a<script>b&c" in found.words
    assert "tfi: <i>&" in found.words


@pytest.mark.parametrize("scores", [(None,), (4.0,), (None, None, None), (4.0, 4.0, 4.0)])
def test_odd_sources_make_a_page(tmp_path: Path, scores: tuple[float | None, ...]) -> None:
    assert "reds" in page(write(manifest({"reds": [sample("a", *scores)]}), tmp_path)).words


def test_a_long_quarantine_is_cut_with_a_count(tmp_path: Path) -> None:
    files = [(f"f{number}.dat", "is empty") for number in range(700)]
    found = page(write(manifest({"reds": [sample("a", 4)]}, quarantined=files), tmp_path))
    assert "and 200 more" in found.words
    assert "f499.dat" in found.words
    assert "f500.dat" not in found.words


def test_a_page_that_cannot_be_written_is_one_sentence(built: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        html_page(built / "manifest.json", built / "manifest.json" / "page.html")


def test_only_its_own_script_may_run(built: Path) -> None:
    html_page(built / "manifest.json", built / "page.html")
    text = (built / "page.html").read_text()
    script = text.split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text
    assert "default-src 'none'" in text


def test_a_large_store_is_spread_over_the_cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = manifest(
        {"a": [sample(f"a{n}", 4) for n in range(9)], "b": [sample(f"b{n}", 4) for n in range(3)]}
    )
    monkeypatch.setattr("hqgen.report.html.CARDS", 4)
    found = page(write(made, tmp_path))
    assert "4 of 12 samples, spread evenly" in found.words
    assert found.tags.count("li") == 4
    for key in ("a0", "a3", "a6", "b0"):
        assert key in found.words
