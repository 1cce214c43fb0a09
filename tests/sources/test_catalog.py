from __future__ import annotations

from pathlib import Path

import pytest

from hqgen.errors import UsageError
from hqgen.sources import catalog
from hqgen.sources.catalog import KeyIds, Stride, load_catalog, load_folder_settings
from hqgen.spikes.camera import FORMATS


def test_catalog_holds_the_datasets_of_the_paper_and_the_demo() -> None:
    assert list(load_catalog()) == [
        "demo",
        "momvidar2021",
        "motvidar2020",
        "recvidar2019",
        "reds",
        "u-caltech",
        "u-cifar",
    ]


def test_every_dataset_with_files_has_its_own_folder() -> None:
    folders = [entry.folder for entry in load_catalog().values() if entry.folder is not None]
    assert len(set(folders)) == len(folders) == 6


def test_reds_rate_is_six_tenths_of_the_brightness() -> None:
    assert load_catalog()["reds"].rate_per_brightness == 0.6


@pytest.mark.parametrize(("name", "light"), [("reds", "normal"), ("u-caltech", "low"), ("u-cifar", "low")])
def test_light_of_the_scenes(name: str, light: str) -> None:
    assert load_catalog()[name].light == light


def test_u_caltech_labels_are_in_the_published_order() -> None:
    labels = load_catalog()["u-caltech"].labels
    assert len(labels) == len(set(labels)) == 101
    assert (labels[0], labels[47], labels[55], labels[64], labels[100]) == (
        "accordion",
        "helicopter",
        "Leopards",
        "Motorbikes",
        "background",
    )


@pytest.mark.real
def test_u_caltech_labels_equal_the_list_from_the_authors(shared: Path) -> None:
    published = (shared / "specs" / "u-caltech-labels.txt").read_text().split()
    assert list(load_catalog()["u-caltech"].labels) == published


def test_u_cifar_labels_are_not_in_the_order_of_cifar10() -> None:
    labels = load_catalog()["u-cifar"].labels
    assert len(labels) == 10
    assert labels[:3] == ("frog", "horse", "dog")


def test_motvidar_names_its_box_files() -> None:
    annotations = load_catalog()["motvidar2020"].annotations
    assert annotations is not None
    assert annotations.files == "*/spikes_gt.txt"
    assert annotations.columns[:2] == ("frame", "object")


def test_folder_without_settings_gets_the_defaults(tmp_path: Path) -> None:
    settings = load_folder_settings(tmp_path)
    assert settings.key_frames == Stride(rule="stride", stride=41)
    assert settings.geometry is None
    assert settings.suffixes == FORMATS


def test_folder_settings_replace_the_defaults(tmp_path: Path) -> None:
    text = """
        geometry = [240, 320]
        axes = "HWT"
        labels = ["cat", "dog"]
        rate_per_brightness = 1
        key_frames = { rule = "key-id", pattern = '(?P<prefix>.+)-(?P<id>[0-9]+)' }
    """
    (tmp_path / "source.toml").write_text(text)
    settings = load_folder_settings(tmp_path)
    assert (settings.geometry, settings.axes, settings.labels) == ((240, 320), "HWT", ("cat", "dog"))
    assert isinstance(settings.key_frames, KeyIds)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("stride = 41", "`stride` in "),
        ("key_frames = { rule = 'stride', every = 2 }", "every"),
        ("key_frames = { rule = 'random' }", "key_frames"),
        ("key_frames = { rule = 'stride', stride = 0 }", "more than 0"),
        ("key_frames = { rule = 'key-id', pattern = '(' }", "regular expression"),
        ("key_frames = { rule = 'key-id', pattern = '.*' }", "groups `prefix` and `id`"),
        ("geometry = [250]", "geometry"),
        ("geometry = [250, 0]", "geometry.1"),
        ("geometry = ['250', '400']", "geometry.0"),
        ("axes = 'XYT'", "axes"),
        ("camera = { bit_order = 'middle' }", "camera.bit_order"),
        ("camera = { rows = 250 }", "camera.rows"),
        ("layout = []", "layout"),
        ("geometry = 1979-05-27", "geometry"),
        ("folder = 'elsewhere'", "folder"),
        ("geometry = [", "is not TOML"),
    ],
)
def test_wrong_folder_settings_are_refused_with_the_field(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "source.toml").write_text(text)
    with pytest.raises(UsageError, match=r"source\.toml") as caught:
        load_folder_settings(tmp_path)
    assert complaint in caught.value.message


def test_folder_settings_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "source.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="is not TOML"):
        load_folder_settings(tmp_path)


def test_entry_without_a_citation_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.toml").write_text('title = "Mine"\nlicence = "MIT"\nobtain = "ask me"\n')
    monkeypatch.setattr(catalog, "MANIFESTS", tmp_path)
    with pytest.raises(UsageError, match="citation"):
        catalog.load_catalog.__wrapped__()


def test_a_new_file_is_a_new_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.toml").write_text(
        'title = "Mine"\nfolder = "mine"\ncitation = "me"\nlicence = "MIT"\nobtain = "ask me"\n'
    )
    monkeypatch.setattr(catalog, "MANIFESTS", tmp_path)
    entry = catalog.load_catalog.__wrapped__()["mine"]
    assert entry.layout[0].recordings == ("**/*",)


def test_documentation_lists_every_dataset_with_its_folder() -> None:
    page = (Path(__file__).parents[2] / "docs" / "sources.md").read_text()
    for name, entry in load_catalog().items():
        assert f"| `{name}` | {entry.title}" in page
        assert entry.folder is None or f"| `{entry.folder}` |" in page


def test_a_camera_is_a_preset_or_its_fields_and_stronger_than_geometry(tmp_path: Path) -> None:
    (tmp_path / "source.toml").write_text(
        'geometry = [9, 9]\naxes = "HWT"\n'
        'camera = { preset = "vidar-416", row_order = "top-down", region = [0, 8, 64, 96] }\n'
    )
    camera = load_folder_settings(tmp_path).described_camera
    assert (camera.height, camera.width, camera.padding, camera.axes) == (250, 400, 16, "HWT")
    assert (camera.row_order, camera.geometry) == ("top-down", (64, 96))
    (tmp_path / "source.toml").write_text('camera = "vidar-1000"\n')
    assert load_folder_settings(tmp_path).described_camera.geometry == (1000, 1000)


def test_an_unknown_camera_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "source.toml").write_text('camera = "vidar-999"\n')
    with pytest.raises(UsageError, match="unknown camera `vidar-999`") as caught:
        load_folder_settings(tmp_path)
    assert "vidar-1024" in caught.value.hint
