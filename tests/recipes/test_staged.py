"""The recipes of ImageNet's size take a step in every stage, on a few small images and with few channels."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from signbit import recipes
from signbit.models import create_model
from signbit.training import load_run, override, read_metrics, train

REACTNET = ["--model.options.widths=[4,8]", "--model.options.depths=[1,1]", "--model.options.stem_width=4"]
RESNET = ["--model.options.widths=[4,4,4,4]"]
BIREAL = ["--model.options.widths=[4,4,4,4]", "--stages.real.epochs=1", "--optim.schedules.lr.warmup=0"]
BIREAL += ["--real.schedules.lr.warmup=0"]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, random = tmp_path_factory.mktemp("imagenet"), np.random.default_rng(0)
    for name in ("cat", "dog"):
        (root / "train" / name).mkdir(parents=True)
        for number in range(4):
            pixels = random.integers(0, 256, (32, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / "train" / name / f"{number}.png")
    return root


@pytest.mark.parametrize(
    ("name", "words", "stages"),
    [
        ("adambnn-imagenet", [*REACTNET, "--teacher=null"], ["activations", "both"]),
        ("reactnet-imagenet", [*REACTNET, "--teacher=null"], ["activations", "both"]),
        ("subbit-imagenet", [*RESNET, "--teacher=null"], ["activations", "both"]),
        ("real-to-binary-imagenet", BIREAL, ["real", "tanh", "activations", "both"]),
    ],
)
def test_a_step_in_every_stage(name: str, words: list[str], stages: list[str], images: Path, tmp_path: Path) -> None:
    words = [*words, f"--data.root={images}", "--data.options.size=32", "--data.options.resize=32", "--data.workers=0"]
    recipe = override(recipes.get(name), [*words, "--epochs=1", "--batch_size=8", "--mode=exact", "--threads=1"])
    teacher = create_model("resnet20_cifar", num_classes=2, widths=[4], depths=[1], binary=False)
    train(recipe, tmp_path / "run", progress=False, teacher=teacher if "--teacher=null" in words else None)
    assert [line["stage"] for line in read_metrics(tmp_path / "run")] == stages
    assert load_run(tmp_path / "run").step == len(stages)


def test_a_step_with_masks_on_a_folder_of_images(images: Path, tmp_path: Path) -> None:
    words = ["--model.options.widths=[4,4,4,4]", f"--data.root={images}", "--data.options.size=32"]
    words += ["--data.reserve=null", "--data.workers=0", "--epochs=1", "--batch_size=8", "--mode=exact", "--threads=1"]
    recipe = override(recipes.get("sparse-tinyimagenet"), [*words, "--sparsity.every=1"])
    train(recipe, tmp_path / "run", progress=False)
    (line,) = read_metrics(tmp_path / "run")
    assert line["density"] == pytest.approx(0.05, abs=0.01)
