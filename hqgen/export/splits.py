"""Splits of a data set: each recording is in one of them, decided by its content alone."""

from __future__ import annotations

import hashlib
import math
import re

_NAME = re.compile(r"(?!all\Z)[A-Za-z][A-Za-z0-9_]*")
"""`all` means the splits together in the library `datasets`."""


def parse_split(text: str) -> dict[str, float]:
    """Shares by name of the split, as in `train=0.8,val=0.1,test=0.1`.

    Raises:
        ValueError: a name is wrong or there twice, or the shares are not positive or do not sum to 1.
    """
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, equals, share = (piece.strip() for piece in part.partition("="))
        if not _NAME.fullmatch(name) or name.lower() in {known.lower() for known in shares}:
            raise ValueError(f"must name each split once, with letters and digits, and not `{name}`")
        try:
            shares[name] = float(share) if equals else math.nan
        except ValueError:
            shares[name] = math.nan
        if not shares[name] > 0:
            raise ValueError(f"must give each split a share above 0, as in `{name}=0.8`")
    if not math.isclose(total := sum(shares.values()), 1, abs_tol=1e-6):
        raise ValueError(f"must have shares that sum to 1, not to {total:g}")
    return shares


def split_of(digest: str, shares: dict[str, float], seed: int) -> str:
    """The split of a recording.

    A number in [0, 1) that is drawn from its content falls into the share of one split. So two copies of a
    recording are in one split, and recordings that join a source later move no other.

    Args:
        digest: of the recording's file.
        shares: see `parse_split`.
        seed: another one gives other splits.
    """
    drawn = hashlib.sha256(f"{seed}:{digest}".encode()).digest()
    place = int.from_bytes(drawn[:8], "big") / 2**64
    end = 0.0
    for name, share in shares.items():
        end += share
        if place < end:
            return name
    return name
