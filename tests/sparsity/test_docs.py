"""The commands of docs/sparse.md name recipes and keys that exist."""

import re
import shlex
from pathlib import Path

import pytest

from signbit import recipes

PAGE = (Path(__file__).parents[2] / "docs" / "sparse.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^signbit train (.*)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands(command):
    name, *words = shlex.split(command)
    made = recipes.parse(name, words)
    assert made.sparsity.density is not None or made.penalty.share > 0


def test_there_are_some():
    assert len(COMMANDS) >= 4
