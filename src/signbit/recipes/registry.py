"""Recipes by name, each tuned for several optimizers, and the words of a command line on top of one."""

from collections.abc import Sequence
from pathlib import Path

from signbit.recipes import bop, bop2ndorder
from signbit.recipes.adambnn import ADAMBNN_CIFAR10, ADAMBNN_DIGITS, ADAMBNN_IMAGENET
from signbit.recipes.cifar10 import BINARYNET, BINARYNET_SMALL, RESNET20
from signbit.recipes.digits import DIGITS
from signbit.recipes.entry import Entry
from signbit.recipes.mnist import MNIST_CNN, MNIST_MLP
from signbit.recipes.reactnet import REACTNET_IMAGENET
from signbit.recipes.realtobinary import REALTOBINARY_IMAGENET
from signbit.recipes.sbnn import SBNN_CIFAR10, SBNN_CIFAR10_AUTHORS, SBNN_MNIST
from signbit.recipes.sparse import SPARSE_CIFAR10, SPARSE_TINYIMAGENET
from signbit.recipes.subbit import SUBBIT_CIFAR10, SUBBIT_IMAGENET
from signbit.recipes.tuned import variant, with_untuned
from signbit.training import Recipe, load_recipe, override, split_words
from signbit.wording import nearest, suggest, unknown

__all__ = ["get", "groups", "names", "note", "optimizers", "parse"]

_GROUPS: dict[str, tuple[Entry, ...]] = {
    "for a laptop; bamsprod, amsgrad and sgd are not tuned, except bamsprod for digits": (
        Entry("the demo: 8x8 digits, half a minute", with_untuned(DIGITS)),
        Entry("a perceptron on bits alone, minutes", with_untuned(MNIST_MLP)),
        Entry("two binary convolutions behind a real one, minutes", with_untuned(MNIST_CNN)),
        Entry("BinaryNet with a quarter of its channels", with_untuned(BINARYNET_SMALL)),
        Entry("ResNet-20 with 16, 32 and 64 channels", with_untuned(RESNET20)),
    ),
    "optimizers side by side at the size of the papers": (
        Entry("BinaryNet under the final schedules of Bop2ndOrder and Bop, and latent Adam", BINARYNET),
    ),
    "weights of two levels with few ones (SBNN, 2306.13515)": (
        Entry("a perceptron at 5 % ones, closed levels", SBNN_MNIST),
        Entry("ResNet-18 with a quarter of its channels, 5 % ones", SBNN_CIFAR10),
        Entry("the same with masks: any budget and way of pruning, for tables of many runs", SPARSE_CIFAR10),
        Entry("masks on Tiny-ImageNet: ResNet-18 with half of its channels, 5 % ones, hours", SPARSE_TINYIMAGENET),
        Entry("ResNet-18 as the authors' code trains it: learned levels, penalty", SBNN_CIFAR10_AUTHORS),
    ),
    "Bop, the configurations of 1906.02107": bop.ENTRIES,
    "Bop2ndOrder, the configurations of 2104.05124": bop2ndorder.ENTRIES,
    "trained in stages, a teacher among them (docs/stages.md)": (
        Entry("AdamBNN's two steps on the digits, after a real teacher", ADAMBNN_DIGITS),
        Entry("AdamBNN's two steps on ResNet-20 with RPReLU, after a real teacher", ADAMBNN_CIFAR10),
        Entry("AdamBNN (2106.11309): ReActNet-A in two steps; needs a teacher", ADAMBNN_IMAGENET),
        Entry("ReActNet (2003.03488): ReActNet-A in two steps; needs a teacher", REACTNET_IMAGENET),
        Entry("sub-bit weights (2110.09195) on ResNet-20 with RPReLU, after a real teacher", SUBBIT_CIFAR10),
        Entry("Sub-bit networks (2110.09195): ReActNet's ResNet-18 at .67 bits; needs a teacher", SUBBIT_IMAGENET),
        Entry(
            "Real-to-Binary (2003.11535), a reconstruction: four stages, each teaching the next", REALTOBINARY_IMAGENET
        ),
    ),
}

_ENTRIES = {entry.recipes[0].name: entry for entries in _GROUPS.values() for entry in entries}


def names() -> tuple[str, ...]:
    """Names of all recipes, sorted."""
    return tuple(sorted(_ENTRIES))


def groups() -> dict[str, tuple[str, ...]]:
    """Headings and the names below each, in the order of the list."""
    return {heading: tuple(entry.recipes[0].name for entry in entries) for heading, entries in _GROUPS.items()}


def note(name: str) -> str:
    """One line about a recipe: what it is and, for a published configuration, where it stands.

    Raises:
        ValueError: an unknown name; the nearest are named.
    """
    return _entry(name).note


def optimizers(name: str) -> tuple[str, ...]:
    """Optimizers that a recipe has settings for; the first is its default."""
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
        others = suggest(nearest(optim, variants), variants, what="it has")
        raise ValueError(
            f"recipe {name} has no settings for optimizer {optim!r}; {others} (or set optim.name and optim.options "
            "yourself)"
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
    return {variant(recipe): recipe for recipe in _entry(name).recipes}


def _entry(name: str) -> Entry:
    if name not in _ENTRIES:
        raise ValueError(unknown("recipe", name, names()))
    return _ENTRIES[name]
