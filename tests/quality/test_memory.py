from __future__ import annotations

import pytest

from hqgen.quality.memory import borrowed


class Memory:
    def __init__(self, height: int, width: int) -> None:
        self.size = height, width


def test_memory_is_kept_for_the_next_user_of_the_size() -> None:
    with borrowed(Memory, 7, 9) as first:
        assert first.size == (7, 9)
    with borrowed(Memory, 7, 9) as second, borrowed(Memory, 9, 7) as turned:
        assert second is first
        assert turned.size == (9, 7)


def test_two_users_at_once_have_memory_of_their_own() -> None:
    with borrowed(Memory, 3, 3) as first, borrowed(Memory, 3, 3) as second:
        assert first is not second


def failing(used: list[Memory]) -> None:
    with borrowed(Memory, 2, 5) as memory:
        used.append(memory)
        raise ValueError("lost")


def test_memory_comes_back_after_an_error() -> None:
    used: list[Memory] = []
    with pytest.raises(ValueError, match="lost"):
        failing(used)
    with borrowed(Memory, 2, 5) as memory:
        assert used == [memory]
