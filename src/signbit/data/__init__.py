"""Real images in memory: readers of the official layouts. Needs numpy, not torch (`data.loader` and `augment` do)."""

from signbit.data.dataset import DataError, Dataset
from signbit.data.sets import load, names

__all__ = ["DataError", "Dataset", "load", "names"]
