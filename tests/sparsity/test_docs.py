"""docs/sparse.md: its commands name recipes and keys that exist, its Python runs, its quantizers can be built."""

import re
import shlex
from pathlib import Path

import pytest

from signbit import recipes
from signbit.quantizers import create_quantizer

PAGE = (Path(__file__).parents[2] / "docs" / "sparse.md").read_text(encoding="utf-8")
USED = PAGE[: PAGE.index("## How fast")]
BLOCKS = re.findall(r"^```python\n(.*?)^```", USED, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^signbit train (.*)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands(command):
    name, *words = shlex.split(command)
    made = recipes.parse(name, words)
    assert made.sparsity.density is not None or made.penalty.share > 0


@pytest.mark.parametrize("code", [code for code in BLOCKS if "\n...\n" not in code])
def test_python(code, capsys):
    exec(compile(code, "sparse.md", "exec"), {})
    assert ("print" in code) == bool(capsys.readouterr().out)


@pytest.mark.parametrize("row", re.findall(r"^\| (`(?:twolevel|ternary|subbit).*?) \|", USED, re.MULTILINE))
def test_quantizers(row):
    for text in re.findall(r"`(.+?)`", row):
        assert create_quantizer(text.replace("density=p", "density=0.05")) is not None


def test_there_are_some():
    assert len(COMMANDS) >= 4
    assert len(BLOCKS) == 3
