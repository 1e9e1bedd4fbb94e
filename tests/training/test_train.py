from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback

from signbit import params
from signbit.training import (
    Recipe,
    Result,
    evaluate_run,
    load_recipe,
    load_run,
    read_metrics,
    resume,
    train,
)


def weights(run: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return state


def assert_equal(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    for name in left:
        assert torch.equal(left[name], right[name]), name


def test_two_epochs_learn(trained: Result) -> None:
    assert trained.metrics["validation_accuracy"] > 0.8
    measured = evaluate_run(trained.path)
    assert measured.samples == 355
    assert measured.accuracy == measured.correct / 355 > 0.85


def test_a_run_is_a_directory(trained: Result, recipe: Recipe) -> None:
    files = {str(path.relative_to(trained.path)) for path in trained.path.rglob("*") if path.is_file()}
    assert files == {"recipe.yaml", "versions.json", "metrics.jsonl", "checkpoints/last.ckpt"}
    assert load_recipe(trained.path / "recipe.yaml") == recipe
    lines = read_metrics(trained.path)
    assert [line["epoch"] for line in lines] == [1, 2]
    assert [line["step"] for line in lines] == [24, 48]
    assert lines[-1] == trained.metrics
    assert 0 < lines[1]["flip_ratio"] < lines[0]["flip_ratio"] < 0.5
    assert -9 <= lines[1]["pi"] < lines[0]["pi"] < 0
    layers = {"stage0.conv.weight", "stage1.conv.weight", "hidden.fc.weight"}
    for key in ("flip_ratio", "dead_zone", "c2i"):
        assert lines[0][f"{key}_by_layer"].keys() == layers
    assert all(0.4 < line["c2i"] < 0.7 and 0 < line["dead_zone"] < 0.5 for line in lines)
    assert lines[0]["hyperparameters"] == pytest.approx({"binary.lr": 5e-4, "real.lr": 5e-3})


def test_the_weights_of_a_latent_free_run_are_signs(trained: Result) -> None:
    run = load_run(trained.path)
    assert not run.model.training
    assert run.image.shape == (1, 8, 8)
    assert run.labels == tuple("0123456789")
    for name, weight in params.named_binary_parameters(run.model):
        assert torch.equal(weight.abs(), torch.ones_like(weight)), name


def test_the_same_seed_gives_the_same_weights(trained: Result, recipe: Recipe, tmp_path: Path) -> None:
    torch.manual_seed(12345)
    before = torch.get_rng_state()
    train(recipe, tmp_path / "again", progress=False)
    assert torch.equal(torch.get_rng_state(), before)
    assert_equal(weights(trained.path), weights(tmp_path / "again"))
    train(replace(recipe, epochs=1, seed=1), tmp_path / "other", progress=False)
    name = "model.stem.conv.weight"
    assert not torch.equal(weights(trained.path)[name], weights(tmp_path / "other")[name])


class KilledError(Exception):
    pass


class Kill(Callback):
    """Stops a run in the middle of its second epoch."""

    def on_train_batch_end(self, trainer, *args, **kwargs) -> None:
        if trainer.global_step == 30:
            raise KilledError


@pytest.mark.parametrize("optim", ["bop2ndorder", "adam"])
def test_a_resumed_run_ends_like_one_that_never_stopped(optim: str, tmp_path: Path) -> None:
    from signbit import recipes

    recipe = replace(recipes.get("digits", optim), epochs=3, threads=1)
    train(recipe, tmp_path / "whole", progress=False)
    with pytest.raises(KilledError):
        train(recipe, tmp_path / "stopped", progress=False, callbacks=(Kill(),))
    metrics = tmp_path / "stopped" / "metrics.jsonl"
    first = metrics.read_text()
    # As a kill between the writing of the metrics and that of the checkpoint would leave it.
    metrics.write_text(first + first.replace('"step": 28', '"step": 56') + '{"epo')
    assert [line["step"] for line in read_metrics(tmp_path / "stopped")] == [28, 56]
    resume(tmp_path / "stopped", progress=False)
    assert_equal(weights(tmp_path / "whole"), weights(tmp_path / "stopped"))
    whole, stopped = (read_metrics(tmp_path / name) for name in ("whole", "stopped"))
    for line in (*whole, *stopped):
        del line["seconds"]
    assert whole == stopped


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {"name": "digits_cnm"}}, "unknown model 'digits_cnm'; did you mean digits_cnn"),
        ({"optim": {"name": "bopp"}}, "unknown optimizer 'bopp'; did you mean bop"),
        ({"data": {"name": "digit"}}, "unknown data set 'digit'; did you mean digits"),
        ({"data": {"validation": "last:2000"}}, "must hold out between 1 and 1441"),
        ({"data": {"name": "mnist", "root": "nowhere"}}, r"no train-images-idx3-ubyte.*nowhere"),
        ({"model": {"name": "mnist_mlp"}}, r"mnist_mlp cannot take the 1x8x8 images of digits train .*model\.options"),
        ({"batch_size": 5000}, "batch_size 5000 is larger than the 1242 images"),
    ],
)
def test_nothing_is_written_for_a_bad_recipe(
    recipe: Recipe, change: dict[str, object], message: str, tmp_path: Path
) -> None:
    merged = {
        key: replace(getattr(recipe, key), **value) if isinstance(value, dict) else value
        for key, value in change.items()
    }
    with pytest.raises(ValueError, match=message):
        train(replace(recipe, **merged), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_a_run_is_not_overwritten(trained: Result, recipe: Recipe) -> None:
    with pytest.raises(ValueError, match="holds a run already"):
        train(recipe, trained.path)


def test_the_fast_mode_trains(recipe: Recipe, tmp_path: Path) -> None:
    result = train(replace(recipe, epochs=1, mode="fast"), tmp_path / "run", progress=False)
    assert result.metrics["train_loss"] < 2.3
    assert all(value.dtype != torch.bfloat16 for value in weights(result.path).values())
    measured = evaluate_run(result.path, split="validation")
    assert result.metrics["validation_loss"] == pytest.approx(measured.loss, rel=1e-6)


def test_the_fast_mode_needs_a_compiler(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(ValueError, match=r"no C\+\+ compiler .*install one, or take mode exact"):
        train(replace(recipe, mode="fast"), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_fast_run_resumes_bit_for_bit(recipe: Recipe, tmp_path: Path) -> None:
    recipe = replace(recipe, epochs=2, mode="fast", threads=1)
    train(recipe, tmp_path / "whole", progress=False)
    with pytest.raises(KilledError):
        train(recipe, tmp_path / "stopped", progress=False, callbacks=(Kill(),))
    resume(tmp_path / "stopped", progress=False)
    assert_equal(weights(tmp_path / "whole"), weights(tmp_path / "stopped"))
