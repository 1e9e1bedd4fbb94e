from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback
from torch import nn

from signbit.training import OptimConfig, Recipe, TrainingError, read_metrics, train
from signbit.training.diagnosis import origin_of_nonfinite


class Spoil(Callback):
    """Changes the model after one update."""

    def __init__(self, step: int, change: Callable[[nn.Module], object]) -> None:
        self.step, self.change = step, change

    def on_train_batch_end(self, trainer, pl_module, *args, **kwargs) -> None:
        if trainer.global_step == self.step:
            with torch.no_grad():
                self.change(pl_module.model)


def weight(model: nn.Module) -> torch.Tensor:
    return model.get_parameter("classifier.fc.weight")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda model: weight(model).mul_(3e38),
            r"step 30: layer classifier\.fc \(Linear\) was the first to give values",
        ),
        (
            lambda model: weight(model).flatten()[3].fill_(torch.nan),
            r"step 30: classifier\.fc\.weight is not finite after",
        ),
    ],
)
def test_a_loss_that_is_not_finite_stops_at_its_origin(
    recipe: Recipe, tmp_path: Path, change: Callable[[nn.Module], object], message: str
) -> None:
    with pytest.raises(TrainingError, match=rf"the loss is \S+ at epoch 2, {message}.*; lower real\.options\.lr"):
        train(recipe, tmp_path / "run", progress=False, callbacks=(Spoil(30, change),))
    assert len(read_metrics(tmp_path / "run")) == 1


def test_a_rate_that_is_too_high(recipe: Recipe, tmp_path: Path) -> None:
    wild = replace(recipe, real=OptimConfig(name="sgd", options={"lr": 1e38}))
    with pytest.raises(TrainingError, match=r"the loss is .* at epoch 1, step 1: layer stem\.\S+ .* was the first"):
        train(wild, tmp_path / "run", progress=False)


def test_statistics_that_are_not_finite_replace_no_checkpoint(recipe: Recipe, tmp_path: Path) -> None:
    """Statistics of a norm play no part in training, so that neither loss nor gradients would tell."""
    spoil = Spoil(30, lambda model: model.get_buffer("stem.norm.running_mean")[3].fill_(torch.nan))
    with pytest.raises(TrainingError, match=r"stem\.norm\.running_mean is no longer finite at step 48, .* is kept"):
        train(recipe, tmp_path / "run", progress=False, callbacks=(spoil,))
    assert torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 24


def test_scores_may_be_finite() -> None:
    assert origin_of_nonfinite(nn.Linear(2, 2), torch.ones(1, 2)).startswith("every layer is finite")
