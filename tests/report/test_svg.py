"""Histograms as SVG."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hqgen.report.svg import LABEL, ROW, WIDTH, histograms


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
