"""`signbit compare` on a real run, and what `signbit eval` leaves for it."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from signbit.cli.main import main


@pytest.fixture
def run(digits_run, tmp_path):
    """A copy of a finished run of one epoch."""
    return shutil.copytree(digits_run, tmp_path / "run")


def results(run):
    return [json.loads(line) for line in (run / "results.jsonl").read_text().splitlines()]


def test_train_and_eval_leave_what_compare_shows(run, capsys):
    assert [line["images"] for line in results(run)] == ["test"]
    assert main(["eval", str(run)]) == 0
    assert len(results(run)) == 1
    assert main(["eval", str(run), "--split", "train"]) == 0
    assert main(["eval", str(run), "--data", "digits"]) == 0
    assert [line["images"] for line in results(run)] == ["test", "train", "test of digits"]
    capsys.readouterr()
    assert main(["compare", str(run), "--json"]) == 0
    (group,) = json.loads(capsys.readouterr().out)["groups"]
    assert group["test_accuracy"]["mean"] == results(run)[0]["accuracy"]
    assert (group["seeds"], group["epochs"], group["planned_epochs"]) == ([0], [1], 1)
    assert 0 < group["c2i"]["mean"] < 1


def test_a_run_that_cannot_be_written_is_measured_all_the_same(run, capsys, monkeypatch):
    def full(*words):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("signbit.training.results.write_whole", full)
    assert main(["eval", str(run), "--split", "train"]) == 0
    assert "images right (not recorded in the run: No space left on device)" in capsys.readouterr().out
    assert len(results(run)) == 1


def test_the_table_and_the_figure(run, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    (tmp_path / "notes").mkdir()
    figure = tmp_path / "curves.svg"
    assert main(["compare", str(run), str(tmp_path / "notes"), "--figure", str(figure)]) == 0
    shown = capsys.readouterr().out
    for word in ("digits", "bop2ndorder", "1/1", "flips", "%", f"figure: {figure}", "left out: "):
        assert word in shown
    assert "notes is not a run: it has no recipe.yaml" in shown
    assert figure.stat().st_size > 1000
    assert main(["compare", str(run), "--figure", str(tmp_path / "layers.png"), "--by-layer"]) == 0
    assert (tmp_path / "layers.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["compare"], "required: runs"),
        (["compare", "nowhere"], "run directory 'nowhere' does not exist"),
        (["compare", "notes"], "notes is not a run: it has no recipe.yaml"),
        (["compare", "run", "--by-layer"], "--by-layer is about a figure; add --figure FILE.svg"),
        (["compare", "run", "run", "--by-layer", "--figure", "a.svg"], "--by-layer draws one run, got 2"),
        (["compare", "run", "--figure", "a.jpg"], "a figure is an .svg or a .png file, got 'a.jpg'"),
        (["compare", "run", "--figure", "no/a.svg"], "'no/a.svg': No such file or directory"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_mistakes_are_one_sentence(run, tmp_path, words, message, capsys, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes").mkdir()
    before = sorted(tmp_path.rglob("*"))
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err
    assert sorted(tmp_path.rglob("*")) == before


def test_neither_torch_nor_matplotlib_is_needed_for_figures_as_numbers(run):
    program = """
import sys
sys.modules.update(dict.fromkeys(("torch", "lightning", "rich", "matplotlib")))
from signbit.cli.main import main
sys.exit(main(sys.argv[1:]))
"""

    def compare(*words):
        command = [sys.executable, "-c", program, "compare", str(run), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ, check=False)

    assert json.loads(compare("--json").stdout)["groups"]
    for words, extra in ((("--figure", "a.svg"), "report"), ((), "train")):
        done = compare(*words)
        assert done.returncode == 2
        assert f"pip install 'signbit[{extra}]'" in done.stderr
