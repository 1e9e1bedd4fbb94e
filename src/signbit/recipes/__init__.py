"""Training runs that are worth repeating, by name."""

from signbit.recipes.registry import get, groups, names, note, optimizers, parse
from signbit.recipes.sparsify import sparse_recipe

__all__ = ["get", "groups", "names", "note", "optimizers", "parse", "sparse_recipe"]
