"""What the page asks for in the query of an address, as a `Query`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.datastructures import QueryParams

from hqgen.config import validated
from hqgen.inspection.index import Order, Query

LARGEST_PAGE = 1000
"""Samples in one answer."""

Names = Annotated[frozenset[str], Field(max_length=1000)]


def _none(value: str) -> str | None:
    """What an empty field asks for."""
    return value or None


Limit = Annotated[float | None, BeforeValidator(_none), Field(allow_inf_nan=False)]


class Asked(BaseModel):
    """The query of an address; lists are given by naming a field again.

    The answer holds `count` rows from place `start` of what is found, and the place of the row `find`.
    """

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(max_length=1000)] = ""
    source: Names = frozenset()
    winner: Names = frozenset()
    verdict: Names = frozenset()
    score_min: Limit = None
    score_max: Limit = None
    margin_min: Limit = None
    margin_max: Limit = None
    ambiguous: Literal["", "yes", "no"] = ""
    quarantined: Literal["", "yes", "no"] = ""
    reason: str = ""
    order: Order = "store"
    descending: bool = False
    start: Annotated[int, Field(ge=0)] = 0
    count: Annotated[int, Field(ge=0, le=LARGEST_PAGE)] = 200
    find: Annotated[int | None, Field(ge=0)] = None

    def query(self) -> Query:
        """The same without the page."""
        choice = {"": None, "yes": True, "no": False}
        return Query(
            text=self.text,
            sources=self.source,
            winners=self.winner,
            score=(self.score_min, self.score_max),
            margin=(self.margin_min, self.margin_max),
            ambiguous=choice[self.ambiguous],
            quarantined=choice[self.quarantined],
            reason=self.reason,
            verdicts=self.verdict,
            order=self.order,
            descending=self.descending,
        )


def asked(parameters: QueryParams) -> Asked:
    """What an address asks for.

    Raises:
        UsageError: there is no such field, or a value is wrong.
    """
    several = {"source", "winner", "verdict"}
    values = {name: parameters.getlist(name) if name in several else parameters[name] for name in parameters}
    return validated(Asked, values, "the query")
