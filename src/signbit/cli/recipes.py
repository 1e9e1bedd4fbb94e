"""Lists the trainings that are ready to run, or shows one as YAML: edit it, and train the file.

Overrides work as in train: signbit recipes mnist-mlp --optim bop --epochs 3.
"""

import argparse
from dataclasses import asdict

from signbit.cli.errors import UserError, require
from signbit.cli.output import Output, table

OVERRIDES = "keys of the recipe"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `signbit recipes`."""
    parser.add_argument("name", nargs="?", help="the recipe to show; none lists them")


def run(options: argparse.Namespace) -> Output:
    """Names or one recipe; the Python calls are `recipes.names()`, `recipes.get` and `recipes.parse`."""
    require("lightning", "training")
    from signbit import recipes

    if options.name is not None:
        import yaml

        values = asdict(recipes.parse(options.name, options.overrides))
        return Output(yaml.safe_dump(values, sort_keys=False).rstrip(), values)
    if options.overrides:
        raise UserError(f"{options.overrides[0]} changes a recipe; name one of {', '.join(recipes.names())}")
    found = [recipes.get(name) for name in recipes.names()]
    rows = [(r.name, r.data.name, r.model.name, r.epochs, ", ".join(recipes.optimizers(r.name))) for r in found]
    text = table(("recipe", "data", "model", "epochs", "optimizers (first: default)"), rows)
    return Output(text, {"recipes": [asdict(recipe) for recipe in found]})
