"""A manifest as one HTML file that needs nothing else: tables, histograms, pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup
from PIL import Image

from hqgen.curation import Journal, summarise
from hqgen.files import writing
from hqgen.inspection.picks import Gallery, Picture
from hqgen.inspection.statistics import SourceStatistics, statistics
from hqgen.manifest import SourceManifest
from hqgen.pictures import png
from hqgen.plot import histograms
from hqgen.report.cards import sample_cards
from hqgen.report.notes import heading, quartile_texts, source_heading, source_notes
from hqgen.report.page import data_uri, environment, resource, whole_page
from hqgen.text import count

LISTED = 500
"""Quarantined files and samples of one source that are listed; the manifest has them all."""

CARDS = 500
"""Samples that can be looked through; their reduced pictures make the file larger by about 5 kB each."""

EACH = 1
"""Picks of every kind; every picture makes the file larger by about 100 kB."""


def html_page(manifest_path: str | Path, out_html: str | Path, data_root: Path | None = None) -> None:
    """Write a page that shows a manifest.

    Where the store does not hold the candidates, they are made again from the recordings; where those are
    gone, too, the page shows the winners alone, and says so.

    Args:
        manifest_path: the manifest of a finished store.
        out_html: where to write.
        data_root: where the catalog's folders are, for sources that are no longer where they were.

    Raises:
        StoreError: there is no manifest or no complete store, or the store is of another plan.
        UsageError: the file cannot be written.
    """
    gallery = Gallery(manifest_path, data_root)
    found = statistics(gallery.manifest)
    unit = found.scorer.upper()
    made = environment()
    made.filters["embedded"] = _embedded
    made.globals["quartiles"] = quartile_texts
    text = whole_page(
        made,
        "page.html",
        style=resource("style.css"),
        script=resource("page.js"),
        title=f"{count(found.pictures, 'picture')} of {count(found.samples, 'sample')}",
        summary=heading(found, summarise(Journal(manifest_path, gallery.manifest))),
        sources=[_source_part(gallery, index, source, unit) for index, source in enumerate(found.sources)],
        unit=unit,
        listed=LISTED,
        cards=sample_cards(gallery, CARDS),
        total=found.samples,
    )
    with writing(Path(out_html)):
        Path(out_html).write_text(text, encoding="utf-8")


def _source_part(gallery: Gallery, index: int, source: SourceStatistics, unit: str) -> dict[str, Any]:
    """What `templates/source.html` shows of a source; `quarantine` holds names and reasons."""
    scores = _scores(gallery.manifest.sources[index], source)
    return {
        "numbers": source,
        "heading": source_heading(source),
        "notes": source_notes(source),
        "histograms": Markup(histograms(scores, marked="winners", unit=unit)),
        "picks": list(gallery.picks(index, each=EACH, or_stored=True)),
        "quarantine": [
            *((item.path, item.reason) for item in source.quarantined_recordings),
            *(
                (sample.key, sample.refused or "; ".join(f"{n}: {why}" for n, why in sample.reasons.items()))
                for sample in source.quarantined_samples
            ),
        ],
    }


def _scores(found: SourceManifest, source: SourceStatistics) -> dict[str, Sequence[float]]:
    """Scores of every method's candidates, and of the winners."""
    scores: dict[str, Sequence[float]] = {
        method.name: [score for s in found.samples if (score := s.scores[method.name]) is not None]
        for method in source.methods
    }
    return scores | {"winners": [sample.score for sample in found.samples if sample.score is not None]}


def _embedded(picture: Picture) -> str:
    """The picture as a PNG in the page: what is judged is noise, which JPEG would change."""
    return data_uri(png(Image.fromarray(picture)), "image/png")
