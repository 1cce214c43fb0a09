"""The model card: what a reader of the hub has to know about a network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hqgen.errors import UsageError
from hqgen.text import count
from spikeclip.publishing.facts import Facts, LowLightFacts, Result
from spikeclip.training.settings import FineSettings

LIBRARY = "spikeclip"

TASK = "image-to-image"
"""The task of the hub that comes nearest: its list has none for spikes."""

TAGS = ("spike-camera", "low-light", "image-reconstruction")

TEMPLATE = Path(__file__).with_name("card.md")

METRICS = {
    "NIQE": "niqe",
    "BRISQUE": "brisque",
    "PIQE": "piqe",
    "ACC (%)": "accuracy",
    "PSNR": "psnr",
    "SSIM": "ssim",
}
"""Names that the hub has for columns of a table; other columns keep their heading."""


ORIGINS = {
    "recordings": "recordings of a folder",
    "pictures": "simulated from pictures",
    "demo": "simulated from shapes that the program draws",
}
"""What streams are, by a key of what a low-light set was made from."""


TARGETS = {
    "tfi": "the TFI picture of each stream",
    "tfp": "the mean rate of each stream",
    "base": "the picture that the network `base` of hqgen makes of each stream",
}
TERMS = {
    "class": "the class of each stream, through CLIP",
    "prompt": "prompts that CLIP learned from the HQ store",
    "quality": "words of quality, through CLIP",
}
ANCHORS = {
    "spikes": "the spikes, counted in squares of pixels",
    "base": "the picture of `base`, in squares of pixels",
}
"""What a stage learns from, by the values of its settings."""


def card(facts: Facts, name: str, licence: str, files: Sequence[str]) -> str:
    """Write `README.md`: front matter in YAML, then Markdown.

    Args:
        facts: what is known of the network.
        name: of the model.
        licence: an id of the hub, or `other`.
        files: that are published beside the card.

    Raises:
        UsageError: the hub would not take a value.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    body = environment.from_string(TEMPLATE.read_text("utf-8")).render(
        name=name,
        network=facts.network,
        parameters=count(sum(item.numel() for item in facts.network.parameters()), "parameter"),
        frames=4 * facts.network.bins,
        meta=facts.meta,
        stages=list(_stages(facts)),
        data=_data(facts.low_light),
        teachers=list(_teachers(facts)),
        result=facts.result,
        files=files,
        licence=licence,
    )
    return f"---\n{_front_matter(facts, name, licence)}\n---\n\n{body}"


def _front_matter(facts: Facts, name: str, licence: str) -> str:
    from huggingface_hub import ModelCardData

    data = ModelCardData(
        license=licence,
        library_name=LIBRARY,
        pipeline_tag=TASK,
        tags=[*TAGS, facts.network.name],
        model_name=name,
        eval_results=list(_eval_results(facts.result)) or None,
        metrics=sorted({METRICS[title] for title in _titles(facts.result) if title in METRICS}) or None,
    )
    try:
        return str(data.to_yaml()).strip()
    except ValueError as error:
        raise UsageError(f"the card cannot be written: {error}", hint="give another name") from error


def _titles(result: Result | None) -> Iterator[str]:
    for heading in result.values if result else ():
        yield heading.rpartition(" (")[0]


def _eval_results(result: Result | None) -> Iterator[Any]:
    """What was judged of the network; what it costs is not a result of the model index."""
    from huggingface_hub import EvalResult

    if result is None:
        return
    for heading, (value, _) in result.values.items():
        title, _, group = heading.rpartition(" (")
        if group != "cost)" and math.isfinite(value):
            yield EvalResult(
                task_type=TASK,
                dataset_type="low-light-spikes",
                dataset_name=str(result.about.get("data", "unknown")),
                dataset_split=str(result.about.get("split", "test")),
                metric_type=METRICS.get(title, title),
                metric_name=heading,
                metric_value=round(value, 4),
            )


def _stages(facts: Facts) -> Iterator[str]:
    """What each stage did, in a line."""
    for stage, plan in facts.plans.items():
        steps = f"{count(plan['epochs'], 'epoch')}, batch {plan['batch']}, rate {plan['learning_rate']:g}"
        weight = f", lambda {plan['prompt_weight']:g}" if "prompt_weight" in plan else ""
        yield f"`{stage}`: {steps}{weight}"


def _teachers(facts: Facts) -> Iterator[str]:
    """What the network learned from, in lines: one each stage, and CLIP."""
    plans = facts.plans
    if not plans:
        return
    if (start := next(iter(plans.values()))["start"]) is not None:
        yield f"It started from another network (`{start[:16]}`), which has a history of its own."
    if "coarse" in plans:
        yield f"Stage `coarse` learned {TARGETS[plans['coarse'].get('target', 'tfi')]}."
    if "fine" in plans:
        terms = [said for name, said in TERMS.items() if _weight(plans["fine"], name) > 0]
        if _weight(plans["fine"], "anchor") > 0:
            terms.append(ANCHORS[plans["fine"].get("anchor", "spikes")])
        yield f"Stage `fine` learned from {', '.join(terms)}."
    if plan := next((plan for plan in plans.values() if "clip" in plan), None):
        clip = facts.settings.get("clip", {})
        weights = f", weights `{clip['weights']}`" if "weights" in clip else ""
        yield f"Its CLIP is `{clip.get('model', 'unknown')}`{weights} (digest `{plan['clip'][:16]}`)."


def _weight(plan: Mapping[str, Any], term: str) -> float:
    """The weight of a term of stage fine; what a plan does not name is at its default."""
    name = f"{term}_weight"
    return float(plan.get(name, FineSettings.model_fields[name].default))


def _data(low_light: LowLightFacts | None) -> list[str]:
    """What it was trained on, in lines; empty where nothing is known."""
    if low_light is None:
        return []
    lines = [f"Low-light set with the digest `{low_light.digest[:16]}`."]
    if low_light.samples:
        samples = ", ".join(f"{number:,} {name}" for name, number in low_light.samples.items())
        some = ", ".join(low_light.classes[:10]) + (", ..." if len(low_light.classes) > 10 else "")
        lines.append(f"Samples: {samples}. Classes: {len(low_light.classes)} ({some}).")
        known = [said for key, said in ORIGINS.items() if key in low_light.made_from]
        lines.append(f"Its streams are {known[0] if known else 'of unknown origin'}.")
    return lines
