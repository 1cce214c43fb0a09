"""The text of a document is JSON that gives the document back."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    ),
    st.integers(0, 4),
)
def test_pretty_printing_changes_no_value(value: object, depth: int) -> None:
    from hqgen.documents import _pieces

    assert json.loads("".join(_pieces(value, "", depth))) == value
