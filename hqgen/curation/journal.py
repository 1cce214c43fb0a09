"""The journal of verdicts: `curation.json` beside the manifest.

::

    {"format": "hqgen-curation", "version": 1, "plan_id": "...", "id": "..."}
    {"number": 1, "time": "...", "author": "ada", "source": "reds", "key": "reds/a", ...}
    {"number": 2, "time": "...", "author": "ada", "action": "undo", "undoes": 1}

The file holds one JSON document per line. It only grows: whatever was said once stays there, also what was
undone. It belongs to one plan: verdicts on another store would be on other pictures.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from hqgen.config import validated
from hqgen.curation.entries import ENTRY, Entry, Undo, holding
from hqgen.curation.lines import Lines, News
from hqgen.errors import HqgenError, PlanMismatchError, StoreError, UnknownNameError, UsageError
from hqgen.manifest import Action, Manifest, SampleRecord, Verdict, find_manifest, read_manifest

FILE = "curation.json"
"""The journal's name; it is beside the manifest."""

_FORMAT, _VERSION = "hqgen-curation", 1


class Journal:
    """The verdicts on one finished store.

    Several journals of one store may be open at once, in one process or in many: each sees what the others
    say. Threads may share one.

    Args:
        manifest_path: the manifest, or its folder; the journal is beside it, made by the first verdict.
        manifest: its content, for a caller that has read it.

    Attributes:
        path: of the journal.

    Raises:
        StoreError: the manifest cannot be read.
    """

    def __init__(self, manifest_path: str | Path, manifest: Manifest | None = None) -> None:
        manifest_path = find_manifest(manifest_path)
        self._manifest = manifest or read_manifest(manifest_path)
        self._samples = {s.key: (source.name, s) for source in self._manifest.sources for s in source.samples}
        self.path = manifest_path.with_name(FILE)
        self._lines = Lines(self.path)
        self._begun = False
        self._entries: list[Entry] = []
        self._lock = Lock()

    def add(
        self,
        action: Action,
        keys: Sequence[str],
        *,
        method: str | None = None,
        note: str = "",
        author: str = "",
    ) -> list[Verdict]:
        """Say the same of some samples; all of it is in the journal, on the disk, or nothing.

        Args:
            action: `pick`, `reject`, `mark` or `clear`: see `Verdict`.
            keys: of the samples.
            method: for `pick`: whose candidate is to be the picture.
            note: why.
            author: who says it.

        Returns:
            The new entries, in the order of the keys.

        Raises:
            UsageError: there is no such sample or method, the method has no candidate of a sample, or a
                value is not of its form; nothing is written.
            PlanMismatchError, StoreError: as `state`; or the journal cannot be written.
        """
        said = {"time": _now(), "author": author, "action": action, "method": method, "note": note}
        checked = [self._checked(number=0, source=self._sample(key)[0], key=key, **said) for key in keys]
        with self._lock, self._lines.alone() as (news, file):
            self._take(news)
            first = len(self._entries) + 1
            entries = [item.model_copy(update={"number": n}) for n, item in enumerate(checked, first)]
            self._append(file, entries)
            return entries

    def undo(self, number: int | None = None, *, author: str = "") -> Undo:
        """Take back an entry: what held before it holds again.

        Args:
            number: of the entry; by default the last one that holds and is not an undo. With the number of an
                undo, what that took back holds again.
            author: who undoes it.

        Raises:
            UsageError: there is no such entry, or it is undone already.
            PlanMismatchError, StoreError: as `state`; or the journal cannot be written.
        """
        with self._lock, self._lines.alone() as (news, file):
            self._take(news)
            there = holding(self._entries)
            if number is None:
                number = max((n for n, entry in there.items() if isinstance(entry, Verdict)), default=None)
            if number is None:
                raise UsageError(f"nothing in `{self.path}` can be undone", hint="it holds no verdict")
            if not 1 <= number <= len(self._entries):
                raise UsageError(
                    f"`{self.path}` has no entry {number}",
                    hint=f"its last one is {len(self._entries)}; `hqgen curate list` shows them",
                )
            if number not in there:
                raise UsageError(
                    f"entry {number} of `{self.path}` is undone already",
                    hint="the number of that undo makes it hold again",
                )
            undo = validated(
                Undo,
                {"number": len(self._entries) + 1, "time": _now(), "author": author, "undoes": number},
                "the undo",
            )
            self._append(file, [undo])
            return undo

    def since(self, number: int = 0) -> list[Entry]:
        """All entries with a larger number, in order; what is undone is among them.

        Raises:
            PlanMismatchError, StoreError: as `state`.
        """
        with self._lock:
            self._take(self._lines.news())
            return self._entries[max(number, 0) :]

    def state(self) -> dict[str, Verdict]:
        """What holds now, by key of the sample and in the order of the manifest; the last verdict counts.

        Verdicts that the manifest has, because `hqgen curate apply` made the store, hold with the number 0.

        Raises:
            PlanMismatchError: the journal is of another plan than the manifest.
            StoreError: the journal cannot be read, or is damaged.
        """
        found = {item.key: item for item in self.applied}
        for entry in holding(self.since()).values():
            if isinstance(entry, Verdict):
                found.pop(entry.key, None)
                if entry.action != "clear":
                    found[entry.key] = entry
        return {key: found[key] for key in self._samples if key in found}

    @property
    def applied(self) -> list[Verdict]:
        """The verdicts that the manifest has; their number is 0, for they are of an older journal."""
        return [item.model_copy(update={"number": 0}) for item in self._manifest.verdicts or ()]

    def _sample(self, key: str) -> tuple[str, SampleRecord]:
        """The source and the record of a sample."""
        if key not in self._samples:
            raise UnknownNameError("sample of the store", key, self._samples)
        return self._samples[key]

    def _checked(self, **values: Any) -> Verdict:
        """A verdict that fits the store."""
        verdict = validated(Verdict, values, "the verdict")
        _, sample = self._sample(verdict.key)
        if verdict.method is None:
            return verdict
        if verdict.method not in sample.scores:
            raise UnknownNameError("method of the store", verdict.method, sample.scores)
        if sample.scores[verdict.method] is None:
            there = [name for name, score in sample.scores.items() if score is not None]
            reason = sample.reasons.get(verdict.method, "it has no score")
            raise UsageError(
                f"`{verdict.method}` has no candidate of `{verdict.key}`: {reason}",
                hint=f"candidates are there of {', '.join(f'`{name}`' for name in there) or 'no method'}",
            )
        return verdict

    def _append(self, file: FileIO, entries: Sequence[Entry]) -> None:
        lines = [entry.model_dump_json(exclude_none=True).encode() for entry in entries]
        if not self._begun:
            header = {"format": _FORMAT, "version": _VERSION, "plan_id": self._manifest.plan_id}
            # The id tells a journal from another one that takes its place.
            lines.insert(0, json.dumps(header | {"id": uuid4().hex}).encode())
        self._lines.append(file, lines)
        self._begun = True
        self._entries += entries

    def _take(self, news: News) -> None:
        """Take in lines that are new."""
        try:
            if news.from_start:
                self._entries = []
                self._begun = bool(news.lines)
            for line in self._without_header(news):
                self._entries.append(self._entry(line, len(self._entries) + 1))
        except HqgenError:
            self._lines.forget()
            raise

    def _without_header(self, news: News) -> list[bytes]:
        """The lines that hold entries.

        Raises:
            PlanMismatchError: the header names another plan.
            StoreError: there is no header.
        """
        if not (news.from_start and news.lines):
            return news.lines
        try:
            header = json.loads(news.lines[0])
            form, plan_id = (header["format"], header["version"]), header["plan_id"]
        except (ValueError, LookupError, TypeError):
            form, plan_id = None, None
        if form != (_FORMAT, _VERSION):
            raise StoreError(
                f"`{self.path}` is not a journal of verdicts that this version of hqgen reads",
                hint="move the file to another place; the next verdict begins a new journal",
            )
        if plan_id != self._manifest.plan_id:
            raise PlanMismatchError(
                f"`{self.path}` holds verdicts on a store of the plan `{plan_id}`, and the manifest "
                f"beside it is of the plan `{self._manifest.plan_id}`",
                hint="move the file to another place; the next verdict begins a new journal",
            )
        return news.lines[1:]

    def _entry(self, line: bytes, number: int) -> Entry:
        """The entry of a line."""
        try:
            entry = ENTRY.validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"][1:]))
            raise self._damage(number, f"{where}: {first['msg']}" if where else first["msg"]) from error
        if entry.number != number:
            raise self._damage(number, f"it has the number {entry.number}")
        if isinstance(entry, Undo):
            if entry.undoes >= number:
                raise self._damage(number, f"it undoes entry {entry.undoes}, which is not before it")
            return entry
        try:
            return self._checked(**entry.model_dump())
        except UsageError as error:
            raise self._damage(number, error.message) from error

    def _damage(self, number: int, what: str) -> StoreError:
        return StoreError(
            f"entry {number} of `{self.path}` is damaged: {what}",
            hint="repair the line, or move the file to another place and begin again",
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
