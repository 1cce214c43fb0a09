"""What a shell offers while a command is typed."""

from __future__ import annotations

import pytest

from hqgen.completion import completer
from tests.command_line import run


@pytest.mark.parametrize(
    ("program", "words", "expected"),
    [
        ("hqgen", "hqgen build --sources re", ["recvidar2019", "reds"]),
        ("hqgen", "hqgen build --methods tfp,tfs", ["tfp,tfstp"]),
        ("hqgen", "hqgen reconstruct a.dat --method wg", ["wgse"]),
        ("hqgen", "hqgen sources u-", ["u-caltech", "u-cifar"]),
        ("hqgen", "hqgen build --rule con", ["consensus"]),
        ("spikeclip", "spikeclip evaluate a.pth --metrics niqe,gr", ["niqe,grain"]),
    ],
)
def test_names_are_completed_also_the_last_of_several(program: str, words: str, expected: list[str]) -> None:
    typed = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    done = run(program=program, env={f"_{program.upper()}_COMPLETE": "complete_bash", **typed})
    assert done.stdout.split() == expected


def test_a_setting_that_is_no_name_is_not_completed() -> None:
    assert completer("shard_size") is None
