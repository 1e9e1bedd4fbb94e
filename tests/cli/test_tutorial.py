"""docs/tutorial-sparse.md: its commands run, one epoch each, and its figures are those of its own printouts."""

import re
import shlex
from pathlib import Path

import pytest

from signbit.cli.main import main

TUTORIAL = (Path(__file__).parents[2] / "docs" / "tutorial-sparse.md").read_text(encoding="utf-8")
COMMANDS = [shlex.split(line)[1:] for line in re.findall(r"^signbit .*", TUTORIAL, re.MULTILINE)]


def test_its_commands_run(tmp_path, monkeypatch, capsys):
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    ours = [words for words in COMMANDS if "FOLDER" not in words and "runs/cnn" not in words]
    assert [words[0] for words in ours] == [
        "train",
        "sparsify",
        "sparsify",
        "sparsify",
        "inspect",
        "bench",
        "sparsify",
        "sparsify",
    ]
    for words in ours:
        # The default of half as many epochs has to do with one, too.
        short = {"inspect": [], "bench": ["--seconds", "0.02"]}.get(words[0], ["--epochs", "1"])
        at = words.index("--epochs") if "--epochs" in words else len(words)
        assert main([*words[:at], *words[at + 2 :], *short]) == 0, words
        capsys.readouterr()


def test_its_table_says_what_its_printouts_say():
    accuracy = re.search(r"test accuracy +(9\d\.\d\d%) +(9\d\.\d\d)%", TUTORIAL)
    size = re.search(r"bytes +44\.7 kB +(\d\d\.\d kB) +(\d\.\d\d)x", TUTORIAL)
    assert accuracy is not None
    assert size is not None
    assert f"30 epochs in 7.93 s, {accuracy[1]} of 355 test images right" in TUTORIAL
    assert f"| `twolevel` | 0.05 | 30 | {accuracy[2]} % | {size[1]} | {size[2]}× smaller" in TUTORIAL
