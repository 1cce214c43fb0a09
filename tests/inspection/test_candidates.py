"""Candidates made again where recordings are no files."""

from __future__ import annotations

import numpy as np
import pytest

from hqgen.errors import StoreError
from hqgen.inspection.candidates import Remake
from hqgen.manifest import SampleSpec
from hqgen.methods.api import reconstruct
from hqgen.quality.normalise import to_uint8
from hqgen.sources.demo import demo_recording, demo_scenes
from tests.made import manifest, sample


def test_demo_candidates_are_made_from_the_simulated_recording_without_any_folder() -> None:
    scene = demo_scenes()[0]
    spikes = demo_recording(scene)
    made = manifest({"demo": [sample(f"demo/{scene}", 4.0)]})
    spec = made.plan.sources[0]
    recording = spec.recordings[0].model_copy(update={"path": scene, "frames": len(spikes)})
    spec = spec.model_copy(update={"recordings": (recording,)})
    found = made.sources[0].model_copy(update={"folder": None})

    picture = Remake(made.plan, spec, found, None).candidate(
        "tfp", SampleSpec(key="", recording=0, centre=30)
    )

    expected = to_uint8(reconstruct("tfp", spikes.frames(), centre=30))
    np.testing.assert_array_equal(picture, expected)


def test_a_store_with_another_rule_for_the_ends_is_not_made_again() -> None:
    made = manifest({"demo": [sample("demo/a", 4.0)]})
    older = made.plan.model_copy(update={"ends": {"name": "shorter", "version": 1}})
    with pytest.raises(StoreError, match="another rule for the ends of recordings"):
        Remake(older, older.sources[0], made.sources[0].model_copy(update={"folder": None}), None)
