from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from hqgen.errors import UnknownNameError
from hqgen.spikes.camera import PRESETS, Camera


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_states_a_geometry_of_whole_bytes(name: str) -> None:
    camera = Camera(preset=name)
    assert camera.height is not None
    assert camera.width is not None
    assert camera.height * (camera.width + (camera.padding or 0)) % 8 == 0
    assert camera == Camera.model_validate(name) == Camera.model_validate(camera.model_dump())


def test_fields_are_stronger_than_their_preset() -> None:
    camera = Camera(preset="vidar-416", padding=8, bit_order="msb")
    assert (camera.height, camera.width, camera.padding, camera.bit_order) == (250, 400, 8, "msb")


def test_a_description_over_another_keeps_what_it_does_not_state() -> None:
    camera = Camera(axes="HWT").over(Camera(axes="TWH", key="cam0/spk"))
    assert camera == Camera(axes="HWT", key="cam0/spk")


def test_an_unknown_preset_is_named_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="unknown camera `vidar`") as caught:
        Camera(preset="vidar")
    assert "vidar-250x400" in caught.value.hint


def test_ranges_are_read_from_text() -> None:
    camera = Camera.model_validate({"frame_range": "100:400", "region": "0, 8, 64,96"})
    assert (camera.frame_range, camera.region) == ((100, 400), (0, 8, 64, 96))


@pytest.mark.parametrize(
    "wrong",
    [
        {"frame_range": "9:9"},
        {"frame_range": "a:b"},
        {"frame_range": "-1:4"},
        {"region": "0,0,0,8"},
        {"region": "0,0,8"},
        {"colour": "RGB"},
        {"frame_rate": 0},
        {"axes": "THWC"},
    ],
)
def test_descriptions_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Camera.model_validate(wrong)


def test_a_plan_names_only_what_is_not_usual() -> None:
    assert Camera(preset="vidar-250x400").described() == {}
    assert Camera(preset="vidar-416").described() == {"padding": 16}
    region = Camera(preset="vidar-1000", region=(0, 0, 8, 8)).described()
    assert region == {"height": 1000, "width": 1000, "region": [0, 0, 8, 8]}


@pytest.mark.parametrize("name", ["a.dat", "a.RAW", "a.bin"])
def test_a_file_without_a_header_is_of_a_vidar_camera_unless_stated(name: str) -> None:
    assert Camera().for_file(Path(name)).geometry == (250, 400)
    assert Camera(preset="vidar-1000").for_file(Path(name)).geometry == (1000, 1000)
    assert Camera().for_file(Path("a.npz")).geometry is None
