import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from signbit.training import OptimConfig, Recipe, TrainingError, train
from signbit.training.progress import ProgressBar


def bar(*, terminal: bool) -> ProgressBar:
    shown = ProgressBar()
    shown.progress.live.console = Console(file=io.StringIO(), force_terminal=terminal, width=120)
    return shown


def output(shown: ProgressBar) -> str:
    file = shown.progress.console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_progress_is_shown_on_a_terminal(recipe: Recipe, tmp_path: Path) -> None:
    shown = bar(terminal=True)
    train(replace(recipe, epochs=1), tmp_path / "run", progress=False, callbacks=(shown,))
    assert "24/24" in output(shown)
    assert "validation" in output(shown)


def test_nothing_is_shown_elsewhere(recipe: Recipe, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    train(replace(recipe, epochs=1), tmp_path / "run", progress=True)
    assert capfd.readouterr() == ("", "")


def test_a_failure_ends_the_bar(recipe: Recipe, tmp_path: Path) -> None:
    shown = bar(terminal=True)
    wild = replace(recipe, real=OptimConfig(name="sgd", options={"lr": 1e38}))
    with pytest.raises(TrainingError):
        train(wild, tmp_path / "run", progress=False, callbacks=(shown,))
    assert not shown.progress.live.is_started
