"""Lists the trainings that are ready to run (epochs x batch), or shows one as YAML: edit it, and train the file.

Overrides work as in train: signbit recipes mnist-mlp --optim bop --epochs 3.
"""

import argparse
from dataclasses import asdict
from fnmatch import fnmatch

from signbit.cli.errors import UserError, require
from signbit.cli.output import Output

OVERRIDES = "keys of the recipe"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `signbit recipes`."""
    parser.add_argument(
        "name", nargs="?", help='the recipe to show; none lists them all, a pattern such as "bop-*" some'
    )


def run(options: argparse.Namespace) -> Output:
    """Names or one recipe; the Python calls are `recipes.names()`, `recipes.get` and `recipes.parse`."""
    require("lightning", "training")
    from signbit import recipes

    pattern = options.name
    if pattern is not None and not set(pattern) & set("*?["):
        import yaml

        values = asdict(recipes.parse(pattern, options.overrides))
        return Output(yaml.safe_dump(values, sort_keys=False).rstrip(), values)
    if options.overrides:
        raise UserError(f"{options.overrides[0]} changes a recipe; name one of {', '.join(recipes.names())}")
    shown = {
        heading: [name for name in names if pattern is None or fnmatch(name, pattern)]
        for heading, names in recipes.groups().items()
    }
    found = [recipes.get(name) for names in shown.values() for name in names]
    if not found:
        raise UserError(f"no recipe matches {pattern!r}; `signbit recipes` lists them all")
    width = max(len(recipe.name) for recipe in found)
    text = "\n\n".join(
        "\n".join([heading, *(f"  {name:{width}}  {_line(name)}" for name in names)])
        for heading, names in shown.items()
        if names
    )
    listed = [asdict(recipe) | {"note": recipes.note(recipe.name)} for recipe in found]
    return Output(text, {"recipes": listed})


def _line(name: str) -> str:
    """Length, note and, where there is a choice, optimizers of a recipe."""
    from signbit import recipes

    recipe, choices = recipes.get(name), recipes.optimizers(name)
    size = f"{recipe.epochs} x {recipe.batch_size}"
    return f"{size:>10}  {recipes.note(name)}" + (f" (--optim {', '.join(choices)})" if len(choices) > 1 else "")
