"""Training runs that are worth repeating, by name."""

from signbit.recipes.registry import get, groups, names, note, optimizers, parse

__all__ = ["get", "groups", "names", "note", "optimizers", "parse"]
