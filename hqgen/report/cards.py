"""Samples to look through on a page: a reduced picture each, and what filters need to know."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from hqgen.inspection.picks import Gallery, Picture
from hqgen.inspection.statistics import is_ambiguous
from hqgen.manifest import SampleRecord
from hqgen.report.page import data_uri

WIDTH, QUALITY = 200, 70
"""Pixels that a reduced picture is wide at most, and its JPEG quality."""


@dataclass(frozen=True)
class Card:
    """One sample as a page shows it.

    Attributes:
        key: of the sample.
        source: its source.
        method: the winner; None without one.
        score, margin: of the winner; None where there is none.
        states: of `ambiguous`, `by hand`, `no picture`.
        note: why there is no picture, or what a person noted; may be empty.
        picture: a reduced picture as a data URI; None without a winner.
        shape: (H, W) of the source's pictures.
    """

    key: str
    source: str
    method: str | None
    score: float | None
    margin: float | None
    states: tuple[str, ...]
    note: str
    picture: str | None
    shape: tuple[int, int]


def sample_cards(gallery: Gallery, most: int) -> list[Card]:
    """Cards of all samples, or of `most` that are spread evenly over the store, in its order."""
    sources = gallery.manifest.sources
    places = [(number, row) for number, source in enumerate(sources) for row in range(len(source.samples))]
    return [_card(gallery, *place) for place in spread(places, most)]


def spread(items: Sequence[tuple[int, int]], most: int) -> list[tuple[int, int]]:
    """All items, or `most` of them at equal distances, the first among them."""
    if len(items) <= most:
        return list(items)
    return [items[index * len(items) // most] for index in range(most)]


def _card(gallery: Gallery, source: int, row: int) -> Card:
    spec, sample = gallery.manifest.plan.sources[source], gallery.manifest.sources[source].samples[row]
    return Card(
        key=sample.key,
        source=spec.name,
        method=sample.method,
        score=sample.score,
        margin=sample.margin,
        states=_states(sample, str(gallery.manifest.plan.scorer["name"])),
        note=_note(sample),
        picture=None if sample.method is None else reduced(gallery.winner(source, row)),
        shape=(spec.height, spec.width),
    )


def _states(sample: SampleRecord, scorer: str) -> tuple[str, ...]:
    states = {
        "ambiguous": sample.method is not None and is_ambiguous(sample.margin, scorer),
        "by hand": sample.by_hand is not None,
        "no picture": sample.method is None,
    }
    return tuple(name for name, holds in states.items() if holds)


def _note(sample: SampleRecord) -> str:
    if sample.method is None:
        reasons = "; ".join(f"{method}: {reason}" for method, reason in sample.reasons.items())
        return sample.refused or reasons
    return f"picked by hand: {sample.by_hand}" if sample.by_hand else ""


def reduced(picture: Picture) -> str:
    """A smaller picture as the data URI of a JPEG: for finding, not for judging."""
    image = Image.fromarray(picture)
    if image.width > WIDTH:
        image = image.resize((WIDTH, round(image.height * WIDTH / image.width)), Image.Resampling.BOX)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY, optimize=True)
    return data_uri(file.getvalue(), "image/jpeg")
