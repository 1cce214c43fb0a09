"""Names that a shell completes: sources, methods, metrics, rules. What lists them is imported when needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable


def _sources() -> Iterable[str]:
    from hqgen.sources.catalog import load_catalog

    return [*load_catalog(), "folder:"]


def _methods() -> Iterable[str]:
    from hqgen.methods.registry import describe_methods

    return [row.name for row in describe_methods()]


def _metrics() -> Iterable[str]:
    from hqgen.quality.scorers import scorer_names

    return scorer_names()


def _judges() -> Iterable[str]:
    return ["consistency", *_metrics(), "none"]


def _rules() -> Iterable[str]:
    from hqgen.quality.rules import rule_names

    return rule_names()


_NAMES: dict[str, Callable[[], Iterable[str]]] = {
    "sources": _sources,
    "methods": _methods,
    "metric": _metrics,
    "metrics": _metrics,
    "judges": _judges,
    "rule": _rules,
}


def completer(setting: str) -> Callable[[str], list[str]] | None:
    """What completes the value of a setting, of several names the last one; None where nothing does.

    Args:
        setting: `sources`, `methods`, `metric`, `metrics`, `judges` or `rule`.
    """
    names = _NAMES.get(setting)
    if names is None:
        return None

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        return [f"{before}{comma}{name}" for name in names() if name.startswith(last)]

    return complete
