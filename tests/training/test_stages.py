"""Trainings in stages: what is handed over, what the run directory holds, and that nothing interrupts the chain."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback

from signbit import params, recipes
from signbit.models import create_model
from signbit.quantizers import sign
from signbit.training import (
    Recipe,
    Result,
    load_recipe,
    load_run,
    override,
    read_metrics,
    resume,
    save_recipe,
    stage_recipes,
    train,
)
from signbit.training.optimizers import build_optimizer, build_schedulers

STAGES = ("teacher", "activations", "both")


@pytest.fixture(scope="module")
def staged() -> Recipe:
    """AdamBNN on the digits, as small as it learns: 7 updates an epoch."""
    words = ["--epochs=2", "--stages.teacher.epochs=1", "--batch_size=200", "--data.validation=null"]
    words += ["--model.options.widths=[8,8,8]", "--model.options.hidden=16"]
    return override(recipes.get("adambnn-digits"), words)


@pytest.fixture(scope="module")
def run(staged: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Result:
    return train(staged, tmp_path_factory.mktemp("staged") / "run", progress=False)


def state(run: Path, name: str = "last") -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]
    return found


def figures(run: Path) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if key != "seconds"} for line in read_metrics(run)]


def assert_same(run: Path, whole: Path) -> None:
    for name in ("teacher", "activations", "last"):
        left, right = state(run, name), state(whole, name)
        assert [key for key in right if not torch.equal(left[key], right[key])] == []
    assert figures(run) == figures(whole)


def test_one_directory_whose_metrics_say_the_stage(run: Result, staged: Recipe) -> None:
    files = {str(path.relative_to(run.path)) for path in run.path.rglob("*") if path.is_file()}
    checkpoints = {f"checkpoints/{name}.ckpt" for name in ("teacher", "activations", "last")}
    assert files == {"recipe.yaml", "versions.json", "metrics.jsonl"} | checkpoints
    assert load_recipe(run.path / "recipe.yaml") == staged
    lines = read_metrics(run.path)
    assert [line["stage"] for line in lines] == ["teacher", "activations", "activations", "both", "both"]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4, 5]
    assert [line["step"] for line in lines] == [7, 14, 21, 28, 35]
    assert sorted(line["seconds"] for line in lines) == [line["seconds"] for line in lines]
    assert ["c2i" in line for line in lines] == [False, False, False, True, True]


def test_the_last_stage_is_the_run(run: Result, tmp_path: Path) -> None:
    loaded = load_run(run.path)
    assert len(list(params.named_binary_parameters(loaded.model))) == 3
    assert loaded.recipe == load_run(run.path, stage="both").recipe
    assert loaded.step == read_metrics(run.path)[-1]["step"]
    for stage in ("teacher", "activations"):
        assert not list(params.named_binary_parameters(load_run(run.path, stage=stage).model))
    with pytest.raises(ValueError, match="has no stage 'bothh'; it has teacher, activations, both"):
        load_run(run.path, stage="bothh")
    begun = tmp_path / "begun"
    shutil.copytree(run.path, begun)
    (begun / "checkpoints" / "last.ckpt").unlink()
    assert load_run(begun).recipe == load_run(run.path, stage="activations").recipe


class Starts(Callback):
    """Keeps the weights that every stage begins with, and the rates of all updates."""

    def __init__(self) -> None:
        self.seen: list[dict[str, torch.Tensor]] = []
        self.rates: list[float] = []

    def on_train_batch_start(self, trainer, *args) -> None:
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_start(self, trainer, pl_module) -> None:
        self.seen.append({name: value.clone() for name, value in pl_module.state_dict().items()})


def test_weights_become_latent_weights_and_signs_stay(run: Result, staged: Recipe, tmp_path: Path) -> None:
    short = override(staged, ["--epochs=2", "--stages.both={epochs: 1}"])
    starts = Starts()
    train(short, tmp_path / "run", progress=False, callbacks=(starts,))
    # Moved at the start of each epoch: half way in the first of two, 0 in the last; anew in each stage.
    assert starts.rates == pytest.approx([0.0] * 7 + [2.5e-3] * 7 + [0.0] * 14)
    given, taken = state(tmp_path / "run", "activations"), starts.seen[2]
    assert [name for name in taken if not torch.equal(taken[name], given[name])] == []
    # The one epoch has rate 0, so that nothing but the statistics of the norms moves.
    assert read_metrics(tmp_path / "run")[-1]["c2i"] == 1
    # Two epochs do move signs; the share that stayed is counted from the first stage's.
    given, last = state(run.path, "activations"), state(run.path)
    same = [(sign(given[f"model.{n}"]) == sign(last[f"model.{n}"])).flatten() for n, _ in binary(run)]
    assert read_metrics(run.path)[-1]["c2i"] == pytest.approx(torch.cat(same).double().mean().item())
    # A stage that begins anew does not inherit: the teacher's and the student's first weights are drawn alike.
    assert torch.equal(starts.seen[0]["model.stem.conv.weight"], starts.seen[1]["model.stem.conv.weight"])


def binary(run: Result) -> list[tuple[str, torch.nn.Parameter]]:
    return list(params.named_binary_parameters(load_run(run.path).model))


def test_the_forward_pass_differs_by_the_weights_alone(run: Result) -> None:
    first = load_run(run.path, stage="activations")
    second = create_model("digits_cnn", **load_run(run.path).recipe.model.options).eval()
    second.load_state_dict(first.model.state_dict())
    images = torch.rand(4, 1, 8, 8)
    assert not torch.allclose(first.model(images), second(images))
    for _, weight in params.named_binary_parameters(second):
        with torch.no_grad():
            scale = weight.abs().flatten(1).mean(1)
            weight.copy_(sign(weight) * scale.view(-1, *(1,) * (weight.dim() - 1)))
    first.model.load_state_dict(second.state_dict())
    torch.testing.assert_close(first.model(images), second(images))


@pytest.mark.parametrize("name", ["adambnn-digits", "adambnn-cifar10", "adambnn-imagenet", "reactnet-imagenet"])
def test_only_the_weights_of_binary_layers_decay_and_only_at_first(name: str) -> None:
    stages = stage_recipes(recipes.get(name))
    expected = {"activations": 1e-5 if name.startswith("react") else 5e-6, "both": 0.0}
    small = {"widths": [4, 4], "depths": [1, 1]} if "digits" not in name else {}
    names = None
    for stage, decay in expected.items():
        options = stages[stage].model.options | small | ({"stem_width": 4} if "imagenet" in name else {})
        model = create_model(stages[stage].model.name, **options)
        decayed = {
            parameter: group.get("weight_decay", 0)
            for group in build_optimizer(stages[stage], model).param_groups
            for parameter in group["param_names"]
        }
        own = params.named_real_weights if stage == "activations" else params.named_binary_parameters
        found = [parameter for parameter, _ in own(model)]
        assert names in (None, found)
        names = found
        assert decayed == {parameter: decay * (parameter in found) for parameter, _ in model.named_parameters()}


def test_the_rate_of_the_reference_in_every_epoch() -> None:
    recipe = stage_recipes(recipes.get("adambnn-imagenet"))["both"]
    model = create_model("reactnet_a", widths=[4, 4], depths=[1, 1], stem_width=4)
    optimizer = build_optimizer(recipe, model)
    schedulers = build_schedulers(recipe, optimizer, steps=3 * 256)
    rates = []
    for _ in range(3 * 256):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    assert (
        rates[0::3] == rates[1::3] == rates[2::3] == pytest.approx([1.25e-3 * (1 - (e + 1) / 256) for e in range(256)])
    )
    assert (rates[0], rates[3 * 127], rates[-1]) == (pytest.approx(1.24512e-3, rel=1e-5), pytest.approx(6.25e-4), 0)


class KilledError(Exception):
    pass


class Kill(Callback):
    """Stops the run at the so-manyeth update of all stages together."""

    def __init__(self, update: int) -> None:
        self.left = update

    def on_train_batch_end(self, trainer, *args, **kwargs) -> None:
        self.left -= 1
        if self.left == 0:
            raise KilledError


@pytest.mark.parametrize("update", [5, 8, 17, 22, 33])
def test_a_run_stopped_in_any_stage_ends_like_one_that_was_not(
    run: Result, staged: Recipe, tmp_path: Path, update: int
) -> None:
    """Before the first checkpoint, in the first epoch of a stage and in its second."""
    stopped = tmp_path / "run"
    with pytest.raises(KilledError):
        train(replace(staged, checkpoint_steps=3), stopped, progress=False, callbacks=(Kill(update),))
    resume(stopped, progress=False)
    assert_same(stopped, run.path)


def test_a_run_stopped_between_two_stages(run: Result, tmp_path: Path) -> None:
    stopped = tmp_path / "run"
    shutil.copytree(run.path, stopped)
    # The first epoch of the last stage has its line, and not its checkpoint.
    (stopped / "checkpoints" / "last.ckpt").unlink()
    lines = (stopped / "metrics.jsonl").read_text().splitlines(keepends=True)
    (stopped / "metrics.jsonl").write_text("".join(lines[:4]))
    resume(stopped, progress=False)
    assert_same(stopped, run.path)
    assert resume(stopped, progress=False).metrics == read_metrics(run.path)[-1] | {
        "seconds": read_metrics(stopped)[-1]["seconds"]
    }


def test_a_stage_that_is_over_is_not_changed(run: Result, staged: Recipe, tmp_path: Path) -> None:
    changed = tmp_path / "run"
    shutil.copytree(run.path, changed)
    save_recipe(override(staged, ["--stages.activations.optim.options.weight_decay=1e-5"]), changed / "recipe.yaml")
    with pytest.raises(ValueError, match=r"another recipe: optim\.options\.weight_decay was 5e-06 and is 1e-05"):
        resume(changed, progress=False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--stages.both.model.options.hidden=32"], r"stage both cannot begin with the weights of activations: hidden"),
        (
            ["--stages.both.model={name: mnist_mlp, options: {size: 8}}"],
            "activations: that lacks layer0.fc.weight, .* and 15 more; give both the same layers",
        ),
        (
            ["--stages.both.start=nowhere"],
            r"start must be previous, fresh, an earlier stage \(teacher, activations\) or",
        ),
        (["--stages.activations.optim={name: bop, options: {lr: 1e-3}}"], "optim.name: bop works on weights of ±1"),
        (["--stages.teacher.start=both"], "start must be previous, fresh or a run directory, got both"),
    ],
)
def test_a_hand_over_that_does_not_fit_writes_nothing(
    staged: Recipe, tmp_path: Path, words: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        train(override(staged, words), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_another_run_gives_the_first_weights(run: Result, staged: Recipe, tmp_path: Path) -> None:
    only = stage_recipes(staged)["both"]
    starts = Starts()
    again = replace(only, start=str(run.path), teacher=str(run.path), epochs=1)
    train(again, tmp_path / "run", progress=False, callbacks=(starts,))
    given = state(run.path)
    assert [name for name in given if not torch.equal(starts.seen[0][name], given[name])] == []


CODEBOOK = "subbit(bits=0.56,every=1)"


@pytest.mark.parametrize("quantizer", [CODEBOOK, "subbit(bits=0.56,codebook=frequent)", "twolevel(values=learned)"])
def test_codebooks_and_levels_begin_where_there_were_none(staged: Recipe, tmp_path: Path, quantizer: str) -> None:
    recipe = override(staged, ["--epochs=1", "--stages.both.model.options.weight_quantizer", quantizer])
    assert recipe.stages["both"]["model"]["options"]["weight_quantizer"] == quantizer
    starts = Starts()
    train(recipe, tmp_path / "run", progress=False, callbacks=(starts,))
    given, taken = state(tmp_path / "run", "activations"), starts.seen[2]
    assert all(torch.equal(taken[name], given[name]) for name in given)
    assert {name.rsplit(".", 2)[1] for name in taken if name not in given} == {"weight_quantizer"}


def test_a_codebook_is_handed_on_to_one_of_its_size(staged: Recipe, tmp_path: Path) -> None:
    more = {"model": {"options": {"weight_quantizer": CODEBOOK}}}
    recipe = override(replace(staged, stages=staged.stages | {"both": more, "again": more}), ["--epochs=1"])
    starts = Starts()
    train(recipe, tmp_path / "run", progress=False, callbacks=(starts,))
    given, taken = state(tmp_path / "run", "both"), starts.seen[3]
    assert [name for name in given if name.endswith("weight_quantizer.patterns")]
    assert [name for name in given if not torch.equal(taken[name], given[name])] == []
    other = override(recipe, ["--stages.again.model.options.weight_quantizer", "subbit(bits=0.67)"])
    with pytest.raises(ValueError, match=r"weight_quantizer\.\w+ is \(32, 9\) there and \(64, 9\) here"):
        train(other, tmp_path / "other", progress=False)
