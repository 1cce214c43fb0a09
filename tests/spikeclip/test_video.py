from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hqgen.errors import RecordingError, UsageError
from spikeclip.networks import LRN, build, save_network
from spikeclip.reconstruction import reconstruct_windows
from spikeclip.video import reconstruct_video
from tests.builder.small import Recorder
from tests.command_line import run
from tests.video.made import recording

SIZE = (24, 32)


@pytest.fixture(scope="module")
def network() -> LRN:
    lrn = build("lrn")
    assert isinstance(lrn, LRN)
    return lrn.eval()


def saved(path: Path, length: int) -> Path:
    np.savez_compressed(path, spk=recording(length, *SIZE).frames())
    return path


def test_a_video_has_the_values_of_each_window_and_says_what_is_left_out(
    network: LRN, tmp_path: Path
) -> None:
    path, observer = saved(tmp_path / "a.npz", 230), Recorder()
    reconstruct_video(network, path, "::10", tmp_path / "a.npy", force=True, observer=observer)
    found = np.load(tmp_path / "a.npy")
    expected = np.concatenate(list(reconstruct_windows(network, recording(230, *SIZE), (0, 10, 20, 30))))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert any("19 pictures of 23 left out" in note for note in observer.notes)


def test_recordings_and_frames_without_a_window_are_refused(network: LRN, tmp_path: Path) -> None:
    out = tmp_path / "film"
    with pytest.raises(UsageError, match="fits into") as caught:
        reconstruct_video(network, saved(tmp_path / "a.npz", 230), "0:50", out, force=True)
    assert "frames 100 to 130" in caught.value.hint
    with pytest.raises(RecordingError, match="has 150 frames, the network takes 200"):
        reconstruct_video(network, saved(tmp_path / "b.npz", 150), "::", out, force=True)
    assert not out.exists()


def test_the_command_makes_one_video_of_one_recording(network: LRN, tmp_path: Path) -> None:
    save_network(tmp_path / "network.pth", network, {"network": "lrn"})
    path = saved(tmp_path / "a.npz", 220)
    words: list[str | Path] = ["reconstruct", tmp_path / "network.pth", path, "--force", "--out"]
    done = run(*words, tmp_path / "film.npy", "--frames", "100:121:5", program="spikeclip")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'film.npy'}\n"
    assert np.load(tmp_path / "film.npy").shape == (5, *SIZE)
    for flags in (["--frames", "::", "--raw"], ["--counter"], ["--rate", "20"]):
        refused = run(*words, tmp_path / "x", *flags, program="spikeclip")
        assert refused.returncode == 2
        assert "--frames" in refused.stderr
