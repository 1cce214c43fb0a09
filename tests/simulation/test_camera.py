from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import median_filter

from hqgen.errors import HqgenError, RecordingError, UnknownNameError, UsageError
from hqgen.simulation.camera import PRESETS, Sensor, preset, simulate, simulate_pictures
from hqgen.sources.demo import demo_truth
from hqgen.spikes.packed import PackedSpikes
from hqgen.spikes.recording import open_recording
from tests.simulation.stream_statistics import StreamStatistics, stream_statistics

IDEAL = Sensor(sensitivity=1)
PAGE = Path(__file__).parents[2] / "docs" / "simulator.md"


def still(picture: NDArray[np.float32], frames: int) -> Iterator[NDArray[np.float32]]:
    return (picture for _ in range(frames))


def flat(brightness: float, frames: int, height: int = 16, width: int = 16) -> Iterator[NDArray[np.float32]]:
    return still(np.full((height, width), brightness, np.float32), frames)


def rate(spikes: PackedSpikes) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = spikes.frames().mean(axis=0)
    return mean


@settings(max_examples=50, deadline=None)
@given(
    brightness=st.floats(0, 1, width=32),
    sensitivity=st.floats(0, 1),
    frames=st.integers(1, 300),
    seed=st.integers(0, 2**63),
)
def test_an_ideal_sensor_fires_at_the_brightness_within_one_spike(
    brightness: float, sensitivity: float, frames: int, seed: int
) -> None:
    spikes = simulate(flat(brightness, frames, 3, 5), Sensor(sensitivity), seed=seed)
    expected = brightness * sensitivity
    assert np.abs(rate(spikes) - expected).max() <= 1 / frames + 1e-6


def test_what_is_left_of_the_charge_after_a_spike_is_kept() -> None:
    # 0.4 a frame fires twice in 5 frames; a pixel reset to zero would fire once in 3
    spikes = simulate(flat(0.4, 5000), IDEAL, seed=0)
    np.testing.assert_allclose(rate(spikes), 0.4, atol=1 / 5000)


def test_the_first_spikes_are_spread_over_an_interval() -> None:
    frames = simulate(flat(0.1, 10, 100, 100), IDEAL, seed=0).frames()
    np.testing.assert_allclose(frames.mean(axis=(1, 2)), 0.1, atol=0.015)


def test_full_light_fires_in_every_frame_and_darkness_never() -> None:
    assert simulate(flat(1, 50), IDEAL, seed=0).frames().all()
    assert not simulate(flat(0, 50), IDEAL, seed=0).frames().any()


def test_a_saturated_pixel_stops_when_the_light_does() -> None:
    light = [np.full((8, 8), value, np.float32) for value in [1] * 50 + [0] * 50]
    frames = simulate(light, Sensor(sensitivity=3), seed=0).frames()
    assert frames[:50].all()
    assert not frames[50:].any()


def test_dark_current_fires_in_darkness() -> None:
    spikes = simulate(flat(0, 4000), Sensor(sensitivity=1, dark=0.01), seed=0)
    np.testing.assert_allclose(rate(spikes), 0.01, atol=1 / 4000)


def test_dark_current_is_lognormal() -> None:
    sensor = Sensor(sensitivity=1, dark=0.05, dark_spread=0.4)
    logs = np.log(rate(simulate(flat(0, 2000, 80, 80), sensor, seed=0)))
    assert np.exp(np.median(logs)) == pytest.approx(0.05, rel=0.03)
    assert logs.std() == pytest.approx(0.4, rel=0.04)


def test_the_response_differs_from_pixel_to_pixel_and_not_from_time_to_time() -> None:
    spikes = simulate(flat(0.5, 4000, 40, 40), Sensor(sensitivity=1, response_spread=0.05), seed=0)
    early, late = rate(spikes[:2000]), rate(spikes[2000:])
    assert early.std() / early.mean() == pytest.approx(0.05, rel=0.06)
    np.testing.assert_allclose(early, late, atol=2 / 2000)


def test_brighter_is_faster() -> None:
    picture = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (64, 1))
    for sensor in (IDEAL, *PRESETS.values()):
        columns = rate(simulate(still(picture, 1000), sensor, seed=0)).mean(axis=0)
        assert (np.diff(columns.reshape(8, 8).mean(axis=1)) > 0).all()


def test_one_seed_gives_one_stream_and_another_gives_another() -> None:
    first, again, other = (simulate(flat(0.3, 20), preset("normal"), seed=seed) for seed in (1, 1, 2))
    assert first.data.tobytes() == again.data.tobytes() != other.data.tobytes()


@pytest.mark.parametrize("noise", ["threshold_noise", "readout_noise"])
def test_noise_jitters_intervals_and_leaves_the_rate(noise: str) -> None:
    quiet = Sensor(sensitivity=0.1)
    noisy = replace(quiet, **{noise: 0.05})
    before, after = (stream_statistics(simulate(flat(0.5, 2000), each, seed=0)) for each in (quiet, noisy))
    assert before.interval_deviation < 0.1
    assert after.interval_deviation > 0.5
    assert after.rate == pytest.approx(before.rate, rel=0.02)


def test_shot_noise_grows_as_the_electrons_get_fewer() -> None:
    def jitter(electrons: float | None) -> float:
        sensor = Sensor(sensitivity=0.1, electrons=electrons)
        return stream_statistics(simulate(flat(0.5, 2000), sensor, seed=0)).interval_cv

    # each interval collects a Poisson number of electrons: its CV is about the root of 1 / electrons
    assert jitter(None) < jitter(400) < jitter(100)
    assert jitter(100) == pytest.approx(0.1, rel=0.15)


def test_flicker_shows_with_a_period_of_two_frames() -> None:
    spikes = simulate(flat(0.3, 400, 64, 64), Sensor(sensitivity=1, flicker=0.1), seed=0)
    assert stream_statistics(spikes).flicker == pytest.approx(0.1, abs=0.01)
    per_frame = spikes.frames().mean(axis=(1, 2))
    spectrum = np.abs(np.fft.rfft(per_frame - per_frame.mean()))
    assert spectrum.argmax() == len(spectrum) - 1


def test_hot_pixels_are_as_many_as_asked_for() -> None:
    sensor = Sensor(sensitivity=0.06, hot_share=0.002, hot=0.2)
    found = stream_statistics(simulate(flat(0.5, 200, 250, 250), sensor, seed=0))
    assert found.hot_share == pytest.approx(0.002, rel=0.25)


def test_the_padding_bits_stay_zero() -> None:
    spikes = simulate(flat(1, 4, 3, 3), IDEAL, seed=0)
    assert spikes.shape == (4, 3, 3)
    assert spikes.data.tolist() == [[255, 1]] * 4


def test_a_pixel_is_where_it_is_in_the_picture() -> None:
    picture = np.zeros((3, 5), np.float32)
    picture[0, 1] = picture[2, 4] = 1
    assert (simulate(still(picture, 2), IDEAL, seed=0).frames() == picture).all()


def test_scenes_that_are_none_are_refused() -> None:
    cases: list[tuple[list[NDArray[np.float32]], str]] = [
        ([], "no frame"),
        ([np.zeros(4, np.float32)], r"shape \(H, W\)"),
        ([np.zeros((0, 4), np.float32)], "at least one pixel"),
        ([np.zeros((4, 4), np.float32), np.zeros((4, 5), np.float32)], "frame 1 .* the first one"),
        ([np.full((4, 4), np.nan, np.float32)], "values nan"),
        ([np.full((4, 4), 255, np.float32)], r"light is in \[0, 1\]"),
        ([np.full((4, 4), -0.1, np.float32)], r"light is in \[0, 1\]"),
    ]
    for scene, message in cases:
        with pytest.raises(ValueError, match=message):
            simulate(scene, IDEAL, seed=0)


@pytest.mark.parametrize(
    "wrong",
    [{"dark": -1}, {"sensitivity": float("nan")}, {"hot_share": 2}, {"flicker": 1.5}, {"electrons": 0}],
)
def test_sensors_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"sensor|`flicker` must be at most 1"):
        replace(IDEAL, **wrong)


def test_an_unknown_light_names_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="light `dim`") as caught:
        preset("dim")
    assert caught.value.hint.endswith("known: low, normal, uhsr")


def test_the_normal_preset_divided_by_0_6_is_the_picture() -> None:
    truth = demo_truth("astronaut")
    image = rate(simulate(still(truth, 400), preset("normal"), seed=0)) / 0.6
    assert image.mean() == pytest.approx(truth.mean(), rel=0.03)
    assert np.abs(image - truth).mean() < 0.02


class TestPictures:
    def draw(self, path: Path, size: tuple[int, int] = (24, 40), seed: int = 0) -> Path:
        pixels = np.random.default_rng(seed).integers(0, 256, size, np.uint8)
        Image.fromarray(pixels).save(path)
        return path

    def test_a_picture_becomes_a_recording(self, tmp_path: Path) -> None:
        out = tmp_path / "new" / "a.dat"
        written = simulate_pictures(
            self.draw(tmp_path / "a.png"), out, sensor=preset("normal"), frames=7, height=10, width=16
        )
        assert written == [out]
        assert open_recording(out, height=10, width=16).shape == (7, 10, 16)

    def test_npz_holds_what_dat_cannot(self, tmp_path: Path) -> None:
        picture = self.draw(tmp_path / "a.png")
        with pytest.raises(RecordingError, match="not a whole number of bytes"):
            simulate_pictures(picture, tmp_path / "a.dat", sensor=IDEAL, frames=2, height=5, width=5)
        simulate_pictures(picture, tmp_path / "a.npz", sensor=IDEAL, frames=2, height=5, width=5)
        assert open_recording(tmp_path / "a.npz").shape == (2, 5, 5)

    def test_a_folder_becomes_one_recording_a_picture_whatever_lies_beside_it(self, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        for name in ("b.png", "a.png"):
            self.draw(tmp_path / "in" / name)
        (tmp_path / "in" / "notes.txt").write_text("no picture")
        small = {"sensor": preset("low"), "frames": 5, "height": 8, "width": 8}
        written = simulate_pictures(tmp_path / "in", tmp_path / "out", **small)  # type: ignore[arg-type]
        assert [path.name for path in written] == ["a.dat", "b.dat"]
        alone = simulate_pictures(tmp_path / "in" / "b.png", tmp_path / "b.dat", **small)  # type: ignore[arg-type]
        assert alone[0].read_bytes() == written[1].read_bytes() != written[0].read_bytes()

    def test_pictures_that_are_enlarged_and_recordings_that_are_there_are_told(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "in").mkdir()
        self.draw(tmp_path / "in" / "a.png")
        small = {"sensor": preset("low"), "frames": 2}
        simulate_pictures(tmp_path / "in", tmp_path / "out", height=8, width=8, **small)  # type: ignore[arg-type]
        simulate_pictures(tmp_path / "in", tmp_path / "out", height=8, width=8, **small)  # type: ignore[arg-type]
        assert not caplog.messages
        (tmp_path / "out" / "old.dat").touch()
        simulate_pictures(tmp_path / "in", tmp_path / "out", height=400, width=400, **small)  # type: ignore[arg-type]
        filled, enlarged = caplog.messages
        assert "already holds 1 other recording, such as `old.dat`" in filled
        assert "1 of 1 picture had fewer pixels than 400x400" in enlarged

    def test_a_sequence_becomes_one_recording_with_a_frame_a_picture(self, tmp_path: Path) -> None:
        for index in range(3):
            Image.fromarray(np.full((8, 8), 255 * (index != 1), np.uint8)).save(tmp_path / f"{index}.png")
        out = tmp_path / "s.dat"
        assert simulate_pictures(tmp_path, out, sensor=IDEAL, sequence=True) == [out]
        frames = open_recording(out, height=8, width=8).frames()
        assert frames.mean(axis=(1, 2)).tolist() == [1, 0, 1]

    def test_a_sequence_has_one_size(self, tmp_path: Path) -> None:
        self.draw(tmp_path / "0.png", (8, 8))
        self.draw(tmp_path / "1.png", (8, 16))
        with pytest.raises(UsageError, match=r"1\.png` is 8x16"):
            simulate_pictures(tmp_path, tmp_path / "s.dat", sensor=IDEAL, sequence=True)

    def test_orders_that_make_no_sense_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "none").mkdir()
        (tmp_path / "two").mkdir()
        picture = self.draw(tmp_path / "two" / "a.png")
        cases = [
            (tmp_path / "none", tmp_path / "out", "holds no picture"),
            (tmp_path / "two", tmp_path / "a.dat", "is a single recording"),
            (picture, tmp_path / "a.mp4", "written as .dat or .npz"),
            (tmp_path / "absent.png", tmp_path / "a.dat", r"absent\.png"),
        ]
        for pictures, out, message in cases:
            with pytest.raises(HqgenError, match=message):
                simulate_pictures(pictures, out, sensor=IDEAL, frames=2, height=8, width=8)
        self.draw(tmp_path / "two" / "a.bmp")
        with pytest.raises(UsageError, match="two pictures called `a`"):
            simulate_pictures(tmp_path / "two", tmp_path / "out", sensor=IDEAL)


# The table of docs/simulator.md: what it says is what comes out.

Column = dict[str, float]


def table() -> dict[str, Column]:
    """The numbers of the page by column and statistic."""
    lines = [line.strip("| ").split("|") for line in PAGE.read_text().splitlines() if line.startswith("|")]
    start = next(index for index, line in enumerate(lines) if line[0].strip() == "statistic")
    names = {field.name for field in fields(StreamStatistics)}
    rows = {line[0].strip(" `"): line[1:] for line in lines[start:] if line[0].strip(" `") in names}
    assert rows.keys() == names
    columns = [cell.strip() for cell in lines[start][1:]]
    return {
        column: {name: float(cells[place]) for name, cells in rows.items()}
        for place, column in enumerate(columns)
    }


def agrees(found: StreamStatistics, printed: Column) -> None:
    for name, value in asdict(found).items():
        assert value == pytest.approx(printed[name], rel=0.04, abs=0.0006), name


@pytest.mark.parametrize("light", ["low", "normal"])
def test_the_page_prints_what_is_simulated(light: str) -> None:
    found = stream_statistics(simulate(still(demo_truth("camera"), 200), preset(light), seed=0))
    agrees(found, table()[f"{light}: camera"])


def recorded(root: Path, light: str) -> PackedSpikes:
    if light == "low":
        return open_recording(root / "u-caltech" / "helicopter_04144.npz").spikes()
    return open_recording(root / "recvidar2019/classA/car-100kmh.dat", height=250, width=400).spikes()


@pytest.mark.real
@pytest.mark.parametrize("light", ["low", "normal"])
def test_the_page_prints_what_is_measured(light: str, data_root: Path) -> None:
    agrees(stream_statistics(recorded(data_root, light)), table()[f"{light}: measured"])


def resimulated(spikes: PackedSpikes, light: str) -> PackedSpikes:
    """Simulate the scene of a recording: its rates, smoothed over 5x5 pixels, without the dark current."""
    sensor = preset(light) if light == "low" else replace(preset(light), sensitivity=1.0)  # its car saturates
    mean_dark = sensor.dark * np.exp(sensor.dark_spread**2 / 2)
    scene = np.clip((median_filter(rate(spikes), 5) - mean_dark) / sensor.sensitivity, 0, 1)
    return simulate(still(scene.astype(np.float32), len(spikes)), sensor, seed=0)


@pytest.mark.real
@pytest.mark.parametrize("light", ["low", "normal"])
def test_the_simulated_scene_of_a_recording_is_like_the_recording(light: str, data_root: Path) -> None:
    spikes = recorded(data_root, light)
    measured, found = (stream_statistics(each) for each in (spikes, resimulated(spikes, light)))
    agrees(found, table()[f"{light}: same scene"])
    assert found.rate == pytest.approx(measured.rate, rel=0.03)
    assert found.interval_deviation == pytest.approx(measured.interval_deviation, rel=0.15)
    assert found.hot_share == pytest.approx(measured.hot_share, abs=0.0003)


@pytest.mark.real
def test_the_fixed_pattern_is_that_of_a_calibrated_camera(data_root: Path) -> None:
    with np.load(data_root / "calibration" / "spikenerf_maps.npz") as maps:
        bright, lux = 1 / (maps["D_light"].astype(np.float64) + 1), maps["Nd"].astype(np.float64)
    dark = bright * lux / (335 + lux)
    sensor = preset("normal")
    assert sensor.dark == pytest.approx(np.median(dark), rel=0.05)
    assert sensor.dark_spread == pytest.approx(np.log(lux).std(), rel=0.05)
    local = bright / median_filter(bright, 9) - 1
    simulated = rate(simulate(flat(0.27, 3000, 60, 60), sensor, seed=0))
    assert simulated.mean() == pytest.approx(bright.mean(), rel=0.05)
    spread = [
        1.4826 * np.median(np.abs(each - np.median(each))) for each in (local, simulated / simulated.mean())
    ]
    assert spread[1] == pytest.approx(spread[0], rel=0.15)
