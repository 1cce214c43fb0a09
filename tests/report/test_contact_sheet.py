"""The contact sheet, as pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hqgen.drawing import GAP, MARGIN, WARNING, WINNER
from hqgen.errors import SourceError, UsageError
from hqgen.inspection.picks import Pick, Tile
from hqgen.report.contact_sheet import COLUMNS, FRAME, LEAST, TILE, contact_sheet, draw_pick
from tests.made import manifest, sample, write


def picture(height: int = 96, width: int = 104) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (height, width), np.uint8)


def pick(*tiles: Tile, shape: tuple[int, int] = (96, 104), key: str = "reds/a") -> Pick:
    return Pick(("best", "worst"), key, "a.dat", 20, 0.1, True, shape, tiles)


def pixels(image: Image.Image, colour: tuple[int, int, int]) -> int:
    return int((np.asarray(image) == colour).all(axis=-1).sum())


def test_a_sheet_of_a_build_shows_its_winners_pixel_by_pixel(built: Path, tmp_path: Path) -> None:
    from hqgen.store import open_store

    contact_sheet(built / "manifest.json", tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.format == "PNG"
        content = np.asarray(sheet)[..., 0]
    stored = open_store(built / "hq.zarr")["folder-lab"]
    winner = stored.images[stored.keys.index("folder-lab/scene0/000020")]
    rows = np.lib.stride_tricks.sliding_window_view(content, winner.shape[1], axis=1)
    assert (rows == winner[0]).all(axis=-1).any()


def test_the_same_store_gives_the_same_sheet(built: Path, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        contact_sheet(built / "manifest.json", tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_recordings_that_are_gone_end_it_with_the_folder(moved: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="gone"):
        contact_sheet(moved / "manifest.json", tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()
    contact_sheet(moved / "manifest.json", tmp_path / "sheet.png", tmp_path / "new")
    assert (tmp_path / "sheet.png").exists()


def test_a_sheet_that_cannot_be_written_is_one_sentence(built: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        contact_sheet(built / "manifest.json", built / "manifest.json" / "sheet.png")


def test_a_store_without_any_picture_makes_a_sheet_too(tmp_path: Path) -> None:
    path = write(manifest({"folder-x": [sample("a", None)]}), tmp_path)
    (tmp_path / "x").mkdir()
    path.write_text(path.read_text().replace("/gone/folder-x", str(tmp_path / "x")))
    contact_sheet(path, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert pixels(sheet.convert("RGB"), WINNER) < 500  # the legend's, and no frame


def test_the_name_of_a_winner_leaves_room_for_its_score() -> None:
    """Where both do not fit side by side, the name goes without `winner`."""
    for width in (192, 400):
        drawn = draw_pick(
            pick(Tile("tfstp", picture(96, width), 23.318, winner=True), shape=(96, width)), 900
        )
        caption = np.asarray(drawn)[-60:, : width + 2 * FRAME]
        columns = np.flatnonzero((caption == WINNER).all(axis=-1).any(axis=0))
        assert np.diff(columns).max() >= 10


def test_a_sheet_of_small_pictures_has_room_for_its_title(built: Path, tmp_path: Path) -> None:
    contact_sheet(built / "manifest.json", tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width == LEAST + 2 * MARGIN


def test_the_winner_is_framed_outside_its_picture() -> None:
    tile = Tile("tfp", picture(), 4.0, winner=True)
    drawn = draw_pick(pick(tile), 400)
    frame = 2 * FRAME * (104 + 96 + 2 * FRAME)
    assert pixels(drawn, WINNER) >= frame
    rows, columns = np.nonzero((np.asarray(drawn) == WINNER).all(axis=-1))
    top, left = rows.min() + FRAME, columns.min() + FRAME
    np.testing.assert_array_equal(np.asarray(drawn)[top : top + 96, left : left + 104, 1], tile.picture)


def test_a_winner_that_differs_from_the_store_carries_a_warning() -> None:
    sound, differing = (
        draw_pick(pick(Tile("tfp", picture(), 4.0, True, note)), 400) for note in ("", "differs")
    )
    assert pixels(sound, WARNING) == 0
    assert pixels(differing, WARNING) > 0
    assert differing.height > sound.height


def test_many_methods_go_to_more_lines_and_not_to_a_wider_sheet() -> None:
    def width(methods: int) -> tuple[int, int]:
        tiles = [Tile(f"m{number}", picture(250, 400), 4.0) for number in range(methods)]
        drawn = draw_pick(pick(*tiles, shape=(250, 400)), COLUMNS * TILE + (COLUMNS - 1) * GAP)
        return drawn.size

    assert width(12)[0] == width(6)[0]
    assert width(12)[1] > 2 * 250
    assert width(6)[1] < 2 * 250


def test_large_pictures_are_reduced() -> None:
    drawn = draw_pick(pick(Tile("tfp", picture(1000, 1600), 4.0), shape=(1000, 1600)), 1200)
    assert drawn.height < 500


def test_long_names_and_reasons_stay_on_the_sheet() -> None:
    tile = Tile("tfp", None, None, note="a" * 300 + " " + "word " * 200)
    drawn = draw_pick(pick(tile, key="folder-x/" + "very/long/" * 60, shape=(250, 400)), 1200)
    assert drawn.size == (1200 + 2 * FRAME, draw_pick(pick(tile, shape=(250, 400)), 1200).height)


@pytest.mark.real
def test_real_recordings_give_a_sheet(data_root: Path, tmp_path: Path) -> None:
    from hqgen.builder.settings import BuildSettings
    from tests.builder.small import build_again

    settings = BuildSettings(
        sources=("reds", "recvidar2019"),
        data_root=data_root,
        out=tmp_path,
        methods="tfp,tfi",
        scheduler="sync",
    )
    build_again(settings)
    contact_sheet(tmp_path / "manifest.json", tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width < 1500
        assert pixels(sheet.convert("RGB"), WARNING) == 0
