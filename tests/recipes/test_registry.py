from pathlib import Path

import pytest
import torch

from signbit import recipes
from signbit.models import create_model
from signbit.training import save_recipe, stage_recipes
from signbit.training.optimizers import build_optimizer, build_schedulers

EVERY = [(name, optim) for name in recipes.names() for optim in recipes.optimizers(name)]


def test_names() -> None:
    assert {"digits", "mnist-cnn", "mnist-mlp"} <= set(recipes.names())
    assert recipes.names() == tuple(sorted(recipes.names()))


@pytest.mark.parametrize(("name", "optim"), EVERY)
def test_every_recipe_stands(name: str, optim: str, tmp_path: Path) -> None:
    recipe = recipes.get(name, optim)
    assert (recipe.name, recipe.optim.name) == (name, {"amsgrad": "adam"}.get(optim, optim))
    for stage in stage_recipes(recipe).values():
        # ImageNet's networks are large, and nothing is computed.
        with torch.device("meta" if recipe.data.name == "image-folder" else "cpu"):
            model = create_model(stage.model.name, **stage.model.options)
        optimizer = build_optimizer(stage, model)
        build_schedulers(stage, optimizer, stage.epochs)
    save_recipe(recipe, tmp_path / "recipe.yaml")
    assert recipes.parse(str(tmp_path / "recipe.yaml")) == recipe


def test_every_optimizer_serves_the_small_recipes() -> None:
    for name in ("digits", "mnist-mlp", "mnist-cnn", "binarynet-small-cifar10", "resnet20-cifar10"):
        assert set(recipes.optimizers(name)) == {"bop", "bop2ndorder", "adam", "bamsprod", "amsgrad", "sgd"}
        assert recipes.get(name, "amsgrad").optim.options["amsgrad"] is True
        assert recipes.get(name, "amsgrad").optim.options["lr"] == recipes.get(name, "adam").optim.options["lr"]
        assert recipes.get(name, "sgd").optim.options["momentum"] == 0.9


def test_every_recipe_stands_once_in_a_group_with_a_note() -> None:
    grouped = [name for names in recipes.groups().values() for name in names]
    assert sorted(grouped) == list(recipes.names())
    assert all(recipes.note(name) and "\n" not in recipes.note(name) for name in grouped)


def test_the_short_form_takes_the_tuned_settings_wherever_it_stands() -> None:
    for words in (["--optim", "bop", "--epochs", "3"], ["--epochs=3", "--optim=bop"]):
        recipe = recipes.parse("digits", words)
        assert recipe.optim == recipes.get("digits", "bop").optim
        assert recipe.epochs == 3
    assert recipes.parse("digits") == recipes.get("digits")
    changed = recipes.parse("digits", ["--optim.options.threshold=1e-5", "--optim", "bop"])
    assert changed.optim.options["threshold"] == 1e-5


@pytest.mark.parametrize(
    ("source", "words", "message"),
    [
        ("minst-mlp", [], "unknown recipe 'minst-mlp'; did you mean mnist-mlp"),
        (
            "digits",
            ["--optim", "bop2nd"],
            "recipe digits has no settings for optimizer 'bop2nd'; did you mean bop2ndorder",
        ),
        ("digits", ["--optim", "zzz"], "it has: bop2ndorder, bop, adam, bamsprod, amsgrad, sgd [(]or set optim.name"),
        ("digits", ["--epoch", "3"], "unknown key 'epoch'; did you mean epochs"),
        ("none.yaml", [], r"recipe none\.yaml: No such file"),
        ("none.yaml", ["--optim", "bop"], "--optim bop needs a named recipe"),
    ],
)
def test_mistakes_are_answered(source: str, words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recipes.parse(source, words)
