from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from signbit.data import load
from signbit.training import Result, evaluate, evaluate_run, load_run


class Constant(nn.Module):
    """Always says 3."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert not self.training
        return torch.eye(10)[3].expand(len(x), 10) * 100


def test_accuracy_counts_what_is_right() -> None:
    dataset, model = load("digits", split="test"), Constant()
    measured = evaluate(model, dataset)
    assert measured.correct == int((dataset.labels == 3).sum())
    assert measured.loss == pytest.approx(100 * (1 - measured.accuracy), rel=1e-4)
    assert model.training


def test_a_run_is_measured_on_its_own_data(trained: Result) -> None:
    run = load_run(trained.path)
    assert evaluate_run(run) == evaluate_run(trained.path) == evaluate(run.model, load("digits", split="test"))
    assert evaluate_run(run, split="train").samples == 1242
    assert evaluate_run(run, split="validation").samples == 200
    with pytest.raises(ValueError, match=r"keeps no reserve images: data\.reserve is null"):
        evaluate_run(run, split="reserve")


def test_no_images_no_accuracy() -> None:
    with pytest.raises(ValueError, match="has no images"):
        evaluate(Constant(), load("digits", split="test").take(slice(0, 0)))


def test_other_data_are_measured_as_the_network_was_trained(trained: Result, tmp_path: Path) -> None:
    digits, run = load("digits", split="test"), load_run(trained.path)
    for split in ("train", "test"):
        np.savez(tmp_path / f"{split}.npz", images=digits.images, labels=digits.labels)
    data = replace(run.recipe.data, name="npz", root=str(tmp_path))
    image = replace(run.image, mean=(0.1,), std=(0.3,))
    moved = replace(run, recipe=replace(run.recipe, data=data), image=image)
    assert evaluate_run(moved) == evaluate(run.model, replace(digits, image=image))
    np.savez(tmp_path / "test.npz", images=digits.images[:, :, :7], labels=digits.labels)
    with pytest.raises(ValueError, match="npz test: images are 1x7x8, but 1x8x8 are expected"):
        evaluate_run(moved)
    with pytest.raises(ValueError, match="digits test has 11 classes and the network scores 10"):
        evaluate(run.model, replace(digits, classes=(*digits.classes, "x")))
