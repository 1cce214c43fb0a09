from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hqgen.plot import (
    LABEL,
    LINES,
    PANEL_HEIGHT,
    PANEL_WIDTH,
    ROW,
    WIDTH,
    curve_panel,
    curves,
    histograms,
    ticks,
)


def test_without_values_there_is_no_drawing() -> None:
    assert histograms({"a": [], "b": []}, marked="a", unit="NIQE") == ""


@given(st.lists(st.lists(st.floats(-1e6, 1e6), max_size=30), min_size=1, max_size=5).filter(any))
def test_it_is_xml_and_every_bar_lies_in_its_row(groups: list[list[float]]) -> None:
    names = {f"m{number}<&": values for number, values in enumerate(groups)}
    root = ET.fromstring(histograms(names, marked="m0<&", unit="NIQE"))
    for row, group in enumerate(root.findall("g")):
        for bar in group.findall("rect"):
            x, y, width, height = (float(bar.attrib[name]) for name in ("x", "y", "width", "height"))
            assert x >= LABEL
            assert x + width <= WIDTH
            assert y >= row * ROW
            assert y + height == pytest.approx((row + 1) * ROW, abs=0.11)


def test_the_marked_set_and_no_other_has_the_accent() -> None:
    root = ET.fromstring(histograms({"tfp": [1, 2], "winners": [1]}, marked="winners", unit="NIQE"))
    assert [group.attrib["class"] for group in root.findall("g")] == ["bar", "accent"]


def test_the_tallest_bar_is_the_fullest_bin() -> None:
    root = ET.fromstring(histograms({"tfp": [1.0, 9.0, 9.0, 9.0, 9.0]}, marked="", unit="NIQE"))
    heights = [float(bar.attrib["height"]) for bar in root.iter("rect")]
    assert heights[1] == pytest.approx(4 * heights[0], abs=0.2)


def test_the_axis_has_round_numbers() -> None:
    root = ET.fromstring(histograms({"tfp": [3.0, 9.0]}, marked="", unit="NIQE"))
    numbers = [text.text for text in root.findall("text")][2:]
    assert numbers == ["4", "5", "6", "7", "8"]


@pytest.mark.parametrize("about", [5, 6])
@pytest.mark.parametrize("ends", [(0, 1), (0, 22000), (-50.5, 249.0), (1e-6, 3e-4), (0.949, 1.051)])
def test_ticks_are_a_few_round_numbers_within_the_range(ends: tuple[float, float], about: int) -> None:
    found = ticks(*ends, about)
    assert about / 2.5 - 1 <= len(found) <= about + 1
    assert all(ends[0] <= tick <= ends[1] for tick in found)
    assert all(len(f"{tick:g}") <= 8 for tick in found)


def test_zero_has_no_sign() -> None:
    assert [f"{tick:g}" for tick in ticks(-0.05, 2.3, 5)] == ["0", "0.5", "1", "1.5", "2"]


SVG = "{http://www.w3.org/2000/svg}"


def places(polyline: ET.Element) -> list[tuple[float, float]]:
    pairs = [pair.split(",") for pair in polyline.attrib["points"].split()]
    return [(float(x), float(y)) for x, y in pairs]


@pytest.mark.parametrize(
    "line",
    [
        [(20, 1.0)],
        [(20, 0.0), (40, 0.0)],
        [(step, 1e-6 * step) for step in range(1, 300)],
        [(step, -50.0 + step) for step in range(1, 300)],
        [(1, 1e9), *((step, 1.0 / step) for step in range(2, 50))],
    ],
    ids=["one", "all zero", "tiny", "negative", "far out"],
)
def test_any_curve_can_be_drawn_within_its_panel(line: list[tuple[float, float]]) -> None:
    root = ET.fromstring(curves({"fine: <total>": {"total": line}, "class": {"class": line}}, "step"))
    assert (root.attrib["width"], root.attrib["height"]) == (str(2 * PANEL_WIDTH), str(PANEL_HEIGHT))
    panels = root.findall(f"{SVG}g")
    assert len(panels) == 2
    for panel in panels:
        (drawn,) = panel.iter(f"{SVG}polyline")
        assert len(places(drawn)) == len(line)
        assert all(0 <= x <= PANEL_WIDTH and 0 <= y <= PANEL_HEIGHT for x, y in places(drawn))
        assert len(list(panel.iter(f"{SVG}circle"))) == (len(line) == 1)


def test_the_fourth_panel_begins_a_new_row() -> None:
    root = ET.fromstring(curves({str(number): {"y": [(0.0, 1.0), (1.0, 2.0)]} for number in range(4)}, "x"))
    assert (root.attrib["width"], root.attrib["height"]) == (str(3 * PANEL_WIDTH), str(2 * PANEL_HEIGHT))
    moved = [panel.attrib["transform"] for panel in root.findall(f"{SVG}g")]
    assert moved[2:] == [f"translate({2 * PANEL_WIDTH} 0)", f"translate(0 {PANEL_HEIGHT})"]


def test_what_is_far_out_at_the_start_does_not_flatten_the_rest() -> None:
    line = [(1.0, 1e9), *((float(step), 1.0 / step) for step in range(2, 50))]
    drawn = places(next(ET.fromstring(curves({"fine": {"total": line}}, "step")).iter(f"{SVG}polyline")))
    assert drawn[-1][1] - drawn[1][1] > PANEL_HEIGHT / 2


def test_a_second_line_has_a_colour_and_a_name_of_its_own() -> None:
    lines = {"total": [(20.0, 1.0), (40.0, 0.5)], "held-out samples": [(40.0, 0.8)]}
    root = ET.fromstring(curves({"fine": lines}, "step"))
    assert [line.attrib["class"] for line in root.iter(f"{SVG}polyline")] == list(LINES)
    named = {text.text: text.attrib.get("class") for text in root.iter(f"{SVG}text")}
    assert named["held-out samples"] == "second"
    assert "total" not in named
    style = root.findtext(f"{SVG}style") or ""
    assert all(f"polyline.{name}{{stroke:#" in style for name in LINES)


def test_a_panel_of_a_page_has_no_colours_and_its_heading_is_text() -> None:
    text = curve_panel("<img src=x onerror=alert(1)>", {"total": [(1.0, 2.0)], "a&b": [(1.0, 3.0)]}, "step")
    root = ET.fromstring(text)
    assert root.attrib["aria-label"] == "<img src=x onerror=alert(1)>"
    assert not {"img", "style"} & {element.tag for element in root.iter()}
    assert "#" not in text
    assert "a&b" in [element.text for element in root.iter("text")]
