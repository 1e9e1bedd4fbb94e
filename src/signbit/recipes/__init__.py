"""Training runs that are worth repeating, by name."""

from signbit.recipes.registry import get, names, optimizers, parse

__all__ = ["get", "names", "optimizers", "parse"]
