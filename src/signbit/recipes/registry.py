"""Recipes by name, each tuned for several optimizers, and the words of a command line on top of one."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from signbit.recipes.cifar10 import BINARYNET, BINARYNET_SMALL, RESNET20
from signbit.recipes.digits import DIGITS
from signbit.recipes.mnist import MNIST_CNN, MNIST_MLP
from signbit.recipes.sbnn import SBNN_CIFAR10, SBNN_CIFAR10_AUTHORS, SBNN_MNIST
from signbit.training import Recipe, load_recipe, override, split_words

__all__ = ["get", "names", "optimizers", "parse"]

_RECIPES: dict[str, dict[str, Recipe]] = {
    variants[0].name: {recipe.optim.name: recipe for recipe in variants}
    for variants in (
        BINARYNET,
        BINARYNET_SMALL,
        DIGITS,
        MNIST_CNN,
        MNIST_MLP,
        RESNET20,
        SBNN_CIFAR10,
        SBNN_CIFAR10_AUTHORS,
        SBNN_MNIST,
    )
}


def names() -> tuple[str, ...]:
    """Names of all recipes, sorted."""
    return tuple(sorted(_RECIPES))


def optimizers(name: str) -> tuple[str, ...]:
    """Optimizers that a recipe has tuned settings for; the first is its default."""
    return tuple(_variants(name))


def get(name: str, optim: str | None = None) -> Recipe:
    """A recipe, with its settings for one optimizer.

    Args:
        name: one of `names()`.
        optim: one of `optimizers(name)`; None takes the first.

    Raises:
        ValueError: an unknown name, or an optimizer without settings; the nearest are named.
    """
    variants = _variants(name)
    if optim is None:
        return next(iter(variants.values()))
    if optim not in variants:
        near = get_close_matches(optim, variants, n=3)
        raise ValueError(
            f"recipe {name} has no settings for optimizer {optim!r}; {'nearest' if near else 'it has'}: "
            f"{', '.join(near or variants)}; or set optim.name and optim.options yourself"
        )
    return variants[optim]


def parse(source: str, words: Sequence[str] = ()) -> Recipe:
    """A recipe from the words of a command line.

    Args:
        source: name of a recipe, or path of a YAML file (one ends in .yaml or .yml).
        words: dotted overrides, "--epochs 5"; "--optim bop" takes the named recipe's settings for that optimizer, and
            the other words are applied on top, wherever it stands.

    Raises:
        ValueError: an unknown recipe, key or optimizer, or a value that does not fit.
    """
    pairs = list(split_words(words))
    chosen = [value for key, value in pairs if key == "optim"]
    rest = [f"--{key}={value}" for key, value in pairs if key != "optim"]
    if source.endswith((".yaml", ".yml")):
        if chosen:
            raise ValueError(
                f"--optim {chosen[-1]} needs a named recipe; with {source} set --optim.name and its options"
            )
        return override(load_recipe(Path(source)), rest)
    return override(get(source, chosen[-1] if chosen else None), rest)


def _variants(name: str) -> dict[str, Recipe]:
    if name not in _RECIPES:
        near = get_close_matches(name, _RECIPES, n=3)
        raise ValueError(f"unknown recipe {name!r}; {'nearest' if near else 'known'}: {', '.join(near or names())}")
    return _RECIPES[name]
