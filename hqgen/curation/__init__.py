"""What people say of the samples of a finished store: verdicts, in a journal beside the manifest."""

from __future__ import annotations

from hqgen.curation.entries import Entry, Undo
from hqgen.curation.journal import FILE, Journal
from hqgen.curation.summary import VerdictSummary, summarise
from hqgen.manifest import Verdict

__all__ = ["FILE", "Entry", "Journal", "Undo", "Verdict", "VerdictSummary", "summarise"]
