from pathlib import Path

import pytest

from signbit import recipes
from signbit.models import create_model
from signbit.training import save_recipe
from signbit.training.optimizers import build_optimizer, build_schedulers

EVERY = [(name, optim) for name in recipes.names() for optim in recipes.optimizers(name)]


def test_names() -> None:
    assert {"digits", "mnist-cnn", "mnist-mlp"} <= set(recipes.names())
    assert recipes.names() == tuple(sorted(recipes.names()))


@pytest.mark.parametrize(("name", "optim"), EVERY)
def test_every_recipe_stands(name: str, optim: str, tmp_path: Path) -> None:
    recipe = recipes.get(name, optim)
    assert (recipe.name, recipe.optim.name) == (name, optim)
    optimizer = build_optimizer(recipe, create_model(recipe.model.name, **recipe.model.options))
    build_schedulers(recipe, optimizer, 10)
    save_recipe(recipe, tmp_path / "recipe.yaml")
    assert recipes.parse(str(tmp_path / "recipe.yaml")) == recipe


def test_mnist_has_three_optimizers() -> None:
    for name in ("mnist-mlp", "mnist-cnn"):
        assert set(recipes.optimizers(name)) == {"bop", "bop2ndorder", "adam"}


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
        ("minst-mlp", [], "unknown recipe 'minst-mlp'; nearest: mnist-mlp"),
        ("digits", ["--optim", "bop2nd"], "recipe digits has no settings for optimizer 'bop2nd'; nearest: bop2ndorder"),
        ("digits", ["--optim", "zzz"], "it has: bop2ndorder, bop, adam, bamsprod; or set optim.name"),
        ("digits", ["--epoch", "3"], "unknown key 'epoch'; nearest: epochs"),
        ("none.yaml", [], r"recipe none\.yaml: No such file"),
        ("none.yaml", ["--optim", "bop"], "--optim bop needs a named recipe"),
    ],
)
def test_mistakes_are_answered(source: str, words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recipes.parse(source, words)
