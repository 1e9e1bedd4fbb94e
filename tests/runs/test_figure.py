import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from runs.cases import line, recipe
from signbit.runs import compare, draw, draw_layers, read_run

pytest.importorskip("matplotlib")
Make = Callable[..., Path]


@pytest.fixture
def runs(make_run: Make) -> list[Path]:
    made = [
        make_run(f"{optim}-{seed}", recipe(optim=optim, seed=seed), [line(e, seed=seed) for e in range(1, 13 - seed)])
        for optim in ("bop", "adam")
        for seed in (0, 1)
    ]
    silent = [line(1) | {"flip_ratio": 0.0}, {key: line(2)[key] for key in ("epoch", "step", "seconds", "train_loss")}]
    return [*made, make_run("short", recipe(epochs=3), silent)]


def text(path: Path) -> str:
    return " ".join(ElementTree.parse(path).getroot().itertext())


def test_an_svg_is_small_readable_and_the_same_again(runs: list[Path], tmp_path: Path) -> None:
    path = draw(compare(runs), tmp_path / "curves.svg")
    shown = text(path)
    for word in ("adam", "bop", "validation accuracy", "flips per weight and step", "epoch"):
        assert word in shown
    assert path.stat().st_size < 80_000
    assert path.read_bytes() == draw(compare(runs), tmp_path / "again.svg").read_bytes()


def test_runs_without_validation_show_training(make_run: Make, tmp_path: Path) -> None:
    lines = [{key: value for key, value in line(e).items() if "validation" not in key} for e in (1, 2)]
    shown = text(draw(compare([make_run("run", recipe(), lines)]), tmp_path / "curves.svg"))
    assert "training accuracy" in shown
    assert "thin" not in shown


def test_a_png_is_an_image(runs: list[Path], tmp_path: Path) -> None:
    with Image.open(draw(compare(runs), tmp_path / "curves.png")) as image:
        assert image.width > 1000


def test_layers(runs: list[Path], tmp_path: Path) -> None:
    shown = text(draw_layers(read_run(runs[0]), tmp_path / "layers.svg"))
    assert "stem.conv" in shown
    assert "head.fc" in shown
    with pytest.raises(ValueError, match=r"short has no flips by layer: its last epoch watched no step"):
        draw_layers(read_run(runs[-1]), tmp_path / "none.svg")


def test_another_suffix_is_refused_and_nothing_is_written(runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a figure is an \.svg or a \.png file, got .*curves\.jpg"):
        draw(compare(runs), tmp_path / "curves.jpg")
    assert not (tmp_path / "curves.jpg").exists()
