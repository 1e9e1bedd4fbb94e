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
