"""Trains a network by a recipe; the result is a run directory with recipe, metrics and checkpoint.

Every key of the recipe can be set by its dotted name: signbit train mnist-mlp --data.root FOLDER --epochs 3. `--optim
NAME` takes the recipe's settings for another optimizer. `signbit recipes NAME` shows the keys.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from signbit.cli.errors import require
from signbit.cli.output import Output, command
from signbit.text import count, duration

if TYPE_CHECKING:
    from signbit.training import Recipe, Result

OVERRIDES = "keys of the recipe"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `signbit train`; all others are keys of the recipe."""
    parser.add_argument("recipe", help="name of a recipe (signbit recipes), or a YAML file")
    parser.add_argument("--run", help="directory to make; default: the next free one under runs/")


def run(options: argparse.Namespace) -> Output:
    """Trains; the Python call is `training.train(recipe, run)`."""
    require("lightning", "training")
    from signbit import recipes, training

    recipe = recipes.parse(options.recipe, options.overrides)
    target = free_run(f"{recipe.name}-{recipe.optim.name}") if options.run is None else Path(options.run)
    return report(training.train(recipe, target), recipe)


def free_run(name: str) -> Path:
    """The first of runs/name, runs/name-2, runs/name-3, ... that does not exist."""
    first = Path("runs") / name
    taken = 1
    path = first
    while path.exists():
        taken += 1
        path = first.with_name(f"{name}-{taken}")
    return path


def report(result: "Result", recipe: "Recipe") -> Output:
    """What training left behind, with the accuracy on the held-out images."""
    from signbit import data, training

    try:
        trained = training.load_run(result.path)
        measured = training.evaluate_run(trained)
        training.record_result(trained, "test", measured)
        accuracy = f"{measured.accuracy:.2%} of {measured.samples:,} test images right"
        test: dict[str, Any] | None = vars(measured)
    except data.DataError as error:
        # What was trained stands, even where there is nothing to test it on.
        accuracy, test = f"not tested ({error})", None
    text = (
        f"{result.path}: {recipe.name}, {count(result.metrics['epoch'], 'epoch')} in {duration(result.seconds)}, "
        f"{accuracy}\n"
        f"next: {command('summary', result.path)}; {command('export', result.path, 'model.sbit')}"
    )
    found: dict[str, Any] = {"run": result.path, "seconds": result.seconds, "metrics": result.metrics}
    return Output(text, found | {"test": test})
