"""What a recipe may add: accumulation, running means, an early end, TensorBoard, mixed images, files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from signbit import data, params
from signbit.data.augment import Augmentation
from signbit.training import DataConfig, OptimConfig, Recipe, evaluate_run, load_run, read_metrics, resume, train


def test_accumulated_batches_make_one_update(recipe: Recipe, tmp_path: Path) -> None:
    result = train(replace(recipe, accumulate=5), tmp_path / "run", progress=False)
    assert [line["step"] for line in read_metrics(tmp_path / "run")] == [5, 10]
    assert result.metrics["hyperparameters"] == {"binary.lr": 0.0, "real.lr": 0.0}


class Mean(Callback):
    """The running mean of one weight, by its formula."""

    def __init__(self, decay: float) -> None:
        self.decay, self.mean = decay, torch.zeros(0)

    def on_train_batch_end(self, trainer, pl_module, *args, **kwargs) -> None:
        value = pl_module.model.get_parameter("stem.conv.weight").detach().clone()
        self.mean = value if trainer.global_step == 1 else self.decay * self.mean + (1 - self.decay) * value


def test_a_running_mean_of_real_parameters_alone(recipe: Recipe, tmp_path: Path) -> None:
    mean = Mean(0.9)
    train(replace(recipe, ema=0.9), tmp_path / "run", progress=False, callbacks=(mean,))
    run = load_run(tmp_path / "run")
    torch.testing.assert_close(run.model.get_parameter("stem.conv.weight").detach(), mean.mean)
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["current_model_state"]
    assert not torch.allclose(last["model.stem.conv.weight"], mean.mean)
    for name, weight in params.named_binary_parameters(run.model):
        assert torch.equal(weight, last[f"model.{name}"])
    validation = read_metrics(tmp_path / "run")[-1]["validation_accuracy"]
    assert evaluate_run(run, split="validation").accuracy == pytest.approx(validation)


def test_an_early_end_is_an_end(recipe: Recipe, tmp_path: Path) -> None:
    restless = OptimConfig(name="sgd", options={"lr": 3.0})
    result = train(replace(recipe, epochs=30, early_stop=1, real=restless), tmp_path / "run", progress=False)
    losses = [line["validation_loss"] for line in read_metrics(tmp_path / "run")]
    assert len(losses) < 30
    assert losses[-1] >= losses[-2]
    assert resume(tmp_path / "run", progress=False).metrics == result.metrics
    assert len(read_metrics(tmp_path / "run")) == len(losses)


def test_tensorboard_gets_the_same_figures(recipe: Recipe, tmp_path: Path) -> None:
    train(replace(recipe, tensorboard=True), tmp_path / "run", progress=False)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    for name in ("train_loss", "validation_accuracy", "flip_ratio"):
        seen = [(event.step, event.value) for event in events.Scalars(name)]
        assert seen == [(line["step"], pytest.approx(line[name])) for line in read_metrics(tmp_path / "run")]


def test_mixed_images_train(recipe: Recipe, tmp_path: Path) -> None:
    mixed = replace(recipe.data, augmentation=Augmentation(mixup=0.5, cutmix=0.5))
    result = train(replace(recipe, data=mixed), tmp_path / "run", progress=False)
    assert result.metrics["validation_accuracy"] > 0.5


def test_image_files_train_with_workers(recipe: Recipe, tmp_path: Path) -> None:
    for split in ("train", "test"):
        digits = data.load("digits", split=split).take(slice(0, 120))
        assert isinstance(digits.images, np.ndarray)
        for number, (image, label) in enumerate(zip(digits.images, digits.labels, strict=True)):
            folder = tmp_path / split / f"digit{label}"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[0]).save(folder / f"{number}.png")
    config = DataConfig(
        name="image-folder", root=str(tmp_path), options={"grey": True}, reserve="fraction:0.2", validation="last:10"
    )
    files = replace(recipe, data=config, batch_size=20)
    train(files, tmp_path / "run", progress=False)
    train(replace(files, data=replace(config, workers=1)), tmp_path / "other", progress=False)
    one, other = (read_metrics(tmp_path / name) for name in ("run", "other"))
    assert [line["train_loss"] for line in one] == [line["train_loss"] for line in other]
    assert [line["validation_loss"] for line in one] == [line["validation_loss"] for line in other]
    assert evaluate_run(tmp_path / "run").samples == 120
    assert evaluate_run(tmp_path / "run", split="reserve").samples > 15


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"accumulate": 0}, "accumulate must be >= 1"),
        ({"ema": 1.0}, "ema must lie between 0 and 1 or be null, got 1"),
        ({"early_stop": 0}, "early_stop must be >= 1 or null"),
        ({"early_stop": 1, "data": DataConfig(name="digits")}, "early_stop needs validation images"),
        ({"checkpoint_steps": 0}, "checkpoint_steps must be >= 1 or null"),
    ],
)
def test_values_are_checked(recipe: Recipe, change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(recipe, **change)
    with pytest.raises(ValueError, match="workers must be >= 0"):
        DataConfig(name="digits", workers=-1)
