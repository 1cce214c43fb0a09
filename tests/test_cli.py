"""The command line as a user sees it: output, errors, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import hqgen
from hqgen.sources.demo import demo_recording
from tests.builder.small import HEIGHT, WIDTH, stream, write_scenes
from tests.command_line import run
from tests.spikes.test_formats import raw_bytes


@pytest.fixture
def flags(tmp_path: Path, recordings: Path) -> list[str]:
    out = str(tmp_path / "out")
    return ["--sources", f"folder:{recordings}", "--methods", "tfp,tfi", "--scheduler", "sync", "--out", out]


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    return write_scenes(tmp_path / "lab", 3)


@pytest.mark.parametrize("program", ["hqgen", "spikeclip"])
def test_version_and_help_go_to_stdout(program: str) -> None:
    version = run("--version", program=program)
    assert (version.returncode, version.stdout) == (0, f"{program} {hqgen.__version__}\n")
    for flag in ("--help", "-h"):
        shown = run(flag, program=program)
        assert shown.returncode == 0
        assert shown.stdout.startswith("Usage:")
        assert not shown.stderr


def test_a_build_succeeds_and_says_where_things_are(flags: list[str], tmp_path: Path) -> None:
    done = run("build", *flags)
    assert done.returncode == 0, done.stderr
    assert "3 samples from 1 source; 3 made now" in done.stdout
    assert str(tmp_path / "out/manifest.json") in done.stdout
    again = run("build", *flags)
    assert again.returncode == 0
    assert "nothing to do" in again.stdout


def test_a_build_names_the_first_files_that_cannot_be_used_and_sources_all_of_them(
    flags: list[str], recordings: Path
) -> None:
    for number in range(5):
        (recordings / f"bad{number}.dat").write_bytes(b"")
    done = run("build", *flags)
    assert done.returncode == 3
    assert "folder-lab: 5 files cannot be used\n  bad0.dat: the file is empty\n" in done.stderr
    assert "bad3.dat" not in done.stderr
    command = f"hqgen sources folder:{recordings}"
    assert f"and 2 more: see `{command}`" in done.stderr
    listed = run(*command.split()[1:])
    assert all(f"bad{number}.dat: the file is empty" in listed.stdout for number in range(5))


def test_a_build_is_inspected_by_its_folder(flags: list[str], tmp_path: Path) -> None:
    run("build", *flags)
    assert "3 of 3 samples" in run("inspect", tmp_path / "out").stdout


def test_methods_that_cannot_run_are_listed_once_for_a_store(recordings: Path, tmp_path: Path) -> None:
    command: list[str | Path] = [
        "build",
        "--sources",
        f"folder:{recordings}",
        "--scheduler",
        "sync",
        "--out",
        tmp_path / "out",
    ]
    weights = {"HQGEN_WEIGHTS": str(tmp_path / "none")}
    assert "not available" in run(*command, env=weights).stderr
    assert "not available" not in run(*command, env=weights).stderr


def test_json_is_all_that_stdout_holds(flags: list[str], tmp_path: Path) -> None:
    built = json.loads(run("build", *flags, "--json").stdout)
    assert built["samples"] == {"folder-lab": 3}
    assert built["made"] == 3
    manifest = tmp_path / "out/manifest.json"
    assert json.loads(run("inspect", manifest, "--json").stdout)["plan_id"] == built["plan_id"]
    assert json.loads(run("inspect", manifest, "--json", "--verify").stdout)["damage"] == []
    assert {row["name"] for row in json.loads(run("methods", "--json").stdout)} >= {"tfp", "tfi", "tfstp"}
    assert {row["name"] for row in json.loads(run("sources", "--json").stdout)} >= {"reds", "recvidar2019"}
    assert "versions" in json.loads(run("doctor", "--json").stdout)
    estimate = json.loads(run("build", *flags, "--plan", "--json").stdout)
    assert estimate["sources"][0]["missing"] == 0


def test_quarantined_recordings_are_exit_code_3_and_shown(
    flags: list[str], recordings: Path, tmp_path: Path
) -> None:
    (recordings / "empty.dat").touch()
    done = run("build", *flags)
    assert done.returncode == 3, done.stderr
    assert "1 recordings or samples gave no picture" in done.stdout
    shown = run("inspect", tmp_path / "out/manifest.json")
    assert shown.returncode == 0
    assert "empty.dat" in shown.stdout
    assert "the file is empty" in shown.stdout


def test_damage_is_exit_code_1_and_named(flags: list[str], tmp_path: Path) -> None:
    run("build", *flags)
    shard = tmp_path / "out/hq.zarr/folder-lab/images/c/0/0/0"
    shard.write_bytes(shard.read_bytes()[:-99])
    done = run("inspect", tmp_path / "out/manifest.json", "--verify")
    assert done.returncode == 1
    assert "damaged: 1 finding" in done.stdout
    assert "its file cannot be decoded" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["build", "--sources", "redz"], 2, ["error: unknown source `redz`", "hint: did you mean `reds`?"]),
        (["build", "--sources", "reds"], 1, ["error: source `reds`", "hint:"]),
        (
            ["build"],
            2,
            [
                "error: `sources` in the settings of `hqgen build` is missing",
                "hint: see `hqgen build --help`",
            ],
        ),
        (["build", "--sources", "demo", "--workers", "0"], 2, ["--workers"]),
        (["build", "--sources", "demo", "--existing", "ask"], 2, ["--existing"]),
        (["build", "--sources", "demo", "--config", "none.toml"], 2, ["none.toml", "No such file"]),
        (["nosuch"], 2, ["No such command 'nosuch'"]),
        (["inspect", "none.json"], 1, ["`none.json` cannot be read"]),
        (["reconstruct", "none.dat", "--out", "a.png"], 1, ["none.dat", "No such file"]),
        (["weights", "add", "none.pth", "--method", "tfp"], 2, ["`tfp` has no weights"]),
    ],
)
def test_mistakes_are_one_sentence_and_a_hint_without_a_traceback(
    tmp_path: Path, arguments: list[str], code: int, words: list[str]
) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert not done.stdout
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_an_internal_error_keeps_its_traceback_in_a_log(tmp_path: Path) -> None:
    code = "import hqgen.cli as c; c.console.show = None; c.main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "sources"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 4
    assert "internal error" in done.stderr
    assert "Traceback" not in done.stderr
    (log,) = tmp_path.glob("hqgen-*.log")
    assert "Traceback" in log.read_text()


def test_methods_of_one_source_come_from_the_file(recordings: Path, tmp_path: Path) -> None:
    file = tmp_path / "hqgen.toml"
    file.write_text(
        f'[build]\nsources = "folder:{recordings}"\nscheduler = "sync"\nout = "{tmp_path / "out"}"\n'
        '[build.source-methods]\nfolder-lab = "tfp:window=21"\n'
    )
    done = run("build", "--config", file)
    assert done.returncode == 0, done.stderr
    document = hqgen.read_manifest(tmp_path / "out/manifest.json")
    (method,) = document.plan.sources[0].methods
    assert (method.name, method.parameters) == ("tfp", {"window": 21})


def test_one_frame_becomes_a_picture_or_the_methods_own_values(recordings: Path, tmp_path: Path) -> None:
    size = ["--height", str(HEIGHT), "--width", str(WIDTH)]
    frame: list[str | Path] = [recordings / "scene0.dat", *size, "--method", "tfp:window=11", "--frame", "20"]
    done = run("reconstruct", *frame, "--out", tmp_path / "new folder/a.png")
    assert done.returncode == 0
    assert done.stdout == f"{tmp_path / 'new folder/a.png'}\n"
    assert f"scene0.dat`: 50 frames of {HEIGHT}x{WIDTH}" in done.stderr
    assert run("reconstruct", *frame, "--out", tmp_path / "a.npy").returncode == 0
    with Image.open(tmp_path / "new folder/a.png") as picture:
        assert picture.size == (WIDTH, HEIGHT)
    rate = np.load(tmp_path / "a.npy")
    np.testing.assert_allclose(rate, stream(0).frames()[15:26].mean(axis=0), atol=1e-6)
    assert run("reconstruct", *frame, "--out", tmp_path / "a.npy/a.png").returncode == 2
    missing = run("reconstruct", *frame, "--frame", "50", "--out", tmp_path / "b.png")
    assert missing.returncode == 2
    assert "hint: give `--frame` as 0 to 49" in missing.stderr


def test_files_that_are_written_are_named_and_their_folders_made(flags: list[str], tmp_path: Path) -> None:
    run("build", *flags)
    sheet, page = tmp_path / "new/sheet.png", tmp_path / "new/page.html"
    done = run("inspect", tmp_path / "out", "--contact-sheet", sheet, "--html", page)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"contact sheet  {sheet}\npage           {page}\n")
    assert sheet.stat().st_size > 0 < page.stat().st_size


@pytest.mark.parametrize(
    "command",
    [
        ["score", "none.png"],
        ["simulate", "none.png", "--out", "a.dat"],
        ["probe", "none.dat"],
        ["reconstruct", "none.dat", "--out", "a.png"],
        ["inspect", "none"],
        ["weights", "add", "none.pth", "--method", "wgse"],
        ["build", "--sources", "folder:none"],
        ["repick", "none", "--out", "x"],
        ["merge", "none", "none", "--out", "x"],
        ["diff", "none", "none"],
    ],
)
def test_no_number_of_the_operating_system_reaches_a_user(command: list[str], tmp_path: Path) -> None:
    done = run(*command, cwd=tmp_path)
    assert done.returncode == 1, "a missing file can be fixed"
    assert "none" in done.stderr
    assert "Errno" not in done.stderr


def test_a_misread_recording_is_refused_with_the_flags_that_help(tmp_path: Path) -> None:
    frames = np.concatenate([demo_recording("coffee").frames()] * 2)[:100]
    path = tmp_path / "counter.dat"
    path.write_bytes(raw_bytes(frames, padding=16))
    words: list[str | Path] = ["reconstruct", path, "--method", "tfp", "--out", tmp_path / "a.png"]
    refused = run(*words)
    assert refused.returncode == 2
    assert "counter.dat` is not read as it was written" in refused.stderr
    assert "`--camera vidar-416`" in refused.stderr
    assert not (tmp_path / "a.png").exists()
    assert run(*words, "--force").returncode == 0
    assert run(*words, "--camera", "vidar-416").returncode == 0
    found = run("probe", path, tmp_path / "none.dat", "--json", "--picture", tmp_path / "probe.png")
    assert found.returncode == 3
    assert "none.dat: No such file" in found.stderr
    assert [item["proposal"] for item in json.loads(found.stdout)] == ["--camera vidar-416"]
    assert (tmp_path / "probe.png").exists()


def test_pictures_are_scored_and_those_without_a_score_have_a_reason(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (100, 120), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no picture")
    done = run("score", tmp_path / "a.png")
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[0]) == pytest.approx(float(hqgen.niqe(picture)[0]), abs=1e-4)
    both = run("score", tmp_path / "a.png", tmp_path / "b.png", "--json")
    assert both.returncode == 3
    assert [row["score"] is None for row in json.loads(both.stdout)] == [False, True]
    assert run("score", tmp_path / "b.png").returncode == 1, "nothing could be scored"


def test_a_reader_that_goes_away_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "hqgen", "sources", "--json"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert not done.stderr


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the tensors that `ssir` takes, as a training leaves it behind."""
    import torch

    from hqgen.methods.learned.ssir import SSIRNetwork

    file = tmp_path_factory.mktemp("published") / "ssir.pth"
    torch.save(SSIRNetwork().state_dict(), file)
    return file


def shown_methods(weights: Path, *arguments: str) -> tuple[dict[str, str], str]:
    """What `hqgen methods` says of each method in its last column, and the text below the table."""
    done = run("methods", *arguments, env={"HQGEN_WEIGHTS": str(weights), "COLUMNS": "200"})
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    table, _, below = done.stdout.partition("\n\n")
    rows = [line.strip().rsplit("   ", 1) for line in table.splitlines() if " .. " in line]
    return {row[0].split()[0]: row[-1].strip() for row in rows}, " ".join(below.split())


def test_methods_without_weights_are_not_ready_and_say_where_they_were_looked_for(tmp_path: Path) -> None:
    states, below = shown_methods(tmp_path)
    ready = [name for name, state in states.items() if state == "ready"]
    assert ready == ["tfp", "tfi", "tfstp", "base"]
    by_name = [name for name, state in states.items() if state == "ready, by name"]
    assert {"mtfp", "variational"} <= set(by_name)
    for name in states.keys() - set(ready) - set(by_name):
        assert states[name] == "not ready"
        assert f"{name}: there are no weights `{name}` in `{tmp_path}`" in below


def test_a_method_is_ready_once_its_weights_are_added(tmp_path: Path, checkpoint: Path) -> None:
    weights = {"HQGEN_WEIGHTS": str(tmp_path)}
    assert "ssir" not in run("weights", "list", env=weights).stdout
    added = run("weights", "add", checkpoint, "--method", "ssir", env=weights)
    assert added.returncode == 0, added.stderr
    states, below = shown_methods(tmp_path)
    assert states["ssir"] == "ready"
    assert states["wgse"] == "not ready"
    assert "ssir" not in below
    checked = run("weights", "check", env=weights)
    assert (checked.returncode, checked.stdout) == (0, "base: sound\nbase:size=small: sound\nssir: sound\n")
    assert {row["name"] for row in json.loads(run("weights", "list", "--json", env=weights).stdout)} == {
        "base",
        "base-small",
        "ssir",
    }


def test_a_method_whose_weights_are_damaged_is_not_ready_and_no_other_is_harmed(
    tmp_path: Path, checkpoint: Path, recordings: Path
) -> None:
    folder = tmp_path / "weights"
    weights = {"HQGEN_WEIGHTS": str(folder)}
    run("weights", "add", checkpoint, "--method", "ssir", env=weights)
    (file,) = folder.glob("ssir-*.pth")
    file.write_bytes(file.read_bytes()[:-1000])
    states, below = shown_methods(folder)
    assert states["ssir"] == "not ready"
    assert states["base"] == "ready"
    assert f"ssir: `{file}` is not the registered file: its sha256 is " in below
    checked = run("weights", "check", env=weights)
    assert checked.returncode == 1
    assert "base: sound" in checked.stdout
    assert f"ssir: `{file}` is not the expected file" in checked.stdout
    asked = run(
        "build", "--sources", f"folder:{recordings}", "--methods", "tfp,ssir", env=weights, cwd=tmp_path
    )
    assert asked.returncode == 1
    assert "error: method `ssir` is not available" in asked.stderr
    assert "Traceback" not in asked.stderr


def test_a_damaged_registry_is_said_of_every_network_and_the_others_are_ready(tmp_path: Path) -> None:
    (tmp_path / "weights.json").write_text('{"weights": [')
    states, below = shown_methods(tmp_path)
    assert [name for name, state in states.items() if state == "ready"] == ["tfp", "tfi", "tfstp"]
    assert f"base: cannot read the registry of weights `{tmp_path / 'weights.json'}`" in below
    listed = run("weights", "list", env={"HQGEN_WEIGHTS": str(tmp_path)})
    assert (listed.returncode, listed.stdout) == (1, "")
    assert "hint: remove it and add the weights again" in listed.stderr


def test_weights_that_do_not_fit_are_refused_and_change_nothing(tmp_path: Path, checkpoint: Path) -> None:
    weights = {"HQGEN_WEIGHTS": str(tmp_path)}
    refused = run("weights", "add", checkpoint, "--method", "bsf", env=weights)
    assert refused.returncode == 1
    assert "does not fit the network" in refused.stderr
    assert not list(tmp_path.iterdir())
