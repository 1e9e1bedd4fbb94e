"""The README and docs/cli.md keep their word."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from signbit.cli.main import VERBS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
CLI = (ROOT / "docs" / "cli.md").read_text()
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_programs_run(program, tmp_path):
    pytest.importorskip("sklearn")
    done = subprocess.run(
        [sys.executable, "-c", program.replace("range(10)", "range(1)")],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_python_call_that_the_page_of_verbs_names_is_there():
    """In a process of its own, where nothing but signbit is imported."""
    pytest.importorskip("lightning")
    (sentence,) = re.findall(r"^- Every verb is thin\. (.+?)(?=^- |^$)", CLI, re.MULTILINE | re.DOTALL)
    calls = [call for call in re.findall(r"`(\w[\w.]+)(?:\([^`]*)?`", sentence) if "." in call]
    assert len(calls) > 15
    program = f"import signbit; from operator import attrgetter; [attrgetter(c)(signbit) for c in {calls}]"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_every_command_shown_exists():
    commands = re.findall(r"^\$ signbit ([a-z]+)", README, re.MULTILINE)
    commands += re.findall(r"^signbit ([a-z]+)", CLI, re.MULTILINE)
    assert len(commands) > 10
    assert set(commands) <= set(VERBS)


@pytest.mark.parametrize("text", [README, CLI], ids=["README.md", "docs/cli.md"])
def test_the_tables_name_every_verb(text):
    table = "\n".join(line for line in text.splitlines() if line.startswith("|"))
    assert all(re.search(rf"`{verb}\b", table) for verb in VERBS)


@pytest.mark.parametrize("text", [README, CLI], ids=["README.md", "docs/cli.md"])
def test_links_lead_somewhere(text):
    base = ROOT if text is README else ROOT / "docs"
    missing = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link and not (base / link).exists()]
    assert missing == []
