"""How much people said of a store, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from hqgen.curation.journal import Journal
from hqgen.errors import HqgenError
from hqgen.manifest import Verdict


@dataclass(frozen=True)
class VerdictSummary:
    """Verdicts on a store.

    Attributes:
        picked, rejected, marked: samples of which such a verdict holds.
        to_apply: samples that `hqgen curate apply` would decide otherwise than the store does.
        problem: why the journal cannot be read; then the numbers are 0. None where it can, or there is none.
    """

    picked: int = 0
    rejected: int = 0
    marked: int = 0
    to_apply: int = 0
    problem: str | None = None

    @property
    def total(self) -> int:
        """Samples of which a verdict holds."""
        return self.picked + self.rejected + self.marked


def summarise(journal: Journal) -> VerdictSummary:
    """Count the verdicts that hold. A journal that cannot be read is a problem to show, not an error."""
    try:
        state = journal.state()
    except HqgenError as error:
        return VerdictSummary(problem=error.message)
    found = Counter(verdict.action for verdict in state.values())
    wanted, there = _decisions(state.values()), _decisions(journal.applied)
    changed = sum(wanted.get(key) != there.get(key) for key in wanted.keys() | there.keys())
    return VerdictSummary(found["pick"], found["reject"], found["mark"], changed)


def _decisions(verdicts: Iterable[Verdict]) -> dict[str, tuple[str | None, str]]:
    """What decides a sample, by its key: method and note."""
    return {item.key: (item.method, item.note) for item in verdicts if item.action != "mark"}
