"""The text of a document is JSON that gives the document back."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hqgen.documents import sealed, unsealed


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


objects = st.dictionaries(st.text(), st.integers() | st.text() | st.dictionaries(st.text(), st.text()))


def text_of(document: object) -> str:
    from hqgen.documents import _pieces

    return "".join(_pieces(document, "", 4)) + "\n"


@given(objects, st.integers(1, 9))
def test_a_seal_changes_no_value_and_does_not_depend_on_the_pieces(
    document: dict[str, object], size: int
) -> None:
    plain = text_of(document)
    text = "".join(sealed([plain[start : start + size] for start in range(0, len(plain), size)]))
    assert text == "".join(sealed([plain]))
    found, fits = unsealed(text.encode())
    assert (json.loads(found), fits) == (document, True)
    assert {**json.loads(text)}.keys() == {*document, "blake3"}


@given(objects, st.data())
def test_no_bit_of_a_sealed_document_can_change_unseen(
    document: dict[str, object], data: st.DataObject
) -> None:
    content = bytearray("".join(sealed([text_of(document)])).encode())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    text, fits = unsealed(bytes(content))
    if fits:  # the seal itself cannot be recognised: then it is not JSON, or has a member too many
        with suppress(ValueError):
            assert not json.loads(text).keys() <= document.keys()


@pytest.mark.parametrize("text", [b"", b"{", b'{"a": 1}', b'{\n "blake3": "1"\n}\n'])
def test_a_document_without_a_seal_is_taken_as_it_is(text: bytes) -> None:
    assert unsealed(text) == (text, True)
